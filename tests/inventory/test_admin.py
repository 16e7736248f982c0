"""The back office: pages open, units change by the service only, what is history cannot be edited."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import pictures
from inventory import services as inventory
from inventory.models import (
    Bundle,
    Category,
    Company,
    Product,
    ProductImage,
    Reservation,
    StockLevel,
    StockMovement,
    Variant,
)
from inventory.services import Demand
from pricing.models import Price, PriceChange
from tests.factories import make_company, make_price, make_product, make_staff, make_variant
from tests.inventory.test_pictures import encoded, sent, stored
from tests.inventory.test_services import snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

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


# --- the editor of a product ----------------------------------------------------------------------


def product_form(**fields: Any) -> dict[str, Any]:
    """Return what a browser sends of a product's page, without rows."""
    return {
        "name": "Mug", "slug": "mug", "status": "active", "category": "", "vendor": "", "tax_class": "standard",
        "description": "<p>Hot</p><script>x</script>", "option_names": "Colour", "tags": "", "metadata": "{}",
        "variants-TOTAL_FORMS": 0, "variants-INITIAL_FORMS": 0, "images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0,
        "relations-TOTAL_FORMS": 0, "relations-INITIAL_FORMS": 0, **fields,
    }  # fmt: skip


def rows(prefix: str, *given: dict[str, Any], there: int = 0) -> dict[str, Any]:
    fields: dict[str, Any] = {
        f"{prefix}-TOTAL_FORMS": len(given), f"{prefix}-INITIAL_FORMS": there,
    }  # fmt: skip
    for place, row in enumerate(given):
        fields |= {f"{prefix}-{place}-{name}": value for name, value in row.items()}
    return fields


def variant_row(variant: Variant | None = None, **fields: Any) -> dict[str, Any]:
    there = {} if variant is None else {"id": str(variant.pk), "product": str(variant.product_id)}
    return {
        **there, "choice": "Kelp", "weight_grams": 200, "inventory_policy": "deny", "is_taxable": "on",
        "requires_shipping": "on", "is_active": "on", "position": 0, "image": "", "price": "", "former_price": "",
        **fields,
    }  # fmt: skip


ADD = "admin:inventory_product_add"


def complaints(response: Any) -> list[str]:
    """Return all that a page finds wrong with what was typed."""
    page = response.context
    found = [str(text) for texts in page["adminform"].form.errors.values() for text in texts]
    for one in page["inline_admin_formsets"]:
        for errors in one.formset.errors:
            found += [f"{name}: {text}" for name, texts in errors.items() for text in texts]
    return found


def test_a_product_is_made_with_variants_prices_a_shelf_and_a_trail(office: Client) -> None:
    response = office.post(
        reverse(ADD),
        product_form(
            **rows("variants", variant_row(sku="MUG-1", price="12.50", former_price="15"))
        ),
    )

    assert response.status_code == 302, complaints(response)
    product = Product.objects.get()
    assert product.company_id == Company.DEFAULT_ID
    assert product.description == "<p>Hot</p>"
    assert product.search_terms == "MUG-1 Kelp"
    assert StockLevel.objects.get().variant.options == {"Colour": "Kelp"}
    assert list(Price.objects.values_list("currency", "amount", "compare_at")) == [
        ("USD", Decimal("12.500"), Decimal("15.000"))
    ]
    assert sorted(OutboxEvent.objects.values_list("name", flat=True)) == [
        "pricing.price.updated",
        "product.updated",
    ]
    entry = AuditEntry.objects.get(action="product.created")
    assert entry.actor.startswith("staff:")
    page = office.get(reverse("admin:inventory_product_change", args=[product.pk]))
    text = page.content.decode()
    assert 'href="/products/mug/"' in text or "view-on-site" in text
    assert 'value="12.50"' in text
    assert "MAIN: 0 · 0" in text


