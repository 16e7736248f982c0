"""What the checkout and payment endpoints read. Rules beyond shape live in the services."""

from __future__ import annotations

from rest_framework import serializers

from checkout.services import Delivery, Outcome
from config.platform.http.inputs import Input
from pricing.api.serializers import CurrencyField


class Text(serializers.CharField):
    """A text whose ends are looked at before they are trimmed: a line break there is refused, not dropped."""

    def __init__(self, **options):
        super().__init__(trim_whitespace=False, allow_blank=True, **options)


class Initialize(Input):
    email = Text(required=False, allow_null=True, default="", max_length=400)

    def validate_email(self, value: str | None) -> str:
        return value or ""


class Update(Input):
    email = Text(required=False, allow_null=True, max_length=400)
    shipping_address = serializers.DictField(required=False, allow_null=True)
    billing_address = serializers.DictField(required=False, allow_null=True)
    shipping_address_id = serializers.UUIDField(required=False)
    billing_address_id = serializers.UUIDField(required=False)
    shipping_option = Text(required=False, allow_null=True, max_length=100)
    notes = Text(required=False, allow_null=True, max_length=2000)


class Pay(Input):
    method = serializers.CharField(max_length=20)
    quote_id = serializers.CharField(max_length=64)


class Complete(Input):
    quote_id = serializers.CharField(max_length=64, required=False, default="")


class Nothing(Input):
    """An empty body, or none."""


class Intent(Input):
    order_id = serializers.CharField(max_length=50)
    amount = serializers.CharField(max_length=20)
    currency = CurrencyField(help_text="ISO 4217; the order's.")
    method = serializers.CharField(max_length=20)


class Capture(Input):
    payment_id = serializers.UUIDField()
    amount = serializers.CharField(max_length=20, required=False)


class RefundInput(Input):
    payment_id = serializers.UUIDField()
    amount = serializers.CharField(max_length=20, required=False)
    reason = serializers.CharField(max_length=200)


class AddPayment(Input):
    method = serializers.CharField(max_length=20)


class Units(Input):
    item_id = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=1)


class RefundItems(Input):
    items = Units(many=True, required=False, default=list, max_length=200)
    shipping = serializers.CharField(required=False, max_length=20)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")

    def validate(self, attrs: dict) -> dict:
        if not attrs["items"] and "shipping" not in attrs:
            raise serializers.ValidationError({"items": ["Say what is refunded."]}, code="required")
        return attrs


class Simulate(Input):
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    delivery = serializers.ChoiceField(
        choices=[delivery.value for delivery in Delivery],
        required=False,
        default=Delivery.NORMAL.value,
    )
