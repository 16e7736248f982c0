"""Holds of carts: units kept aside for a line while its customer makes up their mind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zlib import crc32

from django.db import connection, transaction

from config.platform import flags, metrics
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.models import new_id
from inventory import selectors
from inventory.errors import HoldLimitExceeded, InsufficientStock
from inventory.events import Why
from inventory.selectors import Hold, VariantRef
from inventory.services.books import Books
from inventory.services.claims import Claim
from inventory.services.demands import (
    OF_LINES,
    Demand,
    HoldLimits,
    Shortage,
    by_line,
    close_all,
    decreases_first,
    joined,
    refusal,
    short_of,
    sku_of,
    variants_where,
)
from inventory.services.levels import CANCELLED, HeldUnits
from inventory.services.measured import measured

# Whoever raises what one customer or one address holds passes its gate first, so the sums read behind it are exact. There is
# a fixed number of gates: a customer always has the same one, strangers seldom share one, and the table does not grow.
GATES = 4_096
_GATES = """
    INSERT INTO hold_gates (id, passed_at) SELECT unnest(%(gates)s), %(now)s ORDER BY 1
    ON CONFLICT (id) DO UPDATE SET passed_at = excluded.passed_at RETURNING id
"""
_HELD_ELSEWHERE = """
    SELECT coalesce(sum(r.quantity + r.backordered), 0) FROM stock_reservations r
     WHERE r.status = 'ACTIVE' AND r.expires_at > %(now)s AND r.order_line_id IS NULL
       AND r.company_id = %(company)s AND NOT r.line_id = ANY(%(lines)s)
