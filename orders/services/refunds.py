"""
What is owed back, to the cent.

The money of a line is frozen per unit. Each refund claims the next units that no refund has claimed
yet, so any sequence of cancellations, returns and refunds adds up to what was paid. `checkout` moves
the money and reports back through `record_refund`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Sum, When

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, InvalidTransition, ValidationFailed
from orders.errors import RefundExceedsPayment
from orders.events import OrderRefunded, RefundRequested
from orders.models import Order, OrderLine, RefundRequest, ReturnRequest
from orders.services.status import about, lock, move, record_edit
from pricing import services as pricing
from pricing.money import format_amount, from_minor, quantize, to_minor, unit_shares


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
    return _share(line, min(count, line.quantity - line.claimed_quantity), currency)[0]


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


def claim(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    units: Sequence[Units],
    *,
    shipping: Decimal,
    actor: Actor,
    now: datetime,
    reason: str,
    whole: bool = False,
    exact: bool = False,
    return_request: ReturnRequest | None = None,
) -> RefundRequest | None:
    """
    Ask back the money of units and of a part of the shipping price, on a locked order.

    Units whose money was asked back before bring nothing, and what was given back of their price is
    not given back again. Points that paid for the units come back at once. `whole` asks for
    everything that is left of the payment. Earlier goodwill refunds may leave less than the shares;
    with `exact` that is refused, else what is left is asked for. Returns None when nothing is due.

    :raises RefundExceedsPayment: with `exact`, if less is left than asked for
    """
    parts = []
    total = Decimal(0)
    points = 0
    for wanted in units:
        line = lines[wanted.line_id]
        count = min(wanted.quantity, line.quantity - line.claimed_quantity)
        if not count:
            continue
        amount, line.adjusted_amount = _share(line, count, order.currency)
        points += _points(line, count)
        line.claimed_quantity += count
        line.save(update_fields=["claimed_quantity", "adjusted_amount"])
        parts.append(
            {
                "itemId": str(line.id),
                "quantity": count,
                "amount": format_amount(amount, order.currency),
            }
        )
        total += amount
    if points:
        pricing.return_points(actor=actor, order_id=order.id, points=points, reason=reason, now=now)
    if shipping:
        total += shipping_share(order, shipping)
        order.shipping_claimed += shipping
        order.save(update_fields=["shipping_claimed", "updated_at"])
    left = refundable(order)
    if exact and total > left:
        raise RefundExceedsPayment(extra={"refundable": format_amount(left, order.currency)})
    amount = left if whole else min(total, left)
    if amount <= 0:
        return None
    return _request(
        order,
        amount=amount,
        reason=reason,
        lines=parts,
        shipping=shipping,
        actor=actor,
        now=now,
        return_request=return_request,
    )


def _share(line: OrderLine, count: int, currency: str) -> tuple[Decimal, Decimal]:
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


def next_share(line: OrderLine, count: int, currency: str) -> Decimal:
    """Return what the next `count` units of a line bring, if nothing else is given back before."""
    return _share(line, count, currency)[0]


def unclaimed(line: OrderLine, currency: str) -> Decimal:
    """Return what the units of a line cost whose money no refund has asked back."""
    return unit_shares(
        line.total,
        line.quantity,
        line.claimed_quantity,
        line.quantity - line.claimed_quantity,
        currency,
    )


def refund_difference(
    order: Order, *, line_id: UUID, amount: Decimal, reason: str, actor: Actor, now: datetime
) -> RefundRequest:
    """
    Ask back a part of what a line of a locked order cost; the goods stay with the customer.

    It lies on the units whose money was not asked back: when they come back later, they bring so much less.

    :raises RefundExceedsPayment: if less is left of the line, or of the payment
    """
    line = order.lines.get(pk=line_id)
    left = min(unclaimed(line, order.currency) - line.adjusted_amount, refundable(order))
    if amount > left:
        raise RefundExceedsPayment(extra={"refundable": format_amount(left, order.currency)})
    line.adjusted_amount += amount
    line.save(update_fields=["adjusted_amount"])
    return _request(
        order,
        amount=amount,
        reason=reason,
        lines=[
            {
                "itemId": str(line.id),
                "quantity": 0,
                "amount": format_amount(amount, order.currency),
            }
        ],
        shipping=Decimal(0),
        actor=actor,
        now=now,
    )


def _points(line: OrderLine, count: int) -> int:
    """Return the points of the next `count` units: like money, all units together bring back what the line took."""
    first, last = line.claimed_quantity, line.claimed_quantity + count
    return line.points * last // line.quantity - line.points * first // line.quantity


@transaction.atomic
def request_refund(
    *,
    actor: Actor,
    order_id: UUID,
    amount: Decimal,
    reason: str,
    now: datetime,
) -> RefundRequest:
    """
    Ask back an amount that belongs to no particular units: goodwill.

    :raises OrderNotFound: if there is none for this caller
    :raises RefundExceedsPayment: if less is left of the payment
    """
    order = lock(actor=actor, order_id=order_id)
    left = refundable(order)
    if amount > left:
        raise RefundExceedsPayment(extra={"refundable": format_amount(left, order.currency)})
    return _request(
        order, amount=amount, reason=reason, lines=[], shipping=Decimal(0), actor=actor, now=now
    )


@transaction.atomic
def return_payment(
    *, actor: Actor, order_id: UUID, payment_id: UUID, amount: Decimal, reason: str, now: datetime
) -> RefundRequest:
    """
    Ask back a payment that is no part of its order: a second one, or one that came after a cancellation.

    Asking twice for the same payment gives the same request.

    :raises OrderNotFound: if there is none for this caller
    """
    order = lock(actor=actor, order_id=order_id)
    earlier = RefundRequest.objects.filter(payment_id=payment_id).first()
    if earlier is not None:
        return earlier
    return _request(
        order,
        amount=amount,
        reason=reason,
        lines=[],
        shipping=Decimal(0),
        actor=actor,
        now=now,
        payment_id=payment_id,
    )


@transaction.atomic
def refund_units(
    *,
    actor: Actor,
    order_id: UUID,
    units: Sequence[Units],
    shipping: Decimal = Decimal(0),
    reason: str,
    now: datetime,
) -> RefundRequest | None:
    """
    Refund units of an order, and a part of the shipping price, without taking goods back.

    Points that paid for them come back at once; None where they had cost nothing else.

    :raises OrderNotFound: if there is none for this caller
    :raises ValidationFailed: if a line is not of this order, or has fewer units left to refund
    :raises RefundExceedsPayment: if less is left of the payment
    """
    order = lock(actor=actor, order_id=order_id)
    lines = {line.id: line for line in order.lines.all()}
    errors = []
    for index, wanted in enumerate(units):
        line = lines.get(wanted.line_id)
        if line is None:
            errors.append(
                FieldError(
                    f"items.{index}.itemId", "invalid", "There is no such line in this order."
                )
            )
        elif wanted.quantity > line.quantity - line.claimed_quantity:
            errors.append(
                FieldError(
                    f"items.{index}.quantity", "max_value", "Fewer units are left to refund."
                )
            )
    if len({wanted.line_id for wanted in units}) < len(units):
        errors.append(FieldError("items", "duplicate", "Name each line once."))
    if errors:
        raise ValidationFailed(errors=errors)
    if shipping > order.shipping_total - order.shipping_discount - order.shipping_claimed:
        raise RefundExceedsPayment(
            errors=[FieldError("shipping", "max_value", "Less is left of what shipping cost.")]
        )
    points = sum(_points(lines[wanted.line_id], wanted.quantity) for wanted in units)
    request = claim(
        order, lines, units, shipping=shipping, actor=actor, now=now, reason=reason, exact=True
    )
    if request is None and not points:
        raise RefundExceedsPayment(extra={"refundable": format_amount(Decimal(0), order.currency)})
    return request


@transaction.atomic
def record_refund(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Note that a refund has been carried out. Noting it twice changes nothing.

    A delivered order whose whole money went back becomes *refunded*. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status == RefundRequest.Status.DONE:
        return request
    _calm(order, request, actor=actor, now=now)
    request.status = RefundRequest.Status.DONE
    request.done_at = now
    request.failure = ""
    request.save(update_fields=["status", "done_at", "failure"])
    if request.payment_id is not None:
        return request
    order.refunded_total += request.amount
    order.moved_total += request.moved_amount
    whole = order.refunded_total == order.grand_total
    order.payment_status = (
        Order.PaymentStatus.REFUNDED if whole else Order.PaymentStatus.PARTIALLY_REFUNDED
    )
    _share_out(order, request)
    events: list[OrderRefunded | object] = [
        OrderRefunded(**about(order), amount=format_amount(request.amount, order.currency))
    ]
    if whole and order.status == Order.Status.DELIVERED:
        events += move(
            order,
            Order.Status.REFUNDED,
            actor=actor,
            now=now,
            reason=request.reason,
            fields=("refunded_total", "moved_total", "payment_status"),
        )
    else:
        order.save(update_fields=["refunded_total", "moved_total", "payment_status", "updated_at"])
    if request.return_request_id is not None:
        _close_return(request.return_request_id)
    outbox.publish(*events, actor=actor, now=now)  # type: ignore[arg-type]
    return request


def _close_return(return_id: UUID) -> None:
    """A return is refunded once all of its refunds are: that of an exchange may have two."""
    refunds = RefundRequest.objects.filter(return_request=return_id)
    if not refunds.exclude(status=RefundRequest.Status.DONE).exists():
        ReturnRequest.objects.filter(pk=return_id, status=ReturnRequest.Status.RECEIVED).update(
            status=ReturnRequest.Status.REFUNDED,
            refund_amount=refunds.aggregate(total=Sum("amount"))["total"],
        )


@transaction.atomic
def settle_moved(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Decide what becomes of a due refund that is to pay for a replacement; deciding twice changes nothing.

    While the replacement waits for the rest of its money, nothing. Is it confirmed, the money has moved: a refund of
    which nothing is left to pay out is done. Was it given up, the whole is due to the customer. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DUE or request.moved_to is None:
        return request
    if request.moved_to.confirmed_at is not None:
        if not request.to_pay_out:
            return record_refund(actor=actor, request_id=request_id, now=now)
    elif request.moved_to.status != Order.Status.DRAFT:
        request.moved_amount, request.moved_to = Decimal(0), None
        request.save(update_fields=["moved_amount", "moved_to"])
    return request


@transaction.atomic
def fail_refund(*, actor: Actor, request_id: UUID, failure: str, now: datetime) -> RefundRequest:
    """Note that a refund was refused for good; the order is flagged so that a person takes over."""
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DUE:
        return request
    request.status = RefundRequest.Status.FAILED
    request.failure = failure[:300]
    request.save(update_fields=["status", "failure"])
    order.needs_attention = _attention(request, "failed")
    order.save(update_fields=["needs_attention", "updated_at"])
    return request


def _attention(request: RefundRequest, happened: str) -> str:
    """Return what staff read about a refund that is not with the customer."""
    amount = format_amount(request.amount, request.currency)
    return f"A refund of {amount} {happened}: {request.failure}"[:200]


def _calm(order: Order, request: RefundRequest, *, actor: Actor, now: datetime) -> None:
    """Take from a locked order what it says about the failure of this refund, now that somebody saw to it."""
    told = {_attention(request, "failed"), _attention(request, "came back")}
    if request.status != RefundRequest.Status.FAILED or order.needs_attention not in told:
        return
    record_edit(order, "needs_attention", order.needs_attention, "", actor=actor, now=now)
    order.needs_attention = ""
    order.save(update_fields=["needs_attention", "updated_at"])


@transaction.atomic
def reopen_refund(*, actor: Actor, request_id: UUID, failure: str, now: datetime) -> RefundRequest:
    """
    Note that the money of a refund that was carried out came back; the order is flagged so that a person takes over.

    What the refund had added to the order and its lines is taken off again. Its status stays: goods do not come back
    with the money. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DONE:
        return request
    request.status, request.done_at = RefundRequest.Status.FAILED, None
    request.failure = failure[:300]
    request.save(update_fields=["status", "done_at", "failure"])
    attention = _attention(request, "came back")
    record_edit(order, "needs_attention", order.needs_attention, attention, actor=actor, now=now)
    order.needs_attention = attention
    if request.payment_id is None:
        order.refunded_total -= request.amount
        _take_off(order, request)
    order.save(update_fields=["needs_attention", "refunded_total", "updated_at"])
    return request