def test_only_what_was_changed_is_written_and_a_price_alone_is_one_change(office: Client) -> None:
    product = make_product(name="Mug", slug="mug", option_names=["Colour"], search_terms="RED Kelp")
    red = make_variant(product=product, sku="RED", options={"Colour": "Kelp"}, weight_grams=200)
    make_price(red, "10.00")
    address = reverse("admin:inventory_product_change", args=[product.pk])
    same = product_form(description="", **rows("variants", variant_row(red, price="10.00"), there=1))  # fmt: skip

    assert office.post(address, same).status_code == 302
    assert not OutboxEvent.objects.exists()
    assert not AuditEntry.objects.exists()
    dearer = same | {"variants-0-price": "11.00"}
    answer = office.post(address, dearer)

    assert answer.status_code == 302, complaints(answer)
    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["pricing.price.updated"]
    change = PriceChange.objects.get()
    assert (change.old_amount, change.new_amount) == (Decimal(10), Decimal(11))
    assert change.actor.startswith("staff:")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (rows("variants", variant_row(sku="A", choice="Kelp / Double")), "no option"),
        (rows("variants", variant_row(sku="A", choice="")), "A has no Colour."),
        (rows("variants", variant_row(sku="A"), variant_row(sku="B")), "the same choice"),
        (rows("variants", variant_row(sku="")), "required"),
        (rows("variants", variant_row(sku="A", price="-1")), "greater than or equal to 0"),
        (rows("variants", variant_row(sku="A", former_price="9")), "What does it cost now?"),
        (rows("variants", variant_row(sku="TAKEN")), "TAKEN"),
        ({"slug": "taken"}, "slug"),
        ({"name": ""}, "required"),
        (rows("images", {"alt": "x", "position": 0}), "Choose a file."),
    ],
)
def test_what_is_refused_stands_on_the_page_and_nothing_is_written(
    office: Client, fields: dict[str, Any], complaint: str
) -> None:
    make_variant(product=make_product(slug="taken"), sku="TAKEN")
    before = Product.objects.count(), Variant.objects.count(), Price.objects.count()

    response = office.post(reverse(ADD), product_form(**fields))

    assert response.status_code == 200
    assert any(complaint in text for text in complaints(response)), complaints(response)
    assert (Product.objects.count(), Variant.objects.count(), Price.objects.count()) == before
    assert not OutboxEvent.objects.exists()
    assert not AuditEntry.objects.exists()


def test_pictures_are_added_arranged_shown_for_a_variant_and_removed(
    office: Client, django_capture_on_commit_callbacks: Any
) -> None:
    product = make_product(name="Mug", slug="mug", option_names=["Colour"])
    red = make_variant(product=product, sku="RED", options={"Colour": "Kelp"}, weight_grams=200)
    old = ProductImage.objects.create(product=product, url="demo/enamel-mug.svg", alt="Drawn")
    address = reverse("admin:inventory_product_change", args=[product.pk])

    def picture(image: ProductImage, **fields: Any) -> dict[str, Any]:
        named = {"id": str(image.pk), "product": str(product.pk)}
        return {**named, "alt": image.alt, "position": image.position, **fields}

    def save(*pictures: dict[str, Any], there: int, **variant: Any) -> None:
        given = rows("images", *pictures, there=there)
        given |= rows("variants", variant_row(red, **variant), there=1)
        answer = office.post(address, product_form(description="", **given))
        assert answer.status_code == 302, complaints(answer)

    fresh = {"alt": "On a sill", "position": 0, "upload": sent(encoded(size=(800, 400)))}
    save(picture(old, position=1, alt="Drawn by hand"), fresh, there=1)

    new, kept = product.images.all()
    assert (new.alt, new.width, kept.alt) == ("On a sill", 800, "Drawn by hand")
    assert pictures.small_address(new.url) in office.get(address).content.decode()
    save(picture(new), picture(kept), there=2, image=new.url)
    red.refresh_from_db()
    assert red.image == new.url

    broken = rows("images", picture(new), picture(kept), {**fresh, "upload": sent(b"<svg/>")}, there=2)  # fmt: skip
    files = stored()
    refused = office.post(address, product_form(name="Cup", description="", **broken))
    assert any("JPEG, PNG" in text for text in complaints(refused)), complaints(refused)
    assert stored() == files
    assert Product.objects.get().name == "Mug"

    with django_capture_on_commit_callbacks(execute=True):
        save(picture(new, DELETE="on"), picture(kept), there=2, image=new.url)
    assert list(product.images.all()) == [kept]
    assert stored() == []
    red.refresh_from_db()
    assert red.image == ""


