"""Everybody at once, on real connections; each race has a control that shows what the lock is for."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from cart.models import Cart
from checkout import services as checkout
from checkout.gateway import TestGateway
from checkout.models import Checkout, Payment, Refund, TestCharge, TestChargeRefund, WebhookInbox
from checkout.services import placing
from config.platform.errors import ApplicationError
from config.platform.models import OutboxEvent
from config.platform.signatures import sign
from inventory.models import StockMovement
from orders import services as orders
from orders.models import Order, RefundRequest
from tests import factories
from tests.bench import statements
from tests.checkout.conftest import Buyer
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(run):
    """Return what `run` returns, or the code of its refusal."""
    try:
        return run()
    except ApplicationError as refusal:
        return refusal.code


def test_twenty_checkouts_at_once_make_one_order_and_one_payment(ready):
    """L05; the same over HTTP is in `tests/concurrency/test_flash_sale.py`."""
    results = together(20, lambda index: attempt(lambda: ready.pay()[0].id))

    assert len(set(results)) == 1
    assert (Order.objects.count(), Payment.objects.count(), TestCharge.objects.count()) == (1, 1, 1)
    assert Cart.objects.count() == 2
    assert OutboxEvent.objects.filter(name="order.placed").count() == 1


def test_without_the_locks_twenty_checkouts_trip_over_each_other(ready):
    def unlocked(*, actor, checkout_id):
        return Checkout.objects.get(pk=checkout_id)

    def run(index):
        try:
            return ready.place().id
        except (ApplicationError, IntegrityError) as failure:
            return type(failure).__name__

    with patch.object(placing, "lock", unlocked):
        results = together(20, run)

    # The unique constraints still keep a second order out, but customers see errors instead of their order.
    assert len(set(results)) > 1


def test_a_cart_is_locked_before_its_checkout(ready):
    """Whoever waits for the checkout has the cart already; the other way round, two of them could wait for each other."""
    placed, looked = threading.Event(), threading.Event()
    seen = {}

    def hold(index):
        with transaction.atomic():
            Checkout.objects.filter(pk=ready.checkout_id).for_update().get()
            placed.set()
            assert looked.wait(120)

    def wait(index):
        assert placed.wait(120)
        with transaction.atomic():
            placing.lock(actor=ready.actor, checkout_id=ready.checkout_id)

    def look(index):
        assert placed.wait(120)
        deadline = time.monotonic() + 60
        while is_free(Cart.objects.all()) and time.monotonic() < deadline:
            time.sleep(0.01)
        seen["cart"] = is_free(Cart.objects.all())
        looked.set()

    together(3, lambda index: [hold, wait, look][index](index))

    assert seen == {"cart": False}


def is_free(rows):
    try:
        with transaction.atomic():
            return bool(list(rows.select_for_update(nowait=True).values_list("pk")))
    except OperationalError:
        return False


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("lines", [1, 30])
def test_placing_takes_fourteen_statements_whatever_the_number_of_lines(shop, now, lines):
    for buyer in (
        Buyer.arrive(shop, now),
        Buyer.arrive(shop, now),
    ):  # the first order of a day writes one more
        for _ in range(lines):
            buyer.add(factories.make_priced_variant(available=5))
        buyer.begin().fill()
        with CaptureQueriesContext(connection) as captured:
            buyer.place()

    texts = [query["sql"] or "prepared" for query in captured.captured_queries]
    parts = [part for text in texts for part in statements.split(text)]
    counted = [part for part in parts if not statements.is_control(part)]
    after = [part for part in counted if 'FROM "orders"' in part]  # who is told of it, live
    assert len(counted) - len(after) == 14


def test_completing_from_all_sides_confirms_once(ready):
    _, payment = ready.pay()
    ready.simulate(payment, delivery="normal")

    def side(index):
        if index % 3 == 0:
            return attempt(lambda: ready.complete().status)
        if index % 3 == 1:
            return attempt(lambda: checkout.drain_inbox(now=ready.now))
        return attempt(lambda: checkout.settle(payment_id=payment.id, now=ready.now).status)

    results = together(18, side)

    assert set(results[0::3]) == {"confirmed"}
    assert set(results[2::3]) == {"CAPTURED"}
    assert sum(result for result in results[1::3] if isinstance(result, int)) == 1
    assert StockMovement.objects.filter(type="SALE").count() == 1
    for name in ("payment.captured", "order.confirmed"):
        assert OutboxEvent.objects.filter(name=name).count() == 1


def test_the_same_webhook_eight_times_at_once_is_one_row(ready):
    _, payment = ready.pay()
    gateway = TestGateway()
    body = gateway.event(provider_id=payment.provider_id, event_type="payment_intent.succeeded")
    signature = sign(secret=gateway.secret, body=body, now=ready.now)

    ids = together(
        8,
        lambda index: (
            checkout.receive_webhook(
                provider="test", body=body, signature=signature, now=ready.now
            ).pk
        ),
    )

    assert len(set(ids)) == 1
    assert WebhookInbox.objects.count() == 1


def test_cancelling_and_paying_at_once_ends_as_one_of_the_two(shop, now):
    for round_ in range(6):
        variant = factories.make_priced_variant(available=5)
        buyer = Buyer.arrive(shop, now).add(variant, 2).begin().fill()
        order, payment = buyer.pay()
        buyer.simulate(payment, delivery="lost")

        def side(index, buyer=buyer, order=order, payment=payment):
            if index % 2:
                return attempt(
                    lambda: orders.cancel(actor=buyer.actor, order_id=order.id, now=now).status
                )
            return attempt(lambda: checkout.settle(payment_id=payment.id, now=now).status)

        together(4, side)
        checkout.execute_refunds(now=now)

        order.refresh_from_db()
        payment.refresh_from_db()
        charge = TestCharge.objects.get(pk=payment.provider_id)
        assert order.status == "cancelled"
        assert charge.captured_amount == charge.refunded_amount == payment.refunded_amount, round_


def test_two_workers_carry_out_each_refund_once(ready, staff):
    order, payment = ready.pay()
    ready.simulate(payment)
    for amount in ("1.00", "2.00", "3.00"):
        orders.request_refund(
            actor=staff, order_id=order.id, amount=Decimal(amount), reason="x", now=ready.now
        )

    done = together(4, lambda index: checkout.execute_refunds(now=ready.now))

    assert sum(done) == 3  # each counted where it was carried out
    payment.refresh_from_db()
    assert payment.refunded_amount == Decimal("6.00")
    assert Refund.objects.filter(status="SUCCEEDED").count() == 3
    assert TestChargeRefund.objects.count() == 3
    assert set(RefundRequest.objects.values_list("status", flat=True)) == {"done"}


def test_the_last_unit_goes_to_one_of_many_buyers(shop, now):
    variant = factories.make_priced_variant(available=3)
    buyers = [Buyer.arrive(shop, now) for _ in range(12)]

    def buy(index):
        buyer = buyers[index]

        def run():
            buyer.add(variant).begin().fill()
            _, payment = buyer.pay()
            buyer.simulate(payment, delivery="lost")
            return buyer.complete().status

        return attempt(run)

    results = together(12, buy)

    assert results.count("confirmed") == 3
    assert set(results) <= {"confirmed", "ITEM_OUT_OF_STOCK", "INVENTORY_HOLD_FAILED"}


def test_no_provider_is_called_inside_a_transaction(ready, monkeypatch):
    called = []

    def watched(name):
        original = getattr(TestGateway, name)

        def call(self, **arguments):
            assert not transaction.get_connection().in_atomic_block, name
            called.append(name)
            return original(self, **arguments)

        return call

    for name in ("create", "retrieve", "capture", "cancel", "refund"):
        monkeypatch.setattr(TestGateway, name, watched(name))

    order, payment = ready.pay()
    ready.simulate(payment, "decline")
    _, second = ready.pay()
    ready.simulate(second)
    ready.complete()
    orders.cancel(actor=ready.actor, order_id=order.id, now=ready.now)
    checkout.execute_refunds(now=ready.now)

    assert {"create", "retrieve", "refund"} <= set(called)
