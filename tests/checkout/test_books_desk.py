"""The desk where both books lie, as staff see it: compare, look, one click that asks first, and who may."""

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
from checkout.models import Payment, ReconciliationFinding, ReconciliationRun, TestCharge
from config.platform import alerts, metrics
from config.platform.models import Alert, AuditEntry
from orders.models import Order
from tests.checkout.conftest import Buyer
from tests.factories import make_company, make_staff

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def signed_in(*rights: str) -> Client:
    clerk = make_staff(is_superuser=not rights)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(clerk, BACKEND)
    return client


@pytest.fixture
def office(company: Any) -> Client:
    return signed_in()


@pytest.fixture
def lost(ready: Buyer) -> Payment:
    """Return a payment of the test provider whose message was lost."""
    _, payment = ready.pay()
    ready.simulate(payment, delivery="lost")
    return payment


def at(name: str, *args: Any) -> str:
    return reverse(f"admin:checkout_{name}", args=args)


def compare(office: Client, **given: Any) -> Any:
    today = timezone.localdate()
    form = {"since": today - timedelta(days=2), "until": today, **given}
    asked = office.post(at("reconciliationrun_compare_now"), form)
    tasks.work_reconciliation.run()
    return asked


def test_staff_compare_look_and_settle(office: Client, lost: Payment) -> None:
    assert office.get(at("reconciliationrun_compare_now")).status_code == 200
    asked = compare(office)
    run = ReconciliationRun.objects.get()
    assert asked["Location"] == at("reconciliationrun_change", run.pk)
    page = office.get(asked["Location"]).content.decode()
    assert "not recorded" in page
    assert office.get(at("reconciliationrun_progress", run.pk))["HX-Refresh"] == "true"

    finding = ReconciliationFinding.objects.get()
    listed = office.get(at("reconciliationfinding_changelist"), {"kind": "not_recorded"})
    assert lost.order.number in listed.content.decode()
    none = office.get(at("reconciliationfinding_changelist"), {"kind": "stuck"})
    assert lost.order.number not in none.content.decode()
    shown = office.get(at("reconciliationfinding_change", finding.pk)).content.decode()
    assert at("reconciliationfinding_do", finding.pk, "settle") in shown
    assert "$24.90" in shown

    sure = office.get(at("reconciliationfinding_do", finding.pk, "settle")).content.decode()
    assert "Nobody is charged" in sure
    assert Order.objects.get().status == "draft"  # asking does nothing
    for _ in range(2):
        done = office.post(
            at("reconciliationfinding_do", finding.pk, "settle"),
            {"seen": finding.fingerprint},
            follow=True,
        )
        assert "The books agree about it." in done.content.decode()

    assert Order.objects.get().status == "confirmed"
    assert AuditEntry.objects.filter(action="difference.fixed").count() == 1
    closed = office.get(at("reconciliationfinding_change", finding.pk)).content.decode()
    assert at("reconciliationfinding_do", finding.pk, "settle") not in closed


def test_a_run_that_waits_shows_how_far_it_is(office: Client, company: Any, now: datetime) -> None:
    run = ReconciliationRun.objects.create(
        company=company, since=now - timedelta(days=4), until=now, compared_until=now - timedelta(days=1), state="RUNNING",
        actor="system", due_at=now, created_at=now, started_at=now,
    )  # fmt: skip

    page = office.get(at("reconciliationrun_change", run.pk)).content.decode()

    assert 'value="75"' in page
    assert "HX-Refresh" not in office.get(at("reconciliationrun_progress", run.pk))
    run.delete()


def test_what_moved_is_refused_and_said(office: Client, lost: Payment, now: datetime) -> None:
    compare(office)
    finding = ReconciliationFinding.objects.get()

    told = office.post(
        at("reconciliationfinding_do", finding.pk, "settle"), {"seen": "OPEN:0:0"}, follow=True
    )

    assert "have moved since you looked" in told.content.decode()
    assert Order.objects.get().status == "draft"
    assert office.get(at("reconciliationfinding_do", finding.pk, "burn")).status_code == 404
    compare(office, mends="on")


