"""A business buys abroad: the VAT number from the checkout's page to the frozen order."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client

from inventory.models import Company
from orders.models import Order
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

FRENCH = "FR40303265045"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PARIS = {"name": "A", "line1": "1 Rue", "city": "Paris", "postalCode": "75001", "country": "FR"}


@pytest.fixture
def shop(company: Company) -> Company:
    company.country = "DE"
    company.save(update_fields=["country"])
    factories.make_shipping_rule("12.00", countries=("FR",), company=company)
    factories.make_tax_rate("0.20", company=company, country="FR", is_included=True)
    factories.make_priced_variant("120.00", sku="LAMP", available=5)
    return company


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def test_a_number_entered_at_the_checkout_is_frozen_with_the_order(shop: Company) -> None:
    user = factories.make_user()
    api = Api().as_user(user)
    api.post("/cart")
    api.post("/cart/items", {"sku": "LAMP", "quantity": 1})
    begun = api.post("/checkout/initialize").json()
    base = f"/checkout/{begun['id']}"
    priced = api.patch(base, {"shippingAddress": PARIS, "shippingOption": "standard"}).json()
    assert (priced["totals"]["grandTotal"], priced["taxRelief"]) == ("132.00", None)

    api.put("/tax/vat-number", {"vatNumber": FRENCH})
    stale = api.post(
        f"{base}/payment", {"method": "test", "quoteId": priced["quoteId"]}, key="first"
    )
    assert stale.json()["code"] == "PRICE_CHANGED"
    relieved = api.get(base).json()
    assert relieved["totals"]["grandTotal"] == "110.00"
    assert relieved["taxRelief"]["reference"] == FRENCH
    paid = api.post(
        f"{base}/payment", {"method": "test", "quoteId": relieved["quoteId"]}, key="second"
    )
    assert paid.status_code == 200, paid.content
    api.delete("/tax/vat-number")

    order = Order.objects.get()
    shown = api.get(f"/orders/{order.number}").json()
    assert shown["totals"]["grandTotal"] == "110.00"
    assert shown["taxRelief"] == relieved["taxRelief"]
    assert shown["items"][0]["taxes"] == [
        {
            "name": "VAT",
            "type": "VAT",
            "rate": "0.200000",
            "base": "100.00",
            "amount": "0.00",
            "included": False,
            "relief": "reverse_charge",
        }
    ]
    client = Client()
    client.force_login(user, BACKEND)
    page = text(client.get(f"/orders/{order.number}/"))
    assert "How is this calculated?" in page
    assert "Article 138" in page
    assert "VAT taken out: reverse charge" in page
    assert FRENCH in page


def test_the_page_takes_the_number_and_says_what_is_wrong_with_it(shop: Company) -> None:
    user = factories.make_user()
    client = Client()
    client.force_login(user, BACKEND)
    client.post("/cart/add/", {"sku": "LAMP", "quantity": 1})
    client.post("/checkout/")
    address = {**PARIS, "postal_code": "75001"}
    client.post("/checkout/part/address/", address)

    bad = text(client.post("/checkout/part/vat/", {"vat_number": "FR<b>1"}))
    assert "no VAT number of the EU" in bad
    assert "FR<b>1" in bad  # as text, see below
    assert b"FR<b>1" not in client.post("/checkout/part/vat/", {"vat_number": "FR<b>1"}).content
    assert "1 Rue" in text(client.get("/checkout/?edit=address"))

    good = text(client.post("/checkout/part/vat/", {"vat_number": FRENCH}, follow=True))
    assert "Article 138" in good
    assert "How is this calculated?" in good

    gone = text(client.post("/checkout/part/vat/", {"vat_number": ""}, follow=True))
    assert "Article 138" not in gone


def test_guests_and_shops_outside_the_eu_are_not_asked(shop: Company) -> None:
    guest = Client()
    guest.post("/cart/add/", {"sku": "LAMP", "quantity": 1})
    guest.post("/checkout/")
    assert "Buying for a business?" not in text(guest.get("/checkout/"))
    refused = text(guest.post("/checkout/part/vat/", {"vat_number": FRENCH}))
    assert "Sign in" in refused

    shop.country = "US"
    shop.save(update_fields=["country"])
    client = Client()
    client.force_login(factories.make_user(), BACKEND)
    client.post("/cart/add/", {"sku": "LAMP", "quantity": 1})
    client.post("/checkout/")
    assert "Buying for a business?" not in text(client.get("/checkout/"))
