"""api.md §1, §6 and requirements AUTH: who is who, and who may do what."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

import httpx
import pytest

from tests.contract.client import Api, new_key
from tests.contract.conftest import Maker, Shop, log_in, new_guest, new_user

UNKNOWN = "0197a000-0000-7000-8000-000000000000"


def test_logging_in_gives_tokens(api: Api) -> None:
    tokens = api.post("/auth/login", {"email": "customer@example.com", "password": "customer"})

    assert set(tokens) >= {"accessToken", "refreshToken", "expiresIn"}
    assert type(tokens["expiresIn"]) is int
    assert 60 <= tokens["expiresIn"] <= 86400
    assert api.having(Authorization=f"Bearer {tokens['accessToken']}").get("/orders")


@pytest.mark.parametrize(
    ("email", "password"),
    [("customer@example.com", "wrong"), ("nobody@example.com", "customer"), ("customer@example.com", "Customer"),
     ("customer@example.com", "x" * 5000)],
)  # fmt: skip
def test_wrong_credentials_are_one_answer(api: Api, email: str, password: str) -> None:
    response = api.send("POST", "/auth/login", {"email": email, "password": password})

    assert response.status_code in (401, 400)
    if len(password) < 200:
        assert response.json()["code"] == "AUTH_REQUIRED"
        other = api.send("POST", "/auth/login", {"email": "b@example.com", "password": "b"}).json()
        mine = response.json()
        assert {k: mine[k] for k in mine if k != "requestId"} == {k: other[k] for k in other if k != "requestId"}  # fmt: skip


def test_the_case_of_an_email_does_not_matter(api: Api) -> None:
    assert api.post("/auth/login", {"email": "Customer@Example.COM", "password": "customer"})


@pytest.mark.parametrize(
    "body",
    [{"email": "x", "password": "y"}, {"email": 5, "password": "y"}, {"email": "a@example.com"}, {"email": "a@example.com", "password": None},
     {"email": "a@example.com", "password": ["x"]}, {"email": "a@example.com", "password": ""}],
)  # fmt: skip
def test_a_malformed_login_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.send("POST", "/auth/login", body).status_code in (400, 401)


def test_a_token_is_renewed_once(shop: Shop) -> None:
    user = new_user(shop.url)
    api = Api(shop.url)
    tokens = api.post("/auth/login", {"email": user.email, "password": user.password})

    fresh = api.post("/auth/refresh", {"refreshToken": tokens["refreshToken"]})

    assert api.having(Authorization=f"Bearer {fresh['accessToken']}").get("/orders")
    again = api.send("POST", "/auth/refresh", {"refreshToken": tokens["refreshToken"]})
    assert again.status_code == 401, "a refresh token that was used is of no more use"
    for bad in ("x", "a.b.c", tokens["accessToken"], ""):
        response = api.send("POST", "/auth/refresh", {"refreshToken": bad})
        assert response.status_code in (400, 401), bad
    for wrong in (5, None, []):
        assert api.send("POST", "/auth/refresh", {"refreshToken": wrong}).status_code == 400


def test_registering_makes_a_customer(api: Api) -> None:
    email, password = f"n{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)

    response = api.send("POST", "/auth/register", {"email": email, "password": password})

    assert response.status_code in (200, 201, 202)
    user = log_in(api.base, email, password)
    user.refused("FORBIDDEN", "GET", "/inventory")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "x"}, "email"), ({"email": ""}, "email"), ({"password": "short"}, "password"), ({"password": "password"}, "password"),
        ({"password": "12345678901"}, "password"), ({"isStaff": True}, "isStaff"), ({"isSuperuser": True}, "isSuperuser"),
        ({"is_staff": True}, "is_staff"), ({"roles": ["admin"]}, "roles"), ({"email": "a@example.com\r\nBcc: b@c.d"}, "email"),
        ({"password": 12345678901}, "password"), ({"email": "x" * 300 + "@example.com"}, "email"),
    ],
)  # fmt: skip
def test_a_malformed_registration_is_refused(api: Api, change: dict[str, Any], field: str) -> None:
    body = {"email": f"m{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(16)}

    problem = api.refused("VALIDATION_ERROR", "POST", "/auth/register", {**body, **change})

    assert field.lower().replace("_", "") in [
        error["field"].lower().replace("_", "") for error in problem["errors"]
    ]


def test_registering_does_not_tell_who_is_registered(api: Api) -> None:
    response = api.send(
        "POST", "/auth/register", {"email": "customer@example.com", "password": secrets.token_urlsafe(16)},
    )  # fmt: skip

    assert response.status_code in (202, 400, 409)
    assert log_in(api.base, "customer@example.com", "customer")


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_forged_token_opens_nothing(shop: Shop, user: Api, api: Api) -> None:
    good = user.headers["Authorization"].removeprefix("Bearer ")
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    forged = [
        f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        f"{_part({'alg': 'HS512', 'typ': 'JWT'})}.{body}.{signature}",
        f"{_part({'alg': 'RS256', 'typ': 'JWT', 'kid': '../../x'})}.{body}.{signature}",
        f"{head}.{_part({**claims, 'exp': int(time.time()) + 10**6})}.{signature}",
        f"{head}.{_part({**claims, 'is_staff': True, 'roles': ['admin']})}.{signature}",
        f"{head}.{body}.{signature[:-2]}",
        f"{head}.{body}",
        good + "x",
        good.swapcase(),
    ]

    for token in forged:
        found = api.having(Authorization=f"Bearer {token}")
        for method, path in (("GET", "/cart"), ("GET", "/orders"), ("POST", "/cart/items")):
            response = found.send(method, path, *([{"sku": "x"}] if method == "POST" else []))
            assert response.status_code == 401, token
            assert response.headers.get("WWW-Authenticate", "").startswith("Bearer")


def test_a_bad_token_is_not_read_as_nobody(guest: Api) -> None:
    """A guest header beside a broken bearer token must not turn an expired customer into a guest."""
    guest.having(Authorization="Bearer x").refused("AUTH_REQUIRED", "GET", "/cart")


def test_a_refresh_token_is_no_access_token(api: Api, user: Api) -> None:
    tokens = api.post("/auth/login", {"email": user.email, "password": user.password})

    api.having(Authorization=f"Bearer {tokens['refreshToken']}").refused("AUTH_REQUIRED", "GET", "/orders")  # fmt: skip


def test_a_token_in_the_query_is_no_token(api: Api, user: Api) -> None:
    token = user.headers["Authorization"].removeprefix("Bearer ")

    for name in ("token", "access_token", "accessToken", "Authorization", "jwt"):
        api.refused("AUTH_REQUIRED", "GET", f"/orders?{name}={token}")


# --- cookies ----------------------------------------------------------------------------------
def _signed_in(pages: httpx.Client, email: str = "customer@example.com") -> httpx.Client:
    """Sign in a demo log-in: the password is the name before the @."""
    pages.get("/account/login/")
    answer = pages.post(
        "/account/login/",
        data={"login": email, "email": email, "password": email.split("@")[0], "csrfmiddlewaretoken": pages.cookies["csrftoken"]},
        headers={"Referer": str(pages.base_url) + "/account/login/"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert pages.cookies.get("sessionid"), (
        "the session cookie has another name or the log-in failed"
    )
    return pages


def test_the_cookie_alone_writes_nothing_over_the_api(pages: httpx.Client) -> None:
    _signed_in(pages)
    token = pages.cookies["csrftoken"]

    for headers in ({}, {"X-CSRFToken": token}):
        for method, path, body in (
            ("POST", "/api/v1/cart", {}),
            ("POST", "/api/v1/cart/items", {"sku": "x"}),
            ("DELETE", "/api/v1/cart", None),
            ("POST", "/api/v1/checkout/initialize", {}),
            ("POST", "/api/v1/notifications/read-all", {}),
        ):
            answer = pages.request(method, path, json=body, headers=headers)
            assert answer.status_code in (401, 403), f"{method} {path}: {answer.text}"


def test_the_cookies_are_guarded(pages: httpx.Client) -> None:
    _signed_in(pages)

    answer = pages.get("/account/")
    assert answer.status_code == 200
    (cookie,) = [one for one in pages.cookies.jar if one.name == "sessionid"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") in ("Lax", "Strict")


# --- roles ------------------------------------------------------------------------------------
STAFF_ONLY: list[tuple[str, str, Any]] = [
    ("GET", "/inventory", None),
    ("POST", "/inventory", {}),
    ("GET", f"/inventory/{UNKNOWN}/transactions", None),
    ("PUT", f"/inventory/{UNKNOWN}", {}),
    ("POST", f"/inventory/{UNKNOWN}/adjust", {}),
    ("POST", "/products", {}),
    ("PATCH", f"/products/{UNKNOWN}", {}),
    ("DELETE", f"/products/{UNKNOWN}", None),
    ("GET", "/products/inventory/low-stock", None),
    ("GET", "/promotions", None),
    ("POST", "/promotions", {}),
    ("GET", f"/promotions/{UNKNOWN}", None),
    ("PATCH", f"/promotions/{UNKNOWN}", {}),
    ("DELETE", f"/promotions/{UNKNOWN}", None),
    ("GET", "/tax-rates", None),
    ("POST", "/tax-rates", {}),
    ("PATCH", f"/tax-rates/{UNKNOWN}", {}),
    ("DELETE", f"/tax-rates/{UNKNOWN}", None),
    ("GET", "/special-prices", None),
    ("POST", "/special-prices", {}),
    ("DELETE", f"/special-prices/{UNKNOWN}", None),
    ("GET", "/customer-groups", None),
    ("POST", "/customer-groups", {}),
    ("PATCH", f"/customer-groups/{UNKNOWN}", {}),
    ("DELETE", f"/customer-groups/{UNKNOWN}", None),
    ("GET", "/shipping-zones", None),
    ("POST", "/shipping-zones", {}),
    ("GET", "/shipping-rules", None),
    ("POST", "/shipping-rules", {}),
    ("GET", "/cart/config", None),
    ("PUT", "/cart/config", {}),
    ("PATCH", "/cart/config", {}),
    ("PUT", f"/orders/{UNKNOWN}/status", {"status": "shipped"}),
    ("POST", f"/orders/{UNKNOWN}/refund-items", {}),
    ("GET", f"/orders/{UNKNOWN}/edit-history", None),
    ("GET", f"/orders/{UNKNOWN}/status-history", None),
    ("POST", "/payments/capture", {}),
    ("POST", "/payments/refund", {}),
    ("GET", "/notifications/admin/all", None),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), STAFF_ONLY, ids=[f"{one[0]} {one[1]}" for one in STAFF_ONLY]
)
def test_staff_routes_are_401_and_403_to_others(
    api: Api, guest: Api, user: Api, staff: Api, method: str, path: str, body: Any
) -> None:
    given = {} if body is None else {"body": body}

    api.refused("AUTH_REQUIRED", method, path, key=new_key(), **given)
    user.refused("FORBIDDEN", method, path, key=new_key(), **given)
    response = guest.send(method, path, key=new_key(), **given)
    assert response.status_code in (401, 403)
    assert staff.send(method, path, key=new_key(), **given).status_code not in (401, 403)


SIGNED_IN: list[tuple[str, str]] = [
    ("GET", "/orders"),
    ("GET", "/notifications"),
    ("GET", "/notifications/preferences"),
    ("GET", "/notifications/unread-count"),
    ("POST", "/notifications/read-all"),
    ("POST", "/cart/merge"),
    ("POST", "/cart/merge/preview"),
    ("POST", "/checkout/initialize"),
    ("POST", "/orders"),
]


@pytest.mark.parametrize(("method", "path"), SIGNED_IN)
def test_nobody_is_asked_to_sign_in(api: Api, method: str, path: str) -> None:
    api.refused("AUTH_REQUIRED", method, path, key=new_key())


def test_the_public_needs_no_credentials(api: Api) -> None:
    for path in ("/products", "/products/search?q=a", "/products/bundles", "/promotions/active", "/health", "/health/ready"):  # fmt: skip
        api.get(path)


def test_a_customer_does_not_enter_the_admin(pages: httpx.Client) -> None:
    _signed_in(pages)

    answer = pages.get("/admin/")

    assert "/login" in str(answer.url) or answer.status_code == 403


def test_staff_enter_the_admin(pages: httpx.Client) -> None:
    _signed_in(pages, "admin@example.com")

    answer = pages.get("/admin/")

    assert answer.status_code == 200
    assert "/login" not in str(answer.url)


def test_preferences_are_ones_own(user: Api, other_user: Api) -> None:
    before = user.get("/notifications/preferences")
    theirs = other_user.get("/notifications/preferences")

    user.put("/notifications/preferences", before)

    assert user.get("/notifications/preferences") == before
    assert other_user.get("/notifications/preferences") == theirs
    user.refused("VALIDATION_ERROR", "PUT", "/notifications/preferences", {"nothing": 1})


def test_a_user_beside_a_guest_token_is_the_user(shop: Shop, user: Api, product: Maker) -> None:
    guest = new_guest(shop.url)
    guest.add(product().sku)

    both = user.having(X_Session_Token=guest.token)

    assert both.cart()["owner"] == "user"
    assert both.cart()["items"] == []
