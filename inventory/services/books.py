"""
The stock books: rows under lock, changed in memory by small verbs, written back in one statement.

Every service that moves stock opens the books of the variants it is about, changes them and writes them. So locks are
taken in one place and in one order, and the number of statements does not depend on the number of lines.
"""

from __future__ import annotations

import json
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
from config.platform.prepared import prepared_cursor
from inventory.events import BackInStockLapsed, LowStock, StockChanged, Why
from inventory.models import Reservation, StockMovement, Variant
from inventory.services import claims, turns
from inventory.services.claims import Claim
from inventory.services.turns import Turn

ACTIVE = Reservation.Status.ACTIVE.value
EXPIRED = Reservation.Status.EXPIRED.value
COMPLETED = Reservation.Status.COMPLETED.value
CANCELLED = Reservation.Status.CANCELLED.value


@dataclass(slots=True, kw_only=True)
class Level:
    """One stock level under lock. `rank` orders warehouses; a level that is not `usable` serves nobody new."""

    id: UUID
    variant_id: UUID
    sku: str
    on_backorder: bool
    warehouse: str
    rank: tuple[int, str]
    usable: bool
    available: int
    reserved: int
    backordered: int
    backorder_limit: int | None
    reorder_level: int
    is_low: bool
    is_awaited: bool
    before: tuple[int, int, int] = (0, 0, 0)

    @property
    def total(self) -> int:
        return self.available + self.reserved

    @property
    def backorder_room(self) -> int | None:
        """How many more units may be promised beyond stock; None is without limit."""
        if not self.on_backorder or not self.usable:
            return 0
        return (
            None
            if self.backorder_limit is None
            else max(self.backorder_limit - self.backordered, 0)
        )

    @property
    def figures(self) -> tuple[int, int, int]:
        return self.available, self.reserved, self.backordered


