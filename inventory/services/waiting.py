"""Waiting for what is gone: taking a place in a variant's line, leaving it, and what time does to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction

from config.platform import audit, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory import selectors
from inventory.errors import (
    BackInStockLinkInvalid,
    BackInStockRequestNotFound,
    ProductInStock,
    TooManyBackInStockRequests,
)
from inventory.events import BackInStockAsked, Why
from inventory.models import BackInStockRequest, StockLevel, Variant
from inventory.services.books import Books
from inventory.services.levels import ACTIVE, CANCELLED
from inventory.services.stock import add_missing_levels, warehouses_by_code

MOST_WANTED = 10  # units of one request: the line is for customers, not for resellers
MOST_OPEN = 50  # requests of one person
CONFIRM_WITHIN = timedelta(days=3)
_CONFIRM, _LINK = "inventory.back_in_stock.confirm", "inventory.back_in_stock.link"

_OF_REQUEST = "r.status = 'ACTIVE' AND r.line_id = %(request)s AND r.cart_id IS NULL"


@transaction.atomic
def wait_for(
    *, actor: Actor, variant: Variant, quantity: int = 1, now: datetime
) -> BackInStockRequest:
    """
    Give a signed-in customer a place in the line for a variant that is gone; return their open request.

    Who waits already keeps their place, with the new quantity. Locks the variant's stock.

    :raises ValidationFailed: if the quantity is not from 1 to 10
    :raises ProductInStock: if it can be had right now
    :raises TooManyBackInStockRequests: if the customer waits for very many things already
    """
    assert actor.user_id is not None
    return _queue(
        actor=actor, variant=variant, quantity=quantity, now=now, user_id=actor.user_id, email=""
    )


@transaction.atomic
def ask_by_mail(
    *, actor: Actor, variant: Variant, email: str, quantity: int = 1, now: datetime
) -> None:
    """
    Let a guest ask for a place: nothing is stored but the mail that asks the address whether it is true.

    Answers the same whether or not the address is known or waits already.

    :raises ValidationFailed: if the quantity or the address is not acceptable
    :raises ProductInStock: if it can be had right now
    """
    _check_quantity(quantity)
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise _refused("email", "An e-mail address is needed.") from None
    if len(email) > 254:
        raise _refused("email", "An e-mail address is needed.")
    if selectors.availability(variant_ids=[variant.id], now=now)[variant.id].in_stock:
        raise ProductInStock(extra={"sku": variant.sku})
    outbox.publish(
        BackInStockAsked(aggregate_id=variant.id, sku=variant.sku, email=email, quantity=quantity),
        actor=actor,
        now=now,
    )


def confirmation_token(*, company_id: UUID, variant_id: UUID, email: str, quantity: int) -> str:
    """Return what the link in the confirmation mail ends with."""
    return signing.dumps(
        [str(company_id), str(variant_id), email, quantity], salt=_CONFIRM, compress=True
    )


def read_confirmation(token: str) -> tuple[UUID, UUID, str, int]:
    """
    Return company, variant, address and quantity of a confirmation link.

    :raises BackInStockLinkInvalid: if it is not one of ours, or older than three days
    """
    try:
        company_id, variant_id, email, quantity = signing.loads(
            token, salt=_CONFIRM, max_age=CONFIRM_WITHIN
        )
        return UUID(company_id), UUID(variant_id), str(email), int(quantity)
    except (signing.BadSignature, ValueError, TypeError) as wrong:
        raise BackInStockLinkInvalid from wrong


@transaction.atomic
def confirm_by_mail(*, actor: Actor, token: str, now: datetime) -> BackInStockRequest:
    """
    Give the address that followed its link a place in the line; following it again changes nothing.

    :raises BackInStockLinkInvalid: if the link is not one of ours, too old, or of another shop
    :raises ProductNotFound, ProductDiscontinued: if it is not sold any more
    :raises ProductInStock: if it can be had right now
    """
    company_id, variant_id, email, quantity = read_confirmation(token)
    if company_id != actor.company_id:
        raise BackInStockLinkInvalid
    variant = selectors.find_variant(actor=actor, variant_id=variant_id)
    return _queue(
        actor=actor, variant=variant, quantity=quantity, now=now, user_id=None, email=email
    )


def link_token(*, request_id: UUID) -> str:
    """Return what the link to one's request ends with: whoever has it may take what is kept, or leave the line."""
    return signing.dumps(str(request_id), salt=_LINK)


