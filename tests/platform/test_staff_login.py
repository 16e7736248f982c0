"""Where the admin's own sign-in leads."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.factories import PASSWORD, make_staff, make_user

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


def sign_in(address: str, **more: str) -> Any:
    user = make_staff(is_superuser=True)
    client = Client()
    assert client.get(address).status_code == 200
    return client.post(address, {"username": user.email, "password": PASSWORD, **more})


@pytest.mark.parametrize(
    ("query", "posted", "to"),
    [
        ("", "", "/admin/"),
        ("?next=/admin/orders/order/", "", "/admin/orders/order/"),
        ("", "/admin/cart/cart/", "/admin/cart/cart/"),
        ("?next=https://elsewhere.example/", "", "/account/"),
    ],
)
def test_staff_go_where_they_wanted_and_to_the_admin_otherwise(
    company: Any, query: str, posted: str, to: str
) -> None:
    answer = sign_in(f"{LOGIN}{query}", **({"next": posted} if posted else {}))

    assert (answer.status_code, answer["Location"]) == (302, to)


def test_customers_are_not_let_in(company: Any) -> None:
    customer = make_user()

    answer = Client().post(LOGIN, {"username": customer.email, "password": PASSWORD})

    assert answer.status_code == 200
    assert "sessionid" not in answer.cookies
