"""What is bought together: counted where the orders are, kept where the products are."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from inventory import services as inventory
from inventory.services import CoPurchaseCount
from orders.models import Order

WINDOW = timedelta(days=180)
LEAST = 2  # once is chance
MOST_PRODUCTS = 30  # of one order: what restocks a shop says little of what goes together
KEPT = 12  # of each product
COUNTED = (
    Order.Status.CONFIRMED, Order.Status.PROCESSING, Order.Status.SHIPPED, Order.Status.DELIVERED,
)  # fmt: skip

_COUNT = """
WITH bought AS (
    SELECT DISTINCT line.order_id, line.product_id
      FROM order_items line JOIN orders ON orders.id = line.order_id
     WHERE orders.company_id = %(company)s AND orders.status = ANY(%(statuses)s)
       AND orders.placed_at >= %(since)s AND orders.placed_at < %(now)s
       AND line.quantity > line.cancelled_quantity
), baskets AS (
    SELECT order_id FROM bought GROUP BY order_id HAVING count(*) BETWEEN 2 AND %(most)s
), pairs AS (
    SELECT one.product_id, other.product_id AS other_id, count(*) AS count
      FROM baskets JOIN bought one USING (order_id) JOIN bought other USING (order_id)
     WHERE one.product_id <> other.product_id
     GROUP BY one.product_id, other.product_id HAVING count(*) >= %(least)s
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY product_id ORDER BY count DESC, other_id) AS place
      FROM pairs
)
SELECT product_id, other_id, count FROM ranked WHERE place <= %(kept)s
"""


@transaction.atomic
def count_co_purchases(*, company_id: UUID, now: datetime) -> int:
    """
    Count which products of a company were bought together in the orders of the last 180 days; return the pairs kept.

    Counted are confirmed orders of 2 to 30 products, without what was cancelled; kept are the twelve products that
    were bought with each one most often, at least twice.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '80s'")  # a nightly look over half a year
        cursor.execute(
            _COUNT,
            {
                "company": company_id,
                "statuses": [str(status) for status in COUNTED],
                "since": now - WINDOW,
                "now": now,
                "most": MOST_PRODUCTS,
                "least": LEAST,
                "kept": KEPT,
            },
        )
        counts = [CoPurchaseCount(*row) for row in cursor.fetchall()]
    return inventory.record_co_purchases(company_id=company_id, counts=counts, now=now)
