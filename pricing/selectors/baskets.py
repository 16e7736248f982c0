"""Baskets made from what a caller names, for prices without a cart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from inventory import selectors as inventory
from inventory.errors import InsufficientStock
from inventory.models import Variant
from pricing import engine
from pricing.errors import PriceMissing
from pricing.selectors.customers import customer_keys
from pricing.selectors.inforce import ladders


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One line that a caller names: which variant, and how many."""

    ref: inventory.VariantRef
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What would be sold for a line that was named, or why it cannot be."""

    variant: Variant | None
    price: Decimal | None
    available: int
    problems: Sequence[ApplicationError]

    @property
    def is_valid(self) -> bool:
        return not self.problems


def line_of(
    variant: Variant,
    *,
    id: UUID,
    quantity: int,
    unit_price: Decimal,
    list_price: Decimal | None = None,
    price_kind: str = "",
    is_converted: bool = False,
) -> engine.Line:
    """Return the engine's line for a variant that was read with its product."""
    product = variant.product
    return engine.Line(
        id=id,
        variant_id=variant.id,
        product_id=product.id,
        category_ids=(product.category_id,) if product.category_id else (),
        sku=variant.sku,
        quantity=quantity,
        unit_price=unit_price,
        list_price=list_price,
        price_kind=price_kind,
        is_converted=is_converted,
        tax_class=product.tax_class,
        is_taxable=variant.is_taxable,
        weight_grams=variant.weight_grams,
        requires_shipping=variant.requires_shipping,
    )


def basket_of(
    *,
    actor: Actor,
    wanted: Sequence[Wanted],
    currency: str,
    destination: engine.Place | None = None,
    codes: Sequence[str] = (),
    shipping_option: str | None = None,
) -> engine.Basket:
    """
    Return the basket of what a caller names at current prices; stock is not looked at: two statements.

    :raises ValidationFailed: if a line names nothing that is sold in this currency; each is listed by its index
    """
    found = inventory.find_variants(actor=actor, refs=[line.ref for line in wanted])
    prices = ladders(
        variant_ids=[variant.id for variant in found if isinstance(variant, Variant)],
        currency=currency,
        user_id=actor.user_id,
    )
    together = Counter[UUID]()
    for line, variant in zip(wanted, found, strict=True):
        if isinstance(variant, Variant):
            together[variant.id] += line.quantity
    errors = []
    lines = []
    for index, (line, variant) in enumerate(zip(wanted, found, strict=True)):
        if isinstance(variant, ApplicationError):
            errors.append(FieldError(f"items.{index}", variant.code, variant.detail))
        elif variant.id not in prices:
            errors.append(
                FieldError(f"items.{index}", "PRICE_MISSING", "There is no price in this currency.")
            )
        else:
            lines.append(
                line_of(
                    variant,
                    id=UUID(int=index + 1),
                    quantity=line.quantity,
                    unit_price=prices[variant.id].at(together[variant.id]),
                    list_price=prices[variant.id].public,
                    price_kind=prices[variant.id].reason(together[variant.id]),
                    is_converted=prices[variant.id].is_converted,
                )
            )
    if errors:
        raise ValidationFailed(errors=errors)
    return engine.Basket(
        lines=lines,
        currency=currency,
        destination=destination,
        codes=codes,
        shipping_option=shipping_option,
        user_id=actor.user_id,
        customer_keys=customer_keys(user_id=actor.user_id, session_hash=actor.session_hash),
    )


def offers(*, actor: Actor, wanted: Sequence[Wanted], currency: str) -> list[Offer]:
    """
    Return for each line whether it may go into a cart: it exists, is sold, has a price, and there is enough of it.

    Demand is judged line by line. Three statements for any number of lines.
    """
    found = inventory.find_variants(actor=actor, refs=[line.ref for line in wanted])
    variant_ids = [variant.id for variant in found if isinstance(variant, Variant)]
    prices = ladders(variant_ids=variant_ids, currency=currency, user_id=actor.user_id)
    stock = inventory.availability(variant_ids=variant_ids)
    answers = []
    for line, variant in zip(wanted, found, strict=True):
        if isinstance(variant, ApplicationError):
            answers.append(Offer(variant=None, price=None, available=0, problems=[variant]))
            continue
        problems: list[ApplicationError] = []
        in_stock = stock[variant.id]
        shown = in_stock.available if actor.sees_everything else in_stock.shown
        if variant.id not in prices:
            problems.append(PriceMissing(extra={"sku": variant.sku, "currency": currency}))
        if not in_stock.allows(line.quantity):
            problems.append(
                InsufficientStock(
                    extra={"sku": variant.sku, "requested": line.quantity, "available": shown}
                )
            )
        answers.append(
            Offer(
                variant=variant,
                price=prices[variant.id].at(line.quantity) if variant.id in prices else None,
                available=shown,
                problems=problems,
            )
        )
    return answers
