"""Holds of orders: from the cart to the sale, and back to the shelf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from config.platform.actor import Actor
from inventory.errors import HoldFailed
from inventory.events import StockSold, Why
from inventory.models import StockMovement
from inventory.services.books import Books
from inventory.services.demands import (
    OF_LINES,
    Demand,
    close_all,
    decreases_first,
    joined,
    refusal,
    short_of,
    variants_where,
    variants_where_or_beside,
)
from inventory.services.levels import ACTIVE, CANCELLED, COMPLETED, HeldUnits

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
    offers = books.offers_to(actor.identity)
    for demand in decreases_first(demands, own):
        missing = demand.quantity - sold.get(demand.line_id, 0)
        held = own.get(demand.line_id, [])
        if missing <= 0:
            continue
        template = _order_template(
            actor, order_id, demand.line_id, cart_id, cart_lines, held, expires_at, now
        )
        wants_more = missing > sum(hold.units for hold in held)
        offered = offers.get(demand.variant_id, []) if wants_more else []
        requests = {hold.line_id for hold in offered if hold.line_id is not None}
        if books.place([*held, *offered], template, demand.variant_id, missing) is None:
            short.append(short_of(books, demand, [*held, *offered]))
        elif offered:
            del offers[demand.variant_id]
            books.taken |= requests
    if short:
        raise refusal(HoldFailed, short, [demand.line_id for demand in demands])
    books.write(actor=actor, now=now)


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
    for demand in decreases_first(demands, own):
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
            short.append(short_of(books, demand, held))
        else:
            selling += placed
    if short:
        raise refusal(HoldFailed, short, [demand.line_id for demand in demands])
    for hold in selling:
        books.sell(hold, actor=actor, now=now, reference=reference)
    units = sum(hold.units for hold in selling)
    books.write(
        actor=actor,
        now=now,
        also=[StockSold(aggregate_id=order_id, units=units)] if selling else [],
    )


@joined
def release_order(*, actor: Actor, order_id: UUID, now: datetime) -> int:
    """Return what is held for an unpaid order to the shelf; what was sold comes back by `restock` only."""
    return close_all(
        "r.status = 'ACTIVE' AND r.order_id = %(order)s",
        why=Why.CANCELLED,
        actor=actor,
        now=now,
        order=order_id,
    )


@joined
def hand_back(*, actor: Actor, line_map: Mapping[UUID, tuple[UUID, UUID]], now: datetime) -> int:
    """
    Make the holds of an unpaid order a cart's again, as {order line: (cart line, its cart)}; return how many.

    No unit is free in between, so nobody else can take it. Where the cart's line holds units of the same stock already,
    the two become one. The cart renews what it has been given. A repeated call changes nothing.
    """
    if not line_map:
        return 0
    mine = "r.status = 'ACTIVE' AND r.order_line_id = ANY(%(order_lines)s)"
    condition = f"({mine}) OR ({OF_LINES})"
    books = Books.open(
        company_id=actor.company_id,
        variants=variants_where(condition),
        holds=condition,
        order_lines=list(line_map),
        lines=[line_id for line_id, _cart_id in line_map.values()],
        now=now,
    )
    there = {
        (hold.line_id, hold.stock_level_id): hold
        for hold in books.holds.values()
        if hold.order_line_id is None
    }
    handed = [hold for hold in books.holds.values() if hold.order_line_id is not None]
    for hold in handed:
        assert hold.order_line_id is not None
        line_id, cart_id = line_map[hold.order_line_id]
        hold.order_id = hold.order_line_id = None
        hold.line_id, hold.cart_id, hold.is_touched = line_id, cart_id, True
        joins = there.setdefault((line_id, hold.stock_level_id), hold)
        if joins is not hold:
            joins.quantity += hold.quantity
            joins.backordered += hold.backordered
            joins.started_at = min(joins.started_at, hold.started_at)
            joins.expires_at = max(joins.expires_at, hold.expires_at)
            joins.is_touched = True
            hold.status = CANCELLED
    books.write(actor=actor, now=now)
    return len(handed)


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
    beside: Sequence[UUID] = (),
    now: datetime,
) -> int:
    """
    Take back units of order lines, cancelled or returned: [(order line, quantity)]; return how many were sold units.

    `beside` are variants that the caller takes next: their stock is locked with these, all in one order.

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
        variants=variants_where_or_beside(condition) if beside else variants_where(condition),
        holds=condition,
        reads=[_OUT],
        order_lines=list(wanted),
        order=order_id,
        beside=list(beside),
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
    books.write(actor=actor, now=now, why=Why.CANCELLED)
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


# --- parts ----------------------------------------------------------------------------------


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
        holds=f"({_OF_ORDER_LINES}) OR ({OF_LINES})" if cart_lines else _OF_ORDER_LINES,
        reclaim=True,
        units=sum(demand.quantity for demand in demands),
        order_lines=[demand.line_id for demand in demands],
        lines=list(cart_lines.values()),
        now=now,
    )
    books.reclaim()
    books.serve()
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
