"""Goods on the move while others move and sell them. See `test_stock` for how a race and its control belong together."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import pytest
from django.db import OperationalError
from django.db.models import Sum

from config.platform.actor import Actor, ActorKind
from config.platform.models import new_id
from inventory import services as inventory
from inventory.errors import HoldFailed, InsufficientStock, StockBelowHolds
from inventory.models import Company, StockLevel, StockMovement
from inventory.services import Demand, ShelfUnits, books
from tests.concurrency.test_stock import QUARTER, buy, guest, sound
from tests.concurrency.unlocked import without_lock
from tests.factories import make_stock, make_variant, make_warehouse
from tests.threads import together

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def clerk(company: Company) -> Actor:
    return Actor(kind=ActorKind.SYSTEM, company_id=company.id)


def shelves(company: Company, units: int) -> list[StockLevel]:
    """Return two SKUs on two shelves each: MAIN and EAST of the one, then of the other."""
    east = make_warehouse(code="EAST", priority=2)
    made = []
    for _ in range(2):
        variant = make_variant(available=units)
        made += [variant.stock_levels.get(), make_stock(variant, units, warehouse=east)]
    return made


def opposite_transfers(company: Company, levels: list[StockLevel], now: datetime) -> list[str]:
    """Move units both ways at once, naming the SKUs in opposite orders; return what went wrong."""
    here, there = [levels[0], levels[2]], [levels[3], levels[1]]

    def carry(index: int) -> list[str]:
        failures = []
        sources, target = (here, "EAST") if index % 2 else (there, "MAIN")
        for _ in range(10):
            try:
                inventory.transfer(
                    actor=clerk(company),
                    lines=[ShelfUnits(level.id, 1) for level in sources],
                    warehouse=target,
                    now=now,
                )
            except OperationalError as failure:
                failures.append(str(failure))
        return failures

    return [failure for failures in together(6, carry) for failure in failures]


def test_opposite_transfers_wait_for_each_other_and_lose_nothing(
    company: Company, now: datetime
) -> None:
    levels = shelves(company, 100)

    assert opposite_transfers(company, levels, now) == []

    assert StockLevel.objects.aggregate(units=Sum("total"))["units"] == 400
    moved = StockMovement.objects.filter(reference__startswith="transfer ")
    assert moved.count() == 6 * 10 * 2 * 2
    assert moved.aggregate(units=Sum("quantity"))["units"] == 0
    assert sound()


def test_the_same_without_the_lock_loses_units(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LOCK", without_lock())

    levels = shelves(company, 100)
    for _ in range(20):  # one round may be lucky
        opposite_transfers(company, levels, now)
        if not sound():
            return
    pytest.fail("without the lock nothing was lost: the test above proves nothing")


def test_a_transfer_while_selling_never_sells_a_unit_twice(company: Company, now: datetime) -> None:
    units = 40
    variant = make_variant(available=units)
    east = make_warehouse(code="EAST", priority=2)
    main, other = variant.stock_levels.get(), make_stock(variant, 0, warehouse=east)

    def work(index: int) -> int:
        if index < 8:
            return sum(buy(guest(company), variant, now) for _ in range(10))
        source, target = (main, "EAST") if index % 2 else (other, "MAIN")
        for _ in range(10):
            with suppress(StockBelowHolds):
                inventory.transfer(
                    actor=clerk(company),
                    lines=[ShelfUnits(source.id, 3)],
                    warehouse=target,
                    now=now,
                )
        return 0

    sold = sum(together(12, work))

    left = StockLevel.objects.aggregate(units=Sum("total"))["units"]
    sales = StockMovement.objects.filter(type="SALE").aggregate(units=Sum("quantity"))["units"]
    assert (sold, -sales) == (sold, sold)
    assert sold + left == units
    assert sold > 0
    assert sound()


def test_two_first_transfers_to_a_warehouse_share_the_new_shelf(
    company: Company, now: datetime
) -> None:
    variant = make_variant(available=20)
    level = variant.stock_levels.get()
    make_warehouse(code="EAST")

    together(
        4,
        lambda _: inventory.transfer(
            actor=clerk(company), lines=[ShelfUnits(level.id, 2)], warehouse="EAST", now=now
        ),
    )

    assert variant.stock_levels.get(warehouse__code="EAST").total == 8
    assert sound()


def test_damage_and_buyers_after_the_same_units(company: Company, now: datetime) -> None:
    variant = make_variant(available=20)
    level = variant.stock_levels.get()

    def work(index: int) -> tuple[int, int]:
        held = lost = 0
        for _ in range(5):
            if index % 2:
                with suppress(InsufficientStock, HoldFailed):
                    inventory.reserve(
                        actor=guest(company),
                        cart_id=new_id(),
                        demands=[Demand(new_id(), variant.id, 1)],
                        expires_at=now + QUARTER,
                        now=now,
                    )
                    held += 1
            else:
                with suppress(StockBelowHolds):
                    inventory.write_off(
                        actor=clerk(company), lines=[ShelfUnits(level.id, 1)], now=now
                    )
                    lost += 1
        return held, lost

    outcomes = together(8, work)

    assert sum(held + lost for held, lost in outcomes) == 20
    level.refresh_from_db()
    assert (level.available, level.reserved) == (0, sum(held for held, _ in outcomes))
    assert sound()
