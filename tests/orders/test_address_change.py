"""Where an order goes can be put right until it is packed, as long as that does not change what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from config.platform.models import AuditEntry, User
from orders import services as orders
from orders.errors import OrderAddressFixed
from orders.models import OrderEdit
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS, reload
from tests.threads import together

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
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
    assert staff_api.patch(f"/orders/{paid.id}/address", body).status_code == 409
    assert user_api.patch(f"/orders/{paid.id}/address", {"billingAddress": NEARBY}).status_code == 409  # fmt: skip


# --- who is billed, until the invoice is written ----------------------------------------------------


def test_staff_correct_the_bill_even_after_the_parcel_has_left(
    delivered: Any, staff_api: Api, staff: Any
) -> None:
    answer = staff_api.patch(
        f"/orders/{delivered.id}/address", {"billingAddress": ELSEWHERE, "reason": "asked"}
    )
    parcel = staff_api.patch(f"/orders/{delivered.id}/address", {"shippingAddress": NEARBY})

    assert (answer.status_code, answer.json()["billingAddress"]["city"]) == (200, "Boston")
    assert (parcel.status_code, parcel.json()["code"]) == (409, "ORDER_ADDRESS_FIXED")
    entry = AuditEntry.objects.get(action="order.address_changed")
    assert (entry.actor, entry.reason, entry.object_id) == (staff.label, "asked", str(delivered.pk))
    assert entry.after["billing_address"]["city"] == "Boston"
    assert [edit.field for edit in OrderEdit.objects.all()] == ["billing_address"]


def test_a_bill_that_is_written_stays_and_staff_read_what_to_do(
    paid: Any, staff_api: Api, user_api: Api, staff: Any, now: Any
) -> None:
    [invoice] = orders.write_invoices(actor=staff, order_id=paid.id, now=now)
    edit = {"billingAddress": ELSEWHERE}

    for caller in (staff_api, user_api):
        answer = caller.patch(f"/orders/{paid.id}/address", edit)
        assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_ADDRESS_FIXED")
        assert answer.json()["extra"]["invoice"] == invoice.number
        assert "credit note" in answer.json()["advice"]
        preview = caller.post(f"/orders/{paid.id}/edits/preview", edit)
        assert (preview.status_code, preview.json()["code"]) == (409, "ORDER_ADDRESS_FIXED")

    assert reload(paid).billing_address == paid.billing_address
    assert not OrderEdit.objects.exists()
    assert not AuditEntry.objects.filter(action="order.address_changed").exists()
    assert staff_api.patch(f"/orders/{paid.id}/address", {"shippingAddress": NEARBY}).status_code == 200  # fmt: skip


def test_the_bill_of_an_order_that_is_over_stays(paid: Any, staff_api: Api, staff: Any, now: Any) -> None:  # fmt: skip
    orders.cancel(actor=staff, order_id=paid.id, reason="asked", now=now)

    answer = staff_api.patch(f"/orders/{paid.id}/address", {"billingAddress": ELSEWHERE})

    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_ADDRESS_FIXED")
    assert not OrderEdit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_the_invoice_says_is_what_the_order_says(paid: Any, staff: Any, now: Any) -> None:
    """Whoever comes first, the paper and the order name the same place."""

    def one(index: int) -> bool:
        try:
            if index:
                orders.change_address(
                    actor=staff, order_id=paid.id, billing_address=ELSEWHERE, now=now
                )
            else:
                orders.write_invoices(actor=staff, order_id=paid.id, now=now)
        except OrderAddressFixed:
            return False
        return True

    [was_written, was_changed] = together(2, one)

    assert was_written
    order = reload(paid)
    assert order.invoices.get().content["billTo"]["city"] == ("Boston" if was_changed else "Portland")  # fmt: skip
    assert order.billing_address == (ELSEWHERE if was_changed else None)


def form_of(page: Any) -> dict[str, str]:
    return {name: field.initial or "" for name, field in page.context["form"].fields.items()}


def test_staff_correct_both_on_one_page(paid: Any, staff_user: User) -> None:
    office = Client()
    office.force_login(staff_user, BACKEND)
    page = reverse("admin:orders_order_addresses", args=[paid.pk])
    bench = reverse("admin:orders_order_change", args=[paid.pk])
    assert page in office.get(bench).content.decode()
    given = form_of(office.get(page))
    bill = {f"bill-{name}": value for name, value in ELSEWHERE.items()}

    wrong = office.post(page, {**given, **bill, "bill-city": "", "reason": "asked"})
    assert wrong.context["form"].errors.keys() == {"bill-city"}
    moved = office.post(
        page, {**given, "to-state": "MA", "to-postalCode": "02108", "reason": "asked"}
    )
    assert "change what the order costs" in moved.content.decode()
    assert not OrderEdit.objects.exists()
    kept = office.post(page, {**given, **bill, "to-line1": "2 Harbour Street", "reason": "asked"})

    assert kept["Location"] == bench
    order = reload(paid)
    assert (order.billing_address["city"], order.shipping_address["line1"]) == ("Boston", "2 Harbour Street")  # fmt: skip

    given = form_of(office.get(page))
    empty = {name: "" for name in given if name.startswith("bill-")}
    office.post(page, {**given, **empty, "reason": "the same"})
    assert reload(paid).billing_address == reload(paid).shipping_address


def test_the_page_says_why_nothing_can_be_corrected(
    delivered: Any, staff_user: User, staff: Any, now: Any
) -> None:
    [invoice] = orders.write_invoices(actor=staff, order_id=delivered.id, now=now)
    office = Client()
    office.force_login(staff_user, BACKEND)
    page = reverse("admin:orders_order_addresses", args=[delivered.pk])

    shown = office.get(page).content.decode()
    office.post(page, {"bill-city": "Boston", "to-city": "Boston", "reason": "x"})

    assert invoice.number in shown
    assert "credit note" in shown
    assert 'name="bill-city"' not in shown
    assert not OrderEdit.objects.exists()


def test_the_page_needs_the_right_to_change_orders(paid: Any) -> None:
    clerk = factories.make_staff(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_order"))
    office = Client()
    office.force_login(clerk, BACKEND)
    page = reverse("admin:orders_order_addresses", args=[paid.pk])

    assert office.get(page).status_code == 403
    assert office.post(page, {"reason": "x"}).status_code == 403
    assert page not in office.get(reverse("admin:orders_order_change", args=[paid.pk])).content.decode()  # fmt: skip
