"""
The wire contract, tested as a stranger would: over HTTP and WebSocket, against a shop that runs.

`make test` starts a shop of its own for this suite. For one that runs already, on fresh data and without limits:

    make up RATE_LIMITS=off
    CONTRACT_BASE_URL=http://localhost:8000 .venv/bin/pytest -c tests/contract/pytest.ini tests/contract

Nothing here imports the shop's code. Tests make products of their own, so they do not meet over stock.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract import shop as shops
from tests.contract.client import Api, new_key
from tests.pristine import pytest_sessionfinish

__all__ = ["pytest_sessionfinish"]

CALIFORNIA = {
    "name": "Ada Holm", "line1": "12 Harbour Street", "line2": "", "city": "Los Angeles", "state": "CA",
    "postalCode": "90012", "country": "US", "phone": "+12135550123",
}  # fmt: skip
LONDON = {
    "name": "Ada Holm", "line1": "12 Harbour Street", "line2": "Flat 2", "city": "London", "state": "",
    "postalCode": "SW1A 1AA", "country": "GB", "phone": "+442079460000",
}  # fmt: skip
NOWHERE = {**CALIFORNIA, "city": "McMurdo", "state": "", "postalCode": "96599", "country": "AQ"}


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    """Nothing to forget: the shop is another process."""


@dataclass(frozen=True)
class Shop:
    url: str
    limited_url: str

    @property
    def socket(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws/cart"


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop under test: the one that CONTRACT_BASE_URL names, else one that all test processes share."""
    given = os.environ.get("CONTRACT_BASE_URL", "").rstrip("/")
    if given:
        yield Shop(given, os.environ.get("CONTRACT_LIMITED_URL", "").rstrip("/"))
        return
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with _shared(place / "contract-shop.json") as addresses:
        yield Shop(*addresses)


@contextmanager
def _shared(state: Path) -> Iterator[list[str]]:
    """Start the shop in the first process that asks; that one stops it when the last has left."""
    lock = state.with_suffix(".lock")
    with _locked(lock):
        known = json.loads(state.read_text()) if state.exists() else None
        if known is None:
            running = shops.running()
            known = {"addresses": list(running.__enter__()), "users": 0}
        else:
            running = None
        known["users"] += 1
        state.write_text(json.dumps(known))
    try:
        yield known["addresses"]
    finally:
        with _locked(lock):
            left = json.loads(state.read_text())
            left["users"] -= 1
            state.write_text(json.dumps(left))
        if running is not None:
            deadline = time.monotonic() + 300
            while json.loads(state.read_text())["users"] > 0 and time.monotonic() < deadline:
                time.sleep(0.2)
            state.unlink()
            running.__exit__(None, None, None)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- who asks ---------------------------------------------------------------------------------
@pytest.fixture
def api(shop: Shop) -> Api:
    """Nobody: no credentials."""
    return Api(shop.url)


def new_guest(base: str, currency: str = "USD") -> Api:
    cart = Api(base).post("/public/cart", {"currency": currency}, expect=201)
    return Api(base, {"X-Session-Token": cart["sessionToken"]}, token=cart["sessionToken"])


def log_in(base: str, email: str, password: str) -> Api:
    tokens = Api(base).post("/auth/login", {"email": email, "password": password})
    return Api(
        base, {"Authorization": f"Bearer {tokens['accessToken']}"}, email=email, password=password
    )


def new_user(base: str) -> Api:
    email, password = f"t{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
    response = Api(base).send("POST", "/auth/register", {"email": email, "password": password})
    assert response.status_code in (200, 201, 202), response.text
    access = response.json().get("accessToken")
    if access is None:
        return log_in(base, email, password)
    return Api(base, {"Authorization": f"Bearer {access}"}, email=email, password=password)


@pytest.fixture
def guest(shop: Shop) -> Api:
    return new_guest(shop.url)


@pytest.fixture
def other_guest(shop: Shop) -> Api:
    return new_guest(shop.url)


@pytest.fixture
def user(shop: Shop) -> Api:
    return new_user(shop.url)


@pytest.fixture
def other_user(shop: Shop) -> Api:
    return new_user(shop.url)


@pytest.fixture(scope="session")
def staff(shop: Shop) -> Api:
    return log_in(shop.url, "admin@example.com", "admin")


@pytest.fixture(params=["guest", "user"])
def buyer(request: pytest.FixtureRequest) -> Api:
    """Both kinds of caller: what a route does for one it does for the other."""
    found: Api = request.getfixturevalue(request.param)
    if request.param == "user":
        found.post("/cart", {}, expect=201)
    return found


# --- what is there ----------------------------------------------------------------------------
@dataclass(frozen=True)
class Product:
    id: str
    slug: str
    sku: str
    variant_id: str
    skus: tuple[str, ...]
    variant_ids: tuple[str, ...]


