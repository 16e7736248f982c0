"""Bundles: their parts come and go as one group of lines."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from cart.errors import CartLimitExceeded, ItemNotFound
from cart.events import ItemsChanged
from cart.selectors.state import ACTIVE
from cart.selectors.views import CartView
from cart.services.carts import ensure_for_write
from cart.services.change import changing, new_line, open_cart
from cart.services.lines import check_quantity, refusal_of, require_price
from config.platform.actor import Actor
from config.platform.errors import FieldError
from config.platform.models import new_id
from inventory.errors import ProductNotFound
from inventory.models import Bundle
from pricing import selectors as pricing
from pricing.errors import PriceMissing


@changing
def add_bundle(
    *,
    actor: Actor,
    bundle_id: UUID,
    now: datetime,
    quantity: int = 1,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put all parts of a bundle into the cart as one group, and hold them: all of them or none.

    :raises ProductNotFound: if there is no such bundle on sale
    :raises CartLimitExceeded: if its parts would be too many lines or units
    :raises PriceMissing: if the bundle, or a part of it, has no price in the cart's currency, nor one that converts
    :raises ProductDiscontinued: if a part is no longer sold
    :raises InsufficientStock: if there is not enough of a part, naming each
    """
    check_quantity(quantity)
    bundle = (
        Bundle.objects.filter(id=bundle_id, company_id=actor.company_id, is_active=True)
        .prefetch_related("items")
        .first()
    )
    parts = list(bundle.items.all()) if bundle is not None else []
    if bundle is None or not parts:
        raise ProductNotFound("There is no such bundle.")
    change = ensure_for_write(
        actor=actor,
        now=now,
        cart_id=cart_id,
        expected=expected,
        variant_ids=[part.variant_id for part in parts],
    )
    most = change.head.policy.max_cart_items_per_user
    if len(change.lines) + len(parts) > most:
        raise CartLimitExceeded(
            f"A cart has at most {most} lines.", extra={"limit": most, "lines": len(change.lines)}
        )
    facts = {known.variant_id: known for known in change.candidates}
    if not pricing.bundle_is_for_sale(
        company_id=actor.company_id, bundle_id=bundle.id, currency=change.head.currency
    ):
        raise PriceMissing(extra={"bundleId": str(bundle.id), "currency": change.head.currency})
    group_id = new_id()
    lines = []
    for part in sorted(parts, key=lambda part: part.pk):
        known = facts.get(part.variant_id)
        refused = ProductNotFound() if known is None else refusal_of(known, actor)
        if known is None or refused is not None:
            raise refused or ProductNotFound()
        units = part.quantity * quantity
        if units > settings.CART_MAX_QUANTITY_PER_LINE:
            text = f"At most {settings.CART_MAX_QUANTITY_PER_LINE} units of one item are possible."
            raise CartLimitExceeded(
                text, errors=[FieldError("quantity", "CART_LIMIT_EXCEEDED", text)]
            )
        lines.append(
            change.insert(
                new_line(
                    facts=known,
                    list_=ACTIVE,
                    quantity=units,
                    now=now,
                    bundle_id=bundle.id,
                    group_id=group_id,
                )
            )
        )
    change.settle()
    for line in lines:
        require_price(line.facts)
    change.announce(ItemsChanged, line_ids=[str(line.id) for line in lines])
    return change.commit("cart.bundle_added", summary=f"{quantity} × {bundle.name}"[:300])


@changing
def remove_bundle(
    *,
    actor: Actor,
    group_id: UUID,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Take a bundle out, with all its parts that are still together.

    :raises ItemNotFound: if the cart has no such group
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    lines = [line for line in change.lines if line.group_id == group_id]
    if not lines:
        raise ItemNotFound("There is no such bundle in your cart.")
    for line in lines:
        change.remove(line)
    change.settle()
    change.announce(ItemsChanged, line_ids=[str(line.id) for line in lines])
    return change.commit("cart.bundle_removed")
