"""Which promotions a cart would get, why not the others, and what lost: as the engine says, and nothing written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given

from config.platform import flags
from inventory.models import Company
from pricing.engine import Basket, Rules, compare, price
from pricing.models import CustomerOrder, PromotionUse
from tests import factories
from tests.conftest import Api
from tests.pricing.carts import NOW, cases
from tests.pricing.test_oracle import carts
from tests.pricing.words import line, promotion


@carts(100)
@given(cases())
def test_the_preview_is_the_quote_and_gives_a_reason_for_the_rest(
    case: tuple[Basket, Rules],
) -> None:
    asked, rules = case

    comparison = compare(asked, rules, NOW)

    quote = price(asked, rules, NOW)
    assert comparison.quote == quote
    assert {item.rule.id for item in comparison.considered} == {r.id for r in rules.promotions}
    taken = {item.promotion_id: item.amount for item in quote.discounts if item.promotion_id}
    for item in comparison.considered:
        assert (item.rule.id in taken) == (not item.reason)
        assert item.amount == taken.get(item.rule.id, 0)
    said = {item.code: item.reason for item in quote.not_applied}
    for item in comparison.considered:
        # a code is refused for itself; its promotion may apply by itself all the same
        if item.code in said and item.reason and not item.rule.is_automatic:
            assert said[item.code] == item.reason
    if comparison.combinations:
        assert all(option.loses_by >= 0 for option in comparison.combinations)
        assert any(option.is_chosen for option in comparison.combinations) or not taken


def test_a_combination_that_lost_says_by_how_much() -> None:
    ten = promotion("PERCENTAGE", "10")
    five = promotion("FIXED_AMOUNT", "5")
    alone = promotion("PERCENTAGE", "20", is_stackable=False)
    secret = promotion("PERCENTAGE", "50", is_automatic=False)
    asked = Basket(lines=(line("100.00"),), currency="USD")

    comparison = compare(asked, Rules(promotions=[ten, five, alone, secret]), NOW)

    options = {
        tuple(rule.id for rule in option.rules): (option.saves, option.loses_by, option.is_chosen)
        for option in comparison.combinations
    }
    assert options == {
        (ten.id, five.id): (Decimal("15.00"), Decimal("5.00"), False),
        (alone.id,): (Decimal("20.00"), Decimal("0.00"), True),
    }
    assert {item.rule.id: item.reason for item in comparison.considered} == {
        ten.id: "not_combinable",
        five.id: "not_combinable",
        alone.id: "",
        secret.id: "needs_code",
    }
    swapped = compare(
        replace(asked, codes=("X",)), Rules(promotions=[ten], coupons={"X": ten.id}), NOW
    )
    assert [item.code for item in swapped.considered] == ["X"]


# --- API and page -----------------------------------------------------------------------------------


@pytest.fixture
def shop(company: Company, now: datetime) -> str:
    variant = factories.make_priced_variant("100.00")
    factories.make_promotion("SAVE10", name="Ten off")
    factories.make_promotion(name="Big orders", minimum_order=Decimal(500))
    factories.make_promotion("OVER", name="Summer", ends_at=now - timedelta(days=1))
    factories.make_promotion("FIRST", name="Welcome", first_order_only=True)
    return variant.sku


@pytest.mark.django_db
def test_staff_ask_as_a_customer_and_nothing_is_written(shop: str, now: datetime) -> None:
    api = Api().as_user(factories.make_staff(is_superuser=True))
    body = {
        "items": [{"sku": shop, "quantity": 2}],
        "codes": ["save10", "OVER", "first"],
        "email": "ann@example.com",
    }

    answer = api.post("/promotions/preview", body)

    assert answer.status_code == 200, answer.content
    shown = {
        item["name"]: (item["applied"], item["code"], item["amount"], item["reason"])
        for item in answer.json()["promotions"]
    }
    assert shown == {
        "Ten off": (True, "SAVE10", "20.00", None),
        "Big orders": (False, None, "0.00", "minimum_not_met"),
        "Summer": (False, "OVER", "0.00", "expired"),
        "Welcome": (True, "FIRST", "18.00", None),
    }
    assert answer.json()["totals"]["discountTotal"] == "38.00"
    assert not PromotionUse.objects.exists()
    assert not CustomerOrder.objects.exists()

    later = api.post("/promotions/preview", body | {"at": (now + timedelta(days=1)).isoformat()})
    assert later.json()["totals"] == answer.json()["totals"]
    refused = api.post("/promotions/preview", body | {"items": [{"sku": "NOPE"}]})
    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
    assert api.post("/promotions/preview", body | {"codes": ["ＳＡＶＥ１０"]}).status_code == 200
    assert (
        api.post("/promotions/preview", body | {"codes": ["SÁVE10"]}).json()["code"]
        == "DISCOUNT_INVALID"
    )


@pytest.mark.django_db
def test_only_staff_with_the_right_may_ask(shop: str) -> None:
    body = {"items": [{"sku": shop}]}
    assert Api().post("/promotions/preview", body).status_code == 401
    assert Api().as_user(factories.make_user()).post("/promotions/preview", body).status_code == 403
    helper = factories.make_staff(is_superuser=False)
    assert Api().as_user(helper).post("/promotions/preview", body).status_code == 403


@pytest.mark.django_db
def test_the_page_says_it_in_words(shop: str) -> None:
    client = Client()
    client.force_login(factories.make_staff(is_superuser=True))
    address = reverse("admin:pricing_promotion_preview")
    assert client.get(address).status_code == 200

    with CaptureQueriesContext(connection) as queries:
        page = client.get(address, {"lines": f"{shop} 2", "codes": "SAVE10"})

    text = page.content.decode()
    assert page.status_code == 200
    assert "Ten off" in text
    assert "20.00" in text
    assert "The order is below the minimum for this code." in text
    assert not [
        query["sql"]
        for query in queries
        if query["sql"].startswith(("INSERT", "UPDATE", "DELETE")) and "promotion" in query["sql"]
    ]
    for typed in ("", "two words too many", f"{shop} 0", "NOPE"):
        again = client.get(address, {"lines": typed})
        assert again.status_code == 200
        assert "Applied" not in again.content.decode()


@pytest.mark.django_db
def test_a_preview_of_promotions_switched_off_has_none(
    shop: str, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FEATURES = {**settings.FEATURES, "ORDER_ENABLE_PROMOTIONS": False}
    flags.forget()
    api = Api().as_user(factories.make_staff(is_superuser=True))

    answer = api.post("/promotions/preview", {"items": [{"sku": shop}], "codes": ["SAVE10"]})

    assert answer.json()["promotions"] == []
    assert answer.json()["totals"]["discountTotal"] == "0.00"
