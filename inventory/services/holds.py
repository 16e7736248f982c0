"""Holds: units kept aside for a cart line, later for an order line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import connection, transaction

from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError
from config.platform.events import Event
from inventory import selectors
from inventory.errors import HoldFailed, HoldLimitExceeded, InsufficientStock
from inventory.events import HoldExpired, StockChanged, StockSold
from inventory.models import StockMovement, Variant
from inventory.selectors import Hold
from inventory.services.books import ACTIVE, CANCELLED, COMPLETED, Books, HeldUnits

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Demand:
    """So many units of a variant for a line: a cart line's id while it is a cart, the order line's afterwards."""

    line_id: UUID
    variant_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A demand that cannot be met. `available` is what this line could hold at most, its own units among them."""

    line_id: UUID
    variant_id: UUID
    sku: str
    requested: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLimits:
    """Ceilings that stop one visitor from emptying the shelves; `cap` bounds a hold's whole life, renewals included."""

    units_per_customer: int | None = None
    units_per_address: int | None = None
    cap: timedelta | None = None


def joined(service: Callable[P, R]) -> Callable[P, R]:
    """
    Run in the caller's transaction, or in one of its own where there is none.

    Unlike `atomic` it sets no savepoint, which would cost two round trips on the busiest path of the shop. Only for
    services that refuse before their first write: then there is nothing that a savepoint would undo.
    """

    @wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return service(*args, **kwargs)
        with transaction.atomic():
            return service(*args, **kwargs)

    return run


# --- for carts --------------------------------------------------------------------------------

_OF_LINES = "r.status = 'ACTIVE' AND r.line_id = ANY(%(lines)s) AND r.order_line_id IS NULL"
_HELD_ELSEWHERE = """
    SELECT coalesce(sum(r.quantity + r.backordered), 0) FROM stock_reservations r
     WHERE r.status = 'ACTIVE' AND r.expires_at > %(now)s AND r.order_line_id IS NULL
       AND r.company_id = %(company)s AND NOT r.line_id = ANY(%(lines)s)
"""


@joined
def reserve(
    *,
    actor: Actor,
    cart_id: UUID,
    demands: Sequence[Demand],
    expires_at: datetime,
    now: datetime,
    all_or_none: bool = True,
    limits: HoldLimits | None = None,
) -> list[Hold | Shortage]:
    """
    Hold exactly `quantity` units for each line until `expires_at`, replacing what the line holds.

    Own units never stand in one's own way, demand for one variant is summed over lines, holds of others whose time
    is over are taken back first, and units beyond stock are promised where the policy says so. A quantity of 0
    releases. A live hold is never shortened. Without `all_or_none` a line that cannot be served is answered by a
    Shortage and keeps what it held; lines are served in order. With holds switched off only availability is checked.

    Two statements, and one more where something is announced, whatever the number of lines. Lock the cart before
    calling; stock is locked here, last.

    :raises InsufficientStock: with `all_or_none`, if any line cannot be served; nothing is written
    :raises HoldLimitExceeded: if the customer or the address would hold more than `limits` allow; nothing is written
    """
    if not demands:
        return []
    if not flags.is_enabled("INVENTORY_HOLD_ENABLED"):
        return _check_only(demands, all_or_none=all_or_none, now=now)
    limits = limits or HoldLimits()
    ceilings = _ceilings(actor, limits)
    lines = [demand.line_id for demand in demands]
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=[demand.variant_id for demand in demands],
        holds=_OF_LINES,
        reclaim=True,
        reads=[f"{_HELD_ELSEWHERE} AND r.{column} = %({column})s" for column, _, _ in ceilings],
        lines=lines,
        now=now,
        holder=actor.identity,
        address=actor.address,
    )
    own = _by_line(books.holds.values())
    _check_ceilings(demands, own, ceilings, [rows[0][0] for rows in books.extra])
    books.reclaim()

    results: dict[UUID, Hold | Shortage] = {}
    for demand in _decreases_first(demands, own):
        held = own.get(demand.line_id, [])
        live = [hold for hold in held if hold.expires_at > now]
        started_at = min((hold.started_at for hold in live), default=now)
        until = expires_at if limits.cap is None else min(expires_at, started_at + limits.cap)
        until = max([until, *(hold.expires_at for hold in live)])
        keeps_holder = (
            actor.sees_everything and held
        )  # staff who help a customer do not become the holder
        placed = books.place(
            held,
            HeldUnits.template(
                cart_id=cart_id,
                line_id=demand.line_id,
                holder=held[0].holder if keeps_holder else actor.identity,
                address=held[0].address if keeps_holder else actor.address,
                started_at=started_at,
                expires_at=until,
            ),
            demand.variant_id,
            demand.quantity,
        )
        if placed is None:
            results[demand.line_id] = _shortage(books, demand, held)
        else:
            results[demand.line_id] = Hold(
                demand.line_id,
                demand.variant_id,
                demand.quantity,
                sum(hold.backordered for hold in placed),
                until if placed else None,
                started_at if placed else None,
            )
    ordered = [results[line_id] for line_id in lines]
    short = [result for result in ordered if isinstance(result, Shortage)]
    if short and all_or_none:
        raise refusal(InsufficientStock, short, lines)
    outbox.publish(*books.write(company_id=actor.company_id, now=now), actor=actor, now=now)
    return ordered


