from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import (
    EXPONENTS,
    Money,
    exponent,
    format_amount,
    from_minor,
    parse_amount,
    quantize,
    split,
    split_minor,
    to_minor,
    unit_shares,
)

currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD"])


@pytest.mark.parametrize(
    ("currency", "places"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3)]
)
def test_exponent_is_the_number_of_places_of_a_currency(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "US"])
def test_exponent_refuses_a_currency_it_does_not_know(currency: str) -> None:
    with pytest.raises(ValueError, match="not a currency"):
        exponent(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("49.9", "USD", "49.90"),
        ("0.005", "USD", "0.01"),
        ("0.0049", "USD", "0.00"),
        ("4990.4", "JPY", "4990"),
        ("4990.5", "JPY", "4991"),
        ("1.2345", "KWD", "1.235"),
        ("-0.005", "USD", "-0.01"),
        ("1E+3", "USD", "1000.00"),
    ],
)
def test_format_amount_rounds_half_up_to_the_places_of_the_currency(
    amount: str, currency: str, text: str
) -> None:
    assert format_amount(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    "text", ["", "1e3", "1_000", "٣", "NaN", "Infinity", "1,5", "1.005", " 1", "1.2.3", "9" * 19]
)
def test_parse_amount_refuses_what_is_not_a_plain_amount(text: str) -> None:
    with pytest.raises(ValueError):
        parse_amount(text, "USD")


def test_parse_amount_reads_a_plain_amount() -> None:
    assert parse_amount("10.5", "USD") == Decimal("10.50")


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (1, [0, 5], [0, 1]),
        (10, [0, 0], [5, 5]),
        (0, [3, 4], [0, 0]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [2, 2, 1], [2, 2, 1]),
        (0, [], []),
    ],
)
def test_split_minor_serves_the_largest_remainder_first(
    total: int, weights: list[int], parts: list[int]
) -> None:
    assert split_minor(total, weights) == parts


@pytest.mark.parametrize(("total", "weights"), [(1, []), (1, [-1, 2])])
def test_split_minor_refuses_what_it_cannot_split(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError):
        split_minor(total, weights)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_split_minor_adds_up_and_stays_within_one_unit_of_the_exact_share(
    total: int, weights: list[int]
) -> None:
    parts = split_minor(total, weights)

    assert sum(parts) == total
    whole = sum(weights)
    if whole:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(Fraction(part) - Fraction(total * weight, whole)) < 1
            assert weight or not part


@given(
    currencies,
    st.integers(0, 10**9),
    st.lists(st.decimals(0, 1000, places=3), min_size=1, max_size=20),
)
def test_split_takes_decimal_weights_and_adds_up(
    currency: str, minor: int, weights: list[Decimal]
) -> None:
    total = from_minor(minor, currency)

    parts = split(total, weights, currency)

    assert sum(parts) == total
    assert all(part == quantize(part, currency) for part in parts)


@given(
    currencies,
    st.integers(-(10**9), 10**9),
    st.integers(1, 100),
    st.lists(st.integers(0, 30), max_size=12),
)
def test_unit_shares_add_up_however_a_line_is_taken_apart(
    currency: str, minor: int, quantity: int, cuts: list[int]
) -> None:
    total = from_minor(minor, currency)
    taken, first = Decimal(0), 0
    for cut in cuts:
        count = min(cut, quantity - first)
        taken += unit_shares(total, quantity, first, count, currency)
        first += count
    taken += unit_shares(total, quantity, first, quantity - first, currency)

    assert taken == total


def test_unit_shares_refuses_units_that_the_line_does_not_have() -> None:
    with pytest.raises(ValueError, match="units"):
        unit_shares(Decimal(10), 3, 2, 2, "USD")


@given(currencies, st.integers(-(10**12), 10**12))
def test_minor_units_go_there_and_back(currency: str, minor: int) -> None:
    assert to_minor(from_minor(minor, currency), currency) == minor


def test_money_rounds_once_and_never_mixes_currencies() -> None:
    price = Money(Decimal("1.005"), "USD")

    assert price.amount == Decimal("1.01")
    assert str(price * 3) == "3.03 USD"
    assert price - Money(Decimal(1), "USD") == Money(Decimal("0.01"), "USD")
    with pytest.raises(ValueError, match="do not mix"):
        price + Money(Decimal(1), "EUR")


def test_every_currency_has_a_plausible_number_of_places() -> None:
    assert set(EXPONENTS.values()) == {0, 2, 3}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
