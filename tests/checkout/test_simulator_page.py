"""The simulator of the demonstration: every button, at the test provider and at the stand-in for Stripe."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from checkout import services as checkout
from checkout.models import Payment, WebhookInbox
from orders.models import Order
from tests.checkout.conftest import Buyer
from tests.conftest import SECRET
from tests.factories import make_company
from tests.stripe import StripeServer
from tests.stripe.webhooks import Courier, sign

pytestmark = pytest.mark.django_db


class Postman(Courier):
    """Takes the stand-in's messages as its courier would, and brings them when the test says so."""

    def __init__(self) -> None:
        super().__init__("/api/v1/webhooks/stripe", SECRET)
        self.bag: list[Any] = []

    def take(self, event: Any) -> None:
        self.bag += [event] * {"lost": 0, "duplicate": 2}.get(self.manner, 1)

    def deliver(self) -> None:
        bag, self.bag = self.bag, []
        for event in bag:
            body = json.dumps(event)
            signature = sign(self.secret, body.encode())
            answer = Client().post(
                self.url, body, content_type="application/json",
                headers={"Stripe-Signature": signature},
            )  # fmt: skip
            assert answer.status_code == 200


def page(payment: Payment, part: str = "") -> str:
    return f"/dev/payments/{payment.pk}/{part}"


def press(payment: Payment, button: str, now: Any, postman: Postman | None = None) -> str:
    client = Client()  # keeps what is said to it
    answer = client.post(page(payment, "press/"), {"button": button})
    assert answer.status_code == 302, button
    if postman is not None:
        postman.deliver()
    checkout.drain_inbox(now=now + timedelta(minutes=1))
    checkout.execute_refunds(now=now)
    return str(client.get(answer["Location"]).content.decode())


@pytest.mark.parametrize("method", ["test", "card"])
@pytest.mark.parametrize(
    ("button", "payment_status", "order_status"),
    [
        ("succeed", "CAPTURED", "confirmed"),
        ("decline", "FAILED", "draft"),
        ("action", "PENDING", "draft"),
        ("late", "CAPTURED", "confirmed"),
        ("duplicate", "CAPTURED", "confirmed"),
        ("before", "CAPTURED", "confirmed"),
        ("lost", "PENDING", "draft"),
        ("dispute", "CAPTURED", "confirmed"),
    ],
)
def test_each_button_is_pressed_and_the_page_tells_what_the_shop_did(
    ready: Buyer,
    stripe: StripeServer,
    method: str,
    button: str,
    payment_status: str,
    order_status: str,
) -> None:
    order, payment = ready.pay(method)
    postman = Postman()
    stripe.courier, stripe.books.tell = postman, postman.take

    shown = press(payment, button, ready.now, postman)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (payment.status, order.status) == (payment_status, order_status)
    assert order.is_disputed == (button == "dispute")
    assert "rules of the books hold" in shown
    assert f"{payment.get_status_display()}</span>" in shown
    assert WebhookInbox.objects.exists() == (button != "lost")

    assert postman.manner == "normal"
    press(
        payment, "ask", ready.now, postman
    )  # the shop finds out what was lost, and repeats nothing
    order.refresh_from_db()
    assert order.status == ("confirmed" if button == "lost" else order_status)


def test_the_list_and_the_story_are_pages(ready: Buyer) -> None:
    assert "No payment yet" in Client().get("/dev/payments/").content.decode()
    order, payment = ready.pay()

    assert order.number in Client().get("/dev/payments/").content.decode()
    story = Client().get(page(payment, "story/")).content.decode()
    assert 'hx-trigger="every 2s"' in story
    assert "<html" not in story


def test_a_turn_that_is_over_is_refused_in_words(ready: Buyer) -> None:
    _, payment = ready.pay()
    press(payment, "succeed", ready.now)

    shown = press(payment, "decline", ready.now)

    assert "This payment is succeeded at its provider." in shown
    assert Order.objects.get().status == "confirmed"
    assert Client().post(page(payment, "press/"), {"button": "burn"}).status_code == 404
    assert Client().get(page(payment, "press/")).status_code == 405


@pytest.mark.parametrize("switch", ["DEV_MAILBOX", "PAYMENT_TEST_PROVIDER"])
def test_outside_the_demonstration_there_is_no_such_page(
    ready: Buyer,
    settings: Any,
    switch: str,
) -> None:
    _, payment = ready.pay()
    setattr(settings, switch, False)

    for address in ("/dev/payments/", page(payment), page(payment, "story/")):
        assert Client().get(address).status_code == 404
    assert Client().post(page(payment, "press/"), {"button": "succeed"}).status_code == 404
    payment.refresh_from_db()
    assert payment.status == "PENDING"


def test_at_stripe_itself_and_in_another_shop_nothing_is_pressed(
    ready: Buyer,
    stripe: StripeServer,
    settings: Any,
) -> None:
    _, payment = ready.pay("card")
    settings.STRIPE_API_HOST = "https://api.stripe.com"
    assert Client().get(page(payment)).status_code == 404
    assert Client().post(page(payment, "press/"), {"button": "succeed"}).status_code == 404
    settings.STRIPE_API_HOST = stripe.url
    assert Client().get(page(payment)).status_code == 200

    Order.objects.update(company=make_company())
    assert Client().post(page(payment, "press/"), {"button": "succeed"}).status_code == 404
    assert not stripe.books.movements
    Order.objects.update(company=ready.actor.company_id)
