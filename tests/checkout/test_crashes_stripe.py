"""
F01 and F02 against Stripe: whatever the moment of a crash, what Stripe took and gave back is what we wrote down.

The stand-in for Stripe lives on while the shop dies. It has its own books, and they are the judge: one charge for an
order that stands, none for one that does not, and what is owed back goes back once.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from cart.models import Cart
from checkout import books
from checkout import services as checkout
from checkout.gateway import RemoteRefund, StripeGateway
from checkout.models import Checkout, Payment, PaymentStatusChange, Refund
from checkout.services import recording, refunding, settling
from config.platform import relay
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.models import new_id
from inventory.models import StockLevel, StockMovement, Variant
from orders import services as orders
from orders.models import Order, RefundRequest, ReturnRequest
from orders.services import Units, WantedReturn
from tests import factories
from tests.checkout.conftest import Buyer, deliver
from tests.checkout.crashes import LIVENESS, SAFETY, Report, explore, recover, wrong
from tests.stripe import StripeServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PAID = [2490]
GIVEN_BACK = [2490, -2490]


@dataclass
class Case:
    """One customer's purchase by card, on shelves of its own."""

    buyer: Buyer
    variant: Variant
    staff: Actor
    stripe: StripeServer

    @property
    def order(self) -> Order:
        return Order.objects.get(checkout_id=self.buyer.checkout_id)

    @property
    def units(self) -> tuple[int, int]:
        """Return what is on the shelf, and what of it is promised."""
        level = StockLevel.objects.get(variant=self.variant)
        return level.total, level.reserved

    def pay(self) -> Payment:
        return self.buyer.pay("card")[1]

    def confirm(self, payment: Payment) -> None:
        """What the customer does with Stripe's form; the second time Stripe says that it is done."""
        payment.refresh_from_db()
        press(self.stripe, "confirm", id=payment.provider_id, method="pm_card_visa")

    def movements(self) -> list[int]:
        """Return what Stripe took from this customer, and gave back, in order."""
        mine = {str(order.id) for order in Order.objects.filter(checkout_id=self.buyer.checkout_id)}
        ids = {
            intent["id"]
            for intent in self.stripe.books.all("payment_intent")
            if intent["metadata"]["order_id"] in mine
        }
        moved = self.stripe.books.movements
        return [line["amount"] for line in moved if line["payment_intent"] in ids]


