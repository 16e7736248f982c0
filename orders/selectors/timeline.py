"""
Everything that happened to an order, in one row of time.

What this app knows is told here. Higher apps tell what they know by `source` or `staff_source`: they register a function
that reads their own tables, so that nobody below imports them. Each source costs a constant number of statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.platform.models import AuditEntry
from orders.addresses import FIELDS
from orders.models import (
    Invoice,
    Order,
    OrderEdit,
    RefundRequest,
    ReturnRequest,
    Shipment,
    StatusChange,
)
from pricing.models import LoyaltyEntry, PriceDispute, PriceDisputeChange
from pricing.templatetags.money import money_text


class Kind(StrEnum):
    """What an entry is about; the filters of the bench."""

    STATUS = "status"
    MONEY = "money"
    PARCEL = "parcels"
    RETURN = "returns"
    CHANGE = "changes"
    PRICE = "prices"
    POINTS = "points"
    MESSAGE = "messages"
    NOTE = "notes"


@dataclass(frozen=True, slots=True)
class Told:
    """What the customer reads of an entry: no name of staff, no note, nothing that a provider or a rule said."""

    title: str
    text: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One thing that happened. `title`, `text` and `actor` are for staff; `customer` is None for what is theirs alone.

    `key` is the time-ordered id of the row behind it: of what happened in one moment, it says what came first. `page` is
    the admin page with more about it, as name and id.
    """

    at: datetime
    kind: Kind
    key: UUID
    title: str
    text: str = ""
    tone: str = ""
    actor: str = ""
    page: tuple[str, UUID] | None = None
    customer: Told | None = field(default=None)


Source = Callable[[Order], Iterable[Entry]]
_sources: list[Source] = []
_staff_sources: list[Source] = []


def source(run: Source) -> Source:
    """Register a function that returns what its app knows of an order, in a constant number of statements."""
    if run not in _sources:
        _sources.append(run)
    return run


def staff_source(run: Source) -> Source:
    """Register a source that has nothing to tell customers, so that their page does not ask it."""
    if run not in _staff_sources:
        _staff_sources.append(run)
    return run


def timeline(*, order: Order) -> list[Entry]:
    """
    Return everything that happened to an order, the newest first: a constant number of statements.

    It is for staff; `customer_timeline` is what of it the customer may read.
    """
    return _told_by((*_sources, *_staff_sources), order)


def customer_timeline(*, order: Order) -> list[tuple[datetime, Told]]:
    """Return what the customer may read of the timeline, the newest first."""
    return [
        (entry.at, entry.customer)
        for entry in _told_by(_sources, order)
        if entry.customer is not None
    ]


def _told_by(sources: Iterable[Source], order: Order) -> list[Entry]:
    found = [entry for run in sources for entry in run(order)]
    return sorted(found, key=lambda entry: (entry.at, entry.key), reverse=True)


# --- what this app knows --------------------------------------------------------------------------

STATUS_TONES = {
    "confirmed": "info",
    "processing": "info",
    "shipped": "info",
    "delivered": "success",
    "cancelled": "danger",
    "refunded": "danger",
    "failed": "danger",
    "draft": "warning",
}


@source
def statuses(order: Order) -> Iterator[Entry]:
    words = dict(Order.Status.choices)
    told = {
        Order.Status.DRAFT: _("Placed"),
        Order.Status.CONFIRMED: _("Confirmed"),
        Order.Status.PROCESSING: _("Being packed"),
        Order.Status.SHIPPED: _("Everything is on its way"),
        Order.Status.DELIVERED: _("Arrived"),
        Order.Status.CANCELLED: _("Cancelled"),
        Order.Status.REFUNDED: _("Everything is paid back"),
        Order.Status.FAILED: _("Not completed"),
    }
    for step in StatusChange.objects.filter(order=order):
        to = Order.Status(step.to_status)
        yield Entry(
            at=step.at,
            kind=Kind.STATUS,
            key=step.pk,
            title=str(words[to]).capitalize() if step.from_status else _("Placed"),
            text=step.reason,
            tone=STATUS_TONES[to],
            actor=step.actor,
            customer=Told(told[to]),
        )


