"""The outermost layer: a request id, the client's address, one log line, and an answer to whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from config.platform import errors, health, limits, metrics
from config.platform.http import problems
from config.platform.http.context import is_api, request_id_of

logger = structlog.get_logger("request")

_BY_STATUS: dict[int, type[errors.ApplicationError]] = {
    400: errors.MalformedRequest,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    429: errors.RateLimited,
    500: errors.InternalError,
}


# Answered before anything else is asked: other middleware needs the database, liveness must not.
LIVENESS = ("/api/health", "/api/v1/health")
# Clients may invent methods, and each would be a series of its own for good.
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}


class RequestMiddleware:
    """Stands first in MIDDLEWARE, so that even the answers of other middleware carry the request id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponseBase:
        started = time.perf_counter()
        request.request_id = request_id_of(request)
        request.client_address = limits.client_address(
            request.META.get("REMOTE_ADDR", ""),
            request.META.get("HTTP_X_FORWARDED_FOR", ""),
            settings.TRUSTED_PROXIES,
        )
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        try:
            response = self._early(request) or self.get_response(request)
            if is_api(request) and response.status_code in _BY_STATUS and not _is_ours(response):
                # Django's own answer to an unknown path, a forbidden host or a crash outside a view.
                allowed = response.headers.get("Allow")
                response = problems.problem(request, _BY_STATUS[response.status_code]())
                if allowed is not None:
                    response.headers["Allow"] = allowed
            response.headers["X-Request-ID"] = request.request_id
            self._tell(request, response, time.perf_counter() - started)
        finally:
            structlog.contextvars.clear_contextvars()
        return response

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """Answer what a page's view refuses or cannot do; what nobody foresaw is left to Django."""
        error = (
            problems.application_error(failure)
            if _is_foreseen(failure) or is_api(request)
            else None
        )
        return problems.problem(request, error) if error else None

    def _early(self, request: HttpRequest) -> HttpResponse | None:
        if request.path in LIVENESS and request.method in ("GET", "HEAD"):
            return JsonResponse(health.liveness())
        if "\x00" in request.path:
            return problems.problem(request, errors.NotFound())
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query or "\x00" in query:
            return problems.problem(
                request, errors.MalformedRequest("The query holds a NUL character.")
            )
        return None

    def _tell(self, request: Any, response: HttpResponseBase, seconds: float) -> None:
        match = getattr(request, "resolver_match", None)
        route = (
            f"/{match.route}"
            if match
            else request.path
            if request.path in LIVENESS
            else "unmatched"
        )
        method = request.method if request.method in METHODS else "other"
        metrics.count_request(method, route, response.status_code, seconds)
        if "health" in request.path:
            return
        actor = getattr(request, "_actor", None)
        logger.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
            actor=actor.label if actor else "",
            company=str(getattr(request, "company_id", None) or ""),
        )


def _is_ours(response: HttpResponseBase) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _is_foreseen(failure: Exception) -> bool:
    from django.db import InterfaceError, OperationalError

    return isinstance(failure, errors.ApplicationError | OperationalError | InterfaceError)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The site's `handler404`."""
    return problems.problem(request, errors.NotFound())


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The site's `handler400`."""
    return problems.problem(request, exception or errors.MalformedRequest())


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The site's `handler403`."""
    return problems.problem(request, errors.Forbidden())


def server_error(request: HttpRequest) -> HttpResponse:
    """The site's `handler500`: a database that is down is told as such, everything else without detail."""
    import sys

    failure = sys.exc_info()[1]
    if failure is not None and _is_foreseen(failure):  # type: ignore[arg-type]
        return problems.problem(request, failure)
    return problems.problem(request, errors.InternalError())
