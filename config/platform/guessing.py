"""Whom a failed log-in counts against, for the pages and the admin; the API counts for itself in `auth`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest


def name_tried(request: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """Return the name somebody tried to log in with: the admin's form calls it username, the shop's email."""
    given = credentials or request.POST
    name = given.get("username") or given.get("email") or given.get("login") or ""
    return str(name).strip().lower()[:254]


def address_tried(request: HttpRequest) -> str | None:
    """Return the address it came from, an IPv6 one as the first of its network."""
    address = str(getattr(request, "client_address", "")).partition("/")[0]
    return None if address in {"", "unknown"} else address
