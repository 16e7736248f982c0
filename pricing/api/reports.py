"""The report of prices over HTTP, for staff."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, Input, Staff, actor_of
from pricing import selectors
from pricing.api.serializers import CurrencyField
from pricing.pricefiles import csv_file, moved_json, report_lines
from pricing.selectors.reports import (
    ALL,
    BASE,
    BY_CATEGORY,
    BY_VARIANT,
    SPECIAL,
    days_of,
    price_report,
)

MOST_ROWS = 1_000
KINDS = [BASE, "scheduled", "break", "group", "group_break"]


class ReportQuery(Input):
    """Days of UTC, both included; without them it is the month so far. `category` is a slug, `product` a slug or a SKU."""

    date_from = serializers.DateField(required=False)
    date_to = serializers.DateField(required=False)
    currency = CurrencyField(required=False)
    by = serializers.ChoiceField(choices=[BY_VARIANT, BY_CATEGORY], required=False)
    prices = serializers.ChoiceField(choices=[ALL, BASE, SPECIAL], required=False)
    category = serializers.CharField(required=False, max_length=120)
    product = serializers.CharField(required=False, max_length=255)


class MovedOutput(serializers.Serializer):
    sku = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    category = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    fromQuantity = serializers.IntegerField()
    group = serializers.CharField(allow_null=True)
    changes = serializers.IntegerField()
    firstPrice = serializers.CharField()
    lastPrice = serializers.CharField(allow_null=True)
    lowestPrice = serializers.CharField()
    highestPrice = serializers.CharField()
    averagePrice = serializers.CharField()
    weightedPrice = serializers.CharField(help_text="The mean over time.")


class PriceReportOutput(serializers.Serializer):
    dateFrom = serializers.DateField()
    dateTo = serializers.DateField()
    currency = serializers.CharField()
    rows = MovedOutput(many=True)
    isComplete = serializers.BooleanField(help_text="False where only the file has all rows.")


class ReportView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "pricing.view_pricechange"}

    def asked(self, request: Request) -> dict[str, Any]:
        query = ReportQuery.read_query(request)
        actor, now = actor_of(request), timezone.now()
        first, last = days_of(
            first=query.pop("date_from", None), last=query.pop("date_to", None), today=now.date()
        )
        currency = selectors.shown_currency(actor=actor, currency=query.pop("currency", None))
        return {"actor": actor, "first": first, "last": last, "currency": currency, "now": now} | (
            query
        )


@extend_schema(tags=["products"])
class PriceReportView(ReportView):
    @extend_schema(parameters=[ReportQuery], responses=PriceReportOutput)
    def get(self, request: Request) -> Response:
        """
        Tell how prices moved in a period, by variant or category: changes, extremes, means. Staff only.

        Scheduled prices, breaks and prices of groups have rows of their own, told apart by `kind`.
        """
        asked = self.asked(request)
        rows = list(islice(price_report(**asked), MOST_ROWS + 1))
        return Response(
            {
                "dateFrom": asked["first"].isoformat(),
                "dateTo": asked["last"].isoformat(),
                "currency": asked["currency"],
                "rows": [moved_json(row, asked["currency"]) for row in rows[:MOST_ROWS]],
                "isComplete": len(rows) <= MOST_ROWS,
            }
        )


@extend_schema(tags=["products"])
class PriceReportFileView(ReportView):
    @extend_schema(parameters=[ReportQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """The same as a CSV file, all rows of it. Staff only."""
        asked = self.asked(request)
        lines = report_lines(price_report(**asked), asked["currency"])
        return csv_file(lines, asked["first"], asked["last"])
