"""What may be done with carts: `from cart import services as carts`."""

from cart.services.bulk import BulkResult, RowResult, add_lines, change_lines, remove_lines
from cart.services.bundles import add_bundle, remove_bundle
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
from cart.services.knobs import set_policy, toggle
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
from cart.services.recovery import (
    RecoveryPreview,
    Restored,
    dismiss,
    preview_recovery,
    request_recovery,
    restore,
    send_due_recoveries,
    send_recovery,
)
from cart.services.sweeps import delete_old, expire_due, mark_abandoned, move_abandoned_to_next
from cart.services.sync import Operation, OperationResult, Synced, sync

__all__ = [
    "Brought",
    "BulkResult",
    "Merged",
    "NewItem",
    "Opened",
    "Operation",
    "OperationResult",
    "RecoveryPreview",
    "Restored",
    "RowResult",
    "Synced",
    "add_bundle",
    "add_line",
    "add_lines",
    "apply_code",
    "basket",
    "change_line",
    "change_lines",
    "clear",
    "convert",
    "create",
    "delete_old",
    "dismiss",
    "duplicate_line",
    "ensure",
    "expire_due",
    "hold",
    "lock",
    "mark_abandoned",
    "merge",
    "merge_at_sign_in",
    "move_abandoned_to_next",
    "move_line",
    "policy",
    "preview_merge",
    "preview_recovery",
    "re_add",
    "release_hold",
    "remove_bundle",
    "remove_code",
    "remove_line",
    "remove_lines",
    "reopen",
    "request_recovery",
    "restore",
    "restore_version",
    "send_due_recoveries",
    "send_recovery",
    "set_destination",
    "set_email",
    "set_policy",
    "sync",
    "toggle",
    "touch",
    "undo_merge",
    "update",
]
