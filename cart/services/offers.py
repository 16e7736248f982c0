"""Taking what was kept for one who waited: out of the line, into the cart."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cart.events import ItemAdded
from cart.selectors.state import ACTIVE
from cart.selectors.views import CartView
from cart.services.carts import ensure_for_write
from cart.services.change import changing
from cart.services.lines import NewItem, put, require_price, require_sold
from config.platform.actor import Actor
from inventory import services as inventory
from inventory.errors import BackInStockRequestNotFound
from inventory.models import BackInStockRequest


@changing
def take_offer(*, actor: Actor, request_id: UUID, now: datetime) -> CartView:
    """
    Put what is kept for a request into the caller's cart, with the very hold that keeps it.

    Held at once, whenever the shop's policy begins holds: it would be free otherwise. Whoever followed the link may.

    :raises BackInStockRequestNotFound: if nothing is kept for it any more
    :raises CartLimitExceeded: if the cart is full
    :raises ProductDiscontinued, PriceMissing: if it cannot be bought any more
    """
    request = BackInStockRequest.objects.filter(id=request_id, company_id=actor.company_id).first()
    if request is None:
        raise BackInStockRequestNotFound
    change = ensure_for_write(actor=actor, now=now, variant_ids=[request.variant_id])
    request = inventory.claim_offer(actor=actor, request_id=request_id, now=now)
    there = [
        line
        for line in change.in_list(ACTIVE)
        if line.variant_id == request.variant_id
        and not line.customization_hash
        and line.group_id is None
    ]
    if there and not there[0].held(now):  # it stood there in vain: what is kept is for it
        line = change.edit(there[0])
        require_sold(line.facts, actor)
        line.quantity = request.offered_quantity
    else:
        line = put(
            change, NewItem(variant_id=request.variant_id, quantity=request.offered_quantity)
        )
    change.settle(at_once={line.id})
    require_price(line.facts)
    change.announce(ItemAdded, line_id=str(line.id), sku=line.facts.sku, quantity=line.quantity)
    return change.commit("cart.item_added", summary=f"{line.quantity} × {line.facts.sku}")
