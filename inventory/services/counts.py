"""Counts of many shelves at once, by SKU and warehouse: looked at first, then applied, all of them or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError
from inventory.errors import CountsRefused, PreviewOutdated
from inventory.models import StockLevel, StockMovement, Variant, Warehouse
from inventory.services.books import Books
from inventory.services.levels import Level
from inventory.services.stock import (
    MOST_UNITS,
    add_missing_levels,
    write_books,
)

MOST_ROWS = 50_000
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRow:
    """
    So many units of a SKU were found in a warehouse ("" is the default one), held ones among them.

    `counted_at` says when: what came and went since is kept. `expected` is the total that the list showed to whoever
    counted; without a time the row is refused if the shelf is no longer what the list said. With neither, the
    figure is what lies there now. `row` names the row in messages.
    """

    sku: str
    quantity: int
    warehouse: str = ""
    expected: int | None = None
    counted_at: datetime | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be applied; `column` is the field of `CountRow` to look at."""

    row: int
    column: str
    code: str
    message: str
    sku: str = ""


@dataclass(frozen=True, slots=True)
class CountChange:
    """What a row does to its shelf: totals, held units among them. `since` came and went after the count."""

    row: int
    sku: str
    warehouse: str
    before: int
    after: int
    reserved: int
    since: int = 0

    @property
    def difference(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class CountOutcome:
    """What counts did, or would do. `refused` rows are not in `changes`; `fingerprint` names exactly these changes."""

    changes: tuple[CountChange, ...] = ()
    unchanged: int = 0
    refused: tuple[Problem, ...] = ()

    @property
    def fingerprint(self) -> str:
        content = "\n".join(
            f"{change.sku}\t{change.warehouse}\t{change.difference}"
            for change in sorted(self.changes, key=lambda change: (change.sku, change.warehouse))
        )
        return hashlib.sha256(content.encode()).hexdigest()


def preview_counts(
    *,
    actor: Actor,
    rows: Sequence[CountRow],
    counted_at: datetime | None = None,
    now: datetime,
) -> CountOutcome:
    """Return what `apply_counts` would do now, without a lock: a handful of statements for any number of rows."""
    wanted = _Wanted.find(actor, rows, counted_at, now)
    figures = {
        (variant_id, code): (level_id, total, reserved)
        for level_id, variant_id, code, total, reserved in StockLevel.objects.filter(
            company_id=actor.company_id, variant_id__in=wanted.variant_ids
        )
        .order_by()
        .values_list("id", "variant_id", "warehouse__code", "total", "reserved")
    }
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, wanted.times(wanted.pairs))
        since = _read_since(cursor.fetchall())
    changes, unchanged, refused = [], 0, list(wanted.problems)
    for pair in wanted.pairs:
        level_id, total, reserved = figures.get(
            (pair.variant_id, pair.warehouse.code), (None, 0, 0)
        )
        found = _judge(pair, total, reserved, since.get(level_id) if level_id else None)
        if isinstance(found, Problem):
            refused.append(found)
        elif found.difference:
            changes.append(found)
        else:
            unchanged += 1
    return CountOutcome(tuple(changes), unchanged, _sorted(refused))


