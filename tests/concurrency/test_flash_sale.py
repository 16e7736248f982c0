"""
200 buyers, 50 units, a real server, real sockets. The control is the same sale without the lock, and oversells.

The requests of a race are held back by their last byte and released together, so that they truly meet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.db import connection
from django.db.models import Sum

from cart.models import Cart, CartLine
from checkout.models import Payment
from config.environment import required
from config.platform import invariants
from config.platform.actor import Actor
from inventory.models import Company, Reservation, StockLevel, StockMovement, Variant
from orders.models import Order
from pricing import services as pricing
from pricing.demo import seed_rules
from tests import factories
from tests.bench.load import ADDRESS_BODY
from tests.bench.serve import shop
from tests.concurrency.storm import Call, Reply, ask, at_once, each

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BUYERS, UNITS = 200, 50
SOLD_OUT = {(400, "ITEM_OUT_OF_STOCK"), (409, "INVENTORY_HOLD_FAILED")}


def environment_of(module: str) -> dict[str, str]:
    """Return what a process of the shop needs to work on this test's database."""
    parts = urlsplit(required("DATABASE_URL"))
    return {
        "DJANGO_SETTINGS_MODULE": module,
        "DATABASE_URL": urlunsplit(
            parts._replace(path=f"/{quote(connection.settings_dict['NAME'])}")
        ),
        # This process has its Redis databases already; the server is not to move on by as many again.
        "PYTEST_XDIST_WORKER": "gw0",
    }


@contextmanager
def served(place: Path, module: str = "tests.concurrency.settings") -> Iterator[int]:
    """Serve the shop on this test's database by granian, as in production; yield the port."""
    with shop(environment_of(module), log=place / "web.log") as (port, _):
        yield port


@pytest.fixture
def variant(company: Company, now: datetime) -> Variant:
    """Return a variant with 50 units, at 20.00, that can be shipped to Portland."""
    variant = factories.make_variant(available=UNITS, sku="FLASH")
    pricing.set_price(
        actor=Actor.system(company.id),
        variant_id=variant.id,
        currency="USD",
        amount=Decimal("20.00"),
        now=now,
    )
    seed_rules(company=company, now=now)
    return variant


async def new_guests(port: int, count: int) -> list[str]:
    replies = await each(port, [Call("POST", "/public/cart", body={})] * count)
    assert {reply.status for reply in replies} == {201}
    return [reply.body["sessionToken"] for reply in replies]


def add(token: str, quantity: int = 1) -> Call:
    return Call("POST", "/cart/items", token, {"sku": "FLASH", "quantity": quantity})


async def ready_to_pay(port: int, token: str) -> tuple[str, str]:
    """Take a cart through checkout up to its payment; return the checkout's path and the quote's id."""
    reply = await ask(
        port, Call("POST", "/checkout/initialize", token, {"email": f"{token[:12]}@example.com"})
    )
    assert reply.status == 201, reply
    path = f"/checkout/{reply.body['id']}"
    reply = await ask(port, Call("PATCH", path, token, {"shippingAddress": ADDRESS_BODY}))
    assert reply.status == 200, reply
    reply = await ask(port, Call("PATCH", path, token, {"shippingOption": "standard"}))
    assert reply.status == 200, reply
    assert reply.body["requirements"] == []
    return path, reply.body["quoteId"]


async def buy(port: int, token: str) -> Reply:
    """Check out and pay with the test provider; return the answer to `complete`."""
    path, quote_id = await ready_to_pay(port, token)
    body = {"method": "test", "quoteId": quote_id}
    reply = await ask(port, Call("POST", f"{path}/payment", token, body, keyed=True))
    assert reply.status == 200, reply
    payment = reply.body["payment"]["id"]
    reply = await ask(
        port, Call("POST", f"/payments/{payment}/simulate", token, {"outcome": "succeed"})
    )
    assert reply.status == 200, reply
    return await ask(port, Call("POST", f"{path}/complete", token, {}, keyed=True))


def violations() -> dict[str, int]:
    """Return what `check_invariants` finds of class S: what must hold at every moment."""
    results = invariants.run(invariants.select(invariants.all_checks(), klass="S"))
    return {r.check.id: r.count or -1 for r in results if not r.holds}


