"""What the admin screens of prices share: amounts in their currency, and who served them."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from django import forms

from config.platform.backoffice import ServedAdmin
from pricing.money import EXPONENTS, format_amount


class MoneyForm(forms.ModelForm):
    """A form whose amounts have the decimals of their currency, whatever their column keeps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        currency = getattr(self.instance, "currency", "")
        for name, field in self.fields.items():
            value = self.initial.get(name)
            if isinstance(field, forms.DecimalField) and isinstance(value, Decimal):
                is_money = currency in EXPONENTS and name in MONEY
                self.initial[name] = (
                    format_amount(value, currency) if is_money else f"{value.normalize():f}"
                )


MONEY = {
    "amount", "compare_at", "base_price", "per_unit", "per_kilogram", "free_over", "minimum_order", "maximum_order",
    "maximum_discount",
}  # fmt: skip


class MoneyAdmin(ServedAdmin):
    form = MoneyForm


def names_of(terms: type[Any]) -> list[str]:
    """Return the names of the fields of some terms: what a form asks for."""
    return [field.name for field in dataclasses.fields(terms)]
