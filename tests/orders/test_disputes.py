"""Price disputes: opened by who bought, decided once by staff, paid back within what the line cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.test import Client

from config.platform import invariants
from config.platform.actor import Actor, hash_token
from config.platform.errors import InvalidTransition, ValidationFailed
from config.platform.models import OutboxEvent, User
from inventory.models import Company
from orders import services as orders
from orders.errors import OrderNotFound, RefundExceedsPayment
from orders.models import Order, OrderLine
from orders.services import Units
from pricing.errors import DisputeNotFound, DisputeNotPossible, DisputeOpen
from pricing.models import PriceDispute, PriceDisputeChange
from tests import factories
from tests.conftest import Api, actor_for
from tests.threads import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(paid: Order) -> OrderLine:
    """Return the line of three units at 9.99: 29.97 and 3.00 tax."""
    return paid.lines.get(quantity=3)


@pytest.fixture(autouse=True)
def _sound(db: None) -> Iterator[None]:
    yield
    watched = {
        "O03",
        "O04",
        "O07",
        "R10",
        "R11",
        "R12",
    }  # these orders have no payments behind them
    checks = [check for check in invariants.all_checks() if check.id in watched]
    assert [found.to_json() for found in invariants.run(checks) if not found.holds] == []


def dispute(line: OrderLine, actor: Actor, now: datetime, **fields: Any) -> PriceDispute:
    return orders.dispute_price(
        **{
            "actor": actor,
            "order_id": line.order_id,
            "line_id": line.id,
            "reason": "SHOWN_LOWER",
            "evidence": "The list said 8.99.",
            "claimed_price": Decimal("8.99"),
            "now": now,
            **fields,
        }
    )


def decide(found: PriceDispute, staff: Actor, now: datetime, **fields: Any) -> PriceDispute:
    return orders.decide_dispute(
        **{
            "actor": staff,
            "dispute_id": found.id,
            "status": "REJECTED",
            "answer": "The price was 9.99 all week.",
            "now": now,
            **fields,
        }
    )


def asked(order: Order) -> list[Decimal]:
    return list(order.refund_requests.order_by("id").values_list("amount", flat=True))


# --- opened ---------------------------------------------------------------------------------------


def test_a_dispute_copies_what_was_charged_and_keeps_its_steps(
    line: OrderLine, actor_user: Actor, now: datetime
) -> None:
    found = dispute(line, actor_user, now)

    assert (found.unit_price, found.line_total, found.quantity) == (
        Decimal("9.99"), Decimal("32.97"), 3,
    )  # fmt: skip
    assert [step.to_status for step in found.changes.all()] == ["OPEN"]
    event = OutboxEvent.objects.get(name="order.price_disputed")
    assert event.payload["dispute_id"] == str(found.id)


def test_a_line_has_one_open_dispute(line: OrderLine, actor_user: Actor, now: datetime) -> None:
    first = dispute(line, actor_user, now)

    with pytest.raises(DisputeOpen):
        dispute(line, actor_user, now)

    assert PriceDispute.objects.get() == first
    assert PriceDisputeChange.objects.count() == 1


def test_after_its_decision_a_line_may_be_disputed_again(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    decide(dispute(line, actor_user, now), staff, now)

    assert dispute(line, actor_user, now).status == "OPEN"


@pytest.mark.parametrize(
    "fields",
    [
        {"claimed_price": Decimal("9.99")},
        {"claimed_price": Decimal(-1)},
        {"reason": "WHIM"},
        {"reason": "OTHER", "evidence": " "},
        {"evidence": "x" * 2_001},
        {"evidence": "Charge 4242 4242 4242 4242 instead."},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_a_claim_that_makes_no_sense_is_refused(
    line: OrderLine, actor_user: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationFailed):
        dispute(line, actor_user, now, **fields)

    assert not PriceDispute.objects.exists()


def test_only_who_may_see_a_paid_order_disputes_it(
    draft: Order, company: Company, actor_user: Actor, now: datetime
) -> None:
    line = draft.lines.get(quantity=3)
    stranger = actor_for(factories.make_user(), company)

    with pytest.raises(OrderNotFound):
        dispute(line, stranger, now)
    with pytest.raises(DisputeNotPossible):
        dispute(line, actor_user, now)  # it is not paid

    assert not PriceDispute.objects.exists()


# --- decided --------------------------------------------------------------------------------------


def test_a_rejection_gives_nothing_back_and_tells_why(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    found = decide(dispute(line, actor_user, now), staff, now)

    assert (found.status, found.amount, found.resolved_at) == ("REJECTED", None, now)
    assert asked(line.order) == []
    event = OutboxEvent.objects.get(name="order.price_dispute_decided")
    assert (event.payload["outcome"], event.payload["answer"]) == (
        "REJECTED",
        "The price was 9.99 all week.",
    )


def test_an_adjusted_price_is_paid_back_and_units_then_bring_that_much_less(
    line: OrderLine,
    actor_user: Actor,
    staff: Actor,
    now: datetime,
    refunds: Callable[[Order], list[Decimal]],
) -> None:
    """1.00 a unit comes back of 32.97; then the units one by one, to the cent what is left."""
    found = decide(
        dispute(line, actor_user, now), staff, now, status="ADJUSTED", amount=Decimal("3.00")
    )
    assert (found.amount, found.refund_request_id is not None) == (Decimal("3.00"), True)
    assert refunds(line.order) == [Decimal("3.00")]

    for _ in range(3):
        orders.cancel_items(actor=staff, order_id=line.order_id, units=[Units(line.id, 1)], now=now)

    assert refunds(line.order) == [Decimal("9.99"), Decimal("9.99"), Decimal("9.99")]
    line.refresh_from_db()
    assert (line.refunded_amount, line.adjusted_amount) == (Decimal("32.97"), Decimal(0))


@pytest.mark.parametrize("given", ["0.01", "0.02", "10.00", "32.96", "32.97"])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_whatever_is_given_back_the_line_never_brings_more_than_it_cost(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime, given: str, first: int
) -> None:
    """Some units come back before the price is adjusted, the others after it, one at a time."""

    def back(units: int) -> None:
        for _ in range(units):
            orders.cancel_items(
                actor=staff, order_id=line.order_id, units=[Units(line.id, 1)], now=now
            )

    back(first)
    left = Decimal("32.97") - sum(asked(line.order), Decimal(0))
    found = dispute(line, actor_user, now)
    if Decimal(given) > left:
        with pytest.raises(RefundExceedsPayment):
            decide(found, staff, now, status="ADJUSTED", amount=Decimal(given))
        return
    decide(found, staff, now, status="ADJUSTED", amount=Decimal(given))
    back(3 - first)

    amounts = asked(line.order)
    assert sum(amounts) == Decimal("32.97")
    assert min(amounts) > 0


def test_a_refund_gives_back_what_is_left_of_the_line(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    found = decide(dispute(line, actor_user, now), staff, now, status="REFUNDED")

    assert (found.status, found.amount) == ("REFUNDED", Decimal("32.97"))
    assert asked(line.order) == [Decimal("32.97")]
    with pytest.raises(RefundExceedsPayment):
        decide(dispute(line, actor_user, now), staff, now, status="REFUNDED")
    assert asked(line.order) == [Decimal("32.97")]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": "ADJUSTED"}, ValidationFailed),
        ({"status": "ADJUSTED", "amount": Decimal(0)}, ValidationFailed),
        ({"status": "ADJUSTED", "amount": Decimal("32.98")}, RefundExceedsPayment),
        ({"status": "REJECTED", "amount": Decimal(1)}, ValidationFailed),
        ({"status": "REFUNDED", "answer": " "}, ValidationFailed),
        ({"status": "OPEN"}, InvalidTransition),
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_a_decision_that_cannot_be_leaves_the_dispute_open(
    line: OrderLine,
    actor_user: Actor,
    staff: Actor,
    now: datetime,
    fields: dict[str, Any],
    error: type[Exception],
) -> None:
    found = dispute(line, actor_user, now)

    with pytest.raises(error):
        decide(found, staff, now, **fields)

    found.refresh_from_db()
    assert (found.status, found.changes.count(), asked(line.order)) == ("OPEN", 1, [])
    line.refresh_from_db()
    assert (line.adjusted_amount, line.claimed_quantity) == (Decimal(0), 0)


def test_a_dispute_is_decided_once(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    found = decide(dispute(line, actor_user, now), staff, now)

    with pytest.raises(InvalidTransition):
        decide(found, staff, now, status="REFUNDED")

    assert asked(line.order) == []


def test_another_company_knows_nothing_of_it(
    line: OrderLine, actor_user: Actor, now: datetime
) -> None:
    found = dispute(line, actor_user, now)
    others = actor_for(factories.make_staff(), factories.make_company())

    with pytest.raises(DisputeNotFound):
        decide(found, others, now)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_decisions_at_once_one_counts(
    line: OrderLine, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    found = dispute(line, actor_user, now)

    def one(index: int) -> bool:
        try:
            decide(found, staff, now, status="ADJUSTED", amount=Decimal("5.00"))
        except InvalidTransition:
            return False
        return True

    assert sum(together(8, one)) == 1
    assert asked(line.order) == [Decimal("5.00")]


# --- what the database itself refuses -------------------------------------------------------------


def test_the_table_refuses_a_second_open_one_and_a_decision_without_its_money(
    line: OrderLine, actor_user: Actor, now: datetime
) -> None:
    found = dispute(line, actor_user, now)
    row = PriceDispute.objects.filter(pk=found.pk)

    for change in (
        {"status": "REJECTED"},
        {"status": "ADJUSTED", "resolved_at": now},
        {"amount": Decimal(1)},
        {"claimed_price": Decimal(-1)},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        PriceDispute.objects.create(
            **{
                field.attname: getattr(found, field.attname)
                for field in PriceDispute._meta.concrete_fields
                if not field.primary_key
            }
        )
    with pytest.raises(ProgrammingError), transaction.atomic():
        PriceDisputeChange.objects.all().delete()


# --- the API --------------------------------------------------------------------------------------


def test_customers_open_list_and_read_their_disputes(
    paid: Order, line: OrderLine, user: User, api: Api, staff_api: Api
) -> None:
    mine = api.as_user(user)
    body = {
        "order": paid.number,
        "itemId": str(line.id),
        "reason": "SHOWN_LOWER",
        "evidence": "The list said 8.99.",
        "claimedPrice": "8.99",
    }

    made = mine.post("/products/pricing/disputes", body)
    assert made.status_code == 201, made.content
    told = made.json()
    assert {name: told[name] for name in ("unitPrice", "claimedPrice", "status", "amount")} == {
        "unitPrice": "9.99", "claimedPrice": "8.99", "status": "OPEN", "amount": None,
    }  # fmt: skip
    again = mine.post("/products/pricing/disputes", body)
    assert (again.status_code, again.json()["code"]) == (409, "PRICE_DISPUTE_OPEN")
    assert [row["id"] for row in mine.get("/products/pricing/disputes").json()["results"]] == [
        told["id"]
    ]
    path = f"/products/pricing/disputes/{told['id']}"
    assert mine.get(path).json() == told

    other = api.as_user(factories.make_user())
    assert other.get("/products/pricing/disputes").json()["results"] == []
    for foreign in (path, "/products/pricing/disputes/no-id"):
        refused = other.get(foreign)
        assert (refused.status_code, refused.json()["code"]) == (404, "PRICE_DISPUTE_NOT_FOUND")
    refused = other.post("/products/pricing/disputes", body)
    assert (refused.status_code, refused.json()["code"]) == (404, "ORDER_NOT_FOUND")

    decision = {"status": "ADJUSTED", "answer": "You are right.", "amount": "3.00"}
    assert mine.post(f"{path}/decide", decision).status_code == 403
    helper = api.as_user(factories.make_staff(is_superuser=False))
    assert helper.post(f"{path}/decide", decision).status_code == 403
    decided = staff_api.post(f"{path}/decide", decision)
    assert (decided.status_code, decided.json()["amount"]) == (200, "3.00")
    late = staff_api.post(f"{path}/decide", decision)
    assert (late.status_code, late.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    queue = staff_api.get(f"/products/pricing/disputes?status=ADJUSTED&order={paid.number}")
    assert [row["answer"] for row in queue.json()["results"]] == ["You are right."]


@pytest.mark.parametrize(
    "change",
    [
        {"itemId": "x"},
        {"itemId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c011"},
        {"reason": "WHIM"},
        {"claimedPrice": "ten"},
        {"claimedPrice": "-1"},
        {"claimedPrice": "1e400"},
        {"evidence": "x" * 2_001},
        {"price": "1.00"},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_malformed_disputes_are_refused(
    paid: Order, line: OrderLine, user: User, api: Api, change: dict[str, str]
) -> None:
    body = {"order": paid.number, "itemId": str(line.id), "reason": "TAX", **change}

    refused = api.as_user(user).post("/products/pricing/disputes", body)

    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
    assert not PriceDispute.objects.exists()


# --- the pages ------------------------------------------------------------------------------------


def test_the_form_of_an_order_opens_a_dispute_and_the_order_tells_its_answer(
    paid: Order, line: OrderLine, user: User, staff: Actor, now: datetime
) -> None:
    browser = Client()
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    page = f"/orders/{paid.number}/dispute/"
    assert page in browser.get(f"/orders/{paid.number}/").content.decode()
    assert browser.get(page).status_code == 200
    form = {"line": str(line.id), "reason": "OTHER", "claimed_price": "8,99", "evidence": ""}

    refused = browser.post(page, form)
    assert (refused.status_code, PriceDispute.objects.count()) == (422, 0)
    for wrong in ({"line": "x"}, {"claimed_price": "ten"}, {"reason": "WHIM"}):
        assert browser.post(page, {**form, "evidence": "I saw it.", **wrong}).status_code == 422
    sent = browser.post(page, {**form, "evidence": "I saw it.", "key": "a" * 32})
    assert sent.headers["Location"] == f"/orders/{paid.number}/"

    found = PriceDispute.objects.get()
    assert found.claimed_price == Decimal("8.99")
    decide(found, staff, now, answer="The list is right.")
    assert "The list is right." in browser.get(f"/orders/{paid.number}/").content.decode()
    stranger = Client()
    stranger.force_login(
        factories.make_user(), "allauth.account.auth_backends.AuthenticationBackend"
    )
    assert stranger.get(page).status_code == 404


def test_staff_decide_in_the_admin(
    line: OrderLine, actor_user: Actor, staff_user: User, now: datetime
) -> None:
    found = dispute(line, actor_user, now)
    office = Client()
    office.force_login(staff_user, "allauth.account.auth_backends.AuthenticationBackend")
    row = f"/admin/pricing/pricedispute/{found.pk}"

    shown = office.get(f"{row}/change/").content.decode()
    assert all(step in shown for step in (f"{row}/reject", f"{row}/adjust", f"{row}/refund"))
    too_much = office.post(f"{row}/adjust/", {"amount": "40.00", "answer": "Sorry."}, follow=True)
    assert "more than what is left" in too_much.content.decode()
    assert asked(line.order) == []
    done = office.post(f"{row}/adjust/", {"amount": "3.00", "answer": "Sorry."}, follow=True)

    assert done.status_code == 200
    found.refresh_from_db()
    assert (found.status, found.answer, asked(line.order)) == (
        "ADJUSTED", "Sorry.", [Decimal("3.00")],
    )  # fmt: skip
    assert f"{row}/reject" not in office.get(f"{row}/change/").content.decode()


# --- by the link of the order's mail --------------------------------------------------------------


@pytest.fixture
def token(paid: Order) -> str:
    """Return the secret of the order's own link, as its mail has it."""
    secret = orders.access_token(paid)
    Order.objects.filter(pk=paid.pk).update(access_token_hash=hash_token(secret))
    return secret


