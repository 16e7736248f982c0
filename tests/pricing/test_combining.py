"""What "the best for the customer" covers, and what it does not: docs/pricing.md says the same."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pricing.engine import Place, PromotionRule, Quote, Rules, price
from tests.pricing.words import basket, line, method, promotion, zone

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def quote(*promotions: PromotionRule) -> Quote:
    """Price 50.00 of goods that are shipped for 5.00, and for nothing from 50.00."""
    asked = basket(line("50.00"), destination=Place("DE"), shipping_option="standard")
    rules = Rules(promotions=promotions, zones=[zone(method(free_over="50.00"))])
    return price(asked, rules, NOW)


def paid(*promotions: PromotionRule) -> Decimal:
    return quote(*promotions).totals.grand_total


def test_what_combines_all_applies_even_where_shipping_gets_dearer_by_it() -> None:
    one_percent, two_off = promotion("PERCENTAGE", "1"), promotion("FIXED_AMOUNT", "2")

    assert paid() == Decimal("50.00")
    assert paid(one_percent) == Decimal("54.50")
    assert paid(one_percent, two_off) == Decimal("52.50")
    assert [discount.name for discount in quote(one_percent).discounts] == ["PERCENTAGE 1"]


def test_what_does_not_combine_applies_only_where_it_helps() -> None:
    """Nothing at all is one of the sets that are compared: all that combine, of which there is none."""
    alone = promotion("PERCENTAGE", "1", is_stackable=False)

    assert paid(alone) == Decimal("50.00")
    assert quote(alone).discounts == ()


def test_of_the_sets_that_are_compared_none_costs_less_than_the_chosen_one() -> None:
    combined = [promotion("PERCENTAGE", "1"), promotion("FREE_SHIPPING", scope="SHIPPING")]
    alone = promotion("FIXED_AMOUNT", "8", is_stackable=False)

    chosen = paid(*combined, alone)

    assert chosen == min(paid(*combined), paid(alone)) == Decimal("47.00")
