"""Orders that look like fraud: held when they are paid, let go or cancelled by staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import InvalidTransition
from orders.models import Order
from orders.services.cancelling import cancel
from orders.services.status import lock, record_edit

HOUR = timedelta(hours=1)


def hold_if_suspicious(
    order: Order, suspicions: Sequence[str] = (), *, now: datetime
) -> tuple[str, ...]:
    """
    Mark a locked order that staff have to look at before it is packed; return the fields that are to be saved.

    Switched off, it asks and writes nothing.
    """
    if not settings.ORDER_REVIEW:
        return ()
    reasons = [*_reasons(order, now=now), *suspicions]
    if not reasons:
        return ()
    order.review = Order.Review.PENDING
    order.review_reason = "; ".join(reasons)[:300]
    return ("review", "review_reason")


@transaction.atomic
def hold_back(*, actor: Actor, order_id: UUID, reason: str, now: datetime) -> Order:
    """
    Keep a placed order from being packed and sent until staff have looked at it, and flag it; once for each reason.

    What is on its way, or over, is only flagged. Locks the order.

    :raises OrderNotFound: if there is none for this caller
    """
    order = lock(actor=actor, order_id=order_id)
    if order.needs_attention == reason[:200]:
        return order
    record_edit(order, "needs_attention", order.needs_attention, reason[:200], actor=actor, now=now)
    order.needs_attention = reason[:200]
    if order.status in {Order.Status.CONFIRMED, Order.Status.PROCESSING}:
        order.review, order.review_reason = Order.Review.PENDING, reason[:300]
    order.save(update_fields=["needs_attention", "review", "review_reason", "updated_at"])
    return order


@transaction.atomic
def review(
    *, actor: Actor, order_id: UUID, approve: bool, reason: str = "", now: datetime
) -> Order:
    """
    Let an order that was held go on, or cancel it with everything that belongs to that.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if it does not wait for a look
    :raises OrderNotCancellable: if it is rejected but over already
    """
    order = lock(actor=actor, order_id=order_id)
    if order.review != Order.Review.PENDING:
        raise InvalidTransition(
            "This order does not wait for a look.", extra={"review": order.review or None}
        )
    decision = Order.Review.APPROVED if approve else Order.Review.REJECTED
    record_edit(order, "review", order.review, str(decision), actor=actor, now=now, reason=reason)
    audit.record(
        actor=actor,
        action="order.reviewed",
        object_type="order",
        object_id=str(order.id),
        after={"review": str(decision), "reason": reason},
        now=now,
    )
    order.review = decision
    order.save(update_fields=["review", "updated_at"])
    if approve:
        return order
    return cancel(actor=actor, order_id=order_id, reason=reason or "refused", now=now)


def _reasons(order: Order, *, now: datetime) -> list[str]:
    reasons = []
    if 0 < settings.ORDER_REVIEW_AMOUNT <= order.grand_total:
        reasons.append("a large amount")
    bill = (order.billing_address or {}).get("country", "")
    if bill and bill != order.shipping_address.get("country", ""):
        reasons.append("the bill goes to another country")
    most = settings.ORDER_REVIEW_PER_HOUR if settings.RATE_LIMITS else 0
    if most:
        same = Q(email__iexact=order.email)
        if order.user_id is not None:
            same |= Q(user_id=order.user_id)
        if order.shipping_address.get("line1"):
            same |= Q(
                shipping_address__line1=order.shipping_address["line1"],
                shipping_address__postalCode=order.shipping_address.get("postalCode", ""),
            )
        recent = Order.objects.filter(
            company_id=order.company_id, placed_at__gt=now - HOUR, placed_at__lte=now
        )
        if recent.filter(same)[: most + 1].count() > most:
            reasons.append("many orders within an hour")
    return reasons
