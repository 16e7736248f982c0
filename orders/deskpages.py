"""Pages of the back office beside the list of orders: what to fetch, and what orders came to."""

from __future__ import annotations

from datetime import UTC, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.platform import charts
from config.platform.backoffice import one
from config.platform.charts import Bar
from config.platform.errors import ValidationFailed
from config.platform.http import actor_of
from inventory.models import Warehouse
from orders import documents, selectors
from orders.selectors.picking import PickingTask, picking_lines, picking_tasks
from orders.selectors.reports import Analytics, Period, analytics
from pricing.templatetags.money import money_text

PERIODS: dict[str, Period] = {"day": "day", "week": "week", "month": "month"}


def picking_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Show what has to be fetched, warehouse by warehouse, oldest orders first; `file` gives it as CSV."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    actor = actor_of(request)
    chosen = request.GET.get("warehouse", "")[:50]
    tasks = picking_tasks(actor=actor, warehouse=chosen)
    if request.GET.get("file"):
        response = StreamingHttpResponse(
            picking_lines(tasks), content_type="text/csv; charset=utf-8"
        )
        name = f"picking-{timezone.localdate():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response
    places = Warehouse.objects.filter(company_id=actor.company_id).order_by("priority", "code")
    return TemplateResponse(
        request,
        "orders/admin/picking.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Picking list"),
            "opts": admin.model._meta,
            "places": [
                (_("all"), "?", not chosen),
                *(
                    (place.code, f"?{urlencode({'warehouse': place.code})}", place.code == chosen)
                    for place in places
                ),
            ],
            "lists": [
                {"name": name or _("not there yet"), "orders": _by_order(list(found))}
                for name, found in groupby(tasks, key=lambda task: task.warehouse_name)
            ],
            "file_url": f"?{urlencode({'warehouse': chosen, 'file': 1})}",
        },
    )


def _by_order(tasks: list[PickingTask]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "url": reverse("admin:orders_order_change", args=[found[0].order_id]),
            "ship_url": reverse("admin:orders_order_ship_order", args=[found[0].order_id]),
            "placed_at": found[0].placed_at,
            "shipping": found[0].shipping_name,
            "rows": [
                {
                    "task": task,
                    "options": ", ".join(str(value) for value in task.options.values()),
                }
                for task in found
            ],
        }
        for number, found in (
            (number, list(rows))
            for number, rows in groupby(tasks, key=lambda task: task.order_number)
        )
    ]


def figures_page(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show what the orders of a period came to: the last thirty days unless asked otherwise."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    today = timezone.localdate(timezone=UTC)
    asked = request.GET
    problem = ""
    period = PERIODS.get(asked.get("period", ""), "day")
    try:
        last = parse_date(asked.get("date_to", "")) or today
        first = parse_date(asked.get("date_from", ""))
        currency = asked.get("currency", "").upper()[:3]
        found = analytics(
            actor=actor_of(request), first=first, last=last, period=period, currency=currency
        )
    except (ValidationFailed, ValueError):
        problem = _("These days make no period. Here are the last thirty.")
        period = "day"
        found = analytics(actor=actor_of(request), last=today)
    return TemplateResponse(
        request,
        "orders/admin/figures.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("What orders came to"),
            "opts": admin.model._meta,
            "found": found,
            "period": period,
            "periods": [("day", _("days")), ("week", _("weeks")), ("month", _("months"))],
            "problem": problem,
            "figures": _figures(found),
            "bars": _bars(found),
            "products": [
                {"row": row, "revenue": money_text(row.revenue, found.currency)}
                for row in found.top_products
            ],
        },
    )


def _figures(found: Analytics) -> list[dict[str, Any]]:
    sums = found.totals

    def money(value: Any) -> str:
        return money_text(value, found.currency)

    def percent(rate: Any) -> str:
        return f"{rate * 100:.1f} %"

    return [
        {"label": _("Orders"), "value": sums.orders, "note": _("paid for, %(n)d units") % {"n": sums.units}},
        {"label": _("Revenue"), "value": money(sums.revenue), "note": _("%(m)s gone back") % {"m": money(sums.refunded)}},
        {"label": _("Kept"), "value": money(sums.net), "note": _("revenue less refunds")},
        {"label": _("An order, on average"), "value": money(sums.average(found.currency)), "note": ""},
        {"label": _("Cancelled"), "value": percent(sums.cancellation_rate), "note": ngettext("%(n)d order", "%(n)d orders", sums.cancelled) % {"n": sums.cancelled}},
        {"label": _("Returned"), "value": percent(sums.return_rate), "note": _("%(n)d units") % {"n": sums.returned_units}},
    ]  # fmt: skip


def _bars(found: Analytics) -> list[Bar]:
    address = reverse("admin:orders_order_changelist")
    days = {"day": 1, "week": 7, "month": 31}[found.period]
    bars = []
    widths = charts.widths([float(row.sums.revenue) for row in found.periods])
    for row, width in zip(found.periods, widths, strict=True):
        query = {
            "placed_at__gte": row.start.isoformat(),
            "placed_at__lt": (row.start + timedelta(days=days)).isoformat(),
        }
        bars.append(
            Bar(
                label=date_format(row.start, "SHORT_DATE_FORMAT"),
                note=ngettext("%(n)d order", "%(n)d orders", row.sums.orders)
                % {"n": row.sums.orders},
                value=money_text(row.sums.revenue, found.currency),
                width=width,
                url=f"{address}?{urlencode(query)}",
            )
        )
    return bars


def packing_slip(admin: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """Return the slip that lies in the parcel."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    order = one(admin, request, str(object_id))
    content = documents.packing_slip_pdf(**selectors.packing_slip(order=order))
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="packing-slip-{order.number}.pdf"'
    response["Cache-Control"] = "no-store"
    return response
