"""
Requests and answers as the OpenAPI document shows them.

An app keeps them in `api/examples.py`, as `EXAMPLES` by operation id, beside the views that they belong to. A test
holds each of them against the schema of its operation.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

Examples = dict[str, list[OpenApiExample]]


def sent(value: Any, name: str = "Request", *, media_type: str | None = None) -> OpenApiExample:
    """Return what a caller may send."""
    return OpenApiExample(name, value=value, request_only=True, media_type=media_type)


def answered(
    value: Any, name: str = "Answer", *, status: int = 200, media_type: str | None = None
) -> OpenApiExample:
    """Return what the shop answers to that."""
    return OpenApiExample(
        name, value=value, response_only=True, status_codes=[str(status)], media_type=media_type
    )


def listed(*results: Any, following: str | None = None) -> dict[str, Any]:
    """Return one page of a list; `following` is the address of the next."""
    return {"results": list(results), "next": following, "previous": None}
