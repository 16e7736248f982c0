"""What the cart reads from the wire, strictly; what it writes stands in `cart.rendering`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cart.rendering import render_cart
from cart.services.bulk import MOST_ROWS
from cart.services.sync import MOST_OPERATIONS
from cart.services.texts import CUSTOMIZATION_BYTES, METADATA_BYTES, NOTE_LENGTH
from config.platform.http import Input, JsonObject

__all__ = ["render_cart"]

LISTS = ["active", "next", "saved"]
# Prices are ours to say: a client that sends one is told that it was ignored, and served.
PRICES = frozenset({"price", "unit_price", "total", "discount", "currency"})


class Versioned(Input):
    """Every write may say which version of the cart it has seen."""

    version = serializers.IntegerField(required=False, min_value=0)


class Create(Input):
    currency = serializers.CharField(required=False, min_length=3, max_length=3, allow_null=True)
    metadata = JsonObject(required=False, max_bytes=METADATA_BYTES)


class Destination(Input):
    """Where it goes; `zipCode` is accepted for `postalCode`."""

    country = serializers.CharField(max_length=3)
    state = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=40)
    postal_code = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=20
    )
    zip_code = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=20
    )

    def to_internal_value(self, data: Any) -> dict[str, str]:
        return _destination(super().to_internal_value(data))


def _destination(given: dict[str, Any]) -> dict[str, str]:
    return {
        "country": given["country"],
        "state": given.get("state") or "",
        "postalCode": given.get("postal_code") or given.get("zip_code") or "",
    }


class TaxEstimate(Destination):
    """The way it would be shipped may be named: where shipping is taxed, the tax depends on it."""

    shipping_option = serializers.CharField(required=False, allow_null=True, max_length=40)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        given = Input.to_internal_value(self, data)
        return {**_destination(given), "shippingOption": given.get("shipping_option") or ""}


class RatesQuery(Destination):
    """Without a country it is where the cart goes, as far as that is known."""

    country = serializers.CharField(required=False, default="", max_length=3)


class Update(Versioned):
    metadata = JsonObject(required=False, max_bytes=METADATA_BYTES)
    email = serializers.CharField(required=False, allow_blank=True, max_length=254)
    destination = Destination(required=False)
    currency = serializers.CharField(required=False, min_length=3, max_length=3)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() - {"version"}:
            raise serializers.ValidationError(
                {"metadata": ["Say what to change."]}, code="required"
            )
        return attrs


class Item(Input):
    ignored = PRICES

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=100)
    list = serializers.ChoiceField(choices=LISTS, default="active")
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=NOTE_LENGTH, trim_whitespace=False
    )
    customization = JsonObject(required=False, max_bytes=CUSTOMIZATION_BYTES)
    metadata = JsonObject(required=False, max_bytes=METADATA_BYTES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"sku", "variant_id", "product_id"}:
            raise serializers.ValidationError(
                {"sku": ["Say what to add: sku, variantId or productId."]}, code="required"
            )
        return attrs


class AddItem(Item, Versioned):
    pass


class ChangeItem(Versioned):
    ignored = PRICES

    quantity = serializers.IntegerField(required=False, min_value=1, max_value=100)
    list = serializers.ChoiceField(choices=LISTS, required=False)
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=NOTE_LENGTH, trim_whitespace=False
    )
    customization = JsonObject(required=False, max_bytes=CUSTOMIZATION_BYTES)
    metadata = JsonObject(required=False, max_bytes=METADATA_BYTES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() - {"version"} and not self.dropped:
            raise serializers.ValidationError(
                {"quantity": ["Say what to change."]}, code="required"
            )
        return attrs


class BulkAdd(Versioned):
    items = serializers.ListField(child=Item(), min_length=1, max_length=MOST_ROWS)
    atomic = serializers.BooleanField(default=False)

    def dropped_prices(self) -> list[str]:
        return sorted(set(self.fields["items"].child.dropped))


class Quantity(Input):
    ignored = PRICES

    item_id = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=1, max_value=100)


class BulkChange(Versioned):
    items = serializers.ListField(child=Quantity(), min_length=1, max_length=MOST_ROWS)
    atomic = serializers.BooleanField(default=False)


class BulkRemove(Versioned):
    item_ids = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_ROWS
    )
    atomic = serializers.BooleanField(default=False)


class AddBundle(Versioned):
    ignored = PRICES

    bundle_id = serializers.UUIDField()
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=100)


class Code(Versioned):
    # however long: what is no code is told as that
    code = serializers.CharField(trim_whitespace=False, allow_blank=True)


class Points(Versioned):
    points = serializers.IntegerField(min_value=1, max_value=1_000_000_000)


class AcceptedPrices(Versioned):
    quote_id = serializers.CharField(max_length=64, required=False)


class GuestToken(Versioned):
    session_token = serializers.RegexField(r"\A[0-9a-fA-F]{64}\Z", required=False)


class Email(Input):
    email = serializers.EmailField(max_length=254)


class SyncOperation(Input):
    ignored = PRICES

    id = serializers.CharField(max_length=64)
    op = serializers.CharField(max_length=20)
    sku = serializers.CharField(required=False, max_length=255)
    item_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(required=False, min_value=1, max_value=100)
    list = serializers.ChoiceField(choices=LISTS, required=False)
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=NOTE_LENGTH, trim_whitespace=False
    )
    code = serializers.CharField(required=False, max_length=200)


class Sync(Input):
    base_version = serializers.IntegerField(min_value=0)
    operations = serializers.ListField(child=SyncOperation(), max_length=MOST_OPERATIONS)


class Nothing(Versioned):
    """A call that needs no body; a version may stand in it."""
