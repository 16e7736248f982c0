"""The checkout's pages: one page of short parts, then the payment; and the customer's address book."""

from __future__ import annotations

from checkout.views.addresses import address, addresses
from checkout.views.again import edit_unpaid, reorder
from checkout.views.express import express_paypal, express_paypal_back
from checkout.views.page import accept, checkout, part
from checkout.views.payment import cancel, complete, pay, pay_order, payment, simulate

__all__ = [
    "accept",
    "address",
    "addresses",
    "cancel",
    "checkout",
    "complete",
    "edit_unpaid",
    "express_paypal",
    "express_paypal_back",
    "part",
    "pay",
    "pay_order",
    "payment",
    "reorder",
    "simulate",
]
