"""Hands due outbox rows to their durable consumers: at least once, and each consumer's effect once."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction

from config.platform import outbox
from config.platform.models import OutboxEvent

logger = structlog.get_logger(__name__)

MAX_ATTEMPTS = 12  # with the back-off below: about five hours
LONGEST_WAIT = timedelta(hours=1)


def backoff(attempts: int) -> timedelta:
    """Return how long to wait after the given number of failed attempts: 5 s, 10 s, 20 s … up to an hour."""
    return min(timedelta(seconds=5 * 2 ** max(attempts - 1, 0)), LONGEST_WAIT)


def relay_due(*, now: datetime, limit: int = 500) -> int:
    """
    Deliver up to `limit` due events, oldest first; return how many were delivered completely.

    Safe to run beside itself: a row that another relay holds is skipped. A failing consumer delays its own event
    only, and the consumers that took the event do not see it again.
    """
    due = OutboxEvent.objects.filter(published_at=None, dead_at=None, next_attempt_at__lte=now)
    return sum(
        _deliver(event_id, now)
        for event_id in due.order_by("id").values_list("id", flat=True)[:limit]
    )


@transaction.atomic
def _deliver(event_id: UUID, now: datetime) -> bool:
    row = (
        OutboxEvent.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(id=event_id, published_at=None, dead_at=None, next_attempt_at__lte=now)
        .first()
    )
    if row is None:
        return False
    failures = [f"{name}: {failure}" for name, failure in _consume(row, now)]
    if not failures:
        row.published_at, row.error = now, ""
        row.save(update_fields=["published_at", "error"])
        return True
    row.attempts += 1
    row.error = "\n".join(failures)[:4_000]
    row.next_attempt_at = now + backoff(row.attempts)
    if row.attempts >= MAX_ATTEMPTS:
        row.dead_at = now
        logger.error(
            "an event was given up", event_id=str(row.id), event_name=row.name, failures=failures
        )
    row.save(update_fields=["attempts", "error", "next_attempt_at", "dead_at"])
    return False


def _consume(row: OutboxEvent, now: datetime) -> list[tuple[str, str]]:
    restored = outbox.restore(row)
    if restored is None:
        return [("relay", f"no event class is named {row.name}")]
    event, envelope = restored
    failures = []
    with structlog.contextvars.bound_contextvars(request_id=row.request_id, event_id=str(row.id)):
        for consumer in outbox.consumers_of(type(event)):  # type: ignore[arg-type]
            try:
                with transaction.atomic():
                    if _take(consumer.name, row.id, now):
                        consumer.run(event, envelope, now)
            except Exception as failure:
                logger.exception("a consumer failed", consumer=consumer.name, event_name=row.name)
                failures.append((consumer.name, f"{type(failure).__name__}: {failure}"))
    return failures


def _take(consumer: str, event_id: UUID, now: datetime) -> bool:
    # Insert and look at nothing before: the unique key decides. The caller's savepoint takes the row back where the
    # consumer fails.
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into consumed_events (consumer, event_id, consumed_at) values (%s, %s, %s) on conflict do nothing",
            [consumer, event_id, now],
        )
        return bool(cursor.rowcount == 1)


@transaction.atomic
def replay(*, event_id: UUID, now: datetime) -> None:
    """Make one event due again, dead or delivered; consumers that took it will not take it twice."""
    OutboxEvent.objects.filter(id=event_id).update(
        published_at=None, dead_at=None, attempts=0, error="", next_attempt_at=now
    )
    transaction.on_commit(lambda: outbox.kick(outbox.RELAY_TASK), robust=True)
