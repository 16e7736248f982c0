"""A query set compiled to SQL once per process, and planned once per connection; later runs only bind parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from config.platform.prepared import prepared_cursor

_PLACES = re.compile(r"%[s%]")


class Compiled:
    """
    A statement of the hot path, written with the ORM and other apps' expressions but compiled only once.

    `build` returns `values_list` query sets (joined by UNION ALL) made with the marks in place of real values; a mark
    is a value that occurs nowhere else. `variant` tells apart builds that depend on a switch. All other values become
    part of the text, where a plan that is kept can see them.
    """

    def __init__(
        self, build: Callable[[Any], list[QuerySet[Any, Any]]], *, marks: Mapping[str, Any]
    ) -> None:
        self._build = build
        self._names = {mark: name for name, mark in marks.items()}
        self._kept: dict[Any, tuple[str, frozenset[str]]] = {}

    def rows(self, variant: Any = None, /, **values: Any) -> list[tuple[Any, ...]]:
        """Run the statement and return its rows as the driver gives them (JSON as text)."""
        kept = self._kept.get(variant)
        if kept is None:
            kept = self._kept[variant] = self._compile(variant)
        sql, names = kept
        with prepared_cursor() as cursor:
            cursor.execute(sql, {name: values[name] for name in names})
            return list(cursor.fetchall())

    def _compile(self, variant: Any) -> tuple[str, frozenset[str]]:
        parts: list[str] = []
        names: set[str] = set()
        for queryset in self._build(variant):
            sql, given = queryset.query.sql_with_params()
            values = iter(given)

            def fill(match: re.Match[str], values: Any = values) -> str:
                if match[0] == "%%":
                    return "%%"
                value = next(values)
                name = self._name(value)
                if name is None:
                    return _literal(value)
                names.add(name)
                return f"%({name})s"

            parts.append(f"({_PLACES.sub(fill, sql)})")
        return " UNION ALL ".join(parts), frozenset(names)

    def _name(self, value: Any) -> str | None:
        try:
            return self._names.get(value)
        except TypeError:  # not hashable, so no mark
            return None


def _literal(value: Any) -> str:
    text: str = connection.ops.compose_sql("%s", [value])  # type: ignore[attr-defined]
    return text.replace("%", "%%")
