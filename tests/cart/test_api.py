from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from cart import services
from cart.models import Cart, CartLine, CartPolicy, CartSession
from config.platform.actor import hash_token
from inventory.models import Bundle, BundleItem, Reservation, StockLevel
from pricing.models import BundlePrice, Price, Revision
from tests import factories
from tests.cart.conftest import make_code, make_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(api):
    """A client of a guest who has a cart."""
    opened = api.post("/public/cart", {}).json()
    return api.as_guest(opened["sessionToken"])


def add(client, variant, **fields) -> Any:
    return client.post("/cart/items", {"sku": variant.sku, **fields})


# --- opening and reading --------------------------------------------------------------------------


def test_a_guest_cart_tells_its_token_once_and_stores_its_digest(api):
    response = api.post("/public/cart", {"currency": "USD"})

    body = response.json()
    assert response.status_code == 201
    assert re.fullmatch(r"[0-9a-f]{64}", body["sessionToken"])
    assert (body["owner"], body["currency"], body["version"], body["status"]) == (
        "guest",
        "USD",
        1,
        "ACTIVE",
    )
    assert (body["items"], body["nextPurchaseItems"], body["savedItems"]) == ([], [], [])
    [session] = CartSession.objects.all()
    assert bytes(session.token_hash) == hash_token(body["sessionToken"])
    again = api.as_guest(body["sessionToken"]).get("/cart")
    assert again.status_code == 200
    assert "sessionToken" not in again.json()


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("get", "/cart/summary", {"itemCount": 0}),
        ("get", "/cart/validate", {"valid": True}),
        ("get", "/cart/explain", {"steps": []}),
        ("get", "/cart/history", {"next": None}),
        ("get", "/cart/shipping/rates", {"options": []}),
        ("post", "/cart/tax/estimate", {"taxTotal": "0.00"}),
        ("post", "/products/pricing/compare", {"results": []}),
        ("post", "/products/pricing/alerts", {"changes": []}),
    ],
)
def test_a_signed_in_caller_has_a_cart_whatever_they_ask_first(user_api, method, path, found):
    body = {"country": "US"} if path.endswith("estimate") else {}

    response = user_api.get(path) if method == "get" else user_api.post(path, body)

    assert response.status_code == 200, response.content
    assert response.json().items() >= found.items()
    assert Cart.objects.get().user_id is not None


def test_no_credentials_are_401_and_an_unknown_token_is_404(api):
    assert (api.get("/cart").status_code, api.get("/cart").json()["code"]) == (401, "AUTH_REQUIRED")
    unknown = api.as_guest("0" * 64).get("/cart")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CART_NOT_FOUND")
    for rubbish in ("", "null", "[]", "zz", "é"):
        assert api.get("/cart", **{"X-Session-Token": rubbish}).status_code in {401, 404}


def test_both_headers_and_both_prefixes_read_the_same_cart(api, guest):
    token = guest.headers["X-Session-Token"]
    ids = {
        api.get(path, **{header: token}).json()["id"]
        for path in ("/cart", "/public/cart", "/api/cart", "/api/public/cart")
        for header in ("X-Session-Token", "X-Session-ID")
    }
    assert len(ids) == 1


def test_a_signed_in_caller_has_one_cart_from_the_first_look(user_api):
    first = user_api.get("/cart")
    second = user_api.get("/cart")
    created = user_api.post("/cart", {})

    assert (first.status_code, second.status_code, created.status_code) == (200, 200, 200)
    assert first.json()["id"] == second.json()["id"] == created.json()["id"]
    assert first.json()["owner"] == "user"
    assert Cart.objects.count() == 1


def test_post_cart_is_201_when_it_opens_one(user_api):
    assert user_api.post("/cart", {}).status_code == 201
    assert user_api.post("/cart", {}).status_code == 200


def test_a_signed_in_caller_without_a_cart_can_add_at_once(user_api):
    response = add(user_api, make_item())

    assert response.status_code == 201
    assert response.json()["owner"] == "user"


@pytest.mark.parametrize("currency", ["XXX", "usdd", "", 5, ["USD"]])
def test_a_currency_we_do_not_sell_in_is_refused(api, currency):
    response = api.post("/public/cart", {"currency": currency})

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    assert not Cart.objects.exists()


def test_the_shape_of_a_line(guest):
    variant = make_item("499.00", 5, options={"Colour": "Red", "Size": "54"})

    line = add(guest, variant, quantity=2).json()["items"][0]

    assert {key: line[key] for key in ("list", "sku", "quantity", "priceWhenAdded", "unitPrice", "lineSubtotal",
                                       "lineDiscount", "lineTax", "lineTotal", "priceChanged", "note", "bundleId",
                                       "groupId", "expiresAt", "available", "problems", "options",
                                       "customization", "metadata", "url")} == {
        "list": "active", "sku": variant.sku, "quantity": 2, "priceWhenAdded": "499.00", "unitPrice": "499.00",
        "lineSubtotal": "998.00", "lineDiscount": "0.00", "lineTax": "0.00", "lineTotal": "998.00",
        "priceChanged": False, "note": "", "bundleId": None, "groupId": None, "expiresAt": None, "available": 5,
        "problems": [], "options": {"Colour": "Red", "Size": "54"}, "customization": {}, "metadata": {},
        "url": f"/products/{variant.product.slug}/",
    }  # fmt: skip
    assert line["hold"]["state"] == "held"
    assert line["hold"]["quantity"] == 2
    assert 890 <= line["hold"]["secondsLeft"] <= 900
    assert line["addedAt"].endswith("Z")


def test_amounts_have_the_currency_s_own_decimals(api):
    variant = make_item("4990", currency="JPY")
    opened = api.post("/public/cart", {"currency": "JPY"}).json()

    body = add(api.as_guest(opened["sessionToken"]), variant).json()

    assert body["items"][0]["unitPrice"] == "4990"
    assert body["totals"]["grandTotal"] == "4990"


