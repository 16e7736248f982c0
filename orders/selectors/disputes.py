"""Price disputes about orders, as far as a caller may see the orders."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from config.platform.actor import Actor
from config.platform.ids import as_uuid
from orders.errors import OrderNotFound
from orders.models import Order
from orders.selectors import find
from pricing import selectors as pricing
from pricing.errors import DisputeNotFound
from pricing.models import PriceDispute


def disputes_of(
    *, actor: Actor, status: str = "", order: str = "", token: str = ""
) -> QuerySet[PriceDispute]:
    """
    Return the disputes about orders that the caller may see, newest first; of one order by its id or number.

    With the secret of an order's own link, those about that one order.

    :raises OrderNotFound: if there is a token, and it does not open the order
    """
    found = pricing.disputes(actor=actor)
    if token:
        opened = find(actor=actor, reference=order, token=token)
        found, order = found.filter(order_id=opened.id), ""
    elif not actor.sees_everything:
        found = found.filter(order_id__in=Order.objects.for_actor(actor).values("id"))
    if status:
        found = found.filter(status=status)
    if order:
        found = found.filter(_names(order))
    return found


def dispute_of(*, actor: Actor, dispute_id: UUID, token: str = "") -> PriceDispute:
    """
    Return a dispute about an order that the caller may see, or that the token of its link opens.

    :raises DisputeNotFound: if there is none
    """
    found = pricing.disputes(actor=actor).filter(pk=dispute_id).first()
    if found is None:
        raise DisputeNotFound
    try:
        find(actor=actor, reference=str(found.order_id), token=token)
    except OrderNotFound:
        raise DisputeNotFound from None
    return found


def _names(order: str) -> Q:
    order_id = as_uuid(order)
    return Q(order_id=order_id) if order_id else Q(order_number=order.upper())
