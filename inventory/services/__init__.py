"""What may be done to the catalogue and to stock: `from inventory import services as inventory`."""

from __future__ import annotations

from inventory.selectors import Hold
from inventory.services.holds import (
    Demand,
    HoldLimits,
    Shortage,
    assign,
    confirm,
    extend,
    move_holds,
    reacquire,
    release,
    release_all,
    release_cart,
    release_expired,
    release_hold,
    release_order,
    reserve,
    restock,
)

__all__ = [
    "Demand",
    "Hold",
    "HoldLimits",
    "Shortage",
    "assign",
    "confirm",
    "extend",
    "move_holds",
    "reacquire",
    "release",
    "release_all",
    "release_cart",
    "release_expired",
    "release_hold",
    "release_order",
    "reserve",
    "restock",
]
