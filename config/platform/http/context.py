"""What a request says about who sends it: request id, address, guest token, actor."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare
from rest_framework.request import Request

from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.models import User, new_id

NO_COMPANY = UUID(int=0)
GUEST_COOKIE = "hf_session"
GUEST_COOKIE_SALT = "config.platform.guest"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id_of(request: HttpRequest) -> str:
    """Return the caller's `X-Request-ID` where it is a plain one, else a new one."""
    sent = request.META.get("HTTP_X_REQUEST_ID", "")
    return sent if _REQUEST_ID.fullmatch(sent) else new_id().hex


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/") or request.path_info == "/api"


def is_scraper(request: HttpRequest) -> bool:
    """Say whether the inner numbers may be told: to who has `METRICS_TOKEN`, or to private addresses where there is none."""
    token = settings.METRICS_TOKEN
    if token:
        return constant_time_compare(request.META.get("HTTP_AUTHORIZATION", ""), f"Bearer {token}")
    try:
        return ipaddress.ip_network(request.client_address, strict=False).is_private  # type: ignore[attr-defined]
    except ValueError:
        return False


def guest_token(request: HttpRequest | Request) -> str:
    """
    Return the guest token of a request, or "".

    The API reads the header; pages read their signed cookie, and so do the API's safe methods, which a page may call.
    """
    plain: HttpRequest = request._request if isinstance(request, Request) else request
    sent = (
        plain.META.get("HTTP_X_SESSION_TOKEN") or plain.META.get("HTTP_X_SESSION_ID") or ""
    ).strip()
    if sent or (is_api(plain) and plain.method not in SAFE_METHODS):
        return str(sent)
    return str(plain.get_signed_cookie(GUEST_COOKIE, default="", salt=GUEST_COOKIE_SALT) or "")


def set_guest_cookie(response: HttpResponseBase, token: str) -> None:
    """Give a page's visitor the guest token: signed, invisible to scripts, not sent along from other sites."""
    response.set_signed_cookie(
        GUEST_COOKIE,
        token,
        salt=GUEST_COOKIE_SALT,
        max_age=int(settings.CACHE_LIFETIMES["session"].total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def actor_of(request: HttpRequest | Request) -> Actor:
    """Return who acts, resolved once per request and kept on it."""
    plain: Any = request._request if isinstance(request, Request) else request
    found: Actor | None = getattr(plain, "_actor", None)
    if found is None:
        found = plain._actor = _resolve(plain, request.user)
    return found


def forget_actor(request: HttpRequest | Request) -> None:
    """Resolve the actor anew at the next question, after a log-in or log-out within the request."""
    plain: Any = request._request if isinstance(request, Request) else request
    plain._actor = None


def _resolve(request: Any, user: Any) -> Actor:
    token = guest_token(request)
    signed_in = isinstance(user, User) or getattr(user, "is_authenticated", False)
    if signed_in:
        kind = ActorKind.STAFF if user.is_staff else ActorKind.USER
    else:
        kind = ActorKind.GUEST if token else ActorKind.ANONYMOUS
    return Actor(
        kind=kind,
        company_id=getattr(request, "company_id", None) or NO_COMPANY,
        user_id=user.pk if signed_in else None,
        email=user.email if signed_in else "",
        session_hash=hash_token(token) if token else None,
        request_id=getattr(request, "request_id", ""),
        source="api" if is_api(request) else "page",
        address=getattr(request, "client_address", ""),
    )
