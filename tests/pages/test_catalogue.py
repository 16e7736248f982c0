"""Home, lists, search and product pages."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from inventory import services as inventory
from inventory.models import Category, Product
from pricing.models import PriceChange
from tests import factories
from tests.pages.conftest import Market, Visitor, text_of


def test_home_shows_the_aisles_and_a_first_choice(visitor: Visitor) -> None:
    page = visitor.get("/")

    assert page.status_code == 200
    said = text_of(page)
    assert "Kelp & Hold" in said
    assert "Kitchen & Galley" in said
    assert "Harbour Mug" in said
    assert "Doorway Bell" not in said  # sold out: not a first choice


def test_home_of_an_empty_shop_is_a_page(company: Any) -> None:
    assert Visitor().get("/").status_code == 200


def test_list_counts_what_it_shows(visitor: Visitor) -> None:
    said = text_of(visitor.get("/products/"))

    assert "4 things" in said
    assert "Sold out" in said
    assert "3 left" in said
    assert "2 colours" in said
    assert "$90.00" in said
    assert "$120.00" in said


@pytest.mark.parametrize(
    ("query", "count", "chip"),
    [
        ("?minPrice=80", "2 things", "from $80.00"),
        ("?maxPrice=18,50", "2 things", "up to $18.50"),
        ("?inStock=true", "3 things", "in stock"),
        ("?minPrice=oops&maxPrice=-1&sort=evil&page=99", "4 things", ""),
        ("?page=x&minPrice=99999999999999999999", "4 things", ""),
    ],
)
def test_filters_narrow_the_list_and_become_chips(
    visitor: Visitor, query: str, count: str, chip: str
) -> None:
    page = visitor.get(f"/products/{query}")

    assert page.status_code == 200
    assert count in text_of(page)
    assert chip in text_of(page)


def test_the_script_gets_only_the_part_that_changed(visitor: Visitor) -> None:
    part = visitor.get("/products/?inStock=true", **{"HX-Request": "true", "HX-Target": "browse"})

    assert b"<html" not in part.content
    assert "3 things" in text_of(part)
    assert part["HX-Push-Url"] == "/products/?inStock=true"


def test_facets_are_fields_and_choices_are_chips_that_go_away(visitor: Visitor) -> None:
    page = visitor.get("/products/?option.Colour=Kelp&option.Colour=Ink&sort=name&minPrice=")
    content = page.content.decode()

    assert "1 thing" in text_of(page)
    assert len(re.findall(r'name="option.Colour" value="[^"]+" checked', content)) == 2
    assert 'href="/products/?option.Colour=Ink&amp;sort=name"' in content  # without Kelp
    assert 'href="/products/?sort=name"' in content  # clear all
    ids = re.findall(r'\sid="([^"]+)"', content)
    assert len(ids) == len(set(ids))


def test_a_list_that_nothing_fits_leads_on(visitor: Visitor) -> None:
    page = visitor.get("/search/?q=lamp&option.Colour=Purple")
    said, content = text_of(page), page.content.decode()

    assert "Nothing fits all of that" in said
    assert 'class="button" href="/search/?q=lamp"' in content
    assert 'href="/category/galley/"' in content
    assert 'value="Purple" checked' in content  # it can be taken away where it was chosen, too


def test_a_typing_error_is_put_right_and_said(visitor: Visitor) -> None:
    inventory.learn_words()

    said = text_of(visitor.get("/search/?q=habrour"))

    assert "Nothing for “habrour”. Showing harbour instead." in said
    assert "Harbour Mug" in said


def test_below_a_category_the_way_back_is_shown(visitor: Visitor, market: Market) -> None:
    mugs = Category.objects.create(
        company=market.company, name="Mugs", slug="mugs", parent=market.galley
    )
    Product.objects.filter(id=market.mug.id).update(category=mugs)

    content = visitor.get("/category/mugs/?inStock=true").content.decode()

    assert '<li><a href="/category/galley/">Kitchen &amp; Galley</a></li>' in content
    assert 'href="/category/galley/?inStock=true"' in content  # what is chosen comes along
    assert "1 thing" in text_of(visitor.get("/category/galley/"))


def test_category_shows_its_own(visitor: Visitor) -> None:
    said = text_of(visitor.get("/category/galley/"))

    assert "1 thing" in said
    assert "Harbour Mug" in said
    assert visitor.get("/category/nowhere/").status_code == 404


def test_search_finds_and_never_ends_blind(visitor: Visitor) -> None:
    assert "Bulkhead Lamp" in text_of(visitor.get("/search/?q=bulkhead"))
    empty = text_of(visitor.get("/search/?q=submarine"))
    assert "Nothing for “submarine”" in empty
    assert "Harbour Mug" in empty  # suggestions
    assert visitor.get("/search/?q=%27%3B--%20%F0%9F%90%99" + "x" * 3000).status_code == 200


def test_words_of_a_search_cannot_become_markup(visitor: Visitor) -> None:
    page = visitor.get("/search/?q=<script>alert(1)</script>")

    assert b"<script>alert" not in page.content


def test_product_shows_the_choice_and_its_price(visitor: Visitor, market: Market) -> None:
    first = text_of(visitor.get("/products/harbour-mug/"))
    assert "$18.00" in first
    assert "MUG-KELP" in first
    assert "In stock" in first

    other = text_of(visitor.get("/products/harbour-mug/?option-1=Ink"))
    assert "$19.00" in other
    assert "MUG-INK" in other

    part = visitor.get(
        "/products/harbour-mug/?option-1=Ink", **{"HX-Request": "true", "HX-Target": "product"}
    )
    assert b"<html" not in part.content
    assert "MUG-INK" in text_of(part)


def test_product_that_is_gone_cannot_be_added(visitor: Visitor) -> None:
    page = visitor.get("/products/doorway-bell/")

    assert "Sold out" in text_of(page)
    assert b'id="buy-button"' not in page.content
    assert "Tell me when it is back" in text_of(page)


def test_sale_names_the_lowest_price_of_thirty_days(
    visitor: Visitor, market: Market, now: Any
) -> None:
    PriceChange.objects.create(
        variant=market.lamp,
        currency="USD",
        old_amount=Decimal(110),
        new_amount=Decimal(90),
        actor="test",
        changed_at=now,
    )

    said = text_of(visitor.get("/products/bulkhead-lamp/"))

    assert "Lowest price of the last 30 days: $110.00" in said


def test_unknown_product_is_a_friendly_404(visitor: Visitor, market: Market) -> None:
    factories.make_product(company=market.company, slug="secret", status=Product.Status.DRAFT)

    for path in ("/products/nothing/", "/products/secret/", "/products/%F0%9F%90%99/", "/nowhere/"):
        page = visitor.get(path)
        assert page.status_code == 404
        assert "No ground at this depth" in text_of(page)


def test_currency_and_theme_are_remembered(visitor: Visitor, market: Market) -> None:
    factories.make_price(market.kelp, "17.50", "EUR")

    visitor.post("/preferences/", {"currency": "EUR", "theme": "dark", "next": "/products/"})

    page = visitor.get("/products/harbour-mug/")
    assert "€17.50" in text_of(page)
    assert b'data-theme="dark"' in page.content


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""]
)
def test_preferences_lead_nowhere_else(visitor: Visitor, target: str) -> None:
    answer = visitor.post("/preferences/", {"theme": "light", "next": target}, follow=False)

    assert answer["Location"] == "/"


def test_preferences_take_no_nonsense(visitor: Visitor) -> None:
    answer = visitor.post("/preferences/", {"theme": "<b>", "currency": "XXX"}, follow=False)

    assert not answer.cookies
