"""What is watched of stock: numbers for the scraper, and a check for readiness."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from config.platform import health, metrics
from config.platform.health import Health
from config.platform.metrics import Gauge
from inventory import selectors


@metrics.gauges
def stock(now: datetime) -> Iterable[Gauge]:
    """Yield holds, low stock, drift and messages that wait (MET-16, ALERT-15)."""
    found = selectors.stock_figures(now=now)
    yield Gauge("inventory_holds_active", {}, found.holds)
    yield Gauge("inventory_holds_overdue", {}, found.overdue)
    yield Gauge("inventory_holds_overdue_oldest_seconds", {}, found.overdue_seconds)
    yield Gauge("inventory_low_stock", {}, found.low)
    yield Gauge("inventory_out_of_stock", {}, found.out)
    yield Gauge("inventory_stock_drift", {}, found.drift)
    yield Gauge("inventory_oversold", {}, found.oversold)
    yield Gauge("inventory_messages_waiting", {}, found.waiting)


@metrics.gauges
def feeds(now: datetime) -> Iterable[Gauge]:
    """Yield how old each feed's last good fetch is, and whether it is refused or out of reach."""
    for feed in selectors.feeds(now=now):
        labels = {"source": feed.slug}
        yield Gauge("inventory_feed_age_seconds", labels, feed.age.total_seconds())
        yield Gauge("inventory_feed_refused", labels, feed.state == "refused")
        yield Gauge("inventory_feed_unreachable", labels, feed.state == "unreachable")


@health.check("stock")
def looked_after(now: datetime) -> Health:
    """Overdue holds come back, counters agree with their books, and feeds are fetched."""
    problems = selectors.stock_problems(now=now)
    return Health("degraded", "; ".join(problems)) if problems else Health("ok")
