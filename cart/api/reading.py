"""Reads of the caller's own cart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from cart import services
from cart.errors import CartExpired, CartNotFound
from config.platform.actor import Actor

Found = TypeVar("Found")


def of_own_cart(read: Callable[[], Found], *, actor: Actor, now: datetime) -> Found:
    """
    Return what a read finds in the caller's cart.

    A signed-in caller always has one: the first look opens it, whichever it is, as `GET /cart` does.

    :raises CartNotFound: if a guest has none
    """
    try:
        return read()
    except (CartNotFound, CartExpired):
        if actor.user_id is None:
            raise
    services.ensure(actor=actor, now=now)
    return read()
