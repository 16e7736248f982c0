"""
What an outside system says of stock and products, applied one product at a time.

Messages and feeds speak through here, so the same rules hold for both: a product is changed as a whole or not at all,
what is older than what is known changes nothing, and what the shop sold meanwhile is never put back on the shelf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory.errors import ProductNotFound, StockBelowHolds, WarehouseNotFound
from inventory.models import Product, Source, SourceMark, StockMovement, Variant, Warehouse
from inventory.services.books import Books
from inventory.services.catalogue import discontinue, update_product
from inventory.services.drafts import ProductDraft
from inventory.services.levels import Level
from inventory.services.stock import (
    MOST_UNITS,
    add_missing_levels,
    warehouses_by_code,
    write_books,
)

# Clocks differ; a time further ahead than this would make everything said until then look old.
CLOCK_SKEW = timedelta(minutes=5)

SET, ADJUST, PRODUCT = "set", "adjust", "product"
APPLIED, UNCHANGED, STALE, REFUSED = "applied", "unchanged", "stale", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One thing a source says, true at `occurred_at`.

    `set`: so many units lay on the shelf then, held ones among them. `adjust`: so many came (positive) or went. Without
    a warehouse it is the source's own, else the default one. `product`: the product of this SKU has this name or
    status; "" leaves it.
    """

    kind: str
    sku: str
    occurred_at: datetime
    quantity: int = 0
    warehouse: str = ""
    type: str = StockMovement.Type.ADJUSTMENT
    name: str = ""
    status: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "type": str(self.type), "occurred_at": self.occurred_at.isoformat()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Change:
        return cls(**{**values, "occurred_at": datetime.fromisoformat(values["occurred_at"])})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change. `code` and `field` say why it was refused, or what was less than asked for."""

    index: int
    status: str
    code: str = ""
    field: str = ""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Task:
    """The changes of one product, each with its place in what was said; a product of None is not known here."""

    product: Product | None
    changes: tuple[tuple[int, Change], ...]
    variants: Mapping[str, Variant]


class _NothingDone(Exception):
    """Carries the outcomes of a product that was refused out of the transaction that is to be undone."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes


def by_product(*, actor: Actor, changes: Iterable[tuple[int, Change]]) -> list[Task]:
    """Return the changes by product, in the order in which products are first named: one statement."""
    changes = list(changes)
    skus = {change.sku for _, change in changes}
    known = {
        variant.sku: variant
        for variant in Variant.objects.filter(
            company_id=actor.company_id, sku__in=skus
        ).select_related("product")
    }
    grouped: dict[Any, list[tuple[int, Change]]] = {}
    for index, change in changes:
        variant = known.get(change.sku)
        grouped.setdefault(variant.product_id if variant else change.sku, []).append(
            (index, change)
        )
    tasks = []
    for mine in grouped.values():
        first = known.get(mine[0][1].sku)
        tasks.append(Task(first.product if first else None, tuple(mine), known))
    return tasks


def apply(
    *, actor: Actor, source: Source, task: Task, reference: str, now: datetime
) -> list[Outcome]:
    """
    Apply what a source says of one product, all of it or nothing; refusals are outcomes and never raised.

    A number that is set is as of its time: what others moved on the shelf since is added, so that units sold in the
    meantime stay sold. What is promised stays promised. `reference` begins with the source's short name and a colon, by
    which its own movements are told from those of others. Locks the product, then its stock.
    """
    if task.product is None:
        return [_refused(index, ProductNotFound(), "sku") for index, _ in task.changes]
    try:
        with transaction.atomic():
            return _apply(actor, source, task, reference, now)
    except _NothingDone as stopped:
        told = {outcome.index: outcome for outcome in stopped.outcomes}
        return [
            told.get(index)
            or Outcome(
                index, REFUSED, "NOT_APPLIED", "", "Another change of this product was refused."
            )
            for index, _ in task.changes
        ]


def _apply(
    actor: Actor, source: Source, task: Task, reference: str, now: datetime
) -> list[Outcome]:
    late = [
        Outcome(index, REFUSED, "invalid", "occurredAt", "This time is still to come.")
        for index, change in task.changes
        if change.occurred_at > now + CLOCK_SKEW
    ]
    if late:
        raise _NothingDone(late)
    about_product = [(index, change) for index, change in task.changes if change.kind == PRODUCT]
    about_stock = [(index, change) for index, change in task.changes if change.kind != PRODUCT]
    # The product's row first, whatever is changed: two messages about one product take turns.
    Product.objects.filter(id=task.product.id).for_update().first()  # type: ignore[union-attr]
    outcomes = _apply_product(actor, source, task, about_product, now)
    outcomes += _apply_stock(actor, source, task, about_stock, reference, now)
    return sorted(outcomes, key=lambda outcome: outcome.index)


