"""Changing a placed order over HTTP: look first, then do exactly that."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http.authentication import Known
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.views import ApiViewSet
from orders import selectors, services
from orders.api.serializers import Reason
from orders.edits import render_edited, render_proposal
from orders.rendering import render_order
from orders.services import DirectItem, Edit


class WantedUnits(Input):
    item_id = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=0, max_value=10_000)


class AddedItem(Input):
    ignored = frozenset({"price", "unit_price", "total", "discount", "currency"})
    sku = serializers.CharField(max_length=255)
    quantity = serializers.IntegerField(min_value=1, max_value=100)


class EditInput(Input):
    items = WantedUnits(many=True, required=False, max_length=200)
    add = AddedItem(many=True, required=False, max_length=200)
    shipping_address = serializers.DictField(required=False)
    billing_address = serializers.DictField(required=False)
    shipping_option = serializers.CharField(required=False, max_length=40)
    waive_shipping = serializers.BooleanField(required=False, default=False)

    def validate_items(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({item["item_id"] for item in value}) < len(value):
            raise serializers.ValidationError("Name each line once.", code="duplicate")
        return value


class EditApplied(EditInput, Reason):
    quote_id = serializers.CharField(max_length=64)


class EditViewSet(ApiViewSet):
    """Edits of an order by its owner, or by staff."""

    permission_classes = [Known]
    limits = {"preview": "checkout", "apply": "checkout"}
    rights = dict.fromkeys(("preview", "apply"), "orders.change_order")

    def preview(self, request: Request, reference: str) -> Response:
        """Show what an edit would come to; nothing is written."""
        body = EditInput.read(request)
        actor = actor_of(request)
        proposal = services.preview_edit(
            actor=actor,
            order_id=selectors.find_id(actor=actor, reference=reference),
            edit=_edit(body),
            now=timezone.now(),
        )
        return Response(render_proposal(proposal))

    def apply(self, request: Request, reference: str) -> Response:
        """Do exactly what was shown under `quoteId`, or nothing."""
        body = EditApplied.read(request)
        actor = actor_of(request)
        edited = services.apply_edit(
            actor=actor,
            order_id=selectors.find_id(actor=actor, reference=reference),
            edit=_edit(body),
            quote_id=body["quote_id"],
            reason=body["reason"],
            now=timezone.now(),
        )
        current = selectors.find(actor=actor, reference=str(edited.proposal.order.id))
        return Response(
            {**render_edited(edited), "order": render_order(current, staff=actor.is_staff)}
        )


def _edit(body: dict[str, Any]) -> Edit:
    return Edit(
        quantities={item["item_id"]: item["quantity"] for item in body.get("items", ())},
        add=[DirectItem(item["sku"], item["quantity"]) for item in body.get("add", ())],
        shipping_address=body.get("shipping_address"),
        billing_address=body.get("billing_address"),
        shipping_option=body.get("shipping_option", ""),
        waive_shipping=body["waive_shipping"],
    )
