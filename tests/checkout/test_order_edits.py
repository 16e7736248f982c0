"""Edits of orders that were really paid: what was added is paid for itself, and every book agrees afterwards."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections

from checkout import services as checkout
from checkout.models import Payment
from inventory.models import StockLevel
from orders import services as orders
from orders.errors import OrderNotEditable
from orders.models import Order
from orders.services import DirectItem, Edit
from orders.services.editing import applying
from tests.checkout.conftest import Buyer

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
    assert (payment.captured_amount, payment.refunded_amount) == (
        Decimal("24.90"),
        Decimal("10.00"),
    )
    assert on_shelf(variant) == (4, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locks", [True, False], ids=["locked", "control"])
def test_what_is_being_sent_is_not_taken_out(
    paid: Order, buyer: Buyer, staff: Any, variant: Any, locks: bool
) -> None:
    """Somebody ships it at the moment after it was read. With the lock they wait, without it the parcel leaves whole."""
    wanted = Edit(quantities={paid.lines.get().id: 1})
    shown = orders.preview_edit(actor=buyer.actor, order_id=paid.id, edit=wanted, now=buyer.now)
    real_lock, seen, threads = applying.lock, [], []

    def ship() -> None:
        try:
            orders.ship(actor=staff, order_id=paid.id, now=buyer.now)
        finally:
            connections.close_all()

    def lock_and_let_in(**about: Any) -> Order:
        found = real_lock(**about) if locks else Order.objects.get(pk=about["order_id"])
        other = threading.Thread(target=ship)
        other.start()
        other.join(timeout=0.5 if locks else 120)
        seen.append("waits" if other.is_alive() else "through")
        threads.append(other)
        return found

    with patch.object(applying, "lock", lock_and_let_in):
        try:
            orders.apply_edit(
                actor=buyer.actor,
                order_id=paid.id,
                edit=wanted,
                quote_id=shown.quote_id,
                reason="x",
                now=buyer.now,
            )
        except OrderNotEditable:
            seen.append("refused")
    for thread in threads:
        thread.join(timeout=120)

    line = paid.lines.get()
    if locks:
        assert seen == ["waits"]
        assert (line.cancelled_quantity, line.shipped_quantity) == (1, 1)
        assert on_shelf(variant) == (4, 0)
    else:
        assert seen == ["through", "refused"]  # it had left already
        assert (line.cancelled_quantity, line.shipped_quantity) == (0, 2)
