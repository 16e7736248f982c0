"""Taxes: which apply to goods of a class at a place, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date
from fractions import Fraction
from functools import cached_property
from typing import Any

from pricing.engine.goods import Goods, share
from pricing.engine.places import fold, postal_form, prefix_form
from pricing.engine.terms import ANYWHERE, EXEMPT_CLASS, Relief, Rules, TaxRule
from pricing.money import split_minor


@dataclass
class Taxes:
    """
    The taxes on one class of goods; each part is a fraction of the net amount.

    `full` is what anybody else would be charged, where this customer is relieved of some of it. One object serves all
    lines of its class, so what depends on the rates alone is worked out once.
    """

    parts: list[tuple[TaxRule, Fraction]]
    gross: Fraction  # the amount shown as a multiple of the net amount: 1 + what is included
    full: Taxes | None = None
    relief: Relief | None = None

    def relieved(self, amount: int, *, by_net: bool = False) -> int:
        """
        Return the part of an amount shown that is tax this customer is not charged; it is taken off first.

        What is left holds the same net amount and the taxes that are charged on it, also those that would be charged
        on a tax that is not. Rounded half-up; with `by_net` it is what is left that is rounded.
        """
        if self.full is None:
            return 0
        numerator, denominator = self._kept
        if by_net:
            return amount - share(amount, numerator, denominator)
        return share(amount, denominator - numerator, denominator)

    @cached_property
    def _kept(self) -> tuple[int, int]:
        return (self.gross / (self.full or self).gross).as_integer_ratio()

    @cached_property
    def included(self) -> list[TaxRule]:
        """Return the taxes that prices contain; they come first in `parts`."""
        return [rule for rule, _ in self.parts if rule.is_included]

    @cached_property
    def added(self) -> list[tuple[int, int]]:
        """Return each tax that is added, as a fraction of the amount shown."""
        parts = self.parts[len(self.included) :]
        return [(part / self.gross).as_integer_ratio() for _, part in parts]

    @cached_property
    def _inside(self) -> tuple[int, int]:
        return ((self.gross - 1) / self.gross).as_integer_ratio()

    @cached_property
    def _weights(self) -> list[int]:
        parts = [part for _, part in self.parts[: len(self.included)]]
        scale = math.lcm(*(part.denominator for part in parts))
        return [int(part * scale) for part in parts]

    def inside(self, amount: int, *, by_net: bool = False) -> int:
        """Return the taxes in an amount shown, rounded half-up; with `by_net` it is what is left of it that is rounded."""
        if by_net:
            return amount - share(amount, self.gross.denominator, self.gross.numerator)
        return share(amount, *self._inside)

    def split(self, whole: int) -> list[int]:
        """Return each included tax's part of all of them together."""
        return split_minor(whole, self._weights) if whole else [0] * len(self.included)

    def rounded(self, amount: int) -> list[int]:
        """
        Return what each tax comes to on an amount shown, rounded half-up.

        Included taxes are taken out together and then split, so that they never exceed what was shown.
        """
        taxes = self.split(self.inside(amount)) if self.included else []
        return taxes + [share(amount, *part) for part in self.added]

    def rows(self, amount: int, taxes: Sequence[int]) -> list[tuple[TaxRule, int, int]]:
        """Return (rule, base, tax) for an amount shown and what each tax comes to on it."""
        net = amount - sum(taxes[: len(self.included)])
        result = []
        before = 0
        for (rule, _), tax in zip(self.parts, taxes, strict=True):
            result.append((rule, net + before if rule.is_compound else net, tax))
            before += tax
        if self.full is not None:
            result += [
                (replace(rule, is_included=False), net, 0)
                for rule, _ in self.full.parts
                if rule.relief
            ]
        return result


def taxes_for(goods: Goods, rules: Rules, tax_class: str, *, shipping: bool = False) -> Taxes:
    """Return the taxes on goods of a class at the destination, as fractions of the amount shown."""
    place = goods.basket.destination
    if place is None or tax_class == EXEMPT_CLASS:
        return Taxes([], Fraction(1))
    country, state, postal = (
        place.country.upper(),
        fold(place.state),
        postal_form(place.postal_code),
    )
    today = goods.now.astimezone(UTC).date()
    best: dict[tuple[str, str], tuple[tuple[Any, ...], TaxRule]] = {}
    by_country = rules.tax_rules_by_country
    for rule in (*by_country.get(country, ()), *by_country.get(ANYWHERE, ())):
        if rule.tax_class not in {tax_class, ""} or (shipping and not rule.on_shipping):
            continue
        if (rule.valid_from and today < rule.valid_from) or (
            rule.valid_to and today >= rule.valid_to
        ):
            continue
        if rule.state and fold(rule.state) != state:
            continue
        prefix = prefix_form(rule.postal_prefix)
        if prefix and not postal.startswith(prefix):
            continue
        rank = (
            len(prefix),
            bool(rule.state),
            rule.country != ANYWHERE,
            bool(rule.tax_class),
            rule.priority,
            rule.valid_from or date.min,
            rule.id,
        )
        level = (rule.type, rule.name)
        if level not in best or rank > best[level][0]:
            best[level] = (rank, rule)
    chosen = [rule for _, rule in best.values()]
    relief = _relief_for(goods.basket.reliefs, country, state, today)
    if relief is None:
        return _as_fractions(chosen)
    marked = [
        replace(rule, relief=relief.reason)
        if not relief.tax_types or rule.type in relief.tax_types
        else rule
        for rule in chosen
    ]
    if not any(rule.relief for rule in marked):
        return _as_fractions(chosen)
    charged = _as_fractions([rule for rule in marked if not rule.relief])
    charged.full, charged.relief = _as_fractions(marked), relief
    return charged


def _relief_for(reliefs: Sequence[Relief], country: str, state: str, today: date) -> Relief | None:
    """Return the ground that covers this place today: the one that frees of most, then the first by its reference."""
    valid = [
        relief
        for relief in reliefs
        if (country in relief.countries or ANYWHERE in relief.countries)
        and (not relief.state or fold(relief.state) == state)
        and (relief.valid_from is None or relief.valid_from <= today)
        and (relief.valid_to is None or today < relief.valid_to)
    ]
    return min(
        valid,
        key=lambda relief: (bool(relief.tax_types), relief.reason, relief.reference),
        default=None,
    )


def _as_fractions(rules: list[TaxRule]) -> Taxes:
    """Work out each tax as a fraction of the net amount: plain ones first, then compound ones on top."""
    ordered = sorted(
        rules,
        key=lambda rule: (
            not rule.is_included,
            rule.is_compound,
            rule.priority,
            rule.type,
            rule.name,
        ),
    )
    parts: list[tuple[TaxRule, Fraction]] = []
    before = Fraction(0)
    included = Fraction(0)
    for rule in ordered:
        part = Fraction(rule.rate) * (1 + before if rule.is_compound else 1)
        parts.append((rule, part))
        before += part
        if rule.is_included:
            included += part
    return Taxes(parts, 1 + included)
