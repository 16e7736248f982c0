"""requirements INV-10…22 path by path: who may, what comes back, what is refused; and how much customers learn of stock."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.contract.client import Api, line_of, new_key
from tests.contract.conftest import Maker, Shop, eventually, new_guest

UNKNOWN = "0197a000-0000-7000-8000-000000000000"
SHOWN = 10
MANY = 37
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ALIASES = ["/api/v1", "/api"]


def _record(staff: Api, product_id: str) -> dict[str, Any]:
    [record] = staff.get(f"/inventory/product/{product_id}")["results"]
    return dict(record)


# --- every path under both names ---------------------------------------------------------------
@pytest.mark.parametrize("base", ALIASES)
def test_the_catalogue_is_read_by_everybody(api: Api, product: Maker, base: str) -> None:
    made = product(quantity=MANY)

    assert api.get(f"{base}/products/{made.id}")["slug"] == made.slug
    for path in ("recommendations", "alternatives", "upsells"):
        assert set(api.get(f"{base}/products/{made.id}/{path}")) == {"results", "next", "previous"}
    stock = api.get(f"{base}/products/{made.slug}/inventory")
    assert (stock["productId"], stock["available"], stock["inStock"]) == (made.id, SHOWN, True)
    assert stock["variants"][0] == {
        "id": made.variant_id,
        "sku": made.sku,
        "available": SHOWN,
        "inStock": True,
        "onBackorder": False,
    }
    assert api.get(f"{base}/products/health") in ({"status": "ok"}, {"status": "degraded"})
    assert [one["id"] for one in api.get(f"{base}/products/search?q={made.sku}")["results"]] == [made.id]  # fmt: skip
    assert {"slug", "name", "parent"} <= set(api.get(f"{base}/categories")["results"][0])
    for path in ("recommendations", "alternatives", "upsells", "inventory"):
        api.refused("PRODUCT_NOT_FOUND", "GET", f"{base}/products/{UNKNOWN}/{path}")


@pytest.mark.parametrize("base", ALIASES)
def test_lines_are_judged_one_or_many(api: Api, product: Maker, base: str) -> None:
    good, short = product(price="7.00", quantity=2), product(quantity=0)

    one = api.post(f"{base}/products/validate", {"variant_id": good.variant_id, "quantity": 2})
    many = api.post(
        f"{base}/products/validate/bulk",
        {"items": [{"sku": good.sku, "quantity": 1}, {"sku": short.sku}, {"sku": "nothing"}]},
    )

    assert one == {
        "valid": True,
        "sku": good.sku,
        "variantId": good.variant_id,
        "problems": [],
        "available": 2,
        "unitPrice": "7.00",
        "currency": "USD",
    }
    assert many["valid"] is False
    assert [row["valid"] for row in many["results"]] == [True, False, False]
    assert [[p["code"] for p in row["problems"]] for row in many["results"]] == [
        [], ["ITEM_OUT_OF_STOCK"], ["PRODUCT_NOT_FOUND"],
    ]  # fmt: skip
    for path, body in (
        ("validate", {"sku": good.sku, "nothing": 1}),
        ("validate/bulk", {"items": [{"sku": good.sku, "nothing": 1}]}),
        ("validate/bulk", {"items": []}),
    ):
        api.refused("VALIDATION_ERROR", "POST", f"{base}/products/{path}", body)


@pytest.mark.parametrize("base", ALIASES)
def test_units_are_held_and_let_go_without_a_cart(
    api: Api, guest: Api, other_guest: Api, staff: Api, product: Maker, base: str
) -> None:
    made = product(quantity=5)
    body = {"items": [{"variantId": made.variant_id, "quantity": 3}]}
    reserve, release = f"{base}/products/inventory/reserve", f"{base}/products/inventory/release"

    held = guest.post(reserve, body, expect=201)

    [row] = held["results"]
    assert (row["sku"], row["quantity"], row["expiresAt"]) == (made.sku, 3, held["expiresAt"])
    assert _record(staff, made.id)["reserved"] == 3
    problem = other_guest.refused("ITEM_OUT_OF_STOCK", "POST", reserve, body)
    assert (problem["extra"]["requested"], problem["extra"]["available"]) == (3, 2)
    assert other_guest.post(release, {"hold_ids": [row["holdId"]]}) == {"released": 0}
    assert guest.post(release, {"holdIds": [row["holdId"]]}) == {"released": 1}
    assert guest.post(release, {"holdIds": [row["holdId"]]}) == {"released": 0}
    assert _record(staff, made.id)["reserved"] == 0
    api.refused("AUTH_REQUIRED", "POST", reserve, body)
    guest.refused("VALIDATION_ERROR", "POST", reserve, {**body, "nothing": 1})
    guest.refused("VALIDATION_ERROR", "POST", release, {"holdIds": ["no id"]})


def test_all_that_is_asked_for_is_held_or_nothing(guest: Api, staff: Api, product: Maker) -> None:
    there, gone = product(quantity=5), product(quantity=0)

    guest.refused(
        "ITEM_OUT_OF_STOCK",
        "POST",
        "/products/inventory/reserve",
        {"items": [{"sku": there.sku, "quantity": 2}, {"sku": gone.sku, "quantity": 1}]},
    )

    assert _record(staff, there.id)["reserved"] == 0


@pytest.mark.parametrize("base", ALIASES)
def test_figures_of_stock_are_for_staff(api: Api, user: Api, guest: Api, staff: Api, product: Maker, base: str) -> None:  # fmt: skip
    made = product(quantity=1)

    low = staff.get(f"{base}/products/inventory/low-stock?limit=100")
    figures = staff.get(f"{base}/products/inventory/analytics?days=7")

    assert all(row["available"] <= row["reorderLevel"] for row in low["results"])
    assert low["next"] or made.sku in [row["sku"] for row in low["results"]]
    assert figures["days"] == 7
    assert {"turnoverPercent", "reservedPercent", "expiredHoldPercent", "daysOfCover"} <= set(
        figures
    )
    for path in ("low-stock", "analytics"):
        user.refused("FORBIDDEN", "GET", f"{base}/products/inventory/{path}")
        api.refused("AUTH_REQUIRED", "GET", f"{base}/products/inventory/{path}")
    for days in ("0", "x", "367", "-1"):
        staff.refused("VALIDATION_ERROR", "GET", f"{base}/products/inventory/analytics?days={days}")


@pytest.mark.parametrize("base", ALIASES)
def test_records_are_staffs_and_their_levels_everybodys_who_signed_in(
    api: Api, guest: Api, user: Api, staff: Api, product: Maker, base: str
) -> None:
    made = product(quantity=MANY)
    record = _record(staff, made.id)
    path = f"{base}/inventory/{record['id']}"

    assert staff.get(path) == record
    [public] = user.get(f"{base}/inventory/product/{made.id}")["results"]
    assert public["available"] == SHOWN
    assert not {"reserved", "total", "reorderLevel", "backordered"} & set(public)
    changed = staff.put(path, {"reorder_level": 3, "reorderQuantity": 20})
    assert (changed["reorderLevel"], changed["reorderQuantity"]) == (3, 20)
    adjusted = staff.post(
        f"{path}/adjust",
        {"quantity": 5, "type": "PURCHASE", "reference": "PO-7", "notes": "on the quay"},
    )
    assert (adjusted["available"], adjusted["total"]) == (MANY + 5, MANY + 5)
    newest = staff.get(f"{path}/transactions")["results"][0]
    assert newest == newest | {
        "type": "PURCHASE",
        "quantity": 5,
        "balance": MANY + 5,
        "reference": "PO-7",
        "notes": "on the quay",
    }
    for caller, code in ((user, "FORBIDDEN"), (api, "AUTH_REQUIRED")):
        caller.refused(code, "GET", path)
        caller.refused(code, "GET", f"{path}/transactions")
        caller.refused(code, "PUT", path, {"reorderLevel": 1})
        caller.refused(code, "POST", f"{path}/adjust", {"quantity": 1})
        caller.refused(code, "POST", f"{base}/inventory", {"sku": made.sku})
    api.refused("AUTH_REQUIRED", "GET", f"{base}/inventory/product/{made.id}")
    guest.refused("AUTH_REQUIRED", "GET", f"{base}/inventory/product/{made.id}")
    user.refused("PRODUCT_NOT_FOUND", "GET", f"{base}/inventory/product/{UNKNOWN}")
    assert staff.get(path)["total"] == MANY + 5


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"sku": "{sku}", "nothing": 1}),
        ("POST", "", {}),
        ("POST", "", {"sku": "{sku}", "available": -1}),
        ("PUT", "/{id}", {"available": 5}),
        ("PUT", "/{id}", {"reorderLevel": -1}),
        ("PUT", "/{id}", {"reorderLevel": "3"}),
        ("POST", "/{id}/adjust", {"quantity": 1, "kind": "PURCHASE"}),
        ("POST", "/{id}/adjust", {"quantity": True}),
        ("POST", "/{id}/adjust", {"quantity": 10**12}),
    ],
)
def test_what_is_malformed_changes_no_record(
    staff: Api, product: Maker, method: str, path: str, body: dict[str, Any]
) -> None:
    made = product(quantity=5)
    record = _record(staff, made.id)
    given = {key: made.sku if value == "{sku}" else value for key, value in body.items()}

    problem = staff.refused(
        "VALIDATION_ERROR", method, f"/inventory{path.format(id=record['id'])}", given
    )

    assert problem["errors"]
    assert _record(staff, made.id) == record


def test_a_record_is_opened_once_and_in_a_warehouse_that_there_is(
    staff: Api, product: Maker
) -> None:
    made = product(quantity=5)

    staff.refused("STOCK_RECORD_EXISTS", "POST", "/inventory", {"sku": made.sku, "available": 3})
    staff.refused(
        "WAREHOUSE_NOT_FOUND", "POST", "/inventory", {"sku": made.sku, "warehouse": "NOWHERE"}
    )
    staff.refused("PRODUCT_NOT_FOUND", "POST", "/inventory", {"sku": f"no-{secrets.token_hex(6)}"})


def test_an_adjustment_with_a_key_is_booked_once(staff: Api, product: Maker) -> None:
    made = product(quantity=5)
    path, key = f"/inventory/{_record(staff, made.id)['id']}", new_key()
    body = {"quantity": 7, "type": "PURCHASE", "reference": "PO-8"}

    first = staff.send("POST", f"{path}/adjust", body, key=key)
    second = staff.send("POST", f"{path}/adjust", body, key=key)
    staff.refused("IDEMPOTENCY_CONFLICT", "POST", f"{path}/adjust", {**body, "quantity": 8}, key=key)  # fmt: skip

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert staff.get(path)["available"] == 12
    assert [move["quantity"] for move in staff.get(f"{path}/transactions")["results"]] == [7, 5]


def test_units_held_with_a_key_are_held_once(guest: Api, staff: Api, product: Maker) -> None:
    made, key = product(quantity=5), new_key()
    body = {"items": [{"sku": made.sku, "quantity": 2}]}

    for _ in range(2):
        guest.call("POST", "/products/inventory/reserve", body, expect=201, key=key)

    assert _record(staff, made.id)["reserved"] == 2


@pytest.mark.parametrize(
    "path",
    ["/products/{id}", "/products/{slug}", "/products/{id}/recommendations", "/products/{id}/alternatives",
     "/products/{id}/upsells", "/products/{id}/pricing", "/products/search?q={sku}", "/products/bundles", "/categories"],
)  # fmt: skip
def test_what_caches_may_keep_has_a_tag_and_is_not_sent_twice(
    api: Api, staff: Api, product: Maker, path: str
) -> None:
    made = product(quantity=5)
    path = path.format(id=made.id, slug=made.slug, sku=made.sku)

    first = api.send("GET", path)
    again = api.send("GET", path, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"].startswith("public")
    assert again.status_code == 304
    assert "public" not in staff.send("GET", path).headers.get("Cache-Control", "")


def test_a_changed_product_has_another_tag(api: Api, staff: Api, product: Maker) -> None:
    made = product(quantity=5)
    tag = api.send("GET", f"/products/{made.id}").headers["ETag"]

    staff.patch(f"/products/{made.id}", {"name": "Another name"})

    changed = api.send("GET", f"/products/{made.id}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "Another name")


@pytest.mark.parametrize("path", ["/inventory", "/inventory/{record}/transactions"])
def test_stock_lists_are_walked_without_gaps(staff: Api, product: Maker, path: str) -> None:
    record = _record(staff, product(quantity=5).id)
    for quantity in (1, 2, 3, -4):
        staff.post(f"/inventory/{record['id']}/adjust", {"quantity": quantity})
    path = path.format(record=record["id"])
    whole = [row["id"] for row in staff.get(f"{path}?limit=100")["results"]]
    walked: list[str] = []
    url: str | None = f"{path}?limit=2"

    while url and len(walked) < 10:
        page = staff.get(url)
        walked += [row["id"] for row in page["results"]]
        url = page["next"]

    assert walked == whole[: len(walked)]
    assert len(walked) >= 5
    staff.refused("VALIDATION_ERROR", "GET", f"{path}?cursor=nobody")


# --- how much customers learn ------------------------------------------------------------------
def _numbers(body: Any) -> Iterator[int]:
    """Yield every `available` anywhere in an answer."""
    if isinstance(body, dict):
        for key, value in body.items():
            if key == "available" and isinstance(value, int):
                yield value
            yield from _numbers(value)
    elif isinstance(body, list):
        for value in body:
            yield from _numbers(value)


def _surfaces(made: Any) -> list[tuple[str, str, Any]]:
    line = {"sku": made.sku, "quantity": 99}
    return [
        ("GET", f"/products/{made.id}", None),
        ("GET", f"/products/{made.id}/inventory", None),
        ("GET", f"/products/search?q={made.sku}", None),
        ("GET", "/products?limit=5", None),
        ("POST", "/products/validate", line),
        ("POST", "/products/validate/bulk", {"items": [line]}),
        ("POST", "/products/inventory/check", {"items": [{**line, "quantity": 5000}]}),
    ]


def test_customers_learn_of_ten_units_wherever_they_ask(
    user: Api, guest: Api, staff: Api, product: Maker
) -> None:
    made = product(quantity=MANY)

    for method, path, body in _surfaces(made):
        given = {} if body is None else {"body": body}
        for caller in (user, guest):
            answer = caller.send(method, path, **given)
            told = list(_numbers(answer.json()))
            assert told, f"{path} tells nothing"
            assert max(told) <= SHOWN, f"{path}: {answer.text[:400]}"
            assert str(MANY) not in [str(number) for number in told]
        told = list(_numbers(staff.send(method, path, **given).json()))
        assert MANY in told, f"{path} hides {MANY} from staff: {told}"


def test_lists_of_ones_own_tell_no_more(user: Api, guest: Api, product: Maker) -> None:
    made = product(quantity=MANY)

    for caller in (user, guest):
        wish = caller.post("/wishlist/items", {"sku": made.sku}, expect=201)
        assert wish["available"] == SHOWN
        assert [one["available"] for one in caller.get("/wishlist")["results"]] == [SHOWN]
        caller.post("/compare", {"product": made.slug}, expect=201)
        assert not list(_numbers(caller.get("/compare")))


@pytest.mark.parametrize("list_", ["active", "saved", "next"])
def test_a_cart_tells_no_more_however_much_stands_in_it(
    guest: Api, product: Maker, list_: str
) -> None:
    made = product(quantity=MANY)
    name = {"active": "items", "saved": "savedItems", "next": "nextPurchaseItems"}[list_]

    wanted = 20 if list_ == "active" else 90  # other lists hold nothing: they may name more
    cart = guest.add(made.sku, wanted, list=list_)

    assert line_of(cart, made.sku, name)["available"] == SHOWN
    assert max(_numbers(guest.get("/cart/validate")), default=0) <= SHOWN


def test_a_refusal_tells_no_more_and_nothing_untrue(guest: Api, product: Maker) -> None:
    made = product(quantity=MANY)
    line = {"sku": made.sku, "quantity": 50}

    for problem in (
        guest.refused("ITEM_OUT_OF_STOCK", "POST", "/cart/items", line),
        guest.refused("ITEM_OUT_OF_STOCK", "POST", "/products/inventory/reserve", {"items": [line]}),
        guest.refused("VALIDATION_ERROR", "POST", "/cart/bulk/items", {"items": [line], "atomic": True}),
    ):  # fmt: skip
        told = {key: problem[key] for key in ("detail", "advice", "errors", "extra")}
        text = UUID.sub("", json.dumps(told))  # an id holds any digits
        assert max(_numbers(problem), default=0) <= SHOWN
        assert str(MANY) not in text.replace(made.sku, "")
        assert f"Only {SHOWN} left" not in text  # there are more
    few = product(quantity=3)
    problem = guest.refused("ITEM_OUT_OF_STOCK", "POST", "/cart/items", {"sku": few.sku, "quantity": 5})  # fmt: skip
    assert problem["extra"] == problem["extra"] | {"requested": 5, "available": 3}
    assert "Only 3 left" in problem["detail"]


def test_a_cart_line_that_stock_left_behind_tells_no_more(
    guest: Api, staff: Api, product: Maker
) -> None:
    made = product(quantity=60)
    guest.add(made.sku, 50, list="saved")
    record = _record(staff, made.id)
    staff.post(f"/inventory/{record['id']}/adjust", {"quantity": -23})
    item = line_of(guest.cart(), made.sku, "savedItems")["id"]

    problem = guest.send("POST", f"/cart/items/{item}/activate")

    assert problem.status_code in (400, 409)
    assert max(_numbers(problem.json())) <= SHOWN
    assert str(MANY) not in problem.json()["detail"].replace(made.sku, "")


def test_who_waits_learns_of_offers_only(user: Api, product: Maker) -> None:
    made = product(quantity=0)

    row = user.post(f"/products/{made.id}/back-in-stock", {"sku": made.sku}, expect=201)

    assert "available" not in row
    assert user.get("/back-in-stock")["results"] == [row]


def test_the_socket_tells_no_more(shop: Shop, staff: Api, product: Maker) -> None:
    made = product(quantity=MANY)
    guest = new_guest(shop.url)
    guest.add(made.sku, 1)
    record = _record(staff, made.id)

    with connect(
        shop.socket, subprotocols=["cart.v1", f"session.{guest.token}"], origin=shop.url
    ) as socket:
        seen = [json.loads(socket.recv(timeout=60))]
        staff.post(f"/inventory/{record['id']}/adjust", {"quantity": 5})
        while not any(message["type"] == "stock.changed" for message in seen):
            seen.append(json.loads(socket.recv(timeout=60)))

    told = list(_numbers(seen))
    assert told
    assert max(told) <= SHOWN


def test_pages_tell_no_more(shop: Shop, pages: Any, product: Maker) -> None:
    made = product(quantity=1234)

    for path in (f"/products/{made.slug}/", f"/search/?q={made.sku}"):
        text = pages.get(path).text
        assert made.slug in text
        assert not re.search(
            r"(?<![\w-])1,?234(?![\w-])", text
        )  # an id or a token holds any digits


def test_a_bundle_tells_nothing_of_stock(api: Api) -> None:
    assert not list(_numbers(api.get("/products/bundles")))


def test_stock_that_changed_is_seen_at_once(api: Api, staff: Api, product: Maker) -> None:
    made = product(quantity=5)
    assert api.get(f"/products/{made.id}")["variants"][0]["available"] == 5
    record = _record(staff, made.id)

    staff.post(f"/inventory/{record['id']}/adjust", {"quantity": -3})

    eventually(lambda: api.get(f"/products/{made.id}")["variants"][0]["available"] == 2)
