"""What shipping and tax would come to before anything is decided; nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cart import selectors as carts
from checkout import selectors
from checkout.models import Checkout
from config.platform.actor import Actor
from config.platform.errors import AuthRequired, FieldError, ValidationFailed
from pricing import selectors as pricing_selectors
from pricing import services as pricing
from pricing.engine import Place, Quote
from pricing.outside import asking
from pricing.selectors import Wanted


@asking
def quote_for_items(
    *,
    actor: Actor,
    items: Sequence[Wanted],
    place: Place | None,
    currency: str | None,
    codes: Sequence[str] = (),
    option: str | None = None,
    now: datetime,
) -> Quote:
    """
    Return what items that a caller names would cost at a place, at current prices and as if there were enough of each.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if there is no place, an item is not sold, or the way to ship is not offered there
    :raises DiscountInvalid: if a code is malformed; one that does not apply is no error
    """
    if place is None:
        raise ValidationFailed(
            errors=[FieldError("country", "required", "Say where these items would go.")]
        )
    basket = pricing_selectors.basket_of(
        actor=actor,
        wanted=items,
        currency=pricing_selectors.shown_currency(actor=actor, currency=currency),
        destination=place,
        codes=[pricing.normalise_code(code) for code in codes],
        shipping_option=option,
    )
    quote = pricing.quote(actor=actor, basket=basket, now=now)
    pricing.check_option(quote=quote, option=option)
    return quote


@asking
def quote_for_checkout(
    *,
    actor: Actor,
    checkout_id: UUID | None = None,
    place: Place | None = None,
    option: str | None = None,
    now: datetime,
) -> Quote:
    """
    Return what a checkout costs, or would cost at another place: the one named, else the caller's open one, else the cart.

    Without a place it goes to the checkout's address as far as that is known, then to where the cart goes. Of a checkout
    that is placed or over, it is what was agreed or last shown, whatever else is named.

    :raises AuthRequired: if the caller is nobody in particular
    :raises CheckoutNotFound: if there is none of that id for this caller
    :raises CartNotFound: if the caller has neither a checkout nor a cart
    :raises ValidationFailed: if the way to ship is not offered there
    """
    if not actor.is_known:
        raise AuthRequired
    if checkout_id is not None:
        checkout: Checkout | None = selectors.find(actor=actor, checkout_id=checkout_id)
    else:
        checkout = selectors.current(actor=actor, now=now)
        if checkout is not None and checkout.order_id is not None:
            checkout = None  # placed: what is in the cart since is for another one
    if checkout is None:
        quote = carts.quote_for(actor=actor, destination=place, shipping_option=option, now=now)
    elif checkout.status_at(now) != Checkout.Status.OPEN:
        return selectors.view_of(checkout, now=now).quote
    else:
        quote = carts.quote_for(
            actor=selectors.owner_of(checkout),
            cart_id=checkout.cart_id,
            destination=place or selectors.destination_of(checkout),
            shipping_option=option or checkout.shipping_option or None,
            customer_keys=selectors.customer_keys(checkout),
            now=now,
        )
    pricing.check_option(quote=quote, option=option)
    return quote
