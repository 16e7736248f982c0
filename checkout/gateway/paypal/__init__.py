"""
PayPal's Orders: a customer approves an order over there, and then we take it.

Only we can take the money, so an order that we leave alone costs nobody anything; it lapses by itself. An order
is captured once, whatever the key.
"""

from checkout.gateway.paypal.gateway import SIGNATURE_HEADERS, Approval, PayPalGateway

__all__ = ["SIGNATURE_HEADERS", "Approval", "PayPalGateway"]
