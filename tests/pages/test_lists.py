"""The wishlist's page, and the page where products stand side by side."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from cart.models import Cart, Comparison, Wish
from inventory.models import StockLevel
from pricing.models import Price
from tests import factories
from tests.pages.conftest import Market, Visitor, text_of

pytestmark = pytest.mark.django_db


def wish_id(visitor: Visitor) -> str:
    found = re.search(r"/wishlist/([0-9a-f-]{36})/", visitor.get("/wishlist/").content.decode())
    assert found, "the page shows no wish"
    return found.group(1)


@pytest.mark.parametrize("path", ["/wishlist/", "/compare/"])
def test_an_empty_list_says_how_it_fills_and_writes_nothing(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)

    assert page.status_code == 200
    assert "yet" in text_of(page)
    assert "no-store" in page["Cache-Control"]
    assert not Cart.objects.exists()


def test_a_visitor_wishes_for_the_choice_of_the_product_page(
    visitor: Visitor, market: Market
) -> None:
    form = {"product": market.mug.id, "slug": "harbour-mug", "option-1": "Ink", "quantity": "3"}

    page = visitor.post("/wishlist/add/", form)
    Price.objects.filter(variant=market.ink).update(amount="15.00")
    later = text_of(visitor.get("/wishlist/"))

    assert page.redirect_chain[-1][0] == "/wishlist/"
    assert "On your wishlist." in text_of(page)
    assert Wish.objects.get().variant == market.ink
    assert "Harbour Mug" in later
    assert "Ink" in later
    assert "Down from $19.00 since you put it here." in later
    assert "In stock" in later
    assert StockLevel.objects.get(variant=market.ink).reserved == 0


def test_a_wish_moves_into_the_cart(visitor: Visitor, market: Market) -> None:
    visitor.post("/wishlist/add/", {"sku": "LAMP"})

    page = visitor.post(f"/wishlist/{wish_id(visitor)}/", {"act": "cart"})

    assert "It is in your cart now" in text_of(page)
    assert "Bulkhead Lamp" in text_of(visitor.get("/cart/"))
    assert not Wish.objects.exists()


def test_what_is_sold_out_can_be_wished_for_and_says_so(visitor: Visitor) -> None:
    visitor.post("/wishlist/add/", {"sku": "BELL"})

    said = text_of(visitor.get("/wishlist/"))
    refused = visitor.post(f"/wishlist/{wish_id(visitor)}/", {"act": "cart"})

    assert "Sold out" in said
    assert "Move to cart" not in said
    assert Wish.objects.count() == 1
    assert "Lower the quantity or remove the item." in text_of(refused)


def test_a_wish_of_another_visitor_is_not_there(visitor: Visitor) -> None:
    visitor.post("/wishlist/add/", {"sku": "LAMP"})
    stranger = Visitor()

    page = stranger.post(f"/wishlist/{wish_id(visitor)}/", {"act": "remove"})

    assert "no such item on your wishlist" in text_of(page)
    assert Wish.objects.count() == 1


def test_the_script_gets_an_answer_in_place(visitor: Visitor, market: Market) -> None:
    added = visitor.part("/wishlist/add/", {"sku": "LAMP"})
    again = visitor.part("/wishlist/add/", {"sku": "LAMP"})
    refused = visitor.part("/wishlist/add/", {"sku": "NOPE"})

    assert b"<html" not in added.content
    assert "On your wishlist." in text_of(added)
    assert "It is on your wishlist." in text_of(again)
    assert (refused.status_code, "no such product" in text_of(refused)) == (422, True)


def test_a_wishlist_is_there_after_signing_in(visitor: Visitor) -> None:
    user = factories.make_user(email="sailor@example.com")
    visitor.post("/wishlist/add/", {"sku": "LAMP"})
    visitor.post("/compare/add/", {"product": "harbour-mug"})

    visitor.post("/account/login/", {"login": user.email, "password": factories.PASSWORD})
    elsewhere = Client()
    elsewhere.force_login(user)

    for client in (visitor.client, elsewhere):
        assert "Bulkhead Lamp" in client.get("/wishlist/").content.decode()
        assert "Harbour Mug" in client.get("/compare/").content.decode()


def test_products_stand_side_by_side_and_differences_are_marked(
    visitor: Visitor, market: Market
) -> None:
    for slug in ("harbour-mug", "bulkhead-lamp"):
        visitor.post("/compare/add/", {"product": slug})
    market.kelp.weight_grams = 320
    market.kelp.save()
    market.lamp.weight_grams = 1_250
    market.lamp.save()

    page = visitor.get("/compare/")
    said = text_of(page)

    assert [row.split("<")[0] for row in re.findall(r'<th scope="row">([^<]+)', page.content.decode())] == [
        "Price", "In stock", "Made by", "Colour", "Weight", "Kind",
    ]  # fmt: skip
    assert "from $18.00" in said
    assert "Kelp, Ink" in said
    assert "320 g" in said
    assert "1.25 kg" in said
    assert page.content.count(b"compare__differs") == 4
    assert "There is room for 2 more." in said


def test_products_are_taken_out_of_the_comparison(visitor: Visitor, market: Market) -> None:
    for slug in ("harbour-mug", "bulkhead-lamp", "manila-rope"):
        visitor.post("/compare/add/", {"product": slug})

    visitor.post("/compare/change/", {"product": str(market.mug.id)})
    left = Comparison.objects.get().product_ids
    page = visitor.post("/compare/change/", {"act": "clear"})

    assert left == [market.lamp.product_id, market.rope.product_id]
    assert "Nothing to compare yet" in text_of(page)


def test_the_product_page_offers_both_lists(visitor: Visitor) -> None:
    page = visitor.get("/products/harbour-mug/").content.decode()

    assert 'formaction="/wishlist/add/"' in page
    assert 'formaction="/compare/add/"' in page


@pytest.mark.parametrize("path", ["/wishlist/add/", "/compare/add/"])
@pytest.mark.parametrize(
    "form", [{}, {"sku": "\x00", "product": "\x00"}, {"product": "x" * 400}, {"product": "é"}]
)
def test_rubbish_is_refused_kindly(visitor: Visitor, path: str, form: dict[str, str]) -> None:
    assert visitor.post(path, form).status_code == 200
    assert not Wish.objects.exists()
    assert not Comparison.objects.exists()


def test_a_list_offers_to_compare_in_place(visitor: Visitor, market: Market) -> None:
    page = visitor.get("/products/").content.decode()
    answer = visitor.part("/compare/add/?card", {"product": str(market.mug.id)})

    assert page.count('form="compare-form"') == 4
    assert b"card__compare--in" in answer.content
    assert Comparison.objects.get().product_ids == [market.mug.id]
    for slug in ("doorway-bell", "bulkhead-lamp", "manila-rope"):
        visitor.part("/compare/add/?card", {"product": slug})
    fifth = factories.make_product(company=market.company)
    full = visitor.part("/compare/add/?card", {"product": fifth.slug})
    assert full["HX-Redirect"] == "/compare/"
    assert "as many as one can compare" in text_of(visitor.get("/compare/"))
