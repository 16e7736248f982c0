"""
Everybody after the same units, in several processes, while a watcher checks the invariants each second.

Every scenario also runs without the lock, or without its order, and then has to break what it is there to prove.
`STORM_SEEDS=20` runs the sale of 50 units with so many seeds instead of one.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from config.platform import invariants
from config.platform.actor import Actor
from config.platform.models import new_id
from inventory import services as inventory
from inventory.models import Company, Reservation, StockLevel, StockMovement, Variant
from inventory.services import Demand
from tests.concurrency.crowd import PROCESSES, THREADS, Call, Crowd
from tests.factories import default_warehouse, make_stock, make_variant, make_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SEEDS = range(int(os.environ.get("STORM_SEEDS", "1")))
REFUSED = {"ITEM_OUT_OF_STOCK", "INVENTORY_HOLD_FAILED"}


@pytest.fixture(scope="module")
def processes(django_db_setup: None) -> Iterator[Crowd]:
    crowd = Crowd(connection.settings_dict["NAME"])
    yield crowd
    crowd.close()


@pytest.fixture
def crowd(processes: Crowd, company: Company) -> Crowd:
    return processes


def lines(*wanted: tuple[Variant, int]) -> list[tuple[str, str, int]]:
    return [(str(new_id()), str(variant.id), quantity) for variant, quantity in wanted]


def at(company: Company | None = None, **more: Any) -> dict[str, Any]:
    found = {"at": timezone.now().isoformat(), **more}
    return {"company": str(company.id), **found} if company else found


def buyers(company: Company, *wanted: list[tuple[Variant, int]]) -> list[Call]:
    return [("buy", at(company, lines=lines(*each))) for each in wanted]


def broken() -> set[str]:
    """Return which invariants of stock do not hold now."""
    checks = invariants.select(invariants.all_checks(), only=["I01", "I02", "I03", "I04", "I08"])
    return {found.check.id for found in invariants.run(checks) if not found.holds}


def broken_shelves() -> int:
    """Return how many shelves do not hold what their holds say."""
    [found] = invariants.run(invariants.select(invariants.all_checks(), only=["I02"]))
    return found.count


def sold(variant: Variant | None = None) -> int:
    movements = StockMovement.objects.filter(type=StockMovement.Type.SALE)
    if variant is not None:
        movements = movements.filter(variant=variant)
    return -int(movements.aggregate(units=Sum("quantity"))["units"] or 0)


def only_words(outcomes: list[str], words: set[str]) -> Counter[str]:
    counted = Counter(outcomes)
    assert set(counted) <= words, counted
    return counted


# --- scenarios: what happens, without what must come of it ----------------------------------------


def fifty_for_two_hundred(company: Company, seed: int = 0) -> tuple[list[Call], Variant]:
    dice = random.Random(seed)
    variant = make_variant(available=50)
    calls = buyers(company, *[[(variant, 1)]] * 200)
    for _, arguments in calls:
        arguments["pause"] = dice.choice([0, 0, dice.random() / 100])
    return calls, variant


def mixed_quantities(company: Company) -> tuple[list[Call], Variant]:
    dice = random.Random(5)
    variant = make_variant(available=100)
    return buyers(company, *([(variant, dice.randint(1, 5))] for _ in range(90))), variant


def random_carts(company: Company) -> list[Call]:
    dice = random.Random(6)
    variants = [make_variant(available=dice.choice([15, 400])) for _ in range(12)]
    return buyers(
        company,
        *(
            [(variant, dice.randint(1, 2)) for variant in dice.sample(variants, dice.randint(2, 6))]
            for _ in range(100)
        ),
    )


def two_lines_of_one_cart(company: Company) -> tuple[list[Call], Variant]:
    variant = make_variant(available=52)
    return buyers(company, *[[(variant, 2), (variant, 3)]] * 60), variant


def two_bundles_sharing_a_part(company: Company) -> tuple[list[Call], Variant]:
    part, first, second = (
        make_variant(available=31),
        make_variant(available=900),
        make_variant(available=900),
    )
    bundles = [(first, 1), (part, 1), (second, 1), (part, 2)]
    return buyers(company, *[bundles] * 60), part


def expiring_while_paid(company: Company) -> tuple[list[Call], Variant]:
    """Fifty orders whose hold just ran out are paid, while two sweeps return their units and fifty rivals want them."""
    variant = make_variant(available=50)
    now = timezone.now()
    payments: list[Call] = []
    for _ in range(50):
        line, order_line, order = new_id(), new_id(), new_id()
        inventory.assign(
            actor=Actor.system(company.id),
            cart_id=new_id(),
            order_id=order,
            line_map={line: order_line},
            demands=[Demand(line, variant.id, 1)],
            expires_at=now - timedelta(seconds=1),
            now=now - timedelta(minutes=15),
        )
        payments.append(
            ("pay", at(company, order=str(order), lines=[(str(order_line), str(variant.id), 1)]))
        )
    calls = payments + buyers(company, *[[(variant, 1)]] * 50)
    random.Random(7).shuffle(calls)
    return [("sweep", at()), ("sweep", at()), *calls], variant


def staff_lowering_stock(company: Company) -> tuple[list[Call], Variant]:
    variant = make_variant(available=100)
    level = str(StockLevel.objects.get(variant=variant).id)
    calls = buyers(company, *([(variant, 1 + number % 3)] for number in range(60)))
    calls += [("adjust", at(company, level=level, quantity=-5)) for _ in range(15)]
    random.Random(8).shuffle(calls)
    return calls, variant


def transfers_while_selling(company: Company) -> tuple[list[Call], Variant]:
    near, far = default_warehouse(company), make_warehouse(priority=200)
    variant = make_variant(available=60, warehouse=near)
    there = make_stock(variant, 60, warehouse=far)
    here = StockLevel.objects.get(variant=variant, warehouse=near)
    calls = buyers(company, *([(variant, 1 + number % 3)] for number in range(60)))
    for _ in range(15):
        calls.append(("transfer", at(company, level=str(here.id), quantity=5, warehouse=far.code)))
        calls.append(
            ("transfer", at(company, level=str(there.id), quantity=4, warehouse=near.code))
        )
    random.Random(9).shuffle(calls)
    return calls, variant


# --- what must come of them -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fifty_units_are_sold_to_fifty_of_two_hundred(
    crowd: Crowd, company: Company, seed: int
) -> None:
    calls, variant = fifty_for_two_hundred(company, seed)

    with crowd.watched():
        outcomes = crowd.act(calls)

    assert only_words(outcomes, {"bought", *REFUSED})["bought"] == 50
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved, level.total, sold()) == (0, 0, 0, 50)


def test_mixed_quantities_sell_all_that_fits(crowd: Crowd, company: Company) -> None:
    calls, variant = mixed_quantities(company)

    with crowd.watched():
        outcomes = crowd.act(calls)

    only_words(outcomes, {"bought", *REFUSED})
    units = [arguments["lines"][0][2] for _, arguments in calls]
    level = StockLevel.objects.get(variant=variant)
    bought = sum(n for n, outcome in zip(units, outcomes, strict=True) if outcome == "bought")
    refused = [n for n, outcome in zip(units, outcomes, strict=True) if outcome != "bought"]
    assert (level.available, level.reserved, sold()) == (100 - bought, 0, bought)
    assert level.available < min(refused)  # nobody was refused what was left


def test_carts_in_random_order_never_deadlock_and_are_all_or_none(
    crowd: Crowd, company: Company
) -> None:
    calls = random_carts(company)

    with crowd.watched():
        outcomes = crowd.act(calls)

    counted = only_words(outcomes, {"bought", *REFUSED})  # a deadlock would be another word
    assert counted["bought"] > 10
    assert sum(counted.values()) - counted["bought"] > 10
    wanted = {
        line: outcome
        for (_, arguments), outcome in zip(calls, outcomes, strict=True)
        for line, _, _ in arguments["lines"]
    }
    kept = {
        str(line)
        for line in Reservation.objects.filter(status__in=["ACTIVE", "COMPLETED"]).values_list(
            "line_id", flat=True
        )
    }
    assert kept == {line for line, outcome in wanted.items() if outcome == "bought"}


def test_carts_without_the_order_of_locks_do_deadlock(crowd: Crowd, company: Company) -> None:
    one_each = PROCESSES * THREADS
    outcomes = crowd.act(random_carts(company)[:one_each], without="order")

    assert any("deadlock" in outcome for outcome in outcomes), Counter(outcomes)
    assert broken() == set()  # a deadlock costs time, never units


@pytest.mark.parametrize(
    ("scenario", "served"), [(two_lines_of_one_cart, 10), (two_bundles_sharing_a_part, 10)]
)
def test_demand_for_one_sku_is_summed_over_lines_and_bundles(
    crowd: Crowd, company: Company, scenario: Callable[[Company], Any], served: int
) -> None:
    calls, variant = scenario(company)
    stock = StockLevel.objects.get(variant=variant)

    with crowd.watched():
        outcomes = crowd.act(calls)

    assert only_words(outcomes, {"bought", *REFUSED})["bought"] == served
    left = StockLevel.objects.get(variant=variant)
    per_cart = sum(n for _, sku, n in calls[0][1]["lines"] if sku == str(variant.id))
    assert (left.available, left.reserved) == (stock.available - served * per_cart, 0)
    assert sold(variant) == served * per_cart


def test_units_are_returned_or_paid_for_never_both(crowd: Crowd, company: Company) -> None:
    calls, variant = expiring_while_paid(company)

    with crowd.watched():
        outcomes = crowd.act(calls)

    counted = Counter(outcomes[2:])
    assert set(counted) <= {"paid", "bought", *REFUSED}, counted
    assert counted["paid"] + counted["bought"] == 50
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved, level.total, sold()) == (0, 0, 0, 50)
    per_line = StockMovement.objects.filter(type="SALE").values_list("order_line_id", flat=True)
    assert len(per_line) == len(set(per_line)) == 50


def test_staff_never_take_away_what_is_promised(crowd: Crowd, company: Company) -> None:
    calls, variant = staff_lowering_stock(company)

    with crowd.watched():
        outcomes = crowd.act(calls)

    counted = only_words(outcomes, {"bought", "adjusted", "STOCK_BELOW_HOLDS", *REFUSED})
    level = StockLevel.objects.get(variant=variant)
    assert level.total == level.available == 100 - sold() - 5 * counted["adjusted"]
    assert counted["bought"] > 10


def test_units_on_the_move_are_sold_once(crowd: Crowd, company: Company) -> None:
    calls, variant = transfers_while_selling(company)

    with crowd.watched():
        outcomes = crowd.act(calls)

    counted = only_words(outcomes, {"bought", "transferred", "STOCK_BELOW_HOLDS", *REFUSED})
    levels = StockLevel.objects.filter(variant=variant)
    assert sum(level.total for level in levels) == 120 - sold()
    assert all(level.reserved == 0 for level in levels)
    assert counted["transferred"] > 0
    assert counted["bought"] > 10


def test_without_the_lock_each_of_them_breaks(crowd: Crowd, company: Company) -> None:
    spoilt = 0
    for scenario in (
        fifty_for_two_hundred,
        mixed_quantities,
        two_lines_of_one_cart,
        two_bundles_sharing_a_part,
        expiring_while_paid,
        staff_lowering_stock,
        transfers_while_selling,
    ):
        calls, _ = scenario(company)

        crowd.act(calls, without="lock")

        before, spoilt = spoilt, broken_shelves()
        assert spoilt > before, f"{scenario.__name__} would also pass without the lock"
