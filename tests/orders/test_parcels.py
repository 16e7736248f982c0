"""Many orders on their way at once: every problem named before anything leaves, each order by itself, once only."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.errors import ImportUnreadable, ValidationFailed
from config.platform.models import OutboxEvent, User
from config.platform.sheets import Source
from inventory.models import Variant
from orders import services as orders
from orders.models import Order, Shipment
from orders.services import DirectItem, ParcelLine, shipping
from orders.services import parcels as parcels_service
from tests import factories
from tests.orders.conftest import ADDRESS, reload
from tests.threads import together

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAGE = "/admin/orders/order/parcels/"
FIELDS = ("line", "number", "carrier", "tracking_number", "tracking_url", "seen")


@pytest.fixture
def office(staff_user: User) -> Client:
    client = Client()
    client.force_login(staff_user, BACKEND)
    return client


@pytest.fixture
def sold(variant: Variant, actor_user: Actor, system: Actor, now: datetime) -> Callable[[], Order]:
    """Return a function that makes another paid order of one unit."""

    def make() -> Order:
        order = orders.place_direct(
            actor=actor_user,
            items=[DirectItem(variant.sku, 1)],
            email="ada@example.com",
            shipping_address=ADDRESS,
            now=now,
        )
        orders.set_payment_status(
            actor=system, order_id=order.id, status="captured", method="test", now=now
        )
        return orders.confirm(actor=system, order_id=order.id, now=now)

    return make


def read(text: str) -> list[tuple[Any, ...]]:
    return [
        (row.line, row.number, row.carrier, row.tracking_number, row.tracking_url)
        for row in orders.read_parcels(Source.of("list", text.encode()))
    ]


def shown(answer: HttpResponse) -> dict[str, list[str]]:
    """Return the rows that a page would send back."""
    page = answer.content.decode()
    return {
        field: [
            unescape(value)
            for value in re.findall(rf'<input [^>]*name="{field}" value="([^"]*)"', page)
        ]
        for field in FIELDS
    }


def errors(answer: HttpResponse) -> list[str]:
    found = re.findall(r'class="office__error">([^<]*)<', answer.content.decode())
    return [unescape(text) for text in found]


def send(office: Client, rows: dict[str, list[str]], **more: str) -> Any:
    return office.post(PAGE, {**rows, "step": "send", **more})


def test_a_list_is_read_with_and_without_a_row_of_names() -> None:
    plain = "ORD-1,DHL,123\nORD-2, UPS , 1Z9 ,https://ups.example/1Z9\n\nORD-3\n"
    assert read(plain) == [
        (1, "ORD-1", "DHL", "123", ""),
        (2, "ORD-2", "UPS", "1Z9", "https://ups.example/1Z9"),
        (4, "ORD-3", "", "", ""),
    ]
    named = "Tracking;Order number;Carrier;Weight\r\n=1+1;ORD-1;DHL;2,5\r\n'=1+1;ORD-2;;\r\n"
    assert read(named) == [(2, "ORD-1", "DHL", "=1+1", ""), (3, "ORD-2", "", "=1+1", "")]
    assert read("ORD-1\tDHL\t7") == [(1, "ORD-1", "DHL", "7", "")]


def test_a_list_that_is_none_is_refused() -> None:
    for text in ("carrier,tracking\nDHL,1", "ORD-1\n" * (orders.MOST_PARCELS + 1)):
        with pytest.raises(ValidationFailed):
            read(text)
    for content in (b"", b"%PDF-1.7", b"a\x00b"):
        with pytest.raises(ImportUnreadable):
            orders.read_parcels(Source.of("list", content))


def test_every_problem_is_named_by_its_line(
    sold: Callable[[], Order],
    draft: Order,
    office: Client,
    staff: Actor,
    system: Actor,
    now: datetime,
) -> None:
    good, gone, held, cancelled, double = (sold() for _ in range(5))
    orders.ship(actor=staff, order_id=gone.id, now=now)
    orders.cancel(actor=staff, order_id=cancelled.id, reason="x", now=now)
    Order.objects.filter(pk=held.pk).update(review="pending", review_reason="odd")
    foreign = sold()
    Order.objects.filter(pk=foreign.pk).update(company=factories.make_company())
    before = OutboxEvent.objects.count()
    lines = [
        f"{good.number.lower()},=cmd|'/c calc'!A1,<b>1</b>,https://post.example/1",
        "ORD-20200101-000001,DHL,1",
        f"{foreign.number},DHL,2",
        f"{gone.number},DHL,3",
        f"{held.number},DHL,4",
        f"{draft.number},DHL,5",
        f"{cancelled.number},DHL,6",
        f"{double.number},DHL,7",
        f"{double.number},UPS,8",
        f"{double.number},{'c' * 101},{'9' * 101},javascript:alert(1)",
        ",DHL,9",
    ]

    answer = office.post(PAGE, {"list": "\n".join(lines), "step": "look"})

    unknown = "There is no such order for you."
    assert errors(answer) == [
        unknown,
        unknown,
        "It is shipped already.",
        "Nothing is packed or sent before somebody has looked at this order.",
        "It is not paid yet.",
        "It is cancelled.",
        "It stands on line 9, 10 too.",
        "It stands on line 8, 10 too.",
        "It stands on line 8, 9 too.",
        "Carrier: This may have at most 100 characters.",
        "Tracking number: This may have at most 100 characters.",
        "Tracking link: This must begin with https:// or http://.",
        "There is no order number.",
    ]
    rows = shown(answer)
    assert rows["line"] == [str(line) for line in range(1, 12)]
    assert [bool(seen) for seen in rows["seen"]] == [True, *[False] * 10]
    assert Shipment.objects.count() == 1  # nothing was written for looking
    assert OutboxEvent.objects.count() == before

    done = send(office, rows)
    assert b"1 order is on its way." in done.content
    assert len(shown(done)["number"]) == 10  # the others come back to be mended
    sent = Shipment.objects.get(order=good)
    assert (sent.carrier, sent.tracking_number) == ("=cmd|'/c calc'!A1", "1")
    assert sent.tracking_url == "https://post.example/1"
    assert Shipment.objects.count() == 2
    assert reload(double).status == "confirmed"


def test_each_is_sent_by_the_one_service_and_once(
    sold: Callable[[], Order], office: Client, staff_user: User
) -> None:
    first, second = sold(), sold()
    answer = office.post(
        PAGE, {"list": f"{first.number},,1\n{second.number},UPS,2", "common": "DHL", "step": "look"}
    )
    rows, key = shown(answer), re.search(r'name="key" value="(\w+)"', answer.content.decode())
    assert key

    for _ in range(2):  # the same press again gets the same answer
        done = send(office, rows, key=key[1])
        assert (done.status_code, done["Location"]) == (302, "/admin/orders/order/")
    again = send(office, rows)  # and the page without its key is refused, order by order
    assert errors(again) == ["It is shipped already."] * 2

    assert [(s.carrier, s.tracking_number) for s in Shipment.objects.order_by("tracking_number")] == [("DHL", "1"), ("UPS", "2")]  # fmt: skip
    assert OutboxEvent.objects.filter(name="order.shipped").count() == 2
    for order in (first, second):
        assert reload(order).status == "shipped"
        assert set(
            order.status_changes.filter(to_status__in=["processing", "shipped"]).values_list(
                "actor", flat=True
            )
        ) == {f"staff:{staff_user.pk}"}


def test_what_changed_since_somebody_looked_stays_and_stops_no_other(
    sold: Callable[[], Order], paid: Order, office: Client, staff: Actor, now: datetime
) -> None:
    moved, late, other = sold(), sold(), sold()
    Order.objects.filter(pk=late.pk).update(review="pending")
    lines = "\n".join(f"{order.number},DHL,1" for order in (moved, paid, late, other))
    rows = shown(office.post(PAGE, {"list": lines, "step": "look"}))
    orders.change_address(
        actor=staff, order_id=moved.id, shipping_address={**ADDRESS, "line1": "2 New Way"}, now=now
    )
    first: Any = paid.lines.all()[0]
    orders.ship(actor=staff, order_id=paid.id, units=[orders.Units(first.id, 1)], now=now)
    Order.objects.filter(pk=late.pk).update(review="approved")

    answer = send(office, rows)

    changed = "It has changed since you looked. Look again before you send it."
    unseen = "It could not leave when you looked. Look again before you send it."
    assert errors(answer) == [changed, changed, unseen]
    assert [reload(order).status for order in (moved, paid, late, other)] == [
        "confirmed",
        "processing",
        "confirmed",
        "shipped",
    ]
    mended = shown(office.post(PAGE, {**shown(answer), "step": "look"}))
    assert send(office, mended).status_code == 302
    assert reload(moved).status == reload(paid).status == reload(late).status == "shipped"


def test_a_selection_is_a_table_to_type_into(
    sold: Callable[[], Order], draft: Order, office: Client
) -> None:
    first, second = sold(), sold()
    chosen = [str(order.pk) for order in (first, second, draft)]
    answer = office.post(
        "/admin/orders/order/", {"_selected_action": chosen, "action": "ship_tracked"}
    )
    rows = shown(answer)
    assert sorted(rows["number"]) == sorted([first.number, second.number, draft.number])
    assert rows["tracking_number"] == [""] * 3
    assert errors(answer) == ["It is not paid yet."]
    assert not Shipment.objects.exists()

    place = rows["number"].index(first.number)
    rows["tracking_number"][place] = "T-1"
    rows["number"][rows["number"].index(draft.number)] = ""  # an empty row is left out
    look = office.post(PAGE, {**rows, "common": "Post", "step": "look"})
    assert sorted(shown(look)["carrier"]) == ["Post", "Post"]
    back = office.post(PAGE, {**shown(look), "step": "change"})
    assert shown(back)["number"] == shown(look)["number"]
    assert send(office, shown(look)).status_code == 302
    assert Shipment.objects.get(order=first).tracking_number == "T-1"
    assert Shipment.objects.get(order=second).carrier == "Post"


def test_a_file_and_odd_input_are_taken_as_they_are(
    sold: Callable[[], Order], office: Client
) -> None:
    order = sold()
    file = SimpleUploadedFile("parcels.csv", f"Order;Carrier\n{order.number};DHL".encode("utf-16"))
    assert shown(office.post(PAGE, {"file": file, "step": "look"}))["carrier"] == ["DHL"]
    for text in ("", "  \n", "\x00", "carrier\nDHL", 'ORD-1,"open'):
        answer = office.post(PAGE, {"list": text, "step": "look"})
        assert answer.status_code == 200
        assert b'role="alert"' in answer.content or errors(answer)
    torn = {"number": [order.number, "\x00", "x" * 300], "line": ["²"], "seen": ["y" * 99]}
    assert len(errors(send(office, torn))) == 3  # type: ignore[arg-type]
    assert office.post(PAGE, {"step": "send"}).status_code == 200
    assert not Shipment.objects.exists()


def test_only_who_may_change_orders_ships_them(sold: Callable[[], Order]) -> None:
    order = sold()
    newcomer, reader = Client(), Client()
    newcomer.force_login(factories.make_staff(is_superuser=False), BACKEND)
    viewer = factories.make_staff(is_superuser=False)
    viewer.user_permissions.add(Permission.objects.get(codename="view_order"))
    reader.force_login(viewer, BACKEND)
    for client in (newcomer, reader):
        assert client.get(PAGE).status_code == 403
        assert client.post(PAGE, {"list": order.number, "step": "look"}).status_code == 403
        assert send(client, {"number": [order.number], "seen": ["x"]}).status_code == 403
    assert Client().get(PAGE).status_code == 302
    assert "parcels" not in reader.get(reverse("admin:orders_order_changelist")).content.decode()
    assert not Shipment.objects.exists()


def test_a_long_list_is_judged_in_as_many_statements_as_a_short_one(
    sold: Callable[[], Order], staff: Actor
) -> None:
    numbers = [sold().number for _ in range(6)]

    def statements(count: int) -> int:
        lines = [ParcelLine(line=n, number=name) for n, name in enumerate(numbers[:count])]
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert all(not row.problems for row in orders.plan_parcels(actor=staff, lines=lines))
        return len(found)

    assert statements(1) == statements(6) == 2


# --- two of staff at once ---------------------------------------------------------------------------


def planned(staff: Actor, waiting: list[Order]) -> Any:
    lines = [
        ParcelLine(
            line=place, number=order.number, carrier="USPS", tracking_number=f"TRACK-{place}"
        )
        for place, order in enumerate(waiting, start=1)
    ]
    return orders.plan_parcels(actor=staff, lines=lines)


@pytest.mark.django_db(transaction=True)
def test_two_of_staff_who_send_the_same_parcels_at_once_send_each_once(
    sold: Callable[[], Order], staff: Actor, now: datetime
) -> None:
    parcels = planned(staff, [sold() for _ in range(3)])
    assert not any(parcel.problems for parcel in parcels)

    outcomes = together(
        4,
        lambda index: orders.ship_parcels(
            actor=staff, parcels=parcels if index % 2 else parcels[::-1], now=now
        ),
    )

    sent = [each.parcel.order_id for done in outcomes for each in done if not each.refused]
    assert sorted(sent, key=str) == sorted((parcel.order_id for parcel in parcels), key=str)
    told = {each.refused for done in outcomes for each in done} - {""}
    assert len(told) == 1  # the same words to everybody who came second
    assert Shipment.objects.count() == 3
    assert set(Order.objects.values_list("status", flat=True)) == {"shipped"}
    assert OutboxEvent.objects.filter(name="order.shipped").count() == 3


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_both_would_send_it(
    sold: Callable[[], Order], staff: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both read the order before either has written."""
    [parcel] = planned(staff, [sold()])
    both = threading.Barrier(2)

    def unlocked(*, actor: Actor, order_id: Any) -> Order:
        found: Order = Order.objects.for_actor(actor).get(pk=order_id)
        both.wait(timeout=20)
        return found

    for module in (parcels_service, shipping):
        monkeypatch.setattr(module, "lock", unlocked)

    outcomes = together(
        2, lambda _: orders.ship_parcels(actor=staff, parcels=[parcel], now=now)[0].refused
    )

    assert outcomes == ["", ""]
    assert Shipment.objects.count() == 2
