"""Products as customers see them and as staff write them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.urls import NoReverseMatch, reverse
from rest_framework import serializers

from config.platform.errors import FieldError, ValidationFailed
from config.platform.http import Input, JsonObject
from inventory.models import Product, Variant
from inventory.pictures import address, picture_json
from inventory.services import ProductDraft, VariantDraft
from pricing import selectors
from pricing.api.serializers.fields import ListOutput, amount_text
from pricing.money import parse_amount


class VariantInput(Input):
    sku = serializers.CharField(max_length=255)
    options = serializers.DictField(child=serializers.CharField(max_length=200), required=False)
    prices = serializers.DictField(
        child=serializers.CharField(max_length=20), required=False, help_text='{"USD": "10.00"}'
    )
    quantity = serializers.IntegerField(min_value=0, max_value=10_000_000, required=False)
    inventory_policy = serializers.ChoiceField(choices=Variant.Policy.choices, required=False)
    barcode = serializers.CharField(max_length=64, required=False, allow_blank=True)
    weight_grams = serializers.IntegerField(min_value=0, required=False)
    requires_shipping = serializers.BooleanField(required=False)
    is_taxable = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)


class ProductChangeInput(Input):
    name = serializers.CharField(max_length=500, required=False)
    description = serializers.CharField(max_length=200_000, required=False, allow_blank=True)
    vendor = serializers.CharField(max_length=200, required=False, allow_blank=True)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=250
    )
    category = serializers.CharField(
        max_length=120,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="The slug of a category.",
    )
    status = serializers.ChoiceField(choices=Product.Status.choices, required=False)
    tax_class = serializers.CharField(max_length=40, required=False)
    metadata = JsonObject(required=False)
    options = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        max_length=10,
        help_text="Names of what is to choose, in order; if left out, as the variants bring them.",
    )
    variants = VariantInput(many=True, required=False, max_length=500)


class ProductInput(ProductChangeInput):
    name = serializers.CharField(max_length=500)
    slug = serializers.SlugField(max_length=255, required=False)
    variants = VariantInput(many=True, max_length=500, allow_empty=False)


def product_draft(given: Mapping[str, Any]) -> tuple[ProductDraft, dict[str, dict[str, Decimal]]]:
    """
    Return the draft and the prices in what staff sent.

    :raises ValidationFailed: if a price is none
    """
    errors = []
    prices: dict[str, dict[str, Decimal]] = {}
    variants = []
    for index, sent in enumerate(given.get("variants", ())):
        for currency, text in sent.get("prices", {}).items():
            try:
                amount = parse_amount(text, currency)
                if amount < 0:
                    raise ValueError("A price is not negative.")
                prices.setdefault(sent["sku"], {})[currency] = amount
            except ValueError as error:
                errors.append(
                    FieldError(f"variants.{index}.prices.{currency}", "invalid", str(error))
                )
        variants.append(
            VariantDraft(
                sku=sent["sku"],
                stock={"": sent["quantity"]} if "quantity" in sent else None,
                **{
                    name: sent.get(name)
                    for name in (
                        "options", "barcode", "weight_grams", "requires_shipping", "is_taxable",
                        "inventory_policy", "is_active",
                    )
                },
            )
        )  # fmt: skip
    if errors:
        raise ValidationFailed(errors=errors)
    told: dict[str, Any] = {
        name: given.get(name)
        for name in ("name", "description", "vendor", "tags", "status", "tax_class", "metadata")
    }
    draft = ProductDraft(
        slug=given.get("slug", ""),
        category=(given["category"] or "") if "category" in given else None,
        option_names=given.get("options"),
        variants=variants,
        **told,
    )
    return draft, prices


class CategoryOutput(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()


class RenditionOutput(serializers.Serializer):
    url = serializers.CharField()
    width = serializers.IntegerField()


class ImageOutput(serializers.Serializer):
    id = serializers.UUIDField()
    url = serializers.CharField()
    alt = serializers.CharField()
    width = serializers.IntegerField(allow_null=True, help_text="Of an uploaded picture.")
    height = serializers.IntegerField(allow_null=True)
    srcset = RenditionOutput(many=True, help_text="The same picture, narrowest first.")


class VariantOutput(serializers.Serializer):
    id = serializers.UUIDField()
    sku = serializers.CharField()
    options = serializers.DictField(child=serializers.CharField())
    imageUrl = serializers.CharField(allow_null=True)
    price = serializers.CharField(allow_null=True)
    compareAtPrice = serializers.CharField(allow_null=True)
    available = serializers.IntegerField(help_text="At most 10 for customers.")
    inStock = serializers.BooleanField()
    backorder = serializers.BooleanField(help_text="Sells beyond its stock now.")


class ProductOutput(serializers.Serializer):
    id = serializers.UUIDField()
    slug = serializers.CharField()
    url = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(help_text="Sanitised HTML.")
    status = serializers.ChoiceField(choices=Product.Status.choices)
    vendor = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    category = CategoryOutput(allow_null=True)
    images = ImageOutput(many=True)
    options = serializers.ListField(child=serializers.CharField())
    priceFrom = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    inStock = serializers.BooleanField()
    variants = VariantOutput(many=True)


class ProductListOutput(ListOutput):
    results = ProductOutput(many=True)


def page_url(slug: str) -> str:
    try:
        return reverse("product", args=[slug])
    except NoReverseMatch:
        return f"/products/{slug}/"


def product_json(view: selectors.ProductView) -> dict[str, Any]:
    currency = view.currency
    return {
        "id": view.id,
        "slug": view.slug,
        "url": page_url(view.slug),
        "name": view.name,
        "description": view.description,
        "status": view.status,
        "vendor": view.vendor,
        "tags": view.tags,
        "category": {"slug": view.category.slug, "name": view.category.name}
        if view.category
        else None,
        "images": [picture_json(image) for image in view.images],
        "options": view.option_names,
        "priceFrom": amount_text(view.price_from, currency),
        "currency": currency,
        "inStock": view.in_stock,
        "variants": [
            {
                "id": variant.id,
                "sku": variant.sku,
                "options": variant.options,
                "imageUrl": address(variant.image) or None,
                "price": amount_text(variant.price, currency),
                "compareAtPrice": amount_text(variant.compare_at, currency),
                "available": variant.available,
                "inStock": variant.in_stock,
                "backorder": variant.is_backorder,
            }
            for variant in view.variants
        ],
    }