# --- products ---------------------------------------------------------------------------------


def _apply_product(
    actor: Actor, source: Source, task: Task, changes: list[tuple[int, Change]], now: datetime
) -> list[Outcome]:
    product = task.product
    if not changes or product is None:
        return []
    mark = SourceMark.objects.filter(source=source, object_id=product.id).first()
    known_at = mark.set_at if mark else None
    outcomes = []
    for index, change in changes:
        if known_at is not None and change.occurred_at < known_at:
            outcomes.append(Outcome(index, STALE))
            continue
        known_at = change.occurred_at
        try:
            outcomes.append(
                Outcome(
                    index, APPLIED if _change_product(actor, product, change, now) else UNCHANGED
                )
            )
        except ApplicationError as refusal:
            raise _NothingDone([_refused(index, refusal, "name")]) from None
    SourceMark.objects.update_or_create(
        source=source, object_id=product.id, defaults={"set_at": known_at}
    )
    return outcomes


def _change_product(actor: Actor, product: Product, change: Change, now: datetime) -> bool:
    gone = Product.Status.DISCONTINUED
    was = Product.objects.values_list("status", flat=True).get(id=product.id)
    result = update_product(
        actor=actor,
        product_id=product.id,
        draft=ProductDraft(
            slug=product.slug,
            name=change.name or None,
            # ending a product has a verb of its own, with its own announcement
            status=change.status if change.status and change.status != gone else None,
        ),
        now=now,
    )
    if change.status == gone and was != gone:
        discontinue(actor=actor, product_id=product.id, now=now)
        return True
    return result.is_changed


# --- stock ------------------------------------------------------------------------------------

_MARKS = """
    SELECT m.object_id, m.set_at, m.adjusted_at FROM stock_source_marks m
     WHERE m.source_id = %(source)s
       AND m.object_id IN (SELECT i.id FROM inventory i WHERE i.variant_id = ANY(%(variant_ids)s))
"""
# What others moved on a shelf since a number was true of it. Many clocks tell whole seconds, so what came within the
# next one may have been counted already: in doubt the shelf has fewer units, which the next count mends.
_MOVED_SINCE = """
    SELECT a.place, coalesce(sum(t.quantity), 0)
      FROM unnest(%(places)s::int[], %(variants_said)s::uuid[], %(warehouses_said)s::uuid[], %(said_at)s::timestamptz[])
           AS a (place, variant_id, warehouse_id, at)
      JOIN inventory i ON i.variant_id = a.variant_id AND i.warehouse_id = a.warehouse_id
      JOIN stock_transactions t ON t.stock_level_id = i.id
       AND t.created_at > a.at + CASE WHEN t.quantity > 0 THEN interval '1 second' ELSE interval '0' END
       AND NOT starts_with(t.reference, %(own)s)
     GROUP BY a.place
"""


def _apply_stock(
    actor: Actor,
    source: Source,
    task: Task,
    changes: list[tuple[int, Change]],
    reference: str,
    now: datetime,
) -> list[Outcome]:
    if not changes:
        return []
    shelves = _shelves(actor, source, task, changes)
    add_missing_levels(
        actor=actor,
        pairs={(variant.id, warehouse) for variant, warehouse in shelves.values()},
        reorder_levels={},
    )
    counted = [(index, change) for index, change in changes if change.kind == SET]
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=list({variant.id for variant, _ in shelves.values()}),
        reads=[_MARKS, _MOVED_SINCE],
        now=now,
        source=source.id,
        own=f"{source.slug}:",
        places=[index for index, _ in counted],
        variants_said=[shelves[index][0].id for index, _ in counted],
        warehouses_said=[shelves[index][1].id for index, _ in counted],
        said_at=[change.occurred_at for _, change in counted],
    )
    marks: dict[UUID, list[datetime | None]] = {
        level: [set_at, adjusted_at] for level, set_at, adjusted_at in books.extra[0]
    }
    moved_since = {place: int(units) for place, units in books.extra[1]}
    levels = {(level.variant_id, level.warehouse): level for level in books.levels.values()}
    before = {level.id: _figures(level) for level in books.levels.values()}

    outcomes: list[Outcome] = []
    refused: list[Outcome] = []
    for index, change in changes:
        variant, warehouse = shelves[index]
        level = levels[variant.id, warehouse.code]
        mark = marks.setdefault(level.id, [None, None])
        if _is_known(change, mark):
            outcomes.append(Outcome(index, STALE))
            continue
        total = level.total
        outcome = (
            _set(level, index, change, moved_since.get(index, 0))
            if change.kind == SET
            else _adjust(level, index, change)
        )
        if outcome.status == REFUSED:
            refused.append(outcome)
            continue
        which = 0 if change.kind == SET else 1
        mark[which] = max(change.occurred_at, mark[which] or change.occurred_at)
        outcomes.append(outcome)
        if level.total != total:
            type_ = StockMovement.Type.ADJUSTMENT if change.kind == SET else change.type
            books.move(level, type_, level.total - total, actor=actor, now=now, reference=reference)
    if refused:
        raise _NothingDone(refused)
    _remember(source, {level: mark for level, mark in marks.items() if any(mark)})
    books.serve(actor=actor)
    _write(books, before, actor=actor, reference=reference, now=now)
    return outcomes


