"""Reads of orders."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum

from config.platform import flags
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.ids import as_uuid
from orders.errors import OrderNotFound
from orders.models import (
    Order,
    OrderEdit,
    RefundRequest,
    ReturnLine,
    ReturnRequest,
    Shipment,
    StatusChange,
)
from orders.selectors.picking import picking_tasks

NUMBER = re.compile(r"ORD-[0-9]{8}-[0-9]{6,12}")
_TOKEN = re.compile(r"[0-9a-f]{64}")


def orders_of(
    *,
    actor: Actor,
    statuses: Sequence[str] = (),
    placed_from: datetime | None = None,
    placed_to: datetime | None = None,
) -> QuerySet[Order]:
    """Return the caller's orders with their lines and shipments, newest first; the period is half-open."""
    orders = Order.objects.for_actor(actor)
    if statuses:
        orders = orders.filter(status__in=statuses)
    if placed_from is not None:
        orders = orders.filter(placed_at__gte=placed_from)
    if placed_to is not None:
        orders = orders.filter(placed_at__lt=placed_to)
    return orders.prefetch_related("lines", "shipments").order_by("-placed_at", "-id")


def find(*, actor: Actor, reference: str, token: str = "") -> Order:
    """
    Return an order by its id or number, with lines and shipments.

    `token` is the secret of the order's own link; with it, anybody may read this one order.

    :raises OrderNotFound: if there is none for this caller
    """
    orders = Order.objects.filter(company_id=actor.company_id).prefetch_related(
        "lines", "shipments"
    )
    key = as_uuid(reference)
    if key is not None:
        orders = orders.filter(pk=key)
    elif NUMBER.fullmatch(reference.upper()):
        orders = orders.filter(number=reference.upper())
    else:
        raise OrderNotFound
    order: Order | None = orders.first()
    if order is None or not (_may_see(actor, order) or _opens(token, order)):
        raise OrderNotFound
    return order


def find_id(*, actor: Actor, reference: str) -> UUID:
    """
    Return the id of an order named by id or number.

    :raises OrderNotFound: if there is none for this caller
    """
    key = as_uuid(reference)
    orders = Order.objects.for_actor(actor)
    if key is not None:
        orders = orders.filter(pk=key)
    elif NUMBER.fullmatch(reference.upper()):
        orders = orders.filter(number=reference.upper())
    else:
        raise OrderNotFound
    found: UUID | None = orders.values_list("pk", flat=True).first()
    if found is None:
        raise OrderNotFound
    return found


def find_as_owner(*, actor: Actor, reference: str, token: str) -> tuple[Actor, Order]:
    """
    Return who may act for an order's customer, with the order: who placed it, or for a guest's order, who has its link.

    The link of what an account bought opens it to be read only.

    :raises OrderNotFound: for anybody else
    """
    try:
        order_id = find_id(actor=actor, reference=reference)
    except OrderNotFound:
        order = find(actor=actor, reference=reference, token=token)
        if order.user_id is not None or order.session_hash is None:
            raise
        guest = replace(
            actor, kind=ActorKind.GUEST, user_id=None, session_hash=bytes(order.session_hash)
        )
        return guest, order
    return actor, find(actor=actor, reference=str(order_id))


def owner_of_return(*, actor: Actor, return_id: UUID, token: str) -> Actor:
    """Return who acts on a return: the caller, or the guest of its order for who has that order's link."""
    order_id = ReturnRequest.objects.filter(pk=return_id).values_list("order_id", flat=True).first()
    if not token or order_id is None:
        return actor
    try:
        return find_as_owner(actor=actor, reference=str(order_id), token=token)[0]
    except OrderNotFound:
        return actor


def look_up(*, actor: Actor, number: str, email: str) -> Order:
    """
    Return the order of this number, if the e-mail address is the one it was placed with.

    A number that exists is refused with the same work as one that does not: one statement and one comparison.

    :raises OrderNotFound: the same for a wrong number and a wrong address
    """
    row = (
        Order.objects.filter(
            company_id=actor.company_id,
            # PostgreSQL cannot even be asked for a NUL; no number has one.
            number=number.replace("\x00", "").strip().upper()[:50],
        )
        .values_list("pk", "email")
        .first()
    )
    order_id, expected = row or (None, "")
    is_right = hmac.compare_digest(expected.lower().encode(), email.strip().lower().encode())
    if order_id is None or not is_right:
        raise OrderNotFound
    order: Order = Order.objects.prefetch_related("lines", "shipments").get(pk=order_id)
    return order


def count_drafts(*, actor: Actor) -> int:
    """Return how many of the company's orders wait for payment."""
    return Order.objects.filter(company_id=actor.company_id, status=Order.Status.DRAFT).count()


