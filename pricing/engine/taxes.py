"""Taxes: which apply to goods of a class at a place, and what they come to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date
from fractions import Fraction
from typing import Any

from pricing.engine.goods import Goods, share
from pricing.engine.places import fold, postal_form, prefix_form
from pricing.engine.terms import ANYWHERE, Rules, TaxRule
from pricing.money import split_minor


@dataclass(slots=True)
class Taxes:
    """The taxes on one class of goods; each part is a fraction of the net amount."""

    parts: list[tuple[TaxRule, Fraction]]
    gross: Fraction  # the amount shown as a multiple of the net amount: 1 + what is included

    def on(self, amount: int) -> list[tuple[TaxRule, int, int]]:
        """
        Return (rule, base, tax) for an amount shown, each tax rounded half-up.

        Included taxes are taken out together and then split, so that they never exceed what was shown.
        """
        if not self.parts:
            return []
        included = [(rule, part) for rule, part in self.parts if rule.is_included]
        taken: list[int] = []
        net = amount
        if included:
            inside = (self.gross - 1) / self.gross
            whole = share(amount, inside.numerator, inside.denominator)
            scale = math.lcm(*(part.denominator for _, part in included))
            taken = (
                split_minor(whole, [int(part * scale) for _, part in included])
                if whole
                else [0] * len(included)
            )
            net = amount - whole
        result = []
        before = 0
        of_included = iter(taken)
        for rule, part in self.parts:
            if rule.is_included:
                tax = next(of_included)
            else:
                factor = part / self.gross
                tax = share(amount, factor.numerator, factor.denominator)
            result.append((rule, net + before if rule.is_compound else net, tax))
            before += tax
        return result


def taxes_for(goods: Goods, rules: Rules, tax_class: str, *, shipping: bool = False) -> Taxes:
    """Return the taxes on goods of a class at the destination, as fractions of the amount shown."""
    place = goods.basket.destination
    if place is None or goods.basket.is_tax_exempt:
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
    return _as_fractions([rule for _, rule in best.values()])


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
