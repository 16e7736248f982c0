"""
The engine against a second one, on any cart that hypothesis can think of.

The gate tries a fixed choice of carts; `pytest tests/pricing/test_oracle.py --hypothesis-profile=thorough` tries 2,000.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.engine import (
    PER_LINE,
    Basket,
    Line,
    Place,
    Quote,
    QuoteLine,
    Rate,
    Relief,
    Rules,
    ShippingCharge,
    in_currency,
    price,
)
from tests.pricing import words
from tests.pricing.carts import CATEGORIES, NOW, PLACES, cases, cases_abroad
from tests.pricing.oracle import Answer, Costs, Oracle
from tests.pricing.words import promotion


def carts(usual: int) -> settings:
    """How many carts a test tries: `usual` ones that never change, or 2,000 new ones when asked to be thorough."""
    if settings.get_current_profile_name() == "thorough":
        return settings(max_examples=2_000, deadline=None)
    return settings(max_examples=usual, deadline=None, derandomize=True)


def by_name(quote: Quote, item: QuoteLine | ShippingCharge) -> dict[str, Fraction]:
    """What each promotion or bundle took."""
    taken: dict[str, Fraction] = defaultdict(Fraction)
    for number, amount in item.shares:
        taken[quote.discounts[number].name] += Fraction(amount)
    return dict(taken)


def assert_equal_costs(quote: Quote, item: QuoteLine | ShippingCharge, costs: Costs) -> None:
    assert by_name(quote, item) == {name: share.amount for name, share in costs.shares.items()}
    assert {tax.name: Fraction(tax.amount) for tax in item.taxes} == {
        name: share.amount for name, share in costs.taxes.items()
    }
    assert Fraction(item.discount) == costs.subtotal - costs.left
    assert Fraction(item.tax) == costs.tax
    assert Fraction(item.included_tax) == costs.included
    assert Fraction(item.total) == costs.total


def second_opinion(asked: Basket, rules: Rules) -> Answer:
    return Oracle(asked, rules, NOW, PLACES[asked.currency]).answer()


@carts(200)
@given(cases())
def test_a_second_engine_comes_to_the_same_cent(case: tuple[Basket, Rules]) -> None:
    asked, rules = case

    assert_the_same(price(asked, rules, NOW), second_opinion(asked, rules))


@carts(150)
@given(cases_abroad())
def test_a_second_engine_comes_to_the_same_cent_with_amounts_of_another_currency(
    case: tuple[Basket, Rules, Rate],
) -> None:
    asked, rules, rate = case

    quote = price(asked, in_currency(rules, rate), NOW)
    answer = Oracle(asked, rules, NOW, PLACES[asked.currency], rate=(rate.base, rate.rate)).answer()

    assert_the_same(quote, answer)
    assert Quote.from_json(json.loads(json.dumps(quote.to_json()))) == quote
    assert (quote.conversion is not None) == any(" at 1 EUR = " in s.label for s in quote.steps)


def assert_the_same(quote: Quote, answer: Answer) -> None:
    for item in quote.lines:
        assert_equal_costs(quote, item, answer.lines[item.id])
    assert (quote.shipping is None) == (answer.shipping is None)
    if quote.shipping and answer.shipping:
        assert_equal_costs(quote, quote.shipping, answer.shipping)
    assert [(o.id, Fraction(o.price)) for o in quote.shipping_options] == answer.options
    assert {item.code: item.reason for item in quote.not_applied} == answer.refused
    assert Fraction(quote.totals.grand_total) == answer.grand_total
    if quote.relief is not None:
        assert answer.relief is not None
        assert (quote.relief.reason, quote.relief.reference) == (
            answer.relief.reason, answer.relief.reference,
        )  # fmt: skip
    assert quote.points == answer.points
    assert sum(quote.points_by_line.values()) == quote.points


CERTIFICATE = Relief(reason="exempt", reference="R1", countries=frozenset({"*"}))
NUMBER = Relief(
    reason="reverse_charge",
    reference="R2",
    countries=frozenset({"DE"}),
    tax_types=frozenset({"VAT"}),
)


@pytest.mark.parametrize("included", [True, False], ids=["included", "added"])
@pytest.mark.parametrize("rounding", ["line", "order", "keep_gross"])
@pytest.mark.parametrize(
    ("certificate", "counts"),
    [
        (CERTIFICATE, "exempt"),
        (replace(CERTIFICATE, valid_to=NOW.date()), "reverse_charge"),
        (replace(CERTIFICATE, countries=frozenset({"FR"})), "reverse_charge"),
    ],
    ids=["both", "certificate over", "certificate elsewhere"],
)
def test_two_grounds_compete_beside_goods_that_bear_no_tax_anyway(
    certificate: Relief, counts: str, rounding: str, included: bool
) -> None:
    asked = Basket(
        lines=[
            words.line("9.99", 3),
            words.line("5.55", 1, is_taxable=False),
            words.line("7.77", 2, tax_class="exempt"),
            words.line("3.33", 7, tax_class="reduced"),
        ],
        currency="USD",
        destination=Place("DE"),
        reliefs=[NUMBER, certificate],
    )
    taxes = [
        words.tax(rate, name=name, type=name.split()[0], tax_class=of, is_included=included, is_compound=compound)
        for name, rate, of, compound in (
            ("VAT 1", "0.19", "standard", False),
            ("VAT 1", "0.07", "reduced", False),
            ("SALES_TAX 1", "0.05", "", True),
        )
    ]  # fmt: skip
    rules = Rules(tax_rules=taxes, tax_rounding=rounding)

    quote = price(asked, rules, NOW)

    assert_the_same(quote, second_opinion(asked, rules))
    assert_the_same(
        price(replace(asked, reliefs=asked.reliefs[::-1]), rules, NOW), second_opinion(asked, rules)
    )
    assert quote.relief is not None
    assert quote.relief.reason == counts
    charged = {item.type for item in quote.taxes if not item.relief}
    assert charged == (set() if counts == "exempt" else {"SALES_TAX"})
    for free in (quote.lines_by_id[asked.lines[1].id], quote.lines_by_id[asked.lines[2].id]):
        assert (free.tax, free.discount) == (0, 0)


@carts(60)
@given(cases())
def test_parts_add_up_and_stay_within_one_unit_of_exact(case: tuple[Basket, Rules]) -> None:
    asked, rules = case

    quote, answer = price(asked, rules, NOW), second_opinion(asked, rules)

    unit = Fraction(1, 10 ** PLACES[asked.currency])
    priced: list[tuple[QuoteLine | ShippingCharge, Costs]] = [
        (item, answer.lines[item.id]) for item in quote.lines
    ]
    if quote.shipping and answer.shipping:
        priced.append((quote.shipping, answer.shipping))
    for item, costs in priced:
        for name, amount in by_name(quote, item).items():
            assert abs(amount - costs.shares[name].exact) < unit
        for tax in item.taxes:
            assert abs(Fraction(tax.amount) - costs.taxes[tax.name].exact) <= unit
    totals = quote.totals
    zero = Decimal(0)
    assert totals.grand_total >= 0
    assert sum((item.total for item, _ in priced), zero) == totals.grand_total
    assert sum((item.tax for item, _ in priced), zero) == totals.tax_total
    assert sum((tax.amount for tax in quote.taxes), zero) == totals.tax_total
    assert sum((item.discount for item, _ in priced), zero) == totals.discount_total
    assert sum((item.amount for item in quote.discounts), zero) == totals.discount_total
    steps = quote.steps
    assert sum((step.amount for step in steps), zero) == totals.grand_total
    assert steps[-1].running_total == totals.grand_total


@carts(50)
@given(cases(), st.randoms(use_true_random=False))
def test_order_changes_nothing_and_json_keeps_everything(
    case: tuple[Basket, Rules], chance: random.Random
) -> None:
    asked, rules = case

    def shuffled(items: Sequence[Any]) -> list[Any]:
        return chance.sample(list(items), len(items))

    again = price(
        replace(
            asked,
            lines=shuffled(asked.lines),
            codes=shuffled(asked.codes),
            reliefs=shuffled(asked.reliefs),
        ),
        replace(
            rules,
            promotions=shuffled(rules.promotions),
            tax_rules=shuffled(rules.tax_rules),
            zones=shuffled(rules.zones),
        ),
        NOW,
    )

    quote = price(asked, rules, NOW)
    assert again == quote
    assert again.id == quote.id
    stored = json.loads(json.dumps(quote.to_json()))
    assert Quote.from_json(stored) == quote
    assert Quote.from_json(stored).id == quote.id
    assert Quote.from_json({**stored, "id": "kept"}).id == "kept"


def content(quote: Quote) -> list[object]:
    """All that a customer agrees to: everything but what the id leaves out on purpose."""
    passing = {"not_applied", "shipping_options", "revision", "valid_until", "conversion"}
    return [getattr(quote, item.name) for item in fields(quote) if item.name not in passing]


@carts(50)
@given(cases(), st.integers(0, 7), st.integers(0, 6))
def test_the_id_moves_exactly_when_the_content_does(
    case: tuple[Basket, Rules], which: int, change: int
) -> None:
    asked, rules = case
    lines = list(asked.lines)
    which %= len(lines)
    line = lines[which]
    cent = Decimal(1).scaleb(-PLACES[asked.currency])
    lines[which] = [
        line,
        replace(line, quantity=line.quantity + 1),
        replace(line, unit_price=line.unit_price + cent),
        replace(line, is_taxable=not line.is_taxable),
        replace(line, weight_grams=line.weight_grams + 1_000),
        replace(line, sku=line.sku + "X"),
        line,
    ][change]
    other = replace(asked, lines=lines)
    if change == 6:
        other = replace(other, codes=[*asked.codes, "UNHEARD-OF"])

    first, second = price(asked, rules, NOW), price(other, rules, NOW)

    assert (first.id == second.id) == (content(first) == content(second))
    if change in {0, 6}:
        assert first.id == second.id
    if change in {1, 5}:
        assert first.id != second.id


@carts(50)
@given(cases(promotions=False), st.integers(0, 50_000), st.integers(1, 9))
def test_a_further_line_leaves_the_others_as_they_are(
    case: tuple[Basket, Rules], minor: int, quantity: int
) -> None:
    asked, rules = case
    rules = replace(rules, tax_rounding=PER_LINE)
    further = another(asked, minor, quantity)

    before = price(asked, rules, NOW)
    after = price(replace(asked, lines=[*asked.lines, further]), rules, NOW)

    assert [line for line in after.lines if line.id != further.id] == list(before.lines)


@carts(50)
@given(cases(promotions=False), st.decimals(0, 100, places=2), st.integers(0, 50_000))
def test_a_further_line_never_lowers_what_goods_cost_under_a_percentage(
    case: tuple[Basket, Rules], percent: Decimal, minor: int
) -> None:
    asked, rules = case
    rules = replace(rules, promotions=[promotion("PERCENTAGE", str(percent))])
    further = another(asked, minor, 1)

    before = price(asked, rules, NOW)
    after = price(replace(asked, lines=[*asked.lines, further]), rules, NOW)

    def goods(quote: Quote) -> Decimal:
        return sum((line.subtotal - line.discount for line in quote.lines), Decimal(0))

    assert goods(after) >= goods(before)
    cent = Decimal(1).scaleb(-PLACES[asked.currency])
    for line in before.lines:  # and each share moves by no more than its rounding
        assert abs(after.lines_by_id[line.id].discount - line.discount) <= 2 * cent


def another(asked: Basket, minor: int, quantity: int) -> Line:
    return Line(
        id=UUID(int=19_000),
        variant_id=UUID(int=29_000),
        product_id=UUID(int=39_000),
        category_ids=CATEGORIES[:1],
        sku="FURTHER",
        quantity=quantity,
        unit_price=Decimal(minor).scaleb(-PLACES[asked.currency]),
    )


def test_a_wrong_engine_would_be_noticed() -> None:
    """The second engine is no echo of the first: another way to round comes to other cents."""
    asked = Basket(
        lines=[
            Line(
                id=UUID(int=1),
                variant_id=UUID(int=2),
                product_id=UUID(int=3),
                sku="A",
                quantity=1,
                unit_price=Decimal("0.05"),
            )
        ],
        currency="USD",
    )
    rules = Rules(promotions=[promotion("PERCENTAGE", "10")])

    class Down(Oracle):
        def rounded(self, amount: Fraction) -> Fraction:
            return amount // self.unit * self.unit

    assert Fraction(price(asked, rules, NOW).totals.grand_total) == Fraction(4, 100)
    assert second_opinion(asked, rules).grand_total == Fraction(4, 100)
    assert Down(asked, rules, NOW, 2).answer().grand_total == Fraction(5, 100)
