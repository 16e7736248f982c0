"""Which promotions a cart would get: what staff ask before customers do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from config.platform.actor import Actor, ActorKind
from config.platform.models import User
from pricing import engine, selectors
from pricing.services.codes import normalise_code
from pricing.services.quotes import compare


def preview_promotions(
    *,
    actor: Actor,
    wanted: Sequence[selectors.Wanted],
    currency: str,
    codes: Sequence[str] = (),
    email: str = "",
    destination: engine.Place | None = None,
    shipping_option: str | None = None,
    moment: datetime,
) -> engine.Comparison:
    """
    Return what these lines would cost the customer of an address at a moment, and what came of every promotion.

    It is the engine of the cart, asked as that customer: the account of the address with its groups and orders, or a
    guest. Prices of goods are today's, whatever the moment. Writes nothing, takes up no use.

    :raises ValidationFailed: if a line names nothing that is sold in this currency
    :raises DiscountInvalid: if a code cannot be one
    """
    user = User.objects.by_email(email) if email else None
    customer = Actor(
        kind=ActorKind.USER if user else ActorKind.GUEST,
        company_id=actor.company_id,
        user_id=user.id if user else None,
    )
    basket = selectors.basket_of(
        actor=customer,
        wanted=wanted,
        currency=currency,
        destination=destination,
        codes=[normalise_code(code) for code in codes],
        shipping_option=shipping_option,
    )
    keys = selectors.customer_keys(user_id=customer.user_id, email=email)
    basket = dataclasses.replace(basket, customer_keys=keys)
    return compare(actor=customer, basket=basket, now=moment)
