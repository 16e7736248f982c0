"""Money that is promised, not collected: warned of in time, collected by staff, and held back when the promise ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checkout import selectors, tasks
from checkout import services as checkout
from checkout.gateway import TestGateway
from checkout.models import Payment
from config.platform import alerts
from config.platform.models import Alert
from notifications import services as notices
from notifications.models import Notification
from orders import services as orders
from orders.errors import OrderInReview
from tests.checkout.conftest import Buyer, intent_of
from tests.factories import make_staff
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def promised(ready: Buyer, settings: Any) -> Payment:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    _, payment = ready.pay()
    ready.simulate(payment)
    payment.refresh_from_db()
    return payment


def office(*rights: str) -> Client:
    clerk = make_staff(is_superuser=not rights)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(clerk, BACKEND)
    return client


def at(name: str, *args: Any) -> str:
    return reverse(f"admin:checkout_payment_{name}", args=args)


def test_both_providers_say_until_when_a_promise_holds(
    ready: Buyer, stripe: StripeServer, settings: Any, now: datetime
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()

    payment.refresh_from_db()

    [charge] = stripe.books.charges_of(intent_of(payment))
    told = charge["payment_method_details"]["card"]["capture_before"]
    assert payment.capture_before is not None
    assert payment.capture_before.timestamp() == told


def test_who_has_to_collect_is_warned_two_days_before(
    promised: Payment, company: Any, settings: Any
) -> None:
    settings.ALERT_EMAILS = ["desk@example.com"]
    ends = promised.capture_before
    assert ends is not None

    def look(moment: datetime) -> list[str]:
        alerts.evaluate(now=moment)
        raised = Alert.objects.filter(rule="authorization_ends", resolved_at=None)
        return [alert.subject for alert in raised]

    assert look(ends - timedelta(hours=49)) == []
    assert list(selectors.to_collect(now=ends - timedelta(hours=49))) == []
    assert look(ends - timedelta(hours=47)) == [promised.order.number]
    notices.mail_alerts(now=ends)
    assert Notification.objects.get(channel="alert").recipient == "desk@example.com"

    Payment.objects.update(capture_before=timezone.now() + timedelta(hours=1))
    client = office()
    assert promised.order.number in client.get(at("changelist"), {"work": "collect"}).content.decode()  # fmt: skip
    assert "1</strong> payment to collect within two days" in client.get("/admin/").content.decode()
    Payment.objects.update(capture_before=timezone.now() + timedelta(days=3))
    assert promised.order.number not in client.get(at("changelist"), {"work": "collect"}).content.decode()  # fmt: skip


def test_staff_collect_with_the_amount_before_them(promised: Payment) -> None:
    client = office()
    asked = client.get(at("collect", promised.pk)).content.decode()
    assert "24.9" in asked
    assert Payment.objects.get().status == "AUTHORIZED"

    refused = client.post(at("collect", promised.pk), {"amount": "20.00"})
    assert (refused.status_code, Payment.objects.get().status) == (200, "AUTHORIZED")
    for _ in range(2):
        done = client.post(at("collect", promised.pk), {"amount": "24.90"}, follow=True)
        assert "The money is collected." in done.content.decode()

    assert Payment.objects.get().captured_amount == Decimal("24.90")
    assert at("collect", promised.pk) not in client.get(at("change", promised.pk)).content.decode()


def test_staff_refund_no_more_than_is_left(promised: Payment) -> None:
    client = office()
    client.post(at("collect", promised.pk), {"amount": "24.90"})
    assert client.get(at("give_back", promised.pk)).status_code == 200

    for amount, reason in (("25.00", "x"), ("0", "x"), ("-1", "x"), ("1", ""), ("x", "x")):
        page = client.post(at("give_back", promised.pk), {"amount": amount, "reason": reason})
        assert (page.status_code, Payment.objects.get().refunded_amount) == (200, 0), amount
    key = client.get(at("give_back", promised.pk)).context["form_key"]
    for _ in range(2):  # pressed twice
        form = {"amount": "4.90", "reason": "late", "key": key}
        assert client.post(at("give_back", promised.pk), form).status_code == 302

    payment = Payment.objects.get()
    assert (payment.refunded_amount, payment.status) == (Decimal("4.90"), "PARTIALLY_REFUNDED")
    client.post(at("give_back", promised.pk), {"amount": "20.00", "reason": "late"})
    assert at("give_back", promised.pk) not in client.get(at("change", promised.pk)).content.decode()  # fmt: skip


def test_who_may_only_look_moves_no_money(promised: Payment) -> None:
    viewer = office("view_payment")
    page = viewer.get(at("change", promised.pk))

    assert page.status_code == 200
    for name in ("collect", "give_back", "ask_again"):
        assert at(name, promised.pk) not in page.content.decode()
        answer = viewer.post(at(name, promised.pk), {"amount": "24.90", "reason": "x"})
        assert answer.status_code in (302, 403)
        assert answer.headers.get("Location", "/admin/login/") != at("change", promised.pk)
    assert Payment.objects.get().status == "AUTHORIZED"


@pytest.mark.parametrize("provider", ["test", "stripe"])
def test_a_promise_that_ended_holds_the_order_back_and_says_so(
    ready: Buyer, stripe: StripeServer, settings: Any, staff: Any, now: datetime, provider: str
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("card" if provider == "stripe" else "test")
    if provider == "stripe":
        stripe.books.confirm(intent_of(payment), "pm_card_visa")
        ready.complete()
        stripe.books.cancel(intent_of(payment), {"cancellation_reason": "automatic"})
    else:
        ready.simulate(payment)
        TestGateway().simulate_expiry(provider_id=intent_of(payment))
    Payment.objects.update(updated_at=now - timedelta(hours=1))
    [invoice] = orders.write_invoices(actor=staff, order_id=order.pk, now=now)

    tasks.reconcile.run()
    tasks.reconcile.run()

    order.refresh_from_db()
    payment.refresh_from_db()
    words = "The authorisation of 24.90 USD ended before it was collected: nothing was paid."
    assert (order.status, order.payment_status, order.review) == (
        "confirmed", "cancelled", "pending",
    )  # fmt: skip
    assert (order.needs_attention, order.review_reason) == (words, words)
    assert order.edits.filter(field="needs_attention").count() == 1
    last = payment.status_changes.last()
    assert last is not None
    assert (last.from_status, last.to_status, last.notes) == (
        "AUTHORIZED", "CANCELLED", "nothing was collected",
    )  # fmt: skip
    with pytest.raises(OrderInReview):
        orders.ship(actor=staff, order_id=order.pk, now=now)
    assert orders.write_invoices(actor=staff, order_id=order.pk, now=now) == [invoice]
    orders.review(actor=staff, order_id=order.pk, approve=False, reason="not paid", now=now)
    order.refresh_from_db()
    assert order.status == "cancelled"
    _, note = orders.write_invoices(actor=staff, order_id=order.pk, now=now)
    assert (note.kind, note.amount, note.content["reason"]) == (
        "credit_note", invoice.amount, "not paid",
    )  # fmt: skip
    assert checkout.execute_refunds(now=now) == 0


def test_a_second_promise_for_an_order_that_is_paid_is_let_go(
    ready: Buyer, stripe: StripeServer, staff: Any, settings: Any, now: datetime
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    _, first = ready.pay("card")
    with pytest.raises(StripeProblem):
        stripe.books.confirm(intent_of(first), "pm_card_chargeDeclined")
    checkout.settle(payment_id=first.pk, now=now)
    order, second = ready.pay("card")
    stripe.books.confirm(intent_of(second), "pm_card_visa")
    checkout.settle(payment_id=second.pk, now=now)
    checkout.capture(actor=staff, payment_id=second.pk, amount=None, now=now)

    stripe.books.confirm(intent_of(first), "pm_card_visa")  # in a tab that was left open
    checkout.settle(payment_id=first.pk, now=now)

    first.refresh_from_db()
    order.refresh_from_db()
    assert list(first.status_changes.values_list("to_status", flat=True))[-2:] == ["AUTHORIZED", "CANCELLED"]  # fmt: skip
    assert (order.status, order.payment_status, order.review, order.needs_attention) == (
        "confirmed", "captured", "", "",
    )  # fmt: skip


def test_a_dispute_says_how_it_stands_and_by_when_to_answer(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    dispute = stripe.books.dispute(intent_of(payment))

    def settle() -> tuple[str, str]:
        checkout.settle(payment_id=payment.pk, now=now)
        order.refresh_from_db()
        payment.refresh_from_db()
        return payment.dispute_status, order.needs_attention

    assert settle() == ("needs_response", "The customer disputes the payment.")
    assert payment.evidence_due_at is not None
    assert payment.evidence_due_at.timestamp() == dispute["evidence_details"]["due_by"]
    assert (payment.dispute_reason, payment.is_disputed, order.is_disputed) == (
        "fraudulent", True, True,
    )  # fmt: skip
    client = office()
    todo = client.get(at("changelist"), {"work": "evidence"}).content.decode()
    assert order.number in todo
    assert "disputed: answer it" in client.get(at("change", payment.pk)).content.decode()

    dispute["status"] = "under_review"
    assert settle() == ("under_review", "The customer disputes the payment.")
    assert order.number not in client.get(at("changelist"), {"work": "evidence"}).content.decode()
    dispute["status"] = "lost"
    assert settle() == ("lost", "The dispute was lost: the bank took the money back.")
    edits = order.edits.count()
    assert settle()[0] == "lost"
    assert order.edits.count() == edits  # said once
    assert payment.captured_amount == Decimal("24.90")  # what was taken stays in the books


def test_a_dispute_that_was_won_says_that_the_money_stays(
    ready: Buyer, stripe: StripeServer, now: datetime
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    stripe.books.dispute(intent_of(payment))["status"] = "won"

    checkout.settle(payment_id=payment.pk, now=now)

    order.refresh_from_db()
    assert (order.status, order.needs_attention) == (
        "confirmed", "The dispute was won: the money stays here.",
    )  # fmt: skip
