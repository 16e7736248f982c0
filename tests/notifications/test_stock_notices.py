"""Who is told about stock: staff once per fall, customers about what they keep."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cart.models import CartLine
from config.platform.actor import Actor
from inventory import services as inventory
from inventory.models import Product, Variant
from notifications import push, services, tasks
from notifications.models import Digest, Notification, Preference
from tests.conftest import actor_for
from tests.factories import make_priced_variant, make_user, make_variant

pytestmark = pytest.mark.django_db


def move(variant: Variant, quantity: int, staff: Actor, now: datetime) -> None:
    level = variant.stock_levels.get()
    inventory.adjust(actor=staff, stock_level_id=level.id, quantity=quantity, now=now)


def bells(channel: str) -> list[UUID | None]:
    rows = Notification.objects.filter(type="IN_APP", channel=channel).order_by("user_id")
    return list(rows.values_list("user_id", flat=True))


# --- low stock ----------------------------------------------------------------------------------


def test_low_stock_is_one_mail_per_recipient_and_run(
    settings: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    settings.LOW_STOCK_EMAILS = ["stock@example.com", "boss@example.com"]
    variants = [make_variant(available=12, reorder_level=10) for _ in range(60)]
    risen = make_variant(available=12, reorder_level=10)
    for variant in [*variants, risen]:
        move(variant, -2, staff, now)
    move(variants[0], -1, staff, now)  # lower still: no second time
    move(risen, 5, staff, now)
    for _ in range(2):
        deliver()

    tasks.send_digests()
    tasks.send_digests()

    mails = Notification.objects.filter(channel="low-stock").order_by("recipient")
    assert [mail.recipient for mail in mails] == ["boss@example.com", "stock@example.com"]
    assert "60 shelves run low" in mails[0].subject
    assert "And 10 more." in mails[0].body_text
    assert risen.sku not in mails[0].body_text
    assert variants[0].sku in mails[0].body_text  # the emptiest comes first


def test_low_stock_is_told_again_only_after_it_was_above(
    settings: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    settings.LOW_STOCK_EMAILS = ["stock@example.com"]
    variant = make_variant(available=11, reorder_level=10)
    for quantity in (-1, -1, 5, -5):
        move(variant, quantity, staff, now)
        deliver()
        services.send_low_stock_digest(now=now)

    assert Notification.objects.filter(channel="low-stock").count() == 2


def test_without_recipients_nothing_is_noted(
    settings: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    settings.LOW_STOCK_EMAILS = []
    move(make_variant(available=11, reorder_level=10), -2, staff, now)
    deliver()

    assert not Digest.objects.exists()


# --- what customers keep ------------------------------------------------------------------------


def test_who_keeps_a_thing_is_told_once_a_day_that_it_is_back(
    api: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_priced_variant(available=3)
    saver, wisher, deaf, stranger = (make_user() for _ in range(4))
    for user in (saver, deaf):
        client = api.as_user(user)
        line = client.post("/cart/items", {"sku": variant.sku}).json()["items"][0]
        client.post(f"/cart/items/{line['id']}/save")
    assert api.as_user(wisher).post("/wishlist/items", {"sku": variant.sku}).status_code == 201
    api.as_user(stranger).get("/cart")
    CartLine.objects.update(added_at=now)
    Preference.objects.create(user_id=deaf.pk, category="stock", type="IN_APP", is_enabled=False)
    move(variant, -3, staff, now)
    deliver()
    assert bells("stock.back") == []

    for quantity in (2, 1, -3, 2):  # a rise, no rise, a fall, a rise on the same day
        move(variant, quantity, staff, now)
        deliver()

    assert bells("stock.back") == [saver.pk]  # a wish has news of its own
    note = Notification.objects.filter(channel="stock.back").first()
    assert note is not None
    assert note.metadata["url"] == f"/products/{variant.product.slug}/?sku={variant.sku}"


@pytest.fixture
def keep(api: Any, now: datetime) -> Any:
    """Return a function that lets a customer keep a variant on a list beside the cart."""

    def run(user: Any, variant: Variant, act: str = "save") -> None:
        client = api.as_user(user)
        line = next(
            line
            for line in client.post("/cart/items", {"sku": variant.sku}).json()["items"]
            if line["sku"] == variant.sku
        )
        assert client.post(f"/cart/items/{line['id']}/{act}").status_code == 200
        CartLine.objects.filter(variant=variant).update(added_at=now)

    return run


def mails_about_what_is_kept() -> list[tuple[str, str, str]]:
    rows = Notification.objects.filter(channel="kept-back").order_by("created_at", "recipient")
    return [(row.recipient, row.status, row.subject) for row in rows]


def test_what_is_kept_for_later_and_is_back_is_mailed_by_choice(
    keep: Any, api: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_priced_variant(available=3)
    saver, planner, deaf, buyer, wisher = (make_user() for _ in range(5))
    keep(saver, variant)
    keep(planner, variant, "next-purchase")
    keep(deaf, variant)
    keep(wisher, variant)
    assert api.as_user(wisher).post("/wishlist/items", {"sku": variant.sku}).status_code == 201
    api.as_user(buyer).post("/cart/items", {"sku": variant.sku})
    Preference.objects.create(user_id=deaf.pk, category="stock", type="EMAIL", is_enabled=False)
    inventory.release_expired(now=now + timedelta(hours=1))
    move(variant, -3, staff, now)
    move(variant, 2, staff, now)
    for _ in range(2):
        deliver()

    assert services.send_kept_back(now=now) == 3
    assert services.send_kept_back(now=now) == 0

    told = {recipient: status for recipient, status, _subject in mails_about_what_is_kept()}
    assert told == {
        saver.email: "PENDING",
        planner.email: "PENDING",
        deaf.email: "SUPPRESSED",
    }  # in the active list it is the bell, on a wishlist a mail of its own
    mail = Notification.objects.get(channel="kept-back", recipient=saver.email)
    assert mail.subject == f"{variant.product.name} is back"
    assert f"/products/{variant.product.slug}/?sku={variant.sku}" in mail.body_html
    assert mail.metadata["unsubscribe"] in mail.body_text


def test_what_comes_back_later_the_same_day_waits_for_the_next_mail(
    keep: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    user = make_user()
    first, second, third, gone, dropped = (make_priced_variant(available=1) for _ in range(5))
    for variant in (first, second, third, gone, dropped):
        keep(user, variant)
        move(variant, -1, staff, now)
    move(first, 1, staff, now)
    deliver()
    assert services.send_kept_back(now=now) == 1

    for variant in (second, third, gone, dropped):
        move(variant, 1, staff, now)
    deliver()
    move(gone, -1, staff, now)  # there no more when the mail is written
    CartLine.objects.filter(variant=dropped).delete()
    assert services.send_kept_back(now=now + timedelta(hours=23)) == 0
    assert services.send_kept_back(now=now + timedelta(hours=25)) == 1

    mail = Notification.objects.filter(channel="kept-back").latest("created_at")
    assert mail.subject == "Things you kept are back"
    for variant, is_named in ((first, False), (second, True), (third, True), (gone, False), (dropped, False)):  # fmt: skip
        assert (variant.product.slug in mail.body_text) is is_named
    assert not Digest.objects.filter(sent_at=None).exists()


def test_news_of_a_week_ago_are_none(keep: Any, staff: Actor, now: datetime, deliver: Any) -> None:
    variant = make_priced_variant(available=1)
    keep(make_user(), variant)
    move(variant, -1, staff, now)
    move(variant, 1, staff, now)
    deliver()

    assert services.send_kept_back(now=now + timedelta(days=8)) == 0
    assert mails_about_what_is_kept() == []
    assert not Digest.objects.exists()


def test_what_many_keep_costs_a_constant_number_of_statements_a_mail(
    keep: Any, staff: Actor, now: datetime, deliver: Any, unhurried: None
) -> None:
    counts = []
    for number in (1, 3):
        variant = make_priced_variant(available=1)
        for _ in range(number):
            keep(make_user(), variant)
        move(variant, -1, staff, now)
        move(variant, 1, staff, now)
        deliver()
        with CaptureQueriesContext(connection) as queries:
            assert services.send_kept_back(now=now) == number
        counts.append(len(queries))

    each = (counts[1] - counts[0]) / 2
    assert each <= 6  # the message itself, nothing about the goods


def test_who_takes_a_thing_up_after_it_came_back_is_not_told_that_it_did(
    api: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    """The news travels through a queue: a customer may have seen the thing, and have it, before it arrives."""
    variant = make_priced_variant(available=0)
    move(variant, 3, staff, now)
    client = api.as_user(make_user())
    assert client.post("/cart/items", {"sku": variant.sku}).status_code == 201
    CartLine.objects.update(added_at=now + timedelta(milliseconds=1))

    deliver()

    assert bells("stock.back") == []


def test_who_holds_a_thing_is_not_told_that_it_sold_out(
    api: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_priced_variant(available=2)
    holder, unlucky = make_user(), make_user()
    api.as_user(unlucky).post("/cart/items", {"sku": variant.sku})
    inventory.release_expired(now=now + timedelta(minutes=20))
    api.as_user(holder).post("/cart/items", {"sku": variant.sku, "quantity": 1})

    move(variant, -1, staff, now)
    deliver()

    assert bells("stock.gone") == [unlucky.pk]


def test_a_discontinued_product_is_flagged_in_every_cart_and_cannot_be_bought(
    api: Any,
    staff: Actor,
    company: Any,
    now: datetime,
    deliver: Any,
    monkeypatch: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    gone, sold_out = make_priced_variant(available=5), make_priced_variant(available=0)
    other = make_priced_variant(available=5)
    inventory.relate(
        actor=staff,
        relations={(gone.product.slug, "alternative"): [other.product.slug]},
        now=now,
    )
    users = [make_user() for _ in range(3)]
    etags = []
    for user in users[:2]:
        api.as_user(user).post("/cart/items", {"sku": gone.sku})
        etags.append(api.as_user(user).get("/cart")["ETag"])
    Product.objects.filter(id=sold_out.product_id).update(name="Gone too")
    inventory.wait_for(actor=actor_for(users[2], company), variant=sold_out, now=now)
    pushed: list[tuple[str, str]] = []
    monkeypatch.setattr(push, "send", lambda group, body: pushed.append((group, body["type"])))

    with django_capture_on_commit_callbacks(execute=True):
        for variant in (gone, sold_out):
            inventory.discontinue(actor=staff, product_id=variant.product_id, now=now)
    for _ in range(2):
        deliver()

    assert (push.product_group(gone.product_id), "product.changed") in pushed
    assert bells("product.discontinued") == sorted(user.pk for user in users)
    for user, etag in zip(users, etags, strict=False):
        client = api.as_user(user)
        answer = client.get("/cart", **{"If-None-Match": etag})
        [line] = answer.json()["items"]
        assert [problem["code"] for problem in line["problems"]] == ["PRODUCT_DISCONTINUED"]
        assert (
            client.post("/cart/items", {"sku": gone.sku}).json()["code"] == "PRODUCT_DISCONTINUED"
        )
        assert client.get("/cart/validate").json()["valid"] is False
        opened = client.post("/checkout/initialize", {"email": "a@example.com"}).json()
        assert opened["requirements"] == [{"code": "ITEM_UNAVAILABLE", "field": "items.0"}]
        payment = client.post(
            f"/checkout/{opened['id']}/payment",
            {"method": "test", "quoteId": opened["quoteId"]},
            key=f"pay-{user.pk}",
        )
        assert payment.status_code == 409
        found = client.get(f"/products/{gone.product_id}/alternatives").json()["results"]
        assert [row["id"] for row in found] == [str(other.product_id)]
