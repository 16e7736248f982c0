"""What promotions are called in words: with the names, the currency and the clock of their company."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from config.platform.actor import Actor
from inventory.models import Company
from pricing.models import Promotion
from pricing.selectors.promotions import promotion_terms
from pricing.selectors.rules import policy_of
from pricing.wording import Setting, promotion_words


def words_of(*, actor: Actor, promotions: Iterable[Promotion]) -> dict[UUID, str]:
    """Return each of these rows of `promotions` in words, by its id: one statement for all."""
    rows = list(promotions)
    if not rows:
        return {}
    company = Company.objects.select_related("pricing_policy").get(id=actor.company_id)
    setting = Setting(
        names={named.id: named.name for row in rows for named in _named(row)},
        currency=company.currency,
        time_zone=policy_of(company).time_zone,
    )
    return {row.id: promotion_words(promotion_terms(row), setting) for row in rows}


def _named(row: Promotion) -> Iterable[Any]:
    for targets in (
        row.products,
        row.categories,
        row.excluded_products,
        row.excluded_categories,
        row.groups,
    ):
        yield from targets.all()
