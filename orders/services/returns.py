"""Goods that come back: asked for, decided, received, refunded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, InvalidTransition, NotFound
from inventory import services as inventory
from orders import selectors
from orders.errors import ReturnNotEligible, ReturnWindowClosed
from orders.events import ReturnRequested
from orders.models import Order, ReturnLine, ReturnRequest
from orders.services.refunds import Units, claim
from orders.services.status import about, lock


@dataclass(frozen=True, slots=True)
class WantedReturn:
    """Some units of a line that the customer wants to send back."""

    line_id: UUID
    quantity: int
    reason: str = ""


@transaction.atomic
def request_return(
    *, actor: Actor, order_id: UUID, wanted: Sequence[WantedReturn], notes: str = "", now: datetime
) -> ReturnRequest:
    """
    Ask to return units of a delivered order.

    :raises FeatureDisabled: if returns are switched off
    :raises OrderNotFound: if there is none for this caller
    :raises ReturnNotEligible: if it was not delivered, or listing each line with fewer units to return
    :raises ReturnWindowClosed: if it was delivered too long ago
    """
    flags.require("ORDER_ENABLE_RETURNS")
    order = lock(actor=actor, order_id=order_id)
    if order.status != Order.Status.DELIVERED or order.delivered_at is None:
        raise ReturnNotEligible(
            "Only what has arrived can be returned.", extra={"status": order.status}
        )
    until = selectors.return_until(order=order)
    if until is None or now > until:
        raise ReturnWindowClosed(extra={"days": settings.ORDER_RETURN_WINDOW.days})
    lines = {line.id: line for line in order.lines.all()}
    open_ = selectors.returnable(order=order)
    errors = []
    for index, part in enumerate(wanted):
        line = lines.get(part.line_id)
        if line is None:
            errors.append(
                FieldError(
                    f"items.{index}.itemId", "invalid", "There is no such line in this order."
                )
            )
        elif part.quantity > open_[line.id]:
            errors.append(
                FieldError(f"items.{index}.quantity", "max_value", "Fewer units can be returned.")
            )
    if len({part.line_id for part in wanted}) < len(wanted):
        errors.append(FieldError("items", "duplicate", "Name each line once."))
    if errors:
        raise ReturnNotEligible(errors=errors)
    request = ReturnRequest.objects.create(order=order, notes=notes[:500], requested_at=now)
    ReturnLine.objects.bulk_create(
        ReturnLine(
            request=request,
            order_line_id=part.line_id,
            quantity=part.quantity,
            reason=part.reason[:200],
        )
        for part in wanted
    )
    outbox.publish(ReturnRequested(**about(order), return_id=str(request.id)), actor=actor, now=now)
    return request


@transaction.atomic
def approve_return(*, actor: Actor, return_id: UUID, now: datetime) -> ReturnRequest:
    """
    Let the customer send the goods back.

    :raises InvalidTransition: if it was decided before
    """
    return _decide(return_id, ReturnRequest.Status.APPROVED, actor=actor, now=now)


@transaction.atomic
def reject_return(
    *, actor: Actor, return_id: UUID, notes: str = "", now: datetime
) -> ReturnRequest:
    """
    Refuse a return.

    :raises InvalidTransition: if it was decided before
    """
    return _decide(return_id, ReturnRequest.Status.REJECTED, actor=actor, now=now, notes=notes)


@transaction.atomic
def receive_return(
    *, actor: Actor, return_id: UUID, damaged: frozenset[UUID] = frozenset(), now: datetime
) -> ReturnRequest:
    """
    Take returned goods in: whole ones back to stock, damaged ones off the books; the money is owed back.

    `damaged` names order lines whose units cannot be sold again. Locks the order, then the stock.

    :raises InvalidTransition: if the return was not approved
    """
    request, order = _lock(return_id, actor=actor)
    _check(request, ReturnRequest.Status.RECEIVED)
    request.status = ReturnRequest.Status.RECEIVED
    request.received_at = now
    request.save(update_fields=["status", "received_at"])
    lines = {line.id: line for line in order.lines.all()}
    sent = list(request.lines.all())
    for part in sent:
        part.is_damaged = part.order_line_id in damaged
        part.save(update_fields=["is_damaged"])
        line = lines[part.order_line_id]
        line.returned_quantity += part.quantity
        line.save(update_fields=["returned_quantity"])
    refund = claim(
        order,
        lines,
        [Units(part.order_line_id, part.quantity) for part in sent],
        shipping=Decimal(0),
        actor=actor,
        now=now,
        reason="returned",
        return_request=request,
    )
    if refund is not None:
        request.refund_amount = refund.amount
        request.save(update_fields=["refund_amount"])
    for is_damaged in (False, True):
        items = [
            (part.order_line_id, part.quantity) for part in sent if part.is_damaged is is_damaged
        ]
        if items:
            inventory.restock(
                actor=actor,
                order_id=order.id,
                items=items,
                damaged=is_damaged,
                reference=order.number,
                now=now,
            )
    return request


def _decide(
    return_id: UUID, status: str, *, actor: Actor, now: datetime, notes: str = ""
) -> ReturnRequest:
    request, _ = _lock(return_id, actor=actor)
    _check(request, status)
    request.status = ReturnRequest.Status(status)
    request.decided_at = now
    request.notes = notes[:500] or request.notes
    request.save(update_fields=["status", "decided_at", "notes"])
    return request


def _lock(return_id: UUID, *, actor: Actor) -> tuple[ReturnRequest, Order]:
    request = ReturnRequest.objects.filter(pk=return_id).first()
    if request is None:
        raise NotFound("There is no such return.")
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    return request, order


def _check(request: ReturnRequest, status: str) -> None:
    if status not in ReturnRequest.TRANSITIONS[request.status]:
        raise InvalidTransition(extra={"from": request.status, "to": status})
