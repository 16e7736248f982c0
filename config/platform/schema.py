"""What the OpenAPI document says about every endpoint: problems, credentials, camelCase names."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import is_list_serializer
from drf_spectacular.types import OpenApiTypes

from config.platform.examples import Examples
from config.platform.http.inputs import Input
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


# A view reads its body by `SomeInput.read(request)`: what the code says is what is documented.
_READ = re.compile(r"\b((?:\w+\.)*\w+)\.(read|load|read_query)\(\s*request\b")


@functools.cache
def _source(run: Any) -> str:
    """
    Return the text of a function, as it was when it was first asked for.

    Nothing where the file has changed so much since it was loaded that the function is not found in it: the document
    then says less, but it is there.
    """
    try:
        return inspect.getsource(run)
    except (OSError, TypeError, SyntaxError, IndexError):
        return ""


class Schema(AutoSchema):
    """
    Documents a view from its own code: the `Input` it reads, the docstring, the path.

    `@extend_schema` on a method says more, and wins.
    """

    def _handler(self) -> Any:
        name = getattr(self.view, "action", None) or self.method.lower()
        return inspect.unwrap(getattr(self.view, name))

    def _inputs(self, *verbs: str) -> list[type[Input]]:
        run = self._handler()
        found = []
        for name, verb in _READ.findall(_source(run)):
            value: Any = getattr(run, "__globals__", {})
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
            if verb in verbs and isinstance(value, type) and issubclass(value, Input):
                found.append(value)
        return found

    def get_request_serializer(self) -> Any:
        found = self._inputs("read", "load")
        return found[0] if found else None

    def get_response_serializers(self) -> Any:
        stated = re.findall(r"\bstatus=(20\d)\b", _source(self._handler()))
        return {
            int(code): None if code == "204" else OpenApiTypes.OBJECT for code in stated or ["200"]
        }

    def get_override_parameters(self) -> list[Any]:
        return list(self._inputs("read_query"))

    def get_operation_id(self) -> str:
        """Return the method and the path, which no two operations share."""
        path = self.path.removeprefix("/api/v1/")
        words = re.sub(r"\{(\w+)\}", r"by_\1", path).replace("-", "_").replace("/", "_")
        return f"{self.method.lower()}_{words}"

    def get_examples(self) -> list[Any]:
        """Return what `examples.py` beside the view's module has for this operation."""
        name = f"{type(self.view).__module__.rpartition('.')[0]}.examples"
        if importlib.util.find_spec(name) is None:
            return []
        found: Examples = importlib.import_module(name).EXAMPLES
        return found.get(self.get_operation_id(), [])

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Return the class's name, with its app in front: two apps may read things of one name."""
        app = type(serializer).__module__.split(".")[0]
        return (
            type(serializer).__name__
            if app == "config"
            else f"{app.title()}{type(serializer).__name__}"
        )

    def _is_list_view(self, serializer: Any = None) -> bool:
        # Lists are objects with `results`; an array is one only where the view says so.
        return serializer is not None and is_list_serializer(serializer)


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
            # Either kind of credentials will do.
            operation["security"] = [
                {scheme: scopes}
                for entry in operation.get("security", [])
                for scheme, scopes in entry.items()
            ] or [{}]
            if method in {"post", "put", "patch", "delete"}:
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    return result
