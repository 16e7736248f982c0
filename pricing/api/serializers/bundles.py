"""Things sold together."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inventory.pictures import address
from pricing import selectors
from pricing.api.serializers.fields import ListOutput, amount_text
from pricing.money import format_amount


class BundleItemOutput(serializers.Serializer):
    variantId = serializers.UUIDField()
    productId = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    options = serializers.DictField(child=serializers.CharField())
    quantity = serializers.IntegerField()
    price = serializers.CharField(allow_null=True)


class BundleOutput(serializers.Serializer):
    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    imageUrl = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    price = serializers.CharField()
    partsPrice = serializers.CharField()
    items = BundleItemOutput(many=True)


class BundleListOutput(ListOutput):
    results = BundleOutput(many=True)


def bundle_json(view: selectors.BundleView) -> dict[str, Any]:
    return {
        "id": view.id,
        "slug": view.slug,
        "name": view.name,
        "description": view.description,
        "imageUrl": address(view.image) or None,
        "currency": view.currency,
        "price": format_amount(view.price, view.currency),
        "partsPrice": format_amount(view.parts_price, view.currency),
        "items": [
            {
                "variantId": item.variant_id,
                "productId": item.product_id,
                "sku": item.sku,
                "name": item.name,
                "options": item.options,
                "quantity": item.quantity,
                "price": amount_text(item.price, view.currency),
            }
            for item in view.items
        ],
    }
