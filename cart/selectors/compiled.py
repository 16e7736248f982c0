"""A query set compiled to SQL once per process; each later run only fills in its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet


class Compiled:
    """
    A statement of the hot path, written with the ORM and other apps' expressions but compiled only once.

    `build` returns `values_list` query sets (joined by UNION ALL) made with the marks in place of real values; a mark
    is a value that occurs nowhere else. `variant` tells apart builds that depend on a switch.
    """

    def __init__(
        self, build: Callable[[Any], list[QuerySet[Any, Any]]], *, marks: Mapping[str, Any]
    ) -> None:
        self._build = build
        self._names = {mark: name for name, mark in marks.items()}
        self._kept: dict[Any, tuple[str, list[tuple[str | None, Any]]]] = {}

    def rows(self, variant: Any = None, /, **values: Any) -> list[tuple[Any, ...]]:
        """Run the statement and return its rows as the driver gives them (JSON as text)."""
        kept = self._kept.get(variant)
        if kept is None:
            kept = self._kept[variant] = self._compile(variant)
        sql, parameters = kept
        with connection.cursor() as cursor:
            cursor.execute(
                sql, [constant if name is None else values[name] for name, constant in parameters]
            )
            return list(cursor.fetchall())

    def _compile(self, variant: Any) -> tuple[str, list[tuple[str | None, Any]]]:
        parts: list[str] = []
        parameters: list[tuple[str | None, Any]] = []
        for queryset in self._build(variant):
            sql, given = queryset.query.sql_with_params()
            parts.append(f"({sql})")
            for value in given:
                name = (
                    self._names.get(value)
                    if isinstance(value, str | int | bytes)
                    or hasattr(value, "__hash__")
                    and value.__hash__ is not None
                    else None
                )
                parameters.append((name, None if name else value))
        return " UNION ALL ".join(parts), parameters
