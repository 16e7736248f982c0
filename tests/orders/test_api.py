from __future__ import annotations

from datetime import timedelta

import pytest

from config.platform.actor import hash_token
from orders import services as orders
from orders.models import Order, OrderEdit, RefundRequest, Shipment, StatusChange
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS

pytestmark = pytest.mark.django_db


@pytest.fixture
def body(variant):
    return {
        "items": [{"sku": variant.sku, "quantity": 2}],
        "email": "ada@example.com",
        "shippingAddress": ADDRESS,
    }


def test_it_shows_an_order_in_the_agreed_shape(user_api, draft):
    order = user_api.get(f"/orders/{draft.id}").json()

    assert set(order) >= {
        "id", "number", "status", "paymentStatus", "currency", "email", "items", "totals", "refundedTotal",
        "shippingAddress", "billingAddress", "shipments", "placedAt", "confirmedAt", "trackingUrl",
    }  # fmt: skip
    assert set(order["items"][0]) >= {
        "id", "sku", "name", "options", "quantity", "unitPrice", "lineSubtotal", "lineDiscount", "lineTax",
        "lineTotal", "cancelledQuantity", "returnedQuantity", "refundedAmount",
    }  # fmt: skip
    assert order["totals"] == {
        "subtotal": "49.97", "discountTotal": "0.00", "shippingTotal": "5.00", "shippingDiscount": "0.00",
        "shippingTax": "0.50", "taxTotal": "5.50", "grandTotal": "60.47", "pricesIncludeTax": False,
    }  # fmt: skip
    assert (order["status"], order["paymentStatus"], order["confirmedAt"]) == (
        "draft",
        "pending",
        None,
    )
    assert user_api.get(f"/orders/{draft.number}").json() == order
    assert user_api.get(f"/orders/{draft.number.lower()}").json() == order


def test_customers_and_staff_place_orders_directly(user_api, staff_api, user, body):
    mine = user_api.post("/orders", body)
    theirs = staff_api.post("/orders", body)

    assert (mine.status_code, mine.json()["status"]) == (201, "draft")
    assert mine.json()["totals"]["grandTotal"] == "27.48"
    assert Order.objects.get(pk=mine.json()["id"]).user_id == user.pk
    assert (theirs.status_code, Order.objects.get(pk=theirs.json()["id"]).user_id) == (201, None)


def test_prices_are_ours(user_api, body):
    body["items"][0] |= {"price": "0.01", "unitPrice": "0.01"}

    assert user_api.post("/orders", body).json()["totals"]["subtotal"] == "19.98"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [{"sku": "NO-SUCH", "quantity": 1}]}, "items.0.sku"),
        ({"items": [{"sku": "X", "quantity": 0}]}, "items.0.quantity"),
        ({"items": [{"sku": "X", "quantity": True}]}, "items.0.quantity"),
        ({"email": "nope"}, "email"),
        ({"shippingAddress": {}}, "shippingAddress"),
        ({"shippingAddress": {**ADDRESS, "city": ""}}, "shippingAddress.city"),
        ({"shippingOption": "rocket"}, "shippingOption"),
        ({"notes": "4242424242424242"}, "notes"),
        ({"total": "1"}, "total"),
    ],
)
def test_it_refuses_a_malformed_order(user_api, body, change, field):
    answer = user_api.post("/orders", {**body, **change})

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert Order.objects.count() == 0


def test_it_lists_own_orders_newest_first_and_filters(user_api, api, body, draft, now):
    newest = user_api.post("/orders", body).json()
    stranger = api.as_user(factories.make_user())

    def numbers(**query):
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        return [order["number"] for order in user_api.get(f"/orders?{asked}").json()["results"]]

    assert numbers() == [newest["number"], draft.number]
    assert numbers(limit=1) == [newest["number"]]
    assert numbers(status="draft,confirmed") == [newest["number"], draft.number]
    assert numbers(status="shipped") == []
    assert numbers(placedTo=f"{now - timedelta(days=1):%Y-%m-%d}") == []
    assert len(numbers(placedFrom=f"{now:%Y-%m-%d}")) == 2
    assert stranger.get("/orders").json()["results"] == []
    for malformed in ("gold", "", ",,", "draft,,confirmed", "draft,", "draft,+,confirmed"):
        assert user_api.get(f"/orders?status={malformed}").status_code == 400, malformed
    assert user_api.get("/orders?placedFrom=yesterday").status_code == 400
    assert api.get("/orders").status_code == 401