def read_link(token: str) -> UUID:
    """:raises BackInStockLinkInvalid: if it is not one of ours"""
    try:
        return UUID(signing.loads(token, salt=_LINK))
    except (signing.BadSignature, ValueError, TypeError) as wrong:
        raise BackInStockLinkInvalid from wrong


@transaction.atomic
def claim_offer(*, actor: Actor, request_id: UUID, now: datetime) -> BackInStockRequest:
    """
    Hand what is kept for a request to the caller, who has followed its link: the next `reserve` makes it their line's.

    The link is the proof, so the caller may be anybody; nobody's cart is touched. Locks the variant's stock.

    :raises BackInStockRequestNotFound: if there is no such request, or nothing is kept for it any more
    """
    request, books = _open(actor, BackInStockRequest.objects.filter(id=request_id), now)
    held = [hold for hold in books.holds.values() if hold.expires_at > now]
    if request.status != BackInStockRequest.Status.OFFERED or not held:
        raise BackInStockRequestNotFound
    for hold in held:
        hold.holder, hold.address, hold.is_touched = actor.identity, actor.address, True
    books.write(actor=actor, now=now, why=Why.WITHDRAWN)
    return request


@transaction.atomic
def stop_waiting(
    *, actor: Actor, request_id: UUID, reason: str = "", now: datetime
) -> BackInStockRequest:
    """
    Leave the line; what was kept goes to the next. A request that is closed already stays as it is.

    Customers leave for themselves; staff may take anybody out, with an audit entry that says why. Locks the
    variant's stock.

    :raises BackInStockRequestNotFound: if it is not the caller's
    """
    found = BackInStockRequest.objects.filter(id=request_id)
    if not actor.sees_everything:
        if actor.user_id is None:
            raise BackInStockRequestNotFound
        found = found.filter(user_id=actor.user_id)
    return _cancel(actor, found, now, reason)


@transaction.atomic
def stop_waiting_by_link(*, actor: Actor, token: str, now: datetime) -> BackInStockRequest:
    """
    Leave the line by the link of a mail.

    :raises BackInStockLinkInvalid, BackInStockRequestNotFound: if the link leads nowhere
    """
    return _cancel(actor, BackInStockRequest.objects.filter(id=read_link(token)), now)


@transaction.atomic
def serve_waiting(*, now: datetime, limit: int = 200) -> int:
    """
    Offer what lies free to those who wait, and tidy up; return how many variants were looked at.

    Units are offered in the transaction that frees them, so this finds only what nothing freed: a product that is sold
    again, a warehouse that was opened, holds that were switched on again. Also ends requests for what is not
    sold any more, and takes the mark off variants nobody waits for. A constant number of statements per company.
    """
    served = 0
    for company_id, variant_ids in _to_look_at(now, limit).items():
        actor = Actor.system(company_id)
        books = Books.open(
            company_id=company_id,
            variant_ids=variant_ids,
            holds=_HELD_IN_VAIN,
            reclaim=True,
            now=now,
        )
        hopeless = BackInStockRequest.objects.filter(
            variant_id__in=variant_ids, status__in=BackInStockRequest.OPEN
        ).exclude(variant__is_active=True, variant__product__status__in=["active", "draft"])
        hopeless.update(status=BackInStockRequest.Status.CANCELLED, closed_at=now)
        for hold in list(books.holds.values()):
            books.give_back(hold)
            books.close(hold, CANCELLED)
        books.reclaim()
        books.write(actor=actor, now=now, why=Why.WITHDRAWN)
        StockLevel.objects.filter(variant_id__in=variant_ids, is_awaited=True).exclude(
            variant_id__in=BackInStockRequest.objects.filter(
                variant_id__in=variant_ids, status__in=BackInStockRequest.OPEN
            ).values("variant_id")
        ).update(is_awaited=False)
        served += len(variant_ids)
    return served


# --- parts ----------------------------------------------------------------------------------

