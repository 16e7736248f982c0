"""A client that trusts nothing: each answer is held against the rules before a test sees it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.contract import rules

UNSET: Any = object()


@dataclass
class Api:
    """Speaks to `/api/v1`; `expect` is the status that the answer must have, and the parsed body comes back."""

    base: str
    headers: dict[str, str] = field(default_factory=dict)
    token: str = ""
    email: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        self.http = _pool(self.base)

    def having(self, **headers: str) -> Api:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Api(self.base, {**self.headers, **named}, self.token, self.email, self.password)

    def send(
        self,
        method: str,
        path: str,
        body: Any = UNSET,
        *,
        key: str = "",
        headers: Any = None,
        params: Any = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Return the answer, which has been held against the rules."""
        given = {**self.headers, **(headers or {})}
        if key:
            given["Idempotency-Key"] = key
        if body is not UNSET:
            content = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        url = path if path.startswith(("/api", "http", "//")) else f"/api/v1{path}"
        response = self.http.request(method, url, headers=given, params=params, content=content)
        rules.check(response)
        return response

    def call(self, method: str, path: str, body: Any = UNSET, *, expect: int, **rest: Any) -> Any:
        response = self.send(method, path, body, **rest)
        assert response.status_code == expect, (
            f"{method} {path} {body if body is not UNSET else ''} -> {response.status_code}, not {expect}: "
            f"{response.text[:1500]}"
        )
        return response.json() if response.content else None

    def get(self, path: str, *, expect: int = 200, **rest: Any) -> Any:
        return self.call("GET", path, expect=expect, **rest)

    def post(self, path: str, body: Any = UNSET, *, expect: int = 200, **rest: Any) -> Any:
        return self.call("POST", path, body, expect=expect, **rest)

    def put(self, path: str, body: Any = UNSET, *, expect: int = 200, **rest: Any) -> Any:
        return self.call("PUT", path, body, expect=expect, **rest)

    def patch(self, path: str, body: Any = UNSET, *, expect: int = 200, **rest: Any) -> Any:
        return self.call("PATCH", path, body, expect=expect, **rest)

    def delete(self, path: str, body: Any = UNSET, *, expect: int = 200, **rest: Any) -> Any:
        return self.call("DELETE", path, body, expect=expect, **rest)

    def refused(
        self, code: str, method: str, path: str, body: Any = UNSET, **rest: Any
    ) -> dict[str, Any]:
        """Assert that the call is refused with `code` and the status that goes with it; return the problem."""
        response = self.send(method, path, body, **rest)
        assert response.status_code >= 400, (
            f"{method} {path} {body} -> {response.status_code}, not {code}: {response.text[:600]}"
        )
        problem = response.json()
        assert problem["code"] == code, (
            f"{method} {path} {body} -> {problem['code']}, not {code}: {response.text[:900]}"
        )
        return problem

    def cart(self) -> dict[str, Any]:
        cart = self.get("/cart")
        rules.check_cart(cart)
        return cart

    def add(self, sku: str, quantity: int = 1, **more: Any) -> dict[str, Any]:
        cart = self.post("/cart/items", {"sku": sku, "quantity": quantity, **more}, expect=201)
        rules.check_cart(cart)
        return cart


_pools: dict[str, httpx.Client] = {}


def _pool(base: str) -> httpx.Client:
    if base not in _pools:
        # Cookies would sign one test's pages in with another's session.
        _pools[base] = httpx.Client(
            base_url=base, timeout=120, limits=httpx.Limits(max_connections=60)
        )
    _pools[base].cookies.clear()
    return _pools[base]


def new_key() -> str:
    return secrets.token_hex(12)


def line_of(cart: dict[str, Any], sku: str, name: str = "items") -> dict[str, Any]:
    found = [line for line in cart[name] if line["sku"] == sku]
    assert len(found) == 1, (
        f"{len(found)} lines of {sku} in {name}: {[line['sku'] for line in cart[name]]}"
    )
    return found[0]
