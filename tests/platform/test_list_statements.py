"""A list of a hundred costs as many statements as a list of ten (INV-47)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cart import services as carts
from config.platform import flags
from inventory.models import Bundle, BundleItem, Category, Company, ProductRelation
from notifications import services as notifications
from orders import services as orders
from orders.services import DirectItem
from pricing import selectors as pricing
from tests import factories
from tests.checkout.conftest import ADDRESS
from tests.conftest import Api, actor_for

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.usefixtures("unhurried")]

FEW, MANY = 10, 100


class Shop:
    """Grows by one of everything that is listed somewhere."""

    def __init__(self, company: Company, now: Any) -> None:
        self.company, self.now, self.count = company, now, 0
        self.user, self.staff = factories.make_user(), factories.make_staff()
        self.actor = actor_for(self.user, company)
        factories.make_shipping_rule("4.90", countries=["US"])
        self.first = factories.make_priced_variant("10.00", available=10_000, reorder_level=20_000)

    def grow(self, to: int) -> None:
        for number in range(self.count, to):
            category = Category.objects.create(
                company=self.company, name=f"C{number}", slug=f"c{number}"
            )
            product = factories.make_product(category=category, name=f"Thing {number}")
            variant = factories.make_priced_variant(
                "10.00", product=product, available=10, reorder_level=50
            )
            ProductRelation.objects.create(
                product=self.first.product, related=product, kind="alternative"
            )
            bundle = Bundle.objects.create(
                company=self.company, slug=f"b{number}", name=f"B{number}"
            )
            BundleItem.objects.create(bundle=bundle, variant=variant)
            factories.make_promotion(f"CODE{number}")
            factories.make_tax_rate("0.1", name=f"T{number}", country="US", state=f"S{number}")
            factories.make_shipping_rule("4.90", countries=["DE"])
            carts.add_wish(actor=self.actor, currency="USD", sku=variant.sku, now=self.now)
            notifications.tell(
                actor=self.actor, user_id=self.user.id, channel="x", subject="x",
                dedupe_key=f"k{number}", now=self.now,
            )  # fmt: skip
            orders.place_direct(
                actor=self.actor,
                items=[DirectItem(self.first.sku, 1)],
                email=self.user.email,
                shipping_address=ADDRESS,
                now=self.now,
            )
        self.count = to


def calls(shop: Shop) -> dict[str, Callable[[], Any]]:
    api = Api()
    staff, user = api.as_user(shop.staff), api.as_user(shop.user)
    product = shop.first.product

    def read(client: Api, path: str) -> Callable[[], Any]:
        mark = "&" if "?" in path else "?"
        return lambda: client.get(f"{path}{mark}limit=100")

    def ask(path: str) -> Callable[[], Any]:
        return lambda: api.post(path, {"items": some_items(shop)})

    return {
        **{
            f"customer {path}": read(user, path)
            for path in (
                "/products", "/products?sort=price", "/products/search?q=thing", "/products/search?inStock=true",
                "/products/bundles", "/categories", f"/products/{product.slug}/alternatives",
                f"/products/{product.slug}/recommendations", f"/inventory/product/{product.id}", "/promotions/active",
                "/orders", "/wishlist", "/notifications",
            )
        },
        **{
            f"staff {path}": read(staff, path)
            for path in (
                "/products", "/inventory", "/products/inventory/low-stock", "/promotions", "/tax-rates",
                "/shipping-zones", "/shipping-rules", "/notifications/admin/all",
            )
        },
        "check": ask("/products/inventory/check"),
        "validate": ask("/products/validate/bulk"),
    }  # fmt: skip


def some_items(shop: Shop) -> list[dict[str, Any]]:
    from inventory.models import Variant

    return [
        {"sku": sku, "quantity": 1}
        for sku in Variant.objects.order_by("id").values_list("sku", flat=True)[: shop.count]
    ]


def statements(run: Callable[[], Any]) -> int:
    pricing.forget()
    flags.forget()
    flags.refresh()
    run()  # what a process remembers is not counted
    flags.refresh()
    with CaptureQueriesContext(connection) as captured:
        answer = run()
    assert answer.status_code == 200, answer.content
    return len([q for q in captured.captured_queries if "SAVEPOINT" not in q["sql"]])


def test_no_list_costs_more_for_a_hundred_than_for_ten(company: Company, now: Any) -> None:
    shop = Shop(company, now)
    shop.grow(FEW)
    few = {name: statements(run) for name, run in calls(shop).items()}
    sizes = {
        name: len(run().json()["results"])
        for name, run in calls(shop).items()
        if "recommend" not in name
    }
    shop.grow(MANY)
    many = {name: statements(run) for name, run in calls(shop).items()}

    assert {n: (few[n], many[n]) for n in few if few[n] != many[n]} == {}
    # Each list was long enough for the comparison to mean something.
    short = [n for n, size in sizes.items() if size < FEW]
    assert set(short) <= {
        f"customer /inventory/product/{shop.first.product_id}",
        "customer /promotions/active",
    }
