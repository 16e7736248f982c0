"""Exchange rates: which is in force, what an amount comes to, and which one a priced basket was made with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from config.platform.actor import Actor
from pricing.errors import CurrencyUnknown, ExchangeRateMissing
from pricing.models import ExchangeRate, Price, SpecialPrice
from pricing.money import EXPONENTS, convert
from pricing.selectors.catalogue import home_currency
from pricing.selectors.inforce import in_force, public


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


def rate_in_force(*, company_id: UUID, base: str, quote: str, now: datetime) -> ExchangeRate | None:
    """Return the latest rate that has begun, unless it is too old: an older one does not take its place."""
    latest = (
        ExchangeRate.objects.filter(
            company_id=company_id, base=base, quote=quote, valid_from__lte=now
        )
        .order_by("-valid_from")
        .first()
    )
    if latest is None or (latest.valid_until is not None and latest.valid_until <= now):
        return None
    return latest


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


def rate_used(
    *, company_id: UUID, currency: str, variant_ids: Collection[UUID], now: datetime
) -> dict[str, Any] | None:
    """
    Return the exchange rate that some of these variants are priced by, as plain JSON; None if all have their own price.

    Nothing is asked in the company's own currency, else three statements at most.
    """
    home = home_currency(company_id=company_id)
    if currency == home:
        return None
    own = set(
        Price.objects.filter(variant__in=variant_ids, currency=currency).values_list(
            "variant_id", flat=True
        )
    ) | set(
        SpecialPrice.objects.filter(
            public(), in_force(now), variant__in=variant_ids, currency=currency
        ).values_list("variant_id", flat=True)
    )
    if own >= set(variant_ids):
        return None
    found = rate_in_force(company_id=company_id, base=home, quote=currency, now=now)
    if found is None:
        return None
    return {
        "id": str(found.id),
        "base": found.base,
        "quote": found.quote,
        "rate": f"{found.rate.normalize():f}",
        "validFrom": found.valid_from.isoformat(),
        "source": found.source,
    }
