"""What would this cost, and can it be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework import serializers

from config.platform.http import Input
from inventory.selectors import VariantRef
from pricing import selectors
from pricing.api.serializers.fields import (
    MOST_ITEMS,
    MOST_UNITS,
    CurrencyField,
    amount_text,
    moment_text,
)
from pricing.api.serializers.promotions import AdvertisedOutput, advertised_json
from pricing.engine import Quote
from pricing.ladder import Ladder
from pricing.models import Promotion
from pricing.money import format_amount


class ItemInput(Input):
    """Names a variant, and how many of it. Prices are ours."""

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_UNITS, default=1)
    ignored = frozenset({"price", "unit_price", "total", "discount", "currency"})

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not {"sku", "variant_id", "product_id"} & attrs.keys():
            raise serializers.ValidationError(
                {"sku": "Say which: sku, variantId or productId."}, code="required"
            )
        return attrs


class ValidateInput(ItemInput):
    currency = CurrencyField(required=False)
    ignored = ItemInput.ignored - {"currency"}


class ItemsInput(Input):
    currency = CurrencyField(required=False)
    items = ItemInput(many=True, max_length=MOST_ITEMS, allow_empty=False)


class DiscountInput(Input):
    # however long: what is no code is told as that
    code = serializers.CharField(trim_whitespace=False, allow_blank=True)
    currency = CurrencyField(required=False)
    items = ItemInput(many=True, max_length=MOST_ITEMS, required=False)


def wanted(items: Sequence[Mapping[str, Any]]) -> list[selectors.Wanted]:
    return [
        selectors.Wanted(
            ref=VariantRef(
                sku=item.get("sku"),
                variant_id=item.get("variant_id"),
                product_id=item.get("product_id"),
            ),
            quantity=item["quantity"],
        )
        for item in items
    ]


class ProblemOutput(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    extra = serializers.DictField()


class OfferOutput(serializers.Serializer):
    valid = serializers.BooleanField()
    sku = serializers.CharField(allow_null=True)
    variantId = serializers.UUIDField(allow_null=True)
    problems = ProblemOutput(many=True)
    available = serializers.IntegerField()
    unitPrice = serializers.CharField(allow_null=True)
    currency = serializers.CharField()


class OffersOutput(serializers.Serializer):
    valid = serializers.BooleanField()
    results = OfferOutput(many=True)


def offer_json(offer: selectors.Offer, currency: str) -> dict[str, Any]:
    return {
        "valid": offer.is_valid,
        "sku": offer.variant.sku if offer.variant else None,
        "variantId": offer.variant.id if offer.variant else None,
        "problems": [
            {"code": problem.code, "message": problem.detail, "extra": problem.extra}
            for problem in offer.problems
        ],
        "available": offer.available,
        "unitPrice": amount_text(offer.price, currency),
        "currency": currency,
    }


class QuantityBreakOutput(serializers.Serializer):
    fromQuantity = serializers.IntegerField()
    price = serializers.CharField()


class VariantPriceOutput(serializers.Serializer):
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    compareAtPrice = serializers.CharField(allow_null=True)
    lowestPrice30Days = serializers.CharField(allow_null=True)
    priceEndsAt = serializers.DateTimeField(
        allow_null=True, help_text="When the scheduled price that is in force ends."
    )
    yourPrice = serializers.CharField(allow_null=True)
    quantityBreaks = QuantityBreakOutput(many=True)


class ProductPricingOutput(serializers.Serializer):
    productId = serializers.UUIDField()
    currency = serializers.CharField()
    priceFrom = serializers.CharField(allow_null=True)
    variants = VariantPriceOutput(many=True)
    promotions = AdvertisedOutput(many=True)
    quantityBreaks = serializers.ListField(child=serializers.DictField())


def pricing_json(
    view: selectors.ProductView,
    running: Sequence[Promotion],
    *,
    ladders: Mapping[UUID, Ladder],
    lowest: Mapping[UUID, Decimal],
    ends: Mapping[UUID, datetime],
) -> dict[str, Any]:
    return {
        "productId": view.id,
        "currency": view.currency,
        "priceFrom": amount_text(view.price_from, view.currency),
        "variants": [
            {
                "variantId": variant.id,
                "sku": variant.sku,
                "price": amount_text(variant.price, view.currency),
                "compareAtPrice": amount_text(variant.compare_at, view.currency),
                "lowestPrice30Days": None
                if variant.compare_at is None
                else amount_text(lowest.get(variant.id), view.currency),
                "priceEndsAt": moment_text(ends.get(variant.id)),
                "yourPrice": amount_text(ladders[variant.id].single, view.currency)
                if variant.id in ladders
                else None,
                "quantityBreaks": [
                    {
                        "fromQuantity": step.from_quantity,
                        "price": format_amount(step.amount, view.currency),
                    }
                    for step in (ladders[variant.id].breaks if variant.id in ladders else ())
                ],
            }
            for variant in view.variants
        ],
        "promotions": [advertised_json(promotion) for promotion in running],
        "quantityBreaks": [
            tier
            for promotion in running
            if promotion.kind == Promotion.Kind.TIERED_QUANTITY
            for tier in promotion.settings.get("tiers", ())
        ],
    }


class TotalsOutput(serializers.Serializer):
    subtotal = serializers.CharField()
    discountTotal = serializers.CharField()
    shippingTotal = serializers.CharField()
    shippingDiscount = serializers.CharField()
    shippingTax = serializers.CharField()
    taxTotal = serializers.CharField()
    grandTotal = serializers.CharField()
    pricesIncludeTax = serializers.BooleanField()
    estimated = serializers.BooleanField()


class ValuedLineOutput(serializers.Serializer):
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    unitPrice = serializers.CharField()
    lineSubtotal = serializers.CharField()
    lineDiscount = serializers.CharField()
    lineTotal = serializers.CharField()


class CartValueOutput(serializers.Serializer):
    currency = serializers.CharField()
    quoteId = serializers.CharField()
    items = ValuedLineOutput(many=True)
    totals = TotalsOutput()


class DiscountOutput(serializers.Serializer):
    valid = serializers.BooleanField()
    code = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    errorCode = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)
    amount = serializers.CharField(allow_null=True)
    currency = serializers.CharField()


def value_json(quote: Quote) -> dict[str, Any]:
    totals = quote.totals
    return {
        "currency": quote.currency,
        "quoteId": quote.id,
        "items": [
            {
                "sku": line.sku,
                "quantity": line.quantity,
                "unitPrice": quote.format(line.unit_price),
                "lineSubtotal": quote.format(line.subtotal),
                "lineDiscount": quote.format(line.discount),
                "lineTotal": quote.format(line.total),
            }
            for line in quote.lines
        ],
        "totals": {
            "subtotal": quote.format(totals.subtotal),
            "discountTotal": quote.format(totals.discount_total),
            "shippingTotal": quote.format(totals.shipping_total),
            "shippingDiscount": quote.format(totals.shipping_discount),
            "shippingTax": quote.format(totals.shipping_tax),
            "taxTotal": quote.format(totals.tax_total),
            "grandTotal": quote.format(totals.grand_total),
            "pricesIncludeTax": quote.prices_include_tax,
            "estimated": quote.is_estimated,
        },
    }
