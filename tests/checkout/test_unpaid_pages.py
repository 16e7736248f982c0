"""An order that waits for its payment offers to be paid, or changed; that is done once."""

from __future__ import annotations

import pytest
from django.core.signing import get_cookie_signer
from django.test import Client

from cart.models import CartLine
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from orders.models import Order
from tests.checkout.conftest import Buyer

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(buyer: Buyer) -> Client:
    client = Client()
    signer = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT)
    client.cookies[GUEST_COOKIE] = signer.sign(buyer.token)
    return client


@pytest.fixture
def draft(buyer: Buyer) -> Order:
    return buyer.begin().fill().place()


def test_it_offers_both(draft: Order, page: Client) -> None:
    whole = page.get(f"/orders/{draft.number}/").content.decode()

    assert 'href="/checkout/"' in whole
    assert f"/orders/{draft.number}/edit-in-cart/" in whole


def test_it_is_changed_once_however_often_it_is_pressed(draft: Order, page: Client) -> None:
    place = f"/orders/{draft.number}/edit-in-cart/"
    for _ in range(2):
        answer = page.post(place, {"key": "b" * 32})
        assert answer["Location"] == "/cart/"

    assert Order.objects.get().status == "cancelled"
    assert [line.quantity for line in CartLine.objects.filter(cart__status="ACTIVE")] == [2]
    assert "back in your cart" in page.get("/cart/").content.decode()
    assert page.post(place, {"key": "c" * 32})["Location"] == f"/orders/{draft.number}/"
    assert CartLine.objects.filter(cart__status="ACTIVE").count() == 1


def test_strangers_find_nothing(draft: Order) -> None:
    assert Client().post(f"/orders/{draft.number}/edit-in-cart/").status_code == 404
    assert Order.objects.get().status == "draft"
