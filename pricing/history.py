"""
The lowest price before a reduction (Directive 98/6/EC, article 6a). Pure Python, no database.

A trader who announces a reduction tells the prior price: the lowest one applied in the 30 days before the reduction was
applied. Only what everybody paid for one unit counts; prices of groups and from a quantity on are no prior price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

PERIOD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Change:
    """At `at` the base price became `new`; it was `old` before, or there was none."""

    at: datetime
    old: Decimal | None
    new: Decimal


@dataclass(frozen=True, slots=True)
class Scheduled:
    """From `starts_at` until before `ends_at` everybody paid `amount` in place of the base price."""

    starts_at: datetime
    ends_at: datetime | None
    amount: Decimal


def lowest_before(
    changes: Sequence[Change], scheduled: Sequence[Scheduled], *, now: datetime
) -> Decimal | None:
    """
    Return the lowest price in the 30 days before the present price began; None if it never had another.

    Where a price falls in steps, each step is a reduction of its own.
    """
    found = periods(changes, scheduled, now)
    if len(found) < 2:
        return None
    began = found[-1][0]
    assert began is not None  # only the first period has no beginning
    ends = [period[0] for period in found[1:]]
    prior = [
        amount
        for (_, amount), end in zip(found[:-1], ends, strict=True)
        if amount is not None and end is not None and end > began - PERIOD
    ]
    return min(prior, default=None)


def lowest_lately(
    changes: Sequence[Change], scheduled: Sequence[Scheduled], *, now: datetime
) -> Decimal | None:
    """Return the lowest price of the last 30 days, the present one among them; None if there never was one."""
    found = periods(changes, scheduled, now)
    ends = [*(began for began, _amount in found[1:]), None]
    return min(
        (
            amount
            for (_, amount), end in zip(found, ends, strict=True)
            if amount is not None and (end is None or end > now - PERIOD)
        ),
        default=None,
    )


def periods(
    changes: Sequence[Change], scheduled: Sequence[Scheduled], now: datetime
) -> list[tuple[datetime | None, Decimal | None]]:
    """Return which price was in force from when on, the first one since ever; neighbours differ."""
    ordered = sorted((change for change in changes if change.at <= now), key=lambda c: c.at)
    moments = {change.at for change in ordered}
    for price in scheduled:
        moments |= {
            moment for moment in (price.starts_at, price.ends_at) if moment and moment <= now
        }
    found: list[tuple[datetime | None, Decimal | None]] = [
        (None, ordered[0].old if ordered else None)
    ]
    for moment in sorted(moments):
        amount = _at(ordered, scheduled, moment)
        if amount != found[-1][1]:
            found.append((moment, amount))
    return found


def _at(
    ordered: Sequence[Change], scheduled: Sequence[Scheduled], moment: datetime
) -> Decimal | None:
    for price in scheduled:
        if price.starts_at <= moment and (price.ends_at is None or moment < price.ends_at):
            return price.amount
    base = ordered[0].old if ordered else None
    for change in ordered:
        if change.at > moment:
            break
        base = change.new
    return base
