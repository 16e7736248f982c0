"""
What must be true of the data, as SQL that returns the rows that break it.

Each app lists its own in `<app>/invariants.py: CHECKS`. All run in one read-only snapshot, so the answer is
consistent and asking is safe while traffic runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal
from uuid import UUID

from django.apps import apps
from django.db import connection, transaction

Klass = Literal["S", "L"]
SHOWN_ROWS = 20
GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Check:
    """
    One invariant: `sql` selects the violating rows, so no rows means that it holds.

    Class "S" (safety) holds in every snapshot. Class "L" (liveness) holds once `%(grace)s`, an interval, has passed
    with everything running. A percent sign in the SQL is written twice.
    """

    id: str
    klass: Klass
    text: str
    sql: str


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """One invariant that needs the other side's books: `find(since)` asks it, and returns what differs."""

    id: str
    text: str
    find: Callable[[datetime], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found; `error` says why it could not run."""

    check: Check | ProviderCheck
    count: int
    rows: list[dict[str, Any]]
    seconds: float
    error: str = ""

    @property
    def holds(self) -> bool:
        return not self.count and not self.error

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.check.id,
            "class": getattr(self.check, "klass", "B"),
            "text": self.check.text,
            "violations": self.count,
            "rows": self.rows,
            "ms": round(self.seconds * 1000, 1),
            "error": self.error,
        }


CHECKS = [
    Check(
        "E02",
        "L",
        "every event reaches its consumers within the grace, none is given up in silence",
        """
        select id, name, attempts, error, dead_at from outbox_events
        where (published_at is null and occurred_at < now() - %(grace)s) or dead_at is not null
        """,
    ),
    Check(
        "E04",
        "S",
        "each consumer takes each event at most once",
        "select consumer, event_id, count(*) from consumed_events group by 1, 2 having count(*) > 1",
    ),
    Check(
        "E05",
        "S",
        "what a consumer took was announced",
        """
        select c.consumer, c.event_id from consumed_events c
        where not exists (select 1 from outbox_events e where e.id = c.event_id)
        """,
    ),
    Check(
        "K01",
        "S",
        "one answer per idempotency key, and a key that is done has its answer",
        """
        select min(id::text) as id, scope, key, count(*) from idempotency_logs group by scope, key
        having count(*) > 1 or bool_or(state = 'done' and (status_code is null or response is null))
        """,
    ),
    Check(
        "K02",
        "L",
        "no idempotency key stays locked by a worker that died",
        "select id, scope, locked_at from idempotency_logs where state = 'in_progress' and locked_at < now() - %(grace)s",
    ),
    Check(
        "J01",
        "L",
        "no job run outlives its lease",
        "select id, name, lease_until from job_runs where state = 'running' and lease_until < now() - %(grace)s",
    ),
    Check(
        "J02",
        "S",
        "at most one run of a job at a time",
        "select name, count(*) from job_runs where state = 'running' group by 1 having count(*) > 1",
    ),
    Check(
        "A01",
        "S",
        "no two accounts share an address, whatever its case",
        "select lower(email) as email, count(*) from users group by 1 having count(*) > 1",
    ),
]


def all_checks() -> list[Check]:
    """
    Return the checks of every installed app, in the order of INSTALLED_APPS.

    :raises ValueError: if two have the same id
    """
    found: list[Check] = []
    for config in apps.get_app_configs():
        module = f"{config.name}.invariants"
        if find_spec(module) is not None:
            found += import_module(module).CHECKS
    ids = [check.id for check in found]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ValueError(f"two checks share an id: {', '.join(twice)}")
    return found


def provider_checks() -> list[ProviderCheck]:
    """Return the checks of every installed app that ask a provider."""
    found: list[ProviderCheck] = []
    for config in apps.get_app_configs():
        module = f"{config.name}.invariants"
        if find_spec(module) is not None:
            found += getattr(import_module(module), "PROVIDER_CHECKS", [])
    return found


def run_provider(checks: Sequence[ProviderCheck], *, since: datetime) -> list[Result]:
    """Run checks that ask a provider, outside any transaction; one that is not answered is a result with an error."""
    results = []
    for check in checks:
        started = time.perf_counter()
        rows: list[dict[str, Any]] = []
        error = ""
        try:
            rows = check.find(since)
        except Exception as failure:  # noqa: BLE001 - told in the result, never swallowed
            error = f"{type(failure).__name__}: {failure}"
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        seconds = time.perf_counter() - started
        results.append(Result(check, len(plain), plain[:SHOWN_ROWS], seconds, error))
    return results


def select(
    checks: Sequence[Check], *, klass: str | None = None, only: Collection[str] = ()
) -> list[Check]:
    """
    Return the checks of a class, or those named.

    :raises ValueError: if a name is not known
    """
    known = {check.id for check in checks}
    if unknown := sorted(set(only) - known):
        raise ValueError(f"no such check: {', '.join(unknown)}")
    return [
        check
        for check in checks
        if (klass is None or check.klass == klass) and (not only or check.id in only)
    ]


def run(checks: Sequence[Check], *, grace: timedelta = GRACE) -> list[Result]:
    """
    Run checks in one snapshot; a check that cannot run is a result with an error, and the others still run.

    Outside a transaction it opens a `REPEATABLE READ READ ONLY` one. Inside one (tests) it uses that.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            if not connection.savepoint_ids:
                cursor.execute("set transaction isolation level repeatable read, read only")
                cursor.execute("set local statement_timeout = '120s'")
        return [_run(check, grace) for check in checks]


def _run(check: Check, grace: timedelta) -> Result:
    started = time.perf_counter()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            parameters: Any = {"grace": grace}
            cursor.execute(check.sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            found = cursor.fetchmany(SHOWN_ROWS)
            count = len(found)
            while more := cursor.fetchmany(1_000):
                count += len(more)
    except Exception as failure:  # noqa: BLE001 - told in the result, never swallowed
        return Result(
            check, 0, [], time.perf_counter() - started, f"{type(failure).__name__}: {failure}"
        )
    rows = [dict(zip(names, map(_plain, row), strict=True)) for row in found]
    return Result(check, count, rows, time.perf_counter() - started)


def _plain(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID() | Decimal() | timedelta():
            return str(value)
        case bytes() | memoryview():
            return bytes(value).hex()
    return value
