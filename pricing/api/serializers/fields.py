"""What many resources share."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from config.platform.http import Input, timestamp
from pricing.money import EXPONENTS, format_amount
from pricing.terms import ShippingRuleTerms, TaxRateTerms, ZoneTerms

MOST_ITEMS = 100


MOST_UNITS = 100


def amount_field(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=15, decimal_places=3, min_value=Decimal(0), **options
    )


class CurrencyField(serializers.CharField):
    """The code of a currency that there is, in any case of its letters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"max_length": 3, "help_text": "ISO 4217; the shop's own if left out.", **options}
        )

    def to_internal_value(self, data: Any) -> str:
        currency: str = super().to_internal_value(data).upper()
        if currency not in EXPONENTS:
            raise serializers.ValidationError("There is no such currency.", code="invalid")
        return currency


class CurrencyQuery(Input):
    currency = CurrencyField(required=False)


class ListOutput(serializers.Serializer):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


def amount_text(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else format_amount(amount, currency)


def plain(value: Decimal) -> str:
    """Return a number that is no amount of money without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def term_text(value: Decimal | None, currency: str) -> str | None:
    if value is None:
        return None
    return format_amount(value, currency) if currency else plain(value)


def moment_text(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None


def terms_from(row: Any, terms: type[TaxRateTerms | ZoneTerms | ShippingRuleTerms]) -> Any:
    """Return the terms a stored rule has now, for a change to start from."""
    return terms(**{name: getattr(row, name) for name in terms.__dataclass_fields__})
