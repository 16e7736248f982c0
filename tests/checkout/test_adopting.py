"""Refunds that somebody makes at the provider itself: written down like ours by what tells of them, once, in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from checkout import services as checkout
from checkout.gateway import MadeRefund, StripeGateway, TestGateway
from checkout.models import Payment, PaymentStatusChange, Refund, TestChargeRefund, WebhookInbox
from config.platform import relay
from config.platform.errors import DependencyUnavailable
from config.platform.models import AuditEntry, OutboxEvent
from inventory.models import StockLevel, StockMovement
from notifications.models import Notification
from orders import services as orders
from orders.errors import OrderInReview
from orders.models import Order, RefundRequest
from tests.checkout.conftest import Buyer, deliver, events, intent_of
from tests.checkout.test_late_events import Post
from tests.paypal import PayPalServer
from tests.stripe import StripeServer
from tests.threads import together

pytestmark = pytest.mark.django_db

# Two messages about our refund (0, 1) and two about the one by hand (2, 3).
ORDERS = [(0, 1, 2, 3), (1, 3, 0, 2), (2, 3, 0, 1), (3, 2, 1, 0)]
BY_HAND = ("refund.created", "charge.refunded", "refund.updated")


@pytest.fixture
def post(stripe: StripeServer, now: datetime) -> Post:
    return Post(stripe, now)


def buy(ready: Buyer, stripe: StripeServer) -> Payment:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    payment.refresh_from_db()
    assert (payment.status, payment.amount) == ("CAPTURED", Decimal("24.90"))
    return payment


@pytest.fixture
def paid(ready: Buyer, stripe: StripeServer, post: Post) -> Payment:
    return buy(ready, stripe)


def by_hand(stripe: StripeServer, payment: Payment, cents: int) -> dict[str, Any]:
    """What staff do at Stripe's dashboard; of the three messages, Stripe's stand-in sends two by itself."""
    about = {"payment_intent": intent_of(payment), "amount": str(cents)}
    refund: dict[str, Any] = stripe.books.refund(about)
    stripe.books._announce("refund.updated", refund)
    return refund


def books_of(payment: Payment) -> tuple[str, str, Decimal, str, Decimal]:
    payment.refresh_from_db()
    order = Order.objects.get(pk=payment.order_id)
    return (
        order.status, order.payment_status, order.refunded_total, payment.status, payment.refunded_amount,
    )  # fmt: skip


# --- written down, once ---------------------------------------------------------------------------


@pytest.mark.parametrize("told", BY_HAND)
def test_each_message_about_it_writes_a_refund_made_by_hand_down_like_ours(
    paid: Payment, stripe: StripeServer, post: Post, now: datetime, told: str
) -> None:
    made = by_hand(stripe, paid, 500)

    post.bring(told)

    fine = ("confirmed", "partially_refunded", Decimal(5), "PARTIALLY_REFUNDED", Decimal(5))
    assert books_of(paid) == fine
    refund = Refund.objects.get()
    assert (refund.status, refund.provider_id, refund.amount) == ("SUCCEEDED", made["id"], 5)
    request = RefundRequest.objects.get()
    # Money for no goods in particular: no unit came back, none is on the shelf again.
    assert (request.status, request.lines, request.reason) == ("done", [], "made at the provider")
    line = paid.order.lines.get()
    assert (line.cancelled_quantity, line.claimed_quantity, line.refunded_amount) == (0, 0, 0)
    assert StockLevel.objects.get(variant_id=line.variant_id).total == 3
    order = Order.objects.get()
    assert order.needs_attention == "5.00 was refunded at the provider by hand. It is written down."
    entry = AuditEntry.objects.get(action="payment.refund_adopted")
    assert (entry.object_id, entry.after["refundId"]) == (str(paid.pk), made["id"])

    relay.relay_due(now=now + timedelta(minutes=5))
    mail = Notification.objects.get(channel="refund-processed")
    assert (mail.recipient, "5.00" in mail.body_text) == (order.email, True)

    post.bag.extend(events(stripe, *BY_HAND))  # all of them again, and those that did not come
    post.bring(*BY_HAND)
    assert books_of(paid) == fine
    assert OutboxEvent.objects.filter(name="payment.refunded").count() == 1
    assert checkout.execute_refunds(now=now) == 0
    assert len(stripe.books.movements) == 2  # nothing moved that the shop had asked for
    assert checkout.compare_books(since=now - timedelta(days=1), mend=False, now=now).found == []


@pytest.mark.parametrize("order_of_messages", ORDERS, ids=str)
def test_our_refund_and_one_by_hand_are_two_in_whatever_order_they_are_told(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime, order_of_messages: tuple[int, ...]
) -> None:  # fmt: skip
    post.bag.clear()
    checkout.refund_payment(actor=staff, payment_id=paid.pk, amount=Decimal(5), reason="x", now=now)
    by_hand(stripe, paid, 500)  # of the same amount
    kinds = ("refund.created", "charge.refunded")
    told = [event for event in post.bag if event["type"] in kinds]

    for each in order_of_messages:
        post.bag[:] = [told[each]]
        post.bring(*kinds)

    assert books_of(paid)[1:3] == ("partially_refunded", Decimal(10))
    assert Refund.objects.filter(status="SUCCEEDED").count() == 2
    assert RefundRequest.objects.filter(status="done").count() == 2


def test_a_capture_that_paypal_says_was_refunded_is_written_down(
    ready: Buyer, paypal: PayPalServer, now: datetime
) -> None:
    from tests.checkout.test_paypal import tell_all

    _, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    ready.complete()
    [capture] = [part for part in paypal.books.parts.values() if part["_kind"] == "captures"]
    made = paypal.books.refund(capture["id"], {"amount": {"currency_code": "USD", "value": "5.00"}})

    for _ in range(2):
        tell_all(paypal, now=now)

    assert books_of(payment) == (
        "confirmed", "partially_refunded", Decimal(5), "PARTIALLY_REFUNDED", Decimal(5),
    )  # fmt: skip
    assert Refund.objects.get().provider_id == made["id"]

    # The bank of the customer did not take it: what PayPal lists as failed is owed again.
    made["status"] = "FAILED"
    checkout.settle(payment_id=payment.pk, now=now)
    assert books_of(payment)[1:3] == ("captured", Decimal(0))
    assert RefundRequest.objects.get().status == "failed"


def test_a_refund_at_the_test_provider_is_written_down_too(ready: Buyer, now: datetime) -> None:
    _, payment = ready.pay()
    ready.simulate(payment)
    payment.refresh_from_db()
    assert payment.provider_id is not None
    TestGateway().refund(
        provider_id=payment.provider_id, amount=Decimal(5), currency="USD", key="by hand", reason=""
    )

    checkout.settle(payment_id=payment.pk, now=now)

    assert books_of(payment)[1:3] == ("partially_refunded", Decimal(5))
    assert TestChargeRefund.objects.count() == Refund.objects.count() == 1


def test_a_provider_that_does_not_list_its_refunds_now_is_asked_again_and_nothing_is_written(
    paid: Payment, stripe: StripeServer, post: Post, now: datetime
) -> None:
    by_hand(stripe, paid, 500)
    stripe.fail("GET /v1/refunds", "500", times=2)
    [event] = [each for each in post.bag if each["type"] == "charge.refunded"]
    assert deliver(event, now=timezone.now()).status_code == 200

    with pytest.raises(DependencyUnavailable):
        checkout.settle(payment_id=paid.pk, now=now)
    checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))

    row = WebhookInbox.objects.get(type="charge.refunded")
    assert (row.processed_at, row.attempts) == (None, 1)
    assert not Refund.objects.exists()
    assert not RefundRequest.objects.exists()
    assert Order.objects.get().needs_attention == ""
    checkout.drain_inbox(now=timezone.now() + timedelta(hours=1))
    assert books_of(paid)[2] == Decimal(5)


# --- what becomes of the order --------------------------------------------------------------------


def test_an_order_whose_whole_money_was_given_back_is_not_sent_by_mistake(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    by_hand(stripe, paid, 2490)

    post.bring("charge.refunded")

    assert books_of(paid)[:2] == ("confirmed", "refunded")
    order = Order.objects.get()
    assert (order.review, order.needs_attention) == (
        "pending", "All of it was refunded at the provider by hand: nothing pays for what is not sent.",
    )  # fmt: skip
    with pytest.raises(OrderInReview):
        orders.ship(actor=staff, order_id=order.pk, now=now)
    orders.cancel(actor=staff, order_id=order.pk, now=now)
    assert checkout.execute_refunds(now=now) == 0
    assert books_of(paid)[:3] == ("cancelled", "refunded", Decimal("24.90"))
    assert StockMovement.objects.filter(type="SALE").count() == 1
    assert StockLevel.objects.get().total == 5


def test_a_delivered_order_whose_whole_money_was_given_back_is_refunded(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    orders.ship(actor=staff, order_id=paid.order_id, now=now)
    orders.deliver(actor=staff, order_id=paid.order_id, now=now)
    by_hand(stripe, paid, 2490)

    post.bring("charge.refunded")

    assert books_of(paid)[:2] == ("refunded", "refunded")
    assert Order.objects.get().review == ""


# --- a refund of ours that staff made by hand -----------------------------------------------------


def test_what_failed_here_and_was_made_by_hand_is_done_and_its_lines_know_it(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    line = paid.order.lines.get()
    orders.cancel_items(
        actor=staff, order_id=paid.order_id, units=[orders.Units(line.pk, 1)], reason="x", now=now
    )
    checkout.execute_refunds(now=now)
    request = RefundRequest.objects.get()
    stripe.books.fail_refund(stripe.books.all("refund")[0]["id"])
    by_hand(stripe, paid, int(request.amount * 100))  # before anybody heard that ours came back

    post.bring("charge.refunded")

    request.refresh_from_db()
    line.refresh_from_db()
    assert (request.status, line.refunded_amount) == ("done", request.amount)
    assert sorted(Refund.objects.values_list("status", flat=True)) == ["FAILED", "SUCCEEDED"]
    assert books_of(paid)[1:3] == ("partially_refunded", request.amount)
    post.bring("refund.failed")
    assert books_of(paid)[1:3] == ("partially_refunded", request.amount)
    assert checkout.execute_refunds(now=now) == 0


def test_what_is_due_and_was_made_by_hand_is_not_made_again(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    orders.cancel(actor=staff, order_id=paid.order_id, now=now)
    by_hand(stripe, paid, 2490)

    post.bring("charge.refunded")

    assert books_of(paid)[:3] == ("cancelled", "refunded", Decimal("24.90"))
    assert RefundRequest.objects.get().status == "done"
    assert checkout.execute_refunds(now=now) == 0
    assert [line["amount"] for line in stripe.books.movements] == [2490, -2490]


def test_a_payment_too_many_that_staff_gave_back_by_hand_is_done(
    ready: Buyer, paid: Payment, stripe: StripeServer, post: Post, now: datetime
) -> None:
    second = Payment.objects.create(
        order=paid.order, provider="stripe", method="card", amount=paid.amount, currency="USD",
        idempotency_key="second", created_at=now,
    )  # fmt: skip
    PaymentStatusChange.objects.create(payment=second, to_status=second.status, at=now)
    checkout.settle(
        payment_id=second.pk, now=now
    )  # opens it at Stripe, and finds that nobody needs it
    second.refresh_from_db()
    assert second.status == "CANCELLED"
    intent = stripe.books.get("payment_intent", intent_of(second))
    intent["status"] = "requires_payment_method"
    stripe.books.confirm(intent["id"], "pm_card_visa")
    checkout.settle(payment_id=second.pk, now=now)
    assert RefundRequest.objects.get().payment_id == second.pk

    by_hand(stripe, second, 1000)  # not all of it: that is no refund of ours, and none of the order
    post.bring("charge.refunded")
    assert RefundRequest.objects.get().status == "due"
    assert "10.00 was refunded at the provider, not here." in Order.objects.get().needs_attention
    assert books_of(paid)[1:3] == ("captured", Decimal(0))
    assert books_of(second)[4] == Decimal(0)

    stripe.books.fail_refund(stripe.books.all("refund")[0]["id"])
    by_hand(stripe, second, 2490)
    post.bring("charge.refunded")

    assert RefundRequest.objects.get().status == "done"
    assert books_of(second)[1:] == ("captured", Decimal(0), "REFUNDED", Decimal("24.90"))


def test_more_than_our_books_have_left_is_flagged_and_not_written_down(
    paid: Payment, stripe: StripeServer, post: Post, staff: Any, now: datetime
) -> None:
    orders.request_refund(
        actor=staff, order_id=paid.order_id, amount=Decimal(20), reason="goodwill", now=now
    )
    by_hand(stripe, paid, 600)

    for _ in range(2):
        post.bring("charge.refunded")
        post.bag.extend(events(stripe, "charge.refunded"))

    order = Order.objects.get()
    assert order.needs_attention == "6.00 was refunded at the provider, not here."
    assert order.edits.filter(field="needs_attention").count() == 1
    assert not Refund.objects.exists()
    assert RefundRequest.objects.get().status == "due"
    assert not AuditEntry.objects.filter(action="payment.refund_adopted").exists()


# --- at once --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_eight_that_hear_of_it_at_once_write_it_down_once(
    paid: Payment, stripe: StripeServer, now: datetime
) -> None:
    by_hand(stripe, paid, 500)

    together(8, lambda _: checkout.settle(payment_id=paid.pk, now=now) and None)

    assert books_of(paid)[2] == Decimal(5)
    assert Refund.objects.count() == RefundRequest.objects.count() == 1
    assert OutboxEvent.objects.filter(name="payment.refunded").count() == 1
    connections.close_all()


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch, stripe: StripeServer) -> Callable[[], list[Any]]:
    """Have the messages about a refund of ours come and be worked off before its answer is written down."""
    make, outcomes = StripeGateway.refund, []

    def elsewhere(index: int) -> Any:
        for event in events(stripe, *BY_HAND):
            assert deliver(event, now=timezone.now()).status_code == 200
        checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))
        return [row.processed_at is None for row in WebhookInbox.objects.filter(type__in=BY_HAND)]

    def refund(self: StripeGateway, **about: Any) -> Any:
        answer = make(self, **about)
        outcomes.extend(together(1, elsewhere)[0])
        return answer

    monkeypatch.setattr(StripeGateway, "refund", refund)
    return lambda: outcomes


def refund_five(staff: Any, payment: Payment, now: datetime) -> None:
    checkout.refund_payment(
        actor=staff, payment_id=payment.pk, amount=Decimal(5), reason="x", now=now
    )


@pytest.mark.django_db(transaction=True)
def test_messages_that_come_before_our_own_commit_do_not_count_our_refund_twice(
    paid: Payment, staff: Any, now: datetime, overtaken: Callable[[], list[Any]]
) -> None:
    refund_five(staff, paid, now)

    assert overtaken() == [False, False]  # none of them is left to be worked off
    assert books_of(paid)[1:3] == ("partially_refunded", Decimal(5))
    assert (Refund.objects.get().reason, RefundRequest.objects.get().status) == ("x", "done")
    assert Order.objects.get().needs_attention == ""
    connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_without_its_key_our_own_refund_would_be_taken_for_one_made_by_hand(
    paid: Payment, staff: Any, now: datetime, overtaken: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The control: the same race, where what the provider lists cannot be known as ours."""
    listed = StripeGateway.refunds_of

    def nameless(self: StripeGateway, *, provider_id: str) -> list[MadeRefund]:
        found = listed(self, provider_id=provider_id)
        return [MadeRefund(provider_id=each.provider_id, amount=each.amount) for each in found]

    monkeypatch.setattr(StripeGateway, "refunds_of", nameless)

    with pytest.raises(Exception, match="provider_id"):  # it is in the books already, as another
        refund_five(staff, paid, now)

    assert sorted(Refund.objects.values_list("status", flat=True)) == ["PENDING", "SUCCEEDED"]
    assert sorted(RefundRequest.objects.values_list("status", flat=True)) == ["done", "due"]
    Refund.objects.filter(status="PENDING").delete()
    RefundRequest.objects.filter(status="due").delete()
    connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_is_written_down_while_one_of_ours_begins_leaves_room_for_both_or_refuses_one(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    """Twenty by hand and all the rest by us: whatever comes first, no more goes back than came."""
    by_hand(stripe, paid, 2000)

    def side(index: int) -> Any:
        if index % 2:
            return checkout.settle(payment_id=paid.pk, now=now) and None
        try:
            return refund_five(staff, paid, now)
        except Exception as refusal:  # noqa: BLE001 - whichever it is, the books are judged below
            return type(refusal).__name__

    together(4, side)
    checkout.execute_refunds(now=now)
    checkout.settle(payment_id=paid.pk, now=now)

    given = sum(-line["amount"] for line in stripe.books.movements if line["amount"] < 0)
    paid.refresh_from_db()
    assert int(paid.refunded_amount * 100) == given <= 2490
    connections.close_all()
