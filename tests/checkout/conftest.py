"""A shop with something to buy, and somebody who buys it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from cart import services as carts
from checkout import services as checkout
from checkout.models import Payment, TestCharge
from checkout.selectors import CheckoutView
from config.platform import invariants
from config.platform.actor import Actor, ActorKind, hash_token
from inventory.models import Company, Variant
from orders.models import Order
from tests import factories
from tests.conftest import SECRET, Api
from tests.stripe import StripeServer
from tests.stripe.webhooks import sign

ADDRESS = {
    "name": "Ada Marsh",
    "line1": "1 Harbour Street",
    "line2": "",
    "city": "Portland",
    "state": "ME",
    "postalCode": "04101",
    "country": "US",
    "phone": "",
}


@dataclass
class Buyer:
    """A guest with a cart, and the steps to an order by services. `now` is the time of every step."""

    actor: Actor
    token: str
    now: datetime
    email: str = "ada@example.com"
    view: CheckoutView | None = field(default=None)

    @classmethod
    def arrive(cls, company: Company, now: datetime, email: str = "ada@example.com") -> Buyer:
        anonymous = Actor(kind=ActorKind.ANONYMOUS, company_id=company.id, address="192.0.2.7")
        token = carts.create(actor=anonymous, currency="USD", now=now).token
        assert token is not None
        guest = replace(anonymous, kind=ActorKind.GUEST, session_hash=hash_token(token))
        return cls(guest, token, now, email)

    @property
    def api(self) -> Api:
        return Api().as_guest(self.token)

    @property
    def checkout_id(self) -> UUID:
        assert self.view is not None
        return self.view.checkout.id

    @property
    def quote_id(self) -> str:
        assert self.view is not None
        return self.view.quote.id

    def add(self, variant: Variant, quantity: int = 1) -> Buyer:
        carts.add_line(actor=self.actor, variant_id=variant.id, quantity=quantity, now=self.now)
        return self

    def begin(self) -> Buyer:
        self.view = checkout.initialize(actor=self.actor, email=self.email, now=self.now)
        return self

    def fill(self, **changes: Any) -> Buyer:
        self.view = checkout.update(
            actor=self.actor,
            checkout_id=self.checkout_id,
            changes={"shipping_address": ADDRESS, "shipping_option": "standard", **changes},
            now=self.now,
        )
        return self

    def place(self) -> Order:
        return checkout.place(
            actor=self.actor, checkout_id=self.checkout_id, quote_id=self.quote_id, now=self.now
        )

    def pay(self, method: str = "test") -> tuple[Order, Payment]:
        order, payment = checkout.pay(
            actor=self.actor,
            checkout_id=self.checkout_id,
            method=method,
            quote_id=self.quote_id,
            now=self.now,
        )
        assert payment is not None
        return order, payment

    def simulate(
        self, payment: Payment, outcome: str = "succeed", delivery: str = "before_redirect"
    ) -> Payment:
        return checkout.simulate(
            actor=self.actor,
            payment_id=payment.id,
            outcome=checkout.Outcome(outcome),
            delivery=checkout.Delivery(delivery),
            now=self.now,
        )

    def complete(self) -> Order:
        return checkout.complete(actor=self.actor, checkout_id=self.checkout_id, now=self.now)


@pytest.fixture
def broken_on_purpose() -> None:
    """Ask for this in a test that leaves the books wrong because it tries a wrong design."""


@pytest.fixture
def shop(company: Company) -> Company:
    """Return a company that ships within the United States for 4.90."""
    factories.make_shipping_rule("4.90", countries=["US"])
    return company


@pytest.fixture
def variant(shop: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=5)


@pytest.fixture
def buyer(shop: Company, variant: Variant, now: datetime) -> Buyer:
    """Return a guest with two units in the cart."""
    return Buyer.arrive(shop, now).add(variant, 2)


@pytest.fixture
def ready(buyer: Buyer) -> Buyer:
    """Return a guest whose checkout lacks nothing."""
    return buyer.begin().fill()


def charge_of(payment: Payment) -> TestCharge:
    return TestCharge.objects.get(pk=payment.provider_id)


def events(stripe: StripeServer, *kinds: str) -> list[dict[str, Any]]:
    """Return what Stripe has to tell, oldest first."""
    told = list(reversed(stripe.books.all("event")))
    return [event for event in told if not kinds or event["type"] in kinds]


def deliver(event: dict[str, Any], *, now: datetime, secret: str = SECRET) -> Any:
    body = json.dumps(event).encode()
    signature = sign(secret, body, at=int(now.timestamp()))
    return Api().request("POST", "/webhooks/stripe", body, **{"Stripe-Signature": signature})


def intent_of(payment: Payment) -> str:
    """Return the id of a payment's intent, as it is stored."""
    payment.refresh_from_db()
    assert payment.provider_id is not None
    return payment.provider_id


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test here, everything that must always be true still is."""
    marked = request.node.get_closest_marker("django_db") is not None
    marked = marked and "broken_on_purpose" not in request.fixturenames
    if marked:
        request.getfixturevalue("db")
    yield
    if marked:
        checks = invariants.select(invariants.all_checks(), klass="S")
        broken = [result.to_json() for result in invariants.run(checks) if not result.holds]
        assert broken == []
