"""Parcels: one or several, what may still be cancelled beside them, and what is left to fetch."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from config.platform.errors import InvalidTransition, ValidationFailed
from config.platform.models import OutboxEvent
from inventory.models import StockLevel
from orders import services as orders
from orders.errors import OrderNotCancellable
from orders.models import Order, OrderEdit, Shipment
from orders.selectors.picking import picking_tasks
from orders.services import DirectItem, Units
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db


def sent(order: Order) -> list[int]:
    return [line.shipped_quantity for line in reload(order).lines.all()]


def test_an_order_is_sent_with_its_last_parcel(paid, staff, now):
    first, second = paid.lines.all()

    orders.ship(actor=staff, order_id=paid.id, units=[Units(first.id, 2)], now=now)
    assert (reload(paid).status, reload(paid).shipped_at) == ("processing", None)
    later = now + timedelta(hours=1)
    orders.ship(actor=staff, order_id=paid.id, now=later)

    assert (reload(paid).status, reload(paid).shipped_at) == ("shipped", later)
    assert sent(paid) == [3, 1]
    assert [s.lines for s in Shipment.objects.order_by("shipped_at")] == [
        [{"itemId": str(first.id), "quantity": 2}],
        [{"itemId": str(first.id), "quantity": 1}, {"itemId": str(second.id), "quantity": 1}],
    ]
    assert OutboxEvent.objects.filter(name="order.shipped").count() == 2


def test_more_than_is_left_is_not_sent(paid, draft, staff, now):
    first, _second = paid.lines.all()
    wrong: list[list[Units]] = [
        [Units(first.id, 4)],
        [Units(first.id, 1), Units(first.id, 1)],
        [Units(paid.id, 1)],
        [],
    ]
    for units in wrong:
        with pytest.raises(ValidationFailed):
            orders.ship(actor=staff, order_id=paid.id, units=units, now=now)

    assert (reload(paid).status, sent(paid)) == ("confirmed", [0, 0])
    assert not Shipment.objects.exists()
    orders.ship(actor=staff, order_id=paid.id, now=now)
    with pytest.raises(InvalidTransition):
        orders.ship(actor=staff, order_id=paid.id, now=now)


def test_what_was_sent_is_not_cancelled_and_the_rest_may_be(paid, user_api, variant, staff, now):
    first, second = paid.lines.all()
    orders.ship(actor=staff, order_id=paid.id, units=[Units(first.id, 2)], now=now)

    with pytest.raises(OrderNotCancellable):
        orders.cancel(actor=staff, order_id=paid.id, now=now)
    with pytest.raises(ValidationFailed):
        orders.cancel_items(actor=staff, order_id=paid.id, units=[Units(first.id, 2)], now=now)
    assert (reload(paid).status, reload(first).cancelled_quantity) == ("processing", 0)

    orders.cancel_items(
        actor=staff, order_id=paid.id, units=[Units(first.id, 1), Units(second.id, 1)], now=now
    )

    # Nothing is left to send, so the order is on its way; the shelf has the cancelled unit again.
    assert reload(paid).status == "shipped"
    assert StockLevel.objects.get(variant=variant).available == 8
    assert sum(request.amount for request in paid.refund_requests.all()) == (
        second.total + first.total - (first.total * 2 / 3).quantize(first.total)
    )


def test_an_order_has_arrived_with_its_last_parcel(paid, staff, now):
    first, _second = paid.lines.all()
    one = orders.ship(actor=staff, order_id=paid.id, units=[Units(first.id, 3)], now=now)
    two = orders.ship(actor=staff, order_id=paid.id, now=now)

    for _ in range(2):  # noting it twice changes nothing
        orders.deliver_shipment(actor=staff, order_id=paid.id, shipment_id=one.id, now=now)
    assert reload(paid).status == "shipped"
    later = now + timedelta(days=1)
    orders.deliver_shipment(actor=staff, order_id=paid.id, shipment_id=two.id, now=later)

    assert (reload(paid).status, reload(paid).delivered_at) == ("delivered", later)
    assert OutboxEvent.objects.filter(name="order.delivered").count() == 1


def test_parcels_over_http(paid, staff_api, user_api, api):
    first, _second = paid.lines.all()
    body = {
        "items": [{"itemId": str(first.id), "quantity": 1}],
        "carrier": "Coastal Post",
        "trackingNumber": "CP 1",
        "trackingUrl": "https://post.example/CP1",
    }

    made = staff_api.post(f"/orders/{paid.number}/shipments", body)
    assert made.status_code == 201
    assert set(made.json()) == {
        "id", "status", "carrier", "trackingNumber", "trackingUrl", "items", "shippedAt", "deliveredAt",
    }  # fmt: skip
    assert made.json()["items"] == body["items"]
    assert user_api.get(f"/orders/{paid.id}/shipments").json()["results"] == [made.json()]
    assert user_api.get(f"/orders/{paid.id}").json()["items"][0]["shippedQuantity"] == 1

    place = f"/orders/{paid.id}/shipments/{made.json()['id']}"
    changed = staff_api.patch(place, {"trackingNumber": "CP 2", "reason": "typo"})
    assert (changed.status_code, changed.json()["trackingNumber"]) == (200, "CP 2")
    edit = OrderEdit.objects.get()
    assert (edit.old, edit.new, edit.reason) == ("CP 1", "CP 2", "typo")
    assert staff_api.patch(place, {"trackingUrl": "javascript:alert(1)"}).status_code == 400

    staff_api.post(f"/orders/{paid.id}/ship", {})
    staff_api.post(f"{place}/deliver", {})
    assert staff_api.get(f"/orders/{paid.id}").json()["status"] == "shipped"

    for refused in (
        user_api.post(f"/orders/{paid.id}/shipments", {}),
        user_api.patch(place, {"carrier": "x"}),
        user_api.post(f"{place}/deliver", {}),
    ):
        assert refused.status_code == 403
    assert api.get(f"/orders/{paid.id}/shipments").status_code == 401
    stranger = Api().as_user(factories.make_user())
    assert stranger.get(f"/orders/{paid.id}/shipments").json()["code"] == "ORDER_NOT_FOUND"
    gone = staff_api.patch(f"/orders/{paid.id}/shipments/{paid.id}", {"carrier": "x"})
    assert (gone.status_code, gone.json()["code"]) == (404, "SHIPMENT_NOT_FOUND")


# --- picking --------------------------------------------------------------------------------------


def test_the_picking_list_says_what_to_fetch_where(shop, staff, system, actor_user, now):
    near, far = factories.default_warehouse(), factories.make_warehouse(code="ZFAR", name="Far")
    variant = factories.make_priced_variant("5.00", available=2, warehouse=near)
    factories.make_stock(variant, 5, warehouse=far)
    order = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 4)],
        email="a@example.com",
        shipping_address=ADDRESS,
        now=now,
    )
    assert picking_tasks(actor=staff) == []  # not paid
    orders.set_payment_status(actor=system, order_id=order.id, status="captured", now=now)
    orders.confirm(actor=system, order_id=order.id, now=now)

    def list_(**more: Any) -> dict[str, int]:
        return {task.warehouse: task.quantity for task in picking_tasks(actor=staff, **more)}

    whole = list_()
    assert sum(whole.values()) == 4
    assert set(whole) <= {near.code, "ZFAR"}
    [line] = order.lines.all()
    orders.ship(actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=now)
    assert sum(list_().values()) == 3
    orders.cancel_items(actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=now)
    assert sum(list_().values()) == 2
    assert sum(list_(warehouse="ZFAR").values()) == list_().get("ZFAR", 0)
    orders.ship(actor=staff, order_id=order.id, now=now)
    assert list_() == {}


def test_the_picking_list_over_http_and_as_a_file(paid, staff_api, user_api, draft, variant):
    variant.product.name = "=cmd()"
    line = paid.lines.first()
    line.name = "=cmd()"
    line.save()

    listed = staff_api.get("/orders/picking").json()["results"]
    file = staff_api.get("/orders/picking/export")
    rows = list(csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode())))

    assert [(row["orderNumber"], row["quantity"], row["waiting"]) for row in listed] == [
        (paid.number, 3, 0),
        (paid.number, 1, 0),
    ]
    assert (file["Content-Type"], rows[0]["name"], rows[0]["quantity"]) == (
        "text/csv; charset=utf-8",
        "'=cmd()",
        "3",
    )
    assert staff_api.get("/orders/picking?warehouse=NONE").json()["results"] == []
    assert user_api.get("/orders/picking").status_code == 403
    assert user_api.get("/orders/picking/export").status_code == 403


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("09980123456786", 201),  # both pass the check digit of cards by chance
        ("1500 2123 4567 81", 201),
        ("4242 4242 4242 4242", 400),
        ("378282246310005", 400),
        ("3056 9300 0902 0004", 400),
        ("6200000000000005", 400),
    ],
)
def test_a_long_number_of_a_carrier_is_no_card(paid, staff_api, number, status):
    answer = staff_api.post(f"/orders/{paid.number}/shipments", {"trackingNumber": number})

    assert answer.status_code == status
    assert Shipment.objects.count() == (1 if status == 201 else 0)
    if status == 400:
        assert answer.json()["errors"][0]["code"] == "card_data_not_accepted"