@transaction.atomic
def retry_refund(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Put a failed refund back into the queue.

    :raises InvalidTransition: if it has not failed
    :raises RefundExceedsPayment: if the money has gone back in another way since
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.FAILED:
        raise InvalidTransition(extra={"from": request.status, "to": RefundRequest.Status.DUE})
    if request.payment_id is None and request.to_pay_out > refundable(order):
        raise RefundExceedsPayment
    _calm(order, request, actor=actor, now=now)
    request.status = RefundRequest.Status.DUE
    request.failure = ""
    request.save(update_fields=["status", "failure"])
    outbox.publish(
        RefundRequested(**about(order), refund_request_id=str(request.id)), actor=actor, now=now
    )
    return request


def _share_out(order: Order, request: RefundRequest) -> None:
    """Add a refund to its lines, never above what each cost; the rest is shipping or goodwill."""
    left = request.amount
    lines = {str(line.id): line for line in order.lines.all()}
    for part in request.lines:
        line = lines[part["itemId"]]
        amount = min(Decimal(part["amount"]), left, line.total - line.refunded_amount)
        line.refunded_amount += amount
        line.save(update_fields=["refunded_amount"])
        left -= amount


def _take_off(order: Order, request: RefundRequest) -> None:
    """Take a refund off its lines again, as `_share_out` added it."""
    left = request.amount
    lines = {str(line.id): line for line in order.lines.all()}
    for part in request.lines:
        line = lines[part["itemId"]]
        amount = min(Decimal(part["amount"]), left, line.refunded_amount)
        line.refunded_amount -= amount
        line.save(update_fields=["refunded_amount"])
        left -= amount


def _request(
    order: Order,
    *,
    amount: Decimal,
    reason: str,
    lines: list[dict[str, object]],
    shipping: Decimal,
    actor: Actor,
    now: datetime,
    payment_id: UUID | None = None,
    return_request: ReturnRequest | None = None,
) -> RefundRequest:
    """
    Write what is owed back, and announce it.

    Of an order that sent back goods paid for in part, money goes back to its own payment first; what exceeds that is
    a second request, for the payment that the goods were once bought with. Returns the first.
    """
    own = amount
    if order.credit_total and payment_id is None:
        own = min(amount, _left_of_own(order))
    first, second = _cut(lines, own, order.currency) if 0 < own < amount else (lines, lines)
    requests = [
        RefundRequest.objects.create(
            order=order,
            amount=part,
            currency=order.currency,
            reason=reason[:200],
            lines=of_lines,
            shipping_amount=shipping if is_first else Decimal(0),
            payment_id=payment_id,
            return_request=return_request,
            is_of_credit=is_of_credit,
            requested_by=actor.label,
            created_at=now,
        )
        for part, of_lines, is_of_credit, is_first in (
            (own, first, False, True),
            (amount - own, second, True, not own),
        )
        if part
    ]
    outbox.publish(
        *(
            RefundRequested(**about(order), refund_request_id=str(request.id))
            for request in requests
        ),
        actor=actor,
        now=now,
    )
    return requests[0]


def _left_of_own(order: Order) -> Decimal:
    """Return what is left of the customer's own payment of an order that sent back goods paid for in part."""
    asked = (
        RefundRequest.objects.filter(order=order, payment_id=None, is_of_credit=False)
        .exclude(status=RefundRequest.Status.FAILED)
        .aggregate(asked=Sum("amount"))["asked"]
    )
    return max(order.to_pay - (asked or Decimal(0)), Decimal(0))


def _cut(
    lines: list[dict[str, object]], amount: Decimal, currency: str
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the lines of a refund up to an amount, and the rest; the units of a line that is cut stay with its first part."""
    mine: list[dict[str, object]] = []
    rest: list[dict[str, object]] = []
    for line in lines:
        worth = Decimal(str(line["amount"]))
        taken = min(worth, amount)
        amount -= taken
        if taken or not worth:
            mine.append({**line, "amount": format_amount(taken, currency)})
        if taken < worth:
            units = 0 if taken else line["quantity"]
            rest.append(
                {**line, "quantity": units, "amount": format_amount(worth - taken, currency)}
            )
    return mine, rest
