"""What orders add up to: figures of a period for staff, and every order as rows of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.db import connection
from django.db.models import Count, QuerySet

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.sheets import guard, write_line
from inventory.models import Company
from orders.days import begin_of, end_of
from orders.models import Order
from pricing.money import EXPONENTS, format_amount, quantize

LONGEST = timedelta(days=1100)
ENDS = (date.min.year, date.max.year)
TOP = 10
Period = Literal["day", "week", "month"]

# Orders that were paid for. One that was only promised (manual capture) and then cancelled never was, nor is one whose
# money came after its end and went back: neither has refunds of its own.
_PAID = """o.confirmed_at IS NOT NULL AND NOT (
        o.status = 'cancelled' AND o.refunded_total = 0 AND o.payment_status IN ('cancelled', 'refunded'))"""
_SUMS = """
    count(*) AS orders,
    coalesce(sum(o.grand_total), 0) AS revenue,
    coalesce(sum(o.refunded_total), 0) AS refunded,
    count(*) FILTER (WHERE o.status = 'cancelled') AS cancelled,
    coalesce(sum(l.units), 0) AS units,
    coalesce(sum(l.returned), 0) AS returned_units,
    count(*) FILTER (WHERE l.returned > 0) AS returned
"""
_FROM = f"""
    FROM orders o CROSS JOIN LATERAL (
        SELECT sum(quantity) AS units, sum(returned_quantity) AS returned
          FROM order_items WHERE order_id = o.id
    ) l
    WHERE o.company_id = %(company)s AND o.currency = %(currency)s AND {_PAID}
      AND o.placed_at >= %(start)s AND o.placed_at < %(end)s
"""  # noqa: S608 - words of ours only
_TOP = f"""
    SELECT line.product_id, min(line.name), sum(line.quantity - line.cancelled_quantity) AS units,
           sum(line.total - line.refunded_amount) AS revenue
      FROM order_items line JOIN orders o ON o.id = line.order_id
     WHERE o.company_id = %(company)s AND o.currency = %(currency)s AND {_PAID}
       AND o.placed_at >= %(start)s AND o.placed_at < %(end)s
     GROUP BY line.product_id HAVING sum(line.quantity - line.cancelled_quantity) > 0
     ORDER BY revenue DESC, units DESC, line.product_id LIMIT %(top)s
