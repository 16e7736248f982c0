"""Points spent on the goods: how many it takes, and what they take off each line."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pricing.engine.goods import Goods
from pricing.engine.terms import Rules
from pricing.money import exponent, split_minor


def spend_points(goods: Goods, rules: Rules, left: Sequence[int]) -> tuple[int, list[int]]:
    """
    Return how many points are spent, and what they take off each line, of which `left` is what it still costs.

    Points never pay for more than the goods: beyond that they stay with the customer, and so does every point that
    would not lower the price by a whole unit of the currency.
    """
    value = rules.point_value
    whole = sum(left)
    if value is None or value.currency != goods.currency or goods.basket.points <= 0 or not whole:
        return 0, [0] * len(left)
    worth = Fraction(value.amount) * 10 ** exponent(goods.currency)
    taken = min(int(goods.basket.points * worth), whole)
    return -int(-taken // worth), split_minor(taken, left)
