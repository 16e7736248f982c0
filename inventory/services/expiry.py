"""Holds that end by themselves, or by the hand of staff."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from config.platform import metrics, outbox
from config.platform.actor import Actor
from config.platform.events import Event
from inventory.events import StockChanged, Why
from inventory.services import claims
from inventory.services.books import Books
from inventory.services.levels import CANCELLED, EXPIRED

# A sale of a shelf that is swept waits until the batch has ended, so a batch is a few shelves and a few hundred holds;
# `docs/performance.md` has what customers notice of it.
BATCH = 500
SHELVES = 16

# Variants whose free units belong to somebody: they are owed, or a customer waits for them.
_PROMISED = "SELECT 1 FROM inventory t WHERE t.variant_id = r.variant_id AND (t.is_awaited OR t.backordered > 0)"


def release_expired(
    *, company_id: UUID | None = None, now: datetime, limit: int = BATCH, shelves: int = SHELVES
) -> int:
    """
    Return units whose hold ran out, of at most `limit` holds on so many shelves; return how many holds were closed.

    Set-based, three statements and one for the events. Skips stock that somebody is selling from this moment (the
    sale takes overdue holds back itself), so it waits for nobody and two sweeps share the work. Units that somebody is
    owed, or waits for, go through the books instead, so that they are never free in between.
    """
    mine = "AND r.company_id = %(company)s" if company_id else ""
    return _close_batch(
        f"r.expires_at <= %(now)s {mine}",
        status=EXPIRED,
        skip=True,
        now=now,
        limit=limit,
        shelves=shelves,
        company=company_id,
    )


def release_all(*, actor: Actor, now: datetime, limit: int = BATCH, shelves: int = SHELVES) -> int:
    """
    Return what carts hold to the shelf, in batches as `release_expired`: the emergency brake before a rollback.

    Call until it answers 0. Orders keep their holds, what is kept for one who waited ends by itself, and holds begun
    after `now` are left alone, so it ends. Waits for sales that are under way.
    """
    return _close_batch(
        """
        r.company_id = %(company)s AND r.order_line_id IS NULL AND r.created_at <= %(now)s
        AND NOT r.line_id IN (SELECT q.id FROM back_in_stock_requests q WHERE q.status = 'OFFERED')
        """,
        status=CANCELLED,
        skip=False,
        now=now,
        limit=limit,
        shelves=shelves,
        company=actor.company_id,
    )


def _close_batch(condition: str, **options: Any) -> int:
    """Close some holds: those of variants that are promised to nobody, and where none is left, those of the others."""
    with transaction.atomic():
        closed = _close_some(condition, **options)
    if closed:
        return closed
    with transaction.atomic():
        return _close_promised(condition, **options)


def _close_promised(
    condition: str,
    *,
    status: str,
    skip: bool,
    now: datetime,
    limit: int,
    shelves: int,
    company: UUID | None,
) -> int:
    """
    Close such holds on variants that are owed or awaited, so that those who come first get the units.

    Two statements to find them, and the books' for each company.
    """
    values: dict[str, Any] = {"now": now, "shelves": shelves, "company": company}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.company_id, s.variant_id FROM inventory s WHERE s.variant_id = ANY(ARRAY(
                SELECT r.variant_id FROM stock_reservations r
                 WHERE r.status = 'ACTIVE' AND {condition} AND EXISTS ({_PROMISED})
                 GROUP BY r.variant_id ORDER BY min(r.expires_at) LIMIT %(shelves)s))
             ORDER BY s.id FOR NO KEY UPDATE {"SKIP LOCKED" if skip else ""}
            """,  # noqa: S608  (no value in it)
            values,
        )
        locked: dict[tuple[UUID, UUID], int] = {}
        for row in cursor.fetchall():
            locked[row] = locked.get(row, 0) + 1
        if not locked:
            return 0
        # A variant of which one shelf is in use is left alone: waiting for it now would be out of order.
        cursor.execute(
            "SELECT s.variant_id, count(*) FROM inventory s WHERE s.variant_id = ANY(%s) GROUP BY 1",
            [[variant_id for _, variant_id in locked]],
        )
        whole = dict(cursor.fetchall())
    closed = 0
    for owner in dict.fromkeys(owner for owner, _ in locked):
        books = Books.open(
            company_id=owner,
            variant_ids=[
                variant_id
                for (its_owner, variant_id), count in locked.items()
                if its_owner == owner and count == whole[variant_id]
            ],
            holds=f"""
                r.status = 'ACTIVE' AND r.variant_id = ANY(%(variant_ids)s) AND {condition}
                ORDER BY r.expires_at LIMIT %(limit)s
            """,
            now=now,
            limit=limit,
        )
        ending = list(books.holds.values())
        for held in ending:
            books.end(held, status)
        closed += len(ending)
        books.write(actor=Actor.system(owner), now=now, why=Why.STAFF)
    return closed


