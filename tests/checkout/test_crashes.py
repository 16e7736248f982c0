"""F01: whatever the moment of a crash, there is one order or a clean end, and no unknown charge."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from cart.models import Cart
from checkout import services as checkout
from checkout.gateway import TestGateway
from checkout.models import Checkout, Payment, TestCharge
from checkout.services import payments, placing, recording, settling
from config.platform.errors import ApplicationError
from config.platform.models import new_id
from orders import services as orders
from orders.models import Order
from pricing import services as pricing
from tests import factories
from tests.checkout.conftest import Buyer
from tests.checkout.crashes import LIVENESS, SAFETY, explore, recover, wrong

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def prepare(shop, now):
    variant = factories.make_priced_variant("10.00", available=100_000)

    def make() -> Buyer:
        return Buyer.arrive(shop, now).add(variant, 2).begin().fill()

    return make


def buy(buyer: Buyer) -> None:
    """Everything from the click to the confirmation, with the webhook on its way."""
    _, payment = buyer.pay()
    buyer.simulate(payment, delivery="normal")
    checkout.drain_inbox(now=buyer.now)
    buyer.complete()


def books(buyer: Buyer) -> list[str]:
    """Compare the provider's books with ours, for this buyer."""
    problems = []
    placed = list(Order.objects.filter(checkout_id=buyer.checkout_id))
    if len(placed) > 1:
        problems.append(f"{len(placed)} orders")
    ours = {payment.provider_id: payment for payment in Payment.objects.filter(order__in=placed)}
    for charge in TestCharge.objects.filter(metadata__checkout=str(buyer.checkout_id)) | (
        TestCharge.objects.filter(metadata__order_id__in=[str(order.id) for order in placed])
    ):
        payment = ours.get(charge.id)
        if charge.captured_amount and (
            payment is None or payment.captured_amount != charge.captured_amount
        ):
            problems.append(f"a charge of {charge.captured_amount} that we do not know")
    taken = [charge for charge in ours.values() if charge.captured_amount > charge.refunded_amount]
    if len(taken) > 1:
        problems.append("charged twice")
    for order in placed:
        if order.status == "draft" and taken:
            problems.append("paid, and not confirmed")
        if order.status == "confirmed" and not taken:
            problems.append("confirmed, and not paid")
    return problems


def customer_returns(buyer: Buyer, point: int) -> list[str]:
    """First the jobs run, then the customer tries again: one confirmed, paid order, and everything true."""
    problems = wrong(SAFETY)
    later = timezone.now() + timedelta(minutes=3)
    recover(later)
    problems += books(buyer)
    buyer.now = later
    try:
        again(buyer)
    except ApplicationError as refusal:
        problems.append(f"the customer is stuck: {refusal.code} {refusal.detail}")
    recover(later + timedelta(minutes=1))
    order = Order.objects.filter(checkout_id=buyer.checkout_id).first()
    if order is None or order.status != "confirmed":
        problems.append(f"no confirmed order, but {order and order.status}")
    return problems + wrong(SAFETY) + wrong(LIVENESS) + books(buyer)


def again(buyer: Buyer) -> None:
    order, payment = checkout.pay(
        actor=buyer.actor,
        checkout_id=buyer.checkout_id,
        method="test",
        quote_id=buyer.quote_id,
        now=buyer.now,
    )
    if order.status == "draft":
        buyer.simulate(payment, delivery="lost")
    buyer.complete()


def customer_is_gone(buyer: Buyer, point: int) -> list[str]:
    """Nobody comes back: a day later there is a paid order, or nothing is held, owed or charged."""
    later = timezone.now() + timedelta(hours=25)
    recover(timezone.now() + timedelta(minutes=3))
    recover(later)
    recover(later + timedelta(minutes=3))
    problems = wrong(SAFETY) + wrong(LIVENESS) + books(buyer)
    order = Order.objects.filter(checkout_id=buyer.checkout_id).first()
    if order is None:
        if (
            Cart.objects.get(pk=Checkout.objects.get(pk=buyer.checkout_id).cart_id).status
            != "ACTIVE"
        ):
            problems.append("no order, and the cart is gone")
    elif order.status not in {"confirmed", "cancelled"}:
        problems.append(f"left as {order.status}")
    return problems


def test_a_crash_at_any_point_ends_as_one_order_when_the_customer_returns(prepare):
    report = explore(prepare=prepare, scenario=buy, verify=customer_returns, step=12)

    assert report.problems == []
    assert report.points > 100


def test_a_crash_at_any_point_ends_cleanly_when_the_customer_is_gone(prepare):
    report = explore(prepare=prepare, scenario=buy, verify=customer_is_gone, step=20)

    assert report.problems == []
    assert report.points > 100


