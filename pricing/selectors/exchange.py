"""Exchange rates: which is in force, and what an amount comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Now

from config.platform.actor import Actor
from pricing.engine import Rate
from pricing.errors import CurrencyUnknown, ExchangeRateMissing
from pricing.models import ExchangeRate
from pricing.money import EXPONENTS, convert
from pricing.selectors.catalogue import home_currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """An amount in another currency, with the rate it was converted at: one unit of `base` is `rate` of `quote`."""

    amount: Decimal
    currency: str
    converted: Decimal
    into: str
    rate: Decimal
    base: str
    quote: str
    valid_from: datetime | None


def exchange_rates(*, actor: Actor) -> QuerySet[ExchangeRate]:
    """Return every exchange rate of the company, past ones and coming ones too."""
    return ExchangeRate.objects.filter(company_id=actor.company_id)


def rate_in_force(
    *, company_id: UUID, base: str, quote: str, now: datetime | None = None
) -> ExchangeRate | None:
    """
    Return the latest rate that has begun, unless it is too old: an older one does not take its place.

    `now` is the database's clock where it is not given.
    """
    moment = Now() if now is None else now
    return (
        ExchangeRate.objects.filter(
            Q(valid_until__isnull=True) | Q(valid_until__gt=moment),
            id=Subquery(
                ExchangeRate.objects.filter(
                    company_id=company_id, base=base, quote=quote, valid_from__lte=moment
                )
                .order_by("-valid_from")
                .values("id")[:1]
            ),
        )
        .order_by()
        .first()
    )


def rate_until(
    *, company_id: UUID, base: str, quote: str, now: datetime
) -> tuple[Rate | None, datetime | None]:
    """Return the rate in force for the engine, and until when that answer holds: one statement."""
    rates = ExchangeRate.objects.filter(company_id=company_id, base=base, quote=quote)
    begun = rates.filter(valid_from__lte=now).order_by("-valid_from")[:1]
    coming = rates.filter(valid_from__gt=now).order_by("valid_from")[:1]
    latest, until = None, None
    for row in begun.union(coming, all=True):
        if row.valid_from > now:
            until = row.valid_from
        elif row.valid_until is None or row.valid_until > now:
            latest = row
    if latest is None:
        return None, until
    moments = [moment for moment in (latest.valid_until, until) if moment is not None]
    return engine_rate(latest), min(moments, default=None)


def engine_rate(row: ExchangeRate) -> Rate:
    return Rate(
        id=row.id,
        base=row.base,
        quote=row.quote,
        rate=row.rate,
        valid_from=row.valid_from,
        source=row.source,
    )


def convert_amount(
    *, actor: Actor, amount: Decimal, currency: str, into: str, now: datetime
) -> Conversion:
    """
    Return an amount in another currency, at the company's rate in force, rounded half-up once: one statement.

    One of the two is the company's own currency; back into it, the same rate is divided by.

    :raises CurrencyUnknown: if we know no such currency
    :raises ExchangeRateMissing: if there is no rate, or the last one is too old
    """
    if currency not in EXPONENTS or into not in EXPONENTS:
        raise CurrencyUnknown()
    home = home_currency(company_id=actor.company_id)
    if currency == into:
        return Conversion(
            amount=amount, currency=currency, converted=convert(amount, Decimal(1), into), into=into,
            rate=Decimal(1), base=currency, quote=into, valid_from=None,
        )  # fmt: skip
    missing = ExchangeRateMissing(extra={"from": currency, "to": into})
    if home not in {currency, into}:
        raise missing
    other = into if currency == home else currency
    found = rate_in_force(company_id=actor.company_id, base=home, quote=other, now=now)
    if found is None:
        raise missing
    factor = found.rate if currency == home else 1 / found.rate
    return Conversion(
        amount=amount,
        currency=currency,
        converted=convert(amount, factor, into),
        into=into,
        rate=found.rate,
        base=home,
        quote=other,
        valid_from=found.valid_from,
    )
