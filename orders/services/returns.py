"""Goods that come back: asked for, decided, received, refunded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from config.platform import audit, flags, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, InvalidTransition, NotFound, ValidationFailed
from inventory import services as inventory
from inventory.selectors import VariantRef
from orders import selectors
from orders.addresses import check_text
from orders.errors import ReturnNotEligible, ReturnWindowClosed
from orders.events import ReturnDecided, ReturnRequested
from orders.models import Order, OrderLine, RefundRequest, ReturnLine, ReturnRequest
from orders.services.exchanging import (
    check_wanted,
    drop_replacement,
    pay_replacement,
    place_replacement,
)
from orders.services.refunds import claim
from orders.services.shares import Units
from orders.services.status import about, lock
from pricing.outside import asking

Status = ReturnRequest.Status


@dataclass(frozen=True, slots=True)
class WantedReturn:
    """Some units of a line that the customer wants to send back, and what they want instead; None is the money."""

    line_id: UUID
    quantity: int
    reason: str = ""
    exchange_for: VariantRef | None = None


@dataclass(frozen=True, slots=True)
class Came:
    """How many units of a line came back, and how many of these cannot be sold again."""

    received: int
    damaged: int = 0


@transaction.atomic
def request_return(
    *, actor: Actor, order_id: UUID, wanted: Sequence[WantedReturn], notes: str = "", now: datetime
) -> ReturnRequest:
    """
    Ask to return units of a delivered order, for their money or for another variant of the same product.

    :raises FeatureDisabled: if returns are switched off
    :raises OrderNotFound: if there is none for this caller
    :raises ReturnNotEligible: if it was not delivered, or listing each line with fewer units to return, or whose
        replacement cannot be had
    :raises ReturnWindowClosed: if it was delivered too long ago
    :raises ValidationFailed: if the notes hold a card number
    """
    flags.require("ORDER_ENABLE_RETURNS")
    notes = check_text(notes, "notes", 500, multiline=True, numbers=True)
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
    refs: dict[int, tuple[OrderLine, int, VariantRef]] = {}
    for index, part in enumerate(wanted):
        line = lines.get(part.line_id)
        if line is not None and part.exchange_for is not None:
            refs[index] = (line, part.quantity, part.exchange_for)
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
    variants, gone = check_wanted(order, refs, actor=actor, now=now)
    errors += gone
    if errors:
        raise ReturnNotEligible(errors=errors)
    request = ReturnRequest.objects.create(order=order, notes=notes, requested_at=now)
    ReturnLine.objects.bulk_create(
        ReturnLine(
            request=request,
            order_line_id=part.line_id,
            quantity=part.quantity,
            reason=part.reason[:200],
            exchange_variant=variants.get(index),
        )
        for index, part in enumerate(wanted)
    )
    outbox.publish(ReturnRequested(**about(order), return_id=str(request.id)), actor=actor, now=now)
    return request


@transaction.atomic
def withdraw_return(*, actor: Actor, return_id: UUID, now: datetime) -> ReturnRequest:
    """
    Take a request back that nobody has decided; its units can be asked for again.

    :raises NotFound: if there is no such return of an order of this caller
    :raises InvalidTransition: if it was decided
    """
    request, order = _lock(return_id, actor=actor)
    _decide(request, order, Status.WITHDRAWN, actor=actor, now=now)
    return request


@asking
@transaction.atomic
def approve_return(
    *, actor: Actor, return_id: UUID, notes: str = "", now: datetime
) -> ReturnRequest:
    """
    Let the customer send the goods back. What they want instead is ordered now, and held while the goods travel.

    Where it cannot be had any more, the return says so in `exchange_failure`, and is for the money. Locks the order,
    then the stock.

    :raises InvalidTransition: if it was decided before
    """
    request, order = _lock(return_id, actor=actor)
    _decide(request, order, Status.APPROVED, actor=actor, now=now, notes=notes)
    place_replacement(request, order, actor=actor, now=now)
    return request


@transaction.atomic
def reject_return(
    *, actor: Actor, return_id: UUID, notes: str = "", now: datetime
) -> ReturnRequest:
    """
    Refuse a return.

    :raises InvalidTransition: if it was decided before
    """
    request, order = _lock(return_id, actor=actor)
    _decide(request, order, Status.REJECTED, actor=actor, now=now, notes=notes)
    return request


@transaction.atomic
def close_return(*, actor: Actor, return_id: UUID, notes: str = "", now: datetime) -> ReturnRequest:
    """
    Give up an approved return of which nothing came. What was held in exchange is free at once.

    Locks the order, then its replacement, then stock.

    :raises InvalidTransition: if it is not approved
    """
    request, order = _lock(return_id, actor=actor)
    _decide(request, order, Status.CLOSED, actor=actor, now=now, notes=notes)
    drop_replacement(request, actor=actor, reason="the return never came", now=now)
    return request


@transaction.atomic
def note_return(*, actor: Actor, return_id: UUID, notes: str, now: datetime) -> ReturnRequest:
    """Keep a note about a return that only staff read; the old one stays in the audit trail."""
    request, order = _lock(return_id, actor=actor)
    audit.record(
        actor=actor,
        action="return.noted",
        object_type="order",
        object_id=order.id,
        before={"staffNotes": request.staff_notes},
        after={"staffNotes": notes[:1000]},
        now=now,
    )
    request.staff_notes = notes[:1000]
    request.save(update_fields=["staff_notes"])
    return request


@transaction.atomic
def receive_return(
    *,
    actor: Actor,
    return_id: UUID,
    damaged: frozenset[UUID] = frozenset(),
    came: Mapping[UUID, Came] | None = None,
    refund_missing: bool = False,
    now: datetime,
) -> ReturnRequest:
    """
    Take returned goods in: whole ones back to stock, damaged ones off the books; the money is owed back.

    All that was announced has come, unless `came` says for an order line how many did. What is missing is refunded only
    with `refund_missing`; else it is the customer's again. `damaged` names order lines whose units cannot be sold
    again. Where the return is for something else, what it brings pays for that. One that brings nothing is at its
    end. Locks the order, then its replacement, then the stock.

    :raises InvalidTransition: if the return was not approved
    :raises ValidationFailed: if more came of a line than was announced, a line was not, or nothing came at all
    """
    request, order = _lock(return_id, actor=actor)
    _check(request, Status.RECEIVED)
    lines = {line.id: line for line in order.lines.all()}
    sent = list(request.lines.order_by("id"))
    counts = _counted(sent, damaged, came or {})
    request.status = Status.RECEIVED
    request.received_at = now
    request.save(update_fields=["status", "received_at"])
    for part in sent:
        count = counts[part.order_line_id]
        part.received_quantity = count.received
        part.damaged_quantity = count.damaged
        part.is_damaged = bool(count.damaged)
        part.save(update_fields=["received_quantity", "damaged_quantity", "is_damaged"])
        line = lines[part.order_line_id]
        line.returned_quantity += count.received
        line.save(update_fields=["returned_quantity"])
    units = [
        Units(part.order_line_id, part.quantity if refund_missing else part.received_quantity or 0)
        for part in sent
    ]
    refund = claim(
        order,
        lines,
        [part for part in units if part.quantity],
        shipping=Decimal(0),
        actor=actor,
        now=now,
        reason="returned",
        return_request=request,
    )
    if refund is None:  # all its money went back before, or it had cost none
        request.status = Status.REFUNDED
        request.save(update_fields=["status"])
    else:
        owed = RefundRequest.objects.filter(return_request=request)
        request.refund_amount = owed.aggregate(total=Sum("amount"))["total"]
        request.save(update_fields=["refund_amount"])
    pay_replacement(request, order, refund, actor=actor, now=now)
    for is_damaged in (False, True):
        items = [
            (line_id, count.damaged if is_damaged else count.received - count.damaged)
            for line_id, count in counts.items()
        ]
        items = [item for item in items if item[1]]
        if items:
            inventory.restock(
                actor=actor,
                order_id=order.id,
                items=items,
                damaged=is_damaged,
                reference=order.number,
                now=now,
            )
    _announce(request, order, actor=actor, now=now)
    return request


def _counted(
    sent: Sequence[ReturnLine], damaged: frozenset[UUID], came: Mapping[UUID, Came]
) -> dict[UUID, Came]:
    """Return what came of each line; what nobody counted came as it was announced."""
    errors = []
    announced = {part.order_line_id: part.quantity for part in sent}
    if not damaged <= announced.keys():
        errors.append(FieldError("damaged", "invalid", "This was not announced."))
    for index, (line_id, count) in enumerate(came.items()):
        if line_id not in announced:
            errors.append(FieldError(f"items.{index}.itemId", "invalid", "This was not announced."))
        elif not 0 <= count.damaged <= count.received <= announced[line_id]:
            errors.append(
                FieldError(f"items.{index}.received", "max_value", "Fewer were announced.")
            )
    counts = {
        line_id: came.get(line_id, Came(quantity, quantity if line_id in damaged else 0))
        for line_id, quantity in announced.items()
    }
    if not errors and not any(count.received for count in counts.values()):
        errors.append(FieldError("items", "required", "Nothing came. Close the return instead."))
    if errors:
        raise ValidationFailed(errors=errors)
    return counts


def _decide(
    request: ReturnRequest,
    order: Order,
    status: str,
    *,
    actor: Actor,
    now: datetime,
    notes: str = "",
) -> None:
    _check(request, status)
    request.status = Status(status)
    request.decided_at = now
    request.notes = notes[:500] or request.notes
    request.save(update_fields=["status", "decided_at", "notes"])
    _announce(request, order, answer=notes[:500], actor=actor, now=now)


def _announce(
    request: ReturnRequest, order: Order, *, answer: str = "", actor: Actor, now: datetime
) -> None:
    outbox.publish(
        ReturnDecided(
            **about(order),
            return_id=str(request.id),
            outcome=str(request.status),
            answer=answer,
        ),
        actor=actor,
        now=now,
    )


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
