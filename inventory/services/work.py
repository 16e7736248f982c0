"""The work at shelves in one piece: what is done to which shelf, everything that speaks against it, and the trail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from inventory import selectors
from inventory.errors import StockBelowHolds, StockLevelNotFound
from inventory.services.books import Books
from inventory.services.levels import CANCELLED, HeldUnits, Level
from inventory.services.stock import MOST_UNITS, write_books


@dataclass(frozen=True, slots=True)
class ShelfUnits:
    """So many units of one shelf; signed where the verb is `adjust_shelves`."""

    stock_level_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class ShelfCount:
    """
    So many units were counted on one shelf, held ones among them.

    `seen` is the total the books showed when the counting began; None trusts the count whatever moved since.
    """

    stock_level_id: UUID
    quantity: int
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    available: int
    reserved: int
    total: int
    backordered: int


@dataclass(frozen=True, slots=True)
class ShelfChange:
    """What was done to one shelf."""

    stock_level_id: UUID
    variant_id: UUID
    sku: str
    warehouse: str
    before: Figures
    after: Figures

    @property
    def difference(self) -> int:
        """How many units lie there more than before; negative where there are fewer."""
        return self.after.total - self.before.total


Line = TypeVar("Line", ShelfUnits, ShelfCount)

IN_CARTS = """
    r.status = 'ACTIVE' AND r.order_line_id IS NULL AND r.stock_level_id = ANY(%(levels)s)
    ORDER BY r.id
"""


@dataclass(slots=True)
class ShelfWork:
    """One deed on some shelves: what it changes, and everything that speaks against it."""

    actor: Actor
    now: datetime
    reference: str
    notes: str
    books: Books
    before: dict[UUID, Figures] = field(default_factory=dict)
    refusals: list[tuple[type[ApplicationError], FieldError, Level]] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        *,
        actor: Actor,
        lines: Sequence[ShelfUnits | ShelfCount],
        reference: str,
        notes: str,
        holds: str = "",
        now: datetime,
    ) -> ShelfWork:
        """
        Lock all shelves of the variants that `lines` are about; units whose hold ran out are free at once.

        :raises StockLevelNotFound: if the company has not every record
        """
        ids = [line.stock_level_id for line in lines]
        books = Books.open(
            company_id=actor.company_id,
            variants="IN (SELECT i.variant_id FROM inventory i WHERE i.id = ANY(%(levels)s))",
            holds=holds,
            reclaim=True,
            levels=ids,
            now=now,
        )
        if any(level_id not in books.levels for level_id in ids):
            raise StockLevelNotFound
        work = cls(actor, now, reference, notes, books)
        for level_id in ids:
            work.note(books.levels[level_id])
        books.reclaim()
        return work

    def each(self, lines: Iterable[Line]) -> Iterable[tuple[Line, Level]]:
        return ((line, self.books.levels[line.stock_level_id]) for line in lines)

    def note(self, level: Level) -> None:
        """Remember a shelf's figures before anything is done to it."""
        self.before.setdefault(level.id, _figures(level))

    def refuse(self, error: type[ApplicationError], field: str, message: str, level: Level) -> None:
        self.refusals.append((error, FieldError(field, error.code, message), level))

    def change(self, level: Level, type: str, units: int, *, field: str, note: str = "") -> bool:
        """Put units on a shelf or take free ones away, with the movement; False, and a refusal, where that cannot be."""
        self.note(level)
        if level.available + units < 0:
            self.refuse(
                StockBelowHolds,
                field,
                f"{level.available} of {level.sku} are free, {level.reserved} are promised.",
                level,
            )
            return False
        if level.total + units > MOST_UNITS:
            self.refuse(
                ValidationFailed, field, f"A shelf holds at most {MOST_UNITS} units.", level
            )
            return False
        level.available += units
        self.books.move(
            level,
            type,
            units,
            actor=self.actor,
            now=self.now,
            reference=self.reference,
            notes=" · ".join(part for part in (note, self.notes) if part),
        )
        return True

    def release(self, level: Level, *, units: int) -> None:
        """Give up what carts hold of a shelf, newest first, until `units` are free."""
        for held in reversed(list(self.books.holds.values())):
            if level.available >= units:
                return
            if _frees(held, level):
                self.books.give_back(held)
                self.books.close(held, CANCELLED)

    def finish(self, action: str, *, reason: str) -> list[ShelfChange]:
        """
        Write the books, the audit entries and the announcements; return the changes in the order they were made.

        :raises ApplicationError: if anything was refused: the first refusal, with every field; nothing is written
        """
        if self.refusals:
            raise self._refusal()
        self.books.serve(actor=self.actor)  # so that the trail shows what is left
        changes = [
            ShelfChange(
                level_id, level.variant_id, level.sku, level.warehouse, before, _figures(level)
            )
            for level_id, before in self.before.items()
            for level in [self.books.levels[level_id]]
        ]
        audit.record_each(
            actor=self.actor,
            action=action,
            object_type="stock_level",
            changes=[
                (change.stock_level_id, _as_dict(change.before), _as_dict(change.after))
                for change in changes
            ],
            reason=reason,
            now=self.now,
        )
        moved = {change.variant_id for change in changes if change.before != change.after}
        write_books(self.books, moved, actor=self.actor, now=self.now)
        return changes

    def _refusal(self) -> ApplicationError:
        error, first, level = self.refusals[0]
        short = [level for kind, _, level in self.refusals if kind is StockBelowHolds]
        extra: dict[str, Any] = {
            "sku": level.sku,
            "available": level.available,
            "reserved": level.reserved,
        }
        if short:
            extra["holds"] = [
                {
                    "id": str(hold.pk),
                    "sku": hold.variant.sku,
                    "quantity": hold.quantity,
                    "cartId": str(hold.cart_id) if hold.cart_id else None,
                    "orderId": str(hold.order_id) if hold.order_id else None,
                    "expiresAt": hold.expires_at.isoformat().replace("+00:00", "Z"),
                }
                for hold in selectors.holds_on(stock_level_ids=[level.id for level in short])[:10]
            ]
        detail = first.message
        if len(self.refusals) > 1:
            detail = f"{len(self.refusals)} shelves cannot be changed like this."
        return error(detail, errors=[problem for _, problem, _ in self.refusals], extra=extra)


def _frees(held: HeldUnits, level: Level) -> bool:
    return held.stock_level_id == level.id and held.status != CANCELLED and held.quantity > 0


def _figures(level: Level) -> Figures:
    return Figures(level.available, level.reserved, level.total, level.backordered)


def _as_dict(figures: Figures) -> dict[str, int]:
    return {name: getattr(figures, name) for name in Figures.__slots__}
