"""What lowers a cart's price, and agreeing to a price that has moved."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from cart import services
from cart.api import serializers
from cart.api.base import CartApiView


class DiscountsView(CartApiView):
    limits = {"post": "apply_discount"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Put a code on the cart."""
        given = serializers.Code.read(request)
        return self.answer(services.apply_code(**self.common(given), **given))


class DiscountView(CartApiView):
    def delete(self, request: Request, code: str, cart_id: str = "") -> Response:
        """Take a code off the cart."""
        given = serializers.Nothing.read(request)
        return self.answer(services.remove_code(**self.common(given), code=code))


class AcceptPricesView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Accept the prices that moved since they were added, as they are now; `quoteId` is what was shown."""
        given = serializers.AcceptedPrices.read(request)
        return self.answer(services.accept_prices(**self.common(given), **given))


class PointsView(CartApiView):
    limits = {"post": "apply_discount"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Spend points on the goods; they are taken when the order is placed."""
        given = serializers.Points.read(request)
        return self.answer(services.apply_points(**self.common(given), **given))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Take the points off the cart."""
        given = serializers.Nothing.read(request)
        return self.answer(services.remove_points(**self.common(given)))
