"""Prices and the rules of prices for staff."""

from pricing.admin import prices, products, promotions, shipping, taxes

__all__ = ["prices", "products", "promotions", "shipping", "taxes"]