def status_history(*, order_id: UUID) -> QuerySet[StatusChange]:
    """Return every status the order went through, oldest first."""
    return StatusChange.objects.filter(order_id=order_id).order_by("id")


def edit_history(*, order_id: UUID) -> QuerySet[OrderEdit]:
    """Return every edit of the order, oldest first."""
    return OrderEdit.objects.filter(order_id=order_id).order_by("id")


def returns_of(*, order_id: UUID) -> QuerySet[ReturnRequest]:
    """Return the order's returns with their lines and what goes out instead, oldest first."""
    return (
        ReturnRequest.objects.filter(order_id=order_id)
        .select_related("replacement")
        .prefetch_related("lines__exchange_variant", "refund_requests")
        .order_by("id")
    )


def return_until(*, order: Order) -> datetime | None:
    """Return until when units of an order may be sent back; None where it has not arrived or is over, or nobody may."""
    if order.status != Order.Status.DELIVERED or order.delivered_at is None:
        return None
    if not flags.is_enabled("ORDER_ENABLE_RETURNS"):
        return None
    until: datetime = order.delivered_at + settings.ORDER_RETURN_WINDOW
    return until


def returnable(*, order: Order) -> dict[UUID, int]:
    """Return how many units of each line may still be sent back: what arrived, less what is back or announced."""
    pending = dict(
        ReturnLine.objects.filter(
            request__order=order,
            request__status__in=ReturnRequest.UNDECIDED,
        )
        .order_by()
        .values_list("order_line_id")
        .annotate(quantity=Sum("quantity"))
    )
    return {
        line.id: line.quantity
        - line.cancelled_quantity
        - line.returned_quantity
        - pending.get(line.id, 0)
        for line in order.lines.all()
    }


def refunds_of(*, order_id: UUID) -> QuerySet[RefundRequest]:
    """Return what was asked back of the order, oldest first."""
    return RefundRequest.objects.filter(order_id=order_id).order_by("created_at", "id")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom to tell about an order, and where it stands."""

    user_id: UUID | None
    session_hash: bytes | None
    status: str


def owner(*, order_id: UUID) -> Owner | None:
    """Return who placed an order: one statement, for pushes."""
    row = Order.objects.filter(pk=order_id).values_list("user_id", "session_hash", "status").first()
    if row is None:
        return None
    user_id, session_hash, status = row
    return Owner(user_id, bytes(session_hash) if session_hash is not None else None, status)


def clerk(order: Order) -> Actor:
    """Return who writes the papers of an order for whoever may see it."""
    return Actor.system(order.company_id, source="papers")


def packing_slip(*, order: Order) -> dict[str, Any]:
    """Return what the slip in the parcel says: what is to be packed now, or was sent where nothing is left."""
    tasks = picking_tasks(actor=clerk(order), order_ids=[order.id])
    rows = [(task.warehouse, task.sku, task.name, task.quantity) for task in tasks if task.quantity]
    sent = [
        ("", line.sku, line.name, line.shipped_quantity)
        for line in order.lines.all()
        if line.shipped_quantity
    ]
    return {
        "seller": order.company.name,
        "number": order.number,
        "placed_at": order.placed_at,
        "address": order.shipping_address,
        "shipping_name": order.shipping_name,
        "notes": order.notes,
        "lines": rows or sent,
    }


def for_mail(*, order_id: UUID) -> Order:
    """
    Return an order with its lines, for a message about it.

    :raises OrderNotFound: if there is none
    """
    order: Order | None = Order.objects.filter(pk=order_id).prefetch_related("lines").first()
    if order is None:
        raise OrderNotFound
    return order


def return_for_mail(*, return_id: UUID | str) -> ReturnRequest:
    """
    Return one return with its goods and what goes out instead, for a message about it.

    :raises OrderNotFound: if there is none
    """
    found = (
        ReturnRequest.objects.filter(pk=return_id)
        .select_related("replacement")
        .prefetch_related("lines__order_line", "lines__exchange_variant")
        .first()
    )
    if found is None:
        raise OrderNotFound
    return found


def shipment(*, shipment_id: UUID | str) -> Shipment:
    """
    Return one shipment, for a message about it.

    :raises OrderNotFound: if there is none
    """
    found = Shipment.objects.filter(pk=shipment_id).first()
    if found is None:
        raise OrderNotFound
    return found


def _may_see(actor: Actor, order: Order) -> bool:
    if actor.sees_everything:
        return True
    if actor.user_id is not None:
        return order.user_id == actor.user_id
    if actor.session_hash is None or order.session_hash is None:
        return False
    return hmac.compare_digest(actor.session_hash, bytes(order.session_hash))


def _opens(token: str, order: Order) -> bool:
    if order.access_token_hash is None or not _TOKEN.fullmatch(token):
        return False
    return hmac.compare_digest(hash_token(token), bytes(order.access_token_hash))
