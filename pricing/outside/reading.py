"""Reading answers: everything is believed only as far as it can be true."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pricing.outside.question import Unusable

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def rows_of(answer: Mapping[str, Any], name: str, *, most: int) -> Sequence[Mapping[str, Any]]:
    rows = answer.get(name)
    if not isinstance(rows, list) or len(rows) > most:
        raise Unusable(f"it lacks {name}, or has too many")
    if not all(isinstance(row, Mapping) for row in rows):
        raise Unusable(f"one of {name} is no object")
    return rows


def text(row: Mapping[str, Any], name: str, most: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise Unusable(f"{name} is no text of up to {most} characters")
    return value


def amount(row: Mapping[str, Any], name: str, *, places: int) -> Decimal:
    value = row.get(name)
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise Unusable(f"{name} is no amount")
    found = Decimal(value)
    if found != found.quantize(Decimal(1).scaleb(-places)):
        raise Unusable(f"{name} is finer than {places} places")
    return found


def switch(row: Mapping[str, Any], name: str, default: bool) -> bool:
    value = row.get(name, default)
    if not isinstance(value, bool):
        raise Unusable(f"{name} is neither true nor false")
    return value


def whole(row: Mapping[str, Any], name: str, *, least: int = 0, most: int) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Unusable(f"{name} is no number from {least} to {most}")
    return value
