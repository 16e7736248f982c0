"""What the environment says about holds and stock is what carts and shelves do (CFG-13, 14, 50, 52, 58)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache

from cart.models import CartPolicy
from config.platform.actor import Actor
from inventory import services as inventory
from inventory.models import Reservation, StockLevel
from tests.conftest import Api
from tests.factories import make_priced_variant, make_variant

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer(api: Api) -> Api:
    return api.as_guest(api.post("/public/cart").json()["sessionToken"])


def add(buyer: Api, variant: Any, quantity: int = 1) -> Any:
    return buyer.post("/cart/items", {"sku": variant.sku, "quantity": quantity})


def test_hold_minutes(buyer: Api, settings: Any) -> None:
    settings.HOLD_DURATION = timedelta(minutes=7)

    add(buyer, make_priced_variant())

    row = Reservation.objects.get()
    assert row.expires_at - row.started_at == timedelta(minutes=7)
    assert buyer.get("/cart").json()["items"][0]["hold"]["secondsLeft"] <= 420


def test_a_longer_hold_than_the_cap_lifts_the_cap(settings: Any, company: Any) -> None:
    settings.HOLD_DURATION = timedelta(minutes=90)

    assert CartPolicy(company=company).hold_cap == timedelta(minutes=90)


def test_holds_begin_at_checkout(buyer: Api, settings: Any) -> None:
    settings.HOLD_START = "checkout"

    assert add(buyer, make_priced_variant()).json()["items"][0]["hold"]["state"] == "none"
    assert not Reservation.objects.exists()
    assert buyer.post("/checkout/initialize").status_code == 201
    assert Reservation.objects.get().status == "ACTIVE"


@pytest.mark.parametrize("name", ["HOLD_MAX_UNITS_PER_CUSTOMER", "HOLD_MAX_UNITS_PER_ADDRESS"])
def test_units_one_customer_or_address_may_hold(buyer: Api, settings: Any, name: str) -> None:
    setattr(settings, name, 3)

    assert add(buyer, make_priced_variant(), 3).status_code == 201
    refused = add(buyer, make_priced_variant())

    assert (refused.status_code, refused.json()["code"]) == (409, "HOLD_LIMIT_EXCEEDED")


def test_holds_switched_off_keep_nothing_aside_and_still_look(buyer: Api, settings: Any) -> None:
    settings.FEATURES = {**settings.FEATURES, "INVENTORY_HOLD_ENABLED": False}
    variant = make_priced_variant(available=2)

    assert add(buyer, variant, 2).status_code == 201
    assert not Reservation.objects.exists()
    assert add(buyer, make_priced_variant(available=1), 2).json()["code"] == "ITEM_OUT_OF_STOCK"


def test_reorder_level_and_quantity(staff: Actor, settings: Any, now: datetime) -> None:
    settings.DEFAULT_REORDER_LEVEL, settings.DEFAULT_REORDER_QUANTITY = 3, 8
    variant = make_variant(available=None)

    inventory.create_stock_level(actor=staff, variant_id=variant.id, now=now)

    level = StockLevel.objects.get()
    assert (level.reorder_level, level.reorder_quantity) == (3, 8)


def test_what_a_company_set_itself_wins(buyer: Api, settings: Any, company: Any) -> None:
    CartPolicy.objects.create(company=company, hold_minutes=20)
    settings.HOLD_DURATION = timedelta(minutes=7)

    add(buyer, make_priced_variant())

    row = Reservation.objects.get()
    assert row.expires_at - row.started_at == timedelta(minutes=20)


def test_without_real_time_stock_a_page_shows_what_was_there_a_minute_ago_and_a_hold_is_exact(
    buyer: Api, company: Any, system: Actor, now: datetime
) -> None:
    CartPolicy.objects.create(
        company=company, real_time_stock_validation_enabled=False, hold_start="checkout"
    )
    variant = make_priced_variant(available=5)
    add(buyer, variant, 4)

    def shown() -> tuple[int, list[str]]:
        [item] = buyer.get("/cart").json()["items"]
        return item["available"], [problem["code"] for problem in item["problems"]]

    assert shown() == (5, [])
    inventory.adjust(
        actor=system,
        stock_level_id=variant.stock_levels.get().id,
        quantity=-3,
        type="DAMAGE",
        now=now,
    )

    assert shown() == (5, [])  # remembered
    assert 0 < cache.client.get_client().ttl(cache.make_key(f"stock:{variant.id}")) <= 60
    refused = buyer.post("/checkout/initialize")
    assert (refused.status_code, refused.json()["code"]) == (409, "INVENTORY_HOLD_FAILED")
    cache.clear()  # the minute is over
    assert shown() == (2, ["ITEM_OUT_OF_STOCK"])

    CartPolicy.objects.update(real_time_stock_validation_enabled=True)
    inventory.adjust(
        actor=system,
        stock_level_id=variant.stock_levels.get().id,
        quantity=2,
        type="PURCHASE",
        now=now,
    )
    assert shown() == (4, [])
