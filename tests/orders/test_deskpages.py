"""The pages from which orders are packed and looked back on, and the steps of the bench that deal with parcels."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.models import User
from orders import services as orders
from orders.models import Order, Shipment
from orders.services import Units
from tests import factories
from tests.orders.conftest import reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def office(staff_user: User) -> Client:
    client = Client()
    client.force_login(staff_user, BACKEND)
    return client


@pytest.fixture
def newcomer() -> Client:
    client = Client()
    client.force_login(factories.make_staff(is_superuser=False), BACKEND)
    return client


def test_the_picking_page_lists_what_to_fetch(
    paid: Order, office: Client, newcomer: Client
) -> None:
    place = "/admin/orders/order/picking/"
    shown = office.get(place).content.decode()
    file = b"".join(office.get(f"{place}?file=1").streaming_content).decode()

    assert paid.number in shown
    assert f"/admin/orders/order/{paid.pk}/ship" in shown
    assert [row["quantity"] for row in csv.DictReader(io.StringIO(file))] == ["3", "1"]
    assert "Nothing waits" in office.get(f"{place}?warehouse=NONE").content.decode()
    assert newcomer.get(place).status_code == 403
    assert Client().get(place).status_code == 302


def test_the_figures_page_adds_up(paid: Order, office: Client, newcomer: Client) -> None:
    place = "/admin/orders/order/figures/"

    shown = office.get(place).content.decode()
    assert "$60.47" in shown
    assert paid.lines.all()[0].name in shown
    assert "$60.47" not in office.get(f"{place}?date_to=2020-01-31").content.decode()
    for wrong in ("date_from=2999-01-01", "date_from=2026-13-45", "date_from=1990-01-01"):
        answer = office.get(f"{place}?{wrong}")
        assert (answer.status_code, b'role="alert"' in answer.content) == (200, True)
    assert newcomer.get(place).status_code == 403


def test_a_part_is_shipped_from_the_bench(paid: Order, office: Client) -> None:
    first, second = paid.lines.all()
    place = reverse("admin:orders_order_ship_order", args=[paid.pk])
    assert f'name="units-{first.pk}"' in office.get(place, follow=True).content.decode()

    none = {f"units-{first.pk}": "0", f"units-{second.pk}": "0"}
    many = {f"units-{first.pk}": "4", f"units-{second.pk}": "0"}
    for refused in (none, many):
        assert office.post(place, refused, follow=True).status_code == 200
    assert not Shipment.objects.exists()

    office.post(place, {f"units-{first.pk}": "2", f"units-{second.pk}": "0", "carrier": "Post"})
    assert Shipment.objects.get().lines == [{"itemId": str(first.pk), "quantity": 2}]
    assert reload(paid).status == "processing"
    bench = office.get(f"/admin/orders/order/{paid.pk}/change/").content.decode()
    assert "2 sent" in bench
    assert reverse("admin:orders_order_refund_order", args=[paid.pk]) in bench
    assert reverse("admin:orders_order_cancel_order", args=[paid.pk]) not in bench  # a part is gone


def test_many_are_shipped_or_taken_as_a_file_at_once(
    paid: Order, draft: Order, office: Client
) -> None:
    place = "/admin/orders/order/"
    chosen = {"_selected_action": [str(paid.pk)]}

    file = office.post(place, {**chosen, "action": "as_file"})
    assert paid.number in b"".join(file.streaming_content).decode()
    office.post(place, {**chosen, "action": "ship_all"})
    office.post(place, {**chosen, "action": "ship_all"})

    assert reload(paid).status == "shipped"
    assert Shipment.objects.count() == 1


def test_the_bench_leads_to_the_papers(
    paid: Order, office: Client, newcomer: Client, staff: Actor, now: datetime
) -> None:
    slip = f"/admin/orders/order/{paid.pk}/packing-slip/"
    bench = office.get(f"/admin/orders/order/{paid.pk}/change/").content.decode()
    assert slip in bench
    assert f"/orders/{paid.number}/invoice/" in bench

    first: Any = paid.lines.all()[0]
    orders.ship(actor=staff, order_id=paid.id, units=[Units(first.id, 3)], now=now)
    answer = office.get(slip)
    assert (answer["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
    assert newcomer.get(slip).status_code == 403
    assert office.get(f"/orders/{paid.number}/invoice/").status_code == 200


def test_a_refund_that_is_pressed_twice_is_made_once(paid: Order, office: Client) -> None:
    address = f"/admin/orders/order/{paid.pk}/refund/"
    key = office.get(address).context["form_key"]
    form = {"amount": "5.00", "reason": "late", "key": key}

    answers = [office.post(address, form) for _ in range(2)]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {
        (302, f"/admin/orders/order/{paid.pk}/change/")
    }
    assert [str(row.amount) for row in paid.refund_requests.all()] == ["5.000"]

    meant = office.get(address).context["form_key"]  # the same once more is another form
    office.post(address, {**form, "key": meant})
    assert paid.refund_requests.count() == 2


STEPS = {"pack": "processing", "ship": "shipped", "deliver": "delivered", "cancel": "cancelled"}


@pytest.mark.parametrize("start", Order.Status.values)
def test_the_bench_takes_no_step_that_the_order_cannot_take(
    paid: Order, office: Client, start: str
) -> None:
    """Whatever is posted, from an old page or by hand: the table of statuses decides, and the page says why not."""
    may = Order.TRANSITIONS[start] | (
        {"shipped"} if start == "confirmed" else set()
    )  # packed at once
    shown = office.get(f"/admin/orders/order/{paid.pk}/change/")
    assert shown.status_code == 200
    for name, target in STEPS.items():
        Order.objects.filter(pk=paid.pk).update(status=start)
        paid.lines.update(shipped_quantity=0, cancelled_quantity=0)
        before = paid.status_changes.count()
        address = f"/admin/orders/order/{paid.pk}/{name}/"
        units = {f"units-{line.pk}": line.quantity for line in paid.lines.all()}
        page = office.post(address, {"reason": "by hand", **units})
        if target in may:
            assert (page.status_code, reload(paid).status) == (302, target), name
            continue
        assert (page.status_code, reload(paid).status) == (200, start), name
        assert paid.status_changes.count() == before
        assert [str(message) for message in page.context["messages"]] != []
