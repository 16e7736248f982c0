"""Work at the shelves: what each verb writes, what it refuses, and that a refusal writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import services as inventory
from inventory.errors import StockBelowHolds, StockLevelNotFound, StockMoved, WarehouseNotFound
from inventory.models import Reservation, StockLevel, StockMovement, Variant
from inventory.services import DeliveryLine, Demand, ShelfCount, ShelfUnits
from tests.factories import (
    default_warehouse,
    make_company,
    make_stock,
    make_variant,
    make_warehouse,
)
from tests.inventory.test_services import snapshot

pytestmark = pytest.mark.django_db

QUARTER = timedelta(minutes=15)


def shelf(variant: Variant, code: str = "MAIN") -> StockLevel:
    return StockLevel.objects.get(variant=variant, warehouse__code=code)


def figures(level: StockLevel) -> tuple[int, int, int, int]:
    level.refresh_from_db()
    return level.available, level.reserved, level.total, level.backordered


def hold(
    actor: Actor,
    variant: Variant,
    quantity: int,
    now: datetime,
    *,
    order: bool = False,
    lasts: timedelta = QUARTER,
) -> UUID:
    """Hold units for a cart, or for an order where one was placed; return the line that has them."""
    cart_id, line_id, order_line_id = new_id(), new_id(), new_id()
    demands = [Demand(line_id, variant.id, quantity)]
    inventory.reserve(
        actor=actor, cart_id=cart_id, demands=demands, expires_at=now + lasts, now=now
    )
    if not order:
        return line_id
    inventory.assign(
        actor=actor,
        cart_id=cart_id,
        order_id=new_id(),
        line_map={line_id: order_line_id},
        demands=demands,
        expires_at=now + lasts,
        now=now,
    )
    return order_line_id


def owe(actor: Actor, variant: Variant, quantity: int, now: datetime) -> None:
    """Sell units that are not there."""
    order_id, cart_id, line_id, order_line_id = (new_id() for _ in range(4))
    demands = [Demand(line_id, variant.id, quantity)]
    ends = now + QUARTER
    inventory.reserve(actor=actor, cart_id=cart_id, demands=demands, expires_at=ends, now=now)
    inventory.assign(
        actor=actor,
        cart_id=cart_id,
        order_id=order_id,
        line_map={line_id: order_line_id},
        demands=demands,
        expires_at=ends,
        now=now,
    )
    inventory.confirm(
        actor=actor,
        order_id=order_id,
        demands=[Demand(order_line_id, variant.id, quantity)],
        now=now,
    )


def refusal(run: Callable[[], Any]) -> ApplicationError:
    """Return what a service refused, after making sure that nothing was written."""
    before = snapshot(), AuditEntry.objects.count(), StockLevel.objects.count()
    with pytest.raises(ApplicationError) as caught, transaction.atomic():
        run()
    assert (snapshot(), AuditEntry.objects.count(), StockLevel.objects.count()) == before
    return caught.value


# --- transfer ---------------------------------------------------------------------------------


def test_a_transfer_nets_to_zero_under_one_reference(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=10, sku="MUG")
    make_warehouse(code="EAST")

    source, target = inventory.transfer(
        actor=staff,
        lines=[ShelfUnits(shelf(variant).id, 4)],
        warehouse="EAST",
        reference="VAN 7",
        notes="summer fair",
        now=now,
    )

    assert (source.before.total, source.after.total, source.difference) == (10, 6, -4)
    assert (target.before.total, target.after.total, target.warehouse) == (0, 4, "EAST")
    assert figures(shelf(variant)) == (6, 0, 6, 0)
    assert figures(shelf(variant, "EAST")) == (4, 0, 4, 0)
    rows = StockMovement.objects.filter(reference="transfer VAN 7").order_by("quantity")
    assert [(row.type, row.quantity, row.balance, row.notes) for row in rows] == [
        ("ADJUSTMENT", -4, 6, "MAIN → EAST · summer fair"),
        ("ADJUSTMENT", 4, 4, "MAIN → EAST · summer fair"),
    ]
    assert {(row.actor, row.source) for row in rows} == {(staff.label, staff.source)}
    entries = AuditEntry.objects.filter(action="stock.transferred").order_by("id")
    assert [(entry.before, entry.after) for entry in entries] == [
        ({"available": 10, "total": 10}, {"available": 6, "total": 6}),
        ({"available": 0, "total": 0}, {"available": 4, "total": 4}),
    ]
    assert {entry.reason for entry in entries} == {"transfer VAN 7 · summer fair"}


def test_a_transfer_without_paper_gets_a_reference_of_its_own(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=10)
    make_warehouse(code="EAST")
    for _ in range(2):
        inventory.transfer(
            actor=staff, lines=[ShelfUnits(shelf(variant).id, 1)], warehouse="EAST", now=now
        )

    references = StockMovement.objects.filter(type="ADJUSTMENT").values_list("reference", flat=True)
    assert len(references) == 4
    assert len(set(references)) == 2
    assert all(reference.startswith("transfer ") for reference in references)


def test_a_transfer_moves_several_skus_or_none(staff: Actor, now: datetime) -> None:
    plenty, scarce = make_variant(available=10, sku="MUG"), make_variant(available=1, sku="CAP")
    make_warehouse(code="EAST")
    lines = [ShelfUnits(shelf(plenty).id, 4), ShelfUnits(shelf(scarce).id, 2)]

    refused = refusal(
        lambda: inventory.transfer(actor=staff, lines=lines, warehouse="EAST", now=now)
    )

    assert isinstance(refused, StockBelowHolds)
    assert [(error.field, error.message) for error in refused.errors] == [
        ("lines.1.quantity", "1 of CAP are free, 0 are promised.")
    ]
    lines[1] = ShelfUnits(shelf(scarce).id, 1)
    assert len(inventory.transfer(actor=staff, lines=lines, warehouse="EAST", now=now)) == 4


def test_a_transfer_leaves_holds_where_they_are(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5)
    hold(actor_guest, variant, 3, now)
    make_warehouse(code="EAST")

    def move(units: int) -> Any:
        return inventory.transfer(
            actor=staff, lines=[ShelfUnits(shelf(variant).id, units)], warehouse="EAST", now=now
        )

    assert isinstance(refusal(lambda: move(3)), StockBelowHolds)
    move(2)
    assert figures(shelf(variant)) == (0, 3, 3, 0)
    assert Reservation.objects.get().stock_level == shelf(variant)


def test_units_whose_hold_ran_out_can_be_moved_at_once(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5)
    hold(actor_guest, variant, 3, now)
    make_warehouse(code="EAST")

    inventory.transfer(
        actor=staff,
        lines=[ShelfUnits(shelf(variant).id, 5)],
        warehouse="EAST",
        now=now + timedelta(hours=1),
    )

    assert figures(shelf(variant)) == (0, 0, 0, 0)
    assert Reservation.objects.get().status == "EXPIRED"


def test_what_arrives_serves_what_is_owed_there(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    east = make_warehouse(code="EAST", priority=200)
    variant = make_variant(available=0, inventory_policy="continue")
    owe(actor_guest, variant, 3, now)
    make_stock(variant, 5, warehouse=east)

    source, target = inventory.transfer(
        actor=staff,
        lines=[ShelfUnits(shelf(variant, "EAST").id, 5)],
        warehouse="MAIN",
        now=now,
    )

    assert source.after.total == 0
    assert (target.before.backordered, target.after.backordered, target.after.total) == (3, 0, 2)
    assert figures(shelf(variant)) == (2, 0, 2, 0)
    sale = StockMovement.objects.get(type="SALE")
    assert (sale.quantity, sale.notes) == (-3, "backorder filled")


@pytest.mark.parametrize(
    ("quantity", "warehouse", "error", "field"),
    [
        (0, "EAST", ValidationFailed, "quantity"),
        (-1, "EAST", ValidationFailed, "quantity"),
        (2_000_000_000, "EAST", ValidationFailed, "quantity"),
        (1, "MAIN", ValidationFailed, "warehouse"),
        (1, "NOWHERE", WarehouseNotFound, None),
        (11, "EAST", StockBelowHolds, "quantity"),
    ],
)
def test_a_transfer_refuses(
    staff: Actor, now: datetime, quantity: int, warehouse: str, error: type, field: str | None
) -> None:
    variant = make_variant(available=10)
    make_warehouse(code="EAST")
    lines = [ShelfUnits(shelf(variant).id, quantity)]

    refused = refusal(
        lambda: inventory.transfer(actor=staff, lines=lines, warehouse=warehouse, now=now)
    )

    assert type(refused) is error
    assert [problem.field for problem in refused.errors] == ([field] if field else [])


def test_a_shelf_named_twice_and_a_foreign_one_are_refused(staff: Actor, now: datetime) -> None:
    make_warehouse(code="EAST")
    own = shelf(make_variant(available=10))
    other = make_company()
    foreign = StockLevel.objects.get(variant=make_variant(company=other, available=5))
    twice, mixed = [ShelfUnits(own.id, 1)] * 2, [ShelfUnits(own.id, 1), ShelfUnits(foreign.id, 1)]

    for run in (
        lambda lines: inventory.transfer(actor=staff, lines=lines, warehouse="EAST", now=now),
        lambda lines: inventory.write_off(actor=staff, lines=lines, now=now),
        lambda lines: inventory.adjust_shelves(actor=staff, lines=lines, now=now),
        lambda lines: inventory.count_shelves(
            actor=staff,
            counts=[ShelfCount(line.stock_level_id, line.quantity) for line in lines],
            now=now,
        ),
    ):
        assert isinstance(refusal(lambda run=run: run(twice)), ValidationFailed)
        assert isinstance(refusal(lambda run=run: run(mixed)), StockLevelNotFound)
        assert isinstance(refusal(lambda run=run: run([])), ValidationFailed)


# --- deliveries -------------------------------------------------------------------------------


def test_a_delivery_fills_shelves_and_makes_those_that_are_missing(
    staff: Actor, now: datetime
) -> None:
    mug, cap = make_variant(available=2, sku="MUG"), make_variant(available=None, sku="CAP")

    changes = inventory.receive_delivery(
        actor=staff,
        lines=[DeliveryLine("MUG", 5), DeliveryLine("CAP", 7), DeliveryLine("MUG", 1)],
        reference="PO-9",
        now=now,
    )

    assert [(c.sku, c.before.total, c.after.total) for c in changes] == [
        ("MUG", 2, 8),
        ("CAP", 0, 7),
    ]
    assert figures(shelf(mug)) == (8, 0, 8, 0)
    assert figures(shelf(cap)) == (7, 0, 7, 0)
    rows = StockMovement.objects.filter(reference="PO-9")
    assert sorted((row.type, row.quantity) for row in rows) == [("PURCHASE", 6), ("PURCHASE", 7)]
    assert AuditEntry.objects.filter(action="stock.received", reason="PO-9").count() == 2


def test_a_delivery_names_every_wrong_line_and_takes_none(staff: Actor, now: datetime) -> None:
    make_variant(available=2, sku="MUG")
    make_variant(company=make_company(), sku="OTHERS")

    refused = refusal(
        lambda: inventory.receive_delivery(
            actor=staff,
            lines=[DeliveryLine("MUG", 5), DeliveryLine("OTHERS", 1), DeliveryLine("MUG", 0)],
            now=now,
        )
    )

    assert [(error.field, error.code) for error in refused.errors] == [
        ("lines.1.sku", "PRODUCT_NOT_FOUND"),
        ("lines.2.quantity", "invalid"),
    ]


def test_a_delivery_fills_what_is_owed_first(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=1, sku="MUG", inventory_policy="continue")
    owe(actor_guest, variant, 4, now)

    [change] = inventory.receive_delivery(actor=staff, lines=[DeliveryLine("MUG", 5)], now=now)

    assert (change.before.backordered, change.after.backordered) == (3, 0)
    assert figures(shelf(variant)) == (2, 0, 2, 0)


def test_many_lines_cost_as_many_statements_as_few(staff: Actor, now: datetime) -> None:
    def cost(count: int) -> int:
        skus = [make_variant(available=1).sku for _ in range(count)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            inventory.receive_delivery(
                actor=staff, lines=[DeliveryLine(sku, 1) for sku in skus], now=now
            )
        return len(queries)

    default_warehouse()
    cost(1)  # switches are read once per process
    assert cost(3) == cost(40)


# --- damage -----------------------------------------------------------------------------------


def test_damage_leaves_the_shelf_with_a_row_and_a_reason(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=5, reorder_level=3)

    inventory.write_off(
        actor=staff,
        lines=[ShelfUnits(shelf(variant).id, 2)],
        reference="R1",
        notes="wet",
        now=now,
    )

    row = StockMovement.objects.get(type="DAMAGE")
    assert (row.quantity, row.balance, row.reference, row.notes) == (-2, 3, "R1", "wet")
    assert AuditEntry.objects.get(action="stock.damaged").reason == "R1 · wet"
    names = set(OutboxEvent.objects.values_list("name", flat=True))
    assert names == {"inventory.low-stock", "inventory.stock_changed"}


def test_damage_never_takes_held_units_silently_and_says_who_holds_them(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5, sku="MUG")
    hold(actor_guest, variant, 4, now)

    refused = refusal(
        lambda: inventory.write_off(actor=staff, lines=[ShelfUnits(shelf(variant).id, 2)], now=now)
    )

    held = Reservation.objects.get()
    assert isinstance(refused, StockBelowHolds)
    assert refused.detail == "1 of MUG are free, 4 are promised."
    assert refused.extra["holds"] == [
        {
            "id": str(held.id),
            "sku": "MUG",
            "quantity": 4,
            "cartId": str(held.cart_id),
            "orderId": None,
            "expiresAt": held.expires_at.isoformat().replace("+00:00", "Z"),
        }
    ]


def test_damage_gives_up_carts_holds_when_told_to_the_newest_first(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=6)
    first, second = hold(actor_guest, variant, 2, now), hold(actor_guest, variant, 3, now)

    inventory.write_off(
        actor=staff,
        lines=[ShelfUnits(shelf(variant).id, 3)],
        release_holds=True,
        now=now,
    )

    states = dict(Reservation.objects.values_list("line_id", "status"))
    assert states == {first: "ACTIVE", second: "CANCELLED"}
    assert figures(shelf(variant)) == (1, 2, 3, 0)


def test_damage_never_takes_what_belongs_to_an_order(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=5)
    hold(actor_guest, variant, 3, now, order=True)
    hold(actor_guest, variant, 2, now)

    refused = refusal(
        lambda: inventory.write_off(
            actor=staff,
            lines=[ShelfUnits(shelf(variant).id, 3)],
            release_holds=True,
            now=now,
        )
    )

    assert isinstance(refused, StockBelowHolds)
    assert Reservation.objects.filter(status="ACTIVE").count() == 2


# --- counts -----------------------------------------------------------------------------------


def test_a_count_sets_the_shelf_and_shows_the_difference(staff: Actor, now: datetime) -> None:
    less, same, more = (make_variant(available=10) for _ in range(3))
    counts = [
        ShelfCount(shelf(variant).id, counted, seen=10)
        for variant, counted in ((less, 7), (same, 10), (more, 12))
    ]

    changes = inventory.count_shelves(actor=staff, counts=counts, reference="spring", now=now)

    assert [change.difference for change in changes] == [-3, 0, 2]
    rows = StockMovement.objects.filter(reference="spring").order_by("quantity")
    assert [(row.type, row.quantity, row.notes) for row in rows] == [
        ("ADJUSTMENT", -3, "counted"),
        ("ADJUSTMENT", 2, "counted"),
    ]
    assert AuditEntry.objects.filter(action="stock.counted").count() == 3


def test_a_count_is_refused_where_the_shelf_moved_or_more_is_promised(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    moved, held = make_variant(available=10, sku="MUG"), make_variant(available=10, sku="CAP")
    fine = make_variant(available=10)
    hold(actor_guest, held, 4, now)
    inventory.adjust(actor=staff, stock_level_id=shelf(moved).id, quantity=-1, now=now)
    counts = [
        ShelfCount(shelf(fine).id, 2, seen=10),
        ShelfCount(shelf(moved).id, 9, seen=10),
        ShelfCount(shelf(held).id, 3, seen=10),
    ]

    refused = refusal(lambda: inventory.count_shelves(actor=staff, counts=counts, now=now))

    assert isinstance(refused, StockMoved)
    assert [(error.field, error.code, error.message) for error in refused.errors] == [
        (
            "lines.1.quantity",
            "STOCK_CHANGED",
            "MUG moved while you counted: 10 became 9 in the books. Count it again.",
        ),
        (
            "lines.2.quantity",
            "STOCK_BELOW_HOLDS",
            "4 of CAP are promised, so fewer cannot lie there.",
        ),
    ]


def test_a_preview_is_the_deed_taken_back(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=10)
    before = snapshot(), AuditEntry.objects.count(), OutboxEvent.objects.count()

    with transaction.atomic():
        [change] = inventory.count_shelves(
            actor=staff, counts=[ShelfCount(shelf(variant).id, 7)], now=now
        )
        transaction.set_rollback(True)

    assert change.difference == -3
    assert (snapshot(), AuditEntry.objects.count(), OutboxEvent.objects.count()) == before


# --- letting go -------------------------------------------------------------------------------


def test_staff_let_holds_go_with_a_reason_that_stays(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    variant = make_variant(available=9, sku="MUG")
    lines = [hold(actor_guest, variant, units, now) for units in (2, 3, 1)]
    ids = dict(Reservation.objects.values_list("line_id", "id"))
    chosen = [ids[lines[0]], ids[lines[1]], new_id()]

    released = inventory.release_holds(
        actor=staff, reservation_ids=chosen, reason="display piece", now=now
    )
    again = inventory.release_holds(actor=staff, reservation_ids=chosen, now=now)

    assert (released, again) == (2, 0)
    assert figures(shelf(variant)) == (8, 1, 9, 0)
    entries = AuditEntry.objects.filter(action="hold.released")
    assert {(entry.reason, entry.actor) for entry in entries} == {("display piece", staff.label)}
    assert sorted(entry.before["quantity"] for entry in entries) == [2, 3]


def test_holds_of_another_company_are_not_let_go(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    other = make_company()
    variant = make_variant(company=other, available=9)
    level = shelf(variant)
    level.available, level.reserved = 7, 2
    level.save()
    foreign = Reservation.objects.create(
        company=other,
        stock_level=level,
        variant=variant,
        line_id=new_id(),
        holder="test",
        quantity=2,
        started_at=now,
        expires_at=now + QUARTER,
    )

    assert inventory.release_holds(actor=staff, reservation_ids=[foreign.id], now=now) == 0
    foreign.refresh_from_db()
    assert foreign.status == "ACTIVE"
