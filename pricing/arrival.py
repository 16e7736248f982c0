"""
When a parcel arrives, as days of the calendar. Pure Python, no database.

Ways to ship are told in working days: Monday to Friday, without the holidays of any country, which is why it is an estimate.
The day on which it is ordered, or leaves, is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

_SATURDAY = 6
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The first and the last day on which it may arrive, both included."""

    first: date
    last: date


def arrival(start: datetime, least: int, most: int, *, zone: str = "UTC") -> Arrival:
    """Return when something arrives that takes so many working days from a moment on, by the shop's clock."""
    day = start.astimezone(ZoneInfo(zone)).date()
    return Arrival(working_days_after(day, least), working_days_after(day, most))


def working_days_after(start: date, days: int) -> date:
    """Return the working day that is so many after a day; none after a day of the weekend is the next working day."""
    found = start
    while found.isoweekday() >= _SATURDAY:
        # what is ordered at the weekend begins on Monday like what is ordered on Friday
        found -= _DAY
        if not days:
            days = 1
    weeks, rest = divmod(days, 5)
    found += weeks * 7 * _DAY
    while rest:
        found += _DAY
        rest -= found.isoweekday() < _SATURDAY
    return found
