"""Where taxes are rounded is the company's decision; what is sold already keeps its cents."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import IntegrityError, transaction

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry
from inventory.models import Company
from pricing import engine, selectors, services
from pricing.models import PricingPolicy, Revision
from tests import factories
from tests.pricing.words import basket, line

pytestmark = pytest.mark.django_db


def quoted(actor: Actor, now: datetime) -> engine.Quote:
    lines = [line("84.03") for _ in range(5)]
    return services.quote(
        actor=actor, basket=basket(*lines, destination=engine.Place("DE")), now=now
    )


@pytest.mark.parametrize(
    ("rounding", "total"), [("line", "500.00"), ("order", "499.98"), ("keep_gross", "500.00")]
)
def test_quotes_follow_the_decision_at_once(
    company: Company, actor_user: Actor, now: datetime, rounding: str, total: str
) -> None:
    factories.make_tax_rate("0.19")
    before = quoted(actor_user, now)

    services.set_tax_rounding(actor=actor_user, rounding=rounding, now=now)

    after = quoted(actor_user, now)
    assert str(before.totals.grand_total) == "500.00"
    assert str(after.totals.grand_total) == total
    assert after.tax_rounding == rounding
    # a stored quote says how it was made, whatever is decided later
    stored = after.to_json()
    services.set_tax_rounding(actor=actor_user, rounding="line", now=now)
    assert engine.Quote.from_json(stored) == after


def test_a_decision_is_audited_once_and_raises_the_revision(
    company: Company, actor_user: Actor, now: datetime
) -> None:
    services.set_tax_rounding(actor=actor_user, rounding="order", now=now)
    raised = selectors.revision(company_id=company.id)
    services.set_tax_rounding(actor=actor_user, rounding="order", now=now)

    entry = AuditEntry.objects.get(action="pricing_policy.changed")
    assert (entry.before, entry.after) == ({"tax_rounding": "line"}, {"tax_rounding": "order"})
    assert selectors.revision(company_id=company.id) == raised > 0


def test_another_way_to_round_is_refused_and_nothing_is_written(
    company: Company, actor_user: Actor, now: datetime
) -> None:
    with pytest.raises(ValidationFailed):
        services.set_tax_rounding(actor=actor_user, rounding="down", now=now)

    assert not PricingPolicy.objects.exists()
    assert not Revision.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        PricingPolicy.objects.create(company=company, tax_rounding="down")
