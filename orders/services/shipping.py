"""Sending goods on their way, in one parcel or several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from orders.addresses import check_text
from orders.errors import ShipmentNotFound
from orders.events import OrderDelivered, OrderEvent, OrderShipped
from orders.models import Order, OrderLine, Shipment
from orders.services.shares import Units
from orders.services.status import about, check_reviewed, lock, move, record_edit, refused_move

Status = Order.Status


@transaction.atomic
def ship(
    *,
    actor: Actor,
    order_id: UUID,
    units: Sequence[Units] | None = None,
    carrier: str = "",
    tracking_number: str = "",
    tracking_url: str = "",
    now: datetime,
    reason: str = "",
) -> Shipment:
    """
    Send units of an order, or all that is left of it, in one shipment; the customer is told.

    A confirmed order passes through *processing* on the way, stays there while something is left to send, and is
    *shipped* with its last parcel.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if the order is not ready to be sent
    :raises OrderInReview: if somebody has to look at it first
    :raises ValidationFailed: if the tracking link is not a web address, or listing each line that is not of this order
        or has fewer units left to send
    """
    told = check_tracking(carrier, tracking_number, tracking_url)
    order = lock(actor=actor, order_id=order_id)
    if order.status not in {Status.CONFIRMED, Status.PROCESSING}:
        raise refused_move(order, Status.SHIPPED)
    check_reviewed(order)
    lines = {line.id: line for line in order.lines.all()}
    if units is None:
        units = [Units(line.id, line.unsent) for line in lines.values() if line.unsent]
    _check(units, lines)
    for part in units:
        line = lines[part.line_id]
        line.shipped_quantity += part.quantity
        line.save(update_fields=["shipped_quantity"])
    steps = [Status.PROCESSING] if order.status == Status.CONFIRMED else []
    events = _move(order, lines.values(), steps, actor=actor, now=now, reason=reason)
    shipment = Shipment.objects.create(
        order=order,
        lines=[{"itemId": str(part.line_id), "quantity": part.quantity} for part in units],
        shipped_at=now,
        **told,
    )
    outbox.publish(
        *events, OrderShipped(**about(order), shipment_id=str(shipment.id)), actor=actor, now=now
    )
    return shipment


@transaction.atomic
def change_shipment(
    *,
    actor: Actor,
    order_id: UUID,
    shipment_id: UUID,
    changes: dict[str, str],
    reason: str = "",
    now: datetime,
) -> Shipment:
    """
    Correct who carries a shipment, and how it is followed; the old values stay in the order's edit history.

    `changes` may have `carrier`, `tracking_number` and `tracking_url`.

    :raises OrderNotFound: if there is no such order for this caller
    :raises ShipmentNotFound: if it is none of the order's
    :raises ValidationFailed: if the tracking link is not a web address
    """
    order = lock(actor=actor, order_id=order_id)
    shipment = _find(order, shipment_id)
    current = {
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "tracking_url": shipment.tracking_url,
    }
    wanted = check_tracking(**{**current, **changes})
    for field, value in wanted.items():
        if value == current[field]:
            continue
        record_edit(
            order,
            f"shipment.{shipment.id}.{field}"[:80],
            current[field],
            value,
            actor=actor,
            now=now,
            reason=reason,
        )
        setattr(shipment, field, value)
    shipment.save(update_fields=list(wanted))
    return shipment


@transaction.atomic
def deliver_shipment(
    *, actor: Actor, order_id: UUID, shipment_id: UUID, now: datetime, reason: str = ""
) -> Shipment:
    """
    Note that one parcel has arrived; with the last one the whole order has. Noting it twice changes nothing.

    :raises OrderNotFound: if there is no such order for this caller
    :raises ShipmentNotFound: if it is none of the order's
    """
    order = lock(actor=actor, order_id=order_id)
    shipment = _find(order, shipment_id)
    if shipment.status == Shipment.Status.DELIVERED:
        return shipment
    shipment.status = Shipment.Status.DELIVERED
    shipment.delivered_at = now
    shipment.save(update_fields=["status", "delivered_at"])
    waiting = order.shipments.filter(status=Shipment.Status.SHIPPED).exists()
    if order.status == Status.SHIPPED and not waiting:
        order.delivered_at = now
        events = move(
            order, Status.DELIVERED, actor=actor, now=now, reason=reason, fields=("delivered_at",)
        )
        outbox.publish(*events, OrderDelivered(**about(order)), actor=actor, now=now)
    return shipment


def close_if_sent(
    order: Order, lines: Sequence[OrderLine], *, actor: Actor, now: datetime, reason: str
) -> list[OrderEvent]:
    """Move a locked order on that has nothing left to send and sent something; return what is to be announced."""
    if order.status not in {Status.CONFIRMED, Status.PROCESSING}:
        return []
    steps = [Status.PROCESSING] if order.status == Status.CONFIRMED else []
    is_sent = any(line.shipped_quantity for line in lines)
    if not is_sent or any(line.unsent for line in lines):
        return []
    return _move(order, lines, steps, actor=actor, now=now, reason=reason)


def _move(
    order: Order, lines: Any, steps: list[Status], *, actor: Actor, now: datetime, reason: str
) -> list[OrderEvent]:
    fields: tuple[str, ...] = ()
    if not any(line.unsent for line in lines):
        steps = [*steps, Status.SHIPPED]
        order.shipped_at = now
        fields = ("shipped_at",)
    if not steps:
        return []
    return move(order, *steps, actor=actor, now=now, reason=reason, fields=fields)


def _check(units: Sequence[Units], lines: dict[UUID, OrderLine]) -> None:
    errors = []
    for index, part in enumerate(units):
        line = lines.get(part.line_id)
        if line is None:
            errors.append(
                FieldError(
                    f"items.{index}.itemId", "invalid", "There is no such line in this order."
                )
            )
        elif part.quantity > line.unsent:
            errors.append(
                FieldError(f"items.{index}.quantity", "max_value", "Fewer units are left to send.")
            )
    if len({part.line_id for part in units}) < len(units):
        errors.append(FieldError("items", "duplicate", "Name each line once."))
    if not units:
        errors.append(FieldError("items", "required", "Nothing is left to send."))
    if errors:
        raise ValidationFailed(errors=errors)


def _find(order: Order, shipment_id: UUID) -> Shipment:
    shipment: Shipment | None = order.shipments.filter(pk=shipment_id).first()
    if shipment is None:
        raise ShipmentNotFound
    return shipment


def check_tracking(carrier: str, tracking_number: str, tracking_url: str) -> dict[str, str]:
    """
    Return who carries a parcel and how it is followed, as it is kept.

    :raises ValidationFailed: listing each that is too long, no text of one line, or no web address
    """
    told: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, field, text, limit in (
        ("carrier", "carrier", carrier, 100),
        ("tracking_number", "trackingNumber", tracking_number, 100),
        ("tracking_url", "trackingUrl", tracking_url, 500),
    ):
        try:
            told[name] = check_text(text, field, limit, numbers=True)
        except ValidationFailed as refusal:
            errors += refusal.errors
    link = told.get("tracking_url")
    if link and not _is_web_address(link):
        errors.append(
            FieldError("trackingUrl", "invalid", "This must begin with https:// or http://.")
        )
    if errors:
        raise ValidationFailed(errors=errors)
    return told


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket that is no address
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
