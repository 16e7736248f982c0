"""The verbs of checkout and payment."""

from __future__ import annotations

from checkout.services.addressbook import add_address, change_address, remove_address
from checkout.services.cancelling import cancel, cancel_due_drafts, close_of_order
from checkout.services.comparing import Comparison, compare_books
from checkout.services.editing import edit_in_cart
from checkout.services.express import (
    Begun,
    begin_apple_pay,
    begin_google_pay,
    begin_paypal,
    capture_paypal,
    take_approval,
)
from checkout.services.fixing import Step, fix, steps_for
from checkout.services.inbox import (
    LIMIT_BYTES,
    check_webhook,
    drain_inbox,
    note_forgery,
    process_webhook,
    prune,
    receive_webhook,
    reprocess_webhook,
    store_webhook,
)
from checkout.services.outside import find_request, pay_back_outside
from checkout.services.payments import (
    capture,
    complete,
    confirm_free,
    open_intent,
    pay,
    start_payment,
)
from checkout.services.placing import place
from checkout.services.reconciling import (
    explain,
    find_finding,
    prune_runs,
    request_nightly,
    request_run,
    work_runs,
)
from checkout.services.recording import record
from checkout.services.refunding import (
    execute_refund,
    execute_refunds,
    refund_payment,
    refund_units,
    refundable,
)
from checkout.services.reordering import reorder
from checkout.services.sessions import (
    calculate,
    choose_delivery,
    expire_due,
    initialize,
    update,
    validate,
)
from checkout.services.settling import reconcile, settle
from checkout.services.simulation import (
    BUTTONS,
    Delivery,
    Outcome,
    rehearse,
    rehearsed_at,
    simulate,
)

__all__ = [
    "BUTTONS",
    "LIMIT_BYTES",
    "Begun",
    "Comparison",
    "Delivery",
    "Outcome",
    "Step",
    "add_address",
    "begin_apple_pay",
    "begin_google_pay",
    "begin_paypal",
    "calculate",
    "cancel",
    "cancel_due_drafts",
    "capture",
    "capture_paypal",
    "change_address",
    "check_webhook",
    "choose_delivery",
    "close_of_order",
    "compare_books",
    "complete",
    "confirm_free",
    "drain_inbox",
    "edit_in_cart",
    "execute_refund",
    "execute_refunds",
    "expire_due",
    "explain",
    "find_finding",
    "find_request",
    "fix",
    "initialize",
    "note_forgery",
    "open_intent",
    "pay",
    "pay_back_outside",
    "place",
    "process_webhook",
    "prune",
    "prune_runs",
    "receive_webhook",
    "reconcile",
    "record",
    "refund_payment",
    "refund_units",
    "refundable",
    "rehearse",
    "rehearsed_at",
    "remove_address",
    "reorder",
    "reprocess_webhook",
    "request_nightly",
    "request_run",
    "settle",
    "simulate",
    "start_payment",
    "steps_for",
    "store_webhook",
    "take_approval",
    "update",
    "validate",
    "work_runs",
]
