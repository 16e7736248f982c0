"""Rows of several tables in one statement."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from config.platform.models import new_id
from config.platform.writing import insert
from inventory.models import Product, Variant
from tests import factories

pytestmark = pytest.mark.django_db


def make_rows(variants: int) -> tuple[Product, list[Variant]]:
    known = factories.make_variant()
    company_id = known.company_id
    product = Product(id=new_id(), company_id=company_id, name="New", slug="new-one")
    made = [
        Variant(id=new_id(), company_id=company_id, product=product, sku=f"NEW-{number}")
        for number in range(variants)
    ]
    return product, made


@pytest.mark.parametrize("variants", [0, 1, 3])
def test_rows_that_name_one_another_travel_in_one_statement(variants):
    product, made = make_rows(variants)

    with CaptureQueriesContext(connection) as captured:
        insert(*made, product)  # whatever the order

    assert len(captured) == 1
    found = Product.objects.get(pk=product.pk)
    assert (found.name, found.variants.count()) == ("New", variants)
    assert found.updated_at - found.created_at < timedelta(minutes=1)
    product.name = "Known"
    product.save()  # an update by now
    assert Product.objects.get(pk=product.pk).name == "Known"


def test_a_row_that_breaks_a_rule_takes_all_with_it():
    product, made = make_rows(2)
    made[1].sku = made[0].sku

    with pytest.raises(IntegrityError), transaction.atomic():
        insert(product, *made)

    assert not Product.objects.filter(pk=product.pk).exists()


def test_without_rows_nothing_is_asked(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert()
