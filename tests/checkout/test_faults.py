"""What a shop goes through while it sells: frozen processes, lost answers, slow providers, changes under way."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from cart.models import Cart, CartLine
from checkout import services as checkout
from checkout.gateway import StripeGateway, TestGateway
from checkout.models import Checkout, Payment, TestCharge, TestChargeRefund, WebhookInbox
from config.platform.errors import ApplicationError
from config.platform.models import OutboxEvent
from inventory import services as inventory
from inventory.models import Company, Product, Reservation, StockLevel, StockMovement, Variant
from orders import services as orders
from orders.models import Order, OrderLine, RefundRequest
from orders.services import Units
from pricing.models import Price, Promotion, ShippingRule, TaxRate
from tests import factories
from tests.checkout.conftest import Buyer, deliver, events, intent_of
from tests.checkout.crashes import LIVENESS, SAFETY, recover, wrong
from tests.checkout.test_concurrency import is_free
from tests.proxy import LosesAnswers
from tests.stripe import StripeServer
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(run: Callable[[], Any]) -> Any:
    """Return what `run` returns, or the code of its refusal."""
    try:
        return run()
    except ApplicationError as refusal:
        return refusal.code


def pay(buyer: Buyer, key: str, quote_id: str = "") -> Any:
    return buyer.api.post(
        f"/checkout/{buyer.checkout_id}/payment",
        {"method": "test", "quoteId": quote_id or buyer.quote_id},
        key=key,
    )


def in_a_thread(run: Callable[[], Any]) -> Any:
    """Run something with a connection of its own, as another process would."""
    return together(1, lambda _: run())[0]


# --- F05: a process that is frozen while it holds locks ---------------------------------------------


def freeze(buyer: Buyer, *, gives_up_after: str) -> int:
    """Place an order in a process that stops in the midst, right after it wrote the order; return its id."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:

            def stop(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
                result = execute(sql, params, many, context)
                if 'INSERT INTO "orders"' in sql:
                    os.kill(os.getpid(), signal.SIGSTOP)
                return result

            with connection.cursor() as cursor:
                cursor.execute(f"SET idle_in_transaction_session_timeout = '{gives_up_after}'")
            with connection.execute_wrapper(stop):
                buyer.pay()
        except BaseException:  # noqa: BLE001 - nothing of the child may reach the tests' own machinery
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "it did not come so far"
    return child


def wake(child: int) -> int:
    os.kill(child, signal.SIGCONT)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_who_meets_a_frozen_purchase_is_told_to_come_back_and_the_frozen_one_never_commits(
    ready: Buyer,
) -> None:
    assert ready.api.get(f"/checkout/{ready.checkout_id}").status_code == 200  # all is loaded
    child = freeze(ready, gives_up_after="6s")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '250ms'")
        busy = pay(ready, "other-tab")
        assert (busy.status_code, busy.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
        assert busy["Retry-After"]
        assert not Order.objects.exists()

        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60s'")  # the database gives the frozen one up
        paid = pay(ready, "other-tab")
        assert paid.status_code == 200
    finally:
        assert wake(child) == 3, "the woken process committed"

    assert (Order.objects.count(), Payment.objects.count(), TestCharge.objects.count()) == (1, 1, 1)
    assert str(Order.objects.get().id) == paid.json()["order"]["id"]


def test_without_the_database_giving_it_up_the_woken_process_commits(ready: Buyer) -> None:
    child = freeze(ready, gives_up_after="0")

    assert wake(child) == 0
    assert Order.objects.count() == 1


# --- F11: the answer to COMMIT is lost --------------------------------------------------------------


@pytest.mark.parametrize("step", ["pay", "complete"])
def test_an_answer_lost_after_any_commit_is_found_by_the_same_key(
    shop: Company, now: datetime, step: str
) -> None:
    variant = factories.make_priced_variant("10.00", available=100)
    lost = 0
    for number in range(1, 40):
        buyer = Buyer.arrive(shop, now).add(variant, 2).begin().fill()
        if step == "complete":
            _, payment = buyer.pay()
            buyer.simulate(payment, delivery="lost")
        proxy = LosesAnswers(lose=number)

        def ask(buyer: Buyer = buyer, proxy: LosesAnswers = proxy) -> tuple[Any, Any]:
            def send() -> Any:
                if step == "pay":
                    return pay(buyer, "k")
                return buyer.api.post(f"/checkout/{buyer.checkout_id}/complete", {}, key="k")

            proxy.lead_here()
            first = send()
            # The key is free again, or kept; a client asks until it has an answer.
            return first, send() if first.status_code != 200 else first

        first, second = in_a_thread(ask)
        proxy.close()

        assert second.status_code == 200, second.content
        order = Order.objects.get(checkout_id=buyer.checkout_id)
        answer = second.json()
        assert (answer["order"] if step == "pay" else answer)["id"] == str(order.id)
        assert order.payments.count() == 1
        assert TestCharge.objects.filter(metadata__order_id=str(order.id)).count() == 1
        if proxy.commits < number:
            break
        lost += 1
        assert first.status_code in {200, 503}, first.content

    assert lost >= 1
    assert wrong(SAFETY) == []


# --- F18, F23: the provider is quicker than its own answer, or slow ---------------------------------


def test_a_webhook_that_is_worked_off_before_the_provider_has_answered_confirms_once(
    ready: Buyer, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = StripeGateway.create
    outcomes = []

    def overtaken(self: StripeGateway, **about: Any) -> Any:
        remote = create(self, **about)
        stripe.books.confirm(remote.provider_id, "pm_card_visa")

        def elsewhere() -> int:
            for event in events(stripe):
                assert deliver(event, now=timezone.now()).status_code == 200
            return checkout.drain_inbox(now=timezone.now() + timedelta(seconds=1))

        monkeypatch.setattr(StripeGateway, "create", create)
        outcomes.append(in_a_thread(elsewhere))
        return remote

    monkeypatch.setattr(StripeGateway, "create", overtaken)

    order, payment = ready.pay("card")

    assert outcomes == [len(events(stripe))]
    assert (order.status, payment.status) == ("confirmed", "CAPTURED")
    assert ready.complete().pk == order.pk
    assert (Payment.objects.count(), len(stripe.books.movements)) == (1, 1)
    assert OutboxEvent.objects.filter(name="order.confirmed").count() == 1


def test_while_a_provider_is_slow_no_row_is_locked_and_no_transaction_open(
    ready: Buyer, stripe: StripeServer
) -> None:
    looked = threading.Event()
    create = stripe.books.create_intent

    def slowly(*arguments: Any) -> Any:
        assert looked.wait(120)
        return create(*arguments)

    stripe.books.create_intent = slowly  # type: ignore[method-assign]
    slow = threading.Thread(target=lambda: in_a_thread(lambda: ready.pay("card")))
    slow.start()
    until(lambda: ("POST", "/v1/payment_intents") in stripe.asked)

    free = is_free(Order.objects.all())
    held = not all(is_free(rows.objects.all()) for rows in (Cart, Checkout, Payment, StockLevel))
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where state like 'idle in transaction%%' and datname = current_database()"
        )
        [open_] = cursor.fetchone()
    looked.set()
    slow.join()

    assert (free, held, open_) == (True, False, 0)
    assert Payment.objects.get().provider_id


def test_a_row_that_is_held_is_seen(ready: Buyer) -> None:
    """The control: the question whether rows are free knows a locked one."""
    order = ready.place()
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Order.objects.filter(pk=order.pk).select_for_update(no_key=True).get()
            locked.set()
            done.wait(120)

    holder = threading.Thread(target=lambda: in_a_thread(hold))
    holder.start()
    locked.wait(120)
    seen = is_free(Order.objects.all())
    done.set()
    holder.join()

    assert not seen


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


# --- F25: each job twice at once --------------------------------------------------------------------


def test_jobs_that_run_four_times_at_once_have_their_effect_once(
    shop: Company, now: datetime, staff: Any
) -> None:
    variant = factories.make_priced_variant("10.00", available=100)

    def customer() -> Buyer:
        return Buyer.arrive(shop, now).add(variant, 2).begin().fill()

    told, forgotten, cancelled, left, idle = (customer() for _ in range(5))
    for buyer, delivery in ((told, "duplicate"), (forgotten, "lost"), (cancelled, "lost")):
        _, payment = buyer.pay()
        buyer.simulate(payment, delivery=delivery)
    cancelled.complete()
    of_cancelled = Order.objects.get(checkout_id=cancelled.checkout_id)
    orders.cancel(actor=staff, order_id=of_cancelled.id, now=now)
    left.pay()
    jobs = [
        (checkout.drain_inbox, timedelta(seconds=1), 1),
        (checkout.reconcile, timedelta(minutes=3), 1),
        (checkout.execute_refunds, timedelta(minutes=3), 1),
        (inventory.release_expired, timedelta(minutes=20), 1),
        (checkout.expire_due, timedelta(minutes=20), 1),
        (checkout.cancel_due_drafts, timedelta(hours=25), 1),
    ]

    done = {
        job.__name__: sum(together(4, lambda _, job=job, late=late: job(now=now + late) or 0))
        for job, late, _ in jobs
    }

    assert done["drain_inbox"] == WebhookInbox.objects.count() == 1
    assert done["execute_refunds"] == TestChargeRefund.objects.count() == 1
    assert done["expire_due"] == 1
    assert done["cancel_due_drafts"] == 1
    ends = {
        buyer.checkout_id: tuple(
            Order.objects.filter(checkout_id=buyer.checkout_id).values_list("status", flat=True)
        )
        for buyer in (told, forgotten, cancelled, left, idle)
    }
    assert list(ends.values()) == [
        ("confirmed",), ("confirmed",), ("cancelled",), ("cancelled",), (),
    ]  # fmt: skip
    assert StockMovement.objects.filter(type="SALE").count() == 3
    assert Checkout.objects.get(pk=idle.checkout_id).status == Checkout.Status.EXPIRED
    level = StockLevel.objects.get(variant=variant)
    assert (level.total, level.reserved) == (96, 0)
    assert OutboxEvent.objects.filter(name="payment.captured").count() == 3
    assert OutboxEvent.objects.filter(name="order.cancelled").count() == 2


# --- F29: what was shown changes before it is paid --------------------------------------------------


def price_rises(variant: Variant) -> None:
    Price.objects.filter(variant=variant).update(amount=Decimal("12.00"))


def price_falls(variant: Variant) -> None:
    Price.objects.filter(variant=variant).update(amount=Decimal("8.00"))


def promotion_ends(variant: Variant) -> None:
    Promotion.objects.update(is_active=False)
    factories.pricing.forget()


def promotion_begins(variant: Variant) -> None:
    factories.make_promotion(value=Decimal(50))


def tax_is_levied(variant: Variant) -> None:
    factories.make_tax_rate("0.05", country="US", name="Sales tax", type=TaxRate.Type.SALES_TAX)


def shipping_costs_more(variant: Variant) -> None:
    ShippingRule.objects.update(base_price=Decimal("9.90"))
    factories.pricing.forget()


def product_is_withdrawn(variant: Variant) -> None:
    Product.objects.filter(variants=variant).update(status=Product.Status.DRAFT)


CHANGES: list[tuple[Callable[[Variant], None], str]] = [
    (price_rises, "PRICE_CHANGED"),
    (price_falls, "PRICE_CHANGED"),
    (promotion_ends, "PRICE_CHANGED"),
    (promotion_begins, "PRICE_CHANGED"),
    (tax_is_levied, "PRICE_CHANGED"),
    (shipping_costs_more, "PRICE_CHANGED"),
    (product_is_withdrawn, "CHECKOUT_INCOMPLETE"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES, ids=[each[0].__name__ for each in CHANGES])
def test_what_changed_since_it_was_shown_is_not_charged(
    ready: Buyer, variant: Variant, settings: Any, change: Callable[[Variant], None], code: str
) -> None:
    if change is promotion_ends:
        factories.make_promotion(value=Decimal(10))
        ready.fill()
    shown = ready.quote_id
    holds = list(Reservation.objects.values_list("status", "quantity"))
    change(variant)

    refused = pay(ready, "k")

    assert (refused.status_code, refused.json()["code"]) in {(409, code), (400, code), (422, code)}
    assert not Order.objects.exists()
    assert not Payment.objects.exists()
    assert not TestCharge.objects.exists()
    assert Cart.objects.get().status == Cart.Status.ACTIVE
    assert list(Reservation.objects.values_list("status", "quantity")) == holds
    if code != "PRICE_CHANGED":
        return
    extra = refused.json()["extra"]
    assert extra["quoteId"] != shown
    paid = pay(ready, "k2", extra["quoteId"])  # it was seen and agreed to
    assert paid.status_code == 200
    [charge] = TestCharge.objects.all()
    assert f"{charge.amount:.2f}" == extra["newTotal"] == f"{Order.objects.get().grand_total:.2f}"
    # What is held keeps the lower price it was held at; it is shown again all the same.
    assert (extra["oldTotal"] == extra["newTotal"]) == (change is price_rises)


# --- F32: the cart changes while it is paid ---------------------------------------------------------


def paid_is_ordered(buyer: Buyer) -> Order:
    """Return the one order, which has exactly the lines and the total that were shown and paid."""
    order = Order.objects.get(checkout_id=buyer.checkout_id)
    [charge] = TestCharge.objects.filter(metadata__order_id=str(order.id))
    assert charge.captured_amount == charge.amount == order.grand_total == Decimal("24.90")
    lines = OrderLine.objects.filter(order=order).values_list("quantity", "subtotal")
    assert list(lines) == [(2, Decimal("20.00"))]
    return order


def test_what_is_added_while_the_provider_is_asked_goes_into_a_new_cart(
    ready: Buyer, shop: Company, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = TestGateway.create

    def meanwhile(self: TestGateway, **about: Any) -> Any:
        remote = create(self, **about)
        in_a_thread(lambda: ready.add(variant))
        return remote

    monkeypatch.setattr(TestGateway, "create", meanwhile)
    _, payment = ready.pay()
    ready.simulate(payment)
    ready.complete()

    order = paid_is_ordered(ready)
    kept = CartLine.objects.filter(cart__status=Cart.Status.ACTIVE)
    assert [line.quantity for line in kept] == [1]
    assert Cart.objects.get(order_id=order.id).status == Cart.Status.CONVERTED


def test_of_adding_and_paying_at_once_only_what_was_shown_is_paid(
    shop: Company, now: datetime
) -> None:
    variant = factories.make_priced_variant("10.00", available=100)
    ready = Buyer.arrive(shop, now).add(variant, 2).begin().fill()

    def side(index: int) -> Any:
        if index % 4 == 0:
            return attempt(lambda: ready.pay()[1].id)
        return attempt(lambda: ready.add(variant) and "added")

    outcomes = together(20, side)
    added = outcomes.count("added")
    paid = {outcome for outcome in outcomes[0::4] if not isinstance(outcome, str)}
    refused = {outcome for outcome in outcomes if isinstance(outcome, str)} - {"added"}

    assert refused <= {"PRICE_CHANGED", "CART_LOCKED", "CHECKOUT_EXPIRED"}
    in_carts = sum(
        CartLine.objects.filter(cart__status=Cart.Status.ACTIVE).values_list("quantity", flat=True)
    )
    if paid:  # it came before every addition to that cart
        assert len(paid) == 1
        ready.simulate(Payment.objects.get())
        ready.complete()
        paid_is_ordered(ready)
        assert in_carts == added
    else:
        assert not TestCharge.objects.exists()
        assert in_carts == added + 2


# --- L08, L09: payments as holds expire; staff and customers at one order ---------------------------


@pytest.mark.slow
def test_money_that_comes_as_the_holds_run_out_ends_as_an_order_or_goes_back(
    shop: Company, now: datetime
) -> None:
    count = 50
    variant = factories.make_priced_variant("10.00", available=count)
    buyers = [Buyer.arrive(shop, now).add(variant).begin().fill() for _ in range(count)]
    payments = []
    for buyer in buyers:
        _, payment = buyer.pay()
        buyer.simulate(payment, delivery="lost")
        payments.append(payment)
    late = max(Reservation.objects.values_list("expires_at", flat=True)) + timedelta(seconds=1)
    rivals = [Buyer.arrive(shop, late) for _ in range(10)]

    def side(index: int) -> Any:
        if index < 10:
            mine = payments[index::10]
            return [attempt(lambda one=one: checkout.settle(payment_id=one.id, now=late).status) for one in mine]  # fmt: skip
        if index < 12:
            return [inventory.release_expired(now=late, limit=5) for _ in range(5)]
        return [attempt(lambda: rivals[index - 12].add(variant) and "held")]

    results = together(22, side)
    recover(late + timedelta(minutes=3))

    held = sum(result == ["held"] for result in results[12:])
    kept = Order.objects.filter(status="confirmed").count()
    given_back = Order.objects.filter(status="cancelled").count()
    assert kept + given_back == count
    assert given_back <= held
    for order in Order.objects.all():
        charge = TestCharge.objects.get(metadata__order_id=str(order.id))
        back = charge.amount if order.status == "cancelled" else Decimal(0)
        assert (charge.captured_amount, charge.refunded_amount) == (charge.amount, back)
    level = StockLevel.objects.get(variant=variant)
    assert level.total == count - kept
    assert level.reserved <= held
    assert wrong(SAFETY) == []


@pytest.mark.slow
def test_two_of_staff_at_one_order_never_give_back_more_than_was_paid(
    shop: Company, now: datetime, staff: Any
) -> None:
    for _ in range(4):
        variant = factories.make_priced_variant("10.00", available=10)
        buyer = Buyer.arrive(shop, now).add(variant, 4).begin().fill()
        order, payment = buyer.pay()
        buyer.simulate(payment)
        line = OrderLine.objects.get(order=order)
        about: Any = {"actor": staff, "order_id": order.id, "now": now}
        half = [Units(line.id, 2)]

        def side(
            index: int, about: Any = about, payment: Any = payment, half: Any = half, variant: Any = variant
        ) -> Any:  # fmt: skip
            match index % 5:
                case 0:
                    return attempt(lambda: orders.cancel(**about).status)
                case 1:
                    return attempt(lambda: orders.cancel_items(**about, units=half).status)
                case 2:
                    return attempt(
                        lambda: checkout.refund_payment(
                            actor=staff, payment_id=payment.id, amount=Decimal("30.00"), reason="x", now=now
                        ).status
                    )  # fmt: skip
                case 3:
                    return attempt(lambda: checkout.execute_refunds(now=now))
                case _:
                    return attempt(lambda: Buyer.arrive(shop, now).add(variant, 3) and "held")

        together(10, side)
        recover(now + timedelta(minutes=3))

        charge = TestCharge.objects.get(pk=payment.provider_id)
        payment.refresh_from_db()
        line.refresh_from_db()
        assert charge.refunded_amount == payment.refunded_amount <= charge.captured_amount
        level = StockLevel.objects.get(variant=variant)
        gone = 0 if Order.objects.get(pk=order.pk).status == "cancelled" else 4 - line.cancelled_quantity  # fmt: skip
        assert level.total == 10 - gone
        assert not RefundRequest.objects.filter(status="due").exists()
    assert wrong(SAFETY) == []
    assert [each for each in wrong(LIVENESS) if each.startswith("P")] == []
    assert intent_of(payment)
