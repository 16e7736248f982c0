"""How many statements a request costs, whatever is in the cart."""

from __future__ import annotations

import pytest

from tests.cart.conftest import make_item

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

# Round trips: several statements may travel in one.
CEILINGS = {"add": 6, "quantity": 6, "remove": 7, "read": 2, "unchanged": 2}
OF_ACCOUNTS = 1  # who a token belongs to


@pytest.fixture(params=["guest", "user"])
def client(request, api, user):
    if request.param == "user":
        found = api.as_user(user)
        found.get("/cart")
        return found
    return api.as_guest(api.post("/public/cart").json()["sessionToken"])


def fill(client, lines: int) -> None:
    items = [{"sku": make_item().sku} for _ in range(lines)]
    for start in range(0, lines, 100):
        assert (
            client.post(
                "/cart/bulk/items", {"items": items[start : start + 100], "atomic": True}
            ).status_code
            == 200
        )


def test_statements_do_not_depend_on_the_number_of_lines(client, statements, request):
    extra = OF_ACCOUNTS if "user" in request.node.callspec.id else 0
    counts: dict[str, list[int]] = {}
    for lines in (1, 20, 99):
        client.delete("/cart")
        fill(client, lines)
        new, known = make_item(), client.get("/cart").json()["items"][0]
        etag = client.get("/cart")["ETag"]
        calls = {
            "read": lambda: client.get("/cart"),
            "unchanged": lambda tag=etag: client.get("/cart", **{"If-None-Match": tag}),
            "add": lambda item=new: client.post("/cart/items", {"sku": item.sku}),
            "quantity": lambda line=known: client.patch(
                f"/cart/items/{line['id']}", {"quantity": 2}
            ),
            "remove": lambda line=known: client.delete(f"/cart/items/{line['id']}"),
        }
        for name, call in calls.items():
            with statements() as found:
                assert call().status_code in {200, 201, 304}
            counts.setdefault(name, []).append(len(found))
            assert len(found) <= CEILINGS[name] + extra, (name, lines, found)

    assert all(len(set(found)) == 1 for found in counts.values()), counts


def test_reading_writes_nothing(client, statements):
    fill(client, 3)

    with statements() as found:
        client.get("/cart")

    assert [sql for sql in found if not sql.lstrip("( \n").upper().startswith("SELECT")] == []
