"""Orders held for a look: which they are, what waits meanwhile, and what staff may decide."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.models import AuditEntry
from inventory.models import StockLevel
from orders import services as orders
from orders.errors import OrderInReview
from orders.models import Order, OrderEdit, Shipment
from orders.selectors.picking import picking_tasks
from orders.services import DirectItem
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db


@pytest.fixture
def rules(settings: Any) -> Any:
    settings.ORDER_REVIEW = True
    settings.ORDER_REVIEW_AMOUNT = 0
    settings.ORDER_REVIEW_PER_HOUR = 0
    settings.RATE_LIMITS = True
    return settings


@pytest.fixture
def pay(draft: Order, system: Any, now: Any) -> Any:
    def run(order: Order = draft) -> Order:
        orders.set_payment_status(
            actor=system, order_id=order.id, status="captured", method="test", now=now
        )
        orders.confirm(actor=system, order_id=order.id, now=now)
        found: Order = reload(order)
        return found

    return run


def test_an_ordinary_order_is_not_held_and_off_asks_nothing(pay: Any, settings: Any) -> None:
    settings.ORDER_REVIEW_AMOUNT = 1

    assert pay().review == ""


@pytest.mark.parametrize(("limit", "held"), [(60, True), (61, False), (0, False)])
def test_a_large_amount_is_held(pay: Any, rules: Any, limit: int, held: bool) -> None:
    rules.ORDER_REVIEW_AMOUNT = limit  # the order comes to 60.47

    assert (pay().review == "pending") is held


def test_a_bill_to_another_country_is_held(pay: Any, rules: Any, draft: Order) -> None:
    Order.objects.filter(pk=draft.pk).update(billing_address={**ADDRESS, "country": "FR"})

    found = pay()

    assert (found.review, found.review_reason) == ("pending", "the bill goes to another country")


def test_many_in_an_hour_are_held(
    pay: Any, rules: Any, draft: Order, variant: Any, actor_guest: Any, now: Any
) -> None:
    rules.ORDER_REVIEW_PER_HOUR = 2
    placed = [
        orders.place_direct(
            actor=actor_guest,
            items=[DirectItem(variant.sku, 1)],
            email=f"other{index}@example.com",
            shipping_address=ADDRESS,
            now=now,
        )
        for index in range(2)
    ]

    assert pay(placed[1]).review_reason == "many orders within an hour"  # three to one address
    rules.RATE_LIMITS = False
    assert pay(placed[0]).review == ""


def test_what_is_held_keeps_its_goods_and_does_not_leave(
    pay: Any, rules: Any, variant: Any, staff: Any, now: Any, staff_api: Any, user_api: Any
) -> None:
    rules.ORDER_REVIEW_AMOUNT = 1
    held = pay()

    for step in (orders.process, orders.ship):
        with pytest.raises(OrderInReview):
            step(actor=staff, order_id=held.id, now=now)
    answer = staff_api.post(f"/orders/{held.id}/ship", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_IN_REVIEW")
    assert picking_tasks(actor=staff) == []
    assert (reload(held).status, Shipment.objects.count()) == ("confirmed", 0)
    assert StockLevel.objects.get(variant=variant).available == 7
    assert "review" not in user_api.get(f"/orders/{held.id}").json()
    assert staff_api.get(f"/orders/{held.id}").json()["reviewReason"] == "a large amount"


def test_staff_let_it_go(pay: Any, rules: Any, staff_api: Any, user_api: Any, staff: Any) -> None:
    rules.ORDER_REVIEW_AMOUNT = 1
    held = pay()
    place = f"/orders/{held.id}/review"
    assert user_api.post(place, {"decision": "approve"}).status_code == 403
    assert staff_api.post(place, {"decision": "perhaps"}).status_code == 400

    done = staff_api.post(place, {"decision": "approve", "reason": "rang them"})
    again = staff_api.post(place, {"decision": "reject"})

    assert (done.status_code, done.json()["review"]) == (200, "approved")
    assert (again.status_code, again.json()["code"]) == (409, "INVALID_STATUS_TRANSITION")
    edit = OrderEdit.objects.get(field="review")
    assert (edit.old, edit.new, edit.reason) == ("pending", "approved", "rang them")
    assert AuditEntry.objects.filter(action="order.reviewed").count() == 1
    assert len(picking_tasks(actor=staff)) == 2
    assert staff_api.post(f"/orders/{held.id}/ship", {}).json()["status"] == "shipped"


def test_staff_refuse_it(pay: Any, rules: Any, staff: Any, variant: Any, now: Any) -> None:
    rules.ORDER_REVIEW_AMOUNT = 1
    held = pay()

    orders.review(actor=staff, order_id=held.id, approve=False, reason="stolen card", now=now)

    found = reload(held)
    assert (found.status, found.review) == ("cancelled", "rejected")
    assert [request.amount for request in found.refund_requests.all()] == [found.grand_total]
    assert StockLevel.objects.get(variant=variant).available == 10


def test_off_costs_no_statement(draft: Order, system: Any, now: Any, settings: Any) -> None:
    def ask() -> int:
        with CaptureQueriesContext(connection) as seen:
            orders.reviewing.hold_if_suspicious(draft, now=now)
        return len(seen)

    settings.ORDER_REVIEW = False
    assert ask() == 0