@transaction.atomic
def apply_counts(
    *,
    actor: Actor,
    rows: Sequence[CountRow],
    counted_at: datetime | None = None,
    reference: str = "",
    notes: str = "",
    all_or_nothing: bool = True,
    previewed: str = "",
    now: datetime,
) -> CountOutcome:
    """
    Set shelves to what was counted: one ADJUSTMENT movement for each that differs, one audit entry for all.

    `counted_at` is for rows that have no time of their own. Stock records that are missing are opened where something
    was found. Locks every shelf concerned, in key order, before the first is judged; about ten statements for each
    500 rows. With `previewed`, the fingerprint of a preview, nothing else than that is done.

    :raises CountsRefused: if a row cannot be applied, with every such row; nothing is written. Not raised without
        `all_or_nothing`: the outcome tells then
    :raises PreviewOutdated: if the shop changed so that the counts would do something else than was shown
    """
    wanted = _Wanted.find(actor, rows, counted_at, now)
    if wanted.problems and all_or_nothing:
        # All that can be known before a lock; what only the shelves know is added to it.
        outcome = preview_counts(actor=actor, rows=rows, counted_at=counted_at, now=now)
        raise refusal_of(outcome.refused)
    add_missing_levels(
        actor=actor,
        pairs={(pair.variant_id, pair.warehouse) for pair in wanted.pairs if pair.row.quantity},
        reorder_levels={},
    )
    # In one statement, so that the chunks below meet nobody who locks in another order.
    list(
        StockLevel.objects.filter(company_id=actor.company_id, variant_id__in=wanted.variant_ids)
        .for_update()
        .values_list("pk", flat=True)
    )
    chunks = []
    changes: list[CountChange] = []
    unchanged, refused = 0, list(wanted.problems)
    for start in range(0, len(wanted.pairs), _CHUNK):
        pairs = wanted.pairs[start : start + _CHUNK]
        books = Books.open(
            company_id=actor.company_id,
            reclaim=True,
            reads=[_SINCE],
            variant_ids=list({pair.variant_id for pair in pairs}),
            now=now,
            **wanted.times(pairs),
        )
        books.reclaim()
        levels = {(level.variant_id, level.warehouse): level for level in books.levels.values()}
        since = _read_since(books.extra[0])
        moved: list[tuple[Level, CountChange]] = []
        for pair in pairs:
            level = levels.get((pair.variant_id, pair.warehouse.code))
            found = _judge(
                pair,
                level.total if level else 0,
                level.reserved if level else 0,
                since.get(level.id) if level else None,
            )
            if isinstance(found, Problem):
                refused.append(found)
            elif found.difference and level is not None:
                moved.append((level, found))
                changes.append(found)
            else:
                unchanged += 1
        chunks.append((books, moved))
    outcome = CountOutcome(tuple(changes), unchanged, _sorted(refused))
    if outcome.refused and all_or_nothing:
        raise refusal_of(outcome.refused)
    if previewed and previewed != outcome.fingerprint:
        raise PreviewOutdated
    for books, moved in chunks:
        _write(books, moved, actor=actor, reference=reference, notes=notes, now=now)
    if changes:
        audit.record(
            actor=actor,
            action="stock.counted",
            object_type="stock_count",
            object_id=reference[:60],
            after={
                "shelves": len(changes),
                "unchanged": unchanged,
                "left_out": len(refused),
                "units": sum(change.difference for change in changes),
            },
            reason=" · ".join(part for part in (reference, notes) if part),
            now=now,
        )
    return outcome


def refusal_of(problems: Sequence[Problem]) -> CountsRefused:
    """Return the refusal that names every one of these problems by row and column."""
    first = problems[0]
    where = f"Row {first.row}: " if first.row else ""
    more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
    return CountsRefused(
        f"{where}{first.message}{more}",
        errors=[
            FieldError(f"rows.{problem.row}.{problem.column}", problem.code, problem.message)
            for problem in problems
        ],
    )


# --- parts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    row: CountRow
    variant_id: UUID
    warehouse: Warehouse


