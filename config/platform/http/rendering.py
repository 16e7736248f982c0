"""JSON out: compact UTF-8, decimals and ids as strings, times in UTC with Z."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer


def timestamp(moment: dt.datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and Z."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _default(value: Any) -> Any:
    match value:
        case UUID() | Decimal() | Promise():
            return str(value)
        case dt.datetime():
            return timestamp(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return int(value.total_seconds())
        case set() | frozenset() | tuple():
            return list(value)
        case Mapping():
            return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


_encoder = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_default
)


def encode(content: Any) -> bytes:
    return _encoder.encode(content).encode("utf-8", "replace")


class JSONRenderer(BaseRenderer):
    """
    Writes what the view returns, key by key as it is.

    Keys are not rewritten here: product options and metadata carry keys of their own. Views return camelCase dicts,
    or use `Output`, which renames only the fields it declares.
    """

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else encode(data)


class AlwaysJSON(BaseContentNegotiation):
    """The API answers in one language, so `Accept` decides nothing; bodies are of the type that the view reads."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        kind, _, parameters = (request.content_type or "").partition(";")
        named = kind.strip().lower()
        parser = next((one for one in parsers if one.media_type == named), None)
        if "charset" in parameters.lower() and "utf-8" not in parameters.lower():
            return None
        return parser

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class OwnChoice(DefaultContentNegotiation):
    """For documents in several formats: who accepts none of them gets the first, as 406 would tell nothing more."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
