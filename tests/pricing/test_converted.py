"""Everything that has money converts by one rule: a price of its own first, else converted and rounded once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from inventory.models import Bundle, BundleItem, Company, Variant
from pricing import selectors, services
from pricing.engine import BundleOffer, Place, Quote, Rate, Rules, in_currency
from pricing.engine import price as quote_of
from pricing.models import BundlePrice
from tests import factories
from tests.conftest import Api
from tests.pricing.words import basket, line, method, promotion, zone

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RATES = {"EUR": "0.9137", "JPY": "149.55", "KWD": "0.30745"}


def rate_of(currency: str) -> Rate:
    return Rate(
        id=UUID(int=1), base="USD", quote=currency, rate=Decimal(RATES[currency]), valid_from=NOW
    )


def quoted(currency: str, rules: Rules, *lines: Any, **fields: Any) -> Quote:
    asked = basket(*lines, currency=currency, **fields)
    return quote_of(asked, in_currency(rules, rate_of(currency)), NOW)


# --- the rules, by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "eur", "jpy", "kwd"),
    [
        # 5 USD: 4.5685, 747.75, 1.53725
        (("FIXED_AMOUNT", "5.00", {}), "4.57", "748", "1.537"),
        # twenty units by 0.10 USD each: 0.09137, 14.955, 0.030745 a unit
        (("FIXED_AMOUNT", "0.10", {"scope": "PRODUCT", "details": {"per_unit": True}}), "1.80", "300", "0.620"),
        # ten per cent, 3 USD at most: 2.7411, 448.65, 0.92235
        (("PERCENTAGE", "10", {"maximum_discount": "3.00", "currency": "USD"}), "2.74", "449", "0.922"),
    ],
)  # fmt: skip
def test_what_promotions_take_off(
    terms: tuple[str, str, dict[str, Any]], eur: str, jpy: str, kwd: str
) -> None:
    kind, value, fields = terms
    rules = Rules(promotions=[promotion(kind, value, **fields)])

    for currency, expected in (("EUR", eur), ("JPY", jpy), ("KWD", kwd)):
        found = quoted(currency, rules, line("1000", 20))

        assert found.totals.discount_total == Decimal(expected), currency
        assert found.conversion is not None
        assert found.conversion.discounts == {0}
        [step] = [step for step in found.steps if step.kind == "promotion"]
        assert step.label.endswith(f" at 1 USD = {RATES[currency]} {currency}")


@pytest.mark.parametrize(
    # 50 USD: 45.685, 7477.5, 15.3725
    ("currency", "below", "enough"),
    [("EUR", "45.68", "45.69"), ("JPY", "7477", "7478"), ("KWD", "15.372", "15.373")],
)
def test_a_minimum_order_is_that_of_the_currency(currency: str, below: str, enough: str) -> None:
    rules = Rules(promotions=[promotion("PERCENTAGE", "100", minimum_order="50", currency="USD")])

    assert quoted(currency, rules, line(below)).totals.grand_total == Decimal(below)
    assert quoted(currency, rules, line(enough)).totals.grand_total == 0


def test_a_percentage_that_is_limited_to_a_currency_stays_so() -> None:
    rule = promotion("PERCENTAGE", "10", currency="USD", is_automatic=False)
    rules = Rules(promotions=[rule], coupons={"TEN": rule.id})

    found = quoted("EUR", rules, line("10"), codes=["TEN"])

    assert [item.reason for item in found.not_applied] == ["wrong_currency"]


@pytest.mark.parametrize(
    ("terms", "eur", "jpy", "kwd"),
    [
        # 4.90: 4.47713, 732.795, 1.506505
        ({}, "4.48", "733", "1.507"),
        # 4.90 and 1.3 kg by 1.15, together 6.395: 5.8431115, 956.37225, 1.96614…
        ({"type": "WEIGHT_BASED", "per_kilogram": "1.15"}, "5.84", "956", "1.966"),
        # 4.90 and a unit by 0.333, together 5.233: 4.7813921, 782.59515, 1.608885…
        ({"type": "ITEM_COUNT", "per_unit": "0.333"}, "4.78", "783", "1.609"),
    ],
)
def test_what_shipping_costs_is_rounded_once(
    terms: dict[str, Any], eur: str, jpy: str, kwd: str
) -> None:
    rules = Rules(zones=[zone(method("standard", "4.90", **terms))])

    for currency, expected in (("EUR", eur), ("JPY", jpy), ("KWD", kwd)):
        found = quoted(
            currency,
            rules,
            line("100", weight_grams=1_300),
            destination=Place("DE"),
            shipping_option="standard",
        )

        assert [option.price for option in found.shipping_options] == [Decimal(expected)]
        assert found.totals.shipping_total == Decimal(expected)
        assert found.conversion is not None
        assert found.conversion.shipping
        [step] = [step for step in found.steps if step.kind == "shipping"]
        assert step.label == f"Standard at 1 USD = {RATES[currency]} {currency}"


@pytest.mark.parametrize(
    # 75 USD: 68.5275, 11216.25, 23.05875
    ("currency", "below", "enough"),
    [("EUR", "68.52", "68.53"), ("JPY", "11215", "11216"), ("KWD", "23.058", "23.059")],
)
@pytest.mark.parametrize("bound", ["free_over", "minimum_order", "maximum_order"])
def test_thresholds_of_shipping_are_those_of_the_currency(
    currency: str, below: str, enough: str, bound: str
) -> None:
    rules = Rules(zones=[zone(method("standard", "4.90", **{bound: "75"}))])

    def options(worth: str) -> list[bool]:
        found = quoted(currency, rules, line(worth), destination=Place("DE"))
        return [option.price == 0 for option in found.shipping_options]

    assert (options(below), options(enough)) == {
        "free_over": ([False], [True]),
        "minimum_order": ([], [False]),
        "maximum_order": ([False], []),
    }[bound]


def test_a_way_to_ship_with_a_price_of_its_own_keeps_that() -> None:
    own = method("standard", "9.99", currency="EUR")
    rules = Rules(zones=[zone(method("standard", "4.90"), own, method("express", "10.00"))])

    found = quoted("EUR", rules, line("10"), destination=Place("DE"), shipping_option="standard")

    assert [(o.id, o.price) for o in found.shipping_options] == [
        ("express", Decimal("9.14")),
        ("standard", Decimal("9.99")),
    ]
    assert found.conversion is None


@pytest.mark.parametrize(
    # 17.99 USD: 16.437463, 2690.4045, 5.5310255
    ("currency", "expected"), [("EUR", "16.44"), ("JPY", "2690"), ("KWD", "5.531")],
)  # fmt: skip
def test_what_a_bundle_costs(currency: str, expected: str) -> None:
    parts = [UUID(int=11), UUID(int=12)]
    offer = BundleOffer(
        id=UUID(int=9),
        name="Set",
        prices={"USD": Decimal("17.99")},
        parts=dict.fromkeys(parts, 1),
    )
    rules = Rules(bundles={offer.id: offer})
    group = {"bundle_id": offer.id, "bundle_group": UUID(int=5)}
    lines = [line("5000", variant_id=part, **group) for part in parts]

    found = quoted(currency, rules, *lines)
    of_its_own = replace(offer, prices={"USD": Decimal(1), currency: Decimal(77)})
    other = quoted(currency, Rules(bundles={offer.id: of_its_own}), *lines)
    without_rate = quote_of(basket(*lines, currency=currency), rules, NOW)

    assert found.totals.grand_total == Decimal(expected)
    assert other.totals.grand_total == 77
    assert other.conversion is None
    assert without_rate.totals.grand_total == 10_000


def test_without_a_rate_nothing_is_converted_and_each_thing_says_why() -> None:
    rule = promotion("FIXED_AMOUNT", "5.00", is_automatic=False)
    rules = Rules(
        promotions=[rule], coupons={"FIVE": rule.id}, zones=[zone(method("standard", "4.90"))]
    )

    found = quote_of(
        basket(line("10"), currency="EUR", codes=["FIVE"], destination=Place("DE")), rules, NOW
    )

    assert [item.reason for item in found.not_applied] == ["wrong_currency"]
    assert (found.shipping_options, found.shipping_code) == ((), "NO_SHIPPING_ZONE")
    assert found.totals.grand_total == 10


def test_a_quote_ends_with_its_rate_and_its_id_stays_while_no_amount_moves() -> None:
    rules = Rules(promotions=[promotion("FIXED_AMOUNT", "5.00")])
    asked = basket(line("10"), currency="EUR")
    rate = rate_of("EUR")
    near, far = Decimal("0.91371"), Decimal("0.95")

    first = quote_of(asked, in_currency(rules, rate).with_rate_until(NOW + DAY), NOW)
    near_by = quote_of(asked, in_currency(rules, replace(rate, rate=near)), NOW)
    other = quote_of(asked, in_currency(rules, replace(rate, rate=far)), NOW)

    assert first.valid_until == NOW + DAY
    assert first.id == near_by.id != other.id
    assert Quote.from_json(first.to_json()) == first


# --- prices -----------------------------------------------------------------------------------------


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def enter(actor: Actor, now: datetime, quote: str = "EUR", of: str = "") -> None:
    terms = services.RateTerms(quote=quote, rate=Decimal(of or RATES.get(quote, "1")))
    services.set_exchange_rate(actor=actor, terms=terms, now=now)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("currency", "single", "breaks", "group", "scheduled"),
    [
        ("EUR", "9.14", "7.63", "8.36", "8.67"),
        ("JPY", "1496", "1249", "1368", "1419"),
        ("KWD", "3.075", "2.567", "2.813", "2.918"),
    ],
)
def test_breaks_prices_of_groups_and_scheduled_ones_convert(
    variant: Variant, system: Actor, user: Any, now: datetime,
    currency: str, single: str, breaks: str, group: str, scheduled: str,
) -> None:  # fmt: skip
    enter(system, now, currency)
    trade = services.create_group(actor=system, name="Trade", now=now)
    services.change_group(actor=system, group_id=trade.id, add=[user.id], now=now)
    factories.make_special_price(variant, "8.35", from_quantity=5, starts_at=now)
    factories.make_special_price(variant, "9.15", group=trade, starts_at=now)
    factories.make_special_price(variant, "9.49", starts_at=now + DAY, begun_at=None)

    def ladder(at: datetime = now, **who: Any) -> Any:
        found = selectors.ladders(variant_ids=[variant.id], currency=currency, now=at, **who)
        return found[variant.id]

    assert (ladder().at(1), ladder().at(5)) == (Decimal(single), Decimal(breaks))
    assert ladder(user_id=user.id).single == Decimal(group)
    assert ladder(now + DAY).public == Decimal(scheduled)
    assert ladder().is_converted


@pytest.mark.django_db
def test_what_has_a_price_in_the_currency_has_the_steps_of_that_currency_only(
    variant: Variant, system: Actor, now: datetime
) -> None:
    enter(system, now)
    factories.make_special_price(variant, "5.00", from_quantity=5, starts_at=now)
    factories.make_price(variant, "9.90", "EUR")
    factories.make_special_price(variant, "9.50", currency="EUR", from_quantity=10, starts_at=now)

    with CaptureQueriesContext(connection) as seen:
        found = selectors.ladders(variant_ids=[variant.id], currency="EUR", now=now)[variant.id]

    assert [found.at(quantity) for quantity in (1, 5, 10)] == [
        Decimal("9.90"), Decimal("9.90"), Decimal("9.50"),
    ]  # fmt: skip
    assert not found.is_converted
    assert len(seen) == 1


@pytest.mark.django_db
def test_a_cart_abroad_pays_breaks_promotions_and_shipping_and_says_at_which_rate(
    variant: Variant, system: Actor, api: Api, now: datetime
) -> None:
    enter(system, now)
    factories.make_special_price(variant, "8.35", from_quantity=5, starts_at=now)
    factories.make_promotion("FIVE", kind="FIXED_AMOUNT", value=Decimal(5), currency="USD")
    factories.make_shipping_rule("4.90", free_over=Decimal(75))
    guest = api.as_guest(api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"])

    guest.post("/cart/items", {"sku": variant.sku, "quantity": 5})
    cart = guest.post("/cart/discount", {"code": "FIVE"}).json()
    steps = guest.get("/cart/explain").json()["steps"]
    rates = guest.get("/cart/shipping/rates?country=DE").json()

    assert cart["items"][0]["unitPrice"] == "7.63"
    assert (cart["totals"]["subtotal"], cart["totals"]["discountTotal"]) == ("38.15", "4.57")
    assert rates["options"][0]["price"] == "4.48"
    assert [(step["kind"], step["label"]) for step in steps] == [
        ("list_price", f"5 × {variant.sku} at 1 USD = 0.9137 EUR"),
        ("quantity_break", f"Price of {variant.sku} for so many"),
        ("coupon", f"{cart['discounts'][0]['name']} at 1 USD = 0.9137 EUR"),
    ]


# --- where prices are shown -------------------------------------------------------------------------


@pytest.mark.django_db
def test_search_filters_facets_and_sorts_by_the_price_that_a_cart_would_charge(
    company: Company, system: Actor, api: Api, now: datetime
) -> None:
    for name, amount in (("Lamp", "10.00"), ("Rope", "20.00"), ("Sail", "30.00")):
        product = factories.make_product(name=name, slug=name.lower())
        factories.make_priced_variant(amount, product=product, available=5)
    rope = Variant.objects.get(product__slug="rope")
    factories.make_price(rope, "99.00", "EUR")

    def search(query: str = "", currency: str = "EUR") -> tuple[list[str], Any]:
        answer = api.get(f"/products/search?currency={currency}&sort=price{query}").json()
        return [row["slug"] for row in answer["results"]], answer["facets"]["priceRange"]

    before = search()[0]
    enter(system, now)
    enter(system, now, "JPY")
    found, prices = search()

    assert before == ["rope"]
    assert found == ["lamp", "sail", "rope"]
    assert prices == {"min": "9.14", "max": "99.00", "currency": "EUR"}
    assert search("&minPrice=9.14&maxPrice=27.41")[0] == ["lamp", "sail"]
    assert search("&minPrice=9.15&maxPrice=27.40")[0] == []
    # 10, 20 and 30 USD: 1495.5, 2991, 4486.5 JPY
    assert search(currency="JPY")[1] == {"min": "1496", "max": "4487", "currency": "JPY"}
    assert search("&minPrice=1497", currency="JPY")[0] == ["rope", "sail"]
    assert search(currency="USD")[0] == ["lamp", "rope", "sail"]
    enter(system, now + timedelta(seconds=1), of="5")
    at = {"actor": system, "currency": "EUR", "now": now + timedelta(seconds=1)}
    later = selectors.search_catalogue(**at, search=selectors.Search(sort="price"))
    assert later.facets.min_price == 50


@pytest.mark.django_db
def test_what_was_and_the_lowest_price_of_thirty_days_are_converted_too(
    variant: Variant, system: Actor, api: Api, now: datetime
) -> None:
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(12), now=now - 5 * DAY
    )
    factories.make_special_price(variant, "9.00", starts_at=now - DAY, ends_at=now + DAY)
    services.set_exchange_rates(
        actor=system,
        terms=[services.RateTerms(quote="EUR", rate=Decimal("0.9137"))],
        now=now - 9 * DAY,
    )

    [shown] = api.get(f"/products/{variant.product_id}/pricing?currency=EUR").json()["variants"]
    page = api.get(f"/products/{variant.product.slug}?currency=EUR").json()["variants"][0]

    assert shown["price"] == page["price"] == "8.22"
    assert shown["compareAtPrice"] == page["compareAtPrice"] == "10.96"
    assert shown["lowestPrice30Days"] == "9.14"
    assert shown["priceEndsAt"] is not None


@pytest.mark.django_db
def test_a_bundle_is_offered_and_charged_at_the_same_converted_price_or_not_at_all(
    company: Company, system: Actor, api: Api, now: datetime
) -> None:
    bundle = Bundle.objects.create(company=company, slug="set", name="Set")
    for amount in ("10.00", "12.00"):
        part = factories.make_priced_variant(amount, available=5)
        factories.make_price(part, amount, "EUR")
        BundleItem.objects.create(bundle=bundle, variant=part, quantity=1)
    BundlePrice.objects.create(bundle=bundle, currency="USD", amount=Decimal("17.99"))
    selectors.forget()

    def guest() -> Api:
        return api.as_guest(api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"])

    someone = guest()
    refused = someone.post("/cart/bundles", {"bundleId": str(bundle.id)})
    unseen = api.get("/products/bundles?currency=EUR").json()["results"]
    enter(system, now)
    cart = guest().post("/cart/bundles", {"bundleId": str(bundle.id)}).json()
    [offered] = api.get("/products/bundles?currency=EUR").json()["results"]

    assert (refused.status_code, refused.json()["code"]) == (409, "PRICE_MISSING")
    assert someone.get("/cart").json()["items"] == []
    assert unseen == []
    assert cart["totals"]["grandTotal"] == offered["price"] == "16.44"


@pytest.mark.django_db
def test_recommendations_name_converted_breaks_and_promotions(
    variant: Variant, system: Actor, api: Api, now: datetime
) -> None:
    factories.make_special_price(variant, "8.35", from_quantity=5, starts_at=now)
    factories.make_promotion(
        kind="FIXED_AMOUNT", value=Decimal(5), currency="USD", is_advertised=True
    )
    factories.make_promotion(currency="USD", is_advertised=True)
    path = f"/products/{variant.product_id}/pricing/recommendations?quantity=1&currency=EUR"

    before = api.get(path).json()
    enter(system, now)
    after = api.get(path).json()

    assert (before["quantityBreaks"], before["promotions"]) == ([], [])
    assert [(row["fromQuantity"], row["unitPrice"]) for row in after["quantityBreaks"]] == [
        (5, "7.63")
    ]
    assert [row["kind"] for row in after["promotions"]] == ["FIXED_AMOUNT"]


@pytest.mark.django_db
def test_comparing_and_validating_know_converted_prices(
    variant: Variant, system: Actor, api: Api, now: datetime
) -> None:
    enter(system, now)
    factories.make_special_price(variant, "8.35", from_quantity=5, starts_at=now)
    items = [{"sku": variant.sku, "quantity": 5, "unitPrice": "7.63"}]

    compared = api.post("/products/pricing/compare", {"currency": "EUR", "items": items}).json()
    checked = api.post("/products/pricing/validate", {"currency": "EUR", "items": items}).json()

    assert compared["results"][0]["currentPrice"] == "7.63"
    assert checked["valid"]