@dataclass(slots=True)
class _Wanted:
    """Rows whose SKU and warehouse are known, and what speaks against the others."""

    pairs: list[_Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def variant_ids(self) -> list[UUID]:
        return list({pair.variant_id for pair in self.pairs})

    @classmethod
    def find(
        cls, actor: Actor, rows: Sequence[CountRow], counted_at: datetime | None, now: datetime
    ) -> _Wanted:
        wanted = cls()
        if len(rows) > MOST_ROWS:
            wanted.problems.append(
                Problem(0, "sku", "max_length", f"At most {MOST_ROWS} rows at once.")
            )
            return wanted
        variants: Mapping[str, UUID] = dict(
            Variant.objects.filter(company_id=actor.company_id, sku__in={row.sku for row in rows})
            .order_by()
            .values_list("sku", "id")
        )
        warehouses = {
            place.code: place for place in Warehouse.objects.filter(company_id=actor.company_id)
        }
        default = next((place for place in warehouses.values() if place.is_default), None)
        taken: dict[tuple[UUID, UUID], int] = {}
        for number, row in enumerate(rows, 1):
            row = row if row.row else replace(row, row=number)
            variant_id = variants.get(row.sku)
            warehouse = warehouses.get(row.warehouse) if row.warehouse else default
            if variant_id is None:
                wanted.refuse(row, "sku", "PRODUCT_NOT_FOUND", f"There is no SKU {row.sku[:80]}.")
            if warehouse is None:
                wanted.refuse(
                    row,
                    "warehouse",
                    "WAREHOUSE_NOT_FOUND",
                    f"There is no warehouse {row.warehouse[:40]}."
                    if row.warehouse
                    else "There is no default warehouse.",
                )
            if not 0 <= row.quantity <= MOST_UNITS:
                wanted.refuse(
                    row, "quantity", "invalid", f"A count is a whole number from 0 to {MOST_UNITS}."
                )
            if variant_id is None or warehouse is None:
                continue
            first = taken.setdefault((variant_id, warehouse.id), row.row)
            if first != row.row:
                wanted.refuse(
                    row, "sku", "duplicate", f"{row.sku[:80]} is counted in row {first} already."
                )
            elif (row.counted_at or counted_at or now) > now:
                wanted.refuse(row, "counted_at", "invalid", "This time has not come yet.")
            elif 0 <= row.quantity <= MOST_UNITS:
                timed = replace(row, counted_at=row.counted_at or counted_at)
                wanted.pairs.append(_Pair(timed, variant_id, warehouse))
        return wanted

    def refuse(self, row: CountRow, column: str, code: str, message: str) -> None:
        self.problems.append(Problem(row.row, column, code, message, row.sku))

    def times(self, pairs: Iterable[_Pair]) -> dict[str, Any]:
        timed = [pair for pair in pairs if pair.row.counted_at]
        return {
            "timed_variants": [pair.variant_id for pair in timed],
            "timed_warehouses": [pair.warehouse.id for pair in timed],
            "times": [pair.row.counted_at for pair in timed],
        }


# What came and went on a shelf after it was counted, and whether somebody corrected it since.
_SINCE = """
    SELECT m.stock_level_id, sum(m.quantity), bool_or(m.type = 'ADJUSTMENT')
      FROM unnest(%(timed_variants)s::uuid[], %(timed_warehouses)s::uuid[], %(times)s::timestamptz[])
           AS c(variant_id, warehouse_id, at)
      JOIN inventory s ON s.variant_id = c.variant_id AND s.warehouse_id = c.warehouse_id
      JOIN stock_transactions m ON m.stock_level_id = s.id AND m.created_at > c.at
     GROUP BY m.stock_level_id
"""


def _read_since(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, tuple[int, bool]]:
    return {level_id: (int(units), corrected) for level_id, units, corrected in rows}


def _judge(
    pair: _Pair, total: int, reserved: int, since: tuple[int, bool] | None
) -> CountChange | Problem:
    """Return what a row does to a shelf with these figures, or why it must not."""
    row = pair.row
    came, corrected = since or (0, False)

    def refuse(column: str, code: str, message: str) -> Problem:
        return Problem(row.row, column, code, message, row.sku)

    if row.counted_at is not None:
        if corrected:
            return refuse(
                "counted_at",
                "STOCK_CHANGED",
                f"The shelf of {row.sku} was corrected after this count. Count it again.",
            )
    elif row.expected is not None and row.expected != total:
        return refuse(
            "expected",
            "STOCK_CHANGED",
            f"{row.sku}: {row.expected} lay there when the list was made, {total} now. Say when it was counted.",
        )
    after = row.quantity + came
    if after < reserved:
        left = f", {-came} of them left since" if came < 0 else ""
        return refuse(
            "quantity",
            "STOCK_BELOW_HOLDS",
            f"{row.quantity} of {row.sku} were counted{left}, but {reserved} are promised.",
        )
    if after > MOST_UNITS:
        return refuse("quantity", "invalid", f"A shelf holds at most {MOST_UNITS} units.")
    return CountChange(row.row, row.sku, pair.warehouse.code, total, after, reserved, came)


def _write(
    books: Books,
    moved: Iterable[tuple[Level, CountChange]],
    *,
    actor: Actor,
    reference: str,
    notes: str,
    now: datetime,
) -> None:
    for level, change in moved:
        level.available += change.difference
        books.move(
            level,
            StockMovement.Type.ADJUSTMENT,
            change.difference,
            actor=actor,
            now=now,
            reference=reference,
            notes=notes or "counted",
        )
    write_books(books, {level.variant_id for level, _ in moved}, actor=actor, now=now)


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.row))