@source
def edits(order: Order) -> Iterator[Entry]:
    told = {
        "shipping_address": _("The address it goes to was changed"),
        "billing_address": _("The address on the invoice was changed"),
        "shipping_option": _("The way it is sent was changed"),
        "addition": _("Something was added"),
    }
    private = {"needs_attention", "staff_notes"}
    for edit in OrderEdit.objects.filter(order=order):
        if edit.field in {"shipping_name", "review"}:  # said by the option, and by the audit trail
            continue
        yield Entry(
            at=edit.at,
            kind=Kind.NOTE if edit.field in private else Kind.CHANGE,
            key=edit.pk,
            title=_edited(edit),
            text=_change(edit),
            tone="warning" if edit.field == "needs_attention" and edit.new else "",
            actor=edit.actor,
            customer=Told(told[edit.field], str(edit.new) if edit.field == "addition" else "")
            if edit.field in told
            else None,
        )


def _edited(edit: OrderEdit) -> str:
    words = {
        "staff_notes": _("Note for staff"),
        "needs_attention": _("Needs attention") if edit.new else _("Nothing to see to any more"),
        "shipping_address": _("Shipping address changed"),
        "billing_address": _("Billing address changed"),
        "shipping_option": _("Way to ship changed"),
        "shipping_waived": _("Shipping that we pay"),
        "addition": _("Goods added as an order of their own"),
    }
    return words.get(edit.field) or _("%(field)s changed") % {
        "field": edit.field.replace("_", " ").capitalize()
    }


def _change(edit: OrderEdit) -> str:
    """Return an edit in a line: what it is now, for one of several parts only those that differ, and the reason."""
    old, new = edit.old, edit.new
    if isinstance(new, dict):  # an address: its parts in the order in which they are written
        keys = [key for key in FIELDS if key in new]
        if isinstance(old, dict):
            said = "; ".join(
                f"{old.get(key) or '–'} → {new.get(key) or '–'}"
                for key in keys
                if old.get(key) != new.get(key)
            )
        else:
            said = ", ".join(str(new[key]) for key in keys if new[key])
    else:
        said = str(new if new not in (None, "") else old or "")
    reason = "" if edit.reason in {"", "admin"} else f"({edit.reason})"
    return " ".join(part for part in (said, reason) if part)


@source
def parcels(order: Order) -> Iterator[Entry]:
    for parcel in Shipment.objects.filter(order=order):
        units = sum(int(part["quantity"]) for part in parcel.lines)
        carrier = " ".join(part for part in (parcel.carrier, parcel.tracking_number) if part)
        count = ngettext("%(n)d unit", "%(n)d units", units) % {"n": units}
        url = parcel.tracking_url if parcel.tracking_url.startswith("https://") else ""
        yield Entry(
            at=parcel.shipped_at,
            kind=Kind.PARCEL,
            key=parcel.pk,
            title=_("Parcel sent"),
            text=", ".join(part for part in (count, carrier) if part),
            tone="info",
            customer=Told(_("A parcel left, with %(units)s") % {"units": count}, carrier, url),
        )
        if parcel.delivered_at is not None:
            yield Entry(
                at=parcel.delivered_at,
                kind=Kind.PARCEL,
                key=parcel.pk,
                title=_("Parcel arrived"),
                text=carrier,
                tone="success",
                customer=Told(_("A parcel arrived"), carrier),
            )


