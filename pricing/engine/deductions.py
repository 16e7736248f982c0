"""What is taken off a basket, in order."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from pricing.engine.goods import Goods
from pricing.engine.quote import Discount

Share = tuple[int, int]  # the number of a discount, and what it took in minor units


class Deductions:
    """The discounts so far, and which of them took how much off each line and off shipping."""

    def __init__(self, goods: Goods) -> None:
        self._goods = goods
        self.discounts: list[Discount] = []
        self.of_lines: list[list[Share]] = [[] for _ in goods.lines]
        self.of_shipping: list[Share] = []
        self.converted: set[int] = set()

    def add(
        self,
        name: str,
        kind: str,
        lane: str,
        parts: Mapping[int, int],
        *,
        shipping: int = 0,
        promotion_id: UUID | None = None,
        code: str | None = None,
        is_converted: bool = False,
    ) -> None:
        """Take `parts`, by the index of a line, and `shipping` off: amounts in minor units."""
        number = len(self.discounts)
        for index, part in parts.items():
            self.of_lines[index].append((number, part))
        if shipping:
            self.of_shipping.append((number, shipping))
        if is_converted:
            self.converted.add(number)
        amount = self._goods.amount(sum(parts.values()) + shipping)
        self.discounts.append(Discount(promotion_id, code, name, kind, lane, amount))
