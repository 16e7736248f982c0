"""Buying again: what is there goes into the cart, what is not is told, nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cart.models import CartLine
from inventory.models import Company, Product
from orders.models import Order
from pricing.models import Price
from tests import factories
from tests.checkout.conftest import ADDRESS
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def things(shop: Company) -> list[Any]:
    return [factories.make_priced_variant("10.00", available=9) for _ in range(3)]


@pytest.fixture
def placed(things: list[Any], user_api: Api) -> Order:
    items = [
        {"sku": thing.sku, "quantity": quantity}
        for thing, quantity in zip(things, (3, 2, 1), strict=True)
    ]
    body = {"items": items, "email": "ada@example.com", "shippingAddress": ADDRESS}
    return Order.objects.get(pk=user_api.post("/orders", body).json()["id"])


def test_it_brings_everything_back(placed: Order, things: list[Any], user_api: Api) -> None:
    answer = user_api.post(f"/orders/{placed.number}/reorder")

    body = answer.json()
    assert answer.status_code == 200
    assert [(row["sku"], row["status"], row["requested"], row["added"]) for row in body["report"]] == [
        (things[0].sku, "added", 3, 3),
        (things[1].sku, "added", 2, 2),
        (things[2].sku, "added", 1, 1),
    ]  # fmt: skip
    assert [(item["sku"], item["quantity"]) for item in body["items"]] == [
        (things[0].sku, 3),
        (things[1].sku, 2),
        (things[2].sku, 1),
    ]
    assert body["cart"]["version"] == body["version"]
    assert all(item["hold"]["state"] == "held" for item in body["items"])


def test_it_tells_what_is_short_gone_and_dearer(
    placed: Order, things: list[Any], user_api: Api, staff_api: Api
) -> None:
    others = {"items": [{"sku": things[0].sku, "quantity": 4}], "email": "b@example.com"}
    assert staff_api.post("/orders", {**others, "shippingAddress": ADDRESS}).status_code == 201
    Product.objects.filter(pk=things[1].product_id).update(status=Product.Status.DISCONTINUED)
    Price.objects.filter(variant=things[2]).update(amount="12.50")

    report = user_api.post(f"/orders/{placed.id}/reorder").json()["report"]

    assert [(row["status"], row["added"], row["reason"]) for row in report] == [
        ("short", 2, "ITEM_OUT_OF_STOCK"),
        ("gone", 0, "PRODUCT_DISCONTINUED"),
        ("added", 1, None),
    ]
    assert (report[2]["oldPrice"], report[2]["unitPrice"]) == ("10.00", "12.50")


def test_what_is_in_the_cart_already_grows(placed: Order, things: list[Any], user_api: Api) -> None:
    user_api.post("/cart/items", {"sku": things[0].sku, "quantity": 1})

    body = user_api.post(f"/orders/{placed.id}/reorder").json()

    assert (body["items"][0]["quantity"], body["report"][0]["added"]) == (4, 3)


def test_a_repeat_with_the_same_key_adds_nothing(placed: Order, user_api: Api) -> None:
    key = {"key": "again-1"}
    first = user_api.request("post", f"/orders/{placed.id}/reorder", None, **key)
    second = user_api.request("post", f"/orders/{placed.id}/reorder", None, **key)

    assert second.json() == first.json()
    assert sum(CartLine.objects.values_list("quantity", flat=True)) == 6


def test_a_foreign_order_brings_nothing(placed: Order, guest_api: Api) -> None:
    stranger = Api().as_user(factories.make_user())

    for caller in (stranger, guest_api):
        answer = caller.post(f"/orders/{placed.id}/reorder")
        assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")
    assert Api().post(f"/orders/{placed.id}/reorder").status_code == 401
    assert not CartLine.objects.exists()
