"""What a provider says late: refunds that came back, warnings, disputes, intents it closed. Each has its effect, once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from checkout import services as checkout
from checkout.models import Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.errors import DependencyUnavailable
from inventory.models import Reservation
from orders import services as orders
from orders.errors import OrderInReview
from orders.models import Order, RefundRequest
from tests.checkout.conftest import Buyer, intent_of
from tests.conftest import SECRET
from tests.stripe import StripeServer
from tests.stripe.webhooks import sign

pytestmark = pytest.mark.django_db


class Post:
    """Stripe's messages, brought when the test says so: each twice, and only those of some types."""

    def __init__(self, stripe: StripeServer, now: datetime) -> None:
        self.bag: list[Any] = []
        self.now = now
        stripe.books.tell = self.bag.append

    def bring(self, *types: str) -> list[str]:
        bag, self.bag[:] = list(self.bag), []
        for event in bag:
            if event["type"] not in types:
                continue
            body = json.dumps(event).encode()
            for _ in range(2):
                answer = Client().post(
                    "/api/v1/webhooks/stripe", body, content_type="application/json",
                    headers={"Stripe-Signature": sign(SECRET, body)},
                )  # fmt: skip
                assert answer.status_code == 200
        checkout.drain_inbox(now=self.now + timedelta(minutes=1))
        rows = WebhookInbox.objects.filter(type__in=types).order_by("received_at", "pk")
        assert all(row.processed_at for row in rows)
        return [row.type for row in rows]


@pytest.fixture
def post(stripe: StripeServer, now: datetime) -> Post:
    return Post(stripe, now)


@pytest.fixture
def paid(ready: Buyer, stripe: StripeServer, post: Post) -> Payment:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    post.bring("payment_intent.succeeded")
    payment.refresh_from_db()
    assert payment.status == "CAPTURED"
    return payment


def test_a_charge_that_failed_frees_the_goods(
    ready: Buyer, stripe: StripeServer, post: Post
) -> None:
    order, payment = ready.pay("card")
    with pytest.raises(Exception, match="declined"):
        stripe.books.confirm(intent_of(payment), "pm_card_chargeDeclined")

    assert post.bring("charge.failed") == ["charge.failed"]

    payment.refresh_from_db()
    order.refresh_from_db()
    assert (payment.status, order.status, order.payment_status) == ("FAILED", "draft", "failed")
    assert not Reservation.objects.filter(order_id=order.pk, status="ACTIVE").exists()


def test_an_intent_that_stripe_closed_can_be_paid_by_another(
    ready: Buyer, stripe: StripeServer, post: Post
) -> None:
    order, payment = ready.pay("card")
    stripe.books.cancel(intent_of(payment), {"cancellation_reason": "automatic"})

    post.bring("payment_intent.canceled")

    payment.refresh_from_db()
    order.refresh_from_db()
    assert (payment.status, order.status, order.needs_attention) == ("CANCELLED", "draft", "")
    again = checkout.start_payment(
        actor=ready.actor, order_id=order.pk, method="card", now=ready.now
    )
    stripe.books.confirm(intent_of(again), "pm_card_visa")
    post.bring("payment_intent.succeeded")
    order.refresh_from_db()
    assert order.status == "confirmed"


def refund_back(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, amount: Decimal | None
) -> Order:
    checkout.refund_payment(
        actor=staff, payment_id=paid.pk, amount=amount, reason="late", now=post.now
    )
    stripe.books.fail_refund(stripe.books.all("refund")[-1]["id"])
    assert post.bring("refund.failed") == ["refund.failed"]
    return Order.objects.get()


@pytest.mark.parametrize("amount", ["4.90", None])
def test_a_refund_that_came_back_is_open_again_and_made_once_more(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime, amount: str | None
) -> None:
    order = refund_back(paid, stripe, post, staff, Decimal(amount) if amount else None)

    paid.refresh_from_db()
    request = RefundRequest.objects.get()
    assert (paid.status, paid.refunded_amount) == ("CAPTURED", Decimal(0))
    assert (order.payment_status, order.refunded_total) == ("captured", Decimal(0))
    assert (request.status, request.failure) == ("failed", "lost_or_stolen_card")
    assert "came back: lost_or_stolen_card" in order.needs_attention
    steps = PaymentStatusChange.objects.filter(payment=paid, refunded__lt=0)
    assert [step.to_status for step in steps] == ["CAPTURED"]
    assert order.edits.filter(field="needs_attention").count() == 1

    orders.retry_refund(actor=staff, request_id=request.pk, now=now)
    assert checkout.execute_refunds(now=now) == 1

    paid.refresh_from_db()
    assert paid.refunded_amount == (Decimal(amount) if amount else paid.captured_amount)
    assert list(Refund.objects.order_by("pk").values_list("status", flat=True)) == ["FAILED", "SUCCEEDED"]  # fmt: skip
    assert checkout.compare_books(since=now - timedelta(days=1), mend=False, now=now).found == []


