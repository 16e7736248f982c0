"""Promotions as staff write them and as customers are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from config.platform.http import Input, camel
from pricing import selectors
from pricing.api.serializers.fields import (
    ListOutput,
    amount_field,
    amount_text,
    moment_text,
    term_text,
)
from pricing.models import Promotion
from pricing.terms import PromotionTerms


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


class PromotionSettingsInput(Input):
    """The details of a kind; which kind knows which, and what they may be, says the service."""

    per_unit = serializers.BooleanField(required=False)
    buy = serializers.IntegerField(required=False)
    get = serializers.IntegerField(required=False)
    percent = serializers.JSONField(required=False, help_text='Such as "50".')
    times = serializers.IntegerField(required=False)
    tiers = serializers.ListField(
        child=serializers.JSONField(help_text='Such as {"from": 5, "percent": "10"}.'),
        required=False,
        max_length=100,
    )
    options = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=100
    )


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
    settings = PromotionSettingsInput(required=False)
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

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kinds = {Promotion.Kind.PERCENTAGE, Promotion.Kind.FIXED_AMOUNT}
        if attrs["kind"] in kinds and "value" not in attrs:
            raise serializers.ValidationError({"value": "Say how much."}, code="required")
        return attrs


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
    counted_in = selectors.promotion_currency(promotion)
    is_amount = promotion.kind == Promotion.Kind.FIXED_AMOUNT
    return {
        "id": promotion.id,
        "name": promotion.name,
        "code": codes[0] if codes else None,
        "kind": promotion.kind,
        "scope": promotion.scope,
        "value": term_text(promotion.value, counted_in if is_amount else ""),
        "currency": promotion.currency or None,
        "minimumOrder": amount_text(promotion.minimum_order, counted_in),
        "endsAt": moment_text(promotion.ends_at),
    }


def promotion_json(promotion: Any) -> dict[str, Any]:
    terms = selectors.promotion_terms(promotion)
    return advertised_json(promotion) | {
        "codes": terms.codes,
        "settings": {camel(name): detail for name, detail in terms.settings.items()},
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
        "maximumDiscount": amount_text(
            terms.maximum_discount, selectors.promotion_currency(promotion)
        ),
        "startsAt": moment_text(terms.starts_at),
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