# What is kept for requests for things that are not sold any more.
_HELD_IN_VAIN = """
    r.status = 'ACTIVE' AND r.cart_id IS NULL AND r.line_id IN (
        SELECT q.id FROM back_in_stock_requests q
          JOIN variants v ON v.id = q.variant_id
          JOIN products p ON p.id = v.product_id
         WHERE q.variant_id = ANY(%(variant_ids)s) AND q.status = 'OFFERED'
           AND (NOT v.is_active OR p.status = 'discontinued'))
"""
# Free units that somebody is owed or waits for; requests for what is gone for good; marks that outlived their line.
_LOOK = """
    SELECT DISTINCT s.company_id, s.variant_id FROM inventory s
      JOIN variants v ON v.id = s.variant_id
      JOIN products p ON p.id = v.product_id
     WHERE (s.is_awaited OR s.backordered > 0)
       AND (EXISTS (SELECT 1 FROM inventory t WHERE t.variant_id = s.variant_id AND t.available > 0)
            OR s.is_awaited AND (
                NOT v.is_active OR p.status = 'discontinued'
                OR NOT EXISTS (SELECT 1 FROM back_in_stock_requests q
                                WHERE q.variant_id = s.variant_id AND q.status IN ('WAITING', 'OFFERED'))))
     LIMIT %s
"""


def _to_look_at(now: datetime, limit: int) -> dict[UUID, list[UUID]]:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [limit])
        found: dict[UUID, list[UUID]] = {}
        for company_id, variant_id in cursor.fetchall():
            found.setdefault(company_id, []).append(variant_id)
    return found


def _queue(
    *,
    actor: Actor,
    variant: Variant,
    quantity: int,
    now: datetime,
    user_id: UUID | None,
    email: str,
) -> BackInStockRequest:
    _check_quantity(quantity)
    if not StockLevel.objects.filter(variant=variant).exists():
        default = warehouses_by_code(company_id=actor.company_id, codes={""})[""]
        add_missing_levels(actor=actor, pairs={(variant.id, default)}, reorder_levels={})
    books = Books.open(company_id=actor.company_id, variant_ids=[variant.id], reclaim=True, now=now)
    mine = BackInStockRequest.objects.filter(
        user_id=user_id, email=email, status__in=BackInStockRequest.OPEN
    )
    request = mine.filter(variant=variant).first()
    if request is not None:
        if request.status == BackInStockRequest.Status.WAITING and request.quantity != quantity:
            request.quantity = quantity
            request.save(update_fields=["quantity"])
        return request
    books.reclaim()
    books.serve()
    if books.can_serve_more(variant.id):
        raise ProductInStock(extra={"sku": variant.sku})
    if mine.count() >= MOST_OPEN:
        raise TooManyBackInStockRequests(extra={"limit": MOST_OPEN})
    books.write(actor=actor, now=now, why=Why.WITHDRAWN)
    StockLevel.objects.filter(variant=variant, is_awaited=False).update(is_awaited=True)
    return BackInStockRequest.objects.create(
        company_id=actor.company_id,
        variant=variant,
        user_id=user_id,
        email=email,
        quantity=quantity,
        queued_at=now,
    )


def _open(actor: Actor, found: Any, now: datetime) -> tuple[BackInStockRequest, Books]:
    """Lock the stock of a request, then read it: what it says is true until the end of the transaction."""
    found = found.filter(company_id=actor.company_id)
    named = found.values_list("id", "variant_id").first()
    if named is None:
        raise BackInStockRequestNotFound
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=[named[1]],
        holds=_OF_REQUEST,
        request=named[0],
        now=now,
    )
    return BackInStockRequest.objects.get(id=named[0]), books


def _cancel(actor: Actor, found: Any, now: datetime, reason: str = "") -> BackInStockRequest:
    request, books = _open(actor, found, now)
    if request.status not in BackInStockRequest.OPEN:
        return request
    before = request.status
    request.status, request.closed_at = BackInStockRequest.Status.CANCELLED.value, now
    request.save(update_fields=["status", "closed_at"])
    for hold in list(books.holds.values()):
        if hold.status == ACTIVE:
            books.give_back(hold)
            books.close(hold, CANCELLED)
    books.write(actor=actor, now=now, why=Why.WITHDRAWN)
    if actor.sees_everything:
        audit.record(
            actor=actor,
            action="back_in_stock.cancelled",
            object_type="back_in_stock_request",
            object_id=request.id,
            before={"status": before},
            after={"status": request.status},
            reason=reason,
            now=now,
        )
    return request


def _check_quantity(quantity: int) -> None:
    if not 1 <= quantity <= MOST_WANTED:
        raise _refused("quantity", f"A number from 1 to {MOST_WANTED}.")


def _refused(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(message, errors=[FieldError(field, "invalid", message)])
