"""Pages of the platform: what a scraper reads, and what an error code means."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from config.platform import devices
from config.platform import metrics as series
from config.platform.errors import NotFound, known_errors
from config.platform.http.context import is_scraper


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format, to a scraper with `METRICS_TOKEN` or from a private address (OBS-04)."""
    if not is_scraper(request):
        raise NotFound
    return HttpResponse(
        series.exposition(now=timezone.now()),
        content_type="text/plain; version=0.0.4; charset=utf-8",
    )


def staff_login(request: HttpRequest) -> HttpResponse:
    """Sign in for the admin, and go there: also where nobody said where to, as customers' sign-in leads to their account."""
    if REDIRECT_FIELD_NAME not in {*request.GET, *request.POST}:
        named = request.GET.copy()
        named[REDIRECT_FIELD_NAME] = reverse("admin:index")
        request.GET = named  # type: ignore[assignment]
    return admin.site.login(request)


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


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sign_ins(request: HttpRequest) -> HttpResponse:
    """Show where this customer is signed in; end one of them, or all others."""
    user: Any = request.user
    now, key = timezone.now(), request.session.session_key or ""
    if request.method == "POST":
        if request.POST.get("do") == "others":
            devices.end_others(user_id=user.pk, session_key=key, now=now)
            messages.success(request, _("Done. You are signed in here only."))
        else:
            devices.end(user_id=user.pk, sign_in_id=_id(request.POST.get("sign_in")), now=now)
            messages.success(request, _("Done. It is signed out."))
        return redirect("page_devices")
    devices.note_browser(request, now=now)
    found = devices.open_sign_ins(user_id=user.pk, session_key=key, now=now)
    return render(
        request,
        "account/devices.html",
        {"devices": found, "others": any(not one.is_current for one in found)},
    )


def _id(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise NotFound from None
