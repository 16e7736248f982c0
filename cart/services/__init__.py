"""What may be done with carts: `from cart import services as carts`."""

from cart.services.carts import (
    Opened,
    basket,
    convert,
    create,
    ensure,
    lock,
    policy,
    set_destination,
    set_email,
    touch,
    update,
)
from cart.services.lines import (
    NewItem,
    add_line,
    change_line,
    clear,
    duplicate_line,
    move_line,
    remove_line,
)

__all__ = [
    "NewItem",
    "Opened",
    "add_line",
    "basket",
    "change_line",
    "clear",
    "convert",
    "create",
    "duplicate_line",
    "ensure",
    "lock",
    "move_line",
    "policy",
    "remove_line",
    "set_destination",
    "set_email",
    "touch",
    "update",
]
