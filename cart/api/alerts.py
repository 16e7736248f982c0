"""Price alerts: what has moved since it was added, and being told when a price falls to a target."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors
from cart.api.prices import ComparedLineOutput, compare_cart, compare_lines, own_cart
from cart.errors import CartExpired, CartMerged, CartNotFound
from config.platform import limits
from config.platform.actor import Actor
from config.platform.errors import AuthRequired, ValidationFailed
from config.platform.http import (
    Anyone,
    ApiView,
    Input,
    SignedIn,
    actor_of,
    page,
    page_of,
    timestamp,
)
from config.platform.ids import named_id
from inventory.selectors import VariantRef
from pricing import selectors as pricing
from pricing import services as prices
from pricing.api.serializers import CurrencyField
from pricing.errors import PriceAlertNotFound
from pricing.money import format_amount

MOST_LINES = 100
GUEST_LINES = 5  # each is a mail to an address that nobody has confirmed


def _amount(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=15, decimal_places=3, min_value=Decimal(0), required=False, **options
    )


class AlertLineInput(Input):
    """With `targetPrice` an alert is wanted; `price` is what the caller knows a unit to cost."""

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    target_price = _amount()
    price = _amount()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"sku", "variant_id", "product_id"}:
            raise serializers.ValidationError(
                {"sku": ["Say which: sku, variantId or productId."]}, code="required"
            )
        return attrs


class AlertsInput(Input):
    """Lines under `items`, or one line as the body itself; without any, the caller's cart is looked at."""

    currency = CurrencyField(required=False)
    email = serializers.CharField(required=False, max_length=254, help_text="Of a guest.")
    items = AlertLineInput(many=True, required=False, max_length=MOST_LINES, allow_empty=False)
    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    target_price = _amount()
    price = _amount()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        single = {
            name: attrs.pop(name) for name in AlertLineInput._declared_fields if name in attrs
        }
        if single and "items" in attrs:
            raise serializers.ValidationError(
                {"items": ["Send lines under items, or one line, not both."]}, code="invalid"
            )
        if single:
            if not single.keys() & {"sku", "variant_id", "product_id"}:
                raise serializers.ValidationError(
                    {"sku": ["Say which: sku, variantId or productId."]}, code="required"
                )
            attrs["items"] = [single]
        return attrs


class ConfirmAlertInput(Input):
    token = serializers.CharField(max_length=1_000)


class PriceAlertOutput(serializers.Serializer):
    id = serializers.UUIDField()
    productId = serializers.UUIDField()
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    targetPrice = serializers.CharField()
    currentPrice = serializers.CharField(allow_null=True)
    reached = serializers.BooleanField(help_text="It costs that or less already.")
    createdAt = serializers.DateTimeField()
    toldAt = serializers.DateTimeField(allow_null=True)


class PriceAlertsOutput(serializers.Serializer):
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=["LOOKED", "SUBSCRIBED", "CONFIRMATION_SENT"])
    changes = ComparedLineOutput(many=True)
    alerts = PriceAlertOutput(many=True)


def alert_json(view: pricing.AlertView) -> dict[str, Any]:
    return {
        "id": view.id,
        "productId": view.product_id,
        "variantId": view.variant_id,
        "sku": view.sku,
        "name": view.name,
        "currency": view.currency,
        "targetPrice": format_amount(view.target, view.currency),
        "currentPrice": None if view.price is None else format_amount(view.price, view.currency),
        "reached": view.is_reached,
        "createdAt": timestamp(view.created_at),
        "toldAt": timestamp(view.told_at) if view.told_at else None,
    }


