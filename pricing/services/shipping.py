"""Shipping zones and the ways to ship to them, as staff enter, change and remove them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, models, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from pricing.destinations import country_of_rule, state_of_rule
from pricing.errors import ShippingRuleNotFound, ShippingZoneNotFound
from pricing.models import ShippingRule, ShippingZone
from pricing.money import EXPONENTS
from pricing.services.amounts import finer_than
from pricing.services.revision import bump
from pricing.terms import ShippingRuleTerms, ZoneTerms

_OPTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@transaction.atomic
def create_zone(*, actor: Actor, terms: ZoneTerms, now: datetime) -> ShippingZone:
    """
    Enter a zone.

    :raises ValidationFailed: if a country is not one, or the name is taken
    """
    zone = ShippingZone(company_id=actor.company_id)
    _save(zone, _checked_zone(terms), "name", "There is a zone of this name already.")
    _tell(
        actor, "shipping_zone.created", "shipping_zone", zone.id, {}, dataclasses.asdict(terms), now
    )
    return zone


@transaction.atomic
def change_zone(*, actor: Actor, zone_id: UUID, terms: ZoneTerms, now: datetime) -> ShippingZone:
    """
    Put a zone on new terms.

    :raises ShippingZoneNotFound: if there is none
    :raises ValidationFailed: as `create_zone`
    """
    zone = _zone(actor, zone_id)
    before = _terms(zone, ZoneTerms)
    _save(zone, _checked_zone(terms), "name", "There is a zone of this name already.")
    _tell(
        actor,
        "shipping_zone.changed",
        "shipping_zone",
        zone.id,
        before,
        dataclasses.asdict(terms),
        now,
    )
    return zone


@transaction.atomic
def delete_zone(*, actor: Actor, zone_id: UUID, now: datetime) -> None:
    """
    Remove a zone with the ways to ship there.

    :raises ShippingZoneNotFound: if there is none
    """
    zone = _zone(actor, zone_id)
    _tell(
        actor, "shipping_zone.deleted", "shipping_zone", zone.id, _terms(zone, ZoneTerms), {}, now
    )
    zone.delete()


@transaction.atomic
def create_shipping_rule(*, actor: Actor, terms: ShippingRuleTerms, now: datetime) -> ShippingRule:
    """
    Enter a way to ship to a zone.

    :raises ShippingZoneNotFound: if there is no such zone
    :raises ValidationFailed: if the terms contradict themselves, or the code is taken in this zone and currency
    """
    _zone(actor, terms.zone_id)
    rule = ShippingRule()
    _save(rule, _checked_rule(terms), "code", "This code is taken in this zone and currency.")
    _tell(
        actor, "shipping_rule.created", "shipping_rule", rule.id, {}, dataclasses.asdict(terms), now
    )
    return rule


@transaction.atomic
def change_shipping_rule(
    *, actor: Actor, shipping_rule_id: UUID, terms: ShippingRuleTerms, now: datetime
) -> ShippingRule:
    """
    Put a way to ship on new terms; placed orders keep what they were charged.

    :raises ShippingRuleNotFound: if there is none
    :raises ShippingZoneNotFound: if the new zone does not exist
    :raises ValidationFailed: as `create_shipping_rule`
    """
    rule = _rule(actor, shipping_rule_id)
    _zone(actor, terms.zone_id)
    before = _terms(rule, ShippingRuleTerms)
    _save(rule, _checked_rule(terms), "code", "This code is taken in this zone and currency.")
    _tell(
        actor,
        "shipping_rule.changed",
        "shipping_rule",
        rule.id,
        before,
        dataclasses.asdict(terms),
        now,
    )
    return rule


@transaction.atomic
def delete_shipping_rule(*, actor: Actor, shipping_rule_id: UUID, now: datetime) -> None:
    """
    Remove a way to ship.

    :raises ShippingRuleNotFound: if there is none
    """
    rule = _rule(actor, shipping_rule_id)
    _tell(
        actor,
        "shipping_rule.deleted",
        "shipping_rule",
        rule.id,
        _terms(rule, ShippingRuleTerms),
        {},
        now,
    )
    rule.delete()


def _zone(actor: Actor, zone_id: UUID) -> ShippingZone:
    zone = (
        ShippingZone.objects.select_for_update()
        .filter(company_id=actor.company_id, id=zone_id)
        .first()
    )
    if zone is None:
        raise ShippingZoneNotFound()
    return zone


def _rule(actor: Actor, shipping_rule_id: UUID) -> ShippingRule:
    rows = ShippingRule.objects.select_for_update(of=("self",))
    rule = rows.filter(zone__company_id=actor.company_id, id=shipping_rule_id).first()
    if rule is None:
        raise ShippingRuleNotFound()
    return rule


def placed_zone(terms: ZoneTerms) -> ZoneTerms:
    """
    Return the terms with their places written as destinations are: "California" is CA, UK is GB.

    Otherwise the zone would never be found. What is no place stays as it is.
    """
    countries = [country_of_rule(country) or country.strip() for country in terms.countries]
    states = [(state_of_rule(countries, state), state.strip()) for state in terms.states]
    return dataclasses.replace(
        terms,
        countries=tuple(dict.fromkeys(countries)),
        states=tuple(dict.fromkeys(said if known is None else known for known, said in states)),
    )


def zone_contradictions(terms: ZoneTerms) -> list[FieldError]:
    """Return what no zone can be, by its field."""
    countries = [country_of_rule(country) for country in terms.countries]
    if not countries or not all(countries):
        said = "Countries by codes of two letters, or * for everywhere else."
        return [FieldError("countries", "invalid", said)]
    if any(state_of_rule(countries, state) is None for state in terms.states):
        return [FieldError("states", "invalid", "There is no such state.")]
    return []


def rule_contradictions(terms: ShippingRuleTerms) -> list[FieldError]:
    """Return what no way to ship can be, by its field."""
    errors = []
    if not _OPTION.fullmatch(terms.code):
        errors.append(FieldError("code", "invalid", "Lower-case letters, digits and hyphens."))
    if terms.currency not in EXPONENTS:
        errors.append(FieldError("currency", "invalid", "We do not sell in this currency."))
    if terms.type not in ShippingRule.Type.values:
        errors.append(FieldError("type", "invalid", "There is no such type."))
    amounts = {
        "basePrice": terms.base_price,
        "perUnit": terms.per_unit,
        "perKilogram": terms.per_kilogram,
        "freeOver": terms.free_over,
        "minimumOrder": terms.minimum_order,
        "maximumOrder": terms.maximum_order,
    }
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            errors.append(FieldError(name, "min_value", "It is not negative."))
    errors += finer_than(terms.currency, amounts)
    if (
        terms.minimum_order is not None
        and terms.maximum_order is not None
        and terms.maximum_order <= terms.minimum_order
    ):
        errors.append(FieldError("maximumOrder", "invalid", "More than the orders it begins with."))
    if terms.max_days < terms.min_days:
        errors.append(FieldError("maxDays", "invalid", "Not fewer than at least."))
    return errors


def _checked_zone(terms: ZoneTerms) -> ZoneTerms:
    if errors := zone_contradictions(terms):
        raise ValidationFailed(errors=errors)
    return placed_zone(terms)


def _checked_rule(terms: ShippingRuleTerms) -> ShippingRuleTerms:
    if errors := rule_contradictions(terms):
        raise ValidationFailed(errors=errors)
    return terms


def _save(
    row: models.Model, terms: ZoneTerms | ShippingRuleTerms, unique: str, message: str
) -> None:
    for field in dataclasses.fields(terms):
        value = getattr(terms, field.name)
        setattr(row, field.name, list(value) if isinstance(value, tuple) else value)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise ValidationFailed(errors=[FieldError(unique, "unique", message)]) from None


def _terms(row: models.Model, terms: type[ZoneTerms | ShippingRuleTerms]) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(terms)}


def _tell(
    actor: Actor,
    action: str,
    object_type: str,
    object_id: UUID,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type=object_type,
        object_id=object_id,
        before=before,
        after=after,
        now=now,
    )
    bump(actor=actor, what="shipping", now=now)
