"""The returns desk: what waits, next steps only, and parcels that are not what was announced."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.models import AuditEntry, User
from inventory.models import StockLevel
from orders import services as orders
from orders.models import Order, RefundRequest, ReturnRequest
from orders.selectors.returns import returns_desk
from orders.services import WantedReturn
from tests import factories
from tests.orders.conftest import reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
LIST = "/admin/orders/returnrequest/"


@pytest.fixture
def office(staff_user: User) -> Client:
    client = Client()
    client.force_login(staff_user, BACKEND)
    return client


@pytest.fixture
def asked(delivered: Order, actor_user: Actor, now: datetime) -> ReturnRequest:
    """Return a request for two of the three units of the first line."""
    return orders.request_return(
        actor=actor_user,
        order_id=delivered.id,
        wanted=[WantedReturn(delivered.lines.all()[0].id, 2, "It does not fit")],
        now=now,
    )


def page_of(found: ReturnRequest) -> str:
    return reverse("admin:orders_returnrequest_change", args=[found.pk])


def step(name: str, found: ReturnRequest) -> str:
    return f"{LIST}{found.pk}/{name}/"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_desk_says_what_waits(
    asked: ReturnRequest, office: Client, staff: Actor, now: datetime
) -> None:
    desk = returns_desk(actor=staff, now=now)

    assert [(queue.status, queue.count, queue.units) for queue in desk.queues] == [
        ("REQUESTED", 1, 2),
        ("APPROVED", 0, 0),
        ("RECEIVED", 0, 0),
    ]
    line = asked.lines.get().order_line
    assert desk.queues[0].worth == [("USD", (line.total * 2 / 3).quantize(Decimal("0.01")))]
    assert desk.reasons == [("It does not fit", 2)]
    shown = text(office.get(LIST))
    assert "to decide" in shown
    assert "It does not fit" in shown


def test_the_desk_takes_two_statements(
    asked: ReturnRequest, staff: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        returns_desk(actor=staff, now=now)


def test_the_desk_is_the_company_s_own(asked: ReturnRequest, now: datetime) -> None:
    stranger = Actor.system(factories.make_company().id)

    desk = returns_desk(actor=stranger, now=now)

    assert [queue.count for queue in desk.queues] == [0, 0, 0]
    assert desk.reasons == []


def test_next_steps_only(asked: ReturnRequest, office: Client, staff: Actor, now: datetime) -> None:
    def offered() -> set[str]:
        shown = text(office.get(page_of(asked)))
        names = ("approve", "reject", "receive", "close", "note")
        return {name for name in names if step(name, asked) in shown}

    assert offered() == {"approve", "reject", "note"}
    orders.approve_return(actor=staff, return_id=asked.id, now=now)
    assert offered() == {"receive", "close", "note"}
    orders.receive_return(actor=staff, return_id=asked.id, now=now)
    assert offered() == {"note"}


def test_a_parcel_is_counted(
    asked: ReturnRequest, office: Client, staff: Actor, now: datetime
) -> None:
    orders.approve_return(actor=staff, return_id=asked.id, now=now)
    line = asked.lines.get().order_line
    before = StockLevel.objects.get(variant=line.variant).available
    place = step("receive", asked)
    assert "2 announced" in text(office.get(place))
    too_many = office.post(place, {f"came-{line.id}": "3", f"damaged-{line.id}": "0"})
    odd = office.post(place, {f"came-{line.id}": "1", f"damaged-{line.id}": "2"})
    assert (too_many.status_code, odd.status_code) == (200, 200)
    assert "More cannot be damaged than came." in text(odd)
    assert reload(asked).status == "APPROVED"
    assert not RefundRequest.objects.exists()

    done = office.post(place, {f"came-{line.id}": "1", f"damaged-{line.id}": "1"})

    assert done["Location"] == page_of(asked)
    assert reload(asked).status == "RECEIVED"
    part = asked.lines.get()
    assert (part.received_quantity, part.damaged_quantity) == (1, 1)
    assert StockLevel.objects.get(variant=line.variant).available == before
    assert RefundRequest.objects.get().lines[0]["quantity"] == 1


def test_what_is_missing_is_paid_when_staff_say_so(
    asked: ReturnRequest, office: Client, staff: Actor, now: datetime
) -> None:
    orders.approve_return(actor=staff, return_id=asked.id, now=now)
    line = asked.lines.get().order_line

    office.post(
        step("receive", asked),
        {f"came-{line.id}": "1", f"damaged-{line.id}": "0", "refund_missing": "on"},
    )

    assert RefundRequest.objects.get().lines[0]["quantity"] == 2
    assert reload(line).returned_quantity == 1


@pytest.mark.parametrize(
    ("name", "given", "status"),
    [
        ("approve", {"notes": "Use the label we sent."}, "APPROVED"),
        ("reject", {"notes": "It was worn."}, "REJECTED"),
    ],
)
def test_a_request_is_decided(
    asked: ReturnRequest, office: Client, name: str, given: dict[str, str], status: str
) -> None:
    assert office.get(step(name, asked)).status_code == 200
    assert reload(asked).status == "REQUESTED"

    office.post(step(name, asked), given)

    assert (reload(asked).status, reload(asked).notes) == (status, given["notes"])


def test_what_never_came_is_closed_and_shown(
    asked: ReturnRequest, office: Client, staff: Actor, now: datetime
) -> None:
    orders.approve_return(actor=staff, return_id=asked.id, now=now)

    office.post(step("close", asked), {"notes": ""})

    assert reload(asked).status == "CLOSED"
    assert "never arrived" in text(office.get(LIST))
    assert "never arrived" in text(
        office.get(reverse("admin:orders_order_change", args=[asked.order_id]))
    )


def test_a_note_stays_with_staff(asked: ReturnRequest, office: Client, user: User) -> None:
    office.post(step("note", asked), {"notes": "Third return this year."})

    assert reload(asked).staff_notes == "Third return this year."
    assert AuditEntry.objects.filter(action="return.noted").count() == 1
    customer = Client()
    customer.force_login(user, BACKEND)
    shown = customer.get(f"/orders/{asked.order.number}/")
    assert shown.status_code == 200
    assert "Third return" not in text(shown)


@pytest.mark.parametrize("name", ["approve", "reject", "receive", "close", "note"])
def test_steps_need_the_right(asked: ReturnRequest, name: str) -> None:
    newcomer = Client()
    newcomer.force_login(factories.make_staff(is_superuser=False), BACKEND)

    assert newcomer.post(step(name, asked), {"notes": "x"}).status_code == 403

    assert (reload(asked).status, reload(asked).staff_notes) == ("REQUESTED", "")
