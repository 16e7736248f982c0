"""Prices and the rules of prices for staff."""

from pricing.admin import loyalty, prices, products, promotions, shipping, taxes

__all__ = ["loyalty", "prices", "products", "promotions", "shipping", "taxes"]
