"""What an edited order costs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.services import Demand
from orders.errors import OrderAddressFixed
from orders.models import Order, OrderLine
from orders.services.direct import Goods, basket_of
from orders.services.editing.proposal import Addition
from orders.services.placing import DraftLine
from orders.services.shares import Units
from pricing import services as pricing
from pricing.engine import NO_SHIPPING_ZONE, Basket, Line, Place, Quote, TaxAmount
from pricing.errors import NoShippingZone


def price_whole(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    taken: Sequence[Units],
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
    *,
    actor: Actor,
    now: datetime,
) -> Quote:
    """
    Price everything that would go into the parcel, for what shipping it costs and which taxes are due there.

    :raises NoShippingZone: if we do not ship there
    :raises ValidationFailed: if this way to ship is not offered there
    """
    basket = whole_order(order, lines, taken, goods, address, option)
    quote = pricing.quote(actor=actor, basket=basket, now=now)
    if quote.shipping_code == NO_SHIPPING_ZONE:
        raise NoShippingZone
    if quote.requires_shipping and quote.shipping is None:
        offered = ", ".join(each.id for each in quote.shipping_options)
        raise ValidationFailed(
            errors=[
                FieldError("shippingOption", "invalid_choice", f"Offered there is only: {offered}.")
            ]
        )
    return quote


def whole_order(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    taken: Sequence[Units],
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
) -> Basket:
    """Return what would be in the parcel: what stays at its frozen prices, what comes at today's."""
    out = {part.line_id: part.quantity for part in taken}
    kept = [
        _frozen(line, line.unsent - out.get(line.id, 0))
        for line in lines.values()
        if line.unsent > out.get(line.id, 0)
    ]
    return Basket(
        lines=[*kept, *(_basket(order, goods, address, option).lines if goods else ())],
        currency=order.currency,
        destination=_place_of(address),
        shipping_option=option or None,
        user_id=order.user_id,
    )


def _frozen(line: OrderLine, quantity: int) -> Line:
    """Return units of an order line for pricing, at what was agreed."""
    return Line(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        sku=line.sku,
        quantity=quantity,
        unit_price=line.unit_price,
        category_ids=[line.product.category_id] if line.product.category_id else [],
        tax_class=line.tax_class,
        is_taxable=line.variant.is_taxable,
        weight_grams=line.weight_grams,
        requires_shipping=line.variant.requires_shipping,
    )


def check_taxes(order: Order, lines: Mapping[UUID, OrderLine], whole: Quote) -> None:
    """
    Refuse to send goods where other taxes are due than were charged: their invoice would be wrong.

    :raises OrderAddressFixed: if a line that stays, or shipping, is taxed otherwise there
    """

    def of_quote(taxes: Sequence[TaxAmount]) -> set[tuple[Any, ...]]:
        return {(tax.name, tax.type, tax.rate, tax.included, tax.relief) for tax in taxes}

    def of_line(line: OrderLine) -> set[tuple[Any, ...]]:
        return {
            (tax["name"], tax["type"], Decimal(tax["rate"]), tax["included"], tax.get("relief", ""))
            for tax in line.taxes
        }

    placed = Quote.from_json(order.quote).shipping if order.quote else None
    differs = any(
        of_quote(priced.taxes) != of_line(lines[priced.id])
        for priced in whole.lines
        if priced.id in lines
    ) or (
        placed is not None
        and whole.shipping is not None
        and bool(placed.total and whole.shipping.total)
        and of_quote(placed.taxes) != of_quote(whole.shipping.taxes)
    )
    if differs:
        raise OrderAddressFixed(
            "Another tax is due there than was paid.",
            extra={"status": order.status, "code": "TAX_DIFFERS"},
        )


def price_addition(
    order: Order,
    goods: Sequence[Goods],
    drafts: Sequence[DraftLine],
    address: Mapping[str, str],
    option: str,
    shipping: Decimal,
    *,
    actor: Actor,
    now: datetime,
) -> Addition:
    """Price what is added by today's rules, with what it costs more to ship it along."""
    basket = _basket(order, goods, address, option, shipping={option: shipping})
    quote, basis = pricing.quote_with_basis(actor=actor, basket=basket, now=now)
    return Addition(
        quote=quote,
        basis=basis,
        basket=basket,
        lines=drafts,
        demands=[
            Demand(line_id=draft.id, variant_id=item.variant.id, quantity=item.quantity)
            for draft, item in zip(drafts, goods, strict=True)
        ],
    )


def _basket(
    order: Order,
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
    *,
    shipping: Mapping[str, Decimal] | None = None,
) -> Basket:
    return basket_of(
        goods,
        user_id=order.user_id,
        email=order.email,
        address=address,
        currency=order.currency,
        option=option or None,
        shipping=shipping,
    )


def _place_of(address: Mapping[str, str]) -> Place:
    return Place(
        country=address.get("country", ""),
        state=address.get("state", ""),
        postal_code=address.get("postalCode", ""),
    )


def stable_id(order: Order, path: str, sku: str) -> UUID:
    """Return the id under which a line is priced: the same each time, so that the same wish is the same quote."""
    digest = hashlib.sha256(f"{order.id}/{path}/{sku}".encode()).digest()
    return UUID(bytes=digest[:16], version=4)