def test_a_crash_at_any_point_of_a_refund_gives_the_money_back_once(prepare, staff):
    def bought() -> Buyer:
        buyer = prepare()
        _, payment = buyer.pay()
        buyer.simulate(payment)
        order = Order.objects.get(checkout_id=buyer.checkout_id)
        orders.cancel(actor=staff, order_id=order.id, now=buyer.now)
        return buyer

    def verify(buyer: Buyer, point: int) -> list[str]:
        problems = wrong(SAFETY)
        recover(timezone.now() + timedelta(minutes=3))
        order = Order.objects.get(checkout_id=buyer.checkout_id)
        charge = TestCharge.objects.get(pk=Payment.objects.get(order=order).provider_id)
        if (charge.refunded_amount, order.refunded_total) != (charge.amount, charge.amount):
            problems.append(f"{charge.refunded_amount} went back, we say {order.refunded_total}")
        return problems + wrong(SAFETY) + wrong(LIVENESS)

    report = explore(
        prepare=bought,
        scenario=lambda buyer: checkout.execute_refunds(now=buyer.now) and None,
        verify=verify,
        name="refund",
        step=12,
    )

    assert report.problems == []
    assert report.points > 30


# --- what the matrix is worth: wrong designs that it has to find -------------------------------------


def test_it_finds_a_charge_made_before_it_is_written_down(prepare, monkeypatch, broken_on_purpose):
    def charge_first(*, actor, order_id: UUID, method, now) -> Payment:
        order = Order.objects.get(pk=order_id)
        gateway = TestGateway()
        remote = gateway.create(
            key=new_id().hex,
            amount=order.grand_total,
            currency=order.currency,
            metadata={"order_id": str(order.id)},
        )
        gateway.simulate_success(provider_id=remote.provider_id)
        return Payment.objects.create(
            order=order, provider="test", method=method, amount=order.grand_total, currency=order.currency,
            provider_id=remote.provider_id, idempotency_key=new_id().hex, created_at=now,
        )  # fmt: skip

    def placed_only(*, method, provider, **about):
        return placing.place(**about), None

    monkeypatch.setattr(payments, "place_to_pay", placed_only)
    monkeypatch.setattr(payments, "start_payment", charge_first)

    report = explore(
        prepare=prepare,
        scenario=lambda buyer: buyer.pay() and None,
        until_found=True,
        verify=lambda buyer, point: books(buyer),
    )

    assert {problem for _, problem in report.problems} == {"a charge of 24.900 that we do not know"}


def test_it_finds_an_order_and_its_stock_written_in_two_transactions(
    prepare, monkeypatch, broken_on_purpose
):
    def torn(*, actor, checkout_id, quote_id, method, provider, now):
        with transaction.atomic():
            found = placing.lock(actor=actor, checkout_id=checkout_id)
            if found.order_id is not None:
                return Order.objects.get(pk=found.order_id), None
            priced = placing.selectors.price(found, now=now)
            draft = placing._draft(found, priced, now=now)
            order = orders.place(actor=actor, draft=draft, now=now)
        with transaction.atomic():
            pricing.redeem(
                actor=actor, order_id=order.id, quote=priced.quote, customer_keys=(), now=now
            )
            placing.carts.convert(actor=actor, cart_id=found.cart_id, order_id=order.id, now=now)
            Checkout.objects.filter(pk=found.pk).update(order=order, status="PAYMENT_PENDING")
        return order, None

    monkeypatch.setattr(payments, "place_to_pay", torn)

    report = explore(
        prepare=prepare,
        scenario=lambda buyer: buyer.pay() and None,
        until_found=True,
        verify=lambda buyer, point: wrong(SAFETY),
    )

    assert any("O02" in problem for _, problem in report.problems)


def test_it_finds_money_and_order_settled_in_two_transactions(
    prepare, monkeypatch, broken_on_purpose
):
    taken = recording._money_in

    def torn(*, payment_id, remote, now):
        with monkeypatch.context() as patched:
            patched.setattr(recording, "_money_in", lambda *args, **kwargs: None)
            payment = record(payment_id=payment_id, remote=remote, now=now)
        if payment.status == "CAPTURED" and payment.order.status == "draft":
            with transaction.atomic():
                found = Checkout.objects.get(order=payment.order)
                taken(payment, payment.order, found, actor=buyer_actor(found), now=now)
        return payment

    def buyer_actor(found):
        return placing.selectors.owner_of(found)

    record = recording.record
    monkeypatch.setattr(settling, "record", torn)

    def settled() -> Buyer:
        buyer = prepare()
        _, payment = buyer.pay()
        buyer.simulate(payment, delivery="lost")
        return buyer

    report = explore(
        prepare=settled,
        scenario=lambda buyer: buyer.complete() and None,
        until_found=True,
        verify=lambda buyer, point: wrong(SAFETY),
    )

    assert any(problem.startswith("P04") for _, problem in report.problems)
