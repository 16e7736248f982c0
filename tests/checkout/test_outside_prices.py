"""Prices of goods by an outside engine: asked in one batch, believed only what can be true, summed by the shop alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from cart import selectors as cart_selectors
from cart.models import Cart, CartLine
from config.platform import metrics
from config.platform.actor import Actor
from config.platform.errors import DependencyUnavailable
from inventory.models import Company, Variant
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem
from pricing import selectors as pricing
from pricing.models import CustomerGroup, CustomerGroupMember
from pricing.outside import PRICES, HttpEngine, Question
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.checkout.engines import Fake, hang, serving

pytestmark = pytest.mark.django_db


class Tariff:
    """Answers as an engine does: the price of each SKU that is asked about, 9.00 where nothing else was said."""

    def __init__(self) -> None:
        self.of: dict[str, list[tuple[int, str]]] = {}
        self.lie: dict[str, Any] = {}

    def __call__(self, handler: Any, question: dict[str, Any]) -> Any:
        rows = [
            {"sku": sku, "currency": question["currency"], "unitPrice": price, "from": quantity}
            for sku in question["skus"]
            for quantity, price in self.of.get(sku, [(1, "9.00")])
        ]
        rows[0] |= self.lie
        return {"prices": rows}


@pytest.fixture
def tariff() -> Tariff:
    return Tariff()


@pytest.fixture
def engine(settings: Any, tariff: Tariff, shop: Company) -> Iterator[Fake]:
    with serving(settings, {PRICES: tariff}) as server:
        yield server


@pytest.fixture
def guest(engine: Fake, buyer: Buyer) -> Buyer:
    """Return a guest who put two units into the cart while the engine served."""
    return buyer


def shown(guest: Buyer) -> Any:
    return guest.api.get("/cart").json()


def unit_prices(guest: Buyer) -> list[str]:
    return [line["unitPrice"] for line in shown(guest)["items"]]


def written() -> list[Any]:
    """Return everything an order could have left behind."""
    return [*Cart.objects.values_list(), *CartLine.objects.order_by("id").values_list()]


# --- it serves ------------------------------------------------------------------------------------


def test_cart_checkout_and_order_cost_what_it_says_and_name_it(
    guest: Buyer, engine: Fake, variant: Variant
) -> None:
    in_cart = shown(guest)
    explained = guest.api.get("/cart/explain").json()
    order = guest.begin().fill().place()
    told = guest.api.get(f"/orders/{order.number}/explain").json()

    line = in_cart["items"][0]
    assert (line["unitPrice"], line["lineTotal"], in_cart["totals"]["subtotal"]) == (
        "9.00",
        "18.00",
        "18.00",
    )
    assert order.grand_total == Decimal("22.90")
    assert [(row.unit_price, row.quantity, row.subtotal) for row in order.lines.all()] == [
        (Decimal(9), 2, Decimal(18))
    ]
    assert order.quote["basis"]["servedBy"] == {"prices": "outside"}
    for steps in (explained["steps"], told["steps"]):
        assert [(step["label"], step["amount"]) for step in steps[:2]] == [
            (f"2 × {variant.sku}", "20.00"),
            (f"Price of {variant.sku} by the price engine", "-2.00"),
        ]


def test_the_step_names_the_engine_where_it_says_what_the_shop_says(
    engine: Fake, tariff: Tariff, shop: Company, variant: Variant, now: datetime
) -> None:
    tariff.of[variant.sku] = [(1, "10.00")]
    buyer = Buyer.arrive(shop, now).add(variant)

    steps = buyer.api.get("/cart/explain").json()["steps"]

    assert (steps[1]["label"], steps[1]["amount"]) == (
        f"Price of {variant.sku} by the price engine",
        "0.00",
    )


def test_all_lines_are_asked_in_one_batch_and_once_while_it_holds(
    engine: Fake, shop: Company, now: datetime
) -> None:
    variants = [factories.make_priced_variant("10.00", available=5) for _ in range(4)]
    buyer = Buyer.arrive(shop, now)
    for variant in variants:
        buyer.add(variant)
    cache.clear()
    engine.asked.clear()

    shown(buyer)
    shown(buyer)
    buyer.begin().fill().place()

    assert [question["skus"] for _kind, question, _headers in engine.asked] == [
        sorted(variant.sku for variant in variants)
    ]


def test_another_quantity_asks_nobody_and_reaches_its_step(
    guest: Buyer, engine: Fake, tariff: Tariff, variant: Variant
) -> None:
    tariff.of[variant.sku] = [(1, "9.00"), (4, "7.50")]
    cache.clear()
    line = shown(guest)["items"][0]
    asked = len(engine.asked)

    answer = guest.api.patch(f"/cart/items/{line['id']}", {"quantity": 4}).json()

    assert answer["items"][0]["unitPrice"] == "7.50"
    assert answer["totals"]["subtotal"] == "30.00"
    assert len(engine.asked) == asked


def test_it_learns_company_currency_groups_and_skus_and_nobodys_name(
    engine: Fake, shop: Company, now: datetime, variant: Variant
) -> None:
    user = factories.make_user()
    for name in ("Trade", "Friends"):
        group = CustomerGroup.objects.create(company=shop, name=name)
        CustomerGroupMember.objects.create(group=group, user=user)

    pricing.ladders(variant_ids=[variant.id], currency="USD", user_id=user.id, now=now)

    [(_kind, question, headers)] = engine.asked
    assert question == {
        "kind": "prices",
        "company": str(shop.id),
        "currency": "USD",
        "groups": ["Friends", "Trade"],
        "skus": [variant.sku],
    }
    assert headers["Authorization"] == "Bearer secret-of-the-shop"


def test_what_one_group_pays_is_not_kept_for_another(
    engine: Fake, tariff: Tariff, shop: Company, variant: Variant
) -> None:
    user = factories.make_user()
    tariff.of[variant.sku] = [(1, "8.00")]
    everybody = pricing.ladders(variant_ids=[variant.id], currency="USD")
    group = CustomerGroup.objects.create(company=shop, name="Trade")
    CustomerGroupMember.objects.create(group=group, user=user)
    tariff.of[variant.sku] = [(1, "6.00")]

    theirs = pricing.ladders(variant_ids=[variant.id], currency="USD", user_id=user.id)

    assert everybody[variant.id].single == Decimal(8)
    assert theirs[variant.id].single == Decimal(6)
    assert pricing.ladders(variant_ids=[variant.id], currency="USD") == everybody


def test_every_answer_about_prices_is_the_same(
    guest: Buyer, engine: Fake, variant: Variant
) -> None:
    items = [{"sku": variant.sku, "quantity": 2, "unitPrice": "9.00"}]
    value = guest.api.post(
        "/products/pricing/calculate-cart-value", {"items": [{"sku": variant.sku, "quantity": 2}]}
    ).json()
    right = guest.api.post("/products/pricing/validate", {"items": items}).json()
    page = guest.api.get(f"/products/{variant.product_id}/pricing").json()

    assert value["totals"]["subtotal"] == "18.00"
    assert right["valid"] is True
    assert [each["yourPrice"] for each in page["variants"]] == ["9.00"]
    assert [each["price"] for each in page["variants"]] == ["10.00"]


def test_what_a_client_sends_as_a_price_is_not_believed(
    engine: Fake, buyer: Buyer, variant: Variant
) -> None:
    answer = buyer.api.post(
        "/cart/items", {"sku": variant.sku, "quantity": 1, "unitPrice": "0.01"}
    ).json()

    assert {line["unitPrice"] for line in answer["items"]} == {"9.00"}


def test_an_order_from_skus_costs_what_it_says(
    engine: Fake, variant: Variant, system: Actor, now: datetime
) -> None:
    order = orders.place_direct(
        actor=system,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )

    assert (order.subtotal, order.quote["basis"]["servedBy"]) == (9, {"prices": "outside"})


# --- prices that move -----------------------------------------------------------------------------


def test_the_price_is_promised_while_the_hold_lives_and_a_lower_one_counts_at_once(
    guest: Buyer, tariff: Tariff, variant: Variant
) -> None:
    guest.begin()
    tariff.of[variant.sku] = [(1, "12.00")]
    cache.clear()
    dearer = unit_prices(guest)
    tariff.of[variant.sku] = [(1, "8.00")]
    cache.clear()

    assert (dearer, unit_prices(guest)) == (["9.00"], ["8.00"])


def test_after_the_hold_a_dearer_price_is_told_and_must_be_seen(
    guest: Buyer, tariff: Tariff, variant: Variant
) -> None:
    tariff.of[variant.sku] = [(1, "9.50")]
    cache.clear()
    later = guest.now + timedelta(hours=2)

    cart = cart_selectors.view(actor=guest.actor, now=later)

    assert [line.unit_price for line in cart.items] == [Decimal("9.50")]
    assert [
        (warning.code, warning.extra["from"], warning.extra["to"])
        for warning in cart.warnings
        if warning.code == "PRICE_CHANGED"
    ] == [("PRICE_CHANGED", "9.00", "9.50")]


def test_a_price_above_the_public_one_is_told_at_once(
    engine: Fake, tariff: Tariff, shop: Company, variant: Variant, now: datetime
) -> None:
    tariff.of[variant.sku] = [(1, "11.00")]
    buyer = Buyer.arrive(shop, now).add(variant)

    cart = shown(buyer)
    accepted = buyer.api.post("/cart/accept-prices", {"quoteId": cart["quoteId"]}).json()

    assert cart["items"][0]["unitPrice"] == "11.00"
    assert [(each["extra"]["from"], each["extra"]["to"]) for each in cart["warnings"]] == [
        ("10.00", "11.00")
    ]
    assert accepted["warnings"] == []


def test_a_price_that_moved_since_it_was_shown_stops_the_order(
    guest: Buyer, tariff: Tariff, variant: Variant
) -> None:
    guest.begin().fill()
    tariff.of[variant.sku] = [(1, "8.00")]
    cache.clear()

    answer = guest.api.request(
        "POST",
        f"/checkout/{guest.checkout_id}/payment",
        {"method": "test", "quoteId": guest.quote_id},
        key="once",
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_CHANGED")
    assert answer.json()["extra"]["newTotal"] == "20.90"
    assert not Order.objects.exists()


# --- it fails -------------------------------------------------------------------------------------

BAD: dict[str, Any] = {
    "error": (500, {"error": "oh"}),
    "redirect": (302, {}),
    "page": b"<html>",
    "nothing": b"{}",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "huge": b" " * 300_000,
    "late": hang,
    "no rows": {"prices": None},
    "no objects": {"prices": [1]},
    "other rows": {"rates": []},
}
LIES: dict[str, dict[str, Any]] = {
    "negative": {"unitPrice": "-1.00"},
    "of nothing": {"unitPrice": "0.00"},
    "a number": {"unitPrice": 9.0},
    "too fine": {"unitPrice": "9.005"},
    "too much": {"unitPrice": "1000000000.00"},
    "not finite": {"unitPrice": "NaN"},
    "in powers": {"unitPrice": "1e2"},
    "with gaps": {"unitPrice": "1_0"},
    "in other digits": {"unitPrice": "٩"},
    "in another currency": {"currency": "EUR"},
    "without a currency": {"currency": None},
    "of another SKU": {"sku": "SOMETHING-ELSE"},
    "of no SKU": {"sku": ["A"]},
    "from no unit": {"from": 0},
    "from two units": {"from": 2},
    "from true": {"from": True},
    "of a total": {"unitPrice": None, "total": "18.00"},
}


@pytest.fixture
def asked(shop: Company, variant: Variant) -> dict[str, Any]:
    """Return a question about two SKUs that cost 10.00 each by the shop's own tables."""
    other = factories.make_priced_variant("10.00")
    return {"variant_ids": [variant.id, other.id], "currency": "USD"}