@joined
def release(*, actor: Actor, line_ids: Iterable[UUID], now: datetime) -> int:
    """Return the units of these cart lines to the shelf at once; return how many holds were closed."""
    return _release(_OF_LINES, actor=actor, now=now, lines=list(line_ids))


@joined
def release_cart(*, actor: Actor, cart_id: UUID, now: datetime) -> int:
    """Return all a cart holds to the shelf; what was given to an order stays with the order."""
    return _release(
        "r.status = 'ACTIVE' AND r.cart_id = %(cart)s AND r.order_line_id IS NULL",
        actor=actor,
        now=now,
        cart=cart_id,
    )


@joined
def extend(
    *, actor: Actor, cart_id: UUID, expires_at: datetime, cap: timedelta | None, now: datetime
) -> None:
    """
    Renew what a cart holds until `expires_at`, but never past `cap` from the moment the hold began.

    Never shortens, and never revives what has lapsed. One round trip; locks the stock.
    """
    mine = "r.status = 'ACTIVE' AND r.cart_id = %(cart)s AND r.order_line_id IS NULL AND r.expires_at > %(now)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.id FROM inventory s
             WHERE s.id IN (SELECT r.stock_level_id FROM stock_reservations r WHERE {mine})
             ORDER BY s.id FOR NO KEY UPDATE;
            UPDATE stock_reservations r
               SET expires_at = greatest(r.expires_at, least(%(until)s, r.started_at + %(cap)s)), updated_at = %(now)s
             WHERE {mine} AND r.company_id = %(company)s
            """,  # noqa: S608  (no value in it)
            {
                "cart": cart_id,
                "company": actor.company_id,
                "until": expires_at,
                "cap": cap if cap is not None else timedelta(days=3650),
                "now": now,
            },
        )


@joined
def move_holds(*, actor: Actor, line_map: Mapping[UUID, tuple[UUID, UUID]], now: datetime) -> None:
    """
    Hand holds over to other cart lines, as {old line: (new line, its cart)}: for merges.

    Where the new line holds units of the same stock already, the two become one. The caller becomes the holder.
    """
    if not line_map:
        return
    everybody = [*line_map, *(line_id for line_id, _ in line_map.values())]
    books = Books.open(
        company_id=actor.company_id,
        variants=_variants_where(_OF_LINES),
        holds=_OF_LINES,
        lines=everybody,
        now=now,
    )
    own = _by_line(books.holds.values())
    for old_line, (new_line, cart_id) in line_map.items():
        there = {
            hold.stock_level_id: hold for hold in own.get(new_line, []) if new_line != old_line
        }
        for hold in own.get(old_line, []):
            joins = there.get(hold.stock_level_id)
            if joins is None:
                hold.line_id, hold.cart_id, hold.is_touched = new_line, cart_id, True
                if not actor.sees_everything:
                    hold.holder, hold.address = actor.identity, actor.address
                there[hold.stock_level_id] = hold
                continue
            joins.quantity += hold.quantity
            joins.backordered += hold.backordered
            joins.started_at = min(joins.started_at, hold.started_at)
            joins.expires_at = max(joins.expires_at, hold.expires_at)
            joins.is_touched = True
            hold.status, hold.is_touched = CANCELLED, True
    books.write(company_id=actor.company_id, now=now)


# --- for orders -------------------------------------------------------------------------------

_OF_ORDER_LINES = "r.status IN ('ACTIVE', 'COMPLETED') AND r.order_line_id = ANY(%(order_lines)s)"


@joined
def assign(
    *,
    actor: Actor,
    cart_id: UUID | None,
    order_id: UUID,
    line_map: Mapping[UUID, UUID],
    demands: Sequence[Demand],
    expires_at: datetime,
    now: datetime,
) -> None:
    """
    Make the holds of a cart the order's, until `expires_at`: {cart line: order line}.

    What is missing or short is held anew, also where holds in carts are switched off. A repeated call changes
    nothing. Two statements, whatever the number of lines.

    :raises HoldFailed: if not every line can be held, naming each; nothing is written
    """
    _hold_for_order(
        actor=actor,
        cart_id=cart_id,
        order_id=order_id,
        demands=[
            Demand(line_map[demand.line_id], demand.variant_id, demand.quantity)
            for demand in demands
        ],
        cart_lines={order_line: cart_line for cart_line, order_line in line_map.items()},
        expires_at=expires_at,
        now=now,
    )


@joined
def reacquire(
    *, actor: Actor, order_id: UUID, demands: Sequence[Demand], expires_at: datetime, now: datetime
) -> None:
    """
    Hold an order's units again, or longer, as its payment is tried once more. Demands name order lines.

    :raises HoldFailed: if not every line can be held, naming each; nothing is written
    """
    _hold_for_order(
        actor=actor,
        cart_id=None,
        order_id=order_id,
        demands=demands,
        cart_lines={},
        expires_at=expires_at,
        now=now,
    )


def _hold_for_order(
    *,
    actor: Actor,
    cart_id: UUID | None,
    order_id: UUID,
    demands: Sequence[Demand],
    cart_lines: Mapping[UUID, UUID],
    expires_at: datetime,
    now: datetime,
) -> None:
    if not demands:
        return
    books = _open_for_order(actor=actor, demands=demands, cart_lines=cart_lines, now=now)
    short = []
    own, sold = _by_demand(books, cart_lines)
    for demand in _decreases_first(demands, own):
        missing = demand.quantity - sold.get(demand.line_id, 0)
        held = own.get(demand.line_id, [])
        if missing <= 0:
            continue
        template = _order_template(
            actor, order_id, demand.line_id, cart_id, cart_lines, held, expires_at, now
        )
        if books.place(held, template, demand.variant_id, missing) is None:
            short.append(_shortage(books, demand, held))
    if short:
        raise refusal(HoldFailed, short, [demand.line_id for demand in demands])
    outbox.publish(*books.write(company_id=actor.company_id, now=now), actor=actor, now=now)


@joined
def confirm(
    *, actor: Actor, order_id: UUID, demands: Sequence[Demand], now: datetime, reference: str = ""
) -> None:
    """
    Turn an order's holds into sales: COMPLETED, with one SALE movement for each. Demands name order lines.

    Holds that are gone are taken again if stock allows. A repeated call changes nothing. Units promised beyond stock
    stay owed, and are sold when goods arrive.

    :raises HoldFailed: if there is not enough stock left for every line; nothing is written
    """
    if not demands:
        return
    books = _open_for_order(actor=actor, demands=demands, cart_lines={}, now=now)
    own, sold = _by_demand(books, {})
    short, selling = [], []
    for demand in _decreases_first(demands, own):
        missing = demand.quantity - sold.get(demand.line_id, 0)
        held = own.get(demand.line_id, [])
        if missing <= 0:
            continue
        if sum(hold.units for hold in held) == missing:
            selling += held
            continue
        template = _order_template(actor, order_id, demand.line_id, None, {}, held, now, now)
        placed = books.place(held, template, demand.variant_id, missing)
        if placed is None:
            short.append(_shortage(books, demand, held))
        else:
            selling += placed
    if short:
        raise refusal(HoldFailed, short, [demand.line_id for demand in demands])
    for hold in selling:
        books.sell(hold, actor=actor, now=now, reference=reference)
    events = books.write(company_id=actor.company_id, now=now)
    if selling:
        units = sum(hold.units for hold in selling)
        events.append(StockSold(aggregate_id=order_id, units=units))
    outbox.publish(*events, actor=actor, now=now)


@joined
def release_order(*, actor: Actor, order_id: UUID, now: datetime) -> int:
    """Return what is held for an unpaid order to the shelf; what was sold comes back by `restock` only."""
    return _release(
        "r.status = 'ACTIVE' AND r.order_id = %(order)s", actor=actor, now=now, order=order_id
    )


_OUT = """
    SELECT m.order_line_id, m.stock_level_id, -sum(m.quantity) FROM stock_transactions m
     WHERE m.order_line_id = ANY(%(order_lines)s) GROUP BY 1, 2 HAVING sum(m.quantity) < 0 ORDER BY 2
