"""What is kept aside for a cart, and until when."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.api.rendering import render_hold_status
from config.platform.http import actor_of


class HoldView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Hold every active line, all or none, anew or for longer within its cap."""
        given = serializers.Nothing.read(request)
        services.require_holds()
        return Response(render_hold_status(services.hold(**self.common(given))))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Let go of everything the cart holds."""
        given = serializers.Nothing.read(request)
        services.require_holds()
        return Response(render_hold_status(services.release_hold(**self.common(given))))


class HoldStatusView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Say what is held, and for how long."""
        view = selectors.view(actor=actor_of(request), now=timezone.now(), cart_id=self.cart_id)
        return Response(render_hold_status(view))
