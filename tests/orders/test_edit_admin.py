"""Staff change an order on the bench: the difference first, then exactly that, with a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from config.platform.models import User
from orders import services as orders
from orders.models import Order, OrderEdit
from tests import factories
from tests.orders.conftest import reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def office(staff_user: User) -> Client:
    client = Client()
    client.force_login(staff_user, BACKEND)
    return client


def place(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/edit/"


def typed(office: Client, order: Order, **changes: Any) -> dict[str, Any]:
    """Return the form as it is shown, with changes."""
    form = office.get(place(order)).context["form"]
    shown = {name: field.initial or "" for name, field in form.fields.items()}
    shown.pop("waive_shipping")
    return {**shown, "reason": "on the phone", "step": "look", **changes}


def test_units_leave_and_come_after_a_look(paid: Order, office: Client) -> None:
    first, _second = paid.lines.all()
    tea = factories.make_priced_variant("4.00", available=2)
    bench = office.get(f"/admin/orders/order/{paid.pk}/change/").content.decode()
    assert place(paid) in bench
    change = typed(office, paid, **{f"units-{first.pk}": "1", "add": f"{tea.sku} 2"})

    looked = office.post(place(paid), change)

    page = looked.content.decode()
    assert "$21.98 goes back to the customer." in page
    assert "The customer is asked to pay $8.80" in page
    assert not OrderEdit.objects.exists()
    quote = looked.context["proposal"].quote_id
    done = office.post(place(paid), {**change, "step": "do", "quote": quote})
    assert done["Location"] == f"/admin/orders/order/{paid.pk}/change/"
    assert reload(first).cancelled_quantity == 2
    added = Order.objects.get(adds_to=paid)
    assert added.grand_total == Decimal("8.80")
    assert {edit.reason for edit in OrderEdit.objects.all()} == {"on the phone"}
    bench = office.get(f"/admin/orders/order/{paid.pk}/change/").content.decode()
    assert added.number in bench
    assert paid.number in office.get(f"/admin/orders/order/{added.pk}/change/").content.decode()


def test_what_was_not_shown_is_not_done(paid: Order, office: Client) -> None:
    first, _second = paid.lines.all()
    looked = office.post(place(paid), typed(office, paid, **{f"units-{first.pk}": "1"}))
    quote = looked.context["proposal"].quote_id
    other = typed(office, paid, **{f"units-{first.pk}": "2", "step": "do", "quote": quote})

    again = office.post(place(paid), other)

    assert again.status_code == 200
    assert again.context["proposal"].quote_id != quote
    assert reload(first).cancelled_quantity == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "This would change nothing."),
        ({"add": "NO-SUCH 1"}, "no such product"),
        ({"add": "1"}, "is not a SKU, a space, and how many"),
        ({"to-city": ""}, "This is needed."),
        ({"to-country": "XX"}, "country"),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_what_makes_no_sense_is_said(paid: Order, office: Client, change: Any, words: str) -> None:
    answer = office.post(place(paid), typed(office, paid, **change))

    assert words.lower() in answer.content.decode().lower()
    assert answer.context["proposal"] is None
    assert not OrderEdit.objects.exists()


def test_only_who_may_change_orders_and_only_while_one_can_be(
    paid: Order, office: Client, user: User, staff: Any, now: Any
) -> None:
    newcomer, customer = Client(), Client()
    newcomer.force_login(factories.make_staff(is_superuser=False), BACKEND)
    customer.force_login(user, BACKEND)
    assert newcomer.get(place(paid)).status_code == 403
    assert customer.get(place(paid)).status_code in (302, 403, 404)
    change = typed(office, paid, **{"to-line1": "2 Harbour Street"})
    orders.ship(actor=staff, order_id=paid.pk, now=now)

    answer = office.post(place(paid), {**change, "step": "do", "quote": "x"})

    assert answer["Location"] == f"/admin/orders/order/{paid.pk}/change/"
    assert place(paid) not in office.get(answer["Location"]).content.decode()
    assert not OrderEdit.objects.exists()


def test_a_refusal_stands_where_its_reason_was_typed(paid: Order, office: Client) -> None:
    first, second = paid.lines.all()
    for changes, where, said in (
        ({"add": "NOPE-1 1\nNOPE-2 1"}, "add", "NOPE-2: There is no such product."),
        ({"to-line1": "", "to-city": ""}, "to-city", "This is needed."),
        ({"shipping_option": "none"}, "shipping_option", "Select a valid choice."),
        ({f"units-{first.pk}": "0", f"units-{second.pk}": "0"}, "__all__", "cancel the order"),
    ):
        answer = office.post(place(paid), typed(office, paid, **changes))
        assert said in " ".join(answer.context["form"].errors[where])
        assert answer.context["proposal"] is None
        assert "Some fields were refused" not in answer.content.decode()
    assert not OrderEdit.objects.exists()
