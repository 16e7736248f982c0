"""Products together with their prices, as staff enter them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from config.platform.actor import Actor
from inventory import services as inventory
from pricing.services.prices import NewPrice, set_prices

Prices = Mapping[str, Mapping[str, Decimal]]  # {SKU: {currency: amount}}
FormerPrices = Mapping[str, Mapping[str, Decimal | None]]


@transaction.atomic
def create_product(
    *,
    actor: Actor,
    draft: inventory.ProductDraft,
    prices: Prices,
    former: FormerPrices | None = None,
    now: datetime,
) -> inventory.Upserted:
    """
    Create a product and set the prices of its variants, with the former ones to show beside.

    :raises SlugTaken, SkuTaken, CategoryNotFound, ValidationFailed: as `inventory.create_product`
    :raises CurrencyUnknown, ValidationFailed: as `set_prices`; nothing is written
    """
    made = inventory.create_product(actor=actor, draft=draft, now=now)
    new = _new_prices(made, prices, former or {})
    set_prices(actor=actor, prices=new, reason="product created", now=now)
    return made


@transaction.atomic
def update_product(
    *,
    actor: Actor,
    product_id: UUID,
    draft: inventory.ProductDraft,
    prices: Prices,
    former: FormerPrices | None = None,
    now: datetime,
) -> inventory.Upserted:
    """
    Change a product and the prices that are given; other prices stay.

    :raises ProductNotFound: if the company has no such product
    :raises SkuTaken, CategoryNotFound, ValidationFailed: as `inventory.update_product`
    :raises CurrencyUnknown, ValidationFailed: as `set_prices`; nothing is written
    """
    changed = inventory.update_product(actor=actor, product_id=product_id, draft=draft, now=now)
    new = _new_prices(changed, prices, former or {})
    set_prices(actor=actor, prices=new, reason="product changed", now=now)
    return changed


def _new_prices(
    written: inventory.Upserted, prices: Prices, former: FormerPrices
) -> list[NewPrice]:
    return [
        NewPrice(
            variant_id=written.variant_ids[sku],
            currency=currency,
            amount=amount,
            compare_at=former.get(sku, {}).get(currency),
        )
        for sku, amounts in prices.items()
        for currency, amount in amounts.items()
    ]
