"""What is suggested beside the cart: taken into it, or sent away for good."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from cart.models import MOST_DISMISSED, DismissedUpsell
from cart.selectors import CartView
from cart.selectors.upsells import only_choice
from cart.services.change import changing
from cart.services.lines import add_line
from cart.services.lists import own_list_locked
from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.errors import VariantInvalid
from pricing import selectors as pricing


@changing
def add_upsell(
    *,
    actor: Actor,
    product_ref: str,
    now: datetime,
    variant_id: UUID | None = None,
    quantity: int = 1,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put a product, by id or slug, into the caller's cart, held like anything added there.

    Without a variant it is the only one that can be bought now.

    :raises ProductNotFound: if the company has no such product for this caller
    :raises VariantInvalid: if the variant is of another product, or there is a choice and none was made
    :raises InsufficientStock: if there are not that many, and whatever else `add_line` refuses
    """
    product = pricing.product_detail(
        actor=actor,
        ref=product_ref,
        currency=pricing.home_currency(company_id=actor.company_id),
    )
    if variant_id is None:
        only = only_choice(product)
        variant_id = only.id if only else None
    elif variant_id not in {variant.id for variant in product.variants}:
        raise VariantInvalid()
    return add_line(
        actor=actor,
        variant_id=variant_id,
        product_id=product.id,
        quantity=quantity,
        now=now,
        cart_id=cart_id,
        expected=expected,
    )


@transaction.atomic
def dismiss_upsell(*, actor: Actor, product_ref: str) -> None:
    """
    Never suggest a product, by id or slug, to this caller again; a repeat changes nothing. Locks their list.

    What guests sent away comes along into their account. The latest 200 are remembered.

    :raises ProductNotFound: if the company has no such product for this caller
    :raises CartNotFound: if the guest's token is not known
    """
    product = inventory.find_product(actor=actor, ref=product_ref)
    kept = own_list_locked(DismissedUpsell, actor)
    if product.id not in kept.product_ids:
        kept.product_ids = [*kept.product_ids, product.id][-MOST_DISMISSED:]
        kept.save(update_fields=["product_ids", "updated_at"])