"""


@joined
def restock(
    *,
    actor: Actor,
    order_id: UUID,
    items: Sequence[tuple[UUID, int]],
    damaged: bool = False,
    reference: str = "",
    now: datetime,
) -> int:
    """
    Take back units of order lines, cancelled or returned: [(order line, quantity)]; return how many were sold units.

    What is still only held, or owed beyond stock, is let go without a movement. Sold units come back to the
    warehouse they left, by a RETURN movement; damaged ones leave it again by DAMAGE. Never takes back more than
    went out, so a repeated call cannot make stock.
    """
    wanted: dict[UUID, int] = {}
    for order_line_id, quantity in items:
        wanted[order_line_id] = wanted.get(order_line_id, 0) + quantity
    if not wanted:
        return 0
    condition = f"{_OF_ORDER_LINES} AND r.order_id = %(order)s"
    books = Books.open(
        company_id=actor.company_id,
        variants=_variants_where(condition),
        holds=condition,
        reads=[_OUT],
        order_lines=list(wanted),
        order=order_id,
        now=now,
    )
    holds: dict[UUID, list[HeldUnits]] = {}
    for hold in books.holds.values():
        if hold.order_line_id is not None:
            holds.setdefault(hold.order_line_id, []).append(hold)
    out = books.extra[0]
    returned = 0
    for order_line_id, quantity in wanted.items():
        rest = quantity
        for hold in [] if damaged else holds.get(order_line_id, []):
            rest -= _let_go(books, hold, rest)
        for line_id, stock_level_id, units in out:
            back = (
                min(rest, int(units))
                if line_id == order_line_id and stock_level_id in books.levels
                else 0
            )
            if back <= 0:
                continue
            rest -= back
            returned += back
            level = books.levels[stock_level_id]
            level.available += back
            books.move(
                level,
                StockMovement.Type.RETURN,
                back,
                actor=actor,
                now=now,
                order_line_id=order_line_id,
                reference=reference,
            )
            if damaged:
                # Without the order line: for the order these units are back, they are the shop's loss.
                level.available -= back
                books.move(
                    level,
                    StockMovement.Type.DAMAGE,
                    -back,
                    actor=actor,
                    now=now,
                    reference=reference,
                )
    outbox.publish(*books.write(company_id=actor.company_id, now=now), actor=actor, now=now)
    return returned


def _let_go(books: Books, hold: HeldUnits, quantity: int) -> int:
    """Give up to `quantity` units of a hold back that never left the shelf; return how many."""
    if hold.status == ACTIVE:
        gone = min(quantity, hold.units)
        owed = min(hold.backordered, gone)
        keep = (hold.quantity - (gone - owed), hold.backordered - owed)
        books.give_back(hold)
        if keep == (0, 0):
            books.close(hold, CANCELLED)
        else:
            books.take(hold, *keep)
        return gone
    gone = min(quantity, hold.backordered)
    if gone and hold.units > gone:
        hold.backordered -= gone
        books.levels[hold.stock_level_id].backordered -= gone
        hold.is_touched = True
    elif gone:
        books.levels[hold.stock_level_id].backordered -= gone
        books.close(hold, CANCELLED)
    return gone


# --- for the clock ----------------------------------------------------------------------------


@transaction.atomic
def release_expired(*, company_id: UUID | None = None, now: datetime, limit: int = 5_000) -> int:
    """
    Return units whose hold ran out, at most about `limit` holds; return how many holds were closed.

    Set-based, three statements and one for the events. Skips stock that somebody is selling from this moment (the
    sale takes overdue holds back itself), so it waits for nobody and two sweeps share the work.
    """
    mine = "AND r.company_id = %(company)s" if company_id else ""
    values = {"now": now, "limit": limit, "company": company_id}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.id FROM inventory s WHERE s.id IN (
                SELECT r.stock_level_id FROM (
                    SELECT r.stock_level_id FROM stock_reservations r
                     WHERE r.status = 'ACTIVE' AND r.expires_at <= %(now)s {mine}
                     ORDER BY r.expires_at LIMIT %(limit)s) r)
             ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED
            """,  # noqa: S608  (no value in it)
            values,
        )
        locked = [row[0] for row in cursor.fetchall()]
        if not locked:
            return 0
        cursor.execute(
            """
            WITH due AS (
                SELECT r.id FROM stock_reservations r
                 WHERE r.status = 'ACTIVE' AND r.expires_at <= %(now)s AND r.stock_level_id = ANY(%(locked)s)
                 ORDER BY r.expires_at LIMIT %(limit)s),
            closed AS (
                UPDATE stock_reservations r SET status = 'EXPIRED', released_at = %(now)s, updated_at = %(now)s
                  FROM due WHERE r.id = due.id
                RETURNING r.company_id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id,
                          r.quantity, r.backordered),
            freed AS (
                SELECT stock_level_id, sum(quantity) AS quantity, sum(backordered) AS backordered
                  FROM closed GROUP BY stock_level_id),
            returned AS (
                UPDATE inventory s
                   SET available = s.available + f.quantity, reserved = s.reserved - f.quantity,
                       backordered = s.backordered - f.backordered,
                       is_low = s.is_low AND s.available + f.quantity <= s.reorder_level, updated_at = %(now)s
                  FROM freed f WHERE s.id = f.stock_level_id)
            SELECT company_id, cart_id, order_id, array_agg(DISTINCT coalesce(line_id, order_line_id)), count(*),
                   (SELECT jsonb_object_agg(stock_level_id, quantity) FROM freed)
              FROM closed GROUP BY company_id, cart_id, order_id
            """,
            {**values, "locked": locked},
        )
        rows = cursor.fetchall()
        freed = (
            {UUID(level): units for level, units in json.loads(rows[0][5]).items()} if rows else {}
        )
        cursor.execute(
            """
            SELECT v.company_id, v.id, v.sku, sum(s.available), array_agg(s.id)
              FROM inventory s
              JOIN variants v ON v.id = s.variant_id
              JOIN warehouses w ON w.id = s.warehouse_id AND w.is_active
             WHERE s.variant_id IN (SELECT variant_id FROM inventory WHERE id = ANY(%(freed)s))
             GROUP BY v.id HAVING sum(s.available) > 0
            """,
            {"freed": list(freed)},
        )
        stocked = cursor.fetchall()
    events: dict[UUID, list[Event]] = {}
    for company, cart_id, order_id, line_ids, _, _ in rows:
        if cart_id or order_id:
            events.setdefault(company, []).append(
                HoldExpired(
                    aggregate_id=cart_id or order_id,
                    line_ids=[str(line_id) for line_id in line_ids],
                    order_id=str(order_id) if order_id else None,
                )
            )
    for company, variant_id, sku, available, levels in stocked:
        if available == sum(
            freed.get(level, 0) for level in levels
        ):  # there was nothing left before
            events.setdefault(company, []).append(
                StockChanged(aggregate_id=variant_id, sku=sku, available=int(available))
            )
    for company, announced in events.items():
        outbox.publish(*announced, actor=Actor.system(company), now=now)
    return sum(row[4] for row in rows)


