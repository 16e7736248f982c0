"""What lies on the shelves: receiving, counting, correcting, and the warehouses themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory import selectors
from inventory.errors import (
    ProductNotFound,
    StockLevelNotFound,
    WarehouseNotFound,
)
from inventory.events import Why
from inventory.models import StockLevel, StockMovement, Warehouse
from inventory.services.books import Books

MOST_UNITS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StockCount:
    """So many units were counted on the shelf, held ones among them; without a code in the default warehouse."""

    variant_id: UUID
    quantity: int
    warehouse: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """`changed` stock levels moved; `kept` names SKUs of which fewer were counted than are promised."""

    changed: int
    kept: tuple[str, ...]


@transaction.atomic
def count_stock(
    *,
    actor: Actor,
    counts: Sequence[StockCount],
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> Counted:
    """
    Set shelves to what was counted, with one ADJUSTMENT movement for each that changes.

    Opens stock records that are missing where something was found. What is promised stays promised: a count below it sets the shelf to the
    held units. A constant number of statements for any number of counts.

    :raises WarehouseNotFound: if a code names none
    :raises ValidationFailed: if a quantity is out of range
    """
    if not counts:
        return Counted(0, ())
    for count in counts:
        if not 0 <= count.quantity <= MOST_UNITS:
            raise refused("quantity", "invalid", f"A count is a number from 0 to {MOST_UNITS}.")
    warehouses = warehouses_by_code(
        company_id=actor.company_id, codes={count.warehouse for count in counts}
    )
    wanted = {(count.variant_id, warehouses[count.warehouse]): count.quantity for count in counts}
    add_missing_levels(
        actor=actor,
        pairs={pair for pair, quantity in wanted.items() if quantity},
        reorder_levels={},
    )
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=list({variant_id for variant_id, _ in wanted}),
        now=now,
    )
    codes = {(level.variant_id, level.warehouse): level for level in books.levels.values()}
    moved, kept = [], []
    for (variant_id, warehouse), quantity in wanted.items():
        level = codes.get((variant_id, warehouse.code))
        if level is None and not quantity:
            continue  # nothing was found where nothing was ever kept
        if level is None:
            raise ProductNotFound(extra={"variantId": str(variant_id)})
        if quantity < level.reserved:
            kept.append(level.sku)
        change = max(quantity, level.reserved) - level.total
        if not change:
            continue
        level.available += change
        books.move(
            level,
            StockMovement.Type.ADJUSTMENT,
            change,
            actor=actor,
            now=now,
            reference=reference,
            notes=notes or "counted",
        )
        moved.append(level)
    write_books(books, {level.variant_id for level in moved}, actor=actor, now=now)
    return Counted(len(moved), tuple(kept))


def add_missing_levels(
    *,
    actor: Actor,
    pairs: set[tuple[UUID, Warehouse]],
    reorder_levels: Mapping[UUID, int],
) -> int:
    """Give each (variant, warehouse) that has none an empty stock record: two statements; return how many."""
    variant_ids = {variant_id for variant_id, _ in pairs}
    there = set(
        StockLevel.objects.filter(variant_id__in=variant_ids)
        .order_by()
        .values_list("variant_id", "warehouse_id")
    )
    missing = [
        StockLevel(
            company_id=actor.company_id,
            variant_id=variant_id,
            warehouse=warehouse,
            reorder_level=reorder_levels.get(variant_id, settings.DEFAULT_REORDER_LEVEL),
            reorder_quantity=settings.DEFAULT_REORDER_QUANTITY,
            is_low=True,  # it begins low: nothing fell
        )
        for variant_id, warehouse in sorted(pairs, key=lambda pair: (pair[0], pair[1].id))
        if (variant_id, warehouse.id) not in there
    ]
    StockLevel.objects.bulk_create(missing, ignore_conflicts=True)
    return len(missing)


@transaction.atomic
def update_stock_level(
    *,
    actor: Actor,
    stock_level_id: UUID,
    reorder_level: int | None = None,
    reorder_quantity: int | None = None,
    backorder_limit: int | None = None,
    unlimited_backorder: bool = False,
    now: datetime,
) -> StockLevel:
    """
    Change when a record counts as low, how much to order then, and how far it may be oversold. Units are not touched.

    None leaves a figure as it is; `unlimited_backorder` takes the limit away.

    :raises StockLevelNotFound: if the company has no such record
    :raises ValidationFailed: if a number is out of range, or more is owed already than the limit
    """
    check_figures(
        reorder_level=reorder_level,
        reorder_quantity=reorder_quantity,
        backorder_limit=backorder_limit,
    )
    level = (
        StockLevel.objects.filter(company_id=actor.company_id, id=stock_level_id)
        .for_update()
        .first()
    )
    if level is None:
        raise StockLevelNotFound
    names = ("reorder_level", "reorder_quantity", "backorder_limit")
    before = {name: getattr(level, name) for name in names}
    if backorder_limit is not None and backorder_limit < level.backordered:
        raise refused("backorderLimit", "min_value", f"{level.backordered} are owed already.")
    for name, value in (
        ("reorder_level", reorder_level),
        ("reorder_quantity", reorder_quantity),
        ("backorder_limit", backorder_limit),
    ):
        if value is not None:
            setattr(level, name, value)
    if unlimited_backorder:
        level.backorder_limit = None
    # A new reorder level is not a fall of stock: it is noted, not announced.
    level.is_low = level.available <= level.reorder_level
    level.save(update_fields=[*names, "is_low", "updated_at"])
    audit.record(
        actor=actor,
        action="stock.updated",
        object_type="stock_level",
        object_id=level.id,
        before=before,
        after={name: getattr(level, name) for name in names},
        now=now,
    )
    return selectors.find_stock_level(actor=actor, stock_level_id=stock_level_id)


# --- warehouses -------------------------------------------------------------------------------


def warehouses_by_code(*, company_id: UUID, codes: set[str]) -> dict[str, Warehouse]:
    """
    Return the warehouses of these codes; "" is the default one, which is founded where there is none yet.

    :raises WarehouseNotFound: if a code names none
    """
    known = {
        warehouse.code: warehouse for warehouse in Warehouse.objects.filter(company_id=company_id)
    }
    if "" in codes:
        default = next((warehouse for warehouse in known.values() if warehouse.is_default), None)
        known[""] = (
            default
            or Warehouse.objects.get_or_create(
                company_id=company_id,
                is_default=True,
                defaults={"code": "MAIN", "name": "Main warehouse", "priority": 1},
            )[0]
        )
    for code in sorted(codes - known.keys()):
        raise WarehouseNotFound(
            f"There is no warehouse {code[:40]}.", extra={"warehouse": code[:40]}
        )
    return {code: known[code] for code in codes}


@transaction.atomic
def upsert_warehouse(
    *,
    actor: Actor,
    code: str,
    name: str,
    priority: int = 100,
    address: Mapping[str, Any] | None = None,
    is_default: bool = False,
    is_active: bool = True,
    now: datetime,
) -> Warehouse:
    """Found or change a warehouse, by its code. Making it the default takes that from another."""
    if is_default:
        Warehouse.objects.filter(company_id=actor.company_id, is_default=True).exclude(
            code=code
        ).update(is_default=False)
    warehouse, is_new = Warehouse.objects.update_or_create(
        company_id=actor.company_id,
        code=code,
        defaults={
            "name": name,
            "priority": priority,
            "address": dict(address or {}),
            "is_default": is_default,
            "is_active": is_active,
        },
    )
    audit.record(
        actor=actor,
        action="warehouse.founded" if is_new else "warehouse.updated",
        object_type="warehouse",
        object_id=warehouse.id,
        after={"code": code, "name": name, "is_active": is_active},
        now=now,
    )
    return warehouse


# --- parts ------------------------------------------------------------------------------------


def write_books(books: Books, variant_ids: set[UUID], *, actor: Actor, now: datetime) -> None:
    """Write the books and announce the availability of these variants, whether or not it became or was zero."""
    books.serve(actor=actor)
    books.write(actor=actor, now=now, always=variant_ids, why=Why.STAFF)


def check_figures(**figures: int | None) -> None:
    errors = [
        FieldError(_camel(name), "invalid", f"A number from 0 to {MOST_UNITS}.")
        for name, value in figures.items()
        if value is not None and not 0 <= value <= MOST_UNITS
    ]
    if errors:
        raise ValidationFailed(errors=errors)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def refused(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(message, errors=[FieldError(field, code, message)])