def test_a_refund_of_units_that_came_back_is_taken_off_its_lines(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    line = paid.order.lines.get()
    orders.cancel_items(
        actor=staff, order_id=paid.order_id, units=[orders.Units(line.pk, 1)], reason="x", now=now
    )
    checkout.execute_refunds(now=now)
    line.refresh_from_db()
    assert line.refunded_amount > 0

    stripe.books.fail_refund(stripe.books.all("refund")[0]["id"])
    post.bring("refund.failed")

    line.refresh_from_db()
    assert line.refunded_amount == 0
    orders.retry_refund(actor=staff, request_id=RefundRequest.objects.get().pk, now=now)
    checkout.execute_refunds(now=now)
    line.refresh_from_db()
    assert line.refunded_amount == Order.objects.get().refunded_total > 0


def test_a_whole_refund_that_came_back_leaves_the_order_where_it_was(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    orders.ship(actor=staff, order_id=paid.order_id, now=now)
    orders.deliver(actor=staff, order_id=paid.order_id, now=now)

    order = refund_back(paid, stripe, post, staff, None)

    assert (order.status, order.payment_status) == ("refunded", "captured")


def test_a_provider_that_cannot_say_which_refund_failed_changes_nothing(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    checkout.refund_payment(actor=staff, payment_id=paid.pk, amount=None, reason="x", now=now)
    stripe.books.fail_refund(stripe.books.all("refund")[0]["id"])
    stripe.fail("GET /v1/refunds", "500")

    with pytest.raises(DependencyUnavailable):
        checkout.settle(payment_id=paid.pk, now=now)

    assert RefundRequest.objects.get().status == "done"
    checkout.settle(payment_id=paid.pk, now=now)
    assert RefundRequest.objects.get().status == "failed"


def test_a_warning_of_fraud_holds_the_order_back(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    stripe.books.warn(intent_of(paid))

    post.bring("radar.early_fraud_warning.created")

    order = Order.objects.get()
    words = (
        "The card's bank warns of fraud (made_with_stolen_card): refund it before it is disputed."
    )
    assert (order.review, order.needs_attention, order.status) == ("pending", words, "confirmed")
    assert WebhookInbox.objects.latest("received_at").outcome == "held back: a warning of fraud"
    assert order.edits.filter(field="needs_attention").count() == 1
    with pytest.raises(OrderInReview):
        orders.ship(actor=staff, order_id=order.pk, now=now)


def test_a_warning_that_stripe_does_not_know_of_holds_nothing_back(
    paid: Payment, stripe: StripeServer, post: Post
) -> None:
    del stripe.books.objects[stripe.books.warn(intent_of(paid))["id"]]

    post.bring("radar.early_fraud_warning.created")

    order = Order.objects.get()
    assert (order.review, order.needs_attention) == ("", "")


def test_what_is_sent_already_is_flagged_and_not_held_back(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    orders.ship(actor=staff, order_id=paid.order_id, now=now)
    stripe.books.warn(intent_of(paid))

    post.bring("radar.early_fraud_warning.created")

    order = Order.objects.get()
    assert (order.status, order.review) == ("shipped", "")
    assert order.needs_attention.startswith("The card's bank warns of fraud")


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("won", "The dispute was won: the money stays here."),
        ("lost", "The dispute was lost: the bank took the money back."),
        ("warning_closed", "The bank's inquiry ended: the money stays here."),
    ],
)
def test_a_dispute_that_is_closed_says_how_it_ended(
    paid: Payment, stripe: StripeServer, post: Post, ended: str, words: str
) -> None:
    dispute = stripe.books.dispute(intent_of(paid))
    post.bring("charge.dispute.created")
    assert Order.objects.get().needs_attention == "The customer disputes the payment."
    dispute["status"] = ended
    stripe.books._announce("charge.dispute.closed", dispute)

    post.bring("charge.dispute.closed")

    paid.refresh_from_db()
    assert (paid.dispute_status, Order.objects.get().needs_attention) == (ended, words)