@transaction.atomic
def release_all(*, actor: Actor, now: datetime) -> int:
    """Return everything carts hold to the shelf: the emergency brake before a rollback. Orders keep theirs."""
    return _release(
        "r.status = 'ACTIVE' AND r.company_id = %(company)s AND r.order_line_id IS NULL",
        actor=actor,
        now=now,
    )


@transaction.atomic
def release_hold(*, actor: Actor, reservation_id: UUID, now: datetime) -> int:
    """Return one hold's units to the shelf at once, whoever it was kept for; for staff."""
    return _release(
        "r.status = 'ACTIVE' AND r.id = %(hold)s", actor=actor, now=now, hold=reservation_id
    )


# --- parts ------------------------------------------------------------------------------------


def refusal(
    error: type[ApplicationError], short: Sequence[Shortage], lines: Sequence[UUID]
) -> ApplicationError:
    """Return `error` with every line that could not be served; `lines` gives the order in which they were asked."""
    first = short[0]
    place = {line_id: index for index, line_id in enumerate(lines)}
    return error(
        _only(first)
        if len(short) == 1
        else f"{len(short)} items are not there in the quantity you want.",
        errors=[
            FieldError(
                field=f"items.{place[shortage.line_id]}.quantity" if len(lines) > 1 else "quantity",
                code=error.code,
                message=_only(shortage),
            )
            for shortage in short
        ],
        extra={
            "sku": first.sku,
            "requested": first.requested,
            "available": min(first.available, selectors.SHOWN_AT_MOST),
            "lines": [
                {
                    "itemId": str(shortage.line_id),
                    "sku": shortage.sku,
                    "requested": shortage.requested,
                    "available": min(shortage.available, selectors.SHOWN_AT_MOST),
                }
                for shortage in short
            ],
        },
    )


