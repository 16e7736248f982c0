"""What each page's header shows of a cart: one statement, no prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cart.models import Cart
from config.platform.actor import Actor


@dataclass(frozen=True, slots=True)
class Badge:
    cart_id: UUID
    item_count: int
    version: int


def badge(*, actor: Actor, now: datetime) -> Badge | None:
    """Return the units in the caller's open cart as of its last change, and its version; None without one."""
    if not actor.is_known:
        return None
    carts = Cart.objects.filter(
        company_id=actor.company_id, status__in=Cart.OPEN, expires_at__gt=now
    )
    carts = (
        carts.filter(user_id=actor.user_id)
        if actor.user_id is not None
        else carts.filter(user_id=None, session__token_hash=actor.session_hash)
    )
    found = carts.values_list("id", "item_count", "version").first()
    return Badge(*found) if found else None
