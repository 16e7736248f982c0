"""Discount codes on a cart. They are kept while they do not apply, and say why; limits are counted at the order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cart.events import DiscountsChanged
from cart.selectors.views import CartView, basket_of
from cart.services.change import changing, open_cart
from config.platform.actor import Actor
from pricing import services as pricing
from pricing.errors import DiscountInvalid

MOST_CODES = 10


@changing
def apply_code(
    *,
    actor: Actor,
    code: str,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put a code on the cart. One that is there already changes nothing.

    :raises DiscountInvalid: if it is malformed, unknown or does not apply; `extra.reason` says why
    :raises DiscountExpired: if its time is over
    :raises DiscountLimitReached: if it is used up, in all or for this customer
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    basket = basket_of(head=change.head, judged=change.judged())
    normal = pricing.check_code(actor=actor, code=code, basket=basket, now=now)
    if normal in change.head.codes:
        return change.view()
    if len(change.head.codes) >= MOST_CODES:
        raise DiscountInvalid("A cart takes no more codes.", extra={"limit": MOST_CODES})
    change.head.codes = [*change.head.codes, normal]
    change.settle(refuse=False)
    change.announce(DiscountsChanged, codes=change.head.codes)
    return change.commit("cart.discount_applied", summary=normal)


@changing
def remove_code(
    *,
    actor: Actor,
    code: str,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Take a code off the cart.

    :raises DiscountInvalid: if it is not on the cart
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    normal = pricing.normalise_code(code)
    if normal not in change.head.codes:
        raise DiscountInvalid("This code is not on your cart.", extra={"code": normal})
    change.head.codes = [other for other in change.head.codes if other != normal]
    change.settle(refuse=False)
    change.announce(DiscountsChanged, codes=change.head.codes)
    return change.commit("cart.discount_removed", summary=normal)
