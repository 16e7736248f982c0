"""What follows from what happened to an order: the points that it earns, its papers, and what was added to it."""

from __future__ import annotations

from datetime import datetime

from config.platform.outbox import Envelope, durable
from orders import services
from orders.events import OrderCancelled, OrderDelivered, OrderEvent, OrderRefunded


@durable(OrderDelivered, OrderRefunded, consumer="orders.points")
def settle_points(event: OrderEvent, envelope: Envelope, now: datetime) -> None:
    """What was delivered earns points; what is refunded after that takes its part of them back."""
    services.settle_points(order_id=event.aggregate_id, now=now)


@durable(OrderCancelled, OrderRefunded, consumer="orders.papers")
def complete_papers(event: OrderEvent, envelope: Envelope, now: datetime) -> None:
    """An invoice is credited as soon as its money goes back, or will never come."""
    services.complete_papers(order_id=event.aggregate_id, now=now)


@durable(OrderCancelled, consumer="orders.additions")
def end_additions(event: OrderCancelled, envelope: Envelope, now: datetime) -> None:
    """What was added to a cancelled order is cancelled with it while it is not paid; what is paid goes alone."""
    services.end_additions(order_id=event.aggregate_id, now=now)