def singles(asked: dict[str, Any]) -> list[Decimal]:
    return [ladder.single for ladder in pricing.ladders(**asked).values()]


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_no_answer_is_left_aside_for_the_own_tables(
    asked: dict[str, Any], engine: Fake, settings: Any, answer: Any
) -> None:
    engine.answers[PRICES] = answer
    if answer is hang:
        settings.OUTSIDE_ENGINE_TIMEOUT = 0.3

    assert singles(asked) == [10, 10]
    assert len(engine.asked) == 1


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_one_price_that_cannot_be_true_spoils_the_whole_answer(
    asked: dict[str, Any], engine: Fake, tariff: Tariff, lie: dict[str, Any]
) -> None:
    tariff.lie = lie

    assert singles(asked) == [10, 10]
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "steps", [[], [(1, "9.00"), (1, "8.00")], [(n, "9.00") for n in range(1, 22)]],
    ids=["no price", "two for one quantity", "too many"],
)  # fmt: skip
def test_so_does_one_that_is_missing_or_there_twice(
    asked: dict[str, Any], engine: Fake, tariff: Tariff, variant: Variant, steps: Any
) -> None:
    tariff.of[variant.sku] = steps

    assert singles(asked) == [10, 10]
    assert len(engine.asked) == 1


def test_an_order_says_that_the_own_tables_served(
    engine: Fake, tariff: Tariff, shop: Company, variant: Variant, now: datetime
) -> None:
    tariff.lie = {"currency": "EUR"}

    order = Buyer.arrive(shop, now).add(variant).begin().fill().place()

    assert order.subtotal == Decimal(10)
    assert order.quote["basis"]["servedBy"] == {"prices": "own tables"}


