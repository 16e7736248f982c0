"""
The rules in another currency: what has no amount of its own there has that of the company's own at the exchange rate.

Amounts are multiplied here and rounded where the engine rounds amounts of a rule anyway, so each is rounded once.
"""

from __future__ import annotations

import dataclasses
from decimal import Context, Decimal

from pricing.engine.terms import (
    FIXED_AMOUNT,
    BundleOffer,
    PointValue,
    PromotionRule,
    Rate,
    Rules,
    ShippingMethod,
    Zone,
)

# 15 digits of an amount by 20 of a rate: the product is exact.
_EXACT = Context(prec=40)


def in_currency(rules: Rules, rate: Rate) -> Rules:
    """
    Return the rules for baskets in `rate.quote`; what names `converted_from` was converted.

    Only amounts in `rate.base` are: a promotion that is limited to that currency and says no amount stays so. A bundle
    or a way to ship with a price of its own in the currency keeps that.
    """
    return dataclasses.replace(
        rules,
        promotions=tuple(_promotion(rule, rate) for rule in rules.promotions),
        zones=tuple(_zone(zone, rate) for zone in rules.zones),
        bundles={id: _bundle(offer, rate) for id, offer in rules.bundles.items()},
        point_value=_point_value(rules.point_value, rate),
        rate=rate,
    )


def _promotion(rule: PromotionRule, rate: Rate) -> PromotionRule:
    amounts = (rule.minimum_order, rule.maximum_discount)
    is_amount = rule.kind == FIXED_AMOUNT
    if rule.currency != rate.base or not (is_amount or any(a is not None for a in amounts)):
        return rule
    return dataclasses.replace(
        rule,
        value=_at(rule.value, rate) if is_amount else rule.value,
        minimum_order=_maybe(rule.minimum_order, rate),
        maximum_discount=_maybe(rule.maximum_discount, rate),
        currency=rate.quote,
        converted_from=rate.base,
    )


def _zone(zone: Zone, rate: Rate) -> Zone:
    own = {method.code for method in zone.methods if method.currency == rate.quote}
    return dataclasses.replace(
        zone,
        methods=tuple(
            _method(method, rate)
            if method.currency == rate.base and method.code not in own
            else method
            for method in zone.methods
        ),
    )


def _method(method: ShippingMethod, rate: Rate) -> ShippingMethod:
    return dataclasses.replace(
        method,
        base_price=_at(method.base_price, rate),
        per_unit=_at(method.per_unit, rate),
        per_kilogram=_at(method.per_kilogram, rate),
        free_over=_maybe(method.free_over, rate),
        minimum_order=_maybe(method.minimum_order, rate),
        maximum_order=_maybe(method.maximum_order, rate),
        currency=rate.quote,
        converted_from=rate.base,
    )


def _bundle(offer: BundleOffer, rate: Rate) -> BundleOffer:
    if rate.quote in offer.prices or rate.base not in offer.prices:
        return offer
    prices = {**offer.prices, rate.quote: _at(offer.prices[rate.base], rate)}
    return dataclasses.replace(offer, prices=prices, converted_from=rate.base)


def _point_value(value: PointValue | None, rate: Rate) -> PointValue | None:
    if value is None or value.currency != rate.base:
        return value
    return PointValue(_at(value.amount, rate), rate.quote, converted_from=rate.base)


def _at(amount: Decimal, rate: Rate) -> Decimal:
    return _EXACT.multiply(amount, rate.rate)


def _maybe(amount: Decimal | None, rate: Rate) -> Decimal | None:
    return None if amount is None else _at(amount, rate)
