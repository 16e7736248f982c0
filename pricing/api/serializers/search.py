"""Questions to the catalogue, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from config.platform.errors import FieldError, ValidationFailed
from inventory.models import Product
from pricing import selectors
from pricing.api.serializers.fields import CurrencyQuery, amount_field, amount_text
from pricing.api.serializers.products import ProductListOutput


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
                "min": amount_text(facets.min_price, currency),
                "max": amount_text(facets.max_price, currency),
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
