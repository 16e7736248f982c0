"""What goes with a cart: found by rules, taken with one press, and never seen again once it was sent away."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from cart import services
from cart.models import MOST_DISMISSED, CartLine, DismissedUpsell
from config.platform.actor import Actor, ActorKind
from inventory.models import Bundle, BundleItem, Category, CoPurchase, ProductRelation, Variant
from pricing.models import Price
from tests import factories
from tests.cart.conftest import make_item

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["guest", "user"])
def client(request, api, user):
    if request.param == "user":
        found = api.as_user(user)
        found.get("/cart")
        return found
    return api.as_guest(api.post("/public/cart").json()["sessionToken"])


@pytest.fixture
def galley(company) -> Category:
    return Category.objects.create(company=company, slug="galley", name="Galley")


def item(name: str, price: str = "10.00", available: int = 5, **fields: Any) -> Variant:
    product = factories.make_product(name=name, slug=name.lower(), **fields)
    return make_item(price, available, product=product, sku=name.upper())


def relate(variant: Variant, other: Variant, kind: str = "cross_sell", weight: int = 0) -> None:
    ProductRelation.objects.create(
        product=variant.product, related=other.product, kind=kind, weight=weight
    )


def bought(variant: Variant, other: Variant, count: int) -> None:
    CoPurchase.objects.create(
        product=variant.product, other=other.product, count=count, computed_at=timezone.now()
    )


def put(client: Any, *variants: Variant, **more: Any) -> None:
    for variant in variants:
        assert client.post("/cart/items", {"sku": variant.sku, **more}).status_code == 201


def names(client: Any) -> list[tuple[str, str]]:
    answer = client.get("/cart/upsells")
    assert answer.status_code == 200, answer.content
    return [(row["name"], row["reason"]) for row in answer.json()["results"]]


# --- what is found --------------------------------------------------------------------------------


def test_the_best_reason_comes_first(client, company, galley):
    mug = item("Mug", category=galley)
    item("Shelf", category=galley)
    light, heavy, set_, often, rare = (item(n) for n in ("Light", "Heavy", "Set", "Often", "Rare"))
    relate(mug, light, weight=1)
    relate(mug, heavy, kind="up_sell", weight=5)
    relate(mug, item("Instead"), kind="alternative", weight=9)
    bundle = Bundle.objects.create(company=company, slug="tea-box", name="Tea box")
    for variant in (mug, set_, heavy):
        BundleItem.objects.create(bundle=bundle, variant=variant)
    bought(mug, often, 3)
    bought(mug, rare, 2)
    put(client, mug)

    assert names(client) == [
        ("Heavy", "related"),
        ("Light", "related"),
        ("Set", "bundle"),
        ("Often", "bought_together"),
    ]


def test_others_of_the_same_shelf_follow_the_newest_first(client, galley):
    mug = item("Mug", category=galley)
    old, new = item("Old", category=galley), item("New", category=galley)
    put(client, mug)

    assert names(client) == [("New", "category"), ("Old", "category")]
    assert old.product.created_at < new.product.created_at


def test_what_several_lines_go_with_adds_up(client):
    mug, pot = item("Mug"), item("Pot")
    for variant, other, count in ((mug, "A", 5), (mug, "B", 4), (pot, "B", 4)):
        found = Variant.objects.filter(sku=other).first() or item(other)
        bought(variant, found, count)
    put(client, mug, pot)

    assert [name for name, _ in names(client)] == ["B", "A"]


@pytest.mark.parametrize("list_", ["active", "next", "saved"])
def test_nothing_is_suggested_that_stands_in_a_list_of_the_cart(client, list_):
    mug, tray = item("Mug"), item("Tray")
    relate(mug, tray)
    put(client, mug)
    assert names(client) == [("Tray", "related")]
    put(client, tray, list=list_)

    assert names(client) == []


@pytest.mark.parametrize("why", ["sold out", "draft", "discontinued", "no price", "bundle is off"])
def test_nothing_is_suggested_that_cannot_be_had(client, company, why):
    mug, tray = item("Mug"), item("Tray", available=0 if why == "sold out" else 5)
    if why == "bundle is off":
        bundle = Bundle.objects.create(company=company, slug="b", name="B", is_active=False)
        for variant in (mug, tray):
            BundleItem.objects.create(bundle=bundle, variant=variant)
    else:
        relate(mug, tray)
    if why in {"draft", "discontinued"}:
        tray.product.status = why
        tray.product.save()
    if why == "no price":
        Price.objects.filter(variant=tray).delete()
    put(client, mug)

    assert names(client) == []


def test_nothing_of_another_company_is_suggested(client):
    mug = item("Mug")
    foreign = factories.make_company()
    bought(mug, make_item(product=factories.make_product(company=foreign, name="Theirs")), 9)
    put(client, mug)

    assert names(client) == []


def test_an_empty_cart_suggests_nothing_and_no_cart_is_an_error(client, api):
    assert names(client) == []
    assert api.get("/cart/upsells").status_code == 401
    unknown = api.as_guest("0" * 64).get("/cart/upsells")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CART_NOT_FOUND")


def test_the_row_says_what_a_press_adds(client):
    mug, tray, cup = item("Mug"), item("Tray", "12.50"), item("Cup", "8.00")
    make_item("9.00", product=cup.product, options={"Colour": "Ink"})
    relate(mug, tray, weight=2)
    relate(mug, cup, weight=1)
    put(client, mug)

    one, choice = client.get("/cart/upsells").json()["results"]

    assert one == {
        "productId": str(tray.product_id),
        "variantId": str(tray.id),
        "sku": "TRAY",
        "name": "Tray",
        "slug": "tray",
        "url": "/products/tray/",
        "imageUrl": None,
        "currency": "USD",
        "price": "12.50",
        "compareAtPrice": None,
        "inStock": True,
        "reason": "related",
    }
    assert (choice["variantId"], choice["sku"], choice["price"]) == (None, None, "8.00")


@pytest.mark.usefixtures("unhurried")
def test_statements_do_not_depend_on_the_size_of_the_cart(client, galley, statements):
    counts = []
    for number in (1, 5, 20):
        for _ in range(number):
            variant = make_item(product=factories.make_product(category=galley))
            for _ in range(4):
                relate(variant, make_item())
            put(client, variant)
        client.get("/cart/upsells")
        with statements() as found:
            assert len(names(client)) == 4
        counts.append(len(found))

    assert len(set(counts)) == 1
    assert counts[0] <= 6, found


# --- what is done with it -------------------------------------------------------------------------


def test_a_suggestion_is_added_and_held(client):
    mug, tray = item("Mug"), item("Tray")
    relate(mug, tray)
    put(client, mug)

    answer = client.post(f"/cart/upsells/{tray.product_id}/add", {"quantity": 2})

    assert answer.status_code == 201
    [line] = [row for row in answer.json()["items"] if row["sku"] == "TRAY"]
    assert (line["quantity"], line["hold"]["state"]) == (2, "held")
    assert names(client) == []


def test_where_there_is_a_choice_it_has_to_be_made(client):
    mug, cup = item("Mug"), item("Cup")
    ink = make_item("9.00", product=cup.product, sku="INK", options={"Colour": "Ink"})
    put(client, mug)
    path = f"/cart/upsells/{cup.product_id}/add"

    open_, foreign = client.post(path, {}), client.post(path, {"variantId": str(mug.id)})

    assert [a.json()["code"] for a in (open_, foreign)] == ["VARIANT_INVALID", "VARIANT_INVALID"]
    assert {open_.status_code, foreign.status_code} == {400}
    assert list(CartLine.objects.values_list("variant__sku", flat=True)) == ["MUG"]
    assert client.post(path, {"variantId": str(ink.id)}).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"quantity": 6}, 400, "ITEM_OUT_OF_STOCK"),
        ({"quantity": 0}, 400, "VALIDATION_ERROR"),
        ({"quantity": 1, "colour": "red"}, 400, "VALIDATION_ERROR"),
        ({"variantId": "x"}, 400, "VALIDATION_ERROR"),
        ({"version": 99}, 409, "CART_CONFLICT"),
    ],
)
def test_what_is_refused_changes_nothing(client, body, status, code):
    mug, tray = item("Mug"), item("Tray")
    put(client, mug)

    answer = client.post(f"/cart/upsells/{tray.product_id}/add", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CartLine.objects.count() == 1


@pytest.mark.parametrize("verb", ["add", "dismiss"])
@pytest.mark.parametrize("which", ["unknown", "malformed", "foreign", "draft"])
def test_an_unknown_product_is_not_found_and_nothing_is_written(client, verb, which):
    put(client, item("Mug"))
    hidden = factories.make_product(name="Later", status="draft")
    theirs = factories.make_product(company=factories.make_company(), name="Theirs")
    ref = {"unknown": uuid4(), "malformed": "x", "foreign": theirs.id, "draft": hidden.id}[which]

    answer = client.post(f"/cart/upsells/{ref}/{verb}", {})

    assert (answer.status_code, answer.json()["code"]) == (404, "PRODUCT_NOT_FOUND")
    assert CartLine.objects.count() == 1
    assert not DismissedUpsell.objects.exists()


def test_what_was_sent_away_does_not_return(client, api):
    mug, tray, pot = item("Mug"), item("Tray"), item("Pot")
    relate(mug, tray, weight=2)
    relate(mug, pot, weight=1)
    put(client, mug)
    path = f"/cart/upsells/{tray.product_id}/dismiss"

    first, again = client.post(path, {}), client.post(path, {})

    assert (first.status_code, again.status_code) == (200, 200)
    assert [row["name"] for row in first.json()["results"]] == ["Pot"]
    client.delete("/cart")
    put(client, mug)
    assert names(client) == [("Pot", "related")]
    [kept] = DismissedUpsell.objects.all()
    assert kept.product_ids == [tray.product_id]
    # somebody else still sees it
    other = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    put(other, mug)
    assert names(other) == [("Tray", "related"), ("Pot", "related")]


def test_sent_away_as_a_guest_sent_away_in_the_account(api, user):
    mug, tray, pot = item("Mug"), item("Tray"), item("Pot")
    relate(mug, tray)
    relate(mug, pot)
    guest = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    put(guest, mug)
    guest.post(f"/cart/upsells/{tray.product_id}/dismiss", {})
    account = api.as_user(user)
    account.get("/cart")
    account.post(f"/cart/upsells/{pot.product_id}/dismiss", {})

    signed_in = guest.post("/auth/login", {"email": user.email, "password": factories.PASSWORD})

    assert signed_in.status_code == 200, signed_in.content
    [kept] = DismissedUpsell.objects.all()
    assert (kept.user_id, kept.product_ids) == (user.id, [pot.product_id, tray.product_id])
    assert names(account) == []


def test_only_the_latest_are_remembered(company, user):
    actor = Actor(kind=ActorKind.USER, company_id=company.id, user_id=user.id)
    old = [uuid4() for _ in range(MOST_DISMISSED)]
    DismissedUpsell.objects.create(company=company, user_id=user.id, product_ids=old)
    tray = item("Tray")

    services.dismiss_upsell(actor=actor, product_ref=str(tray.product_id))

    kept = DismissedUpsell.objects.get().product_ids
    assert kept == [*old[1:], tray.product_id]
    with pytest.raises(IntegrityError), transaction.atomic():
        DismissedUpsell.objects.update(product_ids=[*kept, uuid4()])