def test_an_unchanged_cart_is_304_and_a_changed_one_is_not(guest):
    variant = make_item("10.00")
    add(guest, variant)
    etag = guest.get("/cart")["ETag"]

    same = guest.get("/cart", **{"If-None-Match": etag})
    Price.objects.filter(variant=variant).update(amount=Decimal("9.00"))
    cheaper = guest.get("/cart", **{"If-None-Match": etag})
    StockLevel.objects.filter(variant=variant).update(available=0, total=1)
    scarcer = guest.get("/cart", **{"If-None-Match": cheaper["ETag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert cheaper.status_code == 200
    assert scarcer.status_code == 200


def test_the_etag_changes_when_a_hold_lapses(guest):
    add(guest, make_item())
    etag = guest.get("/cart")["ETag"]
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    response = guest.get("/cart", **{"If-None-Match": etag})

    assert response.status_code == 200
    assert response.json()["items"][0]["hold"]["state"] == "expired"
    assert [warning["code"] for warning in response.json()["warnings"]] == ["HOLD_EXPIRED"]
    assert response.json()["totals"]["problemCount"] == 0


# --- adding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sku", "variantId", "variant_id", "productId", "product_id"])
def test_an_item_is_named_by_sku_variant_or_product(guest, key):
    variant = make_item()
    value = {"sku": variant.sku, "variantId": str(variant.id), "productId": str(variant.product_id)}
    value |= {"variant_id": value["variantId"], "product_id": value["productId"]}

    response = guest.post("/cart/items", {key: value[key]})

    assert response.status_code == 201
    assert response.json()["items"][0]["quantity"] == 1


def test_a_product_with_several_variants_needs_to_say_which(guest):
    variant = make_item()
    make_item(product=variant.product)

    response = guest.post("/cart/items", {"productId": str(variant.product_id)})

    assert (response.status_code, response.json()["code"]) == (400, "VARIANT_INVALID")


def test_what_is_not_sold_is_refused_by_its_own_code(guest):
    draft = make_item(product=factories.make_product(status="draft"))
    gone = make_item(product=factories.make_product(status="discontinued"))
    foreign = make_item(company=factories.make_company())

    codes = {
        name: (response.status_code, response.json()["code"])
        for name, response in {
            "draft": add(guest, draft),
            "gone": add(guest, gone),
            "foreign": add(guest, foreign),
            "unknown": guest.post("/cart/items", {"sku": "NOPE"}),
            "id": guest.post("/cart/items", {"variantId": str(uuid4())}),
        }.items()
    }

    assert codes == {
        "draft": (404, "PRODUCT_NOT_FOUND"),
        "gone": (400, "PRODUCT_DISCONTINUED"),
        "foreign": (404, "PRODUCT_NOT_FOUND"),
        "unknown": (404, "PRODUCT_NOT_FOUND"),
        "id": (404, "PRODUCT_NOT_FOUND"),
    }
    assert not CartLine.objects.exists()


@pytest.mark.parametrize(
    "quantity", [0, -1, 101, 2**31, 2**63, 1.5, 1.0, "1", "1_000", "٣", True, None, [], {}, 10**400]
)
def test_a_quantity_is_a_whole_number_from_1_to_100(guest, quantity):
    variant = make_item(available=200)
    body = f'{{"sku": "{variant.sku}", "quantity": {quantity}}}' if quantity == 10**400 else None

    response = (
        guest.post("/cart/items", body.encode()) if body else add(guest, variant, quantity=quantity)
    )

    assert response.status_code == 400
    assert response.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}
    assert not CartLine.objects.exists()


def test_the_field_that_was_refused_is_named(guest):
    response = add(guest, make_item(), quantity=101)

    [error] = response.json()["errors"]
    assert (error["field"], error["code"]) == ("quantity", "max_value")


def test_a_sum_above_100_is_refused(guest):
    variant = make_item(available=200)
    add(guest, variant, quantity=60)

    response = add(guest, variant, quantity=41)

    assert (response.status_code, response.json()["code"]) == (400, "CART_LIMIT_EXCEEDED")
    assert response.json()["errors"][0]["field"] == "quantity"
    assert guest.get("/cart").json()["items"][0]["quantity"] == 60


def test_a_cart_has_at_most_as_many_lines_as_the_policy_says_over_all_lists(guest, company):
    CartPolicy.objects.create(company=company, max_cart_items_per_user=2)
    first, second, third = make_item(), make_item(), make_item()
    add(guest, first)
    add(guest, second, list="saved")

    refused = add(guest, third)
    again = add(guest, first)

    assert (refused.status_code, refused.json()["code"]) == (400, "CART_LIMIT_EXCEEDED")
    assert again.status_code == 201


def test_plainly_not_there_is_400_with_what_is_left(guest):
    variant = make_item(available=2)

    response = add(guest, variant, quantity=5)

    body = response.json()
    assert (response.status_code, body["code"]) == (400, "ITEM_OUT_OF_STOCK")
    assert {key: body["extra"][key] for key in ("sku", "requested", "available")} == {
        "sku": variant.sku, "requested": 5, "available": 2,
    }  # fmt: skip
    assert body["errors"][0]["field"] == "quantity"
    assert response["Content-Type"].startswith("application/problem+json")


def test_what_is_on_backorder_can_be_added_beyond_stock(guest):
    variant = make_item(available=1, inventory_policy="continue")

    response = add(guest, variant, quantity=5)

    assert response.status_code == 201
    assert response.json()["items"][0]["problems"] == []


def test_a_price_in_the_body_is_ignored_with_a_warning_and_other_fields_are_refused(guest):
    variant = make_item("10.00")

    priced = add(
        guest,
        variant,
        price="0.01",
        unitPrice="0.01",
        unit_price=1,
        total=1,
        discount=5,
        currency="EUR",
    )
    unknown = add(guest, variant, colour="red")

    assert priced.status_code == 201
    assert priced.json()["items"][0]["unitPrice"] == "10.00"
    assert [warning["code"] for warning in priced.json()["warnings"]] == ["PRICE_IGNORED"]
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (400, "unknown_field")


def test_an_item_without_a_price_in_this_currency_is_refused(guest):
    response = add(guest, make_item(currency="EUR"))

    assert (response.status_code, response.json()["code"]) == (409, "PRICE_MISSING")
    assert not Reservation.objects.exists()


def test_customised_items_are_lines_of_their_own(guest):
    variant = make_item()
    add(guest, variant, customization={"text": "Ada", "side": "left"})
    add(guest, variant, customization={"side": "left", "text": "Ada"})

    body = add(guest, variant).json()

    assert [line["quantity"] for line in body["items"]] == [2, 1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note", "x" * 501),
        ("note", "a\x00b"),
        ("note", 5),
        ("customization", {"a": "\x00"}),
        ("customization", {"a": "x" * 5000}),
        ("customization", {"a": {"b": {"c": {"d": {"e": 1}}}}}),
        ("customization", [1]),
        ("customization", {str(number): 1 for number in range(51)}),
        ("metadata", "text"),
        ("metadata", {"a": "x" * 9000}),
    ],
)
def test_texts_and_objects_have_limits(guest, field, value):
    response = add(guest, make_item(), **{field: value})

    assert response.status_code == 400
    assert not CartLine.objects.exists()


def test_markup_never_gets_in(guest):
    response = add(
        guest,
        make_item(),
        note="<b>Tom</b> & Jerry <script>alert(1)</script> 1 < 2",
        customization={"text": "<img src=x onerror=alert(1)>Ada"},
    )

    line = response.json()["items"][0]
    assert line["note"] == "Tom & Jerry alert(1) 1 < 2"
    assert line["customization"] == {"text": "Ada"}


# --- changing and moving --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_line_can_be_changed_by_its_own_or_its_product_s_id(guest, method):
    variant = make_item()
    line = add(guest, variant).json()["items"][0]

    for number, id in enumerate((line["id"], line["productId"], line["variantId"]), start=2):
        response = getattr(guest, method)(f"/cart/items/{id}", {"quantity": number})
        assert (response.status_code, response.json()["items"][0]["quantity"]) == (200, number)


@pytest.mark.parametrize(
    "body", [{}, {"quantity": 0}, {"quantity": 101}, {"nope": 1}, {"list": "later"}, [], "x"]
)
def test_a_change_that_makes_no_sense_is_refused(guest, body):
    line = add(guest, make_item(available=200)).json()["items"][0]

    response = guest.patch(f"/cart/items/{line['id']}", body)

    assert response.status_code == 400
    assert CartLine.objects.get().quantity == 1


@pytest.mark.parametrize("id", ["nope", "0", "01900000-0000-7000-8000-00000000dead", "é"])
def test_an_unknown_line_is_404(guest, id):
    for method in ("patch", "delete"):
        response = guest.request(
            method, f"/cart/items/{id}", {"quantity": 1} if method == "patch" else None
        )
        assert (response.status_code, response.json()["code"]) == (404, "ITEM_NOT_FOUND")


def test_another_s_line_and_cart_are_404(api, guest):
    line = add(guest, make_item()).json()["items"][0]
    cart_id = guest.get("/cart").json()["id"]
    other = api.as_guest(api.post("/public/cart").json()["sessionToken"])

    answers = [
        other.get(f"/public/cart/{cart_id}"),
        other.post(f"/public/cart/{cart_id}/items", {"sku": "X"}),
        other.patch(f"/cart/items/{line['id']}", {"quantity": 2}),
        other.delete(f"/cart/items/{line['id']}"),
        other.post(f"/cart/{cart_id}/hold"),
        other.get(f"/cart/{cart_id}/hold/status"),
        other.delete(f"/cart/{cart_id}/hold"),
        other.get("/public/cart/not-an-id"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"CART_NOT_FOUND", "ITEM_NOT_FOUND"}
    assert CartLine.objects.get().quantity == 1


def test_another_company_s_cart_is_not_there(api, guest):
    other = factories.make_company()

    response = guest.get("/cart", **{"X-Company-Id": str(other.id)})

    assert (response.status_code, response.json()["code"]) == (404, "CART_NOT_FOUND")


def test_a_line_travels_between_the_lists_and_its_hold_with_it(guest):
    variant = make_item(available=5)
    line = add(guest, variant, quantity=2).json()["items"][0]
    level = StockLevel.objects.get(variant=variant)

    saved = guest.post(f"/cart/items/{line['id']}/save").json()
    level.refresh_from_db()
    free_while_saved = level.available
    waiting = guest.post(f"/cart/items/{line['id']}/next-purchase").json()
    back = guest.post(f"/cart/items/{line['id']}/activate").json()
    level.refresh_from_db()

    assert [entry["list"] for entry in saved["savedItems"]] == ["saved"]
    assert saved["items"] == []
    assert free_while_saved == 5
    assert waiting["nextPurchaseItems"][0]["hold"]["state"] == "none"
    assert back["items"][0]["hold"]["state"] == "held"
    assert level.available == 3


@pytest.mark.parametrize(
    "leave",
    [
        lambda guest, line: guest.delete(f"/cart/items/{line}"),
        lambda guest, line: guest.post(f"/cart/items/{line}/save"),
        lambda guest, line: guest.post(f"/cart/items/{line}/next-purchase"),
        lambda guest, line: guest.delete("/cart"),
    ],
    ids=["remove", "save", "next purchase", "clear"],
)
def test_every_way_out_of_the_active_list_returns_the_units_at_once(guest, leave):
    variant = make_item(available=5)
    line = add(guest, variant, quantity=2).json()["items"][0]["id"]
    held = StockLevel.objects.get(variant=variant).reserved

    answer = leave(guest, line)

    assert answer.status_code < 300, answer.content
    level = StockLevel.objects.get(variant=variant)
    assert (held, level.available, level.reserved) == (2, 5, 0)


def test_what_comes_back_is_looked_at_again(guest):
    variant = make_item(available=5)
    line = add(guest, variant, quantity=2, list="saved").json()["savedItems"][0]
    StockLevel.objects.filter(variant=variant).update(available=1, total=1)

    short = guest.post(f"/cart/items/{line['id']}/activate")
    variant.product.status = "discontinued"
    variant.product.save()
    gone = guest.post(f"/cart/items/{line['id']}/activate")

    assert (short.status_code, short.json()["code"]) == (400, "ITEM_OUT_OF_STOCK")
    assert (gone.status_code, gone.json()["code"]) == (400, "PRODUCT_DISCONTINUED")
    assert CartLine.objects.get().list == "saved"


def test_a_duplicate_is_a_separate_line(guest):
    variant = make_item(available=5)
    line = add(guest, variant, quantity=2, note="for Ada").json()["items"][0]

    body = guest.post(f"/cart/items/{line['id']}/duplicate").json()
    grown = add(guest, variant).json()

    assert [entry["quantity"] for entry in body["items"]] == [2, 2]
    assert [entry["note"] for entry in body["items"]] == ["for Ada", "for Ada"]
    assert [entry["quantity"] for entry in grown["items"]] == [3, 2]


def test_older_names_of_the_moves_still_work(guest):
    line = add(guest, make_item()).json()["items"][0]

    assert guest.post(f"/cart/save-for-later/{line['id']}").json()["savedItems"]
    assert guest.post(f"/cart/move-to-cart/{line['id']}").json()["items"]


def test_clearing_empties_the_active_list_only(guest):
    kept, gone = make_item(), make_item()
    add(guest, gone)
    add(guest, kept, list="saved")

    body = guest.delete("/cart").json()

    assert body["items"] == []
    assert len(body["savedItems"]) == 1
    assert StockLevel.objects.get(variant=gone).available == 10


# --- what waits for the next purchase -------------------------------------------------------------


def test_the_first_item_brings_the_next_purchase_along(guest):
    waiting, dead, new = make_item(), make_item(), make_item()
    add(guest, waiting, list="next")
    add(guest, dead, list="next")
    dead.product.status = "discontinued"
    dead.product.save()

    body = add(guest, new).json()

    assert body["nextPurchaseActivated"] is True
    assert body["message"]
    assert {line["sku"] for line in body["items"]} == {waiting.sku, new.sku}
    assert all(line["hold"]["state"] == "held" for line in body["items"])
    assert [line["sku"] for line in body["nextPurchaseItems"]] == [dead.sku]
    assert [warning["code"] for warning in body["warnings"]] == ["ITEM_NOT_MOVED"]


def test_what_is_short_stays_behind(guest):
    waiting, new = make_item(available=1), make_item()
    add(guest, waiting, quantity=3, list="next")

    body = add(guest, new).json()

    assert [line["sku"] for line in body["items"]] == [new.sku]
    assert [(line["sku"], line["quantity"]) for line in body["nextPurchaseItems"]] == [
        (waiting.sku, 3)
    ]
    assert body["nextPurchaseActivated"] is False


def test_the_same_thing_becomes_one_line(guest):
    variant = make_item()
    add(guest, variant, quantity=2, list="next")

    body = add(guest, variant).json()

    assert [line["quantity"] for line in body["items"]] == [3]
    assert body["nextPurchaseItems"] == []
    assert body["nextPurchaseActivated"] is True
    assert StockLevel.objects.get(variant=variant).reserved == 3


def test_nothing_moves_when_the_policy_says_so(guest, company):
    CartPolicy.objects.create(company=company, auto_activate_next_purchase_enabled=False)
    add(guest, make_item(), list="next")

    body = add(guest, make_item()).json()

    assert body["nextPurchaseActivated"] is False
    assert len(body["nextPurchaseItems"]) == 1


def test_nothing_moves_into_a_cart_that_is_not_empty(guest):
    add(guest, make_item())
    add(guest, make_item(), list="next")

    assert add(guest, make_item()).json()["nextPurchaseActivated"] is False


# --- versions -------------------------------------------------------------------------------------


def test_a_stale_write_is_409_with_the_current_cart(guest):
    variant = make_item()
    stale = guest.get("/cart")["ETag"]
    add(guest, variant)

    by_header = (
        add(guest, variant).status_code,
        guest.post("/cart/items", {"sku": variant.sku}, **{"If-Match": stale}),
    )
    by_body = guest.post("/cart/items", {"sku": variant.sku, "version": 1})

    for response in (by_header[1], by_body):
        body = response.json()
        assert (response.status_code, body["code"]) == (409, "CART_CONFLICT")
        assert body["extra"]["cart"]["items"][0]["quantity"] == 2
        assert body["extra"]["cart"]["version"] == 3
    assert CartLine.objects.get().quantity == 2


@pytest.mark.parametrize("form", ["{etag}", "W/{etag}", '"{version}"', "{version}", "*"])
def test_a_fresh_write_passes_in_every_spelling_of_if_match(guest, form):
    current = guest.get("/cart")
    tag = form.format(etag=current["ETag"], version=current.json()["version"])

    response = guest.post("/cart/items", {"sku": make_item().sku}, **{"If-Match": tag})

    assert response.status_code == 201


def test_a_tag_that_is_not_ours_matches_nothing(guest):
    response = guest.post("/cart/items", {"sku": make_item().sku}, **{"If-Match": '"abc"'})

    assert response.status_code == 409


# --- codes ----------------------------------------------------------------------------------------


def test_a_code_lowers_the_total_and_can_be_taken_off(guest, company):
    make_code("SAVE10", company)
    add(guest, make_item("49.90"), quantity=2)

    applied = guest.post("/cart/discount", {"code": " save10 "})
    removed = guest.delete("/cart/discount/SAVE10")

    body = applied.json()
    assert applied.status_code == 200
    [discount] = body["discounts"]
    assert (discount["code"], discount["kind"], discount["amount"]) == (
        "SAVE10",
        "PERCENTAGE",
        "9.98",
    )
    assert body["totals"]["discountTotal"] == "9.98"
    assert body["totals"]["grandTotal"] == "89.82"
    assert body["items"][0]["lineDiscount"] == "9.98"
    assert removed.json()["totals"]["grandTotal"] == "99.80"
    assert removed.json()["discounts"] == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NOPE", "DISCOUNT_INVALID"),
        ("not a code!", "DISCOUNT_INVALID"),
        ("", "DISCOUNT_INVALID"),
        pytest.param("X" * 10_000, "DISCOUNT_INVALID", id="too long"),
        ("EXPIRED10", "DISCOUNT_EXPIRED"),
        (5, "VALIDATION_ERROR"),
        (None, "VALIDATION_ERROR"),
        ("SAVE\x00", "MALFORMED_REQUEST"),
    ],
)
def test_a_code_that_does_not_work_says_why(guest, company, now, code, expected):
    make_code("EXPIRED10", company, ends_at=now - timedelta(days=1))
    add(guest, make_item())

    response = guest.post("/cart/discount", {"code": code})

    assert (response.status_code, response.json()["code"]) == (400, expected)
    assert Cart.objects.get().codes == []


