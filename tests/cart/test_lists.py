"""What customers would like to have, and what they compare: services, API, and what happens when they sign in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from cart import selectors, services
from cart.errors import ComparisonFull, WishlistFull, WishNotFound
from cart.models import Cart, CartLine, Comparison, Wish, Wishlist
from config.platform import flags
from config.platform.actor import Actor, ActorKind
from config.platform.models import FeatureFlag
from inventory import services as inventory
from inventory.models import Product, Reservation
from notifications.models import Notification, Preference
from pricing import services as pricing
from pricing.models import Price
from tests import factories
from tests.cart.conftest import make_item
from tests.threads import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(api):
    opened = api.post("/public/cart", {}).json()
    return api.as_guest(opened["sessionToken"])


def wish(client: Any, variant: Any) -> Any:
    return client.post("/wishlist/items", {"sku": variant.sku})


# --- wishlist -------------------------------------------------------------------------------------


def test_a_wish_is_written_once_and_shows_what_changed_since(user_api):
    variant = make_item("20.00", 3, options={"Colour": "Kelp"})

    first = wish(user_api, variant)
    again = wish(user_api, variant)
    Price.objects.filter(variant=variant).update(amount=Decimal("15.00"))
    listed = user_api.get("/wishlist").json()

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    [row] = listed["results"]
    assert row == {
        "id": first.json()["id"],
        "productId": str(variant.product_id),
        "variantId": str(variant.id),
        "sku": variant.sku,
        "name": variant.product.name,
        "slug": variant.product.slug,
        "url": f"/products/{variant.product.slug}/",
        "imageUrl": None,
        "options": {"Colour": "Kelp"},
        "currency": "USD",
        "unitPrice": "15.00",
        "priceWhenAdded": "20.00",
        "priceChanged": True,
        "available": 3,
        "inStock": True,
        "canBuy": True,
        "addedAt": row["addedAt"],
    }
    assert (listed["next"], listed["previous"]) == (None, None)
    assert not Reservation.objects.exists()


def test_customers_learn_no_more_than_ten_units(user_api, staff_api):
    variant = make_item("20.00", 500)

    assert wish(user_api, variant).json()["available"] == 10
    assert wish(staff_api, variant).json()["available"] == 500


def test_two_currencies_are_not_compared(user_api):
    variant = make_item("20.00", 3)
    Price.objects.create(variant=variant, currency="EUR", amount=Decimal("18.00"))
    wish(user_api, variant)

    [row] = user_api.get("/wishlist?currency=EUR").json()["results"]

    assert (row["unitPrice"], row["priceWhenAdded"], row["priceChanged"]) == ("18.00", None, False)


def test_what_is_gone_is_told_and_drafts_are_hidden(user_api):
    gone, hidden, inactive = make_item(), make_item(), make_item()
    for variant in (gone, hidden, inactive):
        wish(user_api, variant)
    Product.objects.filter(id=gone.product_id).update(status="discontinued")
    Product.objects.filter(id=hidden.product_id).update(status="draft")
    inactive.is_active = False
    inactive.save()

    rows = {row["sku"]: row for row in user_api.get("/wishlist").json()["results"]}

    assert set(rows) == {gone.sku, inactive.sku}
    assert not any(row["canBuy"] or row["inStock"] for row in rows.values())
    assert rows[inactive.sku]["unitPrice"] is None


def test_a_wish_moves_into_the_cart_and_is_held(guest):
    variant = make_item("20.00", 3)
    made = wish(guest, variant).json()

    response = guest.post(f"/wishlist/items/{made['id']}/move-to-cart", {"quantity": 2})
    twice = guest.post(f"/wishlist/items/{made['id']}/move-to-cart", {"quantity": 2})

    assert response.status_code == 200
    [line] = response.json()["items"]
    assert (line["sku"], line["quantity"], line["hold"]["state"]) == (variant.sku, 2, "held")
    assert (twice.status_code, twice.json()["code"]) == (404, "ITEM_NOT_FOUND")
    assert CartLine.objects.get().quantity == 2
    assert not Wish.objects.exists()


def test_a_wish_that_cannot_be_had_stays_a_wish(guest):
    variant = make_item("20.00", 0)
    made = wish(guest, variant).json()

    response = guest.post(f"/wishlist/items/{made['id']}/move-to-cart", {})

    assert (response.status_code, response.json()["code"]) == (400, "ITEM_OUT_OF_STOCK")
    assert Wish.objects.get().id.hex == made["id"].replace("-", "")
    assert not CartLine.objects.exists()


def test_wishes_are_taken_off_one_by_one_or_all(user_api):
    wishes = [wish(user_api, make_item()).json() for _ in range(3)]

    assert user_api.delete(f"/wishlist/items/{wishes[0]['id']}").status_code == 204
    assert user_api.delete(f"/wishlist/items/{wishes[0]['id']}").status_code == 404
    assert Wish.objects.count() == 2
    assert user_api.delete("/wishlist").status_code == 204
    assert not Wish.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "VALIDATION_ERROR"),
        ({"sku": "NOPE"}, "PRODUCT_NOT_FOUND"),
        ({"variantId": str(uuid4())}, "PRODUCT_NOT_FOUND"),
        ({"sku": 5}, "VALIDATION_ERROR"),
        ({"sku": "NOPE", "surprise": 1}, "VALIDATION_ERROR"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(user_api, body, code):
    assert user_api.post("/wishlist/items", body).json()["code"] == code
    assert not Wish.objects.exists()


def test_nobody_sees_or_changes_the_wishes_of_another(api, user_api, guest):
    made = wish(user_api, make_item()).json()
    stranger = api.as_user(factories.make_user())

    for client in (stranger, guest):
        assert client.get("/wishlist").json()["results"] == []
        assert client.delete(f"/wishlist/items/{made['id']}").json()["code"] == "ITEM_NOT_FOUND"
        moved = client.post(f"/wishlist/items/{made['id']}/move-to-cart", {})
        assert moved.json()["code"] == "ITEM_NOT_FOUND"
        client.delete("/wishlist")
    assert Wish.objects.count() == 1


def test_a_token_nobody_gave_out_is_a_cart_that_is_not_there(api):
    unknown = api.as_guest("0" * 64)

    for answer in (
        unknown.get("/wishlist"),
        unknown.get("/compare"),
        wish(unknown, make_item()),
        unknown.post("/compare", {"product": make_item().product.slug}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "CART_NOT_FOUND")
    assert api.get("/wishlist").json()["code"] == "AUTH_REQUIRED"
    assert not Wishlist.objects.exists()
    assert not Comparison.objects.exists()


def test_a_wishlist_has_an_end(user_api, actor_user, now, monkeypatch):
    monkeypatch.setattr("cart.services.lists.MOST_WISHES", 2)
    for _ in range(2):
        wish(user_api, make_item())

    with pytest.raises(WishlistFull):
        services.add_wish(actor=actor_user, currency="USD", sku=make_item().sku, now=now)
    assert Wish.objects.count() == 2


def test_lists_cost_the_same_for_ten_and_for_a_hundred(actor_user, now, statements):
    def fill(number: int) -> list[str]:
        for _ in range(number):
            variant = make_item()
            services.add_wish(actor=actor_user, currency="USD", sku=variant.sku, now=now)
        with statements() as found:
            selectors.wishes(actor=actor_user, currency="USD")
        return found

    assert len(fill(10)) == len(fill(90)) == 4


# --- comparison -----------------------------------------------------------------------------------


def test_four_products_stand_side_by_side_and_no_fifth(user_api):
    products = [
        make_item(weight_grams=400 + n, options={"Colour": "Kelp"}).product for n in range(5)
    ]
    Product.objects.update(option_names=["Colour"])
    answers = [user_api.post("/compare", {"product": p.slug}) for p in products[:4]]

    fifth = user_api.post("/compare", {"product": str(products[4].id)})
    again = user_api.post("/compare", {"product": str(products[0].id)})

    assert [answer.status_code for answer in answers] == [201] * 4
    assert (fifth.status_code, fifth.json()["code"]) == (409, "COMPARISON_FULL")
    assert again.status_code == 201
    body = user_api.get("/compare").json()
    assert [row["slug"] for row in body["results"]] == [p.slug for p in products[:4]]
    assert body["most"] == 4
    first = body["results"][0]
    assert first["options"] == {"Colour": ["Kelp"]}
    assert first["weightsGrams"] == [400]
    assert (first["priceFrom"], first["currency"], first["inStock"]) == ("10.00", "USD", True)


def test_products_are_taken_out_by_id_or_slug_or_all_together(user_api):
    products = [make_item().product for _ in range(3)]
    for product in products:
        user_api.post("/compare", {"product": product.slug})

    assert user_api.delete(f"/compare/{products[0].slug}").status_code == 204
    assert user_api.delete(f"/compare/{products[1].id}").status_code == 204
    assert user_api.delete(f"/compare/{products[1].id}").json()["code"] == "ITEM_NOT_FOUND"
    assert len(user_api.get("/compare").json()["results"]) == 1
    assert user_api.delete("/compare").status_code == 204
    assert user_api.get("/compare").json()["results"] == []


def test_what_was_withdrawn_makes_room(user_api):
    products = [make_item(available=None).product for _ in range(5)]
    for product in products[:4]:
        user_api.post("/compare", {"product": product.slug})
    Product.objects.filter(id=products[0].id).update(status="draft")
    products[1].delete()

    assert user_api.post("/compare", {"product": products[4].slug}).status_code == 201
    listed = user_api.get("/compare").json()["results"]
    assert [row["slug"] for row in listed] == [products[n].slug for n in (2, 3, 4)]


def test_the_database_refuses_a_fifth_and_a_list_of_nobody(company, actor_user):
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.create(
            company=company, user_id=actor_user.user_id, product_ids=[uuid4() for _ in range(5)]
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Wishlist.objects.create(company=company)


# --- switches, companies --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "path"), [("WISHLIST_ENABLED", "/wishlist"), ("COMPARISON_ENABLED", "/compare")]
)
def test_what_is_switched_off_is_not_there(user_api, switch, path):
    FeatureFlag.objects.create(name=switch, enabled=False)
    flags.forget()

    for answer in (user_api.get(path), user_api.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")


def test_each_company_has_lists_of_its_own(user_api, user, api):
    other = factories.make_company()
    elsewhere = make_item(company=other)
    here = make_item()
    wish(user_api, here)
    abroad = {"X-Company-Id": str(other.id)}

    assert wish(user_api, elsewhere).json()["code"] == "PRODUCT_NOT_FOUND"
    assert user_api.get("/wishlist", **abroad).json()["results"] == []
    refused = user_api.post("/wishlist/items", {"sku": here.sku}, **abroad)
    assert refused.json()["code"] == "PRODUCT_NOT_FOUND"
    made = user_api.post("/wishlist/items", {"sku": elsewhere.sku}, **abroad)
    assert made.status_code == 201
    assert user_api.delete(f"/wishlist/items/{made.json()['id']}").status_code == 404
    compared = user_api.post("/compare", {"product": elsewhere.product.slug})
    assert compared.json()["code"] == "PRODUCT_NOT_FOUND"
    assert Wish.objects.count() == 2


# --- signing in -----------------------------------------------------------------------------------


def test_a_guests_lists_come_along_once(api, guest, user, user_api):
    both, mine, theirs = make_item("10.00"), make_item(), make_item()
    wish(user_api, both)
    wish(user_api, mine)
    Price.objects.filter(variant=both).update(amount=Decimal("8.00"))
    wish(guest, both)
    wish(guest, theirs)
    for variant in (both, mine):
        user_api.post("/compare", {"product": variant.product.slug})
    for variant in (theirs, both):
        guest.post("/compare", {"product": variant.product.slug})

    token = guest.headers["X-Session-Token"]
    credentials = {"email": user.email, "password": factories.PASSWORD}
    for _ in range(2):
        signed_in = api.post("/auth/login", credentials, **{"X-Session-Token": token})
        assert signed_in.status_code == 200

    rows = user_api.get("/wishlist").json()["results"]
    assert {row["sku"] for row in rows} == {both.sku, mine.sku, theirs.sku}
    kept = next(row for row in rows if row["sku"] == both.sku)
    assert kept["priceWhenAdded"] == "10.00"  # the account's wish, not the guest's later one
    compared = [row["slug"] for row in user_api.get("/compare").json()["results"]]
    assert compared == [v.product.slug for v in (mine, theirs, both)]
    assert Wishlist.objects.count() == Comparison.objects.count() == 1


def test_of_many_compared_the_guests_latest_stay(actor_user, guest, user, api):
    own = [make_item().product for _ in range(4)]
    for product in own:
        services.compare(actor=actor_user, product_ref=product.slug)
    late = make_item().product
    guest.post("/compare", {"product": late.slug})

    api.post(
        "/auth/login",
        {"email": user.email, "password": factories.PASSWORD},
        **{"X-Session-Token": guest.headers["X-Session-Token"]},
    )

    assert Comparison.objects.get().product_ids == [p.id for p in [*own[1:], late]]


# --- two at once ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_list_and_no_fifth(company):
    """Without the row's lock both would read three and write a fourth, and one of the two would be lost."""
    user = factories.make_user()
    actor = Actor(kind=ActorKind.USER, company_id=company.id, user_id=user.pk, email=user.email)
    products = [make_item().product for _ in range(6)]

    def run(index: int) -> str:
        try:
            services.compare(actor=actor, product_ref=products[index].slug)
        except ComparisonFull:
            return "full"
        return "in"

    outcomes = together(6, run)

    assert sorted(outcomes) == ["full"] * 2 + ["in"] * 4
    assert len(set(Comparison.objects.get().product_ids)) == 4


