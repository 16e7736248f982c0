"""
A stand-in for PayPal's servers: speaks its HTTP interface on loopback, keeps books of its own, signs and sends webhooks.

It is as strict as PayPal where money depends on it: request ids with saved answers, what an order may do in which state,
ceilings of captures and refunds, unknown fields. `python -m tests.paypal --port 12112` runs it by itself; its approval
page lets a customer agree or leave.
"""

from __future__ import annotations

from tests.paypal.books import Books, PayPalProblem
from tests.paypal.server import PayPalServer

__all__ = ["Books", "PayPalProblem", "PayPalServer"]
