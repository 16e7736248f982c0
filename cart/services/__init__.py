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
from cart.services.codes import apply_code, remove_code
from cart.services.history import Brought, re_add, reopen, restore_version
from cart.services.holds import hold, release_hold
from cart.services.lines import (
    NewItem,
    add_line,
    change_line,
    clear,
    duplicate_line,
    move_line,
    remove_line,
)
from cart.services.merge import Merged, merge, merge_at_sign_in, preview_merge, undo_merge

__all__ = [
    "Brought",
    "Merged",
    "NewItem",
    "Opened",
    "add_line",
    "apply_code",
    "basket",
    "change_line",
    "clear",
    "convert",
    "create",
    "duplicate_line",
    "ensure",
    "hold",
    "lock",
    "merge",
    "merge_at_sign_in",
    "move_line",
    "policy",
    "preview_merge",
    "re_add",
    "release_hold",
    "remove_code",
    "remove_line",
    "reopen",
    "restore_version",
    "set_destination",
    "set_email",
    "touch",
    "undo_merge",
    "update",
]
