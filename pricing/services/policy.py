"""What a company decides about its totals as a whole."""

from __future__ import annotations

from datetime import datetime

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
    PricingPolicy.objects.get_or_create(company_id=actor.company_id)
    policy = PricingPolicy.objects.select_for_update().get(company_id=actor.company_id)
    before = policy.tax_rounding
    if rounding == before:
        return policy
    policy.tax_rounding = rounding
    policy.save(update_fields=["tax_rounding"])
    audit.record(
        actor=actor,
        action="pricing_policy.changed",
        object_type="pricing_policy",
        object_id=policy.pk,
        before={"tax_rounding": before},
        after={"tax_rounding": rounding},
        now=now,
    )
    bump(actor=actor, what="policy", now=now)
    return policy
