"""What may be tried against money: each has its code, moves nothing, leaves an entry, and raises an alert where it smells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog
from django.db.models import Model
from django.utils import timezone

from cart.models import Cart, CartLine
from checkout import services as checkout
from checkout.models import Checkout, Payment, PaymentStatusChange, Refund, TestCharge
from config.platform import alerts
from config.platform.cards import has_card_number
from config.platform.models import Alert, AuditEntry, OutboxEvent
from inventory.models import Company, Reservation, StockLevel, StockMovement, Variant
from orders.models import Order, OrderLine, RefundRequest, ReturnRequest, StatusChange
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer, charge_of, deliver, intent_of
from tests.conftest import Api
from tests.stripe import StripeServer

pytestmark = pytest.mark.django_db

BOOKS: tuple[type[Model], ...] = (
    Cart, CartLine, Checkout, Order, OrderLine, StatusChange, Payment, PaymentStatusChange, Refund, RefundRequest, ReturnRequest,
    Reservation, StockLevel, StockMovement, TestCharge, OutboxEvent,
)  # fmt: skip
CARD = "4242 4242 4242 4242"


def books() -> dict[str, list[Any]]:
    """Return every row of what must not move."""
    found = {}
    for table in BOOKS:
        rows = list(table._default_manager.order_by("pk").values())
        # That somebody looked is no movement.
        found[table.__name__] = [
            {k: v for k, v in row.items() if k != "updated_at"} for row in rows
        ]
    return found


def user() -> Api:
    return Api().as_user(factories.make_user())


@dataclass(frozen=True)
class Shopper:
    """A guest who has paid, with a second one who stands before the payment."""

    buyer: Buyer
    order: Order
    payment: Payment
    other: Buyer
    staff: Api


@pytest.fixture
def shopper(ready: Buyer, shop: Company, variant: Variant, staff_api: Api) -> Shopper:
    _, payment = ready.pay()
    ready.simulate(payment)
    other = Buyer.arrive(shop, ready.now, email="eve@example.com").add(variant).begin().fill()
    other.pay()
    order = Order.objects.get(checkout_id=ready.checkout_id)
    payment.refresh_from_db()
    return Shopper(ready, order, payment, other, staff_api)


def intent(at: Shopper, api: Api, **changes: Any) -> Any:
    """Ask for a payment of the order of `other`, who has not paid."""
    draft = Order.objects.get(checkout_id=at.other.checkout_id)
    body = {"orderId": str(draft.pk), "amount": f"{draft.grand_total:.2f}", "currency": "USD", "method": "test"}  # fmt: skip
    return api.post("/payments/intent", {**body, **changes}, key=f"i-{changes}")


ASKED: list[tuple[str, Callable[[Shopper], Any], int, str, str]] = [
    ("a lower amount", lambda at: intent(at, at.other.api, amount="1.00"), 400, "PAYMENT_AMOUNT_MISMATCH", "payment.refused"),
    ("a higher amount", lambda at: intent(at, at.other.api, amount="99.00"), 400, "PAYMENT_AMOUNT_MISMATCH", "payment.refused"),
    ("another currency", lambda at: intent(at, at.other.api, currency="EUR"), 400, "PAYMENT_AMOUNT_MISMATCH", "payment.refused"),
    ("another's order", lambda at: intent(at, at.buyer.api), 404, "ORDER_NOT_FOUND", ""),
    ("another's checkout", lambda at: at.other.api.post(f"/checkout/{at.buyer.checkout_id}/complete", {}, key="c"), 404, "CHECKOUT_NOT_FOUND", ""),
    ("another's payment", lambda at: at.other.api.get(f"/payments/{at.payment.pk}"), 404, "NOT_FOUND", "payment.refused"),
    ("another's simulation", lambda at: at.other.api.post(f"/payments/{at.payment.pk}/simulate", {"outcome": "dispute"}), 404, "NOT_FOUND", "payment.refused"),
    ("a capture by a customer", lambda at: user().post("/payments/capture", {"paymentId": str(at.payment.pk)}, key="p"), 403, "FORBIDDEN", "access.refused"),
    ("a refund by a customer", lambda at: user().post("/payments/refund", {"paymentId": str(at.payment.pk), "reason": "x"}, key="r"), 403, "FORBIDDEN", "access.refused"),
    ("a refund over the ceiling", lambda at: at.staff.post("/payments/refund", {"paymentId": str(at.payment.pk), "amount": "24.91", "reason": "x"}, key="r"), 400, "REFUND_EXCEEDS_PAYMENT", "refund.refused"),
    ("an illegal transition", lambda at: at.staff.put(f"/orders/{at.order.pk}/status", {"status": "delivered"}), 409, "INVALID_STATUS_TRANSITION", "transition.refused"),
    ("a success in the address", lambda at: at.other.api.post(f"/checkout/{at.other.checkout_id}/complete?redirect_status=succeeded&payment_intent={at.payment.provider_id}", {}, key="s"), 402, "PAYMENT_REQUIRED", ""),
]  # fmt: skip


def refusals() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action__endswith=".refused").order_by("pk"))


def test_what_is_asked_wrongly_has_its_code_and_moves_nothing(shopper: Shopper) -> None:
    before = books()
    for name, ask, status, code, action in ASKED:
        noted = len(refusals())

        answer = ask(shopper)

        assert (name, answer.status_code, answer.json()["code"]) == (name, status, code)
        assert books() == before, name
        told = refusals()[noted:]
        assert (name, [entry.action for entry in told]) == (name, [action] if action else [])
        for entry in told:
            assert entry.after["code"] == code
            assert entry.object_id == answer.wsgi_request.path[:64]


def test_a_foreign_address_is_noted_and_not_taken(shopper: Shopper, shop: Company) -> None:
    theirs = user().post("/addresses", {**ADDRESS, "name": "Private Person"})  # fmt: skip
    assert theirs.status_code == 201
    me = user()
    sku = shopper.order.lines.get().sku
    assert me.post("/cart/items", {"sku": sku}).status_code == 201
    begun = me.post("/checkout/initialize", {}).json()
    before = books()

    answer = me.patch(f"/checkout/{begun['id']}", {"shippingAddressId": theirs.json()["id"]})

    assert (answer.status_code, answer.json()["code"]) == (404, "ADDRESS_NOT_FOUND")
    assert b"Private" not in answer.content
    assert books() == before
    assert AuditEntry.objects.get(action="address.refused").actor.startswith("user")


def test_a_form_that_is_sent_twice_is_one_order_and_one_charge(
    ready: Buyer, variant: Variant
) -> None:
    body = {"method": "test", "quoteId": ready.quote_id}
    answers = [
        ready.api.post(f"/checkout/{ready.checkout_id}/payment", body, key=key)
        for key in ("a", "a", "b")  # a retry, and another tab
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert len({answer.json()["payment"]["id"] for answer in answers}) == 1
    assert (Order.objects.count(), Payment.objects.count(), TestCharge.objects.count()) == (1, 1, 1)


# --- F20: what a provider is said to have said -----------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"amount": Decimal(1)}, {"currency": "JPY"}], ids=["lower amount", "other currency"]
)
def test_a_provider_that_speaks_of_another_amount_moves_nothing_and_raises_an_alert(
    ready: Buyer, change: dict[str, Any]
) -> None:
    order, payment = ready.pay()
    charge = charge_of(payment)
    TestCharge.objects.filter(pk=charge.pk).update(
        **{"status": "succeeded", "captured_amount": change.get("amount", charge.amount), **change}
    )
    for _ in range(2):
        checkout.settle(payment_id=payment.pk, now=ready.now)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status, payment.captured_amount) == ("draft", "PENDING", 0)
    assert order.needs_attention == "The provider reports another payment than ours."
    assert AuditEntry.objects.filter(action="payment.mismatch").count() == 1
    alerts.evaluate(now=timezone.now())
    assert Alert.objects.filter(rule="payment_mismatch").count() == 1


def test_a_message_that_names_our_payment_beside_anothers_intent_pays_nothing(
    ready: Buyer, shop: Company, variant: Variant, stripe: StripeServer
) -> None:
    """Somebody pays a cent of their own and has the message about it name the payment of an order that is dear."""
    order, payment = ready.pay("card")
    stranger = stripe.books.create_intent(
        {"amount": "1", "currency": "usd", "metadata": {"payment_id": str(payment.pk)}}
    )
    stripe.books.confirm(stranger["id"], "pm_card_visa")
    about = {"id": stranger["id"], "object": "payment_intent", "metadata": stranger["metadata"]}
    event = {"id": "evt_x", "object": "event", "type": "payment_intent.succeeded", "livemode": False, "data": {"object": about}}  # fmt: skip
    before = books()

    assert deliver(event, now=timezone.now()).status_code == 200
    checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))

    assert books() == before
    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("draft", "pending")
    assert intent_of(payment) != stranger["id"]
    entry = AuditEntry.objects.get(action="webhook.ignored")
    assert (entry.object_id, entry.after["providerId"]) == (str(payment.pk), stranger["id"])
    alerts.evaluate(now=timezone.now() + timedelta(minutes=2))
    assert Alert.objects.filter(rule="payment_mismatch").count() == 1


@pytest.mark.parametrize("is_live", [True, False], ids=["live at test", "test at live"])
def test_a_message_of_the_other_mode_pays_nothing_and_raises_an_alert(
    ready: Buyer, stripe: StripeServer, settings: Any, is_live: bool
) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    [event] = [each for each in stripe.books.all("event") if each["type"] == "payment_intent.succeeded"]  # fmt: skip
    settings.STRIPE_LIVE_MODE = not is_live
    before = books()

    for _ in range(2):
        assert deliver({**event, "livemode": is_live}, now=timezone.now()).status_code == 200
    checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))

    assert books() == before
    assert AuditEntry.objects.get(action="webhook.ignored").reason == "of the other mode"
    alerts.evaluate(now=timezone.now() + timedelta(minutes=2))
    assert Alert.objects.filter(rule="payment_mismatch").count() == 1
    order.refresh_from_db()
    assert order.status == "draft"


def test_an_intent_of_the_other_mode_moves_nothing(ready: Buyer, stripe: StripeServer) -> None:
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    stripe.books.objects[intent_of(payment)]["livemode"] = True

    checkout.settle(payment_id=payment.pk, now=ready.now)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status, payment.captured_amount) == ("draft", "PENDING", 0)
    assert AuditEntry.objects.filter(action="payment.mismatch").count() == 1


def test_forged_and_old_messages_are_refused_noted_and_raise_an_alert(
    ready: Buyer, stripe: StripeServer, now: datetime
) -> None:
    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    [event] = [each for each in stripe.books.all("event") if each["type"] == "payment_intent.succeeded"]  # fmt: skip
    before = books()

    forged = [deliver(event, now=timezone.now(), secret="whsec_other") for _ in range(4)]
    old = deliver(event, now=timezone.now() - timedelta(minutes=6))

    for answer in (*forged, old):
        assert (answer.status_code, answer.json()["code"]) == (400, "WEBHOOK_SIGNATURE_INVALID")
    assert books() == before
    entries = AuditEntry.objects.filter(action="webhook.refused")
    assert [entry.object_id for entry in entries] == ["stripe"] * 5
    assert event["id"] not in json.dumps([entry.after for entry in entries])
    alerts.evaluate(now=timezone.now())
    assert Alert.objects.filter(rule="forged_messages").count() == 1


def test_an_hour_of_strange_requests_raises_one_alert_and_one_mistake_none(
    shopper: Shopper,
) -> None:
    intent(shopper, shopper.other.api, amount="1.00")
    alerts.evaluate(now=timezone.now())
    assert not Alert.objects.filter(rule="tampering").exists()

    for _ in range(9):
        shopper.other.api.get(f"/payments/{shopper.payment.pk}")
    alerts.evaluate(now=timezone.now())

    assert Alert.objects.get(rule="tampering").value == 10


# --- card numbers -----------------------------------------------------------------------------------


def cart_line(at: Shopper, **what: Any) -> Any:
    sku = at.order.lines.get().sku
    return at.other.api.post("/cart/items", {"sku": sku, **what})


TYPED: list[tuple[str, Callable[[Shopper], Any]]] = [
    ("note of a line", lambda at: cart_line(at, note=f"charge {CARD} please")),
    ("metadata of a line", lambda at: cart_line(at, metadata={"card": {"n": [CARD]}})),
    ("number in metadata", lambda at: cart_line(at, metadata={"n": 4242424242424242})),
    ("name in metadata", lambda at: cart_line(at, metadata={"4242424242424242": 1})),
    ("customization", lambda at: cart_line(at, customization={"engrave": CARD})),
    ("notes of an order", lambda at: at.staff.post("/orders", {"items": [{"sku": at.order.lines.get().sku, "quantity": 1}], "email": "a@example.com", "shippingAddress": ADDRESS, "notes": CARD})),
    ("an address", lambda at: at.staff.post("/orders", {"items": [{"sku": at.order.lines.get().sku, "quantity": 1}], "email": "a@example.com", "shippingAddress": {**ADDRESS, "line2": CARD}})),
    ("reason of a cancellation", lambda at: at.buyer.api.post(f"/orders/{at.order.pk}/cancel", {"reason": f"use {CARD} 12/30"})),
    ("reason of units", lambda at: at.buyer.api.post(f"/orders/{at.order.pk}/cancel-items", {"items": [{"itemId": str(at.order.lines.get().pk), "quantity": 1}], "reason": CARD})),
    ("notes of a return", lambda at: at.buyer.api.post(f"/orders/{at.order.pk}/returns", {"items": [{"itemId": str(at.order.lines.get().pk), "quantity": 1, "reason": "x"}], "notes": CARD})),
    ("reason of a returned unit", lambda at: at.buyer.api.post(f"/orders/{at.order.pk}/returns", {"items": [{"itemId": str(at.order.lines.get().pk), "quantity": 1, "reason": CARD}]})),
    ("reason of a refund", lambda at: at.staff.post("/payments/refund", {"paymentId": str(at.payment.pk), "amount": "1.00", "reason": CARD}, key="r")),
    ("reason of a status", lambda at: at.staff.put(f"/orders/{at.order.pk}/status", {"status": "processing", "reason": CARD})),
    ("a reason of staff", lambda at: at.staff.patch(f"/orders/{at.order.pk}", {"needsAttention": CARD})),
    ("the claim of a dispute", lambda at: at.buyer.api.post("/products/pricing/disputes", {"order": at.order.number, "itemId": str(at.order.lines.get().pk), "reason": "OTHER", "evidence": CARD})),
    ("name of an account", lambda at: Api().post("/auth/register", {"email": "bo@example.com", "password": "Harbour-7-light", "name": CARD})),
    ("an e-mail address", lambda at: at.other.api.patch("/cart", {"email": f"{CARD.replace(' ', '')}@example.com"})),
    ("id of an operation", lambda at: at.other.api.post("/cart/sync", {"baseVersion": 0, "operations": [{"id": CARD, "op": "clear"}]})),
    ("a field of its own", lambda at: at.other.api.post(f"/checkout/{at.other.checkout_id}/payment", {"method": "test", "quoteId": at.other.quote_id, "cardNumber": CARD}, key="k")),
]  # fmt: skip


def test_a_card_number_is_refused_in_any_field_and_kept_nowhere(
    shopper: Shopper, caplog: pytest.LogCaptureFixture
) -> None:
    before = books()
    for name, type_it in TYPED:
        noted = len(refusals())

        with structlog.testing.capture_logs() as lines:
            answer = type_it(shopper)

        assert (name, answer.status_code, answer.json()["code"]) == (name, 400, "VALIDATION_ERROR")
        codes = {error["code"] for error in answer.json()["errors"]}
        assert (name, codes) in ((name, {"card_data_not_accepted"}), (name, {"unknown_field"}))
        assert books() == before, name
        for text in (answer.content.decode(), caplog.text, str(lines)):
            assert "4242" not in text, name
        told = [entry.action for entry in refusals()[noted:]]
        assert told == ["card_number.refused"] * (codes == {"card_data_not_accepted"}), name
    kept = AuditEntry.objects.values_list("after", "before", "reason", "actor")
    assert "4242" not in str(list(kept))


@pytest.mark.parametrize(
    "text",
    [
        "4006381333931",  # a barcode
        "ab4242424242424242", "4242424242424242f",  # a part of a token
        "1234567890123456",
        "call 020 7946 0018 or 4242",
    ],
)  # fmt: skip
def test_a_number_of_another_kind_is_no_card(text: str) -> None:
    assert not has_card_number(text, issued=True)


@pytest.mark.parametrize(
    "text",
    ["4242424242424242", "4242-4242-4242-4242 12/30", "pay:5555555555554444.", "(378282246310005)"],
)
def test_a_card_is_known_in_whatever_it_stands(text: str) -> None:
    assert has_card_number(text, issued=True)
