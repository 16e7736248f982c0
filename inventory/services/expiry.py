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
from inventory.services.demands import (
    close_all,
)


@transaction.atomic
def release_expired(*, company_id: UUID | None = None, now: datetime, limit: int = 5_000) -> int:
    """
    Return units whose hold ran out, at most about `limit` holds; return how many holds were closed.

    Set-based, three statements and one for the events. Skips stock that somebody is selling from this moment (the
    sale takes overdue holds back itself), so it waits for nobody and two sweeps share the work.
    """
    mine = "AND r.company_id = %(company)s" if company_id else ""
    values: dict[str, Any] = {"now": now, "limit": limit, "company": company_id}
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
            WITH closed AS (
                UPDATE stock_reservations r SET status = 'EXPIRED', released_at = %(now)s, updated_at = %(now)s
                 -- an array, not a join: no estimate of how many are due can make this quadratic
                 WHERE r.id = ANY(ARRAY(
                    SELECT d.id FROM stock_reservations d
                     WHERE d.status = 'ACTIVE' AND d.expires_at <= %(now)s AND d.stock_level_id = ANY(%(locked)s)
                     ORDER BY d.expires_at LIMIT %(limit)s))
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
    return close_all(
        "r.status = 'ACTIVE' AND r.company_id = %(company)s AND r.order_line_id IS NULL",
        actor=actor,
        now=now,
    )


@transaction.atomic
def release_hold(*, actor: Actor, reservation_id: UUID, now: datetime) -> int:
    """Return one hold's units to the shelf at once, whoever it was kept for; for staff."""
    return close_all(
        "r.status = 'ACTIVE' AND r.id = %(hold)s", actor=actor, now=now, hold=reservation_id
    )