Maker = Callable[..., Product]


def make_product(
    staff: Api,
    *,
    price: str = "10.00",
    quantity: int = 50,
    policy: str = "deny",
    variants: int = 1,
    prices: dict[str, str] | None = None,
    name: str = "",
) -> Product:
    word = secrets.token_hex(5).upper()
    body = staff.post(
        "/products",
        {
            "name": name or f"Probe {word}",
            "slug": f"probe-{word.lower()}",
            "variants": [
                {
                    "sku": f"T-{word}-{number}",
                    "options": {"Size": f"S{number}"} if variants > 1 else {},
                    "prices": prices or {"USD": price},
                    "quantity": quantity,
                    "inventoryPolicy": policy,
                }
                for number in range(variants)
            ],
        },
        expect=201,
    )
    by_sku = {variant["sku"]: variant["id"] for variant in body["variants"]}
    skus = tuple(f"T-{word}-{number}" for number in range(variants))
    ids = tuple(by_sku[sku] for sku in skus)
    return Product(body["id"], body["slug"], skus[0], ids[0], skus, ids)


@pytest.fixture
def product(staff: Api) -> Maker:
    """Return a function that puts a product of the test's own on sale."""

    def make(**given: Any) -> Product:
        return make_product(staff, **given)

    return make


@pytest.fixture
def promotion(staff: Api) -> Callable[..., str]:
    """Return a function that makes a code of the test's own."""

    def make(**given: Any) -> str:
        code = f"T{secrets.token_hex(5).upper()}"
        body = {"code": code, "name": code, "kind": "PERCENTAGE", "scope": "CART", "value": "10"}
        staff.post("/promotions", {**body, **given}, expect=201)
        return code

    return make


@cache
def demo_products(base: str) -> tuple[dict[str, Any], ...]:
    """The demo's products: those that no test made."""
    found: list[dict[str, Any]] = []
    url: str | None = "/products?limit=100"
    while url:
        page = Api(base).get(url)
        found += [one for one in page["results"] if one["category"] and one["images"]]
        url = page["next"]
    return tuple(found)


# --- the journey ------------------------------------------------------------------------------
def open_checkout(
    buyer: Api, *, address: dict[str, str] | None = None, email: str = ""
) -> dict[str, Any]:
    """Open a checkout that lacks nothing."""
    email = email or f"b{secrets.token_hex(5)}@example.com"
    checkout = buyer.post("/checkout/initialize", {"email": email}, expect=201)
    checkout = buyer.patch(
        f"/checkout/{checkout['id']}", {"shippingAddress": address or CALIFORNIA}
    )
    if checkout["shippingOption"] is None and checkout["shippingOptions"]:
        option = checkout["shippingOptions"][0]["id"]
        checkout = buyer.patch(f"/checkout/{checkout['id']}", {"shippingOption": option})
    assert checkout["requirements"] == [], checkout["requirements"]
    return checkout


def pay(buyer: Api, checkout: dict[str, Any], *, method: str = "test", key: str = "") -> Any:
    return buyer.post(
        f"/checkout/{checkout['id']}/payment",
        {"method": method, "quoteId": checkout["quoteId"]},
        key=key or new_key(),
    )


def simulate(
    buyer: Api, payment_id: str, outcome: str = "succeed", delivery: str = "normal"
) -> Any:
    response = buyer.send(
        "POST", f"/payments/{payment_id}/simulate", {"outcome": outcome, "delivery": delivery}
    )
    assert response.status_code in (200, 202), response.text
    return response.json()


def complete(buyer: Api, checkout: dict[str, Any], *, expect: int = 200) -> Any:
    return buyer.post(f"/checkout/{checkout['id']}/complete", {}, key=new_key(), expect=expect)


def buy(buyer: Api, items: dict[str, int], **given: Any) -> dict[str, Any]:
    """Buy `items`; return the confirmed order."""
    for sku, quantity in items.items():
        buyer.add(sku, quantity)
    checkout = open_checkout(buyer, **given)
    opened = pay(buyer, checkout)
    simulate(buyer, opened["payment"]["id"])
    order = complete(buyer, checkout)
    assert order["status"] == "confirmed", order
    return order


def eventually(look: Callable[[], Any], *, seconds: float = 120, what: str = "") -> Any:
    """Return what `look` returns once it is true: for what the workers do."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or look.__name__}"
        time.sleep(0.25)


@pytest.fixture
def pages(shop: Shop) -> Iterator[httpx.Client]:
    """A browser without JavaScript: cookies of its own."""
    with httpx.Client(base_url=shop.url, timeout=120, follow_redirects=True) as browser:
        yield browser