@dataclass(slots=True, kw_only=True)
class HeldUnits:
    """One reservation row of the books. `quantity` units are taken from stock, `backordered` are owed."""

    id: UUID
    stock_level_id: UUID
    cart_id: UUID | None
    line_id: UUID | None
    order_id: UUID | None
    order_line_id: UUID | None
    holder: str
    address: str
    quantity: int
    backordered: int
    status: str
    started_at: datetime
    expires_at: datetime
    is_new: bool = False
    is_touched: bool = False
    before: tuple[Claim, int] | None = None  # whose how many units were when the books were opened

    @property
    def units(self) -> int:
        return self.quantity + self.backordered

    @property
    def claim(self) -> Claim | None:
        return Claim.of(**{name: getattr(self, name) for name in _CLAIM})

    @classmethod
    def template(
        cls,
        *,
        line_id: UUID | None,
        holder: str,
        address: str,
        started_at: datetime,
        expires_at: datetime,
        cart_id: UUID | None = None,
        order_id: UUID | None = None,
        order_line_id: UUID | None = None,
    ) -> HeldUnits:
        """Return whose a hold shall be and until when, without units."""
        return cls(
            id=new_id(),
            stock_level_id=new_id(),
            cart_id=cart_id,
            line_id=line_id,
            order_id=order_id,
            order_line_id=order_line_id,
            holder=holder,
            address=address,
            quantity=0,
            backordered=0,
            status=ACTIVE,
            started_at=started_at,
            expires_at=expires_at,
            is_new=True,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a demand: so many units from one level, so many owed by it."""

    level: Level
    quantity: int
    backordered: int


def allocate(levels: Sequence[Level], quantity: int) -> list[Part] | None:
    """
    Return which levels serve `quantity` units, or None if they cannot.

    One warehouse that can serve all of it comes first, so that an order is one parcel; else units are taken by
    rank, and what then is missing is promised beyond stock where the policy allows it.
    """
    ranked = sorted((level for level in levels if level.usable), key=lambda level: level.rank)
    for level in ranked:
        if level.available >= quantity:
            return [Part(level, quantity, 0)]
    taken = {level.id: 0 for level in ranked}
    owed = dict(taken)
    rest = quantity
    for level in ranked:
        taken[level.id] = min(level.available, rest)
        rest -= taken[level.id]
    for level in ranked:
        room = level.backorder_room
        owed[level.id] = rest if room is None else min(room, rest)
        rest -= owed[level.id]
    if rest:
        return None
    return [
        Part(level, taken[level.id], owed[level.id])
        for level in ranked
        if taken[level.id] or owed[level.id]
    ]


# The lock and the reads behind it travel together, as statements of one batch: in READ COMMITTED each has a snapshot
# of its own, so what is read after the lock is what the row's last holder left. A batch cannot be prepared; sent
# through the driver's pipeline instead, so that they can, they cost more than their planning does (measured).
_LOCK = """
    SELECT s.id, s.variant_id, v.sku, v.inventory_policy, w.code, w.priority, w.is_default, w.is_active,
           s.available, s.reserved, s.backordered, s.backorder_limit, s.reorder_level, s.is_low,
           s.is_awaited
      FROM inventory s
      JOIN variants v ON v.id = s.variant_id
      JOIN warehouses w ON w.id = s.warehouse_id
     WHERE s.company_id = %(company)s AND s.variant_id {variants}
     ORDER BY s.id
       FOR NO KEY UPDATE OF s
"""
_HOLDS = """
    SELECT r.id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id, r.holder, r.address,
           r.quantity, r.backordered, r.status, r.started_at, r.expires_at
      FROM stock_reservations r
     WHERE {where}
"""
# Of each shelf the oldest, and no more than there are units asked for: each has one at least, so that is enough.
_OVERDUE = """
    SELECT r.id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id, r.holder, r.address,
           r.quantity, r.backordered, r.status, r.started_at, r.expires_at
      FROM inventory s
     CROSS JOIN LATERAL (
           SELECT * FROM stock_reservations d
            WHERE d.stock_level_id = s.id AND d.status = 'ACTIVE' AND d.expires_at <= %(now)s
            ORDER BY d.expires_at LIMIT %(units)s) r
     WHERE s.variant_id {variants}
"""


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
        statements = [*before, _LOCK.format(variants=variants)]
        if holds:
            statements.append(_HOLDS.format(where=holds))
        if reclaim:
            statements.append(_OVERDUE.format(variants=variants))
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
        own = _read_holds(results.pop(0), levels) if holds else {}
        overdue = _read_holds(results.pop(0), levels) if reclaim else {}
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
            for name in _OWNERSHIP:
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
            rows = _read_rows(
                _OWED,
                variants=list(free),
                free=list(free.values()),
                filled=list(self.filled),
                now=self.now,
            )
            for owed in _read_holds(rows, self.levels).values():
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
        rows = _read_rows(
            _HOLDS.format(where=_OFFERED), variants=list(awaited), holder=holder, now=self.now
        )
        for held in _read_holds(rows, self.levels).values():
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
        _write(
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


# As many rows as units are free are enough: each is given one at least.
_OWED = """
    SELECT r.* FROM unnest(%(variants)s::uuid[], %(free)s::int[]) AS f(variant_id, units)
     CROSS JOIN LATERAL (
        SELECT r.id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id, r.holder, r.address,
               r.quantity, r.backordered, r.status, r.started_at, r.expires_at
          FROM stock_reservations r
         WHERE r.stock_level_id IN (SELECT s.id FROM inventory s WHERE s.variant_id = f.variant_id)
           AND r.backordered > 0 AND (r.status = 'COMPLETED' OR r.status = 'ACTIVE' AND r.expires_at > %(now)s)
           AND NOT r.id = ANY(%(filled)s::uuid[])
         ORDER BY r.id LIMIT f.units) r
"""
_OFFERED = """
    r.status = 'ACTIVE' AND r.holder = %(holder)s AND r.expires_at > %(now)s AND r.cart_id IS NULL
    AND r.line_id IN (SELECT q.id FROM back_in_stock_requests q
                       WHERE q.variant_id = ANY(%(variants)s) AND q.status = 'OFFERED')
"""


def _read_rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


_CLAIM = ("cart_id", "line_id", "order_id", "order_line_id")
_OWNERSHIP = (
    *_CLAIM,
    "holder",
    "address",
    "started_at",
    "expires_at",
)


def _read_holds(
    rows: Iterable[tuple[Any, ...]], levels: dict[UUID, Level]
) -> dict[UUID, HeldUnits]:
    holds = {}
    for row in rows:
        if row[1] in levels:
            held = holds[row[0]] = HeldUnits(
                id=row[0],
                stock_level_id=row[1],
                cart_id=row[2],
                line_id=row[3],
                order_id=row[4],
                order_line_id=row[5],
                holder=row[6],
                address=row[7],
                quantity=row[8],
                backordered=row[9],
                status=row[10],
                started_at=row[11],
                expires_at=row[12],
            )
            if held.claim is not None and held.status in (ACTIVE, COMPLETED):
                held.before = held.claim, held.units
    return holds


_CHANGED_HOLDS = """
    changed_holds AS (
        UPDATE stock_reservations r
           SET status = c.status, quantity = c.quantity, backordered = c.backordered,
               cart_id = c.cart_id, line_id = c.line_id, order_id = c.order_id, order_line_id = c.order_line_id,
               holder = c.holder, address = c.address, started_at = c.started_at, expires_at = c.expires_at,
               completed_at = CASE WHEN c.status = 'COMPLETED' THEN coalesce(r.completed_at, %(now)s) END,
               released_at = CASE WHEN c.status IN ('EXPIRED', 'CANCELLED') THEN %(now)s END,
               updated_at = %(now)s
          FROM jsonb_to_recordset(%(changed_holds)s::jsonb) AS c(
               id uuid, status text, quantity int, backordered int, cart_id uuid, line_id uuid, order_id uuid,
               order_line_id uuid, holder text, address text, started_at timestamptz, expires_at timestamptz)
         WHERE r.id = c.id)
"""
_NEW_HOLDS = """
    new_holds AS (
        INSERT INTO stock_reservations (
               id, company_id, stock_level_id, variant_id, cart_id, line_id, order_id, order_line_id, holder, address,
               quantity, backordered, status, started_at, expires_at, completed_at, created_at, updated_at)
        SELECT c.id, %(company)s, c.stock_level_id, c.variant_id, c.cart_id, c.line_id, c.order_id, c.order_line_id,
               c.holder, c.address, c.quantity, c.backordered, c.status, c.started_at, c.expires_at,
               CASE WHEN c.status = 'COMPLETED' THEN %(now)s END, %(now)s, %(now)s
          FROM jsonb_to_recordset(%(new_holds)s::jsonb) AS c(
               id uuid, stock_level_id uuid, variant_id uuid, status text, quantity int, backordered int, cart_id uuid,
               line_id uuid, order_id uuid, order_line_id uuid, holder text, address text, started_at timestamptz,
               expires_at timestamptz))
"""
_MOVEMENTS = """
    movements AS (
        INSERT INTO stock_transactions (
               id, company_id, stock_level_id, variant_id, type, quantity, balance, order_line_id, reference, notes,
               actor, source, created_at)
        SELECT * FROM jsonb_to_recordset(%(movements)s::jsonb) AS c(
               id uuid, company_id uuid, stock_level_id uuid, variant_id uuid, type text, quantity int, balance int,
               order_line_id uuid, reference text, notes text, actor text, source text, created_at timestamptz))
"""
_LEVELS = """
    UPDATE inventory s
       SET available = c.available, reserved = c.reserved, total = c.available + c.reserved,
           backordered = c.backordered, is_low = c.is_low, updated_at = %(now)s
      FROM jsonb_to_recordset(%(levels)s::jsonb) AS c(
           id uuid, available int, reserved int, backordered int, is_low boolean)
     WHERE s.id = c.id
"""


def _write(
    changed: list[Level],
    touched: list[HeldUnits],
    levels: dict[UUID, Level],
    movements: list[dict[str, Any]],
    events: Sequence[Event],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    values: dict[str, Any] = {"now": now, "company": actor.company_id}
    parts = []
    for name, sql, holds in (
        ("changed_holds", _CHANGED_HOLDS, [held for held in touched if not held.is_new]),
        ("new_holds", _NEW_HOLDS, [held for held in touched if held.is_new]),
    ):
        if holds:
            parts.append(sql)
            values[name] = _json(
                {
                    "id": held.id,
                    "stock_level_id": held.stock_level_id,
                    "variant_id": levels[held.stock_level_id].variant_id,
                    "status": held.status,
                    "quantity": held.quantity,
                    "backordered": held.backordered,
                    **{column: getattr(held, column) for column in _OWNERSHIP},
                }
                for held in holds
            )
    if movements:
        parts.append(_MOVEMENTS)
        values["movements"] = _json(movements)
    if changed:
        values["levels"] = _json(
            {
                "id": level.id,
                "available": level.available,
                "reserved": level.reserved,
                "backordered": level.backordered,
                "is_low": level.is_low,
            }
            for level in changed
        )
    if events:
        parts.append(outbox.PART)
        values["events"] = outbox.announce_within(*events, actor=actor, now=now)
    if not parts and not changed:
        return
    with prepared_cursor() as cursor:
        head = f"WITH {','.join(parts)} " if parts else ""
        cursor.execute(head + (_LEVELS if changed else "SELECT 1"), values)


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), default=str)