def test_a_code_that_stops_applying_stays_with_a_reason(guest, company):
    make_code("BIG", company, minimum_order=Decimal(50))
    line = add(guest, make_item("60.00")).json()["items"][0]
    guest.post("/cart/discount", {"code": "BIG"})
    add(guest, make_item("10.00"))

    body = guest.delete(f"/cart/items/{line['id']}").json()

    assert body["discounts"] == []
    [warning] = body["warnings"]
    assert (warning["code"], warning["extra"]["code"]) == ("DISCOUNT_NOT_APPLIED", "BIG")
    assert warning["extra"]["reason"]


def test_refresh_drops_a_code_that_is_over(guest, company, now):
    promotion = make_code("SOON", company)
    add(guest, make_item("10.00"))
    guest.post("/cart/discount", {"code": "SOON"})
    promotion.ends_at = now - timedelta(minutes=1)
    promotion.save()
    Revision.objects.filter(company=company).update(number=factories.next_number() + 1000)

    body = guest.post("/cart/refresh", {}).json()

    assert body["totals"]["grandTotal"] == "10.00"
    assert "DISCOUNT_DROPPED" in [warning["code"] for warning in body["warnings"]]
    assert Cart.objects.get().codes == []


# --- bulk -----------------------------------------------------------------------------------------


