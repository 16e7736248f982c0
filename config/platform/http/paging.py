"""Lists page by page: a cursor names the last row seen, so pages neither skip nor repeat while rows come and go."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from rest_framework.request import Request

from config.platform.errors import FieldError, ValidationFailed

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def page(
    rows: QuerySet[Any] | Sequence[Any],
    request: HttpRequest | Request,
    *,
    order: Sequence[str] = ("-id",),
    render: Callable[[Any], Any] | None = None,
    limit: int = DEFAULT_LIMIT,
) -> dict[str, Any]:
    """
    Return one page as `{"results", "next", "previous"}`, in one statement.

    A queryset is sorted by `order`: names of attributes, never null, the last of them unique. A list keeps its order.
    `render` makes each row's JSON.

    :raises ValidationFailed: if `limit` or `cursor` in the query string is not one of ours
    """
    asked = asked_page(request, limit=limit)
    if isinstance(rows, QuerySet):
        found, more = _slice(rows, order, asked)
        keys = [_key(row, order) for row in (found[:1] + found[-1:])]
    else:
        found, more, keys = _slice_list(rows, asked)
    return page_answer(
        request,
        asked,
        [render(row) for row in found] if render else found,
        keys=(keys[0], keys[-1]) if found else None,
        has_more=more,
    )


@dataclass(frozen=True, slots=True)
class AskedPage:
    """Which page is wanted: up to `size` rows after the one with the key `after`, or before it."""

    size: int
    after: list[Any] | None
    backwards: bool


def asked_page(request: HttpRequest | Request, *, limit: int = DEFAULT_LIMIT) -> AskedPage:
    """
    Return which page the query string asks for, for lists that are not made by a queryset.

    :raises ValidationFailed: if `limit` or `cursor` is not one of ours
    """
    cursor = _read(request.GET.get("cursor"))
    return AskedPage(
        size=_limit(request.GET.get("limit"), limit),
        after=cursor["k"] if cursor else None,
        backwards=bool(cursor and cursor["d"] == "p"),
    )


def page_answer(
    request: HttpRequest | Request,
    asked: AskedPage,
    results: Sequence[Any],
    *,
    keys: tuple[Sequence[Any], Sequence[Any]] | None,
    has_more: bool,
) -> dict[str, Any]:
    """Return `{"results", "next", "previous"}`; `keys` are those of the first and the last row, None if there is none."""
    following = asked.after is not None if asked.backwards else has_more
    preceding = has_more if asked.backwards else asked.after is not None
    return {
        "results": results,
        "next": _url(request, "n", list(keys[1])) if keys and following else None,
        "previous": _url(request, "p", list(keys[0])) if keys and preceding else None,
    }


def _limit(sent: str | None, default: int) -> int:
    if sent is None:
        return default
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 6 and int(sent) >= 1):
        raise _refused("limit", f"A whole number from 1 to {MAX_LIMIT} is needed.")
    return min(int(sent), MAX_LIMIT)


def _refused(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "invalid", message)])


def _read(sent: str | None) -> dict[str, Any] | None:
    if sent is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(sent.encode("ascii") + b"=" * (-len(sent) % 4)))
        if found["d"] in ("n", "p") and isinstance(found["k"], list) and len(sent) < 1_000:
            return dict(found)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _refused("cursor", "This is not a cursor that a list answered with.")


def _url(request: HttpRequest | Request, direction: str, key: list[Any]) -> str:
    text = json.dumps({"d": direction, "k": key}, separators=(",", ":")).encode()
    cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
    query = [
        (name, value)
        for name, values in request.GET.lists()
        for value in values
        if name != "cursor"
    ]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*query, ('cursor', cursor)])}")


def _slice(rows: QuerySet[Any], order: Sequence[str], asked: AskedPage) -> tuple[list[Any], bool]:
    backwards, size = asked.backwards, asked.size
    if asked.after is not None:
        if len(asked.after) != len(order):
            raise _refused("cursor", "This cursor belongs to another list.")
        after, equal = Q(), Q()
        for name, value in zip(order, asked.after, strict=True):
            field, descending = name.lstrip("-"), name.startswith("-")
            sign = "lt" if descending != backwards else "gt"
            after |= equal & Q(**{f"{field}__{sign}": value})
            equal &= Q(**{field: value})
        try:
            rows = rows.filter(after)
        except (ValueError, TypeError, ValidationError):
            raise _refused("cursor", "This cursor belongs to another list.") from None
    turned = (
        [name.lstrip("-") if name.startswith("-") else f"-{name}" for name in order]
        if backwards
        else order
    )
    found = list(rows.order_by(*turned)[: size + 1])
    more = len(found) > size
    found = found[:size]
    return (found[::-1] if backwards else found), more


def _slice_list(rows: Sequence[Any], asked: AskedPage) -> tuple[list[Any], bool, list[list[Any]]]:
    backwards, size = asked.backwards, asked.size
    at = 0
    if asked.after is not None:
        at = asked.after[0] if len(asked.after) == 1 else -1
        if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at <= 10_000_000:
            raise _refused("cursor", "This cursor belongs to another list.")
    start = max(at - size, 0) if backwards else at
    end = at if backwards else start + size
    found = list(rows[start:end])
    more = start > 0 if backwards else len(rows) > end
    return found, more, [[start], [start + len(found)]]


def _key(row: Any, order: Sequence[str]) -> list[Any]:
    return [
        _plain(row[name.lstrip("-")] if isinstance(row, dict) else getattr(row, name.lstrip("-")))
        for name in order
    ]


def _plain(value: Any) -> Any:
    match value:
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat()
        case dt.date() | UUID() | Decimal():
            return str(value)
    return value
