"""How prices moved in a period: a report by variant or by category, of base prices and of those beside them."""

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
ALL, BASE, SPECIAL = "all", "base", "special"  # which prices


@dataclass(frozen=True, slots=True)
class Moved:
    """
    One row of the report: a variant, or all of a category; `sku` is empty for a category.

    `kind` says which price of it: `base`, `scheduled` (in its place for a time), `break` (from `from_quantity` units on),
    `group` (of a customer group) or `group_break`. What is no base price is told for the time in which it was in
    force; a change of it is its beginning or its end, and `last` is null where it was over.

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
    kind: str = BASE
    from_quantity: int = 1
    group: str = ""


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
    ),
    beside AS (
        SELECT s.id, asked.key, s.amount, s.from_quantity, coalesce(g.name, '') AS named, s.starts_at, s.ends_at,
               CASE WHEN s.group_id IS NULL THEN CASE WHEN s.from_quantity = 1 THEN 'scheduled' ELSE 'break' END
                    WHEN s.from_quantity = 1 THEN 'group' ELSE 'group_break' END AS kind,
               greatest(extract(epoch FROM least(coalesce(s.ends_at, %(end)s), %(end)s)
                                           - greatest(s.starts_at, %(start)s)), 0) AS seconds
          FROM special_prices s JOIN asked ON asked.id = s.variant_id
          LEFT JOIN customer_groups g ON g.id = s.group_id
         WHERE s.currency = %(currency)s AND s.starts_at < %(end)s AND (s.ends_at IS NULL OR s.ends_at > %(start)s)
    ),
    told AS (
    SELECT asked.key, 'base' AS kind, 1 AS from_quantity, '' AS named,
           count(*) FILTER (WHERE is_change) AS changes,
           (array_agg(amount ORDER BY at, change_id NULLS FIRST))[1] AS first,
           (array_agg(amount ORDER BY at DESC, change_id DESC NULLS LAST))[1] AS last,
           min(amount) AS lowest, max(amount) AS highest, avg(amount) AS mean,
           coalesce(sum(amount * seconds) / nullif(sum(seconds), 0), avg(amount)) AS weighted
      FROM spans JOIN asked USING (id)
     WHERE amount IS NOT NULL AND %(prices)s <> 'special'
     GROUP BY asked.key
    UNION ALL
    SELECT key, kind, from_quantity, named,
           count(*) FILTER (WHERE starts_at > %(start)s) + count(*) FILTER (WHERE ends_at < %(end)s),
           (array_agg(amount ORDER BY starts_at, id))[1],
           (array_agg(amount ORDER BY starts_at DESC, id DESC) FILTER (WHERE ends_at IS NULL OR ends_at >= %(end)s))[1],
           min(amount), max(amount), avg(amount),
           coalesce(sum(amount * seconds) / nullif(sum(seconds), 0), avg(amount))
      FROM beside
     WHERE %(prices)s <> 'base'
     GROUP BY key, kind, from_quantity, named
    ),
    names AS (
        SELECT key, CASE WHEN %(by)s = 'variant' THEN min(sku) ELSE '' END AS sku,
               CASE WHEN %(by)s = 'variant' THEN min(name) ELSE min(category) END AS name, min(category) AS category
          FROM asked GROUP BY key
    )
    SELECT names.sku, names.name, names.category, changes, first, last, lowest, highest, mean, weighted, kind,
           from_quantity, named
      FROM told JOIN names USING (key)
     ORDER BY names.name, names.sku, key, array_position(ARRAY['base', 'scheduled', 'break', 'group', 'group_break'], kind),
              named, from_quantity
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
    prices: str = ALL,
) -> Iterator[Moved]:
    """
    Yield how prices in one currency moved between two days of UTC, both included: one statement.

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
                "prices": prices,
                "start": datetime.combine(first, time.min, UTC),
                "end": end,
            },
        )
        while rows := cursor.fetchmany(500):
            for row in rows:
                yield Moved(*row)
