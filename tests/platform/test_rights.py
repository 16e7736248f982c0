"""What staff may do through the API: what they may do in the admin, no more."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from config.platform.models import AuditEntry, User
from tests import factories
from tests.conftest import Api
from tests.platform.test_every_endpoint import ALL, path

pytestmark = pytest.mark.django_db


def operations() -> Any:
    """Yield route, method, and the permission its view names for it, or None."""
    for route, view, actions in ALL:
        for method, verb in actions.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield route, method, view.rights.get(verb)


OPERATIONS = list(operations())
MATRIX = {(method.upper(), route): needed for route, method, needed in OPERATIONS if needed}


def permit(user: User, name: str) -> None:
    app, codename = name.split(".")
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label=app, codename=codename)
    )


def call(client: Api, method: str, route: str) -> Any:
    return client.request(
        method, path(route), None if method == "get" else {}, key=uuid.uuid4().hex
    )


def test_every_operation_of_staff_names_its_permission(user_api: Api) -> None:
    """What a customer is refused by role, and names nothing, would be for superusers only."""
    unnamed = [
        f"{method.upper()} {route}"
        for route, method, needed in OPERATIONS
        if needed is None and call(user_api, method, route).status_code == 403
    ]

    assert unnamed == []
    assert len(MATRIX) >= 40


def test_staff_without_rights_are_refused_and_with_the_one_right_are_not(api: Api) -> None:
    newcomer = factories.make_staff(is_superuser=False)
    by_right: dict[str, list[tuple[str, str]]] = {}
    for (method, route), needed in MATRIX.items():
        by_right.setdefault(needed, []).append((method.lower(), route))
    guarded = {
        (method, route)
        for calls in by_right.values()
        for method, route in calls
        if call(api.as_user(factories.make_user()), method, route).status_code == 403
    }
    for needed, calls in by_right.items():
        clerk = factories.make_staff(is_superuser=False)
        permit(clerk, needed)
        for method, route in calls:
            if (method, route) not in guarded:
                continue  # open to everybody, for which the view names a right of its writes only
            refused = call(api.as_user(newcomer), method, route)
            assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN"), route
            assert refused.json()["extra"] == {"permission": needed}
            allowed = call(api.as_user(clerk), method, route)
            assert allowed.status_code not in (401, 403), (method, route, needed)
    assert len(guarded) >= 40
    assert AuditEntry.objects.filter(action="access.refused").exists()


def test_who_may_change_may_look(api: Api) -> None:
    clerk = factories.make_staff(is_superuser=False)
    permit(clerk, "inventory.change_stocklevel")

    assert api.as_user(clerk).get("/inventory").status_code == 200
    assert api.as_user(clerk).get("/promotions").status_code == 403


def test_a_right_of_a_group_counts_and_one_of_a_customer_does_not(api: Api) -> None:
    keepers = Group.objects.create(name="Store keepers")
    keepers.permissions.add(Permission.objects.get(codename="view_stocklevel"))
    clerk, customer = factories.make_staff(is_superuser=False), factories.make_user()
    clerk.groups.add(keepers)
    customer.groups.add(keepers)

    assert api.as_user(clerk).get("/inventory").status_code == 200
    assert api.as_user(customer).get("/inventory").status_code == 403
    assert api.as_user(clerk).post("/inventory", {"sku": "A"}).status_code == 403
