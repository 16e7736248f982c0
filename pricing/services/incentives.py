"""Codes that bring customers back: personal, for one order, worth more with later reminders where staff say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q

from config.platform import flags
from config.platform.actor import Actor
from pricing import selectors
from pricing.models import Coupon, Promotion, PromotionUse
from pricing.services.batches import random_code

PREFIX = "BACK-"
LENGTH = 10


@dataclass(frozen=True, slots=True)
class GivenCode:
    """A code for one customer and one order, and what it brings."""

    code: str
    promotion: str
    expires_at: datetime


@transaction.atomic
def give_code(
    *, actor: Actor, stage: int, email: str, expires_at: datetime, now: datetime
) -> GivenCode | None:
    """
    Return a code that goes with a reminder, for the customer of an address alone; None where none goes with it.

    Who has an unused one gets the same again, so that leaving carts behind earns nothing; nobody gets one for a
    promotion they have used as often as they may. Locks the promotion.
    """
    if not flags.is_enabled(selectors.PROMOTIONS_FLAG):
        return None
    promotion: Promotion | None = (
        Promotion.objects.filter(
            Q(starts_at=None) | Q(starts_at__lte=now),
            Q(ends_at=None) | Q(ends_at__gt=now),
            company_id=actor.company_id,
            reminder_stage=stage,
            is_active=True,
            deleted_at=None,
        )
        .for_update()
        .first()
    )
    if promotion is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'email:' || same_address(%s)", [email])
        key = cursor.fetchone()[0]
    uses = PromotionUse.objects.filter(
        promotion=promotion, customer_keys__contains=[key], returned_at=None
    )
    limit = promotion.per_customer_limit
    if limit is not None and uses.count() >= limit:
        return None
    if promotion.usage_limit is not None and promotion.used_count >= promotion.usage_limit:
        return None
    ends = expires_at if promotion.ends_at is None else min(expires_at, promotion.ends_at)
    coupon = Coupon.objects.filter(
        promotion=promotion, customer_key=key, is_active=True, used_count=0
    ).first()
    if coupon is None:
        coupon = Coupon(
            company_id=actor.company_id,
            promotion=promotion,
            code=PREFIX + random_code(LENGTH),
            customer_key=key,
            usage_limit=1,
        )
    coupon.expires_at = ends
    coupon.save()
    return GivenCode(coupon.code, promotion.name, ends)
