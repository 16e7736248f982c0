"""What the catalogue and the price rules read and show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.urls import NoReverseMatch, reverse
from rest_framework import serializers
from rest_framework.request import Request

from config.platform.errors import FieldError, ValidationFailed
from config.platform.http import Input, JsonObject, timestamp
from inventory.models import Product, Variant
from inventory.pictures import address, picture_json
from inventory.selectors import VariantRef
from inventory.services import ProductDraft, VariantDraft
from pricing import selectors
from pricing.engine import Quote
from pricing.ladder import Ladder
from pricing.models import Promotion, ShippingRule, ShippingZone, TaxExemption, TaxRate
from pricing.money import EXPONENTS, format_amount, parse_amount
from pricing.terms import PromotionTerms, ShippingRuleTerms, TaxRateTerms, ZoneTerms

MOST_ITEMS = 100
MOST_UNITS = 100


def amount_field(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=15, decimal_places=3, min_value=Decimal(0), **options
    )


class CurrencyField(serializers.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"max_length": 3, "help_text": "ISO 4217; the shop's own if left out.", **options}
        )

    def to_internal_value(self, data: Any) -> str:
        currency = super().to_internal_value(data)
        if currency not in EXPONENTS:
            raise serializers.ValidationError("We do not sell in this currency.", code="invalid")
        return currency


# --- catalogue in -------------------------------------------------------------------------------


class CurrencyQuery(Input):
    currency = CurrencyField(required=False)


class SearchQuery(CurrencyQuery):
    q = serializers.CharField(required=False, allow_blank=True, max_length=200)
    category = serializers.CharField(required=False, allow_blank=True, max_length=120)
    min_price = amount_field(required=False)
    max_price = amount_field(required=False)
    in_stock = serializers.BooleanField(required=False)
    sort = serializers.ChoiceField(choices=selectors.SORTS, required=False)
    status = serializers.ChoiceField(
        choices=Product.Status.choices, required=False, help_text="Staff only."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        least, most = attrs.get("min_price"), attrs.get("max_price")
        if least is not None and most is not None and most < least:
            raise serializers.ValidationError(
                {"max_price": "This is below minPrice."}, code="invalid"
            )
        return attrs

    @classmethod
    def read_query(cls, request: Request, **context: Any) -> dict[str, Any]:
        """Return the parameters, with those of the form `option.Colour=Red` as `options`."""
        given = super().read_query(request, **context)
        given["options"] = options_of_query(request.query_params.lists())
        return given


OPTION = "option."
MOST_OPTIONS, MOST_VALUES, LONGEST_OPTION = 10, 30, 200


def options_of_query(query: Iterable[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """
    Return the options asked for: `option.Colour=Red&option.Colour=Blue` is `{"Colour": ["Red", "Blue"]}`.

    :raises ValidationFailed: if they are too many or too long, or one has no name or no value
    """
    options: dict[str, list[str]] = {}
    errors = []
    for key, values in query:
        if not key.startswith(OPTION):
            continue
        name = key.removeprefix(OPTION).strip()
        options[name] = list(dict.fromkeys(value.strip() for value in values))
        if not name or len(name) > LONGEST_OPTION:
            errors.append(
                FieldError(key[:250], "invalid", "Name an option, as in option.Colour=Red.")
            )
        elif not all(0 < len(value) <= LONGEST_OPTION for value in options[name]):
            message = f"A value of 1 to {LONGEST_OPTION} characters is needed."
            errors.append(FieldError(key, "invalid", message))
        elif len(options[name]) > MOST_VALUES:
            errors.append(FieldError(key, "max_length", f"At most {MOST_VALUES} values."))
    if len(options) > MOST_OPTIONS:
        errors.append(FieldError(OPTION + "*", "max_length", f"At most {MOST_OPTIONS} options."))
    if errors:
        raise ValidationFailed(errors=errors)
    return options


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
    code = serializers.CharField(max_length=200, trim_whitespace=False)
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


# --- catalogue out ------------------------------------------------------------------------------


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


class ListOutput(serializers.Serializer):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ProductListOutput(ListOutput):
    results = ProductOutput(many=True)


class CategoryCountOutput(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    path = serializers.ListField(
        child=serializers.CharField(), help_text="Slugs from the root down to this category."
    )
    count = serializers.IntegerField(help_text="With all categories below it.")
    selected = serializers.BooleanField()


class PriceRangeOutput(serializers.Serializer):
    min = serializers.CharField(allow_null=True)
    max = serializers.CharField(allow_null=True)
    currency = serializers.CharField()


class ValueCountOutput(serializers.Serializer):
    value = serializers.CharField()
    count = serializers.IntegerField()
    selected = serializers.BooleanField()


class OptionCountsOutput(serializers.Serializer):
    name = serializers.CharField()
    values = ValueCountOutput(many=True)


class InStockCountOutput(serializers.Serializer):
    count = serializers.IntegerField()


class FacetsOutput(serializers.Serializer):
    """Numbers of products. Each facet is counted without its own choice, with all the others in force."""

    categories = CategoryCountOutput(many=True)
    priceRange = PriceRangeOutput()
    options = OptionCountsOutput(many=True)
    inStock = InStockCountOutput()


class SearchOutput(ProductListOutput):
    total = serializers.IntegerField()
    suggestion = serializers.CharField(
        allow_null=True, help_text="How the words may have been meant, where they found little."
    )
    corrected = serializers.BooleanField(
        help_text="Nothing was found for the words as they are; the results are those of `suggestion`."
    )
    facets = FacetsOutput()


def found_json(found: selectors.Found, currency: str) -> dict[str, Any]:
    """Return what a search answers beside its page."""
    facets = found.facets
    return {
        "total": found.total,
        "suggestion": found.suggestion or None,
        "corrected": found.is_corrected,
        "facets": {
            "categories": [
                {
                    "slug": c.slug,
                    "name": c.name,
                    "path": c.path,
                    "count": c.count,
                    "selected": c.is_chosen,
                }
                for c in facets.categories
            ],
            "priceRange": {
                "min": _amount(facets.min_price, currency),
                "max": _amount(facets.max_price, currency),
                "currency": currency,
            },
            "options": [
                {
                    "name": option.name,
                    "values": [
                        {"value": v.value, "count": v.count, "selected": v.is_chosen}
                        for v in option.values
                    ],
                }
                for option in facets.options
            ],
            "inStock": {"count": facets.in_stock},
        },
    }


def _amount(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else format_amount(amount, currency)


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
        "priceFrom": _amount(view.price_from, currency),
        "currency": currency,
        "inStock": view.in_stock,
        "variants": [
            {
                "id": variant.id,
                "sku": variant.sku,
                "options": variant.options,
                "imageUrl": address(variant.image) or None,
                "price": _amount(variant.price, currency),
                "compareAtPrice": _amount(variant.compare_at, currency),
                "available": variant.available,
                "inStock": variant.in_stock,
                "backorder": variant.is_backorder,
            }
            for variant in view.variants
        ],
    }


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
        "unitPrice": _amount(offer.price, currency),
        "currency": currency,
    }


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
                "price": _amount(item.price, view.currency),
            }
            for item in view.items
        ],
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


class AdvertisedOutput(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(choices=Promotion.Kind.choices)
    scope = serializers.ChoiceField(choices=Promotion.Scope.choices)
    value = serializers.CharField()
    currency = serializers.CharField(allow_null=True)
    minimumOrder = serializers.CharField(allow_null=True)
    endsAt = serializers.DateTimeField(allow_null=True)


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
        "priceFrom": _amount(view.price_from, view.currency),
        "variants": [
            {
                "variantId": variant.id,
                "sku": variant.sku,
                "price": _amount(variant.price, view.currency),
                "compareAtPrice": _amount(variant.compare_at, view.currency),
                "lowestPrice30Days": None
                if variant.compare_at is None
                else _amount(lowest.get(variant.id), view.currency),
                "priceEndsAt": _moment(ends.get(variant.id)),
                "yourPrice": _amount(ladders[variant.id].single, view.currency)
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


# --- estimates ----------------------------------------------------------------------------------


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


# --- rules --------------------------------------------------------------------------------------


def plain(value: Decimal) -> str:
    """Return a number that is no amount of money without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _term(value: Decimal | None, currency: str) -> str | None:
    if value is None:
        return None
    return format_amount(value, currency) if currency else plain(value)


