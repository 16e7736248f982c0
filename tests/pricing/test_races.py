"""Limits under many hands at once, on real connections; each with a control that shows what the lock is for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection
from django.db.models import QuerySet

from config.platform.actor import Actor
from config.platform.models import LockingQuerySet
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import Basket, Discount, Line, Quote
from pricing.errors import DiscountLimitReached
from pricing.models import Price, PriceChange, Promotion, PromotionUse
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

BUYERS = 100
AT_ONCE = 25


def quote_with(promotion: Promotion, actor: Actor, now: datetime) -> Quote:
    line = Line(
        id=UUID(int=1),
        variant_id=UUID(int=2),
        product_id=UUID(int=3),
        sku="A",
        quantity=1,
        unit_price=Decimal(100),
    )
    basket = Basket(lines=(line,), currency="USD", codes=("CODE",))
    quote = services.quote(actor=actor, basket=basket, now=now)
    assert [item.promotion_id for item in quote.discounts if isinstance(item, Discount)] == [
        promotion.id
    ]
    return quote


def together(count: int, at_once: int, run: Callable[[int], object]) -> Counter[str]:
    """Run `run(index)` `count` times in `at_once` threads that start together; count how each ended."""
    start = threading.Barrier(at_once)
    first = threading.local()

    def attempt(index: int) -> str:
        if not getattr(first, "waited", False):
            first.waited = True
            start.wait(timeout=120)
        try:
            run(index)
        except (DiscountLimitReached, IntegrityError) as refused:
            return type(refused).__name__
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(at_once) as pool:
        return Counter(pool.map(attempt, range(count)))


@pytest.mark.parametrize("limit", [1, 3, 40])
def test_exactly_so_many_uses_are_taken_up_as_there_are(
    company: Company, now: datetime, limit: int
) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE", usage_limit=limit)
    quote = quote_with(promotion, actor, now)

    outcomes = together(
        BUYERS,
        AT_ONCE,
        lambda i: services.redeem(
            actor=actor,
            order_id=uuid4(),
            quote=quote,
            customer_keys=(f"email:{i}@example.com",),
            now=now,
        ),
    )

    assert outcomes == {"done": limit, "DiscountLimitReached": BUYERS - limit}
    promotion.refresh_from_db()
    assert promotion.used_count == limit
    assert PromotionUse.objects.filter(returned_at=None).count() == limit


def test_a_customer_in_many_windows_gets_no_more_than_one(company: Company, now: datetime) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE", per_customer_limit=1)
    quote = quote_with(promotion, actor, now)

    outcomes = together(
        50,
        AT_ONCE,
        lambda i: services.redeem(
            actor=actor,
            order_id=uuid4(),
            quote=quote,
            customer_keys=("email:same@example.com",),
            now=now,
        ),
    )

    assert outcomes == {"done": 1, "DiscountLimitReached": 49}
    assert PromotionUse.objects.count() == 1


def without_lock(monkeypatch: pytest.MonkeyPatch, readers: int) -> None:
    """Take the lock away, and let nobody write before `readers` have read."""
    gate = threading.Barrier(readers)

    lock = LockingQuerySet.for_update

    def for_update(rows: LockingQuerySet, **options: Any) -> Any:
        if rows.model is not Promotion:
            return lock(rows, **options)
        found = list(rows.order_by("pk"))
        gate.wait(timeout=120)
        return found

    monkeypatch.setattr(LockingQuerySet, "for_update", for_update)


def test_control_without_the_lock_only_the_database_stops_a_use_too_many(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE", usage_limit=1)
    quote = quote_with(promotion, actor, now)
    without_lock(monkeypatch, 2)

    outcomes = together(
        2,
        2,
        lambda i: services.redeem(
            actor=actor, order_id=uuid4(), quote=quote, customer_keys=(f"email:{i}",), now=now
        ),
    )

    assert outcomes == {"done": 1, "IntegrityError": 1}


def test_control_without_the_lock_a_customer_gets_it_twice(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE", per_customer_limit=1)
    quote = quote_with(promotion, actor, now)
    without_lock(monkeypatch, 2)
    gate = threading.Barrier(2)
    count = QuerySet.count

    def count_before_anybody_commits(rows: QuerySet[Any]) -> int:
        found = count(rows)
        gate.wait(timeout=120)
        return found

    monkeypatch.setattr(QuerySet, "count", count_before_anybody_commits)

    outcomes = together(
        2,
        2,
        lambda i: services.redeem(
            actor=actor, order_id=uuid4(), quote=quote, customer_keys=("email:same",), now=now
        ),
    )

    assert outcomes == {"done": 2}
    assert len(PromotionUse.objects.all()) == 2


def test_uses_given_back_and_taken_up_at_once_keep_the_counter_right(
    company: Company, now: datetime
) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE", usage_limit=10)
    quote = quote_with(promotion, actor, now)
    orders = [uuid4() for _ in range(10)]
    for order_id in orders:
        services.redeem(
            actor=actor, order_id=order_id, quote=quote, customer_keys=("email:a",), now=now
        )

    def act(index: int) -> None:
        if index % 2:
            services.return_uses(actor=actor, order_id=orders[index % 10], now=now)
        else:
            services.redeem(
                actor=actor, order_id=uuid4(), quote=quote, customer_keys=("email:b",), now=now
            )

    together(60, 12, act)

    promotion.refresh_from_db()
    assert promotion.used_count == PromotionUse.objects.filter(returned_at=None).count()
    assert promotion.used_count <= 10


def test_a_first_limit_counts_the_uses_that_are_being_written(
    company: Company, now: datetime
) -> None:
    actor = Actor.system(company.id)
    promotion = factories.make_promotion("CODE")
    quote = quote_with(promotion, actor, now)
    terms = replace(selectors.promotion_terms(promotion), usage_limit=1_000)

    def act(index: int) -> None:
        if index == 20:
            services.change_promotion(actor=actor, promotion_id=promotion.id, terms=terms, now=now)
        else:
            services.redeem(
                actor=actor,
                order_id=uuid4(),
                quote=quote,
                customer_keys=(f"email:{index}",),
                now=now,
            )

    assert together(60, 12, act) == {"done": 60}

    promotion.refresh_from_db()
    assert promotion.used_count == PromotionUse.objects.count() == 59


def test_a_new_price_set_by_many_is_one_row_with_an_unbroken_history(
    company: Company, now: datetime
) -> None:
    actor = Actor.system(company.id)
    variant = factories.make_variant()

    outcomes = together(
        24,
        12,
        lambda i: services.set_price(
            actor=actor, variant_id=variant.id, currency="USD", amount=Decimal(10 + i % 4), now=now
        ),
    )

    assert outcomes == {"done": 24}
    price = Price.objects.get()
    history = list(PriceChange.objects.order_by("id").values_list("old_amount", "new_amount"))
    assert history[0][0] is None
    assert history[-1][1] == price.amount
    assert all(older[1] == newer[0] for older, newer in pairwise(history))
