"""How a rule makes a new price of an old one. Pure Python, no database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from pricing.money import exponent, quantize

PERCENT, AMOUNT, SET, LISTED = "percent", "amount", "set", "listed"
KINDS = (PERCENT, AMOUNT, SET, LISTED)
WHOLE = "whole"
ENDINGS = ("", "99", "95", WHOLE)


@dataclass(frozen=True, slots=True)
class Repricing:
    """
    By so many percent, by an amount (both may be negative), to an amount, or to the price that is listed for each.

    `ending` moves what comes out to the nearest price that ends so, of two equally near ones the higher.
    """

    kind: str
    value: Decimal = Decimal(0)
    ending: str = ""

    def applied(self, old: Decimal | None, currency: str) -> Decimal | None:
        """Return the new price, below zero where it comes out so; None where there is no old one to change."""
        if self.kind == SET:
            amount = self.value
        elif old is None:
            return None
        elif self.kind == PERCENT:
            amount = old * (100 + self.value) / 100
        else:
            amount = old + self.value
        if amount < 0:
            return quantize(amount, currency)
        return ended(amount, self.ending, currency)


def ended(amount: Decimal, ending: str, currency: str) -> Decimal:
    """
    Return the price nearest to an amount that ends so: 12.40 becomes 11.99 or 12.99, 11.95 or 12.95, or 12.

    A currency without decimals has its ending in the last two figures: 1,240 yen become 1,199 or 1,299; there every price
    is whole. No price is below zero.
    """
    if not ending:
        return quantize(amount, currency)
    if ending == WHOLE:
        return quantize(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP), currency)
    step = Decimal(1) if exponent(currency) else Decimal(100)
    tail = Decimal(ending) * step / 100
    lower = (amount / step).to_integral_value(rounding=ROUND_FLOOR) * step + tail
    if lower > amount:
        lower -= step
    higher = lower + step
    nearest = lower if lower >= 0 and amount - lower < higher - amount else higher
    return quantize(nearest, currency)
