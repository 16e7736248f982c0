"""Shipping and tax before the order: for the caller's checkout or cart, or for items that are named."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checkout.estimates import quote_for_checkout, quote_for_items
from config.platform import limits
from config.platform.errors import FieldError, ValidationFailed
from config.platform.http.authentication import Anyone
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.views import ApiView
from pricing.api.serializers import MOST_ITEMS, MOST_UNITS, ItemInput, wanted
from pricing.destinations import read_place
from pricing.engine import NO_SHIPPING_ZONE, Quote
from pricing.rendering import render_shipping, render_taxes


class Where(Input):
    """
    What to estimate and where. Without `items` it is the caller's checkout, else the cart.

    The country may then be missing too: it is the one of the checkout's address, or of the cart. `zipCode` is accepted
    for `postalCode`.
    """

    checkout_id = serializers.UUIDField(required=False)
    country = serializers.CharField(required=False, max_length=3, help_text="Two letters.")
    state = serializers.CharField(required=False, allow_blank=True, max_length=40, default="")
    postal_code = serializers.CharField(required=False, allow_blank=True, max_length=20, default="")
    zip_code = serializers.CharField(required=False, allow_blank=True, max_length=20, default="")
    currency = serializers.CharField(required=False, min_length=3, max_length=3)
    shipping_option = serializers.CharField(required=False, allow_null=True, max_length=40)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "country" not in attrs and (attrs["state"] or attrs["postal_code"] or attrs["zip_code"]):
            raise serializers.ValidationError(
                {"country": "A country code of two letters is needed."}, code="required"
            )
        if "items" in attrs and "checkout_id" in attrs:
            raise serializers.ValidationError(
                {"items": "Name items or a checkout, not both."}, code="invalid"
            )
        return attrs


class EstimateInput(Where):
    items = ItemInput(many=True, max_length=MOST_ITEMS, allow_empty=False, required=False)
    codes = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        max_length=limits.LIMITS["apply_discount"].count,
        help_text="Each counts like one that is applied.",
    )


class EstimateQuery(Where):
    """The items as `SKU:quantity`, divided by commas."""

    items = serializers.CharField(required=False, max_length=4_000)

    def validate_items(self, text: str) -> list[dict[str, Any]]:
        return items_of_query(text)


class OptionOutput(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    price = serializers.CharField()
    currency = serializers.CharField()
    minDays = serializers.IntegerField(help_text="Working days, at least.")
    maxDays = serializers.IntegerField(help_text="Working days, at most.")


class ShippingOutput(serializers.Serializer):
    options = OptionOutput(many=True)
    code = serializers.ChoiceField(choices=[NO_SHIPPING_ZONE], allow_null=True)


class TaxOutput(serializers.Serializer):
    name = serializers.CharField()
    type = serializers.CharField()
    rate = serializers.CharField()
    base = serializers.CharField()
    amount = serializers.CharField()
    included = serializers.BooleanField()


class TaxesOutput(serializers.Serializer):
    taxTotal = serializers.CharField()
    currency = serializers.CharField()
    rates = TaxOutput(many=True)


def items_of_query(text: str) -> list[dict[str, Any]]:
    """
    Return the items of `SKU:quantity,SKU:quantity`; a SKU alone is one unit.

    :raises ValidationFailed: if a quantity is no number from 1 to 100, or there are too many items
    """
    items = []
    for index, part in enumerate(filter(None, (part.strip() for part in text.split(",")))):
        sku, colon, count = part.rpartition(":")
        if not colon:
            sku, count = part, "1"
        if not (
            count.isascii()
            and count.isdigit()
            and len(count) <= 3
            and 1 <= int(count) <= MOST_UNITS
        ):
            raise ValidationFailed(
                errors=[FieldError(f"items.{index}", "invalid", "Such as SKU:2, up to 100 units.")]
            )
        items.append({"sku": sku, "quantity": int(count)})
    if not 1 <= len(items) <= MOST_ITEMS:
        raise ValidationFailed(errors=[FieldError("items", "invalid", "From 1 to 100 items.")])
    return items


def _quote(request: Request, given: dict[str, Any]) -> Quote:
    place = (
        read_place(
            country=given["country"],
            state=given["state"],
            postal_code=given["postal_code"] or given["zip_code"],
        )
        if "country" in given
        else None
    )
    actor, codes = actor_of(request), given.get("codes", ())
    for _ in codes:  # the amounts tell which codes there are
        limits.count(actor=actor, scopes=["apply_discount"])
    asked: dict[str, Any] = {
        "actor": actor,
        "place": place,
        "option": given.get("shipping_option"),
        "now": timezone.now(),
    }
    if "items" not in given:
        return quote_for_checkout(checkout_id=given.get("checkout_id"), **asked)
    return quote_for_items(
        items=wanted(given["items"]),
        currency=given.get("currency"),
        codes=codes,
        **asked,
    )


class Question(ApiView):
    """A question that changes nothing, open to everybody."""

    permission_classes = [Anyone]


@extend_schema(tags=["checkout"])
class TaxCalculateView(Question):
    @extend_schema(request=EstimateInput, responses=TaxesOutput)
    def post(self, request: Request) -> Response:
        """Return the taxes on the caller's checkout, on the cart, or on these items, each rate with its base."""
        return Response(render_taxes(_quote(request, EstimateInput.read(request))))


@extend_schema(tags=["checkout"])
class ShippingCalculateView(Question):
    @extend_schema(request=EstimateInput, responses=ShippingOutput)
    def post(self, request: Request) -> Response:
        """Return the ways to ship the caller's checkout, the cart, or these items, cheapest first."""
        return Response(render_shipping(_quote(request, EstimateInput.read(request))))


@extend_schema(tags=["checkout"])
class ShippingOptionsView(Question):
    @extend_schema(parameters=[EstimateQuery], responses=ShippingOutput)
    def get(self, request: Request) -> Response:
        """Return the ways to ship the caller's checkout, the cart, or the items in the query, cheapest first."""
        return Response(render_shipping(_quote(request, EstimateQuery.read_query(request))))

    @extend_schema(request=EstimateInput, responses=ShippingOutput)
    def post(self, request: Request) -> Response:
        """The same with the items in the body."""
        return Response(render_shipping(_quote(request, EstimateInput.read(request))))
