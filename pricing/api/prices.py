"""Questions about prices: are they still right, how to pay less, how they moved, which taxes a place has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.errors import ApplicationError
from config.platform.http import (
    Anyone,
    ApiView,
    Input,
    Staff,
    actor_of,
    page,
    public_response,
    timestamp,
)
from pricing import engine, selectors, services
from pricing.api.serializers import (
    MOST_ITEMS,
    AdvertisedOutput,
    CartValueOutput,
    CurrencyField,
    CurrencyQuery,
    ItemInput,
    ListOutput,
    ProblemOutput,
    advertised_json,
    amount_field,
    plain,
    value_json,
    wanted,
)
from pricing.destinations import read_place
from pricing.models import PriceChange
from pricing.money import format_amount
from pricing.selectors.comparing import ComparedPrice, PricePeriod, Recommendations

# --- in -------------------------------------------------------------------------------------------


class SeenItemInput(ItemInput):
    """A line with the price of one unit as the caller knows it, `price` or `unitPrice`."""

    price = amount_field(required=False)
    unit_price = amount_field(required=False)
    ignored = ItemInput.ignored - {"price", "unit_price"}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "price" not in attrs and "unit_price" not in attrs:
            raise serializers.ValidationError(
                {"price": "The price that you know."}, code="required"
            )
        attrs.setdefault("price", attrs.pop("unit_price", None))
        return attrs


class SeenItemsInput(Input):
    currency = CurrencyField(required=False)
    items = SeenItemInput(many=True, max_length=MOST_ITEMS, allow_empty=False)


_PLAIN_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)


@extend_schema_field(OpenApiTypes.ANY)
class IgnoredPrice(serializers.Field[Decimal | None, Any, str, Any]):
    """What a client sent as a price: never charged, so whatever it is it is no error; null if it is no amount."""

    def to_internal_value(self, data: Any) -> Decimal | None:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            return None
        # No exponents: written out, "1e9999999" would be an answer of ten million digits.
        return Decimal(str(data)) if _PLAIN_AMOUNT.fullmatch(str(data)) else None

    def to_representation(self, value: Decimal) -> str:
        return str(value)


class ValuedItemInput(ItemInput):
    price = IgnoredPrice(required=False, allow_null=True, help_text="Ignored; told if it differs.")
    unit_price = IgnoredPrice(required=False, allow_null=True, help_text="The same.")
    ignored = ItemInput.ignored - {"price", "unit_price"}


class ValuedItemsInput(Input):
    currency = CurrencyField(required=False)
    items = ValuedItemInput(many=True, max_length=MOST_ITEMS, allow_empty=False)


class RecommendationsQuery(CurrencyQuery):
    quantity = serializers.IntegerField(
        required=False, min_value=1, max_value=10_000, default=1, help_text="How many are wanted."
    )


class TaxPlaceQuery(Input):
    country = serializers.CharField(max_length=100, help_text="Two letters.")
    state = serializers.CharField(required=False, allow_blank=True, max_length=100, default="")
    postal_code = serializers.CharField(
        required=False, allow_blank=True, max_length=100, default=""
    )


class PriceChangesQuery(Input):
    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    currency = CurrencyField(required=False, help_text="ISO 4217; all of them if left out.")


# --- out ------------------------------------------------------------------------------------------


class ComparedPriceOutput(serializers.Serializer):
    sku = serializers.CharField(allow_null=True)
    variantId = serializers.UUIDField(allow_null=True)
    quantity = serializers.IntegerField()
    price = serializers.CharField(allow_null=True, help_text="As the caller knows it.")
    currentPrice = serializers.CharField(allow_null=True, help_text="Null where it is not sold.")
    difference = serializers.CharField(allow_null=True, help_text="Of one unit: now less then.")
    changed = serializers.BooleanField()
    problem = ProblemOutput(allow_null=True)


class JudgedPriceOutput(ComparedPriceOutput):
    valid = serializers.BooleanField()


class PricesValidOutput(serializers.Serializer):
    valid = serializers.BooleanField()
    currency = serializers.CharField()
    results = JudgedPriceOutput(many=True)


class ValueWarningOutput(serializers.Serializer):
    code = serializers.ChoiceField(choices=["PRICE_CHANGED", "PRICE_IGNORED"])
    index = serializers.IntegerField()
    message = serializers.CharField()
    extra = serializers.DictField()


class ValueOutput(CartValueOutput):
    warnings = ValueWarningOutput(many=True)


class BetterBreakOutput(serializers.Serializer):
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    fromQuantity = serializers.IntegerField()
    unitPrice = serializers.CharField()
    saving = serializers.CharField(help_text="Of each unit.")


class BetterBundleOutput(serializers.Serializer):
    bundleId = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    price = serializers.CharField()
    partsPrice = serializers.CharField()
    saving = serializers.CharField()


class RecommendationsOutput(serializers.Serializer):
    productId = serializers.UUIDField()
    currency = serializers.CharField()
    quantity = serializers.IntegerField()
    quantityBreaks = BetterBreakOutput(many=True)
    bundles = BetterBundleOutput(many=True)
    promotions = AdvertisedOutput(many=True)


class PricePeriodOutput(serializers.Serializer):
    price = serializers.CharField()
    validFrom = serializers.DateTimeField(allow_null=True, help_text="Null: since ever.")
    validTo = serializers.DateTimeField(allow_null=True, help_text="Null: it is the price now.")


class VariantHistoryOutput(serializers.Serializer):
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    prices = PricePeriodOutput(many=True)


class PriceHistoryOutput(serializers.Serializer):
    productId = serializers.UUIDField()
    currency = serializers.CharField()
    variants = VariantHistoryOutput(many=True)


class PriceChangeOutput(serializers.Serializer):
    id = serializers.UUIDField()
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    currency = serializers.CharField()
    oldPrice = serializers.CharField(allow_null=True)
    newPrice = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(choices=["base", "scheduled", "break", "group", "group_break"])
    specialPriceId = serializers.UUIDField(allow_null=True)
    groupId = serializers.UUIDField(allow_null=True)
    fromQuantity = serializers.IntegerField()
    validFrom = serializers.DateTimeField()
    validTo = serializers.DateTimeField(allow_null=True)
    actor = serializers.CharField()
    reason = serializers.CharField()
    changedAt = serializers.DateTimeField()


class PriceChangeListOutput(ListOutput):
    results = PriceChangeOutput(many=True)


class TaxAtPlaceOutput(serializers.Serializer):
    taxClass = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    rate = serializers.CharField(help_text="A fraction: 0.19 is 19 %.")
    included = serializers.BooleanField()
    compound = serializers.BooleanField()
    onShipping = serializers.BooleanField()


class TaxesAtPlaceOutput(serializers.Serializer):
    country = serializers.CharField()
    state = serializers.CharField()
    postalCode = serializers.CharField()
    rates = TaxAtPlaceOutput(many=True)


def _amount(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else format_amount(amount, currency)


def problem_json(problem: ApplicationError | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {"code": problem.code, "message": problem.detail, "extra": problem.extra}


def compared_json(line: ComparedPrice, currency: str) -> dict[str, Any]:
    return {
        "sku": line.variant.sku if line.variant else None,
        "variantId": line.variant.id if line.variant else None,
        "quantity": line.quantity,
        "price": _amount(line.seen, currency),
        "currentPrice": _amount(line.current, currency),
        "difference": _amount(line.difference, currency),
        "changed": bool(line.difference),
        "problem": problem_json(line.problem),
    }


def recommendations_json(
    product: selectors.ProductView, quantity: int, found: Recommendations
) -> dict[str, Any]:
    currency = product.currency
    return {
        "productId": product.id,
        "currency": currency,
        "quantity": quantity,
        "quantityBreaks": [
            {
                "variantId": step.variant_id,
                "sku": step.sku,
                "fromQuantity": step.from_quantity,
                "unitPrice": format_amount(step.unit_price, currency),
                "saving": format_amount(step.saving, currency),
            }
            for step in found.breaks
        ],
        "bundles": [
            {
                "bundleId": bundle.id,
                "slug": bundle.slug,
                "name": bundle.name,
                "price": format_amount(bundle.price, currency),
                "partsPrice": format_amount(bundle.parts_price, currency),
                "saving": format_amount(bundle.saving, currency),
            }
            for bundle in found.bundles
        ],
        "promotions": [advertised_json(promotion) for promotion in found.promotions],
    }


def period_json(period: PricePeriod, currency: str) -> dict[str, Any]:
    return {
        "price": format_amount(period.amount, currency),
        "validFrom": timestamp(period.since) if period.since else None,
        "validTo": timestamp(period.until) if period.until else None,
    }


def price_change_json(change: PriceChange) -> dict[str, Any]:
    return {
        "id": change.id,
        "variantId": change.variant_id,
        "sku": change.variant.sku,
        "currency": change.currency,
        "oldPrice": _amount(change.old_amount, change.currency),
        "newPrice": _amount(change.new_amount, change.currency),
        "kind": change.kind,
        "specialPriceId": change.special_id,
        "groupId": change.group_id,
        "fromQuantity": change.from_quantity,
        "validFrom": timestamp(change.valid_from or change.changed_at),
        "validTo": timestamp(change.valid_to) if change.valid_to else None,
        "actor": change.actor,
        "reason": change.reason,
        "changedAt": timestamp(change.changed_at),
    }


# --- routes ---------------------------------------------------------------------------------------


class Question(ApiView):
    """A question open to everybody; nothing is written."""

    permission_classes = [Anyone]


@extend_schema(tags=["products"])
class PricesValidateView(Question):
    @extend_schema(request=SeenItemsInput, responses=PricesValidOutput)
    def post(self, request: Request) -> Response:
        """Say of each line whether the price that the caller knows is still what a unit costs."""
        given = SeenItemsInput.read(request)
        actor = actor_of(request)
        currency = selectors.shown_currency(actor=actor, currency=given.get("currency"))
        found = selectors.compare_prices(
            actor=actor,
            wanted=wanted(given["items"]),
            seen=[item["price"] for item in given["items"]],
            currency=currency,
            now=timezone.now(),
        )
        return Response(
            {
                "valid": all(line.is_right for line in found),
                "currency": currency,
                "results": [
                    {"valid": line.is_right, **compared_json(line, currency)} for line in found
                ],
            }
        )


@extend_schema(tags=["products"])
class CartValueView(Question):
    @extend_schema(request=ValuedItemsInput, responses=ValueOutput)
    def post(self, request: Request) -> Response:
        """
        Return what these lines come to at current prices, with automatic promotions.

        A price in a line changes nothing; where it is not the current one, `warnings` says so.
        """
        given = ValuedItemsInput.read(request)
        actor, now = actor_of(request), timezone.now()
        currency = selectors.shown_currency(actor=actor, currency=given.get("currency"))
        basket = selectors.basket_of(actor=actor, wanted=wanted(given["items"]), currency=currency)
        quote = services.quote(actor=actor, basket=basket, now=now)
        return Response(
            {**value_json(quote), "warnings": list(_price_warnings(given["items"], quote))}
        )


def _price_warnings(items: Sequence[dict[str, Any]], quote: engine.Quote) -> list[dict[str, Any]]:
    """Return a warning for each line whose sent price is not what a unit costs; lines are in the order of the items."""
    found = []
    for index, (item, line) in enumerate(zip(items, quote.lines, strict=True)):
        if "price" not in item and "unit_price" not in item:
            continue
        sent = item.get("price", item.get("unit_price"))
        if sent is None:
            found.append(
                {
                    "code": "PRICE_IGNORED",
                    "index": index,
                    "message": _("Prices are ours to say; what was sent was ignored."),
                    "extra": {"sku": line.sku},
                }
            )
        elif sent != line.unit_price:
            written = quote.format(sent)
            found.append(
                {
                    "code": "PRICE_CHANGED",
                    "index": index,
                    "message": _("This is not the price of %(sku)s now.") % {"sku": line.sku},
                    "extra": {
                        "sku": line.sku,
                        "from": written if Decimal(written) == sent else plain(sent),
                        "to": quote.format(line.unit_price),
                    },
                }
            )
    return found


@extend_schema(tags=["products"])
class PriceRecommendationsView(Question):
    @extend_schema(parameters=[RecommendationsQuery], responses=RecommendationsOutput)
    def get(self, request: Request, ref: str) -> Response:
        """Say how to pay less for a product: more of it at once, a bundle with it, a promotion it is in."""
        given = RecommendationsQuery.read_query(request)
        actor, now = actor_of(request), timezone.now()
        currency = selectors.shown_currency(actor=actor, currency=given.get("currency"))
        product = selectors.product_detail(actor=actor, ref=ref, currency=currency)
        found = selectors.price_recommendations(
            actor=actor, product=product, quantity=given["quantity"], now=now
        )
        content = recommendations_json(product, given["quantity"], found)
        if actor.user_id is not None:  # with prices of one's own: nothing for shared caches
            return Response(content, headers={"Cache-Control": "private, no-store"})
        return public_response(request, content)


@extend_schema(tags=["products"])
class PriceHistoryView(Question):
    @extend_schema(parameters=[CurrencyQuery], responses=PriceHistoryOutput)
    def get(self, request: Request, ref: str) -> Response:
        """
        Return what everybody paid for one unit of each variant, and when, oldest first.

        Prices of groups and from a quantity on are left out, and so is what is only planned.
        """
        given = CurrencyQuery.read_query(request)
        actor, now = actor_of(request), timezone.now()
        currency = selectors.shown_currency(actor=actor, currency=given.get("currency"))
        product = selectors.product_detail(actor=actor, ref=ref, currency=currency)
        found = selectors.price_timelines(
            variant_ids=[variant.id for variant in product.variants], currency=currency, now=now
        )
        content = {
            "productId": product.id,
            "currency": currency,
            "variants": [
                {
                    "variantId": variant.id,
                    "sku": variant.sku,
                    "prices": [
                        period_json(period, currency) for period in found.get(variant.id, ())
                    ],
                }
                for variant in product.variants
            ],
        }
        return public_response(request, content)


@extend_schema(tags=["products"])
class PriceChangesView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "pricing.view_price"}

    @extend_schema(
        operation_id="price_changes_list",
        parameters=[
            PriceChangesQuery,
            OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 100."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` or `previous`."),
        ],
        responses=PriceChangeListOutput,
    )
    def get(self, request: Request) -> Response:
        """List every recorded change of a price, newest first: who, when and why. Staff only."""
        given = PriceChangesQuery.read_query(request)
        rows = selectors.price_changes(actor=actor_of(request))
        if "sku" in given:
            rows = rows.filter(variant__sku=given["sku"])
        if "variant_id" in given:
            rows = rows.filter(variant_id=given["variant_id"])
        if "currency" in given:
            rows = rows.filter(currency=given["currency"])
        return Response(page(rows, request, order=("-changed_at", "-id"), render=price_change_json))


@extend_schema(tags=["taxes"])
class TaxesAtPlaceView(Question):
    @extend_schema(parameters=[TaxPlaceQuery], responses=TaxesAtPlaceOutput)
    def get(self, request: Request) -> Response:
        """List the taxes on each class of goods at a place, as carts are charged them today."""
        where = read_place(**TaxPlaceQuery.read_query(request))
        found = selectors.taxes_at(actor=actor_of(request), place=where, now=timezone.now())
        content = {
            "country": where.country,
            "state": where.state,
            "postalCode": where.postal_code,
            "rates": [
                {
                    "taxClass": tax.tax_class,
                    "name": tax.name,
                    "type": tax.type,
                    "rate": plain(tax.rate),
                    "included": tax.is_included,
                    "compound": tax.is_compound,
                    "onShipping": tax.on_shipping,
                }
                for tax in found
            ],
        }
        return public_response(request, content)
