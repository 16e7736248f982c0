"""Whose turn it is when units of a variant come back: the rows of its line, read and written behind the stock's lock."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from inventory.events import BackInStockOffered
from inventory.models import BackInStockRequest

OFFERED = BackInStockRequest.Status.OFFERED.value
TAKEN = BackInStockRequest.Status.TAKEN.value
LAPSED = BackInStockRequest.Status.LAPSED.value


@dataclass(slots=True, kw_only=True)
class Turn:
    """One who waits, and what is being offered to them."""

    id: UUID
    variant_id: UUID
    sku: str
    user_id: UUID | None
    quantity: int
    offered_quantity: int = 0
    offer_expires_at: datetime | None = None

    @property
    def holder(self) -> str:
        """Whose the offered hold is: the account, or whoever will follow the link in the mail."""
        return f"user:{self.user_id}" if self.user_id else f"request:{self.id}"


# As many as units are free are enough: each takes one at least. What is not on sale is offered to nobody.
_NEXT = """
    SELECT q.id, q.variant_id, q.sku, q.user_id, q.quantity
      FROM unnest(%(variants)s::uuid[], %(free)s::int[]) AS f(variant_id, units)
     CROSS JOIN LATERAL (
        SELECT q.id, q.variant_id, v.sku, q.user_id, q.quantity, q.queued_at FROM back_in_stock_requests q
          JOIN variants v ON v.id = q.variant_id AND v.is_active
          JOIN products p ON p.id = v.product_id AND p.status = 'active'
         WHERE q.variant_id = f.variant_id AND q.status = 'WAITING' AND NOT q.id = ANY(%(passed)s::uuid[])
         ORDER BY q.queued_at, q.id LIMIT f.units) q
     ORDER BY q.queued_at, q.id
"""
_WRITE = """
    UPDATE back_in_stock_requests q
       SET status = CASE WHEN kept.units > 0 THEN 'OFFERED' ELSE c.status END,
           offered_quantity = coalesce(c.offered_quantity, kept.units, q.offered_quantity),
           offered_at = CASE WHEN c.status = 'OFFERED' THEN %(now)s ELSE q.offered_at END,
           offer_expires_at = coalesce(c.offer_expires_at, q.offer_expires_at),
           closed_at = CASE WHEN c.status <> 'OFFERED' AND kept.units IS NULL THEN %(now)s END
      FROM jsonb_to_recordset(%(requests)s::jsonb)
           AS c(id uuid, status text, offered_quantity int, offer_expires_at timestamptz)
      LEFT JOIN LATERAL (
        -- an offer on several shelves of which one was let go is a smaller offer
        SELECT sum(r.quantity) AS units FROM stock_reservations r
         WHERE c.status = 'LAPSED' AND r.line_id = c.id AND r.cart_id IS NULL AND r.status = 'ACTIVE') kept ON true
     WHERE q.id = c.id AND q.status = CASE c.status WHEN 'OFFERED' THEN 'WAITING' ELSE 'OFFERED' END
RETURNING q.id, q.variant_id, q.status
"""


def next_in_line(free: Mapping[UUID, int], *, passed: Sequence[UUID]) -> list[Turn]:
    """Return who comes first for so many free units of each variant, apart from those `passed` already."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NEXT, {"variants": list(free), "free": list(free.values()), "passed": list(passed)}
        )
        return [
            Turn(id=row[0], variant_id=row[1], sku=row[2], user_id=row[3], quantity=row[4])
            for row in cursor.fetchall()
        ]


def write(
    *, offered: Iterable[Turn], taken: Collection[UUID], lapsed: Collection[UUID], now: datetime
) -> dict[UUID, UUID]:
    """
    Write what became of requests, in one statement or none; return the variants of those that ended untaken.

    An offer of which a part is still kept goes on.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": turn.id,
            "status": OFFERED,
            "offered_quantity": turn.offered_quantity,
            "offer_expires_at": turn.offer_expires_at,
        }
        for turn in offered
    ]
    rows += [{"id": key, "status": TAKEN} for key in taken]
    rows += [{"id": key, "status": LAPSED} for key in lapsed]
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {"requests": json.dumps(rows, default=str), "now": now})
        return {key: variant for key, variant, status in cursor.fetchall() if status == LAPSED}


def offers(offered: Iterable[Turn]) -> list[BackInStockOffered]:
    """Return what is to be told of offers."""
    return [
        BackInStockOffered(
            aggregate_id=turn.id,
            sku=turn.sku,
            quantity=turn.offered_quantity,
            expires_at=str(turn.offer_expires_at),
        )
        for turn in offered
    ]
