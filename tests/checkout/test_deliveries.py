"""Messages of Stripe's that come many times, or twenty minutes after the hold's end, and a worker that dies in between."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.models import OutboxEvent
from inventory import services as inventory
from inventory.models import Company, Reservation, StockLevel, StockMovement
from notifications.models import Notification
from orders import services as orders
from orders.models import Order
from tests import factories
from tests.checkout.conftest import Buyer, deliver, events, intent_of
from tests.checkout.crashes import LIVENESS, SAFETY, recover, wrong
from tests.conftest import SECRET
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem
from tests.stripe.webhooks import Courier
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

Way = Callable[[Courier, Any], list[int]]


@pytest.fixture
def courier(stripe: StripeServer, live_server: Any) -> Courier:
    return Courier(f"{live_server.url}/api/v1/webhooks/stripe", SECRET)


# --- F15: the same message many times -------------------------------------------------------------


def once(courier: Courier, event: Any) -> list[int]:
    return [courier.send(event)]


def ten_in_a_row(courier: Courier, event: Any) -> list[int]:
    return [courier.send(event) for _ in range(10)]


def eight_at_once(courier: Courier, event: Any) -> list[int]:
    return together(8, lambda _: courier.send(event))


def drain(workers: int) -> None:
    late = timezone.now() + timedelta(minutes=1)
    together(workers, lambda _: checkout.drain_inbox(now=late))


def effects(order: Order, payment: Payment, variant: Any) -> dict[str, Any]:
    """Return all that messages can do to an order."""
    order.refresh_from_db()
    payment.refresh_from_db()
    return {
        "order": (order.status, order.payment_status, order.refunded_total, order.needs_attention),
        "payment": (
            payment.status,
            payment.captured_amount,
            payment.refunded_amount,
            payment.is_disputed,
        ),
        "changes": list(
            PaymentStatusChange.objects.filter(payment=payment)
            .order_by("pk")
            .values_list("to_status", flat=True)
        ),
        "refunds": list(Refund.objects.filter(payment=payment).values_list("amount", "status")),
        "events": sorted(
            OutboxEvent.objects.filter(aggregate_id=order.pk).values_list("name", flat=True)
        ),
        "sold": StockMovement.objects.filter(variant=variant, type="SALE").count(),
        "left": StockLevel.objects.get(variant=variant).total,
    }


@pytest.mark.slow
def test_each_message_ten_times_in_a_row_and_eight_at_once_does_what_it_does_once(
    shop: Company, now: datetime, stripe: StripeServer, courier: Courier
) -> None:
    def live_through(way: Way, workers: int) -> tuple[dict[str, Any], int]:
        """Declined, paid, suspected and disputed; each message comes by `way`."""
        variant = factories.make_priced_variant("10.00", available=5)
        order, payment = Buyer.arrive(shop, now).add(variant, 2).begin().fill().pay("card")
        intent = intent_of(payment)
        seen: set[str] = {each["id"] for each in events(stripe)}
        told = 0

        def decline() -> None:
            with pytest.raises(StripeProblem):
                stripe.books.confirm(intent, "pm_card_chargeDeclined")

        for happens in (
            decline,
            lambda: stripe.books.confirm(intent, "pm_card_visa"),
            lambda: stripe.books.warn(intent),
            lambda: stripe.books.dispute(intent),
        ):
            happens()
            for event in [each for each in events(stripe) if each["id"] not in seen]:
                seen.add(event["id"])
                told += 1
                assert set(way(courier, event)) == {200}
                drain(workers)
                row = WebhookInbox.objects.get(event_id=event["id"])
                assert row.processed_at is not None
        return effects(order, payment, variant), told

    control, told = live_through(once, 1)

    assert told >= 5
    assert control["payment"] == ("CAPTURED", Decimal("24.90"), Decimal(0), True)
    assert control["sold"] == 1
    assert control["events"].count("order.confirmed") == 1
    assert live_through(ten_in_a_row, 1) == (control, told)
    assert live_through(eight_at_once, 4) == (control, told)
    assert wrong(SAFETY) == []
    connections.close_all()


# --- F17: success twenty minutes after the hold's end -----------------------------------------------


@pytest.mark.parametrize("is_left", [True, False], ids=["left", "gone"])
def test_success_twenty_minutes_after_the_hold_is_an_order_or_one_refund(
    ready: Buyer, variant: Any, shop: Company, stripe: StripeServer, courier: Courier, is_left: bool
) -> None:
    order, payment = ready.pay("card")
    ends = max(Reservation.objects.filter(order_id=order.pk).values_list("expires_at", flat=True))
    inventory.release_expired(now=ends + timedelta(seconds=1))
    late = ends + timedelta(minutes=20)
    if not is_left:
        Buyer.arrive(shop, late, email="rival@example.com").add(variant, 5)
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    for event in events(stripe, "payment_intent.succeeded", "charge.succeeded"):
        assert set(eight_at_once(courier, event)) == {200}
    together(4, lambda _: checkout.drain_inbox(now=late))
    refunds = sum(together(4, lambda _: checkout.execute_refunds(now=late)))
    recover(late + timedelta(minutes=3))

    order.refresh_from_db()
    moved = [line["amount"] for line in stripe.books.movements]
    mails = list(
        Notification.objects.filter(type=Notification.Type.EMAIL)
        .order_by("channel")
        .values_list("channel", flat=True)
    )
    if is_left:
        assert (order.status, refunds, moved) == ("confirmed", 0, [2490])
        assert StockLevel.objects.get(variant=variant).total == 3
        assert mails == ["order-confirmation", "payment-confirmation"]
    else:
        assert (order.status, order.payment_status) == ("cancelled", "refunded")
        assert (refunds, moved) == (1, [2490, -2490])
        assert Refund.objects.count() == 1
        assert StockLevel.objects.get(variant=variant).total == 5
        assert mails == ["payment-returned"]
    assert wrong(SAFETY) == wrong(LIVENESS) == []
    connections.close_all()


# --- F04: the worker dies after the charge ----------------------------------------------------------


def test_a_worker_killed_between_charge_and_order_leaves_it_to_the_reconciliation(
    ready: Buyer, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    [paid] = events(stripe, "payment_intent.succeeded")
    assert deliver(paid, now=ready.now).status_code == 200
    connections.close_all()
    worker = os.fork()
    if worker == 0:
        # Stripe has said that the money is there; what would confirm the order kills the worker instead.
        monkeypatch.setattr(
            orders,
            "confirm_locked",
            lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL),
        )
        checkout.drain_inbox(now=ready.now + timedelta(seconds=1))
        os._exit(0)
    _, status = os.waitpid(worker, 0)
    assert os.WIFSIGNALED(status), "it lived"
    order.refresh_from_db()
    assert (order.status, Payment.objects.get().status) == ("draft", "PENDING")
    assert wrong(SAFETY) == []

    assert checkout.reconcile(now=ready.now + timedelta(minutes=1)) == 0  # too early to ask
    assert checkout.reconcile(now=ready.now + timedelta(minutes=3)) == 1

    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert [line["amount"] for line in stripe.books.movements] == [2490]
    recover(
        ready.now + timedelta(minutes=5)
    )  # the message, which is still there, changes nothing any more
    assert OutboxEvent.objects.filter(name="order.confirmed").count() == 1
    assert wrong(SAFETY) == wrong(LIVENESS) == []
