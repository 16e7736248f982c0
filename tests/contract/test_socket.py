"""api.md §5: the socket of the cart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.contract import rules
from tests.contract.client import Api
from tests.contract.conftest import Maker, Shop, new_guest, new_user, open_checkout, pay, simulate

PATIENCE = 60  # seconds; only a shop that says nothing makes a test wait so long


def _credentials(caller: Api) -> list[str]:
    bearer = caller.headers.get("Authorization", "").removeprefix("Bearer ")
    return ["cart.v1", f"bearer.{bearer}" if bearer else f"session.{caller.token}"]


@contextmanager
def _open(shop: Shop, protocols: list[str] | None, **more: Any) -> Iterator[ClientConnection]:
    given: Any = {"subprotocols": protocols} if protocols else {}
    with connect(
        shop.socket, open_timeout=PATIENCE, close_timeout=5, proxy=None, **given, **more
    ) as socket:
        yield socket


def _read(socket: ClientConnection, kind: str, *, seconds: float = PATIENCE) -> dict[str, Any]:
    """Return the next message of `kind`; what comes before it is held against the rules."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        assert left > 0, f"no {kind} within {seconds} s"
        try:
            message = json.loads(socket.recv(timeout=left))
        except TimeoutError:
            raise AssertionError(f"no {kind} within {seconds} s") from None
        rules.check_shape(message, "socket")
        assert message["type"] in {
            "cart.snapshot", "cart.changed", "stock.changed", "price.changed", "hold.expiring", "hold.expired",
            "order.changed", "notification.created", "pong",
        }  # fmt: skip
        if message["type"] == kind:
            return message


def _silence(socket: ClientConnection, seconds: float = 1.0) -> None:
    try:
        said = socket.recv(timeout=seconds)
    except TimeoutError:
        return
    raise AssertionError(f"heard {said!r}")


def _close_code(shop: Shop, protocols: list[str] | None, **more: Any) -> int:
    """Return the code that a refused socket is closed with; it is accepted first."""
    try:
        with _open(shop, protocols, **more) as socket:
            try:
                while True:
                    socket.recv(timeout=PATIENCE)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
            except TimeoutError:
                return 0
    except InvalidStatus as refused:
        raise AssertionError(
            f"refused before it was accepted: {refused.response.status_code}"
        ) from None


def _ended(socket: ClientConnection, messages: list[Any], until: str = "") -> int | None:
    """Send `messages`; return the code that the server closes with, or None once it says `until`."""
    try:
        for message in messages:
            socket.send(message)
        while True:
            if json.loads(socket.recv(timeout=PATIENCE))["type"] == until:
                return None
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


@pytest.fixture(params=["guest", "user"])
def caller(request: pytest.FixtureRequest, product: Maker) -> Api:
    found: Api = request.getfixturevalue(request.param)
    found.add(product().sku)
    return found


def test_the_first_message_is_the_cart(shop: Shop, caller: Api) -> None:
    with _open(shop, _credentials(caller)) as socket:
        first = json.loads(socket.recv(timeout=PATIENCE))

        assert socket.subprotocol == "cart.v1"
    assert set(first) == {"type", "version", "cart"}
    assert first["type"] == "cart.snapshot"
    rules.check_shape(first)
    rules.check_cart(first["cart"])
    cart = caller.cart()
    assert first["version"] == first["cart"]["version"] == cart["version"]
    assert set(first["cart"]) == set(cart)
    assert first["cart"]["items"][0]["id"] == cart["items"][0]["id"]
    assert "sessionToken" not in first["cart"]


def test_a_change_arrives_in_every_window_unasked(shop: Shop, caller: Api, product: Maker) -> None:
    sku = product().sku
    with _open(shop, _credentials(caller)) as one, _open(shop, _credentials(caller)) as two:
        _read(one, "cart.snapshot")
        _read(two, "cart.snapshot")

        cart = caller.add(sku, 2)
        changes = [_read(socket, "cart.changed") for socket in (one, two)]

        for change in changes:
            assert set(change) == {"type", "version", "event", "cart"}
            assert change["version"] == change["cart"]["version"] == cart["version"]
            assert change["event"].startswith("cart.")
            rules.check_cart(change["cart"])
            assert sku in [line["sku"] for line in change["cart"]["items"]]
        caller.delete("/cart")
        assert _read(one, "cart.changed")["cart"]["items"] == []


