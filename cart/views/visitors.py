"""What pages of the cart and of the lists share: a visitor gets a cart, and with it a name, when they first need one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest
from django.utils import timezone

from cart import services as carts
from cart.errors import CartExpired, CartMerged, CartNotFound
from config.platform import limits
from config.platform.actor import Actor
from config.platform.http import actor_of
from config.platform.http.forms import as_new_guest
from pricing.context import currency_of
from pricing.selectors.storefront import storefront

T = TypeVar("T")


def as_owner(request: HttpRequest, work: Callable[[Actor], T]) -> tuple[T, str]:
    """
    Do something for the visitor, and return what it returns with the token of a new guest, if this made one.

    An anonymous visitor, or one whose cart is over, gets a cart at this moment and not before.
    """
    actor = actor_of(request)
    if actor.is_known:
        try:
            return work(actor), ""
        except (CartNotFound, CartExpired, CartMerged):
            if actor.user_id is not None:
                raise
    limits.count(actor=actor, scopes=["create_cart"])
    currency = currency_of(request, storefront(company_id=actor.company_id))
    opened = carts.create(
        actor=actor,
        now=timezone.now(),
        currency=currency,
        device=request.headers.get("User-Agent", ""),
    )
    token = opened.token or ""
    return work(as_new_guest(request, token) if token else actor), token
