"""Something else for what comes back: even, dearer, cheaper, and every way in which it comes to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checkout import services as checkout
from checkout.gateway import TestGateway
from checkout.models import Payment, Refund, TestCharge
from config.platform import invariants
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, InvalidTransition, ValidationFailed
from config.platform.models import User
from inventory import services as inventory
from inventory.models import Company, Product, Reservation, StockLevel, Variant
from inventory.selectors import VariantRef
from orders import services as orders
from orders.errors import ReturnNotEligible
from orders.models import Order, RefundRequest, ReturnRequest
from orders.services import Came, Units, WantedReturn
from pricing.money import from_minor
from tests import factories
from tests.checkout.conftest import Buyer, intent_of
from tests.conftest import Api
from tests.paypal import PayPalServer
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db


@dataclass
class Bench:
    """A delivered order of two units at 10.00, paid with shipping of 4.90; and the people around it."""

    order: Order
    buyer: Buyer
    staff: Actor
    now: datetime

    def ask(self, instead: Variant | None, quantity: int = 2) -> ReturnRequest:
        line = self.order.lines.get()
        return orders.request_return(
            actor=self.buyer.actor,
            order_id=self.order.id,
            wanted=[
                WantedReturn(
                    line.id,
                    quantity,
                    "It does not fit",
                    VariantRef(sku=instead.sku) if instead else None,
                )
            ],
            now=self.now,
        )

    def approve(self, found: ReturnRequest) -> ReturnRequest:
        return orders.approve_return(actor=self.staff, return_id=found.id, now=self.now)

    def receive(self, found: ReturnRequest, **how: Any) -> ReturnRequest:
        orders.receive_return(actor=self.staff, return_id=found.id, now=self.now, **how)
        return ReturnRequest.objects.get(pk=found.pk)

    def exchange(self, instead: Variant, quantity: int = 2, **how: Any) -> Order:
        found = self.receive(self.approve(self.ask(instead, quantity)), **how)
        assert found.replacement is not None
        return found.replacement

    def drain(self, now: datetime | None = None) -> None:
        checkout.execute_refunds(now=now or self.now)

    def pay(self, order: Order) -> Payment:
        payment = checkout.start_payment(
            actor=self.buyer.actor, order_id=order.id, method="test", now=self.now
        )
        return self.buyer.simulate(payment)

    def refunded(self) -> Decimal:
        """What the provider gave back of everything."""
        total = TestCharge.objects.aggregate(total=Sum("refunded_amount"))["total"]
        return total or Decimal(0)


@pytest.fixture
def mug(shop: Company) -> Product:
    return factories.make_product()


@pytest.fixture
def variant(mug: Product) -> Variant:
    return factories.make_priced_variant("10.00", available=5, product=mug)


@pytest.fixture
def other(mug: Product) -> Variant:
    return factories.make_priced_variant("10.00", available=5, product=mug)


@pytest.fixture
def dearer(mug: Product) -> Variant:
    return factories.make_priced_variant("12.50", available=5, product=mug)


@pytest.fixture
def cheaper(mug: Product) -> Variant:
    return factories.make_priced_variant("7.00", available=5, product=mug)


@pytest.fixture
def bench(ready: Buyer, staff: Actor, now: datetime) -> Bench:
    order, payment = ready.pay()
    ready.simulate(payment)
    orders.ship(actor=staff, order_id=order.id, now=now)
    order = orders.deliver(actor=staff, order_id=order.id, now=now)
    return Bench(order, ready, staff, now)


def reload(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def stock(variant: Variant) -> tuple[int, int]:
    level = StockLevel.objects.get(variant=variant)
    return level.available, level.reserved


def empty(variant: Variant, bench: Bench) -> None:
    """Take what is free of a variant off its shelf."""
    level = StockLevel.objects.get(variant=variant)
    inventory.adjust(
        actor=bench.staff, stock_level_id=level.id, quantity=-level.available, now=bench.now
    )


# --- the three sums --------------------------------------------------------------------------------


def test_an_even_exchange_costs_nothing(bench: Bench, variant: Variant, other: Variant) -> None:
    found = bench.approve(bench.ask(other))

    waiting = found.replacement
    assert waiting is not None
    assert (waiting.status, waiting.grand_total, waiting.shipping_total) == ("draft", 20, 0)
    assert (waiting.email, waiting.session_hash) == (bench.order.email, bench.order.session_hash)
    assert stock(other) == (3, 2)
    assert Payment.objects.filter(order=waiting).count() == 0

    received = bench.receive(found)
    bench.drain()

    after, replacement = reload(bench.order), reload(waiting)
    assert (replacement.status, replacement.payment_status) == ("confirmed", "captured")
    assert (replacement.credit_total, replacement.to_pay) == (20, 0)
    assert (after.refunded_total, after.moved_total) == (20, 20)
    assert after.payment_status == "partially_refunded"
    assert reload(received).status == "REFUNDED"
    assert bench.refunded() == 0
    assert stock(variant) == (5, 0)
    assert stock(other) == (3, 0)


def test_the_same_again_is_even(bench: Bench, variant: Variant) -> None:
    replacement = bench.exchange(variant)

    assert (replacement.status, replacement.to_pay) == ("confirmed", 0)
    assert stock(variant) == (3, 0)


def test_a_cheaper_one_gives_the_rest_back(bench: Bench, cheaper: Variant) -> None:
    replacement = bench.exchange(cheaper)
    assert (replacement.status, replacement.grand_total) == ("confirmed", 14)

    bench.drain()

    assert bench.refunded() == 6
    after = reload(bench.order)
    assert (after.refunded_total, after.moved_total) == (20, 14)


def test_a_dearer_one_waits_for_the_difference(bench: Bench, dearer: Variant) -> None:
    replacement = bench.exchange(dearer)
    bench.drain()

    assert (replacement.status, replacement.to_pay) == ("draft", 5)
    assert replacement.expires_at == bench.now + settings.ORDER_EXCHANGE_PAY
    assert (reload(bench.order).refunded_total, bench.refunded()) == (0, 0)
    assert stock(dearer) == (3, 2)

    payment = bench.pay(replacement)
    assert payment.amount == 5
    bench.drain()

    replacement = reload(replacement)
    assert (replacement.status, replacement.payment_status) == ("confirmed", "captured")
    assert reload(bench.order).moved_total == 20
    assert bench.refunded() == 0
    assert stock(dearer) == (3, 0)


def test_what_a_coupon_gave_is_kept(
    shop: Company, staff: Actor, variant: Variant, other: Variant, now: datetime
) -> None:
    """25 % off three units at 9.99 do not divide by three: the replacement asks for no coin all the same."""
    factories.make_promotion(value=Decimal(25), scope="ORDER")
    factories.make_tax_rate("0.0825", country="US", name="Tax", type="SALES_TAX")
    odd = factories.make_priced_variant("9.99", available=9, product=variant.product)
    buyer = Buyer.arrive(shop, now).add(odd, 3).begin().fill()
    order, payment = buyer.pay()
    buyer.simulate(payment)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    bench = Bench(order, buyer, staff, now)

    replacement = bench.exchange(odd, 3)
    bench.drain()

    assert (replacement.status, replacement.discount_total) == ("confirmed", 0)
    assert order.lines.get().total - replacement.grand_total < Decimal("0.04")
    assert bench.refunded() == order.lines.get().total - replacement.grand_total


# --- what pays a difference, and when --------------------------------------------------------------


def test_nothing_can_be_paid_before_the_goods_are_back(bench: Bench, dearer: Variant) -> None:
    waiting = bench.approve(bench.ask(dearer)).replacement
    assert waiting is not None

    with pytest.raises(InvalidTransition):
        bench.pay(waiting)

    assert not Payment.objects.filter(order=waiting).exists()


def test_a_difference_nobody_pays_gives_everything_back(bench: Bench, dearer: Variant) -> None:
    replacement = bench.exchange(dearer)
    later = bench.now + settings.ORDER_EXCHANGE_PAY + timedelta(minutes=1)

    assert checkout.cancel_due_drafts(now=later) == 1
    bench.drain(later)

    assert reload(replacement).status == "cancelled"
    assert bench.refunded() == 20
    assert (reload(bench.order).refunded_total, reload(bench.order).moved_total) == (20, 0)
    assert stock(dearer) == (5, 0)


def test_a_payment_that_is_late_goes_back_whole(bench: Bench, dearer: Variant) -> None:
    replacement = bench.exchange(dearer)
    payment = checkout.start_payment(
        actor=bench.buyer.actor, order_id=replacement.id, method="test", now=bench.now
    )
    orders.cancel(actor=bench.staff, order_id=replacement.id, now=bench.now)

    bench.buyer.simulate(payment)
    bench.drain()

    assert bench.refunded() == 25
    assert reload(payment).refunded_amount == 5


@pytest.mark.parametrize("provider", ["test", "card", "paypal"])
def test_a_difference_is_collected_at_once_where_money_is_else_only_promised(
    bench: Bench,
    dearer: Variant,
    stripe: StripeServer,
    paypal: PayPalServer,
    settings: Any,
    provider: str,
) -> None:
    """A promise that ends would leave an order that is paid in part: by goods, which cannot be promised."""
    settings.PAYMENT_CAPTURE_MODE = "manual"
    replacement = bench.exchange(dearer)

    payment = checkout.start_payment(
        actor=bench.buyer.actor, order_id=replacement.id, method=provider, now=bench.now
    )
    match provider:
        case "card":
            stripe.books.confirm(intent_of(payment), "pm_card_visa")
        case "paypal":
            paypal.books.approve(intent_of(payment))
        case _:
            bench.buyer.simulate(payment)
    checkout.settle(payment_id=payment.id, now=bench.now)
    _whole()
    bench.drain()

    payment, replacement = reload(payment), reload(replacement)
    assert (payment.status, payment.captured_amount, payment.capture_before) == (
        "CAPTURED",
        5,
        None,
    )
    assert (replacement.status, replacement.payment_status) == ("confirmed", "captured")
    _whole()


@pytest.mark.parametrize("ended_by", ["customer", "staff", "expiry", "void", "lapse"])
@pytest.mark.parametrize("is_moved_first", [True, False])
def test_nothing_of_a_difference_is_lost_or_left_over_however_it_ends(
    bench: Bench, dearer: Variant, settings: Any, ended_by: str, is_moved_first: bool
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    replacement = bench.exchange(dearer)
    if ended_by == "lapse":
        checkout.start_payment(
            actor=bench.buyer.actor, order_id=replacement.id, method="test", now=bench.now
        )
    else:
        payment = bench.pay(replacement)
    if is_moved_first:
        bench.drain()
    later = bench.now + settings.ORDER_EXCHANGE_PAY + timedelta(minutes=1)

    match ended_by:
        case "customer":
            orders.cancel(actor=bench.buyer.actor, order_id=replacement.id, now=bench.now)
        case "staff":
            orders.cancel(actor=bench.staff, order_id=replacement.id, now=bench.now)
        case "expiry":
            with pytest.raises(InvalidTransition):  # nothing is promised that could end
                TestGateway().simulate_expiry(provider_id=intent_of(payment))
        case "void":
            TestGateway().cancel(provider_id=intent_of(payment), key="void")
        case "lapse":
            assert checkout.cancel_due_drafts(now=later) == 1
    _whole()
    for _ in range(2):
        checkout.reconcile(now=later)
        bench.drain(later)
        _whole()
    if ended_by in {"expiry", "void"}:
        orders.cancel(actor=bench.staff, order_id=replacement.id, now=later)
        bench.drain(later)
        _whole()

    order, replacement = reload(bench.order), reload(replacement)
    paid = Decimal(20) if ended_by == "lapse" else Decimal(25)
    assert bench.refunded() == paid
    assert not RefundRequest.objects.exclude(status="done").exists()
    assert (order.payment_status, order.needs_attention) == ("partially_refunded", "")
    assert (replacement.status, replacement.payment_status, replacement.needs_attention) == (
        "cancelled", "cancelled" if ended_by == "lapse" else "refunded", "",
    )  # fmt: skip
    assert stock(dearer) == (5, 0)
    told = [
        Client().get(f"/orders/{row.number}/?token={orders.access_token(row)}").context
        for row in (order, replacement)
    ]
    assert sum(page["refunded_total"] for page in told) == paid
    assert [page["refund_notes"] for page in told] == [[], []]
    desk = Client()
    desk.force_login(factories.make_staff(), "allauth.account.auth_backends.AuthenticationBackend")
    ended = ("Total", "$25.00") if ended_by == "lapse" else ("Kept", "$0.00")
    for row, last in ((order, ("Kept", "$4.90")), (replacement, ended)):
        page = desk.get(reverse("admin:orders_order_change", args=[row.pk])).context["bench"]
        assert page["waits"] == []
        assert (str(page["money"][-1]["label"]), page["money"][-1]["amount"]) == last


# --- a replacement that comes back in its turn -----------------------------------------------------


def test_a_cancelled_replacement_gives_each_part_back_where_it_came_from(
    bench: Bench, dearer: Variant
) -> None:
    replacement = bench.exchange(dearer)
    payment = bench.pay(replacement)
    bench.drain()

    orders.cancel(actor=bench.buyer.actor, order_id=replacement.id, now=bench.now)
    bench.drain()

    assert bench.refunded() == 25
    assert reload(payment).refunded_amount == 5
    first = bench.order.payments.get()
    assert first.refunded_amount == 20
    assert reload(replacement).payment_status == "refunded"
    assert reload(bench.order).payment_status == "partially_refunded"  # the shipping stays


def test_units_of_a_replacement_come_back_from_its_own_payment_first(
    bench: Bench, dearer: Variant
) -> None:
    replacement = bench.exchange(dearer)
    payment = bench.pay(replacement)
    bench.drain()
    line = replacement.lines.get()

    orders.cancel_items(
        actor=bench.buyer.actor, order_id=replacement.id, units=[Units(line.id, 1)], now=bench.now
    )
    bench.drain()

    amounts = replacement.refund_requests.values_list("amount", "is_of_credit").order_by("amount")
    assert list(amounts) == [(5, False), (Decimal("7.5"), True)]
    assert reload(payment).status == "REFUNDED"
    assert bench.refunded() == Decimal("12.50")
    assert reload(line).refunded_amount == Decimal("12.50")
    notes = orders.write_invoices(actor=bench.staff, order_id=replacement.id, now=bench.now)
    assert [note.amount for note in notes] == [25, 5, Decimal("7.5")]


def test_what_came_by_an_exchange_is_not_exchanged_again(bench: Bench, other: Variant) -> None:
    replacement = bench.exchange(other)
    bench.drain()
    orders.ship(actor=bench.staff, order_id=replacement.id, now=bench.now)
    orders.deliver(actor=bench.staff, order_id=replacement.id, now=bench.now)
    again = Bench(reload(replacement), bench.buyer, bench.staff, bench.now)
    assert orders.offers(order=again.order, actor=bench.staff, now=bench.now) == {
        again.order.lines.get().id: []
    }

    with pytest.raises(ReturnNotEligible) as refusal:
        again.ask(other)
    assert refusal.value.errors[0].code == "not_exchangeable"
    assert again.order.return_requests.count() == 0

    again.receive(again.approve(again.ask(None)))
    bench.drain()
    assert bench.refunded() == 20


# --- what stands in the way ------------------------------------------------------------------------


def test_only_variants_of_the_same_product_that_are_there(
    bench: Bench, shop: Company, mug: Product
) -> None:
    foreign = factories.make_priced_variant("10.00")
    gone = factories.make_priced_variant("10.00", available=1, product=mug)
    free = factories.make_variant(product=mug)  # no price
    off = factories.make_priced_variant("10.00", product=mug, is_active=False)
    codes = []
    for wanted in (foreign, gone, free, off):
        with pytest.raises(ReturnNotEligible) as refusal:
            bench.ask(wanted)
        codes += [(error.field, error.code) for error in refusal.value.errors]

    assert codes == [
        ("items.0.exchangeFor", "invalid"),
        ("items.0.exchangeFor", "INSUFFICIENT_STOCK"),
        ("items.0.exchangeFor", "PRICE_MISSING"),
        ("items.0.exchangeFor", "PRODUCT_DISCONTINUED"),
    ]
    assert ReturnRequest.objects.count() == 0


def test_offers_say_what_each_costs(
    bench: Bench, variant: Variant, dearer: Variant, cheaper: Variant, mug: Product
) -> None:
    factories.make_priced_variant("10.00", available=0, product=mug)

    found = orders.offers(order=reload(bench.order), actor=bench.buyer.actor, now=bench.now)

    [mine] = found.values()
    told = {offer.variant.id: (offer.each, offer.difference) for offer in mine}
    assert mine[0].variant == variant
    assert told == {
        variant.id: (10, 0),
        dearer.id: (Decimal("12.5"), Decimal("2.5")),
        cheaper.id: (7, -3),
    }


def test_offers_take_as_many_statements_for_many_lines(
    shop: Company, staff: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    buyer = Buyer.arrive(shop, now)
    for _ in range(5):
        buyer.add(factories.make_priced_variant("3.00", available=5))
    order, payment = buyer.begin().fill().pay()
    buyer.simulate(payment)
    order = Order.objects.prefetch_related("lines").get(pk=order.pk)
    orders.offers(order=order, actor=buyer.actor, now=now)

    with django_assert_num_queries(3):
        orders.offers(order=order, actor=buyer.actor, now=now)


def test_a_replacement_that_is_gone_by_then_is_paid_back(bench: Bench, other: Variant) -> None:
    asked = bench.ask(other)
    empty(other, bench)

    found = bench.approve(asked)

    assert (found.status, found.replacement) == ("APPROVED", None)
    assert found.exchange_failure
    assert Order.objects.count() == 1
    bench.receive(found)
    bench.drain()
    assert bench.refunded() == 20


def test_a_hold_that_ended_while_it_travelled_is_taken_again_or_paid_back(
    bench: Bench, other: Variant
) -> None:
    """The draft still stands, its hold was lost, and the shelf is empty when the goods come."""
    found = bench.approve(bench.ask(other))
    orders_hold = Reservation.objects.filter(order_id=found.replacement_id)
    inventory.release_order(actor=bench.staff, order_id=found.replacement_id, now=bench.now)
    assert orders_hold.filter(status="ACTIVE").count() == 0
    empty(other, bench)

    received = bench.receive(found)
    bench.drain()

    assert received.exchange_failure
    assert reload(found.replacement).status == "cancelled"
    assert bench.refunded() == 20


def test_a_return_that_never_comes_frees_what_was_held(bench: Bench, other: Variant) -> None:
    found = bench.approve(bench.ask(other))

    closed = orders.close_return(actor=bench.staff, return_id=found.id, now=bench.now)

    assert (closed.status, reload(found.replacement).status) == ("CLOSED", "cancelled")
    assert stock(other) == (5, 0)
    assert RefundRequest.objects.count() == 0
    bench.ask(other)  # the units are the customer's to send back again


def test_a_return_that_comes_after_its_end_is_paid_back(bench: Bench, other: Variant) -> None:
    found = bench.approve(bench.ask(other))
    later = bench.now + settings.ORDER_EXCHANGE_HOLD + timedelta(minutes=1)
    assert checkout.cancel_due_drafts(now=later) == 1
    assert stock(other) == (5, 0)

    bench.receive(found)
    bench.drain(later)

    assert bench.refunded() == 20


def test_withdrawn_and_refused_requests_hold_nothing(bench: Bench, other: Variant) -> None:
    asked = bench.ask(other)
    orders.withdraw_return(actor=bench.buyer.actor, return_id=asked.id, now=bench.now)
    with pytest.raises(InvalidTransition):
        bench.approve(asked)
    again = bench.ask(other)
    orders.reject_return(actor=bench.staff, return_id=again.id, notes="Worn", now=bench.now)
    with pytest.raises(InvalidTransition):
        orders.withdraw_return(actor=bench.buyer.actor, return_id=again.id, now=bench.now)

    assert stock(other) == (5, 0)
    assert Order.objects.count() == 1


# --- what came is not what was announced -----------------------------------------------------------


def test_only_what_came_is_counted(bench: Bench, variant: Variant, other: Variant) -> None:
    line = bench.order.lines.get()
    found = bench.approve(bench.ask(other))

    bench.receive(found, came={line.id: Came(1)})
    bench.drain()

    replacement = reload(found.replacement)
    assert (replacement.status, replacement.credit_total, replacement.to_pay) == ("draft", 10, 10)
    assert stock(variant) == (4, 0)
    assert reload(line).returned_quantity == 1
    [part] = found.lines.all()
    assert (part.received_quantity, part.damaged_quantity) == (1, 0)


def test_damaged_goods_pay_too_but_leave_the_books(bench: Bench, variant: Variant) -> None:
    line = bench.order.lines.get()
    found = bench.approve(bench.ask(None))

    bench.receive(found, came={line.id: Came(2, 1)})
    bench.drain()

    assert bench.refunded() == 20
    assert stock(variant) == (4, 0)


def test_missing_goods_are_refunded_if_staff_say_so(bench: Bench, variant: Variant) -> None:
    line = bench.order.lines.get()
    found = bench.approve(bench.ask(None))

    bench.receive(found, came={line.id: Came(1)}, refund_missing=True)
    bench.drain()

    assert bench.refunded() == 20
    assert reload(line).returned_quantity == 1
    assert stock(variant) == (4, 0)


@pytest.mark.parametrize("came", [Came(3), Came(1, 2), Came(0), Came(-1, -1)])
def test_a_count_that_cannot_be_changes_nothing(bench: Bench, came: Came) -> None:
    found = bench.approve(bench.ask(None))

    with pytest.raises(ValidationFailed):
        bench.receive(found, came={bench.order.lines.get().id: came})

    assert reload(found).status == "APPROVED"
    assert RefundRequest.objects.count() == 0


# --- any history -----------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(
        ["ask_even", "ask_dearer", "ask_cheaper", "ask_money", "receive", "close", "pay", "lapse",
         "cancel", "cancel_unit", "deliver", "return", "goodwill", "drain"]
    ),
    min_size=3,
    max_size=14,
)  # fmt: skip


class Rollback(Exception):
    """Ends an example; the next one begins with an empty shop."""


@pytest.mark.slow
@hypothesis_settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=STEPS,
    price=st.integers(101, 2999),
    quantity=st.integers(1, 4),
    discount=st.sampled_from([0, 7, 33]),
)
def test_what_was_paid_is_kept_or_back_over_both_orders(
    shop: Company,
    staff: Actor,
    now: datetime,
    steps: list[str],
    price: int,
    quantity: int,
    discount: int,
) -> None:
    try:
        with transaction.atomic():
            factories.make_tax_rate("0.0825", country="US", name="Tax", type="SALES_TAX")
            if discount:
                factories.make_promotion(value=Decimal(discount), scope="ORDER")
            _play(steps, shop, staff, now, price, quantity)
            raise Rollback
    except Rollback:
        pass


def _play(
    steps: list[str], shop: Company, staff: Actor, now: datetime, price: int, quantity: int
) -> None:
    mug = factories.make_product()
    bought, dear, cheap = (
        factories.make_priced_variant(str(from_minor(minor, "USD")), available=20, product=mug)
        for minor in (price, price + 333, price - 100)
    )
    buyer = Buyer.arrive(shop, now).add(bought, quantity).begin().fill()
    order, payment = buyer.pay()
    buyer.simulate(payment)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    bench = Bench(reload(order), buyer, staff, now)
    wanted = {"ask_even": bought, "ask_dearer": dear, "ask_cheaper": cheap, "ask_money": None}
    for step in steps:
        try:
            with transaction.atomic():
                _step(bench, step, wanted)
        except ApplicationError:
            pass
        _whole()
    bench.drain()
    checkout.cancel_due_drafts(now=now + timedelta(days=30))
    bench.drain()
    _whole()
    assert not RefundRequest.objects.filter(status="failed").exists()
    assert not RefundRequest.objects.filter(status="due").exists()


def _step(bench: Bench, step: str, wanted: dict[str, Variant | None]) -> None:
    rows = ReturnRequest.objects.order_by("id")
    newest = Order.objects.order_by("id").last()
    assert newest is not None
    match step:
        case "receive" | "close":
            found = rows.filter(status="APPROVED").last()
            if found is not None and step == "receive":
                bench.receive(found)
            elif found is not None:
                orders.close_return(actor=bench.staff, return_id=found.id, now=bench.now)
        case "pay":
            bench.pay(newest)
        case "lapse":
            checkout.cancel_due_drafts(now=bench.now + timedelta(days=4))
        case "cancel":
            orders.cancel(actor=bench.staff, order_id=newest.id, now=bench.now)
        case "cancel_unit":
            units = [Units(newest.lines.get().id, 1)]
            orders.cancel_items(actor=bench.staff, order_id=newest.id, units=units, now=bench.now)
        case "deliver":
            orders.ship(actor=bench.staff, order_id=newest.id, now=bench.now)
            orders.deliver(actor=bench.staff, order_id=newest.id, now=bench.now)
        case "return":
            again = Bench(newest, bench.buyer, bench.staff, bench.now)
            again.receive(again.approve(again.ask(None, 1)))
        case "goodwill":
            orders.request_refund(
                actor=bench.staff,
                order_id=newest.id,
                amount=Decimal("0.37"),
                reason="sorry",
                now=bench.now,
            )
        case "drain":
            bench.drain()
        case _:
            bench.approve(bench.ask(wanted[step], 1))


def _whole() -> None:
    """Captured is what went back and what the orders keep or owe; and the checker finds nothing."""
    taken = Payment.objects.aggregate(a=Sum("captured_amount"))["a"] or Decimal(0)
    back = Payment.objects.aggregate(a=Sum("refunded_amount"))["a"] or Decimal(0)
    pending = Refund.objects.filter(status="PENDING").count()
    kept = sum(
        (
            order.grand_total - order.refunded_total
            for order in Order.objects.filter(confirmed_at__isnull=False)
        ),
        Decimal(0),
    )
    unsettled = sum(
        (
            request.moved_amount
            for request in RefundRequest.objects.filter(
                status="due", moved_to__confirmed_at__isnull=False
            )
        ),
        Decimal(0),
    )
    late = sum(
        (
            request.amount
            for request in RefundRequest.objects.filter(payment_id__isnull=False, status="due")
        ),
        Decimal(0),
    )
    assert pending == 0
    assert taken - back == kept - unsettled + late
    broken = [
        result.to_json()
        for result in invariants.run(invariants.select(invariants.all_checks(), klass="S"))
        if not result.holds
    ]
    assert not broken


# --- over HTTP -------------------------------------------------------------------------------------


def test_an_exchange_over_http(
    bench: Bench, dearer: Variant, staff_api: Api, user: User, api: Api
) -> None:
    line = bench.order.lines.get()
    path = f"/orders/{bench.order.number}/returns"
    body = {"items": [{"itemId": str(line.id), "quantity": 2, "exchangeFor": {"sku": dearer.sku}}]}
    assert api.as_user(user).post(path, body).status_code == 404

    asked = bench.buyer.api.post(path, body)

    assert asked.status_code == 201
    found = asked.json()
    assert found["items"][0]["exchangeFor"] == {"variantId": str(dearer.id), "sku": dearer.sku}
    assert (found["exchangeOrder"], found["exchangeFailure"]) == (None, None)
    decide = f"/orders/returns/{found['id']}"
    assert bench.buyer.api.post(f"{decide}/close").status_code in {401, 403}
    approved = staff_api.post(f"{decide}/approve").json()
    replacement = approved["exchangeOrder"]
    assert (replacement["status"], replacement["grandTotal"], replacement["toPay"]) == (
        "draft",
        "25.00",
        None,
    )
    early = bench.buyer.api.post(f"/orders/{replacement['number']}/payments", {"method": "test"})
    assert (early.status_code, early.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    assert bench.buyer.api.post(f"{decide}/withdraw").status_code == 409

    received = staff_api.post(
        f"{decide}/receive", {"items": [{"itemId": str(line.id), "received": 2, "damaged": 1}]}
    ).json()

    assert received["exchangeOrder"] | {"id": ""} == {
        "id": "",
        "number": replacement["number"],
        "status": "draft",
        "grandTotal": "25.00",
        "paidByExchange": "20.00",
        "toPay": "5.00",
    }
    assert (received["items"][0]["received"], received["items"][0]["damagedQuantity"]) == (2, 1)
    paid = bench.buyer.api.post(f"/orders/{replacement['number']}/payments", {"method": "test"})
    assert paid.json()["amount"] == "5.00"
    listed = bench.buyer.api.get(path).json()["results"]
    assert [row["exchangeOrder"]["toPay"] for row in listed] == ["5.00"]


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"sku": "NOT-THERE"}, 400, "RETURN_NOT_ELIGIBLE"),
        ({"variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f001"}, 400, "RETURN_NOT_ELIGIBLE"),
        ({}, 400, "VALIDATION_ERROR"),
        ({"sku": "A", "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f001"}, 400, "VALIDATION_ERROR"),
        ({"sku": "A\x00"}, 400, "MALFORMED_REQUEST"),
        ({"sku": "A", "price": "0.01"}, 400, "VALIDATION_ERROR"),
        ("A", 400, "VALIDATION_ERROR"),
        ([], 400, "VALIDATION_ERROR"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused(bench: Bench, wanted: Any, status: int, code: str) -> None:
    line = bench.order.lines.get()

    answer = bench.buyer.api.post(
        f"/orders/{bench.order.id}/returns",
        {"items": [{"itemId": str(line.id), "quantity": 1, "exchangeFor": wanted}]},
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ReturnRequest.objects.count() == 0


@pytest.mark.parametrize(
    "items",
    [
        [{"received": 3}],
        [{"received": -1}],
        [{"received": 1, "damaged": 2}],
        [{"received": 0}],
        [{"received": 1}, {"received": 1}],
        [],
    ],
)
def test_counts_that_cannot_be_are_refused(
    bench: Bench, staff_api: Api, items: list[dict[str, int]]
) -> None:
    line = str(bench.order.lines.get().id)
    found = bench.approve(bench.ask(None))

    answer = staff_api.post(
        f"/orders/returns/{found.id}/receive",
        {"items": [{"itemId": line, **item} for item in items]},
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert reload(found).status == "APPROVED"


def test_a_return_is_withdrawn_by_who_asked_and_nobody_else(
    bench: Bench, api: Api, user: User
) -> None:
    found = bench.ask(None)
    place = f"/orders/returns/{found.id}/withdraw"
    assert api.post(place).status_code == 401
    assert api.as_user(user).post(place).status_code == 404

    answer = bench.buyer.api.post(place)

    assert (answer.status_code, answer.json()["status"]) == (200, "WITHDRAWN")
