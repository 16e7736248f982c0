"""What staff work from: figures, files, and the list of what to fetch from which shelf."""

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
from config.platform.http.views import ApiViewSet
from orders import selectors
from orders.api.serializers import ListQuery
from orders.days import begin_of, end_of
from orders.rendering import render_analytics, render_picking_task
from orders.selectors.picking import picking_lines, picking_tasks
from orders.selectors.reports import analytics, export_lines


class AnalyticsQuery(Input):
    """`from` and `to` are days in UTC, both included."""

    locals()["from"] = serializers.DateField(required=False)  # a keyword of the language
    to = serializers.DateField(required=False)
    period = serializers.ChoiceField(choices=["day", "week", "month"], required=False)
    currency = serializers.RegexField(r"\A[A-Za-z]{3}\Z", required=False)


class PickingQuery(Input):
    warehouse = serializers.CharField(required=False, max_length=50)


class ReportViewSet(ApiViewSet):
    """Orders as figures and files; staff only."""

    permission_classes = [Staff]
    rights = dict.fromkeys(("analytics", "export", "picking", "picking_file"), "orders.view_order")

    def analytics(self, request: Request) -> Response:
        """Return orders, revenue, averages, rates and best sellers of a period; the last thirty days by default."""
        query = AnalyticsQuery.read_query(request)
        found = analytics(
            actor=actor_of(request),
            first=query.get("from"),
            last=query.get("to") or timezone.now().date(),
            period=query.get("period", "day"),
            currency=query.get("currency", "").upper(),
        )
        return Response(render_analytics(found))

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def export(self, request: Request) -> StreamingHttpResponse:
        """Return the company's orders as CSV; the filters are those of the list."""
        query = ListQuery.read_query(request)
        first, last = query.get("placed_from"), query.get("placed_to")
        orders = selectors.orders_of(
            actor=actor_of(request),
            statuses=query.get("status", ()),
            placed_from=first and begin_of(first),
            placed_to=last and end_of(last),
        )
        return _file(export_lines(orders), f"orders-{timezone.now():%Y-%m-%d}.csv")

    def picking(self, request: Request) -> Response:
        """List what has to be fetched from which warehouse, oldest orders first."""
        query = PickingQuery.read_query(request)
        tasks = picking_tasks(actor=actor_of(request), warehouse=query.get("warehouse", ""))
        return Response(
            {
                "results": [render_picking_task(task) for task in tasks],
                "next": None,
                "previous": None,
            }
        )

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def picking_file(self, request: Request) -> StreamingHttpResponse:
        """Return the picking list as CSV."""
        query = PickingQuery.read_query(request)
        tasks = picking_tasks(actor=actor_of(request), warehouse=query.get("warehouse", ""))
        return _file(picking_lines(tasks), f"picking-{timezone.now():%Y-%m-%d}.csv")


def _file(lines: Any, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
