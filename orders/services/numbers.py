"""Order numbers: ORD-YYYYMMDD-NNNNNN, counted anew each day, without a lock that orders wait for."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

SEQUENCE = "order_number"


def next_number(*, now: datetime) -> str:
    """
    Return the next order number of the day.

    A sequence counts all orders; a row per day says where that day began. Only the very first order of
    a day writes that row. Numbers may have gaps; past 999,999 they grow a digit.
    """
    date = now.astimezone(UTC).date()
    with connection.cursor() as cursor:
        suffix = _count(cursor, date)
        if suffix is None:
            cursor.execute(
                "INSERT INTO order_days (date, base) VALUES (%s, nextval(%s)) ON CONFLICT (date) DO NOTHING",
                [date, settings.ORDER_NUMBER_SEQUENCE_KEY],
            )
            suffix = _count(cursor, date)
    return f"ORD-{date:%Y%m%d}-{suffix:06d}"


def _count(cursor, date) -> int | None:  # type: ignore[no-untyped-def]
    # One statement: the row was committed before nextval() is drawn, so the difference is positive.
    cursor.execute(
        "SELECT nextval(%s) - base FROM order_days WHERE date = %s",
        [settings.ORDER_NUMBER_SEQUENCE_KEY, date],
    )
    row = cursor.fetchone()
    return None if row is None else int(row[0])
