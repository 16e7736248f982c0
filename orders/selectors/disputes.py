"""Price disputes about orders, as far as a caller may see the orders."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from config.platform.actor import Actor
from orders.models import Order
from pricing import selectors as pricing
from pricing.errors import DisputeNotFound
from pricing.models import PriceDispute


def disputes_of(*, actor: Actor, status: str = "", order: str = "") -> QuerySet[PriceDispute]:
    """Return the disputes about orders that the caller may see, newest first; of one order by its id or number."""
    found = pricing.disputes(actor=actor)
    if not actor.sees_everything:
        found = found.filter(order_id__in=Order.objects.for_actor(actor).values("id"))
    if status:
        found = found.filter(status=status)
    if order:
        found = found.filter(_names(order))
    return found


def dispute_of(*, actor: Actor, dispute_id: UUID) -> PriceDispute:
    """
    Return a dispute about an order that the caller may see.

    :raises DisputeNotFound: if there is none
    """
    found = disputes_of(actor=actor).filter(pk=dispute_id).first()
    if found is None:
        raise DisputeNotFound
    return found


def _names(order: str) -> Q:
    try:
        return Q(order_id=UUID(order))
    except ValueError:
        return Q(order_number=order.upper())