def test_bulk_answers_row_by_row(guest):
    good, scarce = make_item(), make_item(available=3)

    body = guest.post(
        "/cart/bulk/items",
        {
            "items": [
                {"sku": good.sku, "quantity": 2},
                {"sku": "NOPE"},
                {"sku": scarce.sku, "quantity": 2},
                {"sku": scarce.sku, "quantity": 2},
                {"sku": scarce.sku, "quantity": 1},
            ]
        },
    ).json()

    assert [(row["index"], row["status"], row["code"]) for row in body["results"]] == [
        (0, "ok", None),
        (1, "error", "PRODUCT_NOT_FOUND"),
        (2, "ok", None),
        (3, "error", "ITEM_OUT_OF_STOCK"),
        (4, "ok", None),
    ]
    assert {line["sku"]: line["quantity"] for line in body["cart"]["items"]}[good.sku] == 2
    assert (
        StockLevel.objects.get(variant=scarce).reserved
        == {line["sku"]: line["quantity"] for line in body["cart"]["items"]}[scarce.sku]
    )


def test_atomic_bulk_is_all_or_nothing(guest):
    good = make_item()

    response = guest.post(
        "/cart/bulk/items",
        {
            "items": [{"sku": good.sku}, {"sku": "NOPE"}, {"sku": good.sku, "quantity": 50}],
            "atomic": True,
        },
    )

    body = response.json()
    assert (response.status_code, body["code"]) == (400, "VALIDATION_ERROR")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [
        ("items.1.sku", "PRODUCT_NOT_FOUND"),
        ("items.2.quantity", "ITEM_OUT_OF_STOCK"),
    ]
    assert not CartLine.objects.exists()
    assert not Reservation.objects.exists()
    assert StockLevel.objects.get().available == 10


