"""L06 and F21 over HTTP: fifty requests by one key are one, and a webhook that comes while the broker is down is not lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment, WebhookInbox
from config.platform import tokens
from inventory.models import Company, StockLevel, StockMovement, Variant
from orders.models import Order
from tests import factories
from tests.bench import serve
from tests.checkout.conftest import Buyer, intent_of
from tests.concurrency.storm import Call, Reply, ask, at_once
from tests.concurrency.test_flash_sale import (
    add,
    environment_of,
    new_guests,
    ready_to_pay,
    served,
    variant,
    violations,
)
from tests.conftest import SECRET
from tests.stripe import StripeServer
from tests.stripe.webhooks import Courier

__all__ = ["variant"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_fifty_payments_by_one_key_are_one_and_their_answer_is_kept(
    variant: Variant, tmp_path: Path
) -> None:
    async def storm(port: int) -> tuple[list[Reply], Reply, Reply]:
        [token] = await new_guests(port, 1)
        assert (await ask(port, add(token, 3))).status == 201
        path, quote = await ready_to_pay(port, token)
        body = {"method": "test", "quoteId": quote}
        call = Call("POST", f"{path}/payment", token, body, key="one")
        replies = await at_once(port, [call] * 50)
        other = Call("POST", f"{path}/payment", token, {**body, "quoteId": "f" * 32}, key="one")
        return replies, await ask(port, call), await ask(port, other)

    with served(tmp_path) as port:
        replies, replayed, other = asyncio.run(storm(port))

    answers = Counter((reply.status, reply.code) for reply in replies)
    assert set(answers) <= {(200, ""), (409, "IDEMPOTENCY_IN_PROGRESS")}
    assert answers[200, ""] >= 1
    assert {str(reply.body) for reply in replies if reply.status == 200} == {str(replayed.body)}
    assert replayed.status == 200
    assert (other.status, other.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert (Order.objects.count(), Payment.objects.count()) == (1, 1)
    assert violations() == {}


def test_one_key_books_once_what_fifty_keys_book_fifty_times(
    company: Company, tmp_path: Path
) -> None:
    """The key alone makes the difference: the same requests, each with a key of its own, all count."""
    level = StockLevel.objects.get(variant=factories.make_variant(available=10))
    staff = tokens.issue(user=factories.make_staff(), now=timezone.now()).access

    def calls(*keys: str) -> list[Call]:
        path = f"/inventory/{level.id}/adjust"
        return [Call("POST", path, body={"quantity": 1}, bearer=staff, key=key) for key in keys]

    with served(tmp_path) as port:
        same = asyncio.run(at_once(port, calls(*["one"] * 50)))
        booked = StockMovement.objects.filter(type="ADJUSTMENT").count()
        asyncio.run(at_once(port, calls(*(f"key-{number}" for number in range(50)))))

    assert {(reply.status, reply.code) for reply in same} <= {
        (200, ""),
        (409, "IDEMPOTENCY_IN_PROGRESS"),
    }
    assert booked == 1
    assert StockMovement.objects.filter(type="ADJUSTMENT").count() == 51


def test_a_webhook_is_taken_while_the_broker_is_down_and_has_its_effect_once(
    company: Company, stripe: StripeServer, tmp_path: Path, now: Any
) -> None:
    factories.make_shipping_rule("4.90", countries=["US"])
    goods = factories.make_priced_variant("10.00", available=5)
    buyer = Buyer.arrive(company, now).add(goods, 2).begin().fill()
    order, payment = buyer.pay("card")
    environment = {**environment_of("tests.concurrency.no_broker"), "STRIPE_API_HOST": stripe.url}
    with serve.shop(environment, log=tmp_path / "web.log") as (port, _):
        courier = Courier(f"http://127.0.0.1:{port}/api/v1/webhooks/stripe", SECRET)
        stripe.books.tell = courier.take
        stripe.books.confirm(intent_of(payment), "pm_card_visa")
        courier.wait()
        courier.manner = "duplicate"  # Stripe is in doubt and repeats
        for event in stripe.books.all("event"):
            courier.take(event)
        courier.wait()

    assert courier.failed == []
    order.refresh_from_db()
    assert order.status == "draft"  # nobody was woken
    assert WebhookInbox.objects.filter(processed_at=None).count() == WebhookInbox.objects.count()
    for _ in range(2):
        checkout.drain_inbox(now=timezone.now() + timedelta(seconds=1))
    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert len(stripe.books.movements) == 1
    assert StockMovement.objects.filter(type="SALE").count() == 1
