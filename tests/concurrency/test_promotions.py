"""
A code for ten, a hundred buyers, a real server: ten have it, whoever pays, cancels or meets a changed price meanwhile.

A watcher looks at the invariants of orders and promotions each second. The control serves the same shop without the lock,
and gives the code away too often.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from config.platform import invariants
from config.platform.actor import Actor
from inventory.models import Company, Variant
from orders.models import Order
from pricing import services as pricing
from pricing.demo import seed_rules
from pricing.models import Promotion, PromotionUse
from tests import factories
from tests.bench.load import ADDRESS_BODY
from tests.concurrency.storm import Call, Reply, at_once, each
from tests.concurrency.test_flash_sale import served

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BUYERS, USES = 100, 10
WATCHED = {"O03", "O04", "O05", "R01", "R02", "R03", "R04", "R07", "R08"}
REFUSED = {(400, "DISCOUNT_LIMIT_REACHED"), (409, "PRICE_CHANGED")}


@pytest.fixture
def variant(company: Company, now: datetime) -> Variant:
    """Return a variant that nobody runs out of, at 20.00, that can be shipped to Portland."""
    variant = factories.make_variant(available=10 * BUYERS, sku="FLASH")
    pricing.set_price(
        actor=Actor.system(company.id),
        variant_id=variant.id,
        currency="USD",
        amount=Decimal("20.00"),
        now=now,
    )
    seed_rules(company=company, now=now)
    return variant


@contextmanager
def watched() -> Iterator[None]:
    """Check the invariants at once, each second and at the end, on a connection of its own."""
    checks = [check for check in invariants.all_checks() if check.id in WATCHED]
    assert {check.id for check in checks} == WATCHED
    over = threading.Event()
    broken: dict[str, Any] = {}
    rounds = [0]

    def look() -> None:
        try:
            while True:
                stop = over.is_set()
                for found in invariants.run(checks):
                    if not found.holds:
                        broken[found.check.id] = found.error or found.rows[:3]
                rounds[0] += 1
                if stop:
                    return
                over.wait(1.0)
        finally:
            connection.close()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert broken == {}
    assert rounds[0] >= 2


async def to_the_till(
    port: int, count: int, code: str, email: Callable[[int], str], currency: str = "USD"
) -> list[tuple[str, str, str]]:
    """Take `count` guests with one thing and a code through checkout; return token, path and quote of each."""
    replies = await each(port, [Call("POST", "/public/cart", body={"currency": currency})] * count)
    tokens = [reply.body["sessionToken"] for reply in replies]
    line = {"sku": "FLASH", "quantity": 1}
    for path, body in (("/cart/items", line), ("/cart/discount", {"code": code})):
        replies = await each(port, [Call("POST", path, token, body) for token in tokens])
        assert {reply.status for reply in replies} <= {200, 201}, replies[0]
    replies = await each(
        port,
        [
            Call("POST", "/checkout/initialize", token, {"email": email(number)})
            for number, token in enumerate(tokens)
        ],
    )
    assert {reply.status for reply in replies} == {201}, replies[0]
    paths = [f"/checkout/{reply.body['id']}" for reply in replies]
    sent = {"shippingAddress": ADDRESS_BODY, "shippingOption": "standard"}
    replies = await each(
        port, [Call("PATCH", path, token, sent) for path, token in zip(paths, tokens, strict=True)]
    )
    assert {reply.status for reply in replies} == {200}, replies[0]
    quotes = [reply.body["quoteId"] for reply in replies]
    return list(zip(tokens, paths, quotes, strict=True))


def payment(token: str, path: str, quote: str) -> Call:
    return Call("POST", f"{path}/payment", token, {"method": "test", "quoteId": quote}, keyed=True)


def outcomes(replies: list[Reply]) -> Counter[tuple[int, str]]:
    return Counter((reply.status, reply.code) for reply in replies)


def live_uses(promotion: Promotion) -> int:
    return PromotionUse.objects.filter(promotion=promotion, returned_at=None).count()


def test_ten_of_a_hundred_buyers_have_the_code_for_ten(variant: Variant, tmp_path: Path) -> None:
    promotion = factories.make_promotion("FLASH10", usage_limit=USES, value=Decimal(50))

    async def sale(port: int) -> tuple[list[Reply], list[Reply], list[Reply]]:
        buyers = await to_the_till(port, BUYERS, "FLASH10", lambda n: f"buyer{n}@example.com")
        paid = await at_once(port, [payment(*buyer) for buyer in buyers])
        # five give theirs back, twice each, while the others try again with what they are shown now
        winners = [
            (buyer[0], reply.body["order"]["id"])
            for buyer, reply in zip(buyers, paid, strict=True)
            if reply.status == 200
        ]
        cancels = [
            Call("POST", f"/orders/{order}/cancel", token, {"reason": "too late"})
            for token, order in winners[:5]
        ]
        again = [
            payment(*buyer)
            for buyer, reply in zip(buyers, paid, strict=True)
            if reply.status != 200
        ]
        later = await at_once(port, [*cancels, *again[:20], *cancels])
        return paid, later[:5] + later[25:], later[5:25]

    with served(tmp_path) as port, watched():
        paid, cancelled, again = asyncio.run(sale(port))

    answers = outcomes(paid)
    assert answers.pop((200, "")) == USES
    assert set(answers) <= REFUSED
    assert {reply.status for reply in cancelled} <= {200, 409}
    assert PromotionUse.objects.filter(promotion=promotion).exclude(returned_at=None).count() == 5
    won_later = outcomes(again)[(200, "")]
    assert won_later <= 5
    promotion.refresh_from_db()
    assert promotion.used_count == live_uses(promotion) == USES - 5 + won_later


@contextmanager
def uncounted() -> Iterator[None]:
    """Take away what the database itself has against a use too many, until the promotions are gone."""
    [limit] = [c for c in Promotion._meta.constraints if c.name == "promotion_within_limit"]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Promotion, limit)
    try:
        yield
    finally:
        Promotion.objects.update(usage_limit=None)
        with connection.schema_editor() as editor:
            editor.add_constraint(Promotion, limit)


def test_without_the_lock_more_than_ten_have_it(variant: Variant, tmp_path: Path) -> None:
    promotion = factories.make_promotion("FLASH10", usage_limit=USES, value=Decimal(50))

    async def sale(port: int) -> list[Reply]:
        buyers = await to_the_till(port, BUYERS, "FLASH10", lambda n: f"buyer{n}@example.com")
        return await at_once(port, [payment(*buyer) for buyer in buyers])

    with uncounted(), served(tmp_path, "tests.concurrency.uncounted_settings") as port:
        paid = asyncio.run(sale(port))

        won = outcomes(paid)[(200, "")]
        assert won > USES
        assert live_uses(promotion) == won
        checks = [check for check in invariants.all_checks() if check.id == "R02"]
        assert [found.holds for found in invariants.run(checks)] == [False]


def test_rates_prices_and_cancellations_meanwhile_break_no_total(
    variant: Variant, company: Company, now: datetime, tmp_path: Path
) -> None:
    """Forty buyers abroad: prices, shipping and a fixed amount are converted, and the rate moves as they pay."""
    promotion = factories.make_promotion(
        "FIVE", usage_limit=USES, kind="FIXED_AMOUNT", value=Decimal(5), currency="USD"
    )
    staff = Actor.system(company.id)
    second = timedelta(seconds=1)

    def rate(of: str, at: datetime) -> None:
        terms = pricing.RateTerms(quote="GBP", rate=Decimal(of))
        pricing.set_exchange_rate(actor=staff, terms=terms, now=at)

    def unsettle() -> None:
        try:
            for step in range(1, 9):
                # in the past of the server's clock, so that each is in force as soon as it is written
                rate(f"0.{80 + step}", now - 60 * second + step * second)
                pricing.set_price(
                    actor=staff, variant_id=variant.id, currency="USD",
                    amount=Decimal(20 + step), now=now,
                )  # fmt: skip
        finally:
            connection.close()

    async def sale(port: int) -> tuple[list[Reply], list[Reply]]:
        buyers = await to_the_till(port, 40, "FIVE", lambda n: f"b{n}@example.com", "GBP")
        change = asyncio.to_thread(unsettle)
        paid, _ = await asyncio.gather(at_once(port, [payment(*buyer) for buyer in buyers]), change)
        shown = await each(port, [Call("GET", path, token) for token, path, _ in buyers])
        later = [
            Call(
                "POST", f"/orders/{reply.body['order']['id']}/cancel", buyer[0], {"reason": "late"}
            )
            if reply.status == 200
            else payment(buyer[0], buyer[1], now_shown.body["quoteId"])
            for buyer, reply, now_shown in zip(buyers, paid, shown, strict=True)
        ]
        return paid, await at_once(port, later)

    rate("0.8", now - 120 * second)
    with served(tmp_path) as port, watched():
        paid, later = asyncio.run(sale(port))

    assert set(outcomes(paid)) <= {(200, ""), *REFUSED}
    assert set(outcomes(later)) <= {(200, ""), *REFUSED}
    promotion.refresh_from_db()
    assert promotion.used_count == live_uses(promotion) <= USES
    charged = Order.objects.exclude(status=Order.Status.CANCELLED)
    assert charged.exists()
    for order in Order.objects.all():
        base, rate_used, *_ = order.quote["conversion"]
        assert (order.currency, base) == ("GBP", "USD")
        assert Decimal(rate_used) == Decimal(order.quote["basis"]["exchangeRate"]["rate"])


def test_a_price_that_changes_meanwhile_breaks_no_total(
    variant: Variant, company: Company, now: datetime, tmp_path: Path
) -> None:
    promotion = factories.make_promotion("FLASH10", usage_limit=USES, value=Decimal(50))

    async def sale(port: int) -> list[Reply]:
        buyers = await to_the_till(port, 30, "FLASH10", lambda n: f"buyer{n}@example.com")
        change = asyncio.to_thread(reprice)
        paid, _ = await asyncio.gather(at_once(port, [payment(*buyer) for buyer in buyers]), change)
        return paid

    def reprice() -> None:
        try:
            for amount in range(21, 31):
                pricing.set_price(
                    actor=Actor.system(company.id),
                    variant_id=variant.id,
                    currency="USD",
                    amount=Decimal(amount),
                    now=now,
                )
        finally:
            connection.close()

    with served(tmp_path) as port, watched():
        paid = asyncio.run(sale(port))

    answers = outcomes(paid)
    assert live_uses(promotion) == answers.pop((200, ""), 0) <= USES
    assert set(answers) <= REFUSED


@pytest.mark.parametrize("email", ["same@example.com", "SAME+{n}@example.com"])
def test_one_customer_in_twenty_windows_has_it_once(
    variant: Variant, tmp_path: Path, email: str
) -> None:
    promotion = factories.make_promotion("ONCE", per_customer_limit=1)

    async def sale(port: int) -> list[Reply]:
        buyers = await to_the_till(port, 20, "ONCE", lambda n: email.format(n=n))
        return await at_once(port, [payment(*buyer) for buyer in buyers])

    with served(tmp_path) as port, watched():
        paid = asyncio.run(sale(port))

    answers = outcomes(paid)
    assert answers.pop((200, "")) == 1
    assert set(answers) <= REFUSED
    assert live_uses(promotion) == 1
