"""Where an order goes can be put right until it is packed, as long as that does not change what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from orders import services as orders
from orders.models import OrderEdit
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db

NEARBY = {**ADDRESS, "line1": "2 Harbour Street"}
ELSEWHERE = {**ADDRESS, "city": "Boston", "state": "MA", "postalCode": "02108"}


def test_a_wrong_number_is_put_right_and_remembered(paid: Any, user_api: Api) -> None:
    answer = user_api.patch(
        f"/orders/{paid.number}/address",
        {"shippingAddress": NEARBY, "billingAddress": ELSEWHERE, "reason": "typing error"},
    )

    assert answer.status_code == 200
    assert answer.json()["shippingAddress"]["line1"] == "2 Harbour Street"
    assert answer.json()["billingAddress"]["city"] == "Boston"  # a bill may go anywhere
    assert answer.json()["totals"] == user_api.get(f"/orders/{paid.id}").json()["totals"]
    edits = list(OrderEdit.objects.order_by("field"))
    assert [(edit.field, edit.reason) for edit in edits] == [
        ("billing_address", "typing error"),
        ("shipping_address", "typing error"),
    ]
    assert edits[1].old["line1"] == "1 Harbour Street"

    user_api.patch(f"/orders/{paid.id}/address", {"shippingAddress": NEARBY})
    assert OrderEdit.objects.count() == 2  # nothing new to write


def test_what_it_costs_stays(paid: Any, user_api: Api) -> None:
    answer = user_api.patch(f"/orders/{paid.id}/address", {"shippingAddress": ELSEWHERE})

    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_ADDRESS_FIXED")
    assert reload(paid).shipping_address == paid.shipping_address
    assert not OrderEdit.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "shippingAddress"),
        ({"shippingAddress": {**ADDRESS, "city": ""}}, "shippingAddress.city"),
        ({"billingAddress": {**ADDRESS, "state": "Nowhere"}}, "billingAddress.state"),
        ({"billingAddress": {}}, "billingAddress"),
        ({"shippingAddress": {**ADDRESS, "name": "4242424242424242"}}, "shippingAddress.name"),
        ({"email": "x@example.com", "shippingAddress": ADDRESS}, "email"),
    ],
)
def test_a_malformed_address_changes_nothing(
    paid: Any, user_api: Api, body: Any, field: str
) -> None:
    answer = user_api.patch(f"/orders/{paid.id}/address", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not OrderEdit.objects.exists()


def test_customers_until_packing_staff_until_it_leaves(
    paid: Any, user_api: Api, staff_api: Api, guest_api: Api, staff: Any, now: Any
) -> None:
    body = {"shippingAddress": NEARBY}
    stranger = Api().as_user(factories.make_user())
    for caller in (stranger, guest_api):
        assert caller.patch(f"/orders/{paid.id}/address", body).json()["code"] == "ORDER_NOT_FOUND"

    orders.process(actor=staff, order_id=paid.id, now=now)
    assert user_api.patch(f"/orders/{paid.id}/address", body).status_code == 409
    assert staff_api.patch(f"/orders/{paid.id}/address", body).status_code == 200
    orders.ship(actor=staff, order_id=paid.id, now=now)
    assert staff_api.patch(f"/orders/{paid.id}/address", {"billingAddress": NEARBY}).status_code == 409  # fmt: skip
