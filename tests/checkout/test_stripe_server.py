"""The stand-in for Stripe keeps the rules that the tests of payments rest on; Stripe's own client asks it."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.stripe import StripeServer, forms
from tests.stripe.webhooks import sign
from tests.threads import together


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StripeServer]:
    started = StripeServer(log=tmp_path / "movements.jsonl").start()
    yield started
    started.stop()


@pytest.fixture
def client(server: StripeServer) -> Any:
    return stripe.StripeClient(
        "sk_test_" + "k" * 24, base_addresses={"api": server.url}, max_network_retries=0
    ).v1


def make(client: Any, amount: int = 1000, **more: Any) -> Any:
    options = {"idempotency_key": more.pop("key")} if "key" in more else {}
    params = {"amount": amount, "currency": "usd", **more}
    return client.payment_intents.create(params=params, options=options)


def refused(call: Callable[[], Any]) -> tuple[int | None, str | None]:
    with pytest.raises(stripe.StripeError) as problem:
        call()
    return problem.value.http_status, problem.value.code


def test_parameters_nest() -> None:
    assert forms.parse("a[b]=1&expand[]=x&expand[]=y&l[0][p]=q&created[gte]=5&e=") == {
        "a": {"b": "1"}, "expand": ["x", "y"], "l": [{"p": "q"}], "created": {"gte": "5"}, "e": "",
    }  # fmt: skip


def test_one_key_is_one_intent(client: Any, server: StripeServer) -> None:
    first, second = make(client, key="k"), make(client, key="k")

    assert first.id == second.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        make(client, 1001, key="k")
    assert len(server.books.all("payment_intent")) == 1


def test_a_second_request_at_the_same_time_is_told_to_wait(
    client: Any, server: StripeServer
) -> None:
    server.fail(
        "POST /v1/payment_intents", "delay", seconds=0
    )  # the first may take the path freely
    original = server.books.create_intent

    other_answered = threading.Event()

    def slowly(*arguments: Any) -> Any:
        assert other_answered.wait(120)
        return original(*arguments)

    server.books.create_intent = slowly  # type: ignore[method-assign]

    def run(_: int) -> str:
        try:
            return str(make(client, key="k").id)
        except stripe.StripeError as problem:
            other_answered.set()
            return f"{problem.http_status}"

    answers = together(2, run)

    assert sorted(answer[:3] for answer in answers) == ["409", "pi_"]


def test_what_broke_is_repeated_and_what_was_invalid_is_not(
    client: Any, server: StripeServer
) -> None:
    server.fail("POST /v1/payment_intents", "500")
    assert [refused(lambda: make(client, key="a"))[0] for _ in range(2)] == [500, 500]
    assert refused(lambda: make(client, 0, key="b"))[0] == 400
    assert make(client, 1, key="b").amount == 1


def test_it_refuses_what_stripe_would(client: Any) -> None:
    intent = make(client)
    wrong = stripe.StripeClient("sk_live_x", base_addresses={"api": client._requestor._options.base_addresses["api"]})  # fmt: skip
    for call, problem in (
        (lambda: make(client, price=5), (400, "parameter_unknown")),
        (lambda: client.payment_intents.retrieve("pi_none"), (404, "resource_missing")),
        (lambda: client.payment_intents.capture(intent.id), (400, "payment_intent_unexpected_state")),
        (lambda: client.refunds.create(params={"payment_intent": intent.id}), (400, "charge_not_refundable")),
        (lambda: client.payment_intents.confirm(intent.id, params={"payment_method": "pm_card_chargeDeclined"}), (402, "card_declined")),
        (lambda: wrong.v1.payment_intents.retrieve(intent.id), (401, None)),
    ):  # fmt: skip
        assert refused(call) == problem


def test_it_never_gives_back_more_than_was_taken(
    client: Any, server: StripeServer, tmp_path: Path
) -> None:
    intent = make(client)
    client.payment_intents.confirm(intent.id, params={"payment_method": "pm_card_visa"})
    part = client.refunds.create(params={"payment_intent": intent.id, "amount": 400})
    assert refused(lambda: client.refunds.create(params={"payment_intent": intent.id, "amount": 601}))[0] == 400  # fmt: skip
    client.refunds.create(params={"payment_intent": intent.id})
    assert refused(lambda: client.refunds.create(params={"payment_intent": intent.id})) == (400, "charge_already_refunded")  # fmt: skip

    server.books.fail_refund(part.id)

    charge = client.payment_intents.retrieve(intent.id, params={"expand": ["latest_charge.balance_transaction"]}).latest_charge  # fmt: skip
    assert (charge.amount_refunded, charge.balance_transaction.amount) == (600, 1000)
    lines = [json.loads(line) for line in (tmp_path / "movements.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["amount"]) for line in lines] == [
        ("charge", 1000), ("refund", -400), ("refund", -600), ("refund_failure", 400),
    ]  # fmt: skip


def test_lists_have_pages(client: Any) -> None:
    made = [make(client).id for _ in range(5)]

    page = client.payment_intents.list(params={"limit": 2})

    assert ([each.id for each in page.data], page.has_more) == ([made[4], made[3]], True)
    assert [each.id for each in page.auto_paging_iter()] == made[::-1]


def test_a_capture_takes_what_was_authorised_or_less(client: Any, server: StripeServer) -> None:
    intent = make(client, capture_method="manual", payment_method="pm_card_visa", confirm=True)
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1000)
    assert refused(lambda: client.payment_intents.capture(intent.id, params={"amount_to_capture": 1001}))[0] == 400  # fmt: skip

    done = client.payment_intents.capture(intent.id, params={"amount_to_capture": 700})

    assert (done.status, done.amount_received) == ("succeeded", 700)
    assert [line["amount"] for line in server.books.movements] == [700]


def test_its_signatures_are_stripe_s() -> None:
    body = b'{"id":"evt_1","object":"event"}'
    assert stripe.Webhook.construct_event(body, sign("whsec_x", body), "whsec_x").id == "evt_1"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, sign("whsec_x", body, at=1), "whsec_x")


def test_it_has_buttons(server: StripeServer, client: Any) -> None:
    def press(button: str, **options: Any) -> Any:
        request = urllib.request.Request(f"{server.url}/_fake/{button}", data=json.dumps(options).encode(), method="POST")  # noqa: S310 # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    intent = make(client)
    press("fail", path="GET /v1/payment_intents/.*", mode="429")
    assert refused(lambda: client.payment_intents.retrieve(intent.id))[0] == 429
    assert press("confirm", id=intent.id, method="pm_card_visa")["status"] == "succeeded"
    assert [line["amount"] for line in press("log")] == [1000]
