"""
What one unit of a variant costs a customer, by how many are bought. Pure Python, no database.

The public price is what everybody pays for one unit. Steps are prices beside it: from a quantity on, for a group the
customer belongs to, or both. The lowest that applies wins; a step above the public price is never charged, unless an
outside engine says so: its steps are what the customer pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

QUANTITY_BREAK, CUSTOMER_GROUP, OUTSIDE = "quantity_break", "customer_group", "outside"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A price from a quantity on; `for_group` where it is one of a group's."""

    from_quantity: int
    amount: Decimal
    for_group: bool = False


@dataclass(frozen=True, slots=True)
class Ladder:
    """The public price of a variant, and the steps that are open to this customer now."""

    public: Decimal
    steps: Sequence[Step] = ()
    is_converted: bool = False  # from the company's own currency, at the exchange rate in force
    is_outside: bool = False  # the steps are an outside engine's, and the first is from one unit on

    def at(self, quantity: int) -> Decimal:
        """Return what one unit costs when so many are bought."""
        lowest = min(
            (step.amount for step in self.steps if step.from_quantity <= quantity),
            default=self.public,
        )
        return lowest if self.is_outside else lowest.min(self.public)

    @property
    def single(self) -> Decimal:
        """What one unit costs this customer when one is bought."""
        return self.at(1)

    @property
    def advertised(self) -> Decimal:
        """What this customer has seen of the price of one unit before the cart: never more than the public price."""
        return self.single.min(self.public)

    def reason(self, quantity: int) -> str:
        """Return why a unit costs what it does: `quantity_break`, `customer_group`, `outside`, or nothing (the public price)."""
        if self.is_outside:
            return OUTSIDE
        amount = self.at(quantity)
        if amount == self.public:
            return ""
        return CUSTOMER_GROUP if amount == self.single else QUANTITY_BREAK

    @property
    def breaks(self) -> list[Step]:
        """The steps from two units on that make a unit cheaper than fewer units do, by quantity."""
        found: list[Step] = []
        lowest = self.single
        for step in sorted(self.steps):
            if step.from_quantity > 1 and step.amount < lowest:
                if found and found[-1].from_quantity == step.from_quantity:
                    found.pop()
                found.append(step)
                lowest = step.amount
        return found
