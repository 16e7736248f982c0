"""
Exchange rates from a provider: fetched, checked against the last good ones, and entered.

Off until an address and currencies are set. The document is the daily one of the European Central Bank, or any in its
form: what one euro is worth in each currency, and of which day. Between two other currencies the cross rate counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import structlog
from django.conf import settings

from config.platform import outside
from config.platform.actor import Actor
from config.platform.breaker import Breaker
from config.platform.errors import ValidationFailed
from inventory.models import Company
from pricing.models import ExchangeRate
from pricing.services.exchange import MANUAL, RateTerms, set_exchange_rates

logger = structlog.get_logger(__name__)

BOUNDS = outside.Bounds(connect=3, read=5, total=15, size=1_000_000)
PAUSE = 0.3
MOST_CHANGE = Decimal(
    "0.2"
)  # a rate that moved by more than a fifth is a mistake until staff say otherwise
_KINDS = ("text/xml", "application/xml", "application/rss+xml")
_HOME = "EUR"
_provider = Breaker("exchange rates", rest=300.0)

# Attributes are all that counts in the document. Read as text, not as XML: there is nothing in it to expand or to load.
_DAY = re.compile(r"""<Cube\s+time=["'](\d{4}-\d\d-\d\d)["']""")
_RATE = re.compile(
    r"""<Cube\s+currency=["']([A-Z]{3})["']\s+rate=["']([0-9]{1,12}(?:\.[0-9]{1,12})?)["']"""
)


@dataclass(frozen=True, slots=True)
class DayRates:
    """What one euro was worth on a day, by currency; the euro itself among them."""

    day: date
    rates: Mapping[str, Decimal]


def fetch_exchange_rates(*, now: datetime) -> int:
    """
    Enter the provider's rates for every company and return how many were new; outside of any transaction.

    The same document twice enters nothing. A rate lasts EXCHANGE_RATES_MAX_AGE from its day on, so when the provider
    falls silent the last good one is used until then, and then none. What staff entered by hand and did not limit is
    left alone. Of a document that is stale, unreadable or incredible nothing of the kind is entered.

    :raises outside.Unreachable, outside.Refused: if there is no document, or none that can be read
    """
    if not settings.EXCHANGE_RATES_URL or _provider.is_open:
        return 0
    try:
        document = outside.fetch(
            settings.EXCHANGE_RATES_URL,
            media_types=_KINDS,
            private_hosts=settings.FEED_PRIVATE_HOSTS,
            bounds=BOUNDS,
            pause=PAUSE,
        )
    except outside.Unreachable as failure:
        _provider.trip(failure)
        raise
    found = read_rates((document.body or b"").decode("utf-8", "replace"))
    begun = datetime.combine(found.day, time.min, UTC)
    expires = begun + settings.EXCHANGE_RATES_MAX_AGE
    if not begun <= now + timedelta(days=1) or expires <= now:
        raise outside.Refused(f"the rates are of {found.day}")
    return sum(_enter(company, found, expires, now) for company in Company.objects.order_by("id"))


def read_rates(text: str) -> DayRates:
    """:raises outside.Refused: if there is no day in it, or no rate above nothing"""
    day, rates = _DAY.search(text), {_HOME: Decimal(1)}
    for currency, number in _RATE.findall(text):
        if (rate := Decimal(number)) > 0:
            rates[currency] = rate
    if day is None or len(rates) == 1:
        raise outside.Refused("there are no exchange rates in it")
    try:
        return DayRates(date.fromisoformat(day[1]), rates)
    except ValueError:
        raise outside.Refused("it is of no day") from None


def _enter(company: Company, found: DayRates, expires: datetime, now: datetime) -> int:
    source = f"provider {found.day}"
    base = found.rates.get(company.currency)
    if base is None:
        return 0
    latest: dict[str, ExchangeRate] = {}
    for row in ExchangeRate.objects.filter(
        company=company, base=company.currency, valid_from__lte=now
    ).order_by("valid_from"):
        latest[row.quote] = row
    terms = []
    for quote in settings.EXCHANGE_RATES_CURRENCIES:
        rate = found.rates.get(quote)
        last = latest.get(quote)
        if rate is None or quote == company.currency:
            continue
        if last is not None and (
            last.source == source or (last.source == MANUAL and last.valid_until is None)
        ):
            continue
        cross = rate / base
        if last is not None and abs(cross - last.rate) > last.rate * MOST_CHANGE:
            logger.error(
                "an exchange rate moved too far to be believed",
                company=str(company.id), quote=quote, last=str(last.rate), new=str(cross),
            )  # fmt: skip
            continue
        terms.append(RateTerms(quote=quote, rate=cross, valid_until=expires, source=source))
    try:
        return len(
            set_exchange_rates(
                actor=Actor.system(company.id, source="exchange rates"), terms=terms, now=now
            )
        )
    except ValidationFailed:
        logger.exception("exchange rates could not be entered", company=str(company.id))
        return 0
