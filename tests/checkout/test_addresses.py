"""The address book: what may be kept, which is the default, who may see it, and how a checkout takes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from checkout import services as checkouts
from checkout.errors import AddressBookFull
from checkout.models import Address, Checkout
from checkout.services import addressbook
from config.platform.actor import Actor
from inventory.models import Company
from tests import factories
from tests.checkout.conftest import ADDRESS
from tests.conftest import Api

pytestmark = pytest.mark.django_db

SHAPE = {
    "id", "name", "line1", "line2", "city", "state", "postalCode", "country", "phone",
    "isDefaultShipping", "isDefaultBilling", "createdAt", "updatedAt",
}  # fmt: skip


def kept(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post("/addresses", {**ADDRESS, **changes})
    assert answer.status_code == 201, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def test_the_first_address_is_the_default_and_aliases_are_understood(user_api: Api) -> None:
    body = {key: value for key, value in ADDRESS.items() if key not in {"postalCode", "country"}}

    first = user_api.post("/addresses", {**body, "zipCode": "04101", "country": "USA"})

    assert first.status_code == 201
    assert set(first.json()) == SHAPE
    assert (first.json()["postalCode"], first.json()["country"]) == ("04101", "US")
    assert (first.json()["isDefaultShipping"], first.json()["isDefaultBilling"]) == (True, True)
    assert user_api.get(f"/addresses/{first.json()['id']}").json() == first.json()
    assert user_api.get("/addresses").json() == {
        "results": [first.json()],
        "next": None,
        "previous": None,
    }


def test_one_address_at_a_time_is_the_default(user_api: Api) -> None:
    first, second = kept(user_api), kept(user_api, city="Bath")
    assert (second["isDefaultShipping"], second["isDefaultBilling"]) == (False, False)

    answer = user_api.patch(f"/addresses/{second['id']}", {"isDefaultShipping": True})

    assert answer.json()["isDefaultShipping"] is True
    listed = user_api.get("/addresses").json()["results"]
    assert [(row["id"], row["isDefaultShipping"], row["isDefaultBilling"]) for row in listed] == [
        (second["id"], True, False),
        (first["id"], False, True),
    ]

    third = kept(user_api, isDefaultShipping=True, isDefaultBilling=True)
    assert Address.objects.filter(is_default_shipping=True).get().pk.hex == third["id"].replace("-", "")  # fmt: skip
    assert Address.objects.filter(is_default_billing=True).count() == 1


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"city": ""}, "city", "required"),
        ({"state": "Nowhere"}, "state", "invalid"),
        ({"postalCode": "ABC"}, "postalCode", "invalid"),
        ({"country": "XX"}, "country", "invalid"),
        ({"country": "GB", "state": ""}, "postalCode", "invalid"),
        ({"phone": "call me"}, "phone", "invalid"),
        ({"name": "4242 4242 4242 4242"}, "name", "card_data_not_accepted"),
        ({"name": "a\r\nBcc: b@example.com"}, "name", "invalid"),
        ({"planet": "Mars"}, "planet", "unknown_field"),
        ({"zipCode": "04101"}, "zipCode", "invalid"),
        ({"isDefaultShipping": "yes"}, "isDefaultShipping", "invalid"),
    ],
)
def test_what_no_parcel_could_be_sent_to_is_refused(
    user_api: Api, change: dict[str, Any], field: str, code: str
) -> None:
    answer = user_api.post("/addresses", {**ADDRESS, **change})

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert (field, code) in [(e["field"], e["code"]) for e in answer.json()["errors"]]
    assert Address.objects.count() == 0


def test_a_change_is_checked_as_a_whole(user_api: Api) -> None:
    entry = kept(user_api)

    moved = user_api.patch(f"/addresses/{entry['id']}", {"country": "CA"})
    whole = user_api.patch(
        f"/addresses/{entry['id']}",
        {"country": "CA", "city": "Halifax", "state": "NS", "postalCode": "B3H 4R2"},
    )

    assert [error["field"] for error in moved.json()["errors"]] == ["state", "postalCode"]
    assert (whole.status_code, whole.json()["state"], whole.json()["name"]) == (200, "NS", "Ada Marsh")  # fmt: skip


def test_a_foreign_address_is_not_there(user_api: Api, guest_api: Api, api: Api) -> None:
    entry = kept(user_api)
    stranger = Api().as_user(factories.make_user())

    for call in (
        stranger.get(f"/addresses/{entry['id']}"),
        stranger.patch(f"/addresses/{entry['id']}", {"city": "Bath"}),
        stranger.delete(f"/addresses/{entry['id']}"),
        user_api.get("/addresses/01900000-0000-7000-8000-00000000dead"),
    ):
        assert (call.status_code, call.json()["code"]) == (404, "ADDRESS_NOT_FOUND")
    assert guest_api.get("/addresses").status_code == 401
    assert guest_api.post("/addresses", ADDRESS).status_code == 401
    assert api.get("/addresses").status_code == 401
    assert Address.objects.get().city == "Portland"

    assert user_api.delete(f"/addresses/{entry['id']}").status_code == 204
    assert user_api.get("/addresses").json()["results"] == []


def test_the_book_has_an_end(
    actor_user: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressbook, "MOST_ADDRESSES", 2)
    for _ in range(2):
        checkouts.add_address(actor=actor_user, address=ADDRESS, now=now)

    with pytest.raises(AddressBookFull):
        checkouts.add_address(actor=actor_user, address=ADDRESS, now=now)
    assert Address.objects.count() == 2


def test_a_checkout_takes_an_address_by_its_id(shop: Company, variant: Any, user_api: Api) -> None:
    entry = kept(user_api)
    user_api.post("/cart/items", {"sku": variant.sku, "quantity": 1})
    begun = user_api.post("/checkout/initialize", {}).json()

    filled = user_api.patch(
        f"/checkout/{begun['id']}",
        {"shippingAddressId": entry["id"], "billingAddressId": entry["id"]},
    )

    assert filled.status_code == 200
    assert filled.json()["shippingAddress"] == {**ADDRESS}
    assert filled.json()["billingAddress"] == {**ADDRESS}

    # What is bought to is a copy: the book may change.
    user_api.patch(f"/addresses/{entry['id']}", {"city": "Bath"})
    assert Checkout.objects.get().shipping_address["city"] == "Portland"


def test_a_checkout_takes_no_foreign_address(shop: Company, variant: Any, user_api: Api) -> None:
    theirs = kept(Api().as_user(factories.make_user()))
    mine = kept(user_api)
    user_api.post("/cart/items", {"sku": variant.sku, "quantity": 1})
    begun = user_api.post("/checkout/initialize", {}).json()

    foreign = user_api.patch(f"/checkout/{begun['id']}", {"shippingAddressId": theirs["id"]})
    both = user_api.patch(
        f"/checkout/{begun['id']}", {"shippingAddressId": mine["id"], "shippingAddress": ADDRESS}
    )

    assert (foreign.status_code, foreign.json()["code"]) == (404, "ADDRESS_NOT_FOUND")
    assert (both.status_code, both.json()["errors"][0]["field"]) == (400, "shippingAddressId")
    assert Checkout.objects.get().shipping_address is None


@pytest.mark.django_db(transaction=True)
def test_two_at_once_leave_one_default(actor_user: Actor, now: datetime) -> None:
    def add(_: int) -> None:
        try:
            checkouts.add_address(
                actor=actor_user, address=ADDRESS, is_default_shipping=True, now=now
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    assert Address.objects.count() == 4
    assert Address.objects.filter(is_default_shipping=True).count() == 1
