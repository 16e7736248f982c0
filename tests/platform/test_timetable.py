"""What runs in the background: known by name, recorded, shown, and missed when it does not run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from django.core.management import call_command

from config.platform import health, metrics, timetable
from config.platform.models import JobRun

pytestmark = pytest.mark.django_db


def ran(
    name: str,
    at: datetime,
    *,
    state: str = "done",
    seconds: float = 2,
    error: str = "",
    count: int = 0,
) -> None:
    JobRun.objects.create(
        name=name,
        state=state,
        started_at=at,
        ended_at=None if state == "running" else at + timedelta(seconds=seconds),
        lease_until=at,
        error=error,
        count=count,
    )


@pytest.fixture
def jobs(settings: Any) -> dict[str, Any]:
    settings.CELERY_BEAT_SCHEDULE = {
        "a": {"task": "inventory.tasks.often", "schedule": timedelta(seconds=10)},
        "b": {"task": "config.platform.tasks.hourly", "schedule": crontab(minute=0)},
        "c": {"task": "cart.tasks.daily", "schedule": crontab(hour=3, minute=0)},
        "d": {
            "task": "cart.tasks.weekly",
            "schedule": crontab(hour=3, minute=0, day_of_week="sunday"),
        },
    }
    return {"hourly": timedelta(hours=1)}


def of(name: str, now: datetime) -> timetable.JobState:
    return next(job for job in timetable.overview(now=now) if job.name == name)


def test_every_job_of_the_schedule_records_its_runs_under_the_name_it_is_watched_by(
    settings: Any,
) -> None:
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        task = str(entry["task"])
        module = import_module(task.rpartition(".")[0])
        assert f'"{timetable.job_of(task)}"' in Path(str(module.__file__)).read_text(), task


def test_periods_are_those_of_the_schedule(jobs: Any) -> None:
    assert timetable.periods_by_job() == {
        "inventory.often": timedelta(seconds=10),
        "platform.hourly": timedelta(hours=1),
        "cart.daily": timedelta(days=1),
        "cart.weekly": timedelta(days=7),
    }


def test_a_job_is_overdue_after_two_turns_without_a_good_run(jobs: Any, now: datetime) -> None:
    assert not of("platform.hourly", now).is_overdue  # it has not run yet

    ran("platform.hourly", now - timedelta(hours=2, seconds=1), state="failed", error="Boom\nlong")
    assert of("platform.hourly", now).is_overdue  # it never ended well

    ran("platform.hourly", now - timedelta(hours=2), count=7)
    ran("platform.hourly", now - timedelta(hours=1), state="failed", error="Boom\nlong")
    job = of("platform.hourly", now)
    assert (job.is_overdue, job.state, job.seconds, job.error) == (
        False,
        "failed",
        2.0,
        "Boom\nlong",
    )
    assert job.done_at == now - timedelta(hours=2) + timedelta(seconds=2)
    assert of("platform.hourly", now + timedelta(seconds=1)).is_overdue

    ran("inventory.often", now - timedelta(seconds=70))
    assert not of("inventory.often", now).is_overdue  # what runs often gets a minute
    assert of("inventory.often", now + timedelta(seconds=1)).is_overdue


def test_the_overview_is_one_statement(
    jobs: Any, now: datetime, django_assert_num_queries: Any
) -> None:
    for minutes in range(5):
        ran("cart.daily", now - timedelta(minutes=minutes))

    with django_assert_num_queries(1):
        assert len(timetable.overview(now=now)) == 4


def test_the_command_shows_last_runs_and_what_is_overdue(
    jobs: Any, now: datetime, capsys: Any
) -> None:
    ran("inventory.often", now - timedelta(minutes=5), count=3)
    ran("cart.daily", now - timedelta(hours=1), state="failed", error="Boom\nlong")

    with pytest.raises(SystemExit) as ended:
        call_command("jobs")
    text = capsys.readouterr().out
    assert ended.value.code == 1
    assert "3 done  OVERDUE" in text.replace("\x1b[31;1m", "").replace("\x1b[0m", "")
    assert "Boom" in text
    assert "long" not in text
    assert "every 7 days, 0:00:00  has not run yet" in text

    with pytest.raises(SystemExit):
        call_command("jobs", "--json")
    found = {job["name"]: job for job in json.loads(capsys.readouterr().out)}
    assert (found["inventory.often"]["overdue"], found["inventory.often"]["count"]) == (True, 3)
    assert found["cart.weekly"]["startedAt"] is None


def test_overdue_jobs_show_in_readiness_and_numbers(jobs: Any, now: datetime) -> None:
    ran("platform.relay", now)
    ran("platform.hourly", now - timedelta(hours=3), count=4)

    assert health.jobs(now) == health.Health("degraded", "overdue: platform.hourly")
    text = metrics.exposition(now=now)
    assert 'job_overdue{job="platform.hourly"} 1' in text
    assert 'job_overdue{job="cart.daily"} 0' in text
    assert 'job_last_count{job="platform.hourly"} 4' in text
    assert 'job_last_duration_seconds{job="platform.hourly"} 2' in text
