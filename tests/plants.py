"""
Planting what must never be: for the test that each invariant is really watched.

Each app has `tests/<app>/plants.py` with one function per check:

    @plant("I01")
    def negative_stock() -> None:
        level = make_stock_level()
        loosen("stock_levels")
        sql("update stock_levels set available = -1 where id = %s", level.id)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection

PLANTS: dict[str, Callable[[], None]] = {}


def plant(check_id: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that makes exactly the named check fail, in a database where it held."""

    def register(run: Callable[[], None]) -> Callable[[], None]:
        if check_id in PLANTS:
            raise ValueError(f"{check_id} is planted twice")
        PLANTS[check_id] = run
        return run

    return register


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


def loosen(*tables: str) -> None:
    """
    Drop what keeps tables right: checks, unique and foreign keys, unique indexes, triggers, NOT NULL.

    Only until the end of the test: PostgreSQL rolls back schema changes too. Call it after the rows that need not
    be wrong are there.
    """
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        for table in tables:
            name = connection.ops.quote_name(table)
            cursor.execute(
                "select conname from pg_constraint where conrelid = %s::regclass and contype in ('c', 'u', 'x', 'f')",
                [table],
            )
            for (constraint,) in cursor.fetchall():
                cursor.execute(
                    f"alter table {name} drop constraint {connection.ops.quote_name(constraint)} cascade"
                )
            cursor.execute(
                "select indexrelid::regclass::text from pg_index"
                " where indrelid = %s::regclass and indisunique and not indisprimary",
                [table],
            )
            for (index,) in cursor.fetchall():
                cursor.execute(f"drop index {index}")
            cursor.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnotnull and attnum > 0"
                " and not attisdropped and attname not in (select a.attname from pg_index i join pg_attribute a"
                " on a.attrelid = i.indrelid and a.attnum = any(i.indkey) where i.indrelid = %s::regclass and i.indisprimary)",
                [table, table],
            )
            for (column,) in cursor.fetchall():
                cursor.execute(
                    f"alter table {name} alter column {connection.ops.quote_name(column)} drop not null"
                )
            cursor.execute(f"alter table {name} disable trigger user")
