"""
Is the shop able to take an order? Each check answers ok, degraded or down, with its time.

Apps add theirs with `@health.check("holds")`, from a module that their `ready()` imports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q

from config.platform import limits, timetable
from config.platform.breaker import Breaker
from config.platform.models import JobRun, OutboxEvent

logger = structlog.get_logger(__name__)

Status = Literal["ok", "degraded", "down"]
_ORDER: tuple[Status, ...] = ("ok", "degraded", "down")


class Health(NamedTuple):
    status: Status
    detail: str = ""


CheckFunction = Callable[[datetime], Health]
_checks: dict[str, CheckFunction] = {}

# Older than this, what is due every few seconds does not run any more.
SILENCE = timedelta(seconds=60)
BACKLOG_AGE = timedelta(minutes=5)
BACKLOG_SIZE = 10_000


def check(name: str) -> Callable[[CheckFunction], CheckFunction]:
    """Register `fn(now) -> Health` as part of readiness; what it raises counts as degraded."""

    def register(run: CheckFunction) -> CheckFunction:
        _checks[name] = run
        return run

    return register


def liveness() -> dict[str, str]:
    """Return what answers while the process lives: which program this is, and nothing that had to be asked for."""
    return {
        "status": "ok",
        "version": settings.VERSION,
        "build": settings.BUILD,
        "environment": settings.ENVIRONMENT,
    }


def readiness(*, now: datetime) -> dict[str, Any]:
    """Return every check with status, milliseconds and detail; the whole is as bad as the worst of them."""
    checks: dict[str, dict[str, Any]] = {}
    database_down = False
    for name, run in _checks.items():
        started = time.perf_counter()
        if database_down and name != "redis":
            found = Health("degraded", "not asked, the database does not answer")
        else:
            try:
                found = run(now)
            except Exception as failure:  # noqa: BLE001 - a broken check is a finding, not a crash
                logger.warning("a health check failed", check=name, reason=repr(failure)[:300])
                found = Health("down" if name == "database" else "degraded", type(failure).__name__)
        database_down = database_down or (name == "database" and found.status == "down")
        checks[name] = {
            "status": found.status,
            "ms": round((time.perf_counter() - started) * 1000, 1),
            "detail": found.detail,
        }
    worst = max((_ORDER.index(entry["status"]) for entry in checks.values()), default=0)
    return {"status": _ORDER[worst], "checks": checks}


@check("database")
def database(now: datetime) -> Health:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return Health("ok")


@check("redis")
def redis(now: datetime) -> Health:
    # Without Redis there is no push and no cache, and orders are taken all the same.
    try:
        limits.client().ping()
    except Exception as failure:  # noqa: BLE001
        return Health("degraded", type(failure).__name__)
    return Health("ok")


@check("jobs")
def jobs(now: datetime) -> Health:
    """Beat and workers are alive when what is due every few seconds was done lately, and no job missed two turns."""
    latest = (
        JobRun.objects.filter(name="platform.relay", state="done").order_by("-started_at").first()
    )
    if latest is None:
        return Health("degraded", "no job has run yet")
    age = now - (latest.ended_at or latest.started_at)
    if age > SILENCE:
        return Health("degraded", f"the last job ended {int(age.total_seconds())} s ago")
    overdue = [job.name for job in timetable.overview(now=now) if job.is_overdue]
    return Health("degraded", f"overdue: {', '.join(overdue)}") if overdue else Health("ok")


@check("outbox")
def outbox(now: datetime) -> Health:
    backlog = OutboxEvent.objects.filter(published_at=None).aggregate(
        waiting=Count("id", filter=Q(dead_at=None)),
        oldest=Min("occurred_at", filter=Q(dead_at=None)),
        dead=Count("id", filter=Q(dead_at__isnull=False)),
    )
    detail = f"{backlog['waiting']} waiting, {backlog['dead']} given up"
    late = backlog["oldest"] is not None and now - backlog["oldest"] > BACKLOG_AGE
    if late or backlog["waiting"] > BACKLOG_SIZE or backlog["dead"]:
        return Health("degraded", detail)
    return Health("ok", detail)


@check("breakers")
def breakers(now: datetime) -> Health:
    resting = sorted(name for name, breaker in Breaker.all.items() if breaker.is_open)
    return Health("degraded", f"resting: {', '.join(resting)}") if resting else Health("ok")