def test_it_lists_own_orders_in_the_order_that_is_asked_for(user_api, body, draft):
    cheap = user_api.post(
        "/orders", {**body, "items": [{**body["items"][0], "quantity": 1}]}
    ).json()
    by_time = [draft.number, cheap["number"]]

    def walk(sort):
        found, at = [], f"/orders?sort={sort}&limit=1"
        while at is not None:
            page = user_api.get(at).json()
            found += [order["number"] for order in page["results"]]
            at = page["next"] and page["next"].partition("/api/v1")[2]
        return found

    assert {sort: walk(sort) for sort in ("oldest", "newest", "total", "-total")} == {
        "oldest": by_time, "newest": by_time[::-1], "total": by_time[::-1], "-total": by_time,
    }  # fmt: skip
    cursor = user_api.get("/orders?sort=total&limit=1").json()["next"].partition("cursor=")[2]
    assert user_api.get(f"/orders?sort=newest&cursor={cursor}").status_code == 400
    assert user_api.get("/orders?sort=prettiest").status_code == 400


def test_the_link_of_the_mail_opens_one_order(api, guest_api, draft, user_api):
    address = user_api.get(f"/orders/{draft.id}").json()["trackingUrl"]
    token = address.split("token=")[1]

    assert hash_token(token) == bytes(Order.objects.get().access_token_hash)
    assert api.get(f"/orders/{draft.number}?token={token}").json()["id"] == str(draft.id)
    for wrong in ("", "x", "0" * 64, token[:-1] + ("0" if token[-1] != "0" else "1")):
        answer = guest_api.get(f"/orders/{draft.number}?token={wrong}")
        assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")
    assert api.get(f"/orders/{draft.number}").status_code == 401


def test_the_look_up_gives_one_neutral_answer(api, draft):
    found = api.post("/orders/lookup", {"number": draft.number, "email": "Ada@Example.com"})
    wrong_email = api.post("/orders/lookup", {"number": draft.number, "email": "x@example.com"})
    wrong_number = api.post(
        "/orders/lookup", {"number": "ORD-20200101-000009", "email": "ada@example.com"}
    )

    assert found.json()["id"] == str(draft.id)
    assert wrong_email.status_code == wrong_number.status_code == 404
    assert {**wrong_email.json(), "requestId": ""} == {**wrong_number.json(), "requestId": ""}


def test_the_look_up_is_limited(api, draft, rate_limits):
    answers = [
        api.post("/orders/lookup", {"number": draft.number, "email": "x@example.com"}).status_code
        for _ in range(6)
    ]

    assert answers == [404] * 5 + [429]


def test_an_order_is_cancelled_once(user_api, paid):
    first = user_api.post(f"/orders/{paid.id}/cancel", {"reason": "changed my mind"})
    again = user_api.post(f"/orders/{paid.id}/cancel", {"reason": "changed my mind"})

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "ORDER_NOT_CANCELLABLE")
    assert RefundRequest.objects.count() == 1