def test_relations_are_written_by_kind_and_weight(office: Client) -> None:
    product, one, two = make_product(name="Mug", slug="mug"), make_product(), make_product()
    address = reverse("admin:inventory_product_change", args=[product.pk])
    relation = {"kind": "cross_sell", "related": str(one.pk), "weight": 3}
    form = product_form(description="", option_names="")

    response = office.post(
        address, form | rows("relations", relation, {**relation, "related": str(two.pk), "weight": 9})
    )  # fmt: skip

    assert response.status_code == 302, complaints(response)
    assert list(product.relations.values_list("related", "weight")) == [(two.pk, 9), (one.pk, 3)]
    assert OutboxEvent.objects.filter(name="product.updated").count() == 1
    for wrong in (product, make_product(company=make_company())):
        answer = office.post(
            address, form | rows("relations", {**relation, "related": str(wrong.pk)})
        )
        assert complaints(answer)
    assert product.relations.count() == 2


def test_a_status_means_what_it_says_and_is_taken_back(office: Client) -> None:
    product = make_product(name="Mug", slug="mug")
    address = reverse("admin:inventory_product_change", args=[product.pk])
    form = product_form(description="", option_names="", status="discontinued")

    assert "can be neither added nor bought" in office.get(address).content.decode()
    assert office.post(address, form).status_code == 302
    assert OutboxEvent.objects.get().name == "product.discontinued"
    response = office.post(
        reverse("admin:inventory_product_changelist"),
        {"action": "sell_again", "_selected_action": [str(product.pk)]},
        follow=True,
    )

    assert said(response)[-1] == "1 product is sold again."
    product.refresh_from_db()
    assert product.status == "active"
    assert OutboxEvent.objects.order_by("id").last().name == "product.updated"  # type: ignore[union-attr]
    assert AuditEntry.objects.filter(action="product.reactivated").count() == 1


def test_an_editor_costs_the_same_statements_for_any_number_of_variants(office: Client) -> None:
    product = make_product(option_names=["Size"])
    address = reverse("admin:inventory_product_change", args=[product.pk])
    counts = []
    for batch in range(2):
        for number in range(2 + 10 * batch):
            variant = make_variant(product=product, options={"Size": f"{batch}-{number}"})
            make_price(variant)
        office.get(address)
        with CaptureQueriesContext(connection) as queries:
            office.get(address)
        counts.append(len(queries))

    assert counts[0] == counts[1]


# --- the tree and the bundles ---------------------------------------------------------------------


def test_the_tree_is_shown_as_one_and_refuses_a_circle(office: Client, company: Company) -> None:
    top = Category.objects.create(company=company, slug="galley", name="Galley", position=5)
    Category.objects.create(company=company, slug="deck", name="Deck", position=1)
    low = Category.objects.create(company=company, slug="mugs", name="Mugs", parent=top)

    page = office.get(reverse("admin:inventory_category_changelist"))
    listed = [(row.name, row.depth) for row in page.context["cl"].result_list]
    response = office.post(
        reverse("admin:inventory_category_change", args=[top.pk]),
        {"name": "Galley", "slug": "galley", "parent": str(low.pk), "position": 5, "is_active": "on"},
    )  # fmt: skip

    assert listed == [("Deck", 0), ("Galley", 0), ("Mugs", 1)]
    assert response.status_code == 200
    assert complaints(response) == ["A category cannot lie below itself."]
    assert office.post(
        reverse("admin:inventory_category_delete", args=[top.pk]), {"post": "yes"}
    ).status_code == 302  # fmt: skip
    top.refresh_from_db()
    assert top.parent is None


def test_a_bundle_is_its_items(office: Client) -> None:
    mug, lamp = make_variant(sku="MUG"), make_variant(sku="LAMP")
    form = {"name": "Box", "slug": "box", "description": "", "image": "", "is_active": "on"}
    first = rows("items", {"variant": str(mug.pk), "quantity": 2}, {"variant": str(lamp.pk), "quantity": 1})  # fmt: skip

    empty = office.post(reverse("admin:inventory_bundle_add"), form | rows("items"))
    assert empty.status_code == 200
    assert not Bundle.objects.exists()
    made = office.post(reverse("admin:inventory_bundle_add"), form | first)

    assert made.status_code == 302, complaints(made)
    bundle = Bundle.objects.get()
    assert sorted(bundle.items.values_list("variant__sku", "quantity")) == [("LAMP", 1), ("MUG", 2)]
    assert AuditEntry.objects.get(action="bundle.saved").after["items"] == {"MUG": 2, "LAMP": 1}
