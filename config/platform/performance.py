"""
How quick the shop answers at the moment, for staff (OBS-14): the last minutes of what all processes counted.

Beside the sums for a scraper, `metrics` adds requests and looked-up answers to a hash for each minute. Percentiles are
read from the histogram as Prometheus does it: evenly within a bucket, and where the last bucket without a bound is
meant, the highest bound there is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from config.platform import metrics

MOST_MINUTES = metrics.KEPT_MINUTES
DEFAULT_MINUTES = 5
SHOWN_OPERATIONS = 200
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True)
class Counted:
    """What was counted of one operation: answers by status, and how many took at most so long."""

    answers: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    # a bucket into which nothing fell was never counted, but it bounds the next one
    buckets: dict[float, float] = field(
        default_factory=lambda: defaultdict(float, dict.fromkeys(metrics.BUCKETS, 0.0))
    )
    seconds: float = 0.0

    def add(self, other: Counted) -> None:
        for status, number in other.answers.items():
            self.answers[status] += number
        for bound, number in other.buckets.items():
            self.buckets[bound] += number
        self.seconds += other.seconds

    @property
    def requests(self) -> float:
        return sum(self.answers.values())

    def share(self, first: str) -> float:
        """Return which part of the answers has a status that begins so, from 0 to 1."""
        wanted = sum(number for status, number in self.answers.items() if status.startswith(first))
        return wanted / self.requests if self.requests else 0.0


def summary(*, minutes: int, seconds_now: float) -> dict[str, Any]:
    """
    Return requests a second, errors, and percentiles in milliseconds of the last minutes, in all and by operation.

    `seconds_now` is the time of Unix; the minute that still runs is the last one, counted as far as it has come. Lags by the few
    seconds after which processes hand over what they counted. Nothing is known while Redis is away: then all is zero.
    """
    metrics.flush()
    series = metrics.lately(minutes=minutes, seconds_now=seconds_now)
    window = (minutes - 1) * 60 + max(seconds_now % 60, 1.0)
    operations: dict[tuple[str, str], Counted] = defaultdict(Counted)
    looked_up: dict[str, float] = defaultdict(float)
    for name, labels, value in map(_read, series, series.values()):
        if name == "cache_answers_total":
            looked_up[labels.get("result", "")] += value
            continue
        counted = operations[labels.get("method", ""), labels.get("route", "")]
        if name == "http_requests_total":
            counted.answers[labels.get("status", "")] += value
        elif name == "http_request_duration_seconds_bucket":
            counted.buckets[float(labels.get("le", "+Inf"))] += value
        elif name == "http_request_duration_seconds_sum":
            counted.seconds += value
    everything = Counted()
    for counted in operations.values():
        everything.add(counted)
    busiest = sorted(operations.items(), key=lambda entry: (-entry[1].requests, entry[0]))
    answers = looked_up["hit"] + looked_up["miss"]
    return {
        "windowSeconds": round(window),
        **_told(everything, window),
        "cache": {
            "hits": round(looked_up["hit"]),
            "misses": round(looked_up["miss"]),
            "hitRate": round(looked_up["hit"] / answers, 4) if answers else None,
        },
        "pool": _pool(),
        "database": _database(),
        "operations": [
            {"method": method, "route": route, **_told(counted, window)}
            for (method, route), counted in busiest[:SHOWN_OPERATIONS]
        ],
    }


def percentile(buckets: Mapping[float, float], share: float) -> float | None:
    """
    Return below which time, in seconds, this share of all lies; None where nothing was measured.

    The buckets are cumulative, each with all that took at most so long; they may come from the middle of a count.
    """
    ordered = sorted(buckets.items())
    total = ordered[-1][1] if ordered else 0
    if not total:
        return None
    wanted = total * share
    lower, before = 0.0, 0.0
    for bound, number in ordered:
        if number >= wanted:
            if bound == float("inf"):
                return lower
            inside = number - before
            return lower + (bound - lower) * ((wanted - before) / inside if inside else 1.0)
        lower, before = bound, number
    return lower


# --- parts ----------------------------------------------------------------------------------------


def _told(counted: Counted, window: float) -> dict[str, Any]:
    requests = counted.requests
    times = {name: percentile(counted.buckets, share) for name, share in _SHARES.items()}
    return {
        "requests": round(requests),
        "requestsPerSecond": round(requests / window, 3),
        "errorRate": round(counted.share("5"), 4),
        "clientErrorRate": round(counted.share("4"), 4),
        "meanMs": round(counted.seconds / requests * 1000, 1) if requests else None,
        **{
            f"{name}Ms": None if seconds is None else round(seconds * 1000, 1)
            for name, seconds in times.items()
        },
    }


def _read(series: str, value: float) -> tuple[str, dict[str, str], float]:
    name, _brace, inside = series.partition("{")
    labels = {key: re.sub(r"\\(.)", r"\1", text) for key, text in _LABEL.findall(inside)}
    return name, labels, value


def _pool() -> dict[str, Any] | None:
    """Return how this process's connections to the database are used; None where it keeps no pool."""
    pool = getattr(connection, "pool", None)
    if not pool:
        return None
    now = pool.get_stats()
    size, free = now.get("pool_size", 0), now.get("pool_available", 0)
    return {
        "size": size,
        "inUse": size - free,
        "waiting": now.get("requests_waiting", 0),
        "most": now.get("pool_max", 0),
    }


def _database() -> dict[str, int]:
    """Return how many connections all processes have at the server, how many of them work, and how many it takes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE state = 'active'), current_setting('max_connections')::int
              FROM pg_stat_activity WHERE datname = current_database()
            """
        )
        row: Sequence[int] = cursor.fetchone() or (0, 0, 0)
    return dict(zip(("connections", "active", "most"), row, strict=True))
