"""Every failure becomes one shape: RFC 9457 problem details (API-02)."""

from __future__ import annotations

from typing import Any

import redis
import structlog
from django.core import exceptions as core
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import force_str
from rest_framework import exceptions as rest
from rest_framework.exceptions import ErrorDetail

from config.platform import errors
from config.platform.cards import CARD_CODE
from config.platform.errors import ApplicationError, FieldError

logger = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
# The codes of single fields that clients may rely on; DRF's finer ones all say "invalid".
FIELD_CODES = {
    "required", "invalid", "null", "blank", "min_value", "max_value", "min_length", "max_length", "unknown_field",
    "invalid_choice", CARD_CODE,
}  # fmt: skip
# What PostgreSQL says when two transactions are in each other's way: the loser may simply try again.
CONFLICTS = {"40P01", "40001"}
# PostgreSQL ends a transaction that stood still for too long: a process that was frozen, and woke.
STOOD_STILL = "25P03"


def sqlstate(failure: BaseException) -> str:
    return getattr(failure.__cause__, "sqlstate", None) or ""


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def field_errors(detail: Any, path: str = "") -> list[FieldError]:
    """Flatten DRF's nested error detail into dotted camelCase paths such as `items.0.quantity`."""
    if isinstance(detail, dict):
        found = []
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else camel(str(key))
            found += field_errors(value, ".".join(part for part in (path, name) if part))
        return found
    if isinstance(detail, list):
        found = []
        for index, value in enumerate(detail):
            if isinstance(value, dict | list):
                found += field_errors(value, f"{path}.{index}" if path else str(index))
            else:
                found += field_errors(value, path)
        return found
    code = str(getattr(detail, "code", "") or "invalid")
    return [
        FieldError(
            path, code if code in FIELD_CODES or code.isupper() else "invalid", force_str(detail)
        )
    ]


def application_error(failure: BaseException) -> ApplicationError:
    """Return what a client is told about any exception; the unexpected is logged and told without detail."""
    match failure:
        case ApplicationError():
            return failure
        case rest.ValidationError():
            return errors.ValidationFailed(errors=field_errors(failure.detail))
        case core.ValidationError():
            by_field = getattr(failure, "message_dict", None) or {
                "non_field_errors": failure.messages
            }
            detail = {
                key: [ErrorDetail(text, "invalid") for text in texts]
                for key, texts in by_field.items()
            }
            return errors.ValidationFailed(errors=field_errors(detail))
        case rest.ParseError() | core.BadRequest() | core.SuspiciousOperation() if not isinstance(
            failure, core.RequestDataTooBig
        ):
            return errors.MalformedRequest()
        case core.RequestDataTooBig():
            return errors.BodyTooLarge()
        case rest.UnsupportedMediaType():
            return errors.UnsupportedMediaType()
        case rest.MethodNotAllowed():
            return errors.MethodNotAllowed()
        case rest.NotAuthenticated() | rest.AuthenticationFailed():
            return errors.AuthRequired()
        case rest.PermissionDenied() | core.PermissionDenied():
            return errors.Forbidden()
        case Http404() | rest.NotFound() | core.ObjectDoesNotExist():
            return errors.NotFound()
        case rest.Throttled():
            return errors.RateLimited(retry_after=int(getattr(failure, "wait", None) or 1))
        case OperationalError() | InterfaceError() if sqlstate(failure) in CONFLICTS:
            return errors.Conflict(retry_after=1)
        case InternalError() if sqlstate(failure) != STOOD_STILL:
            pass
        case InternalError() | OperationalError() | InterfaceError() | redis.RedisError():
            logger.warning("a dependency failed", reason=repr(failure)[:300])
            return errors.DependencyUnavailable(retry_after=2)
        case DataError():
            # A value that passed our checks and that the database cannot hold; the caller sent it.
            logger.warning("a value did not fit the database", reason=repr(failure)[:300])
            return errors.ValidationFailed("A value is out of range.")
    logger.error("unhandled exception", exc_info=failure)
    return errors.InternalError()


def body(error: ApplicationError, *, request_id: str) -> dict[str, Any]:
    return {
        "type": f"/docs/errors#{error.code}",
        "title": str(error.title),
        "status": error.http_status,
        "code": error.code,
        "detail": str(error.detail),
        "advice": str(error.advice),
        "errors": [
            {"field": entry.field, "code": entry.code, "message": str(entry.message)}
            for entry in error.errors
        ],
        "extra": error.extra,
        "requestId": request_id,
    }


def headers(error: ApplicationError) -> dict[str, str]:
    found = {"Cache-Control": "no-store"}
    if error.http_status == 401:
        found["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        found["Retry-After"] = str(error.retry_after)
    return found


def problem(request: HttpRequest, failure: BaseException) -> HttpResponse:
    """
    Answer a request with a failure: problem details under `/api`, a page elsewhere.

    For middleware and plain views; API views have their exceptions answered for them.
    """
    from config.platform.http.context import is_api
    from config.platform.http.rendering import encode

    error = application_error(failure)
    request_id = getattr(request, "request_id", "")
    if is_api(request):
        content = encode(body(error, request_id=request_id))
        return HttpResponse(
            content, status=error.http_status, content_type=CONTENT_TYPE, headers=headers(error)
        )
    return page(request, error)


def page(request: HttpRequest, error: ApplicationError) -> HttpResponse:
    """Return the page that tells of a failure, from `templates/error.html` where that works."""
    context = {
        "error": error,
        "status": error.http_status,
        "title": error.title,
        "detail": error.detail,
        "advice": error.advice,
        "request_id": getattr(request, "request_id", ""),
    }
    try:
        response = render(request, "error.html", context, status=error.http_status)
    except Exception:  # noqa: BLE001
        # The page of an outage must not need what is out.
        text = f"{error.title}. {error.detail} {error.advice}".strip()
        response = HttpResponse(
            text, status=error.http_status, content_type="text/plain; charset=utf-8"
        )
    for name, value in headers(error).items():
        response.headers[name] = value
    return response
