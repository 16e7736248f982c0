"""api.md §1: what holds for every endpoint."""

from __future__ import annotations

import json
import re
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from tests.contract import rules
from tests.contract.client import Api, line_of, new_key
from tests.contract.conftest import CALIFORNIA, Maker, Shop, new_guest, new_user, open_checkout

UNKNOWN = "0197a000-0000-7000-8000-000000000000"


# --- paths, bodies, ids, money, times ---------------------------------------------------------
@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_it_serves_the_alias_without_v1(api: Api, prefix: str) -> None:
    cart = api.post(f"{prefix}/public/cart", {"currency": "USD"}, expect=201)

    guest = api.having(X_Session_Token=cart["sessionToken"])

    assert guest.get(f"{prefix}/cart")["id"] == cart["id"]
    assert guest.get(f"{prefix}/public/cart")["id"] == cart["id"]
    assert api.get(f"{prefix}/health")
    api.refused("AUTH_REQUIRED", "GET", f"{prefix}/cart")


def test_it_takes_keys_in_both_spellings(guest: Api, product: Maker) -> None:
    made = product(variants=2)

    guest.post("/cart/items", {"variantId": made.variant_ids[0], "quantity": 1}, expect=201)
    cart = guest.post("/cart/items", {"variant_id": made.variant_ids[1], "quantity": 2}, expect=201)

    assert {line["sku"]: line["quantity"] for line in cart["items"]} == dict(
        zip(made.skus, (1, 2), strict=True)
    )


def test_it_takes_nested_keys_in_both_spellings(guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = guest.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)
    address = {("postal_code" if key == "postalCode" else key): v for key, v in CALIFORNIA.items()}

    changed = guest.patch(f"/checkout/{checkout['id']}", {"shipping_address": address})

    assert changed["shippingAddress"]["postalCode"] == CALIFORNIA["postalCode"]


def test_its_ids_are_uuids_of_version_7(guest: Api, product: Maker) -> None:
    cart = guest.add(product().sku)
    line = cart["items"][0]

    for value in (cart["id"], line["id"], line["productId"], line["variantId"]):
        assert UUID(value).version == 7
        assert value == str(UUID(value))


def test_its_ids_are_ordered_by_time(guest: Api, product: Maker) -> None:
    first, second = product(), product()

    assert first.id < second.id


def test_money_has_the_decimals_of_its_currency(shop: Shop, product: Maker) -> None:
    made = product(prices={"USD": "49.90", "JPY": "4990"})
    dollars, yen = new_guest(shop.url, "USD"), new_guest(shop.url, "JPY")

    dear, cheap = dollars.add(made.sku, 3), yen.add(made.sku, 3)

    assert (dear["currency"], dear["items"][0]["unitPrice"]) == ("USD", "49.90")
    assert dear["totals"]["subtotal"] == "149.70"
    assert (cheap["currency"], cheap["items"][0]["unitPrice"]) == ("JPY", "4990")
    assert cheap["totals"]["subtotal"] == "14970"
    assert cheap["totals"]["discountTotal"] == "0"


def test_a_product_without_a_price_in_the_currency_is_not_sold_for_nothing(
    shop: Shop, product: Maker
) -> None:
    made = product(prices={"USD": "49.90"})
    product(prices={"USD": "1.00", "JPY": "100"})
    yen = new_guest(shop.url, "JPY")

    response = yen.send("POST", "/cart/items", {"sku": made.sku, "quantity": 1})

    if response.status_code == 201:  # converted, or a line that cannot be bought
        line = response.json()["items"][0]
        assert line["problems"] or int(line["unitPrice"]) > 1000
    else:
        assert response.json()["code"] == "PRICE_MISSING"


@pytest.mark.parametrize("currency", ["XXX", "usdollar", "", "€", 5, None, []])
def test_it_refuses_an_unknown_currency(api: Api, currency: Any) -> None:
    response = api.send("POST", "/public/cart", {"currency": currency})

    assert response.status_code == 400 or (currency is None and response.status_code == 201)
    if response.status_code == 400:
        assert response.json()["code"] == "VALIDATION_ERROR"
        assert response.json()["errors"][0]["field"] == "currency"


# --- correlation ------------------------------------------------------------------------------
def test_it_returns_the_request_id_it_was_given(api: Api) -> None:
    given = f"req-{secrets.token_hex(8)}"

    good = api.send("GET", "/health", headers={"X-Request-ID": given})
    bad = api.send("GET", "/cart", headers={"X-Request-ID": given})

    assert good.headers["X-Request-ID"] == given
    assert bad.headers["X-Request-ID"] == bad.json()["requestId"] == given


def test_it_makes_a_request_id_of_its_own(api: Api) -> None:
    one, two = (api.send("GET", "/health").headers["X-Request-ID"] for _ in range(2))

    assert one
    assert one != two


@pytest.mark.parametrize("given", [b"x" * 5000, b"a\tb", b"<script>", b"\xff\xfe", b"", b"a b"])
def test_a_wild_request_id_harms_nothing(api: Api, given: bytes) -> None:
    response = api.send("GET", "/health", headers={"X-Request-ID": given})

    assert response.status_code == 200
    assert len(response.headers["X-Request-ID"]) <= 255


