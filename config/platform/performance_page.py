"""The page of the back office on which staff see how quick the shop answers at the moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from config.platform import performance
from config.platform.charts import Bar, widths

WINDOWS = (1, 5, 15, 60)
SHOWN_BARS = 10
SLOW_MS, FAILING = 500.0, 0.01


def performance_page(admin: Any, request: HttpRequest, *, now: datetime) -> HttpResponse:
    """Show the figures of the last minutes, the slowest operations, and all of them as a table."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    asked = request.GET.get("minutes", "")
    minutes = next((each for each in WINDOWS if str(each) == asked), performance.DEFAULT_MINUTES)
    found = performance.summary(minutes=minutes, seconds_now=now.timestamp())
    operations = found["operations"]
    timed = [each for each in operations if each["p95Ms"] is not None]
    slowest = sorted(timed, key=lambda each: -each["p95Ms"])[:SHOWN_BARS]
    pool, cache = found["pool"], found["cache"]
    return TemplateResponse(
        request,
        "platform/performance.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("How quick the shop answers"),
            "opts": admin.model._meta,
            "at": now,
            "minutes": minutes,
            "windows": WINDOWS,
            "figures": [
                (_("Requests a second"), f"{found['requestsPerSecond']:.1f}", _("%(n)d in all") % {"n": found["requests"]}),
                (_("Errors of ours"), _percent(found["errorRate"]), _("%(share)s refused") % {"share": _percent(found["clientErrorRate"])}),
                (_("Half within"), _ms(found["p50Ms"]), _("on average %(mean)s") % {"mean": _ms(found["meanMs"])}),
                (_("95 of 100 within"), _ms(found["p95Ms"]), _("99 within %(time)s") % {"time": _ms(found["p99Ms"])}),
                (_("Answers looked up"), "–" if cache["hitRate"] is None else _percent(cache["hitRate"]), _("of those that are kept")),
                (
                    _("Connections"),
                    found["database"]["connections"],
                    _("%(active)d at work, %(most)d at most") % found["database"],
                ),
            ],
            "pool": pool,
            "bars": [
                Bar(
                    label=each["route"],
                    note=each["method"],
                    value=_ms(each["p95Ms"]),
                    width=width,
                    tone="danger" if each["errorRate"] >= FAILING else "warning" if each["p95Ms"] >= SLOW_MS else "",
                )
                for each, width in zip(slowest, widths([each["p95Ms"] for each in slowest]), strict=True)
            ],
            "rows": [
                {
                    **each,
                    "rate": f"{each['requestsPerSecond']:.2f}",
                    "errors": _percent(each["errorRate"]),
                    "p50": _ms(each["p50Ms"]),
                    "p95": _ms(each["p95Ms"]),
                    "p99": _ms(each["p99Ms"]),
                }
                for each in operations
            ],
        },
    )  # fmt: skip


def _ms(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds:,.0f} ms"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