def test_fifty_units_go_to_fifty_of_two_hundred_buyers(variant: Variant, tmp_path: Path) -> None:
    async def sale(port: int) -> tuple[list[Reply], list[Reply]]:
        tokens = await new_guests(port, BUYERS)
        adds = await at_once(port, [add(token) for token in tokens])
        winners = [token for token, reply in zip(tokens, adds, strict=True) if reply.status == 201]
        orders = await asyncio.gather(*(buy(port, token) for token in winners))
        return adds, list(orders)

    with served(tmp_path) as port:
        adds, orders = asyncio.run(sale(port))

    answers = Counter((reply.status, reply.code) for reply in adds)
    assert answers.pop((201, "")) == UNITS
    assert set(answers) <= SOLD_OUT
    assert sum(answers.values()) == BUYERS - UNITS
    assert Counter((reply.status, reply.body.get("status")) for reply in orders) == {
        (200, "confirmed"): UNITS
    }
    assert len({reply.body["number"] for reply in orders}) == UNITS
    assert Order.objects.filter(status=Order.Status.CONFIRMED).count() == UNITS
    assert Order.objects.count() == UNITS
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved, level.total) == (0, 0, 0)
    sold = StockMovement.objects.filter(variant=variant, type=StockMovement.Type.SALE)
    assert sold.aggregate(units=Sum("quantity")) == {"units": -UNITS}
    assert violations() == {}


def test_without_the_lock_the_same_sale_oversells(variant: Variant, tmp_path: Path) -> None:
    async def sale(port: int) -> list[Reply]:
        tokens = await new_guests(port, BUYERS)
        return await at_once(port, [add(token) for token in tokens])

    with served(tmp_path, "tests.concurrency.unsafe_settings") as port:
        adds = asyncio.run(sale(port))

    promised = sum(reply.status == 201 for reply in adds)
    assert promised > UNITS
    held = Reservation.objects.filter(variant=variant, status=Reservation.Status.ACTIVE)
    assert held.aggregate(units=Sum("quantity")) == {"units": promised}
    assert violations(), "the invariants do not see what was oversold"


def test_twenty_adds_at_once_to_one_cart_make_one_line(variant: Variant, tmp_path: Path) -> None:
    async def adds(port: int) -> list[Reply]:
        [token] = await new_guests(port, 1)
        return await at_once(port, [add(token, 2)] * 20)

    with served(tmp_path) as port:
        replies = asyncio.run(adds(port))

    assert Counter(reply.status for reply in replies) == {201: 20}
    assert sorted(reply.body["version"] for reply in replies) == list(range(2, 22))
    line = CartLine.objects.get()
    assert line.quantity == 40
    held = Reservation.objects.get(status=Reservation.Status.ACTIVE)
    assert (held.line_id, held.quantity) == (line.id, 40)
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved) == (UNITS - 40, 40)
    assert violations() == {}


def test_one_cart_paid_twenty_times_at_once_is_one_order(variant: Variant, tmp_path: Path) -> None:
    async def payments(port: int) -> list[Reply]:
        [token] = await new_guests(port, 1)
        assert (await ask(port, add(token, 3))).status == 201
        path, quote_id = await ready_to_pay(port, token)
        body = {"method": "test", "quoteId": quote_id}
        call = Call("POST", f"{path}/payment", token, body, keyed=True)
        return await at_once(port, [call] * 20)

    with served(tmp_path) as port:
        replies = asyncio.run(payments(port))

    assert {reply.status for reply in replies} <= {200, 409}
    accepted = [reply.body for reply in replies if reply.status == 200]
    assert accepted
    order = Order.objects.get()
    assert {body["order"]["id"] for body in accepted} == {str(order.id)}
    payment = Payment.objects.get()
    assert {body["payment"]["id"] for body in accepted} == {str(payment.id)}
    assert payment.amount == order.grand_total
    assert Cart.objects.filter(status=Cart.Status.CONVERTED, order_id=order.id).count() == 1
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved) == (UNITS - 3, 3)
    assert violations() == {}
