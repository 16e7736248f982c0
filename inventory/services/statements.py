"""The statements of the stock books: rows are locked and read together, and written back in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.events import Event
from config.platform.prepared import prepared_cursor
from inventory.services.levels import ACTIVE, COMPLETED, OWNERSHIP, HeldUnits, Level

# The lock and the reads behind it travel together, as statements of one batch: in READ COMMITTED each has a snapshot
# of its own, so what is read after the lock is what the row's last holder left. A batch cannot be prepared; sent
# through the driver's pipeline instead, so that they can, they cost more than their planning does (measured).
LOCK = """
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
HOLDS = """
    SELECT r.id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id, r.holder, r.address,
           r.quantity, r.backordered, r.status, r.started_at, r.expires_at
      FROM stock_reservations r
     WHERE {where}
"""
# Of each shelf the oldest, and no more than there are units asked for: each has one at least, so that is enough.
OVERDUE = """
    SELECT r.id, r.stock_level_id, r.cart_id, r.line_id, r.order_id, r.order_line_id, r.holder, r.address,
           r.quantity, r.backordered, r.status, r.started_at, r.expires_at
      FROM inventory s
     CROSS JOIN LATERAL (
           SELECT * FROM stock_reservations d
            WHERE d.stock_level_id = s.id AND d.status = 'ACTIVE' AND d.expires_at <= %(now)s
            ORDER BY d.expires_at LIMIT %(units)s) r
     WHERE s.variant_id {variants}
"""


# As many rows as units are free are enough: each is given one at least.
OWED = """
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
OFFERED = """
    r.status = 'ACTIVE' AND r.holder = %(holder)s AND r.expires_at > %(now)s AND r.cart_id IS NULL
    AND r.line_id IN (SELECT q.id FROM back_in_stock_requests q
                       WHERE q.variant_id = ANY(%(variants)s) AND q.status = 'OFFERED')
"""


def read_rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def read_holds(rows: Iterable[tuple[Any, ...]], levels: dict[UUID, Level]) -> dict[UUID, HeldUnits]:
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


def write_down(
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
                    **{column: getattr(held, column) for column in OWNERSHIP},
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