def _only(shortage: Shortage) -> str:
    if shortage.available <= 0:
        return f"{shortage.sku} is out of stock."
    if shortage.available > selectors.SHOWN_AT_MOST:
        return f"There are fewer than {shortage.requested} of {shortage.sku}."
    return f"Only {shortage.available} left of {shortage.sku}."


def _shortage(books: Books, demand: Demand, held: Sequence[HeldUnits]) -> Shortage:
    levels = books.of_variant(demand.variant_id)
    sku = levels[0].sku if levels else _sku_of(demand.variant_id)
    available = books.could_serve(held, demand.variant_id)
    return Shortage(demand.line_id, demand.variant_id, sku, demand.quantity, available)


def _sku_of(variant_id: UUID) -> str:
    return Variant.objects.filter(id=variant_id).values_list("sku", flat=True).first() or ""


def _check_only(
    demands: Sequence[Demand], *, all_or_none: bool, now: datetime
) -> list[Hold | Shortage]:
    """Answer `reserve` where holds are switched off: look, keep nothing."""
    there = selectors.availability(variant_ids=[demand.variant_id for demand in demands], now=now)
    asked: dict[UUID, int] = {}
    results: list[Hold | Shortage] = []
    for demand in demands:
        before = asked.get(demand.variant_id, 0)
        stock = there[demand.variant_id]
        if demand.quantity and not stock.allows(before + demand.quantity):
            left = stock.available + (stock.backorder_left or 0) - before
            results.append(
                Shortage(
                    demand.line_id,
                    demand.variant_id,
                    _sku_of(demand.variant_id),
                    demand.quantity,
                    max(left, 0),
                )
            )
            continue
        asked[demand.variant_id] = before + demand.quantity
        results.append(Hold(demand.line_id, demand.variant_id, demand.quantity, 0, None, None))
    short = [result for result in results if isinstance(result, Shortage)]
    if short and all_or_none:
        raise refusal(InsufficientStock, short, [demand.line_id for demand in demands])
    return results


