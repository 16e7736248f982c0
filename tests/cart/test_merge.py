"""A guest's cart joins the account's."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from cart import selectors, services
from cart.errors import CartMerged
from cart.models import Cart, CartEvent, CartLine, CartPolicy, MergeReport
from config.platform.actor import hash_token
from config.platform.models import OutboxEvent
from inventory.models import Reservation, StockLevel
from pricing.models import Price
from tests import factories
from tests.cart.conftest import make_code, make_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(api):
    return api.as_guest(api.post("/public/cart").json()["sessionToken"])


@pytest.fixture
def token(guest):
    return guest.headers["X-Session-Token"]


def add(client, variant, quantity=1, **fields):
    response = client.post("/cart/items", {"sku": variant.sku, "quantity": quantity, **fields})
    assert response.status_code == 201, response.content
    return response.json()


def rows(body):
    return [(row["sku"], row["action"], row["quantity"], row["reason"]) for row in body["report"]]


@pytest.mark.parametrize(
    ("policy", "own", "guests", "expected", "action"),
    [
        ("sum", 2, 3, 5, "combined"),
        ("sum", 60, 70, 100, "capped"),
        ("max", 2, 3, 3, "combined"),
        ("max", 4, 3, 4, "combined"),
        ("keep_user", 2, 3, 2, "kept"),
    ],
)
def test_quantities_of_the_same_item_follow_the_policy(
    company, guest, token, user_api, policy, own, guests, expected, action
):
    CartPolicy.objects.create(company=company, merge_policy=policy)
    variant = make_item(available=200)
    add(user_api, variant, own)
    add(guest, variant, guests)

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    [line] = body["cart"]["items"]
    assert line["quantity"] == expected
    assert line["hold"] == {**line["hold"], "state": "held", "quantity": expected}
    [row] = body["report"]
    assert (row["action"], row["quantity"]) == (action, expected)
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved) == (200 - expected, expected)


def test_other_items_come_along_with_their_notes_holds_and_lists(guest, token, user_api):
    first, second, third = make_item(), make_item(), make_item()
    add(user_api, first)
    add(guest, second, 2, note="blue please", customization={"text": "Ada"})
    add(guest, third, list="saved")
    hold = Reservation.objects.get(variant=second)

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert [(line["sku"], line["quantity"], line["note"]) for line in body["cart"]["items"]] == [
        (first.sku, 1, ""),
        (second.sku, 2, "blue please"),
    ]
    assert [line["sku"] for line in body["cart"]["savedItems"]] == [third.sku]
    assert rows(body) == [(second.sku, "kept", 2, ""), (third.sku, "kept", 1, "")]
    moved = Reservation.objects.get(variant=second, status="ACTIVE")
    assert moved.started_at == hold.started_at
    assert str(moved.cart_id) == body["cart"]["id"]


def test_the_guest_s_cart_is_closed_and_a_repeat_changes_nothing(guest, token, user_api):
    variant = make_item()
    add(guest, variant, 2)

    first = user_api.post("/cart/merge", {"sessionToken": token}).json()
    second = user_api.post("/cart/merge", {"sessionToken": token})

    assert second.status_code == 200
    assert second.json()["report"] == first["report"]
    assert second.json()["cart"]["version"] == first["cart"]["version"]
    assert second.json()["cart"]["items"][0]["quantity"] == 2
    answers = [
        guest.get("/cart"),
        guest.post("/cart/items", {"sku": variant.sku}),
        guest.get("/cart/history"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (410, "CART_MERGED")
    }
    merged = Cart.objects.get(status="MERGED")
    assert str(merged.merged_into_id) == first["cart"]["id"]
    assert not merged.lines.exists()


def test_a_preview_shows_the_same_and_writes_nothing(guest, token, user_api):
    variant, code_before = make_item(available=4), CartEvent.objects.count()
    add(user_api, variant, 2)
    add(guest, variant, 2)
    before = (
        list(CartLine.objects.order_by("id").values()),
        list(Reservation.objects.order_by("id").values()),
        list(Cart.objects.order_by("id").values()),
        OutboxEvent.objects.count(),
    )

    preview = user_api.post("/cart/merge/preview", {"sessionToken": token})

    after = (
        list(CartLine.objects.order_by("id").values()),
        list(Reservation.objects.order_by("id").values()),
        list(Cart.objects.order_by("id").values()),
        OutboxEvent.objects.count(),
    )
    assert preview.status_code == 200
    assert before == after
    assert code_before <= CartEvent.objects.count()
    merged = user_api.post("/cart/merge", {"sessionToken": token}).json()
    assert merged["report"] == preview.json()["report"]
    assert merged["cart"]["totals"] == preview.json()["cart"]["totals"]
    assert merged["cart"]["items"][0]["quantity"] == 4


def test_stock_that_is_short_caps_the_line(guest, token, user_api):
    variant = make_item(available=5)
    add(user_api, variant, 3)
    add(guest, variant, 2)
    # The guest's hold lapsed and somebody else took one of its units.
    Reservation.objects.filter(quantity=2).update(expires_at=timezone.now() - timedelta(seconds=1))
    level = StockLevel.objects.get(variant=variant)
    StockLevel.objects.filter(id=level.id).update(total=4, reserved=4)
    Reservation.objects.filter(quantity=2).update(quantity=1)

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert [line["quantity"] for line in body["cart"]["items"]] == [4]
    assert rows(body) == [(variant.sku, "capped", 4, "ITEM_OUT_OF_STOCK")]


def test_what_is_sold_out_waits_for_the_next_purchase(guest, token, user_api):
    variant = make_item(available=2)
    add(guest, variant, 2)
    Reservation.objects.update(status="EXPIRED", expires_at=timezone.now() - timedelta(minutes=1))
    StockLevel.objects.update(available=0, reserved=0, total=0)

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert body["cart"]["items"] == []
    assert [(line["sku"], line["quantity"]) for line in body["cart"]["nextPurchaseItems"]] == [
        (variant.sku, 2)
    ]
    assert rows(body) == [(variant.sku, "moved_to_next", 2, "ITEM_OUT_OF_STOCK")]


def test_what_is_no_longer_sold_is_dropped_and_its_hold_released(guest, token, user_api):
    variant = make_item()
    add(guest, variant, 2)
    variant.product.status = "discontinued"
    variant.product.save()

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert rows(body) == [(variant.sku, "dropped", 0, "PRODUCT_DISCONTINUED")]
    assert not Reservation.objects.filter(status="ACTIVE").exists()
    assert StockLevel.objects.get(variant=variant).available == 10


def test_a_full_cart_takes_no_more_lines(company, guest, token, user_api):
    CartPolicy.objects.create(company=company, max_cart_items_per_user=1)
    own, other = make_item(), make_item()
    add(user_api, own)
    add(guest, other)

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert rows(body) == [(other.sku, "dropped", 0, "CART_LIMIT_EXCEEDED")]
    assert StockLevel.objects.get(variant=other).available == 10


def test_today_s_price_counts_and_the_old_ones_are_reported(guest, token, user_api):
    variant = make_item("10.00")
    add(user_api, variant)
    Price.objects.update(amount=Decimal("12.00"))
    add(guest, variant)
    Price.objects.update(amount=Decimal("11.00"))

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    [row] = body["report"]
    assert (row["oldPrice"], row["ownPrice"], row["unitPrice"]) == ("12.00", "10.00", "11.00")


def test_codes_and_metadata_come_along(company, guest, token, user_api):
    make_code("SAVE10", company)
    add(guest, make_item("10.00"))
    guest.post("/cart/discount", {"code": "SAVE10"})
    guest.patch("/cart", {"metadata": {"theme": "dark", "gift": True}})
    user_api.post("/cart", {})
    user_api.patch("/cart", {"metadata": {"theme": "light"}})

    body = user_api.post("/cart/merge", {"sessionToken": token}).json()

    assert [discount["code"] for discount in body["cart"]["discounts"]] == ["SAVE10"]
    assert body["cart"]["metadata"] == {"theme": "light", "gift": True}


def test_a_merge_can_be_undone_for_a_day(guest, token, user_api):
    shared, only = make_item(), make_item()
    add(user_api, shared, 2)
    add(guest, shared, 3)
    add(guest, only, 1, note="mine")
    user_api.post("/cart/merge", {"sessionToken": token})
    add(user_api, shared, 1)

    undone = user_api.post("/cart/merge/undo")
    again = user_api.post("/cart/merge/undo")

    assert undone.status_code == 200
    assert [(line["sku"], line["quantity"]) for line in undone.json()["items"]] == [(shared.sku, 3)]
    assert (again.status_code, again.json()["code"]) == (409, "CART_CONFLICT")
    guests = guest.get("/cart").json()
    assert [(line["sku"], line["quantity"], line["note"]) for line in guests["items"]] == [
        (shared.sku, 3, ""),
        (only.sku, 1, "mine"),
    ]
    assert all(line["hold"]["state"] == "held" for line in guests["items"])
    assert StockLevel.objects.get(variant=shared).reserved == 6
    # and merged once more
    body = user_api.post("/cart/merge", {"sessionToken": token}).json()
    assert {line["sku"]: line["quantity"] for line in body["cart"]["items"]} == {
        shared.sku: 6,
        only.sku: 1,
    }


def test_after_a_day_it_is_too_late(guest, token, user_api):
    add(guest, make_item())
    user_api.post("/cart/merge", {"sessionToken": token})
    MergeReport.objects.update(merged_at=timezone.now() - timedelta(hours=25))

    assert user_api.post("/cart/merge/undo").status_code == 409


def test_a_token_nobody_holds_is_404_and_one_of_another_account_is_410(api, guest, token, user_api):
    add(guest, make_item())
    user_api.post("/cart/merge", {"sessionToken": token})
    other = api.as_user(factories.make_user())

    unknown = user_api.post("/cart/merge", {"sessionToken": "0" * 64})
    taken = other.post("/cart/merge", {"sessionToken": token})
    nobody = guest.post("/cart/merge", {"sessionToken": token})

    assert (unknown.status_code, unknown.json()["code"]) == (404, "CART_NOT_FOUND")
    assert (taken.status_code, taken.json()["code"]) == (410, "CART_MERGED")
    assert nobody.status_code == 401


def test_the_header_will_do(api, user, guest, token):
    add(guest, make_item())

    response = api.as_user(user, token=token).post("/cart/merge", {})

    assert response.status_code == 200
    assert len(response.json()["cart"]["items"]) == 1


def test_signing_in_brings_the_guest_s_cart_along(api, user, guest, token):
    variant = make_item()
    add(guest, variant, 2)

    response = guest.post("/auth/login", {"email": user.email, "password": factories.PASSWORD})

    assert response.status_code == 200
    assert [(row["sku"], row["action"]) for row in response.json()["merge"]["report"]] == [
        (variant.sku, "kept")
    ]
    mine = api.request("GET", "/cart", Authorization=f"Bearer {response.json()['accessToken']}")
    assert [(line["sku"], line["quantity"]) for line in mine.json()["items"]] == [(variant.sku, 2)]


def test_with_merging_off_both_carts_stay(company, guest, token, user, user_api):
    CartPolicy.objects.create(company=company, guest_cart_merge_enabled=False)
    add(guest, make_item())

    response = guest.post("/auth/login", {"email": user.email, "password": factories.PASSWORD})

    assert response.status_code == 200
    assert "merge" not in response.json()
    assert len(guest.get("/cart").json()["items"]) == 1
    assert (
        user_api.post("/cart/merge", {"sessionToken": token}).json()["code"] == "FEATURE_DISABLED"
    )


def test_merging_is_announced_once(guest, token, user_api):
    add(guest, make_item())

    user_api.post("/cart/merge", {"sessionToken": token})
    user_api.post("/cart/merge", {"sessionToken": token})

    assert OutboxEvent.objects.filter(name="cart.merged").count() == 1


def test_a_merged_cart_may_not_be_bought(guest, token, user_api, actor_guest, now):
    add(guest, make_item())
    cart = Cart.objects.get()
    user_api.post("/cart/merge", {"sessionToken": token})
    actor = dataclasses.replace(actor_guest, session_hash=hash_token(token))

    with pytest.raises(CartMerged), transaction.atomic():
        services.convert(actor=actor, cart_id=cart.id, order_id=uuid4(), now=now)
    with pytest.raises(CartMerged):
        selectors.view(actor=actor, now=now)
