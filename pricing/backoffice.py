"""Amounts in the admin: in the currency's own decimals, aligned, never three places because the column has three."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from typing import Any

from unfold.decorators import display

from config.platform.backoffice import NOTHING, figure
from pricing.templatetags.money import money_text


def cash(amount: Decimal | None, currency: str) -> str:
    """Return an amount as a cell."""
    return NOTHING if amount is None else figure(money_text(amount, currency))


def amount(name: str, title: Any, *, currency: str = "currency") -> Any:
    """Return a column of a row's amount; `currency` may be a path, such as `order.currency`."""

    @display(description=title, ordering=name)
    def shown(self: Any, row: Any) -> str:
        return cash(getattr(row, name), reduce(getattr, currency.split("."), row))

    return shown