def test_who_has_the_mail_of_an_order_asks_about_its_prices(
    line: OrderLine, paid: Order, token: str, staff: Actor, now: datetime
) -> None:
    nobody = Api()
    path = f"/products/pricing/disputes?token={token}"
    body = {"order": paid.number, "itemId": str(line.id), "reason": "SHOWN_LOWER"}

    opened = nobody.post(path, {**body, "claimedPrice": "8.99"})
    found = PriceDispute.objects.get()
    decide(found, staff, now)
    listed = nobody.get(f"{path}&order={paid.number}").json()["results"]
    read = nobody.get(f"/products/pricing/disputes/{found.id}?token={token}").json()

    assert (opened.status_code, opened.json()["status"]) == (201, "OPEN")
    assert [row["id"] for row in listed] == [str(found.id)]
    assert (read["status"], read["answer"]) == ("REJECTED", "The price was 9.99 all week.")
    assert asked(paid) == []


def test_a_token_of_another_order_or_none_opens_nothing(
    line: OrderLine, paid: Order, draft: Order, token: str, guest_api: Api, now: datetime
) -> None:
    other = factories.make_company()
    body = {"order": paid.number, "itemId": str(line.id), "reason": "SHOWN_LOWER"}
    mine = dispute(line, actor_for(User.objects.get(pk=paid.user_id), paid.company), now)
    wrong = [token[:-1], token + "x", "0" * 64, "é"]

    for sent in wrong:
        for client in (Api(), guest_api):
            found = client.post("/products/pricing/disputes?" + urlencode({"token": sent}), body)
            assert (found.status_code, found.json()["code"]) == (404, "ORDER_NOT_FOUND")
            query = urlencode({"token": sent, "order": paid.number})
            assert client.get(f"/products/pricing/disputes?{query}").status_code == 404
            query = urlencode({"token": sent})
            read = client.get(f"/products/pricing/disputes/{mine.id}?{query}")
            assert (read.status_code, read.json()["code"]) == (404, "PRICE_DISPUTE_NOT_FOUND")
    nameless = Api().get(f"/products/pricing/disputes?token={token}")
    elsewhere = Api().post(
        f"/products/pricing/disputes?token={token}", body, **{"X-Company-Id": str(other.id)}
    )
    assert Api().post("/products/pricing/disputes", body).status_code == 401
    assert Api().get("/products/pricing/disputes").status_code == 401
    assert nameless.status_code == 404
    assert elsewhere.status_code == 404
    assert PriceDispute.objects.get() == mine


def test_the_page_opens_by_the_link_too(line: OrderLine, paid: Order, token: str) -> None:
    visitor = Client()
    here = f"/orders/{paid.number}/dispute/"
    form = {"line": str(line.id), "reason": "SHOWN_LOWER", "claimed_price": "8.99", "key": "k" * 32}

    shown = visitor.get(f"/orders/{paid.number}/?token={token}").content.decode()
    asked_for = visitor.get(f"{here}?token={token}")
    sent = visitor.post(f"{here}?token={token}", form)
    after = visitor.get(f"/orders/{paid.number}/?token={token}").content.decode()

    assert f'href="{here}?token={token}"' in shown
    assert asked_for.status_code == 200
    assert (sent.status_code, sent["Location"]) == (302, f"/orders/{paid.number}/?token={token}")
    assert "Prices you asked about" in after
    assert paid.email not in after
    assert visitor.get(here).status_code == 404
    assert visitor.get(f"{here}?token={token[:-1]}").status_code == 404
    assert visitor.post(here, {**form, "key": "l" * 32}).status_code == 404
    assert PriceDispute.objects.count() == 1
