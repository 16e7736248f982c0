"""The figures of the cart in each page's header; read only when a template asks."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from cart.selectors import CartView
from cart.selectors.badge import badge as read_badge
from config.platform.http import actor_of


def cart_badge(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `cart_badge.count`, and `cart_badge.version` to compare with what the socket says."""
    return {"cart_badge": SimpleLazyObject(lambda: badge(request))}


def badge(request: HttpRequest) -> dict[str, Any]:
    """Return count, version and id of the visitor's cart; zeros and nothing where there is none."""
    try:
        found = read_badge(actor=actor_of(request), now=timezone.now())
    except DatabaseError:
        found = None  # the page of an outage must not need what is out
    if found is None:
        return {"count": 0, "version": 0, "cart": ""}
    return {"count": found.item_count, "version": found.version, "cart": str(found.cart_id)}


def badge_of(cart: CartView) -> dict[str, Any]:
    """Return the same of a cart that was read or changed just now."""
    return {"count": cart.totals.item_count, "version": cart.version, "cart": str(cart.id)}
