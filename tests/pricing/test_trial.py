"""Staff try an address: what they are told applies is what a customer there is charged, and the rest says why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from config.platform.actor import Actor
from config.platform.models import User
from inventory.models import Company
from pricing import services
from pricing.engine import Basket, Line, Place
from pricing.models import ShippingZone
from pricing.selectors import forget
from pricing.trial import Trial, Verdict, try_address
from tests import factories

pytestmark = pytest.mark.django_db

MAINE = Place("US", "ME", "04101")
ADDRESS = "/admin/pricing/shippingzone/try/"


def attempt(actor: Actor, now: datetime, place: Place = MAINE, **fields: Any) -> Trial:
    parcel = {
        "currency": "USD", "worth": Decimal(50), "weight_grams": 500, "units": 1, "tax_class": "standard",
    }  # fmt: skip
    return try_address(actor=actor, place=place, now=now, **{**parcel, **fields})


def said(verdicts: Any) -> dict[str, tuple[bool, str]]:
    found: list[Verdict] = list(verdicts)
    return {verdict.name: (verdict.applies, verdict.why) for verdict in found}


def test_each_zone_says_why(company: Company, staff: Actor, now: datetime) -> None:
    def zone(name: str, **fields: Any) -> ShippingZone:
        return ShippingZone.objects.create(company=company, name=name, **fields)

    zone("World", countries=["*"])
    zone("Portland", countries=["US"], postal_patterns=["041*"])
    zone("Boston", countries=["US"], postal_patterns=["021"])
    zone("Texas", countries=["US"], states=["TX"])
    zone("Germany", countries=["DE"])
    forget()

    assert said(attempt(staff, now).zones) == {
        "Portland": (True, "the most specific zone that covers the address"),
        "World": (False, "covers it too, but another zone is more specific, or comes first"),
        "Boston": (False, "has no beginning of this postal code"),
        "Texas": (False, "does not list the state"),
        "Germany": (False, "does not list the country"),
    }


def test_each_way_to_ship_says_why(company: Company, staff: Actor, now: datetime) -> None:
    zone = factories.make_shipping_rule("4.90", name="Flat", code="flat").zone
    for name, fields in {
        "Euro": {"currency": "EUR"},
        "Large": {"minimum_order": Decimal(100)},
        "Small": {"maximum_order": Decimal(20)},
        "Free": {"free_over": Decimal(50)},
    }.items():
        factories.make_shipping_rule(
            "9.00", zone=zone, name=name, **{"code": name.lower(), **fields}
        )

    trial = attempt(staff, now)

    assert said(trial.methods) == {
        "Flat": (True, "is offered"),
        "Free": (True, "is offered, free for an order of this size"),
        "Euro": (False, "is priced in EUR"),
        "Large": (False, "is for larger orders"),
        "Small": (False, "is for smaller orders"),
    }
    assert [option.name for option in trial.quote.shipping_options] == ["Free", "Flat"]


def test_each_rate_says_why(company: Company, staff: Actor, now: datetime) -> None:
    today = now.date()
    for name, fields in {
        "State": {"state": "ME"},
        "Other state": {"state": "TX"},
        "Other town": {"postal_pattern": "021"},
        "Future": {"valid_from": today + timedelta(days=1)},
        "Past": {"valid_to": today},
        "Books": {"tax_class": "books"},
        "Abroad": {"country": "DE"},
    }.items():
        factories.make_tax_rate("0.05", **{"country": "US", "name": name, **fields})

    trial = attempt(staff, now)

    assert trial.elsewhere == 1
    assert said(trial.rates) == {
        "State": (True, "the most specific rate of this tax for the address"),
        "Other town": (False, "is for other postal codes"),
        "Future": (False, "is not in force yet"),
        "Past": (False, "is no longer in force"),
        "Books": (False, "is for another tax class, or a more specific rate takes its place"),
    }


def test_it_comes_to_what_a_customer_would_pay(
    company: Company, staff: Actor, now: datetime
) -> None:
    zone = factories.make_shipping_rule(
        "2.00", type="WEIGHT_BASED", per_kilogram=Decimal(3), code="post"
    ).zone
    factories.make_shipping_rule(
        "1.00", zone=zone, type="ITEM_COUNT", per_unit=Decimal(2), code="van"
    )
    factories.make_tax_rate("0.055", country="US", state="ME")
    line = Line(
        id=factories.make_variant().id, variant_id=company.id, product_id=company.id, sku="A", quantity=4,
        unit_price=Decimal("12.50"), weight_grams=125,
    )  # fmt: skip
    quote = services.quote(
        actor=staff,
        basket=Basket(lines=[line], currency="USD", destination=MAINE, shipping_option="post"),
        now=now,
    )

    trial = attempt(staff, now, units=4)

    assert [(each.id, each.price) for each in trial.quote.shipping_options] == [
        (each.id, each.price) for each in quote.shipping_options
    ]
    assert trial.quote.totals == quote.totals


def test_other_companies_rules_are_not_seen(company: Company, staff: Actor, now: datetime) -> None:
    factories.make_shipping_rule("4.90")
    factories.make_tax_rate("0.05", country="US")
    stranger = replace(staff, company_id=factories.make_company().id)

    trial = attempt(stranger, now)

    assert (trial.zones, trial.methods, trial.rates) == ([], [], [])
    assert trial.quote.shipping_code == "NO_SHIPPING_ZONE"


def test_the_page_shows_it(company: Company, staff_user: User, client: Client) -> None:
    factories.make_shipping_rule("4.90")
    factories.make_tax_rate("0.055", country="US", state="ME", name="Maine sales tax")
    client.force_login(staff_user)

    empty = client.get(ADDRESS)
    page = client.get(f"{ADDRESS}?country=usa&state=maine&postal_code=04101&worth=100").content
    nowhere = client.get(f"{ADDRESS}?country=BR").content.decode()

    assert empty.status_code == 200
    assert not empty.context["found"]
    for text in ("Maine sales tax 5.5", "$5.77", "$110.67 to pay", "Standard"):
        assert text in page.decode()
    assert "NO_SHIPPING_ZONE" in nowhere


@pytest.mark.parametrize(
    "query",
    [
        "country=ZZ", "country=US&state=Atlantis", "country=US&postal_code=%F0%9F%8F%96", "country=US&currency=XQX",
        "country=US&worth=-1", "country=US&worth=NaN", "country=US&units=0", "country=US&weight_grams=x",
        "country=US&worth=1e30", "country=", "country=US&state=" + "x" * 500,
    ],
)  # fmt: skip
def test_what_is_no_address_or_parcel_is_said_beside_its_field(
    company: Company, staff_user: User, client: Client, query: str
) -> None:
    client.force_login(staff_user)

    answer = client.get(f"{ADDRESS}?{query}")

    assert answer.status_code == 200
    assert not answer.context["found"]
    assert 'role="alert"' in answer.content.decode()


def test_the_page_is_for_those_who_may_see_zones(company: Company, client: Client) -> None:
    client.force_login(factories.make_staff(is_superuser=False))

    assert client.get(ADDRESS).status_code == 403
