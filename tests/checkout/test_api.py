from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout import gateway, selectors
from checkout import services as checkout
from checkout.models import Checkout, Payment, WebhookInbox
from config.platform import flags
from config.platform.actor import Actor
from config.platform.models import FeatureFlag
from config.platform.signatures import sign
from orders.models import Order, RefundRequest
from orders.services.numbers import next_number
from pricing.models import Price
from tests import factories
from tests.bench import statements
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def key() -> str:
    return uuid4().hex


@pytest.fixture
def page(buyer):
    """Return the API of a guest with a cart, and the checkout it has just begun."""
    api = buyer.api
    answer = api.post("/checkout/initialize", {"email": buyer.email})
    assert answer.status_code == 201
    return api, answer.json()


@pytest.fixture
def filled(page):
    api, begun = page
    answer = api.patch(
        f"/checkout/{begun['id']}", {"shippingAddress": ADDRESS, "shippingOption": "standard"}
    )
    assert answer.status_code == 200
    return api, answer.json()


@pytest.fixture
def paying(filled):
    api, begun = filled
    answer = api.post(
        f"/checkout/{begun['id']}/payment",
        {"method": "test", "quoteId": begun["quoteId"]},
        key=key(),
    )
    assert answer.status_code == 200
    return api, begun, answer.json()


@pytest.fixture
def bought(paying):
    api, _begun, paid = paying
    api.post(
        f"/payments/{paid['payment']['id']}/simulate",
        {"outcome": "succeed", "delivery": "before_redirect"},
    )
    return api, api.get(f"/orders/{paid['order']['id']}").json(), paid["payment"]["id"]


# --- checkout -------------------------------------------------------------------------------------


def test_it_shows_a_checkout_in_the_agreed_shape(page):
    _, begun = page

    assert set(begun) >= {
        "id", "status", "cartId", "email", "shippingAddress", "billingAddress", "shippingOption",
        "shippingOptions", "totals", "quoteId", "requirements", "paymentMethods", "orderId",
        "orderNumber", "payment", "holdExpiresAt", "expiresAt",
    }  # fmt: skip
    assert (begun["status"], begun["email"], begun["orderId"]) == ("OPEN", "ada@example.com", None)
    assert begun["paymentMethods"] == [{"id": "test", "name": "Test payment"}]
    assert begun["requirements"] == [
        {"code": "SHIPPING_ADDRESS_MISSING", "field": "shippingAddress"},
        {"code": "SHIPPING_OPTION_MISSING", "field": "shippingOption"},
    ]
    assert begun["totals"] == {
        "itemCount": 2, "lineCount": 1, "problemCount": 0,
        "subtotal": "20.00", "discountTotal": "0.00", "shippingTotal": "0.00",
        "shippingDiscount": "0.00", "shippingTax": "0.00", "taxTotal": "0.00",
        "grandTotal": "20.00", "pricesIncludeTax": False, "estimated": False,
    }  # fmt: skip


def test_it_begins_again_where_it_was(page):
    api, begun = page

    again = api.post("/checkout/initialize", {})

    assert (again.status_code, again.json()["id"]) == (201, begun["id"])
    assert again.json()["email"] == "ada@example.com"


