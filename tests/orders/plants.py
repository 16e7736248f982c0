"""One violation for each invariant of orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone

from config.platform.actor import Actor
from config.platform.models import OutboxEvent, new_id
from inventory.models import Reservation
from orders import services as orders
from orders.models import Order, OrderLine, StatusChange
from orders.services import DirectItem
from tests import factories
from tests.plants import loosen, plant, sql

ADDRESS = {
    "name": "Ada Marsh", "line1": "1 Harbour Street", "city": "Portland", "state": "ME",
    "postalCode": "04101", "country": "US",
}  # fmt: skip


def make_order(*, confirmed: bool = False, **fields: Any) -> Order:
    """Return a draft of two units, or a confirmed order that cost nothing but is booked like any other."""
    company = factories.default_company()
    factories.make_shipping_rule("5.00", countries=["US"])
    actor = Actor.system(company.id)
    now = timezone.now()
    variant = factories.make_priced_variant("10.00", available=5)
    order = orders.place_direct(
        actor=actor,
        items=[DirectItem(variant.sku, 2)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )
    if confirmed:
        order = orders.confirm(actor=actor, order_id=order.id, now=now)
    if fields:
        Order.objects.filter(pk=order.pk).update(**fields)
        order.refresh_from_db()
    return order


@plant("I05")
def a_sale_without_a_movement() -> None:
    order = make_order(confirmed=True)
    loosen("stock_transactions")
    sql(
        "delete from stock_transactions where order_line_id in (select id from order_items where order_id = %s)",
        order.id,
    )


@plant("I06")
def a_cancelled_order_with_a_hold() -> None:
    order = make_order()
    Order.objects.filter(pk=order.pk).update(status="cancelled")


@plant("I07")
def a_sale_from_a_hold_of_no_order() -> None:
    order = make_order(confirmed=True)
    Reservation.objects.filter(order_id=order.id).update(order_line_id=new_id())


@plant("O01")
def two_orders_of_one_checkout() -> None:
    first, second = make_order(), make_order()
    loosen("orders")
    Order.objects.filter(pk__in=[first.pk, second.pk]).update(checkout_id=new_id())


@plant("O03")
def a_total_that_is_not_the_sum() -> None:
    order = make_order()
    loosen("orders")
    Order.objects.filter(pk=order.pk).update(grand_total=Decimal("24.99"))


@plant("O04")
def a_line_that_lost_a_cent() -> None:
    order = make_order()
    loosen("order_items")
    OrderLine.objects.filter(order=order).update(subtotal=Decimal("19.99"))


@plant("O06")
def a_step_that_is_not_allowed() -> None:
    order = make_order()
    StatusChange.objects.create(
        order=order, from_status="draft", to_status="delivered", actor="x", at=timezone.now()
    )
    Order.objects.filter(pk=order.pk).update(status="delivered")


@plant("O07")
def a_refund_that_nobody_asked_for() -> None:
    make_order(confirmed=True, refunded_total=Decimal("1.00"))


@plant("R03")
def a_use_that_a_cancelled_order_kept() -> None:
    factories.make_promotion(usage_limit=9)
    order = make_order()
    Order.objects.filter(pk=order.pk).update(status="cancelled")


@plant("E01")
def an_order_announced_twice() -> None:
    order = make_order()
    event = OutboxEvent.objects.get(aggregate_id=order.id, name="order.placed")
    event.pk = new_id()
    event.save(force_insert=True)


@plant("E03")
def a_word_about_no_order() -> None:
    now = timezone.now()
    OutboxEvent.objects.create(
        name="order.confirmed", aggregate_type="order", aggregate_id=new_id(), occurred_at=now,
        next_attempt_at=now, published_at=now,
    )  # fmt: skip


@plant("R12")
def points_of_a_cancelled_order_that_did_not_come_back() -> None:
    order = make_order(status="cancelled")
    Order.objects.filter(pk=order.pk).update(quote={**order.quote, "points": 100})
    OrderLine.objects.filter(order=order).update(points=100)


@plant("O08")
def a_credit_that_nothing_pays_for() -> None:
    order = make_order(confirmed=True)
    Order.objects.filter(pk=order.pk).update(credit_total=Decimal("1.00"))
