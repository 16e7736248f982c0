"""The columns that hold money."""

from __future__ import annotations

from django.db import models
from django.utils.functional import Promise


def money_field(verbose_name: str | Promise = "", **options: object) -> models.DecimalField:
    """Return a column for an amount of money: wide enough for any currency of up to three decimals."""
    return models.DecimalField(verbose_name, max_digits=15, decimal_places=3, **options)  # type: ignore[arg-type]
