"""One violation for each invariant of checkouts and payments."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.utils import timezone
from djstripe.models import WebhookEventTrigger

from checkout.models import (
    Checkout,
    OutsideRefund,
    Payment,
    PaymentStatusChange,
    TestCharge,
    WebhookInbox,
)
from config.platform.models import OutboxEvent, new_id
from orders.models import Order, RefundRequest
from tests import factories
from tests.checkout.conftest import Buyer
from tests.plants import loosen, plant, sql


def make_payment(outcome: str = "succeed") -> Payment:
    """Return the payment of an order that was bought, or is being bought with `outcome` empty."""
    company = factories.default_company()
    factories.make_shipping_rule("4.90", countries=["US"])
    buyer = Buyer.arrive(company, timezone.now()).add(factories.make_priced_variant("10.00"))
    _, payment = buyer.begin().fill().pay()
    if outcome:
        buyer.simulate(payment, outcome)
    return Payment.objects.get(pk=payment.pk)


@plant("O02")
def a_finished_checkout_without_an_order() -> None:
    make_payment()
    loosen("checkouts")
    Checkout.objects.update(order=None)


@plant("O05")
def a_payment_in_another_currency() -> None:
    make_payment("")
    Payment.objects.update(currency="EUR")


@plant("P01")
def money_without_a_history() -> None:
    payment = make_payment()
    loosen("payments")
    sql("update payments set captured_amount = captured_amount - 1 where id = %s", payment.id)


@plant("P02")
def more_back_than_was_taken() -> None:
    payment = make_payment()
    loosen("payments")
    sql("update payments set refunded_amount = captured_amount + 1 where id = %s", payment.id)


@plant("P03")
def an_order_charged_twice() -> None:
    payment = make_payment()
    Payment.objects.create(
        order=payment.order, provider="test", method="test", status="CAPTURED", amount=payment.amount,
        captured_amount=payment.amount, currency="USD", idempotency_key="x", created_at=timezone.now(),
    )  # fmt: skip


@plant("P04")
def an_order_that_denies_its_payment() -> None:
    payment = make_payment()
    Order.objects.filter(pk=payment.order_id).update(payment_status="pending")


@plant("P05")
def a_payment_of_another_amount() -> None:
    payment = make_payment("")
    Payment.objects.filter(pk=payment.pk).update(amount=Decimal("1.00"))


@plant("P06")
def money_kept_for_a_cancelled_order() -> None:
    payment = make_payment()
    long_ago = timezone.now() - timedelta(hours=1)
    Order.objects.filter(pk=payment.order_id).update(status="cancelled", updated_at=long_ago)
    Payment.objects.filter(pk=payment.pk).update(updated_at=long_ago)


@plant("P07")
def a_paid_order_that_waits() -> None:
    payment = make_payment()
    Order.objects.filter(pk=payment.order_id).update(status="draft")


@plant("P08")
def a_status_that_came_from_nowhere() -> None:
    payment = make_payment("")
    PaymentStatusChange.objects.create(
        payment=payment, from_status="PROCESSING", to_status="PENDING", at=timezone.now()
    )


@plant("P09")
def money_that_moved_and_was_paid_out_too() -> None:
    """What pays for a replacement also went back to the customer."""
    first, second = make_payment(), make_payment()
    request = RefundRequest.objects.create(
        order=first.order,
        amount=Decimal(10),
        currency="USD",
        status=RefundRequest.Status.DONE,
        moved_amount=Decimal(10),
        moved_to=second.order,
        requested_by="test",
        created_at=timezone.now(),
    )
    Order.objects.filter(pk=first.order_id).update(refunded_total=10, moved_total=request.amount)
    Order.objects.filter(pk=second.order_id).update(credit_total=request.amount)


@plant("P10")
def money_paid_back_otherwise_that_nobody_asked_for() -> None:
    payment = make_payment()
    OutsideRefund.objects.create(
        payment=payment,
        request_id=new_id(),
        amount=Decimal(5),
        currency="USD",
        means="cash",
        reference="x",
        reason="x",
        paid_on_date=timezone.localdate(),
        actor="test",
        created_at=timezone.now(),
    )
    Payment.objects.filter(pk=payment.pk).update(outside_amount=5)


@plant("E06")
def a_capture_that_nobody_heard_of() -> None:
    make_payment()
    OutboxEvent.objects.filter(name="payment.captured").delete()


def _webhook(**fields) -> WebhookInbox:
    now = timezone.now()
    return WebhookInbox.objects.create(
        **{"provider": "test", "event_id": "e1", "type": "payment_intent.succeeded", "received_at": now,
           "next_attempt_at": now, **fields}
    )  # fmt: skip


@plant("W01")
def an_event_taken_twice() -> None:
    loosen("webhook_inbox")
    for _ in range(2):
        _webhook()


@plant("W02")
def a_webhook_left_lying() -> None:
    _webhook(received_at=timezone.now() - timedelta(hours=1))


@plant("W03")
def a_success_without_money() -> None:
    payment = make_payment("")
    _webhook(object_id=payment.provider_id, processed_at=timezone.now())


@plant("B01")
def a_charge_we_do_not_know() -> None:
    TestCharge.objects.create(
        id="tpi_x", key="x", amount=5, captured_amount=5, currency="USD", status="succeeded",
        created_at=timezone.now() - timedelta(hours=1),
    )  # fmt: skip


@plant("B05")
def a_delivery_that_was_kept_whole() -> None:
    WebhookEventTrigger.objects.create(
        remote_ip="192.0.2.1", headers={"Cookie": "x"}, body="ada@example.com", valid=True
    )
