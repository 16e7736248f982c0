"""A guest pays by the link of a mail, on a device that has never seen the shop: that order, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.core.signing import get_cookie_signer
from django.test import Client

from checkout.models import Checkout, Payment
from config.platform.actor import Actor
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem, Edit
from tests import factories
from tests.checkout.conftest import Buyer

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(ready: Buyer) -> Order:
    order, payment = ready.pay()
    ready.simulate(payment)
    return Order.objects.get(pk=order.pk)


@pytest.fixture
def added(paid: Order, buyer: Buyer, now: datetime) -> Order:
    """What was added to the order on another device, and waits for its payment."""
    tea = factories.make_priced_variant("4.00", available=5)
    wanted = Edit(add=[DirectItem(tea.sku, 1)])
    about: dict[str, Any] = {"actor": buyer.actor, "order_id": paid.id, "edit": wanted, "now": now}
    shown = orders.preview_edit(**about)
    found = orders.apply_edit(**about, quote_id=shown.quote_id, reason="x").addition
    assert found is not None
    return found


def link(order: Order) -> str:
    return f"?token={orders.access_token(order)}"


def place_of(order: Order) -> str:
    return f"/orders/{order.number}/pay/"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_an_addition_is_paid_from_the_link_of_its_order(paid: Order, added: Order) -> None:
    page = Client()
    whole = text(page.get(f"/orders/{paid.number}/{link(paid)}"))
    assert place_of(added) + link(added) in whole
    assert f"/orders/{added.number}/{link(added)}" in whole

    assert "Pay $4.00" in text(page.get(place_of(added) + link(added)))
    going = [page.post(place_of(added) + link(added), {"method": "test", "key": "a" * 32}) for _ in range(2)]  # fmt: skip
    payment = Payment.objects.get(order=added)
    at = f"/checkout/pay/{payment.id}/"
    assert [answer["Location"] for answer in going] == [at, at]
    for answer in going:  # of two clicks the second answer counts, and must bring the key as well
        key = answer.cookies["order_key"]
        assert (key["path"], key["httponly"], key["samesite"]) == (at, True, "Lax")
    assert "token" not in at
    shown = page.get(at)
    assert shown.status_code == 200

    declined = page.post(f"{at}simulate/", {"outcome": "decline"})
    assert declined["Location"] == at
    assert place_of(added) + link(added) in text(page.get(at))  # to try again
    again = page.post(place_of(added) + link(added), {"method": "test", "key": "b" * 32})
    assert page.get(at)["Location"] == again["Location"]  # the old page leads to the new one
    done = page.post(f"{again['Location']}simulate/", {"outcome": "succeed"})

    assert done["Location"] == f"/orders/{added.number}/{link(added)}"
    added.refresh_from_db()
    assert (added.status, added.payment_status) == ("confirmed", "captured")
    assert page.get(done["Location"]).status_code == 200


def test_by_number_and_address_it_is_paid_too(added: Order) -> None:
    page = Client()

    found = page.post("/orders/lookup/", {"number": added.number, "email": "ada@example.com"})

    assert found["Location"] == f"/orders/{added.number}/{link(added)}"
    assert place_of(added) + link(added) in text(page.get(found["Location"]))


def test_the_link_lets_a_guest_ask_again_and_give_up(added: Order) -> None:
    page = Client()
    at = page.post(place_of(added) + link(added), {"method": "test"})["Location"]

    assert page.post(f"{at}complete/")["Location"] == at  # not paid yet
    assert page.post(f"{at}cancel/")["Location"] == f"/orders/{added.number}/{link(added)}"
    assert page.get(place_of(added) + link(added))["Location"] == at  # the payment is still open


def test_an_order_of_a_checkout_is_paid_where_its_mail_is_read(ready: Buyer) -> None:
    order, first = ready.pay()
    page = Client()
    assert place_of(order) + link(order) in text(page.get(f"/orders/{order.number}/{link(order)}"))

    at = page.get(place_of(order) + link(order))["Location"]
    assert at == f"/checkout/pay/{first.id}/"  # it is open still
    assert page.post(f"{at}cancel/")["Location"] == f"/orders/{order.number}/{link(order)}"
    page.post(f"{at}simulate/", {"outcome": "decline"})
    shown = text(page.get(at))
    assert place_of(order) + link(order) in shown
    assert "go back to the cart" not in shown
    again = page.post(place_of(order) + link(order), {"method": "test", "key": "b" * 32})["Location"]  # fmt: skip
    done = page.post(f"{again}simulate/", {"outcome": "succeed"})

    assert done["Location"] == f"/orders/{order.number}/{link(order)}"
    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert Checkout.objects.get(order=order).status == "COMPLETED"
    assert Payment.objects.filter(order=order, status="CAPTURED").count() == 1


def test_who_placed_it_goes_on_in_the_checkout(ready: Buyer) -> None:
    order, _ = ready.pay()
    page = Client()
    signer = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT)
    page.cookies[GUEST_COOKIE] = signer.sign(ready.token)

    assert 'href="/checkout/"' in text(page.get(f"/orders/{order.number}/"))
    assert page.get(place_of(order))["Location"] == f"/orders/{order.number}/"


@pytest.mark.parametrize("wrong", ["none", "zeros", "short", "of another order", "withdrawn"])
def test_no_other_key_opens_it(paid: Order, added: Order, wrong: str) -> None:
    token = {"none": "", "zeros": "0" * 64, "short": orders.access_token(added)[:-1]}.get(wrong)
    if wrong == "of another order":
        token = orders.access_token(paid)
    elif wrong == "withdrawn":
        token = orders.access_token(added)
        Order.objects.filter(pk=added.pk).update(access_token_hash=None)
    place = f"{place_of(added)}?token={token}"
    page = Client()

    assert page.get(place).status_code == 404
    assert page.post(place, {"method": "test"}).status_code == 404
    assert not Payment.objects.filter(order=added).exists()


def test_the_key_of_one_payment_opens_no_other(paid: Order, added: Order) -> None:
    first = Payment.objects.get(order=paid)
    at = Client().post(place_of(added) + link(added), {"method": "test"})["Location"]

    for token in ("", "0" * 64, orders.access_token(paid)):
        page = Client()
        page.cookies["order_key"] = token
        assert page.get(at).status_code == 404
        for act in ("simulate", "complete", "cancel"):
            assert page.post(f"{at}{act}/", {"outcome": "succeed"}).status_code == 404
    page.cookies["order_key"] = orders.access_token(added)
    assert page.get(f"/checkout/pay/{first.id}/").status_code == 404
    assert page.get(at).status_code == 200  # control: the key that it was given does open it
    added.refresh_from_db()
    assert (added.status, added.payment_status) == ("draft", "pending")


def test_what_an_account_bought_is_paid_by_who_is_signed_in(added: Order, user: Any) -> None:
    at = Client().post(place_of(added) + link(added), {"method": "test"})["Location"]
    Order.objects.filter(pk=added.pk).update(user_id=user.id)
    page = Client()
    page.cookies["order_key"] = orders.access_token(added)

    assert page.get(f"/orders/{added.number}/{link(added)}").status_code == 200  # to be read
    assert place_of(added) not in text(page.get(f"/orders/{added.number}/{link(added)}"))
    assert page.get(place_of(added) + link(added)).status_code == 404
    assert page.get(at).status_code == 404


def test_a_link_changes_nothing_else(paid: Order, added: Order, staff: Actor) -> None:
    page = Client()
    shown = text(page.get(f"/orders/{paid.number}/{link(paid)}"))

    assert "Change this order" not in shown
    assert page.get(f"/orders/{paid.number}/change/{link(paid)}").status_code == 404
    assert page.post(f"/orders/{paid.number}/cancel/{link(paid)}").status_code == 404
    paid.refresh_from_db()
    assert paid.status == "confirmed"
