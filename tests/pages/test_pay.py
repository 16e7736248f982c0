"""The page that takes cards: the provider's own fields, only there and only with keys; an address proves nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from checkout.models import Payment
from config.platform.actor import Actor
from orders import services as orders
from orders.models import Order
from tests.pages.conftest import Visitor, text_of
from tests.pages.test_checkout import fill_in, hidden
from tests.stripe import StripeServer


@pytest.fixture
def paying(visitor: Visitor, stripe: StripeServer, settings: Any) -> str:
    """Return the address of the page of a card payment that waits."""
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_of_the_tests"
    page = fill_in(visitor)
    assert 'value="card"' in page.content.decode()
    form = {"method": "card", "quote": hidden(page, "quote"), "key": "k" * 32}
    visitor.post("/checkout/pay/", form)
    return f"/checkout/pay/{Payment.objects.get().id}/"


def test_the_page_has_the_provider_s_fields_and_nothing_to_type_a_card_into(
    visitor: Visitor, paying: str
) -> None:
    payment = Payment.objects.get()
    page = visitor.get(paying)
    content = page.content.decode()

    assert '<script src="https://js.stripe.com/v3/" defer></script>' in content
    assert f'data-secret="{payment.client_secret}"' in content
    assert 'data-key="pk_test_of_the_tests"' in content
    assert f'data-back="http://testserver{paying}"' in content
    assert "sk_test" not in content
    form = re.search(r'<form class="form" id="card-form">.*?</form>', content, re.DOTALL)
    assert form is not None
    assert "<input" not in form[0]
    assert "You are the bank now" not in text_of(page)


def test_only_this_page_may_load_anything_of_stripe(visitor: Visitor, paying: str) -> None:
    def policy(address: str) -> dict[str, set[str]]:
        parts = [
            part.split() for part in visitor.get(address)["Content-Security-Policy"].split(";")
        ]
        return {name: set(sources) for name, *sources in parts}

    own = policy(paying)
    assert own["script-src"] == {"'self'", "https://js.stripe.com", "https://*.js.stripe.com"}
    assert own["connect-src"] == {"'self'", "https://api.stripe.com"}
    assert own["frame-src"] == {
        "https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com",
    }  # fmt: skip
    for address in ("/cart/", "/account/login/"):
        other = policy(address)
        assert (other["script-src"], other["frame-src"]) == ({"'self'"}, {"'none'"}), address


def test_without_keys_for_the_page_it_waits_for_the_bank(
    visitor: Visitor, paying: str, settings: Any
) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = ""

    page = visitor.get(paying)

    assert "We are waiting for your bank." in text_of(page)
    assert "stripe.com" not in page.content.decode()
    assert "stripe" not in page["Content-Security-Policy"]


@pytest.mark.parametrize("claim", ["succeeded", "failed", "nonsense"])
def test_an_address_that_claims_success_pays_nothing(
    visitor: Visitor, paying: str, claim: str
) -> None:
    page = visitor.get(
        f"{paying}?payment_intent=pi_mine&payment_intent_client_secret=x&redirect_status={claim}"
    )

    assert page["Location"] == paying
    assert Order.objects.get().status == "draft"
    assert Payment.objects.get().status == "PENDING"


def test_who_comes_back_from_the_bank_has_paid_if_the_provider_says_so(
    visitor: Visitor, paying: str, stripe: StripeServer
) -> None:
    payment = Payment.objects.get()
    stripe.books.confirm(str(payment.provider_id), "pm_card_visa")

    page = visitor.get(f"{paying}?payment_intent={payment.provider_id}&redirect_status=failed")

    order = Order.objects.get()
    assert page["Location"] == f"/orders/{order.number}/"
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert visitor.get(f"{paying}?payment_intent=again")["Location"] == page["Location"]


def test_an_order_tells_the_days_of_its_arrival_once_it_has_left(
    visitor: Visitor, paying: str, stripe: StripeServer
) -> None:
    payment = Payment.objects.get()
    stripe.books.confirm(str(payment.provider_id), "pm_card_visa")
    visitor.get(f"{paying}?payment_intent={payment.provider_id}")
    order = Order.objects.get()

    before = text_of(visitor.get(f"/orders/{order.number}/"))
    system = Actor.system(order.company_id, source="test")
    orders.ship(actor=system, order_id=order.id, now=timezone.now())
    after = text_of(visitor.get(f"/orders/{order.number}/"))

    assert "working days after it leaves" in before
    assert "Expected" not in before
    assert re.search(r"Expected \w{3}, \w{3} \d+\W", after)


def test_a_stranger_cannot_come_back_in_somebody_s_place(
    visitor: Visitor, paying: str, stripe: StripeServer
) -> None:
    stripe.books.confirm(str(Payment.objects.get().provider_id), "pm_card_visa")

    assert Visitor().get(f"{paying}?payment_intent=x").status_code == 404
    assert Order.objects.get().status == "draft"


def test_the_script_reads_only_what_the_page_gives_it() -> None:
    script = (Path(__file__).parents[2] / "static/js/pay.js").read_text(encoding="utf-8")
    assert "innerHTML" not in script
    assert "fetch(" not in script
