"""The back office: pages open, units change by the service only, what is history cannot be edited."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import services as inventory
from inventory.models import (
    Bundle,
    Category,
    Company,
    Product,
    Reservation,
    StockLevel,
    StockMovement,
    Variant,
)
from inventory.services import Demand
from tests.factories import make_company, make_product, make_staff, make_variant
from tests.inventory.test_services import snapshot

pytestmark = pytest.mark.django_db

MODELS = [
    "company", "category", "product", "variant", "bundle", "warehouse", "stocklevel", "reservation", "stockmovement",
]  # fmt: skip


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(
        make_staff(is_superuser=True), backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    return client


@pytest.fixture
def held(actor_guest: Actor, now: datetime) -> Reservation:
    inventory.reserve(
        actor=actor_guest,
        cart_id=new_id(),
        demands=[Demand(new_id(), make_variant(available=5, sku="MUG").id, 2)],
        expires_at=now + timedelta(minutes=15),
        now=now,
    )
    return Reservation.objects.get()


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_searches_open(office: Client, held: Reservation, model: str) -> None:
    Category.objects.create(company=held.company, slug="galley", name="Galley")
    Bundle.objects.create(company=held.company, slug="box", name="Box")
    address = reverse(f"admin:inventory_{model}_changelist")

    assert office.get(address).status_code == 200
    if model not in {"company", "warehouse"}:
        assert office.get(address, {"q": "MUG"}).status_code == 200
        assert office.get(address, {"q": "not-a-uuid ' \""}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_details_open(office: Client, held: Reservation, model: str) -> None:
    Category.objects.create(company=held.company, slug="galley", name="Galley")
    Bundle.objects.create(company=held.company, slug="box", name="Box")
    rows = {
        "company": Company, "category": Category, "product": Product, "variant": Variant, "bundle": Bundle,
        "warehouse": type(held.stock_level.warehouse), "stocklevel": StockLevel, "reservation": Reservation,
        "stockmovement": StockMovement,
    }  # fmt: skip
    row = rows[model]._default_manager.first()
    assert row is not None

    response = office.get(reverse(f"admin:inventory_{model}_change", args=[row.pk]))

    assert response.status_code == 200


@pytest.mark.parametrize("model", ["reservation", "stockmovement", "variant"])
def test_histories_cannot_be_edited(office: Client, held: Reservation, model: str) -> None:
    row = {"reservation": Reservation, "stockmovement": StockMovement, "variant": Variant}[model]._default_manager.first()  # fmt: skip
    assert row is not None
    before = snapshot()

    assert office.get(reverse(f"admin:inventory_{model}_add")).status_code == 403
    assert (
        office.post(
            reverse(f"admin:inventory_{model}_change", args=[row.pk]), {"quantity": 9}
        ).status_code
        == 403
    )
    assert (
        office.post(
            reverse(f"admin:inventory_{model}_delete", args=[row.pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    assert snapshot() == before


def test_units_cannot_be_typed_into_a_record(office: Client, held: Reservation) -> None:
    level = StockLevel.objects.get()

    office.post(
        reverse("admin:inventory_stocklevel_change", args=[level.pk]),
        {
            "available": 99, "reserved": 0, "total": 99, "reorder_level": 4, "reorder_quantity": 8, "backorder_limit": "",
            "movements-TOTAL_FORMS": 0, "movements-INITIAL_FORMS": 0,
            "reservations-TOTAL_FORMS": 0, "reservations-INITIAL_FORMS": 0,
        },
    )  # fmt: skip

    level.refresh_from_db()
    assert (level.available, level.reserved, level.total) == (3, 2, 5)
    assert (level.reorder_level, level.reorder_quantity) == (4, 8)
    assert AuditEntry.objects.get(action="stock.updated").after == {
        "reorder_level": 4,
        "reorder_quantity": 8,
    }


def test_a_product_is_made_with_variants_sanitised_searchable_and_on_a_shelf(
    office: Client,
) -> None:
    response = office.post(
        reverse("admin:inventory_product_add"),
        {
            "name": "Mug", "slug": "mug", "status": "active", "category": "", "vendor": "", "tax_class": "standard",
            "description": "<p>Hot</p><script>x</script>", "option_names": "Colour", "tags": "", "metadata": "{}",
            "variants-TOTAL_FORMS": 1, "variants-INITIAL_FORMS": 0, "variants-0-sku": "MUG-1",
            "variants-0-options": '{"Colour": "Kelp"}', "variants-0-weight_grams": 200,
            "variants-0-inventory_policy": "deny", "variants-0-is_active": "on", "variants-0-position": 0,
            "images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0,
            "relations-TOTAL_FORMS": 0, "relations-INITIAL_FORMS": 0,
        },
    )  # fmt: skip

    assert response.status_code == 302, response.context["adminform"].form.errors
    product = Product.objects.get()
    assert product.company_id == Company.DEFAULT_ID
    assert product.description == "<p>Hot</p>"
    assert product.search_terms == "MUG-1 Kelp"
    assert StockLevel.objects.get().variant.sku == "MUG-1"
    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["product.updated"]
    assert AuditEntry.objects.filter(action="product.edited").count() == 1


def test_discontinue_is_an_action_and_deleting_is_not(office: Client) -> None:
    product = make_product()

    response = office.post(
        reverse("admin:inventory_product_changelist"),
        {"action": "discontinue", "_selected_action": [str(product.pk)]},
        follow=True,
    )

    assert said(response) == ["1 product is no longer sold."]
    product.refresh_from_db()
    assert product.status == "discontinued"
    assert (
        office.post(
            reverse("admin:inventory_product_delete", args=[product.pk]), {"post": "yes"}
        ).status_code
        == 403
    )


def test_another_company_s_rows_are_not_shown(office: Client) -> None:
    foreign = make_variant(company=make_company(), sku="FOREIGN")

    assert (
        "FOREIGN"
        not in office.get(reverse("admin:inventory_stocklevel_changelist")).content.decode()
    )
    address = reverse("admin:inventory_product_change", args=[foreign.product_id])
    assert office.get(address).status_code == 302


@pytest.mark.parametrize("model", ["stocklevel", "stockmovement", "product"])
def test_lists_need_the_same_statements_for_any_number_of_rows(office: Client, model: str) -> None:
    address = reverse(f"admin:inventory_{model}_changelist")
    counts = []
    for _ in range(2):
        for _ in range(5):
            make_variant(available=3)
        office.get(address)
        with CaptureQueriesContext(connection) as queries:
            office.get(address)
        counts.append(len(queries))

    assert counts[0] == counts[1]