@extend_schema(tags=["products"])
class PriceAlertsView(ApiView):
    permission_classes = [Anyone]
    limits = {"post": "bulk"}

    @extend_schema(responses=page_of(PriceAlertOutput))
    def get(self, request: Request) -> Response:
        """List the caller's price alerts, newest first."""
        actor = actor_of(request)
        if actor.user_id is None:
            raise AuthRequired
        return Response(page(pricing.my_price_alerts(actor=actor), request, render=alert_json))

    @extend_schema(
        request=AlertsInput,
        responses={200: PriceAlertsOutput, 201: PriceAlertsOutput, 202: PriceAlertsOutput},
    )
    def post(self, request: Request) -> Response:
        """
        Say which prices have moved since the lines were added, and set alerts where a `targetPrice` is named.

        Lines without a `price` are compared with those of the caller's cart. 201 with the alerts of a customer; 202 for a
        guest, whose `email` is asked first; 200 where no target was named.
        """
        given = AlertsInput.read(request)
        actor, items = actor_of(request), given.get("items")
        if items is None and not actor.is_known:
            raise AuthRequired
        currency, changes = _changes(actor, items, given.get("currency"))
        wanted = [
            prices.AlertTerms(ref=_ref(item), target=item["target_price"])
            for item in items or ()
            if "target_price" in item
        ]
        answer: dict[str, Any] = {
            "currency": currency,
            "status": "LOOKED",
            "changes": changes,
            "alerts": [],
        }
        if not wanted:
            return Response(answer)
        now = timezone.now()
        if actor.user_id is None:
            _ask(actor, wanted, currency, given.get("email", ""))
            return Response({**answer, "status": "CONFIRMATION_SENT"}, status=202)
        made = prices.subscribe_to_prices(actor=actor, wanted=wanted, currency=currency, now=now)
        ids = {alert.id for alert in made}
        mine = pricing.my_price_alerts(actor=actor)
        alerts = [alert_json(view) for view in mine if view.id in ids]
        return Response({**answer, "status": "SUBSCRIBED", "alerts": alerts}, status=201)


def _ref(item: dict[str, Any]) -> VariantRef:
    return VariantRef(
        sku=item.get("sku"), variant_id=item.get("variant_id"), product_id=item.get("product_id")
    )


def _ask(actor: Actor, wanted: Sequence[prices.AlertTerms], currency: str, email: str) -> None:
    if len(wanted) > GUEST_LINES:
        raise ValidationFailed(
            f"Sign in to set more than {GUEST_LINES} at once.",
        )
    now = timezone.now()
    limits.count(actor=actor, scopes=["back_in_stock"])
    limits.hit(scope="back_in_stock_mail", identity=email.strip().lower()[:254], now=now)
    prices.ask_for_price_alerts(actor=actor, wanted=wanted, currency=currency, email=email, now=now)


def _changes(
    actor: Actor, items: list[dict[str, Any]] | None, currency: str | None
) -> tuple[str, list[dict[str, Any]]]:
    """Return the currency, and the lines whose price is another than the caller knows or than when it was added."""
    if items is None:
        cart = own_cart(actor)
        return cart.currency, [row for row in compare_cart(cart) if row["changed"]]
    there = None
    if actor.is_known:
        with suppress(CartNotFound, CartExpired, CartMerged):
            there = selectors.view(actor=actor, now=timezone.now())
    shown = pricing.shown_currency(
        actor=actor, currency=currency or (there.currency if there else None)
    )
    known = [item for item in items if "price" in item]
    rows = compare_lines(actor, known, shown) if known else []
    if there is not None and there.currency == shown:
        named = [item for item in items if "price" not in item]
        rows += [row for row in compare_cart(there) if _is_named(row, named)]
    return shown, [row for row in rows if row["changed"]]


def _is_named(row: dict[str, Any], items: list[dict[str, Any]]) -> bool:
    return any(
        item.get("sku") == row["sku"]
        or item.get("variant_id") == row["variantId"]
        or item.get("product_id") == row["productId"]
        for item in items
    )


@extend_schema(tags=["products"])
class PriceAlertView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, alert_id: str) -> Response:
        """End a price alert of the caller's own."""
        found = named_id(alert_id, PriceAlertNotFound)
        prices.end_price_alert(actor=actor_of(request), alert_id=found, now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["products"])
class PriceAlertConfirmView(ApiView):
    permission_classes = [Anyone]
    limits = {"post": "back_in_stock"}

    @extend_schema(request=ConfirmAlertInput, responses=PriceAlertOutput)
    def post(self, request: Request) -> Response:
        """Say by the link of the mail that the address is right; repeating it changes nothing."""
        given = ConfirmAlertInput.read(request)
        actor = actor_of(request)
        made = prices.confirm_price_alert(actor=actor, token=given["token"], now=timezone.now())
        view, _row = pricing.price_alert(alert_id=made.id, company_id=actor.company_id)
        return Response(alert_json(view))
