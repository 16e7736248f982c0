"""What should have moved and has not: each kind is found only past its time, and mended where that is safe."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from checkout import services as checkout
from checkout import stuck
from checkout.books import Kind
from checkout.models import Payment, TestCharge, WebhookInbox
from checkout.stuck import Reason
from orders import services as orders
from orders.models import Order, RefundRequest
from tests.checkout.conftest import Buyer, intent_of
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db


def reasons(now: datetime) -> list[str]:
    return [difference.reason for difference in stuck.find(now=now)]


def mend(now: datetime) -> checkout.Comparison:
    return checkout.compare_books(since=now - timedelta(days=1), mend=True, now=now)


@pytest.mark.parametrize(
    ("status", "limit", "reason"),
    [
        ("PENDING", stuck.OPEN_FOR, Reason.OPEN),
        ("PROCESSING", stuck.PROCESSING_FOR, Reason.PROCESSING),
    ],
)
def test_an_open_payment_is_stuck_once_its_time_is_over(
    ready: Buyer, now: datetime, status: str, limit: timedelta, reason: str
) -> None:
    _, payment = ready.pay()
    Payment.objects.filter(pk=payment.pk).update(status=status)

    assert reasons(now + limit - timedelta(seconds=1)) == []
    [found] = stuck.find(now=now + limit)

    assert (found.kind, found.reason, found.payment_id) == (Kind.STUCK, reason, payment.pk)
    assert (found.ours, found.company_id) == (payment.amount, payment.order.company_id)
    assert found.reason in stuck.ADVICE
    # Whoever asks the provider touches the row; that is no movement.
    checkout.reconcile(now=now + limit)
    Payment.objects.filter(pk=payment.pk).update(status=status)
    assert reasons(now + limit) == [reason]
    Payment.objects.filter(pk=payment.pk).update(status="PENDING")


def test_an_authorised_payment_that_nobody_collects_is_stuck(
    ready: Buyer, now: datetime, settings: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    _, payment = ready.pay()
    ready.simulate(payment)

    assert reasons(now + stuck.AUTHORIZED_FOR - timedelta(seconds=1)) == []
    assert reasons(now + stuck.AUTHORIZED_FOR) == [Reason.AUTHORIZED]
    # A settlement changes nothing at the bank, so it is told, once.
    for _ in range(2):
        assert [each.reason for each in mend(now + stuck.AUTHORIZED_FOR).left] == ["authorized"]
    assert "does not get on (authorized)" in Order.objects.get().needs_attention


def test_a_draft_that_is_paid_for_is_stuck(
    ready: Buyer, now: datetime, broken_on_purpose: None
) -> None:
    order, payment = ready.pay()
    ready.simulate(payment)
    Order.objects.filter(pk=order.pk).update(status="draft")

    assert reasons(now) == []
    assert reasons(now + stuck.PAID_DRAFT_FOR) == [Reason.PAID_DRAFT]


def test_a_refund_that_is_not_carried_out_is_stuck_and_then_carried_out(
    ready: Buyer, staff: Any, now: datetime
) -> None:
    order, payment = ready.pay()
    ready.simulate(payment)
    orders.request_refund(
        actor=staff, order_id=order.pk, amount=payment.amount, reason="x", now=now
    )
    later = now + stuck.REFUND_FOR

    assert reasons(later - timedelta(seconds=1)) == []
    assert reasons(later) == [Reason.REFUND]
    done = mend(later)

    assert ([each.reason for each in done.mended], done.left) == ([Reason.REFUND], [])
    assert RefundRequest.objects.get().status == "done"
    assert TestCharge.objects.get().refunded_amount == payment.amount


def test_a_refund_of_money_that_is_only_promised_waits_rightly(
    ready: Buyer, staff: Any, now: datetime, settings: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay()
    ready.simulate(payment)
    RefundRequest.objects.create(
        order=order, amount=1, currency="USD", reason="x", requested_by="x", created_at=now
    )

    assert reasons(now + stuck.REFUND_FOR) == []
    RefundRequest.objects.all().delete()


@pytest.mark.parametrize("is_dead", [False, True])
def test_a_message_that_keeps_failing_is_stuck_and_then_worked_off(
    ready: Buyer, stripe: StripeServer, now: datetime, is_dead: bool
) -> None:
    _, payment = ready.pay("card")
    row = WebhookInbox.objects.create(
        provider="stripe", event_id="evt_1", type="payment_intent.processing", object_id=intent_of(payment),
        received_at=now, next_attempt_at=now + timedelta(hours=1), attempts=stuck.FAILING_TRIES - 1,
    )  # fmt: skip
    assert reasons(now) == []
    WebhookInbox.objects.update(attempts=stuck.FAILING_TRIES, dead_at=now if is_dead else None)
    [found] = stuck.find(now=now)
    assert (found.reason, found.row_id, found.payment_id) == (Reason.MESSAGE, row.pk, payment.pk)

    done = mend(now)

    assert ([each.reason for each in done.mended], done.left) == ([Reason.MESSAGE], [])
    row.refresh_from_db()
    assert row.processed_at == now


def test_what_differs_is_not_told_again_as_being_stuck(
    ready: Buyer, stripe: StripeServer, now: datetime
) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    later = now + stuck.OPEN_FOR
    told = checkout.compare_books(since=now - timedelta(days=1), mend=False, now=later)

    assert [each.kind for each in told.left] == [Kind.NOT_RECORDED]
    mend(now)


def test_the_command_says_what_to_do(ready: Buyer, now: datetime, capsys: Any) -> None:
    ready.pay()
    WebhookInbox.objects.create(
        provider="test", event_id="evt_1", type="x", received_at=now, next_attempt_at=now, attempts=12, dead_at=now,
    )  # fmt: skip

    with pytest.raises(SystemExit) as ended:
        call_command("reconcile_payments")

    assert ended.value.code == 1
    assert str(stuck.ADVICE[Reason.MESSAGE]) in capsys.readouterr().out
    WebhookInbox.objects.all().delete()


def test_looking_costs_the_same_however_much_is_stuck(
    ready: Buyer, now: datetime, django_assert_num_queries: Any
) -> None:
    _, payment = ready.pay()
    ready.simulate(payment)
    for number in range(5):
        RefundRequest.objects.create(
            order=payment.order,
            amount=1,
            currency="USD",
            reason="x",
            requested_by="x",
            created_at=now,
        )
        WebhookInbox.objects.create(
            provider="test", event_id=f"e{number}", type="x", received_at=now, next_attempt_at=now, attempts=9,
        )  # fmt: skip

    with django_assert_num_queries(6):
        found = stuck.find(now=now + stuck.REFUND_FOR)

    assert len(found) == 10
    RefundRequest.objects.all().delete()
    WebhookInbox.objects.all().delete()