def _close_some(condition: str, *, status: str, skip: bool, now: datetime, **values: Any) -> int:
    """Lock some shelves that have such holds, close those, return their units and announce it."""
    values |= {"now": now, "status": status}
    with connection.cursor() as cursor:
        # The sweep does not wait for the disk: a batch that is lost in a crash is due again, and every reader asks for the
        # time, not for the status. Whatever builds on it, a sale or a durable event, is written behind it and, when it
        # waits for the disk, waits for both.
        cursor.execute(
            f"""
            {"SET LOCAL synchronous_commit = off;" if skip else ""}
            SELECT s.id FROM inventory s WHERE s.id IN (
                SELECT r.stock_level_id FROM (
                    SELECT r.stock_level_id FROM stock_reservations r
                     WHERE r.status = 'ACTIVE' AND {condition} AND NOT EXISTS ({_PROMISED})
                     ORDER BY r.expires_at LIMIT %(limit)s) r)
               -- looked at again on the row that was locked: somebody may have begun to wait a moment ago
               AND NOT s.is_awaited AND s.backordered = 0
             ORDER BY s.id LIMIT %(shelves)s FOR NO KEY UPDATE {"SKIP LOCKED" if skip else ""}
            """,  # noqa: S608  (no value in it)
            values,
        )
        if skip:
            cursor.nextset()
        locked = [row[0] for row in cursor.fetchall()]
        if not locked:
            return 0
        cursor.execute(
            f"""
            WITH closed AS (
                UPDATE stock_reservations u SET status = %(status)s, released_at = %(now)s, updated_at = %(now)s
                 -- an array, not a join: no estimate of how many are due can make this quadratic; and shelf by shelf,
                 -- in no order: the oldest of them would be known only after sorting all that are due, in every batch
                 WHERE u.id = ANY(ARRAY(
                    SELECT d.id FROM unnest(%(locked)s) AS shelf(id) CROSS JOIN LATERAL (
                        SELECT r.id FROM stock_reservations r
                         WHERE r.stock_level_id = shelf.id AND r.status = 'ACTIVE' AND {condition}
                         LIMIT %(limit)s) d
                     LIMIT %(limit)s))
                RETURNING u.company_id, u.stock_level_id, u.variant_id, u.cart_id, u.line_id, u.order_id,
                          u.order_line_id, u.quantity, u.backordered),
            freed AS (
                SELECT stock_level_id, sum(quantity) AS quantity, sum(backordered) AS backordered
                  FROM closed GROUP BY stock_level_id),
            returned AS (
                UPDATE inventory s
                   SET available = s.available + f.quantity, reserved = s.reserved - f.quantity,
                       backordered = s.backordered - f.backordered,
                       is_low = s.is_low AND s.available + f.quantity <= s.reorder_level, updated_at = %(now)s
                  FROM freed f WHERE s.id = f.stock_level_id)
            SELECT c.company_id, c.cart_id, c.line_id, c.order_id, c.order_line_id, c.stock_level_id, c.variant_id,
                   v.sku, c.quantity, c.backordered
              FROM closed c JOIN variants v ON v.id = c.variant_id
            """,  # noqa: S608  (no value in it)
            {**values, "locked": locked},
        )
        rows = cursor.fetchall()
        freed: dict[UUID, int] = {}
        for row in rows:
            freed[row[5]] = freed.get(row[5], 0) + row[8]
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
    for company in dict.fromkeys(row[0] for row in rows):
        events[company] = _told([row[1:] for row in rows if row[0] == company], status)
    for company, variant_id, sku, available, levels in stocked:
        if available == sum(
            freed.get(level, 0) for level in levels
        ):  # there was nothing left before
            events.setdefault(company, []).append(
                StockChanged(aggregate_id=variant_id, sku=sku, available=int(available), before=0)
            )
    for company, announced in events.items():
        outbox.publish(*announced, actor=Actor.system(company), now=now)
    metrics.count("inventory_holds_expired_total", len(rows), by="sweep")
    return len(rows)


def _told(rows: list[tuple[Any, ...]], status: str) -> list[Event]:
    """Return what is to be told of closed holds: of each cart or order one event, and one more if time closed them."""
    change = claims.Change({})
    note = change.lapse if status == EXPIRED else change.lose
    for cart_id, line_id, order_id, order_line_id, _, variant_id, sku, units, owed in rows:
        claim = claims.Claim.of(
            cart_id=cart_id, line_id=line_id, order_id=order_id, order_line_id=order_line_id
        )
        if claim is not None:
            note(claim, variant_id, sku, units + owed)
    events: list[Event] = [*change.events(Why.STAFF)]
    if status == EXPIRED:
        events += claims.expiries((row[0], row[2], row[1] or row[3]) for row in rows)
    return events