def _moment(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None


class PromotionChangeInput(Input):
    """The terms of a promotion; what is left out stays as it is."""

    code = serializers.CharField(
        max_length=100,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        help_text="Null applies by itself.",
    )
    codes = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=1_000
    )
    name = serializers.CharField(max_length=200, required=False)
    kind = serializers.ChoiceField(choices=Promotion.Kind.choices, required=False)
    scope = serializers.ChoiceField(choices=Promotion.Scope.choices, required=False)
    value = amount_field(required=False)
    currency = serializers.CharField(max_length=3, required=False, allow_blank=True)
    settings = JsonObject(required=False)
    product_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=5_000
    )
    category_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=500
    )
    user_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=5_000
    )
    excluded_product_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=5_000
    )
    excluded_category_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=500
    )
    group_ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=500)
    first_order_only = serializers.BooleanField(required=False)
    new_customer_days = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=36_500
    )
    minimum_order = amount_field(required=False, allow_null=True)
    minimum_quantity = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=100_000
    )
    maximum_discount = amount_field(required=False, allow_null=True)
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        required=False,
        max_length=7,
        help_text="Monday is 1; none means every day. By the clock of the company.",
    )
    opens_at = serializers.TimeField(required=False, allow_null=True)
    closes_at = serializers.TimeField(required=False, allow_null=True)
    usage_limit = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    per_customer_limit = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    reminder_stage = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=10,
        help_text="Which reminder of an abandoned cart brings a code for it.",
    )
    is_automatic = serializers.BooleanField(required=False)
    stackable = serializers.BooleanField(required=False)
    advertised = serializers.BooleanField(required=False)
    active = serializers.BooleanField(required=False)
    priority = serializers.IntegerField(required=False, min_value=-32_768, max_value=32_767)


