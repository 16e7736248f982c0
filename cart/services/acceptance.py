"""Prices that moved since a line was added: the customer has seen what they are now, and agrees."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cart.errors import PricesMoved
from cart.events import CartUpdated
from cart.selectors.views import CartView
from cart.services.change import changing, open_cart
from config.platform.actor import Actor


@changing
def accept_prices(
    *,
    actor: Actor,
    now: datetime,
    quote_id: str | None = None,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Accept the prices of now, in every list of the cart: what was said of them is not said again until they move again.

    `quote_id` names what the customer was shown, so that nobody agrees to what they did not see. Accepting twice, or
    where nothing has moved, changes nothing.

    :raises PricesMoved: if the quote is no longer the current one; nothing is written
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    shown = change.view()
    if quote_id is not None and quote_id != shown.quote_id:
        raise PricesMoved(
            extra={
                "oldTotal": None,
                "newTotal": shown.quote.format(shown.totals.grand_total),
                "quoteId": shown.quote_id,
            }
        )
    accepted = []
    for each in change.judged():
        line, price = each.line, each.single_price
        seen = line.price_when_added if line.accepted_price is None else line.accepted_price
        if price is not None and price != seen:
            change.edit(line, hold=False)
            line.accepted_price = price
            accepted.append(line)
    if not accepted:
        return shown
    change.settle(refuse=False)
    change.announce(CartUpdated)
    return change.commit(
        "cart.prices_accepted", summary=", ".join(line.facts.sku for line in accepted)[:300]
    )
