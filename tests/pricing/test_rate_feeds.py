"""Exchange rates of a provider that hangs, breaks and lies: the last good ones stay, and only for a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from config.platform import outside
from config.platform.actor import Actor
from config.platform.models import JobRun
from inventory.models import Company
from pricing import selectors, services, tasks
from pricing.models import ExchangeRate
from pricing.services import ratefeeds
from tests import factories
from tests.inventory.supplier import Answer, Supplier, drip, hang, reply, running, slam

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def provider(settings: Any, monkeypatch: Any) -> Iterator[Supplier]:
    with running() as found:
        settings.EXCHANGE_RATES_URL = found.url
        settings.EXCHANGE_RATES_CURRENCIES = ["EUR", "GBP", "JPY", "USD"]
        settings.FEED_PRIVATE_HOSTS = ["127.0.0.1"]
        monkeypatch.setattr(
            ratefeeds, "BOUNDS", outside.Bounds(connect=9, read=9, total=20, size=20_000)
        )
        monkeypatch.setattr(ratefeeds, "PAUSE", 0.001)
        yield found


def document(day: str = "2026-11-20", **rates: str) -> Answer:
    """Return an answer in the form of https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml."""
    lines = "".join(f"<Cube currency='{code}' rate='{rate}'/>\n" for code, rate in rates.items())
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>\n<gesmes:Envelope xmlns:gesmes='http://www.gesmes.org/xml/2002-08-01' "
        "xmlns='http://www.ecb.int/vocabulary/2002-08-01/eurofxref'>\n<gesmes:subject>Reference rates</gesmes:subject>\n"
        f"<Cube>\n<Cube time='{day}'>\n{lines}</Cube>\n</Cube>\n</gesmes:Envelope>"
    )
    return reply(body.encode(), kind="text/xml")


def in_force(company: Company, now: datetime) -> dict[str, Decimal]:
    found = {}
    for quote in ("EUR", "GBP", "JPY"):
        rate = selectors.rate_in_force(company_id=company.id, base="USD", quote=quote, now=now)
        if rate is not None:
            found[quote] = rate.rate
    return found


def test_rates_are_crossed_over_the_euro_into_the_shops_own_currency(
    company: Company, provider: Supplier
) -> None:
    provider.answer = document(USD="1.25", GBP="0.85", JPY="160", CHF="0.95")

    assert services.fetch_exchange_rates(now=NOW) == 3
    assert in_force(company, NOW) == {
        "EUR": Decimal("0.8"), "GBP": Decimal("0.68"), "JPY": Decimal(128),
    }  # fmt: skip
    assert {row.source for row in ExchangeRate.objects.all()} == {"provider 2026-11-20"}


def test_a_shop_in_euros_takes_them_as_they_are_and_one_in_an_unknown_currency_takes_none(
    company: Company, provider: Supplier
) -> None:
    euros = factories.make_company(currency="EUR")
    factories.make_company(currency="KWD")
    provider.answer = document(USD="1.25", GBP="0.85")

    services.fetch_exchange_rates(now=NOW)

    found = ExchangeRate.objects.filter(company=euros).order_by("quote")
    assert [(row.quote, row.rate) for row in found] == [
        ("GBP", Decimal("0.85")), ("USD", Decimal("1.25")),
    ]  # fmt: skip
    assert ExchangeRate.objects.filter(base="KWD").count() == 0


def test_the_same_document_twice_enters_nothing_and_the_next_day_takes_its_place(
    company: Company, provider: Supplier
) -> None:
    provider.script = [
        document(USD="1.25"), document(USD="1.25"), document("2026-11-21", USD="1.28"),
    ]  # fmt: skip

    entered = [
        services.fetch_exchange_rates(now=at) for at in (NOW, NOW + timedelta(hours=1), NOW + DAY)
    ]

    assert entered == [1, 0, 1]
    assert in_force(company, NOW + DAY) == {"EUR": Decimal("0.78125")}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, outside.Unreachable),
        (drip, outside.Unreachable),
        (slam, outside.Unreachable),
        (reply(b"down", status="500 Internal Server Error"), outside.Unreachable),
        (reply(b"gone", status="404 Not Found"), outside.Refused),
        (reply(b"<html>Sign in</html>", kind="text/html"), outside.Refused),
        (reply(b"", kind="text/xml"), outside.Refused),
        (reply(b"\xff\x00<Cube", kind="text/xml"), outside.Refused),
        (reply(b"<Cube time='2026-11-20'>" + b"x" * 30_000, kind="text/xml"), outside.Refused),
        (document(USD="0"), outside.Refused),
        (document(USD="-1.25"), outside.Refused),
        (document(USD="NaN"), outside.Refused),
        (document("2026-11-31", USD="1.25"), outside.Refused),
        (document("2026-11-10", USD="1.25"), outside.Refused),  # stale
        (document("2027-11-20", USD="1.25"), outside.Refused),  # of the future
    ],
)
def test_the_last_good_rate_stays_until_it_is_too_old(
    company: Company,
    provider: Supplier,
    monkeypatch: Any,
    answer: Answer,
    error: type[Exception],
) -> None:
    provider.answer = document(USD="1.25")
    services.fetch_exchange_rates(now=NOW)
    provider.answer = answer
    if answer in (hang, drip):
        short = outside.Bounds(connect=9, read=0.1, total=0.2, size=20_000)
        monkeypatch.setattr(ratefeeds, "BOUNDS", short)

    with pytest.raises(error):
        services.fetch_exchange_rates(now=NOW + timedelta(hours=1))

    expires = datetime(2026, 11, 25, tzinfo=UTC)
    assert in_force(company, expires - timedelta(seconds=1)) == {"EUR": Decimal("0.8")}
    assert in_force(company, expires) == {}
    assert ExchangeRate.objects.count() == 1


def test_a_provider_that_is_down_is_left_alone_for_a_while(
    company: Company, provider: Supplier
) -> None:
    provider.answer = slam
    with pytest.raises(outside.Unreachable):
        services.fetch_exchange_rates(now=NOW)
    provider.answer = document(USD="1.25")

    assert services.fetch_exchange_rates(now=NOW) == 0
    ratefeeds._provider.reset()
    assert services.fetch_exchange_rates(now=NOW) == 1


def test_a_rate_that_moved_too_far_is_not_believed_and_the_others_are_taken(
    company: Company, provider: Supplier
) -> None:
    provider.script = [
        document(USD="1.25", GBP="0.85"), document("2026-11-21", USD="1.25", GBP="8.5"),
    ]  # fmt: skip

    services.fetch_exchange_rates(now=NOW)
    entered = services.fetch_exchange_rates(now=NOW + DAY)

    assert entered == 1
    assert in_force(company, NOW + DAY) == {"EUR": Decimal("0.8"), "GBP": Decimal("0.68")}


def test_what_staff_entered_for_good_is_left_alone(
    company: Company, provider: Supplier, system: Actor
) -> None:
    services.set_exchange_rate(
        actor=system,
        terms=services.RateTerms(quote="EUR", rate=Decimal("0.9")),
        now=NOW - DAY,
    )
    provider.answer = document(USD="1.25", GBP="0.85")

    services.fetch_exchange_rates(now=NOW)

    assert in_force(company, NOW) == {"EUR": Decimal("0.9"), "GBP": Decimal("0.68")}


def test_it_is_off_until_an_address_is_set(company: Company, settings: Any) -> None:
    settings.EXCHANGE_RATES_URL = ""

    tasks.fetch_exchange_rates()

    assert JobRun.objects.get(name="pricing.fetch_exchange_rates").state == "done"
    assert not ExchangeRate.objects.exists()


def test_inner_addresses_are_not_asked(company: Company, provider: Supplier, settings: Any) -> None:
    settings.FEED_PRIVATE_HOSTS = []
    provider.answer = document(USD="1.25")

    with pytest.raises(outside.Refused):
        services.fetch_exchange_rates(now=NOW)

    assert not ExchangeRate.objects.exists()
