"""api.md §3, §7 and requirements §2: products, stock, promotions, tax and shipping."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.client import Api
from tests.contract.conftest import Maker, Shop, demo_products, new_guest

UNKNOWN = "0197a000-0000-7000-8000-000000000000"
PRODUCT = {
    "id",
    "slug",
    "name",
    "description",
    "category",
    "images",
    "priceFrom",
    "currency",
    "variants",
}
VARIANT = {"id", "sku", "options", "price", "compareAtPrice", "available", "inStock"}
RECORD = {
    "id", "variantId", "productId", "sku", "warehouse", "available", "reserved", "total", "backordered",
    "inventoryPolicy", "reorderLevel", "reorderQuantity",
}  # fmt: skip


# --- products ---------------------------------------------------------------------------------
def test_a_product_is_read_by_id_and_slug(api: Api, product: Maker) -> None:
    made = product(price="12.50", quantity=4, variants=2)

    by_id, by_slug = api.get(f"/products/{made.id}"), api.get(f"/products/{made.slug}")

    assert by_id == by_slug
    assert set(by_id) >= PRODUCT
    assert (by_id["id"], by_id["slug"], by_id["priceFrom"], by_id["currency"]) == (
        made.id, made.slug, "12.50", "USD",
    )  # fmt: skip
    assert [variant["sku"] for variant in by_id["variants"]] == list(made.skus)
    for variant in by_id["variants"]:
        assert set(variant) >= VARIANT
        assert (variant["price"], variant["compareAtPrice"]) == ("12.50", None)
        assert (variant["available"], variant["inStock"]) == (4, True)
    assert by_id["variants"][0]["options"] == {"Size": "S0"}


def test_stock_is_shown_to_ten_but_staff_see_all(api: Api, user: Api, staff: Api, product: Maker) -> None:  # fmt: skip
    made = product(quantity=37)

    for caller, shown in ((api, 10), (user, 10), (staff, 37)):
        assert caller.get(f"/products/{made.id}")["variants"][0]["available"] == shown
        check = caller.post(
            "/products/inventory/check", {"items": [{"sku": made.sku, "quantity": 1}]}
        )
        assert check["results"][0]["available"] == shown
        found = caller.post("/products/validate", {"sku": made.sku, "quantity": 1})
        assert found["available"] == shown


def test_the_cart_does_not_tell_stock_either(guest: Api, product: Maker) -> None:
    made = product(quantity=37)

    assert guest.add(made.sku, 1)["items"][0]["available"] <= 10
    problem = guest.refused(
        "ITEM_OUT_OF_STOCK", "POST", "/cart/items", {"sku": made.sku, "quantity": 99}
    )
    assert problem["extra"]["available"] <= 37


@pytest.mark.parametrize("name", [UNKNOWN, "no-such-thing", "NO", "x" * 300])
def test_an_unknown_product_is_not_found(api: Api, name: str) -> None:
    api.refused("PRODUCT_NOT_FOUND", "GET", f"/products/{name}")


def test_the_list_shows_what_is_for_sale(api: Api) -> None:
    page = api.get("/products?limit=100")

    assert len(page["results"]) >= 30
    for one in page["results"]:
        assert set(one) >= PRODUCT - {"description"}
        # Other tests make products that have no price in this currency.
        assert one["priceFrom"] is None or Decimal(one["priceFrom"]) > 0
    assert sum(one["priceFrom"] is not None for one in page["results"]) >= 30


def test_words_find_products(api: Api, product: Maker) -> None:
    word = f"zq{secrets.token_hex(4)}"
    made = product(name=f"Lantern {word}")

    assert [one["id"] for one in api.get(f"/products/search?q={word}")["results"]] == [made.id]
    assert [one["id"] for one in api.get(f"/products/search?q={word.upper()}")["results"]] == [made.id]  # fmt: skip
    assert api.get(f"/products/search?q=nothing{secrets.token_hex(8)}")["results"] == []
    assert [one["id"] for one in api.get(f"/products/search?q={made.sku}")["results"]] == [made.id]


def test_filters_narrow_the_search(api: Api, product: Maker) -> None:
    word = f"zq{secrets.token_hex(4)}"
    cheap = product(name=f"{word} one", price="5.00")
    middle = product(name=f"{word} two", price="15.00", quantity=0)
    dear = product(name=f"{word} three", price="25.00")

    def found(query: str) -> list[str]:
        return [one["id"] for one in api.get(f"/products/search?q={word}&{query}")["results"]]

    assert set(found("minPrice=10")) == {middle.id, dear.id}
    assert set(found("maxPrice=15")) == {cheap.id, middle.id}
    assert set(found("minPrice=5.01&maxPrice=24.99")) == {middle.id}
    assert set(found("inStock=true")) == {cheap.id, dear.id}
    assert found("sort=price") == [cheap.id, middle.id, dear.id]
    assert found("sort=-price") == [dear.id, middle.id, cheap.id]
    assert found("sort=name") == [cheap.id, dear.id, middle.id]
    assert found("sort=newest") == [dear.id, middle.id, cheap.id]
    assert len(found("sort=relevance")) == 3
    assert found("category=no-such-thing") == []


@pytest.mark.parametrize("sort", ["price", "-price", "name", "newest", "relevance"])
def test_every_order_is_walked_without_gaps(api: Api, product: Maker, sort: str) -> None:
    word = f"zq{secrets.token_hex(4)}"
    made = {product(name=f"{word} same", price="5.00").id for _ in range(5)}
    walked: list[str] = []
    url: str | None = f"/products/search?q={word}&sort={sort}&limit=2"

    while url:
        page = api.get(url)
        walked += [one["id"] for one in page["results"]]
        url = page["next"]

    assert len(walked) == 5
    assert set(walked) == made


def test_a_category_narrows_the_search(api: Api) -> None:
    some = demo_products(api.base)[0]
    category = some["category"]

    assert set(category) == {"slug", "name"}
    found = api.get(f"/products/search?category={category['slug']}&limit=100")["results"]
    assert {one["category"]["slug"] for one in found} == {category["slug"]}
    assert some["id"] in [one["id"] for one in found]


@pytest.mark.parametrize(
    "text", ["!&|()", "a:*", "'", '"', "\\", "%25", "*", "--", "🦀", "ß", "a b c d", "and"]
)
def test_any_words_may_be_searched(api: Api, text: str) -> None:
    assert api.send("GET", "/products/search", params={"q": text}).status_code in (200, 400)


def test_prices_come_in_the_currency_asked_for(shop: Shop, api: Api, product: Maker) -> None:
    made = product(prices={"USD": "10.00", "EUR": "9.00"})

    found = api.get(f"/products/{made.id}?currency=EUR")

    assert (found["currency"], found["priceFrom"], found["variants"][0]["price"]) in (
        ("EUR", "9.00", "9.00"),
        ("USD", "10.00", "10.00"),
    )


# --- staff: products --------------------------------------------------------------------------
def test_a_product_is_made(staff: Api, api: Api) -> None:
    sku = f"NEW-{secrets.token_hex(4)}"
    category = demo_products(api.base)[0]["category"]["slug"]

    made = staff.post(
        "/products",
        {
            "name": "Tide clock",
            "category": category,
            "variants": [
                {"sku": f"{sku}-A", "options": {"Wood": "Oak"}, "prices": {"USD": "80.00", "EUR": "75.00"}, "quantity": 3},
                {"sku": f"{sku}-B", "options": {"Wood": "Ash"}, "prices": {"USD": "70.00"}},
            ],
        },
        expect=201,
    )  # fmt: skip

    assert set(made) >= PRODUCT
    assert (made["name"], made["priceFrom"], made["category"]["slug"]) == ("Tide clock", "70.00", category)  # fmt: skip
    assert made["slug"].startswith("tide-clock")
    assert [variant["available"] for variant in made["variants"]] == [3, 0]
    assert [variant["inStock"] for variant in made["variants"]] == [True, False]
    assert api.get(f"/products/{made['slug']}")["id"] == made["id"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": ""}, {"name": "x" * 501}, {"name": "x", "variants": []}, {"name": "x", "variants": "x"},
        {"name": "x", "variants": [{"sku": ""}]}, {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "-1"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "abc"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"XXX": "1"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"JPY": "1.50"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "1.234"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "1e30"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "NaN"}}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "1.00"}, "quantity": -1}]},
        {"name": "x", "variants": [{"sku": "S", "prices": {"USD": "1.00"}, "inventoryPolicy": "maybe"}]},
        {"name": "x", "slug": "not a slug", "variants": [{"sku": "S", "prices": {"USD": "1.00"}}]},
        {"name": "x", "slug": "search", "variants": [{"sku": "S", "prices": {"USD": "1.00"}}]},
        {"name": "x", "variants": [{"sku": "SAME", "prices": {"USD": "1"}}, {"sku": "SAME", "prices": {"USD": "1"}}]},
    ],
)  # fmt: skip
def test_a_malformed_product_is_refused(staff: Api, body: dict[str, Any]) -> None:
    problem = staff.refused("VALIDATION_ERROR", "POST", "/products", body)

    assert problem["errors"]


def test_a_sku_is_given_once(staff: Api, product: Maker) -> None:
    sku = product().sku

    body = {"name": "Other", "variants": [{"sku": sku, "prices": {"USD": "1.00"}}]}
    assert staff.send("POST", "/products", body).status_code in (400, 409)


def test_a_product_is_changed_and_discontinued(staff: Api, api: Api, product: Maker) -> None:
    made = product()

    changed = staff.patch(f"/products/{made.id}", {"name": "Another name"})
    gone = staff.send("DELETE", f"/products/{made.id}")

    assert changed["name"] == "Another name"
    assert gone.status_code in (200, 204)
    guest = new_guest(api.base)
    guest.refused("PRODUCT_DISCONTINUED", "POST", "/cart/items", {"sku": made.sku})
    assert made.id not in [one["id"] for one in api.get(f"/products/search?q={made.sku}")["results"]]  # fmt: skip


def test_customers_change_no_products(user: Api, guest: Api, api: Api, product: Maker) -> None:
    made = product()
    body = {"name": "x", "variants": [{"sku": "x", "prices": {"USD": "1.00"}}]}

    for method, path, given in (
        ("POST", "/products", body),
        ("PATCH", f"/products/{made.id}", {"name": "x"}),
        ("DELETE", f"/products/{made.id}", {}),
    ):
        user.refused("FORBIDDEN", method, path, given)
        api.refused("AUTH_REQUIRED", method, path, given)
        assert guest.send(method, path, given).status_code in (401, 403)


# --- questions about lines --------------------------------------------------------------------
def test_a_line_is_checked_before_it_is_added(api: Api, product: Maker) -> None:
    made = product(price="7.00", quantity=2)

    good = api.post("/products/validate", {"sku": made.sku, "quantity": 2})
    short = api.post("/products/validate", {"variantId": made.variant_id, "quantity": 3})

    assert good == good | {"valid": True, "problems": [], "available": 2, "unitPrice": "7.00"}
    assert short["valid"] is False
    assert [problem["code"] for problem in short["problems"]] == ["ITEM_OUT_OF_STOCK"]
    unknown = api.send("POST", "/products/validate", {"sku": "nothing", "quantity": 1})
    assert unknown.status_code in (200, 404)
    api.refused("VALIDATION_ERROR", "POST", "/products/validate", {"quantity": 1})
    api.refused("VALIDATION_ERROR", "POST", "/products/validate", {"sku": made.sku, "quantity": 0})


def test_stock_is_checked_for_many_at_once(api: Api, product: Maker) -> None:
    one, two = product(quantity=2), product(quantity=0)

    found = api.post(
        "/products/inventory/check",
        {"items": [{"sku": one.sku, "quantity": 2}, {"sku": two.sku, "quantity": 1}, {"sku": one.sku, "quantity": 3}]},
    )["results"]  # fmt: skip

    assert found[0] == found[0] | {"sku": one.sku, "sufficient": True, "available": 2}
    assert found[1] == found[1] | {"sku": two.sku, "sufficient": False, "available": 0}
    assert found[2]["sku"] == one.sku
    for body in ({}, {"items": []}, {"items": "x"}, {"items": [{}]}, {"items": [5]}):
        api.refused("VALIDATION_ERROR", "POST", "/products/inventory/check", body)


def test_bundles_are_listed(api: Api) -> None:
    bundles = api.get("/products/bundles")["results"]

    assert bundles
    assert bundles[0]["name"]


# --- stock ------------------------------------------------------------------------------------
def test_a_stock_record_has_all_numbers(staff: Api, guest: Api, product: Maker) -> None:
    made = product(quantity=5)
    guest.add(made.sku, 2)

    (record,) = staff.get(f"/inventory/product/{made.id}")["results"]

    assert set(record) >= RECORD
    assert (record["variantId"], record["productId"], record["sku"]) == (made.variant_id, made.id, made.sku)  # fmt: skip
    assert (record["available"], record["reserved"], record["total"]) == (3, 2, 5)
    assert (record["backordered"], record["inventoryPolicy"]) == (0, "deny")
    assert (record["reorderLevel"], record["reorderQuantity"]) == (10, 50)
    assert staff.get(f"/inventory/{record['id']}") == record


def test_stock_is_adjusted_with_a_reason_and_a_movement(staff: Api, product: Maker) -> None:
    made = product(quantity=5)
    (record,) = staff.get(f"/inventory/product/{made.id}")["results"]
    path = f"/inventory/{record['id']}"

    more = staff.post(f"{path}/adjust", {"quantity": 7, "type": "PURCHASE", "reference": "PO-1", "notes": "n"})  # fmt: skip
    less = staff.post(f"{path}/adjust", {"quantity": -2, "type": "DAMAGE", "notes": "wet"})
    moves = staff.get(f"{path}/transactions")["results"]

    assert (more["available"], less["available"], less["total"]) == (12, 10, 10)
    assert [move["quantity"] for move in moves][:2] == [-2, 7]
    assert [move["type"] for move in moves][:2] == ["DAMAGE", "PURCHASE"]
    assert sum(move["quantity"] for move in moves) == 10
    response = staff.send("POST", f"{path}/adjust", {"quantity": -11, "type": "ADJUSTMENT"})
    assert response.status_code in (400, 409)
    for body in (
        {}, {"quantity": 0, "type": "ADJUSTMENT"}, {"quantity": "x", "type": "ADJUSTMENT"}, {"quantity": 2**40, "type": "PURCHASE"},
        {"quantity": 1, "type": "MAGIC"}, {"quantity": 1.5, "type": "ADJUSTMENT"},
    ):  # fmt: skip
        assert staff.send("POST", f"{path}/adjust", body).status_code == 400, body
    assert staff.get(path)["available"] == 10


def test_stock_of_nobody_is_not_found(staff: Api) -> None:
    assert staff.send("GET", f"/inventory/{UNKNOWN}").status_code == 404
    assert staff.send("POST", f"/inventory/{UNKNOWN}/adjust", {"quantity": 1, "type": "PURCHASE"}).status_code == 404  # fmt: skip


def test_stock_is_staffs(user: Api, guest: Api, api: Api, staff: Api, product: Maker) -> None:
    made = product()
    (record,) = staff.get(f"/inventory/product/{made.id}")["results"]

    for method, path, body in (
        ("GET", "/inventory", None),
        ("POST", "/inventory", {}),
        ("PUT", f"/inventory/{record['id']}", {"reorderLevel": 1}),
        ("POST", f"/inventory/{record['id']}/adjust", {"quantity": 1, "type": "PURCHASE"}),
        ("GET", f"/inventory/{record['id']}/transactions", None),
        ("GET", "/products/inventory/low-stock", None),
    ):
        given = {} if body is None else {"body": body}
        user.refused("FORBIDDEN", method, path, **given)
        api.refused("AUTH_REQUIRED", method, path, **given)
        assert guest.send(method, path, **given).status_code in (401, 403)


def test_the_levels_of_a_record_are_changed(staff: Api, product: Maker) -> None:
    made = product(quantity=5)
    (record,) = staff.get(f"/inventory/product/{made.id}")["results"]

    changed = staff.put(f"/inventory/{record['id']}", {"reorderLevel": 3, "reorderQuantity": 20})

    assert (changed["reorderLevel"], changed["reorderQuantity"], changed["available"]) == (3, 20, 5)


# --- promotions, tax, shipping ----------------------------------------------------------------
def test_a_promotion_lives(staff: Api, user: Api, api: Api, guest: Api, product: Maker) -> None:
    code = f"T{secrets.token_hex(4).upper()}"
    body = {"code": code, "name": "Spring", "kind": "PERCENTAGE", "scope": "CART", "value": "20"}

    made = staff.post("/promotions", body, expect=201)
    guest.add(product(price="10.00").sku)
    applied = guest.post("/cart/discount", {"code": code})
    staff.patch(f"/promotions/{made['id']}", {"value": "30"})
    changed = staff.get(f"/promotions/{made['id']}")
    later = guest.add(product(price="10.00").sku)
    gone = staff.send("DELETE", f"/promotions/{made['id']}")

    assert (made["code"], made["kind"], made["scope"]) == (code, "PERCENTAGE", "CART")
    assert applied["totals"]["discountTotal"] == "2.00"
    assert Decimal(changed["value"]) == 30
    assert isinstance(changed["value"], str)
    assert later["totals"]["discountTotal"] == "6.00"
    assert gone.status_code in (200, 204)
    new_guest(api.base).refused("DISCOUNT_INVALID", "POST", "/cart/discount", {"code": code})
    user.refused("FORBIDDEN", "POST", "/promotions", body)
    user.refused("FORBIDDEN", "GET", "/promotions")
    api.refused("AUTH_REQUIRED", "POST", "/promotions", body)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "with space"}, {"code": "x" * 51}, {"code": ""}, {"code": 5}, {"kind": "MAGIC"}, {"scope": "MOON"},
        {"value": "-5"}, {"value": "abc"}, {"value": "101"}, {"value": "NaN"}, {"usageLimit": -1},
        {"perCustomerLimit": "x"}, {"startsAt": "yesterday"}, {"startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
        {"minimumOrder": "-1"}, {"stackable": "perhaps"}, {"nothing": 1},
    ],
)  # fmt: skip
def test_a_malformed_promotion_is_refused(staff: Api, change: dict[str, Any]) -> None:
    body = {"code": f"T{secrets.token_hex(4).upper()}", "name": "x", "kind": "PERCENTAGE", "scope": "CART", "value": "5"}  # fmt: skip

    staff.refused("VALIDATION_ERROR", "POST", "/promotions", {**body, **change})


def test_a_code_is_given_once(staff: Api) -> None:
    body = {"code": "SAVE10", "name": "x", "kind": "PERCENTAGE", "scope": "CART", "value": "5"}

    response = staff.send("POST", "/promotions", body)

    assert response.status_code in (400, 409)


def test_advertised_promotions_are_public(api: Api) -> None:
    page = api.get("/promotions/active")

    assert set(page) == {"results", "next", "previous"}
    assert "EXPIRED10" not in [one.get("code") for one in page["results"]]


@pytest.mark.parametrize("path", ["/tax-rates", "/shipping-zones", "/shipping-rules"])
def test_tables_of_staff_are_read_by_staff(staff: Api, user: Api, api: Api, path: str) -> None:
    page = staff.get(path)

    assert page["results"]
    some = page["results"][0]
    assert staff.get(f"{path}/{some['id']}")["id"] == some["id"]
    user.refused("FORBIDDEN", "GET", path)
    user.refused("FORBIDDEN", "POST", path, {})
    user.refused("FORBIDDEN", "PATCH", f"{path}/{some['id']}", {})
    user.refused("FORBIDDEN", "DELETE", f"{path}/{some['id']}")
    api.refused("AUTH_REQUIRED", "GET", path)
    staff.refused("VALIDATION_ERROR", "POST", path, {})
    staff.refused("VALIDATION_ERROR", "POST", path, {"nothing": 1})