def test_money_that_is_nobody_s_is_given_back_once(office: Client, company: Any) -> None:
    TestCharge.objects.create(
        id="tpi_x", key="x", amount=5, captured_amount=5, currency="USD", status="succeeded"
    )
    compare(office)
    finding = ReconciliationFinding.objects.get()
    assert (finding.kind, finding.company_id) == ("paid_no_order", None)
    page = office.get(at("reconciliationfinding_change", finding.pk)).content.decode()
    assert at("reconciliationfinding_do", finding.pk, "link") not in page

    for _ in range(2):
        office.post(
            at("reconciliationfinding_do", finding.pk, "give_back"), {"seen": finding.fingerprint}
        )

    assert TestCharge.objects.get().refunded_amount == Decimal(5)
    assert TestCharge.objects.get().refunds.count() == 1
    finding.refresh_from_db()
    assert (finding.state, finding.outcome) == ("FIXED", "5.00 USD went back.")


def click(office: Client, finding: ReconciliationFinding, step: str) -> str:
    """Press a button of a difference as its page shows it now; return what staff read then."""
    finding.refresh_from_db()
    answer = office.post(
        at("reconciliationfinding_do", finding.pk, step), {"seen": finding.fingerprint}, follow=True
    )
    assert answer.status_code == 200
    finding.refresh_from_db()
    text: str = answer.content.decode()
    return text


def collected(ready: Buyer) -> TestCharge:
    _, payment = ready.pay()
    ready.simulate(payment)
    assert Order.objects.get().payment_status == "captured"
    return TestCharge.objects.get()


def ours() -> tuple[Any, ...]:
    payment = Payment.objects.values_list("status", "captured_amount", "refunded_amount").get()
    return (*payment, *Order.objects.values_list("status", "payment_status").get())


def test_amounts_that_differ_are_settled_once_the_provider_says_ours(
    office: Client, ready: Buyer
) -> None:
    charge = collected(ready)
    TestCharge.objects.update(captured_amount=Decimal("20.00"))
    compare(office)
    finding = ReconciliationFinding.objects.get()
    assert (finding.kind, finding.theirs, finding.ours) == (
        "amount_differs", Decimal("20.00"), Decimal("24.90"),
    )  # fmt: skip
    page = office.get(at("reconciliationfinding_change", finding.pk)).content.decode()
    assert ("$20.00" in page, "$24.90" in page) == (True, True)
    assert at("reconciliationfinding_do", finding.pk, "settle") in page
    before = ours()

    # Settling believes no amount that is not ours: nothing moves, the order is flagged, it stays open.
    click(office, finding, "settle")
    assert (finding.state, ours()) == ("OPEN", before)
    order = Order.objects.get()
    assert order.needs_attention == "The provider reports another payment than ours."
    assert AuditEntry.objects.filter(action="payment.mismatch").count() == 1

    TestCharge.objects.update(captured_amount=charge.captured_amount)
    for _ in range(2):
        assert "The books agree about it." in click(office, finding, "settle")
    assert (finding.state, ours()) == ("FIXED", before)
    assert AuditEntry.objects.filter(action="difference.fixed").count() == 1


def test_money_that_a_provider_never_took_can_only_be_looked_at_and_explained(
    office: Client, ready: Buyer
) -> None:
    charge = collected(ready)
    TestCharge.objects.update(captured_amount=0, status="requires_payment")
    compare(office)
    finding = ReconciliationFinding.objects.get()
    assert (finding.kind, finding.theirs, finding.ours) == (
        "order_no_payment", Decimal(0), Decimal("24.90"),
    )  # fmt: skip
    page = office.get(at("reconciliationfinding_change", finding.pk)).content.decode()
    offered = {
        step
        for step in ("look", "settle", "adopt", "link", "give_back", "refund_due", "work_off")
        if at("reconciliationfinding_do", finding.pk, step) in page
    }
    assert offered == {"look"}
    assert at("reconciliationfinding_explain", finding.pk) in page
    before = ours()

    for step in ("settle", "give_back", "look"):  # no click invents money, and none gives it back
        click(office, finding, step)
        assert (finding.state, ours()) == ("OPEN", before)
    assert TestCharge.objects.get().refunded_amount == 0

    TestCharge.objects.update(captured_amount=charge.captured_amount, status=charge.status)
    for _ in range(2):
        assert "The books agree about it." in click(office, finding, "look")
    assert (finding.state, ours()) == ("FIXED", before)


