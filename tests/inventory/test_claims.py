"""What `inventory.reserved` and `inventory.released` tell: of each change the units gained and let go, once per holder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from config.platform.actor import Actor
from config.platform.models import OutboxEvent, new_id
from inventory import services as inventory
from inventory.errors import HoldFailed, InsufficientStock
from inventory.models import Reservation, Variant
from inventory.services import Demand
from tests.conftest import actor_for
from tests.factories import make_user, make_variant, make_warehouse
from tests.inventory.test_services import QUARTER, snapshot

pytestmark = pytest.mark.django_db

CLAIMS = ("inventory.reserved", "inventory.released")


class Shop:
    """One cart, one order that may come of it, and what was told since it was last asked."""

    def __init__(self, actor: Actor, now: datetime) -> None:
        self.actor, self.now = actor, now
        self.cart_id, self.order_id = new_id(), new_id()
        self._known: set[UUID] = set()

    def demand(self, line_id: UUID, variant: Variant, quantity: int) -> Demand:
        return Demand(line_id, variant.id, quantity)

    def hold(self, *demands: tuple[UUID, Variant, int], **options: Any) -> None:
        inventory.reserve(
            **{
                "actor": self.actor,
                "cart_id": self.cart_id,
                "demands": [Demand(line, variant.id, units) for line, variant, units in demands],
                "expires_at": self.now + QUARTER,
                "now": self.now,
                **options,
            }
        )

    def assign(self, line_map: dict[UUID, UUID], *demands: tuple[UUID, Variant, int]) -> None:
        inventory.assign(
            actor=self.actor,
            cart_id=self.cart_id,
            order_id=self.order_id,
            line_map=line_map,
            demands=[Demand(line, variant.id, units) for line, variant, units in demands],
            expires_at=self.now + timedelta(hours=1),
            now=self.now,
        )

    def told(self) -> list[tuple[Any, ...]]:
        """Return the new announcements: (what, whose or why, {line: units [, of them taken over]})."""
        rows = [
            row
            for row in OutboxEvent.objects.filter(name__in=CLAIMS).order_by("id")
            if row.id not in self._known
        ]
        self._known |= {row.id for row in rows}
        found = []
        for row in rows:
            payload = row.payload
            holder = payload["order_id"] or payload["cart_id"] or payload["lines"][0]["line_id"]
            assert str(row.aggregate_id) == holder
            assert all(
                Variant.objects.get(id=line["variant_id"]).sku == line["sku"]
                for line in payload["lines"]
            )
            if row.name == "inventory.reserved":
                lines = {
                    UUID(line["line_id"]): (line["quantity"], line["taken_over"])
                    for line in payload["lines"]
                }
                found.append(("reserved", row.aggregate_id, lines))
            else:
                lines = {UUID(line["line_id"]): line["quantity"] for line in payload["lines"]}
                found.append(("released", row.aggregate_id, payload["reason"], lines))
        return found


@pytest.fixture
def shop(actor_guest: Actor, now: datetime) -> Shop:
    return Shop(actor_guest, now)


def test_one_call_is_one_announcement_whatever_it_holds(shop: Shop) -> None:
    lines = [new_id() for _ in range(20)]

    shop.hold(*((line, make_variant(available=5), 2) for line in lines))

    assert shop.told() == [("reserved", shop.cart_id, dict.fromkeys(lines, (2, 0)))]


def test_a_line_tells_what_it_gains_and_what_it_lets_go(shop: Shop) -> None:
    variant, line = make_variant(available=9), new_id()

    for quantity in (2, 5, 5, 1, 0, 0):
        shop.hold((line, variant, quantity))

    assert shop.told() == [
        ("reserved", shop.cart_id, {line: (2, 0)}),
        ("reserved", shop.cart_id, {line: (3, 0)}),
        ("released", shop.cart_id, "reduced", {line: 4}),
        ("released", shop.cart_id, "removed", {line: 1}),
    ]


def test_units_owed_beyond_stock_are_told_like_others(shop: Shop) -> None:
    variant, line = make_variant(available=1, inventory_policy="continue"), new_id()

    shop.hold((line, variant, 3))
    shop.hold((line, variant, 0))

    assert shop.told() == [
        ("reserved", shop.cart_id, {line: (3, 0)}),
        ("released", shop.cart_id, "removed", {line: 3}),
    ]


def test_what_moves_between_shelves_is_no_news(shop: Shop, settings: Any) -> None:
    make_warehouse(code="EAST", priority=5)
    variant, line = make_variant(available=3), new_id()
    shop.hold((line, variant, 2))
    shop.told()

    shop.hold((line, variant, 2), expires_at=shop.now + 2 * QUARTER)

    assert shop.told() == []


def test_a_refusal_tells_nothing(shop: Shop) -> None:
    variant, line = make_variant(available=2), new_id()
    shop.hold((line, variant, 2))
    before = snapshot()

    with pytest.raises(InsufficientStock):
        shop.hold((line, variant, 3))
    with pytest.raises(HoldFailed):
        shop.assign({line: new_id()}, (line, variant, 3))

    assert snapshot() == before


def test_a_line_that_falls_short_among_others_tells_nothing_of_itself(shop: Shop) -> None:
    short, there, first, second = make_variant(available=1), make_variant(), new_id(), new_id()

    shop.hold((first, short, 2), (second, there, 1), all_or_none=False)

    assert shop.told() == [("reserved", shop.cart_id, {second: (1, 0)})]


def test_letting_go_says_by_whom(shop: Shop, staff: Actor) -> None:
    variant, lines = make_variant(available=20), [new_id() for _ in range(4)]
    shop.hold(*((line, variant, 1) for line in lines))
    shop.told()

    inventory.release(actor=shop.actor, line_ids=lines[:1], now=shop.now)
    row = Reservation.objects.get(line_id=lines[1])
    inventory.release_holds(actor=staff, reservation_ids=[row.id], reason="broken", now=shop.now)
    inventory.release_cart(actor=shop.actor, cart_id=shop.cart_id, now=shop.now)
    inventory.release_cart(actor=shop.actor, cart_id=shop.cart_id, now=shop.now)

    assert shop.told() == [
        ("released", shop.cart_id, "let_go", {lines[0]: 1}),
        ("released", shop.cart_id, "staff", {lines[1]: 1}),
        ("released", shop.cart_id, "cart_closed", {lines[2]: 1, lines[3]: 1}),
    ]


def test_a_merge_tells_whose_the_units_are_now(shop: Shop) -> None:
    variant, other = make_variant(available=20), make_variant(available=20)
    old, alone, new, fresh, cart = (new_id() for _ in range(5))
    shop.hold((old, variant, 2), (alone, other, 1))
    shop.hold((new, variant, 3), cart_id=cart)
    shop.told()

    inventory.move_holds(
        actor=shop.actor, line_map={old: (new, cart), alone: (fresh, cart)}, now=shop.now
    )

    assert shop.told() == [("reserved", cart, {new: (2, 2), fresh: (1, 1)})]


def test_an_order_takes_over_what_its_cart_held_and_holds_the_rest(shop: Shop) -> None:
    held, missing = make_variant(available=5), make_variant(available=5)
    first, second, first_ordered, second_ordered = (new_id() for _ in range(4))
    shop.hold((first, held, 2))
    shop.told()

    for _ in range(2):
        shop.assign(
            {first: first_ordered, second: second_ordered}, (first, held, 2), (second, missing, 1)
        )

    assert shop.told() == [
        ("reserved", shop.order_id, {first_ordered: (2, 2), second_ordered: (1, 0)})
    ]


def test_a_cancelled_order_lets_its_units_go_and_a_sold_one_tells_of_the_sale(shop: Shop) -> None:
    variant, line, ordered = make_variant(available=5), new_id(), new_id()
    shop.hold((line, variant, 3))
    shop.assign({line: ordered}, (line, variant, 3))
    shop.told()

    inventory.restock(actor=shop.actor, order_id=shop.order_id, items=[(ordered, 1)], now=shop.now)
    inventory.release_order(actor=shop.actor, order_id=shop.order_id, now=shop.now)

    assert shop.told() == [
        ("released", shop.order_id, "cancelled", {ordered: 1}),
        ("released", shop.order_id, "cancelled", {ordered: 2}),
    ]

    sold = Demand(ordered, variant.id, 3)
    for _ in range(2):  # the hold is gone, so it is taken again
        inventory.confirm(actor=shop.actor, order_id=shop.order_id, demands=[sold], now=shop.now)

    assert shop.told() == [("reserved", shop.order_id, {ordered: (3, 0)})]
    assert OutboxEvent.objects.filter(name="inventory.confirmed").count() == 1


def test_the_sweep_tells_each_cart_once(shop: Shop) -> None:
    first, second = make_variant(available=9), make_variant(available=9)
    lines, stranger, cart = [new_id(), new_id()], new_id(), new_id()
    shop.hold((lines[0], first, 2), (lines[1], second, 1))
    shop.hold((stranger, first, 1), cart_id=cart)
    shop.told()

    inventory.release_expired(now=shop.now + QUARTER)
    inventory.release_expired(now=shop.now + QUARTER)

    assert sorted(shop.told()) == sorted(
        [
            ("released", shop.cart_id, "expired", {lines[0]: 2, lines[1]: 1}),
            ("released", cart, "expired", {stranger: 1}),
        ]
    )
    assert OutboxEvent.objects.filter(name="inventory.hold_expired").count() == 2


def test_a_sale_that_takes_back_overdue_units_tells_their_holder(
    shop: Shop, actor_guest: Actor
) -> None:
    variant, late, line, cart = make_variant(available=1), new_id(), new_id(), new_id()
    shop.hold((late, variant, 1))
    shop.told()

    shop.hold((line, variant, 1), cart_id=cart, now=shop.now + QUARTER)

    assert shop.told() == [
        ("released", shop.cart_id, "expired", {late: 1}),
        ("reserved", cart, {line: (1, 0)}),
    ]


def test_the_emergency_brake_tells_that_staff_pulled_it(shop: Shop, staff: Actor) -> None:
    variant, line = make_variant(available=9), new_id()
    shop.hold((line, variant, 2))
    shop.told()

    assert inventory.release_all(actor=staff, now=shop.now) == 1

    assert shop.told() == [("released", shop.cart_id, "staff", {line: 2})]


@pytest.fixture
def customer(company: Any) -> Callable[[], Actor]:
    return lambda: actor_for(make_user(), company)


def test_an_offer_is_told_and_so_is_who_takes_it_or_leaves_it(
    shop: Shop, customer: Callable[[], Actor]
) -> None:
    variant, line, mine = make_variant(available=2), new_id(), new_id()
    shop.hold((line, variant, 2))
    first, second = customer(), customer()
    taking = inventory.wait_for(actor=first, variant=variant, now=shop.now)
    leaving = inventory.wait_for(actor=second, variant=variant, now=shop.now)
    shop.told()

    shop.hold((line, variant, 0))
    assert shop.told() == [
        ("released", shop.cart_id, "removed", {line: 2}),
        ("reserved", taking.id, {taking.id: (1, 0)}),
        ("reserved", leaving.id, {leaving.id: (1, 0)}),
    ]

    cart = new_id()
    shop.hold((mine, variant, 1), actor=first, cart_id=cart)
    inventory.stop_waiting(actor=second, request_id=leaving.id, now=shop.now)
    assert shop.told() == [
        ("reserved", cart, {mine: (1, 1)}),
        ("released", leaving.id, "withdrawn", {leaving.id: 1}),
    ]
