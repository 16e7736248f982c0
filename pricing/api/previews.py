"""Which promotions a cart would get and why not the others, for staff."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, Staff, actor_of
from pricing import engine, selectors, services
from pricing.api.serializers import ItemsInput, TotalsOutput, value_json, wanted


class PreviewInput(ItemsInput):
    """Asked as the customer of `email`: the account of that address, or a guest. Without `at` it is now."""

    codes = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=20
    )
    email = serializers.EmailField(required=False, allow_blank=True)
    country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False, help_text="Two letters.")
    state = serializers.CharField(required=False, allow_blank=True, max_length=40, default="")
    postal_code = serializers.CharField(required=False, allow_blank=True, max_length=20, default="")
    shipping_option = serializers.CharField(required=False, allow_null=True, max_length=40)
    at = serializers.DateTimeField(required=False)


class PreviewedOutput(serializers.Serializer):
    promotionId = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    applied = serializers.BooleanField()
    amount = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)


class CombinationOutput(serializers.Serializer):
    promotionIds = serializers.ListField(child=serializers.UUIDField())
    saves = serializers.CharField()
    losesBy = serializers.CharField()
    chosen = serializers.BooleanField()


class PreviewOutput(serializers.Serializer):
    currency = serializers.CharField()
    totals = TotalsOutput()
    promotions = PreviewedOutput(many=True)
    combinations = CombinationOutput(many=True)


def preview_json(comparison: engine.Comparison) -> dict[str, Any]:
    quote = comparison.quote
    return {
        "currency": quote.currency,
        "totals": value_json(quote)["totals"],
        "promotions": [
            {
                "promotionId": item.rule.id,
                "name": item.rule.name,
                "kind": item.rule.kind,
                "code": item.code,
                "applied": not item.reason,
                "amount": quote.format(item.amount),
                "reason": item.reason or None,
                "message": engine.REASONS[item.reason] if item.reason else None,
            }
            for item in comparison.considered
        ],
        "combinations": [
            {
                "promotionIds": [rule.id for rule in option.rules],
                "saves": quote.format(option.saves),
                "losesBy": quote.format(option.loses_by),
                "chosen": option.is_chosen,
            }
            for option in comparison.combinations
        ],
    }


@extend_schema(tags=["promotions"])
class PromotionPreviewView(ApiView):
    permission_classes = [Staff]
    rights = {"post": "pricing.view_promotion"}

    @extend_schema(request=PreviewInput, responses=PreviewOutput)
    def post(self, request: Request) -> Response:
        """Say which promotions these lines would get, why not the others, and what lost. Staff only."""
        actor = actor_of(request)
        given = PreviewInput.read(request)
        country = given.get("country")
        comparison = services.preview_promotions(
            actor=actor,
            wanted=wanted(given["items"]),
            currency=selectors.shown_currency(actor=actor, currency=given.get("currency")),
            codes=given.get("codes", ()),
            email=given.get("email", ""),
            destination=engine.Place(country.upper(), given["state"], given["postal_code"])
            if country
            else None,
            shipping_option=given.get("shipping_option"),
            moment=given.get("at") or timezone.now(),
        )
        return Response(preview_json(comparison))
