"""The catalogue and the shelves, for staff."""

from inventory.admin import catalogue, company, outside, stock

__all__ = ["catalogue", "company", "outside", "stock"]