@source
def returns(order: Order) -> Iterator[Entry]:
    S = ReturnRequest.Status
    decided = {
        S.REJECTED: (_("Return refused"), "danger"),
        S.WITHDRAWN: (_("Return taken back"), ""),
        S.CLOSED: (_("Return given up: nothing came"), ""),
    }
    found = (
        ReturnRequest.objects.filter(order=order)
        .select_related("replacement")
        .prefetch_related("lines__order_line", "lines__exchange_variant")
    )
    for row in found:
        page = ("orders_returnrequest", row.pk)
        goods = ", ".join(f"{part.quantity} × {part.order_line.name}" for part in row.lines.all())
        wanted = [part.exchange_variant.sku for part in row.lines.all() if part.exchange_variant]
        instead = _("in exchange for %(skus)s") % {"skus": ", ".join(wanted)} if wanted else ""
        asked = ", ".join(part for part in (goods, instead) if part)
        yield Entry(
            at=row.requested_at,
            kind=Kind.RETURN,
            key=row.pk,
            title=_("Exchange asked for") if wanted else _("Return asked for"),
            text=" · ".join(part for part in (asked, row.notes) if part),
            tone="warning",
            page=page,
            customer=Told(_("You asked to send something back"), asked),
        )
        if row.decided_at is not None:
            title, tone = decided.get(S(row.status), (_("Return approved"), "info"))
            yield Entry(
                at=row.decided_at,
                kind=Kind.RETURN,
                key=row.pk,
                title=title,
                text=row.staff_notes,
                tone=tone,
                page=page,
                customer=Told(title, goods),
            )
        if row.received_at is not None:
            came = sum(part.received_quantity or 0 for part in row.lines.all())
            count = ngettext("%(n)d unit", "%(n)d units", came) % {"n": came}
            yield Entry(
                at=row.received_at,
                kind=Kind.RETURN,
                key=row.pk,
                title=_("Return received"),
                text=" · ".join(part for part in (count, row.exchange_failure) if part),
                tone="success",
                page=page,
                customer=Told(_("What you sent back has arrived"), count),
            )
        if row.replacement is not None:
            yield Entry(
                at=row.replacement.placed_at,
                kind=Kind.RETURN,
                key=row.replacement.pk,
                title=_("Exchange: %(number)s goes out instead")
                % {"number": row.replacement.number},
                text=row.replacement.get_status_display(),
                tone="info",
                page=("orders_order", row.replacement.pk),
                customer=Told(_("In its place comes order %(number)s") % {"number": row.replacement.number}),
            )  # fmt: skip


@source
def refunds(order: Order) -> Iterator[Entry]:
    for row in RefundRequest.objects.filter(order=order):
        amount = money_text(row.amount, row.currency)
        paid = money_text(row.to_pay_out, row.currency)
        surplus = _("a payment too many") if row.payment_id else ""
        failed = row.status == RefundRequest.Status.FAILED
        page = ("orders_refundrequest", row.pk)
        yield Entry(
            at=row.created_at,
            kind=Kind.MONEY,
            key=row.pk,
            title=_("Refund of %(amount)s asked for") % {"amount": amount},
            text=" · ".join(
                part
                for part in (row.reason, surplus, f"{_('failed')}: {row.failure}" if failed else "")
                if part
            ),
            tone="danger" if failed else "",
            actor=row.requested_by,
            page=page,
            customer=Told(_("%(amount)s goes back to you") % {"amount": paid})
            if row.to_pay_out
            else None,
        )
        if row.done_at is not None:
            moved = money_text(row.moved_amount, row.currency) if row.moved_amount else ""
            yield Entry(
                at=row.done_at,
                kind=Kind.MONEY,
                key=row.pk,
                title=_("Refund of %(amount)s done") % {"amount": amount},
                text=_("of which %(moved)s pays for the exchange") % {"moved": moved}
                if moved
                else "",
                tone="success",
                page=page,
                customer=Told(_("%(amount)s is paid back") % {"amount": paid})
                if row.to_pay_out
                else None,
            )


