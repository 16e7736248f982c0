"""
Payment providers behind one interface (`gateway.interface`): Stripe, PayPal, and the `test` provider of demos and tests.

Nothing here reads or writes our payments. Minor units live only here.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from checkout.gateway.interface import (
    AcceptingGateway,
    Gateway,
    MadeRefund,
    ProviderEvent,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    RemoteDispute,
    RemoteRefund,
    State,
    WarningGateway,
)
from checkout.gateway.paypal import PayPalGateway
from checkout.gateway.simulated import TestGateway
from checkout.gateway.stripe import StripeGateway

__all__ = [
    "AcceptingGateway",
    "Gateway",
    "MadeRefund",
    "Method",
    "PayPalGateway",
    "ProviderEvent",
    "ProviderGone",
    "ProviderRefused",
    "ProviderUnavailable",
    "Remote",
    "RemoteDispute",
    "RemoteRefund",
    "State",
    "StripeGateway",
    "TestGateway",
    "WarningGateway",
    "gateway_of",
    "methods",
]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay that customers can choose, and who carries it out."""

    id: str
    name: str
    provider: str


def methods() -> list[Method]:
    """Return the ways to pay that this installation offers."""
    offered = []
    if settings.STRIPE_SECRET_KEY:
        offered.append(Method("card", "Card", "stripe"))
    if settings.PAYPAL_CLIENT_ID:
        offered.append(Method("paypal", "PayPal", "paypal"))
    if settings.PAYMENT_TEST_PROVIDER:
        offered.append(Method("test", "Test payment", "test"))
    return offered


def gateway_of(provider: str) -> Gateway | None:
    """Return the gateway of a provider, or None if this installation does not have it."""
    if provider == "test" and settings.PAYMENT_TEST_PROVIDER:
        return TestGateway()
    if provider == "stripe" and settings.STRIPE_SECRET_KEY:
        return StripeGateway()
    if provider == "paypal" and settings.PAYPAL_CLIENT_ID:
        return PayPalGateway()
    return None
