"""Of one tax at one place, one rate is in force on any day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from inventory.models import Company
from pricing import services
from pricing.models import TaxRate
from pricing.terms import ShippingRuleTerms, TaxRateTerms, ZoneTerms
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

JULY, JANUARY = date(2020, 7, 1), date(2021, 1, 1)
TERMS = TaxRateTerms(
    name="VAT", type="VAT", country="DE", rate=Decimal("0.16"), valid_from=JULY, valid_to=JANUARY
)

OVERLAPS: list[dict[str, Any]] = [
    {"valid_from": None, "valid_to": None},
    {"valid_from": date(2020, 12, 31), "valid_to": None},
    {"valid_from": None, "valid_to": date(2020, 7, 2)},
    {"valid_from": date(2020, 8, 1), "valid_to": date(2020, 8, 2)},
]
APART: list[dict[str, Any]] = [
    {"valid_from": None, "valid_to": JULY},  # periods are half-open
    {"valid_from": JANUARY, "valid_to": None},
    {"valid_from": None, "valid_to": None, "is_active": False},
    {"valid_from": None, "valid_to": None, "name": "Eco"},
    {"valid_from": None, "valid_to": None, "state": "BY"},
    {"valid_from": None, "valid_to": None, "postal_pattern": "80"},
    {"valid_from": None, "valid_to": None, "tax_class": "reduced"},
    {"valid_from": None, "valid_to": None, "country": "AT"},
]


@pytest.mark.parametrize("fields", OVERLAPS)
def test_a_second_rate_for_the_same_days_is_refused_by_service_and_database(
    staff: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    services.create_tax_rate(actor=staff, terms=TERMS, now=now)

    with pytest.raises(ValidationFailed) as refused:
        services.create_tax_rate(actor=staff, terms=replace(TERMS, **fields), now=now)
    assert [error.code for error in refused.value.errors] == ["overlap"]
    with pytest.raises(IntegrityError, match="tax_rate_periods_apart"), transaction.atomic():
        factories.make_tax_rate("0.19", **fields)

    assert TaxRate.objects.count() == 1


@pytest.mark.parametrize("fields", APART)
def test_rates_of_other_days_or_of_another_tax_stand_beside_it(
    staff: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    services.create_tax_rate(actor=staff, terms=TERMS, now=now)

    services.create_tax_rate(actor=staff, terms=replace(TERMS, **fields), now=now)

    assert TaxRate.objects.count() == 2


def test_the_case_of_a_state_makes_no_other_place(staff: Actor, now: datetime) -> None:
    services.create_tax_rate(actor=staff, terms=replace(TERMS, state="ca"), now=now)

    with pytest.raises(ValidationFailed):
        services.create_tax_rate(actor=staff, terms=replace(TERMS, state=" CA "), now=now)

    assert TaxRate.objects.count() == 1


@pytest.mark.parametrize(
    "fields", [{"rate": Decimal("1.01")}, {"rate": Decimal("-0.01")}, {"valid_to": JULY}]
)
def test_rates_and_periods_out_of_bounds_are_refused_everywhere(
    staff: Actor, staff_user: Any, now: datetime, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationFailed):
        services.create_tax_rate(actor=staff, terms=replace(TERMS, **fields), now=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.make_tax_rate(**{"rate": "0.19", "valid_from": JULY, **fields})
    body = {
        "name": "VAT",
        "type": "VAT",
        "country": "DE",
        "rate": "0.16",
        "validFrom": "2020-07-01",
    }
    sent = {"rate": str(fields["rate"])} if "rate" in fields else {"validTo": "2020-07-01"}
    assert Api().as_user(staff_user).post("/tax-rates", {**body, **sent}).status_code == 400

    assert not TaxRate.objects.exists()


def test_a_band_of_orders_ends_above_where_it_begins(staff: Actor, now: datetime) -> None:
    zone = services.create_zone(
        actor=staff, terms=ZoneTerms(name="Home", countries=("US",)), now=now
    )
    terms = ShippingRuleTerms(
        zone_id=zone.id,
        code="standard",
        name="Standard",
        currency="USD",
        minimum_order=Decimal(50),
        maximum_order=Decimal(50),
    )

    with pytest.raises(ValidationFailed):
        services.create_shipping_rule(actor=staff, terms=terms, now=now)
    with pytest.raises(IntegrityError, match="shipping_rule_bounds"), transaction.atomic():
        factories.make_shipping_rule(free_over=Decimal(-1))


def test_earlier_overlaps_are_taken_apart_as_they_were_charged(company: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tax_rates DROP CONSTRAINT tax_rate_periods_apart")
        cursor.execute("ALTER TABLE tax_rates DROP CONSTRAINT tax_rate_period")
    factories.make_tax_rate("0.19")
    factories.make_tax_rate("0.16", valid_from=JULY, valid_to=JANUARY)
    factories.make_tax_rate("0.50", valid_from=JANUARY, valid_to=JULY)  # never in force
    factories.make_tax_rate("0.05", name="Eco")

    import_module("pricing.migrations.0005_tax_rates_apart").take_apart(apps, None)

    rows = TaxRate.objects.filter(is_active=True, name="VAT").order_by("valid_to")
    assert list(rows.values_list("rate", "valid_from", "valid_to")) == [
        (Decimal("0.19"), None, JULY),
        (Decimal("0.16"), JULY, JANUARY),
        (Decimal("0.19"), JANUARY, None),
    ]
    assert TaxRate.objects.filter(is_active=True, name="Eco", valid_from=None).count() == 1
