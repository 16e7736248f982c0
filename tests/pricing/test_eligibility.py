"""For whom and when a promotion is: tables, and the weeks in which clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.engine import Basket, PromotionRule, Rules, WeeklyHours, price
from tests.pricing.words import CUSTOMER, HATS, SHOES, line, promotion

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
VIPS = UUID(int=2_101)


def taken(rule: PromotionRule, asked: Basket, now: datetime = NOW) -> Decimal | str:
    """Return what the promotion, brought in by a code, takes off, or why it does not apply."""
    rules = Rules(promotions=[replace(rule, is_automatic=False)], coupons={"CODE": rule.id})
    quote = price(replace(asked, codes=("CODE",)), rules, now)
    if quote.not_applied:
        assert quote.totals.discount_total == 0
        return quote.not_applied[0].reason
    return quote.totals.discount_total


def basket(*lines: object, **fields: object) -> Basket:
    return Basket(lines=lines or (line("100.00"),), currency="USD", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "customer", "outcome"),
    [
        ({"group_ids": frozenset({VIPS})}, {"group_ids": frozenset({VIPS})}, Decimal("10.00")),
        ({"group_ids": frozenset({VIPS})}, {}, "not_eligible"),
        ({"first_order_only": True}, {}, Decimal("10.00")),
        ({"first_order_only": True}, {"has_ordered": True}, "not_eligible"),
        ({"new_customer_days": 7}, {"customer_since": NOW}, Decimal("10.00")),
        (
            {"new_customer_days": 7},
            {"customer_since": NOW - timedelta(days=7) + timedelta(seconds=1)},
            Decimal("10.00"),
        ),
        ({"new_customer_days": 7}, {"customer_since": NOW - timedelta(days=7)}, "not_eligible"),
        ({"new_customer_days": 7}, {}, "not_eligible"),
        ({"user_ids": frozenset({CUSTOMER}), "group_ids": frozenset({VIPS})}, {"user_id": CUSTOMER}, "not_eligible"),
    ],
)  # fmt: skip
def test_a_promotion_is_for_those_it_names(
    terms: dict[str, object], customer: dict[str, object], outcome: Decimal | str
) -> None:
    assert taken(promotion("PERCENTAGE", "10", **terms), basket(**customer)) == outcome


def test_what_is_excluded_is_never_touched() -> None:
    shoe = line("100.00", category_ids=(SHOES,))
    hat = line("50.00", category_ids=(HATS,))
    special = line("10.00", category_ids=(SHOES,))
    asked = basket(shoe, hat, special)

    assert taken(
        promotion("PERCENTAGE", "10", excluded_category_ids=frozenset({HATS})), asked
    ) == Decimal("11.00")
    assert taken(
        promotion(
            "PERCENTAGE",
            "10",
            category_ids=frozenset({SHOES}),
            excluded_product_ids=frozenset({special.product_id}),
        ),
        asked,
    ) == Decimal("10.00")
    assert (
        taken(
            promotion("PERCENTAGE", "10", excluded_category_ids=frozenset({HATS, SHOES})),
            asked,
        )
        == "no_matching_items"
    )


@pytest.mark.parametrize(("units", "outcome"), [(2, "quantity_not_met"), (3, Decimal("30.00"))])
def test_a_minimum_quantity_counts_the_units_it_is_about(
    units: int, outcome: Decimal | str
) -> None:
    asked = basket(line("100.00", units, category_ids=(SHOES,)), line("0.00", 50))
    rule = promotion(
        "PERCENTAGE", "10", category_ids=frozenset({SHOES}), minimum_quantity=3, scope="CATEGORY"
    )

    assert taken(rule, asked) == outcome


# --- hours ----------------------------------------------------------------------------------------


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


FRIDAYS = frozenset({5})
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        # days by the shop's clock, not by UTC: Friday in Berlin begins on Thursday 23:00 UTC
        (WeeklyHours(zone=BERLIN, days=FRIDAYS), "2026-11-19T22:59:59", False),
        (WeeklyHours(zone=BERLIN, days=FRIDAYS), "2026-11-19T23:00:00", True),
        (WeeklyHours(zone=BERLIN, days=FRIDAYS), "2026-11-20T22:59:59", True),
        (WeeklyHours(zone=BERLIN, days=FRIDAYS), "2026-11-20T23:00:00", False),
        # the same wall clock is another moment in summer
        (WeeklyHours(zone=BERLIN, opens=time(9), closes=time(17)), "2026-07-01T07:00:00", True),
        (WeeklyHours(zone=BERLIN, opens=time(9), closes=time(17)), "2026-12-01T07:00:00", False),
        (WeeklyHours(zone=BERLIN, opens=time(9), closes=time(17)), "2026-12-01T08:00:00", True),
        (WeeklyHours(zone=BERLIN, opens=time(9), closes=time(17)), "2026-12-01T16:00:00", False),
        # hours past midnight belong to the day on which they begin
        (WeeklyHours(days=FRIDAYS, opens=time(22), closes=time(2)), "2026-11-20T22:00:00", True),
        (WeeklyHours(days=FRIDAYS, opens=time(22), closes=time(2)), "2026-11-21T01:59:00", True),
        (WeeklyHours(days=FRIDAYS, opens=time(22), closes=time(2)), "2026-11-21T02:00:00", False),
        (WeeklyHours(days=FRIDAYS, opens=time(22), closes=time(2)), "2026-11-20T01:00:00", False),
        # put forward (29 March 2026, 02:00 to 03:00): 02:30 never comes, 03:00 does
        (WeeklyHours(zone=BERLIN, opens=time(2), closes=time(3)), "2026-03-29T00:59:59", False),
        (WeeklyHours(zone=BERLIN, opens=time(2), closes=time(3)), "2026-03-29T01:00:00", False),
        (WeeklyHours(zone=BERLIN, opens=time(2, 30), closes=time(4)), "2026-03-29T01:00:00", True),
        # put back (25 October 2026, 03:00 to 02:00): the hour from two to three comes twice
        (WeeklyHours(zone=BERLIN, opens=time(2), closes=time(3)), "2026-10-25T00:30:00", True),
        (WeeklyHours(zone=BERLIN, opens=time(2), closes=time(3)), "2026-10-25T01:30:00", True),
        (WeeklyHours(zone=BERLIN, opens=time(2), closes=time(3)), "2026-10-25T02:00:00", False),
    ],
)
def test_hours_go_by_the_clock_on_the_wall(hours: WeeklyHours, moment: str, holds: bool) -> None:
    assert hours.holds(utc(moment)) is holds


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.builds(
        WeeklyHours,
        zone=st.sampled_from([BERLIN, "UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
        days=st.frozensets(st.integers(1, 7), min_size=1),
        opens=st.builds(time, st.integers(0, 23), st.sampled_from([0, 30, 47])),
        closes=st.builds(time, st.integers(0, 23), st.sampled_from([0, 30, 47])),
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_nothing_changes_before_the_next_change(
    hours: WeeklyHours, moment: datetime, part: float
) -> None:
    end = hours.next_change(moment)
    between = min(moment + (end - moment) * part, end - timedelta(microseconds=1))

    assert moment < end <= moment + timedelta(days=2)
    assert hours.holds(between) == hours.holds(moment)


@pytest.mark.parametrize("around", ["2026-03-29", "2026-10-25"])
def test_nothing_changes_before_the_next_change_where_the_clock_does(around: str) -> None:
    hours = WeeklyHours(zone=BERLIN, opens=time(2, 15), closes=time(2, 45))
    moment = datetime.fromisoformat(around).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    moment -= timedelta(days=1)
    for _ in range(3 * 24 * 12):
        end = hours.next_change(moment)
        step = moment
        while step < end:
            assert hours.holds(step) == hours.holds(moment), (moment, step)
            step += timedelta(minutes=5)
        moment += timedelta(minutes=5)


def test_a_quote_lasts_until_its_hours_are_over() -> None:
    rule = promotion("PERCENTAGE", "10", weekly=WeeklyHours(zone=BERLIN, days=FRIDAYS))
    rules = Rules(promotions=[rule])

    quote = price(basket(), rules, NOW)

    assert quote.totals.discount_total == Decimal("10.00")
    assert quote.valid_until == utc("2026-11-20T23:00:00")
    later = price(basket(), rules, utc("2026-11-20T23:00:00"))
    assert later.totals.discount_total == 0


def test_outside_its_hours_a_code_says_so() -> None:
    rule = promotion("PERCENTAGE", "10", weekly=WeeklyHours(days=frozenset({1})))

    assert taken(rule, basket()) == "outside_hours"


def test_a_quote_lasts_until_a_customer_is_no_longer_new() -> None:
    rule = promotion("PERCENTAGE", "10", new_customer_days=7)
    since = NOW - timedelta(days=6, hours=1)

    quote = price(basket(customer_since=since), Rules(promotions=[rule]), NOW)

    assert quote.valid_until == NOW + timedelta(hours=23)


def test_a_code_can_be_refused_for_itself_and_a_quote_lasts_as_long_as_its_codes() -> None:
    rule = promotion("PERCENTAGE", "10", is_automatic=False)
    end = NOW + timedelta(hours=3)
    rules = Rules(promotions=[rule]).with_coupons(
        {"GOOD": rule.id, "OVER": rule.id}, refused={"OVER": "expired"}, until=end
    )

    quote = price(basket(codes=("GOOD", "OVER")), rules, NOW)

    assert [item.code for item in quote.discounts] == ["GOOD"]
    assert [(item.code, item.reason) for item in quote.not_applied] == [("OVER", "expired")]
    assert quote.valid_until == end
