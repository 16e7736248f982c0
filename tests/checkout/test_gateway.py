"""Stripe through its own client, against a server that answers as Stripe does."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from checkout.gateway import ProviderRefused, ProviderUnavailable, State, StripeGateway, methods
from checkout.gateway.paypal.wire import money
from config.settings import base


def intent(**fields):
    return {
        "id": "pi_1", "object": "payment_intent", "created": 1_795_000_000, "amount": 2490, "amount_received": 0, "currency": "usd",
        "status": "requires_payment_method", "client_secret": "pi_1_secret", "livemode": False,
        "last_payment_error": None, "latest_charge": None, "next_action": None, "metadata": {"payment_id": "p"},
        **fields,
    }  # fmt: skip


@pytest.fixture
def stripe_server(settings):
    """Run a server that gives `answers` in order and notes what it was asked."""

    class Server(ThreadingHTTPServer):
        answers: list = []
        asked: list = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = parse_qs(self.rfile.read(length).decode())
            server.asked.append((self.command, self.path.split("?")[0], self.headers, body))
            status, content = server.answers.pop(0)
            if status == 0:
                self.connection.close()
                return
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

        def log_message(self, *arguments):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    settings.STRIPE_API_HOST = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def test_providers_are_waited_for_no_longer_than_promised():
    promised = {"STRIPE_TIMEOUT_SECONDS", "PAYPAL_TIMEOUT_SECONDS", "APPLE_PAY_TIMEOUT_SECONDS"}

    assert {getattr(base, name) for name in promised} == {8}


def test_it_is_offered_only_with_a_key(settings):
    settings.STRIPE_SECRET_KEY = ""
    assert [method.id for method in methods()] == ["test"]
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    assert [method.id for method in methods()] == ["card", "test"]


def test_it_opens_an_intent_with_our_own_key(stripe_server):
    stripe_server.answers = [(200, intent())]

    remote = StripeGateway().create(
        key="payment-1", amount=Decimal("24.90"), currency="USD", metadata={"payment_id": "p"}
    )

    command, path, headers, body = stripe_server.asked[0]
    assert (command, path, headers["Idempotency-Key"]) == (
        "POST",
        "/v1/payment_intents",
        "payment-1",
    )
    assert (body["amount"], body["currency"], body["capture_method"]) == (
        ["2490"],
        ["usd"],
        ["automatic"],
    )
    assert body["metadata[payment_id]"] == ["p"]
    assert (remote.provider_id, remote.state, remote.amount, remote.currency) == (
        "pi_1",
        State.REQUIRES_PAYMENT,
        Decimal("24.90"),
        "USD",
    )
    assert (remote.client_secret, remote.metadata) == ("pi_1_secret", {"payment_id": "p"})


CHARGE = {
    "id": "ch_1", "object": "charge", "amount_refunded": 490, "disputed": True,
    "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242", "capture_before": 1900000000}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": "requires_payment_method"}, State.REQUIRES_PAYMENT),
        (
            {
                "status": "requires_payment_method",
                "last_payment_error": {"code": "card_declined", "type": "card_error"},
            },
            State.FAILED,
        ),
        ({"status": "requires_confirmation"}, State.REQUIRES_PAYMENT),
        (
            {"status": "requires_action", "next_action": {"type": "redirect_to_url"}},
            State.REQUIRES_ACTION,
        ),
        ({"status": "processing"}, State.PROCESSING),
        ({"status": "requires_capture"}, State.AUTHORIZED),
        ({"status": "canceled"}, State.CANCELED),
    ],
)
def test_it_reads_every_status(stripe_server, fields, state):
    stripe_server.answers = [(200, intent(**fields))]

    assert StripeGateway().retrieve(provider_id="pi_1").state is state


def test_it_reads_what_was_taken_given_back_and_disputed(stripe_server):
    dispute = {
        "id": "dp_1", "object": "dispute", "status": "needs_response", "reason": "fraudulent",
        "evidence_details": {"due_by": 1_796_000_000},
    }  # fmt: skip
    stripe_server.answers = [
        (200, intent(status="succeeded", amount_received=2490, latest_charge=CHARGE)),
        (200, {"object": "list", "data": [dispute], "has_more": False, "url": "/v1/disputes"}),
    ]

    remote = StripeGateway().retrieve(provider_id="pi_1")

    assert (remote.state, remote.captured, remote.refunded, remote.is_disputed) == (
        State.SUCCEEDED,
        Decimal("24.90"),
        Decimal("4.90"),
        True,
    )
    assert remote.details == {"brand": "visa", "last4": "4242"}
    assert remote.dispute is not None
    assert (remote.dispute.status, remote.dispute.reason) == ("needs_response", "fraudulent")


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("4990", "JPY", 4990),
        ("500", "ISK", 50_000),  # counted as if it had parts
        ("500", "UGX", 50_000),
        ("500.00", "MGA", 500),  # counted as if it had none
        ("49.90", "HUF", 4990),
        ("1.230", "KWD", 1230),
    ],
)
def test_stripe_counts_each_currency_in_units_of_its_own(stripe_server, amount, currency, units):
    stripe_server.answers = [(200, intent(amount=units, currency=currency.lower()))]

    remote = StripeGateway().create(key="k", amount=Decimal(amount), currency=currency, metadata={})

    assert (stripe_server.asked[0][3]["amount"], remote.amount) == ([str(units)], Decimal(amount))


def test_what_stripe_cannot_count_is_not_rounded(stripe_server):
    with pytest.raises(ProviderRefused):
        StripeGateway().create(key="k", amount=Decimal("5.50"), currency="MGA", metadata={})

    assert stripe_server.asked == []


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [("49.90", "USD", "49.90"), ("4990.00", "HUF", "4990"), ("4990", "JPY", "4990")],
)
def test_paypal_is_told_whole_amounts_where_it_knows_no_others(amount, currency, value):
    assert money(Decimal(amount), currency) == {"currency_code": currency, "value": value}


def test_what_paypal_cannot_say_is_not_rounded():
    with pytest.raises(ProviderRefused):
        money(Decimal("49.90"), "TWD")


def test_it_captures_and_cancels_only_what_can_be(stripe_server):
    stripe_server.answers = [
        (200, intent(status="requires_capture")),
        (200, intent(status="succeeded", amount_received=2490)),
        (200, intent(status="succeeded", amount_received=2490)),
        (200, intent(status="succeeded", amount_received=2490)),
    ]
    gateway = StripeGateway()

    captured = gateway.capture(provider_id="pi_1", amount=Decimal("24.90"), key="c")
    kept = gateway.cancel(provider_id="pi_1", key="x")

    assert captured.state is kept.state is State.SUCCEEDED
    assert [path for _, path, _, _ in stripe_server.asked] == [
        "/v1/payment_intents/pi_1",
        "/v1/payment_intents/pi_1/capture",
        "/v1/payment_intents/pi_1",
        "/v1/payment_intents/pi_1",
    ]


def test_it_refunds_with_our_own_key(stripe_server):
    stripe_server.answers = [
        (200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": []}),
        (200, {"id": "re_1", "object": "refund", "status": "succeeded"}),
    ]

    refund = StripeGateway().refund(
        provider_id="pi_1", amount=Decimal("4.90"), currency="USD", key="refund-1", reason="sorry"
    )

    assert (refund.provider_id, refund.succeeded) == ("re_1", True)
    _, path, headers, body = stripe_server.asked[1]
    assert (path, headers["Idempotency-Key"], body["amount"]) == (
        "/v1/refunds",
        "refund-1",
        ["490"],
    )


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (0, "", ProviderUnavailable),
        (500, "api_error", ProviderUnavailable),
        (429, "rate_limit_error", ProviderUnavailable),
        (400, "invalid_request_error", ProviderRefused),
        (402, "card_error", ProviderRefused),
    ],
)
def test_it_tells_a_no_from_silence_and_repeats_nothing_by_itself(
    stripe_server, status, kind, error
):
    stripe_server.answers = [
        (status, {"error": {"type": kind, "code": "charge_already_refunded", "message": "secret"}})
    ]

    with pytest.raises(error) as refused:
        StripeGateway().refund(
            provider_id="pi_1", amount=Decimal(1), currency="USD", key="k", reason=""
        )

    assert "secret" not in str(refused.value)
    assert len(stripe_server.asked) == 1
