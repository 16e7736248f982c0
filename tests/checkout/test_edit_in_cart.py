"""An order that waits for its payment goes back into the cart with what it holds, once, or it is paid: never both."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections

from cart.models import CartLine
from cart.selectors import view as cart_view
from checkout import services as checkout
from checkout.models import Checkout, Payment
from checkout.services import editing
from config.platform.errors import ApplicationError
from inventory.models import Reservation, StockLevel
from orders import services as orders
from orders.errors import OrderNotEditable
from orders.models import Order
from orders.services import DirectItem
from pricing.models import PromotionUse
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(buyer: Buyer) -> Order:
    """All five units there are, placed and not paid."""
    buyer.add(Reservation.objects.get().variant, 3)
    order, _payment = buyer.begin().fill().pay()
    return order


def on_shelf(variant: Any) -> tuple[int, int]:
    return StockLevel.objects.values_list("available", "reserved").get(variant=variant)


def in_cart(buyer: Buyer) -> list[tuple[str, int]]:
    cart = cart_view(actor=buyer.actor, now=buyer.now)
    return [(line.sku, line.quantity) for line in cart.items]


def back(buyer: Buyer, order: Order) -> Any:
    return checkout.edit_in_cart(actor=buyer.actor, order_id=order.id, now=buyer.now)


def test_everything_is_back_and_still_held(draft: Order, buyer: Buyer, variant: Any) -> None:
    until = Reservation.objects.get().expires_at

    answer = buyer.api.post(f"/orders/{draft.number}/edit-in-cart", {})

    assert answer.status_code == 200, answer.json()
    assert [(row["status"], row["added"]) for row in answer.json()["report"]] == [("added", 5)]
    assert in_cart(buyer) == [(variant.sku, 5)]
    assert on_shelf(variant) == (0, 5)
    hold = Reservation.objects.get(status="ACTIVE")
    line = CartLine.objects.get(cart__status="ACTIVE")
    assert (hold.line_id, hold.order_id, hold.order_line_id) == (line.id, None, None)
    assert hold.expires_at >= until
    assert Order.objects.get().status == "cancelled"
    assert Checkout.objects.get().status == "CANCELLED"
    assert Payment.objects.get().status == "CANCELLED"

    again, _ = buyer.begin().fill().pay()  # changed or not, it can be bought
    assert again.grand_total == draft.grand_total


def test_who_waits_in_line_does_not_get_what_is_put_back(
    draft: Order, buyer: Buyer, variant: Any, shop: Any, now: Any
) -> None:
    other = Buyer.arrive(shop, now, "other@example.com")
    asked = other.api.post(f"/products/{variant.product.slug}/back-in-stock", {"email": "other@example.com", "sku": variant.sku})  # fmt: skip
    assert asked.status_code < 300, asked.json()

    back(buyer, draft)

    assert on_shelf(variant) == (0, 5)
    assert Reservation.objects.get(status="ACTIVE").cart_id == CartLine.objects.get(cart__status="ACTIVE").cart_id  # fmt: skip


def test_codes_and_their_uses_come_back(buyer: Buyer) -> None:
    factories.make_promotion("ONCE", value=Decimal(10), usage_limit=1)
    assert buyer.api.post("/cart/discount", {"code": "ONCE"}).status_code == 200
    order, _ = buyer.begin().fill().pay()
    assert PromotionUse.objects.filter(returned_at=None).count() == 1

    back(buyer, order)

    assert not PromotionUse.objects.filter(returned_at=None).exists()
    assert cart_view(actor=buyer.actor, now=buyer.now).totals.discount_total
    again, _ = buyer.begin().fill().pay()
    assert again.grand_total == order.grand_total


def test_it_joins_what_is_in_the_cart_by_now(buyer: Buyer, variant: Any) -> None:
    order, _ = buyer.begin().fill().pay()
    buyer.add(variant, 1)

    back(buyer, order)

    assert in_cart(buyer) == [(variant.sku, 3)]
    assert on_shelf(variant) == (2, 3)
    assert Reservation.objects.filter(status="ACTIVE").count() == 1


def test_twice_is_once(draft: Order, buyer: Buyer, variant: Any) -> None:
    back(buyer, draft)

    answer = buyer.api.post(f"/orders/{draft.number}/edit-in-cart", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_NOT_EDITABLE")
    assert in_cart(buyer) == [(variant.sku, 5)]


def test_what_is_paid_stays_an_order(draft: Order, buyer: Buyer, variant: Any) -> None:
    buyer.simulate(Payment.objects.get(), delivery="lost")  # paid, and nobody has told us

    with pytest.raises(OrderNotEditable) as refused:
        back(buyer, draft)

    assert refused.value.extra["code"] == "PAID"
    assert Order.objects.get().status == "confirmed"
    assert in_cart(buyer) == []
    assert on_shelf(variant) == (0, 0)


def test_only_its_customer_may(
    draft: Order, staff_api: Api, user_api: Api, shop: Any, now: Any
) -> None:
    stranger = Buyer.arrive(shop, now, "other@example.com")
    for api, code in (
        (stranger.api, "ORDER_NOT_FOUND"),
        (user_api, "ORDER_NOT_FOUND"),
        (staff_api, "FORBIDDEN"),
    ):
        assert api.post(f"/orders/{draft.number}/edit-in-cart", {}).json()["code"] == code
    assert Order.objects.get().status == "draft"


def test_an_order_that_was_never_a_cart(shop: Any, variant: Any, user_api: Api, actor_user: Any, now: Any) -> None:  # fmt: skip
    order = orders.place_direct(actor=actor_user, items=[DirectItem(variant.sku, 5)], email="a@example.com", shipping_address=ADDRESS, now=now)  # fmt: skip

    answer = user_api.post(f"/orders/{order.number}/edit-in-cart", {})

    assert answer.status_code == 200
    assert [item["quantity"] for item in answer.json()["items"]] == [5]
    assert on_shelf(variant) == (0, 5)


def test_holds_that_lapsed_are_taken_again_as_far_as_there_is(
    draft: Order, buyer: Buyer, variant: Any, shop: Any
) -> None:
    later = buyer.now + timedelta(hours=2)
    buyer.now = later
    Buyer.arrive(shop, later, "other@example.com").add(variant, 2)

    report = back(buyer, draft).report

    assert [(row["action"], row["added"]) for row in report] == [("capped", 3)]
    assert on_shelf(variant) == (0, 5)


def test_without_a_cart_nothing_happens(draft: Order, buyer: Buyer) -> None:
    with (
        patch.object(editing.carts, "bring_in", side_effect=ApplicationError("no")),
        pytest.raises(ApplicationError),
    ):
        back(buyer, draft)

    assert Order.objects.get().status == "draft"
    assert Reservation.objects.get(status="ACTIVE").order_id == draft.id


# --- the race ---------------------------------------------------------------------------------------------


def _paid_in_the_gap(buyer: Buyer, order: Order, *, locks: bool) -> tuple[Any, list[str]]:
    """
    Put an order back while its payment settles on another connection, at the moment after the order was read.

    With the lock the payment waits for us and then finds a cancelled order; without it, it is confirmed under our hands.
    """
    payment = Payment.objects.get(order=order)
    real_lock, seen = orders.lock, []

    def settle() -> None:
        try:
            checkout.settle(payment_id=payment.id, now=buyer.now)
            seen.append("settled")
        finally:
            connections.close_all()

    def lock_and_let_in(**about: Any) -> Order:
        found = real_lock(**about) if locks else Order.objects.get(pk=about["order_id"])
        other = threading.Thread(target=settle)
        other.start()
        other.join(timeout=0.5 if locks else 120)
        seen.append("waits" if other.is_alive() else "through")
        threads.append(other)
        return found

    threads: list[threading.Thread] = []
    with (
        patch.object(editing, "close_for_cancel"),  # it looked a moment ago: nothing was paid
        patch.object(editing.orders, "lock", lock_and_let_in),
    ):
        buyer.simulate(payment, delivery="lost")
        try:
            result: Any = back(buyer, order)
        except ApplicationError as refusal:
            result = refusal.code
    for thread in threads:
        thread.join(timeout=120)
    return result, seen


@pytest.fixture
def opened(buyer: Buyer, variant: Any) -> Order:
    """An order that was never a checkout, with an open payment: nothing but the order's own lock keeps the two apart."""
    order = orders.place_direct(actor=buyer.actor, items=[DirectItem(variant.sku, 3)], email="a@example.com", shipping_address=ADDRESS, now=buyer.now)  # fmt: skip
    checkout.start_payment(actor=buyer.actor, order_id=order.id, method="test", now=buyer.now)
    return order


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_settles_at_that_moment_comes_back(opened: Order, buyer: Buyer, variant: Any) -> None:  # fmt: skip
    result, seen = _paid_in_the_gap(buyer, opened, locks=True)

    assert seen == ["waits", "settled"]
    assert result.report[0]["added"] == 3
    checkout.execute_refunds(now=buyer.now)
    payment = Payment.objects.get()
    assert Order.objects.get().status == "cancelled"
    assert payment.captured_amount == payment.refunded_amount > 0
    assert in_cart(buyer) == [(variant.sku, 5)]  # with the two that were there
    assert on_shelf(variant) == (0, 5)


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_it_is_confirmed_under_our_hands(opened: Order, buyer: Buyer) -> None:
    _result, seen = _paid_in_the_gap(buyer, opened, locks=False)

    assert seen == ["settled", "through"]  # the order was paid for while it was taken apart