def _by_line(holds: Iterable[HeldUnits]) -> dict[UUID, list[HeldUnits]]:
    lines: dict[UUID, list[HeldUnits]] = {}
    for hold in holds:
        if hold.line_id is not None:
            lines.setdefault(hold.line_id, []).append(hold)
    return lines


def _by_demand(
    books: Books, cart_lines: Mapping[UUID, UUID]
) -> tuple[dict[UUID, list[HeldUnits]], dict[UUID, int]]:
    """Return what is held, and how many units are sold, by order line; cart holds count for the line they become."""
    becomes = {cart_line: order_line for order_line, cart_line in cart_lines.items()}
    own: dict[UUID, list[HeldUnits]] = {}
    sold: dict[UUID, int] = {}
    for hold in books.holds.values():
        line_id = hold.order_line_id
        if line_id is None and hold.line_id is not None:
            line_id = becomes.get(hold.line_id)
        if line_id is None:
            continue
        if hold.status == COMPLETED:
            sold[line_id] = sold.get(line_id, 0) + hold.units
        else:
            own.setdefault(line_id, []).append(hold)
    return own, sold


def _open_for_order(
    *, actor: Actor, demands: Sequence[Demand], cart_lines: Mapping[UUID, UUID], now: datetime
) -> Books:
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=[demand.variant_id for demand in demands],
        holds=f"({_OF_ORDER_LINES}) OR ({_OF_LINES})" if cart_lines else _OF_ORDER_LINES,
        reclaim=True,
        order_lines=[demand.line_id for demand in demands],
        lines=list(cart_lines.values()),
        now=now,
    )
    books.reclaim()
    return books


