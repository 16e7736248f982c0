"""
Statements that PostgreSQL plans once per connection instead of at each call.

Django's cursors write values into the text of a statement, so that each call is a new text to parse and to plan. On the
busiest paths planning costs several times what running does; their SQL is fixed and goes through `prepared_cursor()`.
All other SQL stays with Django's cursors.

    with prepared_cursor() as cursor:
        cursor.execute("SELECT name FROM companies WHERE id = %s", [company_id])

What to mind in such SQL:

- The text is the key of the plan: values are parameters, never part of it. A value that is the same at each call, such as
  a status that a partial index is about, belongs into the text, or the plan cannot use the index.
- One plan serves all values (`plan_cache_mode` in the settings): what needs another for some of them does not belong here.
- One statement at a time, and values have the types of Python: `%s::jsonb` where PostgreSQL could not tell.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import errors
from psycopg.pq import TransactionStatus

# "Cached plan must not change result type", after the type of a column was changed, and a statement that the server has
# forgotten (DISCARD ALL, a connection handed on by a proxy).
_STALE = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)

# A plan is made for the tables as they are then, and kept until they are analyzed. A young shop's tables grow a hundredfold
# in the minute before that, and the plan for an empty table reads all of a full one. So no plan is kept for long: making
# all of a connection's plans anew costs a few milliseconds.
PLAN_SECONDS = 15.0
_PLANNED_AT = "holdfast_planned_at"
_FORGOTTEN = itertools.count()


@dataclass(frozen=True, slots=True)
class _Sent:
    """What Django asks a cursor for when it logs or counts statements; the driver keeps none of prepared ones."""

    cursor: PreparedCursor
    sql: Any
    values: Any

    @property
    def query(self) -> bytes:
        return self.cursor.mogrify(self.sql, self.values).encode()


class PreparedCursor(psycopg.Cursor[Any]):
    """Binds on the server and prepares at the first call, which costs that call one more round trip."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """
        Run a statement with its kept plan.

        A plan that no longer fits is dropped and made anew. Within a transaction that has to be repeated for it, it is
        reported as the conflict it is with whoever changed the table, and is gone after the rollback.
        """
        options.setdefault("prepare", True)
        self._forget_old_plans()
        try:
            super().execute(query, params, **options)
        except _STALE as stale:
            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                raise errors.SerializationFailure(
                    f"A prepared statement is out of date: {stale}"
                ) from stale
            self._forget_plans()
            super().execute(query, params, **options)
        finally:
            self._query: Any = _Sent(self, query, params)
        return self

    def _forget_old_plans(self) -> None:
        now = time.monotonic()
        planned_at = self.connection.__dict__.setdefault(_PLANNED_AT, now)
        if now - planned_at > PLAN_SECONDS:
            self._forget_plans()

    def _forget_plans(self) -> None:
        # The driver forgets its own notes at this, too, but looks only at what comes of a text that is new to it: one
        # that it has counted before, when there were no notes to forget, would leave it asking for what is gone.
        super().execute(f"DEALLOCATE ALL -- {next(_FORGOTTEN)}", prepare=False)
        self.connection.__dict__[_PLANNED_AT] = time.monotonic()

    def mogrify(self, query: Any, params: Any = None) -> str:
        """Return the statement with its values in it, as Django's cursors do, for those who log or replay it."""
        return psycopg.ClientCursor(self.connection).mogrify(query, params)


@contextmanager
def prepared_cursor() -> Iterator[CursorWrapper]:
    """
    Give a cursor whose statements are planned once per connection; counted, logged and wrapped like every other.

    With DB_PREPARE_STATEMENTS=off it is Django's own cursor.
    """
    with connection.cursor() as cursor:
        if connection.settings_dict["OPTIONS"].get("prepare_threshold") is not None:
            cursor.cursor = PreparedCursor(connection.connection)
        yield cursor
