"""From hold to sale and back to the shelf: assign, confirm, restock, adjust, and the sweep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import selectors
from inventory import services as inventory
from inventory.errors import HoldFailed, StockBelowHolds, StockLevelExists, StockLevelNotFound
from inventory.models import Reservation, StockLevel, StockMovement, Variant
from inventory.services import Demand
from tests.factories import default_warehouse, make_stock, make_variant, make_warehouse
from tests.inventory.test_services import QUARTER, events, figures, snapshot

pytestmark = pytest.mark.django_db


def hold_of(line_id: UUID) -> selectors.Hold | None:
    """Return the latest hold of a cart line, read as carts read it."""
    found = Reservation.objects.filter(line_id=line_id).order_by("pk")
    value = found.values_list(selectors.hold_expression("line_id"), flat=True).first()
    return selectors.read_hold(line_id, value)


class Sale:
    """One cart line on its way to an order line."""

    def __init__(self, actor: Actor, variant: Variant, quantity: int, now: datetime) -> None:
        self.actor, self.variant, self.quantity, self.now = actor, variant, quantity, now
        self.cart_id, self.line_id, self.order_id, self.order_line_id = (new_id() for _ in range(4))

    def hold(self, **options: Any) -> Sale:
        inventory.reserve(
            **{
                "actor": self.actor,
                "cart_id": self.cart_id,
                "demands": [Demand(self.line_id, self.variant.id, self.quantity)],
                "expires_at": self.now + QUARTER,
                "now": self.now,
                **options,
            }
        )
        return self

    def assign(self, **options: Any) -> Sale:
        inventory.assign(
            **{
                "actor": self.actor,
                "cart_id": self.cart_id,
                "order_id": self.order_id,
                "line_map": {self.line_id: self.order_line_id},
                "demands": [Demand(self.line_id, self.variant.id, self.quantity)],
                "expires_at": self.now + timedelta(hours=1),
                "now": self.now,
                **options,
            }
        )
        return self

    def confirm(self, **options: Any) -> Sale:
        inventory.confirm(
            **{
                "actor": self.actor,
                "order_id": self.order_id,
                "demands": [Demand(self.order_line_id, self.variant.id, self.quantity)],
                "now": self.now,
                **options,
            }
        )
        return self

    def restock(self, quantity: int, **options: Any) -> int:
        return inventory.restock(
            **{
                "actor": self.actor,
                "order_id": self.order_id,
                "items": [(self.order_line_id, quantity)],
                "now": self.now,
                **options,
            }
        )


@pytest.fixture
def sale(actor_guest: Actor, now: datetime) -> Callable[..., Sale]:
    return lambda variant, quantity=1: Sale(actor_guest, variant, quantity, now)


def movements(order_line_id: UUID | None = None) -> list[tuple[str, int, int]]:
    rows = StockMovement.objects.exclude(source="test").order_by("id")
    if order_line_id:
        rows = rows.filter(order_line_id=order_line_id)
    return list(rows.values_list("type", "quantity", "balance"))


def ledger_agrees() -> bool:
    return all(
        level.total == sum(level.movements.values_list("quantity", flat=True))
        for level in StockLevel.objects.all()
    )


# --- release, extend, move --------------------------------------------------------------------


def test_release_returns_the_units_at_once(sale: Any, actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=5)
    first, second = sale(variant, 2).hold(), sale(variant, 1).hold()

    closed = inventory.release(actor=actor_guest, line_ids=[first.line_id, new_id()], now=now)
    again = inventory.release(actor=actor_guest, line_ids=[first.line_id], now=now)

    assert (closed, again) == (1, 0)
    assert figures(variant) == [(4, 1, 5, 0)]
    row = Reservation.objects.get(line_id=first.line_id)
    assert (row.status, row.released_at) == ("CANCELLED", now)
    assert inventory.release_cart(actor=actor_guest, cart_id=second.cart_id, now=now) == 1
    assert figures(variant) == [(5, 0, 5, 0)]


def test_extend_renews_up_to_the_cap_and_revives_nothing(
    sale: Any, actor_guest: Actor, now: datetime
) -> None:
    held = sale(make_variant()).hold()

    def extend(minutes: int) -> datetime:
        at = now + timedelta(minutes=minutes)
        inventory.extend(
            actor=actor_guest,
            cart_id=held.cart_id,
            expires_at=at + QUARTER,
            cap=timedelta(minutes=45),
            now=at,
        )
        return Reservation.objects.get().expires_at

    assert extend(10) == now + timedelta(minutes=25)
    assert extend(5) == now + timedelta(minutes=25)  # never shortened
    assert extend(24) == now + timedelta(minutes=39)
    assert extend(38) == now + timedelta(minutes=45)
    assert extend(46) == now + timedelta(minutes=45)  # lapsed


def test_move_holds_hands_over_and_adds_up(sale: Any, actor_user: Actor, now: datetime) -> None:
    shared, alone = make_variant(available=9), make_variant(available=9)
    guest_shared, guest_alone = sale(shared, 2).hold(), sale(alone, 1).hold()
    mine = sale(shared, 3)
    mine.actor = actor_user
    mine.hold()
    new_line = new_id()

    inventory.move_holds(
        actor=actor_user,
        line_map={
            guest_shared.line_id: (mine.line_id, mine.cart_id),
            guest_alone.line_id: (new_line, mine.cart_id),
        },
        now=now,
    )

    assert (figures(shared), figures(alone)) == ([(4, 5, 9, 0)], [(8, 1, 9, 0)])
    active = Reservation.objects.filter(status="ACTIVE")
    assert sorted(active.values_list("line_id", "quantity", "holder")) == sorted(
        [(mine.line_id, 5, actor_user.identity), (new_line, 1, actor_user.identity)]
    )
    assert set(active.values_list("cart_id", flat=True)) == {mine.cart_id}


# --- assign -----------------------------------------------------------------------------------


def test_assign_makes_the_hold_the_order_s(sale: Any, now: datetime) -> None:
    variant = make_variant(available=5)
    sold = sale(variant, 2).hold().assign()

    row = Reservation.objects.get()
    assert (row.order_id, row.order_line_id) == (sold.order_id, sold.order_line_id)
    assert (row.cart_id, row.line_id) == (sold.cart_id, sold.line_id)
    assert row.expires_at == now + timedelta(hours=1)
    assert figures(variant) == [(3, 2, 5, 0)]
    sold.assign()
    assert Reservation.objects.count() == 1
    assert hold_of(sold.line_id) is None


def test_assign_takes_what_is_missing_and_names_every_line_it_cannot_hold(
    sale: Any, actor_guest: Actor, now: datetime
) -> None:
    there, gone, short = (
        make_variant(available=3), make_variant(available=0, sku="GONE"), make_variant(available=1, sku="SHORT"),
    )  # fmt: skip
    lines = {new_id(): new_id() for _ in range(3)}
    demands = [
        Demand(line, variant.id, 2)
        for line, variant in zip(lines, (there, gone, short), strict=True)
    ]
    arguments: dict[str, Any] = {
        "actor": actor_guest,
        "cart_id": new_id(),
        "order_id": new_id(),
        "line_map": lines,
        "expires_at": now + QUARTER,
        "now": now,
    }
    before = snapshot()

    with pytest.raises(HoldFailed) as refused:
        inventory.assign(demands=demands, **arguments)

    assert [error.field for error in refused.value.errors] == [
        "items.1.quantity",
        "items.2.quantity",
    ]
    assert [error.message for error in refused.value.errors] == [
        "GONE is out of stock.",
        "Only 1 left of SHORT.",
    ]
    assert snapshot() == before
    inventory.assign(demands=demands[:1], **arguments)
    assert figures(there) == [(1, 2, 3, 0)]


def test_assign_joins_what_cart_and_order_hold_on_one_shelf(
    sale: Any, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=9)
    sold = sale(variant, 2).hold()
    inventory.reacquire(
        actor=actor_guest,
        order_id=sold.order_id,
        demands=[Demand(sold.order_line_id, variant.id, 3)],
        expires_at=now + QUARTER,
        now=now,
    )
    assert figures(variant) == [(4, 5, 9, 0)]

    sold.assign()

    assert figures(variant) == [(7, 2, 9, 0)]
    assert sorted(Reservation.objects.values_list("status", "quantity", "order_line_id")) == sorted(
        [("ACTIVE", 2, sold.order_line_id), ("CANCELLED", 2, None)]
    )


def test_assign_holds_for_orders_also_while_cart_holds_are_switched_off(
    sale: Any, settings: Any
) -> None:
    settings.FEATURES = {**settings.FEATURES, "INVENTORY_HOLD_ENABLED": False}
    variant = make_variant(available=2)

    sale(variant, 2).hold().assign()

    assert figures(variant) == [(0, 2, 2, 0)]


# --- confirm ----------------------------------------------------------------------------------


def test_confirm_turns_holds_into_sales_once(sale: Any) -> None:
    variant = make_variant(available=5)
    sold = sale(variant, 2).hold().assign().confirm()

    assert figures(variant) == [(3, 0, 3, 0)]
    assert movements(sold.order_line_id) == [("SALE", -2, 3)]
    assert Reservation.objects.get().status == "COMPLETED"
    assert events("inventory.confirmed") == [{"units": 2}]
    before = snapshot()
    sold.confirm()
    assert snapshot() == before
    assert ledger_agrees()


def test_confirm_takes_again_what_was_swept_away(sale: Any, now: datetime) -> None:
    variant = make_variant(available=2)
    sold = sale(variant, 2).hold().assign()
    late = now + timedelta(hours=2)
    assert inventory.release_expired(now=late) == 1
    assert figures(variant) == [(2, 0, 2, 0)]

    sold.confirm(now=late)

    assert figures(variant) == [(0, 0, 0, 0)]
    assert movements() == [("SALE", -2, 0)]


def test_confirm_refuses_when_another_has_the_units_and_writes_nothing(
    sale: Any, now: datetime
) -> None:
    variant = make_variant(available=2)
    late = now + timedelta(hours=2)
    slow = sale(variant, 2).hold().assign()
    fast = sale(variant, 1)
    fast.now = late
    fast.hold().assign().confirm()
    before = snapshot()

    with pytest.raises(HoldFailed):
        slow.confirm(now=late)

    assert snapshot() == before
    assert figures(variant) == [(1, 0, 1, 0)]


def test_confirm_of_a_late_order_whose_hold_nobody_took(sale: Any, now: datetime) -> None:
    variant = make_variant(available=2)
    sold = sale(variant, 2).hold().assign()

    sold.confirm(now=now + timedelta(hours=2))

    assert figures(variant) == [(0, 0, 0, 0)]


@pytest.mark.parametrize("lines", [1, 20, 100])
def test_assign_and_confirm_need_the_same_statements_for_any_number_of_lines(
    actor_guest: Actor, now: datetime, lines: int
) -> None:
    demands = [Demand(new_id(), make_variant(available=5).id, 1) for _ in range(lines)]
    cart_id, order_id = new_id(), new_id()
    line_map = {demand.line_id: new_id() for demand in demands}
    inventory.reserve(
        actor=actor_guest, cart_id=cart_id, demands=demands, expires_at=now + QUARTER, now=now
    )

    with CaptureQueriesContext(connection) as assigning:
        inventory.assign(
            actor=actor_guest,
            cart_id=cart_id,
            order_id=order_id,
            line_map=line_map,
            demands=demands,
            expires_at=now + QUARTER,
            now=now,
        )
    with CaptureQueriesContext(connection) as confirming:
        inventory.confirm(
            actor=actor_guest,
            order_id=order_id,
            demands=[Demand(line_map[d.line_id], d.variant_id, d.quantity) for d in demands],
            now=now,
        )

    assert (len(assigning), len(confirming)) == (2, 2)


def test_release_order_returns_only_what_is_not_sold(
    sale: Any, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5)
    unpaid, paid = sale(variant, 2).hold().assign(), sale(variant, 1).hold().assign().confirm()

    assert inventory.release_order(actor=actor_guest, order_id=unpaid.order_id, now=now) == 1
    assert inventory.release_order(actor=actor_guest, order_id=paid.order_id, now=now) == 0

    assert figures(variant) == [(4, 0, 4, 0)]


def test_reacquire_holds_again_or_refuses(sale: Any, actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=2)
    sold = sale(variant, 2).hold().assign()
    late = now + timedelta(hours=2)
    inventory.release_expired(now=late)

    def reacquire() -> None:
        inventory.reacquire(
            actor=actor_guest,
            order_id=sold.order_id,
            demands=[Demand(sold.order_line_id, variant.id, 2)],
            expires_at=late + QUARTER,
            now=late,
        )

    reacquire()
    assert figures(variant) == [(0, 2, 2, 0)]
    inventory.release_order(actor=actor_guest, order_id=sold.order_id, now=late)
    other = sale(variant, 1)
    other.now = late
    other.hold()
    with pytest.raises(HoldFailed):
        reacquire()
    assert figures(variant) == [(1, 1, 2, 0)]


# --- back to the shelf ------------------------------------------------------------------------


def test_restock_returns_sold_units_where_they_came_from(sale: Any) -> None:
    near, far = default_warehouse(), make_warehouse(priority=9)
    variant = make_variant(available=2, warehouse=near)
    make_stock(variant, 2, warehouse=far)
    sold = sale(variant, 3).hold().assign().confirm()
    assert figures(variant) == [(0, 0, 0, 0), (1, 0, 1, 0)]

    assert sold.restock(2, reference="RET-1") == 2
    assert sold.restock(5) == 1  # never more than went out
    assert sold.restock(1) == 0

    assert figures(variant) == [(2, 0, 2, 0), (2, 0, 2, 0)]
    assert sum(quantity for _, quantity, _ in movements(sold.order_line_id)) == 0
    assert ledger_agrees()


def test_restock_of_damaged_units_returns_and_writes_them_off(sale: Any) -> None:
    variant = make_variant(available=2)
    sold = sale(variant, 2).hold().assign().confirm()

    assert sold.restock(1, damaged=True, reference="RET-1") == 1

    assert figures(variant) == [(0, 0, 0, 0)]
    assert movements() == [("SALE", -2, 0), ("RETURN", 1, 1), ("DAMAGE", -1, 0)]
    assert movements(sold.order_line_id) == [("SALE", -2, 0), ("RETURN", 1, 1)]
    assert ledger_agrees()


def test_restock_of_what_is_only_held_needs_no_movement(sale: Any) -> None:
    variant = make_variant(available=5)
    sold = sale(variant, 3).hold().assign()

    assert sold.restock(2) == 0

    assert figures(variant) == [(4, 1, 5, 0)]
    assert movements() == []


# --- beyond stock -----------------------------------------------------------------------------


def test_goods_that_arrive_fill_what_is_owed_oldest_promise_first(
    sale: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=1, inventory_policy="continue")
    sold = sale(variant, 3).hold().assign().confirm()
    held = sale(variant, 2).hold()
    assert figures(variant) == [(0, 0, 0, 4)]
    level = StockLevel.objects.get()

    inventory.receive(actor=staff, stock_level_id=level.id, quantity=3, reference="PO-1", now=now)

    assert figures(variant) == [(0, 1, 1, 1)]
    assert movements() == [("SALE", -1, 0), ("PURCHASE", 3, 3), ("SALE", -2, 1)]
    assert movements(sold.order_line_id) == [("SALE", -1, 0), ("SALE", -2, 1)]
    row = Reservation.objects.get(line_id=held.line_id)
    assert (row.quantity, row.backordered, row.status) == (1, 1, "ACTIVE")
    inventory.receive(actor=staff, stock_level_id=level.id, quantity=3, now=now)
    assert figures(variant) == [(2, 2, 4, 0)]
    assert ledger_agrees()


def test_restock_cancels_what_is_owed_before_it_returns_goods(sale: Any) -> None:
    variant = make_variant(available=1, inventory_policy="continue")
    sold = sale(variant, 3).hold().assign().confirm()

    assert sold.restock(3) == 1

    assert figures(variant) == [(1, 0, 1, 0)]
    assert sold.restock(3) == 0
    assert ledger_agrees()


# --- adjust -----------------------------------------------------------------------------------


def test_adjust_writes_one_movement_one_audit_entry_and_tells(staff: Actor, now: datetime) -> None:
    make_variant(available=5)
    level = StockLevel.objects.get()

    changed = inventory.adjust(
        actor=staff,
        stock_level_id=level.id,
        quantity=-2,
        type="DAMAGE",
        reference="INC-7",
        notes="dropped",
        now=now,
    )

    assert (changed.available, changed.total) == (3, 3)
    assert movements() == [("DAMAGE", -2, 3)]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.before, entry.after) == (
        "stock.adjusted",
        {"available": 5, "total": 5},
        {"available": 3, "total": 3},
    )
    assert entry.reason == "DAMAGE · INC-7 · dropped"
    assert [event["available"] for event in events("inventory.stock_changed")] == [3]


def test_adjust_refuses_to_take_what_is_promised(sale: Any, staff: Actor, now: datetime) -> None:
    variant = make_variant(available=5)
    sale(variant, 4).hold()
    level = StockLevel.objects.get()
    before = snapshot()

    with pytest.raises(StockBelowHolds) as refused:
        inventory.adjust(actor=staff, stock_level_id=level.id, quantity=-2, now=now)

    told = dict(refused.value.extra)
    assert [hold["quantity"] for hold in told.pop("holds")] == [4]
    assert told == {"sku": variant.sku, "available": 1, "reserved": 4}
    assert snapshot() == before


@pytest.mark.parametrize(
    ("quantity", "type"),
    [
        (0, "ADJUSTMENT"),
        (-1, "PURCHASE"),
        (1, "DAMAGE"),
        (-1, "SALE"),
        (1, "GIFT"),
        (10**10, "ADJUSTMENT"),
    ],
)
def test_adjust_refuses_a_wrong_number_or_type(
    staff: Actor, now: datetime, quantity: int, type: str
) -> None:
    make_variant(available=5)
    before = snapshot()

    with pytest.raises(ValidationFailed):
        inventory.adjust(
            actor=staff,
            stock_level_id=StockLevel.objects.get().id,
            quantity=quantity,
            type=type,
            now=now,
        )

    assert snapshot() == before


def test_stock_records_are_made_once_and_changed_with_audit(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=None)

    level = inventory.create_stock_level(actor=staff, variant_id=variant.id, available=7, now=now)
    with pytest.raises(StockLevelExists):
        inventory.create_stock_level(actor=staff, variant_id=variant.id, now=now)
    changed = inventory.update_stock_level(
        actor=staff, stock_level_id=level.id, reorder_level=8, backorder_limit=3, now=now
    )
    with pytest.raises(StockLevelNotFound):
        inventory.update_stock_level(actor=staff, stock_level_id=new_id(), now=now)

    assert (level.available, level.reorder_level, level.reorder_quantity) == (7, 10, 50)
    assert movements() == [("PURCHASE", 7, 7)]
    assert (changed.reorder_level, changed.backorder_limit, changed.is_low) == (8, 3, True)
    assert events("inventory.low-stock") == []


# --- the sweep --------------------------------------------------------------------------------


def test_release_expired_returns_units_and_tells_once_per_cart(
    sale: Any, actor_guest: Actor, now: datetime
) -> None:
    first, second = make_variant(available=2, reorder_level=1), make_variant(available=5)
    cart_id, lines = new_id(), [new_id(), new_id()]
    inventory.reserve(
        actor=actor_guest,
        cart_id=cart_id,
        demands=[Demand(lines[0], first.id, 2), Demand(lines[1], second.id, 1)],
        expires_at=now + QUARTER,
        now=now,
    )
    alive = sale(second, 1).hold(expires_at=now + timedelta(hours=1))
    assert StockLevel.objects.get(variant=first).is_low

    later = now + QUARTER
    assert inventory.release_expired(now=later - timedelta(seconds=1)) == 0
    assert inventory.release_expired(now=later) == 2
    assert inventory.release_expired(now=later) == 0

    assert (figures(first), figures(second)) == ([(2, 0, 2, 0)], [(4, 1, 5, 0)])
    [told] = events("inventory.hold_expired")
    assert sorted(told["line_ids"]) == sorted(map(str, lines))
    assert OutboxEvent.objects.get(name="inventory.hold_expired").aggregate_id == cart_id
    assert [event["available"] for event in events("inventory.stock_changed")] == [0, 2]
    assert not StockLevel.objects.get(variant=first).is_low
    states = [hold_of(line) for line in (*lines, alive.line_id)]
    assert [hold and hold.state(later) for hold in states] == [
        "expired",
        "expired",
        "held",
    ]


def test_release_expired_works_in_bounded_batches(sale: Any, now: datetime) -> None:
    variant = make_variant(available=9)
    for _ in range(5):
        sale(variant).hold()
    later = now + QUARTER

    assert [inventory.release_expired(now=later, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert figures(variant) == [(9, 0, 9, 0)]


@pytest.mark.slow
def test_release_expired_of_10000_holds_is_set_based(actor_guest: Actor, now: datetime) -> None:
    variants = [make_variant(available=100) for _ in range(100)]
    for number in range(20):
        inventory.reserve(
            actor=actor_guest,
            cart_id=new_id(),
            demands=[Demand(new_id(), variant.id, 1) for variant in variants for _ in range(5)],
            expires_at=now + QUARTER,
            now=now + timedelta(milliseconds=number),
        )

    with CaptureQueriesContext(connection) as queries:
        closed = inventory.release_expired(now=now + QUARTER, limit=10_000, shelves=100)

    assert closed == 10_000
    assert len(queries) <= 8
    assert all(level.reserved == 0 and level.available == 100 for level in StockLevel.objects.all())


def test_release_all_leaves_orders_alone(sale: Any, staff: Actor, now: datetime) -> None:
    variant = make_variant(available=5)
    sale(variant, 1).hold()
    sale(variant, 2).hold().assign()

    assert inventory.release_all(actor=staff, now=now) == 1

    assert figures(variant) == [(3, 2, 5, 0)]
