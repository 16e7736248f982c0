"""Paying through Stripe: its own client, over HTTP, against a server that keeps Stripe's rules and Stripe's books."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from checkout import services as checkout
from checkout.errors import PaymentRequired
from checkout.gateway import StripeGateway
from checkout.models import Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.errors import DependencyUnavailable
from config.platform.models import AuditEntry, OutboxEvent
from inventory import services as inventory
from inventory.models import StockLevel, StockMovement
from orders import services as orders
from orders.models import Order, RefundRequest
from tests.checkout.conftest import Buyer, deliver, events, intent_of
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem

pytestmark = pytest.mark.django_db


def tell_all(stripe: StripeServer, *, now: datetime) -> None:
    for event in events(stripe):
        assert deliver(event, now=now).status_code == 200
    checkout.drain_inbox(now=now + timedelta(minutes=1))


def told(order: Order) -> tuple[str, str, str]:
    order.refresh_from_db()
    payment = order.payments.latest("id")
    return order.status, order.payment_status, payment.status


def test_a_card_pays_and_the_webhook_alone_confirms(ready: Buyer, stripe: StripeServer) -> None:
    order, payment = ready.pay("card")
    assert payment.client_secret.startswith(f"{payment.provider_id}_secret_")
    assert told(order) == ("draft", "pending", "PENDING")

    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    tell_all(stripe, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    payment.refresh_from_db()
    assert payment.metadata == {"brand": "visa", "last4": "4242"}
    assert [line["amount"] for line in stripe.books.movements] == [2490]
    assert WebhookInbox.objects.exclude(outcome="").count() == len(events(stripe))


def test_completing_asks_stripe_and_needs_no_webhook(ready: Buyer, stripe: StripeServer) -> None:
    _, payment = ready.pay("card")
    with pytest.raises(PaymentRequired):
        ready.complete()

    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    assert ready.complete().status == "confirmed"
    assert ready.complete().status == "confirmed"
    assert StockMovement.objects.filter(type="SALE").count() == 1


def test_a_declined_card_frees_the_goods_and_another_try_takes_them_again(
    ready: Buyer, stripe: StripeServer, variant: Any
) -> None:
    order, payment = ready.pay("card")
    with pytest.raises(StripeProblem):
        stripe.books.confirm(intent_of(payment), "pm_card_chargeDeclined")

    tell_all(stripe, now=ready.now)

    assert told(order) == ("draft", "failed", "FAILED")
    assert StockLevel.objects.get(variant=variant).reserved == 0
    assert stripe.books.movements == []

    _, again = ready.pay("card")
    assert again.pk != payment.pk
    stripe.books.confirm(intent_of(again), "pm_card_visa")
    assert ready.complete().status == "confirmed"
    assert len(stripe.books.movements) == 1


@pytest.mark.parametrize("passed", [True, False])
def test_3d_secure_waits_for_the_customer(ready: Buyer, stripe: StripeServer, passed: bool) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_threeDSecure2Required")
    tell_all(stripe, now=ready.now)
    payment.refresh_from_db()
    assert payment.next_action == {"type": "use_stripe_sdk"}
    assert told(order) == ("draft", "pending", "PENDING")

    stripe.books.authenticate(intent_of(payment), succeed=passed)
    tell_all(stripe, now=ready.now)

    assert told(order) == (
        ("confirmed", "captured", "CAPTURED") if passed else ("draft", "failed", "FAILED")
    )
    assert len(stripe.books.movements) == int(passed)


def test_a_bank_debit_takes_days_and_holds_until_then(ready: Buyer, stripe: StripeServer) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_usBankAccount")
    tell_all(stripe, now=ready.now)
    assert told(order) == ("draft", "pending", "PROCESSING")

    stripe.books.authenticate(intent_of(payment))
    tell_all(stripe, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")


def test_manual_capture_confirms_when_authorised_and_collects_later(
    ready: Buyer, stripe: StripeServer, settings: Any, staff: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    tell_all(stripe, now=ready.now)
    assert told(order) == ("confirmed", "authorized", "AUTHORIZED")
    assert stripe.books.movements == []
    payment.refresh_from_db()
    assert payment.capture_before is not None

    for _ in range(2):
        checkout.capture(actor=staff, payment_id=payment.id, amount=None, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert len(stripe.books.movements) == 1
    steps = PaymentStatusChange.objects.filter(payment=payment).values_list("to_status", flat=True)
    assert list(steps) == ["PENDING", "AUTHORIZED", "CAPTURED"]


@pytest.fixture
def paid(ready: Buyer, stripe: StripeServer) -> tuple[Order, Payment]:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    payment.refresh_from_db()
    return order, payment


def refund(staff: Any, payment: Payment, amount: str, now: datetime) -> Payment:
    return checkout.refund_payment(
        actor=staff, payment_id=payment.id, amount=Decimal(amount), reason="goodwill", now=now
    )


def test_parts_go_back_and_never_more_than_was_taken(
    paid: tuple[Order, Payment], stripe: StripeServer, staff: Any, now: datetime
) -> None:
    order, payment = paid

    refund(staff, payment, "4.90", now)
    assert told(order) == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")
    refund(staff, payment, "20.00", now)
    assert told(order) == ("confirmed", "refunded", "REFUNDED")

    tell_all(stripe, now=now)  # its events say nothing new
    assert told(order) == ("confirmed", "refunded", "REFUNDED")
    assert [line["amount"] for line in stripe.books.movements] == [2490, -490, -2000]
    assert Order.objects.get().needs_attention == ""


def test_a_dispute_flags_the_order_once(
    paid: tuple[Order, Payment], stripe: StripeServer, now: datetime
) -> None:
    order, payment = paid

    stripe.books.dispute(intent_of(payment))
    tell_all(stripe, now=now)
    tell_all(stripe, now=now)

    payment.refresh_from_db()
    order.refresh_from_db()
    assert payment.is_disputed
    assert order.is_disputed
    assert order.needs_attention == "The customer disputes the payment."


# --- F22: silence, and answers that say nothing ---------------------------------------------------

SILENT = ["500", "reset", "hang", "act_then_500", "act_then_reset", "act_then_hang", "429"]


@pytest.fixture
def hasty(settings: Any, mode: str) -> None:
    """Where nothing comes at all it is waited for a moment, long enough for what does come."""
    if "hang" in mode:
        settings.STRIPE_TIMEOUT_SECONDS = 2


@pytest.mark.parametrize("mode", SILENT)
def test_an_intent_whose_making_was_not_answered_is_one_payment(
    ready: Buyer, stripe: StripeServer, hasty: None, mode: Any
) -> None:
    stripe.fail("POST /v1/payment_intents", mode)
    if mode not in {"500", "act_then_500"}:
        with pytest.raises(DependencyUnavailable):
            ready.pay("card")
        unknown = Payment.objects.get()
        assert (unknown.status, unknown.provider_id) == ("PENDING", None)

    _, payment = ready.pay("card")

    assert Payment.objects.count() == 1
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    assert ready.complete().status == "confirmed"
    assert len(stripe.books.movements) == 1
    if mode in {"act_then_reset", "act_then_hang"}:  # the key found what had been made
        assert len(stripe.books.all("payment_intent")) == 1


@pytest.mark.parametrize("mode", SILENT)
def test_a_capture_that_was_not_answered_takes_the_money_once(
    ready: Buyer, stripe: StripeServer, settings: Any, staff: Any, hasty: None, mode: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    stripe.fail("POST /v1/payment_intents/.*/capture", mode)

    def capture() -> None:
        checkout.capture(actor=staff, payment_id=payment.id, amount=None, now=ready.now)

    if mode in {"500", "act_then_500"}:
        capture()
    else:
        with pytest.raises(DependencyUnavailable):
            capture()
        assert told(order)[2] == "AUTHORIZED"
        capture()

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert [line["kind"] for line in stripe.books.movements] == ["charge"]


@pytest.mark.parametrize("mode", SILENT)
def test_a_refund_that_was_not_answered_goes_back_once(
    paid: tuple[Order, Payment], stripe: StripeServer, staff: Any, now: datetime, hasty: None, mode: Any
) -> None:  # fmt: skip
    order, payment = paid
    stripe.fail("POST /v1/refunds", mode)
    with pytest.raises(DependencyUnavailable):
        refund(staff, payment, "4.90", now)
    assert told(order)[2] == "CAPTURED"
    assert Refund.objects.get().status == "PENDING"
    if mode == "500":  # saved for its key, so the key says 500 until it is forgotten
        assert checkout.execute_refunds(now=now) == 0
        stripe.saved.clear()

    assert checkout.execute_refunds(now=now) == 1
    assert checkout.execute_refunds(now=now) == 0

    assert told(order) == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")
    assert [line["amount"] for line in stripe.books.movements] == [2490, -490]


def test_a_key_that_stripe_has_forgotten_does_not_refund_twice(
    paid: tuple[Order, Payment], stripe: StripeServer, staff: Any, now: datetime
) -> None:
    _, payment = paid
    stripe.fail("POST /v1/refunds", "act_then_reset")
    with pytest.raises(DependencyUnavailable):
        refund(staff, payment, "4.90", now)

    stripe.saved.clear()  # a day later
    checkout.execute_refunds(now=now)

    assert [line["amount"] for line in stripe.books.movements] == [2490, -490]


def test_by_the_key_alone_a_forgotten_refund_is_made_twice(
    paid: tuple[Order, Payment], stripe: StripeServer
) -> None:
    """The control: without looking first, the same calls pay twice."""
    _, payment = paid
    for _ in range(2):
        stripe.saved.clear()
        with StripeGateway()._client() as client:
            client.v1.refunds.create(
                params={"payment_intent": intent_of(payment), "amount": 490},
                options={"idempotency_key": "refund-1"},
            )

    assert [line["amount"] for line in stripe.books.movements] == [2490, -490, -490]


def test_a_wrong_key_of_ours_ends_nothing_for_good(
    paid: tuple[Order, Payment], stripe: StripeServer, staff: Any, settings: Any, now: datetime
) -> None:
    _, payment = paid
    good, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, "wrong"
    with pytest.raises(DependencyUnavailable):
        refund(staff, payment, "4.90", now)
    assert RefundRequest.objects.get().status == "due"

    settings.STRIPE_SECRET_KEY = good
    assert checkout.execute_refunds(now=now) == 1


# --- F16: order and number of events --------------------------------------------------------------


def test_every_order_of_five_events_ends_in_one_state(ready: Buyer, stripe: StripeServer) -> None:
    """
    Declined, paid after days, refunded in part by hand, disputed: each event is delivered twice, and worked off in all 120 orders.

    Each order begins with the same open payment, because what the one before did is rolled back.
    """
    order, payment = ready.pay("card")
    intent = intent_of(payment)
    with pytest.raises(StripeProblem):
        stripe.books.confirm(intent, "pm_card_chargeDeclined")
    stripe.books.confirm(intent, "pm_usBankAccount")
    stripe.books.authenticate(intent)
    stripe.books.refund({"payment_intent": intent, "amount": "490"})
    stripe.books.dispute(intent)
    five = events(
        stripe, "payment_intent.created", "payment_intent.processing", "payment_intent.succeeded",
        "charge.refunded", "charge.dispute.created",
    )  # fmt: skip
    assert len(five) == 5

    for event in [*five, *reversed(five)]:
        assert deliver(event, now=ready.now).status_code == 200
    rows = list(WebhookInbox.objects.values_list("pk", flat=True))
    assert len(rows) == 5

    ends = set()
    late = ready.now + timedelta(minutes=5)
    for permutation in itertools.permutations(rows):
        with transaction.atomic():
            for webhook_id in permutation:
                assert checkout.process_webhook(webhook_id=webhook_id, now=late)
            payment.refresh_from_db()
            ends.add(
                (
                    *told(order),
                    payment.captured_amount,
                    payment.refunded_amount,
                    payment.is_disputed,
                    order.needs_attention,
                    StockMovement.objects.filter(type="SALE").count(),
                    Refund.objects.count(),
                    OutboxEvent.objects.filter(name="payment.captured").count(),
                    OutboxEvent.objects.filter(name="order.confirmed").count(),
                )
            )
            transaction.set_rollback(True)

    assert ends == {
        ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED", Decimal("24.90"), Decimal("4.90"), True,
         "4.90 was refunded at the provider by hand. It is written down.", 1, 1, 1, 1)
    }  # fmt: skip


# --- what comes late, or is not ours --------------------------------------------------------------


def test_money_that_comes_after_the_hold_takes_the_goods_again(
    ready: Buyer, stripe: StripeServer, variant: Any
) -> None:
    order, payment = ready.pay("card")
    later = ready.now + timedelta(hours=1)
    inventory.release_order(actor=ready.actor, order_id=order.id, now=later)
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    tell_all(stripe, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert StockLevel.objects.get(variant=variant).total == 3


def test_money_that_comes_after_the_order_s_end_goes_back(
    ready: Buyer, stripe: StripeServer
) -> None:
    order, payment = ready.pay("card")
    orders.cancel(actor=ready.actor, order_id=order.id, reason="changed my mind", now=ready.now)
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    tell_all(stripe, now=ready.now)
    checkout.execute_refunds(now=ready.now)

    assert told(order) == ("cancelled", "refunded", "REFUNDED")
    assert [line["amount"] for line in stripe.books.movements] == [2490, -2490]


@pytest.mark.parametrize(
    "change", [{"amount": 1, "amount_received": 1}, {"currency": "eur"}, {"metadata": {"payment_id": "another"}}]
)  # fmt: skip
def test_an_intent_of_another_amount_currency_or_payment_moves_nothing(
    ready: Buyer, stripe: StripeServer, change: dict[str, Any]
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    stripe.books.objects[intent_of(payment)].update(change)

    with pytest.raises(PaymentRequired):
        ready.complete()
    tell_all(stripe, now=ready.now)

    assert told(order) == ("draft", "pending", "PENDING")
    assert AuditEntry.objects.filter(action="payment.mismatch").count() == 1
    assert order.needs_attention == "The provider reports another payment than ours."
    assert StockMovement.objects.filter(type="SALE").count() == 0


def test_an_intent_of_another_checkout_pays_only_its_own_order(
    ready: Buyer, stripe: StripeServer, shop: Any, variant: Any, now: datetime
) -> None:
    order, _ = ready.pay("card")
    other = Buyer.arrive(shop, now, email="mallory@example.com").add(variant, 1).begin().fill()
    _, cheap = other.pay("card")
    stripe.books.confirm(intent_of(cheap), "pm_card_visa")

    with pytest.raises(PaymentRequired):
        ready.complete()

    assert told(order) == ("draft", "pending", "PENDING")
    assert other.complete().status == "confirmed"