@source
def papers(order: Order) -> Iterator[Entry]:
    for paper in Invoice.objects.filter(order=order).only("kind", "number", "issued_at"):
        yield Entry(
            at=paper.issued_at,
            kind=Kind.MONEY,
            key=paper.pk,
            title=f"{paper.get_kind_display()} {paper.number}".capitalize(),
            customer=Told(_("Invoice %(number)s was written") % {"number": paper.number})
            if paper.kind == Invoice.Kind.INVOICE
            else Told(_("Credit note %(number)s was written") % {"number": paper.number}),
        )


@staff_source
def additions(order: Order) -> Iterator[Entry]:
    for added in Order.objects.filter(adds_to=order).only(
        "number", "placed_at", "status", "grand_total", "currency"
    ):
        yield Entry(
            at=added.placed_at,
            kind=Kind.CHANGE,
            key=added.pk,
            title=_("%(number)s was added") % {"number": added.number},
            text=f"{money_text(added.grand_total, added.currency)}, {added.get_status_display()}",
            page=("orders_order", added.pk),
        )


@source
def prices(order: Order) -> Iterator[Entry]:
    steps = PriceDisputeChange.objects.filter(dispute__order_id=order.pk).select_related("dispute")
    for step in steps:
        asked = step.to_status == PriceDispute.Status.OPEN
        about = step.dispute
        words = PriceDispute.Status(step.to_status).label
        yield Entry(
            at=step.at,
            kind=Kind.PRICE,
            key=step.pk,
            title=_("Price disputed")
            if asked
            else _("Price dispute: %(outcome)s") % {"outcome": words},
            text=f"{about.name} · {about.get_reason_display() if asked else step.reason}",
            tone="warning" if asked else "info",
            actor=step.actor,
            page=("pricing_pricedispute", about.pk),
            customer=Told(
                _("You asked about the price of %(product)s") % {"product": about.name}
                if asked
                else _("We looked at the price of %(product)s") % {"product": about.name},
                "" if asked else str(words),
            ),
        )


@source
def points(order: Order) -> Iterator[Entry]:
    K = LoyaltyEntry.Kind
    told = {
        K.EARN: _("You earned %(n)d points"),
        K.SPEND: _("You spent %(n)d points"),
        K.RETURN: _("%(n)d points came back to you"),
        K.TAKE_BACK: _("%(n)d points were taken back"),
    }
    for row in LoyaltyEntry.objects.filter(order_id=order.pk):
        amount = {"n": abs(row.points)}
        yield Entry(
            at=row.at,
            kind=Kind.POINTS,
            key=row.pk,
            title=_("%(n)+d points, %(what)s") % {"n": row.points, "what": row.get_kind_display()},
            text=row.reason,
            actor=row.actor,
            customer=Told(told[K(row.kind)] % amount) if row.kind in told else None,
        )


@staff_source
def trail(order: Order) -> Iterator[Entry]:
    """What the audit trail says of the order itself, but for what its edits say already."""
    yield from audited("order", [order.pk], but_for=("order.address_changed",))


def audited(
    object_type: str, ids: Iterable[UUID], *, but_for: Sequence[str] = ()
) -> Iterator[Entry]:
    """Return the audit entries of some objects; one statement. Staff read them, customers never."""
    found = AuditEntry.objects.filter(
        object_type=object_type, object_id__in=[str(each) for each in ids]
    ).exclude(action__in=but_for)
    for row in found:
        changes = _told_values(row.after)
        yield Entry(
            at=row.at,
            kind=Kind.NOTE,
            key=row.pk,
            title=row.action.partition(".")[0].replace("_", " ").capitalize()
            + " "
            + row.action.partition(".")[2].replace("_", " "),
            text=" · ".join(part for part in (row.reason, changes) if part),
            actor=row.actor,
        )


def _told_values(values: dict[str, Any]) -> str:
    """Return what an audit entry keeps in a line, but for the names of rows."""
    return ", ".join(
        f"{key}: {value}"
        for key, value in values.items()
        if isinstance(value, str | int | float) and not key.endswith(("Id", "_id")) and value != ""
    )
