"""The points that orders earn; `pricing` keeps the books."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from config.platform.actor import Actor
from orders.models import Order
from pricing import services as pricing
from pricing.services import Purchase


@transaction.atomic
def settle_points(*, order_id: UUID, now: datetime) -> int:
    """
    Let an order that was delivered to a customer with an account earn its points, less what was refunded.

    Returns the change; safe to repeat. Locks the order, then the customer's points.
    """
    order: Order = Order.objects.filter(pk=order_id).for_update().get()
    if order.user_id is None or order.delivered_at is None:
        return 0
    return pricing.settle_purchase(
        actor=Actor.system(order.company_id, source="orders"),
        purchase=Purchase(
            order_id=order.id,
            user_id=order.user_id,
            placed_at=order.placed_at,
            currency=order.currency,
            goods=order.subtotal - (order.discount_total - order.shipping_discount),
            paid=order.grand_total,
            refunded=order.refunded_total,
        ),
        now=now,
    )
