"""Days of UTC as moments, for what is asked for by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta


def begin_of(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """Return the moment after a day; where the calendar ends, its last one."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return begin_of(day + timedelta(days=1))
