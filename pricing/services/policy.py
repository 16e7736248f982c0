"""What a company decides about its totals as a whole."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import available_timezones

from django.db import transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from pricing.models import PricingPolicy
from pricing.services.revision import bump


@transaction.atomic
def set_tax_rounding(*, actor: Actor, rounding: str, now: datetime) -> PricingPolicy:
    """
    Decide where taxes are rounded from now on; placed orders keep what they were charged.

    Locks the company's policy. Setting what is set already writes nothing.

    :raises ValidationFailed: if there is no such way to round
    """
    if rounding not in PricingPolicy.TaxRounding.values:
        raise ValidationFailed(
            errors=[FieldError("taxRounding", "invalid", "There is no such way to round.")]
        )
    return _decide(actor, "tax_rounding", rounding, now)


@transaction.atomic
def set_time_zone(*, actor: Actor, time_zone: str, now: datetime) -> PricingPolicy:
    """
    Decide by which clock promotions with certain days or hours go from now on; `time_zone` is a name of the IANA.

    Locks the company's policy. Setting what is set already writes nothing.

    :raises ValidationFailed: if there is no such time zone
    """
    if time_zone not in available_timezones():
        raise ValidationFailed(
            errors=[FieldError("timeZone", "invalid", "There is no such time zone.")]
        )
    return _decide(actor, "time_zone", time_zone, now)


def _decide(actor: Actor, name: str, value: str, now: datetime) -> PricingPolicy:
    PricingPolicy.objects.get_or_create(company_id=actor.company_id)
    policy = PricingPolicy.objects.select_for_update().get(company_id=actor.company_id)
    before = getattr(policy, name)
    if value == before:
        return policy
    setattr(policy, name, value)
    policy.save(update_fields=[name])
    audit.record(
        actor=actor,
        action="pricing_policy.changed",
        object_type="pricing_policy",
        object_id=policy.pk,
        before={name: before},
        after={name: value},
        now=now,
    )
    bump(actor=actor, what="policy", now=now)
    return policy