"""  # noqa: S608 - words of ours only


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """
    Orders that were paid for, by the day they were placed, in one currency.

    `cancelled` counts those that were given up later; `returned` those of which anything came back.
    """

    orders: int
    units: int
    revenue: Decimal
    refunded: Decimal
    cancelled: int
    returned: int
    returned_units: int

    @property
    def net(self) -> Decimal:
        return self.revenue - self.refunded

    def average(self, currency: str) -> Decimal:
        """The mean total of an order, half up; nothing where there is none."""
        return quantize(self.revenue / self.orders, currency) if self.orders else Decimal(0)

    @property
    def cancellation_rate(self) -> Decimal:
        return _rate(self.cancelled, self.orders)

    @property
    def return_rate(self) -> Decimal:
        return _rate(self.returned, self.orders)


@dataclass(frozen=True, slots=True)
class PeriodSums:
    start: date
    sums: Sums


@dataclass(frozen=True, slots=True)
class TopProduct:
    product_id: UUID
    name: str
    units: int
    revenue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytics:
    first: date
    last: date
    period: Period
    currency: str
    currencies: list[str]
    totals: Sums
    periods: list[PeriodSums]
    top_products: list[TopProduct]
    by_status: dict[str, int]


def analytics(
    *,
    actor: Actor,
    first: date | None = None,
    last: date,
    period: Period = "day",
    currency: str = "",
) -> Analytics:
    """
    Return what the company's orders of a period came to: `first` and `last` are days in UTC, both included.

    Without `first` it is thirty days. Every day, week (from Monday) or month between them has its row, also one
    without orders. Without `currency` it is the company's. Five statements.

    :raises ValidationFailed: if the period ends before it begins, is longer than three years or at an end of the
        calendar, or if the currency is unknown
    """
    # A week or a month more than what is asked for is counted with: the calendar of computers has to have it.
    if last.year in ENDS:
        raise _refused("to", "invalid", "There is nothing to count then.")
    first = first or last - timedelta(days=29)
    if first.year in ENDS:
        raise _refused("from", "invalid", "There is nothing to count then.")
    if currency and currency not in EXPONENTS:
        raise _refused("currency", "invalid", "There is no such currency.")
    if last < first:
        raise _refused("to", "min_value", "This is before the first day.")
    if last - first > LONGEST:
        raise _refused("to", "max_value", "At most three years can be looked at in one call.")
    currency = currency or Company.objects.values_list("currency", flat=True).get(
        pk=actor.company_id
    )
    start, end = begin_of(first), end_of(last)
    values: dict[str, Any] = {
        "company": actor.company_id,
        "currency": currency,
        "start": start,
        "end": end,
        "period": period,
        "top": TOP,
    }
    placed = Order.objects.filter(
        company_id=actor.company_id, placed_at__gte=start, placed_at__lt=end
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT date_trunc(%(period)s, o.placed_at AT TIME ZONE 'UTC')::date AS start, {_SUMS} {_FROM} GROUP BY 1",
            values,
        )
        found = {row[0]: _sums(row[1:]) for row in cursor.fetchall()}
        cursor.execute(_TOP, values)
        top = [TopProduct(row[0], row[1], int(row[2]), row[3]) for row in cursor.fetchall()]
    statuses = dict.fromkeys(Order.Status.values, 0)
    statuses |= dict(placed.order_by().values_list("status").annotate(Count("pk")))
    return Analytics(
        first=first,
        last=last,
        period=period,
        currency=currency,
        currencies=sorted(
            set(placed.order_by().values_list("currency", flat=True).distinct()) | {currency}
        ),
        totals=_added(found.values()),
        periods=[
            PeriodSums(day, found.get(day, _added([]))) for day in _starts(first, last, period)
        ],
        top_products=top,
        by_status=statuses,
    )


COLUMNS = (
    "number", "placed_at", "status", "payment_status", "email", "name", "country", "currency", "units",
    "subtotal", "discount", "shipping", "tax", "total", "refunded", "shipping_option", "payment_method",
    "confirmed_at", "shipped_at", "delivered_at", "cancelled_at", "skus",
)  # fmt: skip
_CHUNK = 500


def export_lines(orders: QuerySet[Order]) -> Iterator[str]:
    """
    Yield orders as CSV (RFC 4180, UTF-8), oldest first: a header, then a record each.

    Read in pieces by key, so a file of any size needs the memory of one piece and no cursor that outlives a
    statement. No cell can be taken for a formula.
    """
    yield write_line(COLUMNS)
    last: tuple[datetime, UUID] | None = None
    orders = orders.order_by("placed_at", "id").prefetch_related(None).prefetch_related("lines")
    while True:
        rest = orders
        if last is not None:
            # A row comparison, spelt for the query builder: later, or at the same moment with a higher key.
            rest = orders.filter(placed_at__gte=last[0]).exclude(placed_at=last[0], id__lte=last[1])
        rows = list(rest[:_CHUNK])
        for order in rows:
            yield write_line([guard(cell) for cell in _cells(order)])
        if len(rows) < _CHUNK:
            return
        last = rows[-1].placed_at, rows[-1].id


def _cells(order: Order) -> list[str]:
    def money(amount: Decimal) -> str:
        return format_amount(amount, order.currency)

    def moment(value: datetime | None) -> str:
        return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    address: dict[str, Any] = order.shipping_address or {}
    lines = list(order.lines.all())
    return [
        order.number, moment(order.placed_at), order.status, order.payment_status, order.email,
        str(address.get("name", "")), str(address.get("country", "")), order.currency,
        str(sum(line.quantity for line in lines)),
        money(order.subtotal), money(order.discount_total), money(order.shipping_total), money(order.tax_total),
        money(order.grand_total), money(order.refunded_total), order.shipping_option, order.payment_method,
        moment(order.confirmed_at), moment(order.shipped_at), moment(order.delivered_at), moment(order.cancelled_at),
        " ".join(f"{line.quantity}x{line.sku}" for line in lines),
    ]  # fmt: skip


def _sums(row: Sequence[Any]) -> Sums:
    orders, revenue, refunded, cancelled, units, returned_units, returned = row
    return Sums(
        orders=orders,
        revenue=revenue,
        refunded=refunded,
        cancelled=cancelled,
        units=int(units),
        returned_units=int(returned_units),
        returned=returned,
    )


def _added(rows: Any) -> Sums:
    rows = list(rows)
    return Sums(
        orders=sum(row.orders for row in rows),
        units=sum(row.units for row in rows),
        revenue=sum((row.revenue for row in rows), Decimal(0)),
        refunded=sum((row.refunded for row in rows), Decimal(0)),
        cancelled=sum(row.cancelled for row in rows),
        returned=sum(row.returned for row in rows),
        returned_units=sum(row.returned_units for row in rows),
    )


def _starts(first: date, last: date, period: Period) -> Iterator[date]:
    day = first
    if period == "week":
        day = first - timedelta(days=first.weekday())
    elif period == "month":
        day = first.replace(day=1)
    while day <= last:
        yield day
        if period == "month":
            day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            day += timedelta(days=7 if period == "week" else 1)


def _rate(part: int, whole: int) -> Decimal:
    return (Decimal(part) / whole).quantize(Decimal("0.0001")) if whole else Decimal("0.0000")


def _refused(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])
