"""What the database itself refuses, whoever asks."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from config.platform.models import new_id
from inventory.models import Company, Reservation, StockLevel, StockMovement, Variant
from tests.factories import make_product, make_variant, make_warehouse

pytestmark = pytest.mark.django_db


def refuses(statement: str, *values: object) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values or None)
    except DatabaseError:
        return True
    return False


def test_movements_are_append_only() -> None:
    make_variant(available=5)

    assert refuses("UPDATE stock_transactions SET quantity = 6")
    assert refuses("DELETE FROM stock_transactions")
    assert StockMovement.objects.get().quantity == 5


@pytest.mark.parametrize(
    "change",
    ["available = -1, total = -1", "available = 6", "reserved = -1, total = 4", "total = 6"],
)
def test_stock_adds_up_and_is_never_negative(change: str) -> None:
    make_variant(available=5)

    assert refuses(f"UPDATE inventory SET {change}")
    assert StockLevel.objects.get().available == 5


def test_no_more_is_owed_than_the_limit() -> None:
    make_variant(available=0, backorder_limit=2)

    assert refuses("UPDATE inventory SET backordered = 3")


def test_one_live_hold_per_line_and_shelf(now: datetime) -> None:
    variant = make_variant()
    fields = {
        "company": variant.company,
        "stock_level": variant.stock_levels.get(),
        "variant": variant,
        "line_id": new_id(),
        "holder": "x",
        "quantity": 1,
        "started_at": now,
        "expires_at": now,
    }
    Reservation.objects.create(**fields)
    Reservation.objects.create(**fields, status="EXPIRED")

    with pytest.raises(IntegrityError, match="one_live_hold_per_line"), transaction.atomic():
        Reservation.objects.create(**fields)
    with pytest.raises(IntegrityError, match="hold_not_empty"), transaction.atomic():
        Reservation.objects.create(**{**fields, "line_id": new_id(), "quantity": 0})


def test_one_sku_per_company_and_one_default_of_each_kind(company: Company) -> None:
    variant = make_variant(sku="ONE")
    with pytest.raises(IntegrityError), transaction.atomic():
        Variant.objects.create(company=company, product=make_product(), sku="ONE")
    with pytest.raises(IntegrityError), transaction.atomic():
        Company.objects.create(name="Second", slug="second", is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_warehouse(is_default=True)
    assert Variant.objects.get() == variant
