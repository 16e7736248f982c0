"""When a parcel arrives: working days as days of the calendar, by the shop's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils.translation import override

from inventory.models import Company
from pricing.arrival import Arrival, arrival, working_days_after
from pricing.display import arrival_text, delivery_text
from pricing.models import PricingPolicy
from pricing.selectors.storefront import storefront

FRIDAY = date(2026, 11, 20)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("start", "days", "expected"),
    [
        (FRIDAY, 0, FRIDAY),
        (FRIDAY, 1, FRIDAY + 3 * DAY),
        (FRIDAY + DAY, 0, FRIDAY + 3 * DAY),
        (FRIDAY + DAY, 1, FRIDAY + 3 * DAY),
        (FRIDAY + 2 * DAY, 2, FRIDAY + 4 * DAY),
        (FRIDAY + 3 * DAY, 5, FRIDAY + 10 * DAY),
    ],
)
def test_saturdays_and_sundays_are_no_working_days(start: date, days: int, expected: date) -> None:
    assert working_days_after(start, days) == expected


def test_it_is_what_counting_on_fingers_gives() -> None:
    for offset in range(7):
        start = FRIDAY + offset * DAY
        for days in range(1, 30):
            found, left = start, days
            while left:
                found += DAY
                left -= found.isoweekday() < 6
            assert working_days_after(start, days) == found


def test_the_day_is_that_of_the_shop_s_clock() -> None:
    late = datetime(2026, 11, 24, 2, tzinfo=UTC)  # still Monday in Maine

    assert arrival(late, 1, 3) == Arrival(date(2026, 11, 25), date(2026, 11, 27))
    assert arrival(late, 1, 3, zone="America/New_York") == Arrival(
        date(2026, 11, 24), date(2026, 11, 26)
    )


def test_dates_are_told_in_the_reader_s_language() -> None:
    days = Arrival(date(2026, 11, 24), date(2026, 11, 27))

    assert arrival_text(days).replace("\u2009", " ") == "Tue, Nov 24 – Fri, Nov 27"
    assert arrival_text(Arrival(days.first, days.first)) == "Tue, Nov 24"
    with override("de"):
        assert "27. Nov." in arrival_text(days)
    since = datetime(2026, 11, 23, 12, tzinfo=UTC)
    told = delivery_text(1, 4, since=since, zone="UTC").replace("\u2009", " ")
    assert told == "arrives Tue, Nov 24 – Fri, Nov 27, 1 to 4 working days"
    assert delivery_text(1, 4, since=None, zone="UTC") == "1 to 4 working days"


@pytest.mark.django_db
def test_the_shop_s_clock_is_that_of_its_policy(company: Company, monkeypatch: Any) -> None:
    PricingPolicy.objects.create(company=company, time_zone="America/New_York")

    assert storefront(company_id=company.id).time_zone == "America/New_York"
