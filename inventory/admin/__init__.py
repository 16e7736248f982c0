"""The catalogue and the shelves, for staff."""

from inventory.admin import (
    catalogue,
    company,
    files,
    holds,
    levels,
    movements,
    outside,
    waiting,
    warehouses,
)

__all__ = [
    "catalogue",
    "company",
    "files",
    "holds",
    "levels",
    "movements",
    "outside",
    "waiting",
    "warehouses",
]
