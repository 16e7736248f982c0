"""Edits of orders that were really paid: what was added is paid for itself, and every book agrees afterwards."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from checkout import services as checkout
from checkout.models import Payment
from inventory.models import StockLevel
from orders import services as orders
from orders.errors import OrderNotEditable
from orders.models import Order
from orders.services import DirectItem, Edit
from tests.checkout.conftest import Buyer
from tests.concurrency.crowd import attempt, together

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(buyer: Buyer) -> Order:
    """Two units for 10.00 and 4.90 for shipping, paid with the test provider."""
    order, payment = buyer.begin().fill().pay()
    buyer.simulate(payment)
    return Order.objects.get(pk=order.pk)


def edit(buyer: Buyer, order: Order, wanted: Edit) -> Any:
    about: dict[str, Any] = {"actor": buyer.actor, "order_id": order.id, "edit": wanted, "now": buyer.now}  # fmt: skip
    shown = orders.preview_edit(**about)
    return orders.apply_edit(**about, quote_id=shown.quote_id, reason="x")


def on_shelf(variant: Any) -> tuple[int, int]:
    return StockLevel.objects.values_list("available", "reserved").get(variant=variant)


def test_what_is_added_is_paid_and_then_sold(paid: Order, buyer: Buyer, variant: Any) -> None:
    added = edit(buyer, paid, Edit(add=[DirectItem(variant.sku, 1)])).addition
    assert on_shelf(variant) == (2, 1)

    answer = buyer.api.post(f"/orders/{added.number}/payments", {"method": "test"})
    assert answer.status_code == 201, answer.json()
    payment = Payment.objects.get(order=added)
    assert (payment.amount, payment.status) == (Decimal("10.00"), "PENDING")
    buyer.simulate(payment)

    assert Order.objects.get(pk=added.pk).status == "confirmed"
    assert on_shelf(variant) == (2, 0)
    orders.cancel(actor=buyer.actor, order_id=added.pk, now=buyer.now)
    orders.cancel(actor=buyer.actor, order_id=paid.pk, now=buyer.now)
    checkout.execute_refunds(now=buyer.now)
    kept = [p.captured_amount - p.refunded_amount for p in Payment.objects.all()]
    assert kept == [Decimal(0), Decimal(0)]
    assert on_shelf(variant) == (5, 0)


def test_what_is_added_and_not_paid_lapses(paid: Order, buyer: Buyer, variant: Any) -> None:
    added = edit(buyer, paid, Edit(add=[DirectItem(variant.sku, 1)])).addition

    checkout.cancel_due_drafts(now=buyer.now + timedelta(days=2))

    assert Order.objects.get(pk=added.pk).status == "cancelled"
    assert Order.objects.get(pk=paid.pk).status == "confirmed"
    assert on_shelf(variant) == (3, 0)


def test_what_is_taken_out_goes_back_to_the_card(paid: Order, buyer: Buyer, variant: Any) -> None:
    line = paid.lines.get()
    edit(buyer, paid, Edit(quantities={line.id: 1}))

    checkout.execute_refunds(now=buyer.now)

    payment = Payment.objects.get()
    assert (payment.captured_amount, payment.refunded_amount) == (Decimal("24.90"), Decimal("10.00"))
    assert on_shelf(variant) == (4, 0)


def test_packing_and_editing_at_once_end_as_one_of_the_two(paid_for_real: Any, staff: Any) -> None:
    buyer, order = paid_for_real
    line = order.lines.get()

    def side(index: int) -> Any:
        if index % 2:
            return attempt(lambda: orders.ship(actor=staff, order_id=order.id, now=buyer.now).id)
        return attempt(lambda: edit(buyer, order, Edit(quantities={line.id: 1})).proposal.to_refund)

    results = together(4, side)

    line.refresh_from_db()
    assert line.shipped_quantity + line.cancelled_quantity in {2}
    done = [result for result in results if not isinstance(result, Exception)]
    assert 1 <= len(done) <= 2  # once edited the rest may still be sent; once sent nothing is edited
    assert any(isinstance(result, OrderNotEditable) for result in results) or line.cancelled_quantity
    checkout.execute_refunds(now=buyer.now)
