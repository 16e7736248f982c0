"""What a cart offers instead of what is gone: on its page, with buttons, and in what `validate` answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.platform.actor import Actor, ActorKind
from inventory.models import Category, ProductRelation, Reservation, StockLevel, Variant
from pricing import selectors as pricing
from tests import factories
from tests.pages.conftest import Visitor, text_of
from tests.pages.test_cart import quantities

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]


@pytest.fixture
def kitchen(company: Any) -> Category:
    return Category.objects.create(company=company, slug="kitchen", name="Kitchen")


def goods(name: str, price: str, category: Category | None, **fields: Any) -> Variant:
    product = factories.make_product(
        name=name, slug=name.lower().replace(" ", "-"), category=category
    )
    return factories.make_priced_variant(price, product=product, sku=name.upper(), **fields)


def sell_out(variant: Variant) -> None:
    Reservation.objects.filter(variant=variant).update(status="EXPIRED")
    StockLevel.objects.filter(variant=variant).update(available=0, reserved=0, total=0)


def discontinue(variant: Variant) -> None:
    variant.product.status = "discontinued"
    variant.product.save()


@pytest.mark.parametrize("go", [sell_out, discontinue])
def test_a_line_that_is_gone_offers_what_is_close_to_it(
    visitor: Visitor, kitchen: Category, go: Any
) -> None:
    mug = goods("MUG", "20.00", kitchen, available=5)
    goods("NEAR", "18.00", kitchen, available=5)
    goods("SOLDOUT", "20.00", kitchen, available=0)
    named = goods("NAMED", "70.00", None, available=1)
    ProductRelation.objects.create(product=mug.product, related=named.product, kind="alternative")
    visitor.add("MUG", 2)
    go(mug)

    page = visitor.get("/cart/")

    shown = text_of(page)
    assert "We are sorry." in shown
    assert [one["name"] for one in page.context["lines"][0]["instead"]] == ["NAMED", "NEAR"]
    assert "SOLDOUT" not in shown
    buttons = {one["sku"]: one["quantity"] for one in page.context["lines"][0]["instead"]}
    assert buttons == {"NAMED": 1, "NEAR": 2}  # as many as were wanted, or as there are

    visitor.post("/cart/add/", {"sku": "NEAR", "quantity": 2, "key": "k" * 32})
    assert quantities() == {"MUG": 2, "NEAR": 2}


def test_other_choices_of_the_same_thing_come_first(visitor: Visitor, kitchen: Category) -> None:
    product = factories.make_product(
        name="Mug", slug="mug", category=kitchen, option_names=["Colour"]
    )
    kelp, ink = (
        factories.make_priced_variant(
            "20.00", product=product, sku=f"CUP-{colour}", available=5, options={"Colour": colour}
        )
        for colour in ("KELP", "INK")
    )
    goods("NEAR", "18.00", kitchen, available=5)
    visitor.add(kelp.sku)
    sell_out(kelp)

    first, second = visitor.get("/cart/").context["lines"][0]["instead"]

    assert (first["sku"], first["options_text"], second["sku"]) == (ink.sku, "INK", "NEAR")


def test_what_comes_in_several_choices_is_chosen_on_its_page(
    visitor: Visitor, kitchen: Category
) -> None:
    cap = goods("CAP", "20.00", kitchen, available=5, options={"Size": "M"})
    same = factories.make_product(name="Hat", slug="hat", category=kitchen, option_names=["Size"])
    other = factories.make_product(
        name="Hood", slug="hood", category=kitchen, option_names=["Size"]
    )
    for product, sizes in ((same, "ML"), (other, "SL")):
        for size in sizes:
            factories.make_priced_variant(
                "21.00",
                product=product,
                sku=f"{product.slug}-{size}",
                available=3,
                options={"Size": size},
            )
    visitor.add("CAP")
    sell_out(cap)

    page = visitor.get("/cart/")

    offered = {one["name"]: one["sku"] for one in page.context["lines"][0]["instead"]}
    assert offered == {"Hat": "hat-M", "Hood": ""}
    assert 'href="/products/hood/"' in page.content.decode()


def test_what_is_only_scarce_offers_nothing_else(visitor: Visitor, kitchen: Category) -> None:
    mug = goods("MUG", "20.00", kitchen, available=5)
    goods("NEAR", "18.00", kitchen, available=5)
    visitor.add("MUG", 3)
    sell_out(mug)
    StockLevel.objects.filter(variant=mug).update(available=1, total=1)

    [line] = visitor.get("/cart/").context["lines"]

    assert (line["is_gone"], line["instead"]) == (False, [])
    assert line["problems"]


def test_validate_names_what_the_category_has_and_costs_the_same_for_many_lines(
    api: Any, kitchen: Category
) -> None:
    near = goods("NEAR", "18.00", kitchen, available=5)
    mugs = [goods(f"MUG{n}", "20.00", kitchen, available=5) for n in range(6)]
    guest_api = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    for mug in mugs:
        assert guest_api.post("/cart/items", {"sku": mug.sku}).status_code == 201

    counts = []
    for gone in ([mugs[0]], mugs[1:]):
        for mug in gone:
            sell_out(mug)
        guest_api.get("/cart/validate")  # the search takes in what changed
        with CaptureQueriesContext(connection) as queries:
            found = guest_api.get("/cart/validate").json()
        counts.append(len(queries))

    assert counts[0] == counts[1]
    assert len(found["problems"]) == 6
    for problem in found["problems"]:
        assert problem["extra"]["alternatives"] == [
            {"productId": str(near.product_id), "name": "NEAR", "url": "/products/near/"}
        ]
    assert [
        view.name
        for view in pricing.alternative_products(
            actor=actor_of_guest(), ref="mug0", currency="USD", now=timezone.now()
        )
    ] == ["NEAR"]


def actor_of_guest() -> Actor:
    return Actor(kind=ActorKind.ANONYMOUS, company_id=factories.default_company().id)


def test_a_cart_without_gone_lines_asks_nothing_more(visitor: Visitor, kitchen: Category) -> None:
    mug = goods("MUG", "20.00", kitchen, available=5)
    visitor.add("MUG")
    assert visitor.get("/cart/").context["lines"][0]["instead"] == []
    with CaptureQueriesContext(connection) as queries:
        visitor.get("/cart/")
    whole = len(queries)

    sell_out(mug)
    visitor.get("/cart/")
    with CaptureQueriesContext(connection) as queries:
        visitor.get("/cart/")

    assert len(queries) <= whole + 5
