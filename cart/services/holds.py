"""Holding a whole cart: before checkout, or because the customer asks for it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cart.errors import CartEmpty
from cart.events import HoldsTaken
from cart.selectors.state import ACTIVE
from cart.selectors.views import CartView
from cart.services.change import Change, changing, open_cart
from config.platform import flags
from config.platform.actor import Actor
from inventory import services as inventory


@changing
def hold(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, expected: int | None = None
) -> CartView:
    """
    Hold every active line, taken anew or renewed within its cap; all of them or none.

    :raises FeatureDisabled: while holds are switched off, unless at checkout
    :raises CartEmpty: if there is nothing to hold
    :raises HoldFailed: naming each line that cannot be held; nothing is written
    :raises HoldLimitExceeded: if this would be more than one customer may hold
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    if not change.in_list(ACTIVE):
        raise CartEmpty
    change.settle(every_line=True)
    change.announce(HoldsTaken)
    return change.commit("cart.held")


def open_for_checkout(*, actor: Actor, now: datetime) -> Change:
    """
    Lock and read the caller's cart, for `hold_for_checkout`; other locks may be taken between the two.

    :raises CartNotFound, CartExpired, CartMerged: if the guest token opens no cart
    :raises CartEmpty: if there is nothing to buy
    """
    change = open_cart(actor=actor, now=now)
    if not change.in_list(ACTIVE):
        raise CartEmpty
    return change


def hold_for_checkout(change: Change, *, email: str = "") -> None:
    """
    Hold every active line of an opened cart, all of them or none, and note where a reminder would go.

    :raises HoldFailed: naming each line that cannot be held; nothing is written
    :raises HoldLimitExceeded: if this would be more than one customer may hold
    """
    change.settle(every_line=True)
    if email:
        change.head.email = email
    change.announce(HoldsTaken)
    change.commit("cart.held")


@changing
def release_hold(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, expected: int | None = None
) -> CartView:
    """Let go of everything the cart holds; the lines stay."""
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    held = [line for line in change.in_list(ACTIVE) if line.hold is not None and line.hold.quantity]
    if not held:
        return change.view()
    inventory.release(actor=actor, line_ids=[line.id for line in held], now=now)
    for line in held:
        change.edit(line, hold=False)
        change.let_go(line)
    change.announce(HoldsTaken)
    return change.commit("cart.released")


def require_holds() -> None:
    """:raises FeatureDisabled: while holds are switched off"""
    flags.require("INVENTORY_HOLD_ENABLED")
