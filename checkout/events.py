"""What checkout announces. The aggregate is always the order that the money belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class PaymentEvent(Event):
    aggregate_type: ClassVar[str] = "order"
    payment_id: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PaymentAuthorized(PaymentEvent):
    name: ClassVar[str] = "payment.authorized"


@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(PaymentEvent):
    name: ClassVar[str] = "payment.captured"


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(PaymentEvent):
    name: ClassVar[str] = "payment.failed"
    failure: str


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(PaymentEvent):
    name: ClassVar[str] = "payment.refunded"
    refund_id: str


@dataclass(frozen=True, kw_only=True)
class PaymentRefundedOutside(PaymentEvent):
    """Staff paid a failed refund back by other means than the provider; `means` is one of `OutsideRefund.Means`."""

    name: ClassVar[str] = "payment.refunded_outside"
    refund_request_id: str
    means: str
    reference: str
    paid_on: str
