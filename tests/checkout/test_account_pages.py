"""Pages of addresses, and the ways back into a cart: with a plain form, no script."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cart.models import CartLine
from checkout.models import Address, Checkout
from config.platform.models import User
from inventory.models import Company
from orders.models import Order
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FORM = {("postal_code" if key == "postalCode" else key): value for key, value in ADDRESS.items()}


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def test_an_address_is_kept_changed_chosen_and_forgotten(page: Client, shop: Company) -> None:
    assert b"Your first address" in page.get("/account/addresses/").content
    bad = page.post("/account/addresses/", {**FORM, "city": "", "state": "Nowhere"})
    assert bad.status_code == 422
    assert b'value="1 Harbour Street"' in bad.content
    assert b'id="state-error"' in bad.content
    assert not Address.objects.exists()

    page.post("/account/addresses/", FORM)
    page.post("/account/addresses/", {**FORM, "city": "Bath"})
    first, second = Address.objects.order_by("created_at")
    page.post(f"/account/addresses/{second.pk}/", {"act": "shipping"})
    page.post(f"/account/addresses/{second.pk}/", {**FORM, "city": "Camden", "act": "save"})

    shown = page.get("/account/addresses/").content.decode()
    assert "Camden" in shown
    assert Address.objects.get(is_default_shipping=True) == second
    assert Address.objects.get(is_default_billing=True) == first
    assert b'value="Camden"' in page.get(f"/account/addresses/{second.pk}/").content
    page.post(f"/account/addresses/{second.pk}/", {"act": "remove"})
    assert list(Address.objects.all()) == [first]


def test_addresses_are_for_their_owner(page: Client, api: Api) -> None:
    theirs = Api().as_user(factories.make_user()).post("/addresses", ADDRESS).json()

    assert page.get(f"/account/addresses/{theirs['id']}/").status_code == 404
    assert page.post(f"/account/addresses/{theirs['id']}/", {"act": "remove"}).status_code == 404
    assert Client().get("/account/addresses/").status_code == 302
    assert Address.objects.count() == 1


def test_a_checkout_offers_the_book_and_fills_it(
    page: Client, user: User, variant: Any, shop: Company
) -> None:
    Api().as_user(user).post("/cart/items", {"sku": variant.sku, "quantity": 1})
    page.post("/checkout/")
    page.post("/checkout/part/address/", {**FORM, "email": "ada@example.com", "keep": "1"})
    page.post("/checkout/part/address/", {**FORM, "keep": "1"})
    entry = Address.objects.get()

    offered = page.get("/checkout/?edit=address").content.decode()
    assert f'value="{entry.pk}"' in offered
    Address.objects.filter(pk=entry.pk).update(city="Bath")
    page.post("/checkout/part/address/", {"address_id": str(entry.pk)})
    assert Checkout.objects.get().shipping_address["city"] == "Bath"
    foreign = Api().as_user(factories.make_user()).post("/addresses", ADDRESS).json()
    page.post("/checkout/part/address/", {"address_id": foreign["id"]})
    assert Checkout.objects.get().shipping_address["city"] == "Bath"


def test_who_has_an_address_book_only_has_to_pay(
    page: Client, user: User, variant: Any, shop: Company
) -> None:
    page.post("/account/addresses/", FORM)
    Api().as_user(user).post("/cart/items", {"sku": variant.sku, "quantity": 1})

    page.post("/checkout/")

    begun = Checkout.objects.get()
    assert begun.shipping_address["city"] == FORM["city"]
    assert begun.shipping_option == "standard"
    assert b'id="pay-form"' in page.get("/checkout/").content
    page.post("/checkout/part/address/", {**FORM, "city": "Camden"})
    page.post("/checkout/")  # beginning again keeps what was filled in
    assert Checkout.objects.get().shipping_address["city"] == "Camden"


def test_a_button_buys_it_again_once(
    page: Client, user: User, variant: Any, shop: Company, ready: Buyer
) -> None:
    body = {"items": [{"sku": variant.sku, "quantity": 2}], "email": "a@example.com"}
    placed = Api().as_user(user).post("/orders", {**body, "shippingAddress": ADDRESS}).json()
    number = placed["number"]
    assert f"/orders/{number}/reorder/" in page.get(f"/orders/{number}/").content.decode()

    for _ in range(2):
        answer = page.post(f"/orders/{number}/reorder/", {"key": "k" * 32})
        assert (answer.status_code, answer["Location"]) == (302, "/cart/")

    assert CartLine.objects.get(cart__user_id=user.pk).quantity == 1  # two are held by others
    assert "only 1 of 2" in page.get("/cart/").content.decode()
    theirs = Order.objects.get(pk=Api().as_user(factories.make_user()).post(
        "/orders", {"items": [{"sku": factories.make_priced_variant("3.00").sku, "quantity": 1}],
                    "email": "b@example.com", "shippingAddress": ADDRESS}).json()["id"])  # fmt: skip
    assert page.post(f"/orders/{theirs.number}/reorder/").status_code == 404
