"""
A count of the shelves while people buy from them. See `test_stock` for how a race and its control belong together.

One buyer after another, so that buyers cannot lose each other's changes: what breaks without the lock is broken by the count.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from config.platform.actor import Actor
from inventory import services as inventory
from inventory.errors import CountsRefused
from inventory.models import Company, StockLevel, StockMovement, Variant
from inventory.services import CountRow, books
from tests.concurrency.test_stock import buy, guest, sound
from tests.concurrency.unlocked import without_lock
from tests.factories import make_variant
from tests.threads import together

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

UNITS, SALES, COUNTS = 40, 30, 12
MINUTE = timedelta(minutes=1)


def sell_beside_counts(
    company: Company, variants: list[Variant], now: datetime, *, counts: int
) -> tuple[int, int]:
    """Let one till sell and one clerk count at the same moment; return how many sales and how many counts went through."""
    clerk = Actor.system(company.id)
    rows = [CountRow(sku=variant.sku, quantity=UNITS) for variant in variants]

    def sell() -> int:
        return sum(
            buy(guest(company), variants[number % len(variants)], now + MINUTE)
            for number in range(SALES)
        )

    def count() -> int:
        done = 0
        for number in range(counts):
            try:
                inventory.apply_counts(
                    actor=clerk, rows=rows, reference=f"count {number}", now=now + 2 * MINUTE
                )
                done += 1
            except CountsRefused:
                pass
        return done

    sold, counted = together(2, lambda index: count() if index else sell())
    return sold, counted


def test_counts_beside_sales_lose_neither(company: Company, now: datetime) -> None:
    variants = [make_variant(available=UNITS) for _ in range(2)]

    sold, counted = sell_beside_counts(company, variants, now, counts=COUNTS)

    assert (sold, counted) == (SALES, COUNTS)
    assert sound()


def test_the_same_without_the_lock_loses_units(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LOCK", without_lock())
    monkeypatch.setattr(
        type(StockLevel.objects.all()), "for_update", lambda rows, **options: rows.order_by("pk")
    )
    variants = [make_variant(available=UNITS) for _ in range(2)]

    for _ in range(10):
        try:
            sell_beside_counts(company, variants, now, counts=COUNTS)
        except (
            IntegrityError
        ):  # the database refuses units that would be below zero: lost, and noticed
            return
        if not sound():
            return
    pytest.fail("without the lock a count has to overwrite a sale at some time")


def test_what_was_sold_after_the_counting_stays_sold(company: Company, now: datetime) -> None:
    """The clerk found 45 before the till opened, and brings the list while it is busy."""
    variant = make_variant(available=UNITS)
    morning = max(now, timezone.now()) + MINUTE  # after the shelf was filled
    list_of_the_morning = [CountRow(sku=variant.sku, quantity=UNITS + 5)]

    def act(index: int) -> int:
        if index:
            return sum(buy(guest(company), variant, morning + MINUTE) for _ in range(5))
        outcome = inventory.apply_counts(
            actor=Actor.system(company.id),
            rows=list_of_the_morning,
            counted_at=morning,
            now=morning + 2 * MINUTE,
        )
        return len(outcome.changes)

    changes, *sold = together(7, act)

    assert (changes, sum(sold)) == (1, 30)
    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (15, 0, 15)
    moved = StockMovement.objects.exclude(type="PURCHASE").values_list("type", "quantity")
    assert sorted(moved) == [("ADJUSTMENT", 5), *[("SALE", -1)] * 30]
    assert sound()
