"""Shipping and tax before the order is placed: one engine, one place, one answer, whoever asks."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from checkout.models import Checkout
from config.platform.models import User
from inventory.models import Company
from pricing.models import ShippingRule
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db

MAINE = {"country": "US", "state": "ME", "postalCode": "04101"}
NONE = {"options": [], "code": "NO_SHIPPING_ZONE"}


@pytest.fixture
def public(company: Company) -> Api:
    return Api()


def prices(answer: Any) -> dict[str, str]:
    assert answer.status_code == 200, answer.content
    return {option["id"]: option["price"] for option in answer.json()["options"]}


# --- items that are named -----------------------------------------------------------------------


def test_tax_and_shipping_are_calculated_for_a_place(public: Api) -> None:
    variant = factories.make_priced_variant("100.00", weight_grams=500)
    factories.make_tax_rate("0.19", is_included=True)
    factories.make_shipping_rule("4.90", min_days=2, max_days=4)
    body = {"items": [{"sku": variant.sku, "quantity": 1}], "country": "de", "postalCode": "27568"}

    taxes = public.post("/checkout/tax/calculate", body)
    shipping = public.post("/checkout/shipping/calculate", body)
    by_query = public.get(f"/checkout/shipping/options?country=DE&items={variant.sku}:1")
    nowhere = public.post("/checkout/shipping/calculate", {**body, "country": "BR"})

    assert taxes.json() == {
        "taxTotal": "15.97",
        "currency": "USD",
        "rates": [
            {
                "name": "VAT",
                "type": "VAT",
                "rate": "0.19",
                "base": "84.03",
                "amount": "15.97",
                "included": True,
            }
        ],
    }
    assert (
        shipping.json()
        == by_query.json()
        == {
            "options": [
                {
                    "id": "standard",
                    "name": "Standard",
                    "price": "4.90",
                    "currency": "USD",
                    "minDays": 2,
                    "maxDays": 4,
                }
            ],
            "code": None,
        }
    )
    assert nowhere.json() == {"options": [], "code": "NO_SHIPPING_ZONE"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"items": [{"sku": "NOTHING"}], "country": "DE"}, ["items.0"]),
        ({"items": [], "country": "DE"}, ["items"]),
        ({"items": [{"sku": "A"}], "country": "DEX"}, ["country"]),
        ({"items": [{"sku": "A"}]}, ["country"]),
        ({"items": "A", "country": "DE"}, ["items"]),
    ],
)
def test_estimates_refuse_what_they_cannot_price(
    public: Api, body: dict[str, Any], fields: list[str]
) -> None:
    answer = public.post("/checkout/tax/calculate", body)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == fields


@pytest.mark.parametrize("items", ["A:0", "A:101", "A:x", "", ",", "A:٣"])
def test_shipping_options_refuse_items_they_cannot_read(public: Api, items: str) -> None:
    assert public.get(f"/checkout/shipping/options?country=DE&items={items}").status_code == 400


# --- the caller's cart and checkout -------------------------------------------------------------

ESTIMATES = [
    ("post", "/cart/shipping/estimate"),
    ("post", "/cart/tax/estimate"),
    ("post", "/checkout/shipping/calculate"),
    ("post", "/checkout/shipping/options"),
    ("post", "/checkout/tax/calculate"),
]


def test_every_path_tells_the_same_of_a_cart(buyer: Buyer) -> None:
    factories.make_tax_rate("0.055", country="US", state="ME", name="Sales tax")
    query = "country=us&state=maine&zipCode=04101"

    answers = [
        buyer.api.post("/cart/shipping/estimate", MAINE),
        buyer.api.post("/public/cart/shipping/estimate", MAINE),
        buyer.api.get(f"/cart/shipping/rates?{query}"),
        buyer.api.get(f"/checkout/shipping/options?{query}"),
        buyer.api.post("/checkout/shipping/options", MAINE),
        buyer.api.post("/checkout/shipping/calculate", MAINE),
    ]
    taxes = [
        buyer.api.post("/cart/tax/estimate", MAINE),
        buyer.api.post("/checkout/tax/calculate", MAINE),
        buyer.api.post(
            "/checkout/tax/calculate", {"country": "USA", "state": "Maine", "zipCode": "04101"}
        ),
    ]

    assert [prices(answer) for answer in answers] == [{"standard": "4.90"}] * len(answers)
    assert [answer.json()["taxTotal"] for answer in taxes] == ["1.10"] * len(taxes)


def test_without_a_place_it_goes_where_the_checkout_then_the_cart_then_the_shop_says(
    buyer: Buyer,
) -> None:
    factories.make_shipping_rule("9.90", countries=["CA"])
    factories.make_shipping_rule("7.90", countries=["DE"])
    api = buyer.api

    at_home = prices(api.get("/cart/shipping/rates"))
    api.patch("/cart", {"destination": {"country": "CA", "state": "Ontario"}})
    of_cart = prices(api.get("/cart/shipping/rates")), prices(api.get("/checkout/shipping/options"))
    buyer.begin().fill(shipping_address={"country": "DE"}, shipping_option="")
    of_checkout = prices(api.get("/checkout/shipping/options"))
    elsewhere = prices(api.post("/checkout/shipping/calculate", {"country": "US"}))

    assert at_home == {"standard": "4.90"}
    assert of_cart == ({"standard": "9.90"}, {"standard": "9.90"})
    assert of_checkout == {"standard": "7.90"}
    assert elsewhere == {"standard": "4.90"}
    assert Checkout.objects.get().shipping_address["country"] == "DE"


def test_a_checkout_may_be_named_and_nobody_elses(ready: Buyer, public: Api, user: User) -> None:
    named = {"checkoutId": str(ready.checkout_id)}

    assert prices(ready.api.post("/checkout/shipping/calculate", named)) == {"standard": "4.90"}
    assert prices(ready.api.get(f"/checkout/shipping/options?checkoutId={ready.checkout_id}"))
    for stranger in (Api().as_user(user), Buyer.arrive(Company.objects.get(), ready.now).api):
        answer = stranger.post("/checkout/shipping/calculate", named)
        assert (answer.status_code, answer.json()["code"]) == (404, "CHECKOUT_NOT_FOUND")
    assert public.post("/checkout/shipping/calculate", named).status_code == 401


def test_what_is_placed_stays_as_it_was_agreed(ready: Buyer) -> None:
    ready.place()
    ShippingRule.objects.update(base_price=Decimal("99.00"))
    named = {"checkoutId": str(ready.checkout_id), "country": "US", "state": "CA"}

    answer = ready.api.post("/checkout/shipping/calculate", named)

    assert prices(answer) == {"standard": "4.90"}


def test_who_is_nobody_in_particular_is_asked_who_it_is(public: Api, user_api: Api) -> None:
    for method, path in (*ESTIMATES, ("get", "/checkout/shipping/options")):
        body = MAINE if method == "post" else None
        assert public.request(method, path, body).json()["code"] == "AUTH_REQUIRED", path
        if path.startswith("/checkout"):
            assert user_api.request(method, path, body).json()["code"] == "CART_NOT_FOUND", path


BAD = [
    ({"country": "ZZ"}, ["country"]),
    ({"country": ""}, ["country"]),
    ({"country": None}, ["country"]),
    ({"country": 49}, ["country"]),
    ({"country": "🇺🇸"}, ["country"]),
    ({"country": "Germany"}, ["country"]),
    ({"state": "ME"}, ["country"]),
    ({"country": "US", "state": "Atlantis"}, ["state"]),
    ({"country": "US", "state": "🦀"}, ["state"]),
    ({"country": "FR", "state": "🦀"}, ["state"]),
    ({"country": "US", "state": "x" * 10_000}, ["state"]),
    ({"country": "US", "postalCode": "🏖️"}, ["postalCode"]),
    ({"country": "US", "postalCode": "9" * 10_000}, ["postalCode"]),
    ({"country": "US", "postalCode": "04101'; --"}, ["postalCode"]),
    ({"country": "US", "postalCode": 4101}, ["postalCode"]),
    ({"country": "US", "state": ["ME"]}, ["state"]),
    ({"country": "US", "planet": "Mars"}, ["planet"]),
]


@pytest.mark.parametrize(("body", "fields"), BAD, ids=str)
def test_a_place_that_is_none_is_refused_by_its_field(
    buyer: Buyer, body: dict[str, Any], fields: list[str]
) -> None:
    for method, path in ESTIMATES:
        answer = buyer.api.request(method, path, body)

        assert answer.status_code == 400, (path, answer.content)
        assert answer.json()["code"] == "VALIDATION_ERROR"
        assert [error["field"] for error in answer.json()["errors"]] == fields, path


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("country=ZZ", ["country"]),
        ("state=ME", ["country"]),
        ("country=US&state=Atlantis", ["state"]),
        ("country=US&postalCode=%F0%9F%8F%96", ["postalCode"]),
        (f"country=US&state={'x' * 5_000}", ["state"]),
    ],
)
def test_a_query_is_refused_by_its_field(buyer: Buyer, query: str, fields: list[str]) -> None:
    answer = buyer.api.get(f"/checkout/shipping/options?{query}")

    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == fields


def test_other_bodies_are_refused(buyer: Buyer) -> None:
    for method, path in ESTIMATES:
        form = buyer.api.request(
            method,
            path,
            b"country=US",
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert (form.status_code, form.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE"), path
        assert buyer.api.request(method, path, b"[]").status_code == 400
        assert buyer.api.request(method, path, b"{").json()["code"] == "MALFORMED_REQUEST"
        assert buyer.api.request("DELETE", path).status_code == 405


def test_a_postal_code_may_be_its_beginning(buyer: Buyer) -> None:
    place = {"country": "US", "state": "ME", "postalCode": "041"}

    assert prices(buyer.api.post("/cart/shipping/estimate", place)) == {"standard": "4.90"}


def test_a_way_to_ship_that_is_not_offered_is_refused(buyer: Buyer) -> None:
    body = {**MAINE, "shippingOption": "rocket"}

    for path in ("/cart/tax/estimate", "/checkout/tax/calculate", "/checkout/shipping/calculate"):
        answer = buyer.api.post(path, body)
        assert answer.status_code == 400
        assert [error["code"] for error in answer.json()["errors"]] == ["invalid_choice"]


def test_nowhere_is_an_empty_list_with_a_code_and_blocks_the_checkout(buyer: Buyer) -> None:
    nowhere = {"country": "BR"}
    assert buyer.api.post("/cart/shipping/estimate", nowhere).json() == NONE
    assert buyer.api.get("/cart/shipping/rates?country=BR").json() == NONE
    buyer.begin().fill(
        shipping_address={**ADDRESS, "country": "BR", "state": "", "postalCode": "01001-000"}
    )
    assert buyer.api.get("/checkout/shipping/options").json() == NONE

    answer = buyer.api.request(
        "POST",
        f"/checkout/{buyer.checkout_id}/payment",
        {"method": "test", "quoteId": buyer.quote_id},
        key="a",
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "NO_SHIPPING_ZONE")
    assert Checkout.objects.get().order_id is None


# --- tables -------------------------------------------------------------------------------------


def test_options_come_cheapest_first_whatever_their_kind(company: Company, now: datetime) -> None:
    zone = factories.make_shipping_rule("8.00", code="flat", priority=9).zone
    for code, fields in {
        "weight": {"type": "WEIGHT_BASED", "base_price": "2.00", "per_kilogram": "3.00"},
        "item": {"type": "ITEM_COUNT", "base_price": "1.00", "per_unit": "0.75"},
        "small": {"type": "PRICE_BASED", "base_price": "5.00", "maximum_order": "30.00"},
        "large": {"type": "PRICE_BASED", "base_price": "3.50", "minimum_order": "30.00"},
        "over": {"base_price": "6.00", "free_over": "40.00"},
    }.items():
        terms = {
            name: Decimal(text) if text[0].isdigit() else text for name, text in fields.items()
        }
        factories.make_shipping_rule(zone=zone, code=code, **terms)
    variant = factories.make_priced_variant("10.00", available=50, weight_grams=333)
    buyer = Buyer.arrive(company, now).add(variant, 2)

    def shown() -> list[tuple[str, str]]:
        return list(prices(buyer.api.get("/cart/shipping/rates?country=US")).items())

    two = shown()
    buyer.add(variant, 1)  # 30.00 is no longer below 30.00
    three = shown()
    buyer.add(variant, 1)  # 40.00 is free from 40.00
    four = shown()

    assert two == [
        ("item", "2.50"), ("weight", "4.00"), ("small", "5.00"), ("over", "6.00"), ("flat", "8.00"),
    ]  # fmt: skip
    assert three == [
        ("item", "3.25"), ("large", "3.50"), ("weight", "5.00"), ("over", "6.00"), ("flat", "8.00"),
    ]  # fmt: skip
    assert four == [
        ("over", "0.00"), ("large", "3.50"), ("item", "4.00"), ("weight", "6.00"), ("flat", "8.00"),
    ]  # fmt: skip


def test_the_chosen_way_is_priced_anew_when_the_address_or_the_cart_changes(
    company: Company, now: datetime
) -> None:
    factories.make_shipping_rule("4.90", countries=["US"], free_over=Decimal(50))
    factories.make_shipping_rule("14.90", countries=["CA"])
    variant = factories.make_priced_variant("20.00", available=9)
    buyer = Buyer.arrive(company, now).add(variant, 2).begin().fill()

    def shipping() -> tuple[str, str]:
        shown = buyer.api.get(f"/checkout/{buyer.checkout_id}").json()
        return shown["shippingOption"], shown["totals"]["shippingTotal"]

    first = shipping()
    buyer.fill(
        shipping_address={**ADDRESS, "country": "CA", "state": "ON", "postalCode": "K1A 0B1"}
    )
    abroad = shipping()
    buyer.fill().add(variant, 1)
    free = shipping()

    assert (first, abroad, free) == (
        ("standard", "4.90"),
        ("standard", "14.90"),
        ("standard", "0.00"),
    )


@pytest.mark.parametrize("seed", range(6))
def test_estimate_checkout_and_order_say_the_same(
    company: Company, now: datetime, seed: int
) -> None:
    """Random tables, taxes and carts: what is told before is what is charged."""
    dice = random.Random(seed)
    zone = factories.make_shipping_rule(
        f"{dice.randint(0, 999) / 100:.2f}", countries=["US"], code="standard"
    ).zone
    factories.make_shipping_rule(
        zone=zone,
        code="heavy",
        type="WEIGHT_BASED",
        base_price=Decimal(dice.randint(0, 300)) / 100,
        per_kilogram=Decimal(dice.randint(1, 900)) / 100,
    )
    for state, name in (("", "Federal"), ("ME", "State")):
        factories.make_tax_rate(
            str(Decimal(dice.randint(1, 2500)) / 10_000),
            country="US",
            state=state,
            name=name,
            type="SALES_TAX",
            is_included=bool(seed % 2),
            on_shipping=dice.random() < 0.7,
        )
    factories.make_promotion(value=Decimal(dice.randint(1, 40)))
    buyer = Buyer.arrive(company, now)
    for _ in range(dice.randint(1, 4)):
        variant = factories.make_priced_variant(
            f"{dice.randint(1, 9999) / 100:.2f}", available=9, weight_grams=dice.randint(0, 4000)
        )
        buyer.add(variant, dice.randint(1, 5))
    option = dice.choice(["standard", "heavy"])
    place = {**MAINE, "shippingOption": option}

    told = [
        (
            prices(buyer.api.post("/cart/shipping/estimate", MAINE)),
            buyer.api.post("/cart/tax/estimate", place).json(),
        ),
        (
            prices(buyer.api.post("/checkout/shipping/calculate", place)),
            buyer.api.post("/checkout/tax/calculate", place).json(),
        ),
    ]
    buyer.begin().fill(shipping_option=option)
    told.append(
        (
            prices(buyer.api.get("/checkout/shipping/options")),
            buyer.api.post("/checkout/tax/calculate", {}).json(),
        )
    )
    shown = buyer.api.get(f"/checkout/{buyer.checkout_id}").json()
    order = buyer.place()

    assert told[0] == told[1] == told[2]
    options, taxes = told[0]
    assert {each["id"]: each["price"] for each in shown["shippingOptions"]} == options
    assert (
        Decimal(options[option])
        == Decimal(shown["totals"]["shippingTotal"])
        == order.shipping_total
    )
    assert Decimal(taxes["taxTotal"]) == Decimal(shown["totals"]["taxTotal"]) == order.tax_total
    assert sum(Decimal(rate["amount"]) for rate in taxes["rates"]) == order.tax_total
    assert order.tax_total > 0
