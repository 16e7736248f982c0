"""Amounts of money as staff name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from config.platform.errors import FieldError
from pricing.money import EXPONENTS, exponent, quantize


def finer_than(currency: str, amounts: Mapping[str, Decimal | None]) -> Iterator[FieldError]:
    """Yield an error for each amount, by its field, that has more decimal places than the currency."""
    if currency not in EXPONENTS:
        return
    for field, amount in amounts.items():
        if amount is not None and quantize(amount, currency) != amount:
            # Rounded without a word it would be another amount than the one that staff read back.
            places = exponent(currency)
            yield FieldError(field, "invalid", f"{currency} has {places} decimal places.")