def test_it_is_counted_and_left_alone_for_a_while(guest: Buyer, engine: Fake) -> None:
    cache.clear()
    engine.asked.clear()
    engine.answers[PRICES] = (503, {})
    metrics.flush()

    for _ in range(3):
        unit_prices(guest)

    counted = dict(metrics._counted)
    assert len(engine.asked) == 1
    assert counted['outside_engine_answers_total{kind="prices",outcome="unusable"}'] == 1
    assert counted['outside_engine_answers_total{kind="prices",outcome="resting"}'] == 2


def test_what_was_promised_stays_while_it_is_silent(guest: Buyer, engine: Fake) -> None:
    guest.begin().fill()
    cache.clear()
    engine.answers[PRICES] = (503, {})

    order = guest.fill().place()

    assert order.subtotal == Decimal("18.00")
    assert order.quote["basis"]["servedBy"] == {"prices": "own tables"}


def test_without_the_own_tables_it_is_refused_and_nothing_is_written(
    guest: Buyer, engine: Fake, settings: Any, variant: Variant
) -> None:
    guest.begin().fill()
    before = written()
    settings.OUTSIDE_ENGINE_FALLBACK = False
    engine.answers[PRICES] = (500, {})
    cache.clear()

    added = guest.api.post("/cart/items", {"sku": variant.sku, "quantity": 1})
    looked = guest.api.get("/cart")
    with pytest.raises(DependencyUnavailable):
        guest.place()

    for answer in (added, looked):
        assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert written() == before
    assert not Order.objects.exists()


