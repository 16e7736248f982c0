"""Holds, sales and counts of stock, one service at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import OutboxEvent, new_id
from inventory import selectors
from inventory import services as inventory
from inventory.errors import HoldLimitExceeded, InsufficientStock
from inventory.models import Reservation, StockLevel, StockMovement, Variant
from inventory.services import Demand, Hold, HoldLimits, Shortage
from tests.factories import default_warehouse, make_stock, make_variant, make_warehouse

pytestmark = pytest.mark.django_db

QUARTER = timedelta(minutes=15)


def figures(variant: Variant) -> list[tuple[int, int, int, int]]:
    """Return (available, reserved, total, backordered) of each warehouse, by its rank."""
    return list(
        StockLevel.objects.filter(variant=variant)
        .order_by("warehouse__priority", "warehouse__code")
        .values_list("available", "reserved", "total", "backordered")
    )


def snapshot() -> list[Any]:
    """Return everything a refusal must leave alone."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (StockLevel, Reservation, StockMovement, OutboxEvent)
    ]


def events(name: str) -> list[dict[str, Any]]:
    return list(
        OutboxEvent.objects.filter(name=name).order_by("id").values_list("payload", flat=True)
    )


@pytest.fixture
def hold(actor_guest: Actor, now: datetime) -> Callable[..., list[Hold | Shortage]]:
    """Return a function that holds {variant: quantity} for lines of one cart."""
    cart_id = new_id()

    def run(*demands: tuple[Variant, int], **options: Any) -> list[Hold | Shortage]:
        options = {
            "actor": actor_guest,
            "cart_id": cart_id,
            "expires_at": options.get("now", now) + QUARTER,
            "now": now,
            **options,
        }
        lines = options.pop("lines", [new_id() for _ in demands])
        wanted = [
            Demand(line, variant.id, quantity)
            for line, (variant, quantity) in zip(lines, demands, strict=True)
        ]
        return inventory.reserve(demands=wanted, **options)

    return run


# --- reserve ----------------------------------------------------------------------------------


def test_reserve_moves_units_from_available_to_held(
    hold: Any, now: datetime, actor_guest: Actor
) -> None:
    variant = make_variant(available=5)

    [held] = hold((variant, 2))

    assert figures(variant) == [(3, 2, 5, 0)]
    assert (held.quantity, held.backordered) == (2, 0)
    assert (held.started_at, held.expires_at) == (now, now + QUARTER)
    row = Reservation.objects.get()
    assert (row.line_id, row.quantity, row.status) == (held.line_id, 2, "ACTIVE")
    assert row.holder == actor_guest.identity
    assert row.address == "192.0.2.1"
    assert not StockMovement.objects.exclude(type="PURCHASE").exists()


def test_reserve_sets_the_hold_to_exactly_the_quantity(hold: Any) -> None:
    variant, line = make_variant(available=5), new_id()

    hold((variant, 2), lines=[line])
    hold((variant, 5), lines=[line])  # its own two units do not stand in its way
    assert figures(variant) == [(0, 5, 5, 0)]

    hold((variant, 1), lines=[line])
    assert figures(variant) == [(4, 1, 5, 0)]
    assert Reservation.objects.get().quantity == 1

    hold((variant, 0), lines=[line])
    assert figures(variant) == [(5, 0, 5, 0)]
    assert Reservation.objects.get().status == "CANCELLED"


def test_reserve_refuses_all_lines_when_one_is_short_and_writes_nothing(hold: Any) -> None:
    plenty, short = make_variant(available=5), make_variant(available=1, sku="RARE")
    before = snapshot()

    with pytest.raises(InsufficientStock) as refused:
        hold((plenty, 2), (short, 3))

    assert refused.value.detail == "Only 1 left of RARE."
    assert refused.value.extra["sku"] == "RARE"
    assert (refused.value.extra["requested"], refused.value.extra["available"]) == (3, 1)
    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("items.1.quantity", "ITEM_OUT_OF_STOCK")
    ]
    assert snapshot() == before


def test_reserve_per_line_serves_in_order_and_answers_what_is_short(hold: Any) -> None:
    variant = make_variant(available=5)

    first, second, third = hold((variant, 3), (variant, 3), (variant, 2), all_or_none=False)

    assert isinstance(first, Hold)
    assert isinstance(third, Hold)
    assert second == Shortage(second.line_id, variant.id, variant.sku, requested=3, available=2)
    assert figures(variant) == [(0, 5, 5, 0)]


def test_reserve_sums_the_demand_of_lines_sharing_a_variant(hold: Any) -> None:
    variant = make_variant(available=5)
    before = snapshot()

    with pytest.raises(InsufficientStock):
        hold((variant, 3), (variant, 3))

    assert snapshot() == before


def test_reserve_lets_one_line_have_what_another_gives_up(hold: Any) -> None:
    variant = make_variant(available=6)
    lines = [new_id(), new_id()]
    hold((variant, 2), (variant, 4), lines=lines)

    hold((variant, 5), (variant, 1), lines=lines)

    assert figures(variant) == [(0, 6, 6, 0)]
    assert sorted(Reservation.objects.values_list("quantity", flat=True)) == [1, 5]


def test_reserve_takes_overdue_holds_of_others_back(
    hold: Any, actor_user: Actor, now: datetime
) -> None:
    variant = make_variant(available=1)
    [lapsed] = hold((variant, 1), now=now - QUARTER)
    other_cart = new_id()

    hold((variant, 1), actor=actor_user, cart_id=other_cart)

    assert figures(variant) == [(0, 1, 1, 0)]
    assert Reservation.objects.get(line_id=lapsed.line_id).status == "EXPIRED"
    assert [event["line_ids"] for event in events("inventory.hold_expired")] == [
        [str(lapsed.line_id)]
    ]


