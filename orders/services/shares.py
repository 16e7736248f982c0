"""
What units of an order are worth to its customer, to the cent.

The money of a line is frozen per unit. Each refund claims the next units that no refund has claimed yet, so any
sequence of cancellations, returns and refunds adds up to what was paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Case, F, Sum, When

from orders.models import Order, OrderLine, RefundRequest
from pricing.money import from_minor, quantize, to_minor, unit_shares


@dataclass(frozen=True, slots=True)
class Units:
    """Some units of one order line."""

    line_id: UUID
    quantity: int


PAID = (Order.PaymentStatus.CAPTURED, Order.PaymentStatus.PARTIALLY_REFUNDED)


def refundable(order: Order) -> Decimal:
    """Return what of a locked order's money is neither refunded nor asked back yet."""
    if order.payment_status not in {*PAID, Order.PaymentStatus.AUTHORIZED}:
        return Decimal(0)
    asked = RefundRequest.objects.filter(order=order, payment_id=None).aggregate(
        asked=Sum(
            Case(
                When(status=RefundRequest.Status.DUE, then=F("amount")),
                # It failed, but what it moved into an exchange has moved.
                When(status=RefundRequest.Status.FAILED, then=F("moved_amount")),
            )
        )
    )["asked"]
    # What sent back goods pay for is there once the order is confirmed; before, it is still the earlier order's.
    paid = order.grand_total if order.confirmed_at else order.to_pay
    left: Decimal = paid - order.refunded_total - (asked or Decimal(0))
    return left


def would_bring(order: Order, units: Sequence[Units]) -> Decimal:
    """Return what taking these units back would ask of the payment now; for showing, nothing is written or locked."""
    lines = {line.id: line for line in order.lines.all()}
    total = Decimal(0)
    for wanted in units:
        total += line_brings(lines[wanted.line_id], wanted.quantity, order.currency)
    return min(total, refundable(order))


def line_brings(line: OrderLine, count: int, currency: str) -> Decimal:
    """Return the money of the next `count` units of a line that no refund has asked back."""
    return share_of(line, min(count, line.quantity - line.claimed_quantity), currency)[0]


def shipping_share(order: Order, price: Decimal) -> Decimal:
    """
    Return what a part of the shipping price brings back with its tax, counted after earlier parts.

    A fixed function of the price claimed so far: all parts add up to what shipping cost.
    """
    net = order.shipping_total - order.shipping_discount
    if not net:
        return Decimal(0)
    lines = OrderLine.objects.filter(order=order).aggregate(total=Sum("total"))["total"]
    paid = order.grand_total - lines

    def upto(claimed: Decimal) -> Decimal:
        return quantize(paid * claimed / net, order.currency)

    return upto(order.shipping_claimed + price) - upto(order.shipping_claimed)


def share_of(line: OrderLine, count: int, currency: str) -> tuple[Decimal, Decimal]:
    """
    Return the money of the next `count` units, less their part of what was given back of the line's price, and the
    part of it that stays on the other units.

    The parts are in proportion to the shares, so that none is ever more than its units are worth.
    """
    share = unit_shares(line.total, line.quantity, line.claimed_quantity, count, currency)
    worth = to_minor(unclaimed(line, currency), currency)
    if not line.adjusted_amount or not worth:
        return share, line.adjusted_amount
    given = to_minor(line.adjusted_amount, currency)
    stays = from_minor(given * (worth - to_minor(share, currency)) // worth, currency)
    return share - (line.adjusted_amount - stays), stays


def unclaimed(line: OrderLine, currency: str) -> Decimal:
    """Return what the units of a line cost whose money no refund has asked back."""
    return unit_shares(
        line.total,
        line.quantity,
        line.claimed_quantity,
        line.quantity - line.claimed_quantity,
        currency,
    )


def points_of(line: OrderLine, count: int) -> int:
    """Return the points of the next `count` units: like money, all units together bring back what the line took."""
    first, last = line.claimed_quantity, line.claimed_quantity + count
    return line.points * last // line.quantity - line.points * first // line.quantity
