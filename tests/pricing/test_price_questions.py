"""What prices may be asked: whether they are still right, how to pay less, how they moved, which taxes a place has."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import OutboxEvent
from inventory.models import Bundle, BundleItem, Company, Variant
from pricing import services
from pricing.models import BundlePrice, PriceChange
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def public(company: Company) -> Api:
    return Api()


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def queries(run: Any) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        run()
    return len(seen)


# --- are they still right? --------------------------------------------------------------------------


def test_each_price_a_caller_knows_is_judged_by_itself(public: Api, variant: Variant) -> None:
    other = factories.make_priced_variant("4.00")

    answer = public.post(
        "/products/pricing/validate",
        {
            "items": [
                {"sku": variant.sku, "quantity": 2, "price": "10.00"},
                {"variantId": str(other.id), "unitPrice": "3.50"},
            ]
        },
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "valid": False,
        "currency": "USD",
        "results": [
            {
                "valid": True,
                "sku": variant.sku,
                "variantId": str(variant.id),
                "quantity": 2,
                "price": "10.00",
                "currentPrice": "10.00",
                "difference": "0.00",
                "changed": False,
                "problem": None,
            },
            {
                "valid": False,
                "sku": other.sku,
                "variantId": str(other.id),
                "quantity": 1,
                "price": "3.50",
                "currentPrice": "4.00",
                "difference": "0.50",
                "changed": True,
                "problem": None,
            },
        ],
    }


def test_what_is_not_sold_or_has_no_price_is_not_right_and_says_why(
    public: Api, variant: Variant
) -> None:
    stranger = factories.make_priced_variant("5.00", company=factories.make_company())

    answer = public.post(
        "/products/pricing/validate",
        {
            "currency": "EUR",
            "items": [
                {"sku": variant.sku, "price": "10.00"},
                {"sku": "NOBODY", "price": "10.00"},
                {"variantId": str(stranger.id), "price": "5.00"},
            ],
        },
    )

    rows = answer.json()["results"]
    assert [row["problem"]["code"] for row in rows] == [
        "PRICE_MISSING", "PRODUCT_NOT_FOUND", "PRODUCT_NOT_FOUND",
    ]  # fmt: skip
    assert [(row["valid"], row["currentPrice"], row["sku"]) for row in rows] == [
        (False, None, variant.sku), (False, None, None), (False, None, None),
    ]  # fmt: skip


def test_lines_of_one_variant_reach_a_quantity_break_together(
    public: Api, variant: Variant, system: Actor, now: Any
) -> None:
    factories.make_special_price(variant, "8.00", from_quantity=5)
    items = [{"sku": variant.sku, "quantity": quantity, "price": "8.00"} for quantity in (2, 3)]

    assert public.post("/products/pricing/validate", {"items": items}).json()["valid"] is True
    assert public.post("/products/pricing/validate", {"items": items[:1]}).json()["valid"] is False


BAD: list[tuple[dict[str, Any], str]] = [
    ({"items": []}, "items"),
    ({"items": "all"}, "items"),
    ({"items": [{"sku": "A"}]}, "items.0.price"),
    ({"items": [{"price": "1.00"}]}, "items.0.sku"),
    ({"items": [{"sku": "A", "price": "-1.00"}]}, "items.0.price"),
    ({"items": [{"sku": "A", "price": "NaN"}]}, "items.0.price"),
    ({"items": [{"sku": "A", "price": "9" * 30}]}, "items.0.price"),
    ({"items": [{"sku": "A", "price": {}}]}, "items.0.price"),
    ({"items": [{"sku": "A", "price": "1.00", "quantity": 0}]}, "items.0.quantity"),
    ({"items": [{"sku": "A", "price": "1.00", "quantity": -1}]}, "items.0.quantity"),
    ({"items": [{"sku": "A", "price": "1.00", "quantity": 10**12}]}, "items.0.quantity"),
    ({"items": [{"sku": "A", "price": "1.00", "quantity": 1.5}]}, "items.0.quantity"),
    ({"items": [{"variantId": "7", "price": "1.00"}]}, "items.0.variantId"),
    ({"items": [{"sku": "A", "price": "1.00"}], "currency": "XXX"}, "currency"),
    ({"items": [{"sku": "A", "price": "1.00"}], "currency": ""}, "currency"),
    ({"items": [{"sku": "A", "price": "1.00", "colour": "red"}]}, "items.0.colour"),
    ({"items": [{"sku": "A", "price": "1.00"}] * 501}, "items"),
]


@pytest.mark.parametrize("path", ["validate", "compare"])
@pytest.mark.parametrize(("body", "field"), BAD)
def test_what_is_no_question_is_refused_by_its_field(
    public: Api, path: str, body: dict[str, Any], field: str
) -> None:
    answer = public.post(f"/products/pricing/{path}", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("body", [{}, [], None, {"items": [{"sku": "A\x00", "price": "1.00"}]}])
def test_a_body_without_lines_is_no_question(public: Api, body: Any) -> None:
    answer = public.post("/products/pricing/validate", body)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}


# --- cart prices beside current ones ------------------------------------------------------------------


def test_lines_are_compared_with_what_the_caller_knows(public: Api, variant: Variant) -> None:
    answer = public.post(
        "/products/pricing/compare",
        {"items": [{"sku": variant.sku, "quantity": 3, "price": "12.00"}]},
    )

    assert answer.json() == {
        "currency": "USD",
        "changed": True,
        "results": [
            {
                "itemId": None,
                "productId": str(variant.product_id),
                "sku": variant.sku,
                "variantId": str(variant.id),
                "quantity": 3,
                "price": "12.00",
                "currentPrice": "10.00",
                "difference": "-2.00",
                "changed": True,
                "problem": None,
            }
        ],
    }


def test_without_lines_the_callers_cart_is_compared(
    variant: Variant, public: Api, system: Actor, now: Any
) -> None:
    guest = public.as_guest(public.post("/public/cart", {}).json()["sessionToken"])
    guest.post("/cart/items", {"sku": variant.sku, "quantity": 2})
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal("9.00"), now=now
    )

    answer = guest.post("/products/pricing/compare", {})

    [row] = answer.json()["results"]
    assert answer.json()["changed"] is True
    assert row["itemId"] is not None
    assert (row["price"], row["currentPrice"], row["difference"]) == ("10.00", "9.00", "-1.00")


def test_who_has_no_cart_has_nothing_to_compare(
    public: Api, user_api: Api, company: Company
) -> None:
    assert public.post("/products/pricing/compare", {}).json()["code"] == "AUTH_REQUIRED"
    assert user_api.post("/products/pricing/compare", {}).json()["results"] == []


@pytest.mark.parametrize("path", ["compare", "validate"])
def test_a_hundred_lines_cost_as_many_statements_as_one(
    public: Api, company: Company, unhurried: None, path: str
) -> None:
    made = [factories.make_priced_variant("1.00") for _ in range(100)]

    def ask(number: int) -> Any:
        items = [{"sku": variant.sku, "price": "1.00"} for variant in made[:number]]
        answer = public.post(f"/products/pricing/{path}", {"items": items})
        assert len(answer.json()["results"]) == number

    ask(1)

    assert queries(lambda: ask(1)) == queries(lambda: ask(100)) <= 3


# --- the value of lines -------------------------------------------------------------------------------


def test_prices_that_a_client_sends_are_ignored_and_told_where_they_differ(
    public: Api, variant: Variant
) -> None:
    items = [
        {"sku": variant.sku, "price": "0.01"},
        {"sku": variant.sku, "unitPrice": "10"},
        {"sku": variant.sku, "price": {"amount": 1}},
        {"sku": variant.sku, "price": "NaN", "total": "1.00"},
        {"sku": variant.sku},
        {"sku": variant.sku, "price": "9"},
        {"sku": variant.sku, "price": "9.005"},
        {"sku": variant.sku, "price": "1e1000000"},
        {"sku": variant.sku, "price": "1e-1000000"},
    ]

    answer = public.post("/products/pricing/calculate-cart-value", {"items": items}).json()

    assert answer["totals"]["grandTotal"] == "90.00"
    assert [(w["code"], w["index"], w["extra"]) for w in answer["warnings"]] == [
        ("PRICE_CHANGED", 0, {"sku": variant.sku, "from": "0.01", "to": "10.00"}),
        ("PRICE_IGNORED", 2, {"sku": variant.sku}),
        ("PRICE_IGNORED", 3, {"sku": variant.sku}),
        ("PRICE_CHANGED", 5, {"sku": variant.sku, "from": "9.00", "to": "10.00"}),
        ("PRICE_CHANGED", 6, {"sku": variant.sku, "from": "9.005", "to": "10.00"}),
        # written out they would be an answer of a million digits
        ("PRICE_IGNORED", 7, {"sku": variant.sku}),
        ("PRICE_IGNORED", 8, {"sku": variant.sku}),
    ]


# --- how to pay less ----------------------------------------------------------------------------------


def test_more_of_it_a_bundle_and_a_promotion_are_ways_to_pay_less(
    public: Api, variant: Variant, company: Company
) -> None:
    factories.make_special_price(variant, "9.00", from_quantity=3)
    factories.make_special_price(variant, "8.00", from_quantity=10)
    other = factories.make_priced_variant("5.00")
    bundle = Bundle.objects.create(company=company, slug="pair", name="Pair")
    for each in (variant, other):
        BundleItem.objects.create(bundle=bundle, variant=each, quantity=1)
    BundlePrice.objects.create(bundle=bundle, currency="USD", amount=Decimal("12.00"))
    promotion = factories.make_promotion(is_advertised=True)

    answer = public.get(f"/products/{variant.product_id}/pricing/recommendations?quantity=3")

    assert answer.status_code == 200
    found = answer.json()
    assert found["quantityBreaks"] == [
        {
            "variantId": str(variant.id),
            "sku": variant.sku,
            "fromQuantity": 10,
            "unitPrice": "8.00",
            "saving": "1.00",
        }
    ]
    assert found["bundles"] == [
        {
            "bundleId": str(bundle.id),
            "slug": "pair",
            "name": "Pair",
            "price": "12.00",
            "partsPrice": "15.00",
            "saving": "3.00",
        }
    ]
    assert [row["id"] for row in found["promotions"]] == [str(promotion.id)]
    assert found["quantity"] == 3


def test_where_nothing_is_cheaper_nothing_is_recommended(public: Api, variant: Variant) -> None:
    factories.make_special_price(variant, "11.00", from_quantity=3)

    found = public.get(f"/products/{variant.product.slug}/pricing/recommendations").json()

    assert (found["quantityBreaks"], found["bundles"], found["promotions"]) == ([], [], [])


def test_a_break_of_a_group_is_recommended_to_its_members_alone(
    variant: Variant, user: Any, user_api: Api, system: Actor, now: Any
) -> None:
    group = services.create_group(actor=system, name="Trade", now=now)
    services.change_group(actor=system, group_id=group.id, add=[user.id], now=now)
    factories.make_special_price(variant, "7.00", from_quantity=5, group=group)
    path = f"/products/{variant.product_id}/pricing/recommendations"

    member, anybody = user_api.get(path), Api().get(path)

    assert [row["unitPrice"] for row in member.json()["quantityBreaks"]] == ["7.00"]
    assert anybody.json()["quantityBreaks"] == []
    assert "no-store" in member["Cache-Control"]


@pytest.mark.parametrize("query", ["quantity=0", "quantity=-3", "quantity=x", "quantity=10001", "currency=XXX"])  # fmt: skip
def test_a_quantity_that_is_none_is_refused(public: Api, variant: Variant, query: str) -> None:
    answer = public.get(f"/products/{variant.product_id}/pricing/recommendations?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")


# --- how a price moved --------------------------------------------------------------------------------


def test_the_history_tells_what_everybody_paid_and_when(
    public: Api, variant: Variant, system: Actor, now: Any
) -> None:
    services.set_price(
        actor=system,
        variant_id=variant.id,
        currency="USD",
        amount=Decimal("12.00"),
        reason="secret reason",
        now=now - 3 * DAY,
    )
    factories.make_special_price(variant, "9.00", starts_at=now - 2 * DAY, ends_at=now - DAY)
    factories.make_special_price(variant, "7.00", starts_at=now - 2 * DAY, from_quantity=4)
    factories.make_special_price(variant, "6.00", starts_at=now + DAY)

    answer = public.get(f"/products/{variant.product_id}/pricing/history")

    [row] = answer.json()["variants"]
    assert [period["price"] for period in row["prices"]] == ["10.00", "12.00", "9.00", "12.00"]
    assert row["prices"][0]["validFrom"] is None
    assert row["prices"][-1]["validTo"] is None
    assert row["prices"][1]["validTo"] == row["prices"][2]["validFrom"]
    assert b"secret" not in answer.content
    assert b'"6.00"' not in answer.content  # a time may hold these digits


def test_a_price_that_never_moved_is_its_own_history(public: Api, variant: Variant) -> None:
    [row] = public.get(f"/products/{variant.product_id}/pricing/history").json()["variants"]

    assert row["prices"] == [{"price": "10.00", "validFrom": None, "validTo": None}]


def test_staff_see_each_change_with_who_and_why(
    variant: Variant, staff: Actor, staff_api: Api, user_api: Api, now: Any
) -> None:
    stranger = factories.make_priced_variant("5.00", company=factories.make_company())
    theirs = Actor.system(stranger.company_id)
    for actor, each in ((staff, variant), (theirs, stranger)):
        services.set_price(
            actor=actor,
            variant_id=each.id,
            currency="USD",
            amount=Decimal("8.00"),
            reason="clearance",
            now=now,
        )

    [row] = staff_api.get("/price-changes").json()["results"]

    assert PriceChange.objects.count() == 2
    assert (row["sku"], row["oldPrice"], row["newPrice"]) == (variant.sku, "10.00", "8.00")
    assert (row["reason"], row["actor"]) == ("clearance", staff.label)
    assert staff_api.get(f"/price-changes?variantId={stranger.id}").json()["results"] == []
    assert staff_api.get(f"/price-changes?sku={variant.sku}&currency=EUR").json()["results"] == []
    assert staff_api.get("/price-changes?variantId=x").status_code == 400
    assert user_api.get("/price-changes").status_code == 403
    assert Api().get("/price-changes").status_code == 401


# --- taxes of a place ---------------------------------------------------------------------------------


def test_the_taxes_of_a_place_are_those_that_carts_are_charged(
    public: Api, company: Company
) -> None:
    factories.make_tax_rate("0.19", country="DE", is_included=True)
    factories.make_tax_rate("0.07", country="DE", tax_class="books", is_included=True)
    factories.make_tax_rate("0.20", country="FR")

    answer = public.get("/tax/rates?country=de&postalCode=27568")

    assert answer.json()["country"] == "DE"
    assert [(row["taxClass"], row["rate"], row["included"]) for row in answer.json()["rates"]] == [
        ("standard", "0.19", True), ("books", "0.07", True),
    ]  # fmt: skip
    assert public.get("/tax/rates?country=BR").json()["rates"] == []


@pytest.mark.parametrize("query", ["", "country=Germany", "country=D%00", "country=1", "country=DE&state=" + "x" * 41])  # fmt: skip
def test_a_place_that_is_none_is_refused(public: Api, query: str) -> None:
    assert public.get(f"/tax/rates?{query}").status_code == 400


# --- all of them --------------------------------------------------------------------------------------


def test_questions_write_nothing(public: Api, variant: Variant) -> None:
    for path, body in (
        ("validate", {"items": [{"sku": variant.sku, "price": "1.00"}]}),
        ("compare", {"items": [{"sku": variant.sku, "price": "1.00"}]}),
        ("calculate-cart-value", {"items": [{"sku": variant.sku, "price": "1.00"}]}),
    ):
        assert public.post(f"/products/pricing/{path}", body).status_code == 200

    assert not PriceChange.objects.exists()
    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("tail", ["recommendations", "history"])
def test_products_of_others_and_none_at_all_are_not_found(
    public: Api, company: Company, tail: str
) -> None:
    theirs = factories.make_priced_variant("5.00", company=factories.make_company())

    for ref in (theirs.product_id, theirs.product.slug, uuid4(), "no-such"):
        answer = public.get(f"/products/{ref}/pricing/{tail}")

        assert (answer.status_code, answer.json()["code"]) == (404, "PRODUCT_NOT_FOUND")
