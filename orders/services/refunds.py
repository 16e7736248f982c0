"""What is asked back: of units, of a price, or as goodwill. `checkout` moves the money, and reports back to `repaying`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from orders.errors import RefundExceedsPayment
from orders.events import RefundRequested
from orders.models import Order, OrderLine, RefundRequest, ReturnRequest
from orders.services.shares import Units, points_of, refundable, share_of, shipping_share, unclaimed
from orders.services.status import about, lock
from pricing import services as pricing
from pricing.money import format_amount


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
        amount, line.adjusted_amount = share_of(line, count, order.currency)
        points += points_of(line, count)
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
    points = sum(points_of(lines[wanted.line_id], wanted.quantity) for wanted in units)
    request = claim(
        order, lines, units, shipping=shipping, actor=actor, now=now, reason=reason, exact=True
    )
    if request is None and not points:
        raise RefundExceedsPayment(extra={"refundable": format_amount(Decimal(0), order.currency)})
    return request


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
