"""
Sends small messages to open sockets through the channel layer.

Written for WSGI threads: the layer's own `group_send` would open an event loop and a Redis connection per
message. A push is best effort: a client that missed one sees the version gap and asks again, so a Redis that
is down costs nothing but the push, and is left alone for a second before the next try.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import redis
from channels.layers import get_channel_layer
from django.conf import settings

from config.platform.breaker import Breaker

_layer = Breaker("channel layer", rest=1.0)
_Message = tuple[str, dict[str, Any]]
_gathered: ContextVar[list[_Message] | None] = ContextVar("gathered pushes", default=None)


def cart_group(cart_id: UUID | str) -> str:
    return f"cart.{cart_id}"


def user_group(user_id: UUID | str) -> str:
    return f"user.{user_id}"


def session_group(session_hash: bytes | memoryview) -> str:
    return f"session.{bytes(session_hash).hex()}"


def variant_group(variant_id: UUID | str) -> str:
    return f"variant.{variant_id}"


def product_group(product_id: UUID | str) -> str:
    return f"product.{product_id}"


def currency_group(company_id: UUID | str, currency: str) -> str:
    return f"currency.{company_id}.{currency}"


def send(group: str, message: dict[str, Any]) -> None:
    """Publish `message` (with its `type`) to every socket in `group`; never raises."""
    gathered = _gathered.get()
    if gathered is None:
        _publish([(group, message)])
    else:
        gathered.append((group, message))


@contextmanager
def together() -> Iterator[None]:
    """Send all that is sent within as one round trip, at the end of the block: a sweep tells hundreds of carts."""
    own: list[_Message] = []
    token = _gathered.set(own)
    try:
        yield
    finally:
        _gathered.reset(token)
        if own:
            _publish(own)


def _publish(messages: Sequence[_Message]) -> None:
    with _layer.guard() as closed:
        if closed:
            layer: Any = get_channel_layer()
            config: Any = settings.CHANNEL_LAYERS["default"]["CONFIG"]
            with _client().pipeline(transaction=False) as pipeline:
                for group, message in messages:
                    channel = f"{config['prefix']}__group__{group}"
                    pipeline.publish(channel, layer.serialize(message))
                pipeline.execute()


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.CHANNELS_URL, socket_timeout=0.5, socket_connect_timeout=0.5
    )
