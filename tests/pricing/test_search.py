"""Search and its facets through the API and the pages: words, typing errors, bad input, scoping, and what keeps it true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import FeatureFlag, User
from inventory import services as inventory
from inventory.models import CatalogueChange, Category, Company, Product, SearchWord, StockLevel
from pricing import selectors
from pricing import services as pricing
from pricing.selectors import picture
from tests import factories
from tests.conftest import Api


@pytest.fixture
def public(company: Company) -> Api:
    return Api()


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [product["name"] for product in answer.json()["results"]]


def make(name: str, *variants: tuple[dict[str, str], str, int], **fields: Any) -> Product:
    """Return a product with variants given as (options, price, units in stock)."""
    product = factories.make_product(name=name, **fields)
    for options, amount, available in variants or (({}, "10.00", 5),):
        variant = factories.make_variant(
            product=product, company=product.company, options=options, available=available
        )
        factories.make_price(variant, amount)
    product.search_terms = " ".join(product.variants.values_list("sku", flat=True))
    product.save()
    return product


@pytest.fixture
def shelf(company: Company) -> None:
    wear = Category.objects.create(company=company, name="Wear", slug="wear")
    coats = Category.objects.create(company=company, name="Coats", slug="coats", parent=wear)
    make(
        "Oilskin Coat",
        ({"Colour": "Ochre", "Size": "M"}, "200.00", 3),
        ({"Colour": "Ochre", "Size": "XL"}, "200.00", 0),
        ({"Colour": "Navy", "Size": "M"}, "220.00", 2),
        category=coats,
    )
    make("Wool Scarf", ({"Colour": "Navy"}, "40.00", 0), category=wear)
    make("Storm Lantern", ({"Colour": "Brass"}, "60.00", 9), vendor="Café Brûlé")
    make("Hidden Coat", ({"Colour": "Ochre"}, "1.00", 1), category=coats, status="draft")
    make("Former Coat", ({"Colour": "Ochre"}, "1.00", 1), category=coats, status="discontinued")
    inventory.learn_words()


def options_of(answer: Any) -> dict[str, dict[str, int]]:
    return {
        option["name"]: {value["value"]: value["count"] for value in option["values"]}
        for option in answer.json()["facets"]["options"]
    }


# --- facets -----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("shelf")
def test_facets_say_what_each_choice_would_leave(public: Api) -> None:
    answer = public.get("/products/search").json()

    assert answer["total"] == 3
    assert answer["suggestion"] is None
    assert answer["corrected"] is False
    assert answer["facets"] == {
        "categories": [
            {"slug": "wear", "name": "Wear", "path": ["wear"], "count": 2, "selected": False},
            {
                "slug": "coats",
                "name": "Coats",
                "path": ["wear", "coats"],
                "count": 1,
                "selected": False,
            },
        ],
        "priceRange": {"min": "40.00", "max": "220.00", "currency": "USD"},
        "options": [
            {
                "name": "Colour",
                "values": [
                    {"value": "Brass", "count": 1, "selected": False},
                    {"value": "Navy", "count": 2, "selected": False},
                    {"value": "Ochre", "count": 1, "selected": False},
                ],
            },
            {
                "name": "Size",
                "values": [
                    {"value": "M", "count": 1, "selected": False},
                    {"value": "XL", "count": 1, "selected": False},
                ],
            },
        ],
        "inStock": {"count": 2},
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("option.Colour=Navy", ["Wool Scarf", "Oilskin Coat"]),
        ("option.colour=NAVY", ["Wool Scarf", "Oilskin Coat"]),
        ("option.Colour=Brass&option.Colour=Ochre", ["Storm Lantern", "Oilskin Coat"]),
        ("option.Colour=Navy&option.Size=M", ["Oilskin Coat"]),
        ("option.Colour=Navy&option.Size=XL", []),  # there is an XL and a navy one, but no navy XL
        ("option.Size=XL&inStock=true", []),  # the size that is there is another one
        ("option.Colour=Ochre&minPrice=210", []),
        ("option.Colour=Purple", []),
        ("option.Weight=1", []),
        ("category=wear&inStock=true", ["Oilskin Coat"]),
        ("category=wear&inStock=false", ["Wool Scarf"]),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_choices_hold_for_one_and_the_same_variant(
    public: Api, query: str, expected: list[str]
) -> None:
    assert names(public.get(f"/products/search?{query}")) == expected


@pytest.mark.django_db
@pytest.mark.usefixtures("shelf")
def test_a_facet_leaves_its_own_choice_out_of_account(public: Api) -> None:
    answer = public.get("/products/search?option.Colour=Ochre&category=coats&inStock=true")
    facets = answer.json()["facets"]

    assert options_of(answer)["Colour"] == {"Navy": 1, "Ochre": 1}
    assert options_of(answer)["Size"] == {"M": 1}
    assert facets["inStock"] == {"count": 1}
    assert [(c["slug"], c["count"], c["selected"]) for c in facets["categories"]] == [
        ("wear", 1, False),
        ("coats", 1, True),
    ]
    gone = public.get("/products/search?option.Colour=Purple")
    assert options_of(gone)["Colour"] == {"Brass": 1, "Navy": 2, "Ochre": 1, "Purple": 0}


@pytest.mark.django_db
def test_sizes_come_in_their_own_order(public: Api) -> None:
    sizes = ["60 cm", "XL", "120 cm", "S", "Round", "M", "9 cm"]
    make("Thing", *(({"Size": size}, "1.00", 1) for size in sizes))

    shown = list(options_of(public.get("/products"))["Size"])

    assert shown == ["S", "M", "XL", "9 cm", "60 cm", "120 cm", "Round"]


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "expected", "suggestion", "corrected"),
    [
        ("lantern", ["Storm Lantern"], None, False),
        ("stor lan", ["Storm Lantern"], None, False),
        ("brule", ["Storm Lantern"], None, False),
        ("BRÛLÉ", ["Storm Lantern"], None, False),
        ("ilskin", ["Oilskin Coat"], None, False),  # inside a word
        ("lantren", ["Storm Lantern"], "lantern", True),
        ("strom lantren", ["Storm Lantern"], "storm lantern", True),
        ("oilskn coat", ["Oilskin Coat"], "oilskin coat", True),
        ("zzzzzz", [], None, False),
        ("hidden", [], None, False),
        ("hiden", [], None, False),  # what is not for sale is not suggested either
        ("the", [], None, False),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_words_find(
    public: Api, words: str, expected: list[str], suggestion: str | None, corrected: bool
) -> None:
    answer = public.get(f"/products/search?q={words}")

    assert names(answer) == expected
    assert answer.json()["suggestion"] == suggestion
    assert answer.json()["corrected"] is corrected


@pytest.mark.django_db
def test_little_found_suggests_what_finds_more(public: Api) -> None:
    for number in range(4):
        make(f"Lamp {number}")
    inventory.learn_words()
    make("Lampp Post")
    answer = public.get("/products/search?q=lampp")

    assert names(answer) == ["Lampp Post"]
    assert (answer.json()["suggestion"], answer.json()["corrected"]) == ("lamp", False)


@pytest.mark.django_db
def test_skus_are_found_whole_and_by_their_parts(public: Api) -> None:
    product = factories.make_product(name="Mug")
    variant = factories.make_variant(product=product, sku="KH-MUG-0054/B")
    factories.make_price(variant)
    Product.objects.filter(id=product.id).update(search_terms="KH-MUG-0054/B")
    make("Jug")

    for words in ("KH-MUG-0054/B", "kh-mug", "MUG-0054", "0054", "054/b", "kh mug 0054"):
        assert names(public.get(f"/products/search?q={words}")) == ["Mug"], words


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    [
        "'", "''", "\\", "a:*", "!(a&b)|c", "a <-> b", ":*", "&", "the and of", "%", "_", "%%%", "___", "a_b%c",
        "🦀", "🦀 🦀", "مرحبا", "שלום", "ß", "²", "\u200f", "x" * 200, "a " * 100, "%00", "%00lantern", "-1", "0.5e10",
        "<b>", "$$", "{0}", "%(company)s", "%s",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("shelf")
def test_no_text_is_an_error_of_ours(public: Api, words: str) -> None:
    client = Client()
    for path in ("/api/v1/products/search", "/search/"):
        answer = client.get(path, {"q": words})

        assert answer.status_code in {200, 400}, answer.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("option.Colour=", "option.Colour"),
        ("option.=Red", "option."),
        (f"option.Colour={'x' * 201}", "option.Colour"),
        ("&".join(f"option.Colour={n}" for n in range(31)), "option.Colour"),
        ("&".join(f"option.O{n}=1" for n in range(11)), "option.*"),
        ("minPrice=5&maxPrice=1", "maxPrice"),
        ("cursor=eyJkIjoibiIsImsiOlsibmV3ZXN0Iiwic2l4IiwiMDAiXX0", "cursor"),
    ],
)
def test_a_wrong_choice_is_named(public: Api, query: str, field: str) -> None:
    answer = public.get(f"/products/search?{query}")

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.django_db
def test_a_cursor_belongs_to_its_order(public: Api) -> None:
    for number in range(3):
        make(f"Lamp {number}")
    following = public.get("/products?sort=price&limit=1").json()["next"].partition("cursor=")[2]

    assert public.get(f"/products?sort=price&limit=1&cursor={following}").status_code == 200
    for sort in ("name", "-price", "newest"):
        assert public.get(f"/products?sort={sort}&limit=1&cursor={following}").status_code == 400


# --- whose, and which -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_another_company_is_neither_found_nor_counted(public: Api, company: Company) -> None:
    other = factories.make_company()
    aisle = Category.objects.create(company=other, name="Theirs", slug="theirs")
    make("Their Lantern", ({"Colour": "Red"}, "5.00", 1), company=other, category=aisle)
    make("Our Lantern", ({"Colour": "Blue"}, "7.00", 1))
    inventory.learn_words()

    ours = public.get("/products/search?q=lantern").json()
    theirs = Api(**{"X-Company-Id": other.slug}).get("/products/search?q=lantern").json()

    assert [p["name"] for p in ours["results"]] == ["Our Lantern"]
    assert (ours["total"], ours["facets"]["priceRange"]["max"]) == (1, "7.00")
    assert ours["facets"]["categories"] == []
    assert [o["values"] for o in ours["facets"]["options"]] == [
        [{"value": "Blue", "count": 1, "selected": False}]
    ]
    assert [p["name"] for p in theirs["results"]] == ["Their Lantern"]
    assert public.get("/products/search?q=theri").json()["suggestion"] is None
    assert names(public.get("/products/search?category=theirs")) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("shelf")
def test_staff_see_other_states_with_their_facets(public: Api, staff_user: User) -> None:
    answer = Api().as_user(staff_user).get("/products/search?status=draft&q=coat")

    assert names(answer) == ["Hidden Coat"]
    assert options_of(answer) == {"Colour": {"Ochre": 1}}
    assert names(public.get("/products/search?status=draft&q=coat")) == ["Oilskin Coat"]


@pytest.mark.django_db
def test_prices_are_those_of_the_currency(public: Api) -> None:
    product = make("Lantern", ({}, "50.00", 1))
    make("Only dollars", ({}, "70.00", 1))
    factories.make_price(product.variants.get(), "45.50", "EUR")

    answer = public.get("/products/search?currency=EUR").json()
    assert answer["facets"]["priceRange"] == {"min": "45.50", "max": "45.50", "currency": "EUR"}
    assert (answer["total"], answer["facets"]["inStock"]["count"]) == (2, 1)
    assert names(public.get("/products/search?currency=EUR&sort=price")) == ["Lantern"]
    assert names(public.get("/products/search?currency=EUR&maxPrice=45.499")) == []


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["", "q=lamp", "q=lmap", "q=lamp&option.Size=M&inStock=true&minPrice=1&sort=name"]
)
def test_a_search_is_two_statements_whatever_the_size(public: Api, query: str) -> None:
    for number in range(30):
        product = make(f"Lamp {number}", ({"Size": "M"}, "5.00", 1), ({"Size": "S"}, "5.00", 1))
        product.images.create(url="a.svg")
    inventory.learn_words()
    public.get("/products")

    def statements(limit: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            answer = public.get(f"/products/search?{query}&limit={limit}")
        assert len(answer.json()["results"]) == limit
        return len(captured)

    assert statements(2) == statements(30) == 2


# --- what keeps it true ---------------------------------------------------------------------------


@pytest.fixture
def _shared(transactional_db: None) -> Iterator[None]:
    """What a process reads outside of a transaction stays with it, as in a running shop."""
    selectors.forget_catalogue()
    yield
    selectors.forget_catalogue()


def stocked(public: Api) -> tuple[int, int]:
    answer = public.get("/products").json()
    return answer["total"], answer["facets"]["inStock"]["count"]


@pytest.mark.usefixtures("_shared")
def test_what_is_known_follows_every_change(now: datetime) -> None:
    company = factories.default_company()
    public, system = Api(), Actor.system(company.id)
    product = make("Lantern", ({"Colour": "Red"}, "50.00", 2))
    variant = product.variants.get()
    assert stocked(public) == (1, 1)

    def facets() -> Any:
        return public.get("/products").json()["facets"]

    pricing.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(40), now=now
    )
    assert facets()["priceRange"]["min"] == "40.00"
    variant.options = {"Colour": "Green"}
    variant.save()
    assert facets()["options"][0]["values"][0]["value"] == "Green"
    StockLevel.objects.filter(variant=variant).update(available=0, total=0)
    assert stocked(public) == (1, 0)
    variant.inventory_policy = "continue"
    variant.save()
    assert stocked(public) == (1, 1)
    variant.inventory_policy = "deny"
    variant.save()
    level = factories.make_stock(variant, 3, warehouse=factories.make_warehouse(is_active=False))
    assert stocked(public) == (1, 0)
    FeatureFlag.objects.create(name="ORDER_ENABLE_MULTIPLE_WAREHOUSES", enabled=True)
    level.warehouse.is_active = True
    level.warehouse.save()
    assert stocked(public) == (1, 1)
    StockLevel.objects.filter(id=level.id).update(available=0, total=0)
    assert stocked(public) == (1, 0)
    make("Second")
    assert stocked(public) == (2, 1)
    inventory.discontinue(actor=system, product_id=product.id, now=now)
    assert stocked(public) == (1, 1)
    Product.objects.exclude(id=product.id).get().variants.update(is_active=False)
    assert stocked(public) == (1, 0)


@pytest.mark.usefixtures("_shared")
def test_a_hold_that_ran_out_is_stock_before_it_is_swept(now: datetime) -> None:
    company = factories.default_company()
    public = Api()
    variant = make("Lantern", ({}, "50.00", 1)).variants.get()
    level = StockLevel.objects.get(variant=variant)
    StockLevel.objects.filter(id=level.id).update(available=0, reserved=1)
    hold = level.reservations.create(
        company=company, variant=variant, line_id=variant.id, holder="x", quantity=1,
        started_at=now - timedelta(hours=1), expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    assert stocked(public) == (1, 0)

    level.reservations.update(expires_at=now - timedelta(minutes=1))
    assert stocked(public) == (1, 1)
    StockLevel.objects.filter(id=level.id).update(is_awaited=True)  # it is for who waits
    assert stocked(public) == (1, 0)
    StockLevel.objects.filter(id=level.id).update(is_awaited=False)
    assert stocked(public) == (1, 1)
    # Renewed: what was so for a moment has left no trace.
    level.reservations.filter(id=hold.id).update(expires_at=now + timedelta(hours=1))
    assert stocked(public) == (1, 0)


@pytest.mark.usefixtures("_shared")
def test_what_is_not_committed_is_seen_by_its_own_transaction_only() -> None:
    factories.default_company()
    public = Api()
    make("Lantern")
    assert stocked(public) == (1, 1)

    with transaction.atomic():
        make("Phantom")
        assert stocked(public) == (2, 2)
        transaction.set_rollback(True)

    assert stocked(public) == (1, 1)


@pytest.mark.usefixtures("_shared")
def test_a_transaction_that_ends_late_is_not_missed() -> None:
    """The one that began first ends last: its note has a number that was passed long ago."""
    factories.default_company()
    public = Api()
    product = make("Lantern", ({}, "50.00", 1))
    other = make("Mug", ({}, "5.00", 1))
    stocked(public)
    slow = connection.copy()
    try:
        with slow.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE products SET status = 'draft' WHERE id = %s", [product.id])
        Product.objects.filter(id=other.id).update(name="Cup")
        assert stocked(public) == (2, 2)
        assert names(public.get("/products?sort=name")) == ["Cup", "Lantern"]
        with slow.cursor() as cursor:
            cursor.execute("COMMIT")
    finally:
        slow.close()

    assert stocked(public) == (1, 1)


@pytest.mark.django_db
def test_a_sale_that_leaves_some_writes_no_note(company: Company) -> None:
    variant = factories.make_variant(available=3)
    level = StockLevel.objects.get(variant=variant)
    CatalogueChange.objects.all().delete()

    StockLevel.objects.filter(id=level.id).update(available=1, total=1)
    assert not CatalogueChange.objects.exists()

    StockLevel.objects.filter(id=level.id).update(available=0, total=0)
    assert CatalogueChange.objects.get().product_id == variant.product_id


@pytest.mark.django_db
def test_notes_are_kept_for_a_day(company: Company, now: datetime) -> None:
    factories.make_variant()
    assert inventory.prune_changes(now=now) == 0
    assert inventory.prune_changes(now=now + timedelta(hours=25)) == 1
    assert picture._KEPT_SECONDS < timedelta(hours=24).total_seconds()


@pytest.mark.django_db
def test_words_are_learnt_and_forgotten(company: Company) -> None:
    product = make("Brûlée Lantern", ({"Colour": "Ochre"}, "1.00", 1), vendor="Ebb", tags=["gift"])
    make("Secret Thing", status="draft")

    assert inventory.learn_words() == 5
    assert inventory.learn_words() == 0
    words = set(SearchWord.objects.values_list("word", flat=True))
    assert words == {"brulee", "lantern", "ebb", "gift", "ochre"}
    Product.objects.filter(id=product.id).update(name="Lamp", vendor="")
    inventory.learn_words()
    assert set(SearchWord.objects.values_list("word", flat=True)) == {"lamp", "gift", "ochre"}
