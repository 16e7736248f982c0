"""Undoing orders: whole, in part, or because they never came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory import services as inventory
from orders.errors import DraftNotDivisible, OrderNotCancellable
from orders.events import OrderCancelled, OrderItemsCancelled
from orders.models import Order, OrderLine, RefundRequest
from orders.services.refunds import claim
from orders.services.shares import PAID, Units
from orders.services.shipping import close_if_sent
from orders.services.status import about, lock, move, record_edit
from pricing import services as pricing

SOLD = (Order.Status.CONFIRMED, Order.Status.PROCESSING)


@transaction.atomic
def cancel(
    *,
    actor: Actor,
    order_id: UUID,
    reason: str = "",
    now: datetime,
    attention: str = "",
    keep_holds: bool = False,
) -> Order:
    """
    Cancel an order that has not been sent: goods back to stock, promotions and points given back, money owed back.

    `checkout` reacts to the announcement: open payments are closed, the refund is carried out.
    Locks the order, then the stock. With `keep_holds` what a draft holds stays held: the caller hands it on in the
    same transaction.

    :raises OrderNotFound: if there is none for this caller
    :raises OrderNotCancellable: if it was sent, or is over already
    """
    order = lock(actor=actor, order_id=order_id)
    return _cancel(
        order, actor=actor, reason=reason, now=now, attention=attention, keep_holds=keep_holds
    )


@transaction.atomic
def cancel_items(
    *, actor: Actor, order_id: UUID, units: Sequence[Units], reason: str = "", now: datetime
) -> Order:
    """
    Cancel some units of a confirmed order; when nothing is left, the whole order with its shipping.

    What is refunded are the frozen shares of the units; nothing is priced anew.

    :raises FeatureDisabled: if partial cancellation is switched off
    :raises OrderNotFound: if there is none for this caller
    What is left of an order of which parts were sent is then *shipped*, if nothing is left to send.

    :raises OrderNotCancellable: if it was not confirmed yet, was sent, or is over already
    :raises ValidationFailed: listing each line that is not of this order or has fewer units left to send
    """
    flags.require("ORDER_ENABLE_PARTIAL_CANCELLATION")
    order = lock(actor=actor, order_id=order_id)
    if order.status == Order.Status.DRAFT:
        raise DraftNotDivisible(extra={"status": order.status})
    if order.status not in SOLD:
        raise OrderNotCancellable(extra={"status": order.status})
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
        elif wanted.quantity > line.unsent:
            errors.append(
                FieldError(f"items.{index}.quantity", "max_value", "Fewer units are left.")
            )
    if len({wanted.line_id for wanted in units}) < len(units):
        errors.append(FieldError("items", "duplicate", "Name each line once."))
    if errors:
        raise ValidationFailed(errors=errors)

    taken = {wanted.line_id: wanted.quantity for wanted in units}
    if all(
        line.quantity == line.cancelled_quantity + taken.get(line.id, 0) for line in lines.values()
    ):
        return _cancel(order, actor=actor, reason=reason, now=now)
    take_out(order, lines, units, actor=actor, now=now, reason=reason)
    claim(
        order, lines, units, shipping=Decimal(0), actor=actor, now=now, reason=reason or "cancelled"
    )
    outbox.publish(
        *close_if_sent(order, list(lines.values()), actor=actor, now=now, reason=reason),
        OrderItemsCancelled(
            **about(order),
            items=[
                {"itemId": str(wanted.line_id), "quantity": wanted.quantity} for wanted in units
            ],
        ),
        actor=actor,
        now=now,
    )
    inventory.restock(
        actor=actor,
        order_id=order.id,
        items=[(wanted.line_id, wanted.quantity) for wanted in units],
        damaged=False,
        reference=order.number,
        now=now,
    )
    return order


def take_out(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    units: Sequence[Units],
    *,
    actor: Actor,
    now: datetime,
    reason: str,
) -> None:
    """Count units of a locked order as cancelled, each line in its history. Money and goods are the caller's."""
    for wanted in units:
        line = lines[wanted.line_id]
        record_edit(
            order,
            f"{line.sku}.cancelled_quantity",
            line.cancelled_quantity,
            line.cancelled_quantity + wanted.quantity,
            actor=actor,
            now=now,
            reason=reason,
        )
        line.cancelled_quantity += wanted.quantity
        line.save(update_fields=["cancelled_quantity"])


@transaction.atomic
def fail(*, actor: Actor, order_id: UUID, reason: str, now: datetime) -> Order:
    """
    Give up a draft for good: payment attempts used up, or refused as fraud.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if it is no draft
    """
    order = lock(actor=actor, order_id=order_id)
    order.expires_at = None
    events = move(
        order, Order.Status.FAILED, actor=actor, now=now, reason=reason, fields=("expires_at",)
    )
    outbox.publish(*events, actor=actor, now=now)
    pricing.return_uses(actor=actor, order_id=order.id, now=now)
    pricing.return_points(actor=actor, order_id=order.id, reason=reason, now=now)
    inventory.release_order(actor=actor, order_id=order.id, now=now)
    return order


def _cancel(
    order: Order,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    attention: str = "",
    keep_holds: bool = False,
) -> Order:
    if Order.Status.CANCELLED not in Order.TRANSITIONS[order.status]:
        raise OrderNotCancellable(extra={"status": order.status})
    sold = order.status in SOLD
    lines = {line.id: line for line in order.lines.all()}
    if any(line.shipped_quantity for line in lines.values()):
        raise OrderNotCancellable(
            "A part of it was sent already.",
            extra={"status": order.status, "code": "PARTLY_SENT"},
        )
    left = [
        Units(line.id, line.quantity - line.cancelled_quantity - line.returned_quantity)
        for line in lines.values()
        if line.quantity > line.cancelled_quantity + line.returned_quantity
    ]
    order.cancelled_at = now
    order.expires_at = None
    order.needs_attention = attention[:200] or order.needs_attention
    if order.payment_status not in {*PAID, Order.PaymentStatus.REFUNDED}:
        order.payment_status = Order.PaymentStatus.CANCELLED
    events = move(
        order,
        Order.Status.CANCELLED,
        actor=actor,
        now=now,
        reason=reason,
        fields=("cancelled_at", "expires_at", "needs_attention", "payment_status"),
    )
    for line in lines.values():
        line.cancelled_quantity = line.quantity - line.returned_quantity
    OrderLine.objects.bulk_update(lines.values(), ["cancelled_quantity"])
    if order.payment_status in PAID:
        claim(
            order,
            lines,
            left,
            shipping=order.shipping_total - order.shipping_discount - order.shipping_claimed,
            actor=actor,
            now=now,
            reason=reason or "cancelled",
            whole=True,
        )
    else:  # what partial cancellations asked back was never taken
        order.refund_requests.filter(status=RefundRequest.Status.DUE, payment_id=None).update(
            status=RefundRequest.Status.FAILED, failure="The payment was never captured."
        )
    outbox.publish(*events, OrderCancelled(**about(order), reason=reason), actor=actor, now=now)
    pricing.return_uses(actor=actor, order_id=order.id, now=now)
    pricing.return_points(actor=actor, order_id=order.id, reason=reason, now=now)
    if sold:
        inventory.restock(
            actor=actor,
            order_id=order.id,
            items=[(units.line_id, units.quantity) for units in left],
            damaged=False,
            reference=order.number,
            now=now,
        )
    elif not keep_holds:
        inventory.release_order(actor=actor, order_id=order.id, now=now)
    return order
