"""
A stand-in for Stripe's servers: speaks its HTTP interface on loopback, keeps books of its own, signs and sends webhooks.

Stripe's client libraries run against it unchanged. It is as strict as Stripe where money depends on it: keys of
idempotency with saved answers (errors too), ceilings of captures and refunds, states of an intent, unknown parameters.
`python -m tests.stripe --port 12111` runs it by itself.
"""

from __future__ import annotations

from tests.stripe.books import Books
from tests.stripe.server import Fault, StripeServer

__all__ = ["Books", "Fault", "StripeServer"]
