"""What must hold for every endpoint there is: strict, limited, refusing in one shape, never a 500."""

from __future__ import annotations

import inspect
import re
import uuid
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from config.platform import limits
from config.platform.http.inputs import Input, camel
from config.platform.http.views import ApiMixin
from config.platform.schema import _READ

pytestmark = pytest.mark.django_db
# The library's, which only read; and what providers post to, which has rules of its own.
FOREIGN = {"schema", "docs", "webhooks/<slug:provider>"}
VALUES = [
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    " ",
    "x" * 300,
    "٣",
    "a'b\"<script>",
    [],
    [[]],
    {},
    {"a": {"b": [1]}},
]


def endpoints(patterns: Any = None, prefix: str = "") -> Any:
    """Yield route, view class and its methods by name of the handler, for everything under /api/v1."""
    for entry in patterns if patterns is not None else get_resolver("config.urls").url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if route.startswith("api/v1/") or route in ("", "api/v1/"):
                yield from endpoints(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and route.startswith("api/v1/"):
            view = getattr(entry.callback, "cls", None) or entry.callback
            actions = getattr(entry.callback, "actions", None) or {
                method: method
                for method in ("get", "post", "put", "patch", "delete")
                if hasattr(view, method)
            }
            yield route.removeprefix("api/v1"), view, dict(actions)


ALL = [found for found in endpoints() if found[0].strip("/") not in FOREIGN]
CALLS = [
    pytest.param(route, method, view, name, id=f"{method.upper()} {route}")
    for route, view, actions in ALL
    for method, name in actions.items()
    if method != "head"
]


def path(route: str, value: str = "") -> str:
    def fill(match: re.Match[str]) -> str:
        kind = match[1] or "str"
        return {"uuid:": str(uuid.uuid4()), "int:": "7"}.get(kind, value or "no-such-thing")

    return re.sub(r"<(\w+:)?\w+>", fill, route)


def inputs(view: Any, name: str) -> list[type[Input]]:
    run = inspect.unwrap(getattr(view, name))
    found = []
    for dotted, _ in _READ.findall(inspect.getsource(run)):
        value: Any = run.__globals__
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
        if isinstance(value, type) and issubclass(value, Input):
            found.append(value)
    return found


def check(response: Any, what: Any) -> None:
    assert response.status_code < 500, (what, response.content[:500])
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/problem+json", what
        assert response.json()["code"], what


@pytest.mark.parametrize(("route", "view", "actions"), ALL, ids=[found[0] for found in ALL])
def test_it_stands_on_the_common_base(route, view, actions):
    assert issubclass(view, ApiMixin)
    assert view.permission_classes
    assert set(view.limits.values()) <= set(limits.LIMITS)
    assert not route.endswith("/"), "addresses of the API end without a slash"


def test_it_names_only_actions_that_exist():
    handlers: dict[Any, set[str]] = {}
    for _, view, actions in ALL:
        handlers.setdefault(view, set()).update(actions.values())
    for view, names in handlers.items():
        assert set(view.limits) <= names, view
        if not isinstance(view.idempotency_required, bool):
            assert set(view.idempotency_required) <= names, view


@pytest.mark.parametrize(("route", "method", "view", "name"), CALLS)
def test_it_answers_rubbish_with_a_refusal(
    route, method, view, name, api, guest_api, user_api, staff_api
):
    bodies: list[Any] = [None, b"{", b"[]", b"null", b'{"a": "\\u0000"}', {}, {"no_such_field": 1}]
    for caller in (guest_api, staff_api):
        for body in bodies if method != "get" else [None]:
            check(caller.request(method, path(route), body, key=uuid.uuid4().hex), body)
    for caller in (api, user_api):
        check(caller.request(method, path(route), None if method == "get" else {}), "other callers")
    for value in ("%00", "%FF", "é", "'", "../x", "x" * 500, "-1", "9" * 30):
        check(staff_api.request(method, path(route, value), None if method == "get" else {}), value)
    check(staff_api.request(method, path(route) + "?limit=a&cursor=%FF&page=-1&q=%00x"), "query")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "method", "view", "name"),
    [call for call in CALLS if inputs(call.values[2], call.values[3])],
)
def test_it_survives_any_value_in_any_field(route, method, view, name, guest_api, staff_api):
    for given in inputs(view, name):
        for field in given().fields:
            for value in VALUES:
                for caller in (guest_api, staff_api):
                    if method == "get":
                        text = str(value)
                        answer = caller.client.get(
                            f"/api/v1{path(route)}", {camel(field): text}, headers=caller.headers
                        )
                    else:
                        answer = caller.request(
                            method, path(route), {camel(field): value}, key=uuid.uuid4().hex
                        )
                    check(answer, (field, value))
