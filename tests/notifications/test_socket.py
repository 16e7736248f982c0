"""`/ws/cart`: who may listen, what is said, and what is never said to others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.utils import timezone

from cart import services as carts
from config.platform import tokens
from config.platform.actor import Actor, ActorKind, hash_token
from inventory import services as inventory
from inventory.models import Company
from notifications import consumers
from notifications.routing import websocket_urlpatterns
from pricing import services as pricing
from pricing.models import ExchangeRate
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True)]

HOST = (b"host", b"testserver")
Open = Callable[..., Awaitable[WebsocketCommunicator]]


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    """Return a function that opens a socket; all are closed afterwards."""
    opened: list[WebsocketCommunicator] = []

    async def run(*subprotocols: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
        socket = WebsocketCommunicator(
            URLRouter(websocket_urlpatterns),
            "/ws/cart",
            headers=[HOST, *headers],
            subprotocols=list(subprotocols),
        )
        accepted, protocol = await socket.connect()
        assert accepted
        assert protocol == ("cart.v1" if "cart.v1" in subprotocols else None)
        opened.append(socket)
        return socket

    yield run
    for socket in opened:
        await socket.disconnect()


def open_guest_cart(company: Company) -> tuple[Actor, str]:
    anonymous = Actor(kind=ActorKind.ANONYMOUS, company_id=company.pk)
    token = carts.create(actor=anonymous, now=timezone.now()).token
    assert token is not None
    return (
        Actor(kind=ActorKind.GUEST, company_id=company.pk, session_hash=hash_token(token)),
        token,
    )


async def close_code(socket: WebsocketCommunicator) -> int:
    return int((await socket.receive_output(timeout=60))["code"])


async def heard(socket: WebsocketCommunicator, kind: str) -> dict[str, Any]:
    """Return the next message of a kind, passing over others."""
    while True:
        message: dict[str, Any] = await socket.receive_json_from(timeout=60)
        if message["type"] == kind:
            return message


async def test_a_guest_gets_a_snapshot_then_each_change(company: Company, connect: Open) -> None:
    actor, token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)("12.50")
    socket = await connect("cart.v1", f"session.{token}")

    first = await socket.receive_json_from(timeout=60)
    view = await sync_to_async(carts.add_line)(
        actor=actor, sku=variant.sku, quantity=2, now=timezone.now()
    )
    change = await heard(socket, "cart.changed")

    assert (first["type"], first["version"], first["cart"]["items"]) == ("cart.snapshot", 1, [])
    assert (change["version"], change["event"]) == (view.version, "cart.item_added")
    assert change["cart"]["items"][0]["sku"] == variant.sku
    assert change["cart"]["totals"]["subtotal"] == "25.00"


async def test_a_cart_is_read_anew_when_staff_change_or_withdraw_a_product_in_it(
    company: Company, connect: Open
) -> None:
    actor, token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)("12.50")
    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=timezone.now())
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")
    staff = Actor.system(company.pk)
    product_id, slug = variant.product_id, variant.product.slug

    await sync_to_async(inventory.update_product)(
        actor=staff,
        product_id=product_id,
        draft=inventory.ProductDraft(slug=slug, name="Renamed"),
        now=timezone.now(),
    )
    renamed = await heard(socket, "cart.changed")
    await sync_to_async(inventory.discontinue)(
        actor=staff, product_id=product_id, now=timezone.now()
    )
    withdrawn = await heard(socket, "cart.changed")

    assert renamed["event"] == "product.updated"
    assert renamed["cart"]["items"][0]["name"] == "Renamed"
    assert withdrawn["event"] == "product.discontinued"
    assert withdrawn["cart"]["items"][0]["problems"][0]["code"] == "PRODUCT_DISCONTINUED"


async def test_a_user_hears_on_every_device(company: Company, user: Any, connect: Open) -> None:
    variant = await sync_to_async(factories.make_priced_variant)()
    access = (await sync_to_async(tokens.issue)(user=user, now=timezone.now())).access
    actor = Actor(kind=ActorKind.USER, company_id=company.pk, user_id=user.pk, email=user.email)
    await sync_to_async(carts.create)(actor=actor, now=timezone.now())
    phone = await connect("cart.v1", f"bearer.{access}")
    laptop = await connect("cart.v1", f"bearer.{access}")
    await heard(phone, "cart.snapshot")
    await heard(laptop, "cart.snapshot")

    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=timezone.now())

    for device in (phone, laptop):
        assert (await heard(device, "cart.changed"))["cart"]["totals"]["itemCount"] == 1


async def test_another_guest_hears_nothing(company: Company, connect: Open) -> None:
    actor, _ = await sync_to_async(open_guest_cart)(company)
    _, other_token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)()
    other = await connect("cart.v1", f"session.{other_token}")
    await heard(other, "cart.snapshot")

    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=timezone.now())

    assert await other.receive_nothing(timeout=0.3)


async def test_ping_and_resync_are_answered(company: Company, connect: Open) -> None:
    _, token = await sync_to_async(open_guest_cart)(company)
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")

    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from(timeout=60) == {"type": "pong"}

    await socket.send_json_to({"type": "resync", "version": 5})
    assert (await socket.receive_json_from(timeout=60))["type"] == "cart.snapshot"


@pytest.mark.parametrize(
    "protocols",
    [
        (),
        ("cart.v1",),
        ("cart.v1", "session."),
        ("cart.v1", "session." + "0" * 64),
        ("cart.v1", "bearer.nonsense"),
        ("cart.v1", "bearer.nonsense", "session." + "0" * 64),
    ],
)
async def test_wrong_credentials_close_with_4401(
    company: Company, connect: Open, protocols: tuple[str, ...]
) -> None:
    socket = await connect(*protocols)

    assert await close_code(socket) == 4401


@pytest.mark.parametrize(
    "origin",
    [b"https://evil.example", b"null", b"http://testserver:8443", b"http://[", b"ftp://testserver"],
)
async def test_a_page_of_another_origin_is_refused(
    company: Company, connect: Open, origin: bytes
) -> None:
    _, token = await sync_to_async(open_guest_cart)(company)

    socket = await connect("cart.v1", f"session.{token}", headers=((b"origin", origin),))

    assert await close_code(socket) == 4403


async def test_a_cookie_needs_an_origin(company: Company, connect: Open) -> None:
    socket = await connect(headers=((b"cookie", b"sessionid=x"),))

    assert await close_code(socket) == 4403


async def test_our_own_pages_may_connect(company: Company, connect: Open) -> None:
    _, token = await sync_to_async(open_guest_cart)(company)

    socket = await connect(
        "cart.v1", f"session.{token}", headers=((b"origin", b"http://testserver"),)
    )

    assert (await socket.receive_json_from(timeout=60))["type"] == "cart.snapshot"


@pytest.mark.parametrize(
    ("text", "code"),
    [("not json", 4400), ("[]", 4400), ('{"type": "fly"}', 4400), (" " * 70_000, 1009)],
)
async def test_rubbish_closes_the_socket(
    company: Company, connect: Open, text: str, code: int
) -> None:
    _, token = await sync_to_async(open_guest_cart)(company)
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")

    await socket.send_to(text_data=text)

    assert await close_code(socket) == code


async def test_too_many_messages_close_with_4429(company: Company, connect: Open) -> None:
    _, token = await sync_to_async(open_guest_cart)(company)
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")

    for _ in range(consumers.CartConsumer.MAX_MESSAGES + 1):
        await socket.send_to(text_data=json.dumps({"type": "ping"}))
    codes = [
        await socket.receive_output(timeout=60) for _ in range(consumers.CartConsumer.MAX_MESSAGES)
    ]

    assert {message["type"] for message in codes} == {"websocket.send"}
    assert await close_code(socket) == 4429


async def test_a_signed_out_customer_is_let_go(
    company: Company, user: Any, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers.CartConsumer, "RECHECK_SECONDS", 0.2)
    access = (await sync_to_async(tokens.issue)(user=user, now=timezone.now())).access
    socket = await connect("cart.v1", f"bearer.{access}")
    await heard(socket, "cart.snapshot")

    await sync_to_async(tokens.revoke_all)(user_id=user.pk, now=timezone.now())

    assert await close_code(socket) == 4401


async def test_a_hold_that_runs_out_is_told(company: Company, connect: Open) -> None:
    actor, token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)()
    at = timezone.now() - timedelta(minutes=20)
    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=at)
    socket = await connect("cart.v1", f"session.{token}")
    first = await heard(socket, "cart.snapshot")

    await sync_to_async(inventory.release_expired)(now=timezone.now())
    expired = await heard(socket, "hold.expired")

    assert expired["itemIds"] == [first["cart"]["items"][0]["id"]]
    assert (await heard(socket, "cart.changed"))["cart"]["items"][0]["hold"]["state"] == "expired"


async def test_the_last_unit_being_taken_is_told_to_who_wants_it(
    company: Company, connect: Open
) -> None:
    actor, token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)(available=2)
    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=timezone.now())
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")
    other, _ = await sync_to_async(open_guest_cart)(company)

    await sync_to_async(carts.add_line)(actor=other, sku=variant.sku, now=timezone.now())

    told = await heard(socket, "stock.changed")
    assert (told["sku"], told["available"], told["inStock"]) == (variant.sku, 0, False)


# --- prices of another currency ---------------------------------------------------------------------


async def cart_in_euros(company: Company, connect: Open, *skus: str) -> WebsocketCommunicator:
    anonymous = Actor(kind=ActorKind.ANONYMOUS, company_id=company.pk)
    now = timezone.now()
    opened = await sync_to_async(carts.create)(actor=anonymous, currency="EUR", now=now)
    actor = Actor(
        kind=ActorKind.GUEST, company_id=company.pk, session_hash=hash_token(str(opened.token))
    )
    for sku in skus:
        await sync_to_async(carts.add_line)(actor=actor, sku=sku, now=now)
    return await connect("cart.v1", f"session.{opened.token}")


async def enter_rate(company: Company, rate: str, **fields: Any) -> None:
    terms = pricing.RateTerms(quote="EUR", rate=Decimal(rate), **fields)
    await sync_to_async(pricing.set_exchange_rate)(
        actor=Actor.system(company.pk), terms=terms, now=timezone.now()
    )


async def test_a_rate_that_changes_reaches_open_carts_in_its_currency(
    company: Company, connect: Open
) -> None:
    await enter_rate(company, "0.9")
    converted = await sync_to_async(factories.make_priced_variant)("10.00")
    own = await sync_to_async(factories.make_priced_variant)("10.00")
    await sync_to_async(factories.make_price)(own, "7.00", "EUR")
    socket = await cart_in_euros(company, connect, converted.sku, own.sku)
    first = (await heard(socket, "cart.snapshot"))["cart"]
    _, token = await sync_to_async(open_guest_cart)(company)
    in_dollars = await connect("cart.v1", f"session.{token}")
    await heard(in_dollars, "cart.snapshot")

    await enter_rate(company, "0.8")

    assert await socket.receive_json_from(timeout=60) == {
        "type": "price.changed",
        "variantId": str(converted.id),
        "currency": "EUR",
        "from": "9.00",
        "to": "8.00",
    }
    message = await socket.receive_json_from(timeout=60)
    assert (message["type"], message["event"]) == ("cart.changed", "pricing.exchange_rate.changed")
    cart = message["cart"]
    assert [line["unitPrice"] for line in cart["items"]] == ["8.00", "7.00"]
    assert cart["quoteId"] != first["quoteId"]
    assert [(w["code"], w["extra"]) for w in cart["warnings"] if w["code"] == "PRICE_CHANGED"] == [
        ("PRICE_CHANGED", {"from": "9.00", "to": "8.00"})
    ]
    assert await in_dollars.receive_nothing(timeout=0.2)


async def test_a_dearer_rate_waits_for_the_hold_and_one_that_begins_by_itself_is_told(
    company: Company, connect: Open
) -> None:
    await enter_rate(company, "0.9")
    variant = await sync_to_async(factories.make_priced_variant)("10.00")
    socket = await cart_in_euros(company, connect, variant.sku)
    await heard(socket, "cart.snapshot")

    await enter_rate(company, "0.95")
    held = await socket.receive_json_from(timeout=60)
    begun = timezone.now()  # unheard, as one that was entered earlier for now is
    await ExchangeRate.objects.acreate(
        company=company, base="USD", quote="EUR", rate=Decimal("0.5"), places=2,
        valid_from=begun, source="manual", created_by="staff", created_at=begun,
    )  # fmt: skip
    announced = await sync_to_async(pricing.announce_rates)(now=timezone.now())
    told = await heard(socket, "price.changed")

    assert (held["type"], held["cart"]["items"][0]["unitPrice"]) == ("cart.changed", "9.00")
    assert announced == 1
    assert (told["from"], told["to"]) == ("9.00", "5.00")


async def test_a_price_at_home_moves_the_carts_that_convert_it(
    company: Company, connect: Open
) -> None:
    await enter_rate(company, "0.9")
    variant = await sync_to_async(factories.make_priced_variant)("10.00")
    socket = await cart_in_euros(company, connect, variant.sku)
    await heard(socket, "cart.snapshot")

    await sync_to_async(pricing.set_price)(
        actor=Actor.system(company.pk),
        variant_id=variant.id,
        currency="USD",
        amount=Decimal("5.00"),
        now=timezone.now(),
    )

    told = await heard(socket, "price.changed")
    assert (told["currency"], told["from"], told["to"]) == ("EUR", "9.00", "4.50")


async def test_sync_switched_off_keeps_quiet(
    company: Company, connect: Open, settings: Any
) -> None:
    settings.FEATURES = {**settings.FEATURES, "CART_SYNC_ENABLED": False}
    actor, token = await sync_to_async(open_guest_cart)(company)
    variant = await sync_to_async(factories.make_priced_variant)()
    socket = await connect("cart.v1", f"session.{token}")
    await heard(socket, "cart.snapshot")

    await sync_to_async(carts.add_line)(actor=actor, sku=variant.sku, now=timezone.now())

    assert await socket.receive_nothing(timeout=0.3)