def test_the_same_key_cancels_once_and_says_the_same(user_api, paid):
    answers = [user_api.post(f"/orders/{paid.id}/cancel", {}, key="abc") for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_some_units_are_cancelled(user_api, paid, staff_api):
    line = str(paid.lines.all()[0].id)
    path = f"/orders/{paid.number}/cancel-items"

    too_many = user_api.post(path, {"items": [{"itemId": line, "quantity": 4}]})
    assert (too_many.status_code, too_many.json()["errors"][0]["field"]) == (
        400,
        "items.0.quantity",
    )
    done = user_api.post(
        path, {"items": [{"itemId": line, "quantity": 1}], "reason": "one too many"}
    )
    assert (done.status_code, done.json()["items"][0]["cancelledQuantity"]) == (200, 1)
    assert done.json()["status"] == "confirmed"
    history = staff_api.get(f"/orders/{paid.id}/edit-history").json()["results"]
    assert [(edit["old"], edit["new"], edit["reason"]) for edit in history] == [
        (0, 1, "one too many")
    ]


def test_what_is_not_paid_is_not_divided_and_its_answer_says_what_to_do(user_api, draft):
    line = str(draft.lines.all()[0].id)

    refused = user_api.post(
        f"/orders/{draft.id}/cancel-items", {"items": [{"itemId": line, "quantity": 1}]}
    )

    assert (refused.status_code, refused.json()["code"]) == (409, "ORDER_NOT_CANCELLABLE")
    assert "cart" in refused.json()["advice"]
    assert draft.lines.all()[0].cancelled_quantity == 0


def test_the_dependencies_of_orders_are_told_one_by_one(api):
    answer = api.get("/orders/health/dependencies")

    assert answer.status_code == 200
    assert {"database", "redis", "jobs"} <= answer.json()["checks"].keys()


def test_returns_are_asked_for_and_decided(user_api, staff_api, delivered):
    line = str(delivered.lines.all()[0].id)
    asked = user_api.post(
        f"/orders/{delivered.id}/returns",
        {"items": [{"itemId": line, "quantity": 1, "reason": "too small"}]},
    )
    assert (asked.status_code, asked.json()["status"]) == (201, "REQUESTED")
    path = f"/orders/returns/{asked.json()['id']}"

    assert user_api.post(f"{path}/approve").status_code == 403
    assert staff_api.post(f"{path}/receive").json()["code"] == "INVALID_STATUS_TRANSITION"
    assert staff_api.post(f"{path}/approve").json()["status"] == "APPROVED"
    received = staff_api.post(f"{path}/receive", {})
    assert (received.json()["status"], received.json()["refundAmount"]) == ("RECEIVED", "10.99")
    listed = user_api.get(f"/orders/{delivered.id}/returns").json()["results"]
    assert [found["status"] for found in listed] == ["RECEIVED"]
    order = user_api.get(f"/orders/{delivered.id}").json()
    assert order["items"][0]["returnedQuantity"] == 1


def test_what_was_not_delivered_cannot_be_returned(user_api, paid):
    line = str(paid.lines.all()[0].id)

    answer = user_api.post(
        f"/orders/{paid.id}/returns", {"items": [{"itemId": line, "quantity": 1}]}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "RETURN_NOT_ELIGIBLE")


def test_staff_move_an_order_along_the_table(staff_api, user_api, paid):
    path = f"/orders/{paid.id}/status"

    skipped = staff_api.put(path, {"status": "shipped"})
    assert (skipped.status_code, skipped.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    assert skipped.json()["extra"] == {
        "from": "confirmed",
        "to": "shipped",
        "allowed": ["cancelled", "processing"],
    }
    assert user_api.put(path, {"status": "processing"}).status_code == 403
    assert staff_api.put(path, {"status": "gold"}).status_code == 400
    for status in ("processing", "shipped", "delivered"):
        moved = staff_api.put(path, {"status": status, "reason": "by hand"})
        assert (moved.status_code, moved.json()["status"]) == (200, status)
    for name in ("status-history", "edit-history"):
        assert user_api.get(f"/orders/{paid.id}/{name}").status_code == 403
    history = staff_api.get(f"/orders/{paid.id}/status-history").json()["results"]
    assert [(step["from"], step["to"]) for step in history] == [
        (None, "draft"),
        ("draft", "confirmed"),
        ("confirmed", "processing"),
        ("processing", "shipped"),
        ("shipped", "delivered"),
    ]
    assert Shipment.objects.get().status == "delivered"


def test_staff_ship_with_a_tracking_number(staff_api, paid):
    shipped = staff_api.post(
        f"/orders/{paid.id}/ship", {"carrier": "Coastal Post", "trackingNumber": "CP1"}
    )

    assert shipped.json()["status"] == "shipped"
    assert shipped.json()["shipments"][0]["trackingNumber"] == "CP1"


def test_staff_notes_are_not_for_customers(staff_api, user_api, paid):
    noted = staff_api.patch(f"/orders/{paid.id}", {"staffNotes": "rude on the phone"})

    assert noted.json()["staffNotes"] == "rude on the phone"
    assert "rude" not in user_api.get(f"/orders/{paid.id}").content.decode()
    assert user_api.patch(f"/orders/{paid.id}", {"staffNotes": "x"}).status_code == 403
    assert staff_api.patch(f"/orders/{paid.id}", {"status": "delivered"}).status_code == 400
    assert OrderEdit.objects.count() == 1


def test_another_customer_finds_nothing(api, paid):
    stranger = api.as_user(factories.make_user())
    guest = Api().as_guest("a" * 64)
    line = str(paid.lines.all()[0].id)
    before = StatusChange.objects.count()
    for other in (stranger, guest):
        for method, path, body in [
            ("GET", "", None),
            ("GET", "/returns", None),
            ("GET", "/payments", None),
            ("POST", "/cancel", {}),
            ("POST", "/cancel-items", {"items": [{"itemId": line, "quantity": 1}]}),
            ("POST", "/returns", {"items": [{"itemId": line, "quantity": 1}]}),
            ("POST", "/payments", {"method": "test"}),
        ]:
            for name in (paid.id, paid.number):
                answer = other.request(method, f"/orders/{name}{path}", body)
                assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND"), path
    assert StatusChange.objects.count() == before


@pytest.mark.parametrize(
    "name",
    ["x", "ORD-1", "00000000", "ORD-20261121-999999", "01900000-0000-7000-8000-00000000dead"],
)
def test_a_strange_name_is_no_order(user_api, shop, name):
    answer = user_api.get(f"/orders/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")


def test_a_draft_is_not_cancelled_in_part(user_api, draft):
    line = str(draft.lines.all()[0].id)

    answer = user_api.post(
        f"/orders/{draft.id}/cancel-items", {"items": [{"itemId": line, "quantity": 1}]}
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_NOT_CANCELLABLE")
    assert orders.demands(Order.objects.get()) != []
