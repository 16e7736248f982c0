"""Waiting over HTTP, and the mails that go with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cart import services as carts
from config.platform.actor import Actor
from config.platform.models import OutboxEvent, User, new_id
from inventory import services as inventory
from inventory.models import BackInStockRequest, Reservation
from notifications.models import Notification
from tests.conftest import actor_for
from tests.factories import PASSWORD, make_priced_variant, make_user, make_variant
from tests.inventory.test_waiting import receive

pytestmark = pytest.mark.django_db


def links(channel: str) -> list[str]:
    return [
        next(word for word in note.body_text.split() if "/back-in-stock/" in word).split(
            "/back-", 1
        )[1]
        for note in Notification.objects.filter(channel=channel, type="EMAIL").order_by("id")
    ]


# --- API --------------------------------------------------------------------------------------


def test_a_customer_takes_and_leaves_a_place(user_api: Any, api: Any) -> None:
    variant = make_variant(available=0)
    path = f"/products/{variant.product.slug}/back-in-stock"
    other = api.as_user(make_user())
    assert other.post(path, {"sku": variant.sku}).status_code == 201

    made = user_api.post(path, {"sku": variant.sku, "quantity": 2})
    assert made.status_code == 201
    body = made.json()
    assert (body["status"], body["quantity"], body["ahead"]) == ("WAITING", 2, 1)
    assert [row["id"] for row in user_api.get("/back-in-stock").json()["results"]] == [body["id"]]

    assert other.delete(f"/back-in-stock/{body['id']}").status_code == 404
    assert user_api.delete(path).status_code == 204
    assert user_api.get("/back-in-stock").json()["results"] == []
    assert BackInStockRequest.objects.get(id=body["id"]).status == "CANCELLED"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"quantity": 0}, 400, "VALIDATION_ERROR"),
        ({"quantity": 11}, 400, "VALIDATION_ERROR"),
        ({"sku": "NOTHING"}, 404, "PRODUCT_NOT_FOUND"),
        ({"wish": 1}, 400, "VALIDATION_ERROR"),
    ],
)
def test_odd_requests_are_refused(user_api: Any, body: Any, status: int, code: str) -> None:
    variant = make_variant(available=0)

    answer = user_api.post(f"/products/{variant.product.slug}/back-in-stock", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not BackInStockRequest.objects.exists()


def test_what_is_in_stock_is_not_waited_for(user_api: Any) -> None:
    variant = make_variant(available=1)

    answer = user_api.post(f"/products/{variant.product.slug}/back-in-stock", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "PRODUCT_IN_STOCK")


def test_a_guest_is_asked_by_mail_once_and_the_answer_never_tells(
    api: Any, deliver: Callable[..., int]
) -> None:
    variant = make_variant(available=0)
    path = f"/products/{variant.product.slug}/back-in-stock"
    known = make_user()

    answers = [
        api.post(path, {"email": email})
        for email in (known.email, "stranger@example.com", "stranger@example.com")
    ]
    deliver()

    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {
        (202, "CONFIRMATION_SENT")
    }
    assert not BackInStockRequest.objects.exists()
    assert len(links("back-in-stock-confirm")) == 2  # one an address and day
    token = links("back-in-stock-confirm")[1].split("/")[2]
    for _ in range(2):
        assert api.post("/back-in-stock/confirm", {"token": token}).json() == {"status": "WAITING"}
    assert BackInStockRequest.objects.get().email == "stranger@example.com"
    assert api.post("/back-in-stock/confirm", {"token": token[:-2]}).status_code == 404


def test_mails_to_one_address_are_few(api: Any, rate_limits: None) -> None:
    codes = []
    for _ in range(6):
        variant = make_variant(available=0)
        answer = api.post(
            f"/products/{variant.product.slug}/back-in-stock", {"email": "ann@example.com"}
        )
        codes.append(answer.status_code)

    assert codes == [202] * 5 + [429]


def test_staff_see_the_line_and_take_somebody_out(
    staff_api: Any, user_api: Any, api: Any, company: Any, now: datetime
) -> None:
    variant = make_variant(available=0)
    for place in range(2):
        inventory.wait_for(
            actor=actor_for(make_user(), company),
            variant=variant,
            now=now + timedelta(seconds=place),
        )

    rows = staff_api.get(f"/inventory/back-in-stock?sku={variant.sku}").json()["results"]
    assert [row["ahead"] for row in rows] == [0, 1]
    assert user_api.get("/inventory/back-in-stock").status_code == 403
    assert staff_api.delete(f"/back-in-stock/{rows[0]['id']}").status_code == 204
    assert len(staff_api.get("/inventory/back-in-stock").json()["results"]) == 1


# --- being told, and taking it ------------------------------------------------------------------


def test_the_customer_is_told_once_and_the_link_puts_it_into_the_cart(
    client: Client, user: User, actor_user: Actor, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_priced_variant(available=0)
    request = inventory.wait_for(actor=actor_user, variant=variant, quantity=2, now=now)
    receive(variant, 1, staff, now)
    OutboxEvent.objects.update(next_attempt_at=now)
    deliver()

    mail = Notification.objects.get(channel="back-in-stock")
    assert mail.recipient == user.email
    assert "You asked for 2" in mail.body_text
    bell = Notification.objects.get(type="IN_APP")
    assert (bell.user_id, "kept for you" in bell.subject) == (user.pk, True)

    path = "/back-" + links("back-in-stock")[0]
    page = client.get(path)  # whoever has the link, signed in or not
    assert page.status_code == 200
    assert user.email not in page.content.decode()
    assert Reservation.objects.get().line_id == request.id  # looking takes nothing
    assert client.post(path).status_code == 302
    held = Reservation.objects.get(status="ACTIVE")
    assert held.cart_id is not None
    request.refresh_from_db()
    assert request.status == "TAKEN"
    assert "no longer kept" in client.get(path).content.decode()
    assert client.post(path).status_code == 404


def test_an_offer_that_lapsed_is_told_once_and_the_place_is_over(
    api: Any, user: User, actor_user: Actor, company: Any, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_priced_variant(available=0)
    inventory.wait_for(actor=actor_user, variant=variant, now=now)
    guest = BackInStockRequest.objects.create(
        company=company,
        variant=variant,
        email="ann@example.com",
        quantity=1,
        queued_at=now + timedelta(seconds=1),
    )
    receive(variant, 1, staff, now)
    over = now + timedelta(minutes=31)
    for later in (over, over + timedelta(minutes=31), over + timedelta(hours=3)):
        inventory.release_expired(now=later)
        inventory.serve_waiting(now=later)
    OutboxEvent.objects.update(next_attempt_at=now)
    for _ in range(3):
        deliver()

    mails = Notification.objects.filter(channel="back-in-stock-over").order_by("created_at", "id")
    assert {mail.recipient for mail in mails} == {user.email, "ann@example.com"}
    assert len(mails) == 2
    assert "your place in the line has ended" in mails[0].body_text
    assert f"/products/{variant.product.slug}/" in mails[0].body_html
    bell = Notification.objects.get(type="IN_APP", channel="inventory.back_in_stock_lapsed")
    assert bell.user_id == user.pk
    guest.refresh_from_db()
    assert guest.status == "LAPSED"


def test_who_waits_again_or_took_it_is_not_told_that_an_offer_lapsed(
    actor_user: Actor, company: Any, staff: Actor, now: datetime, deliver: Any, client: Client
) -> None:
    variant, taken = make_priced_variant(available=0), make_priced_variant(available=0)
    for thing in (variant, taken):
        inventory.wait_for(actor=actor_user, variant=thing, now=now)
        receive(thing, 1, staff, now)
    request = BackInStockRequest.objects.get(variant=taken)
    inventory.claim_offer(actor=actor_user, request_id=request.id, now=now)
    inventory.reserve(
        actor=actor_user, cart_id=new_id(), demands=[inventory.Demand(new_id(), taken.id, 1)],
        expires_at=now + timedelta(minutes=15), now=now,
    )  # fmt: skip
    over = now + timedelta(minutes=31)
    other = actor_for(make_user(), company)
    inventory.reserve(
        actor=other, cart_id=new_id(), demands=[inventory.Demand(new_id(), variant.id, 1)],
        expires_at=over + timedelta(hours=5), now=over,
    )  # fmt: skip
    inventory.wait_for(actor=actor_user, variant=variant, now=over)
    OutboxEvent.objects.update(next_attempt_at=now)
    deliver()

    assert [row.status for row in BackInStockRequest.objects.order_by("queued_at", "id")].count("LAPSED") == 1  # fmt: skip
    assert not Notification.objects.filter(channel="back-in-stock-over").exists()


def test_an_offer_that_is_over_is_not_told(
    actor_user: Actor, staff: Actor, now: datetime, deliver: Any
) -> None:
    variant = make_variant(available=0)
    inventory.wait_for(actor=actor_user, variant=variant, now=now)
    receive(variant, 1, staff, now)
    inventory.release_expired(now=now + timedelta(minutes=30))

    deliver()

    assert not Notification.objects.filter(channel="back-in-stock").exists()


def test_a_hold_that_begins_at_checkout_begins_at_once_for_what_was_kept(
    user_api: Any, actor_user: Actor, staff: Actor, staff_api: Any, now: datetime
) -> None:
    variant = make_priced_variant(available=0)
    request = inventory.wait_for(actor=actor_user, variant=variant, now=now)
    assert staff_api.patch("/cart/config", {"holdStart": "checkout"}).status_code == 200
    receive(variant, 1, staff, now)

    carts.take_offer(actor=actor_user, request_id=request.id, now=now)

    [line] = user_api.get("/cart").json()["items"]
    assert (line["hold"]["state"], line["problems"]) == ("held", [])


def test_a_line_that_stood_in_the_cart_in_vain_gets_what_is_kept(
    user_api: Any, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    variant = make_priced_variant(available=1)
    user_api.post("/cart/items", {"sku": variant.sku})
    later = now + timedelta(minutes=20)
    inventory.release_expired(now=later)
    other = Actor(kind=actor_user.kind, company_id=actor_user.company_id, user_id=new_id())
    inventory.reserve(
        actor=other,
        cart_id=new_id(),
        demands=[inventory.Demand(new_id(), variant.id, 1)],
        expires_at=later + timedelta(minutes=15),
        now=later,
    )
    request = inventory.wait_for(actor=actor_user, variant=variant, now=later)
    receive(variant, 1, staff, later)

    view = carts.take_offer(actor=actor_user, request_id=request.id, now=later)

    [line] = view.items
    assert (line.quantity, line.hold.state) == (1, "held")


# --- pages --------------------------------------------------------------------------------------


def test_the_page_of_what_is_sold_out_offers_a_place(
    client: Client, user: User, now: datetime
) -> None:
    variant = make_priced_variant(available=0)
    url = f"/products/{variant.product.slug}/"
    assert "Tell me when it is back" in client.get(url).content.decode()
    form = {"product": str(variant.product_id), "slug": variant.product.slug, "sku": variant.sku}

    answer = client.post("/back-in-stock/", {**form, "email": "ann@example.com"}, follow=True)
    assert "Look into your mail" in answer.content.decode()
    assert not BackInStockRequest.objects.exists()

    client.login(email=user.email, password=PASSWORD)
    answer = client.post("/back-in-stock/", form, headers={"HX-Request": "true"})
    assert "You are first in line" in answer.content.decode()
    assert "You are first in line." in client.get(url).content.decode()
    mine = BackInStockRequest.objects.get()
    assert variant.product.name in client.get("/account/back-in-stock/").content.decode()
    client.post("/account/back-in-stock/", {"request": str(mine.id)})
    mine.refresh_from_db()
    assert mine.status == "CANCELLED"


def test_confirming_needs_a_press(client: Client, company: Any) -> None:
    variant = make_variant(available=0)
    token = inventory.confirmation_token(
        company_id=company.id, variant_id=variant.id, email="ann@example.com", quantity=1
    )

    assert client.get(f"/back-in-stock/confirm/{token}/").status_code == 200
    assert not BackInStockRequest.objects.exists()
    assert "first in line" in client.post(f"/back-in-stock/confirm/{token}/").content.decode()
    assert BackInStockRequest.objects.get().email == "ann@example.com"
    assert client.get("/back-in-stock/confirm/nonsense/").status_code == 404


def test_a_page_that_can_be_bought_costs_no_look_at_the_line(client: Client) -> None:
    variant = make_priced_variant(available=3)

    with CaptureQueriesContext(connection) as found:
        client.get(f"/products/{variant.product.slug}/")

    assert "back_in_stock" not in " ".join(query["sql"] for query in found)
