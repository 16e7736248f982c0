from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from config.platform.models import ConsumedEvent, IdempotencyKey, JobRun, OutboxEvent, new_id
from tests.factories import make_user
from tests.plants import loosen, plant, sql

LONG_AGO = timedelta(hours=1)


def _event(**fields):
    now = timezone.now()
    return OutboxEvent.objects.create(
        **{"name": "probe.rang", "aggregate_type": "probe", "aggregate_id": new_id(), "occurred_at": now,
           "next_attempt_at": now, "published_at": now, **fields}
    )  # fmt: skip


@plant("E02")
def an_event_nobody_took() -> None:
    _event(published_at=None, occurred_at=timezone.now() - LONG_AGO)


@plant("E04")
def an_event_taken_twice() -> None:
    event = _event()
    loosen("consumed_events")
    for _ in range(2):
        ConsumedEvent.objects.create(
            consumer="probe", event_id=event.id, consumed_at=timezone.now()
        )


@plant("E05")
def an_event_taken_that_was_never_announced() -> None:
    ConsumedEvent.objects.create(consumer="probe", event_id=new_id(), consumed_at=timezone.now())


def _key(**fields):
    now = timezone.now()
    return IdempotencyKey.objects.create(
        **{"scope": "s", "key": "k", "fingerprint": b"f" * 32, "state": "in_progress", "locked_at": now,
           "created_at": now, "expires_at": now + timedelta(days=1), **fields}
    )  # fmt: skip


@plant("K01")
def a_key_that_is_done_without_an_answer() -> None:
    loosen("idempotency_logs")
    _key(state="done", status_code=None)


@plant("K02")
def a_key_locked_by_a_worker_that_died() -> None:
    _key(locked_at=timezone.now() - LONG_AGO)


@plant("J01")
def a_run_that_never_ended() -> None:
    at = timezone.now() - LONG_AGO
    JobRun.objects.create(name="probe", state="running", started_at=at, lease_until=at)


@plant("J02")
def two_runs_of_one_job() -> None:
    loosen("job_runs")
    now = timezone.now()
    for _ in range(2):
        JobRun.objects.create(
            name="probe", state="running", started_at=now, lease_until=now + LONG_AGO
        )


@plant("A01")
def two_accounts_with_one_address() -> None:
    user = make_user(email="twice@example.com")
    other = make_user()
    loosen("users")
    sql("update users set email = 'TWICE@example.com' where id = %s", other.pk)
    assert user.email == "twice@example.com"