def test_reserve_promises_beyond_stock_where_the_policy_says_so(hold: Any) -> None:
    variant = make_variant(available=2, inventory_policy="continue", backorder_limit=3)
    before_limit = hold((variant, 5))
    assert before_limit[0].backordered == 3
    assert figures(variant) == [(0, 2, 2, 3)]
    before = snapshot()

    with pytest.raises(InsufficientStock):
        hold((variant, 1))

    assert snapshot() == before


def test_reserve_prefers_one_warehouse_that_can_serve_the_line(hold: Any) -> None:
    near = default_warehouse()
    far = make_warehouse(priority=2)
    variant = make_variant(available=2, warehouse=near)
    make_stock(variant, 5, warehouse=far)

    hold((variant, 4))
    assert figures(variant) == [(2, 0, 2, 0), (1, 4, 5, 0)]

    hold((variant, 3))
    assert figures(variant) == [(0, 2, 2, 0), (0, 5, 5, 0)]


def test_reserve_uses_only_the_default_warehouse_while_the_others_are_switched_off(
    hold: Any, settings: Any
) -> None:
    settings.FEATURES = {**settings.FEATURES, "ORDER_ENABLE_MULTIPLE_WAREHOUSES": False}
    variant = make_variant(available=2)
    make_stock(variant, 5, warehouse=make_warehouse(priority=2))

    with pytest.raises(InsufficientStock):
        hold((variant, 3))

    assert selectors.availability(variant_ids=[variant.id])[variant.id].available == 2


def test_reserve_only_looks_while_holds_are_switched_off(hold: Any, settings: Any) -> None:
    settings.FEATURES = {**settings.FEATURES, "INVENTORY_HOLD_ENABLED": False}
    variant = make_variant(available=2)
    before = snapshot()

    [answer] = hold((variant, 2))
    assert answer.expires_at is None
    with pytest.raises(InsufficientStock):
        hold((variant, 3))

    assert snapshot() == before


def test_reserve_caps_a_hold_from_its_beginning(hold: Any, now: datetime) -> None:
    variant, line = make_variant(), new_id()
    limits = HoldLimits(cap=timedelta(minutes=45))
    hold((variant, 1), lines=[line], limits=limits)

    for minutes in (14, 28, 40):
        [held] = hold(
            (variant, 1), lines=[line], limits=limits, now=now + timedelta(minutes=minutes)
        )

    assert held.started_at == now
    assert held.expires_at == now + timedelta(minutes=45)


def test_reserve_begins_anew_after_the_line_s_own_hold_ran_out(hold: Any, now: datetime) -> None:
    variant, line = make_variant(), new_id()
    hold((variant, 1), lines=[line])
    later = now + timedelta(minutes=20)

    [held] = hold((variant, 2), lines=[line], now=later)

    assert held.started_at == later
    assert figures(variant) == [(8, 2, 10, 0)]


@pytest.mark.parametrize(
    "limits", [HoldLimits(units_per_customer=5), HoldLimits(units_per_address=5)]
)
def test_reserve_refuses_more_than_the_ceiling_and_writes_nothing(
    hold: Any, limits: HoldLimits
) -> None:
    first, second, line = make_variant(), make_variant(), new_id()
    hold((first, 4), lines=[line], limits=limits)
    before = snapshot()

    with pytest.raises(HoldLimitExceeded) as refused:
        hold((second, 2), limits=limits)

    assert refused.value.extra == {"limit": 5, "held": 4, "requested": 2}
    assert snapshot() == before
    hold((first, 3), lines=[line], limits=HoldLimits(units_per_customer=1))  # less is never refused


@pytest.mark.parametrize("lines", [1, 20, 100])
def test_reserve_needs_two_statements_for_any_number_of_lines(hold: Any, lines: int) -> None:
    variants = [make_variant(available=50) for _ in range(lines)]
    hold((variants[0], 1))

    with CaptureQueriesContext(
        connection,
    ) as queries:
        hold(*((variant, 2) for variant in variants), limits=HoldLimits(units_per_customer=1_000))

    assert len(queries) == 2


def test_reserve_announces_a_variant_that_sells_out_and_low_stock_once(hold: Any) -> None:
    variant, line = make_variant(available=4, reorder_level=2), new_id()

    hold((variant, 1), lines=[line])
    assert events("inventory.low-stock") == []
    hold((variant, 2), lines=[line])
    hold((variant, 3), lines=[line])
    assert [event["available"] for event in events("inventory.low-stock")] == [2]
    hold((variant, 4), lines=[line])
    assert [event["available"] for event in events("inventory.stock_changed")] == [0]
    hold((variant, 0), lines=[line])
    hold((variant, 2), lines=[line])
    assert [event["available"] for event in events("inventory.low-stock")] == [2, 2]
    assert [event["available"] for event in events("inventory.stock_changed")] == [0, 4]


@pytest.mark.parametrize("wanted", [1, 3])
def test_reserve_takes_no_more_overdue_holds_back_than_it_needs(
    hold: Any, now: datetime, wanted: int
) -> None:
    variant = make_variant(available=10)
    for _ in range(10):
        hold((variant, 1))

    [held] = hold((variant, wanted), now=now + QUARTER)

    assert isinstance(held, Hold)
    assert figures(variant) == [(0, 10, 10, 0)]
    assert Reservation.objects.filter(status="EXPIRED").count() == wanted