@pytest.mark.django_db(transaction=True)
def test_two_clicks_move_a_wish_once(company, now):
    user = factories.make_user()
    actor = Actor(kind=ActorKind.USER, company_id=company.id, user_id=user.pk, email=user.email)
    variant = make_item("10.00", 10)
    services.create(actor=actor, now=now)
    made = services.add_wish(actor=actor, currency="USD", sku=variant.sku, now=now)

    def run(_: int) -> str:
        try:
            services.move_wish_to_cart(actor=actor, wish_id=made.id, now=now)
        except WishNotFound:
            return "gone"
        return "moved"

    assert sorted(together(2, run)) == ["gone", "moved"]
    assert CartLine.objects.get(cart__in=Cart.objects.filter(user_id=user.pk)).quantity == 1


# --- news of wishes -------------------------------------------------------------------------------


def bell(user: Any) -> list[str]:
    found = Notification.objects.filter(user_id=user.pk, type="IN_APP").order_by("id")
    return list(found.values_list("subject", flat=True))


def drain(deliver: Any) -> None:
    while deliver():
        pass


def test_who_wishes_for_what_is_gone_is_told_once_when_it_is_back(
    user, user_api, guest, staff, now, deliver
):
    variant = make_item("20.00", 0)
    level = variant.stock_levels.get()
    for client in (user_api, guest):
        wish(client, variant)

    for quantity in (5, 3, -8, 2, 2):
        inventory.adjust(actor=staff, stock_level_id=level.id, quantity=quantity, now=now)
        drain(deliver)

    told = f"{variant.product.name} on your wishlist is back."
    assert bell(user) == [told, told]
    assert not Wish.objects.filter(is_gone=True).exists()


