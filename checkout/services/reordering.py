"""Buying again what was bought before. Orders and carts do not know each other; this is where they meet."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from cart import services as carts
from cart.services import Brought, Source
from config.platform.actor import Actor
from orders import selectors as orders
from orders.models import OrderLine


def reorder(*, actor: Actor, order_id: UUID, now: datetime, into: Actor | None = None) -> Brought:
    """
    Put what an order was placed for into the caller's cart, at today's prices.

    Cancelled and returned units count too: the order is repeated as it was placed. What is short or gone is
    reported line by line and refuses nothing; bundles come back as their parts. `into` is whose cart it goes into
    where that is another than the caller: a guest who was just given a new one.

    :raises OrderNotFound: if there is none for this caller
    :raises CartNotFound, CartExpired, CartMerged: if a guest's token opens no cart
    """
    order = orders.find(actor=actor, reference=str(order_id))
    together: dict[tuple[UUID, str], Source] = {}
    for line in order.lines.all():
        key = (line.variant_id, json.dumps(line.customization, sort_keys=True))
        earlier = together.get(key)
        together[key] = source_of(line, line.quantity + (earlier.quantity if earlier else 0))
    return carts.bring_in(
        actor=into or actor, sources=list(together.values()), event="cart.reordered", now=now
    )


def source_of(line: OrderLine, quantity: int, *, takes_hold: bool = False) -> Source:
    """Return an order's line for a cart; with `takes_hold` the cart gets what is held for it."""
    kept = {key: value for key, value in line.metadata.items() if key != "bundleId"}
    return Source(
        variant_id=line.variant_id,
        sku=line.sku,
        name=line.name,
        quantity=quantity,
        price=line.unit_price,
        note=line.note,
        customization=line.customization,
        metadata=kept,
        order_line_id=line.id if takes_hold else None,
    )