# --- where and when it is asked -------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_is_never_asked_in_a_transaction(
    engine: Fake, buyer: Buyer, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HttpEngine.answer
    seen: list[bool] = []

    def watched(self: HttpEngine, question: Question) -> Any:
        seen.append(connection.in_atomic_block)
        return real(self, question)

    monkeypatch.setattr(HttpEngine, "answer", watched)
    for step in (
        lambda: buyer.add(variant),
        buyer.begin,
        buyer.fill,
        buyer.place,
    ):
        cache.clear()
        step()

    assert seen == [False] * 4
    assert Order.objects.get().subtotal == Decimal("27.00")
    assert CartLine.objects.get().quantity == 3


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_somebody_else_only_what_is_kept_serves(
    engine: Fake, buyer: Buyer, variant: Variant
) -> None:
    cache.clear()
    asked = len(engine.asked)

    def price() -> Decimal:
        with transaction.atomic():
            return pricing.ladders(variant_ids=[variant.id], currency="USD")[variant.id].single

    unknown = price()
    pricing.ladders(variant_ids=[variant.id], currency="USD")

    assert (unknown, price()) == (Decimal(10), Decimal(9))
    assert len(engine.asked) == asked + 1


def test_what_the_shop_has_no_price_for_is_not_sold(engine: Fake, buyer: Buyer) -> None:
    unpriced = factories.make_variant(available=5)

    answer = buyer.api.post("/cart/items", {"sku": unpriced.sku, "quantity": 1})

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_MISSING")
    assert CartLine.objects.count() == 1


def test_it_costs_nothing_unless_it_is_set_up(
    buyer: Buyer, variant: Variant, settings: Any, monkeypatch: pytest.MonkeyPatch, unhurried: None
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            cart_selectors.view(actor=buyer.actor, now=buyer.now)
        return len(captured)

    statements()
    assert not any(settings.OUTSIDE_ENGINES.values())
    monkeypatch.setattr("pricing.outside.prices.answers_to", None)

    assert statements() == 2


def test_a_customer_of_groups_costs_one_statement_more_however_many_lines(
    engine: Fake, shop: Company, system: Actor, now: datetime, unhurried: None
) -> None:
    user = factories.make_user()
    counts = []
    for lines in (1, 8):
        ids = [factories.make_priced_variant("10.00").id for _ in range(lines)]
        pricing.ladders(variant_ids=ids, currency="USD", user_id=user.id)
        with CaptureQueriesContext(connection) as captured:
            pricing.ladders(variant_ids=ids, currency="USD", user_id=user.id)
        counts.append(len(captured))

    assert counts == [2, 2]


def test_the_staff_page_says_whose_prices_they_were(guest: Buyer, client: Any) -> None:
    order = guest.begin().fill().place()
    client.force_login(factories.make_staff(is_superuser=True))

    page = client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()

    assert "Prices: by the outside engine" in page
