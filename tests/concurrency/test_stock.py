"""
Many at once on the same shelf, in threads with connections of their own.

Each race has a control that runs the same buyers without the lock: if the control does not fail, the race proves
nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Sum

from config.platform import invariants
from config.platform.actor import Actor, ActorKind
from config.platform.models import new_id
from inventory import services as inventory
from inventory.errors import HoldFailed, InsufficientStock
from inventory.models import (
    BackInStockRequest,
    Company,
    Reservation,
    StockLevel,
    StockMovement,
    Variant,
)
from inventory.services import Demand, Shortage, books
from tests.concurrency.unlocked import without_lock
from tests.factories import make_variant
from tests.threads import together

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

QUARTER = timedelta(minutes=15)
BUYERS, UNITS = 200, 50


def guest(company: Company) -> Actor:
    return Actor(kind=ActorKind.GUEST, company_id=company.id, session_hash=new_id().bytes * 2)


def sound(*more: str) -> bool:
    """Return whether everything that must be true of stock is."""
    checks = invariants.select(invariants.all_checks(), only=["I01", "I02", "I03", "I04", *more])
    return all(result.holds for result in invariants.run(checks))


def buy(actor: Actor, variant: Variant, now: datetime, quantity: int = 1) -> bool:
    """Hold, order and pay, each in a transaction of its own; return whether the buyer got the units."""
    cart_id, line_id, order_id, order_line_id = (new_id() for _ in range(4))
    demand = Demand(line_id, variant.id, quantity)
    try:
        inventory.reserve(
            actor=actor, cart_id=cart_id, demands=[demand], expires_at=now + QUARTER, now=now
        )
        inventory.assign(
            actor=actor,
            cart_id=cart_id,
            order_id=order_id,
            line_map={line_id: order_line_id},
            demands=[demand],
            expires_at=now + QUARTER,
            now=now,
        )
        inventory.confirm(
            actor=actor,
            order_id=order_id,
            demands=[Demand(order_line_id, variant.id, quantity)],
            now=now,
        )
    except (InsufficientStock, HoldFailed):
        return False
    return True


def rush(company: Company, variant: Variant, now: datetime) -> int:
    """Let 200 buyers come at once, 20 at a time; return how many were served."""
    each = BUYERS // 20
    return sum(
        sum(served)
        for served in together(
            20, lambda index: [buy(guest(company), variant, now) for _ in range(each)]
        )
    )


def test_200_buyers_of_50_units_get_exactly_50(company: Company, now: datetime) -> None:
    variant = make_variant(available=UNITS)

    assert rush(company, variant, now) == UNITS

    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (0, 0, 0)
    sold = StockMovement.objects.filter(type="SALE").aggregate(units=Sum("quantity"))["units"]
    assert sold == -UNITS
    assert sound()


def test_the_same_without_the_lock_promises_more_than_there_is(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LOCK", without_lock())
    variant = make_variant(available=UNITS)

    def hold(index: int) -> int:
        held = 0
        for _ in range(BUYERS // 20):
            with suppress(InsufficientStock):
                inventory.reserve(
                    actor=guest(company),
                    cart_id=new_id(),
                    demands=[Demand(new_id(), variant.id, 1)],
                    expires_at=now + QUARTER,
                    now=now,
                )
                held += 1
        return held

    assert sum(together(20, hold)) > UNITS
    assert not sound()


def test_two_lines_sharing_a_variant_never_get_more_than_there_is(
    company: Company, now: datetime
) -> None:
    variant = make_variant(available=9)

    def hold(index: int) -> int:
        answers = inventory.reserve(
            actor=guest(company),
            cart_id=new_id(),
            demands=[Demand(new_id(), variant.id, 2), Demand(new_id(), variant.id, 3)],
            expires_at=now + QUARTER,
            now=now,
            all_or_none=False,
        )
        return sum(0 if isinstance(answer, Shortage) else answer.quantity for answer in answers)

    held = sum(together(12, hold))

    level = StockLevel.objects.get()
    assert (level.reserved, held) == (held, 9 - level.available)
    assert level.available < 2  # nobody was refused what was there
    assert sound()


def test_opposite_orders_do_not_deadlock(company: Company, now: datetime) -> None:
    variants = [make_variant(available=10_000) for _ in range(4)]

    def hold(index: int) -> int:
        mine = variants if index % 2 else variants[::-1]
        for _ in range(25):
            inventory.reserve(
                actor=guest(company),
                cart_id=new_id(),
                demands=[Demand(new_id(), variant.id, 1) for variant in mine],
                expires_at=now + QUARTER,
                now=now,
            )
        return 25

    assert sum(together(8, hold)) == 200
    assert [level.reserved for level in StockLevel.objects.all()] == [200] * 4
    assert sound()


def test_opposite_orders_without_our_order_do_deadlock(company: Company, now: datetime) -> None:
    """The control: the same locks taken one by one in the order of the lines."""
    variants = [make_variant(available=10) for _ in range(2)]

    def lock(index: int) -> int:
        for _ in range(20):
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    for variant in variants if index % 2 else variants[::-1]:
                        cursor.execute(
                            "SELECT id FROM inventory WHERE variant_id = %s FOR NO KEY UPDATE",
                            [variant.id],
                        )
                        cursor.execute("SELECT pg_sleep(0.02)")
            except OperationalError as failure:
                return int("deadlock" in str(failure))
        return 0

    assert sum(together(2, lock)) >= 1


def test_sweep_and_sale_take_each_overdue_unit_once(company: Company, now: datetime) -> None:
    variant = make_variant(available=20)
    for _ in range(20):
        inventory.reserve(
            actor=guest(company),
            cart_id=new_id(),
            demands=[Demand(new_id(), variant.id, 1)],
            expires_at=now + QUARTER,
            now=now,
        )
    later = now + QUARTER

    def race(index: int) -> int:
        if index < 3:
            return sum(inventory.release_expired(now=later, limit=5) for _ in range(6))
        return sum(buy(guest(company), variant, later) for _ in range(5))

    answers = together(9, race)

    assert sum(answers[3:]) == 20
    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (0, 0, 0)
    assert Reservation.objects.filter(status="EXPIRED").count() == 20
    assert sound()


def test_late_payments_and_the_sweep_end_as_sale_or_refusal_never_both(
    company: Company, now: datetime
) -> None:
    variant = make_variant(available=10)
    orders: list[Callable[[], Any]] = []
    late = now + timedelta(hours=1)
    for _ in range(10):
        actor, cart_id, line_id, order_id, order_line_id = (
            guest(company),
            *(new_id() for _ in range(4)),
        )
        demand = Demand(line_id, variant.id, 1)
        inventory.assign(
            actor=actor,
            cart_id=cart_id,
            order_id=order_id,
            line_map={line_id: order_line_id},
            demands=[demand],
            expires_at=now + QUARTER,
            now=now,
        )
        orders.append(
            lambda actor=actor, order_id=order_id, line=order_line_id: inventory.confirm(
                actor=actor, order_id=order_id, demands=[Demand(line, variant.id, 1)], now=late
            )
        )

    def race(index: int) -> str:
        if index == 0:
            return str(inventory.release_expired(now=late))
        if index == 1:
            return "bought" if buy(guest(company), variant, late, quantity=3) else "refused"
        try:
            orders[index - 2]()
        except HoldFailed:
            return "refused"
        return "paid"

    answers = together(12, race)

    bought = 3 if answers[1] == "bought" else 0
    assert answers[2:].count("paid") + bought <= 10
    level = StockLevel.objects.get()
    assert level.total == 10 - answers[2:].count("paid") - bought
    assert sound()


def test_ten_adjustments_at_once_all_count(company: Company, now: datetime) -> None:
    make_variant(available=100)
    level = StockLevel.objects.get()

    def adjust(index: int) -> None:
        inventory.adjust(
            actor=Actor.system(company.id),
            stock_level_id=level.id,
            quantity=-1 if index % 2 else 2,
            now=now,
        )

    together(10, adjust)

    assert StockLevel.objects.get().total == 105
    assert sound()


def test_what_is_promised_beyond_stock_ends_at_the_limit(company: Company, now: datetime) -> None:
    variant = make_variant(available=4, inventory_policy="continue", backorder_limit=7)

    served = together(12, lambda _: [buy(guest(company), variant, now) for _ in range(3)])

    assert sum(map(sum, served)) == 11
    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total, level.backordered) == (0, 0, 0, 7)
    assert sound()


def test_without_the_lock_more_is_promised_than_the_limit_allows(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LOCK", without_lock())
    variant = make_variant(available=4, inventory_policy="continue", backorder_limit=7)

    def hold(_: int) -> int:
        held = 0
        for _ in range(5):
            with suppress(InsufficientStock, IntegrityError):
                inventory.reserve(
                    actor=guest(company),
                    cart_id=new_id(),
                    demands=[Demand(new_id(), variant.id, 1)],
                    expires_at=now + QUARTER,
                    now=now,
                )
                held += 1
        return held

    assert sum(together(12, hold)) > 11
    assert not sound()


def test_with_holds_switched_off_placement_still_sells_each_unit_once(
    company: Company, now: datetime, settings: Any
) -> None:
    settings.FEATURES = {**settings.FEATURES, "INVENTORY_HOLD_ENABLED": False}
    variant = make_variant(available=10)

    served = together(10, lambda _: [buy(guest(company), variant, now) for _ in range(3)])

    assert sum(map(sum, served)) == 10
    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (0, 0, 0)
    assert sound()


# --- who comes first ------------------------------------------------------------------------------


def queue_up(company: Company, variant: Variant, count: int, now: datetime) -> list[Actor]:
    waiting = [
        Actor(kind=ActorKind.USER, company_id=company.id, user_id=new_id()) for _ in range(count)
    ]
    for place, actor in enumerate(waiting):
        inventory.wait_for(actor=actor, variant=variant, now=now + timedelta(seconds=place))
    return waiting


def snatch(
    company: Company, variant: Variant, now: datetime, index: int, freed: threading.Barrier
) -> int:
    """Be owner, sweep or stranger, all at one moment; return how many units a stranger got."""
    if index < 2:
        owned = Reservation.objects.filter(order_id__isnull=True).order_by("id")[index]
        inventory.release(actor=guest(company), line_ids=[owned.line_id or new_id()], now=now)
        freed.wait(timeout=120)
        return 0
    if index == 2:
        for _ in range(5):
            inventory.release_expired(now=now)
            inventory.serve_waiting(now=now)
        return 0
    got = 0
    for turn in range(4):
        if turn == 3:
            freed.wait(timeout=120)  # the last time when the units have come back for certain
        with suppress(InsufficientStock):
            inventory.reserve(
                actor=guest(company),
                cart_id=new_id(),
                demands=[Demand(new_id(), variant.id, 1)],
                expires_at=now + QUARTER,
                now=now,
            )
            got += 1
    return got


def two_units_held(company: Company, now: datetime) -> Variant:
    variant = make_variant(available=2)
    for _ in range(2):
        inventory.reserve(
            actor=guest(company),
            cart_id=new_id(),
            demands=[Demand(new_id(), variant.id, 1)],
            expires_at=now + QUARTER,
            now=now,
        )
    return variant


def test_two_freed_units_go_to_two_of_three_who_wait_and_to_no_stranger(
    company: Company, now: datetime
) -> None:
    variant = two_units_held(company, now)
    waiting = queue_up(company, variant, 3, now)
    freed = threading.Barrier(12)

    assert sum(together(13, lambda index: snatch(company, variant, now, index, freed))) == 0

    kept = Reservation.objects.filter(status="ACTIVE").values_list("holder", flat=True)
    assert set(kept) == {actor.identity for actor in waiting[:2]}
    assert sound("I10", "I11")


def test_the_same_without_a_line_serves_strangers(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: units that come back are not offered in the transaction that frees them."""
    monkeypatch.setattr(books.Books, "serve", lambda self, actor=None: None)
    variant = two_units_held(company, now)
    queue_up(company, variant, 3, now)
    freed = threading.Barrier(12)

    assert sum(together(13, lambda index: snatch(company, variant, now, index, freed))) > 0


def test_an_offer_is_taken_or_lapses_but_never_both(company: Company, now: datetime) -> None:
    variant = make_variant(available=0)
    waiting = queue_up(company, variant, 6, now)
    level = StockLevel.objects.get()
    staff = Actor.system(company.id)
    inventory.receive(actor=staff, stock_level_id=level.id, quantity=6, now=now)
    due = now + timedelta(minutes=30)

    def race(index: int) -> int:
        if index >= 6:
            return -inventory.release_expired(now=due)
        try:
            inventory.reserve(
                actor=waiting[index],
                cart_id=new_id(),
                demands=[Demand(new_id(), variant.id, 1)],
                expires_at=due + QUARTER,
                now=due - timedelta(seconds=1),
            )
        except InsufficientStock:
            return 0
        return 1

    got = sum(max(result, 0) for result in together(8, race))

    counted = {
        status: BackInStockRequest.objects.filter(status=status).count()
        for status in ("TAKEN", "LAPSED", "OFFERED")
    }
    assert counted["TAKEN"] <= got
    assert sum(counted.values()) == 6
    assert sound("I10", "I11")
