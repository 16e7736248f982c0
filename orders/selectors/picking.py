"""What has to be fetched from which shelf: the work of the people who pack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from config.platform.actor import Actor
from config.platform.sheets import guard, write_line

MOST = 5_000  # lines of one list; more is more than a day's work
COLUMNS = (
    "warehouse",
    "order",
    "placed_at",
    "sku",
    "name",
    "options",
    "quantity",
    "waiting",
    "note",
    "shipping",
)

# Units of a line that left a shelf and were not sent yet, by warehouse. What was sent is taken from the first
# warehouses on; what was never taken from a shelf is still owed, and waits.
_TASKS = """
WITH open_lines AS (
    SELECT line.*, o.number, o.placed_at, o.shipping_name, o.status AS order_status,
           line.quantity - line.cancelled_quantity - line.shipped_quantity AS unsent
      FROM order_items line JOIN orders o ON o.id = line.order_id
     WHERE o.company_id = %(company)s AND o.status IN ('confirmed', 'processing')
       AND o.review <> 'pending' {more}
       AND line.quantity > line.cancelled_quantity + line.shipped_quantity
), taken AS (
    SELECT m.order_line_id, level.warehouse_id, -sum(m.quantity) AS units
      FROM stock_transactions m JOIN inventory level ON level.id = m.stock_level_id
     WHERE m.order_line_id IN (SELECT id FROM open_lines)
     GROUP BY 1, 2 HAVING sum(m.quantity) < 0
), shared AS (
    SELECT taken.order_line_id, taken.warehouse_id,
           least(taken.units, greatest(0, sum(taken.units) OVER upto - line.shipped_quantity)) AS units
      FROM taken JOIN open_lines line ON line.id = taken.order_line_id
    WINDOW upto AS (PARTITION BY taken.order_line_id ORDER BY taken.warehouse_id)
)
SELECT coalesce(place.code, ''), coalesce(place.name, ''), line.order_id, line.number, line.placed_at, line.order_status,
       line.id, line.sku, line.name, line.options, coalesce(shared.units, 0), line.note, line.shipping_name,
       line.unsent - coalesce((SELECT sum(units) FROM shared s WHERE s.order_line_id = line.id), 0) AS waiting,
       line.image_url
  FROM open_lines line LEFT JOIN shared ON shared.order_line_id = line.id AND shared.units > 0
  LEFT JOIN warehouses place ON place.id = shared.warehouse_id
 WHERE (%(warehouse)s = '' OR place.code = %(warehouse)s)
 ORDER BY 1, line.placed_at, line.number, line.position LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickingTask:
    """So many units of one order line to fetch in one warehouse; `waiting` of the line are owed and not there yet."""

    warehouse: str
    warehouse_name: str
    order_id: UUID
    order_number: str
    order_status: str
    placed_at: datetime
    line_id: UUID
    sku: str
    name: str
    options: dict[str, Any]
    quantity: int
    waiting: int
    note: str
    shipping_name: str
    image_url: str


def picking_tasks(
    *, actor: Actor, warehouse: str = "", order_ids: Sequence[UUID] | None = None
) -> list[PickingTask]:
    """
    Return what is to be packed, oldest orders first within each warehouse, in one statement.

    Orders that wait for a look of staff are not in it. `warehouse` is a code; without it all are listed.
    """
    more = "" if order_ids is None else "AND o.id = ANY(%(orders)s)"
    with connection.cursor() as cursor:
        cursor.execute(
            _TASKS.format(more=more),
            {
                "company": actor.company_id,
                "warehouse": warehouse,
                "orders": list(order_ids or ()),
                "most": MOST,
            },
        )
        rows = cursor.fetchall()
    return [
        PickingTask(
            warehouse=row[0],
            warehouse_name=row[1],
            order_id=row[2],
            order_number=row[3],
            placed_at=row[4],
            order_status=row[5],
            line_id=row[6],
            sku=row[7],
            name=row[8],
            options=_json(row[9]),
            quantity=int(row[10]),
            note=row[11],
            shipping_name=row[12],
            waiting=int(row[13]),
            image_url=row[14],
        )
        for row in rows
    ]


def picking_lines(tasks: Sequence[PickingTask]) -> Iterator[str]:
    """Yield picking tasks as CSV; no cell can be taken for a formula."""
    yield write_line(COLUMNS)
    for task in tasks:
        cells = [
            task.warehouse,
            task.order_number,
            task.placed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            task.sku,
            task.name,
            ", ".join(f"{name}: {value}" for name, value in task.options.items()),
            str(task.quantity),
            str(task.waiting),
            task.note,
            task.shipping_name,
        ]
        yield write_line([guard(cell) for cell in cells])


def _json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value) if isinstance(value, str) else dict(value or {})
    return found
