"""
The socket that keeps a cart the same on every device.

It only relays: a message in the channel layer says *that* something changed and to which version; the consumer
then reads the cart once as its own actor. So no message ever carries another customer's data, and a burst of
changes costs one read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone

from cart import selectors as carts
from cart.rendering import render_cart
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http.rendering import encode
from notifications import push
from notifications.credentials import Credentials, actor_of_socket, still_valid

logger = logging.getLogger(__name__)

BAD_REQUEST, UNAUTHENTICATED, FOREIGN_ORIGIN, TOO_BIG, TOO_MANY = 4400, 4401, 4403, 1009, 4429
PROTOCOL = "cart.v1"


class CartConsumer(AsyncWebsocketConsumer):
    """`/ws/cart`: snapshot first, then each change of the caller's cart, stock, prices, holds and orders."""

    MAX_BYTES: ClassVar[int] = 64 * 1024
    MAX_MESSAGES: ClassVar[int] = 60
    WINDOW_SECONDS: ClassVar[float] = 10.0
    RECHECK_SECONDS: ClassVar[float] = 30.0
    WARN_SECONDS: ClassVar[float] = 120.0

    actor: Actor | None = None
    is_closed: bool = False

    # --- connecting -----------------------------------------------------------------------------

    async def connect(self) -> None:
        """Accept, then close with a code if refused: only so does the code reach a browser."""
        self.version = 0
        self.cart_id: str | None = None
        self.joined: set[str] = set()
        self.variants: set[str] = set()
        self.currency = ""
        self.prices: dict[str, str | None] = {}
        self.received: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.hold_timer: asyncio.Task[None] | None = None
        self.reading = asyncio.Lock()
        offered = self.scope.get("subprotocols", [])
        await self.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        credentials = Credentials.of_scope(self.scope)
        if not origin_is_ours(self.scope, needed=credentials.by_cookie):
            await self.close(FOREIGN_ORIGIN)
            return
        self.credentials = credentials
        self.actor = await database_sync_to_async(actor_of_socket)(credentials, self.scope)
        if self.actor is None:
            await self.close(UNAUTHENTICATED)
            return
        if self.actor.user_id is not None:
            await self._join(push.user_group(self.actor.user_id))
        if self.actor.session_hash is not None:
            await self._join(push.session_group(self.actor.session_hash))
        await self._send_cart("cart.snapshot")
        self._spawn(self._recheck())

    async def disconnect(self, code: int) -> None:
        for task in [*self.tasks, *([self.hold_timer] if self.hold_timer else [])]:
            task.cancel()
        for group in self.joined:
            with contextlib.suppress(Exception):
                await self.channel_layer.group_discard(group, self.channel_name)

    # --- from the client ------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.actor is None:
            return
        if len(text_data or bytes_data or "") > self.MAX_BYTES:
            await self.close(TOO_BIG)
            return
        at = time.monotonic()
        self.received = [t for t in self.received if t > at - self.WINDOW_SECONDS] + [at]
        if len(self.received) > self.MAX_MESSAGES:
            await self.close(TOO_MANY)
            return
        try:
            message = json.loads(text_data or "")
            kind = message["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            await self.close(BAD_REQUEST)
            return
        if kind == "ping":
            await self._reply({"type": "pong"})
        elif kind == "resync":
            await self._send_cart("cart.snapshot")
        else:
            await self.close(BAD_REQUEST)

    # --- from the channel layer -----------------------------------------------------------------

    async def cart_changed(self, message: dict[str, Any]) -> None:
        newer = message["version"] > self.version or message["cart_id"] != self.cart_id
        if newer and await database_sync_to_async(flags.is_enabled)("CART_SYNC_ENABLED"):
            await self._send_cart("cart.changed", event=message["event"])

    async def hold_expired(self, message: dict[str, Any]) -> None:
        await self._reply(
            {"type": "hold.expired", "cartId": message["cart_id"], "itemIds": message["line_ids"]}
        )
        await self._send_cart("cart.changed", event="inventory.hold_expired")

    async def stock_changed(self, message: dict[str, Any]) -> None:
        await self._reply(message["body"])

    async def price_changed(self, message: dict[str, Any]) -> None:
        """Pass a price on; one in another currency is news where ours is converted from it."""
        is_ours = message["body"]["currency"] == self.currency
        if is_ours:
            await self._reply(message["body"])
        await self._send_cart("cart.changed", event="pricing.price.updated", tells=not is_ours)

    async def rate_changed(self, message: dict[str, Any]) -> None:
        await self._send_cart("cart.changed", event=message["event"], tells=True)

    async def product_changed(self, message: dict[str, Any]) -> None:
        await self._send_cart("cart.changed", event=message["event"])

    async def order_changed(self, message: dict[str, Any]) -> None:
        await self._reply(message["body"])

    async def notification_created(self, message: dict[str, Any]) -> None:
        await self._reply(message["body"])

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.is_closed = True
        await super().close(code, reason)

    # --- inside ---------------------------------------------------------------------------------

    async def _send_cart(self, kind: str, *, event: str | None = None, tells: bool = False) -> None:
        """
        Read the cart once and send it; several changes waiting behind the lock are then one.

        With `tells`, say first which prices are others than those that were sent before.
        """
        async with self.reading:
            body = await database_sync_to_async(self._read)()
            if body is None:
                if kind == "cart.snapshot":
                    await self._reply({"type": kind, "version": 0, "cart": None})
                return
            self.version, self.cart_id = body["version"], body["id"]
            message: dict[str, Any] = {"type": kind, "version": body["version"], "cart": body}
            if event is not None:
                message["event"] = event
            if tells:
                await self._tell_prices(body)
            await self._reply(message)
            await self._follow(body)

    async def _tell_prices(self, body: dict[str, Any]) -> None:
        for variant_id, price in _prices_of(body).items():
            before = self.prices.get(variant_id)
            if before is not None and price is not None and price != before:
                await self._reply(
                    {
                        "type": "price.changed",
                        "variantId": variant_id,
                        "currency": body["currency"],
                        "from": before,
                        "to": price,
                    }
                )

    def _read(self) -> dict[str, Any] | None:
        assert self.actor is not None
        try:
            return dict(render_cart(carts.view(actor=self.actor, now=timezone.now())))
        except ApplicationError:
            return None

    async def _follow(self, body: dict[str, Any]) -> None:
        """Be in the groups of this cart and of the goods in it, and in no others."""
        lines = [*body["items"], *body["nextPurchaseItems"], *body["savedItems"]]
        assert self.actor is not None
        self.currency, self.prices = body["currency"], _prices_of(body)
        wanted = {push.cart_group(body["id"])}
        wanted.add(push.currency_group(self.actor.company_id, self.currency))
        wanted |= {push.variant_group(line["variantId"]) for line in lines}
        wanted |= {push.product_group(line["productId"]) for line in lines}
        for group in [
            g
            for g in self.joined
            if g.startswith(("cart.", "variant.", "product.", "currency.")) and g not in wanted
        ]:
            await self.channel_layer.group_discard(group, self.channel_name)
            self.joined.discard(group)
        for group in wanted - self.joined:
            await self._join(group)
        if self.hold_timer is not None:
            self.hold_timer.cancel()
        seconds = [
            line["hold"]["secondsLeft"] for line in body["items"] if line["hold"]["state"] == "held"
        ]
        if seconds:
            self.hold_timer = asyncio.create_task(
                self._warn_in(min(seconds) - self.WARN_SECONDS, body)
            )

    async def _warn_in(self, seconds: float, body: dict[str, Any]) -> None:
        await asyncio.sleep(max(seconds, 0))
        await self._reply(
            {"type": "hold.expiring", "cartId": body["id"], "expiresAt": body["holdExpiresAt"]}
        )

    async def _recheck(self) -> None:
        """Close the socket soon after its credentials have ended (log-out, disabled account, ended session)."""
        while True:
            await asyncio.sleep(self.RECHECK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only
            if not await database_sync_to_async(still_valid)(self.credentials, self.scope):
                await self.close(UNAUTHENTICATED)
                return

    async def _join(self, group: str) -> None:
        await self.channel_layer.group_add(group, self.channel_name)
        self.joined.add(group)

    async def _reply(self, body: dict[str, Any]) -> None:
        if self.is_closed:  # a push that was on its way when the socket was refused
            return
        await self.send(text_data=encode(body).decode())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _prices_of(body: dict[str, Any]) -> dict[str, str | None]:
    """Return what a unit of each variant in a cart costs now."""
    lines = [*body["items"], *body["nextPurchaseItems"], *body["savedItems"]]
    return {str(line["variantId"]): line["unitPrice"] for line in lines}


def origin_is_ours(scope: dict[str, Any], *, needed: bool) -> bool:
    """
    Return whether the page that opened this socket is one of ours.

    Browsers always say where a page came from. Apps say nothing, and may do so when they bring a token of their
    own: what must never work is a foreign page riding on a cookie.
    """
    headers = dict(scope.get("headers", []))
    raw = headers.get(b"origin")
    if raw is None:
        return not needed
    try:
        origin = urlsplit(raw.decode("ascii"))
        host = headers.get(b"host", b"").decode("ascii")
        _ = origin.port
    except ValueError:
        return False
    if origin.scheme not in {"http", "https"} or not origin.netloc:
        return False
    ours = {host, urlsplit(settings.STOREFRONT_URL).netloc} | {
        urlsplit(trusted).netloc for trusted in settings.CSRF_TRUSTED_ORIGINS
    }
    return origin.netloc in ours
