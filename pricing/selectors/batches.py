"""Batches of codes, and how far they are used up."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from config.platform.actor import Actor
from pricing.errors import CouponBatchNotFound
from pricing.models import Coupon, CouponBatch


def coupon_batches(*, actor: Actor) -> QuerySet[CouponBatch]:
    """Return the company's batches, newest first, with how many codes are used, unused and revoked."""
    used = Q(coupons__used_count__gt=0)
    return (
        CouponBatch.objects.filter(company_id=actor.company_id)
        .select_related("promotion")
        .annotate(
            used=Count("coupons", filter=used),
            unused=Count("coupons", filter=~used & Q(coupons__is_active=True)),
            revoked=Count("coupons", filter=~used & Q(coupons__is_active=False)),
        )
        .order_by("-created_at", "-id")
    )


def find_batch(*, actor: Actor, batch_id: UUID) -> CouponBatch:
    """:raises CouponBatchNotFound: if the company has none"""
    batch = coupon_batches(actor=actor).filter(id=batch_id).first()
    if batch is None:
        raise CouponBatchNotFound()
    return batch


def coupon_status(coupon: Coupon, now: datetime) -> str:
    """Return in a word how a code of a batch stands: used, revoked, expired or unused."""
    if coupon.used_count:
        return "used"
    if not coupon.is_active:
        return "revoked"
    if coupon.expires_at is not None and coupon.expires_at <= now:
        return "expired"
    return "unused"
