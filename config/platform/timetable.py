"""The timetable beside what really ran: which job is due how often, when it last ran, and which is overdue (JOB-22)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import crontab
from django.conf import settings
from django.db import connection


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """One job of the timetable. Times are None where it has not run since runs were last pruned."""

    name: str
    every: timedelta
    started_at: datetime | None
    state: str
    seconds: float | None
    count: int
    error: str
    done_at: datetime | None
    is_overdue: bool


# Two periods without a run that ended well, and never less than a minute more than one.
LEAST_GRACE = timedelta(minutes=1)

_LATEST = """
    SELECT job.name, run.started_at, run.state, run.ended_at, run.count, run.error, done.started_at, done.ended_at
      FROM unnest(%(names)s::text[]) AS job (name)
      LEFT JOIN LATERAL (SELECT * FROM job_runs r WHERE r.name = job.name
                          ORDER BY r.started_at DESC LIMIT 1) run ON true
      LEFT JOIN LATERAL (SELECT * FROM job_runs r WHERE r.name = job.name AND r.state = 'done'
                          ORDER BY r.started_at DESC LIMIT 1) done ON true
"""


def overview(*, now: datetime) -> list[JobState]:
    """Return every job of the timetable, by name: one statement on the index of the runs."""
    periods = periods_by_job()
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, {"names": sorted(periods)})
        rows = cursor.fetchall()
    found = []
    for name, started_at, state, ended_at, count, error, done_from, done_at in rows:
        every = periods[name]
        # A job that never ended well has been due since its first run that is known.
        since = done_from or started_at
        found.append(
            JobState(
                name=name,
                every=every,
                started_at=started_at,
                state=state or "",
                seconds=(ended_at - started_at).total_seconds() if ended_at else None,
                count=count or 0,
                error=error or "",
                done_at=done_at,
                is_overdue=since is not None and now - since > max(2 * every, every + LEAST_GRACE),
            )
        )
    return found


def periods_by_job() -> dict[str, timedelta]:
    """Return how often each job of the beat schedule is due, by the name under which its runs are recorded."""
    return {
        job_of(str(entry["task"])): _period(entry["schedule"])
        for entry in settings.CELERY_BEAT_SCHEDULE.values()
    }


def job_of(task: str) -> str:
    """Return the name of a task's runs: `config.platform.tasks.relay` is `platform.relay`."""
    return task.removeprefix("config.").replace(".tasks.", ".")


def _period(schedule: Any) -> timedelta:
    if isinstance(schedule, timedelta):
        return schedule
    if isinstance(schedule, crontab):
        if len(schedule.hour) > 1:
            return timedelta(hours=24 / len(schedule.hour))
        days = len(schedule.day_of_week) if len(schedule.day_of_month) > 1 else 1
        return timedelta(days=7 / days) if len(schedule.day_of_month) > 1 else timedelta(days=31)
    raise TypeError(f"no schedule: {schedule!r}")
