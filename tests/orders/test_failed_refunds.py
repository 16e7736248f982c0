"""A refund that failed: the customer reads so in words, staff try it again from the order, and nothing is sent twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from config.platform.models import User
from orders import services as orders
from orders.models import Order, RefundRequest

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


@pytest.fixture
def failed(paid: Order, staff: Any, system: Any, now: Any) -> RefundRequest:
    request = orders.request_refund(
        actor=staff, order_id=paid.id, amount=Decimal("5.00"), reason="late", now=now
    )
    return orders.fail_refund(actor=system, request_id=request.id, failure="closed", now=now)


def test_the_customer_is_told_and_staff_try_again(
    failed: RefundRequest, paid: Order, user: User, staff_user: User
) -> None:
    customer, office = signed_in(user), signed_in(staff_user)
    page = f"/orders/{paid.number}/"
    bench = f"/admin/orders/order/{paid.pk}/change/"
    assert "$5.00 could not be sent back" in customer.get(page).content.decode()
    assert "closed" not in customer.get(page).content.decode()  # the bank's words are for staff
    step = reverse("admin:orders_order_retry_refunds", args=[paid.pk])
    assert step in office.get(bench).content.decode()

    for _ in range(2):
        office.post(step)

    failed.refresh_from_db()
    assert failed.status == "due"
    assert RefundRequest.objects.count() == 1
    assert "$5.00 is on its way back" in customer.get(page).content.decode()
    assert step not in office.get(bench).content.decode()


def test_what_was_never_taken_is_neither_promised_nor_tried(
    failed: RefundRequest, paid: Order, user: User, staff_user: User
) -> None:
    Order.objects.filter(pk=paid.pk).update(payment_status="cancelled")

    assert "could not be sent back" not in signed_in(user).get(f"/orders/{paid.number}/").content.decode()  # fmt: skip
    bench = signed_in(staff_user).get(f"/admin/orders/order/{paid.pk}/change/").content.decode()
    assert "retry-refunds" not in bench
