"""What would apply at an address, or be paid for a variant, and why: for staff who set up rates, zones and prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from config.platform import flags
from config.platform.actor import Actor
from inventory.models import Variant
from pricing import selectors
from pricing.engine import (
    ANYWHERE,
    Basket,
    Line,
    Place,
    Quote,
    ShippingMethod,
    TaxRule,
    Zone,
    basis_of,
    price,
)
from pricing.engine.places import fold, postal_form, prefix_form
from pricing.engine.shipping import zone_for
from pricing.ladder import Ladder


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule: its row, what it is called, whether it applies, and why (or why not)."""

    id: UUID
    name: str
    applies: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTrial:
    """What some units of one variant would cost, and the prices it was chosen from; no taxes, no shipping."""

    quote: Quote
    ladder: Ladder


def try_price(
    *,
    actor: Actor,
    variant: Variant,
    currency: str,
    quantity: int,
    group_id: UUID | None,
    at: datetime,
) -> PriceTrial | None:
    """
    Return what somebody of a group would pay for some units at a moment; None where the variant has no price.

    Scheduled prices, steps, exchange rates and automatic promotions are those of that moment, the base price is today's.
    Asked is a customer who never ordered and types no code; no outside engine is. Nothing is stored.
    """
    found = selectors.own_ladders(
        variant_ids=[variant.id], currency=currency, group_id=group_id, now=at
    )
    ladder = found.get(variant.id)
    if ladder is None:
        return None
    line = selectors.line_of(
        variant,
        id=UUID(int=1),
        quantity=quantity,
        unit_price=ladder.at(quantity),
        list_price=ladder.public,
        price_kind=ladder.reason(quantity),
    )
    groups = frozenset() if group_id is None else frozenset([group_id])
    basket = Basket(lines=(line,), currency=currency, group_ids=groups)
    rules = selectors.rules(
        company_id=actor.company_id, revision=selectors.revision(company_id=actor.company_id)
    )
    if flags.is_enabled(selectors.PROMOTIONS_FLAG):
        in_play = selectors.promotions_in_play(
            company_id=actor.company_id, rules=rules, codes=(), customer_keys=(), now=at
        )
        basket = dataclasses.replace(basket, used_up=in_play.used_up)
    else:
        rules = rules.without_promotions()
    return PriceTrial(quote=price(basket, rules, at), ladder=ladder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A parcel priced without promotions for an address, shipped the cheapest way, and every rule judged."""

    quote: Quote
    zones: Sequence[Verdict]
    methods: Sequence[Verdict]
    rates: Sequence[Verdict]
    elsewhere: int  # rates of the country's other states, which are not worth a line each


def try_address(
    *,
    actor: Actor,
    place: Place,
    currency: str,
    worth: Decimal,
    weight_grams: int,
    units: int,
    tax_class: str,
    now: datetime,
) -> Trial:
    """Return what goods of one class, so much worth in all, would be charged there; nothing is stored."""
    rules = selectors.rules_in(
        company_id=actor.company_id,
        currency=currency,
        rules=selectors.rules(
            company_id=actor.company_id, revision=selectors.revision(company_id=actor.company_id)
        ),
        now=now,
    ).without_promotions()
    goods = Line(
        id=UUID(int=1),
        variant_id=UUID(int=1),
        product_id=UUID(int=1),
        sku="",
        quantity=1,
        unit_price=worth,
        tax_class=tax_class,
        weight_grams=weight_grams,
    )
    # more units only count and weigh: what they are worth stands on the first
    rest = Line(
        id=UUID(int=2),
        variant_id=UUID(int=2),
        product_id=UUID(int=2),
        sku="",
        quantity=units - 1,
        unit_price=Decimal(0),
        tax_class=tax_class,
    )
    lines = (goods, rest) if units > 1 else (goods,)
    basket = Basket(lines=lines, currency=currency, destination=place)
    quote = price(basket, rules, now)
    if quote.shipping_options:
        basket = Basket(
            lines=lines,
            currency=currency,
            destination=place,
            shipping_option=quote.shipping_options[0].id,
        )
        quote = price(basket, rules, now)
    used = {rate["id"] for rate in basis_of(basket, rules, quote, now)["taxRates"]}
    near = [
        rule
        for country in dict.fromkeys((place.country, ANYWHERE))
        for rule in rules.tax_rules_by_country.get(country, ())
    ]
    zone = zone_for(rules.zones, place)
    offered = {option.id: option for option in quote.shipping_options}
    return Trial(
        quote=quote,
        zones=[_judge_zone(each, zone, place) for each in rules.zones],
        methods=[_judge_method(each, quote, offered) for each in (zone.methods if zone else ())],
        rates=_judge_rates([rule for rule in near if _is_of(rule, place)], place, used, now),
        elsewhere=sum(not _is_of(rule, place) for rule in near),
    )


def _judge_zone(zone: Zone, chosen: Zone | None, place: Place) -> Verdict:
    if zone is chosen:
        why = _("the most specific zone that covers the address")
    elif place.country not in zone.countries and ANYWHERE not in zone.countries:
        why = _("does not list the country")
    elif zone.states and fold(place.state) not in {fold(state) for state in zone.states}:
        why = _("does not list the state")
    elif zone.postal_prefixes and not _begins(place.postal_code, zone.postal_prefixes):
        why = _("has no beginning of this postal code")
    else:
        why = _("covers it too, but another zone is more specific, or comes first")
    return Verdict(zone.id, zone.name, zone is chosen, why)


def _judge_method(method: ShippingMethod, quote: Quote, offered: Collection[str]) -> Verdict:
    worth = quote.totals.subtotal - quote.totals.discount_total + quote.totals.shipping_discount
    applies = method.currency == quote.currency and method.code in offered
    if method.currency != quote.currency:
        why = _("is priced in %(currency)s") % {"currency": method.currency}
    elif applies and method.free_over is not None and worth >= method.free_over:
        why = _("is offered, free for an order of this size")
    elif applies:
        why = _("is offered")
    elif method.minimum_order is not None and worth < method.minimum_order:
        why = _("is for larger orders")
    else:
        why = _("is for smaller orders")
    return Verdict(method.id, method.name, applies, why)


def _is_of(rule: TaxRule, place: Place) -> bool:
    """Return whether a rate of the country is for all of it, or for this state."""
    return not rule.state or fold(rule.state) == fold(place.state)


def _judge_rates(
    rules: Sequence[TaxRule], place: Place, used: set[str], now: datetime
) -> list[Verdict]:
    return sorted(
        (_judge_rate(rule, place, used, now) for rule in rules),
        key=lambda verdict: (not verdict.applies, verdict.name),
    )


def _judge_rate(rule: TaxRule, place: Place, used: set[str], now: datetime) -> Verdict:
    today = now.astimezone(UTC).date()
    applies = str(rule.id) in used
    if applies:
        why = _("the most specific rate of this tax for the address")
    elif rule.postal_prefix and not _begins(place.postal_code, (rule.postal_prefix,)):
        why = _("is for other postal codes")
    elif rule.valid_from and today < rule.valid_from:
        why = _("is not in force yet")
    elif rule.valid_to and today >= rule.valid_to:
        why = _("is no longer in force")
    else:
        why = _("is for another tax class, or a more specific rate takes its place")
    return Verdict(rule.id, rule.name, applies, why)


def _begins(postal_code: str, prefixes: Sequence[str]) -> bool:
    postal = postal_form(postal_code)
    return any(postal.startswith(prefix) for prefix in map(prefix_form, prefixes) if prefix)
