"""What follows from what happened to an order: the points that it earns."""

from __future__ import annotations

from datetime import datetime

from config.platform.outbox import Envelope, durable
from orders import services
from orders.events import OrderDelivered, OrderEvent, OrderRefunded


@durable(OrderDelivered, OrderRefunded, consumer="orders.points")
def settle_points(event: OrderEvent, envelope: Envelope, now: datetime) -> None:
    """What was delivered earns points; what is refunded after that takes its part of them back."""
    services.settle_points(order_id=event.aggregate_id, now=now)