def test_bulk_changes_and_removes(guest):
    first = add(guest, make_item()).json()["items"][0]["id"]
    second = add(guest, make_item(available=2)).json()["items"][1]["id"]

    changed = guest.patch(
        "/cart/bulk/items",
        {
            "items": [
                {"itemId": first, "quantity": 4},
                {"itemId": second, "quantity": 5},
                {"itemId": str(uuid4()), "quantity": 1},
            ]
        },
    ).json()
    removed = guest.delete("/cart/bulk/items", {"itemIds": [first, second]}).json()

    assert [row["code"] for row in changed["results"]] == [
        None,
        "ITEM_OUT_OF_STOCK",
        "ITEM_NOT_FOUND",
    ]
    assert [line["quantity"] for line in changed["cart"]["items"]] == [4, 1]
    assert removed["cart"]["items"] == []
    assert [row["status"] for row in removed["results"]] == ["ok", "ok"]


@pytest.mark.parametrize(
    "items", [[], [{"sku": "A"}] * 101, [5], [{"sku": "A", "quantity": 0}], "x", None]
)
def test_bulk_refuses_what_is_no_list_of_1_to_100_rows(guest, items):
    response = guest.post("/cart/bulk/items", {"items": items})

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")


def test_bulk_takes_100_lines(guest):
    items = [{"sku": make_item().sku, "quantity": 1} for _ in range(100)]

    body = guest.post("/cart/bulk/items", {"items": items, "atomic": True}).json()

    assert body["cart"]["totals"]["lineCount"] == 100


# --- bundles --------------------------------------------------------------------------------------


@pytest.fixture
def bundle(company):
    """Two of one and one of another for 20.00 instead of 25.00."""
    bundle = Bundle.objects.create(company=company, slug="set", name="Set")
    BundleItem.objects.create(bundle=bundle, variant=make_item("10.00"), quantity=2)
    BundleItem.objects.create(bundle=bundle, variant=make_item("5.00"), quantity=1)
    BundlePrice.objects.create(bundle=bundle, currency="USD", amount=Decimal("20.00"))
    Revision.objects.update_or_create(company=company, defaults={"number": factories.next_number()})
    return bundle


