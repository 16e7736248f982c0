"""Pages to leave something out or send it back: choose, look it over, do it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from config.platform.models import User
from orders import services as orders
from orders.models import Order, ReturnRequest
from orders.services import Units
from tests import factories
from tests.orders.conftest import reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def stranger() -> Client:
    client = Client()
    client.force_login(factories.make_user(), BACKEND)
    return client


def test_units_are_left_out_after_a_look(paid: Order, page: Client) -> None:
    first, second = paid.lines.all()
    place = f"/orders/{paid.number}/cancel-items/"
    assert f'max="{first.quantity}"' in page.get(place).content.decode()

    asked = page.post(place, {f"quantity-{first.id}": "2", "step": "review"})
    share = (first.total * 2 / 3).quantize(first.total)
    assert f"${share:.2f} goes back" in asked.content.decode()
    assert reload(first).cancelled_quantity == 0

    sent: dict[str, Any] = {f"quantity-{first.id}": "2", "step": "do", "key": "a" * 32}
    for _ in range(2):
        assert page.post(place, sent).status_code == 302
    assert (reload(first).cancelled_quantity, reload(second).cancelled_quantity) == (2, 0)
    assert [request.amount for request in paid.refund_requests.all()] == [share]


@pytest.mark.parametrize("quantity", ["9", "-1", "x", "1.5", "٣", "", "0"])
def test_a_number_that_is_none_changes_nothing(paid: Order, page: Client, quantity: str) -> None:
    first = paid.lines.all()[0]

    answer = page.post(
        f"/orders/{paid.number}/cancel-items/", {f"quantity-{first.id}": quantity, "step": "do"}
    )

    assert answer.status_code == 422
    assert b'role="alert"' in answer.content
    assert reload(first).cancelled_quantity == 0


def test_nothing_is_left_out_of_what_is_sent_or_foreign(
    paid: Order, page: Client, staff: Any, now: Any
) -> None:
    place = f"/orders/{paid.number}/cancel-items/"
    assert stranger().get(place).status_code == 404
    orders.ship(actor=staff, order_id=paid.id, now=now)

    assert page.get(place)["Location"] == f"/orders/{paid.number}/"
    assert place not in page.get(f"/orders/{paid.number}/").content.decode()


def test_a_return_is_asked_for_in_steps(delivered: Order, page: Client) -> None:
    first = delivered.lines.all()[0]
    place = f"/orders/{delivered.number}/return/"
    assert place in page.get(f"/orders/{delivered.number}/").content.decode()
    given = {f"quantity-{first.id}": "1", f"why-{first.id}": "damaged", "notes": "The handle."}

    review = page.post(place, {**given, "step": "check"}).content.decode()
    assert "It arrived damaged" in review
    assert "The handle." in review
    assert "$10.99 goes back" in review
    back = page.post(place, {**given, "step": "goods"}).content.decode()
    assert 'value="1"' in back
    card = {**given, "notes": "Pay to 4242 4242 4242 4242.", "step": "do", "key": "a" * 32}
    assert "looks like a card number" in page.post(place, card, follow=True).content.decode()
    assert not ReturnRequest.objects.exists()

    for _ in range(2):
        page.post(place, {**given, "step": "do", "key": "b" * 32})
    found = ReturnRequest.objects.get()
    assert (found.notes, found.lines.get().quantity, found.lines.get().reason) == (
        "The handle.",
        1,
        "It arrived damaged",
    )
    shown = page.get(f"/orders/{delivered.number}/").content.decode()
    assert "Sent back" in shown
    # What is announced cannot be announced again.
    assert 'max="2"' in page.get(place).content.decode()


def test_no_return_after_its_time_or_for_others(delivered: Order, page: Client) -> None:
    place = f"/orders/{delivered.number}/return/"
    assert stranger().get(place).status_code == 404
    Order.objects.filter(pk=delivered.pk).update(
        delivered_at=delivered.placed_at - timedelta(days=60)
    )

    assert page.get(place).status_code == 302
    assert page.post(place, {"step": "do"}).status_code == 302
    assert not ReturnRequest.objects.exists()


def test_the_order_page_shows_each_parcel(paid: Order, page: Client, staff: Any, now: Any) -> None:
    first = paid.lines.all()[0]
    orders.ship(
        actor=staff,
        order_id=paid.id,
        units=[Units(first.id, 2)],
        carrier="Coastal Post",
        tracking_number="CP7",
        tracking_url="https://post.example/CP7",
        now=now,
    )

    shown = page.get(f"/orders/{paid.number}/").content.decode()

    assert "Coastal Post CP7" in shown
    assert 'href="https://post.example/CP7"' in shown
    assert f"2 × {first.name}" in shown
    assert f"/orders/{paid.number}/cancel/" not in shown
