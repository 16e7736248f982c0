"""Pages of the platform: what a scraper reads, and what an error code means."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from config.platform import metrics as series
from config.platform.errors import NotFound, known_errors


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format, to a scraper with `METRICS_TOKEN` or from a private address (OBS-04)."""
    if not _may_scrape(request):
        raise NotFound
    return HttpResponse(
        series.exposition(now=timezone.now()),
        content_type="text/plain; version=0.0.4; charset=utf-8",
    )


def _may_scrape(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    if token:
        return constant_time_compare(request.META.get("HTTP_AUTHORIZATION", ""), f"Bearer {token}")
    try:
        return ipaddress.ip_network(request.client_address, strict=False).is_private  # type: ignore[attr-defined]
    except ValueError:
        return False


def error_codes(request: HttpRequest) -> HttpResponse:
    """List every code the API can answer with; the `type` of a problem points here."""
    codes = [
        {
            "code": error.code,
            "status": error.http_status,
            "title": error.title,
            "message": error.message,
            "advice": error.advice,
        }
        for error in known_errors()
    ]
    return render(request, "platform/errors.html", {"codes": codes})
