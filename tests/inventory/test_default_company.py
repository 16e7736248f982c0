"""Where a shop begins: its currency and country as its environment says, until something is sold there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from inventory.models import Company
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def begin() -> None:
    import_module("inventory.migrations.0014_default_company_as_configured").as_configured(
        apps, None
    )


def test_a_shop_with_nothing_in_it_has_the_currency_and_country_of_its_environment(
    company: Company, settings: Any
) -> None:
    other = factories.make_company(currency="GBP", country="GB")
    settings.DEFAULT_CURRENCY, settings.DEFAULT_COUNTRY = "EUR", "DE"

    begin()

    for each in (company, other):
        each.refresh_from_db()
    assert (company.currency, company.country) == ("EUR", "DE")
    assert (other.currency, other.country) == ("GBP", "GB")


def test_a_shop_that_has_products_keeps_its_own(company: Company, settings: Any) -> None:
    factories.make_variant()
    before = (company.currency, company.country)
    settings.DEFAULT_CURRENCY, settings.DEFAULT_COUNTRY = "EUR", "DE"

    begin()

    company.refresh_from_db()
    assert (company.currency, company.country) == before


def test_a_cart_that_says_no_currency_has_the_shops(
    company: Company, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pricing.selectors.catalogue._home", {})  # what is remembered is forgotten
    Company.objects.filter(pk=company.pk).update(currency="JPY")

    made = api.post("/public/cart").json()

    assert api.as_guest(made["sessionToken"]).get("/cart").json()["currency"] == "JPY"


@pytest.mark.parametrize(("country", "offered"), [("DE", ["standard"]), ("US", [])])
def test_a_cart_that_goes_nowhere_yet_is_estimated_for_the_default_country(
    company: Company, api: Api, settings: Any, country: str, offered: list[str]
) -> None:
    settings.DEFAULT_COUNTRY = country
    factories.make_shipping_rule("4.90", countries=["DE"])
    guest = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    guest.post("/cart/items", {"sku": factories.make_priced_variant("10.00").sku, "quantity": 1})

    rates = guest.get("/cart/shipping/rates").json()

    assert [option["id"] for option in rates["options"]] == offered