# --- idempotency ------------------------------------------------------------------------------
def test_the_same_key_and_body_get_the_first_answer_again(buyer: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()
    body = {"sku": sku, "quantity": 2}

    first = buyer.send("POST", "/cart/items", body, key=key)
    second = buyer.send("POST", "/cart/items", body, key=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert line_of(buyer.cart(), sku)["quantity"] == 2


def test_the_order_and_spacing_of_keys_make_no_other_body(guest: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()
    headers = {"Content-Type": "application/json"}

    guest.send(
        "POST",
        "/cart/items",
        content=b'{"sku":"%s","quantity":1}' % sku.encode(),
        key=key,
        headers=headers,
    )
    again = guest.send(
        "POST",
        "/cart/items",
        content=b' { "quantity": 1, "sku": "%s" }' % sku.encode(),
        key=key,
        headers=headers,
    )

    assert (
        again.status_code == 201
        if again.headers.get("Idempotent-Replayed")
        else again.json()["code"] == "IDEMPOTENCY_CONFLICT"
    )
    assert line_of(guest.cart(), sku)["quantity"] == 1


def test_the_same_key_with_another_body_conflicts(buyer: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()
    buyer.post("/cart/items", {"sku": sku, "quantity": 2}, key=key, expect=201)

    buyer.refused(
        "IDEMPOTENCY_CONFLICT", "POST", "/cart/items", {"sku": sku, "quantity": 3}, key=key
    )

    assert line_of(buyer.cart(), sku)["quantity"] == 2


def test_the_same_key_on_another_path_conflicts_or_stands_alone(guest: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()
    cart = guest.post("/cart/items", {"sku": sku, "quantity": 2}, key=key, expect=201)

    response = guest.send("DELETE", f"/cart/items/{cart['items'][0]['id']}", key=key)

    assert response.status_code == 200 or response.json()["code"] == "IDEMPOTENCY_CONFLICT"
    assert "Idempotent-Replayed" not in response.headers


def test_every_unsafe_method_takes_a_key(guest: Api, product: Maker) -> None:
    sku = product().sku
    line = guest.add(sku, 5)["items"][0]["id"]

    for method, path, body in (
        ("PATCH", f"/cart/items/{line}", {"quantity": 4}),
        ("PUT", f"/cart/items/{line}", {"quantity": 3}),
        ("POST", f"/cart/items/{line}/duplicate", {}),
        ("DELETE", f"/cart/items/{line}", rules),
    ):
        key = new_key()
        given = {} if body is rules else {"body": body}
        first = guest.send(method, path, key=key, **given)
        second = guest.send(method, path, key=key, **given)

        assert first.status_code == 200, first.text
        assert second.json() == first.json(), method
        assert second.headers["Idempotent-Replayed"] == "true", method
    assert len(guest.cart()["items"]) == 1


def test_a_refusal_is_replayed_too_and_changes_nothing(guest: Api, product: Maker) -> None:
    sku, key = product(quantity=1).sku, new_key()
    body = {"sku": sku, "quantity": 50}

    first = guest.refused("ITEM_OUT_OF_STOCK", "POST", "/cart/items", body, key=key)
    second = guest.refused("ITEM_OUT_OF_STOCK", "POST", "/cart/items", body, key=key)

    assert first["detail"] == second["detail"]
    assert guest.cart()["items"] == []


def test_a_key_belongs_to_its_caller(guest: Api, other_guest: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()
    body = {"sku": sku, "quantity": 2}
    mine = guest.post("/cart/items", body, key=key, expect=201)

    theirs = other_guest.send("POST", "/cart/items", body, key=key)

    assert theirs.status_code == 201
    assert "Idempotent-Replayed" not in theirs.headers
    assert theirs.json()["id"] != mine["id"]


def test_two_at_once_with_one_key_act_once(guest: Api, product: Maker) -> None:
    sku, key = product().sku, new_key()

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: guest.send("POST", "/cart/items", {"sku": sku, "quantity": 1}, key=key),
                range(8),
            )
        )

    fresh = [
        one
        for one in answers
        if one.status_code == 201 and "Idempotent-Replayed" not in one.headers
    ]
    assert len(fresh) == 1
    for one in answers:
        assert one.status_code == 201 or one.json()["code"] == "IDEMPOTENCY_IN_PROGRESS"
    assert line_of(guest.cart(), sku)["quantity"] == 1


@pytest.mark.parametrize("key", [b"x" * 256, b"a\tb", b"\xc3\xa9", b"\xff"])
def test_a_malformed_key_is_refused(guest: Api, product: Maker, key: bytes) -> None:
    sku = product().sku

    response = guest.send("POST", "/cart/items", {"sku": sku}, headers={"Idempotency-Key": key})

    assert response.status_code == 400
    assert guest.cart()["items"] == []


def test_the_longest_key_is_taken(guest: Api, product: Maker) -> None:
    guest.post("/cart/items", {"sku": product().sku}, key="k" * 255, expect=201)


def test_a_key_is_required_where_money_moves(guest: Api, staff: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = open_checkout(guest)
    payment = {"method": "test", "quoteId": checkout["quoteId"]}

    for caller, path, body in (
        (guest, f"/checkout/{checkout['id']}/payment", payment),
        (guest, f"/checkout/{checkout['id']}/complete", {}),
        (
            staff,
            "/payments/intent",
            {"orderId": UNKNOWN, "amount": "1.00", "currency": "USD", "method": "test"},
        ),
        (staff, "/payments/capture", {"paymentId": UNKNOWN}),
        (staff, "/payments/refund", {"paymentId": UNKNOWN, "reason": "x"}),
        (staff, f"/orders/{UNKNOWN}/refund-items", {"items": [], "reason": "x"}),
    ):
        caller.refused("IDEMPOTENCY_KEY_REQUIRED", "POST", path, body)
    assert guest.get(f"/checkout/{checkout['id']}")["orderId"] is None


# --- versions ---------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/cart", "/cart/summary"])
def test_an_unchanged_cart_is_not_sent_again(buyer: Api, product: Maker, path: str) -> None:
    buyer.add(product().sku)
    first = buyer.send("GET", path)
    tag = first.headers["ETag"]

    same = buyer.send("GET", path, headers={"If-None-Match": tag})
    listed = buyer.send("GET", path, headers={"If-None-Match": f'"other", {tag}'})
    weak = buyer.send(
        "GET", path, headers={"If-None-Match": tag if tag[:2] == "W/" else f"W/{tag}"}
    )
    buyer.post("/cart/items", {"sku": product().sku}, expect=201, headers={"If-Match": tag})
    other = buyer.send("GET", path, headers={"If-None-Match": tag})

    assert (same.status_code, listed.status_code, weak.status_code) == (304, 304, 304)
    assert same.headers["ETag"] == tag
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_each_write_raises_the_version(guest: Api, product: Maker) -> None:
    sku = product().sku
    before = guest.cart()["version"]

    first = guest.add(sku)
    second = guest.patch(f"/cart/items/{first['items'][0]['id']}", {"quantity": 2})

    assert before < first["version"] < second["version"]
    assert guest.cart()["version"] == second["version"]


def test_reading_changes_nothing(guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    first = guest.cart()

    for path in ("/cart/summary", "/cart/validate", "/cart/explain", "/cart/history", "/cart"):
        guest.get(path)

    assert guest.cart()["version"] == first["version"]
    assert guest.cart()["updatedAt"] == first["updatedAt"]


def test_a_stale_write_conflicts_and_shows_the_cart(buyer: Api, product: Maker) -> None:
    sku = product().sku
    old = buyer.send("GET", "/cart")
    current = buyer.add(sku, 1)
    line = current["items"][0]["id"]

    for headers, more in (
        ({"If-Match": old.headers["ETag"]}, {}),
        ({}, {"version": old.json()["version"]}),
        ({}, {"version": current["version"] + 100}),
    ):
        for method, path, body in (
            ("POST", "/cart/items", {"sku": sku, "quantity": 1}),
            ("PATCH", f"/cart/items/{line}", {"quantity": 9}),
            ("POST", "/cart/discount", {"code": "SAVE10"}),
        ):
            problem = buyer.refused(
                "CART_CONFLICT", method, path, {**body, **more}, headers=headers
            )

            rules.check_cart(problem["extra"]["cart"])
            assert problem["extra"]["cart"]["version"] == current["version"]
            assert problem["extra"]["cart"]["items"][0]["quantity"] == 1
    for method, path in (("DELETE", f"/cart/items/{line}"), ("DELETE", "/cart")):
        buyer.refused("CART_CONFLICT", method, path, headers={"If-Match": old.headers["ETag"]})
    assert buyer.cart() == buyer.cart() | {"version": current["version"]}


def test_a_write_on_the_current_version_passes(buyer: Api, product: Maker) -> None:
    sku = product().sku
    tag = buyer.send("GET", "/cart").headers["ETag"]

    cart = buyer.post("/cart/items", {"sku": sku}, headers={"If-Match": tag}, expect=201)
    cart = buyer.patch(
        f"/cart/items/{cart['items'][0]['id']}", {"quantity": 3, "version": cart["version"]}
    )
    star = buyer.send("POST", "/cart/items", {"sku": sku}, headers={"If-Match": "*"})

    assert cart["items"][0]["quantity"] == 3
    assert star.status_code == 201


@pytest.mark.parametrize("version", ["x", "1.5", True, [], {}, -1, 2**70, 1.5])
def test_a_version_that_is_none_is_refused(guest: Api, product: Maker, version: Any) -> None:
    response = guest.send("POST", "/cart/items", {"sku": product().sku, "version": version})

    assert response.status_code in (400, 409)
    assert guest.cart()["items"] == []


@pytest.mark.parametrize(
    "tag", ["x", '"', "W/", '""', '"-1"', '"99999999999999999999999"', "7", ",,,", "\x80"]
)
def test_a_tag_that_is_none_matches_nothing(guest: Api, product: Maker, tag: str) -> None:
    response = guest.send(
        "POST", "/cart/items", {"sku": product().sku}, headers={"If-Match": tag.encode("latin-1")}
    )

    assert response.status_code in (400, 409), response.text
    guest.get("/cart", headers={"If-None-Match": tag.encode("latin-1")})
    assert guest.cart()["items"] == []


# --- lists ------------------------------------------------------------------------------------
LISTS = [
    ("nobody", "/products"),
    ("nobody", "/products/search?q=a"),
    ("nobody", "/promotions/active"),
    ("user", "/orders"),
    ("user", "/notifications"),
    ("user", "/cart/past"),
    ("staff", "/inventory"),
    ("staff", "/promotions"),
    ("staff", "/tax-rates"),
    ("staff", "/shipping-zones"),
    ("staff", "/shipping-rules"),
    ("staff", "/notifications/admin/all"),
    ("staff", "/orders"),
]


@pytest.fixture(params=LISTS, ids=[path for _, path in LISTS])
def listing(request: pytest.FixtureRequest) -> tuple[Api, str]:
    who, path = request.param
    return request.getfixturevalue({"nobody": "api"}.get(who, who)), path


def _with(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


def test_a_list_has_results_and_cursors(listing: tuple[Api, str]) -> None:
    caller, path = listing

    page = caller.get(path)

    beside = {"total", "facets", "suggestion", "corrected"} if "/products" in path else set()
    assert set(page) - beside == {"results", "next", "previous"}
    assert isinstance(page["results"], list)
    assert page["previous"] is None


def test_a_list_is_walked_both_ways_without_gaps(listing: tuple[Api, str]) -> None:
    caller, path = listing
    before = _keys(caller.get(_with(path, "limit=100")))
    pages, url = [caller.get(_with(path, "limit=2"))], ""
    while pages[-1]["next"] is not None and len(pages) < 3:
        url = pages[-1]["next"]
        assert urlsplit(url).path.startswith("/api/"), url
        pages.append(caller.get(url))
    assert all(len(page["results"]) <= 2 for page in pages)

    walked = [key for page in pages for key in _keys(page)]
    back = _keys(caller.get(pages[-1]["previous"])) if len(pages) > 1 else []
    after = _keys(caller.get(_with(path, "limit=100")))

    # The shop goes on beside us: only what stood in the list all the while can be missed or told twice.
    stayed = [key for key in before if key in after]
    seen = [key for key in walked if key in stayed]
    assert len(set(walked)) == len(walked)
    assert seen == stayed[: len(seen)]
    assert seen == stayed if pages[-1]["next"] is None else len(walked) == 6
    returned = [key for key in back if key in stayed]
    turned = [key for key in seen if key not in _keys(pages[-1])]
    assert returned == turned[len(turned) - len(returned) :]
    assert len(pages) == 1 or len(back) == 2


def _keys(page: dict[str, Any]) -> list[str]:
    return [one.get("id") or one.get("code") for one in page["results"]]


@pytest.mark.parametrize(
    "limit", ["100", "101", "1000000", "0", "-1", "abc", "", "1.5", "٣", "1e2"]
)
def test_the_limit_is_100(listing: tuple[Api, str], limit: str) -> None:
    caller, path = listing

    response = caller.send("GET", _with(path, f"limit={limit}"))

    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert len(response.json()["results"]) <= 100
    if limit in ("0", "-1", "abc", "1.5"):
        assert response.status_code == 400


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "a" * 5000, "%ff", "e30=", "bnVsbA==", "-1", "[]", "%F0%9F%A6%80", "W10"]
)
def test_a_cursor_of_nobody_is_refused(listing: tuple[Api, str], cursor: str) -> None:
    caller, path = listing

    response = caller.send("GET", _with(path, f"cursor={cursor}"))

    assert response.status_code == 400, response.text


# --- unknown and foreign ids ------------------------------------------------------------------
def _same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return {k: v for k, v in one.items() if k != "requestId"} == {
        k: v for k, v in two.items() if k != "requestId"
    }


def test_a_foreign_id_is_answered_like_an_unknown_one(
    guest: Api, other_guest: Api, user: Api, other_user: Api, product: Maker
) -> None:
    sku = product().sku
    for owner, strangers in (
        (guest, (other_guest, user)),
        (other_user, (user, other_guest)),
    ):
        cart = owner.add(sku)
        line = cart["items"][0]["id"]
        checkout = open_checkout(owner)
        opened = owner.post(
            f"/checkout/{checkout['id']}/payment",
            {"method": "test", "quoteId": checkout["quoteId"]},
            key=new_key(),
        )
        order, payment = opened["order"]["id"], opened["payment"]["id"]
        for stranger in strangers:
            stranger.get("/cart")
            for method, path, real, body in (
                ("PATCH", "/cart/items/{}", line, {"quantity": 2}),
                ("DELETE", "/cart/items/{}", line, None),
                ("POST", "/cart/items/{}/save", line, {}),
                ("POST", "/cart/items/{}/duplicate", line, {}),
                ("POST", "/cart/{}/hold", cart["id"], {}),
                ("GET", "/cart/{}/hold/status", cart["id"], None),
                ("DELETE", "/cart/{}/hold", cart["id"], None),
                ("POST", "/public/cart/{}/items", cart["id"], {"sku": sku}),
                ("GET", "/checkout/{}", checkout["id"], None),
                ("GET", "/checkout/{}/status", checkout["id"], None),
                ("PATCH", "/checkout/{}", checkout["id"], {"email": "x@example.com"}),
                ("POST", "/checkout/{}/cancel", checkout["id"], {}),
                ("POST", "/checkout/{}/complete", checkout["id"], {}),
                ("POST", "/checkout/{}/validate", checkout["id"], {}),
                ("POST", "/checkout/{}/calculate", checkout["id"], {}),
                ("GET", "/orders/{}", order, None),
                ("POST", "/orders/{}/cancel", order, {"reason": "x"}),
                ("GET", "/payments/{}", payment, None),
                ("GET", "/payments/order/{}", order, None),
                ("GET", "/orders/{}", opened["order"]["number"], None),
            ):
                given = {} if body is None else {"body": body}
                unknown = "ORD-20200101-000001" if real.startswith("ORD-") else UNKNOWN
                foreign = stranger.send(method, path.format(real), key=new_key(), **given)
                absent = stranger.send(method, path.format(unknown), key=new_key(), **given)

                assert foreign.status_code == absent.status_code == 404, (
                    f"{method} {path}: {foreign.text} {absent.text}"
                )
                assert _same(foreign.json(), absent.json()), f"{foreign.text} {absent.text}"
        assert owner.get(f"/orders/{order}")["id"] == order


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/products/{}"),
        ("PATCH", "/cart/items/{}"),
        ("DELETE", "/cart/items/{}"),
        ("GET", "/checkout/{}"),
        ("GET", "/orders/{}"),
        ("GET", "/payments/{}"),
        ("POST", "/cart/{}/hold"),
        ("GET", "/inventory/{}"),
        ("DELETE", "/cart/discount/{}"),
        ("GET", "/cart/recovery/{}"),
        ("POST", "/cart/history/{}/restore"),
        ("POST", "/notifications/{}/read"),
    ],
)
@pytest.mark.parametrize(
    "name",
    ["x", "0", "-1", "%00", "%ff", "..%2f..", "a" * 3000, "'", "%F0%9F%A6%80", "null", "1e9",
     "99999999999999999999", "{}", "0197a000-0000-4000-8000-000000000000", "0197A00000007000800000000000000z"],
)  # fmt: skip
def test_a_strange_id_is_no_error_of_ours(
    guest: Api, staff: Api, method: str, path: str, name: str
) -> None:
    for caller in (guest, staff):
        response = caller.send(method, path.format(name))

        assert response.status_code in (400, 401, 403, 404, 405, 409), response.text


# --- bytes ------------------------------------------------------------------------------------
DEEP = b'{"metadata":' + b"[" * 2000 + b"]" * 2000 + b"}"
BODIES: list[tuple[str, bytes]] = [
    ("not json", b"{nope"),
    ("cut off", b'{"sku": "A"'),
    ("two values", b'{"sku": "A"} {"sku": "B"}'),
    ("trailing comma", b'{"sku": "A",}'),
    ("a list", b"[]"),
    ("a string", b'"x"'),
    ("a number", b"5"),
    ("null", b"null"),
    ("NaN", b'{"sku": "A", "quantity": NaN}'),
    ("Infinity", b'{"sku": "A", "quantity": Infinity}'),
    ("1e400", b'{"sku": "A", "quantity": 1e400}'),
    ("5000 digits", b'{"sku": "A", "quantity": ' + b"9" * 5000 + b"}"),
    ("duplicate keys", b'{"sku": "A", "sku": "B"}'),
    ("duplicate spellings", b'{"variantId": null, "variant_id": null, "sku": "A"}'),
    ("deep", DEEP),
    ("very deep", b"[" * 200_000),
    ("NUL", b'{"sku": "A\\u0000"}'),
    ("raw NUL", b'{"sku": "A\x00"}'),
    ("lone surrogate", b'{"sku": "A\\ud800"}'),
    ("NUL in a key", b'{"a\\u0000": 1}'),
    ("surrogate in metadata", b'{"sku": "A", "metadata": {"a": "\\udfff"}}'),
    ("NUL in metadata", b'{"sku": "A", "metadata": {"a": ["\\u0000"]}}'),
    ("bad utf-8", b'{"sku": "\xff\xfe"}'),
    ("overlong utf-8", b'{"sku": "\xc0\xaf"}'),
    ("utf-16", '{"sku": "A"}'.encode("utf-16")),
    ("control character", b'{"sku": "A\x01"}'),
    ("only spaces", b"   "),
]
TARGETS = [
    ("POST", "/public/cart"),
    ("POST", "/cart/items"),
    ("POST", "/cart/discount"),
    ("POST", "/cart/bulk/items"),
    ("POST", "/cart/sync"),
    ("POST", "/checkout/initialize"),
    ("POST", "/auth/login"),
    ("POST", "/auth/register"),
    ("POST", "/auth/refresh"),
    ("POST", "/orders/lookup"),
    ("POST", "/products/validate"),
    ("POST", "/products/inventory/check"),
    ("POST", "/cart/shipping/estimate"),
]


@pytest.mark.parametrize(("method", "path"), TARGETS, ids=[path for _, path in TARGETS])
def test_malformed_bytes_are_refused(guest: Api, method: str, path: str) -> None:
    before = guest.cart()

    for name, content in BODIES:
        if name == "only spaces" and path in ("/public/cart", "/checkout/initialize"):
            continue
        response = guest.send(
            method, path, content=content, headers={"Content-Type": "application/json"}
        )

        # A refresh token that is none is 401; nothing else may get that far.
        allowed = (400, 401) if path.startswith("/auth") else (400,)
        assert response.status_code in allowed, f"{name}: {response.status_code} {response.text}"
        assert response.json()["code"] in ("MALFORMED_REQUEST", "VALIDATION_ERROR"), (
            f"{name}: {response.text}"
        )
    assert guest.cart() == before | {"items": guest.cart()["items"]}


@pytest.mark.parametrize(("method", "path"), TARGETS, ids=[path for _, path in TARGETS])
def test_only_json_is_taken(guest: Api, method: str, path: str) -> None:
    for kind, content in (
        ("application/x-www-form-urlencoded", b"sku=A&quantity=1"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="sku"\r\n\r\nA\r\n--x--\r\n'),
        ("multipart/form-data", b"x"),
        ("text/plain", b'{"sku": "A"}'),
        ("application/xml", b"<sku>A</sku>"),
        ("text/json", b'{"sku": "A"}'),
        ("rubbish", b'{"sku": "A"}'),
        ("application/", b'{"sku": "A"}'),
    ):  # fmt: skip
        guest.refused(
            "UNSUPPORTED_MEDIA_TYPE", method, path, content=content, headers={"Content-Type": kind}
        )


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON"],
)
def test_json_is_known_by_all_its_names(guest: Api, product: Maker, kind: str) -> None:
    body = json.dumps({"sku": product().sku}).encode()

    response = guest.send("POST", "/cart/items", content=body, headers={"Content-Type": kind})

    assert response.status_code == 201, response.text


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-16", "application/json; charset=none", "application/json; charset=\xff"]
)  # fmt: skip
def test_a_strange_charset_is_no_error_of_ours(guest: Api, kind: str) -> None:
    response = guest.send(
        "POST", "/cart/items", content=b'{"sku": "A"}', headers={"Content-Type": kind.encode("latin-1")}
    )  # fmt: skip

    assert 400 <= response.status_code < 500


def test_a_body_of_5_mb_is_too_large(guest: Api) -> None:
    big = b'{"sku": "' + b"A" * 5_000_000 + b'"}'

    for method, path in (*TARGETS, ("PATCH", f"/cart/items/{UNKNOWN}")):
        response = guest.send(
            method, path, content=big, headers={"Content-Type": "application/json"}
        )

        assert response.status_code == 413, f"{path}: {response.text}"
        assert response.json()["code"] == "BODY_TOO_LARGE"


def _raw(shop: Shop, request: bytes) -> int:
    """Send bytes as they are; return the status, or 0 where the server only hung up."""
    parts = urlsplit(shop.url)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=120) as wire:
        with suppress(ConnectionError):  # it may refuse before it has read everything
            wire.sendall(request)
            wire.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while len(answer) < 16 and (more := wire.recv(4096)):
                answer += more
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else 0


def test_bytes_that_are_no_request_are_no_error_of_ours(shop: Shop, guest: Api) -> None:
    token = guest.token.encode()
    head = (
        b"POST /api/v1/cart/items HTTP/1.1\r\nHost: localhost\r\nX-Session-Token: "
        + token
        + b"\r\nContent-Type: application/json\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (100_000, b"A" * 100_000)

    for name, request in (
        ("chunked and long", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 50 + b"0\r\n\r\n"),
        ("shorter than said", head + b'Content-Length: 500\r\n\r\n{"sku": "A"}'),
        ("negative length", head + b'Content-Length: -1\r\n\r\n{"sku": "A"}'),
        ("length of letters", head + b'Content-Length: abc\r\n\r\n{"sku": "A"}'),
        ("huge length", head + b'Content-Length: 99999999999999\r\n\r\n{"sku": "A"}'),
        ("no length", head + b"\r\n"),
        ("bad chunk", head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("path without slash", b"GET api/v1/cart HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("bad percent", b"GET /api/v1/products/%zz%f HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("raw high bytes", b"GET /api/v1/products/\xff\xfe?q=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("no host", b"GET /api/v1/cart HTTP/1.1\r\n\r\n"),
        ("foreign host", b"GET /api/v1/cart HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        ("strange host", b"GET /api/v1/cart HTTP/1.1\r\nHost: [::\r\n\r\n"),
        ("HTTP/9", b"GET /api/v1/cart HTTP/9.9\r\nHost: localhost\r\n\r\n"),
        ("long path", b"GET /api/v1/" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("many headers", b"GET /api/v1/cart HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n"),
    ):  # fmt: skip
        assert _raw(shop, request) < 500, name
    assert guest.cart()["items"] == []


def test_a_foreign_host_is_refused(shop: Shop, api: Api) -> None:
    for path in ("/api/v1/health/ready", "/", "/api/v1/cart"):
        response = api.http.get(path, headers={"Host": "evil.example"})

        assert response.status_code == 400, path


QUERIES = [
    "q=%00", "q=%ff%fe", "q=" + "a" * 8000, "q=%F0%9F%A6%80", "q='%3B--", "q=%25%25%25", "q=%5C", "q=!%26%7C()*:<->",
    "minPrice=abc", "minPrice=-1", "minPrice=NaN", "minPrice=Infinity", "minPrice=1e400", "minPrice=" + "9" * 400,
    "maxPrice=%00", "minPrice=5&maxPrice=1", "inStock=perhaps", "inStock=", "sort=password", "sort=-", "sort=%00",
    "sort=price,name", "category=%00", "category=nowhere", "category=" + "x" * 5000, "limit=5&limit=6", "q=a&q=b",
    "unknown=1", "page=-1", "offset=10000000000", "ordering=user__password", "&&&=&", "%zz=%zz", "format=xml",
    "minPrice=%D9%A3", "q[]=1", "currency=XXX", "currency=%00",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=[query[:24] for query in QUERIES])
def test_a_wild_query_is_no_error_of_ours(shop: Shop, api: Api, user: Api, query: str) -> None:
    for caller, path in (
        (api, "/products/search"),
        (api, "/products"),
        (user, "/orders"),
        (user, "/cart"),
        (user, "/notifications"),
        (user, "/cart/history"),
    ):
        response = caller.send("GET", f"{path}?{query}")

        assert response.status_code in (200, 400, 404), response.text
    for path in ("/products/", "/search/", "/", "/orders/lookup/"):
        assert api.http.get(f"{path}?{query}").status_code < 500, path


@pytest.mark.parametrize(
    "query",
    ["sort=password", "minPrice=abc", "minPrice=-1", "inStock=perhaps", "minPrice=NaN"],
)
def test_a_wrong_filter_is_named(api: Api, query: str) -> None:
    problem = api.refused("VALIDATION_ERROR", "GET", f"/products/search?{query}")

    assert problem["errors"][0]["field"] == query.split("=")[0]


HEADERS: list[tuple[str, bytes]] = [
    *(
        ("Authorization", value)
        for value in (
            b"", b"Bearer", b"Bearer x", b"Bearer a.b.c", b"Basic YTpi", b"Bearer \xff", b"bearer x y z",
            b"Bearer " + b"x" * 9000, b"Bearer eyJhbGciOiJub25lIn0.e30.", b"Token x", b"\xe2\x82\xac",
        )
    ),
    *(
        ("X-Session-Token", value)
        for value in (
            b"", b"x", b"null", b"g" * 64, b"a" * 63, b"a" * 65, b"[]", b"\xff" * 64, b"0" * 64,
            b"a" * 64 + b", " + b"b" * 64,
        )
    ),
    ("X-Session-ID", b"x"),
    *(("X-Company-Id", value) for value in (b"", b"x", b"0", b"\xff", UNKNOWN.encode(), b"a" * 5000)),
    *(("Accept", value) for value in (b"", b"text/html", b"application/xml", b"*/*;q=x", b"\xff", b"a/b" * 500)),
    *(("Accept-Language", value) for value in (b"xx", b"\xff", b"a" * 5000, b"de;q=abc", b"*")),
    *(("Accept-Encoding", value) for value in (b"x", b"identity;q=0", b"\xff")),
    *(("X-Forwarded-For", value) for value in (b"rubbish", b"1.2.3.4, \xff", b"::1%eth0", b"," * 500)),
    *(("X-Forwarded-Proto", value) for value in (b"rubbish", b"https")),
    *(("Cookie", value) for value in (b"sessionid=x", b"=;;;=", b"\xff=\xfe", b"hf_session=x; hf_session=y", b"a" * 8000)),
    *(("Origin", value) for value in (b"null", b"http://[", b"\xff", b"https://evil.example")),
    *(("Referer", value) for value in (b"http://[", b"\xff")),
    ("If-None-Match", b"\xff"),
    ("If-Modified-Since", b"rubbish"),
    ("Range", b"bytes=5-1"),
    ("Expect", b"rubbish"),
    ("X-HTTP-Method-Override", b"DELETE"),
    ("Content-Encoding", b"gzip"),
    ("traceparent", b"rubbish"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), HEADERS, ids=[f"{name}={value[:20]!r}" for name, value in HEADERS]
)
def test_a_wild_header_is_no_error_of_ours(guest: Api, api: Api, name: str, value: bytes) -> None:
    for caller in (guest, api):
        for method, path, body in (
            ("GET", "/cart", None),
            ("GET", "/products", None),
            ("POST", "/cart/items", {"sku": "nothing"}),
            ("GET", "/health", None),
            ("GET", "/api/docs", None),
        ):
            given = {} if body is None else {"body": body}
            response = caller.send(method, path, headers={name: value}, **given)

            assert response.status_code < 500
    assert api.http.get("/products/", headers={name: value}).status_code < 500


@pytest.mark.parametrize(
    "token", [b"", b"x", b"null", b"g" * 64, b"a" * 63, b"a" * 65, b"[]", b"0" * 64]
)
def test_a_guest_token_of_nobody_opens_nothing(api: Api, token: bytes) -> None:
    response = api.send("GET", "/cart", headers={"X-Session-Token": token})

    assert response.status_code in (401, 404), response.text
    response = api.send("POST", "/cart/items", {"sku": "x"}, headers={"X-Session-Token": token})
    assert response.status_code in (401, 404), response.text


def test_the_other_name_of_the_guest_header_is_known(guest: Api, api: Api) -> None:
    cart = guest.cart()

    same = api.having(X_Session_ID=guest.token).get("/cart")

    assert same["id"] == cart["id"]


def test_an_unknown_company_is_not_found(guest: Api, api: Api) -> None:
    for given in (UNKNOWN, str(uuid4()), "x"):
        problem = api.send("GET", "/products", headers={"X-Company-Id": given})
        assert problem.status_code in (404, 400)
        if given != "x":
            assert problem.json()["code"] == "COMPANY_NOT_FOUND"


# --- fields -----------------------------------------------------------------------------------
def test_an_unknown_field_is_refused(guest: Api, product: Maker) -> None:
    sku = product().sku

    for path, body, field in (
        ("/public/cart", {"colour": "red"}, "colour"),
        ("/cart/items", {"sku": sku, "colour": "red"}, "colour"),
        ("/cart/items", {"sku": sku, "isFree": True}, "isFree"),
        ("/cart/discount", {"code": "SAVE10", "force": True}, "force"),
        ("/auth/login", {"email": "a@example.com", "password": "x", "isStaff": True}, "isStaff"),
        ("/cart/bulk/items", {"items": [{"sku": sku, "quantity": 1}], "x": 1}, "x"),
    ):
        problem = guest.refused("VALIDATION_ERROR", "POST", path, body)

        assert [error["code"] for error in problem["errors"]] == ["unknown_field"]
        assert problem["errors"][0]["field"] == field
    assert guest.cart()["items"] == []


@pytest.mark.parametrize(
    "name",
    ["price", "unitPrice", "unit_price", "total", "discount", "currency"],
)
def test_a_price_on_a_line_is_ignored_with_a_warning(guest: Api, product: Maker, name: str) -> None:
    sku = product(price="10.00").sku

    cart = guest.post("/cart/items", {"sku": sku, "quantity": 1, name: "0.01"}, expect=201)

    assert cart["items"][0]["unitPrice"] == "10.00"
    assert cart["currency"] == "USD"
    assert "PRICE_IGNORED" in [warning["code"] for warning in cart["warnings"]]


def test_each_failing_field_is_named(guest: Api) -> None:
    problem = guest.refused("VALIDATION_ERROR", "POST", "/auth/login", {})

    assert {(error["field"], error["code"]) for error in problem["errors"]} == {
        ("email", "required"),
        ("password", "required"),
    }


# --- every method on every path ---------------------------------------------------------------
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
METHODS = ["GET", "HEAD", "OPTIONS", *UNSAFE, "TRACE", "PROPFIND"]
FILLINGS = ["0197a000-0000-7000-8000-000000000000", "x", "%00"]


def _paths(api: Api) -> dict[str, dict[str, Any]]:
    schema = api.send("GET", "/api/schema", headers={"Accept": "application/json"})
    found: dict[str, dict[str, Any]] = schema.json()["paths"]
    return found


def _filled(path: str, filling: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: filling, path)


@pytest.mark.slow
def test_no_method_on_any_path_makes_a_500(shop: Shop, api: Api, guest: Api) -> None:
    paths = _paths(api)
    assert len(paths) > 60, "the document lacks paths"
    user = new_user(shop.url)
    wrong = []

    def probe(job: tuple[Api, str, str, bytes]) -> str:
        caller, method, path, content = job
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            caller.send(method, path, content=content or None, headers=headers)
        except AssertionError as error:
            return str(error)[:400]
        return ""

    jobs = []
    for path, operations in paths.items():
        for filling in FILLINGS if "{" in path else FILLINGS[:1]:
            filled = _filled(path, filling)
            for method in METHODS:
                there = method.lower() in operations
                for caller in (api, guest, user) if there else (guest,):
                    jobs.append((caller, method, filled, b""))
                    if there and method in UNSAFE and not filled.endswith("/logout"):
                        jobs.append((caller, method, filled, b"{}"))
                        jobs.append((caller, method, filled, b'{"items": [null], "id": {}}'))
    with ThreadPoolExecutor(4) as pool:
        wrong = [said for said in pool.map(probe, jobs) if said]

    assert wrong == [], f"{len(wrong)} of {len(jobs)}:\n" + "\n".join(sorted(set(wrong))[:40])


@pytest.mark.slow
def test_no_staff_call_makes_a_500(staff: Api, api: Api) -> None:
    wrong = []

    for path in _paths(api):
        for filling in FILLINGS if "{" in path else FILLINGS[:1]:
            filled = _filled(path, filling)
            for method in METHODS:
                # Bodies that nothing takes: a staff call with a good one would change the shop under other tests.
                content = b'{"nothing": 1}' if method in ("POST", "PUT", "PATCH") else b""
                if method == "DELETE" and "{" not in path:
                    continue
                try:
                    staff.send(
                        method,
                        filled,
                        content=content or None,
                        headers={"Content-Type": "application/json"} if content else {},
                    )
                except AssertionError as error:
                    wrong.append(str(error)[:400])

    assert wrong == [], "\n".join(wrong[:40])


def test_a_method_that_a_path_lacks_is_405(api: Api, guest: Api, staff: Api) -> None:
    missing = []
    for path, operations in _paths(api).items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if method.lower() not in operations:
                response = staff.send(method, _filled(path, FILLINGS[0]))
                if response.status_code not in (405, 404):
                    missing.append(f"{method} {path}: {response.status_code}")
        if "get" in operations:  # what is read answers to HEAD as well
            response = api.send("HEAD", _filled(path, FILLINGS[0]))
            if response.status_code == 405:
                missing.append(f"HEAD {path}: {response.status_code}")

    assert missing == [], "calls that the OpenAPI document does not name, or that lack"
    guest.refused("METHOD_NOT_ALLOWED", "PATCH", "/cart/summary", {})
    guest.refused("METHOD_NOT_ALLOWED", "DELETE", "/health")
    api.refused("METHOD_NOT_ALLOWED", "GET", "/webhooks/stripe")


def test_a_path_of_nobody_is_not_found(api: Api) -> None:
    for path in (
        "/nothing",
        "/cart/nothing/at/all",
        "/%00",
        "/%ff",
        "/" + "a" * 4000,
        "/..;/",
    ):
        for method in ("GET", "POST", "DELETE"):
            response = api.send(method, path)
            assert response.status_code in (404, 401, 405), f"{path}: {response.text}"
    api.refused("NOT_FOUND", "GET", "/nothing")
    api.refused("NOT_FOUND", "GET", "/api/nothing")


PROMISED: list[tuple[str, str]] = [
    ("POST", "/public/cart"), ("GET", "/public/cart"), ("POST", "/cart"), ("GET", "/cart"), ("DELETE", "/cart"),
    ("POST", "/cart/items"), ("POST", "/public/cart/{}/items"), ("PATCH", "/cart/items/{}"), ("PUT", "/cart/items/{}"),
    ("DELETE", "/cart/items/{}"), ("POST", "/cart/bulk/items"), ("PATCH", "/cart/bulk/items"),
    ("DELETE", "/cart/bulk/items"), ("POST", "/cart/items/{}/save"), ("POST", "/cart/items/{}/next-purchase"),
    ("POST", "/cart/items/{}/activate"), ("POST", "/cart/items/{}/duplicate"), ("POST", "/cart/discount"),
    ("DELETE", "/cart/discount/{}"), ("POST", "/cart/{}/hold"), ("GET", "/cart/{}/hold/status"),
    ("DELETE", "/cart/{}/hold"), ("POST", "/cart/merge/preview"), ("POST", "/cart/merge"), ("POST", "/cart/merge/undo"),
    ("GET", "/cart/validate"), ("GET", "/cart/summary"), ("POST", "/cart/shipping/estimate"),
    ("POST", "/cart/tax/estimate"), ("GET", "/cart/explain"), ("GET", "/cart/history"),
    ("POST", "/cart/history/{}/restore"), ("POST", "/cart/sync"), ("GET", "/cart/recovery/{}"),
    ("POST", "/cart/recovery/{}/restore"), ("GET", "/cart/past"), ("POST", "/cart/past/{}/re-add"),
    ("POST", "/cart/bundles"), ("DELETE", "/cart/bundles/{}"), ("GET", "/cart/config"), ("PUT", "/cart/config"),
    ("PATCH", "/cart/config"), ("GET", "/products"), ("POST", "/products"), ("GET", "/products/{}"),
    ("PATCH", "/products/{}"), ("DELETE", "/products/{}"), ("GET", "/products/search"), ("GET", "/products/bundles"),
    ("POST", "/products/validate"), ("POST", "/products/inventory/check"), ("GET", "/inventory"), ("POST", "/inventory"),
    ("GET", "/inventory/{}"), ("PUT", "/inventory/{}"), ("POST", "/inventory/{}/adjust"),
    ("GET", "/inventory/{}/transactions"), ("GET", "/inventory/product/{}"), ("GET", "/promotions"),
    ("POST", "/promotions"), ("GET", "/promotions/active"), ("GET", "/promotions/{}"), ("PATCH", "/promotions/{}"),
    ("DELETE", "/promotions/{}"), ("GET", "/tax-rates"), ("POST", "/tax-rates"), ("GET", "/shipping-zones"),
    ("POST", "/shipping-zones"), ("GET", "/shipping-rules"), ("POST", "/shipping-rules"),
    ("POST", "/checkout/initialize"), ("GET", "/checkout/{}"), ("PATCH", "/checkout/{}"), ("GET", "/checkout/{}/status"),
    ("POST", "/checkout/{}/validate"), ("POST", "/checkout/{}/calculate"), ("POST", "/checkout/{}/payment"),
    ("POST", "/checkout/{}/complete"), ("POST", "/checkout/{}/cancel"), ("POST", "/payments/intent"),
    ("POST", "/payments/capture"), ("POST", "/payments/refund"), ("GET", "/payments/{}"),
    ("GET", "/payments/order/{}"), ("POST", "/payments/{}/simulate"), ("GET", "/orders"), ("POST", "/orders"),
    ("GET", "/orders/{}"), ("PUT", "/orders/{}/status"), ("POST", "/orders/{}/cancel"),
    ("POST", "/orders/{}/cancel-items"), ("POST", "/orders/{}/returns"), ("POST", "/orders/{}/refund-items"),
    ("GET", "/orders/{}/status-history"), ("GET", "/orders/{}/edit-history"), ("POST", "/orders/lookup"),
    ("GET", "/notifications"), ("GET", "/notifications/preferences"), ("PUT", "/notifications/preferences"),
    ("GET", "/notifications/unread-count"), ("POST", "/notifications/{}/read"), ("POST", "/notifications/read-all"),
    ("POST", "/notifications/push-subscriptions"), ("DELETE", "/notifications/push-subscriptions"),
    ("POST", "/auth/login"), ("POST", "/auth/refresh"), ("POST", "/auth/register"), ("GET", "/health"),
    ("GET", "/health/ready"),
]  # fmt: skip


def test_every_promised_call_exists_and_is_documented(api: Api, staff: Api) -> None:
    """A call of api.md that answers `NOT_FOUND` or 405 does not exist."""
    documented = {
        (method.upper(), _filled(path, "{}").removeprefix("/api/v1").removeprefix("/api"))
        for path, operations in _paths(api).items()
        for method in operations
    }
    absent, silent = [], []
    for method, path in PROMISED:
        if method == "DELETE" and path == "/cart":
            continue
        filled = path.replace("{}", UNKNOWN)
        content = b'{"nothing": 1}' if method != "GET" else None
        headers = {"Content-Type": "application/json"} if content else {}
        response = staff.send(method, filled, content=content, headers=headers)
        if (method, path) not in documented:
            silent.append(f"{method} {path}")
            if response.status_code == 405 or response.json().get("code") == "NOT_FOUND":
                absent.append(f"{method} {path}")

    assert absent == []
    assert silent == [], "not in the OpenAPI document"
