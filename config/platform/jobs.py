"""Scheduled work: every run is a row, no two runs of one job overlap, a crashed run is taken over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from config.platform import metrics
from config.platform.models import JobRun

logger = structlog.get_logger(__name__)

LEASE = timedelta(minutes=3)


def run_job(
    name: str, work: Callable[[datetime], int | None], *, now: datetime, lease: timedelta = LEASE
) -> JobRun | None:
    """
    Run `work(now)` unless a run of the same name is under way; return the run, or None where it was left out.

    `work` answers how many things it did. A run that did not end within its lease is taken for dead, so the lease
    must be longer than the task's time limit.
    """
    run = _start(name, now, lease)
    if run is None:
        logger.info("a job still runs and was left out", job=name)
        return None
    with structlog.contextvars.bound_contextvars(job=name, job_run=str(run.id)):
        try:
            count = work(now) or 0
        except BaseException as failure:
            _end(run, state="failed", error=f"{type(failure).__name__}: {failure}")
            raise
        _end(run, state="done", count=count)
    return run


def _start(name: str, now: datetime, lease: timedelta) -> JobRun | None:
    JobRun.objects.filter(name=name, state="running", lease_until__lt=now).update(
        state="failed", ended_at=now, error="The run ended without a word; its lease ran out."
    )
    run = JobRun(name=name, state="running", started_at=now, lease_until=now + lease)
    # The partial unique index refuses the second of two runs that start at once.
    JobRun.objects.bulk_create([run], ignore_conflicts=True)
    return run if JobRun.objects.filter(id=run.id).exists() else None


def _end(run: JobRun, *, state: str, count: int = 0, error: str = "") -> None:
    metrics.count("job_runs_total", job=run.name, state=state)
    if count:
        metrics.count("job_items_total", count, job=run.name)
    run.state, run.count, run.error = state, count, error[:4_000]
    run.ended_at = max(timezone.now(), run.started_at)
    # A run that was taken over meanwhile stays failed: it no longer owns the name.
    JobRun.objects.filter(id=run.id, state="running").update(
        state=state, count=count, error=run.error, ended_at=run.ended_at
    )


def prune(
    *,
    now: datetime,
    keep: timedelta = timedelta(days=30),
    keep_frequent: timedelta = timedelta(days=1),
) -> int:
    """Delete old runs; those that did nothing and took no longer than a blink go after a day."""
    ended = JobRun.objects.exclude(state="running")
    idle = ended.filter(
        state="done", count=0, started_at__lt=now - keep_frequent, ended_at__isnull=False
    )
    gone, _ = idle.filter(ended_at__lt=F("started_at") + timedelta(seconds=10)).delete()
    old, _ = ended.filter(started_at__lt=now - keep).delete()
    return gone + old
