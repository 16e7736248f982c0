"""Exchange rates for staff, and amounts in another currency for everybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import Anyone, ApiView, Input, Staff, actor_of, page, page_of, timestamp
from pricing import selectors, services
from pricing.api.serializers import CurrencyField, amount_field, plain
from pricing.errors import ExchangeRateNotFound
from pricing.models import ExchangeRate
from pricing.money import format_amount


class ExchangeRateInput(Input):
    """Without `validFrom` it begins at once; without `validUntil` it is in force until the next one begins."""

    quote = CurrencyField(help_text="What one unit of the shop's own currency is given in.")
    rate = serializers.DecimalField(max_digits=20, decimal_places=10)
    valid_from = serializers.DateTimeField(required=False, allow_null=True)
    valid_until = serializers.DateTimeField(required=False, allow_null=True)


class ConvertQuery(Input):
    amount = amount_field()
    currency = CurrencyField(required=False, help_text="Of the amount; the shop's own if left out.")
    to = CurrencyField()


class ExchangeRateOutput(serializers.Serializer):
    id = serializers.UUIDField()
    base = serializers.CharField()
    quote = serializers.CharField()
    rate = serializers.CharField(help_text="What one unit of `base` is worth in `quote`.")
    validFrom = serializers.DateTimeField()
    validUntil = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]  # what it is called on the wire


class ConversionOutput(serializers.Serializer):
    amount = serializers.CharField()
    currency = serializers.CharField()
    convertedAmount = serializers.CharField()
    convertedCurrency = serializers.CharField()
    base = serializers.CharField()
    quote = serializers.CharField()
    rate = serializers.CharField(help_text="What one unit of `base` is worth in `quote`.")
    validFrom = serializers.DateTimeField(allow_null=True)


def rate_json(row: ExchangeRate) -> dict[str, Any]:
    return {
        "id": row.id,
        "base": row.base,
        "quote": row.quote,
        "rate": plain(row.rate),
        "validFrom": timestamp(row.valid_from),
        "validUntil": timestamp(row.valid_until) if row.valid_until else None,
        "source": row.source,
    }


@extend_schema(tags=["currencies"])
class ExchangeRatesView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "pricing.view_exchangerate", "post": "pricing.add_exchangerate"}

    @extend_schema(responses=page_of(ExchangeRateOutput))
    def get(self, request: Request) -> Response:
        """List the exchange rates, the latest to begin first. Staff only."""
        rows = selectors.exchange_rates(actor=actor_of(request))
        return Response(page(rows, request, order=("-valid_from", "-id"), render=rate_json))

    @extend_schema(request=ExchangeRateInput, responses={201: ExchangeRateOutput})
    def post(self, request: Request) -> Response:
        """Enter an exchange rate; what has no price of its own in the currency is converted by it. Staff only."""
        terms = services.RateTerms(**ExchangeRateInput.read(request))
        made = services.set_exchange_rate(actor=actor_of(request), terms=terms, now=timezone.now())
        return Response(rate_json(made), status=201)


@extend_schema(tags=["currencies"])
class ExchangeRateView(ApiView):
    permission_classes = [Staff]
    rights = {"delete": "pricing.delete_exchangerate"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, rate_id: str) -> Response:
        """Take back an exchange rate that has not begun. Staff only."""
        try:
            found = UUID(rate_id)
        except ValueError:
            raise ExchangeRateNotFound from None
        services.withdraw_exchange_rate(actor=actor_of(request), rate_id=found, now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["currencies"])
class ConvertView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(
        operation_id="exchange_rates_convert", parameters=[ConvertQuery], responses=ConversionOutput
    )
    def get(self, request: Request) -> Response:
        """Return what an amount comes to in another currency, at the rate that prices are converted by now."""
        actor, given = actor_of(request), ConvertQuery.read_query(request)
        found = selectors.convert_amount(
            actor=actor,
            amount=given["amount"],
            currency=selectors.shown_currency(actor=actor, currency=given.get("currency")),
            into=given["to"],
            now=timezone.now(),
        )
        return Response(
            {
                "amount": format_amount(found.amount, found.currency),
                "currency": found.currency,
                "convertedAmount": format_amount(found.converted, found.into),
                "convertedCurrency": found.into,
                "base": found.base,
                "quote": found.quote,
                "rate": plain(found.rate),
                "validFrom": timestamp(found.valid_from) if found.valid_from else None,
            }
        )
