"""Order numbers: ORD-YYYYMMDD-NNNNNN, counted anew each day, without a lock that orders wait for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.db import connection


def next_number(*, now: datetime) -> str:
    """
    Return the next order number of the day.

    A sequence counts all orders; a row per day says which one, and where that day began. Only the very first order of
    a day writes that row, so that a counter of another name (ORDER_NUMBER_SEQUENCE_KEY) counts from the next day on.
    Numbers may have gaps; past 999,999 they grow a digit.
    """
    day = now.astimezone(UTC).date()
    with connection.cursor() as cursor:
        suffix = _count(cursor, day)
        if suffix is None:
            _begin(cursor, day)
            suffix = _count(cursor, day)
    return f"ORD-{day:%Y%m%d}-{suffix:06d}"


def _count(cursor: Any, day: date) -> int | None:
    # One statement: the row was committed before nextval() is drawn, so the difference is positive.
    cursor.execute(
        "SELECT nextval(counter::regclass) - base FROM order_days WHERE date = %s", [day]
    )
    row = cursor.fetchone()
    return None if row is None else int(row[0])


def _begin(cursor: Any, day: date) -> None:
    counter = settings.ORDER_NUMBER_SEQUENCE_KEY
    cursor.execute("SELECT to_regclass(%s) IS NULL", [counter])
    if cursor.fetchone()[0]:
        name = connection.ops.quote_name(counter)
        cursor.execute(f"CREATE SEQUENCE IF NOT EXISTS {name}")
    cursor.execute(
        """
        INSERT INTO order_days (date, counter, base) VALUES (%(day)s, %(counter)s, nextval(%(counter)s))
        ON CONFLICT (date) DO NOTHING
        """,
        {"day": day, "counter": counter},
    )
