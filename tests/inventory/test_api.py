"""Stock over HTTP: who may see and do what, the shapes, and bad input."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import User, new_id
from inventory import services as inventory
from inventory.models import Category, Company, Reservation, StockLevel, StockMovement
from inventory.services import Demand
from tests.conftest import Api
from tests.factories import (
    make_company,
    make_product,
    make_user,
    make_variant,
    make_warehouse,
)
from tests.inventory.test_services import snapshot

pytestmark = pytest.mark.django_db


def code(response: Any) -> tuple[int, str]:
    body = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, body["code"]


# --- who ---


def test_stock_writes_are_for_staff_only(api: Api, user_api: Api, guest_api: Api) -> None:
    make_variant(available=5)
    level = StockLevel.objects.get()
    before = snapshot()
    calls = [
        ("GET", "/inventory", None),
        ("POST", "/inventory", {"sku": "A"}),
        ("GET", f"/inventory/{level.id}", None),
        ("PUT", f"/inventory/{level.id}", {"reorderLevel": 1}),
        ("POST", f"/inventory/{level.id}/adjust", {"quantity": 1}),
        ("GET", f"/inventory/{level.id}/transactions", None),
        ("GET", "/products/inventory/low-stock", None),
    ]

    for method, path, body in calls:
        assert code(api.request(method, path, body)) == (401, "AUTH_REQUIRED")
        assert code(guest_api.request(method, path, body)) == (401, "AUTH_REQUIRED")
        assert code(user_api.request(method, path, body)) == (403, "FORBIDDEN")
    assert snapshot() == before


def test_another_company_s_records_are_not_there(staff_api: Api) -> None:
    foreign = make_variant(company=make_company(), available=5).stock_levels.get()

    assert staff_api.get("/inventory").json()["results"] == []
    for method, path, body in (
        ("GET", f"/inventory/{foreign.id}", None),
        ("PUT", f"/inventory/{foreign.id}", {"reorderLevel": 1}),
        ("POST", f"/inventory/{foreign.id}/adjust", {"quantity": 1}),
        ("GET", f"/inventory/{foreign.id}/transactions", None),
    ):
        assert code(staff_api.request(method, path, body)) == (404, "NOT_FOUND")


def test_company_header_chooses_the_shop(api: Api, company: Company) -> None:
    other = make_company()
    make_variant(company=other, available=5, sku="OTHERS")
    body = {"items": [{"sku": "OTHERS"}]}

    def sufficient(**headers: str) -> bool:
        return api.post("/products/inventory/check", body, **headers).json()["results"][0][
            "sufficient"
        ]

    assert not sufficient()
    assert sufficient(**{"X-Company-Id": str(other.id)})
    assert sufficient(**{"X-Company-Id": other.slug})
    for nonsense in (str(new_id()), "nobody", "\u00e9" * 300):
        response = api.post("/products/inventory/check", body, **{"X-Company-Id": nonsense})
        assert code(response) == (404, "COMPANY_NOT_FOUND")


# --- staff ---


def test_staff_opens_reads_changes_and_adjusts_a_record(staff_api: Api) -> None:
    make_warehouse(code="NORTH")
    variant = make_variant(available=None, sku="MUG")

    created = staff_api.post(
        "/inventory",
        {
            "sku": "MUG",
            "warehouse": "NORTH",
            "available": 7,
            "reorderLevel": 2,
            "reference": "PO-1",
        },
    )
    assert created.status_code == 201
    record = created.json()
    assert {key: record[key] for key in record if not key.endswith("At") and key != "id"} == {
        "variantId": str(variant.id),
        "productId": str(variant.product_id),
        "sku": "MUG",
        "warehouse": "NORTH",
        "available": 7,
        "reserved": 0,
        "total": 7,
        "backordered": 0,
        "backorderLimit": None,
        "inventoryPolicy": "deny",
        "reorderLevel": 2,
        "reorderQuantity": 50,
    }
    path = f"/inventory/{record['id']}"
    assert staff_api.get(path).json() == record
    assert staff_api.get("/inventory").json() == {
        "results": [record],
        "next": None,
        "previous": None,
    }
    assert staff_api.put(path, {"reorder_level": 9}).json()["reorderLevel"] == 9
    assert staff_api.get("/products/inventory/low-stock").json()["results"][0]["id"] == record["id"]

    adjusted = staff_api.post(f"{path}/adjust", {"quantity": -2, "type": "DAMAGE", "notes": "wet"})
    assert (adjusted.status_code, adjusted.json()["available"], adjusted.json()["total"]) == (
        200,
        5,
        5,
    )
    rows = staff_api.get(f"{path}/transactions").json()["results"]
    assert [
        (row["type"], row["quantity"], row["balance"], row["reference"], row["notes"])
        for row in rows
    ] == [
        ("DAMAGE", -2, 5, "", "wet"),
        ("PURCHASE", 7, 7, "PO-1", "opening stock"),
    ]
    assert code(staff_api.post("/inventory", {"sku": "MUG", "warehouse": "NORTH"})) == (
        409,
        "STOCK_RECORD_EXISTS",
    )
    assert code(staff_api.post("/inventory", {"sku": "NO"})) == (404, "PRODUCT_NOT_FOUND")
    assert code(staff_api.post("/inventory", {"sku": "MUG", "warehouse": "X"})) == (
        404,
        "WAREHOUSE_NOT_FOUND",
    )


def test_adjust_is_repeatable_with_a_key(staff_api: Api) -> None:
    make_variant(available=5)
    path = f"/inventory/{StockLevel.objects.get().id}/adjust"

    first = staff_api.post(path, {"quantity": 3}, key="once")
    again = staff_api.post(path, {"quantity": 3}, key="once")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    assert StockLevel.objects.get().total == 8


def test_list_pages_are_complete(staff_api: Api) -> None:
    for _ in range(5):
        make_variant(available=1)

    seen, path = [], "/inventory?limit=2"
    while path:
        body = staff_api.get(path).json()
        seen += [row["id"] for row in body["results"]]
        path = body["next"] and body["next"].removeprefix("http://testserver")

    assert sorted(seen) == sorted(str(level.id) for level in StockLevel.objects.all())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"quantity": 0},
        {"quantity": "3"},
        {"quantity": 1.0},
        {"quantity": True},
        {"quantity": None},
        {"quantity": 2**63},
        {"quantity": 5, "type": "SALE"},
        {"quantity": 5, "type": "DAMAGE"},
        {"quantity": 5, "type": ["PURCHASE"]},
        {"quantity": 5, "notes": "a\u0000b"},
        {"quantity": 5, "notes": "\ud800"},
        {"quantity": 5, "reference": "x" * 201},
        {"quantity": 5, "surprise": 1},
        [],
        "text",
        b"{",
        b'{"quantity": 1, "quantity": 2}',
        b"[" * 2_000,
    ],
)
def test_adjust_refuses_bad_input_and_changes_nothing(staff_api: Api, body: Any) -> None:
    make_variant(available=5)
    before = snapshot()

    response = staff_api.post(f"/inventory/{StockLevel.objects.get().id}/adjust", body)

    assert response.status_code == 400, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}
    assert snapshot() == before


# --- everybody ---


def test_check_answers_each_line_and_tells_customers_of_ten_at_most(
    api: Api, staff_api: Api
) -> None:
    make_variant(available=50, sku="MANY")
    make_variant(available=0, sku="OWED", inventory_policy="continue")
    make_variant(product=make_product(status="discontinued"), sku="GONE")
    body = {
        "items": [
            {"sku": "MANY", "quantity": 30},
            {"sku": "MANY", "quantity": 30},
            {"sku": "OWED", "quantity": 2},
            {"sku": "GONE"},
            {"sku": "NO"},
        ]
    }

    rows = api.post("/products/inventory/check", body).json()["results"]
    staff_rows = staff_api.post("/products/inventory/check", body).json()["results"]

    assert [(row["sku"], row["sufficient"], row["available"], row["code"]) for row in rows] == [
        ("MANY", True, 10, None),
        ("MANY", False, 10, None),
        ("OWED", True, 0, None),
        ("GONE", False, 0, "PRODUCT_DISCONTINUED"),
        ("NO", False, 0, "PRODUCT_NOT_FOUND"),
    ]
    assert staff_rows[0]["available"] == 50


@pytest.mark.parametrize("lines", [1, 50])
def test_check_needs_the_same_statements_for_any_number_of_lines(api: Api, lines: int) -> None:
    body = {"items": [{"sku": make_variant().sku} for _ in range(lines)]}
    api.post("/products/inventory/check", body)

    with CaptureQueriesContext(connection) as queries:
        api.post("/products/inventory/check", body)

    assert len(queries) == 2


def test_reserve_and_release_belong_to_the_caller(guest_api: Api, user_api: Api, api: Api) -> None:
    make_variant(available=5, sku="MUG")
    body = {"items": [{"sku": "MUG", "quantity": 3}]}

    held = guest_api.post("/products/inventory/reserve", body)
    refused = user_api.post("/products/inventory/reserve", body)
    ids = {"holdIds": [held.json()["results"][0]["holdId"]]}

    assert held.status_code == 201
    assert held.json()["results"][0]["quantity"] == 3
    assert code(refused) == (400, "ITEM_OUT_OF_STOCK")
    assert refused.json()["extra"]["available"] == 2
    assert user_api.post("/products/inventory/release", ids).json() == {"released": 0}
    assert guest_api.post("/products/inventory/release", ids).json() == {"released": 1}
    assert StockLevel.objects.get().available == 5
    assert code(api.post("/products/inventory/reserve", body)) == (401, "AUTH_REQUIRED")


def test_product_stock_by_slug_or_id(api: Api, staff_api: Api, now: datetime) -> None:
    product = make_product(slug="mug")
    many = make_variant(product=product, available=40, sku="M1", position=1)
    none = make_variant(product=product, available=0, sku="M2", position=2)
    Reservation.objects.create(
        company=product.company, stock_level=many.stock_levels.get(), variant=many, line_id=new_id(), holder="x",
        quantity=4, started_at=now, expires_at=now - timedelta(minutes=1),
    )  # fmt: skip
    StockLevel.objects.filter(variant=many).update(available=36, reserved=4)

    body = api.get("/products/mug/inventory").json()

    assert body == {
        "productId": str(product.id),
        "available": 10,
        "inStock": True,
        "variants": [
            {
                "id": str(many.id),
                "sku": "M1",
                "available": 10,
                "inStock": True,
                "onBackorder": False,
            },
            {
                "id": str(none.id),
                "sku": "M2",
                "available": 0,
                "inStock": False,
                "onBackorder": False,
            },
        ],
    }
    assert staff_api.get(f"/products/{product.id}/inventory").json()["available"] == 40
    assert code(api.get("/products/no-such/inventory")) == (404, "PRODUCT_NOT_FOUND")
    make_product(slug="secret", status="draft")
    assert code(api.get("/products/secret/inventory")) == (404, "PRODUCT_NOT_FOUND")
    assert staff_api.get("/products/secret/inventory").status_code == 200


def test_records_of_a_product_show_customers_less(user_api: Api, staff_api: Api, api: Api) -> None:
    variant = make_variant(available=40)
    path = f"/inventory/product/{variant.product_id}"

    [seen] = user_api.get(path).json()["results"]

    assert seen["available"] == 10
    assert not seen.keys() & {"reserved", "total", "backordered", "reorderLevel"}
    assert staff_api.get(path).json()["results"][0]["total"] == 40
    assert code(api.get(path)) == (401, "AUTH_REQUIRED")
    assert code(user_api.get(f"/inventory/product/{new_id()}")) == (404, "PRODUCT_NOT_FOUND")


def test_categories_in_their_order(api: Api, company: Company) -> None:
    home = Category.objects.create(company=company, slug="home", name="Home", position=2)
    Category.objects.create(company=company, slug="galley", name="Galley", position=1, parent=home)
    Category.objects.create(company=company, slug="hidden", name="Hidden", is_active=False)

    rows = api.get("/categories").json()["results"]

    assert [(row["slug"], row["parent"]) for row in rows] == [("galley", "home"), ("home", None)]


def test_health_tells_figures_to_staff_only(api: Api, staff_api: Api) -> None:
    make_variant(available=0)

    assert api.get("/products/health").json() == {"status": "ok"}
    assert staff_api.get("/products/health").json() == {
        "status": "ok",
        "problems": [],
        "products": 1,
        "variants": 1,
        "withoutStockRecord": 0,
        "low": 1,
        "outOfStock": 1,
        "overdueHolds": 0,
    }


def test_analytics_of_what_moved(
    staff_api: Api, user_api: Api, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=10)
    at = now - timedelta(hours=1)
    sold, lapsed, held = (Demand(new_id(), variant.id, units) for units in (4, 1, 2))
    arguments: Any = {"actor": actor_guest, "cart_id": new_id(), "now": at}
    inventory.assign(
        **arguments,
        order_id=new_id(),
        line_map={sold.line_id: sold.line_id},
        demands=[sold],
        expires_at=now,
    )
    inventory.confirm(actor=actor_guest, order_id=new_id(), demands=[sold], now=at)
    inventory.reserve(**arguments, demands=[lapsed], expires_at=at)
    inventory.reserve(**arguments, demands=[held], expires_at=now + timedelta(hours=1))

    assert code(user_api.get("/products/inventory/analytics")) == (403, "FORBIDDEN")
    assert code(staff_api.get("/products/inventory/analytics?days=x")) == (400, "VALIDATION_ERROR")
    assert staff_api.get("/products/inventory/analytics?days=30").json() == {
        "days": 30, "unitsOnShelf": 6, "unitsReserved": 2, "unitsOwed": 0, "unitsSold": 4, "unitsReturned": 0,
        "reservedPercent": 33, "expiredHoldPercent": 50, "turnoverPercent": 133, "daysOfCover": 45,
    }  # fmt: skip


def test_the_alias_without_a_version_answers_too(api: Api) -> None:
    assert api.get("/api/categories").status_code == 200


def test_a_session_cookie_alone_writes_nothing(api: Api, staff_user: User) -> None:
    make_variant(available=5)
    api.client.force_login(
        staff_user, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    level = StockLevel.objects.get()

    assert api.get(f"/inventory/{level.id}").status_code == 200
    assert code(api.post(f"/inventory/{level.id}/adjust", {"quantity": 1})) == (
        401,
        "AUTH_REQUIRED",
    )
    assert StockMovement.objects.count() == 1
    assert make_user().is_staff is False