def test_a_bundle_comes_and_goes_as_one(guest, bundle):
    response = guest.post("/cart/bundles", {"bundleId": str(bundle.id), "quantity": 2})

    body = response.json()
    assert response.status_code == 201
    assert sorted(line["quantity"] for line in body["items"]) == [2, 4]
    assert {line["bundleId"] for line in body["items"]} == {str(bundle.id)}
    [group] = {line["groupId"] for line in body["items"]}
    assert body["totals"]["grandTotal"] == "40.00"
    assert body["totals"]["subtotal"] == "50.00"

    gone = guest.delete(f"/cart/bundles/{group}")
    assert gone.json()["items"] == []
    assert not Reservation.objects.filter(status="ACTIVE").exists()


def test_a_part_that_goes_takes_the_bundle_s_price_with_it(guest, bundle):
    body = guest.post("/cart/bundles", {"bundleId": str(bundle.id)}).json()
    small = min(body["items"], key=lambda line: line["quantity"])

    left = guest.delete(f"/cart/items/{small['id']}").json()

    assert left["totals"]["grandTotal"] == "20.00"
    assert left["discounts"] == []


def test_a_bundle_with_a_short_part_is_not_added_at_all(guest, bundle):
    StockLevel.objects.filter(variant=bundle.items.first().variant).update(available=1, total=1)

    response = guest.post("/cart/bundles", {"bundleId": str(bundle.id)})

    assert (response.status_code, response.json()["code"]) == (400, "ITEM_OUT_OF_STOCK")
    assert not CartLine.objects.exists()


# --- holds ----------------------------------------------------------------------------------------


def test_the_hold_of_a_cart_can_be_seen_renewed_and_let_go(guest):
    variant = make_item()
    body = add(guest, variant, quantity=2).json()
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    lapsed = guest.get(f"/cart/{body['id']}/hold/status").json()
    held = guest.post(f"/cart/{body['id']}/hold").json()
    released = guest.delete(f"/cart/{body['id']}/hold").json()

    assert (lapsed["state"], lapsed["secondsLeft"]) == ("expired", 0)
    assert held["state"] == "held"
    assert held["lines"] == [
        {
            "itemId": body["items"][0]["id"],
            "sku": variant.sku,
            "quantity": 2,
            "state": "held",
            "expiresAt": held["expiresAt"],
            "secondsLeft": held["secondsLeft"],
        }
    ]
    assert (released["state"], released["expiresAt"]) == ("none", None)
    assert StockLevel.objects.get(variant=variant).available == 10


def test_a_whole_cart_is_held_or_none_of_it(guest):
    first, second = make_item(), make_item(available=2)
    cart_id = add(guest, first).json()["id"]
    add(guest, second, quantity=2)
    guest.delete(f"/cart/{cart_id}/hold")
    StockLevel.objects.filter(variant=second).update(available=0, total=0)

    response = guest.post(f"/cart/{cart_id}/hold")

    body = response.json()
    assert (response.status_code, body["code"]) == (409, "INVENTORY_HOLD_FAILED")
    assert [line["sku"] for line in body["extra"]["lines"]] == [second.sku]
    assert StockLevel.objects.get(variant=first).reserved == 0


def test_holds_have_a_ceiling(guest, company):
    CartPolicy.objects.create(company=company, max_held_units_per_customer=5)
    add(guest, make_item(), quantity=4)

    response = add(guest, make_item(), quantity=2)

    assert (response.status_code, response.json()["code"]) == (409, "HOLD_LIMIT_EXCEEDED")


def test_activity_renews_the_other_holds_up_to_the_cap(guest):
    first, second = make_item(), make_item()
    add(guest, first)
    started = timezone.now() - timedelta(minutes=40)
    Reservation.objects.update(started_at=started, expires_at=timezone.now() + timedelta(minutes=1))

    add(guest, second)

    renewed = Reservation.objects.get(variant=first, status="ACTIVE")
    assert renewed.started_at == started
    assert renewed.expires_at == started + timedelta(minutes=45)


def test_with_holds_at_checkout_adding_only_looks(guest, company):
    CartPolicy.objects.create(company=company, hold_start="checkout")
    variant = make_item(available=2)

    body = add(guest, variant, quantity=2).json()
    refused = add(guest, variant)

    assert body["items"][0]["hold"]["state"] == "none"
    assert StockLevel.objects.get(variant=variant).reserved == 0
    assert (refused.status_code, refused.json()["code"]) == (400, "ITEM_OUT_OF_STOCK")


def test_the_next_write_to_a_line_takes_its_lapsed_hold_again(guest):
    line = add(guest, make_item()).json()["items"][0]
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    body = guest.patch(f"/cart/items/{line['id']}", {"quantity": 2}).json()

    assert body["items"][0]["hold"]["state"] == "held"
    assert body["items"][0]["hold"]["quantity"] == 2


# --- looking --------------------------------------------------------------------------------------


def test_a_line_that_cannot_be_bought_counts_for_nothing(guest):
    good, gone, scarce = make_item("10.00"), make_item("20.00"), make_item("30.00", 2)
    add(guest, good)
    add(guest, gone)
    add(guest, scarce, quantity=2)
    gone.product.status = "discontinued"
    gone.product.save()
    Reservation.objects.filter(variant=scarce).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    StockLevel.objects.filter(variant=scarce).update(available=0, reserved=0, total=0)
    Reservation.objects.filter(variant=scarce).update(status="EXPIRED")

    body = guest.get("/cart").json()
    verdict = guest.get("/cart/validate").json()

    problems = {
        line["sku"]: [problem["code"] for problem in line["problems"]] for line in body["items"]
    }
    assert problems == {
        good.sku: [],
        gone.sku: ["PRODUCT_DISCONTINUED"],
        scarce.sku: ["ITEM_OUT_OF_STOCK"],
    }
    assert body["totals"]["itemCount"] == 1
    assert body["totals"]["lineCount"] == 1
    assert body["totals"]["problemCount"] == 2
    assert body["totals"]["grandTotal"] == "10.00"
    assert sum(Decimal(line["lineSubtotal"]) for line in body["items"]) == Decimal(
        body["totals"]["subtotal"]
    )
    assert verdict["valid"] is False
    assert [(entry["code"], entry["severity"]) for entry in verdict["problems"]][:2] == [
        ("PRODUCT_DISCONTINUED", "error"),
        ("ITEM_OUT_OF_STOCK", "error"),
    ]


