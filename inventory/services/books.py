"""
The stock books: rows under lock, changed in memory by small verbs, written back in one statement.

Every service that moves stock opens the books of the variants it is about, changes them and writes them. So locks are
taken in one place and in one order, and the number of statements does not depend on the number of lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.events import Event
from config.platform.models import new_id
from inventory.events import BackInStockLapsed, LowStock, StockChanged, Why
from inventory.models import StockMovement, Variant
from inventory.services import claims, turns
from inventory.services.claims import Claim
from inventory.services.levels import (
    ACTIVE,
    CANCELLED,
    COMPLETED,
    EXPIRED,
    OWNERSHIP,
    HeldUnits,
    Level,
    allocate,
)
from inventory.services.statements import (
    HOLDS,
    LOCK,
    OFFERED,
    OVERDUE,
    OWED,
    read_holds,
    read_rows,
    write_down,
)
from inventory.services.turns import Turn


@dataclass(slots=True)
class Books:
    """The stock levels of some variants, all under lock, and those of their reservations that were asked for."""

    company_id: UUID
    now: datetime
    levels: dict[UUID, Level]
    holds: dict[UUID, HeldUnits]
    overdue: dict[UUID, HeldUnits]
    extra: list[list[tuple[Any, ...]]]
    movements: list[dict[str, Any]] = field(default_factory=list)
    lapsed: list[HeldUnits] = field(default_factory=list)
    offered: dict[UUID, Turn] = field(default_factory=dict)  # by this change
    taken: set[UUID] = field(default_factory=set)  # requests whose offer goes to a line
    filled: set[UUID] = field(default_factory=set)  # holds that are owed nothing any more
    became: dict[Claim, Claim] = field(default_factory=dict)  # what was handed on, and to whom

    @classmethod
    def open(
        cls,
        *,
        company_id: UUID,
        variants: str = "= ANY(%(variant_ids)s)",
        holds: str = "",
        reclaim: bool = False,
        units: int | None = None,
        before: Sequence[str] = (),
        reads: Sequence[str] = (),
        now: datetime,
        **values: Any,
    ) -> Books:
        """
        Lock the stock of `variants` in key order and read the reservations matching `holds`: one round trip.

        `variants` and `holds` are SQL conditions over the named `values`. With `reclaim`, other holds on these rows whose
        time is over are read too: all, or where `units` are wanted as many of each shelf as can be needed for those. What `before` and `reads` select comes in `extra`; the first of them run ahead of the lock,
        so that nobody waits for them. Take cart, order and coupon locks before calling.
        """
        several = flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES")
        statements = [*before, LOCK.format(variants=variants)]
        if holds:
            statements.append(HOLDS.format(where=holds))
        if reclaim:
            statements.append(OVERDUE.format(variants=variants))
        statements += reads
        results: list[list[tuple[Any, ...]]] = []
        with connection.cursor() as cursor:
            cursor.execute(
                ";".join(statements),
                {"company": company_id, "now": now, "units": units, **values},
            )
            results.append(cursor.fetchall())
            while cursor.nextset():
                results.append(cursor.fetchall())
        extra, results = results[: len(before)], results[len(before) :]
        levels = {}
        for row in results.pop(0):
            level = Level(
                id=row[0],
                variant_id=row[1],
                sku=row[2],
                on_backorder=row[3] == Variant.Policy.CONTINUE,
                warehouse=row[4],
                rank=(row[5], row[4]),
                usable=row[7] and (several or row[6]),
                available=row[8],
                reserved=row[9],
                backordered=row[10],
                backorder_limit=row[11],
                reorder_level=row[12],
                is_low=row[13],
                is_awaited=row[14],
            )
            level.before = level.figures
            levels[level.id] = level
        own = read_holds(results.pop(0), levels) if holds else {}
        overdue = read_holds(results.pop(0), levels) if reclaim else {}
        return cls(
            company_id,
            now,
            levels,
            own,
            {key: held for key, held in overdue.items() if key not in own},
            extra + results,
        )

    def of_variant(self, variant_id: UUID) -> list[Level]:
        return [level for level in self.levels.values() if level.variant_id == variant_id]

    # --- verbs ---

    def give_back(self, held: HeldUnits) -> None:
        """Return a hold's units to what may be promised; the row itself is not closed."""
        level = self.levels[held.stock_level_id]
        level.available += held.quantity
        level.reserved -= held.quantity
        level.backordered -= held.backordered

    def take(self, held: HeldUnits, quantity: int, backordered: int) -> None:
        """Make a hold keep exactly these units aside; it must have none at the moment."""
        level = self.levels[held.stock_level_id]
        level.available -= quantity
        level.reserved += quantity
        level.backordered += backordered
        if (held.quantity, held.backordered) != (quantity, backordered):
            held.quantity, held.backordered, held.is_touched = quantity, backordered, True

    def close(self, held: HeldUnits, status: str) -> None:
        """Close a hold whose units were given back."""
        held.status, held.is_touched = status, True

    def end(self, held: HeldUnits, status: str) -> None:
        """Close a hold and return its units; one whose time is over is announced."""
        self.give_back(held)
        self.close(held, status)
        if status == EXPIRED:
            self.holds.pop(held.id, None)
            self.lapsed.append(held)

    def reclaim(self) -> None:
        """
        Take back what is held beyond its time on these rows, so that no sale waits for the sweep.

        Where others wait, a line's own hold that lapsed is taken back too: it has no claim before them.
        """
        for held in list(self.holds.values()):
            is_cart_s = held.status == ACTIVE and held.order_line_id is None
            if is_cart_s and held.expires_at <= self.now and self._is_awaited(held):
                self.overdue[held.id] = held
        for held in self.overdue.values():
            self.end(held, EXPIRED)
        self.overdue = {}

    def place(
        self, own: Iterable[HeldUnits], template: HeldUnits, variant_id: UUID, quantity: int
    ) -> list[HeldUnits] | None:
        """
        Let one line hold exactly `quantity` units, replacing what it holds (`own`); None, and no change, if short.

        Rows are kept per level where the line already has one; `template` says whose the hold is and until when.
        """
        own = list(own)
        former = [(held, held.quantity, held.backordered) for held in own]
        heir = template.claim
        for held in own:
            self.give_back(held)
        parts = allocate(self.of_variant(variant_id), quantity) if quantity else []
        if parts is None:
            for held, units, owed in former:
                self.take(held, units, owed)
            return None
        if quantity and heir is not None:
            for held in own:
                self.hand_on(held, heir)
        rows: dict[UUID, HeldUnits] = {}
        # The row that is the line's already comes first: two rows of one shelf cannot swap keys in one statement.
        for held in sorted(own, key=lambda held: held.order_line_id != template.order_line_id):
            if rows.setdefault(held.stock_level_id, held) is not held:
                self.close(held, CANCELLED)
        placed = []
        for part in parts:
            row = rows.pop(part.level.id, None)
            if row is None:
                row = replace(template, id=new_id(), stock_level_id=part.level.id)
                self.holds[row.id] = row
            for name in OWNERSHIP:
                if getattr(row, name) != getattr(template, name):
                    setattr(row, name, getattr(template, name))
                    row.is_touched = True
            self.take(row, part.quantity, part.backordered)
            placed.append(row)
        for row in rows.values():
            self.close(row, CANCELLED)
        return placed

    def hand_on(self, held: HeldUnits, heir: Claim) -> None:
        """Note that what a hold kept for somebody is the heir's from now on."""
        if held.before is not None and held.before[0] != heir:
            self.became[held.before[0]] = heir

    def could_serve(self, own: Iterable[HeldUnits], variant_id: UUID) -> int:
        """Return how many units a line could hold at most, its own among them."""
        free = sum(held.units for held in own)
        for level in self.of_variant(variant_id):
            if level.usable:
                free += level.available + (level.backorder_room or 0)
        return free

    def can_serve_more(self, variant_id: UUID) -> bool:
        """Return whether a line that holds nothing could get a unit, from stock or beyond it."""
        return allocate(self.of_variant(variant_id), 1) is not None

    def sell(self, held: HeldUnits, *, actor: Actor, now: datetime, reference: str = "") -> None:
        """Turn a hold into a sale: its units leave the stock; what is owed stays owed until goods arrive."""
        level = self.levels[held.stock_level_id]
        level.reserved -= held.quantity
        self.close(held, COMPLETED)
        if held.quantity:
            self.move(
                level,
                StockMovement.Type.SALE,
                -held.quantity,
                actor=actor,
                now=now,
                order_line_id=held.order_line_id,
                reference=reference,
            )

    def move(
        self,
        level: Level,
        type: str,
        quantity: int,
        *,
        actor: Actor,
        now: datetime,
        order_line_id: UUID | None = None,
        reference: str = "",
        notes: str = "",
    ) -> None:
        """Note a change of `level.total` that has just been made: exactly one movement for it."""
        self.movements.append(
            {
                "id": new_id(),
                "company_id": actor.company_id,
                "stock_level_id": level.id,
                "variant_id": level.variant_id,
                "type": str(type),
                "quantity": quantity,
                "balance": level.total,
                "order_line_id": order_line_id,
                "reference": reference[:200],
                "notes": notes[:500],
                "actor": actor.label,
                "source": actor.source,
                "created_at": now,
            }
        )

    # --- whose units they are ---

    def _is_awaited(self, held: HeldUnits) -> bool:
        variant_id = self.levels[held.stock_level_id].variant_id
        return any(level.is_awaited for level in self.of_variant(variant_id))

    def _free(self, *, owed: bool) -> dict[UUID, int]:
        """Return how many free units each variant has that are promised: `owed` to somebody, or awaited."""
        free: dict[UUID, int] = {}
        promised = set()
        for level in self.levels.values():
            if owed or level.usable:
                free[level.variant_id] = free.get(level.variant_id, 0) + level.available
            if (level.backordered > 0) if owed else level.is_awaited:
                promised.add(level.variant_id)
        return {key: units for key, units in free.items() if units > 0 and key in promised}

    def serve(self, *, actor: Actor | None = None) -> None:
        """
        Give free units to those they belong to: first to whom they are owed, oldest promise first, then to whom waits.

        What is left is the public's. Called before somebody else is served from these rows, and by `write`, so that no
        unit is ever free between the moment it comes back and the moment it is offered. Costs nothing where
        nothing is free, or nothing is promised; otherwise a statement for each of the two.
        """
        free = self._free(owed=True)
        if free:
            rows = read_rows(
                OWED,
                variants=list(free),
                free=list(free.values()),
                filled=list(self.filled),
                now=self.now,
            )
            for owed in read_holds(rows, self.levels).values():
                self._fill(
                    self.holds.setdefault(owed.id, owed),
                    actor=actor or Actor.system(self.company_id),
                )
        free = self._free(owed=False)
        # Where holds are switched off nothing can be kept for anybody: the line waits.
        if free and flags.is_enabled("INVENTORY_HOLD_ENABLED"):
            for turn in turns.next_in_line(free, passed=list(self.offered)):
                self._offer(turn)

    def _fill(self, owed: HeldUnits, *, actor: Actor) -> None:
        """
        Give a hold what it is owed, as far as there is any: from its own shelf, then from others if it is sold already.

        A cart's hold takes from other shelves when it is next renewed; a second row for it now would cost a look for
        one that is there already.
        """
        if owed.status not in (ACTIVE, COMPLETED):
            return
        debtor = self.levels[owed.stock_level_id]
        others = [
            level
            for level in self.of_variant(debtor.variant_id)
            if level.usable and level is not debtor
        ]
        others.sort(key=lambda level: level.rank)
        for level in [debtor, *(others if owed.status == COMPLETED else [])]:
            units = min(level.available, owed.backordered)
            if units <= 0:
                continue
            level.available -= units
            debtor.backordered -= units
            owed.quantity += units
            owed.backordered -= units
            owed.is_touched = True
            if owed.status == ACTIVE:
                level.reserved += units
            else:
                self.move(
                    level,
                    StockMovement.Type.SALE,
                    -units,
                    actor=actor,
                    now=self.now,
                    order_line_id=owed.order_line_id,
                    notes="backorder filled",
                )
        if not owed.backordered:
            self.filled.add(owed.id)

    def _offer(self, turn: Turn) -> None:
        """Keep free units for the one whose turn it is; as many as there are, up to what they want."""
        levels = [level for level in self.of_variant(turn.variant_id) if level.usable]
        units = min(sum(level.available for level in levels), turn.quantity)
        parts = allocate(levels, units) if units > 0 else None
        if not parts:
            return
        until = self.now + settings.BACK_IN_STOCK_OFFER
        template = HeldUnits.template(
            line_id=turn.id, holder=turn.holder, address="", started_at=self.now, expires_at=until
        )
        for part in parts:
            row = replace(template, id=new_id(), stock_level_id=part.level.id)
            self.holds[row.id] = row
            self.take(row, part.quantity, 0)
        turn.offered_quantity, turn.offer_expires_at = units, until
        self.offered[turn.id] = turn

    def offers_to(self, holder: str) -> dict[UUID, list[HeldUnits]]:
        """Return what is kept for somebody who waited, by variant; no statement where nobody does."""
        awaited = {level.variant_id for level in self.levels.values() if level.is_awaited}
        if not awaited:
            return {}
        offers: dict[UUID, list[HeldUnits]] = {}
        rows = read_rows(
            HOLDS.format(where=OFFERED), variants=list(awaited), holder=holder, now=self.now
        )
        for held in read_holds(rows, self.levels).values():
            held = self.holds.setdefault(held.id, held)
            if held.status == ACTIVE:
                offers.setdefault(self.levels[held.stock_level_id].variant_id, []).append(held)
        return offers

    # --- back to the database ---

    def write(
        self,
        *,
        actor: Actor,
        now: datetime,
        why: Why | None = None,
        always: Collection[UUID] = (),
        also: Sequence[Event] = (),
    ) -> None:
        """
        Write everything that changed, and what is worth announcing, in one statement.

        Units kept aside and let go are told per holder, `why` being the reason for the latter; low stock once per
        downward crossing; a variant's availability when it begins or ceases to be zero, and that of `always` in any
        case. `also` is what the caller has to tell itself.
        """
        self.serve()
        changed = [level for level in self.levels.values() if level.figures != level.before]
        touched = [
            held for held in (*self.holds.values(), *self.lapsed) if held.is_touched or held.is_new
        ]
        events: list[Event] = [*self._claims(touched, why), *self._low(changed)]
        events += turns.offers(self.offered.values())
        events += self._crossings(changed, always)
        events += claims.expiries(
            (held.cart_id, held.order_id, held.line_id or held.order_line_id)
            for held in self.lapsed
        )
        write_down(
            changed, touched, self.levels, self.movements, [*events, *also], actor=actor, now=now
        )
        untaken = turns.write(
            offered=self.offered.values(),
            taken=self.taken,
            lapsed=self._offers_closed(touched),
            now=now,
        )
        if untaken:  # known only now: an offer lapses as a whole or becomes smaller
            skus = {level.variant_id: level.sku for level in self.levels.values()}
            outbox.publish(
                *(
                    BackInStockLapsed(aggregate_id=key, sku=skus[variant_id])
                    for key, variant_id in untaken.items()
                ),
                actor=actor,
                now=now,
            )

    def _claims(self, touched: list[HeldUnits], why: Why | None) -> list[Event]:
        change = claims.Change(self.became)
        for held in touched:
            level = self.levels[held.stock_level_id]
            if held.before is not None:
                note = change.lapse if held.status == EXPIRED else change.lose
                note(held.before[0], level.variant_id, level.sku, held.before[1])
            claim = held.claim
            if claim is not None and held.status in (ACTIVE, COMPLETED):
                change.gain(claim, level.variant_id, level.sku, held.units)
        return [*change.events(why)]

    def _low(self, changed: list[Level]) -> list[Event]:
        events: list[Event] = []
        for level in changed:
            was_low, level.is_low = level.is_low, level.available <= level.reorder_level
            if level.is_low and not was_low:
                events.append(
                    LowStock(
                        aggregate_id=level.id,
                        sku=level.sku,
                        warehouse=level.warehouse,
                        available=level.available,
                        reorder_level=level.reorder_level,
                    )
                )
        return events

    def _offers_closed(self, touched: list[HeldUnits]) -> set[UUID]:
        """Return the requests whose offer may have ended: holds of no cart and no order that were closed."""
        return {
            held.line_id
            for held in touched
            if held.status in (EXPIRED, CANCELLED)
            and held.line_id is not None
            and held.cart_id is None
            and held.order_id is None
            and self._is_awaited(held)
        } - self.taken

    def _crossings(self, changed: list[Level], always: Collection[UUID]) -> list[Event]:
        events: list[Event] = []
        for variant_id in dict.fromkeys([*(level.variant_id for level in changed), *always]):
            levels = self.of_variant(variant_id)
            usable = [level for level in levels if level.usable]
            available = sum(level.available for level in usable)
            before = sum(level.before[0] for level in usable)
            if variant_id in always or (available > 0) != (before > 0):
                events.append(
                    StockChanged(
                        aggregate_id=variant_id,
                        sku=levels[0].sku,
                        available=available,
                        before=before,
                    )
                )
        return events
