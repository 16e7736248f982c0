from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from config.platform.actor import Actor
from config.platform.models import AuditEntry, User
from inventory.models import Bundle, Category, Company
from pricing import services
from pricing.models import (
    BundlePrice,
    Price,
    PriceChange,
    Promotion,
    Revision,
    ShippingRule,
    ShippingZone,
    TaxRate,
)
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(
        factories.make_staff(is_superuser=True),
        "allauth.account.auth_backends.AuthenticationBackend",
    )
    return client


def post(client: Client, path: str, **values: Any) -> Any:
    answer = client.post(f"/admin/pricing/{path}", {"_save": "Save", **values})
    assert answer.status_code == 302, answer.context["errors"] if answer.context else answer.content
    return answer


PROMOTION = {
    "name": "Ten",
    "kind": "PERCENTAGE",
    "scope": "CART",
    "value": "10",
    "codes": "save10\nSPRING-1",
    "is_active": "on",
    "is_stackable": "on",
    "priority": "0",
    "coupons-TOTAL_FORMS": "0",
    "coupons-INITIAL_FORMS": "0",
    "uses-TOTAL_FORMS": "0",
    "uses-INITIAL_FORMS": "0",
}


@pytest.mark.parametrize(
    "path",
    [
        "price",
        "pricechange",
        "bundleprice",
        "promotion",
        "promotionuse",
        "taxrate",
        "shippingzone",
        "shippingrule",
    ],
)
def test_every_list_opens(office: Client, system: Actor, now: datetime, path: str) -> None:
    variant = factories.make_variant()
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(10), now=now
    )
    factories.make_promotion("SAVE10")
    factories.make_promotion(kind="FIXED_AMOUNT", value=5, currency="JPY")
    factories.make_tax_rate()
    factories.make_shipping_rule()

    assert office.get(f"/admin/pricing/{path}/").status_code == 200


def test_a_promotion_is_made_changed_and_softly_deleted(office: Client, company: Company) -> None:
    category = Category.objects.create(company=company, name="Light", slug="light")

    post(office, "promotion/add/", **PROMOTION, categories=[str(category.id)])

    promotion = Promotion.objects.get()
    assert sorted(promotion.coupons.values_list("code", flat=True)) == ["SAVE10", "SPRING-1"]
    assert list(promotion.categories.all()) == [category]
    assert AuditEntry.objects.get(action="promotion.created").source
    revision = Revision.objects.get().number
    page = office.get(f"/admin/pricing/promotion/{promotion.id}/change/")
    assert b"SAVE10\nSPRING-1" in page.content

    post(
        office,
        f"promotion/{promotion.id}/change/",
        **{**PROMOTION, "value": "15", "codes": "SAVE10"},
    )

    promotion.refresh_from_db()
    assert promotion.value == 15
    assert not promotion.coupons.get(code="SPRING-1").is_active
    assert not promotion.categories.exists()
    assert Revision.objects.get().number > revision

    post(office, f"promotion/{promotion.id}/delete/", post="yes")

    promotion.refresh_from_db()
    assert promotion.deleted_at is not None
    office.get("/admin/pricing/promotion/")  # says once more what was saved
    assert b"SAVE10" not in office.get("/admin/pricing/promotion/").content


def test_a_refusal_is_shown_and_nothing_is_written(office: Client) -> None:
    factories.make_promotion("SAVE10")

    answer = office.post("/admin/pricing/promotion/add/", PROMOTION)

    assert Promotion.objects.count() == 1
    assert answer.context["adminform"].form.errors == {"codes": ["This code is taken."]}
    assert b"SPRING-1" in answer.content  # what was typed is still there


def test_a_price_is_changed_with_its_history_and_never_deleted(
    office: Client, system: Actor, now: datetime
) -> None:
    variant = factories.make_variant()
    price = services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(10), now=now
    )

    post(office, f"price/{price.id}/change/", amount="12.50", compare_at="20")

    price.refresh_from_db()
    assert (price.amount, price.compare_at) == (Decimal("12.50"), Decimal(20))
    assert list(PriceChange.objects.order_by("id").values_list("new_amount", "reason")) == [
        (Decimal(10), ""), (Decimal("12.50"), "admin"),
    ]  # fmt: skip
    assert b"12.50" in office.get(f"/admin/pricing/price/{price.id}/change/").content
    assert (
        office.post(f"/admin/pricing/price/{price.id}/delete/", {"post": "yes"}).status_code == 403
    )


def test_a_price_is_added(office: Client) -> None:
    variant = factories.make_variant()

    post(office, "price/add/", variant=str(variant.id), currency="EUR", amount="9", compare_at="")

    assert Price.objects.get().currency == "EUR"
    assert PriceChange.objects.count() == 1


def test_a_bundle_price_is_set_and_taken_back(office: Client, company: Company) -> None:
    bundle = Bundle.objects.create(company=company, slug="pair", name="Pair")

    post(office, "bundleprice/add/", bundle=str(bundle.id), currency="USD", amount="20")
    offer = BundlePrice.objects.get()
    post(office, f"bundleprice/{offer.pk}/delete/", post="yes")

    assert not BundlePrice.objects.exists()
    assert Revision.objects.exists()


def test_tax_rates_zones_and_ways_to_ship_go_through_the_services(office: Client) -> None:
    post(
        office, "taxrate/add/", name="VAT", type="VAT", country="de", rate="0.19", tax_class="standard", priority="0",
        is_active="on", on_shipping="on",
    )  # fmt: skip
    rate = TaxRate.objects.get()
    assert rate.country == "DE"
    post(
        office, f"taxrate/{rate.id}/change/", name="VAT", type="VAT", country="DE", rate="0.2", tax_class="standard",
        priority="0", is_active="on",
    )  # fmt: skip
    zone_form = {"name": "Home", "countries": "us,ca", "states": "", "postal_patterns": "", "priority": "0", "is_active": "on",
                 "rules-TOTAL_FORMS": "0", "rules-INITIAL_FORMS": "0"}  # fmt: skip
    post(office, "shippingzone/add/", **zone_form)
    zone = ShippingZone.objects.get()
    assert zone.countries == ["US", "CA"]
    post(
        office, "shippingrule/add/", zone=str(zone.id), code="standard", name="Standard", type="FLAT_RATE", currency="USD",
        base_price="5", per_unit="0", per_kilogram="0", min_days="1", max_days="2", priority="0", is_active="on",
    )  # fmt: skip
    rule = ShippingRule.objects.get()
    post(office, f"shippingrule/{rule.id}/delete/", post="yes")
    post(office, f"shippingzone/{zone.id}/delete/", post="yes")
    post(office, f"taxrate/{rate.id}/delete/", post="yes")

    assert list(AuditEntry.objects.order_by("at", "id").values_list("action", flat=True)) == [
        "tax_rate.created", "tax_rate.changed", "shipping_zone.created", "shipping_rule.created",
        "shipping_rule.deleted", "shipping_zone.deleted", "tax_rate.deleted",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["pricechange", "promotionuse"])
def test_histories_are_only_looked_at(office: Client, path: str) -> None:
    assert office.get(f"/admin/pricing/{path}/add/").status_code == 403


def test_rows_of_another_company_are_not_there(office: Client) -> None:
    promotion = factories.make_promotion("CODE", company=factories.make_company())

    assert office.get(f"/admin/pricing/promotion/{promotion.id}/change/").status_code == 302
    assert office.get(f"/admin/pricing/promotion/{uuid4()}/change/").status_code == 302


def test_customers_stay_outside(user: User, company: Company) -> None:
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")

    assert client.get("/admin/pricing/price/").status_code == 302
