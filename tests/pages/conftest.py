"""A small shop for the pages: two aisles, four products, a way to ship, a code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from inventory.models import Category, Company, Product, ProductImage, Variant
from tests import factories

NAMES = {"US": "ME"}


@dataclass
class Market:
    """What is for sale: a mug in two colours, a bell that is sold out, a lamp on sale, a rope that is scarce."""

    company: Company
    galley: Category
    mug: Product
    kelp: Variant
    ink: Variant
    bell: Variant
    lamp: Variant
    rope: Variant


def stock_market(company: Company) -> Market:
    company.name = "Kelp & Hold"
    company.save(update_fields=["name"])
    galley = Category.objects.create(
        company=company, name="Kitchen & Galley", slug="galley", image="demo/category-galley.svg"
    )
    light = Category.objects.create(company=company, name="Light & Brass", slug="light", position=1)

    def product(name: str, slug: str, category: Category, image: str, **fields: Any) -> Product:
        made = factories.make_product(
            company=company,
            name=name,
            slug=slug,
            category=category,
            description=f"<p>{name}, described in one honest sentence.</p>",
            **fields,
        )
        ProductImage.objects.create(product=made, url=image, alt=name)
        return made

    mug = product(
        "Harbour Mug",
        "harbour-mug",
        galley,
        "demo/harbour-enamel-mug.svg",
        option_names=["Colour"],
        vendor="Gull Island",
    )
    bell = product("Doorway Bell", "doorway-bell", light, "demo/doorway-bell.svg")
    lamp = product("Bulkhead Lamp", "bulkhead-lamp", light, "demo/bulkhead-lamp.svg")
    rope = product("Manila Rope", "manila-rope", light, "demo/three-strand-rope.svg")
    market = Market(
        company=company,
        galley=galley,
        mug=mug,
        kelp=_priced(
            mug,
            "MUG-KELP",
            "18.00",
            40,
            options={"Colour": "Kelp"},
            image="demo/harbour-enamel-mug.svg",
        ),
        ink=_priced(
            mug,
            "MUG-INK",
            "19.00",
            40,
            options={"Colour": "Ink"},
            image="demo/harbour-enamel-mug-ink.svg",
            position=1,
        ),
        bell=_priced(bell, "BELL", "124.00", 0),
        lamp=_priced(lamp, "LAMP", "90.00", 8, compare_at=Decimal("120.00")),
        rope=_priced(rope, "ROPE", "15.00", 3),
    )
    factories.make_shipping_rule("6.90", countries=("US", "DE"), company=company)
    factories.make_promotion("SAVE10", company=company, name="10 % off")
    cache.clear()  # the aisles are remembered for a minute
    return market


def _priced(
    product: Product,
    sku: str,
    amount: str,
    available: int,
    *,
    compare_at: Decimal | None = None,
    **fields: Any,
) -> Variant:
    variant = factories.make_variant(product=product, sku=sku, available=available, **fields)
    factories.make_price(variant, amount, compare_at=compare_at)
    return variant


@pytest.fixture
def market(company: Company) -> Market:
    return stock_market(company)


class Visitor:
    """Visits pages as a browser without a script would: follows redirects, sends the forms' hidden fields."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)

    def post(
        self, path: str, form: dict[str, Any] | None = None, *, follow: bool = True, **headers: str
    ) -> Any:
        return self.client.post(path, form or {}, follow=follow, headers=headers)

    def part(self, path: str, form: dict[str, Any] | None = None) -> Any:
        """Post as the page's script does; the answer is a part of a page."""
        return self.post(path, form, follow=False, **{"HX-Request": "true"})

    def add(self, sku: str, quantity: int = 1, **form: Any) -> Any:
        return self.post("/cart/add/", {"sku": sku, "quantity": quantity, **form})

    def line_id(self) -> str:
        """Return the id of the first line on the cart's page."""
        found = re.search(r'id="line-([0-9a-f-]{36})"', self.get("/cart/").content.decode())
        assert found, "the cart shows no line"
        return found.group(1)


@pytest.fixture
def visitor(market: Market) -> Visitor:
    return Visitor()


def text_of(response: Any) -> str:
    """Return what a page says, without markup and with single spaces."""
    content = re.sub(r"<(script|style)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return (
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content))
        .replace("&amp;", "&")
        .replace("&#x27;", "'")
    )
