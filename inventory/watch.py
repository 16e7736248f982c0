"""What is watched of stock: numbers for the scraper, and a check for readiness."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from config.platform import alerts, health, metrics
from config.platform.alerts import Rule
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
def lapsing(now: datetime) -> Iterable[Gauge]:
    """Yield which share of the holds that began in the last hour and have ended ran out; nothing where they are few."""
    share = selectors.lapsed_share(now=now)
    if share is not None:
        yield Gauge("inventory_holds_lapsed_share", {}, share)


@metrics.gauges
def feeds(now: datetime) -> Iterable[Gauge]:
    """Yield how old each feed's last good fetch is, and whether it is refused or out of reach."""
    for feed in selectors.feeds(now=now):
        labels = {"source": feed.slug}
        yield Gauge("inventory_feed_age_seconds", labels, feed.age.total_seconds())
        yield Gauge("inventory_feed_refused", labels, feed.state == "refused")
        yield Gauge("inventory_feed_unreachable", labels, feed.state == "unreachable")
        yield Gauge("inventory_feed_stale", labels, feed.is_stale)


@health.check("stock")
def looked_after(now: datetime) -> Health:
    """Overdue holds come back, counters agree with their books, and feeds are fetched."""
    problems = selectors.stock_problems(now=now)
    return Health("degraded", "; ".join(problems)) if problems else Health("ok")


alerts.watch(
    Rule(
        name="stock_oversold",
        series="inventory_oversold",
        critical=0,
        title=_("More is promised than there is"),
        hint=_(
            "Stock drifts in the admin name the shelves. Count them, and tell the customers whose orders cannot be filled."
        ),
    ),
    Rule(
        name="stock_drift",
        series="inventory_stock_drift",
        warning=0,
        title=_("Counters of stock differ from their books"),
        hint=_(
            "Stock drifts in the admin show which; `manage.py reconcile_stock --fix` repairs them."
        ),
    ),
    Rule(
        name="holds_overdue",
        series="inventory_holds_overdue_oldest_seconds",
        warning=selectors.OVERDUE_AFTER.total_seconds(),
        critical=600,
        title=_("Stock is not released"),
        hint=_(
            "The sweep of holds is behind. Does a worker run? `manage.py release_holds` does it by hand."
        ),
    ),
    Rule(
        name="holds_lapse",
        series="inventory_holds_lapsed_share",
        warning=0.9,
        title=_("Nearly every hold runs out unused"),
        hint=_(
            "Is checkout broken, or does somebody fill carts to empty the shelves? Holds in the admin show who."
        ),
    ),
    Rule(
        name="feed_refused",
        series="inventory_feed_refused",
        warning=0,
        title=_("A stock feed was refused"),
        hint=_("Outside systems in the admin say why; the last good copy stays in force."),
    ),
    Rule(
        name="feed_stale",
        series="inventory_feed_stale",
        warning=0,
        title=_("A stock feed brings nothing"),
        hint=_("No good fetch for three turns. Outside systems in the admin say what happened."),
    ),
    Rule(
        name="messages_waiting",
        series="inventory_messages_waiting",
        warning=1_000,
        title=_("Messages about stock pile up"),
        hint=_("Messages from outside in the admin show the oldest. Does a worker run?"),
    ),
)
