"""What the cart does when something happens below it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cart import services
from config.platform.actor import Actor
from config.platform.auth import on_sign_in


@on_sign_in
def merge_guest_cart(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """Bring the guest's cart along into the account, on every way to sign in."""
    return services.merge_at_sign_in(actor=actor, now=now)


@on_sign_in
def bring_lists_along(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """What a guest wished for and compared is theirs still."""
    services.merge_lists_at_sign_in(actor=actor)
    return {}
