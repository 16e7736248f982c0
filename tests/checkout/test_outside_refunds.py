"""A refund that its provider cannot make is paid back by other means: once, to the cent, and told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from checkout import books, selectors
from checkout import services as checkout
from checkout.errors import RefundExceedsPayment, RefundNotFound
from checkout.gateway import ProviderRefused, TestGateway
from checkout.models import OutsideRefund, Payment, PaymentStatusChange, Refund
from checkout.services import outside
from checkout.services.adopting import take_back
from config.platform import invariants
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, Conflict, InvalidTransition, ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, User
from notifications.models import Notification
from orders import services as orders
from orders.models import Order, OrderEdit, RefundRequest
from tests import factories
from tests.checkout.conftest import Buyer
from tests.conftest import Api, actor_for
from tests.contract.rules import check_shape
from tests.threads import together

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAID: dict[str, Any] = {"means": "bank_transfer", "reference": "TR-88412", "reason": "card closed"}


@pytest.fixture
def paid(ready: Buyer) -> Payment:
    """Return a captured payment of 24.90: two units of 10.00 and shipping."""
    _, payment = ready.pay()
    ready.simulate(payment)
    payment.refresh_from_db()
    assert (payment.status, payment.amount) == ("CAPTURED", Decimal("24.90"))
    return payment


@pytest.fixture
def refuse(now: datetime) -> Callable[[], RefundRequest]:
    """Return a function that has the provider refuse the refund that is due."""

    def run() -> RefundRequest:
        with patch.object(TestGateway, "refund", side_effect=ProviderRefused("account closed")):
            assert checkout.execute_refunds(now=now) == 0
        return RefundRequest.objects.get(status="failed")

    return run


@pytest.fixture
def failed(
    paid: Payment, staff: Actor, now: datetime, refuse: Callable[[], RefundRequest]
) -> RefundRequest:
    """Return a refund of 5.00 that the provider refused."""
    orders.request_refund(
        actor=staff, order_id=paid.order_id, amount=Decimal("5.00"), reason="late", now=now
    )
    return refuse()


def pay_back(actor: Actor, request: RefundRequest, now: datetime, **changes: Any) -> OutsideRefund:
    values = {**PAID, "paid_on": now.date(), **changes}
    return checkout.pay_back_outside(actor=actor, request_id=request.pk, now=now, **values)


def written() -> tuple[Any, ...]:
    """Return everything that paying back writes."""
    return (
        list(Payment.objects.order_by("pk").values("status", "outside_amount", "refunded_amount")),
        list(Order.objects.order_by("pk").values("status", "payment_status", "refunded_total")),
        list(RefundRequest.objects.order_by("pk").values("status", "done_at", "failure")),
        [model.objects.count() for model in (OutsideRefund, PaymentStatusChange, OutboxEvent)],
        AuditEntry.objects.filter(action="refund.paid_outside").count(),
        OrderEdit.objects.count(),
    )


# --- what it does ---------------------------------------------------------------------------------


def test_the_refund_is_done_and_every_cent_stands_once(
    failed: RefundRequest, paid: Payment, staff: Actor, now: datetime
) -> None:
    assert "failed: account closed" in Order.objects.get().needs_attention

    done = pay_back(staff, failed, now)

    paid.refresh_from_db()
    failed.refresh_from_db()
    order = Order.objects.get()
    assert (done.amount, done.means, done.reference) == (
        Decimal("5.00"),
        "bank_transfer",
        "TR-88412",
    )
    assert (failed.status, failed.done_at, failed.failure) == ("done", now, "")
    assert (order.refunded_total, order.payment_status) == (Decimal("5.00"), "partially_refunded")
    assert order.needs_attention == ""
    assert (paid.status, paid.refunded_amount, paid.outside_amount, paid.kept) == (
        "PARTIALLY_REFUNDED", Decimal(0), Decimal("5.00"), Decimal("19.90"),
    )  # fmt: skip
    assert Refund.objects.get().status == "FAILED"
    step = paid.status_changes.get(to_status="PARTIALLY_REFUNDED")
    assert (step.refunded, "bank transfer, TR-88412" in step.notes) == (0, True)
    entry = AuditEntry.objects.get(action="refund.paid_outside")
    assert (entry.actor, entry.reason, entry.object_id) == (
        staff.label,
        "card closed",
        str(failed.pk),
    )
    assert entry.after["reference"] == "TR-88412"


def test_the_provider_is_never_asked_for_that_money_again(
    failed: RefundRequest, paid: Payment, staff: Actor, now: datetime
) -> None:
    pay_back(staff, failed, now)

    assert checkout.refundable(payment_id=paid.pk) == Decimal("19.90")
    with pytest.raises(RefundExceedsPayment):
        checkout.refund_payment(
            actor=staff, payment_id=paid.pk, amount=Decimal("19.91"), reason="x", now=now
        )
    assert checkout.execute_refunds(now=now) == 0
    checkout.refund_payment(actor=staff, payment_id=paid.pk, amount=None, reason="rest", now=now)

    paid.refresh_from_db()
    assert (paid.status, paid.refunded_amount, paid.outside_amount) == (
        "REFUNDED", Decimal("19.90"), Decimal("5.00"),
    )  # fmt: skip
    assert Order.objects.get().payment_status == "refunded"
    assert (
        books.compare(since=now - timedelta(days=1)) == []
    )  # the provider's books stay as they are


def test_the_whole_of_a_cancelled_order_leaves_no_money_kept(
    paid: Payment, staff: Actor, now: datetime, refuse: Callable[[], RefundRequest]
) -> None:
    orders.cancel(actor=staff, order_id=paid.order_id, reason="asked", now=now)
    failed = refuse()
    long_ago = now - timedelta(hours=1)

    def kept() -> list[Any]:
        Order.objects.update(updated_at=long_ago)
        Payment.objects.update(updated_at=long_ago)
        [result] = invariants.run(invariants.select(invariants.all_checks(), only=["P06"]))
        return list(result.rows)

    assert kept()

    pay_back(staff, failed, now, means="cash")

    order = Order.objects.get()
    assert (order.status, order.payment_status, order.refunded_total) == (
        "cancelled", "refunded", order.grand_total,
    )  # fmt: skip
    assert kept() == []


def test_a_payment_too_many_is_no_part_of_the_order(
    paid: Payment, staff: Actor, now: datetime
) -> None:
    order = Order.objects.get()
    second = Payment.objects.create(
        order=order, provider="test", method="test", status="CAPTURED", amount=paid.amount,
        captured_amount=paid.amount, currency="USD", idempotency_key="second", created_at=now,
    )  # fmt: skip
    PaymentStatusChange.objects.create(
        payment=second, to_status="CAPTURED", captured=paid.amount, at=now
    )
    request = orders.return_payment(
        actor=staff, order_id=order.pk, payment_id=second.pk, amount=paid.amount, reason="twice",
        now=now,
    )  # fmt: skip
    orders.fail_refund(actor=staff, request_id=request.pk, failure="closed", now=now)

    pay_back(staff, request, now)

    order.refresh_from_db()
    second.refresh_from_db()
    paid.refresh_from_db()
    assert (order.refunded_total, order.payment_status) == (Decimal(0), "captured")
    assert (second.status, second.kept) == ("REFUNDED", Decimal(0))
    assert (paid.status, paid.kept) == ("CAPTURED", paid.amount)
    OutboxEvent.objects.create(  # what the provider's own message would have announced
        name="payment.captured", aggregate_type="order", aggregate_id=order.pk, company_id=order.company_id,
        payload={"payment_id": str(second.pk)}, occurred_at=now, next_attempt_at=now,
    )  # fmt: skip


def test_a_refund_that_fails_again_after_it_came_back_can_be_paid_otherwise(
    paid: Payment, staff: Actor, now: datetime
) -> None:
    checkout.refund_payment(
        actor=staff, payment_id=paid.pk, amount=Decimal("5.00"), reason="late", now=now
    )
    take_back(refund_id=Refund.objects.get().pk, failure="closed", now=now)

    pay_back(staff, RefundRequest.objects.get(), now)

    paid.refresh_from_db()
    assert (paid.refunded_amount, paid.outside_amount) == (Decimal(0), Decimal("5.00"))


# --- what it refuses ------------------------------------------------------------------------------


def test_it_is_noted_once(failed: RefundRequest, staff: Actor, now: datetime) -> None:
    pay_back(staff, failed, now)
    before = written()

    with pytest.raises(InvalidTransition):
        pay_back(staff, failed, now, reference="TR-2")
    with pytest.raises(InvalidTransition):
        orders.retry_refund(actor=staff, request_id=failed.pk, now=now)

    assert written() == before


@pytest.mark.parametrize("state", ["due", "done"])
def test_only_what_failed_is_paid_otherwise(
    paid: Payment, staff: Actor, now: datetime, state: str
) -> None:
    request = orders.request_refund(
        actor=staff, order_id=paid.order_id, amount=Decimal("5.00"), reason="late", now=now
    )
    if state == "done":
        assert checkout.execute_refunds(now=now) == 1
    before = written()

    with pytest.raises(InvalidTransition):
        pay_back(staff, request, now)

    assert written() == before


def test_what_went_back_in_another_way_is_not_paid_again(
    failed: RefundRequest, paid: Payment, staff: Actor, now: datetime
) -> None:
    checkout.refund_payment(actor=staff, payment_id=paid.pk, amount=None, reason="all", now=now)
    before = written()

    with pytest.raises(RefundExceedsPayment):
        pay_back(staff, failed, now)

    assert written() == before


@pytest.mark.usefixtures("broken_on_purpose")
def test_what_was_never_taken_is_not_paid_back(
    failed: RefundRequest, paid: Payment, staff: Actor, now: datetime
) -> None:
    Payment.objects.update(status="FAILED", captured_amount=0)
    before = written()

    with pytest.raises(RefundExceedsPayment):
        pay_back(staff, failed, now)

    assert written() == before


def test_a_refund_whose_exchange_is_open_waits(
    failed: RefundRequest, paid: Payment, ready: Buyer, staff: Actor, now: datetime
) -> None:
    other = Buyer.arrive(paid.order.company, now).add(factories.make_priced_variant("10.00"))
    waiting = other.begin().fill().place()
    RefundRequest.objects.update(moved_amount=Decimal(1), moved_to=waiting)
    before = written()

    with pytest.raises(Conflict):
        pay_back(staff, failed, now)

    assert written() == before
    RefundRequest.objects.update(moved_amount=Decimal(0), moved_to=None)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"reference": " ", "reason": ""}, ["reference", "reason"]),
        ({"reference": "4242 4242 4242 4242"}, ["reference"]),
        ({"reason": "a\nb"}, ["reason"]),
        ({"means": "gold"}, ["means"]),
        ({"paid_on": date(2999, 1, 1)}, ["paidOn"]),
        ({"paid_on": date(2001, 1, 1)}, ["paidOn"]),
    ],
    ids=["blank", "card", "line-break", "means", "future", "past"],
)
def test_what_is_noted_has_to_be_whole(
    failed: RefundRequest, staff: Actor, now: datetime, changes: Any, fields: list[str]
) -> None:
    before = written()

    with pytest.raises(ValidationFailed) as refusal:
        pay_back(staff, failed, now, **changes)

    assert [error.field for error in refusal.value.errors] == fields
    assert written() == before


def test_a_long_reference_of_a_bank_is_not_taken_for_a_card(
    failed: RefundRequest, staff: Actor, now: datetime
) -> None:
    assert pay_back(staff, failed, now, reference="9012 0000 0000 0000 04").pk


def test_another_company_s_refund_is_not_there(
    failed: RefundRequest, now: datetime, staff_user: User
) -> None:
    stranger = actor_for(staff_user, factories.make_company())
    before = written()

    with pytest.raises(RefundNotFound):
        pay_back(stranger, failed, now)

    assert written() == before


# --- everybody at once ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_who_note_it_or_try_it_again_one_succeeds(
    failed: RefundRequest, staff: Actor, now: datetime
) -> None:
    def one(index: int) -> str:
        try:
            if index % 3 == 0:
                orders.retry_refund(actor=staff, request_id=failed.pk, now=now)
                return "again"
            pay_back(staff, failed, now, reference=f"TR-{index}")
        except ApplicationError as refusal:
            return refusal.code
        return "paid"

    results = together(6, one)

    failed.refresh_from_db()
    outcome = {"done": ["paid"], "due": ["again"]}[failed.status]
    assert [result for result in results if result != "INVALID_STATUS_TRANSITION"] == outcome
    assert OutsideRefund.objects.count() == (failed.status == "done")


@pytest.mark.django_db(transaction=True)
def test_without_the_locks_two_get_past_the_check(
    failed: RefundRequest, staff: Actor, now: datetime
) -> None:
    """Only the unique request keeps the second one out then, and staff see an error instead of a refusal."""
    both = threading.Barrier(2)
    choose = outside.payment_for

    def unlocked(*, actor: Actor, order_id: Any) -> Order:
        return Order.objects.get(pk=order_id)

    def choose_together(request: RefundRequest, payments: Any) -> Payment | None:
        both.wait(60)
        return choose(request, payments)

    def one(index: int) -> str:
        try:
            pay_back(staff, failed, now)
        except (ApplicationError, IntegrityError) as failure:
            return type(failure).__name__
        return "paid"

    with (
        patch.object(outside.orders, "lock", unlocked),
        patch.object(outside, "lock_payments", lambda _request: list(Payment.objects.all())),
        patch.object(outside, "payment_for", choose_together),
    ):
        results = together(2, one)

    assert sorted(results) == ["IntegrityError", "paid"]


# --- whoever uses it ------------------------------------------------------------------------------


def test_staff_note_it_by_api(
    failed: RefundRequest, paid: Payment, staff_api: Api, now: datetime
) -> None:
    order = Order.objects.get()
    base = f"/orders/{order.number}/refunds"
    body = {
        "means": "cash",
        "reference": "till 4",
        "reason": "asked",
        "paidOn": now.date().isoformat(),
    }
    [row] = staff_api.get(base).json()["results"]
    assert (row["status"], row["failure"], row["outside"]) == ("failed", "account closed", None)

    answer = staff_api.post(f"{base}/{failed.pk}/pay-outside", body, key="k1")
    again = staff_api.post(f"{base}/{failed.pk}/pay-outside", body, key="k1")
    second = staff_api.post(f"{base}/{failed.pk}/pay-outside", body)

    assert answer.status_code == 201, answer.json()
    told = answer.json()
    check_shape(told)
    assert (told["status"], told["paidOut"], told["outside"]["means"]) == ("done", "5.00", "cash")
    assert told["outside"]["paidOn"] == body["paidOn"]
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert (second.status_code, second.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    assert staff_api.get(base).json()["results"] == [told]
    payment = staff_api.get(f"/payments/{paid.pk}").json()
    assert (payment["refundedAmount"], payment["refundedOutsideAmount"]) == ("0.00", "5.00")


def test_staff_try_it_again_by_api(failed: RefundRequest, staff_api: Api) -> None:
    number = Order.objects.get().number

    answer = staff_api.post(f"/orders/{number}/refunds/{failed.pk}/retry")
    again = staff_api.post(f"/orders/{number}/refunds/{failed.pk}/retry")

    assert (answer.status_code, answer.json()["status"], answer.json()["failure"]) == (
        200,
        "due",
        None,
    )
    assert again.json()["code"] == "INVALID_STATUS_TRANSITION"


def test_a_refund_is_found_only_at_its_order(
    failed: RefundRequest, ready: Buyer, staff_api: Api, now: datetime
) -> None:
    other = Buyer.arrive(failed.order.company, now).add(factories.make_priced_variant("10.00"))
    number = other.begin().fill().place().number
    body = {**PAID, "paidOn": now.date().isoformat()}
    before = written()

    for path in (f"{number}/refunds/{failed.pk}", f"{failed.order.number}/refunds/{uuid4()}"):
        for deed, sent in (("retry", {}), ("pay-outside", body)):
            answer = staff_api.post(f"/orders/{path}/{deed}", sent)
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")

    assert written() == before


@pytest.mark.parametrize(
    "body",
    [{}, {"means": "gold"}, {"paidOn": "yesterday"}, {"amount": "5.00"}, {"reference": ["x"]}],
    ids=["empty", "means", "day", "unknown", "list"],
)
def test_a_wrong_body_is_refused(failed: RefundRequest, staff_api: Api, now: datetime, body: Any) -> None:  # fmt: skip
    sent = {**PAID, "paidOn": now.date().isoformat(), **body} if body else {}
    before = written()

    answer = staff_api.post(f"/orders/{failed.order.number}/refunds/{failed.pk}/pay-outside", sent)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert written() == before


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def test_staff_note_it_from_the_order(
    failed: RefundRequest, staff_user: User, now: datetime
) -> None:
    office = signed_in(staff_user)
    bench = reverse("admin:orders_order_change", args=[failed.order_id])
    page = reverse("admin:checkout_outsiderefund_note", args=[failed.pk])
    assert page in office.get(bench).content.decode()
    assert "account closed" in office.get(page).content.decode()
    form = {
        "means": "cheque",
        "reference": "",
        "paid_on": now.date().isoformat(),
        "reason": "asked",
    }

    assert office.post(page, form).status_code == 200
    assert OutsideRefund.objects.count() == 0
    answer = office.post(page, {**form, "reference": "No. 17"})

    assert answer["Location"] == bench
    assert OutsideRefund.objects.get().means == "cheque"
    assert page not in office.get(bench).content.decode()
    again = office.post(page, {**form, "reference": "No. 18"})
    assert "Only a refund that failed" in again.content.decode()
    assert OutsideRefund.objects.count() == 1
    assert "No. 17" in office.get(reverse("admin:checkout_outsiderefund_changelist")).content.decode()  # fmt: skip


def test_it_needs_a_right_of_its_own(failed: RefundRequest, now: datetime) -> None:
    clerk = factories.make_staff(is_superuser=False)
    clerk.user_permissions.set(
        Permission.objects.filter(
            codename__in=["view_order", "change_order", "change_refundrequest"]
        )
    )
    page = reverse("admin:checkout_outsiderefund_note", args=[failed.pk])
    bench = reverse("admin:orders_order_change", args=[failed.order_id])
    form = {"means": "cash", "reference": "x", "paid_on": now.date().isoformat(), "reason": "x"}

    assert page not in signed_in(clerk).get(bench).content.decode()
    assert signed_in(clerk).get(page).status_code == 403
    assert signed_in(clerk).post(page, form).status_code == 403
    assert OutsideRefund.objects.count() == 0


def test_the_page_of_another_company_s_refund_is_not_there(
    failed: RefundRequest, staff_user: User
) -> None:
    there = factories.make_company()
    page = reverse("admin:checkout_outsiderefund_note", args=[failed.pk])

    answer = signed_in(staff_user).get(page, headers={"X-Company-Id": str(there.pk)})

    assert answer.status_code == 404


def test_the_customer_is_told_once_how_it_came(
    failed: RefundRequest, staff: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    pay_back(staff, failed, now)

    deliver()
    OutboxEvent.objects.filter(name="payment.refunded_outside").update(
        published_at=None, next_attempt_at=now
    )
    deliver()

    [mail] = Notification.objects.filter(channel="refund-outside")
    assert mail.recipient == "ada@example.com"
    assert "$5.00" in mail.subject
    assert "by bank transfer" in mail.body_text
    assert "TR-88412" in mail.body_text
    assert "card closed" not in mail.body_text + mail.body_html  # what staff wrote to each other
    assert not Notification.objects.filter(channel="refund-processed").exists()


def test_the_list_costs_the_same_for_one_and_for_many(
    failed: RefundRequest, staff: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    pay_back(staff, failed, now)
    for _ in range(9):
        orders.request_refund(
            actor=staff, order_id=failed.order_id, amount=Decimal("0.10"), reason="x", now=now
        )

    with django_assert_num_queries(2):
        assert len(selectors.refunds_of(order_id=failed.order_id)) == 10
