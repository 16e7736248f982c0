"""Whatever happens in whatever order, every invariant of stock holds after each step."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.platform import invariants
from config.platform.actor import Actor, ActorKind
from config.platform.errors import ApplicationError
from config.platform.models import new_id
from inventory import services as inventory
from inventory.models import BackInStockRequest, Company, StockLevel, Variant
from inventory.services import Demand
from inventory.services.levels import Level, allocate
from tests.factories import default_warehouse, make_stock, make_variant, make_warehouse

LINES = 4
SAFETY = [
    check
    for check in invariants.all_checks()
    if check.id in {"I01", "I02", "I03", "I04", "I10", "I11"}
]

steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "reserve",
                "reserve_many",
                "release",
                "assign",
                "confirm",
                "release_order",
                "restock",
                "damage",
                "adjust",
                "receive",
                "sweep",
                "extend",
                "move",
                "reacquire",
                "wait",
                "leave",
                "take",
                "serve",
            ]
        ),
        st.integers(0, LINES - 1),
        st.integers(0, 7),
    ),
    min_size=5,
    max_size=30,
)


class Shop:
    """
    Four cart lines of two variants, each on its way to an order of its own, four customers who may wait for them, and
    a clock that moves on.
    """

    def __init__(self, company: Company, now: datetime) -> None:
        self.actor = Actor.system(company.id)
        self.now = now
        near, far = default_warehouse(company), make_warehouse(priority=200)
        self.variants: list[Variant] = [
            make_variant(available=4, warehouse=near),
            make_variant(
                available=2, warehouse=near, inventory_policy="continue", backorder_limit=5
            ),
        ]
        make_stock(self.variants[0], 3, warehouse=far)
        self.lines = [new_id() for _ in range(LINES)]
        self.carts = [new_id() for _ in range(LINES)]
        self.orders = [new_id() for _ in range(LINES)]
        self.order_lines = [new_id() for _ in range(LINES)]
        self.customers = [
            Actor(kind=ActorKind.USER, company_id=company.id, user_id=new_id())
            for _ in range(LINES)
        ]

    def step(self, verb: str, line: int, number: int) -> None:
        self.now += timedelta(minutes=number)
        variant = self.variants[line % 2]
        cart = Demand(self.lines[line], variant.id, number)
        order = Demand(self.order_lines[line], variant.id, number)
        late = {"expires_at": self.now + timedelta(minutes=15), "now": self.now}
        who: dict[str, Any] = {"actor": self.actor, "now": self.now}
        match verb:
            case "reserve":
                inventory.reserve(
                    actor=self.actor, cart_id=self.carts[line], demands=[cart], **late
                )
            case "reserve_many":
                demands = [
                    Demand(self.lines[index], self.variants[index % 2].id, number)
                    for index in range(LINES)
                ]
                inventory.reserve(
                    actor=self.actor,
                    cart_id=self.carts[0],
                    demands=demands,
                    all_or_none=False,
                    **late,
                )
            case "release":
                inventory.release(line_ids=[self.lines[line]], **who)
            case "extend":
                inventory.extend(
                    actor=self.actor, cart_id=self.carts[line], cap=timedelta(minutes=45), **late
                )
            case "move":
                other = (line + 2) % LINES
                inventory.move_holds(
                    line_map={self.lines[line]: (self.lines[other], self.carts[other])}, **who
                )
            case "assign":
                inventory.assign(
                    actor=self.actor,
                    cart_id=self.carts[line],
                    order_id=self.orders[line],
                    line_map={self.lines[line]: self.order_lines[line]},
                    demands=[cart],
                    **late,
                )
            case "reacquire":
                inventory.reacquire(
                    actor=self.actor, order_id=self.orders[line], demands=[order], **late
                )
            case "confirm":
                inventory.confirm(order_id=self.orders[line], demands=[order], **who)
            case "release_order":
                inventory.release_order(order_id=self.orders[line], **who)
            case "restock" | "damage":
                inventory.restock(
                    order_id=self.orders[line],
                    items=[(self.order_lines[line], number)],
                    damaged=verb == "damage",
                    **who,
                )
            case "adjust":
                level = StockLevel.objects.order_by("id")[line % 3]
                inventory.adjust(stock_level_id=level.id, quantity=number - 4, **who)
            case "receive":
                level = StockLevel.objects.order_by("id")[line % 3]
                inventory.receive(stock_level_id=level.id, quantity=number, **who)
            case "sweep":
                inventory.release_expired(now=self.now)
            case "wait":
                inventory.wait_for(
                    actor=self.customers[line], variant=variant, quantity=number, now=self.now
                )
            case "leave":
                for request in BackInStockRequest.objects.filter(
                    user_id=self.customers[line].user_id, variant=variant
                ):
                    inventory.stop_waiting(
                        actor=self.customers[line], request_id=request.id, now=self.now
                    )
            case "take":  # what is kept for a customer becomes their line's
                inventory.reserve(
                    actor=self.customers[line], cart_id=self.carts[line], demands=[cart], **late
                )
            case "serve":
                inventory.serve_waiting(now=self.now)

    def somebody_waits_beside_free_units(self) -> bool:
        """Tell whether a unit lies free on a shelf that sells while somebody waits for it."""
        return StockLevel.objects.filter(
            available__gt=0,
            warehouse__is_default=True,
            variant__back_in_stock_requests__status="WAITING",
        ).exists()


@pytest.mark.django_db
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(happenings=steps)
def test_it_stays_sound_whatever_happens(
    company: Company, now: datetime, happenings: list[tuple[str, int, int]]
) -> None:
    with transaction.atomic():
        shop = Shop(company, now)
        for verb, line, number in happenings:
            try:
                with transaction.atomic():
                    shop.step(verb, line, number)
            except ApplicationError:
                pass
            broken = [result for result in invariants.run(SAFETY) if not result.holds]
            assert not broken, (verb, line, number, broken)
            assert not shop.somebody_waits_beside_free_units(), (verb, line, number)
        transaction.set_rollback(True)


levels = st.lists(
    st.builds(
        Level,
        id=st.uuids(),
        variant_id=st.just(new_id()),
        sku=st.just("A"),
        on_backorder=st.booleans(),
        warehouse=st.just("W"),
        rank=st.tuples(st.integers(0, 3), st.text(max_size=2)),
        usable=st.booleans(),
        available=st.integers(0, 9),
        reserved=st.just(0),
        backordered=st.integers(0, 4),
        backorder_limit=st.none() | st.integers(4, 9),
        reorder_level=st.just(0),
        is_low=st.just(False),
    ),
    max_size=4,
    unique_by=lambda level: level.id,
)


@settings(max_examples=300)
@given(levels=levels, quantity=st.integers(1, 30))
def test_allocation_serves_exactly_what_is_asked_or_nothing(
    levels: list[Level], quantity: int
) -> None:
    parts = allocate(levels, quantity)

    usable = [level for level in levels if level.usable]
    rooms = [level.backorder_room for level in usable]
    unlimited = None in rooms
    most = sum(level.available for level in usable) + sum(room or 0 for room in rooms)
    assert (parts is not None) == (unlimited or most >= quantity)
    if parts is None:
        return
    assert sum(part.quantity + part.backordered for part in parts) == quantity
    for part in parts:
        assert part.level.usable
        assert 0 <= part.quantity <= part.level.available
        room = part.level.backorder_room
        assert part.backordered >= 0
        assert room is None or part.backordered <= room
    if any(level.available >= quantity for level in usable):
        assert len(parts) == 1
        assert parts[0].backordered == 0
    elif any(part.backordered for part in parts):
        # nothing is promised beyond stock while something lies on a shelf
        assert sum(part.quantity for part in parts) == sum(level.available for level in usable)
