"""The parcels of an order."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http.authentication import Staff
from config.platform.http.context import actor_of
from config.platform.http.links import KnownOrLinked, LinkQuery, link_of
from config.platform.http.paging import page
from config.platform.http.views import ApiViewSet
from orders import selectors, services
from orders.api import serializers
from orders.rendering import render_shipment
from orders.services import Units


class ShipmentViewSet(ApiViewSet):
    """What went out of an order: its customer may look, staff send and correct."""

    rights = dict.fromkeys(("create", "update", "deliver"), "orders.change_order")

    def get_permissions(self):
        return [KnownOrLinked()] if self.action == "list" else [Staff()]

    @extend_schema(parameters=[LinkQuery])
    def list(self, request: Request, reference: str) -> Response:
        """List the shipments of an order, oldest first; `?token=` from its mail opens them too."""
        order = selectors.find(actor=actor_of(request), reference=reference, token=link_of(request))
        return Response(page(list(order.shipments.all()), request, render=render_shipment))

    def create(self, request: Request, reference: str) -> Response:
        """Send units of an order, or all that is left of it."""
        body = serializers.ShipInput.read(request)
        items = body.pop("items", None)
        shipment = services.ship(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            units=None
            if items is None
            else [Units(item["item_id"], item["quantity"]) for item in items],
            now=timezone.now(),
            **body,
        )
        return Response(render_shipment(shipment), status=201)

    def update(self, request: Request, reference: str, shipment_id) -> Response:
        """Correct who carries a shipment and how it is followed."""
        body = serializers.TrackingInput.read(request)
        shipment = services.change_shipment(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            shipment_id=shipment_id,
            reason=body.pop("reason"),
            changes=body,
            now=timezone.now(),
        )
        return Response(render_shipment(shipment))

    def deliver(self, request: Request, reference: str, shipment_id) -> Response:
        """Note that a parcel has arrived; with the last one the order has."""
        body = serializers.Reason.read(request)
        shipment = services.deliver_shipment(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            shipment_id=shipment_id,
            reason=body["reason"],
            now=timezone.now(),
        )
        return Response(render_shipment(shipment))

    def _id(self, request: Request, reference: str):
        return selectors.find_id(actor=actor_of(request), reference=reference)
