"""Paying with PayPal, over HTTP, against a server that keeps PayPal's rules and PayPal's books."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.signing import get_cookie_signer
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from checkout import services as checkout
from checkout.errors import PaymentRequired
from checkout.gateway.paypal import PayPalGateway, client
from checkout.models import Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.errors import DependencyUnavailable
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from config.platform.models import AuditEntry, OutboxEvent
from inventory import services as inventory
from inventory.errors import HoldFailed
from inventory.models import StockLevel, StockMovement
from orders import services as orders
from orders.models import Order
from tests.checkout.conftest import Buyer, intent_of
from tests.conftest import Api
from tests.paypal import PayPalServer
from tests.paypal.books import MERCHANT

pytestmark = pytest.mark.django_db


def told(order: Order) -> tuple[str, str, str]:
    order.refresh_from_db()
    payment = order.payments.latest("id")
    return order.status, order.payment_status, payment.status


def post(paypal: PayPalServer, event: dict[str, Any], **headers: str) -> Any:
    body = json.dumps(event).encode()
    return Api().request("POST", "/webhooks/paypal", body, **{**paypal.sign(body), **headers})


def tell_all(paypal: PayPalServer, *, now: datetime) -> None:
    for event in list(paypal.books.events):
        assert post(paypal, event).status_code == 200
    checkout.drain_inbox(now=max(now, timezone.now()) + timedelta(minutes=1))


def amounts(paypal: PayPalServer) -> list[str]:
    return [line["amount"] for line in paypal.books.movements]


# --- the way of a payment -------------------------------------------------------------------------


def test_it_is_offered_with_credentials_only(ready: Buyer, paypal: PayPalServer, settings: Any) -> None:  # fmt: skip
    address = f"/checkout/{ready.checkout_id}"
    assert {"id": "paypal", "name": "PayPal"} in ready.api.get(address).json()["paymentMethods"]

    settings.PAYPAL_CLIENT_ID = ""

    offered = ready.api.get(address).json()["paymentMethods"]
    assert [method["id"] for method in offered] == ["test"]
    refused = ready.api.request(
        "POST", f"{address}/payment", {"method": "paypal", "quoteId": ready.quote_id}, key="one"
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
    assert not Order.objects.exists()


def test_the_customer_is_sent_there_and_completing_takes_the_money(
    ready: Buyer, paypal: PayPalServer
) -> None:
    answer = ready.api.request(
        "POST",
        f"/checkout/{ready.checkout_id}/payment",
        {"method": "paypal", "quoteId": ready.quote_id},
        key="one",
    )
    assert answer.status_code == 200
    shown = answer.json()["payment"]
    order_id = intent_of(Payment.objects.get())
    assert shown["nextAction"] == {
        "type": "redirect",
        "url": f"{paypal.url}/checkoutnow?token={order_id}",
    }
    assert (shown["provider"], shown["status"], shown["amount"]) == ("paypal", "PENDING", "24.90")
    there = paypal.books.orders[order_id]
    assert there["purchase_units"][0]["shipping"]["address"]["postal_code"] == "04101"

    early = ready.api.request("POST", f"/checkout/{ready.checkout_id}/complete", {}, key="two")
    assert (early.status_code, early.json()["code"]) == (402, "PAYMENT_REQUIRED")
    paypal.books.approve(order_id)
    done = ready.api.request("POST", f"/checkout/{ready.checkout_id}/complete", {}, key="three")
    again = ready.api.request("POST", f"/checkout/{ready.checkout_id}/complete", {}, key="four")

    assert (done.status_code, done.json()["status"]) == (200, "confirmed")
    assert again.json()["id"] == done.json()["id"]
    assert amounts(paypal) == ["24.90"]
    assert StockMovement.objects.filter(type="SALE").count() == 1


def test_the_webhook_alone_takes_and_confirms(ready: Buyer, paypal: PayPalServer) -> None:
    """Its customer agreed and never came back."""
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))

    tell_all(paypal, now=ready.now)
    tell_all(paypal, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert amounts(paypal) == ["24.90"]
    assert WebhookInbox.objects.filter(outcome="PENDING -> CAPTURED").count() == 1


def test_reconciliation_finds_what_nobody_told_of(ready: Buyer, paypal: PayPalServer) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))

    assert checkout.reconcile(now=timezone.now() + timedelta(minutes=3)) == 1

    assert told(order) == ("confirmed", "captured", "CAPTURED")


def test_a_declined_wallet_frees_the_goods_and_another_try_is_another_order(
    ready: Buyer, paypal: PayPalServer, variant: Any
) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment), "declined")

    with pytest.raises(PaymentRequired) as refusal:
        ready.complete()

    assert refusal.value.extra["payment"]["failure"] == "INSTRUMENT_DECLINED"
    assert told(order) == ("draft", "failed", "FAILED")
    assert StockLevel.objects.get(variant=variant).reserved == 0
    assert amounts(paypal) == []

    _, again = ready.pay("paypal")
    assert intent_of(again) != intent_of(payment)
    paypal.books.approve(intent_of(again))
    assert ready.complete().status == "confirmed"
    assert amounts(paypal) == ["24.90"]


def test_a_customer_who_leaves_pays_nothing_and_may_choose_another_way(
    ready: Buyer, paypal: PayPalServer
) -> None:
    order, payment = ready.pay("paypal")

    _, other = ready.pay("test")
    ready.simulate(other)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    payment.refresh_from_db()
    assert payment.status == "CANCELLED"
    # Whoever approves it now approves nothing: it is not taken.
    paypal.books.approve(intent_of(payment))
    tell_all(paypal, now=ready.now)
    assert amounts(paypal) == []


def test_an_order_that_paypal_has_forgotten_is_closed(ready: Buyer, paypal: PayPalServer) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.forget(intent_of(payment))

    checkout.reconcile(now=timezone.now() + timedelta(hours=7))

    assert told(order) == ("draft", "pending", "CANCELLED")
    assert order.needs_attention == ""


def test_a_bank_that_takes_days_holds_until_then(ready: Buyer, paypal: PayPalServer) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment), "bank")
    tell_all(paypal, now=ready.now)
    assert told(order) == ("draft", "pending", "PROCESSING")

    paypal.books.clear(intent_of(payment))
    tell_all(paypal, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")


def test_a_bank_that_refuses_after_days_fails(ready: Buyer, paypal: PayPalServer) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment), "bank")
    tell_all(paypal, now=ready.now)

    paypal.books.clear(intent_of(payment), succeed=False)
    tell_all(paypal, now=ready.now)

    assert told(order) == ("draft", "failed", "FAILED")


def test_manual_capture_is_promised_first_and_collected_later(
    ready: Buyer, paypal: PayPalServer, settings: Any, staff: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    ready.complete()
    ready.complete()
    assert told(order) == ("confirmed", "authorized", "AUTHORIZED")
    payment.refresh_from_db()
    assert payment.capture_before is not None
    assert amounts(paypal) == []

    for _ in range(2):
        checkout.capture(actor=staff, payment_id=payment.id, amount=None, now=ready.now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert amounts(paypal) == ["24.90"]
    steps = PaymentStatusChange.objects.filter(payment=payment).values_list("to_status", flat=True)
    assert list(steps) == ["PENDING", "AUTHORIZED", "CAPTURED"]


def test_what_was_promised_is_let_go_with_the_order(
    ready: Buyer, paypal: PayPalServer, settings: Any, staff: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    ready.complete()

    orders.cancel(actor=staff, order_id=order.id, reason="changed my mind", now=ready.now)
    checkout.reconcile(now=ready.now)

    assert told(order)[2] == "CANCELLED"
    [promise] = [part for part in paypal.books.parts.values() if part["_kind"] == "authorizations"]
    assert promise["status"] == "VOIDED"


def test_a_promise_that_cannot_be_collected_holds_the_order_back(
    ready: Buyer, paypal: PayPalServer, settings: Any, staff: Any
) -> None:
    """A bank that has days to answer says no in the end: nobody ships what was never paid."""
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment), "bank")
    ready.complete()
    checkout.capture(actor=staff, payment_id=payment.id, amount=None, now=ready.now)

    paypal.books.clear(intent_of(payment), succeed=False)
    tell_all(paypal, now=ready.now)

    assert told(order) == ("confirmed", "failed", "FAILED")
    assert order.review == "pending"
    assert order.needs_attention == (
        "The authorisation of 24.90 USD ended before it was collected: nothing was paid."
    )
    assert not AuditEntry.objects.filter(action="webhook.ignored").exists()


# --- money goes back ------------------------------------------------------------------------------


@pytest.fixture
def paid(ready: Buyer, paypal: PayPalServer) -> tuple[Order, Payment]:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    ready.complete()
    payment.refresh_from_db()
    return order, payment


def refund(staff: Any, payment: Payment, amount: str, now: datetime) -> Payment:
    return checkout.refund_payment(
        actor=staff, payment_id=payment.id, amount=Decimal(amount), reason="goodwill", now=now
    )


def test_parts_go_back_and_never_more_than_was_taken(
    paid: tuple[Order, Payment], paypal: PayPalServer, staff: Any, now: datetime
) -> None:
    order, payment = paid

    refund(staff, payment, "4.90", now)
    assert told(order) == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")
    refund(staff, payment, "20.00", now)
    assert told(order) == ("confirmed", "refunded", "REFUNDED")

    tell_all(paypal, now=now)  # its events say nothing new
    assert told(order) == ("confirmed", "refunded", "REFUNDED")
    assert amounts(paypal) == ["24.90", "-4.90", "-20.00"]
    assert Order.objects.get().needs_attention == ""
    assert not any("note_to_payer" in part for part in paypal.books.parts.values())


def test_a_refund_made_at_paypal_is_written_down_and_flags_the_order(
    paid: tuple[Order, Payment], paypal: PayPalServer, now: datetime
) -> None:
    order, _ = paid
    [capture] = [part for part in paypal.books.parts.values() if part["_kind"] == "captures"]
    paypal.books.refund(capture["id"], {"amount": {"currency_code": "USD", "value": "5.00"}})

    tell_all(paypal, now=now)

    order.refresh_from_db()
    assert order.needs_attention == "5.00 was refunded at the provider by hand. It is written down."
    assert (order.refunded_total, order.payment_status) == (Decimal("5.00"), "partially_refunded")


def test_a_dispute_flags_the_order_once(
    paid: tuple[Order, Payment], paypal: PayPalServer, now: datetime
) -> None:
    order, payment = paid
    paypal.books.dispute(intent_of(payment))

    tell_all(paypal, now=now)
    tell_all(paypal, now=now)

    payment.refresh_from_db()
    order.refresh_from_db()
    assert payment.is_disputed
    assert order.needs_attention == "The customer disputes the payment."


# --- silence, and answers that say nothing --------------------------------------------------------

SILENT = ["500", "reset", "hang", "act_then_500", "act_then_reset", "act_then_hang", "429"]
ONCE = {"500", "reset", "act_then_500", "act_then_reset"}  # a second try comes in time


@pytest.fixture
def hasty(settings: Any, mode: str) -> None:
    """Where nothing comes at all it is waited for a moment, long enough for what does come."""
    if "hang" in mode:
        settings.PAYPAL_TIMEOUT_SECONDS = 2


def outage(paypal: PayPalServer, path: str, mode: Any) -> None:
    """Let a call fail as long as one verb of ours tries it."""
    paypal.fail(path, mode, times=2 if mode in ONCE else 1)


@pytest.mark.parametrize("mode", ["500", "reset", "act_then_500", "act_then_reset"])
def test_a_short_silence_is_not_even_noticed(ready: Buyer, paypal: PayPalServer, mode: Any) -> None:
    for path in ("/v1/oauth2/token", "/v2/checkout/orders", "/v2/checkout/orders/[^/]*/capture"):
        paypal.fail(f"POST {path}", mode)

    _, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))

    assert ready.complete().status == "confirmed"
    assert amounts(paypal) == ["24.90"]
    assert len(paypal.books.orders) == 1


@pytest.mark.parametrize("mode", SILENT)
def test_an_order_whose_making_was_not_answered_is_one_payment(
    ready: Buyer, paypal: PayPalServer, hasty: None, mode: Any
) -> None:
    outage(paypal, "POST /v2/checkout/orders", mode)
    with pytest.raises(DependencyUnavailable):
        ready.pay("paypal")
    unknown = Payment.objects.get()
    assert (unknown.status, unknown.provider_id) == ("PENDING", None)
    client.breaker.reset()

    _, payment = ready.pay("paypal")

    assert Payment.objects.count() == 1
    assert len(paypal.books.orders) == 1
    paypal.books.approve(intent_of(payment))
    assert ready.complete().status == "confirmed"
    assert amounts(paypal) == ["24.90"]


@pytest.mark.parametrize("mode", SILENT)
def test_a_charge_that_was_not_answered_takes_the_money_once(
    ready: Buyer, paypal: PayPalServer, hasty: None, mode: Any
) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    outage(paypal, "POST /v2/checkout/orders/[^/]*/capture", mode)
    with pytest.raises(DependencyUnavailable):
        ready.complete()
    assert told(order) == ("draft", "pending", "PENDING")
    client.breaker.reset()

    assert ready.complete().status == "confirmed"

    assert amounts(paypal) == ["24.90"]


@pytest.mark.parametrize("mode", SILENT)
def test_a_refund_that_was_not_answered_goes_back_once(
    paid: tuple[Order, Payment], paypal: PayPalServer, staff: Any, now: datetime, hasty: None, mode: Any
) -> None:  # fmt: skip
    order, payment = paid
    outage(paypal, "POST /v2/payments/captures/[^/]*/refund", mode)
    with pytest.raises(DependencyUnavailable):
        refund(staff, payment, "4.90", now)
    assert Refund.objects.get().status == "PENDING"
    client.breaker.reset()
    paypal.saved.clear()  # 45 days later, its keys are forgotten

    assert checkout.execute_refunds(now=now) == 1
    assert checkout.execute_refunds(now=now) == 0

    assert told(order) == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")
    assert amounts(paypal) == ["24.90", "-4.90"]


def test_after_an_outage_nobody_asks_for_a_moment(ready: Buyer, paypal: PayPalServer) -> None:
    paypal.fail("POST /v2/checkout/orders", "500", times=9)
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            ready.pay("paypal")

    assert paypal.asked.count("POST /v2/checkout/orders") == client.ATTEMPTS


def test_a_token_that_was_taken_back_is_fetched_anew(ready: Buyer, paypal: PayPalServer) -> None:
    _, payment = ready.pay("paypal")
    paypal.tokens.clear()
    paypal.books.approve(intent_of(payment))

    assert ready.complete().status == "confirmed"
    assert paypal.asked.count("POST /v1/oauth2/token") == 2


def test_a_wrong_secret_of_ours_ends_nothing_for_good(
    ready: Buyer, paypal: PayPalServer, settings: Any
) -> None:
    good, settings.PAYPAL_CLIENT_SECRET = settings.PAYPAL_CLIENT_SECRET, "wrong"
    client._tokens.clear()
    with pytest.raises(DependencyUnavailable):
        ready.pay("paypal")
    assert Payment.objects.get().status == "PENDING"

    settings.PAYPAL_CLIENT_SECRET = good
    assert ready.pay("paypal")[1].provider_id is not None


def test_nothing_is_asked_inside_a_transaction(
    ready: Buyer, paypal: PayPalServer, staff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = len(transaction.get_connection().savepoint_ids)
    send = client.PayPalApi._send
    seen: list[int] = []

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(len(transaction.get_connection().savepoint_ids) - depth)
        return send(self, *arguments, **options)

    monkeypatch.setattr(client.PayPalApi, "_send", watched)
    _, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    ready.complete()
    refund(staff, payment, "4.90", ready.now)

    assert set(seen) == {0}
    assert len(seen) > 5


# --- order and number of events -------------------------------------------------------------------


def test_every_order_of_four_events_ends_in_one_state(ready: Buyer, paypal: PayPalServer) -> None:
    order, payment = ready.pay("paypal")
    there = intent_of(payment)
    paypal.books.approve(there)
    paypal.books.capture(there)
    paypal.books.dispute(there)
    told_of = list(paypal.books.events)
    assert [event["event_type"] for event in told_of] == [
        "CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "CUSTOMER.DISPUTE.CREATED",
    ]  # fmt: skip
    for event in [*told_of, *reversed(told_of)]:
        assert post(paypal, event).status_code == 200
    rows = list(WebhookInbox.objects.values_list("pk", flat=True))
    assert len(rows) == 3

    ends = set()
    late = timezone.now() + timedelta(minutes=5)
    for permutation in itertools.permutations(rows):
        with transaction.atomic():
            for webhook_id in permutation:
                assert checkout.process_webhook(webhook_id=webhook_id, now=late)
            payment.refresh_from_db()
            ends.add(
                (
                    *told(order),
                    payment.captured_amount,
                    payment.is_disputed,
                    OutboxEvent.objects.filter(name="payment.captured").count(),
                    OutboxEvent.objects.filter(name="order.confirmed").count(),
                )
            )
            transaction.set_rollback(True)

    assert ends == {("confirmed", "captured", "CAPTURED", Decimal("24.90"), True, 1, 1)}


# --- what comes late, or is not ours --------------------------------------------------------------


def test_nothing_is_taken_for_goods_that_are_gone(
    ready: Buyer, paypal: PayPalServer, shop: Any, variant: Any, now: datetime
) -> None:
    order, payment = ready.pay("paypal")
    inventory.release_order(actor=ready.actor, order_id=order.id, now=now)
    Buyer.arrive(shop, now, email="quick@example.com").add(variant, 5)
    paypal.books.approve(intent_of(payment))

    with pytest.raises(HoldFailed):
        ready.complete()
    tell_all(paypal, now=now)

    assert told(order) == ("draft", "pending", "CANCELLED")
    assert amounts(paypal) == []


def test_a_hold_that_lapsed_is_taken_again_first(
    ready: Buyer, paypal: PayPalServer, variant: Any, now: datetime
) -> None:
    order, payment = ready.pay("paypal")
    inventory.release_order(actor=ready.actor, order_id=order.id, now=now)
    paypal.books.approve(intent_of(payment))

    assert ready.complete().status == "confirmed"
    assert StockLevel.objects.get(variant=variant).total == 3


def test_what_is_approved_after_the_order_s_end_is_not_taken(
    ready: Buyer, paypal: PayPalServer
) -> None:
    order, payment = ready.pay("paypal")
    orders.cancel(actor=ready.actor, order_id=order.id, reason="changed my mind", now=ready.now)
    paypal.books.approve(intent_of(payment))

    tell_all(paypal, now=ready.now)

    assert told(order)[0] == "cancelled"
    assert amounts(paypal) == []


def test_what_was_taken_although_the_order_is_over_goes_back(
    ready: Buyer, paypal: PayPalServer
) -> None:
    """The charge was on its way while the order was cancelled."""
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    orders.cancel(actor=ready.actor, order_id=order.id, reason="changed my mind", now=ready.now)
    paypal.books.capture(intent_of(payment))

    tell_all(paypal, now=ready.now)
    checkout.execute_refunds(now=ready.now)

    assert told(order) == ("cancelled", "refunded", "REFUNDED")
    assert amounts(paypal) == ["24.90", "-24.90"]


@pytest.mark.parametrize(
    "change",
    [
        {"amount": {"currency_code": "USD", "value": "0.01"}},
        {"amount": {"currency_code": "EUR", "value": "24.90"}},
        {"custom_id": "another"},
        {"payee": {"merchant_id": "SOMEBODYELSE"}},
    ],
    ids=["amount", "currency", "payment", "payee"],
)
def test_an_order_of_another_amount_currency_payment_or_payee_is_not_taken(
    ready: Buyer, paypal: PayPalServer, settings: Any, change: dict[str, Any]
) -> None:
    settings.PAYPAL_MERCHANT_ID = MERCHANT
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    paypal.books.orders[intent_of(payment)]["purchase_units"][0].update(change)

    with pytest.raises(PaymentRequired):
        ready.complete()
    tell_all(paypal, now=ready.now)

    assert told(order) == ("draft", "pending", "PENDING")
    assert amounts(paypal) == []
    assert AuditEntry.objects.filter(action="payment.mismatch").count() == 1
    assert order.needs_attention == "The provider reports another payment than ours."
    # Not taken, so it stays open at both; put right, nothing of it is left.
    paypal.books.orders[intent_of(payment)]["purchase_units"][0].update(
        amount={"currency_code": "USD", "value": "24.90"}, custom_id=str(payment.id),
        payee={"merchant_id": MERCHANT},
    )  # fmt: skip


def test_the_right_payee_is_paid(ready: Buyer, paypal: PayPalServer, settings: Any) -> None:
    settings.PAYPAL_MERCHANT_ID = MERCHANT
    _, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))

    assert ready.complete().status == "confirmed"


def test_where_the_customer_is_sent_is_paypal(ready: Buyer, paypal: PayPalServer) -> None:
    paypal.books.url = "https://paypal.example.com"

    _, payment = ready.pay("paypal")

    assert payment.next_action is None


# --- the pages ------------------------------------------------------------------------------------


@pytest.fixture
def browser(ready: Buyer) -> Client:
    visitor = Client()
    visitor.cookies[GUEST_COOKIE] = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT).sign(
        ready.token
    )
    return visitor


def press_pay(browser: Client, ready: Buyer) -> Any:
    return browser.post("/checkout/pay/", {"method": "paypal", "quote": ready.quote_id})


def test_pressing_pay_leads_to_paypal_and_back_to_a_paid_order(
    ready: Buyer, browser: Client, paypal: PayPalServer
) -> None:
    answer = press_pay(browser, ready)
    order_id = intent_of(Payment.objects.get())
    assert (answer.status_code, answer["Location"]) == (
        302, f"{paypal.url}/checkoutnow?token={order_id}",
    )  # fmt: skip

    paypal.books.approve(order_id)
    back = paypal.books.orders[order_id]["_context"]["return_url"].removeprefix("http://testserver")
    done = browser.get(f"{back}?token={order_id}&PayerID=QYR5Z8XDVJNXQ")

    order = Order.objects.get()
    assert done["Location"] == f"/orders/{order.number}/"
    assert order.status == "confirmed"
    assert amounts(paypal) == ["24.90"]


def test_who_comes_back_without_agreeing_may_go_again_or_leave(
    ready: Buyer, browser: Client, paypal: PayPalServer
) -> None:
    press_pay(browser, ready)
    payment = Payment.objects.get()
    left = paypal.books.orders[intent_of(payment)]["_context"]["cancel_url"]

    page = browser.get(left.removeprefix("http://testserver")).content.decode()
    assert f'href="{paypal.url}/checkoutnow?token={payment.provider_id}"' in page
    # An address that claims that it was paid is not believed.
    claimed = browser.get(f"/checkout/pay/{payment.id}/?token={payment.provider_id}&PayerID=X")
    assert claimed["Location"] == f"/checkout/pay/{payment.id}/"
    assert amounts(paypal) == []

    browser.post(f"/checkout/pay/{payment.id}/cancel/")
    payment.refresh_from_db()
    assert payment.status == "CANCELLED"
    assert Order.objects.get().status == "cancelled"


def test_a_stranger_cannot_come_back_for_somebody_else(
    ready: Buyer, browser: Client, paypal: PayPalServer
) -> None:
    press_pay(browser, ready)
    payment = Payment.objects.get()
    paypal.books.approve(intent_of(payment))

    assert Client().get(f"/checkout/pay/{payment.id}/?PayerID=X").status_code == 404
    assert amounts(paypal) == []


# --- webhooks -------------------------------------------------------------------------------------


@pytest.fixture
def event(ready: Buyer, paypal: PayPalServer) -> dict[str, Any]:
    _, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    return dict(paypal.books.events[0])


def test_a_signed_event_is_one_row(event: dict[str, Any], paypal: PayPalServer) -> None:
    for _ in range(3):
        answer = post(paypal, event)
        assert (answer.status_code, answer.json()) == (200, {"received": event["id"]})

    row = WebhookInbox.objects.get()
    assert (row.provider, row.event_id, row.type) == ("paypal", event["id"], event["event_type"])
    assert "ada@example.com" not in json.dumps(row.payload)


def test_what_is_forged_leaves_a_trace_and_nothing_else(
    event: dict[str, Any], paypal: PayPalServer, settings: Any
) -> None:
    body = json.dumps(event).encode()
    good = paypal.sign(body)
    forgeries = [
        {},
        {**good, "PayPal-Transmission-Sig": "x"},
        {**good, "PayPal-Transmission-Sig": ""},
        {**good, "PayPal-Transmission-Id": "another"},
        {**good, "PayPal-Cert-Url": "https://evil.example.com/cert"},
        {**good, "PayPal-Cert-Url": "https://api.paypal.com.evil.example.com/cert"},
        {**good, "PayPal-Auth-Algo": "a|b"},
        paypal.sign(body, webhook_id="OTHER"),
    ]
    asked = len(paypal.asked)
    for headers in forgeries:
        answer = Api().request("POST", "/webhooks/paypal", body, **headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "WEBHOOK_SIGNATURE_INVALID")
    for changed in (body + b" ", body.replace(b"APPROVED", b"VOIDED"), b"[]", b"not json"):
        answer = Api().request("POST", "/webhooks/paypal", changed, **good)
        assert answer.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"
    assert len(paypal.asked) - asked < len(forgeries) + 4  # the plainest are not even asked about
    settings.PAYPAL_WEBHOOK_ID = ""
    assert Api().request("POST", "/webhooks/paypal", body, **good).status_code == 400

    assert not WebhookInbox.objects.exists()
    traces = AuditEntry.objects.filter(action="webhook.refused", object_id="paypal")
    assert traces.count() == len(forgeries) + 5


def test_forgeries_are_counted_and_what_is_signed_is_not(
    event: dict[str, Any], paypal: PayPalServer, rate_limits: None
) -> None:
    body = json.dumps(event).encode()
    for _ in range(25):
        assert post(paypal, event).status_code == 200
    bad = {**paypal.sign(body), "PayPal-Transmission-Sig": "x"}
    asked = len(paypal.asked)
    answers = [
        Api().request("POST", "/webhooks/paypal", body, **bad).status_code for _ in range(22)
    ]

    assert answers == [400] * 20 + [429] * 2
    assert len(paypal.asked) - asked == 20


def test_while_paypal_cannot_be_asked_it_is_told_to_come_again(
    event: dict[str, Any], paypal: PayPalServer
) -> None:
    paypal.fail("POST /v1/notifications/verify-webhook-signature", "500", times=2)
    answer = post(paypal, event)
    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert not WebhookInbox.objects.exists()
    client.breaker.reset()

    assert post(paypal, event).status_code == 200


@pytest.mark.parametrize(
    "change", [{"id": ""}, {"id": 7}, {"resource": []}, {"event_type": "é"}, {"id": "x" * 300}]
)
def test_what_is_signed_but_no_event_is_refused(
    event: dict[str, Any], paypal: PayPalServer, change: dict[str, Any]
) -> None:
    answer = post(paypal, event | change)

    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert not WebhookInbox.objects.exists()


def test_without_credentials_the_door_says_so(
    event: dict[str, Any], paypal: PayPalServer, settings: Any
) -> None:
    settings.PAYPAL_CLIENT_ID = ""

    answer = post(paypal, event)

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")


def test_an_event_of_nothing_of_ours_is_stored_and_ignored(
    event: dict[str, Any], paypal: PayPalServer
) -> None:
    strange = {
        "id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED",
        "resource": {"disputed_transactions": [{"seller_transaction_id": "../x"}]},
    }  # fmt: skip
    assert post(paypal, strange).status_code == 200

    checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))

    assert WebhookInbox.objects.get().outcome == "ignored: no payment of ours"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("manner", ["normal", "duplicate", "late"])
def test_paypal_itself_tells_the_running_shop(
    ready: Buyer, paypal: PayPalServer, live_server: Any, manner: str
) -> None:
    order, payment = ready.pay("paypal")
    paypal.deliver_to(f"{live_server.url}/api/v1/webhooks/paypal")
    paypal.manner = manner
    paypal.books.approve(intent_of(payment))
    paypal.flush()
    paypal.wait()
    checkout.drain_inbox(now=timezone.now() + timedelta(seconds=1))
    paypal.wait()  # what the capture itself has PayPal tell

    assert paypal.failed == []
    assert Order.objects.get(pk=order.pk).status == "confirmed"
    assert amounts(paypal) == ["24.90"]
    connections.close_all()


# --- both books -----------------------------------------------------------------------------------


def differences(now: datetime) -> list[str]:
    since = now - timedelta(days=1)
    return [
        each.kind.value
        for each in checkout.compare_books(since=since, mend=False, now=now).found
        if each.provider == "paypal"
    ]


@pytest.mark.parametrize("reports", [True, False])
def test_the_books_agree(
    paid: tuple[Order, Payment], paypal: PayPalServer, staff: Any, now: datetime, reports: bool
) -> None:
    refund(staff, paid[1], "4.90", now)
    if not reports:
        paypal.permissions.discard("reports")

    assert differences(now) == []


@pytest.mark.parametrize("reports", [True, False])
def test_money_that_nobody_wrote_down_is_found_and_mended(
    ready: Buyer, paypal: PayPalServer, now: datetime, reports: bool
) -> None:
    order, payment = ready.pay("paypal")
    paypal.books.approve(intent_of(payment))
    paypal.books.capture(intent_of(payment))
    if not reports:
        paypal.permissions.discard("reports")

    assert differences(now) == ["not_recorded"]
    checkout.compare_books(since=now - timedelta(days=1), mend=True, now=now)

    assert told(order) == ("confirmed", "captured", "CAPTURED")
    assert differences(now) == []


def test_money_of_no_payment_of_ours_is_found_in_the_reports(
    paid: tuple[Order, Payment], paypal: PayPalServer, now: datetime
) -> None:
    stray = PayPalGateway().create(
        key="stray", amount=Decimal("7.00"), currency="USD", metadata={"payment_id": "stray"}
    )
    paypal.books.approve(stray.provider_id)
    paypal.books.capture(stray.provider_id)

    assert differences(now) == ["paid_no_order"]


def test_money_that_paypal_never_took_is_found(
    paid: tuple[Order, Payment], paypal: PayPalServer, now: datetime
) -> None:
    paypal.books.forget(intent_of(paid[1]))
    paypal.permissions.discard("reports")

    assert differences(now) == ["order_no_payment"]
