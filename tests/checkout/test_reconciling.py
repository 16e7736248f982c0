"""The desk where both books lie: a difference of each class is found, fixed once, and harmless to fix again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout import services as checkout
from checkout import tasks
from checkout.books import Kind
from checkout.models import Payment, ReconciliationFinding, ReconciliationRun, Refund, WebhookInbox
from checkout.services import Step
from config.platform.errors import ApplicationError, Conflict, DependencyUnavailable
from config.platform.models import AuditEntry
from orders import services as orders
from orders.models import Order
from tests import factories
from tests.checkout.conftest import Buyer, intent_of
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(ready: Buyer, stripe: StripeServer) -> Payment:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    payment.refresh_from_db()
    return payment


def compare(actor: Any, now: datetime, *, mends: bool = False, days: int = 1) -> ReconciliationRun:
    run = checkout.request_run(
        actor=actor, since=now - timedelta(days=days), until=now + timedelta(minutes=1), mends=mends,
        now=now + timedelta(minutes=1),
    )  # fmt: skip
    checkout.work_runs(now=now + timedelta(minutes=1))
    run.refresh_from_db()
    return run


def only(state: str = "OPEN") -> ReconciliationFinding:
    return ReconciliationFinding.objects.get(state=state)


def fix(actor: Any, finding: ReconciliationFinding, step: Step, now: datetime) -> str:
    fixed = checkout.fix(
        actor=actor, finding_id=finding.pk, step=step, seen=finding.fingerprint, now=now
    )
    return fixed.state


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_keeps_what_it_found_and_by_whom(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")

    run = compare(staff, now)

    assert (run.state, run.percent, run.counts, run.left, run.mended) == (
        "DONE", 100, {"not_recorded": 1}, 1, 0,
    )  # fmt: skip
    assert (run.actor, run.ended_at is not None) == (staff.label, True)
    found = only()
    assert (found.kind, found.payment_id, found.order_id, found.company_id) == (
        Kind.NOT_RECORDED, payment.pk, order.pk, staff.company_id,
    )  # fmt: skip
    assert (found.theirs, found.ours, found.provider_id) == (
        payment.amount, Decimal(0), payment.provider_id,
    )  # fmt: skip
    assert AuditEntry.objects.get(action="books.compared").object_id == str(run.pk)
    order.refresh_from_db()
    assert order.status == "draft"  # looking changes nothing
    checkout.settle(payment_id=payment.pk, now=now)


def test_the_night_mends_what_is_safe_and_writes_the_same_rows(
    ready: Buyer, stripe: StripeServer, company: Any, now: datetime
) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    stray = stripe.books.create_intent({"amount": "700", "currency": "usd"})
    stripe.books.confirm(stray["id"], "pm_card_visa")

    tasks.compare_books.run()
    tasks.work_reconciliation.run()

    run = ReconciliationRun.objects.get(company=company)
    assert (run.state, run.mended, run.left, run.actor) == ("DONE", 1, 1, "system")
    assert run.counts == {"not_recorded": 1, "paid_no_order": 1}
    mended = only("FIXED")
    assert (mended.kind, mended.closed_by) == (Kind.NOT_RECORDED, "system")
    assert (only().kind, only().company_id, only().order_id) == (Kind.PAID_NO_ORDER, None, None)
    payment.refresh_from_db()
    assert payment.status == "CAPTURED"
    stripe.books.refund({"payment_intent": stray["id"]})


def test_a_difference_that_is_gone_is_closed_by_the_next_run(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    compare(staff, now)
    checkout.settle(payment_id=payment.pk, now=now)

    run = compare(staff, now + timedelta(minutes=5))

    assert (run.counts, run.left) == ({}, 0)
    assert (only("FIXED").closed_by, only("FIXED").outcome[:16]) == ("system", "The books agreed")


def test_a_long_period_is_compared_in_turns_and_goes_on_where_it_broke_off(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    run = checkout.request_run(
        actor=staff, since=now - timedelta(days=12), until=now, mends=False, now=now
    )
    stripe.fail("GET /v1/payment_intents", "500", times=1)
    checkout.work_runs(now=now)
    run.refresh_from_db()
    assert (run.state, run.percent, run.error[:20]) == ("WAITING", 0, "The payment provider")
    assert ReconciliationFinding.objects.count() == 0

    checkout.work_runs(now=now)
    run.refresh_from_db()
    assert run.state == "WAITING"  # not before its time
    checkout.work_runs(now=now + timedelta(minutes=1))

    run.refresh_from_db()
    assert (run.state, run.percent, run.error) == ("DONE", 100, "")


def test_a_provider_that_stays_silent_fails_the_run_and_concludes_nothing(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    ReconciliationFinding.objects.create(
        key="x", kind="paid_no_order", theirs=1, ours=0, about_at=now, first_seen_at=now, last_seen_at=now,
    )  # fmt: skip
    run = checkout.request_run(
        actor=staff, since=now - timedelta(days=1), until=now, mends=True, now=now
    )
    stripe.fail("GET /v1/payment_intents", "500", times=20)
    for minute in range(6):
        checkout.work_runs(now=now + timedelta(minutes=minute))

    run.refresh_from_db()
    assert (run.state, run.attempts) == ("FAILED", 5)
    assert only().key == "x"  # still open
    checkout.request_run(
        actor=staff, since=now - timedelta(days=1), until=now, mends=False, now=now
    )


def test_one_run_of_a_company_at_a_time(company: Any, staff: Any, now: datetime) -> None:
    ask: Callable[[], Any] = lambda: checkout.request_run(
        actor=staff, since=now - timedelta(days=1), until=now, mends=False, now=now
    )
    ask()
    with pytest.raises(Conflict):
        ask()
    assert ReconciliationRun.objects.count() == 1
    assert checkout.request_nightly(now=now) == []
    other = replace(staff, company_id=factories.make_company().pk)
    checkout.request_run(
        actor=other, since=now - timedelta(days=1), until=now, mends=False, now=now
    )


@pytest.mark.parametrize(("since", "until"), [(0, 0), (-1, -2), (-400, 0), (1, 2)])
def test_a_period_that_is_none_is_refused(
    company: Any, staff: Any, now: datetime, since: int, until: int
) -> None:
    with pytest.raises(ApplicationError):
        checkout.request_run(
            actor=staff, since=now + timedelta(days=since), until=now + timedelta(days=until), mends=False,
            now=now,
        )  # fmt: skip
    assert not ReconciliationRun.objects.exists()


def test_another_company_s_differences_are_not_found_nor_fixed(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    stranger = replace(staff, company_id=factories.make_company().pk)

    assert compare(stranger, now, mends=True).counts == {}
    compare(staff, now)
    with pytest.raises(ApplicationError) as refused:
        fix(stranger, only(), Step.SETTLE, now)

    assert (refused.value.code, refused.value.http_status) == ("NOT_FOUND", 404)
    assert Payment.objects.get().status == "PENDING"
    assert fix(staff, only(), Step.SETTLE, now) == "FIXED"


# --- one click for each class ---------------------------------------------------------------------


def not_recorded(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    _, payment = buyer.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    return Step.SETTLE


def refund_not_ours(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    payment = _paid(buyer, stripe)
    stripe.fail("POST /v1/refunds", "act_then_reset")
    with pytest.raises(DependencyUnavailable):
        checkout.refund_payment(
            actor=staff, payment_id=payment.pk, amount=None, reason="x", now=buyer.now
        )
    return Step.REFUND_DUE


def twin_of_a_paid_order(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    _twin(stripe, _paid(buyer, stripe))
    return Step.LINK


def twin_of_an_open_order(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    _, payment = buyer.pay("card")
    _twin(stripe, payment)
    return Step.LINK


def stray_money(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    stray = stripe.books.create_intent({"amount": "700", "currency": "usd"})
    stripe.books.confirm(stray["id"], "pm_card_visa")
    return Step.GIVE_BACK


def failing_message(buyer: Buyer, stripe: StripeServer, staff: Any) -> Step:
    WebhookInbox.objects.create(
        provider="stripe", event_id="evt_1", type="x", object_id="pi_1", received_at=buyer.now,
        next_attempt_at=buyer.now, attempts=12, dead_at=buyer.now,
    )  # fmt: skip
    return Step.WORK_OFF


def _paid(buyer: Buyer, stripe: StripeServer) -> Payment:
    _, payment = buyer.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    buyer.complete()
    return Payment.objects.get(pk=payment.pk)


def _twin(stripe: StripeServer, payment: Payment) -> None:
    twin = stripe.books.create_intent(
        {
            "amount": "2490",
            "currency": "usd",
            "metadata": {"payment_id": str(payment.pk), "order_id": str(payment.order_id)},
        }
    )
    stripe.books.confirm(twin["id"], "pm_card_visa")


@pytest.mark.parametrize(
    ("plant", "kind", "payment_status"),
    [
        (not_recorded, Kind.NOT_RECORDED, "captured"),
        (refund_not_ours, Kind.REFUND_NOT_OURS, "refunded"),
        (twin_of_a_paid_order, Kind.PAID_NO_ORDER, "captured"),
        (twin_of_an_open_order, Kind.PAID_NO_ORDER, "captured"),
        (stray_money, Kind.PAID_NO_ORDER, None),
        (failing_message, Kind.STUCK, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_class_is_fixed_by_one_click_and_the_second_is_harmless(
    ready: Buyer,
    stripe: StripeServer,
    staff: Any,
    now: datetime,
    plant: Any,
    kind: Kind,
    payment_status: str | None,
) -> None:
    step = plant(ready, stripe, staff)
    compare(staff, now)
    finding = only()
    assert (finding.kind, checkout.steps_for(finding)[0]) == (kind, step)

    assert fix(staff, finding, step, now) == "FIXED"
    checkout.execute_refunds(now=now)  # what was paid twice goes back
    movements = list(stripe.books.movements)
    rows = (Payment.objects.count(), Refund.objects.count(), AuditEntry.objects.count())
    assert fix(staff, finding, step, now) == "FIXED"
    checkout.execute_refunds(now=now)

    assert stripe.books.movements == movements
    assert rows == (Payment.objects.count(), Refund.objects.count(), AuditEntry.objects.count())
    closed = only("FIXED")
    assert (closed.closed_by, bool(closed.outcome)) == (staff.label, True)
    assert AuditEntry.objects.filter(action="difference.fixed").count() == 1
    if payment_status is not None:
        assert Order.objects.get().payment_status == payment_status
    assert compare(staff, now + timedelta(minutes=5)).counts == {}


def more_than_is_left(payment: Payment, stripe: StripeServer, staff: Any, now: datetime) -> None:
    """Staff owe 20.00 of 24.90, and somebody gives back 6.00 at Stripe itself."""
    orders.request_refund(
        actor=staff, order_id=payment.order_id, amount=Decimal(20), reason="goodwill", now=now
    )
    stripe.books.refund({"payment_intent": intent_of(payment), "amount": "600"})
    checkout.settle(payment_id=payment.pk, now=now)
    assert "6.00 was refunded at the provider, not here." == Order.objects.get().needs_attention


@pytest.mark.parametrize("by", ["night", "clicks"])
def test_what_went_back_by_hand_is_written_down_once_ours_is_refused(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime, by: str
) -> None:
    more_than_is_left(paid, stripe, staff, now)

    if by == "night":
        run = compare(staff, now, mends=True)
        assert (run.counts, only("FIXED").kind) == ({"refund_not_ours": 1}, "refund_not_ours")
    else:
        compare(staff, now)
        assert fix(staff, only(), Step.REFUND_DUE, now) == "OPEN"
        assert fix(staff, only(), Step.ADOPT, now) == "FIXED"

    paid.refresh_from_db()
    assert (paid.refunded_amount, Order.objects.get().refunded_total) == (6, 6)
    assert {refund.amount: refund.status for refund in Refund.objects.all()} == {20: "FAILED", 6: "SUCCEEDED"}  # fmt: skip
    assert AuditEntry.objects.filter(action="payment.refund_adopted").count() == 1
    assert compare(staff, now + timedelta(minutes=5)).counts == {}
    # What is left goes back like any other.
    checkout.refund_payment(actor=staff, payment_id=paid.pk, amount=None, reason="x", now=now)
    assert Order.objects.get().payment_status == "refunded"


def test_what_went_back_twice_stays_open_until_somebody_explains_it(
    paid: Payment, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    request = orders.request_refund(
        actor=staff, order_id=paid.order_id, amount=Decimal("24.90"), reason="x", now=now
    )
    orders.fail_refund(actor=staff, request_id=request.pk, failure="card closed", now=now)
    checkout.pay_back_outside(
        actor=staff,
        request_id=request.pk,
        means="cash",
        reference="till 4",
        reason="card closed",
        paid_on=now.date(),
        now=now,
    )
    stripe.books.refund({"payment_intent": intent_of(paid), "amount": "2490"})
    compare(staff, now, mends=True)
    finding = only()
    assert (finding.kind, finding.theirs, finding.ours) == ("refund_not_ours", Decimal("24.90"), 0)
    before = (Refund.objects.count(), Order.objects.get().refunded_total)

    with pytest.raises(Conflict, match="went back twice"):
        fix(staff, finding, Step.ADOPT, now)

    assert before == (Refund.objects.count(), Order.objects.get().refunded_total)
    assert only().pk == finding.pk
    checkout.explain(
        actor=staff, finding_id=finding.pk, seen=only().fingerprint, reason="written off", now=now
    )
    explained = only("EXPLAINED")
    assert (explained.theirs, explained.outcome) == (Decimal("24.90"), "written off")


def test_a_linked_payment_stays_ours_when_its_provider_speaks_of_it_again(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    twin_of_an_open_order(ready, stripe, staff)
    compare(staff, now)
    fix(staff, only(), Step.LINK, now)
    linked = Payment.objects.get(status="CAPTURED")

    checkout.settle(payment_id=linked.pk, now=now)

    order = Order.objects.get()
    assert (order.status, order.needs_attention) == ("confirmed", "")
    assert linked.provider_id != Payment.objects.get(status="CANCELLED").provider_id


def test_money_whose_owner_is_not_proved_is_not_linked(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    payment = _paid(ready, stripe)
    for amount, metadata in (
        ("700", {"payment_id": str(payment.pk), "order_id": str(payment.order_id)}),
        ("2490", {"payment_id": str(payment.pk), "order_id": str(payment.pk)}),
        ("2490", {"order_id": str(payment.order_id)}),
        ("2490", {"payment_id": "x'y", "order_id": str(payment.order_id)}),
    ):
        stray = stripe.books.create_intent(
            {"amount": amount, "currency": "usd", "metadata": metadata}
        )
        stripe.books.confirm(stray["id"], "pm_card_visa")
    compare(staff, now)

    findings = list(ReconciliationFinding.objects.filter(state="OPEN"))
    assert len(findings) == 4
    for finding in findings:
        assert finding.order_id is None
        with pytest.raises(Conflict):
            fix(staff, finding, Step.LINK, now)
        assert fix(staff, finding, Step.GIVE_BACK, now) == "FIXED"
    assert Payment.objects.count() == 1


def test_what_moved_since_somebody_looked_is_refused(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    stray = stripe.books.create_intent({"amount": "700", "currency": "usd"})
    stripe.books.confirm(stray["id"], "pm_card_visa")
    twin_of_an_open_order(ready, stripe, staff)
    compare(staff, now)
    known = ReconciliationFinding.objects.get(order=None)
    with pytest.raises(Conflict):
        checkout.fix(
            actor=staff, finding_id=known.pk, step=Step.GIVE_BACK, seen="OPEN:1:2", now=now
        )

    stripe.books.refund({"payment_intent": stray["id"]})
    movements = len(stripe.books.movements)
    assert fix(staff, known, Step.GIVE_BACK, now) == "FIXED"  # somebody did it over there

    assert len(stripe.books.movements) == movements
    assert ReconciliationFinding.objects.get(pk=known.pk).outcome.startswith("The books agreed")
    fix(staff, only(), Step.LINK, now)


def test_a_provider_that_does_not_answer_changes_nothing(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    stray_money(ready, stripe, staff)
    compare(staff, now)
    for path, mode in (
        ("GET /v1/payment_intents/.*", "500"),
        ("POST /v1/refunds", "act_then_reset"),
    ):
        stripe.fail(path, mode, times=1)
        with pytest.raises(DependencyUnavailable):
            fix(staff, only(), Step.GIVE_BACK, now)
        assert only().state == "OPEN"

    assert fix(staff, only(), Step.GIVE_BACK, now) == "FIXED"
    assert sum(line["amount"] for line in stripe.books.movements) == 0


def test_a_refund_made_by_hand_at_the_provider_is_written_down_once(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    payment = _paid(ready, stripe)
    stripe.books.refund({"payment_intent": intent_of(payment), "amount": "100"})
    compare(staff, now)
    finding = only()
    assert checkout.steps_for(finding)[0] == Step.ADOPT
    stripe.fail("GET /v1/refunds", "500")
    with pytest.raises(DependencyUnavailable):
        fix(staff, finding, Step.ADOPT, now)
    assert not Refund.objects.exists()

    for _ in range(2):
        assert fix(staff, finding, Step.ADOPT, now) == "FIXED"
    checkout.execute_refunds(now=now)

    refund = Refund.objects.get()
    order = Order.objects.get()
    assert (refund.status, refund.amount, refund.reason) == (
        "SUCCEEDED", Decimal("1.00"), "made at the provider",
    )  # fmt: skip
    assert (order.refunded_total, order.payment_status) == (Decimal("1.00"), "partially_refunded")
    assert len(stripe.books.movements) == 2  # no money moved here
    assert compare(staff, now + timedelta(minutes=5)).counts == {}


def test_a_difference_that_was_explained_comes_back_when_it_changes(
    ready: Buyer, stripe: StripeServer, staff: Any, now: datetime
) -> None:
    payment = _paid(ready, stripe)
    stripe.books.refund({"payment_intent": intent_of(payment), "amount": "100"})
    compare(staff, now)
    finding = only()
    with pytest.raises(Conflict):
        fix(staff, finding, Step.REFUND_DUE, now)

    explain: Any = lambda reason: checkout.explain(
        actor=staff, finding_id=finding.pk, seen=finding.fingerprint, reason=reason, now=now
    )
    with pytest.raises(ApplicationError):
        explain("  ")
    assert only().state == "OPEN"
    assert explain("a gesture, by telephone").state == "EXPLAINED"
    assert explain("again").outcome == "a gesture, by telephone"

    # It is found again, and stays explained until the amounts change.
    assert compare(staff, now + timedelta(minutes=5)).counts == {"refund_not_ours": 1}
    assert only("EXPLAINED").outcome == "a gesture, by telephone"
    stripe.books.refund({"payment_intent": intent_of(payment), "amount": "100"})
    compare(staff, now + timedelta(minutes=10))
    assert only().theirs == Decimal("2.00")
    assert fix(staff, only(), Step.ADOPT, now) == "FIXED"
    assert Refund.objects.count() == 2


def test_the_database_keeps_one_live_row_of_a_difference(company: Any, now: datetime) -> None:
    row: Any = lambda **fields: ReconciliationFinding.objects.create(
        key="x", kind="stuck", theirs=1, ours=0, first_seen_at=now, last_seen_at=now, **fields
    )
    row()
    for fields in (
        {},
        {"state": "EXPLAINED", "closed_at": now, "outcome": "x"},
        {"key": "y", "state": "FIXED"},
        {"key": "y", "state": "EXPLAINED", "closed_at": now},
    ):
        with pytest.raises((IntegrityError, TypeError)), transaction.atomic():
            ReconciliationFinding.objects.create(
                **{"key": "x", "kind": "stuck", "theirs": 1, "ours": 0, "first_seen_at": now, "last_seen_at": now}
                | fields
            )  # fmt: skip


def test_old_runs_are_deleted_and_what_they_found_stays(
    paid: Payment, staff: Any, now: datetime
) -> None:
    compare(staff, now)
    later = timezone.now() + timedelta(days=500)

    assert checkout.prune_runs(now=now) == 0
    assert checkout.prune_runs(now=later) == 1
