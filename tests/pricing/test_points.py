"""Points in a quote: what they take off, how many it takes, and what each line carries of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from pricing.engine import (
    LOYALTY,
    Basket,
    Line,
    Place,
    PointValue,
    PromotionRule,
    Quote,
    Rate,
    Rules,
    TaxRule,
    in_currency,
    price,
)
from pricing.money import exponent
from tests.pricing.oracle import Oracle
from tests.pricing.words import line, new_id, promotion

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CENT = PointValue(Decimal("0.01"), "USD")


def quote_of(
    lines: Sequence[Line],
    points: int,
    value: PointValue | None = CENT,
    *,
    currency: str = "USD",
    promotions: Sequence[PromotionRule] = (),
    taxes: Sequence[TaxRule] = (),
) -> Quote:
    asked = Basket(lines=lines, currency=currency, points=points, destination=Place("DE"))
    rules = Rules(promotions=promotions, tax_rules=taxes, point_value=value)
    return price(asked, rules, NOW)


def vat(rate: str, *, included: bool) -> TaxRule:
    return TaxRule(
        id=new_id(), name="VAT", type="VAT", country="DE", rate=Decimal(rate), is_included=included
    )


@pytest.mark.parametrize(
    ("currency", "goods", "points", "value", "off", "spent"),
    [
        ("USD", "10.00", 100, "0.01", "1.00", 100),
        ("USD", "10.00", 1_000, "0.01", "10.00", 1_000),
        ("USD", "10.00", 5_000, "0.01", "10.00", 1_000),  # never more than the goods cost
        ("USD", "10.00", 3, "0.005", "0.01", 2),  # the odd half cent stays with the customer
        ("USD", "10.00", 1, "0.005", "0.00", 0),
        ("USD", "0.01", 10, "0.015", "0.01", 1),
        ("JPY", "500", 100, "1", "100", 100),
        ("JPY", "500", 7, "0.5", "3", 6),
        ("KWD", "1.250", 50, "0.005", "0.250", 50),
        ("USD", "0.00", 100, "0.01", "0.00", 0),
        ("USD", "10.00", 0, "0.01", "0.00", 0),
    ],
)
def test_points_take_their_worth_off_the_goods(
    currency: str, goods: str, points: int, value: str, off: str, spent: int
) -> None:
    quote = quote_of([line(goods)], points, PointValue(Decimal(value), currency), currency=currency)

    assert (quote.points, quote.totals.discount_total) == (spent, Decimal(off))
    assert quote.totals.grand_total == Decimal(goods) - Decimal(off)


def test_points_of_another_currency_or_no_programme_do_nothing() -> None:
    for value in (None, PointValue(Decimal("0.01"), "EUR")):
        quote = quote_of([line("10.00")], 100, value)

        assert (quote.points, quote.totals.grand_total) == (0, Decimal("10.00"))
        assert list(quote.discounts) == []


def test_points_come_after_promotions_and_before_taxes() -> None:
    quote = quote_of(
        [line("100.00")],
        1_000,
        promotions=[promotion("PERCENTAGE", "10")],
        taxes=[vat("0.20", included=False)],
    )

    assert quote.totals.grand_total == Decimal("96.00")  # (100 - 10 - 10) * 1.2
    assert [step.kind for step in quote.steps] == ["list_price", "promotion", "loyalty", "tax"]
    assert [step.amount for step in quote.steps] == [
        Decimal("100.00"), Decimal("-10.00"), Decimal("-10.00"), Decimal("16.00"),
    ]  # fmt: skip
    assert quote.discounts[-1].name == "1000 points"
    assert quote.discounts[-1].kind == LOYALTY


def test_a_tax_in_the_price_is_that_of_what_is_paid_in_money() -> None:
    quote = quote_of([line("12.00")], 600, taxes=[vat("0.20", included=True)])

    assert quote.totals.grand_total == Decimal("6.00")
    assert quote.totals.included_tax_total == Decimal("1.00")


def test_each_line_carries_its_part_of_the_points() -> None:
    cheap, dear = line("1.00"), line("2.00", quantity=2)
    quote = quote_of([cheap, dear], 101)

    assert quote.points_by_line == {cheap.id: 20, dear.id: 81}
    assert quote.lines_by_id[cheap.id].discount == Decimal("0.20")
    assert quote.lines_by_id[dear.id].discount == Decimal("0.81")


def test_the_stored_quote_knows_its_points_and_one_without_reads_as_before() -> None:
    spent, none = quote_of([line("10.00")], 100), quote_of([line("10.00")], 0)

    assert Quote.from_json(spent.to_json()) == spent
    assert Quote.from_json(spent.to_json()).points == 100
    assert "points" not in none.to_json()
    assert Quote.from_json(none.to_json()) == none


# --- in other currencies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "rate", "goods", "off", "spent"),
    [
        ("EUR", "0.9137", "10.00", "2.28", 250),  # 250 × 0.009137 = 2.28425
        ("EUR", "0.9137", "2.00", "2.00", 219),  # 218 points are 1.9918…, 219 are 2.0010…
        ("JPY", "149.55", "5000", "373", 250),  # 373.875
        ("KWD", "0.30745", "9.000", "0.768", 250),  # 0.768625
        ("EUR", "0.0001", "10.00", "0.00", 0),  # not a cent: every point stays
        ("EUR", "0.3333333333", "0.83", "0.83", 250),  # 0.83333…
    ],
)
def test_points_are_worth_what_the_rate_makes_of_them_cut_once(
    currency: str, rate: str, goods: str, off: str, spent: int
) -> None:
    asked = Basket(lines=[line(goods)], currency=currency, points=250)
    known = Rate(id=UUID(int=1), base="USD", quote=currency, rate=Decimal(rate), valid_from=NOW)

    quote = price(asked, in_currency(Rules(point_value=CENT), known), NOW)

    assert (quote.points, quote.totals.discount_total) == (spent, Decimal(off))
    assert quote.totals.grand_total == Decimal(goods) - Decimal(off)
    assert sum(quote.points_by_line.values()) == spent
    told = [step.label for step in quote.steps if step.kind == "loyalty"]
    assert told == ([f"{spent} points at 1 USD = {rate} {currency}"] if spent else [])


def test_without_a_rate_points_of_another_currency_stay() -> None:
    quote = price(
        Basket(lines=[line("10.00")], currency="EUR", points=250), Rules(point_value=CENT), NOW
    )

    assert (quote.points, quote.totals.grand_total) == (0, Decimal("10.00"))


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_a_second_reckoning_in_fractions_comes_to_the_same(currency: str) -> None:
    rate = Decimal({"EUR": "0.9137", "JPY": "149.55", "KWD": "0.30745"}[currency])
    known = Rate(id=UUID(int=1), base="USD", quote=currency, rate=rate, valid_from=NOW)
    rules = Rules(point_value=CENT)
    for points in range(1, 60, 7):
        asked = Basket(lines=[line("3"), line("5", quantity=2)], currency=currency, points=points)
        quote = price(asked, in_currency(rules, known), NOW)

        answer = Oracle(asked, rules, NOW, exponent(currency), ("USD", rate)).answer()

        assert (quote.points, quote.totals.grand_total) == (answer.points, answer.grand_total)
