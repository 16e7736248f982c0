"""
How stock moves: turnover, cover, holds that ran out (INV-19, ADM-15).

A window is the last `days` before `now`, half-open. Every figure is of one company and in units; definitions stand at the
figures. Rows of a window are found by their key, which is ordered by time, so no index is kept for reports
alone: an index on a date would cost every sale something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, TruncDate

from config.platform.actor import Actor
from inventory.models import Reservation, StockLevel, StockMovement

DAYS = 30

# How long a shelf lasts, as (name, from, below) in days. `none` lies empty, `still` has goods of which none sold.
COVER_BANDS: tuple[tuple[str, int, int | None], ...] = (
    ("week", 0, 7),
    ("fortnight", 7, 14),
    ("month", 14, 30),
    ("quarter", 30, 90),
    ("long", 90, None),
)

# Clocks of two machines differ, and a row is keyed a moment after its time was read.
_SLACK = timedelta(hours=1)


def first_key(at: datetime) -> UUID:
    """Return the lowest key that a row written at `at` can have: keys begin with milliseconds (RFC 9562, version 7)."""
    return UUID(int=int((at - _SLACK).timestamp() * 1000) << 80)


@dataclass(frozen=True, slots=True)
class StockAnalytics:
    """
    How stock moved in the last `days` (INV-19). Rates are whole percent.

    `reserved_percent`: of the units on the shelves now, how many are held. `expired_hold_percent`: of the holds that began in
    the window and have ended, how many ran out instead of being sold or let go. `turnover_percent`: units sold in the window
    by the average of what lay there at its two ends, 100 being "sold once over". `days_of_cover`: how long the shelves last
    if as much is sold each day as in the window; None where nothing sold.
    """

    days: int
    units_on_shelf: int
    units_reserved: int
    units_owed: int
    units_sold: int
    units_returned: int
    reserved_percent: int
    expired_hold_percent: int
    turnover_percent: int
    days_of_cover: int | None


def stock_analytics(*, actor: Actor, now: datetime, days: int = DAYS) -> StockAnalytics:
    """Return turnover, reserved share, expired-hold rate and days of cover over the last `days`: three statements."""
    since = now - timedelta(days=days)
    shelves = StockLevel.objects.filter(company_id=actor.company_id).aggregate(
        total=Coalesce(Sum("total"), 0),
        reserved=Coalesce(Sum("reserved"), 0),
        owed=Coalesce(Sum("backordered"), 0),
    )
    moved = StockMovement.objects.filter(
        company_id=actor.company_id,
        id__gte=first_key(since),
        created_at__gte=since,
        created_at__lt=now,
    ).aggregate(
        sold=Coalesce(-Sum("quantity", filter=Q(type=StockMovement.Type.SALE)), 0),
        returned=Coalesce(Sum("quantity", filter=Q(type=StockMovement.Type.RETURN)), 0),
        net=Coalesce(Sum("quantity"), 0),
    )
    ended = _holds_begun(actor, since, now).aggregate(**OUTCOMES)
    total, sold = shelves["total"], moved["sold"]
    return StockAnalytics(
        days=days,
        units_on_shelf=total,
        units_reserved=shelves["reserved"],
        units_owed=shelves["owed"],
        units_sold=sold,
        units_returned=moved["returned"],
        reserved_percent=percent(shelves["reserved"], total),
        expired_hold_percent=percent(ended["expired"], ended["ended"]),
        turnover_percent=turnover(sold, total, moved["net"]),
        days_of_cover=cover(total, sold, days),
    )


def percent(part: int, whole: int) -> int:
    """Return a whole percentage; 0 of nothing."""
    return round(100 * part / whole) if whole else 0


def turnover(sold: int, total: int, net: int) -> int:
    """
    Return units sold by the average stock, in percent: stock turnover as retailers reckon it, in units.

    `net` is the sum of all movements in the window, so that the stock at its beginning was `total - net`.
    """
    return percent(2 * sold, total + total - net)


def cover(total: int, sold: int, days: int) -> int | None:
    """Return how many whole days `total` units last at the pace of `sold` units in `days`; None where nothing sold."""
    return total * days // sold if sold > 0 else None


OUTCOMES = {
    "ended": Count("id", filter=~Q(status=Reservation.Status.ACTIVE)),
    "expired": Count("id", filter=Q(status=Reservation.Status.EXPIRED)),
}


def _holds_begun(actor: Actor, since: datetime, now: datetime) -> Any:
    return Reservation.objects.filter(
        company_id=actor.company_id,
        id__gte=first_key(since),
        created_at__gte=since,
        created_at__lt=now,
    )


def sold_units(*, stock_level_ids: list[UUID], now: datetime, days: int = DAYS) -> dict[UUID, int]:
    """Return the units that each of these shelves sold in the last `days`; one that sold none is absent. One statement."""
    rows = (
        StockMovement.objects.filter(
            stock_level__in=stock_level_ids,
            type=StockMovement.Type.SALE,
            created_at__gte=now - timedelta(days=days),
            created_at__lt=now,
        )
        .order_by()
        .values_list("stock_level_id")
        .annotate(units=-Sum("quantity"))
    )
    return dict(rows)


# --- the whole stock at a glance --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Band:
    """So many shelves last as long as the band `name` says: one of COVER_BANDS, `still` or `none`."""

    name: str
    shelves: int


@dataclass(frozen=True, slots=True)
class CategoryTurnover:
    """What a category sold in the window; None is goods without one."""

    category_id: UUID | None
    units: int
    sold: int
    turnover_percent: int


@dataclass(frozen=True, slots=True)
class HoldDay:
    """Holds that began on a day and have ended, and how many of them ran out."""

    day: date
    ended: int
    expired: int

    @property
    def percent(self) -> int:
        return percent(self.expired, self.ended)


@dataclass(frozen=True, slots=True)
class StockOverview:
    """The stock of goods on sale in open warehouses, and the outcome of holds by day."""

    days: int
    units: int
    held: int
    owed: int
    sold: int
    shelves: int
    out: int
    cover: tuple[Band, ...]
    categories: tuple[CategoryTurnover, ...]
    holds: tuple[HoldDay, ...]

    @property
    def ended(self) -> int:
        return sum(day.ended for day in self.holds)

    @property
    def expired(self) -> int:
        return sum(day.expired for day in self.holds)


_NAMED = re.compile(r"%\((\w+)\)s")  # the ORM takes values by place, not by name
_BAND = (
    "CASE WHEN s.total = 0 THEN 'none' WHEN s.sold = 0 THEN 'still' "
    + " ".join(
        f"WHEN s.total::bigint * %(days)s < {below} * s.sold THEN '{name}'"
        for name, _, below in COVER_BANDS
        if below
    )
    + f" ELSE '{COVER_BANDS[-1][0]}' END"
)
_SHELVES = """
    WITH moved AS (
        SELECT m.stock_level_id, -sum(m.quantity) FILTER (WHERE m.type = 'SALE') AS sold, sum(m.quantity) AS net
          FROM stock_transactions m
         WHERE m.company_id = %(company)s AND m.id >= %(key)s
           AND m.created_at >= %(since)s AND m.created_at < %(now)s
         GROUP BY m.stock_level_id),
    s AS (
        SELECT i.id, p.category_id, i.total, i.available, i.reserved, i.backordered,
               coalesce(m.sold, 0) AS sold, coalesce(m.net, 0) AS net
          FROM inventory i
          JOIN variants v ON v.id = i.variant_id AND v.is_active
          JOIN products p ON p.id = v.product_id AND p.status = 'active'
          JOIN warehouses w ON w.id = i.warehouse_id AND w.is_active
          LEFT JOIN moved m ON m.stock_level_id = i.id
         WHERE i.company_id = %(company)s)
