"""Rows for tests: `make_thing(...)` with defaults that do not matter to the test that calls it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.utils import timezone

from config.platform.models import User
from inventory.models import Company, Product, StockLevel, StockMovement, Variant, Warehouse
from pricing import selectors as pricing
from pricing.models import (
    Coupon,
    Price,
    Promotion,
    ShippingRule,
    ShippingZone,
    SpecialPrice,
    TaxRate,
)

_numbers = itertools.count(1)

PASSWORD = "correct horse battery"


def next_number() -> int:
    """Return a number no other row of this test run has."""
    return next(_numbers)


# --- platform ---------------------------------------------------------------------------------


def make_user(*, email: str = "", password: str = PASSWORD, **fields: Any) -> User:
    return User.objects.create_user(email or f"user{next_number()}@example.com", password, **fields)


def make_staff(**fields: Any) -> User:
    """Return a member of staff who may do everything; `is_superuser=False` gives one with no rights as yet."""
    return make_user(**{"is_staff": True, "is_superuser": True, **fields})


# --- inventory --------------------------------------------------------------------------------


def make_company(**fields: Any) -> Company:
    """Return another company than the default one, which is the fixture `company`."""
    number = next_number()
    return Company.objects.create(
        **{"name": f"Company {number}", "slug": f"company-{number}", **fields}
    )


def default_company() -> Company:
    """Return the company of a single-shop install: the one of the fixture `company`."""
    found, _ = Company.objects.get_or_create(
        id=Company.DEFAULT_ID, defaults={"name": "Holdfast", "slug": "holdfast", "is_default": True}
    )
    return found


def make_warehouse(*, company: Company | None = None, **fields: Any) -> Warehouse:
    number = next_number()
    return Warehouse.objects.create(
        **{
            "company": company or default_company(),
            "code": f"W{number}",
            "name": f"Warehouse {number}",
            **fields,
        }
    )


def default_warehouse(company: Company | None = None) -> Warehouse:
    company = company or default_company()
    found, _ = Warehouse.objects.get_or_create(
        company=company, is_default=True, defaults={"code": "MAIN", "name": "Main", "priority": 1}
    )
    return found


def make_product(*, company: Company | None = None, **fields: Any) -> Product:
    number = next_number()
    return Product.objects.create(
        **{
            "company": company or default_company(),
            "slug": f"product-{number}",
            "name": f"Product {number}",
            **fields,
        }
    )


def make_variant(
    *,
    available: int | None = 10,
    product: Product | None = None,
    company: Company | None = None,
    warehouse: Warehouse | None = None,
    reorder_level: int = 0,
    backorder_limit: int | None = None,
    **fields: Any,
) -> Variant:
    """Return a variant with `available` units in the default warehouse; None gives it no stock record."""
    product = product or make_product(company=company)
    variant = Variant.objects.create(
        **{
            "company": product.company,
            "product": product,
            "sku": f"SKU-{next_number()}",
            **fields,
        }
    )
    if available is not None:
        make_stock(
            variant,
            available,
            warehouse=warehouse,
            reorder_level=reorder_level,
            backorder_limit=backorder_limit,
        )
    return variant


def make_stock(
    variant: Variant, available: int, *, warehouse: Warehouse | None = None, **fields: Any
) -> StockLevel:
    """Return a stock record with the movement that explains its units."""
    level = StockLevel.objects.create(
        **{
            "company": variant.company,
            "variant": variant,
            "warehouse": warehouse or default_warehouse(variant.company),
            "available": available,
            "total": available,
            "reorder_level": 0,
            **fields,
        }
    )
    if available:
        StockMovement.objects.create(
            company=variant.company,
            stock_level=level,
            variant=variant,
            type=StockMovement.Type.PURCHASE,
            quantity=available,
            balance=available,
            actor="system",
            source="test",
            created_at=timezone.now(),
        )
    return level


# --- pricing ----------------------------------------------------------------------------------


def make_price(
    variant: Variant, amount: str = "10.00", currency: str = "USD", **fields: Any
) -> Price:
    return Price.objects.create(
        variant=variant, currency=currency, amount=Decimal(amount), **fields
    )


def make_priced_variant(amount: str = "10.00", *, currency: str = "USD", **fields: Any) -> Variant:
    """Return a variant that can be bought: in stock, with a price."""
    variant = make_variant(**fields)
    make_price(variant, amount, currency)
    return variant


def make_special_price(variant: Variant, amount: str, **fields: Any) -> SpecialPrice:
    """Return a price of a variant beside its base price, in force since now."""
    now = timezone.now()
    return SpecialPrice.objects.create(
        **{
            "variant": variant,
            "currency": "USD",
            "amount": Decimal(amount),
            "starts_at": now,
            "created_by": "test",
            "created_at": now,
            "begun_at": now,
            **fields,
        }
    )


def make_promotion(*codes: str, company: Company | None = None, **fields: Any) -> Promotion:
    """Return a promotion brought in by `codes`, or automatic where there are none; 10 % off unless said otherwise."""
    promotion = Promotion.objects.create(
        **{
            "company": company or default_company(),
            "name": f"Promotion {next_number()}",
            "kind": Promotion.Kind.PERCENTAGE,
            "value": Decimal(10),
            "is_automatic": not codes,
            **fields,
        }
    )
    for code in codes:
        Coupon.objects.create(company=promotion.company, promotion=promotion, code=code)
    pricing.forget()
    return promotion


def make_tax_rate(rate: str = "0.19", *, company: Company | None = None, **fields: Any) -> TaxRate:
    made = TaxRate.objects.create(
        **{
            "company": company or default_company(),
            "name": "VAT",
            "type": TaxRate.Type.VAT,
            "country": "DE",
            "rate": Decimal(rate),
            **fields,
        }
    )
    pricing.forget()
    return made


def make_shipping_rule(
    base_price: str = "4.90",
    *,
    countries: Sequence[str] = ("DE", "US"),
    company: Company | None = None,
    **fields: Any,
) -> ShippingRule:
    """Return a flat rate called `standard`, in a zone of its own unless `zone` is given."""
    zone = fields.pop("zone", None) or ShippingZone.objects.create(
        company=company or default_company(),
        name=f"Zone {next_number()}",
        countries=list(countries),
    )
    rule = ShippingRule.objects.create(
        **{
            "zone": zone,
            "code": "standard",
            "name": "Standard",
            "currency": "USD",
            "base_price": Decimal(base_price),
            **fields,
        }
    )
    pricing.forget()
    return rule
