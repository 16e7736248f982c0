"""
Work at the shelves: adjusting, counting, receiving, moving between warehouses, writing off.

Each verb takes one shelf or many, refuses all of it or does all of it, and answers with the figures before and after. So a
preview is the deed itself in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import new_id
from inventory import selectors
from inventory.errors import (
    ProductNotFound,
    StockBelowHolds,
    StockLevelExists,
    StockLevelNotFound,
    StockMoved,
)
from inventory.models import StockLevel, StockMovement, Variant
from inventory.services.stock import (
    MOST_UNITS,
    add_missing_levels,
    check_figures,
    refused,
    warehouses_by_code,
)
from inventory.services.work import IN_CARTS, ShelfChange, ShelfCount, ShelfUnits, ShelfWork

MOST_LINES = 500

# What a person may enter by hand, and which way it moves stock: sales are made by orders.
_SIGNS: Mapping[str, tuple[int, ...]] = {
    StockMovement.Type.PURCHASE: (1,),
    StockMovement.Type.RETURN: (1,),
    StockMovement.Type.DAMAGE: (-1,),
    StockMovement.Type.ADJUSTMENT: (1, -1),
}


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """So many units of a SKU came with a delivery."""

    sku: str
    quantity: int


@transaction.atomic
def adjust(
    *,
    actor: Actor,
    stock_level_id: UUID,
    quantity: int,
    type: str = StockMovement.Type.ADJUSTMENT,
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> StockLevel:
    """
    Change what lies on one shelf by a signed number of units: `adjust_shelves` with one line.

    :raises ValidationFailed: if the quantity is 0, out of range, or of the wrong sign for the type
    :raises StockLevelNotFound: if the company has no such record
    :raises StockBelowHolds: if fewer units are free than are taken away; nothing is written
    """
    adjust_shelves(
        actor=actor,
        lines=[ShelfUnits(stock_level_id, quantity)],
        type=type,
        reference=reference,
        notes=notes,
        now=now,
    )
    return selectors.find_stock_level(actor=actor, stock_level_id=stock_level_id)


@transaction.atomic
def adjust_shelves(
    *,
    actor: Actor,
    lines: Sequence[ShelfUnits],
    type: str = StockMovement.Type.ADJUSTMENT,
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> list[ShelfChange]:
    """
    Change what lies on shelves by signed numbers of units, with one movement and one audit entry for each.

    Units that arrive first fill what is owed beyond stock, oldest promise first. Locks the variants' stock, every shelf
    in key order.

    :raises ValidationFailed: if a quantity is 0, out of range, or of the wrong sign for the type
    :raises StockLevelNotFound: if the company has no such record
    :raises StockBelowHolds: if fewer units are free than are taken away, naming each shelf; nothing is written
    """
    signs = _SIGNS.get(type)
    if signs is None:
        raise refused("type", "invalid_choice", f"{type} is not entered by hand.")
    _check_lines(lines, lambda quantity: _adjustment_problem(quantity, type, signs))
    work = ShelfWork.open(actor=actor, lines=lines, reference=reference, notes=notes, now=now)
    for line, level in work.each(lines):
        work.change(level, type, line.quantity, field=_field(lines, line))
    return work.finish(
        "stock.adjusted", reason=" · ".join(part for part in (str(type), reference, notes) if part)
    )


@transaction.atomic
def receive(
    *,
    actor: Actor,
    stock_level_id: UUID,
    quantity: int,
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> StockLevel:
    """
    Put goods that were bought on one shelf: `adjust` with a PURCHASE movement.

    :raises ValidationFailed: if the quantity is not at least 1
    :raises StockLevelNotFound: if the company has no such record
    """
    return adjust(
        actor=actor,
        stock_level_id=stock_level_id,
        quantity=quantity,
        type=StockMovement.Type.PURCHASE,
        reference=reference,
        notes=notes,
        now=now,
    )


@transaction.atomic
def receive_delivery(
    *,
    actor: Actor,
    lines: Sequence[DeliveryLine],
    warehouse: str = "",
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> list[ShelfChange]:
    """
    Put a delivery on the shelves of a warehouse (the default one without a code): a PURCHASE movement for each SKU.

    A SKU named twice is summed. Shelves that are missing are made. What is owed is filled first, oldest promise first.
    Goods that are no longer sold are taken too: they were ordered once.

    :raises ValidationFailed: if a SKU is unknown or a quantity not at least 1, naming each line; nothing is written
    :raises WarehouseNotFound: if the code names no warehouse
    """
    variants = _check_delivery(actor, lines)
    place = warehouses_by_code(company_id=actor.company_id, codes={warehouse})[warehouse]
    wanted: dict[UUID, int] = {}
    for line in lines:
        variant_id = variants[line.sku]
        wanted[variant_id] = wanted.get(variant_id, 0) + line.quantity
    add_missing_levels(
        actor=actor, pairs={(variant_id, place) for variant_id in wanted}, reorder_levels={}
    )
    shelves = dict(
        StockLevel.objects.filter(warehouse=place, variant_id__in=wanted)
        .order_by()
        .values_list("variant_id", "id")
    )
    units = [ShelfUnits(shelves[variant_id], quantity) for variant_id, quantity in wanted.items()]
    work = ShelfWork.open(actor=actor, lines=units, reference=reference, notes=notes, now=now)
    places = {variants[line.sku]: index for index, line in reversed(list(enumerate(lines)))}
    for shelf, level in work.each(units):
        work.change(
            level,
            StockMovement.Type.PURCHASE,
            shelf.quantity,
            field=f"lines.{places[level.variant_id]}.quantity",
        )
    return work.finish("stock.received", reason=_reason(reference, notes))


@transaction.atomic
def transfer(
    *,
    actor: Actor,
    lines: Sequence[ShelfUnits],
    warehouse: str,
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> list[ShelfChange]:
    """
    Move free units from shelves to another warehouse: all of it or nothing.

    Writes two ADJUSTMENT movements for each line, which net to zero and share the reference `transfer <paper>`, and an
    audit entry for each shelf. Makes shelves that are missing there. Holds stay where they are; what arrives first fills
    what is owed there. Locks every shelf of the variants in key order, so two opposite transfers wait for each
    other instead of blocking each other.

    :returns: the change of each source, followed by that of its target
    :raises ValidationFailed: if a quantity is not at least 1, or a shelf is in that warehouse already
    :raises StockLevelNotFound: if the company has no such record
    :raises WarehouseNotFound: if the code names no warehouse
    :raises StockBelowHolds: if fewer units are free than shall move, naming each shelf; nothing is written
    """
    _check_lines(lines, _units_problem)
    place = warehouses_by_code(company_id=actor.company_id, codes={warehouse})[warehouse]
    sources = {
        shelf_id: (variant_id, warehouse_id)
        for shelf_id, variant_id, warehouse_id in StockLevel.objects.filter(
            company_id=actor.company_id, id__in=[line.stock_level_id for line in lines]
        )
        .order_by()
        .values_list("id", "variant_id", "warehouse_id")
    }
    if len(sources) < len(lines):
        raise StockLevelNotFound
    if any(warehouse_id == place.id for _, warehouse_id in sources.values()):
        raise refused("warehouse", "invalid", f"These units are in {place.code} already.")
    add_missing_levels(
        actor=actor,
        pairs={(variant_id, place) for variant_id, _ in sources.values()},
        reorder_levels={},
    )
    paper = f"transfer {reference or new_id().hex[-8:].upper()}"
    work = ShelfWork.open(actor=actor, lines=lines, reference=paper, notes=notes, now=now)
    targets = {
        level.variant_id: level for level in work.books.levels.values() if level.warehouse == place.code
    }  # fmt: skip
    for line, source in work.each(lines):
        target = targets[source.variant_id]
        route = f"{source.warehouse} → {target.warehouse}"
        field_name = _field(lines, line)
        if work.change(
            source, StockMovement.Type.ADJUSTMENT, -line.quantity, field=field_name, note=route
        ):
            work.change(
                target, StockMovement.Type.ADJUSTMENT, line.quantity, field=field_name, note=route
            )
    return work.finish("stock.transferred", reason=_reason(paper, notes))


@transaction.atomic
def write_off(
    *,
    actor: Actor,
    lines: Sequence[ShelfUnits],
    reference: str = "",
    notes: str = "",
    release_holds: bool = False,
    now: datetime,
) -> list[ShelfChange]:
    """
    Take broken or lost units off shelves, with a DAMAGE movement and an audit entry for each.

    Never takes promised units silently: the refusal lists the holds in the way. With `release_holds`, what carts hold is
    given up as far as needed, the newest hold first; what belongs to an order never is.

    :raises ValidationFailed: if a quantity is not at least 1
    :raises StockLevelNotFound: if the company has no such record
    :raises StockBelowHolds: if fewer units are free than are lost; `extra.holds` says who holds the rest
    """
    _check_lines(lines, _units_problem)
    work = ShelfWork.open(
        actor=actor,
        lines=lines,
        reference=reference,
        notes=notes,
        holds=IN_CARTS if release_holds else "",
        now=now,
    )
    for line, level in work.each(lines):
        if release_holds:
            work.release(level, units=line.quantity)
        work.change(level, StockMovement.Type.DAMAGE, -line.quantity, field=_field(lines, line))
    return work.finish("stock.damaged", reason=_reason(reference, notes))


@transaction.atomic
def count_shelves(
    *,
    actor: Actor,
    counts: Sequence[ShelfCount],
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> list[ShelfChange]:
    """
    Set shelves to what a person counted, all of them or none: an ADJUSTMENT movement for each that differs.

    A count is refused where it is below what is held, and where the shelf moved since it was looked at: what was sold
    while somebody counted would be brought back otherwise.

    :raises ValidationFailed: if a quantity is out of range
    :raises StockLevelNotFound: if the company has no such record
    :raises StockMoved: if a shelf's total is not what was `seen`; nothing is written
    :raises StockBelowHolds: if less was counted than is held; nothing is written
    """
    _check_lines(
        counts,
        lambda quantity: (
            None if 0 <= quantity <= MOST_UNITS else f"A count is a number from 0 to {MOST_UNITS}."
        ),
    )
    work = ShelfWork.open(actor=actor, lines=counts, reference=reference, notes=notes, now=now)
    for count, level in work.each(counts):
        field_name = _field(counts, count)
        if count.seen is not None and level.total != count.seen:
            work.refuse(
                StockMoved,
                field_name,
                f"{level.sku} moved while you counted: {count.seen} became {level.total} in the books. Count it again.",
                level,
            )
        elif count.quantity < level.reserved:
            work.refuse(
                StockBelowHolds,
                field_name,
                f"{level.reserved} of {level.sku} are promised, so fewer cannot lie there.",
                level,
            )
        elif count.quantity != level.total:
            work.change(
                level,
                StockMovement.Type.ADJUSTMENT,
                count.quantity - level.total,
                field=field_name,
                note="counted",
            )
    return work.finish("stock.counted", reason=_reason(reference, notes))


@transaction.atomic
def create_stock_level(
    *,
    actor: Actor,
    variant_id: UUID,
    warehouse: str = "",
    available: int = 0,
    reorder_level: int | None = None,
    reorder_quantity: int | None = None,
    backorder_limit: int | None = None,
    reference: str = "",
    notes: str = "",
    now: datetime,
) -> StockLevel:
    """
    Open a stock record for a variant in a warehouse (the default one without a code), with what lies there.

    :raises ProductNotFound: if the company has no such variant
    :raises WarehouseNotFound: if the code names no warehouse
    :raises StockLevelExists: if there is one already
    :raises ValidationFailed: if a number is out of range
    """
    check_figures(
        available=available,
        reorder_level=reorder_level,
        reorder_quantity=reorder_quantity,
        backorder_limit=backorder_limit,
    )
    if not Variant.objects.filter(id=variant_id, company_id=actor.company_id).exists():
        raise ProductNotFound
    place = warehouses_by_code(company_id=actor.company_id, codes={warehouse})[warehouse]
    if StockLevel.objects.filter(variant_id=variant_id, warehouse=place).exists():
        raise StockLevelExists
    try:
        with transaction.atomic():
            level = StockLevel.objects.create(
                company_id=actor.company_id,
                variant_id=variant_id,
                warehouse=place,
                reorder_level=settings.DEFAULT_REORDER_LEVEL
                if reorder_level is None
                else reorder_level,
                reorder_quantity=(
                    settings.DEFAULT_REORDER_QUANTITY
                    if reorder_quantity is None
                    else reorder_quantity
                ),
                backorder_limit=backorder_limit,
                is_low=True,
            )
    except IntegrityError:
        raise StockLevelExists from None
    if available:
        return adjust(
            actor=actor,
            stock_level_id=level.id,
            quantity=available,
            type=StockMovement.Type.PURCHASE,
            reference=reference,
            notes=notes or "opening stock",
            now=now,
        )
    return selectors.find_stock_level(actor=actor, stock_level_id=level.id)


# --- parts ------------------------------------------------------------------------------------


def _reason(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _field(lines: Sequence[Any], line: Any) -> str:
    return "quantity" if len(lines) == 1 else f"lines.{lines.index(line)}.quantity"


def _units_problem(quantity: int) -> str | None:
    return None if 1 <= quantity <= MOST_UNITS else f"A number from 1 to {MOST_UNITS}."


def _adjustment_problem(quantity: int, type: str, signs: tuple[int, ...]) -> str | None:
    if not quantity or abs(quantity) > MOST_UNITS:
        return f"A number other than 0, up to {MOST_UNITS}."
    if (1 if quantity > 0 else -1) not in signs:
        return f"{type} needs a {'positive' if signs[0] > 0 else 'negative'} number."
    return None


def _check_lines(
    lines: Sequence[ShelfUnits | ShelfCount], problem: Callable[[int], str | None]
) -> None:
    _check_size(lines)
    errors = [
        FieldError(_field(lines, line), "invalid", message)
        for line in lines
        if (message := problem(line.quantity))
    ]
    seen: set[UUID] = set()
    for index, line in enumerate(lines):
        if line.stock_level_id in seen:
            errors.append(FieldError(f"lines.{index}", "invalid", "This shelf is named twice."))
        seen.add(line.stock_level_id)
    if errors:
        raise ValidationFailed(errors[0].message if len(errors) == 1 else None, errors=errors)


def _check_size(lines: Sequence[Any]) -> None:
    if not 1 <= len(lines) <= MOST_LINES:
        raise refused("lines", "invalid", f"Name 1 to {MOST_LINES} lines.")


def _check_delivery(actor: Actor, lines: Sequence[DeliveryLine]) -> dict[str, UUID]:
    """Return the variant of each SKU, or refuse naming every line that is wrong."""
    _check_size(lines)
    variants = dict(
        Variant.objects.filter(
            company_id=actor.company_id, sku__in={line.sku for line in lines}
        ).values_list("sku", "id")
    )
    errors = []
    for index, line in enumerate(lines):
        if line.sku not in variants:
            errors.append(
                FieldError(
                    f"lines.{index}.sku", ProductNotFound.code, f"There is no SKU {line.sku[:80]}."
                )
            )
        if message := _units_problem(line.quantity):
            errors.append(FieldError(f"lines.{index}.quantity", "invalid", message))
    if errors:
        raise ValidationFailed(errors[0].message if len(errors) == 1 else None, errors=errors)
    return variants
