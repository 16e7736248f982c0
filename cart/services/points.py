"""Points that a customer wants to spend on a cart. They are taken when the order is placed, not before."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cart.events import CartUpdated
from cart.selectors.views import CartView
from cart.services.change import changing, open_cart
from config.platform.actor import Actor
from config.platform.errors import AuthRequired
from pricing import services as pricing


@changing
def apply_points(
    *,
    actor: Actor,
    points: int,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put points on the cart in place of those that are there. What the goods do not bear stays with the customer.

    :raises FeatureDisabled: while points are switched off
    :raises AuthRequired: if the cart belongs to no account
    :raises LoyaltyUnavailable: if points are not spent in the cart's currency
    :raises PointsInsufficient: if the customer has fewer
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    if change.head.user_id is None or change.head.user_id != actor.user_id:
        raise AuthRequired("Points belong to an account. Sign in.")
    pricing.check_points(actor=actor, points=points, currency=change.head.currency, now=now)
    if change.head.points == points:
        return change.view()
    change.head.points = points
    change.settle(refuse=False)
    change.announce(CartUpdated)
    return change.commit("cart.points_applied", summary=str(points))


@changing
def remove_points(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, expected: int | None = None
) -> CartView:
    """Take the points off the cart; where there are none nothing changes."""
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    if not change.head.points:
        return change.view()
    change.head.points = 0
    change.settle(refuse=False)
    change.announce(CartUpdated)
    return change.commit("cart.points_removed")
