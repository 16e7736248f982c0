"""
Numbers for a Prometheus scraper.

Each process counts its requests in memory and adds them to one hash in Redis every few seconds, so that a scrape
that reaches any process sees all of them. Business numbers are read from the database when asked. Apps add theirs
with `@metrics.gauges`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min

from config.platform import limits, timetable
from config.platform.models import JobRun, OutboxEvent

logger = structlog.get_logger(__name__)

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
FLUSH_SECONDS = 5.0
# What is also kept by the minute, for the performance page.
LIVE = ("http_request", "cache_answers")
KEPT_MINUTES = 60

_lock = threading.Lock()
_counted: Counter[str] = Counter()
_flushed_at = time.monotonic()


class Gauge(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float


Source = Callable[[datetime], Iterable[Gauge]]
_sources: list[Source] = []


def gauges(source: Source) -> Source:
    """Register `fn(now) -> gauges`, asked at every scrape."""
    if source not in _sources:
        _sources.append(source)
    return source


def count(name: str, amount: float = 1, **labels: str) -> None:
    """
    Add to a counter; costs no input or output except for a flush every few seconds, and none at all in a transaction,
    where locks would be held meanwhile.
    """
    with _lock:
        _counted[_series(name, labels)] += amount  # type: ignore[assignment]
    if time.monotonic() - _flushed_at > FLUSH_SECONDS and not connection.in_atomic_block:
        flush()


def observe(name: str, seconds: float, **labels: str) -> None:
    """Add one duration to a histogram."""
    inside = "".join(f"{label}," for label in _labels(labels))
    with _lock:
        for bucket in BUCKETS:
            if seconds <= bucket:
                _counted[f'{name}_bucket{{{inside}le="{bucket}"}}'] += 1
        _counted[f'{name}_bucket{{{inside}le="+Inf"}}'] += 1
        _counted[_series(f"{name}_count", labels)] += 1
        _counted[_series(f"{name}_sum", labels)] += seconds  # type: ignore[assignment]


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request (MET-21)."""
    observe("http_request_duration_seconds", seconds, method=method, route=route)
    count("http_requests_total", method=method, route=route, status=str(status))


def flush() -> None:
    """Add what this process counted to the sums of all."""
    global _counted, _flushed_at
    with _lock:
        mine, _counted = _counted, Counter()
        _flushed_at = time.monotonic()
    with limits.redis_breaker.guard() as closed:
        if closed and mine:
            pipeline = limits.client().pipeline(transaction=False)
            minute = _minute_key(int(time.time() // 60))
            for series, amount in mine.items():
                pipeline.hincrbyfloat(_key(), series, amount)
                if series.startswith(LIVE):
                    pipeline.hincrbyfloat(minute, series, amount)
            pipeline.expire(minute, (KEPT_MINUTES + 1) * 60)
            pipeline.execute()


def lately(*, minutes: int, seconds_now: float) -> dict[str, float]:
    """Return what all processes counted in the last minutes, the one that runs among them; empty without Redis."""
    found: dict[str, float] = {}
    with limits.redis_breaker.guard() as closed:
        if closed:
            pipeline = limits.client().pipeline(transaction=False)
            now = int(seconds_now // 60)
            for minute in range(now - minutes + 1, now + 1):
                pipeline.hgetall(_minute_key(minute))
            for stored in pipeline.execute():
                for series, value in stored.items():
                    name = series.decode()
                    found[name] = found.get(name, 0.0) + float(value)
    return found


def _key() -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:metrics"


def _minute_key(minute: int) -> str:
    return f"{_key()}:{minute}"


def _series(name: str, labels: dict[str, str]) -> str:
    if not labels:
        return name
    return f"{name}{{{','.join(_labels(labels))}}}"


def _labels(labels: dict[str, str]) -> list[str]:
    return [f'{key}="{_escaped(value)}"' for key, value in labels.items()]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def exposition(*, now: datetime) -> str:
    """Return all series in Prometheus' text format."""
    flush()
    lines: list[str] = []
    with limits.redis_breaker.guard() as closed:
        if closed:
            stored: dict[bytes, bytes] = limits.client().hgetall(_key())  # type: ignore[assignment]
            lines += sorted(
                f"{series.decode()} {float(value):g}" for series, value in stored.items()
            )
    numbers, _is_whole = read(now=now)
    lines += [f"{_series(gauge.name, gauge.labels)} {gauge.value:g}" for gauge in numbers]
    return "\n".join(lines) + "\n"


def read(*, now: datetime) -> tuple[list[Gauge], bool]:
    """Return the numbers of all sources, and whether all could be read."""
    numbers: list[Gauge] = []
    is_whole = True
    for source in _sources:
        try:
            with transaction.atomic():  # what fails here fails alone
                numbers += source(now)
        except Exception:
            logger.exception("a source of metrics failed", source=source.__qualname__)
            is_whole = False
    return numbers, is_whole


@gauges
def outbox_backlog(now: datetime) -> Iterable[Gauge]:
    """Yield how much waits in the outbox, and for how long (EVT-13)."""
    waiting = OutboxEvent.objects.filter(published_at=None, dead_at=None).aggregate(
        count=Count("id"), oldest=Min("occurred_at")
    )
    age = (now - waiting["oldest"]).total_seconds() if waiting["oldest"] else 0.0
    yield Gauge("outbox_waiting", {}, waiting["count"])
    yield Gauge("outbox_oldest_seconds", {}, max(age, 0.0))
    yield Gauge("outbox_dead", {}, OutboxEvent.objects.filter(dead_at__isnull=False).count())


@gauges
def job_runs(now: datetime) -> Iterable[Gauge]:
    for row in JobRun.objects.order_by().values("name", "state").annotate(count=Count("id")):
        yield Gauge("job_runs", {"job": row["name"], "state": row["state"]}, row["count"])


@gauges
def timetable_kept(now: datetime) -> Iterable[Gauge]:
    """Yield how each job of the timetable last ran, and whether it is overdue (JOB-22, ALERT-09)."""
    for job in timetable.overview(now=now):
        labels = {"job": job.name}
        yield Gauge("job_overdue", labels, job.is_overdue)
        if job.started_at is not None:
            yield Gauge("job_last_failed", labels, job.state == "failed")
            yield Gauge("job_last_count", labels, job.count)
        if job.seconds is not None:
            yield Gauge("job_last_duration_seconds", labels, job.seconds)
        if job.done_at is not None:
            age = max((now - job.done_at).total_seconds(), 0)
            yield Gauge("job_last_good_age_seconds", labels, age)
