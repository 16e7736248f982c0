"""How prices moved in a period: a report by variant or by category, out of the history of base prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import connection

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed

LONGEST = timedelta(days=3 * 366)
BY_VARIANT, BY_CATEGORY = "variant", "category"


@dataclass(frozen=True, slots=True)
class Moved:
    """
    One row of the report: a variant, or all of a category; `sku` is empty for a category.

    `lowest` and `highest` were in force at some time of the period, `average` is the mean of the prices in force,
    `weighted` the mean over time: a price that held for two days counts twice one that held for a day.
    """

    sku: str
    name: str
    category: str
    changes: int
    first: Decimal
    last: Decimal | None
    lowest: Decimal
    highest: Decimal
    average: Decimal
    weighted: Decimal


def days_of(*, first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """
    Return the days of a report, both included: without them, the month so far.

    :raises ValidationFailed: if it ends before it begins, begins in the future, or is longer than three years
    """
    last = min(last or today, today)
    first = first or last.replace(day=1)
    if last < first:
        raise ValidationFailed(
            errors=[FieldError("dateTo", "invalid", "A period does not end before it begins.")]
        )
    if last - first > LONGEST:
        raise ValidationFailed(
            errors=[FieldError("dateTo", "invalid", "At most three years at once.")]
        )
    return first, last


_REPORT = """
    WITH RECURSIVE below AS (
        SELECT id FROM categories WHERE company_id = %(company)s AND slug = %(category)s
        UNION
        SELECT child.id FROM categories child JOIN below ON child.parent_id = below.id
    ),
    asked AS (
        SELECT variant.id, variant.sku, product.name, coalesce(category.name, '') AS category,
               CASE WHEN %(by)s = 'variant' THEN variant.id::text ELSE coalesce(category.id::text, '') END AS key
          FROM variants variant
          JOIN products product ON product.id = variant.product_id
          LEFT JOIN categories category ON category.id = product.category_id
         WHERE variant.company_id = %(company)s
           AND (%(category)s = '' OR product.category_id IN (SELECT id FROM below))
           AND (%(product)s = '' OR product.slug = %(product)s OR variant.sku = %(product)s)
    ),
    history AS (
        SELECT change.* FROM price_changes change JOIN asked ON asked.id = change.variant_id
         WHERE change.currency = %(currency)s AND change.special_id IS NULL AND change.changed_at < %(end)s
    ),
    points AS (
        SELECT asked.id, %(start)s::timestamptz AS at, false AS is_change, NULL::uuid AS change_id, coalesce(
               (SELECT new_amount FROM history WHERE variant_id = asked.id AND changed_at <= %(start)s
                 ORDER BY changed_at DESC, history.id DESC LIMIT 1),
               (SELECT old_amount FROM price_changes later
                 WHERE later.variant_id = asked.id AND later.currency = %(currency)s AND later.special_id IS NULL
                   AND later.changed_at > %(start)s
                 ORDER BY later.changed_at, later.id LIMIT 1),
               (SELECT amount FROM prices WHERE prices.variant_id = asked.id AND prices.currency = %(currency)s
                   AND NOT EXISTS (SELECT 1 FROM price_changes change WHERE change.variant_id = asked.id
                       AND change.currency = %(currency)s AND change.special_id IS NULL))) AS amount
          FROM asked
        UNION ALL
        SELECT variant_id, changed_at, old_amount IS DISTINCT FROM new_amount, history.id, new_amount
          FROM history WHERE changed_at > %(start)s
    ),
    spans AS (
        SELECT points.*, extract(epoch FROM coalesce(
               lead(at) OVER (PARTITION BY id ORDER BY at, change_id NULLS FIRST), %(end)s) - at) AS seconds
          FROM points
    )
    SELECT CASE WHEN %(by)s = 'variant' THEN min(asked.sku) ELSE '' END,
           CASE WHEN %(by)s = 'variant' THEN min(asked.name) ELSE min(asked.category) END,
           min(asked.category),
           count(*) FILTER (WHERE is_change),
           (array_agg(amount ORDER BY at, change_id NULLS FIRST))[1],
           (array_agg(amount ORDER BY at DESC, change_id DESC NULLS LAST))[1],
           min(amount), max(amount), avg(amount),
           coalesce(sum(amount * seconds) / nullif(sum(seconds), 0), avg(amount))
      FROM spans JOIN asked USING (id)
     WHERE amount IS NOT NULL
     GROUP BY asked.key
     ORDER BY 2, 1, asked.key
"""


def price_report(
    *,
    actor: Actor,
    first: date,
    last: date,
    currency: str,
    now: datetime,
    by: str = BY_VARIANT,
    category: str = "",
    product: str = "",
) -> Iterator[Moved]:
    """
    Yield how base prices in one currency moved between two days of UTC, both included: one statement.

    `category` is a slug and covers the categories below it; `product` is a slug or a SKU. What had no price in this
    currency then is left out. The end of a period that still runs is now.
    """
    end = min(datetime.combine(last + timedelta(days=1), time.min, UTC), now)
    with connection.cursor() as cursor:
        cursor.execute(
            _REPORT,
            {
                "company": actor.company_id,
                "category": category,
                "product": product,
                "currency": currency,
                "by": by,
                "start": datetime.combine(first, time.min, UTC),
                "end": end,
            },
        )
        while rows := cursor.fetchmany(500):
            for row in rows:
                yield Moved(*row)
