"""The past: earlier states of a cart, and earlier carts."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.errors import CartNotFound
from cart.models import Cart, CartEvent
from cart.rendering import moment
from config.platform.http import actor_of, page
from config.platform.ids import named_id
from pricing.money import format_amount


class HistoryView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """List what happened to the cart, newest first."""
        events = self.read(selectors.history)
        return Response(page(events, request, order=("-version", "-id"), render=_event))


def _event(event: CartEvent) -> dict[str, Any]:
    return {
        "version": event.version,
        "event": event.event,
        "actor": event.actor,
        "at": moment(event.at),
        "summary": event.summary,
        "changes": event.changes,
    }


class RestoreVersionView(CartApiView):
    def post(self, request: Request, version: str, cart_id: str = "") -> Response:
        """Bring the lines back to what they were at a version, at today's prices and stock."""
        given = serializers.Nothing.read(request)
        if not (version.isascii() and version.isdigit() and len(version) <= 9):
            raise CartNotFound("The cart never had this version.")
        brought = services.restore_version(**self.common(given), version=int(version))
        return self.answer(brought.view, report=brought.report)


class PastCartsView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """List the carts that were bought or are over, newest first."""
        carts = selectors.past(actor=actor_of(request)).prefetch_related(
            "lines__variant", "lines__product"
        )
        return Response(page(carts, request, order=("-id",), render=_past))


def _past(cart: Cart) -> dict[str, Any]:
    return {
        "id": str(cart.id),
        "status": cart.status,
        "currency": cart.currency,
        "itemCount": cart.item_count,
        "grandTotal": format_amount(cart.grand_total, cart.currency),
        "orderId": str(cart.order_id) if cart.order_id else None,
        "createdAt": moment(cart.created_at),
        "convertedAt": moment(cart.converted_at),
        "items": [
            {
                "sku": line.variant.sku,
                "name": line.product.name,
                "options": line.variant.options,
                "quantity": line.quantity,
                "priceWhenAdded": format_amount(line.price_when_added, cart.currency),
            }
            for line in cart.lines.all()
            if line.list == "active"
        ],
    }


class ReAddView(CartApiView):
    limits = {"post": "bulk"}

    def post(self, request: Request, cart_id: str) -> Response:
        """Put what was in a past cart into the cart, at today's prices."""
        serializers.Nothing.read(request)
        past_id = named_id(cart_id, CartNotFound)
        brought = services.re_add(actor=actor_of(request), cart_id=past_id, now=timezone.now())
        return self.answer(brought.view, report=brought.report)
