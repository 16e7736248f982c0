"""The link of a guest's order opens over the API what its reader may see and do of that order, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from checkout.models import Payment
from config.platform.actor import Actor
from inventory.models import Variant
from orders import services as orders
from orders.models import Order, ReturnRequest
from orders.services import DirectItem
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def arrived(ready: Buyer, staff: Actor, now: datetime) -> Order:
    """A guest's order that was paid, sent and delivered."""
    order, payment = ready.pay()
    ready.simulate(payment)
    orders.ship(actor=staff, order_id=order.pk, now=now)
    orders.deliver(actor=staff, order_id=order.pk, now=now)
    return Order.objects.get(pk=order.pk)


def direct(actor: Actor, variant: Variant, now: datetime) -> Order:
    return orders.place_direct(
        actor=actor,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )


def asked_back(order: Order) -> dict[str, Any]:
    line = order.lines.get()
    return {"items": [{"itemId": str(line.id), "quantity": 1, "reason": "too small"}]}


def written() -> tuple[list[Any], ...]:
    return (
        list(Order.objects.order_by("pk").values_list("pk", "status", "updated_at")),
        list(Payment.objects.order_by("pk").values_list("pk", "status")),
        list(ReturnRequest.objects.order_by("pk").values_list("pk", "status")),
    )


def test_who_has_the_link_reads_the_order_and_sends_it_back(arrived: Order) -> None:
    at, key = f"/orders/{arrived.number}", f"?token={orders.access_token(arrived)}"
    nobody = Api()

    listed = nobody.get(f"{at}/payments{key}").json()["results"]
    assert [payment["status"] for payment in listed] == ["CAPTURED"]
    assert nobody.get(f"/payments/order/{arrived.id}{key}").json()["results"] == listed
    assert len(nobody.get(f"{at}/shipments{key}").json()["results"]) == 1
    made = nobody.post(f"{at}/returns{key}", asked_back(arrived))
    assert made.status_code == 201
    [found] = nobody.get(f"{at}/returns{key}").json()["results"]
    assert (found["id"], found["status"]) == (made.json()["id"], "REQUESTED")
    gone = nobody.post(f"/orders/returns/{found['id']}/withdraw{key}", {})
    assert (gone.status_code, gone.json()["status"]) == (200, "WITHDRAWN")


def test_who_has_the_link_pays_what_waits_to_be_paid(ready: Buyer) -> None:
    order, first = ready.pay()
    ready.simulate(first, "decline")
    path = f"/orders/{order.number}/payments?token={orders.access_token(order)}"

    opened = Api().post(path, {"method": "test"})

    assert opened.status_code == 201
    assert opened.json()["amount"] == "24.90"
    assert [each["id"] for each in Api().get(path).json()["results"]] == [opened.json()["id"], str(first.id)]  # fmt: skip


OPENED = [
    ("GET", "/orders/{id}/payments"),
    ("POST", "/orders/{id}/payments"),
    ("GET", "/payments/order/{id}"),
    ("GET", "/orders/{id}/shipments"),
    ("GET", "/orders/{id}/returns"),
    ("POST", "/orders/{id}/returns"),
]


@pytest.mark.parametrize(("verb", "path"), OPENED)
def test_no_other_link_opens_it(
    arrived: Order, actor_user: Actor, variant: Variant, now: datetime, verb: str, path: str
) -> None:
    other = direct(actor_user, variant, now)
    body = asked_back(arrived) if path.endswith("returns") else {"method": "test"}
    before = written()

    def ask(order: Order, token: str) -> tuple[int, str]:
        answer = Api().request(
            verb, path.format(id=order.id) + token, body if verb == "POST" else None
        )
        return answer.status_code, answer.json().get("code", "")

    assert ask(arrived, "") == ask(arrived, "?token=") == (401, "AUTH_REQUIRED")
    for wrong in (orders.access_token(other), "0" * 64, "x", orders.access_token(arrived)[:-1]):
        assert ask(arrived, f"?token={wrong}") == (404, "ORDER_NOT_FOUND")
    # What an account bought is opened by its link to be read, not to be acted upon.
    expected = (200, "") if path.endswith("shipments") else (404, "ORDER_NOT_FOUND")
    assert ask(other, f"?token={orders.access_token(other)}") == expected
    assert written() == before


def test_no_other_link_takes_a_return_back(
    arrived: Order, ready: Buyer, actor_user: Actor, variant: Variant, now: datetime
) -> None:
    other = direct(actor_user, variant, now)
    made = ready.api.post(f"/orders/{arrived.id}/returns", asked_back(arrived)).json()
    before = written()

    for token in ("", f"?token={orders.access_token(other)}", f"?token={'0' * 64}"):
        answer = Api().post(f"/orders/returns/{made['id']}/withdraw{token}", {})
        assert answer.status_code == (404 if token else 401)
    assert written() == before


@pytest.mark.parametrize("tail", ["cancel", "cancel-items", "edits/preview", "edits", "reorder", "edit-in-cart"])  # fmt: skip
def test_the_link_neither_cancels_nor_changes(ready: Buyer, tail: str) -> None:
    order, payment = ready.pay()
    ready.simulate(payment)
    before = written()

    answer = Api().post(f"/orders/{order.id}/{tail}?token={orders.access_token(order)}", {})

    assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_REQUIRED")
    assert written() == before
