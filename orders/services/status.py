"""Moves of an order's status: one function, one history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from config.platform import audit, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import FieldError, InvalidTransition, ValidationFailed
from orders import addresses
from orders.errors import BillFixed, OrderAddressFixed, OrderInReview, OrderNotFound
from orders.events import OrderDelivered, OrderEvent, OrderStatusChanged
from orders.models import Invoice, Order, OrderEdit, Shipment, StatusChange

ADDRESS_CHANGED = "order.address_changed"


def lock(*, actor: Actor, order_id: UUID) -> Order:
    """
    Return the order, locked until the transaction ends.

    Take any cart or checkout lock before, and payment, coupon and stock locks after.

    :raises OrderNotFound: if there is none for this caller
    """
    order: Order | None = Order.objects.for_actor(actor).filter(pk=order_id).for_update().first()
    if order is None:
        raise OrderNotFound
    return order


def move(
    order: Order,
    *steps: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
    fields: tuple[str, ...] = (),
) -> list[OrderEvent]:
    """
    Move a locked order through `steps`, write the history, and return what is to be announced.

    `fields` names further attributes of the order that the caller has set and wants saved.

    :raises InvalidTransition: if a step is not in `Order.TRANSITIONS`; nothing is written
    """
    changes = []
    status = order.status
    for step in steps:
        if step not in Order.TRANSITIONS[status]:
            raise refused_move(order, step)
        changes.append(
            StatusChange(
                order=order,
                from_status=status,
                to_status=step,
                actor=actor.label,
                reason=reason,
                at=now,
            )
        )
        status = step
    order.status = status
    order.save(update_fields=["status", "updated_at", *fields])
    StatusChange.objects.bulk_create(changes)
    return [
        OrderStatusChanged(
            **about(order), from_status=change.from_status, to_status=change.to_status
        )
        for change in changes
    ]


def refused_move(order: Order, step: str, detail: str | None = None) -> InvalidTransition:
    """Return the refusal of a status that the order cannot take now."""
    return InvalidTransition(
        detail or f"An order that is {order.status} cannot become {step}.",
        extra={
            "from": order.status,
            "to": step,
            "allowed": sorted(Order.TRANSITIONS[order.status]),
        },
    )


def check_reviewed(order: Order) -> None:
    """
    Let nothing leave that waits for a look.

    :raises OrderInReview: if it does
    """
    if order.review == Order.Review.PENDING:
        raise OrderInReview(extra={"reason": order.review_reason})


def about(order: Order) -> dict[str, Any]:
    """Return the fields that every event of an order carries."""
    return {
        "aggregate_id": order.id,
        "number": order.number,
        "user_id": str(order.user_id) if order.user_id else None,
    }


def record_edit(
    order: Order, field: str, old: Any, new: Any, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    """Write one changed field of the order into its edit history."""
    OrderEdit.objects.create(
        order=order, field=field, old=old, new=new, actor=actor.label, reason=reason[:500], at=now
    )


@transaction.atomic
def edit(
    *, actor: Actor, order_id: UUID, changes: dict[str, Any], now: datetime, reason: str = ""
) -> Order:
    """
    Change fields of an order that move neither money nor goods, and keep the old values.

    :raises OrderNotFound: if there is none for this caller
    """
    order = lock(actor=actor, order_id=order_id)
    allowed = {"staff_notes", "needs_attention"}
    wanted = {field: value for field, value in changes.items() if field in allowed}
    return _write_edits(order, wanted, actor=actor, now=now, reason=reason)


def _write_edits(
    order: Order, wanted: Mapping[str, Any], *, actor: Actor, now: datetime, reason: str
) -> Order:
    """Write what differs on a locked order, each old value into its history."""
    changed = {field: value for field, value in wanted.items() if getattr(order, field) != value}
    for field, value in changed.items():
        record_edit(order, field, getattr(order, field), value, actor=actor, now=now, reason=reason)
        setattr(order, field, value)
    if changed:
        order.save(update_fields=[*changed, "updated_at"])
    return order


def check_sendable_elsewhere(order: Order) -> None:
    """
    Let a parcel be sent to a corrected address as long as none has left.

    :raises OrderAddressFixed: else
    """
    open_ = {Order.Status.DRAFT, Order.Status.CONFIRMED, Order.Status.PROCESSING}
    if order.status not in open_ or order.shipments.exists():
        raise OrderAddressFixed(
            "A parcel has left, or the order is over: where it goes stays.",
            extra={"status": order.status},
        )


def check_billable_elsewhere(order: Order) -> None:
    """
    Let a bill go to a corrected address as long as it is not written; ask within the order's lock.

    :raises OrderAddressFixed: if the invoice is written, or the order is over
    """
    if order.status in {Order.Status.CANCELLED, Order.Status.REFUNDED, Order.Status.FAILED}:
        raise OrderAddressFixed(
            "The order is over, and its papers stay as they are.", extra={"status": order.status}
        )
    invoice = Invoice.objects.filter(order=order, kind=Invoice.Kind.INVOICE).first()
    if invoice is not None:
        raise BillFixed(
            f"Invoice {invoice.number} is written, and a paper that is written stays as it is.",
            extra={"status": order.status, "code": "INVOICE_WRITTEN", "invoice": invoice.number},
        )


@transaction.atomic
def change_address(
    *,
    actor: Actor,
    order_id: UUID,
    shipping_address: Mapping[str, Any] | None = None,
    billing_address: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> Order:
    """
    Correct where an order goes, or who is billed, until anything is sent; the old address stays in the edit history.

    Taxes and shipping were priced for a place, so country, state and postal code of the parcel stay. Customers may
    do it until packing begins. Staff correct who is billed as long as the invoice is not written, and stand in the audit
    trail with it.

    :raises OrderNotFound: if there is none for this caller
    :raises ValidationFailed: listing each field that is malformed or missing
    :raises OrderAddressFixed: if it is packed, sent or over, the parcel would go to another place, or the invoice is
        written; it says what to do instead
    """
    wanted: dict[str, dict[str, str]] = {}
    errors: list[FieldError] = []
    for field, name, given in (
        ("shipping_address", "shippingAddress", shipping_address),
        ("billing_address", "billingAddress", billing_address),
    ):
        if given is None:
            continue
        try:
            wanted[field] = addresses.normalise(given, name)
        except ValidationFailed as refusal:
            errors += refusal.errors
            continue
        errors += [
            FieldError(f"{name}.{gap}" if gap else name, "required", "This is needed.")
            for gap in addresses.missing(wanted[field])
        ]
    if errors:
        raise ValidationFailed(errors=errors)
    order = lock(actor=actor, order_id=order_id)
    parcel = wanted.get("shipping_address")
    if parcel is not None or not actor.sees_everything:
        check_sendable_elsewhere(order)
        if order.status == Order.Status.PROCESSING and not actor.sees_everything:
            raise OrderAddressFixed(extra={"status": order.status})
    if "billing_address" in wanted:
        check_billable_elsewhere(order)
    if parcel and any(
        parcel[key] != order.shipping_address.get(key, "")
        for key in ("country", "state", "postalCode")
    ):
        raise OrderAddressFixed(
            "This would change what the order costs.", extra={"status": order.status}
        )
    changed = [name for name, value in wanted.items() if getattr(order, name) != value]
    if changed and actor.kind == ActorKind.STAFF:
        audit.record(
            actor=actor,
            action=ADDRESS_CHANGED,
            object_type="order",
            object_id=order.id,
            before={name: getattr(order, name) for name in changed},
            after={name: wanted[name] for name in changed},
            reason=reason,
            now=now,
        )
    return _write_edits(order, wanted, actor=actor, now=now, reason=reason)


@transaction.atomic
def flag(
    *, actor: Actor, order_id: UUID, attention: str, now: datetime, disputed: bool = False
) -> Order:
    """
    Mark an order for staff to look at; `disputed` also says that the customer contests the payment.

    :raises OrderNotFound: if there is none for this caller
    """
    order = lock(actor=actor, order_id=order_id)
    if order.needs_attention != attention[:200]:
        record_edit(
            order, "needs_attention", order.needs_attention, attention[:200], actor=actor, now=now
        )
    order.needs_attention = attention[:200]
    order.is_disputed = order.is_disputed or disputed
    order.save(update_fields=["needs_attention", "is_disputed", "updated_at"])
    return order


@transaction.atomic
def set_payment_status(
    *, actor: Actor, order_id: UUID, status: str, method: str = "", now: datetime
) -> Order:
    """
    Note where the money stands. Decided by `checkout`, which owns the payments.

    :raises OrderNotFound: if there is none for this caller
    """
    order = lock(actor=actor, order_id=order_id)
    note_payment(order, status=status, method=method)
    return order


def note_payment(order: Order, *, status: str, method: str = "") -> None:
    """Note on a locked order where the money stands; writes only what is new."""
    if order.payment_status != status or (method and order.payment_method != method):
        order.payment_status = Order.PaymentStatus(status)
        order.payment_method = method or order.payment_method
        order.save(update_fields=["payment_status", "payment_method", "updated_at"])


@transaction.atomic
def process(*, actor: Actor, order_id: UUID, now: datetime, reason: str = "") -> Order:
    """
    Note that a confirmed order is being packed.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if it is not confirmed
    :raises OrderInReview: if somebody has to look at it first
    """
    order = lock(actor=actor, order_id=order_id)
    if order.status == Order.Status.CONFIRMED:
        check_reviewed(order)
    outbox.publish(
        *move(order, Order.Status.PROCESSING, actor=actor, now=now, reason=reason),
        actor=actor,
        now=now,
    )
    return order


@transaction.atomic
def deliver(*, actor: Actor, order_id: UUID, now: datetime, reason: str = "") -> Order:
    """
    Note that everything has arrived; the time in which the customer may return it starts now.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if the order is not on its way
    """
    order = lock(actor=actor, order_id=order_id)
    order.delivered_at = now
    events = move(
        order, Order.Status.DELIVERED, actor=actor, now=now, reason=reason, fields=("delivered_at",)
    )
    order.shipments.filter(status=Shipment.Status.SHIPPED).update(
        status=Shipment.Status.DELIVERED, delivered_at=now
    )
    outbox.publish(*events, OrderDelivered(**about(order)), actor=actor, now=now)
    return order
