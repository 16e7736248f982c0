"""What is bought together: counted from orders, shown beside products, scoped by company."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from inventory.models import Category, Company, CoPurchase, Product, ProductRelation
from orders import services, tasks
from orders.models import Order, OrderLine
from tests.conftest import Api
from tests.factories import (
    default_company,
    make_company,
    make_priced_variant,
    make_product,
    next_number,
)

pytestmark = pytest.mark.django_db


def bought(now: datetime, *products: Product, cancelled: int = 0, **fields: Any) -> Order:
    order = Order.objects.create(
        **{
            "company": products[0].company, "number": f"ORD-20260101-{next_number():06}", "email": "c@example.com",
            "status": Order.Status.CONFIRMED, "currency": "USD", "subtotal": 0, "discount_total": 0,
            "shipping_total": 0, "tax_total": 0, "grand_total": 0, "quote_id": "q",
            "placed_at": now - timedelta(days=1), **fields,
        }
    )  # fmt: skip
    for position, product in enumerate(products):
        variant = product.variants.get()
        OrderLine.objects.create(
            order=order, position=position, product=product, variant=variant, sku=variant.sku, name=product.name,
            quantity=1, cancelled_quantity=cancelled, unit_price=Decimal(0), subtotal=Decimal(0), discount=Decimal(0),
            tax=Decimal(0), total=Decimal(0),
        )  # fmt: skip
    return order


def sold(name: str, company: Company | None = None, **fields: Any) -> Product:
    product = make_product(name=name, slug=f"{name}-{next_number()}", company=company, **fields)
    make_priced_variant(product=product)
    return product


def pairs() -> dict[tuple[str, str], int]:
    rows = CoPurchase.objects.values_list("product__name", "other__name", "count")
    return {(one, other): count for one, other, count in rows}


def test_pairs_of_confirmed_orders_are_counted_and_old_ones_forgotten(
    company: Company, now: datetime
) -> None:
    mug, lamp, rope = sold("mug"), sold("lamp"), sold("rope")
    for _ in range(3):
        bought(now, mug, lamp)
    bought(now, mug, rope)  # once is chance
    for _ in range(3):  # none of these count
        bought(now, mug, rope, status=Order.Status.DRAFT)
        bought(now, mug, rope, status=Order.Status.CANCELLED)
        bought(now, mug, rope, placed_at=now - timedelta(days=200))
        bought(now, mug, rope, cancelled=1)

    assert services.count_co_purchases(company_id=company.id, now=now) == 2
    assert pairs() == {("mug", "lamp"): 3, ("lamp", "mug"): 3}
    Order.objects.all().delete()
    tasks.count_co_purchases()

    assert pairs() == {}


def test_another_company_s_orders_and_pairs_are_left_alone(company: Company, now: datetime) -> None:
    other = make_company()
    for theirs in (company, other):
        products = sold("a", theirs), sold("b", theirs)
        for _ in range(2):
            bought(now, *products)
    services.count_co_purchases(company_id=other.id, now=now)

    services.count_co_purchases(company_id=company.id, now=now + timedelta(hours=1))

    rows = CoPurchase.objects.values_list("product__company", "other__company", "count")
    assert sorted(rows) == sorted([(one.id, one.id, 2) for one in (company, other) for _ in "ab"])


def test_an_order_that_restocks_a_shop_says_nothing(
    company: Company, now: datetime, monkeypatch: Any
) -> None:
    monkeypatch.setattr("orders.services.together.MOST_PRODUCTS", 2)
    many = sold("a"), sold("b"), sold("c")
    for _ in range(2):
        bought(now, *many)

    assert services.count_co_purchases(company_id=company.id, now=now) == 0


def test_recommendations_are_what_staff_say_then_what_is_bought_then_the_aisle(
    company: Company, api: Api, now: datetime
) -> None:
    aisle = Category.objects.create(company=default_company(), slug="galley", name="Galley")
    mug, lamp, rope = sold("mug", category=aisle), sold("lamp"), sold("rope")
    often, gone, neighbour = sold("often"), sold("gone", status="discontinued"), sold("next", category=aisle)  # fmt: skip
    ProductRelation.objects.create(product=mug, related=lamp, kind="cross_sell", weight=1)
    for other, count in ((often, 9), (rope, 2), (gone, 20), (lamp, 5)):
        CoPurchase.objects.create(product=mug, other=other, count=count, computed_at=now)

    shown = api.get(f"/products/{mug.slug}/recommendations").json()["results"]

    assert [one["name"] for one in shown] == ["lamp", "often", "rope", "next"]
    assert neighbour.name == "next"


def test_a_page_shows_what_is_often_bought_together_and_nothing_where_nothing_is(
    company: Company, client: Client, now: datetime
) -> None:
    mug, lamp, rare, out = sold("mug"), sold("lamp"), sold("rare"), sold("out")
    out.variants.get().stock_levels.update(available=0, total=0)
    title = "Often bought together"
    assert title not in client.get(f"/products/{mug.slug}/").content.decode()
    for other, count in ((lamp, 3), (rare, 2), (out, 9)):
        CoPurchase.objects.create(product=mug, other=other, count=count, computed_at=now)

    page = client.get(f"/products/{mug.slug}/").content.decode()

    section = page.split(title)[1].split("</section>")[0]
    assert lamp.slug in section
    assert rare.slug not in section
    assert out.slug not in section
    assert page.count(f'href="/products/{lamp.slug}/"') == 1
