"""Short words for the tables of the engine's tests: a line, a promotion, a tax, a way to ship."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from pricing.engine import (
    Basket,
    Line,
    PromotionRule,
    Quote,
    ShippingMethod,
    TaxRule,
    Zone,
)

_numbers = itertools.count(1)
SHOES, HATS = UUID(int=1_001), UUID(int=1_002)
CUSTOMER = UUID(int=2_001)


def new_id() -> UUID:
    return UUID(int=next(_numbers))


def line(unit_price: str, quantity: int = 1, **fields: object) -> Line:
    return Line(
        **{
            "id": new_id(),
            "variant_id": new_id(),
            "product_id": new_id(),
            "sku": "A",
            "quantity": quantity,
            "unit_price": Decimal(unit_price),
            **fields,
        }  # type: ignore[arg-type]
    )


def promotion(kind: str, value: str = "0", **fields: object) -> PromotionRule:
    amounts = {
        name: Decimal(str(fields.pop(name)))
        for name in ("minimum_order", "maximum_discount")
        if name in fields
    }
    return PromotionRule(
        **{
            "id": new_id(),
            "name": f"{kind} {value}",
            "kind": kind,
            "value": Decimal(value),
            "is_automatic": True,
            "currency": "USD" if kind == "FIXED_AMOUNT" else "",
            **amounts,
            **fields,
        }  # type: ignore[arg-type]
    )


def tax(rate: str, **fields: object) -> TaxRule:
    return TaxRule(
        **{
            "id": new_id(),
            "name": "VAT",
            "type": "VAT",
            "country": "DE",
            "rate": Decimal(rate),
            **fields,
        }  # type: ignore[arg-type]
    )


def method(code: str = "standard", base_price: str = "5.00", **fields: object) -> ShippingMethod:
    for name in ("per_unit", "per_kilogram", "free_over", "minimum_order", "maximum_order"):
        if name in fields:
            fields[name] = Decimal(str(fields[name]))
    return ShippingMethod(
        **{
            "id": new_id(),
            "code": code,
            "name": code.title(),
            "type": "FLAT_RATE",
            "currency": "USD",
            "base_price": Decimal(base_price),
            **fields,
        }  # type: ignore[arg-type]
    )


def zone(*methods: ShippingMethod, countries: tuple[str, ...] = ("DE",), **fields: object) -> Zone:
    return Zone(
        **{"id": new_id(), "name": "Zone", "countries": countries, "methods": methods, **fields}
    )  # type: ignore[arg-type]


def basket(*lines: Line, **fields: object) -> Basket:
    return Basket(**{"lines": lines, "currency": "USD", **fields})  # type: ignore[arg-type]


def with_code(rule: PromotionRule, code: str = "CODE") -> tuple[PromotionRule, dict[str, UUID]]:
    return replace(rule, is_automatic=False), {code: rule.id}


def applied_codes(quote: Quote) -> list[str]:
    return [discount.code for discount in quote.discounts if discount.code]
