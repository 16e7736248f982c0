"""Orders that were never a cart: written by staff, or by an app with its own basket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from config.platform.models import new_id
from inventory import selectors as catalogue
from inventory import services as inventory
from inventory.models import Company, Variant
from inventory.selectors import VariantRef
from inventory.services import Demand
from orders import addresses
from orders.models import Order
from orders.services.placing import OrderDraft, draft_line, place
from pricing import selectors as price_facts
from pricing import services as pricing
from pricing.engine import NO_SHIPPING_ZONE, Basket, Line, Place
from pricing.errors import NoShippingZone, PriceMissing
from pricing.outside import asking


@dataclass(frozen=True, slots=True)
class DirectItem:
    """So many of a SKU."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Goods:
    """So many units of a variant, under the id that their line will have."""

    id: UUID
    variant: Variant
    quantity: int


@asking
@transaction.atomic
def place_direct(
    *,
    actor: Actor,
    items: Sequence[DirectItem],
    email: str,
    shipping_address: Mapping[str, Any],
    shipping_option: str = "",
    currency: str = "",
    notes: str = "",
    now: datetime,
) -> Order:
    """
    Place an order from a list of SKUs at current prices, in status draft, its goods held.

    Without `shipping_option` the cheapest one is taken, without `currency` the company's. The same rules as for carts: one quote, one
    lock order, everything or nothing.

    :raises FeatureDisabled: for a guest, if guest checkout is switched off
    :raises ValidationFailed: listing each malformed or missing field, unknown SKU or missing option
    :raises PriceMissing: if a SKU has no price in the currency
    :raises NoShippingZone: if we do not ship there
    :raises HoldFailed: listing every line that cannot be held; nothing is written
    """
    if actor.user_id is None:
        flags.require("ORDER_ENABLE_GUEST_CHECKOUT")
    currency = currency or Company.objects.values_list("currency", flat=True).get(
        pk=actor.company_id
    )
    email = addresses.check_email(email) or actor.email
    address = addresses.normalise(shipping_address, "shippingAddress")
    notes = addresses.check_text(notes, "notes", 1000, multiline=True)
    errors = [] if email else [FieldError("email", "required", "An e-mail address is needed.")]
    errors += [
        FieldError(
            f"shippingAddress.{gap}" if gap else "shippingAddress", "required", "This is needed."
        )
        for gap in addresses.missing(address)
    ]
    found = catalogue.find_variants(actor=actor, refs=[VariantRef(sku=item.sku) for item in items])
    wanted = []
    for index, (item, variant) in enumerate(zip(items, found, strict=True)):
        if isinstance(variant, ApplicationError):
            errors.append(FieldError(f"items.{index}.sku", variant.code, variant.detail))
        else:
            wanted.append(Goods(new_id(), variant, item.quantity))
    if errors:
        raise ValidationFailed(errors=errors)

    for_user = None if actor.is_staff else actor.user_id
    basket = basket_of(wanted, user_id=for_user, email=email, address=address, currency=currency)
    quote, basis = pricing.quote_with_basis(actor=actor, basket=basket, now=now)
    if quote.shipping_code == NO_SHIPPING_ZONE:
        raise NoShippingZone
    if quote.requires_shipping:
        offered = {option.id for option in quote.shipping_options}
        if shipping_option and shipping_option not in offered:
            raise ValidationFailed(
                errors=[
                    FieldError(
                        "shippingOption", "invalid_choice", "This option is not offered there."
                    )
                ]
            )
        chosen = shipping_option or min(quote.shipping_options, key=lambda option: option.price).id
        basket = basket_of(
            wanted, user_id=for_user, email=email, address=address, currency=currency, option=chosen
        )
        quote, basis = pricing.quote_with_basis(actor=actor, basket=basket, now=now)

    lines = [draft_line(item.variant, quote_line_id=item.id, id=item.id) for item in wanted]
    order = place(
        actor=actor,
        draft=OrderDraft(
            company_id=actor.company_id,
            user_id=for_user,
            session_hash=None if actor.user_id else actor.session_hash,
            email=email,
            currency=currency,
            quote=quote,
            basis=basis,
            lines=lines,
            shipping_address=address,
            billing_address=None,
            shipping_option=quote.shipping.option if quote.shipping else "",
            shipping_name=quote.shipping.name if quote.shipping else "",
            notes=notes,
            metadata={"source": actor.source},
            expires_at=now + settings.ORDER_AUTO_CANCEL_DRAFT,
        ),
        now=now,
    )
    pricing.redeem(
        actor=actor, order_id=order.id, quote=quote, customer_keys=basket.customer_keys, now=now
    )
    inventory.reacquire(
        actor=actor,
        order_id=order.id,
        demands=[
            Demand(line_id=item.id, variant_id=item.variant.id, quantity=item.quantity)
            for item in wanted
        ],
        expires_at=now + settings.PAYMENT_LIFETIME,
        now=now,
    )
    return order


def basket_of(
    wanted: Sequence[Goods],
    *,
    user_id: UUID | None,
    email: str,
    address: Mapping[str, str],
    currency: str,
    option: str | None = None,
    shipping: Mapping[str, Decimal] | None = None,
) -> Basket:
    """
    Return goods as a basket at the current prices of a customer; `shipping` names prices in place of the rules'.

    :raises PriceMissing: if one has no price in the currency
    """
    prices = price_facts.ladders(
        variant_ids=[item.variant.id for item in wanted], currency=currency, user_id=user_id
    )
    together = Counter[UUID]()
    for item in wanted:
        together[item.variant.id] += item.quantity
    missing = [item.variant.sku for item in wanted if item.variant.id not in prices]
    if missing:
        raise PriceMissing(extra={"skus": missing, "currency": currency})
    return Basket(
        lines=[
            Line(
                id=item.id,
                variant_id=item.variant.id,
                product_id=item.variant.product_id,
                sku=item.variant.sku,
                quantity=item.quantity,
                unit_price=prices[item.variant.id].at(together[item.variant.id]),
                list_price=prices[item.variant.id].public,
                price_kind=prices[item.variant.id].reason(together[item.variant.id]),
                is_converted=prices[item.variant.id].is_converted,
                category_ids=[item.variant.product.category_id]
                if item.variant.product.category_id
                else [],
                tax_class=item.variant.product.tax_class,
                is_taxable=item.variant.is_taxable,
                weight_grams=item.variant.weight_grams,
                requires_shipping=item.variant.requires_shipping,
            )
            for item in wanted
        ],
        currency=currency,
        destination=Place(
            country=address["country"], state=address["state"], postal_code=address["postalCode"]
        ),
        shipping_option=option,
        shipping_prices=shipping,
        user_id=user_id,
        customer_keys=price_facts.customer_keys(user_id=user_id, email=email),
    )