def test_it_fills_in_what_is_missing(filled):
    _, begun = filled

    assert begun["requirements"] == []
    assert begun["shippingAddress"] == ADDRESS
    assert begun["shippingOption"] == "standard"
    assert begun["shippingOptions"] == [
        {
            "id": "standard",
            "name": "Standard",
            "price": "4.90",
            "currency": "USD",
            "minDays": 2,
            "maxDays": 5,
        }
    ]
    assert begun["totals"]["grandTotal"] == "24.90"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"email": "nope"}, "email", "invalid"),
        ({"email": "a@example.com\r\n"}, "email", "invalid"),
        ({"email": 5}, "email", "invalid"),
        ({"notes": "4242424242424242"}, "notes", "card_data_not_accepted"),
        ({"shippingAddress": "x"}, "shippingAddress", "invalid"),
        ({"shippingAddress": {"country": "ZZ"}}, "shippingAddress.country", "invalid"),
        ({"shippingAddress": {"name": "x\ny"}}, "shippingAddress.name", "invalid"),
        ({"shippingAddress": {"nope": "x"}}, "shippingAddress.nope", "unknown_field"),
        ({"grandTotal": "0.01"}, "grandTotal", "unknown_field"),
        ({"shippingOption": ["standard"]}, "shippingOption", "invalid"),
    ],
)
def test_it_refuses_malformed_fields(page, body, field, code):
    api, begun = page

    answer = api.patch(f"/checkout/{begun['id']}", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert Checkout.objects.get().notes == ""


def test_it_needs_credentials_and_something_to_buy(api, guest_api, user_api, shop):
    assert api.post("/checkout/initialize", {}).status_code == 401
    unknown = guest_api.post("/checkout/initialize", {})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CART_NOT_FOUND")
    empty = user_api.post("/checkout/initialize", {})
    assert (empty.status_code, empty.json()["code"]) == (400, "VALIDATION_ERROR")


def test_guests_can_be_asked_to_sign_in(buyer):
    FeatureFlag.objects.create(name="ORDER_ENABLE_GUEST_CHECKOUT", enabled=False)
    flags.forget()

    answer = buyer.api.post("/checkout/initialize", {})

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert Checkout.objects.count() == 0


def test_it_lists_every_line_that_cannot_be_held(buyer, shop, variant):
    other = factories.make_priced_variant(available=1)
    buyer.add(other, 1)
    from inventory.models import Reservation

    Reservation.objects.update(expires_at=buyer.now - timedelta(minutes=1))
    rival = Buyer.arrive(shop, buyer.now).add(variant, 5).add(other, 1)

    answer = buyer.api.post("/checkout/initialize", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "INVENTORY_HOLD_FAILED")
    assert [error["field"] for error in answer.json()["errors"]] == [
        "items.0.quantity",
        "items.1.quantity",
    ]
    assert rival.begin().view is not None


def test_another_customer_finds_nothing(paying, user_api, shop, now):
    _, begun, paid = paying
    stranger = Buyer.arrive(shop, now).api
    checkout_path, payment_path = f"/checkout/{begun['id']}", f"/payments/{paid['payment']['id']}"
    for other in (user_api, stranger):
        for method, path, body, code in [
            ("GET", checkout_path, None, "CHECKOUT_NOT_FOUND"),
            ("GET", f"{checkout_path}/status", None, "CHECKOUT_NOT_FOUND"),
            ("PATCH", checkout_path, {"notes": "x"}, "CHECKOUT_NOT_FOUND"),
            ("POST", f"{checkout_path}/validate", None, "CHECKOUT_NOT_FOUND"),
            ("POST", f"{checkout_path}/calculate", {}, "CHECKOUT_NOT_FOUND"),
            ("POST", f"{checkout_path}/cancel", {}, "CHECKOUT_NOT_FOUND"),
            ("POST", f"{checkout_path}/complete", {}, "CHECKOUT_NOT_FOUND"),
            (
                "POST",
                f"{checkout_path}/payment",
                {"method": "test", "quoteId": "x"},
                "CHECKOUT_NOT_FOUND",
            ),
            ("GET", payment_path, None, "NOT_FOUND"),
            ("POST", f"{payment_path}/simulate", {"outcome": "succeed"}, "NOT_FOUND"),
            ("GET", f"/orders/{paid['order']['id']}", None, "ORDER_NOT_FOUND"),
            ("GET", f"/orders/{paid['order']['number']}", None, "ORDER_NOT_FOUND"),
            ("POST", f"/orders/{paid['order']['id']}/cancel", {}, "ORDER_NOT_FOUND"),
            ("GET", f"/payments/order/{paid['order']['id']}", None, "ORDER_NOT_FOUND"),
        ]:
            answer = other.request(method, path, body, key=key() if method == "POST" else "")
            assert (answer.status_code, answer.json()["code"]) == (404, code), (method, path)
    assert Order.objects.get().status == "draft"


def test_it_says_what_is_missing_at_payment_with_the_zone_first(page):
    api, begun = page
    path = f"/checkout/{begun['id']}/payment"
    body = {"method": "test", "quoteId": begun["quoteId"]}

    missing = api.post(path, body, key=key())
    assert (missing.status_code, missing.json()["code"]) == (409, "CHECKOUT_INCOMPLETE")
    assert missing.json()["extra"]["requirements"] == begun["requirements"]

    api.patch(f"/checkout/{begun['id']}", {"shippingAddress": {"country": "FR"}})
    nowhere = api.post(path, body, key=key())
    assert (nowhere.status_code, nowhere.json()["code"]) == (409, "NO_SHIPPING_ZONE")
    checked = api.post(f"/checkout/{begun['id']}/validate").json()
    assert (checked["valid"], checked["problems"][-1]["code"]) == (False, "NO_SHIPPING_ZONE")
    assert Order.objects.count() == 0


def test_payment_needs_a_quote_a_method_and_a_key(filled):
    api, begun = filled
    path = f"/checkout/{begun['id']}/payment"

    unquoted = api.post(path, {"method": "test"}, key=key())
    assert (unquoted.status_code, unquoted.json()["code"]) == (400, "VALIDATION_ERROR")
    assert unquoted.json()["errors"][0]["field"] == "quoteId"
    strange = api.post(path, {"method": "gold", "quoteId": begun["quoteId"]}, key=key())
    assert (strange.status_code, strange.json()["errors"][0]["field"]) == (400, "method")
    keyless = api.post(path, {"method": "test", "quoteId": begun["quoteId"]})
    assert (keyless.status_code, keyless.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    assert Order.objects.count() == 0


def test_it_refuses_an_old_total_and_shows_the_new_one(filled, variant):
    api, begun = filled
    Price.objects.filter(variant=variant).update(amount=Decimal("8.00"))

    answer = api.post(
        f"/checkout/{begun['id']}/payment",
        {"method": "test", "quoteId": begun["quoteId"]},
        key=key(),
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_CHANGED")
    current = api.get(f"/checkout/{begun['id']}").json()
    extra = answer.json()["extra"]
    assert (extra["oldTotal"], extra["newTotal"], extra["quoteId"]) == (
        "24.90",
        "20.90",
        current["quoteId"],
    )
    assert current["totals"]["grandTotal"] == "20.90"
    assert Order.objects.count() == 0


def test_it_opens_the_payment_in_the_agreed_shape(paying):
    api, begun, paid = paying

    assert set(paid["order"]) >= {"id", "number", "status"}
    assert paid["order"]["status"] == "draft"
    payment = paid["payment"]
    assert (payment["status"], payment["amount"], payment["currency"], payment["provider"]) == (
        "PENDING",
        "24.90",
        "USD",
        "test",
    )
    assert payment["clientSecret"]
    assert payment["nextAction"]["type"] == "simulate"
    shown = api.get(f"/checkout/{begun['id']}").json()
    assert (shown["status"], shown["orderNumber"]) == ("PAYMENT_PENDING", paid["order"]["number"])
    assert shown["payment"]["id"] == payment["id"]
    assert shown["totals"]["grandTotal"] == "24.90"


def test_the_same_key_gives_the_same_answer(filled):
    api, begun = filled
    given = key()
    path, body = f"/checkout/{begun['id']}/payment", {"method": "test", "quoteId": begun["quoteId"]}

    first, second = api.post(path, body, key=given), api.post(path, body, key=given)
    other = api.post(path, {**body, "quoteId": "other"}, key=given)

    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert Payment.objects.count() == 1


def test_it_completes_when_it_is_paid_and_not_before(paying):
    api, begun, paid = paying
    path = f"/checkout/{begun['id']}/complete"
    assert api.post(path).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"

    early = api.post(path, key=key())
    assert (early.status_code, early.json()["code"]) == (402, "PAYMENT_REQUIRED")
    assert early.json()["extra"]["payment"]["id"] == paid["payment"]["id"]

    api.post(
        f"/payments/{paid['payment']['id']}/simulate", {"outcome": "succeed", "delivery": "lost"}
    )
    done, again = api.post(path, {}, key=key()), api.post(path, {}, key=key())

    assert done.status_code == again.status_code == 200
    assert done.json() == again.json()
    order = done.json()
    assert (order["status"], order["paymentStatus"], order["id"]) == (
        "confirmed",
        "captured",
        paid["order"]["id"],
    )
    assert api.get(f"/checkout/{begun['id']}").json()["status"] == "COMPLETED"


def test_it_shows_a_short_status(paying):
    api, begun, paid = paying

    status = api.get(f"/checkout/{begun['id']}/status").json()

    assert (status["status"], status["orderStatus"], status["orderNumber"]) == (
        "PAYMENT_PENDING",
        "draft",
        paid["order"]["number"],
    )
    assert status["secondsLeft"] > 0


def test_a_cancelled_checkout_leaves_the_cart(filled):
    api, begun = filled

    answer = api.post(f"/checkout/{begun['id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    refused = api.patch(f"/checkout/{begun['id']}", {"notes": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    assert api.post("/checkout/initialize", {}).json()["id"] != begun["id"]


def test_an_expired_checkout_says_so(page):
    api, begun = page
    Checkout.objects.update(expires_at="2020-01-01T00:00:00Z")

    answer = api.patch(f"/checkout/{begun['id']}", {"notes": "x"})

    assert (answer.status_code, answer.json()["code"]) == (410, "CHECKOUT_EXPIRED")
    assert api.post("/checkout/initialize", {}).status_code == 201


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, (410, "CHECKOUT_EXPIRED")),
        ({"status": "CANCELLED"}, (409, "INVALID_STATUS_TRANSITION")),
    ],
    ids=["expired", "cancelled"],
)
def test_what_is_over_is_not_called_valid(filled, change, refused):
    api, begun = filled
    path = f"/checkout/{begun['id']}/validate"
    assert api.post(path, {}).json()["valid"] is True
    Checkout.objects.update(**change)

    answer = api.post(path, {})

    assert (answer.status_code, answer.json()["code"]) == refused


def test_an_email_that_is_null_is_one_that_was_not_sent(buyer, variant):
    buyer.add(variant)

    begun = buyer.api.post("/checkout/initialize", {"email": None})

    assert (begun.status_code, begun.json()["email"]) == (201, None)


def test_it_does_not_show_a_card_number_in_its_answer_or_log(page, caplog):
    api, begun = page

    answer = api.patch(f"/checkout/{begun['id']}", {"notes": "4242 4242 4242 4242"})

    assert "4242 4242" not in answer.content.decode() + caplog.text


@pytest.mark.django_db(transaction=True)  # what follows a commit counts too
@pytest.mark.parametrize("lines", [1, 20, 100])
@pytest.mark.usefixtures("unhurried")
def test_the_number_of_statements_does_not_depend_on_the_number_of_lines(shop, now, lines):
    buyer = Buyer.arrive(shop, now)
    for _ in range(lines):
        buyer.add(factories.make_priced_variant(available=5))
    api, counts = buyer.api, {}
    # A process reads some rows once, and the first order of a day writes one.
    api.get("/cart")
    Buyer.arrive(shop, now).add(factories.make_priced_variant(available=5)).begin()
    next_number(now=now)

    def count(name, method, path, body, **headers):
        with CaptureQueriesContext(connection) as captured:
            answer = getattr(api, method)(path, body, **headers)
        assert answer.status_code in {200, 201}, answer.content
        # Several statements may travel together, and the driver does not show the text of those it has prepared.
        texts = [query["sql"] or "prepared" for query in captured.captured_queries]
        parts = [part for text in texts for part in statements.split(text)]
        counts[name] = sum(not statements.is_control(part) for part in parts)
        return answer.json()

    begun = count("initialize", "post", "/checkout/initialize", {"email": buyer.email})
    path = f"/checkout/{begun['id']}"
    count("address", "patch", path, {"shippingAddress": ADDRESS})
    filled = count("option", "patch", path, {"shippingOption": "standard"})
    body = {"method": "test", "quoteId": filled["quoteId"]}
    paid = count("payment", "post", f"{path}/payment", body, key=key())
    charged = {"outcome": "succeed", "delivery": "normal"}
    count("simulate", "post", f"/payments/{paid['payment']['id']}/simulate", charged)
    done = count("complete", "post", f"{path}/complete", {}, key=key())

    assert (done["status"], len(done["items"])) == ("confirmed", lines)
    assert counts == STATEMENTS


STATEMENTS = {
    "initialize": 13,
    "address": 5,
    "option": 5,
    "payment": 20,
    "simulate": 7,
    "complete": 19,
}


# --- payments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "order_status", "payment_status"),
    [
        ("succeed", "CAPTURED", "confirmed", "captured"),
        ("decline", "FAILED", "draft", "failed"),
        ("requires_action", "PENDING", "draft", "pending"),
        ("succeed_late", "CAPTURED", "confirmed", "captured"),
        ("dispute", "CAPTURED", "confirmed", "captured"),
    ],
)
@pytest.mark.parametrize("delivery", ["normal", "duplicate", "before_redirect", "lost"])
def test_it_copes_with_whatever_the_provider_does(
    paying, outcome, status, order_status, payment_status, delivery, now
):
    api, _, paid = paying
    path = f"/payments/{paid['payment']['id']}"

    answer = api.post(f"{path}/simulate", {"outcome": outcome, "delivery": delivery})
    assert answer.status_code == 200
    events = 2 if outcome == "dispute" else 1
    assert WebhookInbox.objects.count() == (0 if delivery == "lost" else events)
    if delivery == "before_redirect":
        assert answer.json()["status"] == status
    checkout.drain_inbox(now=now + timedelta(seconds=5))
    checkout.reconcile(now=now + timedelta(minutes=5))

    assert api.get(path).json()["status"] == status
    order = api.get(f"/orders/{paid['order']['id']}").json()
    assert (order["status"], order["paymentStatus"], order["disputed"]) == (
        order_status,
        payment_status,
        outcome == "dispute",
    )


