"""Buying from the cart with a wallet. What is not offered here says so; the standard checkout always is."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import flags
from config.platform.errors import FeatureDisabled
from config.platform.http.authentication import Anyone
from config.platform.http.views import ApiViewSet


class ExpressViewSet(ApiViewSet):
    """One address for each wallet (EXP-01…03). Switch first: who is switched off need not sign in to learn it."""

    permission_classes = [Anyone]
    limits = {
        "apple_pay_session": "checkout",
        "google_pay_session": "checkout",
        "paypal_create_order": "checkout",
        "paypal_capture": "payment",
    }

    def apple_pay_session(self, request: Request) -> Response:
        """Return the merchant session that the customer's device asks for."""
        raise _off("apple-pay")

    def google_pay_session(self, request: Request) -> Response:
        """Return what Google Pay's sheet is opened with."""
        raise _off("google-pay")

    def paypal_create_order(self, request: Request) -> Response:
        """Begin to buy the caller's cart with PayPal."""
        raise _off("paypal")

    def paypal_capture(self, request: Request) -> Response:
        """Place and pay the order that the customer has approved at PayPal."""
        raise _off("paypal")


def _off(wallet: str) -> FeatureDisabled:
    """Return the refusal of a wallet without credentials, or of all of them while the switch is off."""
    is_on = flags.is_enabled("EXPRESS_CHECKOUT_ENABLED")
    return FeatureDisabled(extra={"feature": wallet if is_on else "EXPRESS_CHECKOUT_ENABLED"})
