"""What the order endpoints read. Rules beyond shape live in the services."""

from __future__ import annotations

from rest_framework import serializers

from config.platform.http.inputs import Input
from orders.models import Order
from pricing.api.serializers import CurrencyField

SORTS = {
    "newest": ("-placed_at", "-id"),
    "oldest": ("placed_at", "id"),
    "total": ("grand_total", "id"),
    "-total": ("-grand_total", "-id"),
}


class ListQuery(Input):
    status = serializers.CharField(required=False, max_length=120)
    placed_from = serializers.DateField(required=False)
    placed_to = serializers.DateField(required=False)

    def validate_status(self, value: str) -> list[str]:
        statuses = [status.strip().lower() for status in value.split(",")]
        if any(status not in Order.Status.values for status in statuses):
            raise serializers.ValidationError("There is no such status.", code="invalid_choice")
        return statuses


class SortedQuery(ListQuery):
    sort = serializers.ChoiceField(
        list(SORTS), default="newest", help_text="Totals are compared whatever their currency."
    )


class Lookup(Input):
    number = serializers.CharField(max_length=50)
    email = serializers.CharField(max_length=254)


class Reason(Input):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class UnitsInput(Input):
    item_id = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=1)


class CancelItems(Reason):
    items = UnitsInput(many=True, allow_empty=False, max_length=200)


class ExchangeInput(Input):
    """A variant by its SKU or its id."""

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)

    def validate(self, attrs: dict) -> dict:
        if len(attrs) != 1:
            raise serializers.ValidationError(
                "Name the variant by sku or by variantId.", code="required"
            )
        return attrs


class ReturnUnits(UnitsInput):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")
    exchange_for = ExchangeInput(required=False, allow_null=True, default=None)


class ReturnInput(Input):
    items = ReturnUnits(many=True, allow_empty=False, max_length=200)
    notes = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class RejectReturn(Input):
    notes = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class CameUnits(Input):
    item_id = serializers.UUIDField()
    received = serializers.IntegerField(min_value=0)
    damaged = serializers.IntegerField(min_value=0, required=False, default=0)


class ReceiveReturn(Input):
    items = CameUnits(many=True, required=False, allow_empty=False, max_length=200)
    refund_missing = serializers.BooleanField(required=False, default=False)
    damaged = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=200
    )

    def validate_items(self, value: list[dict]) -> list[dict]:
        if len({item["item_id"] for item in value}) < len(value):
            raise serializers.ValidationError("Name each line once.", code="duplicate")
        return value


class StatusInput(Reason):
    status = serializers.ChoiceField(choices=Order.Status.choices)


class ShipInput(Reason):
    items = UnitsInput(many=True, required=False, allow_empty=False, max_length=200)
    carrier = serializers.CharField(required=False, allow_blank=True, max_length=100, default="")
    tracking_number = serializers.CharField(
        required=False, allow_blank=True, max_length=100, default=""
    )
    tracking_url = serializers.CharField(
        required=False, allow_blank=True, max_length=500, default=""
    )


class TrackingInput(Reason):
    carrier = serializers.CharField(required=False, allow_blank=True, max_length=100)
    tracking_number = serializers.CharField(required=False, allow_blank=True, max_length=100)
    tracking_url = serializers.CharField(required=False, allow_blank=True, max_length=500)


class DirectItemInput(Input):
    ignored = frozenset({"price", "unit_price", "total", "discount", "currency"})
    sku = serializers.CharField(max_length=255)
    quantity = serializers.IntegerField(min_value=1, max_value=100)


class DirectOrder(Input):
    items = DirectItemInput(many=True, allow_empty=False, max_length=200)
    email = serializers.CharField(max_length=254, required=False, default="", trim_whitespace=False)
    shipping_address = serializers.DictField()
    shipping_option = serializers.CharField(required=False, max_length=40, default="")
    currency = CurrencyField(required=False, default="")
    notes = serializers.CharField(required=False, allow_blank=True, max_length=1000, default="")


class AddressChange(Reason):
    shipping_address = serializers.DictField(required=False)
    billing_address = serializers.DictField(required=False)

    def validate(self, attrs: dict) -> dict:
        if "shipping_address" not in attrs and "billing_address" not in attrs:
            raise serializers.ValidationError(
                {"shipping_address": ["Say which address is to change."]}, code="required"
            )
        return attrs


class ReviewInput(Reason):
    decision = serializers.ChoiceField(choices=["approve", "reject"])


class EditInput(Reason):
    staff_notes = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    needs_attention = serializers.CharField(required=False, allow_blank=True, max_length=200)