def test_a_difference_is_explained_with_a_reason(office: Client, lost: Payment) -> None:
    compare(office)
    finding = ReconciliationFinding.objects.get()
    address = at("reconciliationfinding_explain", finding.pk)
    assert office.get(address).status_code == 200

    refused = office.post(address, {"seen": finding.fingerprint, "reason": " "})
    finding.refresh_from_db()
    assert (refused.status_code, finding.state) == (200, "OPEN")
    office.post(address, {"seen": finding.fingerprint, "reason": "the bank knows"})

    finding.refresh_from_db()
    assert (finding.state, finding.outcome) == ("EXPLAINED", "the bank knows")
    assert AuditEntry.objects.get(action="difference.explained").reason == "the bank knows"
    compare(office, mends="on")


def test_who_may_only_look_may_start_and_fix_nothing(company: Any, lost: Payment) -> None:
    compare(signed_in())
    finding = ReconciliationFinding.objects.get()
    viewer = signed_in("view_reconciliationfinding", "view_reconciliationrun")

    page = viewer.get(at("reconciliationfinding_change", finding.pk))
    assert page.status_code == 200
    assert at("reconciliationfinding_explain", finding.pk) not in page.content.decode()
    for address in (
        at("reconciliationfinding_do", finding.pk, "settle"),
        at("reconciliationfinding_explain", finding.pk),
        at("reconciliationrun_compare_now"),
    ):
        assert viewer.get(address).status_code in (302, 403), address
        assert viewer.post(address, {"seen": finding.fingerprint, "reason": "x"}).status_code in (302, 403)  # fmt: skip
    stranger = signed_in("view_order")
    assert stranger.get(at("reconciliationfinding_change", finding.pk)).status_code == 403
    assert stranger.get(at("reconciliationrun_changelist")).status_code == 403

    finding.refresh_from_db()
    assert (finding.state, Order.objects.get().status) == ("OPEN", "draft")
    assert ReconciliationRun.objects.count() == 1
    compare(signed_in(), mends="on")


def test_another_company_s_desk_is_another(office: Client, lost: Payment) -> None:
    other = make_company()
    compare(office)
    ReconciliationFinding.objects.update(company=other)
    ReconciliationRun.objects.update(company=other)
    finding, run = ReconciliationFinding.objects.get(), ReconciliationRun.objects.get()

    for address in (
        at("reconciliationfinding_do", finding.pk, "settle"),
        at("reconciliationfinding_explain", finding.pk),
        at("reconciliationfinding_change", finding.pk),
        at("reconciliationrun_change", run.pk),
        at("reconciliationrun_progress", run.pk),
    ):
        assert office.get(address).status_code == 404, address
    ReconciliationFinding.objects.update(company=lost.order.company)
    ReconciliationRun.objects.all().delete()
    compare(office, mends="on")


def test_a_difference_that_stays_for_a_day_raises_an_alert(
    company: Any, now: datetime, office: Client
) -> None:
    row = ReconciliationFinding.objects.create(
        key="x", kind="paid_no_order", theirs=1, ours=0, first_seen_at=now, last_seen_at=now
    )

    def raised(moment: datetime) -> set[str]:
        alerts.evaluate(now=moment)
        return set(Alert.objects.filter(resolved_at=None).values_list("rule", flat=True))

    assert selectors.book_figures().open == 1
    assert "books_differ" not in raised(now + timedelta(hours=23))
    assert "books_differ" in raised(now + timedelta(hours=25))
    ReconciliationRun.objects.create(
        company=company, since=now - timedelta(days=1), until=now, compared_until=now, state="FAILED",
        actor="system", due_at=now, created_at=now, ended_at=now,
    )  # fmt: skip
    assert "books_unread" in raised(now + timedelta(hours=25))
    numbers = {gauge.name: gauge.value for gauge in metrics.read(now=now)[0]}
    assert (numbers["payments_differences_open"], numbers["payments_comparisons_failed"]) == (1, 1)
    assert "1</strong> difference between the books" in office.get("/admin/").content.decode()

    row.state, row.closed_at = "FIXED", now
    row.save()
    assert selectors.book_figures().oldest_at is None
