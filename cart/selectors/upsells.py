"""What goes with a cart: shown beside it, quietly, and never again once it was sent away."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from cart.models import DismissedUpsell
from cart.selectors.views import CartView
from config.platform.actor import Actor
from pricing import selectors as pricing
from pricing.selectors import ProductView, VariantView

MOST_UPSELLS = 4


@dataclass(frozen=True, slots=True)
class Upsell:
    """A product that goes with the cart, and why; `variant` is what a press adds, None where there is a choice."""

    product: ProductView
    variant: VariantView | None
    reason: str


def upsells(*, actor: Actor, cart: CartView, limit: int = MOST_UPSELLS) -> list[Upsell]:
    """
    Return what goes with what is in the cart and can be had now, the best first; three statements, none if it is empty.

    Never what stands in any of its lists, nor what this customer sent away.
    """
    if not cart.items:
        return []
    suggestions = pricing.goes_with(
        actor=actor,
        product_ids={line.product_id for line in cart.items},
        without={line.product_id for line in cart.lines} | _dismissed(actor),
        currency=cart.currency,
        limit=limit,
    )
    return [Upsell(row.product, only_choice(row.product), row.reason) for row in suggestions]


def only_choice(product: ProductView) -> VariantView | None:
    """Return the one variant of a product that can be bought now, None where there is none or a choice."""
    there = [v for v in product.variants if v.is_active and v.in_stock and v.price is not None]
    return there[0] if len(there) == 1 else None


def _dismissed(actor: Actor) -> set[UUID]:
    kept = DismissedUpsell.objects.for_owner(
        company_id=actor.company_id, user_id=actor.user_id, session_hash=actor.session_hash
    )
    return {product_id for ids in kept.values_list("product_ids", flat=True) for product_id in ids}
