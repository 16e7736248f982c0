"""The taxes that are in force at a place, as anybody may know them before buying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from config.platform.actor import Actor
from pricing import engine
from pricing.engine.goods import Goods
from pricing.engine.taxes import taxes_for
from pricing.selectors.rules import revision, rules

_STANDARD = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxAtPlace:
    """One tax on goods of a class. `rate` is a fraction of the net amount, on top of other taxes where compound."""

    tax_class: str
    name: str
    type: str
    rate: Decimal
    is_included: bool
    is_compound: bool
    on_shipping: bool


def taxes_at(*, actor: Actor, place: engine.Place, now: datetime) -> Sequence[TaxAtPlace]:
    """
    Return the taxes on each class of goods at a place today, by the rules that carts are priced by.

    At most two statements. The caller's own exemptions are left out: this is what anybody would be charged.
    """
    known = rules(company_id=actor.company_id, revision=revision(company_id=actor.company_id))
    # No goods: taxes are found by place and class alone, whatever the currency.
    goods = Goods(engine.Basket(lines=(), currency="USD", destination=place), now)
    classes = {rule.tax_class for rule in known.tax_rules if rule.tax_class} | {_STANDARD}
    return [
        TaxAtPlace(
            tax_class=tax_class,
            name=rule.name,
            type=rule.type,
            rate=rule.rate,
            is_included=rule.is_included,
            is_compound=rule.is_compound,
            on_shipping=rule.on_shipping,
        )
        for tax_class in sorted(classes, key=lambda name: (name != _STANDARD, name))
        for rule, _part in taxes_for(goods, known, tax_class).parts
    ]
