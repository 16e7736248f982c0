"""Sending goods on their way."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from orders.addresses import check_text
from orders.events import OrderShipped
from orders.models import Order, Shipment
from orders.services.status import about, lock, move


@transaction.atomic
def ship(
    *,
    actor: Actor,
    order_id: UUID,
    carrier: str = "",
    tracking_number: str = "",
    tracking_url: str = "",
    now: datetime,
    reason: str = "",
) -> Shipment:
    """
    Send everything that is left of an order in one shipment; the customer is told.

    A confirmed order passes through *processing* on the way.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if the order is not ready to be sent
    :raises ValidationFailed: if the tracking link is not a web address
    """
    carrier = check_text(carrier, "carrier", 100)
    tracking_number = check_text(tracking_number, "trackingNumber", 100) if tracking_number else ""
    tracking_url = check_text(tracking_url, "trackingUrl", 500) if tracking_url else ""
    if tracking_url and urlsplit(tracking_url).scheme not in {"http", "https"}:
        raise ValidationFailed(
            errors=[
                FieldError("trackingUrl", "invalid", "This must begin with https:// or http://.")
            ]
        )
    order = lock(actor=actor, order_id=order_id)
    steps = [Order.Status.SHIPPED]
    if order.status == Order.Status.CONFIRMED:
        steps.insert(0, Order.Status.PROCESSING)
    order.shipped_at = now
    events = move(order, *steps, actor=actor, now=now, reason=reason, fields=("shipped_at",))
    shipment = Shipment.objects.create(
        order=order,
        carrier=carrier,
        tracking_number=tracking_number,
        tracking_url=tracking_url,
        lines=[
            {"itemId": str(line.id), "quantity": line.quantity - line.cancelled_quantity}
            for line in order.lines.all()
            if line.quantity > line.cancelled_quantity
        ],
        shipped_at=now,
    )
    outbox.publish(
        *events, OrderShipped(**about(order), shipment_id=str(shipment.id)), actor=actor, now=now
    )
    return shipment
