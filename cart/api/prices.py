"""Prices of the caller's cart, or of lines they name, beside those of now."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors
from cart.api.reading import of_own_cart
from cart.selectors import CartView, LineView
from config.platform.actor import Actor
from config.platform.errors import AuthRequired
from config.platform.http import Anyone, ApiView, Input, actor_of
from inventory.selectors import VariantRef
from pricing import selectors as pricing
from pricing.api.serializers import CurrencyField
from pricing.money import format_amount

MOST_LINES = 100


class SeenLineInput(Input):
    """A line with the price of one unit as the caller knows it, `price` or `unitPrice`."""

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=100, default=1)
    price = serializers.DecimalField(
        max_digits=15, decimal_places=3, min_value=Decimal(0), required=False
    )
    unit_price = serializers.DecimalField(
        max_digits=15, decimal_places=3, min_value=Decimal(0), required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        errors = {}
        if not attrs.keys() & {"sku", "variant_id", "product_id"}:
            errors["sku"] = ["Say which: sku, variantId or productId."]
        if not attrs.keys() & {"price", "unit_price"}:
            errors["price"] = ["The price that you know."]
        if errors:
            raise serializers.ValidationError(errors, code="required")
        return attrs


class ComparePricesInput(Input):
    """Without `items`, the caller's cart is compared, with what each line cost when it was added."""

    currency = CurrencyField(required=False)
    items = SeenLineInput(many=True, required=False, max_length=MOST_LINES, allow_empty=False)


class LineProblemOutput(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    extra = serializers.DictField()


class ComparedLineOutput(serializers.Serializer):
    itemId = serializers.UUIDField(allow_null=True, help_text="Of a line of the cart.")
    productId = serializers.UUIDField(allow_null=True)
    sku = serializers.CharField(allow_null=True)
    variantId = serializers.UUIDField(allow_null=True)
    quantity = serializers.IntegerField()
    price = serializers.CharField(help_text="When it was added, or as the caller knows it.")
    currentPrice = serializers.CharField(allow_null=True, help_text="Null where it is not sold.")
    difference = serializers.CharField(allow_null=True, help_text="Of one unit: now less then.")
    changed = serializers.BooleanField()
    problem = LineProblemOutput(allow_null=True)


class ComparisonOfPricesOutput(serializers.Serializer):
    currency = serializers.CharField()
    changed = serializers.BooleanField()
    results = ComparedLineOutput(many=True)


@extend_schema(tags=["products"])
class ComparePricesView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(request=ComparePricesInput, responses=ComparisonOfPricesOutput)
    def post(self, request: Request) -> Response:
        """
        Set the prices of lines beside those of now, line by line.

        Without `items` they are those of the caller's cart: `price` is what a unit cost when it was added,
        `currentPrice` what it is charged at now, with a promise that still holds and the price of so many.
        """
        given = ComparePricesInput.read(request)
        actor = actor_of(request)
        if "items" in given:
            currency = pricing.shown_currency(actor=actor, currency=given.get("currency"))
            rows = compare_lines(actor, given["items"], currency)
        elif actor.is_known:
            cart = own_cart(actor)
            currency, rows = cart.currency, compare_cart(cart)
        else:
            raise AuthRequired
        return Response(
            {
                "currency": currency,
                "changed": any(row["changed"] for row in rows),
                "results": rows,
            }
        )


def compare_lines(
    actor: Actor, lines: Sequence[dict[str, Any]], currency: str
) -> list[dict[str, Any]]:
    """Return each line's price as the caller knows it beside that of now: two statements."""
    found = pricing.compare_prices(
        actor=actor,
        wanted=[
            pricing.Wanted(
                ref=VariantRef(
                    sku=line.get("sku"),
                    variant_id=line.get("variant_id"),
                    product_id=line.get("product_id"),
                ),
                quantity=line.get("quantity", 1),
            )
            for line in lines
        ],
        seen=[line.get("price", line.get("unit_price")) for line in lines],
        currency=currency,
        now=timezone.now(),
    )
    return [
        _row(
            currency,
            product_id=each.variant.product_id if each.variant else None,
            sku=each.variant.sku if each.variant else None,
            variant_id=each.variant.id if each.variant else None,
            quantity=each.quantity,
            seen=line["price"] if "price" in line else line["unit_price"],
            current=each.current,
            problem=_problem(each.problem.code, each.problem.detail, each.problem.extra)
            if each.problem
            else None,
        )
        for line, each in zip(lines, found, strict=True)
    ]


def own_cart(actor: Actor) -> CartView:
    now = timezone.now()
    return of_own_cart(lambda: selectors.view(actor=actor, now=now), actor=actor, now=now)


def compare_cart(cart: CartView) -> list[dict[str, Any]]:
    """Return what each line of a cart cost when it was added beside what it is charged at now."""
    return [_cart_row(cart.currency, line) for line in cart.items]


def _cart_row(currency: str, line: LineView) -> dict[str, Any]:
    problem = line.problems[0] if line.problems else None
    return _row(
        currency,
        item_id=line.id,
        product_id=line.product_id,
        sku=line.sku,
        variant_id=line.variant_id,
        quantity=line.quantity,
        seen=line.price_when_added,
        current=line.unit_price,
        problem=_problem(problem.code, problem.message, problem.extra) if problem else None,
    )


def _row(
    currency: str,
    *,
    product_id: UUID | None,
    sku: str | None,
    variant_id: UUID | None,
    quantity: int,
    seen: Decimal,
    current: Decimal | None,
    problem: dict[str, Any] | None,
    item_id: UUID | None = None,
) -> dict[str, Any]:
    return {
        "itemId": item_id,
        "productId": product_id,
        "sku": sku,
        "variantId": variant_id,
        "quantity": quantity,
        "price": format_amount(seen, currency),
        "currentPrice": None if current is None else format_amount(current, currency),
        "difference": None if current is None else format_amount(current - seen, currency),
        "changed": current is not None and current != seen,
        "problem": problem,
    }


def _problem(code: str, message: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "message": message, "extra": extra}
