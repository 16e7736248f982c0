"""What a quote was made from: the rules that took part, as they stood, for whoever asks later why it came out so."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pricing.engine.goods import Goods
from pricing.engine.quote import Quote
from pricing.engine.shipping import zone_for
from pricing.engine.taxes import taxes_for
from pricing.engine.terms import SHIPPING_CLASS, STANDARD_CLASS, Basket, Rules, TaxRule


def basis_of(basket: Basket, rules: Rules, quote: Quote, now: datetime) -> dict[str, Any]:
    """
    Return the inputs and rules behind a quote that `price` made of the same basket, rules and moment, as plain JSON.

    Only what took part: the promotions that applied, the rates of the place, the way to ship that was chosen. Amounts
    are decimal strings; prices and quantities of the lines stand in the quote itself.
    """
    goods = Goods(basket, now)
    place = basket.destination
    return {
        "pricedAt": _plain(now),
        "revision": rules.revision,
        "taxRounding": rules.tax_rounding,
        "destination": None
        if place is None
        else {"country": place.country, "state": place.state, "postalCode": place.postal_code},
        "codes": list(basket.codes),
        "promotions": [
            {
                **_terms(rules.promotions_by_id[discount.promotion_id], _named(basket)),
                "code": discount.code,
            }
            for discount in quote.discounts
            if discount.promotion_id is not None and discount.promotion_id in rules.promotions_by_id
        ],
        "taxRates": [_terms(rule) for rule in _tax_rules(goods, rules, quote)],
        "shipping": _shipping(goods, rules, quote),
        **(
            {"points": {"spent": quote.points, "value": _plain(rules.point_value.amount)}}
            if quote.points and rules.point_value is not None
            else {}
        ),
    }


def _tax_rules(goods: Goods, rules: Rules, quote: Quote) -> list[TaxRule]:
    found: dict[UUID, TaxRule] = {}
    asked = [
        taxes_for(goods, rules, tax_class)
        for tax_class in sorted({line.tax_class for line in goods.lines if line.is_taxable})
    ]
    if quote.shipping is not None:
        of_shipping = taxes_for(goods, rules, SHIPPING_CLASS, shipping=True)
        if not of_shipping.parts and of_shipping.full is None:
            of_shipping = taxes_for(goods, rules, STANDARD_CLASS, shipping=True)
        asked.append(of_shipping)
    for taxes in asked:
        for rule, _part in taxes.full.parts if taxes.full is not None else taxes.parts:
            found[rule.id] = rule
    return sorted(found.values(), key=lambda rule: (rule.type, rule.name, rule.id))


def _shipping(goods: Goods, rules: Rules, quote: Quote) -> dict[str, Any] | None:
    zone = zone_for(rules.zones, goods.basket.destination)
    if quote.shipping is None or zone is None:
        return None
    return {
        "zone": {"id": str(zone.id), "name": zone.name},
        **next(
            _terms(method)
            for method in zone.methods
            if method.code == quote.shipping.option and method.currency == goods.currency
        ),
        "weightGrams": sum(line.weight_grams * line.quantity for line in goods.shipped),
        "units": sum(line.quantity for line in goods.shipped),
    }


def _named(basket: Basket) -> frozenset[UUID]:
    """Return everything in the basket that a promotion may name: of its other targets there may be thousands."""
    bought = {id for line in basket.lines for id in (line.product_id, *line.category_ids)}
    customer = set() if basket.user_id is None else {basket.user_id}
    return frozenset(bought | customer | basket.group_ids)


def _terms(rule: Any, named: frozenset[UUID] | None = None) -> dict[str, Any]:
    return {
        _camel(field.name): _plain(getattr(rule, field.name), named)
        for field in dataclasses.fields(rule)
    }


def _camel(name: str) -> str:
    first, *rest = name.removeprefix("is_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def _plain(value: Any, named: frozenset[UUID] | None = None) -> Any:
    match value:
        case Decimal():
            return f"{value.normalize():f}"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case frozenset():
            return sorted(str(part) for part in value if named is None or part in named)
        case tuple() | list():
            return [_plain(part) for part in value]
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return _terms(value)
        case None | str() | int():
            return value
    return str(value)
