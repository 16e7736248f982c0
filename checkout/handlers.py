"""What checkout does when lower apps announce something."""

from __future__ import annotations

from datetime import datetime

from checkout import services
from config.platform import outbox
from config.platform.outbox import Envelope
from orders.events import OrderCancelled, RefundRequested


@outbox.durable(OrderCancelled, consumer="checkout.order_cancelled")
def close_checkout(event: OrderCancelled, envelope: Envelope, now: datetime) -> None:
    """The checkout of a cancelled order is over. Its payments are due rows of the reconciliation."""
    services.close_of_order(order_id=event.aggregate_id)


@outbox.live(OrderCancelled)
def close_payments(event: OrderCancelled, envelope: Envelope) -> None:
    outbox.kick("checkout.tasks.reconcile")


@outbox.live(RefundRequested)
def refund(event: RefundRequested, envelope: Envelope) -> None:
    outbox.kick("checkout.tasks.execute_refunds")