def test_a_wish_that_is_back_is_mailed_once_a_rise_to_who_wants_mail(
    user, user_api, api, guest, staff, now, deliver
):
    variant, deaf = make_item("20.00", 0), factories.make_user()
    level = variant.stock_levels.get()
    Preference.objects.create(user_id=deaf.pk, category="stock", type="EMAIL", is_enabled=False)
    for client in (user_api, guest, api.as_user(deaf)):
        wish(client, variant)

    for quantity in (5, 3):
        inventory.adjust(actor=staff, stock_level_id=level.id, quantity=quantity, now=now)
        drain(deliver)

    mails = {mail.recipient: mail for mail in Notification.objects.filter(channel="wish-back")}
    assert {address: mail.status for address, mail in mails.items()} == {
        user.email: "PENDING",
        deaf.email: "SUPPRESSED",
    }
    mail = mails[user.email]
    assert mail.subject == f"{variant.product.name} is back"
    assert f"/products/{variant.product.slug}/?sku={variant.sku}" in mail.body_text
    assert "/unsubscribe/" in mail.body_text
    assert "/unsubscribe/" in mail.body_html


def test_who_wishes_for_what_is_there_is_told_nothing_of_deliveries(
    user, user_api, staff, now, deliver
):
    variant = make_item("20.00", 5)
    wish(user_api, variant)

    inventory.adjust(actor=staff, stock_level_id=variant.stock_levels.get().id, quantity=5, now=now)
    drain(deliver)

    assert bell(user) == []


def test_a_lower_price_is_told_and_each_lower_one_again(user, user_api, staff, now, deliver):
    variant = make_item("20.00", 5)
    wish(user_api, variant)

    for amount in ("25.00", "18.00", "19.00", "18.00", "15.00"):
        pricing.set_price(
            actor=staff, variant_id=variant.id, currency="USD", amount=Decimal(amount), now=now
        )
        pricing.set_price(
            actor=staff, variant_id=variant.id, currency="EUR", amount=Decimal("1.00"), now=now
        )
        drain(deliver)

    name = variant.product.name
    assert bell(user) == [
        f"{name} on your wishlist is down from $20.00 to $18.00.",
        f"{name} on your wishlist is down from $20.00 to $15.00.",
    ]
