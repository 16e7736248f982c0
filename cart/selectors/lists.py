"""What customers would like to have, and what they compare, as it is now: prices, stock, and what changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from cart.errors import CartNotFound
from cart.models import CartSession, Comparison, Wish, Wishlist
from config.platform import flags
from config.platform.actor import Actor
from inventory.models import Variant
from pricing.selectors import ProductView, VariantView, priced_products, product_view


@dataclass(frozen=True, slots=True, kw_only=True)
class WishView:
    """
    A wish beside the product as this caller sees it now.

    `variant` is None where it is no longer offered. `price_when_added` is None where it had no price then, or one in
    another currency than is shown now: two currencies are not compared.
    """

    id: UUID
    variant_id: UUID
    sku: str
    options: Mapping[str, str]
    product: ProductView
    variant: VariantView | None
    price_when_added: Decimal | None
    added_at: datetime

    @property
    def price(self) -> Decimal | None:
        return self.variant.price if self.variant else None

    @property
    def price_changed(self) -> bool:
        return (
            self.price is not None
            and self.price_when_added is not None
            and self.price != self.price_when_added
        )

    @property
    def can_buy(self) -> bool:
        return (
            self.product.is_sold
            and self.variant is not None
            and self.variant.in_stock
            and self.variant.price is not None
        )


def wishes(*, actor: Actor, currency: str) -> list[WishView]:
    """
    Return the caller's wishes, newest first, with prices in `currency`: four statements for any number of them.

    What was withdrawn from the catalogue is left out; what is no longer sold is there and says so.

    :raises FeatureDisabled: if wishlists are switched off
    :raises CartNotFound: if the guest's token is not known
    """
    flags.require("WISHLIST_ENABLED")
    own = Wishlist.objects.for_owner(
        company_id=actor.company_id, user_id=actor.user_id, session_hash=actor.session_hash
    )
    rows = list(
        Wish.objects.filter(wishlist__in=own, variant__company_id=actor.company_id)
        .select_related("variant")
        .order_by("-added_at", "-id")
    )
    if not rows:
        _require_guest(actor)
        return []
    shown = _products(actor, currency, [row.variant.product_id for row in rows])
    views = []
    for row in rows:
        product = shown.get(row.variant.product_id)
        if product is None:
            continue
        views.append(
            WishView(
                id=row.id,
                variant_id=row.variant_id,
                sku=row.variant.sku,
                options=row.variant.options,
                product=product,
                variant=next((v for v in product.variants if v.id == row.variant_id), None),
                price_when_added=row.price_when_added if row.currency == currency else None,
                added_at=row.added_at,
            )
        )
    return views


@dataclass(frozen=True, slots=True)
class Compared:
    """A product beside others; `weights` are those of its variants in grams, the lightest first, without repeats."""

    product: ProductView
    weights: Sequence[int]


def compared(*, actor: Actor, currency: str) -> list[Compared]:
    """
    Return the products the caller compares, in the order in which they were chosen: five statements.

    :raises FeatureDisabled: if comparing is switched off
    :raises CartNotFound: if the guest's token is not known
    """
    flags.require("COMPARISON_ENABLED")
    found = Comparison.objects.for_owner(
        company_id=actor.company_id, user_id=actor.user_id, session_hash=actor.session_hash
    ).first()
    if found is None or not found.product_ids:
        _require_guest(actor)
        return []
    shown = _products(actor, currency, found.product_ids)
    weights: dict[UUID, list[int]] = {}
    for product_id, grams in (
        Variant.objects.filter(product__in=list(shown), is_active=True, weight_grams__gt=0)
        .order_by("weight_grams")
        .values_list("product_id", "weight_grams")
        .distinct()
    ):
        weights.setdefault(product_id, []).append(grams)
    return [Compared(shown[id], weights.get(id, [])) for id in found.product_ids if id in shown]


def _products(actor: Actor, currency: str, ids: Sequence[UUID]) -> dict[UUID, ProductView]:
    return {
        row.id: product_view(row, actor=actor, currency=currency)
        for row in priced_products(actor=actor, currency=currency).filter(id__in=set(ids))
    }


def _require_guest(actor: Actor) -> None:
    """:raises CartNotFound: if the caller is a guest whose token nobody gave out"""
    if (
        actor.user_id is None
        and not CartSession.objects.filter(
            company_id=actor.company_id, token_hash=actor.session_hash, status="active"
        ).exists()
    ):
        raise CartNotFound
