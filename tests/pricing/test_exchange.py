"""Exchange rates: which is in force, what is converted by it, and that there is no total without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry
from inventory.models import Company, Variant
from inventory.selectors import VariantRef
from orders import services as orders
from orders.explaining import grounds_of, render_explanation
from orders.services import DirectItem
from pricing import selectors, services
from pricing.errors import ExchangeRateMissing, PriceMissing
from pricing.models import ExchangeRate
from tests import factories
from tests.checkout.conftest import ADDRESS
from tests.conftest import Api

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def rate(actor: Actor, now: datetime, of: str, quote: str = "EUR", **fields: Any) -> ExchangeRate:
    terms = services.RateTerms(quote=quote, rate=Decimal(of), **fields)
    return services.set_exchange_rate(actor=actor, terms=terms, now=now)


def price(variant: Variant, now: datetime, currency: str = "EUR") -> Decimal | None:
    found = selectors.ladders(variant_ids=[variant.id], currency=currency, now=now)
    return found[variant.id].single if variant.id in found else None


# --- what is converted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "of", "currency", "expected"),
    [
        ("10.00", "0.9137", "EUR", "9.14"),
        ("10.00", "0.9135", "EUR", "9.14"),  # half a cent is rounded up
        ("10.00", "0.9134999999", "EUR", "9.13"),
        ("10.00", "149.55", "JPY", "1496"),
        ("10.00", "149.54", "JPY", "1495"),
        ("10.00", "0.30745", "KWD", "3.075"),
        ("0.00", "0.9", "EUR", "0"),
        ("0.01", "0.0000000001", "EUR", "0"),
        ("99999999.99", "1.5", "EUR", "149999999.99"),
    ],
)
def test_a_price_is_converted_and_rounded_once_by_the_currency(
    company: Company,
    system: Actor,
    now: datetime,
    amount: str,
    of: str,
    currency: str,
    expected: str,
) -> None:
    variant = factories.make_priced_variant(amount)
    rate(system, now, of, currency)

    assert price(variant, now, currency) == Decimal(expected)
    assert selectors.convert_amount(
        actor=system, amount=Decimal(amount), currency="USD", into=currency, now=now
    ).converted == Decimal(expected)


def test_a_price_of_its_own_and_a_scheduled_one_at_home_go_first(
    variant: Variant, system: Actor, now: datetime
) -> None:
    other = factories.make_priced_variant("10.00")
    factories.make_price(other, "7.77", "EUR")
    rate(system, now, "0.5")
    factories.make_special_price(variant, "8.00", starts_at=now)

    assert price(other, now) == Decimal("7.77")
    assert price(variant, now) == Decimal("4.00")


def test_each_company_has_its_own_rates(variant: Variant, system: Actor, now: datetime) -> None:
    stranger = Actor.system(factories.make_company().id)
    rate(stranger, now, "0.5")

    assert price(variant, now) is None


# --- which rate is in force -------------------------------------------------------------------------


def test_the_latest_rate_that_has_begun_counts(
    variant: Variant, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.5")
    rate(system, now, "0.6", valid_from=now + HOUR)
    instant = timedelta(microseconds=1)

    assert [price(variant, at) for at in (now - instant, now, now + HOUR - instant, now + HOUR)] == [
        None, Decimal("5.00"), Decimal("5.00"), Decimal("6.00"),
    ]  # fmt: skip


def test_a_rate_that_is_too_old_is_none_and_an_older_one_does_not_come_back(
    variant: Variant, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.5")
    rate(system, now, "0.6", valid_from=now + HOUR, valid_until=now + 2 * HOUR)

    assert price(variant, now + 2 * HOUR - timedelta(microseconds=1)) == Decimal("6.00")
    assert price(variant, now + 2 * HOUR) is None
    with pytest.raises(ExchangeRateMissing):
        selectors.convert_amount(
            actor=system, amount=Decimal(1), currency="USD", into="EUR", now=now + 2 * HOUR
        )


def test_kept_answers_do_not_outlive_a_rate(
    variant: Variant, system: Actor, now: datetime, company: Company
) -> None:
    rate(system, now, "0.5", valid_until=now + 2 * HOUR)
    rate(system, now, "0.6", valid_from=now + HOUR)

    moments = [selectors.next_moment(company_id=company.id, now=now + n * HOUR) for n in range(3)]

    assert moments == [now + HOUR, now + 2 * HOUR, None]


# --- where it shows ---------------------------------------------------------------------------------


def test_without_a_rate_all_stays_as_it_was(variant: Variant, api: Api) -> None:
    guest = api.as_guest(api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"])

    refused = guest.post("/cart/items", {"sku": variant.sku})
    shown = api.get(f"/products/{variant.product.slug}?currency=EUR").json()

    assert (refused.status_code, refused.json()["code"]) == (409, "PRICE_MISSING")
    assert shown["variants"][0]["price"] is None


def test_pages_lists_and_carts_show_and_charge_the_same_converted_price(
    variant: Variant, api: Api, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.9137")
    guest = api.as_guest(api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"])

    cart = guest.post("/cart/items", {"sku": variant.sku, "quantity": 3}).json()
    shown = api.get(f"/products/{variant.product.slug}?currency=EUR").json()
    listed = api.get("/products?currency=EUR").json()["results"]
    pricing = api.get(f"/products/{variant.product_id}/pricing?currency=EUR").json()
    value = api.post(
        "/products/pricing/calculate-cart-value",
        {"currency": "EUR", "items": [{"sku": variant.sku, "quantity": 3}]},
    ).json()

    assert (cart["items"][0]["unitPrice"], cart["totals"]["subtotal"]) == ("9.14", "27.42")
    assert shown["variants"][0]["price"] == "9.14"
    assert listed[0]["variants"][0]["price"] == "9.14"
    assert pricing["variants"][0]["price"] == "9.14"
    assert value["totals"]["grandTotal"] == "27.42"


def test_an_open_cart_whose_rate_is_gone_has_no_total_of_a_part(
    variant: Variant, api: Api, system: Actor, now: datetime
) -> None:
    made = rate(system, now, "0.9")
    token = api.post("/public/cart", {"currency": "EUR"}).json()["sessionToken"]
    guest = api.as_guest(token)
    guest.post("/cart/items", {"sku": variant.sku})
    ExchangeRate.objects.filter(id=made.id).update(
        valid_from=now - 2 * HOUR, valid_until=now - HOUR
    )

    cart = guest.get("/cart").json()
    begun = guest.post("/checkout/initialize", {"email": "ann@example.com"})

    assert [problem["code"] for problem in cart["items"][0]["problems"]] == ["PRICE_MISSING"]
    missing = [requirement["code"] for requirement in begun.json()["requirements"]]
    assert "ITEM_UNAVAILABLE" in missing  # so nothing can be placed


def test_an_order_keeps_the_rate_and_a_later_one_changes_nothing(
    variant: Variant, actor_user: Actor, system: Actor, now: datetime
) -> None:
    factories.make_shipping_rule("4.90", countries=["US"], currency="EUR")
    used = rate(system, now, "0.9137", source="bank")

    order = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 2)],
        email="ann@example.com",
        shipping_address=ADDRESS,
        now=now,
        currency="EUR",
    )
    rate(system, now + HOUR, "0.5")
    order.refresh_from_db()

    assert order.subtotal == Decimal("18.28")
    assert render_explanation(order)["rules"]["exchangeRate"] == {
        "id": str(used.id),
        "base": "USD",
        "quote": "EUR",
        "rate": "0.9137",
        "validFrom": now.isoformat(),
        "source": "bank",
    }
    assert {"label": "Exchange rate", "text": "1 USD = 0.9137 EUR"} in grounds_of(order)


def test_an_order_at_prices_of_its_own_names_no_rate(
    variant: Variant, actor_user: Actor, system: Actor, now: datetime
) -> None:
    factories.make_price(variant, "8.00", "EUR")
    factories.make_shipping_rule("4.90", countries=["US"], currency="EUR")
    rate(system, now, "0.9")

    order = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 2)],
        email="ann@example.com",
        shipping_address=ADDRESS,
        now=now,
        currency="EUR",
    )

    assert order.grand_total == Decimal("20.90")
    assert render_explanation(order)["rules"]["exchangeRate"] is None


def test_what_has_no_price_anywhere_has_none_by_any_rate(
    company: Company, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.9")
    bare = factories.make_variant()

    with pytest.raises(ValidationFailed):
        selectors.basket_of(
            actor=system,
            wanted=[selectors.Wanted(ref=VariantRef(variant_id=bare.id), quantity=1)],
            currency="EUR",
        )
    assert PriceMissing.code == "PRICE_MISSING"


def test_a_hundred_converted_prices_are_one_statement(
    company: Company, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.9")
    ids = [factories.make_priced_variant("10.00").id for _ in range(100)]

    with CaptureQueriesContext(connection) as seen:
        found = selectors.ladders(variant_ids=ids, currency="EUR", now=now)

    assert (len(found), len(seen)) == (100, 1)


# --- entering rates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"quote": "USD"}, "quote"),
        ({"quote": "XXX"}, "quote"),
        ({"rate": Decimal(0)}, "rate"),
        ({"rate": Decimal(-1)}, "rate"),
        ({"rate": Decimal("NaN")}, "rate"),
        ({"rate": Decimal("Infinity")}, "rate"),
        ({"rate": Decimal("1e-11")}, "rate"),
        ({"rate": Decimal("1e9")}, "rate"),
        ({"valid_from": datetime(2020, 1, 1, tzinfo=UTC)}, "validFrom"),
        ({"valid_until": datetime(2020, 1, 1, tzinfo=UTC)}, "validUntil"),
    ],
)
def test_what_is_no_rate_is_refused(
    company: Company, system: Actor, now: datetime, fields: dict[str, Any], field: str
) -> None:
    values = {"quote": "EUR", "rate": Decimal("0.9"), **fields}

    with pytest.raises(ValidationFailed) as refused:
        services.set_exchange_rates(
            actor=system,
            terms=[
                services.RateTerms(quote="GBP", rate=Decimal(1)), services.RateTerms(**values),
            ],
            now=now,
        )  # fmt: skip

    assert refused.value.errors[0].field == field
    assert not ExchangeRate.objects.exists()
    assert not AuditEntry.objects.exists()


def test_two_rates_do_not_begin_at_once(company: Company, system: Actor, now: datetime) -> None:
    rate(system, now, "0.9")

    with pytest.raises(ValidationFailed) as refused:
        rate(system, now, "0.8")

    assert refused.value.errors[0].code == "overlaps"
    assert ExchangeRate.objects.get().rate == Decimal("0.9")


@pytest.mark.parametrize("fields", [{"rate": 0}, {"rate": -1}, {"quote": "USD"}])
def test_the_database_itself_refuses_what_is_no_rate(
    company: Company, now: datetime, fields: dict[str, Any]
) -> None:
    values = {"base": "USD", "quote": "EUR", "rate": 1, "places": 2, "source": "x", **fields}

    with pytest.raises(IntegrityError), transaction.atomic():
        ExchangeRate.objects.create(
            company=company, valid_from=now, created_by="x", created_at=now, **values
        )


# --- over HTTP --------------------------------------------------------------------------------------


def test_staff_enter_list_and_take_back_rates(
    company: Company, staff_api: Api, user_api: Api, api: Api, now: datetime
) -> None:
    coming = (now + HOUR).isoformat()

    made = staff_api.post("/exchange-rates", {"quote": "EUR", "rate": "0.91370"})
    later = staff_api.post("/exchange-rates", {"quote": "EUR", "rate": "0.5", "validFrom": coming})
    listed = staff_api.get("/exchange-rates").json()["results"]

    assert (made.status_code, made.json()["rate"], made.json()["base"]) == (201, "0.9137", "USD")
    assert [row["id"] for row in listed] == [later.json()["id"], made.json()["id"]]
    assert staff_api.delete(f"/exchange-rates/{later.json()['id']}").status_code == 204
    refused = staff_api.delete(f"/exchange-rates/{made.json()['id']}")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "begun")
    assert staff_api.delete(f"/exchange-rates/{uuid4()}").status_code == 404
    assert staff_api.delete("/exchange-rates/nonsense").status_code == 404
    assert AuditEntry.objects.filter(object_type="exchange_rate").count() == 3
    for client, status in ((user_api, 403), (api, 401)):
        assert client.get("/exchange-rates").status_code == status
        assert client.post("/exchange-rates", {"quote": "GBP", "rate": "1"}).status_code == status
    assert ExchangeRate.objects.count() == 1


def test_anybody_may_convert_an_amount_both_ways(
    company: Company, api: Api, system: Actor, now: datetime
) -> None:
    rate(system, now, "0.8")

    there = api.get("/exchange-rates/convert?amount=10.00&to=EUR").json()
    back = api.get("/exchange-rates/convert?amount=10.00&currency=EUR&to=USD").json()
    same = api.get("/exchange-rates/convert?amount=10&to=USD").json()

    assert there == {
        "amount": "10.00",
        "currency": "USD",
        "convertedAmount": "8.00",
        "convertedCurrency": "EUR",
        "base": "USD",
        "quote": "EUR",
        "rate": "0.8",
        "validFrom": there["validFrom"],
    }
    assert (back["convertedAmount"], back["convertedCurrency"]) == ("12.50", "USD")
    assert same["convertedAmount"] == "10.00"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "VALIDATION_ERROR"),
        ("amount=1", 400, "VALIDATION_ERROR"),
        ("to=EUR", 400, "VALIDATION_ERROR"),
        ("amount=-1&to=EUR", 400, "VALIDATION_ERROR"),
        ("amount=NaN&to=EUR", 400, "VALIDATION_ERROR"),
        ("amount=1e3&to=EUR", 400, "VALIDATION_ERROR"),
        ("amount=1&to=XXX", 400, "VALIDATION_ERROR"),
        ("amount=1&to=euro", 400, "VALIDATION_ERROR"),
        ("amount=1&to=EUR", 409, "EXCHANGE_RATE_MISSING"),
        ("amount=1&currency=GBP&to=EUR", 409, "EXCHANGE_RATE_MISSING"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    company: Company, api: Api, query: str, status: int, code: str
) -> None:
    answer = api.get(f"/exchange-rates/convert?{query}")

    assert (answer.status_code, answer.json()["code"]) == (status, code)


# --- the back office --------------------------------------------------------------------------------


def test_staff_enter_a_rate_in_the_back_office_and_end_what_has_not_begun(
    company: Company, staff_user: Any, client: Any, now: datetime
) -> None:
    client.force_login(staff_user)
    base = "/admin/pricing/exchangerate/"
    coming = now + timedelta(days=2)
    when = {"valid_from_0": f"{coming:%Y-%m-%d}", "valid_from_1": "00:00:00"}

    client.post(f"{base}add/", {"quote": "eur", "rate": "0.9137", "_save": "Save"})
    wrong = client.post(f"{base}add/", {"quote": "USD", "rate": "1", "_save": "Save"})
    client.post(f"{base}add/", {"quote": "EUR", "rate": "0.5", "_save": "Save", **when})
    first, second = ExchangeRate.objects.order_by("valid_from")
    listed = client.get(base)
    refused = client.post(f"{base}{first.id}/delete/", {"post": "yes"})
    client.post(f"{base}{second.id}/delete/", {"post": "yes"})

    assert (first.quote, first.rate, first.places) == ("EUR", Decimal("0.9137"), 2)
    assert b"own currency" in wrong.content
    assert b"0.9137" in listed.content
    assert refused.status_code == 403
    assert ExchangeRate.objects.get() == first
    assert client.post(f"{base}{first.id}/change/", {"rate": "2"}).status_code == 403
