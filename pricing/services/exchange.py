"""Exchange rates: entering one, by hand or from a provider, and taking back one that has not begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.models import Company
from pricing.errors import ExchangeRateNotFound
from pricing.models import ExchangeRate
from pricing.money import EXPONENTS
from pricing.services.revision import bump

_TEN_PLACES = Decimal("0.0000000001")
_HIGHEST = Decimal(10) ** 9
MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTerms:
    """
    What one unit of the company's own currency is worth in `quote`.

    Without `valid_from` it begins at once; after `valid_until` there is none, until another begins.
    """

    quote: str
    rate: Decimal
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    source: str = MANUAL


def set_exchange_rate(*, actor: Actor, terms: RateTerms, now: datetime) -> ExchangeRate:
    """
    Enter a rate, audited; it takes the place of the one in force when it begins. Placed orders keep theirs.

    :raises ValidationFailed: as `set_exchange_rates`
    """
    [made] = set_exchange_rates(actor=actor, terms=[terms], now=now)
    return made


@transaction.atomic
def set_exchange_rates(
    *, actor: Actor, terms: Sequence[RateTerms], now: datetime
) -> list[ExchangeRate]:
    """
    Enter rates, all or none.

    :raises ValidationFailed: if a currency is none or the company's own, a rate is none, begins in the past, ends
        before it begins, or begins with another one
    """
    base = Company.objects.values_list("currency", flat=True).get(id=actor.company_id)
    errors = [error for term in terms for error in _refusals(term, base, now)]
    if errors:
        raise ValidationFailed(errors=errors)
    rows = [
        ExchangeRate(
            company_id=actor.company_id,
            base=base,
            quote=term.quote,
            rate=term.rate.quantize(_TEN_PLACES, rounding=ROUND_HALF_UP),
            places=EXPONENTS[term.quote],
            valid_from=term.valid_from or now,
            valid_until=term.valid_until,
            source=term.source[:40],
            created_by=actor.label[:80],
            created_at=now,
        )
        for term in terms
    ]
    try:
        with transaction.atomic():
            ExchangeRate.objects.bulk_create(rows)
    except IntegrityError as error:
        if "exchange_rate_begins_once" not in str(error):
            raise
        raise ValidationFailed(
            errors=[FieldError("validFrom", "overlaps", "Another rate begins at that moment.")]
        ) from None
    for row in rows:
        audit.record(
            actor=actor,
            action="exchange_rate.set",
            object_type="exchange_rate",
            object_id=row.id,
            after=_facts(row),
            now=now,
        )
    if rows:
        bump(actor=actor, what="exchange_rates", now=now)
    return rows


@transaction.atomic
def withdraw_exchange_rate(*, actor: Actor, rate_id: UUID, now: datetime) -> None:
    """
    Take back a rate that has not begun; what has begun is history.

    :raises ExchangeRateNotFound: if there is none
    :raises ValidationFailed: if it has begun
    """
    row = (
        ExchangeRate.objects.select_for_update()
        .filter(id=rate_id, company_id=actor.company_id)
        .first()
    )
    if row is None:
        raise ExchangeRateNotFound
    if row.valid_from <= now:
        raise ValidationFailed(
            errors=[FieldError("validFrom", "begun", "It has begun: enter another one.")]
        )
    audit.record(
        actor=actor,
        action="exchange_rate.withdrawn",
        object_type="exchange_rate",
        object_id=row.id,
        before=_facts(row),
        now=now,
    )
    row.delete()
    bump(actor=actor, what="exchange_rates", now=now)


def _refusals(terms: RateTerms, base: str, now: datetime) -> list[FieldError]:
    errors = []
    if terms.quote not in EXPONENTS:
        errors.append(FieldError("quote", "invalid", "There is no such currency."))
    elif terms.quote == base:
        errors.append(FieldError("quote", "invalid", "This is the shop's own currency."))
    rate = terms.rate
    if not (rate.is_finite() and 0 < rate < _HIGHEST) or not rate.quantize(
        _TEN_PLACES, rounding=ROUND_HALF_UP
    ):
        errors.append(FieldError("rate", "invalid", "This is not an exchange rate."))
    begins = terms.valid_from or now
    if begins < now:
        # What was charged in the past was charged; a rate that says otherwise would falsify the history.
        errors.append(FieldError("validFrom", "past", "It cannot begin in the past."))
    if terms.valid_until is not None and terms.valid_until <= begins:
        errors.append(FieldError("validUntil", "invalid", "It ends before it begins."))
    return errors


def _facts(row: ExchangeRate) -> dict[str, object]:
    return {
        "base": row.base,
        "quote": row.quote,
        "rate": f"{row.rate.normalize():f}",
        "validFrom": row.valid_from.isoformat(),
        "validUntil": row.valid_until.isoformat() if row.valid_until else None,
        "source": row.source,
    }