def test_a_refused_write_sends_nothing(shop: Shop, caller: Api) -> None:
    with _open(shop, _credentials(caller)) as socket:
        _read(socket, "cart.snapshot")

        caller.refused("PRODUCT_NOT_FOUND", "POST", "/cart/items", {"sku": "nothing"})

        _silence(socket)


def test_ping_is_answered(shop: Shop, caller: Api) -> None:
    with _open(shop, _credentials(caller)) as socket:
        _read(socket, "cart.snapshot")

        socket.send('{"type": "ping"}')

        assert _read(socket, "pong")["type"] == "pong"


def test_resync_sends_the_cart_again(shop: Shop, caller: Api) -> None:
    with _open(shop, _credentials(caller)) as socket:
        first = _read(socket, "cart.snapshot")
        socket.send(json.dumps({"type": "resync", "version": 1}))
        again = _read(socket, "cart.snapshot")
        socket.send('{"type": "resync"}')
        _read(socket, "cart.snapshot")

    assert again["version"] == first["version"]
    assert set(again) == {"type", "version", "cart"}


@pytest.mark.parametrize(
    "protocols",
    [
        None, ["cart.v1"], ["cart.v1", "bearer.x"], ["cart.v1", "bearer.a.b.c"], ["cart.v1", "session.x"],
        ["cart.v1", "session." + "a" * 64], ["cart.v1", "session." + "g" * 64], ["cart.v1", "bearer."], ["cart.v1", "session."],
        ["cart.v1", "nothing." + "a" * 64], ["bearer.x"],
    ],
    ids=str,
)  # fmt: skip
def test_without_good_credentials_it_closes_with_4401(
    shop: Shop, protocols: list[str] | None
) -> None:
    assert _close_code(shop, protocols) == 4401


def test_a_refresh_token_opens_nothing(shop: Shop) -> None:
    user = new_user(shop.url)
    tokens = Api(shop.url).post("/auth/login", {"email": user.email, "password": user.password})

    assert _close_code(shop, ["cart.v1", f"bearer.{tokens['refreshToken']}"]) == 4401


def test_a_token_in_the_address_opens_nothing(shop: Shop, guest: Api) -> None:
    for query in (f"?token={guest.token}", f"?session={guest.token}", f"?sessionToken={guest.token}"):  # fmt: skip
        with connect(
            shop.socket + query, subprotocols=["cart.v1"], open_timeout=PATIENCE, proxy=None
        ) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=PATIENCE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize("path", ["/ws/cart/", "/ws/nothing", "/ws"])
def test_at_another_address_no_socket_opens(shop: Shop, guest: Api, path: str) -> None:
    address = shop.socket.removesuffix("/ws/cart") + path

    with pytest.raises(InvalidStatus) as refused:
        connect(
            address, subprotocols=_credentials(guest), open_timeout=PATIENCE, proxy=None
        ).close()

    assert 400 <= refused.value.response.status_code < 500


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[", "http://localhost.evil.example"]
)
def test_a_foreign_origin_closes_with_4403(shop: Shop, guest: Api, origin: str) -> None:
    assert _close_code(shop, _credentials(guest), origin=origin) == 4403


def test_the_shops_own_origin_is_welcome(shop: Shop, guest: Api) -> None:
    with _open(shop, _credentials(guest), origin=shop.url) as socket:
        _read(socket, "cart.snapshot")


def test_too_many_messages_close_with_4429(shop: Shop, guest: Api) -> None:
    with _open(shop, _credentials(guest)) as socket:
        _read(socket, "cart.snapshot")
        assert _ended(socket, ['{"type": "ping"}'] * 600) == 4429


