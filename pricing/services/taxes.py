"""Tax rates, as staff enter, change and remove them."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from pricing.destinations import country_of_rule, state_of_rule
from pricing.errors import TaxRateNotFound
from pricing.models import TaxRate
from pricing.services.revision import bump
from pricing.terms import TaxRateTerms


@transaction.atomic
def create_tax_rate(*, actor: Actor, terms: TaxRateTerms, now: datetime) -> TaxRate:
    """
    Enter a tax rate.

    :raises ValidationFailed: if the terms contradict themselves, or the same tax has a rate there for a day of this
        period
    """
    rate = TaxRate(company_id=actor.company_id)
    return _save(actor, rate, terms, "tax_rate.created", {}, now)


@transaction.atomic
def change_tax_rate(
    *, actor: Actor, tax_rate_id: UUID, terms: TaxRateTerms, now: datetime
) -> TaxRate:
    """
    Put a tax rate on new terms; placed orders keep what they were charged.

    :raises TaxRateNotFound: if there is none
    :raises ValidationFailed: as `create_tax_rate`
    """
    rate = _find(actor, tax_rate_id)
    before = {field.name: getattr(rate, field.name) for field in dataclasses.fields(TaxRateTerms)}
    return _save(actor, rate, terms, "tax_rate.changed", before, now)


@transaction.atomic
def delete_tax_rate(*, actor: Actor, tax_rate_id: UUID, now: datetime) -> None:
    """
    Remove a tax rate; orders carry their own copy.

    :raises TaxRateNotFound: if there is none
    """
    rate = _find(actor, tax_rate_id)
    before = {field.name: getattr(rate, field.name) for field in dataclasses.fields(TaxRateTerms)}
    audit.record(
        actor=actor,
        action="tax_rate.deleted",
        object_type="tax_rate",
        object_id=rate.id,
        before=before,
        now=now,
    )
    rate.delete()
    bump(actor=actor, what="tax_rates", now=now)


def _find(actor: Actor, tax_rate_id: UUID) -> TaxRate:
    rate = (
        TaxRate.objects.select_for_update()
        .filter(company_id=actor.company_id, id=tax_rate_id)
        .first()
    )
    if rate is None:
        raise TaxRateNotFound()
    return rate


def placed(terms: TaxRateTerms) -> TaxRateTerms:
    """
    Return the terms with their place written as destinations are: "California" is CA, UK is GB.

    Otherwise the rate would meet no destination, and its tax would be left out. What is no place stays as it is.
    """
    country = country_of_rule(terms.country) or terms.country.strip()
    state = state_of_rule([country], terms.state)
    return dataclasses.replace(
        terms,
        country=country,
        state=terms.state.strip() if state is None else state,
        postal_pattern=terms.postal_pattern.strip(),
    )


def contradictions(terms: TaxRateTerms) -> list[FieldError]:
    """Return what no tax rate can be, by its field."""
    errors = []
    country = country_of_rule(terms.country)
    if not country:
        errors.append(
            FieldError("country", "invalid", "A country by two letters, or * for everywhere.")
        )
    elif state_of_rule([country], terms.state) is None:
        errors.append(FieldError("state", "invalid", "There is no such state."))
    if not 0 <= terms.rate <= 1:
        errors.append(FieldError("rate", "invalid", "A fraction from 0 to 1: 0.19 is 19 percent."))
    if terms.type not in TaxRate.Type.values:
        errors.append(FieldError("type", "invalid", "There is no such type."))
    if terms.valid_from and terms.valid_to and terms.valid_to <= terms.valid_from:
        errors.append(FieldError("validTo", "invalid", "It ends before it begins."))
    return errors


def _save(
    actor: Actor,
    rate: TaxRate,
    terms: TaxRateTerms,
    action: str,
    before: dict[str, object],
    now: datetime,
) -> TaxRate:
    errors = contradictions(terms)
    if errors:
        raise ValidationFailed(errors=errors)
    terms = placed(terms)
    for field in dataclasses.fields(terms):
        setattr(rate, field.name, getattr(terms, field.name))
    try:
        with transaction.atomic():
            rate.save()
    except IntegrityError:
        raise ValidationFailed(
            errors=[
                FieldError(
                    "name", "overlap", "This tax has a rate at this place for days of this period."
                )
            ]
        ) from None
    after = dataclasses.asdict(terms)
    audit.record(
        actor=actor,
        action=action,
        object_type="tax_rate",
        object_id=rate.id,
        before=before,
        after=after,
        now=now,
    )
    bump(actor=actor, what="tax_rates", now=now)
    return rate