"""


@measured
@joined
def reserve(
    *,
    actor: Actor,
    cart_id: UUID | None,
    demands: Sequence[Demand],
    expires_at: datetime,
    now: datetime,
    all_or_none: bool = True,
    limits: HoldLimits | None = None,
) -> list[Hold | Shortage]:
    """
    Hold exactly `quantity` units for each line until `expires_at`, replacing what the line holds.

    Own units never stand in one's own way, demand for one variant is summed over lines, holds of others whose time
    is over are taken back first, and units beyond stock are promised where the policy says so. What is kept for this
    customer because they waited becomes the line's. A quantity of 0 releases. A live hold is never shortened. Without
    `all_or_none` a line that cannot be served is answered by a Shortage and keeps what it held; lines are served in
    order. With holds switched off only availability is checked.

    Two round trips, and one more where something is announced, whatever the number of lines. Lock the cart before
    calling; the gates of the ceilings and then the stock are locked here, last.

    :raises InsufficientStock: with `all_or_none`, if any line cannot be served; nothing is written
    :raises HoldLimitExceeded: if the customer or the address would hold more than `limits` allow; nothing is written
    """
    if not demands:
        return []
    if not flags.is_enabled("INVENTORY_HOLD_ENABLED"):
        return _check_only(demands, all_or_none=all_or_none, now=now)
    limits = limits or HoldLimits()
    # Who only gives back is not counted, and waits at no gate.
    ceilings = _ceilings(actor, limits) if any(demand.quantity for demand in demands) else []
    lines = [demand.line_id for demand in demands]
    books = Books.open(
        company_id=actor.company_id,
        variant_ids=[demand.variant_id for demand in demands],
        holds=OF_LINES,
        reclaim=True,
        units=sum(demand.quantity for demand in demands),
        before=[
            _GATES,
            *(f"{_HELD_ELSEWHERE} AND r.{column} = %({column})s" for column, _, _ in ceilings),
        ]
        if ceilings
        else (),
        lines=lines,
        now=now,
        gates=_gates(actor, ceilings),
        holder=actor.identity,
        address=actor.address,
    )
    own = by_line(books.holds.values())
    _check_ceilings(demands, own, ceilings, [rows[0][0] for rows in books.extra[1:]])
    books.reclaim()
    books.serve()
    own = by_line(hold for hold in books.holds.values() if hold.order_line_id is None)
    offers = books.offers_to(actor.identity)
    if books.lapsed:
        metrics.count("inventory_holds_expired_total", len(books.lapsed), by="sale")

    results: dict[UUID, Hold | Shortage] = {}
    for demand in decreases_first(demands, own):
        held = own.get(demand.line_id, [])
        live = [hold for hold in held if hold.expires_at > now]
        started_at = min((hold.started_at for hold in live), default=now)
        until = expires_at if limits.cap is None else min(expires_at, started_at + limits.cap)
        until = max([until, *(hold.expires_at for hold in live)])
        keeps_holder = (
            actor.sees_everything and held
        )  # staff who help a customer do not become the holder
        wants_more = demand.quantity > sum(hold.units for hold in held)
        offered = offers.get(demand.variant_id, []) if wants_more else []
        requests = {hold.line_id for hold in offered if hold.line_id is not None}
        placed = books.place(
            [*held, *offered],
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
            results[demand.line_id] = short_of(books, demand, [*held, *offered])
        else:
            if offered:
                del offers[demand.variant_id]
                books.taken |= requests
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
    books.write(actor=actor, now=now)
    return ordered


@transaction.atomic
def reserve_directly(
    *,
    actor: Actor,
    items: Sequence[tuple[VariantRef, int]],
    expires_at: datetime,
    limits: HoldLimits,
    now: datetime,
) -> list[tuple[str, Hold]]:
    """
    Hold units for the caller outside any cart, all or none; return each SKU with its hold (`line_id` names it).

    :raises ProductNotFound, ProductDiscontinued, VariantInvalid: if something is not sold
    :raises InsufficientStock, HoldLimitExceeded: as `reserve`
    """
    found = []
    for variant in selectors.find_variants(actor=actor, refs=[ref for ref, _ in items]):
        if isinstance(variant, ApplicationError):
            raise variant
        found.append(variant)
    demands = [
        Demand(new_id(), variant.id, quantity)
        for variant, (_, quantity) in zip(found, items, strict=True)
    ]
    held = reserve(
        actor=actor, cart_id=None, demands=demands, expires_at=expires_at, now=now, limits=limits
    )
    return [
        (variant.sku, hold)
        for variant, hold in zip(found, held, strict=True)
        if isinstance(hold, Hold)
    ]


@joined
def release_directly(*, actor: Actor, hold_ids: Iterable[UUID], now: datetime) -> int:
    """Let go what the caller holds outside any cart; what is not theirs is passed over. Return how many."""
    return close_all(
        f"{OF_LINES} AND r.cart_id IS NULL AND r.holder = %(holder)s",
        why=Why.LET_GO,
        actor=actor,
        now=now,
        lines=list(hold_ids),
        holder=actor.identity,
    )


@joined
def release(*, actor: Actor, line_ids: Iterable[UUID], now: datetime) -> int:
    """Return the units of these cart lines to the shelf at once; return how many holds were closed."""
    return close_all(OF_LINES, why=Why.LET_GO, actor=actor, now=now, lines=list(line_ids))


@joined
def release_cart(*, actor: Actor, cart_id: UUID, now: datetime) -> int:
    """Return all a cart holds to the shelf; what was given to an order stays with the order."""
    return close_all(
        "r.status = 'ACTIVE' AND r.cart_id = %(cart)s AND r.order_line_id IS NULL",
        why=Why.CART_CLOSED,
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
               SET expires_at = greatest(r.expires_at, least(%(until)s, r.started_at + make_interval(secs => %(cap)s))), updated_at = %(now)s
             WHERE {mine} AND r.company_id = %(company)s
            """,  # noqa: S608  (no value in it)
            {
                "cart": cart_id,
                "company": actor.company_id,
                "until": expires_at,
                "cap": (cap or timedelta(days=3650)).total_seconds(),
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
        variants=variants_where(OF_LINES),
        holds=OF_LINES,
        lines=everybody,
        now=now,
    )
    own = by_line(books.holds.values())
    for old_line, (new_line, cart_id) in line_map.items():
        there = {
            hold.stock_level_id: hold for hold in own.get(new_line, []) if new_line != old_line
        }
        for hold in own.get(old_line, []):
            books.hand_on(hold, Claim(cart_id, None, new_line))
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
    books.write(actor=actor, now=now)


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
                    sku_of(demand.variant_id),
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


def _ceilings(actor: Actor, limits: HoldLimits) -> list[tuple[str, int, str]]:
    if actor.sees_everything:
        return []
    ceilings = []
    if limits.units_per_customer is not None:
        ceilings.append(("holder", limits.units_per_customer, "one customer"))
    if limits.units_per_address is not None and actor.address:
        ceilings.append(("address", limits.units_per_address, "one address"))
    return ceilings


def _gates(actor: Actor, ceilings: Sequence[tuple[str, int, str]]) -> list[int]:
    """Return the gates of the caller's ceilings, each once, as no statement can pass one twice."""
    whose = {"holder": actor.identity, "address": actor.address}
    names = (f"{actor.company_id}/{column}/{whose[column]}" for column, _, _ in ceilings)
    return sorted({crc32(name.encode()) % GATES for name in names})


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
