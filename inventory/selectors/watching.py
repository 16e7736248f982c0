"""Is stock looked after? What the health report and the scraper ask, all of it on small indexes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from inventory.models import Reservation, Source
from inventory.selectors.analytics import OUTCOMES, first_key

# The sweep runs each minute and sales reclaim what they need: older ones say that it does not run (ALERT-15).
OVERDUE_AFTER = timedelta(minutes=2)
LAPSE_WINDOW = timedelta(hours=1)
LEAST_ENDED = 50  # holds; of fewer a share says nothing


@dataclass(frozen=True, slots=True)
class StockFigures:
    """`oversold` shelves have more promised than their movements leave. Seconds are those of the oldest overdue hold."""

    holds: int
    overdue: int
    overdue_seconds: float
    low: int
    out: int
    drift: int
    oversold: int
    waiting: int


_FIGURES = """
    SELECT (SELECT count(*) FROM stock_reservations WHERE status = 'ACTIVE'),
           (SELECT count(*) FROM stock_reservations WHERE status = 'ACTIVE' AND expires_at <= %(now)s),
           (SELECT min(expires_at) FROM stock_reservations WHERE status = 'ACTIVE'),
           (SELECT count(*) FROM inventory WHERE is_low),
           (SELECT count(*) FROM inventory WHERE is_low AND available = 0),
           (SELECT count(*) FROM stock_drifts WHERE closed_at IS NULL),
           (SELECT count(*) FROM stock_drifts d JOIN inventory s ON s.id = d.stock_level_id
             WHERE d.closed_at IS NULL AND d.kind = 'total' AND d.expected < s.reserved),
           (SELECT count(*) FROM stock_source_messages WHERE processed_at IS NULL AND dead_at IS NULL)
"""


def stock_figures(*, now: datetime) -> StockFigures:
    """Return the numbers of all companies: one statement; each part has a partial index of just its rows."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"now": now})
        holds, overdue, first_end, *rest = cursor.fetchone()
    late = (now - first_end).total_seconds() if first_end else 0.0
    return StockFigures(holds, overdue, max(late, 0.0), *rest)


def lapsed_share(*, now: datetime) -> float | None:
    """
    Return which share of the holds that began in the last hour and have ended ran out, of all companies.

    None where too few have ended to tell. One statement on the keys of that hour, which are ordered by time.
    """
    since = now - LAPSE_WINDOW
    ended = Reservation.objects.filter(
        id__gte=first_key(since), created_at__gte=since, created_at__lt=now
    ).aggregate(**OUTCOMES)
    return ended["expired"] / ended["ended"] if ended["ended"] >= LEAST_ENDED else None


_PROBLEMS = """
    SELECT (SELECT min(expires_at) FROM stock_reservations WHERE status = 'ACTIVE' {mine}),
           (SELECT count(*) FROM stock_drifts WHERE closed_at IS NULL {mine})
"""


def stock_problems(*, now: datetime, company_id: UUID | None = None) -> list[str]:
    """Return what is wrong with how stock is looked after, for people; nothing where all is well: two statements."""
    mine = "AND company_id = %(company)s" if company_id else ""
    with connection.cursor() as cursor:
        cursor.execute(_PROBLEMS.format(mine=mine), {"company": company_id})
        first_end, drift = cursor.fetchone()
    problems = []
    for feed in feeds(now=now, company_id=company_id):
        if feed.is_stale:
            problems.append(f"the feed {feed.slug} is {feed.state or 'not fetched'}: {feed.note}")
    if first_end is not None and now - first_end > OVERDUE_AFTER:
        problems.append(f"holds are overdue by {int((now - first_end).total_seconds())} s")
    if drift:
        problems.append(f"{drift} counters differ from their books")
    return problems


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed is. `age` is that of the last good fetch, or of the source where there was none yet."""

    slug: str
    state: str
    note: str
    age: timedelta
    is_stale: bool


def feeds(*, now: datetime, company_id: UUID | None = None) -> list[FeedState]:
    """Return the feeds that are fetched; stale is one without a good fetch for three turns: one statement."""
    sources = Source.objects.filter(is_active=True).exclude(feed_url="").order_by("slug")
    if company_id:
        sources = sources.filter(company_id=company_id)
    found = []
    for source in sources:
        age = max(now - (source.feed_good_at or source.created_at), timedelta(0))
        stale = age > 3 * timedelta(minutes=source.feed_minutes)
        found.append(FeedState(source.slug, source.feed_state, source.feed_note, age, stale))
    return found