def _order_template(
    actor: Actor,
    order_id: UUID,
    order_line_id: UUID,
    cart_id: UUID | None,
    cart_lines: Mapping[UUID, UUID],
    held: Sequence[HeldUnits],
    expires_at: datetime,
    now: datetime,
) -> HeldUnits:
    """Return whose the hold of an order line is: it remembers the cart it came from."""
    first = held[0] if held else None
    return HeldUnits.template(
        cart_id=first.cart_id if first else cart_id,
        line_id=first.line_id if first else cart_lines.get(order_line_id),
        order_id=order_id,
        order_line_id=order_line_id,
        holder=first.holder if first else actor.identity,
        address=first.address if first else actor.address,
        started_at=min((hold.started_at for hold in held), default=now),
        expires_at=max([expires_at, *(hold.expires_at for hold in held)]),
    )


def _decreases_first(
    demands: Sequence[Demand], own: Mapping[UUID, Sequence[HeldUnits]]
) -> list[Demand]:
    """Order demands so that units one line gives up are there for another that wants more."""
    return sorted(
        demands,
        key=lambda demand: (
            demand.quantity > sum(hold.units for hold in own.get(demand.line_id, ()))
        ),
    )


def _ceilings(actor: Actor, limits: HoldLimits) -> list[tuple[str, int, str]]:
    if actor.sees_everything:
        return []
    ceilings = []
    if limits.units_per_customer is not None:
        ceilings.append(("holder", limits.units_per_customer, "one customer"))
    if limits.units_per_address is not None and actor.address:
        ceilings.append(("address", limits.units_per_address, "one address"))
    return ceilings


def _check_ceilings(
    demands: Sequence[Demand],
    own: Mapping[UUID, Sequence[HeldUnits]],
    ceilings: Sequence[tuple[str, int, str]],
    elsewhere: Sequence[int],
) -> None:
    wanted = sum(demand.quantity for demand in demands)
    if wanted <= sum(hold.units for holds in own.values() for hold in holds):
        return  # giving back is never refused
    for (_, limit, whose), held in zip(ceilings, elsewhere, strict=True):
        if held + wanted > limit:
            raise HoldLimitExceeded(
                f"At most {limit} units are held for {whose} at a time.",
                extra={"limit": limit, "held": int(held), "requested": wanted},
            )


def _variants_where(condition: str) -> str:
    return f"IN (SELECT r.variant_id FROM stock_reservations r WHERE {condition})"  # noqa: S608


def _release(condition: str, *, actor: Actor, now: datetime, **values: object) -> int:
    books = Books.open(
        company_id=actor.company_id,
        variants=_variants_where(condition),
        holds=condition,
        now=now,
        **values,
    )
    for hold in books.holds.values():
        books.give_back(hold)
        books.close(hold, CANCELLED)
    outbox.publish(*books.write(company_id=actor.company_id, now=now), actor=actor, now=now)
    return len(books.holds)
