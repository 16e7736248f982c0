"""What orders announce. The aggregate is always the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class OrderEvent(Event):
    aggregate_type: ClassVar[str] = "order"
    number: str
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(OrderEvent):
    """`access_token` opens the order from the confirmation mail; only its digest is stored elsewhere."""

    name: ClassVar[str] = "order.placed"
    access_token: str


@dataclass(frozen=True, kw_only=True)
class OrderStatusChanged(OrderEvent):
    name: ClassVar[str] = "order.status_changed"
    from_status: str
    to_status: str


@dataclass(frozen=True, kw_only=True)
class OrderConfirmed(OrderEvent):
    name: ClassVar[str] = "order.confirmed"


@dataclass(frozen=True, kw_only=True)
class OrderShipped(OrderEvent):
    name: ClassVar[str] = "order.shipped"
    shipment_id: str


@dataclass(frozen=True, kw_only=True)
class OrderDelivered(OrderEvent):
    name: ClassVar[str] = "order.delivered"


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(OrderEvent):
    name: ClassVar[str] = "order.cancelled"
    reason: str


@dataclass(frozen=True, kw_only=True)
class OrderItemsCancelled(OrderEvent):
    """Units were left out: alone, or (`by_edit`) within a change that `order.edited` tells whole."""

    name: ClassVar[str] = "order.items_cancelled"
    items: list[dict[str, object]]
    by_edit: bool = False


@dataclass(frozen=True, kw_only=True)
class OrderEdited(OrderEvent):
    """
    A placed order was changed. `fields` are what; `to_refund` goes back; `addition_number` is the order that holds
    what was added and waits to be paid, `to_pay`.
    """

    name: ClassVar[str] = "order.edited"
    fields: list[str]
    to_refund: str
    to_pay: str
    addition_number: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReturnRequested(OrderEvent):
    name: ClassVar[str] = "order.return_requested"
    return_id: str


@dataclass(frozen=True, kw_only=True)
class ReturnDecided(OrderEvent):
    """
    `outcome` is the status that the return has now: APPROVED, REJECTED, RECEIVED, WITHDRAWN or CLOSED; `answer` is what
    staff say to the customer.
    """

    name: ClassVar[str] = "order.return_decided"
    return_id: str
    outcome: str
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class ExchangeDue(OrderEvent):
    """The order of a replacement waits for the difference that what came back does not pay for."""

    name: ClassVar[str] = "order.exchange_due"


@dataclass(frozen=True, kw_only=True)
class RefundRequested(OrderEvent):
    """Money is owed back; `checkout` moves it."""

    name: ClassVar[str] = "order.refund_requested"
    refund_request_id: str


@dataclass(frozen=True, kw_only=True)
class PriceDisputeOpened(OrderEvent):
    name: ClassVar[str] = "order.price_disputed"
    dispute_id: str


@dataclass(frozen=True, kw_only=True)
class PriceDisputeDecided(OrderEvent):
    """`outcome` is REJECTED, ADJUSTED or REFUNDED; `answer` is what staff say to the customer."""

    name: ClassVar[str] = "order.price_dispute_decided"
    dispute_id: str
    outcome: str
    product: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class OrderRefunded(OrderEvent):
    name: ClassVar[str] = "order.refunded"
    amount: str
