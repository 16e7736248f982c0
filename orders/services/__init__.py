"""The verbs of orders."""

from __future__ import annotations

from orders.services.cancelling import SOLD, cancel, cancel_items, fail
from orders.services.direct import DirectItem, place_direct
from orders.services.disputes import decide_dispute, dispute_price
from orders.services.editing import (
    Edit,
    Edited,
    Proposal,
    apply_edit,
    end_additions,
    preview_edit,
    ways_to_ship,
    what_is_left,
)
from orders.services.exchanging import (
    Estimate,
    Offer,
    Wanted,
    check_payable,
    estimate,
    is_exchangeable,
    offers,
)
from orders.services.invoicing import complete_papers, write_invoices
from orders.services.parcels import (
    MOST_PARCELS,
    Parcel,
    ParcelLine,
    plan_parcels,
    read_parcels,
    ship_parcels,
)
from orders.services.placing import (
    DraftLine,
    OrderDraft,
    access_token,
    confirm,
    confirm_locked,
    demands,
    place,
)
from orders.services.points import settle_points
from orders.services.refunds import refund_units, request_refund, return_payment
from orders.services.repaying import (
    fail_refund,
    record_refund,
    reopen_refund,
    retry_refund,
    settle_moved,
)
from orders.services.returns import (
    Came,
    WantedReturn,
    approve_return,
    close_return,
    note_return,
    receive_return,
    reject_return,
    request_return,
    withdraw_return,
)
from orders.services.reviewing import hold_back, review
from orders.services.shares import PAID, Units, refundable, would_bring
from orders.services.shipping import change_shipment, deliver_shipment, ship
from orders.services.status import (
    change_address,
    check_billable_elsewhere,
    check_sendable_elsewhere,
    deliver,
    edit,
    flag,
    lock,
    note_payment,
    process,
    set_payment_status,
)
from orders.services.steps import set_status
from orders.services.together import count_co_purchases

__all__ = [
    "MOST_PARCELS",
    "PAID",
    "SOLD",
    "Came",
    "DirectItem",
    "DraftLine",
    "Edit",
    "Edited",
    "Estimate",
    "Offer",
    "OrderDraft",
    "Parcel",
    "ParcelLine",
    "Proposal",
    "Units",
    "Wanted",
    "WantedReturn",
    "access_token",
    "apply_edit",
    "approve_return",
    "cancel",
    "cancel_items",
    "change_address",
    "change_shipment",
    "check_billable_elsewhere",
    "check_payable",
    "check_sendable_elsewhere",
    "close_return",
    "complete_papers",
    "confirm",
    "confirm_locked",
    "count_co_purchases",
    "decide_dispute",
    "deliver",
    "deliver_shipment",
    "demands",
    "dispute_price",
    "edit",
    "end_additions",
    "estimate",
    "fail",
    "fail_refund",
    "flag",
    "hold_back",
    "is_exchangeable",
    "lock",
    "note_payment",
    "note_return",
    "offers",
    "place",
    "place_direct",
    "plan_parcels",
    "preview_edit",
    "process",
    "read_parcels",
    "receive_return",
    "record_refund",
    "refund_units",
    "refundable",
    "reject_return",
    "reopen_refund",
    "request_refund",
    "request_return",
    "retry_refund",
    "return_payment",
    "review",
    "set_payment_status",
    "set_status",
    "settle_moved",
    "settle_points",
    "ship",
    "ship_parcels",
    "ways_to_ship",
    "what_is_left",
    "withdraw_return",
    "would_bring",
    "write_invoices",
]
