"""Holds that end by themselves, or by the hand of staff."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.events import Event
from inventory.events import HoldExpired, StockChanged
from inventory.services.books import CANCELLED, EXPIRED
from inventory.services.demands import close_all

# A sale of a shelf that is swept waits until the batch has ended, so a batch is a few shelves and a few hundred holds:
# measured with a million holds, larger ones are hardly faster and customers feel them (`docs/performance.md`).
BATCH = 500
SHELVES = 16


@transaction.atomic
def release_expired(
    *, company_id: UUID | None = None, now: datetime, limit: int = BATCH, shelves: int = SHELVES
) -> int:
    """
    Return units whose hold ran out, of at most `limit` holds on so many shelves; return how many holds were closed.

    Set-based, three statements and one for the events. Skips stock that somebody is selling from this moment (the
    sale takes overdue holds back itself), so it waits for nobody and two sweeps share the work.
    """
    mine = "AND r.company_id = %(company)s" if company_id else ""
    return _close_some(
        f"r.expires_at <= %(now)s {mine}",
        status=EXPIRED,
        skip=True,
        now=now,
        limit=limit,
        shelves=shelves,
        company=company_id,
    )


@transaction.atomic
def release_all(*, actor: Actor, now: datetime, limit: int = BATCH, shelves: int = SHELVES) -> int:
    """
    Return what carts hold to the shelf, in batches as `release_expired`: the emergency brake before a rollback.

    Call until it answers 0. Orders keep their holds, and holds begun after `now` are left alone, so it ends. Waits for
    sales that are under way.
    """
    return _close_some(
        "r.company_id = %(company)s AND r.order_line_id IS NULL AND r.created_at <= %(now)s",
        status=CANCELLED,
        skip=False,
        now=now,
        limit=limit,
        shelves=shelves,
        company=actor.company_id,
    )


def _close_some(condition: str, *, status: str, skip: bool, now: datetime, **values: Any) -> int:
    """Lock some shelves that have such holds, close those, return their units and announce it."""
    values |= {"now": now, "status": status}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.id FROM inventory s WHERE s.id IN (
                SELECT r.stock_level_id FROM (
                    SELECT r.stock_level_id FROM stock_reservations r
                     WHERE r.status = 'ACTIVE' AND {condition}
                     ORDER BY r.expires_at LIMIT %(limit)s) r)
             ORDER BY s.id LIMIT %(shelves)s FOR NO KEY UPDATE {"SKIP LOCKED" if skip else ""}
            """,  # noqa: S608  (no value in it)
            values,
        )
        locked = [row[0] for row in cursor.fetchall()]
        if not locked:
            return 0
        cursor.execute(
            f"""
            WITH closed AS (
                UPDATE stock_reservations u SET status = %(status)s, released_at = %(now)s, updated_at = %(now)s
                 -- an array, not a join: no estimate of how many are due can make this quadratic; and shelf by shelf,
                 -- as the index has them in order: no shelf with a great many makes every batch sort them
                 WHERE u.id = ANY(ARRAY(
                    SELECT d.id FROM unnest(%(locked)s) AS shelf(id) CROSS JOIN LATERAL (
                        SELECT r.id FROM stock_reservations r
                         WHERE r.stock_level_id = shelf.id AND r.status = 'ACTIVE' AND {condition}
                         ORDER BY r.expires_at LIMIT %(limit)s) d
                     LIMIT %(limit)s))
                RETURNING u.company_id, u.stock_level_id, u.cart_id, u.line_id, u.order_id, u.order_line_id,
                          u.quantity, u.backordered),
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
            """,  # noqa: S608  (no value in it)
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
        if status == EXPIRED and (cart_id or order_id):
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
def release_hold(*, actor: Actor, reservation_id: UUID, now: datetime) -> int:
    """Return one hold's units to the shelf at once, whoever it was kept for; for staff."""
    return close_all(
        "r.status = 'ACTIVE' AND r.id = %(hold)s", actor=actor, now=now, hold=reservation_id
    )
