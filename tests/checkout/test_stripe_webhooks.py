"""Stripe's webhooks: the guard, dj-stripe's own check behind it, the inbox, and the mirror for staff."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import stripe as library
from django.db import connections
from django.test import Client
from django.utils import timezone
from djstripe.models import (
    Charge,
    Dispute,
    Event,
    PaymentIntent,
    WebhookEndpoint,
    WebhookEventTrigger,
)
from djstripe.models import Refund as MirroredRefund
from djstripe.models.base import StripeModel

from checkout import mirror
from checkout import services as checkout
from checkout.models import Payment, WebhookInbox
from checkout.webhooks import ENDPOINT_UUID
from config.platform import outbox
from config.platform.models import AuditEntry
from orders.models import Order
from tests.checkout.conftest import Buyer, deliver, events, intent_of
from tests.conftest import SECRET, Api
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem
from tests.stripe.webhooks import sign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("company")]
OWN = f"/stripe/webhook/{ENDPOINT_UUID}/"


@pytest.fixture
def event(stripe: StripeServer) -> dict[str, Any]:
    intent = stripe.books.create_intent({"amount": "500", "currency": "usd", "receipt_email": "ada@example.com"})  # fmt: skip
    stripe.books.confirm(intent["id"], "pm_card_visa")
    return events(stripe, "payment_intent.succeeded")[0]


def nothing_is_kept() -> bool:
    return not WebhookInbox.objects.exists() and not WebhookEventTrigger.objects.exists()


def post(body: bytes, signature: str, *, path: str = "/webhooks/stripe", **headers: str) -> Any:
    return Api().request("POST", path, body, **{"Stripe-Signature": signature, **headers})


def test_a_signed_event_is_one_row_and_dj_stripe_has_checked_it(
    event: dict[str, Any], now: datetime
) -> None:
    for _ in range(3):
        answer = deliver(event, now=now)
        assert (answer.status_code, answer.json()) == (200, {"received": event["id"]})

    row = WebhookInbox.objects.get()
    assert (row.provider, row.event_id, row.type) == ("stripe", event["id"], event["type"])
    assert WebhookEventTrigger.objects.filter(valid=True, processed=False).count() == 3
    assert not AuditEntry.objects.filter(action="webhook.refused").exists()


def test_dj_stripe_s_own_address_is_the_same_door(event: dict[str, Any], now: datetime) -> None:
    body = json.dumps(event)
    headers = {"Stripe-Signature": sign(SECRET, body.encode(), at=int(now.timestamp()))}
    other = OWN.replace("57e1", "57e2")
    answers = [
        Client().post(path, body, "application/json", headers=headers) for path in (OWN, other)
    ]

    assert [answer.status_code for answer in answers] == [200, 404]
    assert WebhookInbox.objects.count() == 1


def test_what_is_forged_or_old_leaves_a_trace_and_nothing_else(
    event: dict[str, Any], now: datetime
) -> None:
    body, at = json.dumps(event).encode(), int(now.timestamp())
    good = sign(SECRET, body, at=at)
    forgeries = [
        "", "x", "t=1,v1=0", sign("whsec_guessed", body, at=at), sign(SECRET, body, at=at - 301),
        sign(SECRET, body, at=at + 330), good.replace("v1", "v0"), good[:-1],
    ]  # fmt: skip
    for forged in forgeries:
        answer = post(body, forged)
        assert (answer.status_code, answer.json()["code"]) == (400, "WEBHOOK_SIGNATURE_INVALID")
    assert post(body + b" ", good).status_code == 400
    assert post(body, "t=1,v1=0", **{"X-Djstripe-Webhook-Secret": "whsec_x"}).status_code == 400
    assert post(body, "t=1,v1=0", **{"X-Forwarded-For": "rubbish"}).status_code == 400

    assert nothing_is_kept()
    traces = AuditEntry.objects.filter(action="webhook.refused", object_id="stripe")
    assert traces.count() == len(forgeries) + 3
    assert "ada@example.com" not in json.dumps(list(traces.values("before", "after", "reason")))


def test_forgeries_are_counted_and_what_is_signed_is_not(
    event: dict[str, Any], now: datetime, settings: Any
) -> None:
    settings.RATE_LIMITS = True
    body = json.dumps(event).encode()
    answers = [post(body, "t=1,v1=0").status_code for _ in range(22)]

    assert answers == [400] * 20 + [429] * 2
    assert AuditEntry.objects.filter(action="webhook.refused").count() == 20
    assert deliver(event, now=now).status_code == 200


@pytest.mark.parametrize("debug", [True, False])
def test_a_header_cannot_choose_the_secret(
    event: dict[str, Any], now: datetime, settings: Any, debug: bool
) -> None:
    settings.DEBUG = debug
    body = json.dumps(event).encode()
    forged = sign("whsec_mine", body, at=int(now.timestamp()))

    answer = post(body, forged, **{"X-Djstripe-Webhook-Secret": "whsec_mine"})

    assert answer.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"
    assert nothing_is_kept()


def test_the_guard_looks_at_method_type_and_size_first(
    event: dict[str, Any], now: datetime
) -> None:
    body = json.dumps(event).encode()
    good = sign(SECRET, body, at=int(now.timestamp()))
    assert Api().get("/webhooks/stripe").status_code == 405
    assert post(body, good, **{"Content-Type": "text/plain"}).status_code == 415
    assert post(b"x" * 65_537, good).json()["code"] == "BODY_TOO_LARGE"
    assert nothing_is_kept()
    assert not AuditEntry.objects.exists()


def test_without_keys_it_says_so(event: dict[str, Any], now: datetime, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""

    answer = deliver(event, now=now)

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert nothing_is_kept()


def test_strange_headers_are_neither_believed_nor_kept(
    event: dict[str, Any], now: datetime
) -> None:
    body = json.dumps(event).encode()
    answer = post(
        body, sign(SECRET, body, at=int(now.timestamp())),
        **{"X-Forwarded-For": "rubbish, ;;", "Cookie": "sessionid=stolen", "Authorization": "Bearer x"},
    )  # fmt: skip

    assert answer.status_code == 200
    kept = WebhookEventTrigger.objects.get()
    assert kept.headers == {}
    assert json.loads(kept.body) == {"id": event["id"], "type": event["type"], "livemode": False}


def test_the_secret_is_never_stored(event: dict[str, Any], now: datetime) -> None:
    deliver(event, now=now)

    assert WebhookEndpoint.objects.get().secret == ""


def test_where_the_inbox_fails_stripe_is_told_to_come_again(
    event: dict[str, Any], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(checkout, "store_webhook", fail)
        assert deliver(event, now=now).status_code == 500
    assert nothing_is_kept()

    assert deliver(event, now=now).status_code == 200
    assert WebhookInbox.objects.count() == 1


def test_what_dj_stripe_takes_for_no_event_is_not_kept(
    event: dict[str, Any], now: datetime
) -> None:
    del event["livemode"]

    answer = deliver(event, now=now)

    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert nothing_is_kept()


def test_with_the_broker_down_the_effect_happens_once(
    ready: Buyer, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    order, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_visa")
    [paid] = events(stripe, "payment_intent.succeeded")

    def down(_: str) -> None:
        raise ConnectionError("the broker does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "kick", down)
        with django_capture_on_commit_callbacks(execute=True):
            assert deliver(paid, now=ready.now).status_code == 200
    assert deliver(paid, now=ready.now).status_code == 200  # Stripe was in doubt and repeats

    for minute in (1, 2):
        checkout.drain_inbox(now=ready.now + timedelta(minutes=minute))

    order.refresh_from_db()
    assert order.status == "confirmed"
    assert WebhookInbox.objects.get().outcome == "PENDING -> CAPTURED"


# --- the mirror -----------------------------------------------------------------------------------


@pytest.fixture
def mirrored(stripe: StripeServer, monkeypatch: pytest.MonkeyPatch) -> StripeServer:
    monkeypatch.setattr(library, "api_base", stripe.url)
    return stripe


def test_the_mirror_shows_what_stripe_has(ready: Buyer, mirrored: StripeServer, staff: Any) -> None:
    _, payment = ready.pay("card")
    mirrored.books.confirm(intent_of(payment), "pm_card_visa")
    ready.complete()
    checkout.refund_payment(actor=staff, payment_id=payment.id, amount=None, reason="x", now=ready.now)  # fmt: skip
    mirrored.books.dispute(intent_of(payment))
    told = events(mirrored)
    for event in told:
        assert deliver(event, now=ready.now).status_code == 200

    assert mirror.mirror() == len(told)
    assert mirror.mirror() == 0

    def shown(model: type[StripeModel]) -> set[str]:
        return set(model.objects.values_list("id", flat=True))

    assert shown(Event) == {event["id"] for event in told}
    assert shown(PaymentIntent) == {payment.provider_id}
    assert shown(Charge) == {charge["id"] for charge in mirrored.books.all("charge")}
    assert shown(MirroredRefund) == {refund["id"] for refund in mirrored.books.all("refund")}
    assert shown(Dispute) == {dispute["id"] for dispute in mirrored.books.all("dispute")}
    assert PaymentIntent.objects.get().stripe_data["status"] == "succeeded"


def test_the_mirror_waits_for_stripe_and_leaves_what_it_cannot_read(
    event: dict[str, Any], mirrored: StripeServer, now: datetime
) -> None:
    deliver(event, now=now)
    mirrored.fail("GET /v1/events/.*", "500")
    assert mirror.mirror() == 0
    assert mirror.mirror() == 1

    deliver({**event, "id": "evt_gone"}, now=now)
    assert mirror.mirror() == mirror.mirror() == 0
    left = WebhookEventTrigger.objects.get(processed=False)
    assert left.exception == "InvalidRequestError"


def test_without_keys_there_is_nothing_to_mirror(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    assert mirror.mirror() == 0


def test_notes_of_deliveries_are_thrown_away_after_a_month(
    event: dict[str, Any], now: datetime
) -> None:
    deliver(event, now=now)
    assert mirror.prune(now=now + timedelta(days=29)) == 0
    assert mirror.prune(now=now + timedelta(days=31)) == 1


# --- over the wire --------------------------------------------------------------------------------


@pytest.fixture
def wired(stripe: StripeServer, live_server: Any) -> StripeServer:
    stripe.deliver_to(f"{live_server.url}/api/v1/webhooks/stripe", SECRET)
    return stripe


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("manner", ["normal", "duplicate", "late"])
def test_stripe_itself_tells_the_running_shop(
    ready: Buyer, wired: StripeServer, manner: str
) -> None:
    courier = wired.courier
    assert courier is not None
    order, payment = ready.pay("card")
    courier.manner = manner
    wired.books.confirm(intent_of(payment), "pm_card_visa")
    courier.flush()
    courier.wait()
    checkout.drain_inbox(now=timezone.now() + timedelta(seconds=1))

    assert courier.failed == []
    assert Order.objects.get(pk=order.pk).status == "confirmed"
    assert Payment.objects.get().status == "CAPTURED"
    assert len(wired.books.movements) == 1
    connections.close_all()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_at_dj_stripe_s_address_every_step_is_told_over_the_wire(
    ready: Buyer, stripe: StripeServer, live_server: Any, settings: Any, staff: Any
) -> None:
    """Declined, 3-D Secure, authorised, collected, refunded in part, disputed: nobody asks, Stripe tells."""
    settings.PAYMENT_CAPTURE_MODE = "manual"
    courier = stripe.deliver_to(f"{live_server.url}{OWN}", SECRET)
    order, payment = ready.pay("card")

    def heard() -> tuple[str, str, str]:
        courier.wait()
        checkout.drain_inbox(now=timezone.now() + timedelta(minutes=1))
        order.refresh_from_db()
        payment.refresh_from_db()
        return order.status, order.payment_status, payment.status

    with pytest.raises(StripeProblem):
        stripe.books.confirm(intent_of(payment), "pm_card_chargeDeclined")
    assert heard() == ("draft", "failed", "FAILED")

    _, payment = ready.pay("card")
    stripe.books.confirm(intent_of(payment), "pm_card_threeDSecure2Required")
    assert heard() == ("draft", "pending", "PENDING")
    assert payment.next_action == {"type": "use_stripe_sdk"}
    stripe.books.authenticate(intent_of(payment))
    assert heard() == ("confirmed", "authorized", "AUTHORIZED")

    stripe.books.capture(intent_of(payment), {})  # in its dashboard
    assert heard() == ("confirmed", "captured", "CAPTURED")
    stripe.books.refund({"payment_intent": intent_of(payment), "amount": "490"})
    assert heard() == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")
    stripe.books.dispute(intent_of(payment))
    assert heard() == ("confirmed", "partially_refunded", "PARTIALLY_REFUNDED")

    assert order.is_disputed
    assert courier.failed == []
    assert [line["amount"] for line in stripe.books.movements] == [2490, -490, -2490]
    told = {event["id"] for event in events(stripe)}
    assert set(WebhookInbox.objects.exclude(processed_at=None).values_list("event_id", flat=True)) == told  # fmt: skip
    assert WebhookEventTrigger.objects.filter(valid=True).count() == len(told)
    connections.close_all()
