"""Apple Pay's session: whom we ask, who we say we are, what the sheet shows, and what happens when Apple does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from checkout import applepay
from checkout.models import Checkout, Payment
from config.platform import flags
from config.platform.errors import ValidationFailed
from inventory.models import Company, Reservation
from orders.models import Order
from tests import factories
from tests.applepay import AppleServer, Identity, identities
from tests.applepay.server import MERCHANT, PATH
from tests.checkout.conftest import ADDRESS, Buyer, intent_of
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db

ROUTE = "/cart/express/apple-pay/session"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    return identities(tmp_path_factory.mktemp("apple"))


@pytest.fixture
def apple(
    shop: Company,
    staff: Any,
    now: datetime,
    settings: Any,
    stripe: StripeServer,
    known: dict[str, Identity],
) -> Iterator[AppleServer]:
    """Return Apple, and the shop set up for it."""
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    flags.forget()
    server = AppleServer(known).start()
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_x"
    settings.APPLE_PAY_MERCHANT_ID = MERCHANT
    settings.APPLE_PAY_CERTIFICATE_FILE = str(known["merchant"].certificate)
    settings.APPLE_PAY_KEY_FILE = str(known["merchant"].key)
    settings.APPLE_PAY_GATEWAY = server.url
    settings.APPLE_PAY_AUTHORITY = str(known["authority"].certificate)
    settings.APPLE_PAY_TIMEOUT_SECONDS = 0.8
    settings.STOREFRONT_URL = "https://shop.example.com"
    yield server
    server.stop()


@pytest.fixture
def arriving(shop: Any, variant: Any, now: datetime) -> Buyer:
    return Buyer.arrive(shop, now).add(variant, 2)


def ask(buyer: Buyer, apple: AppleServer, path: str = PATH) -> Any:
    return buyer.api.post(ROUTE, {"validationUrl": f"{apple.url}{path}"})


@pytest.fixture
def nothing_written(arriving: Buyer) -> Iterator[None]:
    """Assert at the end that there is no checkout, and that what the cart held is held as it was."""
    before = list(Reservation.objects.order_by("pk").values())
    yield
    assert list(Reservation.objects.order_by("pk").values()) == before
    assert not any(each.objects.exists() for each in (Checkout, Order, Payment))


# --- what is answered -----------------------------------------------------------------------------


def test_apple_s_session_comes_with_what_the_sheet_shows(
    arriving: Buyer, apple: AppleServer, shop: Company
) -> None:
    answer = ask(arriving, apple)

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert set(body) == {"checkoutId", "quoteId", "merchantSession", "paymentRequest"}
    assert apple.asked == [
        (
            PATH,
            {
                "merchantIdentifier": MERCHANT,
                "displayName": shop.name,
                "initiative": "web",
                "initiativeContext": "shop.example.com",
            },
        )
    ]
    session = body["merchantSession"]
    assert (session["domainName"], session["nonce"]) == ("shop.example.com", "4f1c2a4e")
    sheet = body["paymentRequest"]
    assert (sheet["countryCode"], sheet["currencyCode"]) == ("US", "USD")
    assert sheet["total"] == {"label": shop.name, "amount": "20.00", "type": "pending"}
    assert sheet["merchantCapabilities"] == ["supports3DS"]
    assert {"visa", "masterCard", "amex"} <= set(sheet["supportedNetworks"])
    assert "postalAddress" in sheet["requiredShippingContactFields"]
    assert str(Checkout.objects.get().id) == body["checkoutId"]
    assert Reservation.objects.exists()


def test_the_token_pays_the_exact_total_in_the_standard_way(
    arriving: Buyer, apple: AppleServer, stripe: StripeServer
) -> None:
    body = ask(arriving, apple).json()
    path = f"/checkout/{body['checkoutId']}"
    changes = {"email": "ada@example.com", "shippingAddress": ADDRESS, "shippingOption": "standard"}
    quote = arriving.api.patch(path, changes).json()["quoteId"]

    final = ask(arriving, apple).json()

    assert (final["checkoutId"], final["quoteId"]) == (body["checkoutId"], quote)
    sheet = final["paymentRequest"]
    assert (sheet["total"]["amount"], sheet["total"]["type"]) == ("24.90", "final")
    assert [(line["label"], line["amount"]) for line in sheet["lineItems"]] == [
        ("Subtotal", "20.00"),
        ("Shipping", "4.90"),
    ]
    [standard] = [way for way in sheet["shippingMethods"] if way["identifier"] == "standard"]
    assert standard["amount"] == "4.90"

    paying = {"method": "card", "quoteId": quote}
    opened = arriving.api.request("POST", f"{path}/payment", paying, key="one").json()
    assert opened["payment"]["clientSecret"]
    stripe.books.confirm(intent_of(Payment.objects.get()), "pm_card_visa")
    done = arriving.api.request("POST", f"{path}/complete", {}, key="two")
    assert done.json()["status"] == "confirmed"
    assert [line["amount"] for line in stripe.books.movements] == [2490]


@pytest.mark.parametrize("included", [False, True])
def test_the_lines_add_up_with_discount_and_tax(
    arriving: Buyer, apple: AppleServer, included: bool
) -> None:
    factories.make_tax_rate(country="US", rate="0.055", is_included=included)
    factories.make_promotion()
    body = ask(arriving, apple).json()
    path = f"/checkout/{body['checkoutId']}"
    changes = {"email": "ada@example.com", "shippingAddress": ADDRESS, "shippingOption": "standard"}
    assert arriving.api.patch(path, changes).status_code == 200

    sheet = ask(arriving, apple).json()["paymentRequest"]

    labels = [line["label"] for line in sheet["lineItems"]]
    assert labels == ["Subtotal", "Discount", "Shipping"] + ([] if included else ["Tax"])
    assert sum(Decimal(line["amount"]) for line in sheet["lineItems"]) == Decimal(
        sheet["total"]["amount"]
    )
    shown = arriving.api.get(path).json()
    assert sheet["total"]["amount"] == shown["totals"]["grandTotal"]


# --- when it is offered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    [
        "APPLE_PAY_MERCHANT_ID",
        "APPLE_PAY_CERTIFICATE_FILE",
        "APPLE_PAY_KEY_FILE",
        "STRIPE_SECRET_KEY",
        "STRIPE_PUBLISHABLE_KEY",
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_without_any_of_what_it_needs_it_is_off(
    arriving: Buyer, apple: AppleServer, settings: Any, missing: str
) -> None:
    setattr(settings, missing, "")

    answer = ask(arriving, apple)

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert answer.json()["extra"] == {"feature": "apple-pay"}
    assert apple.opened == 0


@pytest.mark.usefixtures("nothing_written")
def test_who_has_no_cart_and_who_has_an_empty_one(
    api: Any, guest_api: Any, apple: AppleServer
) -> None:
    body = {"validationUrl": f"{apple.url}{PATH}"}

    assert api.post(ROUTE, body).json()["code"] == "AUTH_REQUIRED"
    assert apple.opened == 0
    assert guest_api.post(ROUTE, body).json()["code"] in {"CART_EMPTY", "CART_NOT_FOUND"}


# --- whom we ask ----------------------------------------------------------------------------------

START = "/paymentservices/startSession"


@pytest.mark.parametrize(
    "url",
    [
        f"https://apple-pay-gateway.apple.com{START}",
        "https://apple-pay-gateway.apple.com/paymentservices/paymentSession",
        f"https://apple-pay-gateway-cert.apple.com{START}",
        f"https://apple-pay-gateway-nc-pod1.apple.com{START}",
        f"https://apple-pay-gateway-pr-pod5-dr.apple.com{START}",
        f"https://cn-apple-pay-gateway.apple.com{START}",
        f"https://cn-apple-pay-gateway-tj-pod3.apple.com{START}",
    ],
)
def test_apple_s_addresses_are_taken(url: str) -> None:
    assert f"//{applepay.check(url)}/" in url


@pytest.mark.parametrize(
    "url",
    [
        f"http://apple-pay-gateway.apple.com{START}",
        f"HTTPS://apple-pay-gateway.apple.com{START}",
        f"https://apple-pay-gateway.apple.com.evil.example{START}",
        f"https://evil-apple-pay-gateway.apple.com{START}",
        f"https://evil.example/apple-pay-gateway.apple.com{START}",
        f"https://apple-pay-gatewayxapple.com{START}",
        f"https://apple-pay-gateway.apple.com.{START}",
        f"https://a.apple-pay-gateway.apple.com{START}",
        f"https://apple-pay-gateway-nc-pod9.apple.com{START}",
        f"https://www.apple.com{START}",
        f"https://apple.com{START}",
        f"https://apple-pay-gateway.apple.com:443{START}",
        f"https://apple-pay-gateway.apple.com:22{START}",
        f"https://apple-pay-gateway.apple.com@evil.example{START}",
        f"https://me:pass@apple-pay-gateway.apple.com{START}",
        f"https://evil.example#@apple-pay-gateway.apple.com{START}",
        f"https://evil.example\\@apple-pay-gateway.apple.com{START}",
        f"https://apple-pay-gateway.apple.com\\.evil.example{START}",
        f"https://apple-pay-gateway.apple.com\t.evil.example{START}",
        f"https://apple-pay-gateway.apple.com%2eevil.example{START}",
        f"https://ａpple-pay-gateway.apple.com{START}",
        f"https://127.0.0.1{START}",
        f"https://[::1]{START}",
        f"https://169.254.169.254{START}",
        f"//apple-pay-gateway.apple.com{START}",
        "https://apple-pay-gateway.apple.com",
        "https://apple-pay-gateway.apple.com/",
        "https://apple-pay-gateway.apple.com/other/startSession",
        f"https://apple-pay-gateway.apple.com{START}?x=1",
        f"https://apple-pay-gateway.apple.com{START}#x",
        f"https://apple-pay-gateway.apple.com{START}\n",
        "https://apple-pay-gateway.apple.com/paymentservices/../x",
        "file:///etc/passwd",
        "x",
    ],
)
def test_no_other_address_is(url: str) -> None:
    with pytest.raises(ValidationFailed):
        applepay.check(url)


@pytest.mark.usefixtures("nothing_written")
def test_who_names_another_address_is_refused_before_anything_is_asked(
    arriving: Buyer, apple: AppleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("https://evil.example/paymentservices/startSession", "http://127.0.0.1:1/"):
        answer = arriving.api.post(ROUTE, {"validationUrl": url})
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
        assert answer.json()["errors"][0]["field"] == "validationUrl"
    for body in ({}, {"validationUrl": 7}, {"validationUrl": f"{apple.url}{PATH}", "host": "x"}):
        assert arriving.api.post(ROUTE, body).status_code == 400

    assert apple.opened == 0


@pytest.mark.usefixtures("nothing_written")
def test_a_name_of_apple_s_that_leads_inside_is_not_asked(
    arriving: Buyer, apple: AppleServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.APPLE_PAY_GATEWAY = ""
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", apple.server_port))]
    monkeypatch.setattr(
        "config.platform.outside.socket.getaddrinfo", lambda *_args, **_more: inside
    )

    answer = arriving.api.post(
        ROUTE, {"validationUrl": f"https://apple-pay-gateway.apple.com{START}"}
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert apple.opened == 0


# --- when Apple does not answer -------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode",
    ["500", "417", "hang", "reset", "redirect", "garbage", "list", "huge", "surrogate"],
)
@pytest.mark.usefixtures("nothing_written")
def test_whatever_goes_wrong_there_is_told_and_nothing_is_written(
    arriving: Buyer, apple: AppleServer, mode: Any
) -> None:
    apple.mode = mode
    apple.elsewhere = f"{apple.url}/paymentservices/elsewhere"

    answer = ask(arriving, apple)

    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
    assert apple.asked
    assert {path for path, _ in apple.asked} == {PATH}  # no redirect was followed


def test_it_is_tried_again_and_then_left_alone_for_a_moment(
    arriving: Buyer, apple: AppleServer
) -> None:
    apple.mode = "500"
    assert ask(arriving, apple).status_code == 503
    tries = apple.opened
    assert tries > 1
    apple.mode = ""

    assert ask(arriving, apple).status_code == 503
    assert apple.opened == tries

    applepay._breaker("127.0.0.1").reset()
    assert ask(arriving, apple).status_code == 200


@pytest.mark.parametrize("who", ["nobody", "stranger", "no such file", "not its key"])
@pytest.mark.usefixtures("nothing_written")
def test_without_a_certificate_that_apple_accepts_it_is_refused(
    arriving: Buyer,
    apple: AppleServer,
    settings: Any,
    known: dict[str, Identity],
    who: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    match who:
        case "nobody":
            monkeypatch.setattr("ssl.SSLContext.load_cert_chain", lambda *_args, **_more: None)
        case "stranger":
            settings.APPLE_PAY_CERTIFICATE_FILE = str(known["stranger"].certificate)
            settings.APPLE_PAY_KEY_FILE = str(known["stranger"].key)
        case "no such file":
            settings.APPLE_PAY_KEY_FILE = "/nowhere/merchant.key"
        case _:
            settings.APPLE_PAY_KEY_FILE = str(known["stranger"].key)

    answer = ask(arriving, apple)

    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert apple.asked == []


@pytest.mark.usefixtures("nothing_written")
def test_a_certificate_for_another_merchant_is_refused(
    arriving: Buyer, apple: AppleServer, settings: Any
) -> None:
    settings.APPLE_PAY_MERCHANT_ID = "merchant.com.example.other"

    assert ask(arriving, apple).status_code == 503


def test_a_server_that_is_not_apple_s_gets_nothing(
    arriving: Buyer, apple: AppleServer, settings: Any
) -> None:
    settings.APPLE_PAY_AUTHORITY = ""  # then only public authorities are trusted

    assert ask(arriving, apple).status_code == 503
    assert apple.asked == []


def test_neither_key_nor_session_is_logged(
    arriving: Buyer, apple: AppleServer, known: dict[str, Identity]
) -> None:
    with structlog.testing.capture_logs() as lines:
        assert ask(arriving, apple).status_code == 200

    text = str(lines)
    assert "apple was asked" in text
    assert "4f1c2a4e" not in text
    for line in Path(known["merchant"].key).read_text().splitlines()[1:-1]:
        assert line not in text
