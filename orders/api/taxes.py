"""The tax report over HTTP, for staff: the figures, and files that a bookkeeper can keep."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http.authentication import Staff
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.views import ApiView
from orders import taxes
from orders.taxfiles import csv_file, entry_lines, render_row, report_lines, totals_by_currency
from pricing.api.serializers import CurrencyField


class PeriodQuery(Input):
    """Days of UTC, both included; without them it is the month so far. Without a currency it is all of them."""

    date_from = serializers.DateField(required=False)
    date_to = serializers.DateField(required=False)
    currency = CurrencyField(required=False, help_text="ISO 4217; all of them if left out.")


class TaxReportRowOutput(serializers.Serializer):
    currency = serializers.CharField()
    jurisdiction = serializers.CharField(
        help_text="`US-ME`, or `DE` where the state does not matter."
    )
    country = serializers.CharField()
    state = serializers.CharField()
    type = serializers.CharField()
    name = serializers.CharField()
    rate = serializers.CharField()
    relief = serializers.CharField(
        allow_null=True, help_text="Why it was not charged, if it was not."
    )
    base = serializers.CharField()
    collected = serializers.CharField()
    refundedBase = serializers.CharField()
    refunded = serializers.CharField()
    netBase = serializers.CharField()
    net = serializers.CharField()
    orders = serializers.IntegerField()


class TaxReportTotalOutput(serializers.Serializer):
    currency = serializers.CharField()
    collected = serializers.CharField()
    refunded = serializers.CharField()
    net = serializers.CharField()


class TaxReportOutput(serializers.Serializer):
    dateFrom = serializers.DateField()
    dateTo = serializers.DateField()
    rows = TaxReportRowOutput(many=True)
    totals = TaxReportTotalOutput(many=True)


class TaxView(ApiView):
    """What the report and its files share: staff, and the period in the query."""

    permission_classes = [Staff]
    rights = {"get": "orders.view_order"}

    def asked(self, request: Request) -> dict[str, Any]:
        query = PeriodQuery.read_query(request)
        period = taxes.Period.of(
            first=query.get("date_from"),
            last=query.get("date_to"),
            today=timezone.now().date(),
        )
        return {
            "actor": actor_of(request),
            "period": period,
            "currency": query.get("currency", ""),
        }


@extend_schema(tags=["tax"])
class TaxReportView(TaxView):
    @extend_schema(parameters=[PeriodQuery], responses=TaxReportOutput)
    def get(self, request: Request) -> Response:
        """
        Return what each tax came to in a period: collected with confirmed orders, and gone back with refunds. Staff only.

        Rows are by currency, jurisdiction, type, name and rate. Collected minus refunded is net, to the cent.
        """
        asked = self.asked(request)
        rows = taxes.tax_report(**asked)
        return Response(
            {
                "dateFrom": asked["period"].first.isoformat(),
                "dateTo": asked["period"].last.isoformat(),
                "rows": [render_row(row) for row in rows],
                "totals": totals_by_currency(rows),
            }
        )


@extend_schema(tags=["tax"])
class TaxReportFileView(TaxView):
    @extend_schema(parameters=[PeriodQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """The same as a CSV file. Staff only."""
        asked = self.asked(request)
        return csv_file(report_lines(taxes.tax_report(**asked)), "tax", asked["period"])


@extend_schema(tags=["tax"])
class TaxEntriesFileView(TaxView):
    @extend_schema(parameters=[PeriodQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """What the report adds up as a CSV file, a tax of an order or of a refund a line. Staff only."""
        asked = self.asked(request)
        return csv_file(entry_lines(taxes.tax_entries(**asked)), "tax-entries", asked["period"])
