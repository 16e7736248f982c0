"""Rows of several tables, written at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Model
from django.db.models.sql import InsertQuery


def insert(*rows: Model) -> None:
    """
    Insert new rows, of whatever models, in one statement: all of them, or none.

    For what always comes into being together, such as an order, its lines and the first entry of its history. The rows
    have their keys already, and foreign keys between them hold by the statement's end. As with `bulk_create`, no
    signals are sent. Without rows nothing is asked.

    :raises IntegrityError: if any of them breaks a constraint
    """
    if not rows:
        return
    parts: list[str] = []
    values: list[Any] = []
    for model, of_model in _by_model(rows).items():
        query = InsertQuery(model)
        query.insert_values([f for f in model._meta.concrete_fields if not f.generated], of_model)
        [(sql, its_values)] = query.get_compiler(connection=connection).as_sql()
        parts.append(sql)
        values += its_values
    *before, last = parts
    within = ", ".join(f"part_{number} AS ({sql})" for number, sql in enumerate(before))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {within} {last}" if within else last, values)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def _by_model(rows: Iterable[Model]) -> dict[type[Model], list[Model]]:
    found: dict[type[Model], list[Model]] = {}
    for row in rows:
        found.setdefault(type(row), []).append(row)
    return found
