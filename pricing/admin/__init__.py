"""Prices and the rules of prices for staff."""

from pricing.admin import batches, loyalty, prices, products, promotions, shipping, taxes

__all__ = ["batches", "loyalty", "prices", "products", "promotions", "shipping", "taxes"]
