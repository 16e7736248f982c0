"""Both books beside each other: each way in which they can differ is found, mended where that is safe, and told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from checkout import books
from checkout import services as checkout
from checkout.books import Kind
from checkout.models import Payment
from config.platform.errors import DependencyUnavailable
from config.platform.models import AuditEntry
from orders.models import Order
from tests.checkout.conftest import Buyer, intent_of
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db


def kinds(now: datetime) -> list[Kind]:
    return [difference.kind for difference in books.compare(since=now - timedelta(days=1))]


def mend(now: datetime) -> checkout.Comparison:
    return checkout.compare_books(since=now - timedelta(days=1), mend=True, now=now)


@pytest.fixture
def paid(ready: Buyer, stripe: StripeServer) -> Payment:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    payment.refresh_from_db()
    return payment


def test_books_that_agree_are_left_alone(paid: Payment, now: datetime) -> None:
    done = mend(now)

    assert (done.found, done.left) == ([], [])
    assert books.unbalanced(now - timedelta(days=1)) == []
    assert not AuditEntry.objects.filter(action__startswith="payment.").exists()


def test_a_payment_that_nobody_told_us_of_is_settled(
    ready: Buyer, stripe: StripeServer, now: datetime
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    assert kinds(now) == [Kind.NOT_RECORDED]
    assert books.unbalanced(now - timedelta(days=1)) == [
        {"currency": "USD", "theirs": Decimal("24.90"), "ours": Decimal(0)}
    ]

    looked = checkout.compare_books(since=now - timedelta(days=1), mend=False, now=now)
    order.refresh_from_db()
    assert (len(looked.left), order.status) == (1, "draft")

    done = mend(now)

    order.refresh_from_db()
    assert ([each.kind for each in done.mended], done.left) == ([Kind.NOT_RECORDED], [])
    assert order.status == "confirmed"
    assert AuditEntry.objects.filter(action="payment.reconciled").count() == 1
    assert kinds(now) == []


def test_money_that_nobody_knows_is_told_and_not_touched(
    paid: Payment, stripe: StripeServer, now: datetime
) -> None:
    intent = stripe.books.create_intent({"amount": "700", "currency": "usd"})
    stripe.books.confirm(intent["id"], "pm_card_visa")

    done = mend(now)

    assert [(each.kind, each.provider_id, each.theirs) for each in done.left] == [
        (Kind.PAID_NO_ORDER, intent["id"], Decimal("7.00"))
    ]
    assert AuditEntry.objects.get(action="payment.differs").object_id == intent["id"]
    assert len(stripe.books.movements) == 2


def test_money_that_the_provider_never_took_flags_the_order_once(
    paid: Payment, stripe: StripeServer, now: datetime
) -> None:
    del stripe.books.objects[paid.provider_id or ""]

    for _ in range(2):
        assert [each.kind for each in mend(now).left] == [Kind.ORDER_NO_PAYMENT]

    assert Order.objects.get().needs_attention == (
        "The provider's books and ours differ (order_no_payment): 0.00 there, 24.90 here."
    )
    assert AuditEntry.objects.filter(action="payment.differs").count() == 1
    paid.refresh_from_db()
    assert paid.status == "CAPTURED"


def test_a_refund_that_came_back_from_the_bank_is_found_and_put_among_those_that_failed(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    checkout.refund_payment(
        actor=staff, payment_id=paid.id, amount=Decimal("4.90"), reason="x", now=now
    )
    assert kinds(now) == []
    stripe.books.fail_refund(stripe.books.all("refund")[0]["id"])
    assert kinds(now) == [Kind.REFUND_MISSING]

    done = mend(now)

    assert ([each.kind for each in done.mended], done.left) == ([Kind.REFUND_MISSING], [])
    order = Order.objects.get()
    assert (order.refunded_total, order.payment_status) == (Decimal(0), "captured")
    assert order.needs_attention == "A refund of 4.90 came back: lost_or_stolen_card"


def test_a_refund_that_the_provider_never_made_is_told(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    checkout.refund_payment(
        actor=staff, payment_id=paid.id, amount=Decimal("4.90"), reason="x", now=now
    )
    [charge] = stripe.books.charges_of(intent_of(paid))
    charge["amount_refunded"] = 0

    [left] = mend(now).left

    assert (left.kind, left.theirs, left.ours) == (Kind.REFUND_MISSING, Decimal(0), Decimal("4.90"))
    assert "refund_missing" in Order.objects.get().needs_attention


def test_a_refund_whose_answer_was_lost_is_written_down(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    stripe.fail("POST /v1/refunds", "act_then_reset")
    with pytest.raises(DependencyUnavailable):
        checkout.refund_payment(actor=staff, payment_id=paid.id, amount=None, reason="x", now=now)
    assert kinds(now) == [Kind.REFUND_NOT_OURS]

    done = mend(now)

    assert done.left == []
    assert len(stripe.books.movements) == 2
    assert Order.objects.get().payment_status == "refunded"


def test_a_second_intent_of_a_payment_is_nobody_s_money(
    paid: Payment, stripe: StripeServer, now: datetime
) -> None:
    twin = stripe.books.create_intent(
        {"amount": "2490", "currency": "usd", "metadata": {"payment_id": str(paid.id)}}
    )
    assert kinds(now) == []  # it took nothing
    stripe.books.confirm(twin["id"], "pm_card_visa")

    assert kinds(now) == [Kind.PAID_NO_ORDER]


def test_from_half_of_a_book_nothing_is_concluded(
    paid: Payment, stripe: StripeServer, now: datetime
) -> None:
    stripe.fail("GET /v1/payment_intents", "500")

    with pytest.raises(DependencyUnavailable):
        mend(now)

    assert Order.objects.get().needs_attention == ""


def call(capsys: Any, command: str, *arguments: str) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as ended:
        call_command(command, *arguments)
    return ended.value.code, capsys.readouterr().out


def test_the_commands_tell_and_mend(ready: Buyer, stripe: StripeServer, capsys: Any) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    code, text = call(capsys, "check_invariants", "--provider", "--only", "P01", "--json")
    assert (code, json.loads(text)["violated"]) == (1, ["B01/provider", "B04/provider"])
    code, text = call(capsys, "reconcile_payments")
    assert (code, "not_recorded" in text) == (1, True)
    code, text = call(capsys, "reconcile_payments", "--fix")
    assert (code, text.splitlines()[-1]) == (0, "1 mended, 0 left")
    assert call(capsys, "check_invariants", "--provider", "--only", "P01")[0] == 0

    stripe.fail("GET /v1/payment_intents", "500", times=3)
    assert call(capsys, "reconcile_payments")[0] == 2
    assert call(capsys, "check_invariants", "--provider", "--only", "P01")[0] == 2
