"""Zones and rules of shipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from config.platform.http import Input
from pricing.api.serializers.fields import CurrencyField, ListOutput, amount_field, amount_text
from pricing.models import ShippingRule, ShippingZone
from pricing.money import format_amount


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
        "freeOver": amount_text(rule.free_over, currency),
        "minimumOrder": amount_text(rule.minimum_order, currency),
        "maximumOrder": amount_text(rule.maximum_order, currency),
        "minDays": rule.min_days,
        "maxDays": rule.max_days,
        "priority": rule.priority,
        "active": rule.is_active,
    }
