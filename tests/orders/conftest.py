"""Orders in the states that tests begin with, made by the services that make them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from config.platform.actor import Actor
from inventory.models import Company, Variant
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem
from tests import factories

ADDRESS = {
    "name": "Ada Marsh",
    "line1": "1 Harbour Street",
    "line2": "",
    "city": "Portland",
    "state": "ME",
    "postalCode": "04101",
    "country": "US",
    "phone": "",
}


@pytest.fixture
def shop(company: Company) -> Company:
    """Return a company that ships within the United States for 5.00, with a tax of 10 % on everything."""
    factories.make_shipping_rule("5.00", countries=["US"])
    factories.make_tax_rate("0.10", country="US", name="Sales tax", type="SALES_TAX")
    return company


@pytest.fixture
def variant(shop: Company) -> Variant:
    return factories.make_priced_variant("9.99", available=10)


@pytest.fixture
def draft(variant: Variant, actor_user: Actor, now: datetime) -> Order:
    """
    Return an unpaid order of three units of one thing and one of another.

    3 x 9.99 + 1 x 20.00 = 49.97, 10 % tax 5.00 (3.00 + 2.00), shipping 5.00 + 0.50 tax: 60.47 in all.
    """
    other = factories.make_priced_variant("20.00", available=4)
    return orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 3), DirectItem(other.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )


@pytest.fixture
def paid(draft: Order, system: Actor, now: datetime) -> Order:
    orders.set_payment_status(
        actor=system, order_id=draft.id, status="captured", method="test", now=now
    )
    return orders.confirm(actor=system, order_id=draft.id, now=now)


@pytest.fixture
def delivered(paid: Order, staff: Actor, now: datetime) -> Order:
    orders.ship(actor=staff, order_id=paid.id, now=now)
    return orders.deliver(actor=staff, order_id=paid.id, now=now)


@pytest.fixture
def refunds(system: Actor, now: datetime) -> Callable[[Order], list[Decimal]]:
    """Return a function that carries out what is due of an order, and says how much each was."""

    def run(order: Order) -> list[Decimal]:
        done = []
        for request in order.refund_requests.filter(status="due").order_by("created_at", "id"):
            orders.record_refund(actor=system, request_id=request.id, now=now)
            done.append(request.amount)
        return done

    return run


def reload(order: Any) -> Any:
    return type(order).objects.get(pk=order.pk)
