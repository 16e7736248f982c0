"""The back office about outside systems: what staff see of them and the few steps they may take."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.platform.models import AuditEntry
from inventory import services as inventory
from inventory.models import Source, SourceMessage, StockDrift, StockLevel
from inventory.services import Change
from tests.factories import make_staff, make_variant
from tests.plants import sql

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(company: Any) -> Client:
    client = Client()
    client.force_login(
        make_staff(is_superuser=True), "allauth.account.auth_backends.AuthenticationBackend"
    )
    return client


def run(office: Client, model: str, action: str, row: Any) -> Any:
    return office.post(
        reverse(f"admin:inventory_{model}_changelist"),
        {"action": action, "_selected_action": [str(row.pk)]},
        follow=True,
    )


def test_a_source_is_added_says_whether_it_may_post_and_keeps_its_name(
    office: Client, settings: Any
) -> None:
    settings.INVENTORY_WEBHOOK_SECRETS = {"erp": ["x" * 40]}
    given = {"name": "ERP", "slug": "erp", "is_active": "on", "feed_format": "json", "feed_minutes": "15"}  # fmt: skip
    office.post(reverse("admin:inventory_source_add"), given)
    office.post(reverse("admin:inventory_source_add"), {**given, "slug": "wms", "name": "WMS"})

    source = Source.objects.get(slug="erp")
    page = office.get(reverse("admin:inventory_source_changelist")).content.decode()
    assert "no secret is set" in page
    assert "x" * 40 not in page
    office.post(
        reverse("admin:inventory_source_change", args=[source.pk]),
        {**given, "slug": "other", "name": "New"},
    )
    source.refresh_from_db()
    assert (source.slug, source.name) == ("erp", "New")
    assert AuditEntry.objects.filter(action="source.created").count() == 2


def test_what_was_refused_is_shown_and_applied_again(office: Client, company: Any) -> None:
    now = timezone.now()
    source = Source.objects.create(company=company, slug="erp", name="ERP")
    said = [Change(kind="set", sku="LATER", quantity=4, occurred_at=now)]
    message = inventory.take_message(
        source=source, event_id="m", content={}, occurred_at=now, said=said, now=now
    ).message
    page = office.get(reverse("admin:inventory_sourcemessage_change", args=[message.pk]))
    assert "PRODUCT_NOT_FOUND · sku" in page.content.decode()
    variant = make_variant(available=1, sku="LATER")

    run(office, "sourcemessage", "apply_again", message)
    inventory.drain_messages(now=timezone.now())

    assert StockLevel.objects.get(variant=variant).total == 4
    assert SourceMessage.objects.get().refused == 0


def test_a_drift_is_repaired_by_staff(office: Client, company: Any) -> None:
    make_variant(available=5)
    sql("update inventory set available = 9, total = 9")
    inventory.reconcile(now=timezone.now())

    page = run(office, "stockdrift", "repair", StockDrift.objects.get()).content.decode()

    assert StockLevel.objects.get().total == 5
    assert "Repaired." in page
    assert AuditEntry.objects.get(action="stock.reconciled").actor.startswith("staff:")
