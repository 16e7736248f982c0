"""Hours that come again every week, by a clock that is put forward and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyHours:
    """
    Certain days and hours of every week, by the clock on the wall in `zone`.

    Days are numbered from Monday (1) to Sunday (7). The hours are half-open and on whole minutes; those that end at or
    before their beginning end on the next day. Without hours the whole day counts. Where a clock is put forward, the hour that does
    not exist is left out; where it is put back, the hour that comes twice counts twice.
    """

    zone: str = "UTC"
    days: frozenset[int] = frozenset(range(1, 8))
    opens: time = time.min
    closes: time = time.min

    def holds(self, moment: datetime) -> bool:
        """Return whether the moment lies in these hours."""
        local = moment.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        today = local.isoweekday() in self.days
        if self.opens < self.closes:
            return today and self.opens <= clock < self.closes
        yesterday = (local - _DAY).isoweekday() in self.days
        return (today and clock >= self.opens) or (yesterday and clock < self.closes)

    def next_change(self, moment: datetime) -> datetime:
        """Return a moment until which the answer surely stays what it is."""
        zone = ZoneInfo(self.zone)
        # Near a change of the clock a wall time says little, and both fall on whole minutes.
        near = (moment - _DAY, moment, moment + _DAY)
        if len({other.astimezone(zone).utcoffset() for other in near}) > 1:
            return moment.replace(second=0, microsecond=0) + _MINUTE
        day = moment.astimezone(zone).date()
        return min(
            change
            for offset in range(2)
            for clock in (self.opens, self.closes, time.min)
            if (change := datetime.combine(day + offset * _DAY, clock, zone).astimezone(UTC))
            > moment
        )
