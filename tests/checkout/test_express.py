"""Express checkout: off by default, and each wallet only with its credentials."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.signing import get_cookie_signer
from django.test import Client
from django.utils import timezone

from checkout import services as checkout
from checkout.gateway.paypal import client
from checkout.models import Payment
from config.platform import flags
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from orders.models import Order
from tests.checkout.conftest import ADDRESS, Buyer, intent_of
from tests.conftest import Api
from tests.paypal import PayPalServer
from tests.paypal.books import MERCHANT, SHIP_TO
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db

WALLETS = {
    "/cart/express/apple-pay/session": "apple-pay",
    "/cart/express/google-pay/session": "google-pay",
    "/cart/express/paypal/create-order": "paypal",
    "/cart/express/paypal/capture": "paypal",
}


@pytest.mark.parametrize("path", WALLETS)
def test_it_is_off_by_default_for_everybody(buyer: Buyer, path: str) -> None:
    for caller in (Api(), buyer.api):
        answer = caller.post(path, {})

        assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
        assert answer.json()["extra"] == {"feature": "EXPRESS_CHECKOUT_ENABLED"}


@pytest.mark.parametrize(("path", "wallet"), WALLETS.items())
def test_the_switch_alone_is_not_enough(
    buyer: Buyer, path: str, wallet: str, staff: Any, now: datetime
) -> None:
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    flags.forget()

    answer = buyer.api.post(path, {})

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert answer.json()["extra"] == {"feature": wallet}


# --- PayPal ---------------------------------------------------------------------------------------


@pytest.fixture
def on(company: Any, staff: Any, now: datetime, paypal: PayPalServer) -> PayPalServer:
    """Return PayPal, offered in the cart."""
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    flags.forget()
    return paypal


def create(buyer: Buyer) -> dict[str, Any]:
    answer = buyer.api.post("/cart/express/paypal/create-order", {})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def capture(buyer: Buyer, order_id: str, **more: str) -> Any:
    return buyer.api.post("/cart/express/paypal/capture", {"orderId": order_id, **more})


def taken(paypal: PayPalServer) -> list[str]:
    return [line["amount"] for line in paypal.books.movements]


@pytest.fixture
def arriving(shop: Any, variant: Any, now: datetime) -> Buyer:
    """Return a guest of whom nothing is known but the cart."""
    return Buyer.arrive(shop, now).add(variant, 2)


def test_from_the_cart_to_a_paid_order_with_consent_to_the_new_total(
    arriving: Buyer, on: PayPalServer
) -> None:
    begun = create(arriving)
    assert begun["approveUrl"] == f"{on.url}/checkoutnow?token={begun['orderId']}"
    assert (begun["amount"], begun["currency"]) == ("20.00", "USD")
    assert on.books.orders[begun["orderId"]]["_context"]["user_action"] == "CONTINUE"
    on.books.approve(begun["orderId"])

    changed = capture(arriving, begun["orderId"])
    assert (changed.status_code, changed.json()["code"]) == (409, "PRICE_CHANGED")
    extra = changed.json()["extra"]
    assert (extra["oldTotal"], extra["newTotal"]) == ("20.00", "24.90")
    assert extra["checkoutId"] == begun["checkoutId"]
    assert not Order.objects.exists()
    assert taken(on) == []

    done = capture(arriving, begun["orderId"], quoteId=extra["quoteId"])
    again = capture(arriving, begun["orderId"])

    assert done.status_code == 200
    order = done.json()
    assert (order["status"], order["email"]) == ("confirmed", "ada@example.com")
    assert order["shippingAddress"]["line1"] == "1 Harbour Street"
    assert again.json()["id"] == order["id"]
    assert taken(on) == ["24.90"]
    unit = on.books.orders[begun["orderId"]]["purchase_units"][0]
    payment = Payment.objects.get()
    assert (unit["custom_id"], unit["amount"]["value"]) == (str(payment.id), "24.90")
    assert (payment.status, payment.provider_id) == ("CAPTURED", begun["orderId"])


def test_what_was_approved_is_what_is_taken_where_nothing_changed(
    ready: Buyer, on: PayPalServer
) -> None:
    begun = create(ready)
    assert begun["amount"] == "24.90"
    on.books.approve(begun["orderId"])

    assert capture(ready, begun["orderId"]).json()["status"] == "confirmed"
    assert taken(on) == ["24.90"]


def test_an_unapproved_order_pays_nothing(ready: Buyer, on: PayPalServer) -> None:
    begun = create(ready)

    answer = capture(ready, begun["orderId"])

    assert (answer.status_code, answer.json()["code"]) == (402, "PAYMENT_REQUIRED")
    assert answer.json()["extra"]["nextAction"]["url"] == begun["approveUrl"]
    assert not Order.objects.exists()


def test_the_order_of_somebody_else_is_not_there(
    ready: Buyer, on: PayPalServer, shop: Any, variant: Any, now: datetime
) -> None:
    begun = create(ready)
    on.books.approve(begun["orderId"])
    thief = Buyer.arrive(shop, now, email="mallory@example.com").add(variant, 1).begin().fill()
    paid = create(thief)["orderId"]
    on.books.approve(paid)

    for order_id in (begun["orderId"], "NOSUCHORDER"):
        answer = capture(thief, order_id)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert capture(thief, "../../v1/oauth2").status_code == 400
    assert not Order.objects.exists()
    assert taken(on) == []

    assert capture(thief, paid).status_code == 200  # their own
    assert capture(ready, paid).status_code == 404
    assert Order.objects.count() == 1


def test_an_order_that_pays_somebody_else_is_not_there(
    ready: Buyer, on: PayPalServer, settings: Any
) -> None:
    settings.PAYPAL_MERCHANT_ID = MERCHANT
    begun = create(ready)
    on.books.approve(begun["orderId"])
    on.books.orders[begun["orderId"]]["purchase_units"][0]["payee"] = {"merchant_id": "MALLORY"}

    assert capture(ready, begun["orderId"]).status_code == 404
    assert not Order.objects.exists()


def test_a_declined_wallet_says_so_and_another_way_is_open(ready: Buyer, on: PayPalServer) -> None:
    begun = create(ready)
    on.books.approve(begun["orderId"], "declined")

    answer = capture(ready, begun["orderId"])

    assert (answer.status_code, answer.json()["code"]) == (402, "PAYMENT_FAILED")
    assert answer.json()["extra"]["reason"] == "INSTRUMENT_DECLINED"
    assert taken(on) == []
    _, payment = ready.pay()
    ready.simulate(payment)
    assert ready.complete().status == "confirmed"


@pytest.mark.parametrize("place", ["PATCH /v2/checkout/orders/[^/]*", "POST .*/capture"])
def test_a_charge_that_was_cut_off_is_finished_once(
    arriving: Buyer, on: PayPalServer, place: str
) -> None:
    begun = create(arriving)
    on.books.approve(begun["orderId"])
    quote = capture(arriving, begun["orderId"]).json()["extra"]["quoteId"]
    on.fail(place, "act_then_reset", times=2)
    answer = capture(arriving, begun["orderId"], quoteId=quote)
    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    client.breaker.reset()

    assert capture(arriving, begun["orderId"]).json()["status"] == "confirmed"
    assert taken(on) == ["24.90"]
    assert Order.objects.count() == 1


def test_reconciliation_finishes_what_the_customer_left_in_the_middle(
    arriving: Buyer, on: PayPalServer
) -> None:
    begun = create(arriving)
    on.books.approve(begun["orderId"])
    quote = capture(arriving, begun["orderId"]).json()["extra"]["quoteId"]
    on.fail("PATCH /v2/checkout/orders/[^/]*", "reset", times=2)
    assert capture(arriving, begun["orderId"], quoteId=quote).status_code == 503
    client.breaker.reset()

    assert checkout.reconcile(now=timezone.now() + timedelta(minutes=3)) == 1

    assert Order.objects.get().status == "confirmed"
    assert taken(on) == ["24.90"]


def test_approval_alone_takes_nothing_before_consent(arriving: Buyer, on: PayPalServer) -> None:
    begun = create(arriving)
    on.books.approve(begun["orderId"])
    capture(arriving, begun["orderId"])
    for event in on.books.events:
        body = json.dumps(event).encode()
        assert Api().request("POST", "/webhooks/paypal", body, **on.sign(body)).status_code == 200

    checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))

    assert taken(on) == []
    assert not Order.objects.exists()


def test_what_was_changed_here_afterwards_stays(arriving: Buyer, on: PayPalServer) -> None:
    begun = create(arriving)
    on.books.approve(begun["orderId"])
    capture(arriving, begun["orderId"])
    path = f"/checkout/{begun['checkoutId']}"
    changes = {"email": "other@example.com", "shippingAddress": {**ADDRESS, "line1": "2 Quay"}}
    quote = arriving.api.patch(path, changes).json()["quoteId"]

    order = capture(arriving, begun["orderId"], quoteId=quote).json()

    assert (order["email"], order["shippingAddress"]["line1"]) == ("other@example.com", "2 Quay")


def test_where_we_do_not_ship_nothing_is_placed(arriving: Buyer, on: PayPalServer) -> None:
    begun = create(arriving)
    abroad = {**SHIP_TO, "address": {**SHIP_TO["address"], "country_code": "FR", "postal_code": "75001", "admin_area_1": ""}}  # fmt: skip
    on.books.approve(begun["orderId"], ship_to=abroad)

    answer = capture(arriving, begun["orderId"])

    assert (answer.status_code, answer.json()["code"]) == (409, "NO_SHIPPING_ZONE")
    assert not Order.objects.exists()


def test_who_has_no_cart_and_who_has_an_empty_one(api: Any, guest_api: Any, on: PayPalServer) -> None:  # fmt: skip
    path = "/cart/express/paypal/create-order"
    assert api.post(path, {}).json()["code"] == "AUTH_REQUIRED"
    assert guest_api.post(path, {}).json()["code"] in {"CART_EMPTY", "CART_NOT_FOUND"}
    assert on.books.orders == {}


def test_while_paypal_is_silent_the_standard_checkout_is_there(
    ready: Buyer, on: PayPalServer
) -> None:
    on.fail("POST /v2/checkout/orders", "500", times=2)

    answer = ready.api.post("/cart/express/paypal/create-order", {})

    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    _, payment = ready.pay()
    ready.simulate(payment)
    assert ready.complete().status == "confirmed"


# --- the pages ------------------------------------------------------------------------------------


def visitor(buyer: Buyer) -> Client:
    browser = Client()
    signer = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT)
    browser.cookies[GUEST_COOKIE] = signer.sign(buyer.token)
    return browser


def test_the_button_is_there_only_while_it_works(
    arriving: Buyer, on: PayPalServer, settings: Any
) -> None:
    button = 'action="/checkout/express/paypal/begin/"'
    assert button in visitor(arriving).get("/cart/").content.decode()

    settings.PAYPAL_CLIENT_ID = ""

    assert button not in visitor(arriving).get("/cart/").content.decode()
    pressed = visitor(arriving).post("/checkout/express/paypal/begin/")
    assert pressed["Location"] == "/cart/"


def test_the_whole_way_without_a_script(arriving: Buyer, on: PayPalServer) -> None:
    browser = visitor(arriving)
    there = browser.post("/checkout/express/paypal/begin/")["Location"]
    [order_id] = on.books.orders
    assert there == f"{on.url}/checkoutnow?token={order_id}"
    on.books.approve(order_id)

    back = browser.get(f"/checkout/express/paypal/?token={order_id}&PayerID=X")
    assert back["Location"] == "/checkout/"
    page = browser.get("/checkout/")
    html = page.content.decode()
    assert "1 Harbour Street" in html
    assert "You have agreed at PayPal." in html
    assert taken(on) == []

    quote = page.context["quote_id"]
    paid = browser.post("/checkout/pay/", {"method": "paypal", "quote": quote})

    order = Order.objects.get()
    assert paid["Location"] == f"/orders/{order.number}/"
    assert order.status == "confirmed"
    assert taken(on) == ["24.90"]


@pytest.mark.parametrize("token", ["", "NOSUCHORDER", "../x", "x" * 99])
def test_coming_back_with_nonsense_changes_nothing(
    arriving: Buyer, on: PayPalServer, token: str
) -> None:
    answer = visitor(arriving).get("/checkout/express/paypal/", {"token": token})

    assert (answer.status_code, answer["Location"]) == (302, "/cart/")


# --- the wallets of the page that pays ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        (
            "Apple Pay",
            ["APPLE_PAY_MERCHANT_ID", "APPLE_PAY_CERTIFICATE_FILE", "APPLE_PAY_KEY_FILE"],
        ),
        ("Google Pay", ["GOOGLE_PAY_MERCHANT_ID"]),
    ],
    ids=["apple", "google"],
)
def test_a_wallet_stands_in_the_cart_when_and_only_when_it_is_configured(
    ready: Buyer,
    stripe: StripeServer,
    settings: Any,
    staff: Any,
    now: datetime,
    name: str,
    needs: list[str],
) -> None:
    needs = [*needs, "STRIPE_PUBLISHABLE_KEY", "STRIPE_SECRET_KEY"]
    for key in needs:
        setattr(settings, key, getattr(settings, key) or "x")

    def is_shown() -> bool:
        flags.forget()
        return f"Check out with {name}" in visitor(ready).get("/cart/").content.decode()

    assert not is_shown()
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    assert is_shown()
    for key in needs:
        kept = getattr(settings, key)
        setattr(settings, key, "")
        assert not is_shown(), key
        setattr(settings, key, kept)
    # It leads to the one page that loads anything of Stripe's, where the wallet itself stands.
    cart = visitor(ready).get("/cart/")
    assert "js.stripe.com" not in cart.content.decode() + cart["Content-Security-Policy"]
    _, payment = ready.pay("card")
    paying = visitor(ready).get(f"/checkout/pay/{payment.id}/").content.decode()
    assert 'id="card-express"' in paying


# --- Google Pay -----------------------------------------------------------------------------------


def test_google_pay_gets_what_its_sheet_needs_and_the_token_pays_the_standard_way(
    arriving: Buyer, staff: Any, now: datetime, settings: Any, stripe: StripeServer
) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_x"
    settings.GOOGLE_PAY_MERCHANT_ID = "BCR2DN4T"
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    flags.forget()

    answer = arriving.api.post("/cart/express/google-pay/session", {})

    assert answer.status_code == 200
    body = answer.json()
    sheet = body["paymentDataRequest"]
    assert sheet["transactionInfo"] == {
        "totalPriceStatus": "ESTIMATED", "totalPrice": "20.00", "currencyCode": "USD",
        "countryCode": "US",
    }  # fmt: skip
    assert sheet["merchantInfo"]["merchantId"] == "BCR2DN4T"
    [method] = sheet["allowedPaymentMethods"]
    assert method["tokenizationSpecification"]["parameters"]["stripe:publishableKey"] == "pk_test_x"
    assert body["environment"] == "TEST"
    assert sheet["shippingAddressRequired"] is True

    path = f"/checkout/{body['checkoutId']}"
    changes = {"email": "ada@example.com", "shippingAddress": ADDRESS, "shippingOption": "standard"}
    quote = arriving.api.patch(path, changes).json()["quoteId"]
    final = arriving.api.post("/cart/express/google-pay/session", {}).json()
    assert final["quoteId"] == quote
    total = final["paymentDataRequest"]["transactionInfo"]
    assert (total["totalPriceStatus"], total["totalPrice"]) == ("FINAL", "24.90")
    ways = final["paymentDataRequest"]["shippingOptionParameters"]
    assert ways["defaultSelectedOptionId"] == "standard"

    paying = {"method": "card", "quoteId": quote}
    opened = arriving.api.request("POST", f"{path}/payment", paying, key="one").json()
    assert opened["payment"]["clientSecret"]
    stripe.books.confirm(intent_of(Payment.objects.get()), "pm_card_visa")
    done = arriving.api.request("POST", f"{path}/complete", {}, key="two")
    assert done.json()["status"] == "confirmed"
