"""What follows from what lower apps announce, each once, however often it is told."""

from __future__ import annotations

import pytest

from checkout import handlers, tasks
from checkout.models import Checkout, Payment, Refund
from config.platform import outbox
from config.platform.models import JobRun, OutboxEvent
from orders import services as orders
from orders.models import Order

pytestmark = pytest.mark.django_db


def test_the_checkout_of_a_cancelled_order_is_over(ready, deliver):
    order, payment = ready.pay()
    orders.cancel(actor=ready.actor, order_id=order.id, reason="changed my mind", now=ready.now)
    assert Checkout.objects.get().status == "PAYMENT_PENDING"

    deliver()
    assert Checkout.objects.get().status == "CANCELLED"
    event = OutboxEvent.objects.get(name="order.cancelled")
    handlers.close_checkout(*outbox.restore(event), now=ready.now)
    assert Checkout.objects.get().status == "CANCELLED"

    tasks.reconcile()
    payment.refresh_from_db()
    assert payment.status == "CANCELLED"


def test_kicks_only_wake(ready, django_capture_on_commit_callbacks, monkeypatch):
    order, payment = ready.pay()
    ready.simulate(payment)
    woken = []
    monkeypatch.setattr(outbox, "kick", woken.append)

    with django_capture_on_commit_callbacks(execute=True):
        orders.cancel(actor=ready.actor, order_id=order.id, now=ready.now)

    assert {"checkout.tasks.execute_refunds", "checkout.tasks.reconcile"} <= set(woken)
    assert Refund.objects.count() == 0


def test_each_job_is_recorded(ready):
    order, payment = ready.pay()
    ready.simulate(payment, delivery="normal")

    for task in (
        tasks.sweep_inbox,
        tasks.execute_refunds,
        tasks.reconcile,
        tasks.expire_checkouts,
        tasks.cancel_drafts,
        tasks.prune_inbox,
    ):
        task()

    assert dict(JobRun.objects.values_list("name", "state")) == {
        "checkout.sweep_inbox": "done",
        "checkout.execute_refunds": "done",
        "checkout.reconcile": "done",
        "checkout.expire_checkouts": "done",
        "checkout.cancel_drafts": "done",
        "checkout.prune_inbox": "done",
    }
    assert JobRun.objects.get(name="checkout.sweep_inbox").count == 1
    assert Order.objects.get(pk=order.pk).status == "confirmed"


def test_an_arriving_webhook_is_worked_off_at_once(ready):
    _, payment = ready.pay()
    ready.simulate(payment, delivery="normal")

    tasks.drain_inbox()

    assert Payment.objects.get().status == "CAPTURED"
