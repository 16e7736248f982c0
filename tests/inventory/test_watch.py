"""Numbers of stock for the scraper, and whether the health report tells the truth."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from config.platform import health, limits, metrics
from config.platform.actor import Actor
from config.platform.models import new_id
from inventory import services as inventory
from inventory import tasks
from inventory.errors import HoldLimitExceeded, InsufficientStock
from inventory.models import StockLevel
from inventory.services import Demand, HoldLimits
from tests.conftest import Api
from tests.factories import make_variant
from tests.plants import sql

pytestmark = pytest.mark.django_db


def hold(actor: Actor, variant: Any, units: int, now: datetime, **more: Any) -> Any:
    return inventory.reserve(
        actor=actor,
        cart_id=new_id(),
        demands=[Demand(new_id(), variant.id, units)],
        expires_at=more.pop("until", now + timedelta(minutes=15)),
        now=now,
        **more,
    )


def numbers(now: datetime) -> dict[str, float]:
    rows = (line.rpartition(" ") for line in metrics.exposition(now=now).splitlines())
    return {name: float(value) for name, _, value in rows}


def test_holds_low_stock_and_drift_are_numbers(actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=5, reorder_level=3)
    before = numbers(now)
    hold(actor_guest, variant, 2, now)  # three are left: low
    hold(actor_guest, make_variant(available=1), 1, now, until=now + timedelta(seconds=1))
    later = now + timedelta(seconds=31)

    found = numbers(later)

    assert before["inventory_holds_active"] == before["inventory_low_stock"] == 0
    assert found["inventory_holds_active"] == 2
    assert found["inventory_holds_overdue"] == 1
    assert found["inventory_holds_overdue_oldest_seconds"] == 30
    assert (found["inventory_low_stock"], found["inventory_out_of_stock"]) == (2, 1)
    assert (found["inventory_stock_drift"], found["inventory_oversold"]) == (0, 0)


def test_an_oversold_shelf_is_told_apart_from_a_wrong_counter(
    actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5)
    hold(actor_guest, variant, 4, now)
    sql("update inventory set available = 3, total = 7")
    inventory.reconcile(now=now)
    found = numbers(now)
    assert (found["inventory_stock_drift"], found["inventory_oversold"]) == (1, 0)

    sql("update stock_drifts set expected = 3")  # four promised, three there
    assert numbers(now)["inventory_oversold"] == 1


def test_what_is_held_and_refused_is_counted_and_timed(actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=3)
    hold(actor_guest, variant, 2, now)
    with pytest.raises(InsufficientStock):
        hold(actor_guest, variant, 9, now)
    hold(actor_guest, variant, 9, now, all_or_none=False)
    with pytest.raises(HoldLimitExceeded):
        hold(actor_guest, variant, 1, now, limits=HoldLimits(units_per_customer=1))

    found = numbers(now)

    assert found["inventory_holds_taken_total"] == 1
    assert found['inventory_hold_failures_total{reason="stock"}'] == 2
    assert found['inventory_hold_failures_total{reason="limit"}'] == 1
    assert found["inventory_hold_duration_seconds_count"] == 4
    assert found['inventory_hold_duration_seconds_bucket{le="+Inf"}'] == 4


def test_expired_holds_are_counted_by_who_took_them_back(actor_guest: Actor, now: datetime) -> None:
    swept, sold = make_variant(available=1), make_variant(available=1)
    then = now - timedelta(hours=1)
    for variant in (swept, sold):
        hold(actor_guest, variant, 1, then, until=then + timedelta(minutes=1))
    hold(actor_guest, sold, 1, now)

    tasks.release_expired_holds()

    found = numbers(now)
    assert found['inventory_holds_expired_total{by="sale"}'] == 1
    assert found['inventory_holds_expired_total{by="sweep"}'] == 1
    assert found['job_items_total{job="inventory.release_expired_holds"}'] == 1
    assert found['job_runs_total{job="inventory.release_expired_holds",state="done"}'] == 1


def test_nothing_is_sent_while_locks_are_held(
    actor_guest: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_flushed_at", 0.0)
    monkeypatch.setattr(limits, "client", lambda: pytest.fail("asked Redis in a transaction"))

    hold(actor_guest, make_variant(available=1), 1, now)  # a test is one transaction


def test_a_scrape_asks_once_for_stock_however_much_there_is(
    actor_guest: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    from inventory import watch

    for _ in range(5):
        hold(actor_guest, make_variant(available=1), 1, now)

    with django_assert_num_queries(1):
        assert len(list(watch.stock(now))) == 8


def test_the_health_report_tells_of_holds_that_do_not_come_back_and_of_drift(
    api: Api, staff_api: Api, actor_guest: Actor, now: datetime
) -> None:
    hold(actor_guest, make_variant(available=1), 1, now, until=now - timedelta(minutes=3))

    assert api.get("/products/health").json() == {"status": "degraded"}
    found = staff_api.get("/products/health").json()
    assert (found["status"], found["overdueHolds"]) == ("degraded", 1)
    assert found["problems"][0].startswith("holds are overdue by 18")
    assert health.readiness(now=now)["checks"]["stock"]["status"] == "degraded"

    tasks.release_expired_holds()
    assert api.get("/products/health").json() == {"status": "ok"}

    StockLevel.objects.update(available=7, total=7)
    inventory.reconcile(now=now)
    assert staff_api.get("/products/health").json()["problems"] == [
        "1 counters differ from their books"
    ]