class PromotionInput(PromotionChangeInput):
    name = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(choices=Promotion.Kind.choices)


class PromotionsQuery(Input):
    deleted = serializers.BooleanField(default=False, help_text="Those that were deleted, instead.")


class PromotionRestoreInput(Input):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


_RENAMED = {"stackable": "is_stackable", "advertised": "is_advertised", "active": "is_active"}


def promotion_changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent by the names of `PromotionTerms`; without any code a promotion applies by itself."""
    changes = {
        _RENAMED.get(name, name): value
        for name, value in given.items()
        if name not in {"code", "codes"}
    }
    if "code" in given or "codes" in given:
        single = [given["code"]] if given.get("code") is not None else []
        changes["codes"] = (*single, *given.get("codes", ()))
    return changes


def new_promotion(given: Mapping[str, Any]) -> PromotionTerms:
    changes = promotion_changes(given)
    changes.setdefault("is_automatic", not changes.get("codes"))
    return PromotionTerms(**changes)


class PromotionOutput(AdvertisedOutput):
    codes = serializers.ListField(child=serializers.CharField())
    settings = serializers.DictField()
    productIds = serializers.ListField(child=serializers.UUIDField())
    categoryIds = serializers.ListField(child=serializers.UUIDField())
    excludedProductIds = serializers.ListField(child=serializers.UUIDField())
    excludedCategoryIds = serializers.ListField(child=serializers.UUIDField())
    userIds = serializers.ListField(child=serializers.UUIDField())
    groupIds = serializers.ListField(child=serializers.UUIDField())
    firstOrderOnly = serializers.BooleanField()
    newCustomerDays = serializers.IntegerField(allow_null=True)
    minimumQuantity = serializers.IntegerField(allow_null=True)
    weekdays = serializers.ListField(child=serializers.IntegerField())
    opensAt = serializers.CharField(allow_null=True)
    closesAt = serializers.CharField(allow_null=True)
    maximumDiscount = serializers.CharField(allow_null=True)
    startsAt = serializers.DateTimeField(allow_null=True)
    usageLimit = serializers.IntegerField(allow_null=True)
    perCustomerLimit = serializers.IntegerField(allow_null=True)
    reminderStage = serializers.IntegerField(allow_null=True)
    used = serializers.IntegerField()
    isAutomatic = serializers.BooleanField()
    stackable = serializers.BooleanField()
    advertised = serializers.BooleanField()
    active = serializers.BooleanField()
    priority = serializers.IntegerField()


class PromotionListOutput(ListOutput):
    results = PromotionOutput(many=True)


class AdvertisedListOutput(ListOutput):
    results = AdvertisedOutput(many=True)


def advertised_json(promotion: Promotion) -> dict[str, Any]:
    codes = selectors.named_codes(promotion)
    is_amount = promotion.kind == Promotion.Kind.FIXED_AMOUNT
    return {
        "id": promotion.id,
        "name": promotion.name,
        "code": codes[0] if codes else None,
        "kind": promotion.kind,
        "scope": promotion.scope,
        "value": _term(promotion.value, promotion.currency if is_amount else ""),
        "currency": promotion.currency or None,
        "minimumOrder": _term(promotion.minimum_order, promotion.currency),
        "endsAt": _moment(promotion.ends_at),
    }


def promotion_json(promotion: Any) -> dict[str, Any]:
    terms = selectors.promotion_terms(promotion)
    return advertised_json(promotion) | {
        "codes": terms.codes,
        "settings": terms.settings,
        "productIds": terms.product_ids,
        "categoryIds": terms.category_ids,
        "excludedProductIds": terms.excluded_product_ids,
        "excludedCategoryIds": terms.excluded_category_ids,
        "userIds": terms.user_ids,
        "groupIds": terms.group_ids,
        "firstOrderOnly": terms.first_order_only,
        "newCustomerDays": terms.new_customer_days,
        "minimumQuantity": terms.minimum_quantity,
        "weekdays": terms.weekdays,
        "opensAt": terms.opens_at and f"{terms.opens_at:%H:%M}",
        "closesAt": terms.closes_at and f"{terms.closes_at:%H:%M}",
        "maximumDiscount": _term(terms.maximum_discount, terms.currency),
        "startsAt": _moment(terms.starts_at),
        "usageLimit": terms.usage_limit,
        "perCustomerLimit": terms.per_customer_limit,
        "reminderStage": terms.reminder_stage,
        "used": promotion.live_uses,
        "isAutomatic": terms.is_automatic,
        "stackable": terms.is_stackable,
        "advertised": terms.is_advertised,
        "active": terms.is_active,
        "priority": terms.priority,
    }


class TaxRateChangeInput(Input):
    name = serializers.CharField(max_length=100, required=False)
    type = serializers.ChoiceField(choices=TaxRate.Type.choices, required=False)
    country = serializers.CharField(max_length=2, required=False)
    rate = serializers.DecimalField(
        max_digits=7, decimal_places=6, min_value=Decimal(0), max_value=Decimal(1), required=False,
        help_text="A fraction: 0.19 is 19 percent.",
    )  # fmt: skip
    state = serializers.CharField(max_length=40, required=False, allow_blank=True)
    postal_pattern = serializers.CharField(max_length=40, required=False, allow_blank=True)
    tax_class = serializers.CharField(max_length=40, required=False, allow_blank=True)
    included = serializers.BooleanField(required=False)
    compound = serializers.BooleanField(required=False)
    on_shipping = serializers.BooleanField(required=False)
    priority = serializers.IntegerField(required=False, min_value=-32_768, max_value=32_767)
    valid_from = serializers.DateField(required=False, allow_null=True)
    valid_to = serializers.DateField(required=False, allow_null=True)
    active = serializers.BooleanField(required=False)


class TaxRateInput(TaxRateChangeInput):
    name = serializers.CharField(max_length=100)
    type = serializers.ChoiceField(choices=TaxRate.Type.choices)
    country = serializers.CharField(max_length=2)
    rate = serializers.DecimalField(
        max_digits=7, decimal_places=6, min_value=Decimal(0), max_value=Decimal(1)
    )


class VatNumberInput(Input):
    vat_number = serializers.CharField(max_length=40)


class VatNumberOutput(serializers.Serializer):
    vatNumber = serializers.CharField(allow_null=True)
    country = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["PENDING", "APPROVED"], allow_null=True)


def vat_number_json(row: TaxExemption | None) -> dict[str, Any]:
    return {
        "vatNumber": row.number if row else None,
        "country": row.country if row else None,
        "status": row.status if row else None,
    }


class ZoneChangeInput(Input):
    name = serializers.CharField(max_length=100, required=False)
    countries = serializers.ListField(
        child=serializers.CharField(max_length=2), required=False, max_length=300
    )
    states = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=300
    )
    postal_patterns = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=2_000
    )
    priority = serializers.IntegerField(required=False, min_value=-32_768, max_value=32_767)
    active = serializers.BooleanField(required=False)


class ZoneInput(ZoneChangeInput):
    name = serializers.CharField(max_length=100)
    countries = serializers.ListField(child=serializers.CharField(max_length=2), max_length=300)


class ShippingRuleChangeInput(Input):
    zone_id = serializers.UUIDField(required=False)
    code = serializers.CharField(max_length=40, required=False)
    name = serializers.CharField(max_length=100, required=False)
    type = serializers.ChoiceField(choices=ShippingRule.Type.choices, required=False)
    currency = CurrencyField(required=False)
    base_price = amount_field(required=False)
    per_unit = amount_field(required=False)
    per_kilogram = amount_field(required=False)
    free_over = amount_field(required=False, allow_null=True)
    minimum_order = amount_field(required=False, allow_null=True)
    maximum_order = amount_field(required=False, allow_null=True)
    min_days = serializers.IntegerField(required=False, min_value=0, max_value=365)
    max_days = serializers.IntegerField(required=False, min_value=0, max_value=365)
    priority = serializers.IntegerField(required=False, min_value=-32_768, max_value=32_767)
    active = serializers.BooleanField(required=False)


class ShippingRuleInput(ShippingRuleChangeInput):
    zone_id = serializers.UUIDField()
    code = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    currency = CurrencyField()


_RULE_NAMES = {
    "included": "is_included", "compound": "is_compound", "active": "is_active",
}  # fmt: skip


def rule_changes(given: Mapping[str, Any]) -> dict[str, Any]:
    return {_RULE_NAMES.get(name, name): value for name, value in given.items()}


class TaxRateOutput(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=TaxRate.Type.choices)
    country = serializers.CharField()
    state = serializers.CharField()
    postalPattern = serializers.CharField()
    taxClass = serializers.CharField()
    rate = serializers.CharField()
    included = serializers.BooleanField()
    compound = serializers.BooleanField()
    onShipping = serializers.BooleanField()
    priority = serializers.IntegerField()
    validFrom = serializers.DateField(allow_null=True)
    validTo = serializers.DateField(allow_null=True)
    active = serializers.BooleanField()


class TaxRateListOutput(ListOutput):
    results = TaxRateOutput(many=True)


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def tax_rate_json(rate: TaxRate) -> dict[str, Any]:
    return {
        "id": rate.id,
        "name": rate.name,
        "type": rate.type,
        "country": rate.country,
        "state": rate.state,
        "postalPattern": rate.postal_pattern,
        "taxClass": rate.tax_class,
        "rate": plain(rate.rate),
        "included": rate.is_included,
        "compound": rate.is_compound,
        "onShipping": rate.on_shipping,
        "priority": rate.priority,
        "validFrom": _day(rate.valid_from),
        "validTo": _day(rate.valid_to),
        "active": rate.is_active,
    }


class ZoneOutput(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    countries = serializers.ListField(child=serializers.CharField())
    states = serializers.ListField(child=serializers.CharField())
    postalPatterns = serializers.ListField(child=serializers.CharField())
    priority = serializers.IntegerField()
    active = serializers.BooleanField()


class ZoneListOutput(ListOutput):
    results = ZoneOutput(many=True)


def zone_json(zone: ShippingZone) -> dict[str, Any]:
    return {
        "id": zone.id,
        "name": zone.name,
        "countries": zone.countries,
        "states": zone.states,
        "postalPatterns": zone.postal_patterns,
        "priority": zone.priority,
        "active": zone.is_active,
    }


class ShippingRuleOutput(serializers.Serializer):
    id = serializers.UUIDField()
    zoneId = serializers.UUIDField()
    zone = serializers.CharField()
    code = serializers.CharField()
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=ShippingRule.Type.choices)
    currency = serializers.CharField()
    basePrice = serializers.CharField()
    perUnit = serializers.CharField()
    perKilogram = serializers.CharField()
    freeOver = serializers.CharField(allow_null=True)
    minimumOrder = serializers.CharField(allow_null=True)
    maximumOrder = serializers.CharField(allow_null=True)
    minDays = serializers.IntegerField()
    maxDays = serializers.IntegerField()
    priority = serializers.IntegerField()
    active = serializers.BooleanField()


class ShippingRuleListOutput(ListOutput):
    results = ShippingRuleOutput(many=True)


def shipping_rule_json(rule: ShippingRule) -> dict[str, Any]:
    currency = rule.currency
    return {
        "id": rule.id,
        "zoneId": rule.zone_id,
        "zone": rule.zone.name,
        "code": rule.code,
        "name": rule.name,
        "type": rule.type,
        "currency": currency,
        "basePrice": format_amount(rule.base_price, currency),
        "perUnit": format_amount(rule.per_unit, currency),
        "perKilogram": format_amount(rule.per_kilogram, currency),
        "freeOver": _amount(rule.free_over, currency),
        "minimumOrder": _amount(rule.minimum_order, currency),
        "maximumOrder": _amount(rule.maximum_order, currency),
        "minDays": rule.min_days,
        "maxDays": rule.max_days,
        "priority": rule.priority,
        "active": rule.is_active,
    }


def terms_from(row: Any, terms: type[TaxRateTerms | ZoneTerms | ShippingRuleTerms]) -> Any:
    """Return the terms a stored rule has now, for a change to start from."""
    return terms(**{name: getattr(row, name) for name in terms.__dataclass_fields__})
