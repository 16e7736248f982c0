"""
Do the counters of the shelves say what holds and movements say? Looked at often, repaired only when asked (JOB-12).

The books of a shelf are its holds and its movements; `reserved`, `total` and `backordered` are counters kept beside them
so that a sale need not add up. Where they differ, the books are right: movements are append-only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from config.platform import audit
from config.platform.actor import Actor
from inventory.errors import StockLevelNotFound
from inventory.models import StockDrift, StockMovement
from inventory.services.books import Books
from inventory.services.levels import Level
from inventory.services.stock import write_books

Kind = StockDrift.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One counter of a shelf that is not what the books say; `outcome` tells of its repair."""

    stock_level_id: UUID
    company_id: UUID
    sku: str
    warehouse: str
    kind: str
    expected: int
    actual: int
    is_repaired: bool = False
    outcome: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "sku": self.sku,
            "warehouse": self.warehouse,
            "kind": str(self.kind),
            "expected": self.expected,
            "actual": self.actual,
            "repaired": self.is_repaired,
            "outcome": self.outcome,
        }


# One statement, so one snapshot: a sale that commits meanwhile is seen whole or not at all.
_DRIFTS = """
    SELECT s.id, s.company_id, v.sku, w.code, s.total, s.reserved, s.backordered,
           coalesce(m.units, 0), coalesce(m.last_balance, 0), coalesce(h.held, 0), coalesce(h.owed, 0)
      FROM inventory s
      JOIN variants v ON v.id = s.variant_id
      JOIN warehouses w ON w.id = s.warehouse_id
      LEFT JOIN (SELECT r.stock_level_id,
                        coalesce(sum(r.quantity) FILTER (WHERE r.status = 'ACTIVE'), 0) AS held,
                        sum(r.backordered) AS owed
                   FROM stock_reservations r
                  WHERE (r.status = 'ACTIVE' OR (r.status = 'COMPLETED' AND r.backordered > 0)) {of_holds}
                  GROUP BY 1) h ON h.stock_level_id = s.id
      LEFT JOIN (SELECT t.stock_level_id, sum(t.quantity) AS units,
                        (array_agg(t.balance ORDER BY t.id DESC))[1] AS last_balance
                   FROM stock_transactions t
                  WHERE true {of_movements}
                  GROUP BY 1) m ON m.stock_level_id = s.id
     WHERE (s.total <> coalesce(m.units, 0) OR coalesce(m.units, 0) <> coalesce(m.last_balance, 0)
            OR s.reserved <> coalesce(h.held, 0) OR s.backordered <> coalesce(h.owed, 0)) {of_shelves}
     ORDER BY s.id
"""
_ONE = {
    "of_holds": "AND r.stock_level_id = %(level)s",
    "of_movements": "AND t.stock_level_id = %(level)s",
    "of_shelves": "AND s.id = %(level)s",
}


def find_drifts(*, company_id: UUID | None = None) -> list[Drift]:
    """Return every counter that differs from the books, in one snapshot and without a lock: one statement."""
    shelves = "AND s.company_id = %(company)s" if company_id else ""
    sql = _DRIFTS.format(of_holds="", of_movements="", of_shelves=shelves)
    with transaction.atomic(), connection.cursor() as cursor:
        # It adds up every movement there is; a request is never made to wait for that.
        cursor.execute("SET LOCAL statement_timeout = '80s'")
        cursor.execute(sql, {"company": company_id})
        rows = cursor.fetchall()
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    return _read(rows)


def reconcile(*, now: datetime, company_id: UUID | None = None) -> list[Drift]:
    """
    Compare and report: what is found stays open as a `StockDrift` until it is repaired or gone. Repairs nothing.
    """
    drifts = find_drifts(company_id=company_id)
    found = {(drift.stock_level_id, str(drift.kind)): drift for drift in drifts}
    with transaction.atomic():
        still: set[tuple[UUID, str]] = set()
        for row in _open(company_id):
            drift = found.get((row.stock_level_id, row.kind))
            if drift is None:
                row.closed_at, row.outcome = now, row.outcome or "No longer there."
            else:
                row.expected, row.actual = drift.expected, drift.actual
                still.add((row.stock_level_id, row.kind))
            row.save()
        StockDrift.objects.bulk_create(
            [
                StockDrift(
                    company_id=drift.company_id,
                    stock_level_id=drift.stock_level_id,
                    kind=drift.kind,
                    expected=drift.expected,
                    actual=drift.actual,
                    found_at=now,
                )
                for key, drift in found.items()
                if key not in still
            ],
            ignore_conflicts=True,
        )
    return drifts


