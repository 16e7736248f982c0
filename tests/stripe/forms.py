"""Parameters as Stripe takes them: `metadata[a]=b`, `expand[]=x`, `items[0][price]=y`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_PART = re.compile(r"\[([^\]]*)\]")


def parse(text: str) -> dict[str, Any]:
    """Return nested parameters of a query or a form; lists are told by `[]` or by numbers."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, _, _ = name.partition("[")
        path = [head, *_PART.findall(name)]
        _put(found, path, value)
    return {name: _listed(value) for name, value in found.items()}


def _put(into: dict[str, Any], path: list[str], value: str) -> None:
    head, *rest = path
    if not rest:
        into[head] = value
        return
    inner = into.setdefault(head, {})
    if rest[0] == "":
        rest[0] = str(len(inner))
    _put(inner, rest, value)


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_listed(value[name]) for name in sorted(value, key=int)]
    return {name: _listed(inner) for name, inner in value.items()}
