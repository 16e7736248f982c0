"""
The tax report: what was charged and what went back, from the frozen lines and the refunds that were carried out.

Tax counts as collected when its order is confirmed. A refund takes tax back in the proportion in which it takes back
the money of a line or of the shipping; what belongs to neither (goodwill) is spread over what is left of all of them.
The tax that has gone back is a fixed function of the money that has, so whatever the sizes of the refunds: an order
whose whole money went back bears no tax, and one of which nothing did bears exactly its `tax_total`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from orders.days import begin_of, end_of
from orders.models import Order, OrderLine, RefundRequest
from pricing.destinations import STATES
from pricing.engine import Quote
from pricing.money import from_minor, quantize, split_minor, to_minor

COLLECTED, REFUNDED = "collected", "refunded"
# How the money of a cancelled order stands when none of it is here: never taken, or taken too late and given back.
NOTHING_KEPT = (Order.PaymentStatus.CANCELLED, Order.PaymentStatus.REFUNDED)
LONGEST = timedelta(days=3 * 366)  # of a period that is asked for
_CHUNK = 500


@dataclass(frozen=True, slots=True, order=True)
class TaxKey:
    """What one row of the report is about. `relief` says why a tax was not charged; its amounts are then zero."""

    currency: str
    country: str
    state: str
    type: str
    name: str
    rate: Decimal
    relief: str

    @property
    def jurisdiction(self) -> str:
        return f"{self.country}-{self.state}" if self.state else self.country


@dataclass(frozen=True, slots=True)
class TaxEntry:
    """One tax of one order, charged with it or gone back with one of its refunds."""

    key: TaxKey
    order_id: UUID
    number: str
    at: datetime
    kind: str  # COLLECTED or REFUNDED
    base: Decimal
    amount: Decimal


@dataclass(slots=True)
class TaxRow:
    """One tax in a period: on what it was charged, what was collected, and what of that went back."""

    key: TaxKey
    base: Decimal = Decimal(0)
    refunded_base: Decimal = Decimal(0)
    collected: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    orders: set[UUID] = field(default_factory=set)

    @property
    def net_base(self) -> Decimal:
        return self.base - self.refunded_base

    @property
    def net(self) -> Decimal:
        return self.collected - self.refunded

    def add(self, entry: TaxEntry) -> None:
        self.orders.add(entry.order_id)
        if entry.kind == COLLECTED:
            self.base += entry.base
            self.collected += entry.amount
        else:
            self.refunded_base += entry.base
            self.refunded += entry.amount


@dataclass(frozen=True, slots=True)
class Period:
    """Days of UTC, both of them included."""

    first: date
    last: date

    @classmethod
    def of(cls, *, first: date | None, last: date | None, today: date) -> Period:
        """
        Return a period; without a first day it begins with the month of its last, without a last day it ends today.

        :raises ValidationFailed: if it ends before it begins, or is longer than three years
        """
        last = last or (today if first is None or first <= today else first)
        first = first or last.replace(day=1)
        if last < first:
            raise ValidationFailed(
                errors=[FieldError("dateTo", "invalid", "A period does not end before it begins.")]
            )
        if last - first > LONGEST:
            raise ValidationFailed(
                errors=[FieldError("dateTo", "invalid", "At most three years at once.")]
            )
        return cls(first, last)

    @property
    def begins(self) -> datetime:
        return begin_of(self.first)

    @property
    def ends(self) -> datetime:
        """Return the moment after the last."""
        return end_of(self.last)


def tax_report(*, actor: Actor, period: Period, currency: str = "") -> list[TaxRow]:
    """Return what each tax came to in a period, by currency, then place; orders are read in pieces, not all at once."""
    rows: dict[TaxKey, TaxRow] = {}
    for entry in tax_entries(actor=actor, period=period, currency=currency):
        rows.setdefault(entry.key, TaxRow(entry.key)).add(entry)
    return [rows[key] for key in sorted(rows)]


def tax_entries(*, actor: Actor, period: Period, currency: str = "") -> Iterator[TaxEntry]:
    """
    Yield the entries of a period, order by order: three statements for each 500 orders.

    Nothing is yielded of orders that were never confirmed: nothing was charged with them.
    """
    begins, ends = period.begins, period.ends
    done = RefundRequest.objects.filter(status=RefundRequest.Status.DONE, payment_id=None)
    refunded_now = done.filter(order=OuterRef("pk"), done_at__gte=begins, done_at__lt=ends)
    orders = (
        Order.objects.filter(company_id=actor.company_id, confirmed_at__lt=ends)
        .filter(
            Q(confirmed_at__gte=begins)
            | Q(Exists(refunded_now))
            | Q(cancelled_at__gte=begins, cancelled_at__lt=ends)
        )
        .only(
            "number", "currency", "quote", "shipping_address", "confirmed_at", "cancelled_at", "payment_status",
            "grand_total", "shipping_total", "shipping_discount",
        )
        .prefetch_related(
            Prefetch(
                "lines", OrderLine.objects.only("order_id", "position", "total", "taxes").order_by("position")
            ),
            Prefetch("refund_requests", done.order_by("done_at", "id"), to_attr="refunds_done"),
        )
        .order_by("confirmed_at", "id")
    )  # fmt: skip
    if currency:
        orders = orders.filter(currency=currency)
    for order in orders.iterator(chunk_size=_CHUNK):
        for entry in entries_of(order, refunds=order.refunds_done):
            if begins <= entry.at < ends:
                yield entry


def entries_of(order: Order, *, refunds: Sequence[RefundRequest]) -> Iterator[TaxEntry]:
    """
    Yield every entry of a confirmed order, as it was charged and as it went back with each of the refunds given.

    `refunds` are those that were carried out, the earliest first.
    """
    if order.confirmed_at is None:
        return
    parts = _parts_of(order)
    for part in parts:
        for key, base, amount in part.taxes:
            if base or amount:
                yield _entry(order, key, order.confirmed_at, COLLECTED, base, amount)
    shipping_claimed = Decimal(0)
    for refund in refunds:
        assert refund.done_at is not None
        left = to_minor(refund.amount, order.currency)
        for line in refund.lines:
            part = next(part for part in parts if part.line_id == line["itemId"])
            left -= part.take(min(left, to_minor(Decimal(line["amount"]), order.currency)))
        if refund.shipping_amount and parts[-1].line_id is None:
            share = _shipping_share(order, parts[-1], shipping_claimed, refund.shipping_amount)
            shipping_claimed += refund.shipping_amount
            left -= parts[-1].take(min(left, share))
        _spread(left, parts)
        yield from _gone_back(order, parts, refund.done_at)
    if order.cancelled_at is not None and order.payment_status in NOTHING_KEPT:
        # Cancelled before the money was taken, or while it was: what was charged is charged no more.
        for part in parts:
            part.take(part.left)
        yield from _gone_back(order, parts, order.cancelled_at)


# --- one order --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """A line, or the shipping (no line id): its money in minor units, what of it went back, and the taxes in it."""

    line_id: str | None
    total: int
    taxes: list[tuple[TaxKey, int, int]]
    returned: int = 0
    told: int = 0  # of what was returned, how much the entries so far tell

    @property
    def left(self) -> int:
        return self.total - self.returned

    def take(self, amount: int) -> int:
        """Return how much of an amount this part gives back: never more than is left of it."""
        taken = max(0, min(amount, self.left))
        self.returned += taken
        return taken


def _parts_of(order: Order) -> list[_Part]:
    """Return the lines, then the shipping where it cost anything or bore a tax."""
    lines = list(order.lines.all())
    parts = [
        _Part(
            str(line.id),
            to_minor(line.total, order.currency),
            [
                _tax(order, tax["type"], tax["name"], tax["rate"], tax.get("relief", ""), tax["base"], tax["amount"])
                for tax in line.taxes
            ],
        )
        for line in lines
    ]  # fmt: skip
    shipping = to_minor(order.grand_total, order.currency) - sum(part.total for part in parts)
    charge = Quote.from_json(order.quote).shipping if order.quote.get("shipping") else None
    taxes = [
        _tax(order, tax.type, tax.name, tax.rate, tax.relief, tax.base, tax.amount)
        for tax in (charge.taxes if charge else ())
    ]
    if shipping or taxes:
        parts.append(_Part(None, shipping, taxes))
    return parts


def _tax(
    order: Order,
    kind: str,
    name: str,
    rate: str | Decimal,
    relief: str,
    base: str | Decimal,
    amount: str | Decimal,
) -> tuple[TaxKey, int, int]:
    country, state = _place_of(order, kind, name, Decimal(rate))
    key = TaxKey(order.currency, country, state, kind, name, Decimal(rate).normalize(), relief)
    return key, to_minor(Decimal(base), order.currency), to_minor(Decimal(amount), order.currency)


def _place_of(order: Order, kind: str, name: str, rate: Decimal) -> tuple[str, str]:
    """
    Return whose tax it is: the place for which its rate was set, as the order keeps it.

    Of orders from before rules were kept, and of rates for everywhere, it is the place the goods went to.
    """
    address: Mapping[str, Any] = order.shipping_address or {}
    country = address.get("country") or ""
    for rule in order.quote.get("basis", {}).get("taxRates", ()):
        if (rule["type"], rule["name"], Decimal(rule["rate"])) == (kind, name, rate):
            return (country if rule["country"] == "*" else rule["country"]), rule["state"].upper()
    return country, (address.get("state") or "") if country in STATES else ""


def _shipping_share(order: Order, part: _Part, claimed: Decimal, price: Decimal) -> int:
    """Return what a part of the shipping price brings back with its tax, as `orders.services` asks it back."""
    net = order.shipping_total - order.shipping_discount
    if not net:
        return 0
    paid = from_minor(part.total, order.currency)

    def upto(amount: Decimal) -> Decimal:
        return quantize(paid * amount / net, order.currency)

    return to_minor(upto(claimed + price) - upto(claimed), order.currency)


def _spread(amount: int, parts: Sequence[_Part]) -> None:
    """Take an amount that belongs to no part in particular out of what is left of all of them."""
    weights = [part.left for part in parts]
    whole = sum(weights)
    if amount > 0 and whole > 0:
        for part, share in zip(parts, split_minor(min(amount, whole), weights), strict=True):
            part.take(share)


def _gone_back(order: Order, parts: Iterable[_Part], at: datetime) -> Iterator[TaxEntry]:
    for part in parts:
        if part.returned == part.told:
            continue
        for key, base, amount in part.taxes:
            gone = [
                _share(whole, part.returned, part.total) - _share(whole, part.told, part.total)
                for whole in (base, amount)
            ]
            if any(gone):
                yield _entry(order, key, at, REFUNDED, *gone)
        part.told = part.returned


def _share(whole: int, part: int, total: int) -> int:
    """Return whole × part / total, rounded half-up."""
    return (2 * whole * part + total) // (2 * total)


def _entry(order: Order, key: TaxKey, at: datetime, kind: str, base: int, amount: int) -> TaxEntry:
    return TaxEntry(
        key,
        order.id,
        order.number,
        at,
        kind,
        from_minor(base, order.currency),
        from_minor(amount, order.currency),
    )