def test_it_shows_what_the_customer_has_to_do_next(paying):
    api, _, paid = paying

    answer = api.post(
        f"/payments/{paid['payment']['id']}/simulate",
        {"outcome": "requires_action", "delivery": "before_redirect"},
    )

    assert (answer.json()["status"], answer.json()["nextAction"]["type"]) == (
        "PENDING",
        "authenticate",
    )


@pytest.mark.parametrize("outcome", ["decline", "requires_action", "succeed_late"])
def test_what_is_paid_stays_paid(bought, outcome):
    api, order, payment_id = bought

    answer = api.post(f"/payments/{payment_id}/simulate", {"outcome": outcome})

    assert (answer.status_code, answer.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    assert api.get(f"/orders/{order['id']}").json()["status"] == "confirmed"


def test_there_is_no_test_provider_where_it_is_not_wanted(paying, settings):
    api, begun, paid = paying
    settings.PAYMENT_TEST_PROVIDER = False

    simulated = api.post(f"/payments/{paid['payment']['id']}/simulate", {"outcome": "succeed"})
    assert simulated.status_code == 404
    assert api.post("/webhooks/test", {}).status_code == 404
    assert api.get(f"/checkout/{begun['id']}").json()["paymentMethods"] == []
    assert Payment.objects.get().status == "PENDING"


def test_an_intent_is_for_the_order_s_own_total(bought, paying):
    api, _, paid = paying
    order_id = paid["order"]["id"]
    body = {"orderId": order_id, "amount": "24.90", "currency": "USD", "method": "test"}

    assert api.post("/payments/intent", body).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    for wrong in ({"amount": "24.80"}, {"currency": "EUR"}):
        answer = api.post("/payments/intent", {**body, **wrong}, key=key())
        assert (answer.status_code, answer.json()["code"]) == (400, "PAYMENT_AMOUNT_MISMATCH")
    done = api.post("/payments/intent", body, key=key())
    assert (done.status_code, done.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")


def test_an_intent_continues_the_open_payment(paying):
    api, _, paid = paying

    answer = api.post(
        "/payments/intent",
        {
            "orderId": paid["order"]["number"],
            "amount": "24.90",
            "currency": "usd",
            "method": "test",
        },
        key=key(),
    )

    assert (answer.status_code, answer.json()["id"]) == (201, paid["payment"]["id"])
    listed = api.get(f"/payments/order/{paid['order']['id']}").json()
    assert [payment["id"] for payment in listed["results"]] == [paid["payment"]["id"]]


def test_staff_refund_never_more_than_was_paid(bought, staff_api):
    api, order, payment_id = bought
    body = {"paymentId": payment_id, "reason": "sorry"}

    assert api.post("/payments/refund", body, key=key()).status_code == 401
    assert staff_api.post("/payments/refund", body).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    for amount in ("24.91", "1000000"):
        answer = staff_api.post("/payments/refund", {**body, "amount": amount}, key=key())
        assert (answer.status_code, answer.json()["code"]) == (400, "REFUND_EXCEEDS_PAYMENT")
    for amount in ("-1.00", "0", "1.001", "x"):
        answer = staff_api.post("/payments/refund", {**body, "amount": amount}, key=key())
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert RefundRequest.objects.count() == 0

    part = staff_api.post("/payments/refund", {**body, "amount": "4.90"}, key=key())
    assert (part.status_code, part.json()["status"], part.json()["refundedAmount"]) == (
        201,
        "PARTIALLY_REFUNDED",
        "4.90",
    )
    rest = staff_api.post("/payments/refund", body, key=key())
    assert (rest.json()["status"], rest.json()["refundedAmount"]) == ("REFUNDED", "24.90")
    shown = api.get(f"/orders/{order['id']}").json()
    assert (shown["status"], shown["paymentStatus"], shown["refundedTotal"]) == (
        "confirmed",
        "refunded",
        "24.90",
    )


def test_staff_refund_items_and_shipping(bought, staff_api):
    api, order, _ = bought
    path = f"/orders/{order['number']}/refund-items"
    body = {"items": [{"itemId": order["items"][0]["id"], "quantity": 1}], "shipping": "4.90"}

    assert api.post(path, body, key=key()).status_code == 401
    assert staff_api.post(path, body).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    answer = staff_api.post(path, body, key=key())

    assert answer.status_code == 200
    assert (answer.json()["refundedTotal"], answer.json()["paymentStatus"]) == (
        "14.90",
        "partially_refunded",
    )
    assert answer.json()["items"][0]["refundedAmount"] == "10.00"


def test_capture_is_for_staff_and_for_the_whole_amount(filled, staff_api, settings):
    settings.PAYMENT_CAPTURE_MODE = "manual"
    api, begun = filled
    paid = api.post(
        f"/checkout/{begun['id']}/payment",
        {"method": "test", "quoteId": begun["quoteId"]},
        key=key(),
    ).json()
    payment_id = paid["payment"]["id"]
    early = staff_api.post("/payments/capture", {"paymentId": payment_id}, key=key())
    assert (early.status_code, early.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    api.post(
        f"/payments/{payment_id}/simulate", {"outcome": "succeed", "delivery": "before_redirect"}
    )

    assert api.post("/payments/capture", {"paymentId": payment_id}, key=key()).status_code == 401
    other = staff_api.post(
        "/payments/capture", {"paymentId": payment_id, "amount": "1.00"}, key=key()
    )
    assert (other.status_code, other.json()["code"]) == (400, "PAYMENT_AMOUNT_MISMATCH")
    done = staff_api.post("/payments/capture", {"paymentId": payment_id}, key=key())
    assert (done.status_code, done.json()["status"]) == (200, "CAPTURED")


# --- webhooks -------------------------------------------------------------------------------------


def signed(now, **event):
    body = json.dumps(
        {
            "id": "evt_1",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "data": {"object": {"id": "tpi_unknown", "metadata": {}}},
            **event,
        }
    ).encode()
    return body, sign(secret=gateway.TestGateway().secret, body=body, now=now)


def send(body, signature, **headers):
    return Api().request("POST", "/webhooks/test", body, **{"Test-Signature": signature, **headers})


def test_it_stores_a_signed_event_once(company, now):
    body, signature = signed(now)

    answers = [send(body, signature) for _ in range(3)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"received": "evt_1"})
    ] * 3
    assert WebhookInbox.objects.count() == 1
    assert checkout.drain_inbox(now=now + timedelta(seconds=5)) == 1
    assert WebhookInbox.objects.get().outcome == "ignored: no payment of ours"


def test_it_stores_nothing_that_is_not_signed(company, now):
    body, signature = signed(now)
    _, old = signed(now - timedelta(seconds=301))
    _, early = signed(now + timedelta(seconds=330))
    for given in (
        "", "x", "t=1,v1=2", signature[:-1], signature.replace("t=", "t=9"), old, early,
        "t=,v1=", "t=99999999999999999999,v1=0", "v1=0", "t=é,v1=é", f"{signature.split(',')[0]},v1=ü",
    ):  # fmt: skip
        answer = send(body, given.encode("utf-8").decode("latin-1"))
        assert (answer.status_code, answer.json()["code"]) == (400, "WEBHOOK_SIGNATURE_INVALID"), (
            given
        )
    answer = send(body + b" ", signature)
    assert answer.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"
    assert WebhookInbox.objects.count() == 0


def test_it_refuses_what_is_signed_but_no_event(company, now):
    secret = gateway.TestGateway().secret
    for body in (
        b"", b"[]", b"{}", b"\xff", b"null", b'{"id":"x"}', b'{"id":5,"type":"a","data":{"object":{"id":"a"}}}',
        b'{"id":"x","type":"a","data":{"object":{"id":"\\u0000"}}}', b"[" * 5000,
    ):  # fmt: skip
        answer = send(body, sign(secret=secret, body=body, now=now))
        assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST"), body[:40]
    assert WebhookInbox.objects.count() == 0


def test_it_refuses_what_is_too_large_before_it_looks(company, now):
    body, _ = signed(now, padding="x" * 70_000)

    answer = send(body, "t=1,v1=1")

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert WebhookInbox.objects.count() == 0


def test_strange_headers_and_providers_never_break_it(company, now):
    body, signature = signed(now)

    assert send(body, signature, **{"X-Forwarded-For": "rubbish, ;;"}).status_code == 200
    assert Api().request("POST", "/webhooks/nobody", body).status_code == 404
    asked = Api().get("/webhooks/test")
    assert (asked.status_code, asked.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert asked["Allow"] == "POST"
    assert Api().request("POST", "/webhooks/stripe", body).status_code == 404


def test_stripe_s_events_come_in_the_same_way(company, now, settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = "sk_test_x", "whsec_x"
    body, _ = signed(now)
    good = sign(secret="whsec_x", body=body, now=now)

    wrong = Api().request("POST", "/webhooks/stripe", body, **{"Stripe-Signature": "t=1,v1=0"})
    assert wrong.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"
    answer = Api().request("POST", "/webhooks/stripe", body, **{"Stripe-Signature": good})

    assert answer.status_code == 200
    assert WebhookInbox.objects.get().provider == "stripe"


def test_without_a_secret_no_stripe_event_is_believed(company, now, settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = "sk_test_x", ""
    body, _ = signed(now)

    answer = Api().request(
        "POST",
        "/webhooks/stripe",
        body,
        **{"Stripe-Signature": sign(secret="", body=body, now=now)},
    )

    assert answer.status_code == 400
    assert WebhookInbox.objects.count() == 0


def test_health_is_public_and_its_numbers_are_for_staff_of_the_company(
    ready, api, user_api, staff_api, now
):
    ready.pay()
    for stranger in (api, user_api):
        assert stranger.get("/checkout/health").json().keys() == {"status", "paymentMethods"}
        assert stranger.get("/orders/health").json() == {"status": "ok"}

    assert staff_api.get("/orders/health").json() == {"status": "ok", "drafts": 1}
    told = staff_api.get("/checkout/health").json()
    assert told.pop("paymentMethods")
    assert told == {"status": "ok", "webhooksWaiting": 0, "webhooksDead": 0, "paymentsOpen": 1}
    stranger = Actor.system(factories.make_company().id)
    assert selectors.health(actor=stranger, now=now)["paymentsOpen"] == 0