def press(stripe: StripeServer, button: str, **options: Any) -> None:
    """Press one of the stand-in's buttons by HTTP: it lives in another process than the one that dies."""
    content = json.dumps(options).encode()
    request = urllib.request.Request(f"{stripe.url}/_fake/{button}", data=content, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - loopback
            pass
    except urllib.error.HTTPError as answer:
        if answer.code != 400:
            raise


@pytest.fixture
def case(
    shop: Any, now: datetime, stripe: StripeServer, staff: Actor, settings: Any
) -> Callable[[], Case]:
    """Return a function that makes a customer who is about to pay 24.90 for two units."""
    settings.STRIPE_TIMEOUT_SECONDS = 30  # a busy machine is no silence of Stripe's

    def make() -> Case:
        variant = factories.make_priced_variant("10.00", available=10)
        return Case(Buyer.arrive(shop, now).add(variant, 2).begin().fill(), variant, staff, stripe)

    return make


@pytest.fixture
def bought(case: Callable[[], Case]) -> Callable[[], Case]:
    """Return a function that makes a customer who has paid."""

    def make() -> Case:
        made = case()
        made.confirm(made.pay())
        made.buyer.complete()
        return made

    return make


def after(
    case: Case, again: Callable[[Case], None], *, moved: list[int], total: int, held: int = 0
) -> list[str]:
    """
    Say what is wrong after a crash: at once, and when the jobs have run and who was interrupted has tried again.

    `moved` is what Stripe must have moved in the end, `total` what must be on the shelf, `held` what of it is promised.
    """
    problems = wrong(SAFETY)
    later = timezone.now() + timedelta(minutes=3)
    recover(later)
    case.buyer.now = later
    try:
        again(case)
    except ApplicationError as refusal:
        problems.append(f"stuck: {refusal.code} {refusal.detail}")
    recover(later + timedelta(minutes=3))
    problems += wrong(SAFETY) + wrong(LIVENESS)
    problems += [str(each.to_json()) for each in books.compare(since=later - timedelta(days=1))]
    if case.movements() != moved:
        problems.append(f"Stripe moved {case.movements()}, not {moved}")
    if case.units != (total, held):
        problems.append(f"on the shelf are {case.units}, not {(total, held)}")
    return problems


# --- buying ---------------------------------------------------------------------------------------


def buy_by_return(case: Case) -> None:
    """The customer pays and comes back to us; no webhook arrives."""
    case.confirm(case.pay())
    case.buyer.complete()


def buy_by_webhook(case: Case) -> None:
    """The customer pays and never comes back; Stripe's webhooks arrive, each of them twice."""
    payment = case.pay()
    case.confirm(payment)
    with urllib.request.urlopen(_events(case.stripe), timeout=30) as answer:  # noqa: S310 - loopback
        told = reversed(json.load(answer)["data"])
    mine = [each for each in told if payment.provider_id in json.dumps(each)]
    for event in [*mine, *mine]:
        assert deliver(event, now=timezone.now()).status_code == 200
    checkout.drain_inbox(now=timezone.now() + timedelta(seconds=1))


def _events(stripe: StripeServer) -> urllib.request.Request:
    return urllib.request.Request(  # noqa: S310 - loopback
        f"{stripe.url}/v1/events?limit=20", headers={"Authorization": "Bearer sk_test_k"}
    )


def try_again(case: Case) -> None:
    """The customer reloads the page, pays where that was not done, and waits for the confirmation."""
    order, payment = case.buyer.pay("card")
    if order.status == Order.Status.DRAFT:
        case.confirm(payment)
    assert case.buyer.complete().status == "confirmed"


def nobody_returns(case: Case, point: int) -> list[str]:
    """A day later there is a paid order, or nothing is held, owed or charged, and the cart is as it was."""
    problems = wrong(SAFETY)
    for later in (timedelta(minutes=3), timedelta(hours=25), timedelta(hours=25, minutes=3)):
        recover(timezone.now() + later)
    problems += wrong(SAFETY) + wrong(LIVENESS)
    placed = list(Order.objects.filter(checkout_id=case.buyer.checkout_id))
    ends = [(order.status, order.payment_status) for order in placed]
    found = (ends, case.movements(), case.units)
    if found == ([], [], (10, 0)):
        cart = Cart.objects.get(pk=Checkout.objects.get(pk=case.buyer.checkout_id).cart_id)
        if cart.status != "ACTIVE":
            problems.append("no order, and the cart is gone")
    elif found not in (
        ([("confirmed", "captured")], PAID, (8, 0)),
        ([("cancelled", "cancelled")], [], (10, 0)),
    ):
        problems.append(f"it ended as {found}")
    return problems


@pytest.mark.parametrize("scenario", [buy_by_return, buy_by_webhook], ids=lambda run: run.__name__)
def test_a_crash_at_any_point_of_a_purchase_ends_as_one_order_and_one_charge(
    case: Callable[[], Case], scenario: Callable[[Case], None]
) -> None:
    report = explore(
        prepare=case,
        scenario=scenario,
        verify=lambda each, point: after(each, try_again, moved=PAID, total=8),
        step=20,
    )

    assert report.problems == []
    assert report.points > 80


@pytest.mark.parametrize("scenario", [buy_by_return, buy_by_webhook], ids=lambda run: run.__name__)
def test_a_crash_at_any_point_ends_cleanly_when_nobody_returns(
    case: Callable[[], Case], scenario: Callable[[Case], None]
) -> None:
    report = explore(
        prepare=case,
        scenario=scenario,
        verify=nobody_returns,
        name=f"{scenario.__name__}, nobody returns",
        step=30,
    )

    assert report.problems == []
    assert report.points > 80


# --- undoing --------------------------------------------------------------------------------------


def give_up(case: Case) -> None:
    """The customer leaves at the payment form: the intent is closed, the goods are back in the cart."""
    checkout.cancel(actor=case.buyer.actor, checkout_id=case.buyer.checkout_id, now=case.buyer.now)


def given_up(case: Case, point: int) -> list[str]:
    problems = after(case, give_up, moved=[], total=10, held=2)
    if case.order.status != "cancelled":
        problems.append(f"the order is {case.order.status}")
    intents = [
        intent["status"]
        for intent in case.stripe.books.all("payment_intent")
        if intent["metadata"]["order_id"] == str(case.order.id)
    ]
    if intents != ["canceled"]:
        problems.append(f"at Stripe it can still be paid: {intents}")
    return problems


def cancel(case: Case) -> None:
    if case.order.status != "cancelled":
        orders.cancel(actor=case.staff, order_id=case.order.id, now=case.buyer.now)
    carry_out(case)


def cancel_one(case: Case) -> None:
    line = case.order.lines.get()
    if not line.cancelled_quantity:
        orders.cancel_items(
            actor=case.staff, order_id=case.order.id, units=[Units(line.id, 1)], now=case.buyer.now
        )
    carry_out(case)


def refund(case: Case) -> None:
    """Staff give 4.90 back; who was interrupted looks first whether it is noted."""
    if not RefundRequest.objects.filter(order=case.order).exists():
        checkout.refund_payment(
            actor=case.staff,
            payment_id=case.order.payments.get().id,
            amount=Decimal("4.90"),
            reason="goodwill",
            now=case.buyer.now,
        )


def receive(case: Case) -> None:
    """One of two units comes back, whole."""
    request = ReturnRequest.objects.get(order=case.order)
    if request.status == ReturnRequest.Status.APPROVED:
        orders.receive_return(actor=case.staff, return_id=request.id, now=case.buyer.now)
    carry_out(case)


def carry_out(case: Case) -> None:
    """What the worker is woken for."""
    relay.relay_due(now=case.buyer.now)
    checkout.execute_refunds(now=case.buyer.now)


def delivered(case: Case) -> Case:
    """Bring an order to its customer, and let them announce that one unit comes back."""
    order = case.order
    about: Any = {"actor": case.staff, "order_id": order.id, "now": case.buyer.now}
    orders.process(**about)
    orders.ship(**about, carrier="USPS", tracking_number="1")
    orders.deliver(**about)
    request = orders.request_return(
        actor=case.buyer.actor,
        order_id=order.id,
        wanted=[WantedReturn(order.lines.get().id, 1)],
        now=case.buyer.now,
    )
    orders.approve_return(actor=case.staff, return_id=request.id, now=case.buyer.now)
    return case


def test_a_crash_at_any_point_of_giving_up_closes_the_payment(case: Callable[[], Case]) -> None:
    def waiting() -> Case:
        made = case()
        made.pay()
        return made

    report = explore(prepare=waiting, scenario=give_up, verify=given_up, step=16)

    assert report.problems == []
    assert report.points > 40


@pytest.mark.parametrize(
    ("scenario", "moved", "total"),
    [
        (cancel, GIVEN_BACK, 10),
        (cancel_one, [2490, -1000], 9),
        (refund, [2490, -490], 8),
        (receive, [2490, -1000], 9),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_crash_at_any_point_of_undoing_gives_back_once_what_is_owed(
    bought: Callable[[], Case], scenario: Callable[[Case], None], moved: list[int], total: int
) -> None:
    report = explore(
        prepare=lambda: delivered(bought()) if scenario is receive else bought(),
        scenario=scenario,
        verify=lambda each, point: after(each, scenario, moved=moved, total=total),
        step=18,
    )

    assert report.problems == []
    assert report.points > 40


def test_a_crash_at_any_point_of_hearing_of_a_refund_by_hand_writes_it_down_once(
    bought: Callable[[], Case],
) -> None:
    def given_back_by_hand() -> Case:
        made = bought()
        intent = made.order.payments.get().provider_id
        made.stripe.books.refund({"payment_intent": intent, "amount": "490"})
        return made

    def hear(case: Case) -> None:
        checkout.settle(payment_id=case.order.payments.get().id, now=case.buyer.now)

    def verify(case: Case, point: int) -> list[str]:
        problems = after(case, hear, moved=[2490, -490], total=8)
        if Refund.objects.filter(payment__order=case.order).count() != 1:
            problems.append("it is not written down once")
        return problems

    report = explore(prepare=given_back_by_hand, scenario=hear, verify=verify, step=18)

    assert report.problems == []
    assert report.points > 40


def test_a_crash_at_any_point_of_a_capture_takes_the_money_once(
    case: Callable[[], Case], settings: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"

    def authorised() -> Case:
        made = case()
        made.confirm(made.pay())
        assert made.buyer.complete().payment_status == "authorized"
        return made

    def capture(each: Case) -> None:
        checkout.capture(
            actor=each.staff,
            payment_id=each.order.payments.get().id,
            amount=None,
            now=each.buyer.now,
        )

    report = explore(
        prepare=authorised,
        scenario=capture,
        verify=lambda each, point: after(each, capture, moved=PAID, total=8),
        step=6,
    )

    assert report.problems == []
    assert report.points > 20


# --- what the matrix is worth: wrong designs that it has to find ------------------------------------


def found(report: Report) -> str:
    assert report.problems, "the matrix did not see it"
    return " | ".join(problem for _, problem in report.problems)


def test_it_finds_a_refund_with_a_new_key_for_each_try(
    bought: Callable[[], Case], monkeypatch: pytest.MonkeyPatch, broken_on_purpose: None
) -> None:
    def forgetful(self: StripeGateway, *, provider_id: str, amount: Decimal, **rest: Any) -> Any:
        params: Any = {"payment_intent": provider_id, "amount": int(amount * 100)}
        key = new_id().hex
        made = self._call(
            lambda client: client.v1.refunds.create(params=params, options={"idempotency_key": key})
        )
        return RemoteRefund(provider_id=made.id, succeeded=True)

    monkeypatch.setattr(StripeGateway, "refund", forgetful)

    report = explore(
        prepare=bought,
        scenario=refund,
        verify=lambda each, point: after(each, refund, moved=[2490, -490], total=8),
        step=6,
        until_found=True,
    )

    assert "refund_not_ours" in found(report)


def test_it_finds_a_refund_written_down_before_it_is_made(
    bought: Callable[[], Case], monkeypatch: pytest.MonkeyPatch, broken_on_purpose: None
) -> None:
    def hopeful(*, request_id: UUID, now: datetime) -> Refund | None:
        prepared = refunding._prepare(request_id=request_id, now=now)
        if prepared is None or prepared.status != Refund.Status.PENDING:
            return prepared
        noted = refunding.record_answer(
            refund_id=prepared.id,
            remote=RemoteRefund(provider_id=f"soon-{prepared.id}", succeeded=True),
            now=now,
        )
        StripeGateway().refund(
            provider_id=str(prepared.payment.provider_id), amount=prepared.amount,
            currency="USD", key=prepared.idempotency_key, reason="",
        )  # fmt: skip
        return noted

    monkeypatch.setattr(refunding, "execute_refund", hopeful)

    report = explore(
        prepare=bought,
        scenario=refund,
        verify=lambda each, point: after(each, refund, moved=[2490, -490], total=8),
        step=6,
        until_found=True,
    )

    assert "refund_missing" in found(report)


def test_it_finds_a_payment_noted_as_closed_before_it_is(
    case: Callable[[], Case], monkeypatch: pytest.MonkeyPatch, broken_on_purpose: None
) -> None:
    """Who notes a payment as closed and asks Stripe afterwards leaves an intent that takes money."""

    def waiting() -> Case:
        made = case()
        made.pay()
        return made

    close = settling._close

    def hasty(payment: Payment, *, now: datetime) -> Payment:
        with transaction.atomic():
            known = Payment.objects.select_for_update().get(pk=payment.pk)
            Payment.objects.filter(pk=known.pk).update(status=Payment.Status.CANCELLED)
            PaymentStatusChange.objects.create(
                payment=known, from_status=known.status, to_status="CANCELLED", at=now
            )
        return close(payment, now=now)

    monkeypatch.setattr(settling, "_close", hasty)

    report = explore(prepare=waiting, scenario=give_up, verify=given_up, until_found=True)

    assert "can still be paid" in found(report)


def test_it_finds_money_and_order_settled_in_two_transactions(
    case: Callable[[], Case], monkeypatch: pytest.MonkeyPatch, broken_on_purpose: None
) -> None:
    taken, record = recording._money_in, recording.record

    def torn(*, payment_id: UUID, remote: Any, now: datetime) -> Payment:
        with monkeypatch.context() as patched:
            patched.setattr(recording, "_money_in", lambda *args, **kwargs: None)
            payment = record(payment_id=payment_id, remote=remote, now=now)
        if payment.status == "CAPTURED" and payment.order.status == "draft":
            with transaction.atomic():
                held = Checkout.objects.get(order=payment.order)
                actor = Actor.system(held.company_id)
                taken(payment, payment.order, held, actor=actor, now=now)
        return payment

    monkeypatch.setattr(settling, "record", torn)

    def paid() -> Case:
        made = case()
        made.confirm(made.pay())
        return made

    report = explore(
        prepare=paid,
        scenario=lambda each: each.buyer.complete() and None,
        verify=lambda each, point: wrong(SAFETY),
        until_found=True,
    )

    assert "P04" in found(report)
    assert StockMovement.objects.filter(type="SALE").count() < Order.objects.count()
