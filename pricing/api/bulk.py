"""Many prices at once over HTTP, for staff: what would change, and the same applied."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.errors import FieldError, Forbidden, ValidationFailed
from config.platform.http import ApiView, Input, Staff, actor_of
from pricing import selectors
from pricing.api.serializers import CurrencyField, amount_field
from pricing.money import exponent, format_amount
from pricing.repricing import AMOUNT, LISTED, PERCENT, SET, WHOLE, Repricing
from pricing.services import bulk
from pricing.services.bulk import (
    MOST_PRICES,
    BulkTerms,
    ListedPrice,
    PlannedPrice,
    PricePlan,
    PriceSelection,
)


class RuleInput(Input):
    """`percent` and `amount` change by `value`, which may be negative; `set` makes it the price."""

    kind = serializers.ChoiceField(choices=[PERCENT, AMOUNT, SET])
    value = serializers.DecimalField(max_digits=14, decimal_places=3)
    ending = serializers.ChoiceField(
        choices=["", "99", "95", WHOLE], required=False, help_text="Of what comes out; the nearest."
    )


class ListedInput(Input):
    sku = serializers.CharField(max_length=255)
    price = amount_field()
    compare_at_price = amount_field(required=False, allow_null=True)


class BulkInput(Input):
    """Either a `rule` for a `category` (with all below it), words to `search` for or `skus`; or `items` with their prices."""

    currency = CurrencyField(required=False)
    category = serializers.CharField(required=False, allow_blank=True, max_length=120)
    search = serializers.CharField(required=False, allow_blank=True, max_length=200)
    skus = serializers.ListField(
        child=serializers.CharField(max_length=255), required=False, max_length=MOST_PRICES
    )
    items = ListedInput(many=True, required=False, max_length=MOST_PRICES)
    rule = RuleInput(required=False)
    former_price = serializers.ChoiceField(
        choices=list(bulk.FORMER),
        required=False,
        help_text="What is shown as the former price: as it is, the price until now, or none.",
    )
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    dry_run = serializers.BooleanField(required=False, help_text="True unless said otherwise.")
    plan_id = serializers.CharField(
        required=False, max_length=64, help_text="Of the dry run; applies exactly what it showed."
    )
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class PlannedOutput(serializers.Serializer):
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    newPrice = serializers.CharField()
    compareAtPrice = serializers.CharField(allow_null=True)
    difference = serializers.CharField(allow_null=True)
    percent = serializers.CharField(allow_null=True)
    lowestPrice30Days = serializers.CharField(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField())
    problem = serializers.CharField(allow_null=True)


class BulkTotalsOutput(serializers.Serializer):
    prices = serializers.IntegerField()
    raised = serializers.IntegerField()
    lowered = serializers.IntegerField()
    new = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    warnings = serializers.IntegerField()
    problems = serializers.IntegerField()


class BulkOutput(serializers.Serializer):
    planId = serializers.CharField()
    applied = serializers.BooleanField()
    currency = serializers.CharField()
    totals = BulkTotalsOutput()
    rows = PlannedOutput(many=True)
    skusWithoutPrice = serializers.ListField(child=serializers.CharField())
    unknownSkus = serializers.ListField(child=serializers.CharField())


def plan_json(plan: PricePlan, *, applied: bool) -> dict[str, Any]:
    totals = plan.totals()

    def text(amount: Decimal | None) -> str | None:
        return None if amount is None else format_amount(amount, plan.currency)

    def row(planned: PlannedPrice) -> dict[str, Any]:
        return {
            "variantId": planned.variant_id,
            "sku": planned.sku,
            "name": planned.name,
            "price": text(planned.old),
            "newPrice": text(planned.new),
            "compareAtPrice": text(planned.compare_at),
            "difference": text(planned.difference),
            "percent": None if planned.percent is None else f"{planned.percent:f}",
            "lowestPrice30Days": text(planned.lowest),
            "warnings": list(planned.warnings),
            "problem": planned.problem or None,
        }

    return {
        "planId": plan.id,
        "applied": applied,
        "currency": plan.currency,
        "totals": {name: totals[name] for name in BulkTotalsOutput._declared_fields},
        "rows": [row(planned) for planned in plan.rows],
        "skusWithoutPrice": list(plan.missing),
        "unknownSkus": list(plan.unknown),
    }


@extend_schema(tags=["products"])
class BulkPricesView(ApiView):
    permission_classes = [Staff]
    rights = {"post": "pricing.change_price"}

    @extend_schema(request=BulkInput, responses=BulkOutput)
    def post(self, request: Request) -> Response:
        """Show what a change of many prices would do, or apply exactly what was shown, all or nothing. Staff only."""
        given = BulkInput.read(request)
        actor, now = actor_of(request), timezone.now()
        currency = selectors.shown_currency(actor=actor, currency=given.get("currency"))
        selection = PriceSelection(
            category=given.get("category", ""),
            search=given.get("search", ""),
            skus=given.get("skus", ()),
        )
        terms = _terms(given, currency)
        plan = bulk.plan_prices(actor=actor, selection=selection, terms=terms, now=now)
        if given.get("dry_run", True):
            return Response(plan_json(plan, applied=False))
        if not request.user.has_perms(bulk.rights_needed(plan)):
            raise Forbidden()
        if not given.get("plan_id"):
            raise ValidationFailed(
                errors=[FieldError("planId", "required", "Ask with dryRun first.")]
            )
        plan = bulk.apply_prices(
            actor=actor,
            selection=selection,
            terms=terms,
            plan_id=given["plan_id"],
            reason=given.get("reason", ""),
            now=now,
        )
        return Response(plan_json(plan, applied=True))


def _terms(given: dict[str, Any], currency: str) -> BulkTerms:
    rule, items = given.get("rule"), given.get("items")
    if (rule is None) == (items is None):
        raise ValidationFailed(
            errors=[FieldError("rule", "required", "Name a rule, or items with their prices.")]
        )
    terms = {
        "currency": currency,
        "former": given.get("former_price", bulk.KEEP),
        "starts_at": given.get("starts_at"),
        "ends_at": given.get("ends_at"),
    }
    if rule is not None:
        made = Repricing(rule["kind"], rule["value"], rule.get("ending", ""))
        return BulkTerms(rule=made, **terms)
    listed: dict[str, ListedPrice] = {}
    errors = []
    for index, item in enumerate(items or ()):
        if item["sku"] in listed:
            errors.append(FieldError(f"items.{index}.sku", "repeated", "It stands here twice."))
        for name in ("price", "compare_at_price"):
            amount = item.get(name)
            if amount is not None and amount != round(amount, exponent(currency)):
                field = "price" if name == "price" else "compareAtPrice"
                errors.append(FieldError(f"items.{index}.{field}", "invalid", "Too many decimals."))
        listed[item["sku"]] = ListedPrice(item["price"], item.get("compare_at_price"))
    if errors:
        raise ValidationFailed(errors=errors)
    return BulkTerms(rule=Repricing(LISTED), listed=listed, **terms)
