"""The basket as the engine works on it: lines in one fixed order, amounts in whole minor units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pricing.engine.terms import Basket, PromotionRule
from pricing.money import exponent, to_minor

_NOTHING, _WHOLE = Decimal(0), Decimal(100)


class _Amounts(dict[int, Decimal]):
    """Decimal amounts by minor units. The same few come again and again: zero, shares of much the same lines."""

    def __init__(self, currency: str) -> None:
        super().__init__()
        self._scale = -exponent(currency)

    def __missing__(self, minor: int) -> Decimal:
        amount = self[minor] = Decimal(minor).scaleb(self._scale)
        return amount


class Goods:
    """The lines of a basket in the order of their ids, so that every tie is broken the same way."""

    def __init__(self, basket: Basket, now: datetime) -> None:
        self.amount: Callable[[int], Decimal] = _Amounts(basket.currency).__getitem__
        self.basket = basket
        self.now = now
        self.currency = basket.currency
        self.lines = sorted(basket.lines, key=lambda line: line.id)
        if any(line.quantity < 0 or line.unit_price < 0 for line in self.lines):
            raise ValueError("Quantities and prices are not negative.")
        self.unit_prices = [self.minor(line.unit_price) for line in self.lines]
        self.subtotals = [
            unit * line.quantity for unit, line in zip(self.unit_prices, self.lines, strict=True)
        ]
        self.subtotal = sum(self.subtotals)
        self.shipped = [line for line in self.lines if line.requires_shipping and line.quantity]
        self._everything = range(len(self.lines))
        self._targets: dict[UUID, Sequence[int]] = {}
        self._by_product: dict[UUID, list[int]] = {}
        self._by_category: dict[UUID, list[int]] = {}
        for index, line in enumerate(self.lines):
            self._by_product.setdefault(line.product_id, []).append(index)
            for category_id in line.category_ids:
                self._by_category.setdefault(category_id, []).append(index)

    def minor(self, amount: Decimal) -> int:
        return to_minor(amount, self.currency)

    def target(self, rule: PromotionRule) -> Sequence[int]:
        """Return the indexes of the lines this promotion is about."""
        is_about_all = not rule.product_ids and not rule.category_ids
        has_exclusions = rule.excluded_product_ids or rule.excluded_category_ids
        if is_about_all and not has_exclusions:
            return self._everything
        found = self._targets.get(rule.id)
        if found is None:
            indexes = (
                set(self._everything)
                if is_about_all
                else self._among(rule.product_ids, rule.category_ids)
            )
            if has_exclusions:
                indexes -= self._among(rule.excluded_product_ids, rule.excluded_category_ids)
            found = self._targets[rule.id] = sorted(indexes)
        return found

    def _among(self, product_ids: frozenset[UUID], category_ids: frozenset[UUID]) -> set[int]:
        indexes: set[int] = set()
        for by, ids in ((self._by_product, product_ids), (self._by_category, category_ids)):
            # the smaller side is walked: a promotion may name thousands of products
            for key in by.keys() & ids if len(by) < len(ids) else ids & by.keys():
                indexes.update(by[key])
        return indexes


def share(amount: int, numerator: int, denominator: int) -> int:
    """Return amount × numerator / denominator, rounded half-up; none is negative."""
    return (2 * amount * numerator + denominator) // (2 * denominator)


def percent(value: Decimal) -> tuple[int, int]:
    """Return a percentage as numerator and denominator: never below nothing, never above the whole."""
    return (min(max(value, _NOTHING), _WHOLE) / 100).as_integer_ratio()
