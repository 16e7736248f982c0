"""The catalogue and the shelves, for staff."""

from inventory.admin import catalogue, company, stock

__all__ = ["catalogue", "company", "stock"]
