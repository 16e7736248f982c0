"""What the cart's page suggests: a quiet row, taken or sent away with one press."""

from __future__ import annotations

from typing import Any

import pytest

from cart.models import CartLine
from inventory.models import ProductRelation, Variant
from tests import factories
from tests.pages.conftest import Visitor, text_of

pytestmark = pytest.mark.django_db


def item(name: str, price: str = "10.00", available: int = 5, **fields: Any) -> Variant:
    product = fields.pop("product", None) or factories.make_product(name=name, slug=name.lower())
    return factories.make_priced_variant(
        price, product=product, sku=name.upper(), available=available, **fields
    )


def relate(variant: Variant, other: Variant, weight: int = 0) -> None:
    ProductRelation.objects.create(
        product=variant.product, related=other.product, kind="cross_sell", weight=weight
    )


def test_the_page_has_a_quiet_row_that_works_without_a_script(visitor: Visitor):
    mug, tray, cup = item("Mug"), item("Tray", "12.50"), item("Cup")
    item("Ink", "9.00", product=cup.product, options={"Colour": "Ink"})
    relate(mug, tray, weight=2)
    relate(mug, cup, weight=1)
    visitor.add("MUG")

    page = visitor.get("/cart/")
    shown = text_of(page)
    assert "Goes with it" in shown
    assert "$12.50 · Goes well with it" in shown
    assert "from $9.00" in shown
    assert [row["can_add"] for row in page.context["upsells"]] == [True, False]

    visitor.post(f"/cart/upsells/{tray.product_id}/", {"act": "add", "key": "a" * 32})
    visitor.post(f"/cart/upsells/{tray.product_id}/", {"act": "add", "key": "a" * 32})
    assert dict(CartLine.objects.values_list("variant__sku", "quantity")) == {"MUG": 1, "TRAY": 1}
    visitor.post(f"/cart/upsells/{cup.product_id}/", {"act": "dismiss", "key": "b" * 32})
    assert "Goes with it" not in text_of(visitor.get("/cart/"))


def test_a_press_that_comes_too_late_is_refused_kindly(visitor: Visitor):
    mug, tray = item("Mug"), item("Tray", available=0)
    visitor.add(mug.sku)

    answer = visitor.post(f"/cart/upsells/{tray.product_id}/", {"act": "add", "key": "a" * 32})

    assert CartLine.objects.count() == 1
    assert "TRAY is out of stock." in text_of(answer)
