"""Exchange rates: entering one, by hand or from a provider, and taking back one that has not begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.outbox import publish
from inventory.models import Company
from pricing.errors import ExchangeRateNotFound
from pricing.events import ExchangeRateChanged
from pricing.models import ExchangeRate
from pricing.money import EXPONENTS
from pricing.selectors.exchange import rate_in_force
from pricing.services.revision import bump

_TEN_PLACES = Decimal("0.0000000001")
_HIGHEST = Decimal(10) ** 9
MANUAL = "manual"
_AT_ONCE = 500  # rates announced in one transaction


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
            begun_at=now if term.valid_from is None or term.valid_from <= now else None,
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
    begun = [row.quote for row in rows if row.begun_at is not None]
    _announce(actor, base, begun, now)
    if rows:
        bump(actor=actor, what="exchange_rates", now=now)
    return rows


def announce_rates(*, now: datetime) -> int:
    """
    Announce the rates that have begun or ended since it was last done, and return how many.

    They are in force without it: it tells open carts and those who wait for a price. Of several that became due of one
    currency, what holds now is told once. Rows are locked in id order; what somebody else announces is left to them.
    """
    announced = 0
    while True:
        number = _announce_some(now)
        announced += number
        if number < _AT_ONCE:
            return announced


@transaction.atomic
def _announce_some(now: datetime) -> int:
    begins = Q(begun_at__isnull=True, valid_from__lte=now)
    ends = Q(over_at__isnull=True, valid_until__lte=now)
    ids = ExchangeRate.objects.filter(begins | ends).order_by("pk").values_list("pk", flat=True)
    due = list(
        ExchangeRate.objects.filter(begins | ends, pk__in=list(ids[:_AT_ONCE]))
        .order_by("pk")
        .for_update(skip_locked=True)
    )
    moved: dict[tuple[UUID, str], set[str]] = {}
    for row in due:
        if row.begun_at is None:
            row.begun_at = now
            moved.setdefault((row.company_id, row.base), set()).add(row.quote)
        if row.valid_until is not None and row.valid_until <= now:
            row.over_at = now
            later = ExchangeRate.objects.filter(
                company_id=row.company_id,
                base=row.base,
                quote=row.quote,
                valid_from__gt=row.valid_from,
                valid_from__lte=now,
            )
            # One that another has taken the place of ends unnoticed.
            if not later.exists():
                moved.setdefault((row.company_id, row.base), set()).add(row.quote)
    ExchangeRate.objects.bulk_update(due, ["begun_at", "over_at"])
    for (company_id, base), quotes in sorted(moved.items()):
        actor = Actor.system(company_id, source="exchange rates")
        _announce(actor, base, sorted(quotes), now)
        bump(actor=actor, what="exchange_rates", now=now)
    return len(due)


def _announce(actor: Actor, base: str, quotes: Sequence[str], now: datetime) -> None:
    publish(
        *(
            ExchangeRateChanged(
                aggregate_id=actor.company_id,
                currency=quote,
                rate=_rate_now(actor.company_id, base, quote, now),
            )
            for quote in quotes
        ),
        actor=actor,
        now=now,
    )


def _rate_now(company_id: UUID, base: str, quote: str, now: datetime) -> str | None:
    found = rate_in_force(company_id=company_id, base=base, quote=quote, now=now)
    return None if found is None else f"{found.rate.normalize():f}"


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