def test_a_healthy_cart_is_valid(guest):
    add(guest, make_item())

    assert guest.get("/cart/validate").json() == {"valid": True, "problems": []}


def test_the_summary(guest):
    add(guest, make_item("10.00"), quantity=3)

    assert guest.get("/cart/summary").json() == {
        "itemCount": 3, "lineCount": 1, "subtotal": "30.00", "grandTotal": "30.00", "currency": "USD", "version": 2,
    }  # fmt: skip


def test_the_explanation_ends_at_the_grand_total(guest, company):
    make_code("SAVE10", company)
    add(guest, make_item("10.00"), quantity=3)
    cart = guest.post("/cart/discount", {"code": "SAVE10"}).json()

    body = guest.get("/cart/explain").json()

    assert (body["quoteId"], body["currency"]) == (cart["quoteId"], "USD")
    assert [step["kind"] for step in body["steps"]] == ["list_price", "coupon"]
    assert body["steps"][-1]["runningTotal"] == cart["totals"]["grandTotal"] == "27.00"


def test_estimates_of_shipping_and_tax(guest, company):
    from pricing.models import ShippingRule, ShippingZone, TaxRate

    zone = ShippingZone.objects.create(company=company, name="US", countries=["US"])
    ShippingRule.objects.create(
        zone=zone, code="express", name="Express", currency="USD", base_price=19
    )
    ShippingRule.objects.create(
        zone=zone, code="standard", name="Standard", currency="USD", base_price=Decimal("6.90")
    )
    TaxRate.objects.create(
        company=company,
        name="CA",
        type="SALES_TAX",
        country="US",
        state="CA",
        rate=Decimal("0.0725"),
    )
    Revision.objects.update_or_create(company=company, defaults={"number": factories.next_number()})
    add(guest, make_item("100.00"))
    place = {"country": "US", "state": "CA", "postalCode": "90001"}

    shipping = guest.post("/cart/shipping/estimate", place).json()
    tax = guest.post("/cart/tax/estimate", place).json()
    nowhere = guest.post("/cart/shipping/estimate", {"country": "AQ"}).json()
    refused = guest.post("/cart/shipping/estimate", {"country": "12"})

    assert [
        (option["id"], option["price"], option["currency"]) for option in shipping["options"]
    ] == [
        ("standard", "6.90", "USD"),
        ("express", "19.00", "USD"),
    ]
    assert shipping["code"] is None
    assert tax["currency"] == "USD"
    assert {key: tax["rates"][0][key] for key in ("name", "type", "rate", "included")} == {
        "name": "CA", "type": "SALES_TAX", "rate": "0.0725", "included": False,
    }  # fmt: skip
    assert Decimal(tax["taxTotal"]) >= Decimal("7.25")
    assert nowhere == {"options": [], "code": "NO_SHIPPING_ZONE"}
    assert refused.status_code == 400
    assert Cart.objects.get().version == 2


# --- the past -------------------------------------------------------------------------------------


def test_history_is_newest_first_and_a_version_can_be_brought_back(guest, company):
    make_code("SAVE10", company)
    first, second = make_item(), make_item()
    add(guest, first, quantity=2, note="mine")
    line = add(guest, second).json()["items"][0]
    guest.post("/cart/discount", {"code": "SAVE10"})
    guest.patch(f"/cart/items/{line['id']}", {"quantity": 5})
    guest.delete("/cart")

    history = guest.get("/cart/history").json()
    restored = guest.post("/cart/history/4/restore")

    assert [event["version"] for event in history["results"]] == [6, 5, 4, 3, 2, 1]
    assert [event["event"] for event in history["results"]][:2] == [
        "cart.cleared",
        "cart.item_updated",
    ]
    assert set(history["results"][0]) == {"version", "event", "actor", "at", "summary", "changes"}
    body = restored.json()
    assert restored.status_code == 200
    assert body["version"] == 7
    assert [(entry["sku"], entry["quantity"], entry["note"]) for entry in body["items"]] == [
        (first.sku, 2, "mine"),
        (second.sku, 1, ""),
    ]
    assert [discount["code"] for discount in body["discounts"]] == ["SAVE10"]
    assert all(entry["hold"]["state"] == "held" for entry in body["items"])


@pytest.mark.parametrize("version", ["99", "0", "-1", "x", "1" * 30])
def test_a_version_that_never_was_is_404(guest, version):
    response = guest.post(f"/cart/history/{version}/restore")

    assert (response.status_code, response.json()["code"]) == (404, "CART_NOT_FOUND")


def test_after_a_purchase_the_token_reads_a_fresh_cart_and_the_old_one_can_be_had_again(
    api, guest, company
):
    variant = make_item("10.00")
    body = add(guest, variant, quantity=2).json()
    from cart.selectors.state import find_head
    from config.platform.actor import Actor, ActorKind

    actor = Actor(
        kind=ActorKind.GUEST,
        company_id=company.id,
        session_hash=hash_token(guest.headers["X-Session-Token"]),
    )
    assert find_head(actor=actor, now=timezone.now()).id
    services.convert(actor=actor, cart_id=body["id"], order_id=uuid4(), now=timezone.now())

    fresh = guest.get("/cart").json()
    past = guest.get("/cart/past").json()
    again = guest.post(f"/cart/past/{body['id']}/re-add").json()

    assert fresh["id"] != body["id"]
    assert fresh["items"] == []
    assert [(cart["id"], cart["status"]) for cart in past["results"]] == [(body["id"], "CONVERTED")]
    assert past["results"][0]["items"][0]["quantity"] == 2
    assert [(line["sku"], line["quantity"]) for line in again["items"]] == [(variant.sku, 2)]
    assert [row["action"] for row in again["report"]] == ["kept"]


def test_an_expired_cart_is_410(guest, user_api):
    add(guest, make_item())
    user_api.get("/cart")
    Cart.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    answers = [guest.get("/cart"), add(guest, make_item()), guest.get("/cart/summary")]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (410, "CART_EXPIRED")
    }
    # An account just gets a new cart.
    assert user_api.get("/cart").status_code == 200


# --- sync -----------------------------------------------------------------------------------------


