"""A rate that begins, changes or ends: who is told of it, and that each is told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cart.models import Wish
from config.platform.actor import Actor
from config.platform.models import OutboxEvent
from inventory.models import Company, Variant
from inventory.selectors import VariantRef
from pricing import selectors, services
from pricing.models import ExchangeRate, PriceAlert, Revision
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
CHANGED = "pricing.exchange_rate.changed"


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def enter(actor: Actor, now: datetime, of: str, quote: str = "EUR", **fields: Any) -> ExchangeRate:
    terms = services.RateTerms(quote=quote, rate=Decimal(of), **fields)
    return services.set_exchange_rate(actor=actor, terms=terms, now=now)


def told() -> list[tuple[str, str | None]]:
    rows = OutboxEvent.objects.filter(name=CHANGED).order_by("id")
    return [(row.payload["currency"], row.payload["rate"]) for row in rows]


# --- what is announced ------------------------------------------------------------------------------


def test_a_rate_is_announced_when_it_begins_and_when_none_is_left(
    company: Company, system: Actor, now: datetime
) -> None:
    enter(system, now, "0.9", valid_until=now + 3 * HOUR)
    enter(system, now, "0.8", valid_from=now + HOUR, valid_until=now + 2 * HOUR)
    steps = [
        services.announce_rates(now=now + after)
        for after in (HOUR / 2, HOUR, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR)
    ]

    # the first one is over an hour after the second one is: nothing changes by that
    assert steps == [0, 1, 0, 1, 1, 0]
    assert told() == [("EUR", "0.9"), ("EUR", "0.8"), ("EUR", None)]


def test_of_several_that_became_due_what_holds_now_is_told_once(
    company: Company, system: Actor, now: datetime
) -> None:
    for hours, of in ((1, "0.9"), (2, "0.8"), (3, "0.7")):
        enter(system, now, of, valid_from=now + hours * HOUR)
    enter(system, now, "150", quote="JPY", valid_from=now + HOUR)

    assert services.announce_rates(now=now + 3 * HOUR) == 4

    assert told() == [("EUR", "0.7"), ("JPY", "150")]


def test_each_announcement_raises_the_revision_of_its_company_alone(
    company: Company, system: Actor, now: datetime
) -> None:
    other = factories.make_company()
    enter(system, now, "0.9", valid_from=now + HOUR)
    before = selectors.revision(company_id=company.id)

    services.announce_rates(now=now + HOUR)

    assert selectors.revision(company_id=company.id) > before
    assert not Revision.objects.filter(company=other).exists()


def test_a_scheduled_price_that_begins_raises_the_revision_too(
    variant: Variant, system: Actor, company: Company, now: datetime
) -> None:
    terms = services.SpecialTerms(
        variant_id=variant.id, currency="USD", amount=Decimal(8), starts_at=now + HOUR
    )
    services.set_special_price(actor=system, terms=terms, now=now)
    before = selectors.revision(company_id=company.id)

    services.announce_prices(now=now + HOUR)

    assert selectors.revision(company_id=company.id) > before


# --- open carts -------------------------------------------------------------------------------------


def test_an_open_cart_has_a_new_quote_and_says_what_changed_once_its_promise_is_over(
    variant: Variant, api: Api, system: Actor, now: datetime
) -> None:
    enter(system, now, "0.9")
    guest = api.as_guest(api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"])
    before = guest.post("/cart/items", {"sku": variant.sku}).json()

    enter(system, now, "0.95", valid_from=now + timedelta(microseconds=1))
    held = guest.get("/cart").json()
    guest.delete(f"/cart/{before['id']}/hold")
    after = guest.get("/cart").json()

    assert (held["totals"], held["warnings"]) == (before["totals"], [])
    assert after["items"][0]["unitPrice"] == "9.50"
    assert after["quoteId"] not in {before["quoteId"], held["quoteId"]}
    assert [(w["code"], w["extra"]) for w in after["warnings"]] == [
        ("PRICE_CHANGED", {"from": "9.00", "to": "9.50"})
    ]


# --- who waits for a price --------------------------------------------------------------------------


def wait(variant: Variant, actor: Actor, target: str, now: datetime) -> PriceAlert:
    terms = services.AlertTerms(ref=VariantRef(variant_id=variant.id), target=Decimal(target))
    [alert] = services.subscribe_to_prices(actor=actor, wanted=[terms], currency="EUR", now=now)
    return alert


def reached() -> list[str]:
    rows = OutboxEvent.objects.filter(name="pricing.alert_reached").order_by("id")
    return [row.payload["amount"] for row in rows]


def test_a_rate_that_falls_fires_alerts_and_one_that_rises_arms_them(
    variant: Variant, system: Actor, actor_user: Actor, deliver: Callable[[], Any], now: datetime
) -> None:
    own = factories.make_priced_variant("10.00")
    factories.make_price(own, "9.00", "EUR")
    second = timedelta(microseconds=1)
    enter(system, now - HOUR, "0.9")
    alert = wait(variant, actor_user, "8.50", now)
    other = wait(own, actor_user, "8.50", now)
    deliver()

    for step, of in enumerate(("0.8", "0.7", "0.9", "0.85")):
        enter(system, now - HOUR / 2 + step * second, of)
        deliver()
    alert.refresh_from_db()
    other.refresh_from_db()

    assert reached() == ["8.00", "8.50"]
    assert not alert.is_armed
    assert other.is_armed  # it has a price of its own, which no rate moves


def test_a_price_at_home_fires_alerts_in_currencies_it_is_converted_into(
    variant: Variant, system: Actor, actor_user: Actor, deliver: Callable[[], Any], now: datetime
) -> None:
    enter(system, now - HOUR, "0.9")
    wait(variant, actor_user, "8.50", now)

    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(9), now=now
    )
    deliver()

    assert reached() == ["8.10"]


def test_hearing_of_a_rate_twice_tells_nobody_twice_and_asks_no_more_for_many(
    system: Actor, actor_user: Actor, company: Company, now: datetime
) -> None:
    enter(system, now - HOUR, "0.9")

    def statements(number: int) -> int:
        for _ in range(number):
            wait(factories.make_priced_variant("10.00"), actor_user, "8.50", now)
        ExchangeRate.objects.update(rate=Decimal("0.8"))
        with CaptureQueriesContext(connection) as seen:
            assert services.tell_price_alerts(actor=system, currency="EUR", now=now) == number
        assert services.tell_price_alerts(actor=system, currency="EUR", now=now) == 0
        ExchangeRate.objects.update(rate=Decimal("0.9"))
        PriceAlert.objects.all().delete()
        return len(seen)

    assert statements(2) == statements(30)


def test_a_wish_is_told_that_its_currency_costs_less(
    variant: Variant, system: Actor, user_api: Api, deliver: Callable[[], Any], now: datetime
) -> None:
    enter(system, now - HOUR, "0.9")
    user_api.post("/wishlist/items", {"sku": variant.sku, "currency": "EUR"})
    assert Wish.objects.get().currency == "EUR"
    deliver()

    for step, of in enumerate(("0.8", "0.85", "0.95")):
        enter(system, now - HOUR / 2 + step * timedelta(microseconds=1), of)
        deliver()
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(8), now=now
    )
    deliver()

    rows = OutboxEvent.objects.filter(name="wishlist.price_dropped").order_by("id")
    assert [row.payload["new_amount"] for row in rows] == ["8.00", "7.60"]
