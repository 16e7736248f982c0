"""Job runs, switches, the trail and the checks of health."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

from config.celery import app as celery_app
from config.platform import audit, flags, health, jobs, limits, metrics, outbox, tasks
from config.platform.errors import FeatureDisabled, NotFound
from config.platform.models import AuditEntry, FeatureFlag, JobRun
from tests.threads import together

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.platform.probe")]


# --- job runs -----------------------------------------------------------------------------------


def test_it_records_a_run_with_its_count(now):
    run = jobs.run_job("probe", lambda at: 3 if at == now else 0, now=now)

    row = JobRun.objects.get()
    assert (row.id, row.state, row.count, row.started_at) == (run.id, "done", 3, now)
    assert row.ended_at >= now


def test_it_records_a_failure_and_lets_it_be_seen(now):
    def work(at):
        raise ValueError("broken")

    with pytest.raises(ValueError):
        jobs.run_job("probe", work, now=now)

    row = JobRun.objects.get()
    assert (row.state, row.error) == ("failed", "ValueError: broken")


def test_it_leaves_a_run_out_while_another_is_under_way(now):
    inner = []
    jobs.run_job(
        "probe", lambda at: inner.append(jobs.run_job("probe", lambda at: 1, now=now)), now=now
    )

    assert inner == [None]
    assert JobRun.objects.count() == 1
    assert jobs.run_job("other", lambda at: 0, now=now) is not None


def test_it_takes_over_a_run_that_died(now):
    JobRun.objects.create(
        name="probe",
        state="running",
        started_at=now - timedelta(hours=1),
        lease_until=now - timedelta(minutes=57),
    )

    assert jobs.run_job("probe", lambda at: 1, now=now) is not None
    assert list(JobRun.objects.order_by("started_at").values_list("state", flat=True)) == [
        "failed",
        "done",
    ]


@pytest.mark.django_db(transaction=True)
def test_it_starts_one_run_when_many_want_to(now):
    running, refused = [], threading.Semaphore(0)

    def work(at):
        running.append(1)
        for _ in range(5):
            assert refused.acquire(timeout=120), (
                "another run was not refused while this one goes on"
            )
        return len(running)

    def start(index):
        run = jobs.run_job("probe", work, now=now)
        if run is None:
            refused.release()
        return run

    runs = together(6, start)

    assert len([run for run in runs if run]) == 1
    assert running == [1]


def test_it_forgets_idle_runs_after_a_day_and_all_after_a_month(now):
    for age, count in ((40, 5), (2, 0), (2, 5), (0, 0)):
        at = now - timedelta(days=age)
        JobRun.objects.create(
            name="probe", state="done", started_at=at, lease_until=at, ended_at=at, count=count
        )

    assert jobs.prune(now=now) == 2
    assert JobRun.objects.count() == 2


@pytest.mark.parametrize("task", [tasks.relay, tasks.forward, tasks.prune, tasks.check_invariants])
def test_it_runs_every_task_of_the_platform(task, company):
    task()

    assert JobRun.objects.get().state == "done"


def test_it_schedules_only_tasks_that_exist(settings):
    celery_app.loader.import_default_modules()

    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in celery_app.tasks, name
    assert outbox.RELAY_TASK in celery_app.tasks


# --- switches -----------------------------------------------------------------------------------


def test_it_answers_the_default_until_staff_switch(
    staff, now, settings, django_capture_on_commit_callbacks
):
    settings.FEATURES = {"AI_UPSELL_ENABLED": False}
    assert flags.is_enabled("AI_UPSELL_ENABLED") is False
    with pytest.raises(FeatureDisabled):
        flags.require("AI_UPSELL_ENABLED")

    with django_capture_on_commit_callbacks(execute=True):
        flags.switch(actor=staff, name="AI_UPSELL_ENABLED", enabled=True, now=now)

    flags.require("AI_UPSELL_ENABLED")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.before, entry.after) == (
        "feature.switched", {"enabled": False}, {"enabled": True},
    )  # fmt: skip


def test_it_asks_the_database_once_in_a_while(django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(10):
            flags.is_enabled("CART_SYNC_ENABLED")


def test_it_refuses_a_switch_nobody_reads(staff, now):
    with pytest.raises(NotFound):
        flags.switch(actor=staff, name="NO_SUCH_THING", enabled=True, now=now)
    with pytest.raises(KeyError):
        flags.is_enabled("NO_SUCH_THING")
    assert FeatureFlag.objects.count() == 0


# --- the trail ----------------------------------------------------------------------------------


def test_it_keeps_only_what_changed(staff, now):
    entry = audit.record(
        actor=staff, action="probe.changed", object_type="probe", object_id=7,
        before={"a": 1, "b": now}, after={"a": 1, "b": None}, reason="because", now=now,
    )  # fmt: skip

    entry.refresh_from_db()
    assert entry.before == {"b": entry.before["b"]}
    assert entry.after == {"b": None}
    assert (entry.actor, entry.object_id) == (f"staff:{staff.user_id}", "7")


@pytest.mark.parametrize(
    "change", ["update audit_entries set actor = 'x'", "delete from audit_entries"]
)
def test_it_lets_nobody_rewrite_the_trail(staff, now, change):
    audit.record(actor=staff, action="probe.changed", now=now)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


# --- health -------------------------------------------------------------------------------------


def test_it_lives_without_touching_anything(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        for path in ("/api/health", "/api/v1/health"):
            response = api.get(path)
            assert response.status_code == 200
            assert response.json() == {
                "status": "ok",
                "version": "1.0.0",
                "build": "",
                "environment": "test",
            }


def test_it_is_ready_while_jobs_run(api, now):
    assert api.get("/health/ready").json()["status"] == "degraded"
    jobs.run_job("platform.relay", lambda at: 0, now=timezone.now())

    response = api.get("/health/ready")

    assert response.status_code == 200
    found = response.json()
    assert {
        found["checks"][name]["status"] for name in ("database", "redis", "jobs", "outbox")
    } == {"ok"}


def test_it_is_not_ready_without_the_database(api, monkeypatch):
    def fail(now):
        raise OperationalError

    monkeypatch.setitem(health._checks, "database", fail)

    response = api.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "down")
    assert response.json()["checks"]["jobs"]["detail"] == "not asked, the database does not answer"


def test_it_is_only_degraded_without_redis(api, monkeypatch):
    def fail():
        raise ConnectionError

    monkeypatch.setattr("config.platform.limits.client", fail)

    response = api.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["checks"]["redis"]["status"] == "degraded"


def test_it_counts_requests_for_scrapers(api):
    metrics.flush()
    limits.client().flushdb()

    api.get("/health")
    text = api.client.get("/metrics").content.decode()

    assert 'http_requests_total{method="GET",route="/api/v1/health",status="200"} 1\n' in text
    assert "outbox_waiting 0\n" in text


def test_it_shows_numbers_to_scrapers_only(api, settings, monkeypatch):
    def outbox(**sent):
        return api.client.get("/api/v1/health/ready", **sent).json()["checks"]["outbox"]["detail"]

    assert api.client.get("/metrics", REMOTE_ADDR="8.8.8.8").status_code == 404
    assert (outbox(REMOTE_ADDR="8.8.8.8"), outbox()) == ("", "0 waiting, 0 given up")
    settings.METRICS_TOKEN = "t"
    assert api.client.get("/metrics").status_code == 404
    assert api.client.get("/metrics", headers={"Authorization": "Bearer t"}).status_code == 200
    assert outbox() == ""
    assert outbox(headers={"Authorization": "Bearer t"}) == "0 waiting, 0 given up"


# --- the OpenAPI document -----------------------------------------------------------------------


def test_it_documents_problems_credentials_and_spelling(api):
    response = api.get("/schema", Accept="application/vnd.oai.openapi+json")

    document = json.loads(response.content)
    assert document["openapi"] == "3.1.0"
    assert not any(
        path.startswith("/api/") and not path.startswith("/api/v1/") for path in document["paths"]
    )
    assert set(document["components"]["securitySchemes"]) >= {"bearer", "guest"}
    refresh = document["components"]["schemas"]["RefreshInputRequest"]
    assert list(refresh["properties"]) == ["refreshToken"]
    login = document["paths"]["/api/v1/auth/login"]["post"]
    assert "application/problem+json" in login["responses"]["default"]["content"]
    assert {entry["name"] for entry in login["parameters"]} == {"Idempotency-Key"}
    assert api.get("/docs").status_code == 200