def repair_all(*, drifts: Iterable[Drift], source: str, now: datetime) -> list[Drift]:
    """Repair the shelves of these findings, each in a transaction of its own; return what became of each finding."""
    shelves = {drift.stock_level_id: drift.company_id for drift in drifts}
    told = []
    for stock_level_id, company_id in shelves.items():
        actor = Actor.system(company_id, source=source)
        told += repair(actor=actor, stock_level_id=stock_level_id, now=now)
    return told


@transaction.atomic
def repair(*, actor: Actor, stock_level_id: UUID, now: datetime) -> list[Drift]:
    """
    Set a shelf's counters to what its books say, looked at again under the row's lock; return what was found.

    The repair is an audit entry with the figures before and after. Where the balance that movements carry is broken,
    two movements restate it. Nothing is changed where more is promised than there would be, or more is owed than the
    limit allows: then staff have to decide, and the outcome says so.

    :raises StockLevelNotFound: if the company has no such record
    """
    books = Books.open(
        company_id=actor.company_id,
        variants="IN (SELECT i.variant_id FROM inventory i WHERE i.id = %(level)s)",
        reads=[_DRIFTS.format(**_ONE)],
        level=stock_level_id,
        now=now,
    )
    level = books.levels.get(stock_level_id)
    if level is None:
        raise StockLevelNotFound
    drifts = _read(books.extra[0])
    if drifts:
        row = books.extra[0][0]
        units, last_balance, held, owed = (int(value) for value in row[7:11])
        outcome = _obstacle(level, units, held, owed)
        is_repaired = not outcome
        if is_repaired:
            before = _figures(level)
            level.available, level.reserved, level.backordered = units - held, held, owed
            if units != last_balance:
                _restate(books, level, actor=actor, now=now)
            audit.record(
                actor=actor,
                action="stock.reconciled",
                object_type="stock_level",
                object_id=level.id,
                before=before,
                after=_figures(level),
                reason=", ".join(str(drift.kind) for drift in drifts),
                now=now,
            )
            write_books(books, {level.variant_id}, actor=actor, now=now)
            outcome = "Repaired."
        drifts = [replace(drift, is_repaired=is_repaired, outcome=outcome) for drift in drifts]
    _note(stock_level_id, drifts, now)
    return drifts


def _obstacle(level: Level, units: int, held: int, owed: int) -> str:
    if units < held:
        return f"{held} units are promised and movements leave {units}: let holds go or count the shelf first."
    if level.backorder_limit is not None and owed > level.backorder_limit:
        return f"{owed} units are owed and the limit is {level.backorder_limit}: raise the limit first."
    return ""


def _restate(books: Books, level: Level, *, actor: Actor, now: datetime) -> None:
    """Let the last movement say what lies there: one unit more and one less, as a movement of none cannot be."""
    for step in (1, -1):
        level.available += step
        books.move(
            level,
            StockMovement.Type.ADJUSTMENT,
            step,
            actor=actor,
            now=now,
            notes="reconciled: restates the balance",
        )


def _note(stock_level_id: UUID, drifts: list[Drift], now: datetime) -> None:
    told = {str(drift.kind): drift for drift in drifts}
    for row in StockDrift.objects.filter(stock_level_id=stock_level_id, closed_at=None):
        drift = told.get(row.kind)
        row.outcome = drift.outcome if drift else "No longer there."
        row.closed_at = None if drift and not drift.is_repaired else now
        row.save()


def _open(company_id: UUID | None) -> QuerySet[StockDrift]:
    rows = StockDrift.objects.filter(closed_at=None).select_for_update(no_key=True).order_by("pk")
    return rows.filter(company_id=company_id) if company_id else rows


def _read(rows: Iterable[tuple[Any, ...]]) -> list[Drift]:
    found = []
    for (
        id,
        company,
        sku,
        code,
        total,
        reserved,
        backordered,
        units,
        last_balance,
        held,
        owed,
    ) in rows:
        for kind, expected, actual in (
            (Kind.TOTAL, units, total),
            (Kind.BALANCE, units, last_balance),
            (Kind.RESERVED, held, reserved),
            (Kind.BACKORDERED, owed, backordered),
        ):
            if expected != actual:
                found.append(
                    Drift(
                        stock_level_id=id,
                        company_id=company,
                        sku=sku,
                        warehouse=code,
                        kind=kind,
                        expected=int(expected),
                        actual=int(actual),
                    )
                )
    return found


def _figures(level: Level) -> dict[str, int]:
    return {
        "available": level.available,
        "reserved": level.reserved,
        "total": level.total,
        "backordered": level.backordered,
    }