def _shelves(
    actor: Actor, source: Source, task: Task, changes: list[tuple[int, Change]]
) -> dict[int, tuple[Variant, Warehouse]]:
    """Return the variant and the warehouse each change is about: one statement."""
    own = source.warehouse.code if source.warehouse else ""
    codes = {index: change.warehouse or own for index, change in changes}
    known = {
        warehouse.code: warehouse
        for warehouse in Warehouse.objects.filter(company_id=actor.company_id)
    }
    if "" in codes.values():
        known |= warehouses_by_code(company_id=actor.company_id, codes={""})
    unknown = [
        _refused(index, WarehouseNotFound(f"There is no warehouse {code[:40]}."), "warehouse")
        for index, code in codes.items()
        if code not in known
    ]
    if unknown:
        raise _NothingDone(unknown)
    return {index: (task.variants[change.sku], known[codes[index]]) for index, change in changes}


def _is_known(change: Change, mark: Sequence[datetime | None]) -> bool:
    """Return whether something later was said of the shelf already, in which this is contained."""
    set_at, adjusted_at = mark
    if set_at is not None and change.occurred_at < set_at:
        return True
    return change.kind == SET and adjusted_at is not None and change.occurred_at < adjusted_at


def _set(level: Level, index: int, change: Change, moved_since: int) -> Outcome:
    if not 0 <= change.quantity <= MOST_UNITS:
        return Outcome(
            index,
            REFUSED,
            "invalid",
            "quantity",
            f"A count is a number from 0 to {MOST_UNITS}.",
        )
    wanted = min(max(change.quantity + moved_since, 0), MOST_UNITS)
    difference = max(wanted, level.reserved) - level.total
    level.available += difference
    if wanted < level.reserved:
        return Outcome(
            index,
            APPLIED if difference else UNCHANGED,
            StockBelowHolds.code,
            "quantity",
            f"{level.reserved} of {level.sku} are promised and stay on the shelf.",
        )
    return Outcome(index, APPLIED if difference else UNCHANGED)


def _adjust(level: Level, index: int, change: Change) -> Outcome:
    if not change.quantity or level.total + change.quantity > MOST_UNITS:
        text = f"A number other than 0; a shelf holds at most {MOST_UNITS} units."
        return Outcome(index, REFUSED, "invalid", "quantity", text)
    if level.available + change.quantity < 0:
        text = f"{level.available} of {level.sku} are free, {level.reserved} are promised."
        return Outcome(index, REFUSED, StockBelowHolds.code, "quantity", text)
    level.available += change.quantity
    return Outcome(index, APPLIED)


def _remember(source: Source, marks: Mapping[UUID, Sequence[datetime | None]]) -> None:
    SourceMark.objects.bulk_create(
        [
            SourceMark(source=source, object_id=level, set_at=set_at, adjusted_at=adjusted_at)
            for level, (set_at, adjusted_at) in marks.items()
        ],
        update_conflicts=True,
        unique_fields=["source", "object_id"],
        update_fields=["set_at", "adjusted_at"],
    )


def _write(
    books: Books,
    before: Mapping[UUID, dict[str, int]],
    *,
    actor: Actor,
    reference: str,
    now: datetime,
) -> None:
    """Write the books, one audit entry per shelf, and announce each variant whose stock changed."""
    changed = [level for level in books.levels.values() if _figures(level) != before[level.id]]
    for level in changed:
        audit.record(
            actor=actor,
            action="stock.reported",
            object_type="stock_level",
            object_id=level.id,
            before=before[level.id],
            after=_figures(level),
            reason=reference,
            now=now,
        )
    write_books(books, {level.variant_id for level in changed}, actor=actor, now=now)


def _figures(level: Level) -> dict[str, int]:
    return {
        "available": level.available,
        "reserved": level.reserved,
        "total": level.total,
        "backordered": level.backordered,
    }


def _refused(index: int, refusal: ApplicationError, field: str) -> Outcome:
    first = refusal.errors[0] if refusal.errors else None
    return Outcome(
        index,
        REFUSED,
        refusal.code,
        first.field if first else field,
        first.message if first else refusal.detail,
    )
