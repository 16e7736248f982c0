"""Many orders on their way at once: every line is judged first, then each order is sent by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.platform import sheets
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from config.platform.sheets import Source
from orders.errors import OrderInReview, OrderNotFound
from orders.models import Order
from orders.services.shipping import check_tracking, ship
from orders.services.status import lock

MOST_PARCELS = 200  # a page's worth: each is a row of fields, and a transaction
LARGEST_LIST = 1_000_000  # bytes
FIELDS = ("number", "carrier", "tracking_number", "tracking_url")
# How a first row may call the columns; a list without such a row is taken in the order of `FIELDS`.
_NAMES = {
    "number": ("order number", "order", "number", "ordernumber", "order_number"),
    "carrier": ("carrier",),
    "tracking_number": ("tracking number", "tracking", "trackingnumber", "tracking_number"),
    "tracking_url": ("tracking link", "link", "url", "trackingurl", "tracking_url"),
}
_COLUMNS = {name: field for field, names in _NAMES.items() for name in names}
_LABELS = {
    "carrier": gettext_lazy("Carrier"),
    "trackingNumber": gettext_lazy("Tracking number"),
    "trackingUrl": gettext_lazy("Tracking link"),
}
_WHY_NOT = {
    Order.Status.DRAFT: gettext_lazy("It is not paid yet."),
    Order.Status.SHIPPED: gettext_lazy("It is shipped already."),
    Order.Status.DELIVERED: gettext_lazy("It is shipped already."),
    Order.Status.CANCELLED: gettext_lazy("It is cancelled."),
    Order.Status.REFUNDED: gettext_lazy("It is refunded."),
    Order.Status.FAILED: gettext_lazy("Its payment failed."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelLine:
    """What somebody wants sent: the line of their list on which it stands, and what is wrong with it as a record."""

    line: int
    number: str
    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """
    A line that was judged: what would leave, or why nothing would.

    `seen` stands for what is left of the order and for its address; once that has changed, the parcel is not sent.
    """

    line: ParcelLine
    order_id: UUID | None = None
    recipient: str = ""
    place: str = ""
    units: int = 0
    seen: str = ""
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a parcel: `refused` is empty if it left."""

    parcel: Parcel
    refused: str = ""


def read_parcels(source: Source) -> list[ParcelLine]:
    """
    Return the lines of a list `order number, carrier, tracking number[, link]`, with or without a row of names.

    A cell that looks like a formula is text like any other.

    :raises ImportUnreadable: if it is no text, or too large
    :raises ValidationFailed: if it names no column for order numbers, or has more than `MOST_PARCELS` lines
    """
    sheet = sheets.inspect(source, most_bytes=LARGEST_LIST)
    names = [_COLUMNS.get(column.casefold(), column) for column in sheet.columns]
    found = []
    if "number" not in names:
        if set(names) & set(FIELDS):
            raise _refused(_("No column is called “order number”."))
        cells = dict(zip(FIELDS, sheet.columns, strict=False))
        found.append(_line(sheet.skipped_lines + 1, cells))
        names = list(FIELDS)
    for row in sheets.read(replace(sheet, columns=tuple(names))):
        found.append(_line(row.line, row.cells, row.problem))
        if len(found) > MOST_PARCELS:
            raise _refused(
                _("More than %(most)d lines. Send them in parts.") % {"most": MOST_PARCELS}
            )
    return found


def _line(line: int, cells: dict[str, str], problem: str = "") -> ParcelLine:
    given = {field: sheets.unguard(cells.get(field, "")) for field in FIELDS}
    return ParcelLine(line=line, problem=problem, **given)


def _refused(message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("list", "invalid", message)])


def plan_parcels(*, actor: Actor, lines: Sequence[ParcelLine]) -> list[Parcel]:
    """
    Return what would leave for each line, and everything that speaks against it; two statements for all lines.

    An order that is named twice is sent for neither line: nobody can tell which tracking number is right. An unknown
    order and one of somebody else are told in the same words.
    """
    numbers = [_number(line) for line in lines]
    known = {number for number in numbers if number}
    orders = {
        order.number: order
        for order in Order.objects.for_actor(actor)
        .filter(number__in=known)
        .prefetch_related("lines")
    }
    places: dict[str, list[int]] = {}
    for line, number in zip(lines, numbers, strict=True):
        places.setdefault(number, []).append(line.line)
    return [
        _judge(line, orders.get(number), places[number] if number else [])
        for line, number in zip(lines, numbers, strict=True)
    ]


def _number(line: ParcelLine) -> str:
    """Return the number as orders are named, or nothing where no order can be called so."""
    number = line.number.strip().upper()
    return number if len(number) <= 50 and number.isprintable() else ""


def _judge(line: ParcelLine, order: Order | None, places: Sequence[int]) -> Parcel:
    problems = [line.problem] if line.problem else []
    if not line.number.strip():
        problems.append(_("There is no order number."))
    elif order is None:
        problems.append(OrderNotFound.message)
    if len(places) > 1:
        others = ", ".join(str(place) for place in places if place != line.line)
        problems.append(_("It stands on line %(lines)s too.") % {"lines": others})
    try:
        check_tracking(line.carrier, line.tracking_number, line.tracking_url)
    except ValidationFailed as refusal:
        problems += [f"{_LABELS[error.field]}: {error.message}" for error in refusal.errors]
    if order is None:
        return Parcel(line=line, problems=problems)
    units = sum(part.unsent for part in order.lines.all())
    if order.status in _WHY_NOT:
        problems.append(str(_WHY_NOT[Order.Status(order.status)]))
    elif order.review == Order.Review.PENDING:
        problems.append(OrderInReview.message)
    elif not units:
        problems.append(_("Nothing is left to send."))
    to = order.shipping_address or {}
    return Parcel(
        line=line,
        order_id=order.pk,
        recipient=to.get("name", ""),
        place=" ".join(to[key] for key in ("postalCode", "city", "country") if to.get(key)),
        units=units,
        seen=_seen(order),
        problems=problems,
    )


def _seen(order: Order) -> str:
    """Return what tells whether an order is still as somebody saw it: its address, and what is left of each line."""
    left = sorted((str(line.pk), line.unsent) for line in order.lines.all())
    text = json.dumps([order.shipping_address, left], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def ship_parcels(*, actor: Actor, parcels: Sequence[Parcel], now: datetime) -> list[Sent]:
    """
    Send all that is left of each order, in a transaction of its own; a refusal stops no other parcel.

    Only what has no problem is sent, and only while the order is as it was planned (`Parcel.seen`); so doing it
    twice sends once. Locks each order in turn.
    """
    done = []
    for parcel in parcels:
        refused = " ".join(parcel.problems)
        if not refused:
            try:
                _ship(actor, parcel, now)
            except ApplicationError as refusal:
                said = [str(error.message) for error in refusal.errors] or [refusal.detail]
                refused = " ".join(dict.fromkeys(said))
        done.append(Sent(parcel, refused))
    return done


@transaction.atomic
def _ship(actor: Actor, parcel: Parcel, now: datetime) -> None:
    if parcel.order_id is None:
        raise OrderNotFound
    order = lock(actor=actor, order_id=parcel.order_id)
    if order.status in _WHY_NOT:
        raise _refused(str(_WHY_NOT[Order.Status(order.status)]))
    if _seen(order) != parcel.seen:
        raise _refused(_("It has changed since you looked. Look again before you send it."))
    ship(
        actor=actor,
        order_id=order.pk,
        carrier=parcel.line.carrier,
        tracking_number=parcel.line.tracking_number,
        tracking_url=parcel.line.tracking_url,
        now=now,
    )
