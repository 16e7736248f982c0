"""Prices and the rules of prices for staff."""

from pricing.admin import (
    batches,
    exchange,
    loyalty,
    prices,
    products,
    promotions,
    shipping,
    taxes,
)

__all__ = [
    "batches",
    "exchange",
    "loyalty",
    "prices",
    "products",
    "promotions",
    "shipping",
    "taxes",
]
