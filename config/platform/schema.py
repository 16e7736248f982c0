"""What the OpenAPI document says about every endpoint: problems, credentials, camelCase names."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from config.platform.http.problems import CONTENT_TYPE, camel

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details; `code` is stable, `detail` is for people.",
    "required": [
        "type",
        "title",
        "status",
        "code",
        "detail",
        "advice",
        "errors",
        "extra",
        "requestId",
    ],
    "properties": {
        "type": {"type": "string", "examples": ["/docs/errors#VALIDATION_ERROR"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "examples": ["VALIDATION_ERROR"]},
        "detail": {"type": "string"},
        "advice": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["items.0.quantity"]},
                    "code": {"type": "string", "examples": ["required"]},
                    "message": {"type": "string"},
                },
            },
        },
        "extra": {"type": "object", "additionalProperties": True},
        "requestId": {"type": "string"},
    },
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Repeat the request with the same key to get the first answer again.",
}


class ApiScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "config.platform.http.authentication.ApiAuthentication"
    name = ["bearer", "guest"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-Session-Token",
                "description": "The guest's token.",
            },
        ]


def keep_v1(endpoints: list[Any]) -> list[Any]:
    """Document each endpoint once: `/api/…` without a version is an alias."""
    return [entry for entry in endpoints if entry[0].startswith("/api/v1/")]


def finish(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add what holds for every endpoint, and spell fields as they travel."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for schema in schemas.values():
        if "properties" in schema:
            schema["properties"] = {
                camel(key): value for key, value in schema["properties"].items()
            }
        if "required" in schema:
            schema["required"] = sorted({camel(key) for key in schema["required"]})
    schemas["Problem"] = PROBLEM
    refused = {
        "description": "Refused; see `code`.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in result.get("paths", {}).values():
        for method, operation in path.items():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            operation["responses"].setdefault("default", refused)
            if method in {"post", "put", "patch", "delete"}:
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    return result
