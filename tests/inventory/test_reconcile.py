"""Counters beside the books: each drift is found, told, and repaired only when asked."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from config.platform import invariants
from config.platform.actor import Actor
from config.platform.models import AuditEntry, JobRun, new_id
from inventory import services as inventory
from inventory import tasks
from inventory.errors import InsufficientStock, StockLevelNotFound
from inventory.models import Reservation, StockDrift, StockLevel, StockMovement
from inventory.services import Demand
from tests.factories import make_company, make_variant
from tests.plants import loosen, sql
from tests.threads import together

pytestmark = pytest.mark.django_db

MINE = ["I01", "I02", "I03", "I04"]


def sound() -> bool:
    checks = invariants.select(invariants.all_checks(), only=MINE)
    return all(result.holds for result in invariants.run(checks))


def hold(actor: Actor, variant: Any, units: int, now: datetime) -> None:
    inventory.reserve(
        actor=actor,
        cart_id=new_id(),
        demands=[Demand(new_id(), variant.id, units)],
        expires_at=now + timedelta(minutes=15),
        now=now,
    )


@pytest.fixture
def level(actor_guest: Actor, now: datetime) -> StockLevel:
    """Return a sound shelf: 10 units, 4 of them held."""
    variant = make_variant(available=10, sku="A", backorder_limit=5, inventory_policy="continue")
    hold(actor_guest, variant, 4, now)
    assert sound()
    assert inventory.find_drifts() == []
    return StockLevel.objects.get()


def figures() -> tuple[int, int, int, int]:
    found = StockLevel.objects.get()
    return found.available, found.reserved, found.total, found.backordered


PLANTED = {
    "more on the shelf than moved in": (
        "update inventory set available = 9, total = 13",
        [("total", 10, 13)],
    ),
    "less on the shelf than moved in": (
        "update inventory set available = 1, total = 5",
        [("total", 10, 5)],
    ),
    "held units nobody holds": (
        "update inventory set available = 3, reserved = 7",
        [("reserved", 4, 7)],
    ),
    "holds that are not counted": (
        "update inventory set available = 9, reserved = 1",
        [("reserved", 4, 1)],
    ),
    "units owed to nobody": ("update inventory set backordered = 3", [("backordered", 0, 3)]),
    "everything at once": (
        "update inventory set available = 2, reserved = 1, total = 3, backordered = 1",
        [("total", 10, 3), ("reserved", 4, 1), ("backordered", 0, 1)],
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_drift_is_reported_and_repaired_only_when_asked(
    level: StockLevel, now: datetime, name: str
) -> None:
    statement, expected = PLANTED[name]
    sql(statement)
    planted = figures()

    found = inventory.reconcile(now=now)

    assert [(d.kind, d.expected, d.actual) for d in found] == expected
    assert {(d.sku, d.warehouse, d.is_repaired) for d in found} == {("A", "MAIN", False)}
    assert figures() == planted
    assert StockDrift.objects.filter(closed_at=None).count() == len(expected)
    assert not AuditEntry.objects.filter(action="stock.reconciled").exists()

    repaired = inventory.repair_all(drifts=found, source="command", now=now)

    assert [(d.kind, d.is_repaired) for d in repaired] == [(kind, True) for kind, _, _ in expected]
    assert figures() == (6, 4, 10, 0)
    entry = AuditEntry.objects.get(action="stock.reconciled")
    assert (entry.object_id, entry.source) == (str(level.id), "command")
    assert set(entry.before) == set(entry.after) != set()
    assert not StockDrift.objects.filter(closed_at=None).exists()
    assert sound()
    assert inventory.find_drifts() == []


def test_a_broken_balance_is_restated_by_movements(level: StockLevel, now: datetime) -> None:
    StockMovement.objects.create(
        company=level.company,
        stock_level=level,
        variant=level.variant,
        type="ADJUSTMENT",
        quantity=2,
        balance=99,
        actor="system",
        source="test",
        created_at=now,
    )

    found = inventory.reconcile(now=now)
    assert [(d.kind, d.expected, d.actual) for d in found] == [
        ("total", 12, 10),
        ("balance", 12, 99),
    ]
    inventory.repair_all(drifts=found, source="command", now=now)

    assert figures() == (8, 4, 12, 0)
    assert list(StockMovement.objects.order_by("id").values_list("quantity", "balance"))[-2:] == [
        (1, 13),
        (-1, 12),
    ]
    assert sound()


def test_what_only_staff_can_decide_is_left_and_said(level: StockLevel, now: datetime) -> None:
    loosen("stock_transactions")
    sql("update stock_transactions set quantity = 3, balance = 3")
    [found] = inventory.reconcile(now=now)

    [left] = inventory.repair_all(drifts=[found], source="command", now=now)

    assert (left.is_repaired, figures()) == (False, (6, 4, 10, 0))
    assert "4 units are promised and movements leave 3" in left.outcome
    assert StockDrift.objects.get().closed_at is None
    assert StockDrift.objects.get().outcome == left.outcome


def test_it_looks_again_under_the_lock(level: StockLevel, now: datetime) -> None:
    sql("update inventory set available = 3, reserved = 7")
    found = inventory.reconcile(now=now)
    sql("update inventory set available = 6, reserved = 4")  # somebody else mended it

    assert inventory.repair_all(drifts=found, source="command", now=now) == []

    assert not AuditEntry.objects.filter(action="stock.reconciled").exists()
    row = StockDrift.objects.get()
    assert (row.closed_at, row.outcome) == (now, "No longer there.")


def test_a_finding_stays_one_row_and_closes_when_it_is_gone(
    level: StockLevel, now: datetime
) -> None:
    sql("update inventory set backordered = 2")
    inventory.reconcile(now=now)
    sql("update inventory set backordered = 3")
    inventory.reconcile(now=now + timedelta(minutes=15))
    row = StockDrift.objects.get()
    assert (row.actual, row.found_at, row.closed_at) == (3, now, None)

    sql("update inventory set backordered = 0")
    assert inventory.reconcile(now=now + timedelta(minutes=30)) == []

    row.refresh_from_db()
    assert row.closed_at == now + timedelta(minutes=30)


def test_a_shelf_of_another_company_is_not_found(level: StockLevel, now: datetime) -> None:
    stranger = Actor.system(make_company().id)

    with pytest.raises(StockLevelNotFound):
        inventory.repair(actor=stranger, stock_level_id=level.id, now=now)


def test_the_job_reports_and_repairs_nothing(level: StockLevel) -> None:
    sql("update inventory set available = 3, reserved = 7")

    tasks.reconcile_stock()

    assert figures() == (3, 7, 10, 0)
    run = JobRun.objects.get(name="inventory.reconcile_stock")
    assert (run.state, run.count) == ("done", 1)


def call(capsys: Any, *arguments: str) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile_stock", *arguments)
    return ended.value.code, capsys.readouterr().out


def test_the_command_says_what_differs_and_mends_it_with_fix(
    level: StockLevel, capsys: Any
) -> None:
    assert call(capsys) == (0, "0 counters differ, 0 were repaired.\n")
    sql("update inventory set available = 3, reserved = 7")

    code, text = call(capsys)
    assert code == 1
    assert "A in MAIN: reserved is 7, by the books 4." in text
    code, text = call(capsys, "--json")
    assert (code, json.loads(text)["drifts"][0]["expected"]) == (1, 4)
    assert figures() == (3, 7, 10, 0)

    code, text = call(capsys, "--fix")
    assert (code, figures()) == (0, (6, 4, 10, 0))
    assert "Repaired." in text
    assert call(capsys)[0] == 0


def test_the_command_tells_of_holds_whose_order_is_gone(
    actor_guest: Actor, now: datetime, capsys: Any
) -> None:
    demand = Demand(new_id(), make_variant(available=5).id, 1)
    inventory.assign(
        actor=actor_guest,
        cart_id=new_id(),
        order_id=new_id(),
        line_map={demand.line_id: new_id()},
        demands=[demand],
        expires_at=now + timedelta(hours=1),
        now=now,
    )
    given = Reservation.objects.get()
    inventory.confirm(
        actor=actor_guest,
        order_id=given.order_id,
        demands=[Demand(given.order_line_id, demand.variant_id, 1)],
        now=now,
    )

    code, text = call(capsys)

    assert code == 1
    assert "I07: 1 × not:" in text


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_run_during_sales_reports_no_drift_that_is_none(company: Any, now: datetime) -> None:
    variants = [make_variant(available=200) for _ in range(3)]
    over = threading.Event()
    false: list[Any] = []
    looks = []

    def look() -> None:
        try:
            while not over.is_set():
                false.extend(inventory.find_drifts())
                looks.append(1)
        finally:
            connections.close_all()

    watcher = threading.Thread(target=look)
    watcher.start()

    def sell(index: int) -> None:
        actor = Actor.system(company.id)
        for turn in range(12):
            variant = variants[(index + turn) % 3]
            line, order_line_id, order = new_id(), new_id(), new_id()
            demand = Demand(line, variant.id, 1 + turn % 3)
            try:
                inventory.reserve(
                    actor=actor,
                    cart_id=new_id(),
                    demands=[demand],
                    expires_at=now + timedelta(minutes=15),
                    now=now,
                )
                if turn % 3 == 0:
                    inventory.release(actor=actor, line_ids=[line], now=now)
                    continue
                inventory.assign(
                    actor=actor,
                    cart_id=new_id(),
                    order_id=order,
                    line_map={line: order_line_id},
                    demands=[demand],
                    expires_at=now + timedelta(minutes=15),
                    now=now,
                )
                inventory.confirm(
                    actor=actor,
                    order_id=order,
                    demands=[Demand(order_line_id, variant.id, demand.quantity)],
                    now=timezone.now(),
                )
            except InsufficientStock:
                pass

    try:
        together(6, sell)
    finally:
        over.set()
        watcher.join()

    assert StockMovement.objects.filter(type="SALE").count() == 48
    assert len(looks) >= 3
    assert false == []
    assert sound()
