"""The catalogue and the shelves, for staff."""

from inventory.admin import catalogue, company, files, outside, stock, waiting

__all__ = ["catalogue", "company", "files", "outside", "stock", "waiting"]
