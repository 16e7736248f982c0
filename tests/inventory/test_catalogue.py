"""Products from drafts, one and thousands at a time; categories, relations, bundles."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.search import SearchQuery
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import selectors
from inventory import services as inventory
from inventory.errors import CategoryInUse, CategoryNotFound, SkuTaken, SlugTaken
from inventory.models import Category, Product, ProductImage, StockLevel, StockMovement, Variant
from inventory.services import (
    BundleDraft,
    CategoryDraft,
    Demand,
    ImageDraft,
    ProductDraft,
    Upserted,
    VariantDraft,
    catalogue,
)
from tests.factories import make_company, make_product, make_variant, make_warehouse
from tests.threads import together

pytestmark = pytest.mark.django_db


def a_mug(**changes: Any) -> ProductDraft:
    return ProductDraft(
        **{
            "slug": "mug",
            "name": "Harbour mug",
            "description": "<p>Keeps <b>tea</b> hot.</p><script>alert(1)</script><img src=//x.example/p>",
            "vendor": "Gull Island",
            "tags": ["enamel"],
            "option_names": ["Colour"],
            "category": "galley",
            "category_name": "Galley",
            "images": [ImageDraft("demo/mug.svg", "A mug")],
            "variants": [
                VariantDraft(
                    sku="MUG-RED", options={"Colour": "Red"}, stock={"": 5}, reorder_level=2
                ),
                VariantDraft(sku="MUG-INK", options={"Colour": "Ink"}, inventory_policy="continue"),
            ],
            **changes,
        }
    )


def names() -> list[str]:
    return list(OutboxEvent.objects.order_by("id").values_list("name", flat=True))


def test_upsert_creates_a_product_with_all_that_belongs_to_it(system: Actor, now: datetime) -> None:
    result = inventory.upsert_product(actor=system, draft=a_mug(), now=now)

    product = Product.objects.get()
    assert result == Upserted(
        product.id,
        "mug",
        True,
        True,
        {variant.sku: variant.id for variant in product.variants.all()},
        ("MUG-RED", "MUG-INK"),
    )
    assert product.description == "<p>Keeps <b>tea</b> hot.</p>"
    assert product.category is not None
    assert product.category.name == "Galley"
    assert list(product.images.values_list("url", "alt")) == [("demo/mug.svg", "A mug")]
    assert list(
        StockLevel.objects.order_by("variant__position").values_list(
            "variant__sku", "warehouse__code", "available", "total", "reorder_level", "is_low"
        )
    ) == [("MUG-RED", "MAIN", 5, 5, 2, False), ("MUG-INK", "MAIN", 0, 0, 10, True)]
    assert list(StockMovement.objects.values_list("type", "quantity", "balance")) == [
        ("ADJUSTMENT", 5, 5)
    ]
    assert sorted(names()) == ["inventory.stock_changed", "product.updated"]


def test_upsert_again_changes_nothing_and_says_so(system: Actor, now: datetime) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)
    before = list(Product.objects.values()), list(Variant.objects.values()), names()

    result = inventory.upsert_product(actor=system, draft=a_mug(), now=now + timedelta(hours=1))

    assert (result.is_new, result.is_changed, result.new_skus, result.changed_skus) == (
        False,
        False,
        (),
        (),
    )
    assert (list(Product.objects.values()), list(Variant.objects.values()), names()) == before
    assert StockMovement.objects.count() == 1


def test_upsert_changes_what_is_given_and_leaves_the_rest(system: Actor, now: datetime) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)

    result = inventory.upsert_product(
        actor=system,
        draft=ProductDraft(
            slug="mug",
            name="Harbour cup",
            images=[ImageDraft("demo/cup.svg")],
            variants=[VariantDraft(sku="MUG-RED", weight_grams=240, stock={"": 3})],
        ),
        now=now,
    )

    assert (result.is_new, result.changed_skus) == (False, ("MUG-RED",))
    product = Product.objects.get()
    assert (product.name, product.vendor, product.tags) == (
        "Harbour cup",
        "Gull Island",
        ["enamel"],
    )
    assert list(ProductImage.objects.values_list("url", flat=True)) == ["demo/cup.svg"]
    red = Variant.objects.get(sku="MUG-RED")
    assert (red.weight_grams, red.options) == (240, {"Colour": "Red"})
    assert Variant.objects.get(sku="MUG-INK").is_active
    assert list(StockMovement.objects.order_by("id").values_list("quantity", "balance")) == [
        (5, 5),
        (-2, 3),
    ]


def test_upsert_withdraws_variants_a_complete_draft_does_not_name(
    system: Actor, now: datetime
) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)

    result = inventory.upsert_product(
        actor=system,
        draft=ProductDraft(
            slug="mug", variants=[VariantDraft(sku="MUG-INK")], withdraw_others=True
        ),
        now=now,
    )

    assert result.withdrawn_skus == ("MUG-RED",)
    assert list(Variant.objects.filter(is_active=True).values_list("sku", flat=True)) == ["MUG-INK"]


def test_upsert_is_all_or_nothing_per_product(system: Actor, now: datetime) -> None:
    make_variant(sku="TAKEN")
    drafts = [
        a_mug(),
        ProductDraft(
            slug="thief",
            name="Thief",
            variants=[VariantDraft(sku="TAKEN"), VariantDraft(sku="OWN")],
        ),
        ProductDraft(slug="no name", name="", variants=[VariantDraft(sku="", weight_grams=-1)]),
        ProductDraft(slug="lost", name="Lost", category="nowhere"),
        ProductDraft(slug="twice", name="Twice", variants=[VariantDraft(sku="MUG-RED")]),
        ProductDraft(slug="cup", name="Cup", variants=[VariantDraft(sku="CUP")]),
    ]

    results = inventory.upsert_products(actor=system, drafts=drafts, now=now)

    assert [type(result) for result in results] == [
        Upserted, SkuTaken, ValidationFailed, CategoryNotFound, SkuTaken, Upserted,
    ]  # fmt: skip
    refused = results[2]
    assert isinstance(refused, ValidationFailed)
    assert sorted(error.field for error in refused.errors) == [
        "name", "slug", "variants.0.sku", "variants.0.weightGrams",
    ]  # fmt: skip
    assert set(Variant.objects.values_list("sku", flat=True)) == {
        "TAKEN",
        "MUG-RED",
        "MUG-INK",
        "CUP",
    }
    assert not Product.objects.filter(slug__in=["thief", "lost", "twice"]).exists()


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_upsert_refuses_text_that_cannot_be_stored(system: Actor, now: datetime, text: str) -> None:
    for draft in (
        a_mug(name=text),
        a_mug(tags=[text]),
        a_mug(variants=[VariantDraft(sku=text)]),
        a_mug(variants=[VariantDraft(sku="A", options={"Colour": text})]),
    ):
        with pytest.raises(ValidationFailed):
            inventory.upsert_product(actor=system, draft=draft, now=now)
    assert not Product.objects.exists()


def test_upsert_counts_in_the_warehouses_it_names(system: Actor, now: datetime) -> None:
    make_warehouse(code="NORTH")
    draft = ProductDraft(
        slug="mug", name="Mug", variants=[VariantDraft(sku="MUG", stock={"NORTH": 4})]
    )

    inventory.upsert_product(actor=system, draft=draft, now=now)

    assert list(StockLevel.objects.values_list("warehouse__code", "total")) == [("NORTH", 4)]


@pytest.mark.parametrize("products", [5, 100])
def test_upsert_needs_the_same_statements_for_any_number_of_products(
    system: Actor, now: datetime, products: int
) -> None:
    drafts = [
        ProductDraft(
            slug=f"p{number}",
            name=f"Product {number}",
            category="all",
            category_name="All",
            images=[ImageDraft(f"demo/{number}.svg")],
            variants=[
                VariantDraft(sku=f"P{number}-{size}", options={"Size": size}, stock={"": 7})
                for size in "SML"
            ],
        )
        for number in range(products)
    ]

    with CaptureQueriesContext(connection) as queries:
        inventory.upsert_products(actor=system, drafts=drafts, now=now)

    assert len(queries) <= 30
    assert StockMovement.objects.count() == 3 * products


@pytest.mark.slow
def test_upsert_of_3700_variants_takes_a_few_statements(
    system: Actor, now: datetime, django_assert_max_num_queries: Any
) -> None:
    drafts = [
        ProductDraft(
            slug=f"p{number}",
            name=f"Product {number}",
            description="<p>Lorem ipsum</p>" * 20,
            category=f"c{number % 7}",
            category_name=f"Category {number % 7}",
            images=[ImageDraft(f"https://cdn.example/{number}.jpg")],
            variants=[
                VariantDraft(sku=f"P{number}-{size}", options={"Size": str(size)}, stock={"": 7})
                for size in range(5)
            ],
        )
        for number in range(740)
    ]
    with django_assert_max_num_queries(60):
        results = inventory.upsert_products(actor=system, drafts=drafts, now=now)
    again = inventory.upsert_products(actor=system, drafts=drafts, now=now)

    assert all(isinstance(result, Upserted) and result.is_new for result in results)
    assert not any(result.is_changed for result in again if isinstance(result, Upserted))
    assert StockMovement.objects.count() == 3_700


def test_create_makes_a_free_slug_and_refuses_a_taken_one(staff: Actor, now: datetime) -> None:
    make_product(slug="harbour-mug")

    result = inventory.create_product(
        actor=staff, draft=ProductDraft(slug="", name="Harbour Mug"), now=now
    )
    with pytest.raises(SlugTaken):
        inventory.create_product(
            actor=staff, draft=ProductDraft(slug="harbour-mug", name="X"), now=now
        )

    assert result.slug == "harbour-mug-2"
    assert AuditEntry.objects.get().action == "product.created"


@pytest.mark.parametrize("word", ["search", "0197a000-0000-7000-8000-000000000000"])
def test_no_product_is_named_like_another_address(staff: Actor, now: datetime, word: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        inventory.create_product(actor=staff, draft=ProductDraft(slug=word, name="X"), now=now)

    assert [error.field for error in refused.value.errors] == ["slug"]
    assert not Product.objects.exists()
    made = inventory.create_product(actor=staff, draft=ProductDraft(slug="", name=word), now=now)
    assert made.slug == f"{word}-2"


def test_discontinue_tells_once_and_keeps_the_product_visible(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    product = make_product(slug="old")

    inventory.discontinue(actor=staff, product_id=product.id, now=now)
    inventory.discontinue(actor=staff, product_id=product.id, now=now)

    assert names() == ["product.discontinued"]
    assert selectors.find_product(actor=actor_guest, ref="old").status == "discontinued"


def test_what_was_never_public_is_found_by_the_trail(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    begun = {slug: make_product(slug=slug, status="draft").id for slug in ("draft", "once", "gone")}
    begun["sold"] = make_product(slug="sold").id
    begun["old"] = make_product(slug="old", status="discontinued").id
    inventory.reactivate(actor=staff, product_id=begun["once"], now=now)
    for slug in ("once", "gone", "sold"):
        inventory.discontinue(actor=staff, product_id=begun[slug], now=now)
    told = dict(Product.objects.values_list("slug", "was_public"))
    Product.objects.update(was_public=True)  # as all are before the trail is read

    import_module("inventory.migrations.0016_what_was_never_public").as_the_trail_tells(apps, None)

    assert told == {"draft": False, "gone": False, "once": True, "sold": True, "old": True}
    assert dict(Product.objects.values_list("slug", "was_public")) == told
    assert selectors.visible_products(actor=actor_guest, product_ids=begun.values()) == {
        begun[slug] for slug in ("once", "sold", "old")
    }
    assert selectors.visible_products(actor=staff, product_ids=begun.values()) == {*begun.values()}


def test_count_keeps_what_is_promised(system: Actor, actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=5, sku="HELD")
    inventory.reserve(
        actor=actor_guest,
        cart_id=new_id(),
        demands=[Demand(new_id(), variant.id, 4)],
        expires_at=now + timedelta(minutes=15),
        now=now,
    )

    counted = inventory.count_stock(
        actor=system, counts=[inventory.StockCount(variant.id, 2)], now=now
    )

    assert counted == inventory.Counted(1, ("HELD",))
    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (0, 4, 4)
    assert StockMovement.objects.order_by("id").last().quantity == -1  # type: ignore[union-attr]


def test_search_finds_stems_accents_and_skus(system: Actor, now: datetime) -> None:
    inventory.upsert_product(
        actor=system,
        draft=ProductDraft(
            slug="tasse",
            name="Café mugs",
            variants=[VariantDraft(sku="BIKE-RED-54", options={"Colour": "Kelp"})],
        ),
        now=now,
    )

    def is_found(words: str) -> bool:
        kinds = [
            SearchQuery(words, config=config, search_type="websearch")
            for config in ("english", "simple")
        ]
        return Product.objects.filter(search=kinds[0] | kinds[1]).exists()

    for words in ("mug", "cafe mug", "bike-red-54", "kelp", "BIKE-RED-54"):
        assert is_found(words), words
    assert not is_found("kettle")


def test_categories_know_their_branch_and_path(system: Actor, now: datetime) -> None:
    found = inventory.upsert_categories(
        actor=system,
        drafts=[
            CategoryDraft(slug="home", name="Home"),
            CategoryDraft(slug="galley", name="Galley", parent="home"),
            CategoryDraft(slug="pots", name="Pots", parent="galley"),
        ],
        now=now,
    )
    ids = {slug: category.id for slug, category in found.items()}

    branch = selectors.category_branch(company_id=system.company_id, category_id=ids["galley"])
    paths = selectors.category_paths(company_id=system.company_id)

    assert set(branch) == {ids["galley"], ids["pots"]}
    assert paths[ids["pots"]] == (ids["pots"], ids["galley"], ids["home"])


def test_relate_replaces_one_kind_in_the_order_given(system: Actor, now: datetime) -> None:
    mug, kettle, plate = (make_product(slug=slug) for slug in ("mug", "kettle", "plate"))

    inventory.relate(actor=system, relations={("mug", "cross_sell"): ["kettle"]}, now=now)
    inventory.relate(
        actor=system, relations={("mug", "cross_sell"): ["plate", "kettle", "mug", "no"]}, now=now
    )

    assert [relation.related_id for relation in mug.relations.all()] == [plate.id, kettle.id]


def test_bundle_has_exactly_its_items(system: Actor, now: datetime) -> None:
    first, second = make_variant(sku="A"), make_variant(sku="B")
    inventory.upsert_bundle(
        actor=system, draft=BundleDraft(slug="box", name="Box", items={"A": 1, "B": 2}), now=now
    )

    bundle = inventory.upsert_bundle(
        actor=system, draft=BundleDraft(slug="box", name="Box", items={"B": 3}), now=now
    )

    assert [(item.variant_id, item.quantity) for item in bundle.items.all()] == [(second.id, 3)]
    assert first.id != second.id


# --- finding ----------------------------------------------------------------------------------


def test_find_variants_answers_each_reference_in_one_statement(
    actor_guest: Actor, staff: Actor
) -> None:
    only = make_variant(sku="ONLY")
    several = make_product()
    make_variant(product=several, sku="S1")
    make_variant(product=several, sku="S2")
    gone = make_variant(product=make_product(status="discontinued"), sku="GONE")
    draft = make_variant(product=make_product(status="draft"), sku="DRAFT")
    foreign = make_variant(company=make_company(), sku="FOREIGN", available=None)
    ref = selectors.VariantRef
    refs = [
        ref(sku="ONLY"), ref(variant_id=only.id), ref(product_id=only.product_id), ref(product_id=several.id),
        ref(sku="GONE"), ref(sku="DRAFT"), ref(variant_id=foreign.id), ref(sku="NO"), ref(),
        ref(sku="ONLY", variant_id=gone.id),
    ]  # fmt: skip

    with CaptureQueriesContext(connection) as queries:
        found = selectors.find_variants(actor=actor_guest, refs=refs)

    assert len(queries) == 1
    assert [getattr(answer, "code", getattr(answer, "sku", None)) for answer in found] == [
        "ONLY", "ONLY", "ONLY", "VARIANT_INVALID", "PRODUCT_DISCONTINUED", "PRODUCT_NOT_FOUND", "PRODUCT_NOT_FOUND",
        "PRODUCT_NOT_FOUND", "PRODUCT_NOT_FOUND", "VARIANT_INVALID",
    ]  # fmt: skip
    assert selectors.find_variant(actor=staff, sku="DRAFT") == draft


# --- options --------------------------------------------------------------------------------------


def variants_of(*options: dict[str, str] | None) -> list[VariantDraft]:
    return [VariantDraft(sku=f"V-{place}", options=given) for place, given in enumerate(options)]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ([{"Colour": "Red"}, {"Size": "L"}], "variants.1.options"),
        ([{"Colour": "Red", "Size": "L"}], "variants.0.options"),
        ([{"Colour": "Red"}, {"Colour": "Red"}], "variants.1.options"),
        ([{"Colour": "Red"}, {}], "variants.1.options"),
        ([{"Colour": "Red"}, None], "variants.1.options"),
        ([{"Colour": ""}], "variants.0.options"),
    ],
)
def test_variants_that_do_not_fit_the_options_are_refused(
    system: Actor, now: datetime, options: list[Any], field: str
) -> None:
    draft = a_mug(option_names=["Colour"], variants=variants_of(*options))

    with pytest.raises(ValidationFailed) as refused:
        inventory.upsert_product(actor=system, draft=draft, now=now)

    assert [error.field for error in refused.value.errors][-1] == field
    assert not Product.objects.exists()
    assert not Variant.objects.exists()


def test_two_variants_without_options_cannot_be_told_apart(system: Actor, now: datetime) -> None:
    with pytest.raises(ValidationFailed):
        inventory.upsert_product(
            actor=system, draft=a_mug(option_names=[], variants=variants_of({}, {})), now=now
        )
    assert not Product.objects.exists()


def test_a_new_variant_repeats_none_that_is_offered(system: Actor, now: datetime) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)
    twin = VariantDraft(sku="MUG-NEW", options={"Colour": "Red"})

    with pytest.raises(ValidationFailed) as refused:
        inventory.upsert_product(
            actor=system, draft=ProductDraft(slug="mug", variants=[twin]), now=now
        )
    assert "same choice" in refused.value.errors[0].message
    assert Variant.objects.count() == 2


RED_NO_MORE = VariantDraft(sku="MUG-RED", is_active=False)
NEW_RED = VariantDraft(sku="MUG-NEW", options={"Colour": "Red"})


@pytest.mark.parametrize(
    ("variants", "withdraw_others"),
    [
        ([RED_NO_MORE, NEW_RED], False),
        ([NEW_RED, RED_NO_MORE], False),
        ([VariantDraft(sku="MUG-INK"), NEW_RED], True),
    ],
    ids=["after", "before", "instead"],
)
def test_a_new_variant_takes_the_place_of_one_that_goes(
    system: Actor, now: datetime, variants: list[VariantDraft], withdraw_others: bool
) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)
    draft = ProductDraft(slug="mug", variants=variants, withdraw_others=withdraw_others)

    result = inventory.upsert_product(actor=system, draft=draft, now=now)

    assert result.new_skus == ("MUG-NEW",)
    sold = Variant.objects.filter(is_active=True).order_by("sku")
    assert list(sold.values_list("sku", flat=True)) == ["MUG-INK", "MUG-NEW"]


def test_option_names_that_its_variants_do_not_have_are_refused(
    system: Actor, now: datetime
) -> None:
    inventory.upsert_product(actor=system, draft=a_mug(), now=now)

    with pytest.raises(ValidationFailed) as refused:
        inventory.upsert_product(
            actor=system, draft=ProductDraft(slug="mug", option_names=["Size"]), now=now
        )

    assert {error.field for error in refused.value.errors} == {"optionNames"}
    assert Product.objects.get().option_names == ["Colour"]


def test_the_database_keeps_a_choice_once(company: Any) -> None:
    product = make_product(option_names=["Colour"])
    make_variant(product=product, options={"Colour": "Red"})
    make_variant(product=product, options={"Colour": "Red"}, is_active=False)

    with pytest.raises(IntegrityError, match="variant_combination_once"):
        make_variant(product=product, options={"Colour": "Red"})


# --- the tree -------------------------------------------------------------------------------------


def category(staff: Actor, now: datetime, slug: str, **fields: Any) -> Category:
    known = Category.objects.filter(slug=slug).first()
    return inventory.save_category(
        actor=staff,
        category_id=known.id if known else None,
        draft=CategoryDraft(**{"slug": slug, "name": slug.title(), **fields}),
        now=now,
    )


def test_a_category_is_made_moved_and_audited(staff: Actor, now: datetime) -> None:
    category(staff, now, "galley")
    category(staff, now, "mugs", parent="galley")

    moved = category(staff, now, "mugs", name="Cups", position=3)

    assert (moved.name, moved.parent_id, moved.position) == ("Cups", None, 3)
    entry = AuditEntry.objects.filter(action="category.edited").get()
    assert entry.before["name"] == "Mugs"
    assert entry.after["name"] == "Cups"


def test_no_category_lies_below_itself(staff: Actor, now: datetime) -> None:
    category(staff, now, "a")
    category(staff, now, "b", parent="a")
    category(staff, now, "c", parent="b")

    for parent in ("a", "b", "c"):
        with pytest.raises(ValidationFailed) as refused:
            category(staff, now, "a", parent=parent)
        assert [error.field for error in refused.value.errors] == ["parent"]
    with pytest.raises(ValidationFailed):
        inventory.upsert_categories(
            actor=staff, drafts=[CategoryDraft(slug="a", name="A", parent="c")], now=now
        )

    assert Category.objects.get(slug="a").parent is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"slug": "mugs 2"}, "slug"), ({"slug": ""}, "slug"), ({"name": " "}, "name"), ({"name": "x" * 201}, "name"),
        ({"slug": "galley"}, "slug"), ({"description": "x" * 501}, "description"),
    ],
)  # fmt: skip
def test_a_category_that_makes_no_sense_is_refused(
    staff: Actor, now: datetime, fields: dict[str, Any], field: str
) -> None:
    category(staff, now, "galley")

    with pytest.raises(ValidationFailed) as refused:
        inventory.save_category(
            actor=staff, draft=CategoryDraft(**{"slug": "mugs", "name": "Mugs", **fields}), now=now
        )

    assert [error.field for error in refused.value.errors] == [field]
    assert Category.objects.count() == 1


def test_categories_of_another_company_are_not_there(staff: Actor, now: datetime) -> None:
    foreign = Category.objects.create(company=make_company(), slug="theirs", name="Theirs")

    for fields in ({"parent": "theirs"}, {"category_id": foreign.id}):
        own = {"category_id": fields.pop("category_id", None)}
        with pytest.raises(CategoryNotFound):
            inventory.save_category(
                actor=staff, draft=CategoryDraft(slug="x", name="X", **fields), now=now, **own
            )
    with pytest.raises(CategoryNotFound):
        inventory.delete_category(actor=staff, category_id=foreign.id, now=now)
    assert Category.objects.get() == foreign


def test_only_an_empty_category_is_deleted(staff: Actor, now: datetime) -> None:
    galley = category(staff, now, "galley")
    mugs = category(staff, now, "mugs", parent="galley")
    product = make_product(category=mugs)

    for full in (galley, mugs):
        with pytest.raises(CategoryInUse):
            inventory.delete_category(actor=staff, category_id=full.id, now=now)
    assert Category.objects.count() == 2
    Product.objects.filter(id=product.id).update(category=None)
    inventory.delete_category(actor=staff, category_id=mugs.id, now=now)

    assert list(Category.objects.all()) == [galley]
    assert AuditEntry.objects.filter(action="category.deleted").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_locked", [True, False], ids=["locked", "control"])
def test_two_moves_that_would_make_a_circle_do_not_both_succeed(
    staff: Actor, now: datetime, is_locked: bool, monkeypatch: Any
) -> None:
    category(staff, now, "a")
    category(staff, now, "b")
    # Each move waits, once it has read the tree, for the other to have read it too.
    both_read = threading.Barrier(2)
    place = catalogue._place

    def meet(*arguments: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            both_read.wait(timeout=0.5 if is_locked else 120)
        place(*arguments)

    monkeypatch.setattr(catalogue, "_place", meet)
    if not is_locked:
        monkeypatch.setattr(
            catalogue,
            "_locked_tree",
            lambda actor: list(Category.objects.filter(company_id=actor.company_id)),
        )

    def move(index: int) -> bool:
        slug, parent = ("a", "b") if index else ("b", "a")
        try:
            category(staff, now, slug, parent=parent)
        except ValidationFailed:
            return False
        return True

    moved = together(2, move)

    is_circle = not Category.objects.filter(parent=None).exists()
    assert (sum(moved), is_circle) == ((1, False) if is_locked else (2, True))