@pytest.mark.parametrize(
    "message",
    [
        "", "x", "[]", "null", "5", '"ping"', "{}", '{"type": 5}', '{"type": "nothing"}', '{"type": "resync", "version": "x"}',
        '{"type": "resync", "version": -1}', '{"type": "resync", "version": 1e999}', '{"type": "ping", "type": "resync"}',
        '{"type": "cart.changed"}', '{"type": "\\u0000"}', "[" * 5000, b"\xff\xfe", b"", '{"type": "cart_changed"}',
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_message_is_no_error_of_ours(shop: Shop, guest: Api, message: Any) -> None:
    """It may be ignored, answered, or end the socket with a code of its own, never 1011."""
    with _open(shop, _credentials(guest)) as socket:
        _read(socket, "cart.snapshot")
        code = _ended(socket, [message, '{"type": "ping"}'], until="pong")
        assert code is None or 4400 <= code < 4500 or code in (1003, 1007, 1008)


def test_a_huge_message_ends_the_socket_only(shop: Shop, guest: Api) -> None:
    with _open(shop, _credentials(guest)) as socket:
        _read(socket, "cart.snapshot")
        code = _ended(socket, ['{"type": "' + "x" * 1_000_000 + '"}'])

    assert code in (1006, 1009, 1008, 4400, 4429)
    guest.cart()


def test_nobody_hears_of_anothers_cart(shop: Shop, user: Api, other_user: Api, product: Maker) -> None:  # fmt: skip
    guest, other_guest, sku = new_guest(shop.url), new_guest(shop.url), product(quantity=100).sku
    for one in (user, other_user, guest, other_guest):
        one.get("/cart")
    with (
        _open(shop, _credentials(user)) as hers,
        _open(shop, _credentials(guest)) as theirs,
    ):
        _read(hers, "cart.snapshot")
        _read(theirs, "cart.snapshot")

        other_user.add(sku)
        other_guest.add(sku)
        other_user.post("/cart/discount", {"code": "SAVE10"})

        for socket in (hers, theirs):
            _silence(socket)


def test_an_order_is_heard_of_by_its_owner_only(shop: Shop, user: Api, other_user: Api, product: Maker) -> None:  # fmt: skip
    user.add(product().sku)
    other_user.get("/cart")
    with (
        _open(shop, _credentials(user)) as mine,
        _open(shop, _credentials(other_user)) as theirs,
    ):
        _read(mine, "cart.snapshot")
        _read(theirs, "cart.snapshot")

        checkout = open_checkout(user)
        opened = pay(user, checkout)
        simulate(user, opened["payment"]["id"])
        user.post(f"/checkout/{checkout['id']}/complete", {}, key="k" * 20)

        changed = _read(mine, "order.changed")
        assert opened["order"]["number"] in json.dumps(changed)
        _silence(theirs)


def test_after_the_order_the_socket_follows_the_fresh_cart(shop: Shop, caller: Api, product: Maker) -> None:  # fmt: skip
    with _open(shop, _credentials(caller)) as socket:
        first = _read(socket, "cart.snapshot")
        checkout = open_checkout(caller)
        simulate(caller, pay(caller, checkout)["payment"]["id"])
        fresh = caller.add(product().sku)

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = json.loads(socket.recv(timeout=PATIENCE))
            if message.get("cart", {}).get("id") == fresh["id"]:
                break
        assert message["cart"]["id"] == fresh["id"] != first["cart"]["id"]


def test_a_price_and_stock_change_is_heard(shop: Shop, guest: Api, staff: Api, product: Maker) -> None:  # fmt: skip
    made = product(price="10.00", quantity=9)
    guest.add(made.sku)
    with _open(shop, _credentials(guest)) as socket:
        _read(socket, "cart.snapshot")

        staff.patch(f"/products/{made.id}", {"variants": [{"sku": made.sku, "prices": {"USD": "7.00"}}]})  # fmt: skip
        heard = _read(socket, "price.changed")

    assert made.sku in json.dumps(heard) or made.variant_id in json.dumps(heard)


@pytest.mark.slow
def test_a_blocked_reader_harms_nobody(shop: Shop, user: Api, product: Maker) -> None:
    sku = product(quantity=500).sku
    user.add(sku)
    with _open(shop, _credentials(user)) as idle, _open(shop, _credentials(user)) as reader:
        _read(reader, "cart.snapshot")
        for number in range(30):
            user.patch(f"/cart/items/{user.cart()['items'][0]['id']}", {"quantity": number % 9 + 2})

        version = user.cart()["version"]
        while _read(reader, "cart.changed")["version"] != version:
            pass
        assert idle.subprotocol == "cart.v1"