"""


def stock_overview(*, actor: Actor, now: datetime, days: int = DAYS) -> StockOverview:
    """Return the figures of the stock dashboard over the last `days`: two statements, whatever the number of shelves."""
    values = _values(actor, now, days)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            {_SHELVES}
            SELECT s.category_id, {_BAND}, count(*), sum(s.total), sum(s.sold), sum(s.net),
                   sum(s.reserved), sum(s.backordered), count(*) FILTER (WHERE s.available = 0)
              FROM s GROUP BY 1, 2
            """,  # noqa: S608  (no value in it)
            values,
        )
        rows = [(row[0], row[1], *map(int, row[2:])) for row in cursor.fetchall()]
    bands = dict.fromkeys(("none", *(name for name, _, _ in COVER_BANDS), "still"), 0)
    categories: dict[UUID | None, list[int]] = {}
    for category_id, band, shelves, units, sold, net, *_ in rows:
        bands[band] += shelves
        sums = categories.setdefault(category_id, [0, 0, 0])
        for place, number in enumerate((units, sold, net)):
            sums[place] += number
    outcomes = {
        row["day"]: row
        for row in _holds_begun(actor, now - timedelta(days=days), now)
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values("day")
        .annotate(**OUTCOMES)
    }
    first = (now - timedelta(days=days - 1)).date()
    calendar = [first + timedelta(days=number) for number in range(days)]
    return StockOverview(
        days=days,
        units=sum(row[3] for row in rows),
        held=sum(row[6] for row in rows),
        owed=sum(row[7] for row in rows),
        sold=sum(row[4] for row in rows),
        shelves=sum(row[2] for row in rows),
        out=sum(row[8] for row in rows),
        cover=tuple(Band(name, shelves) for name, shelves in bands.items()),
        categories=tuple(
            sorted(
                (
                    CategoryTurnover(category_id, units, sold, turnover(sold, units, net))
                    for category_id, (units, sold, net) in categories.items()
                ),
                key=lambda row: (-row.turnover_percent, -row.sold),
            )
        ),
        holds=tuple(
            HoldDay(day, outcomes[day]["ended"], outcomes[day]["expired"])
            if day in outcomes
            else HoldDay(day, 0, 0)
            for day in calendar
        ),
    )


def shelves_of_cover(*, actor: Actor, band: str, now: datetime, days: int = DAYS) -> RawSQL:
    """Return the ids of the shelves in a band of the dashboard, for `filter(pk__in=…)`."""
    values = _values(actor, now, days)
    sql = f"({_SHELVES} SELECT s.id FROM s WHERE {_BAND} = %(band)s)"  # noqa: S608
    values["band"] = band
    return RawSQL(_NAMED.sub("%s", sql), [values[name] for name in _NAMED.findall(sql)])  # noqa: S611


def _values(actor: Actor, now: datetime, days: int) -> dict[str, Any]:
    since = now - timedelta(days=days)
    return {
        "company": actor.company_id,
        "since": since,
        "key": first_key(since),
        "now": now,
        "days": days,
    }