def test_sync_applies_each_operation_once_and_tells_conflicts(guest):
    first, second = make_item(), make_item(available=1)
    body = add(guest, first).json()
    line, base = body["items"][0]["id"], body["version"]
    guest.patch(f"/cart/items/{line}", {"quantity": 3})
    operations = [
        {"id": "a", "op": "add", "sku": first.sku, "quantity": 2},
        {"id": "b", "op": "set", "itemId": line, "quantity": 1},
        {"id": "c", "op": "add", "sku": second.sku, "quantity": 5},
        {"id": "d", "op": "add", "sku": second.sku},
    ]

    synced = guest.post("/cart/sync", {"baseVersion": base, "operations": operations}).json()
    again = guest.post("/cart/sync", {"baseVersion": base, "operations": operations[:1]}).json()

    # Another device changed the line meanwhile: a delta still counts, setting it blindly does not.
    assert [(result["id"], result["status"]) for result in synced["results"]] == [
        ("a", "applied"),
        ("b", "conflict"),
        ("c", "conflict"),
        ("d", "applied"),
    ]
    assert synced["results"][2]["code"] == "ITEM_OUT_OF_STOCK"
    assert synced["cart"]["items"][0]["quantity"] == 5
    assert again["results"] == [{"id": "a", "status": "duplicate"}]
    assert again["cart"]["version"] == synced["cart"]["version"]


def test_a_line_that_changed_since_is_a_conflict_with_the_line_as_it_is(guest):
    body = add(guest, make_item()).json()
    line, base = body["items"][0]["id"], body["version"]
    guest.patch(f"/cart/items/{line}", {"quantity": 3})
    for number, operation in enumerate(
        [
            {"op": "set", "itemId": line, "quantity": 1},
            {"op": "remove", "itemId": line},
            {"op": "move", "itemId": line, "list": "saved"},
        ]
    ):
        synced = guest.post(
            "/cart/sync", {"baseVersion": base, "operations": [{"id": str(number), **operation}]}
        ).json()
        [result] = synced["results"]
        assert result["status"] == "conflict"
        assert result["item"]["quantity"] == 3


@pytest.mark.parametrize(
    "operation",
    [
        {"id": "a"},
        {"op": "add"},
        {"id": "a", "op": "explode"},
        {"id": "a", "op": "set"},
        {"id": "a", "op": "add"},
        5,
    ],
)
def test_a_malformed_operation_refuses_the_whole_sync(guest, operation):
    response = guest.post("/cart/sync", {"baseVersion": 1, "operations": [operation]})

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")


# --- settings -------------------------------------------------------------------------------------


def test_the_knobs_are_for_staff(api, guest, user_api, staff_api):
    assert guest.get("/cart/config").status_code == 401
    assert user_api.get("/cart/config").status_code == 403

    before = staff_api.get("/cart/config").json()
    after = staff_api.patch(
        "/cart/config",
        {"holdMinutes": 20, "merge_policy": "max", "minimumOrderValueForAbandonment": "5.00"},
    ).json()
    refused = staff_api.patch("/cart/config", {"holdMinutes": 0, "nope": 1})
    reset = staff_api.put("/cart/config", {"cartExpirationDays": 10}).json()
    toggled = staff_api.post("/cart/config/toggle/guestCartMergeEnabled", {}).json()

    assert (before["holdMinutes"], before["mergePolicy"], before["maxCartItemsPerUser"]) == (
        15,
        "sum",
        100,
    )
    assert (
        after["holdMinutes"],
        after["mergePolicy"],
        after["minimumOrderValueForAbandonment"],
    ) == (20, "max", "5.00")
    assert refused.status_code == 400
    assert {error["field"] for error in refused.json()["errors"]} == {"holdMinutes", "nope"}
    assert (reset["holdMinutes"], reset["cartExpirationDays"]) == (15, 10)
    assert toggled["guestCartMergeEnabled"] is False


# --- limits and odd requests ----------------------------------------------------------------------


def test_requests_are_limited(api, guest, rate_limits):
    variant = make_item(available=100)

    adds = [add(guest, variant).status_code for _ in range(31)]
    codes = [guest.post("/cart/discount", {"code": "NOPE"}).status_code for _ in range(6)]
    carts = [api.post("/public/cart").status_code for _ in range(11)]

    assert (adds[:30], adds[30]) == ([201] * 30, 429)
    assert codes == [400] * 5 + [429]
    assert carts.count(429) >= 1
    limited = guest.post("/cart/discount", {"code": "NOPE"})
    assert limited.json()["code"] == "RATE_LIMITED"
    assert int(limited["Retry-After"]) > 0


def test_rotating_tokens_does_not_go_round_the_limit_of_new_carts(api, rate_limits):
    codes = [
        api.as_guest(f"{number:064x}").post("/public/cart").status_code for number in range(11)
    ]

    assert codes == [201] * 10 + [429]


def test_a_repeated_key_adds_once(guest):
    variant = make_item()

    first = guest.post("/cart/items", {"sku": variant.sku}, key="k1")
    second = guest.post("/cart/items", {"sku": variant.sku}, key="k1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second["Idempotent-Replayed"] == "true"
    assert CartLine.objects.get().quantity == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"sku": "A", "sku": "B"}',
        b"[" * 3000,
        b"\xff\xfe",
        b'{"sku": "\\ud800"}',
        b'{"sku": NaN}',
    ],
)
def test_no_body_makes_a_500(guest, body):
    for method, path in (("POST", "/cart/items"), ("POST", "/cart/bulk/items"), ("POST", "/cart/sync"),
                         ("POST", "/cart/discount"), ("PATCH", "/cart"), ("POST", "/cart/merge"),
                         ("POST", "/cart/shipping/estimate")):  # fmt: skip
        response = guest.request(method, path, body)
        assert 400 <= response.status_code < 500, (method, path, body, response.content)
        assert response.json()["code"]


def test_the_wrong_method_is_405(guest):
    assert guest.get("/cart/items").status_code == 405
    assert guest.post("/cart/summary").status_code == 405


def test_settings_bound_the_quantity():
    assert settings.CART_MAX_QUANTITY_PER_LINE == 100
