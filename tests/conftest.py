"""
What every test may ask for. Engines are real: PostgreSQL and Redis, one set of databases per test process.

Nothing runs in the background. A test that wants what a worker would do calls `deliver()`, or the service itself.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client, TransactionTestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from config.environment import required
from config.platform import flags, limits, relay, tokens
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.breaker import Breaker
from config.platform.models import User
from inventory.models import Company
from pricing import selectors as pricing
from tests import emptying, factories, pristine
from tests.paypal import PayPalServer
from tests.paypal import server as paypal_server
from tests.pristine import pytest_sessionfinish
from tests.stripe import StripeServer

__all__ = ["pytest_sessionfinish"]

SECRET = "whsec_of_the_tests"  # what Stripe's stand-in signs with

# The same cases in each run, however long they take: a suite that judges a change must not fail by chance.
hypothesis.register_profile(
    "usual",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
hypothesis.load_profile("usual")
# `--hypothesis-profile=thorough`: tests that know it try many more cases, and new ones each time.
hypothesis.register_profile(
    "thorough", max_examples=2_000, derandomize=False, database=None, deadline=None
)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, django_db_keepdb: bool, django_db_createdb: bool
) -> None:
    """Several test processes copy one migrated database instead of migrating one each."""
    if "PYTEST_XDIST_WORKER" in os.environ and (django_db_createdb or not django_db_keepdb):
        template = pristine.pristine(required("DATABASE_URL"))
        connection.settings_dict["TEST"]["TEMPLATE"] = template


@pytest.fixture(autouse=True, scope="session")
def _emptied_quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Forget what a process remembers between requests, and empty this worker's Redis."""
    flags.forget()
    pricing.forget()
    pricing.forget_catalogue()
    for breaker in Breaker.all.values():
        breaker.reset()
    limits.client().flushdb()
    yield
    flags.forget()


def _remember(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("config.platform.flags.REMEMBERED_SECONDS", 3600)
    patch.setattr("inventory.selectors.companies._COMPANIES_REMEMBERED_SECONDS", 3600)
    # A function of the package has the name of the module.
    patch.setattr(import_module("pricing.selectors.rules"), "_KEPT_SECONDS", 3600)
    patch.setattr("pricing.selectors.catalogue._HOME_SECONDS", 3600)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers for some seconds is not read anew in the midst: for tests that count statements."""
    _remember(monkeypatch)


@pytest.fixture(autouse=True)
def _unhurried_from_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for whoever counts, from the moment they begin: what was read before is not too old on a slow machine."""
    enter = CaptureQueriesContext.__enter__

    def remembering(counting: CaptureQueriesContext) -> CaptureQueriesContext:
        _remember(monkeypatch)
        return enter(counting)

    monkeypatch.setattr(CaptureQueriesContext, "__enter__", remembering)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def company(db: None) -> Company:
    """Return the default company of a single-shop install."""
    found, _ = Company.objects.get_or_create(
        id=Company.DEFAULT_ID, defaults={"name": "Holdfast", "slug": "holdfast", "is_default": True}
    )
    return found


@pytest.fixture
def user(db: None) -> User:
    return factories.make_user()


@pytest.fixture
def staff_user(db: None) -> User:
    return factories.make_staff()


@pytest.fixture
def guest_token() -> str:
    return secrets.token_hex(32)


def actor_for(user: User, company: Company, *, token: str = "") -> Actor:
    """Return the actor that a request of `user` would have."""
    return Actor(
        kind=ActorKind.STAFF if user.is_staff else ActorKind.USER,
        company_id=company.id,
        user_id=user.pk,
        email=user.email,
        session_hash=hash_token(token) if token else None,
        request_id="test",
    )


@pytest.fixture
def actor_guest(company: Company, guest_token: str) -> Actor:
    return Actor(
        kind=ActorKind.GUEST,
        company_id=company.id,
        session_hash=hash_token(guest_token),
        request_id="test",
        address="192.0.2.1",
    )


@pytest.fixture
def actor_user(company: Company, user: User) -> Actor:
    return actor_for(user, company)


@pytest.fixture
def staff(company: Company, staff_user: User) -> Actor:
    return actor_for(staff_user, company)


@pytest.fixture
def system(company: Company) -> Actor:
    return Actor.system(company.id)


class Api:
    """
    Speaks JSON to `/api/v1`: `api.post("/cart/items", {"sku": "A"})`.

    `api.as_user(user)`, `api.as_guest(token)` return a client with those credentials; `key="…"` sends an
    `Idempotency-Key`. A 500 comes back as an answer, not as an exception.
    """

    def __init__(self, **headers: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = headers

    def as_user(self, user: User, *, token: str = "") -> Api:
        pair = tokens.issue(user=user, now=timezone.now())
        extra = {"X-Session-Token": token} if token else {}
        return Api(**self.headers, Authorization=f"Bearer {pair.access}", **extra)

    def as_guest(self, token: str) -> Api:
        return Api(**self.headers, **{"X-Session-Token": token})

    def request(
        self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str
    ) -> Any:
        given = {**self.headers, **headers}
        if key:
            given["Idempotency-Key"] = key
        path = path if path.startswith("/api") else f"/api/v1{path}"
        content = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        return self.client.generic(
            method.upper(),
            path,
            content,
            content_type=given.pop("Content-Type", "application/json"),
            headers=given,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("DELETE", path, body, **headers)


@pytest.fixture
def api(company: Company) -> Api:
    return Api()


@pytest.fixture
def user_api(api: Api, user: User) -> Api:
    return api.as_user(user)


@pytest.fixture
def guest_api(api: Api, guest_token: str) -> Api:
    return api.as_guest(guest_token)


@pytest.fixture
def staff_api(api: Api, staff_user: User) -> Api:
    return api.as_user(staff_user)


@pytest.fixture
def deliver(db: None) -> Callable[..., int]:
    """Return a function that hands due events to their durable consumers, as the relay would."""

    def run(now: datetime | None = None) -> int:
        return relay.relay_due(now=now or timezone.now())

    return run


@pytest.fixture
def rate_limits(settings: Any) -> Iterator[None]:
    """Switch the limits on, which tests have off."""
    settings.RATE_LIMITS = True
    yield
    limits.client().flushdb()


@pytest.fixture
def stripe(settings: Any) -> Iterator[StripeServer]:
    """Return a running stand-in for Stripe, with the shop's keys set for it."""
    server = StripeServer().start()
    settings.STRIPE_SECRET_KEY = "sk_test_" + "k" * 24
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    settings.STRIPE_API_HOST = server.url
    settings.STRIPE_TIMEOUT_SECONDS = 60  # a busy machine is no silence of Stripe's
    yield server
    if server.courier is not None:
        server.courier.wait()  # or what is on its way asks a server that is gone, in the midst of the next test
    server.stop()


@pytest.fixture
def paypal(settings: Any) -> Iterator[PayPalServer]:
    """Return a running stand-in for PayPal, with the shop's credentials set for it."""
    server = PayPalServer().start()
    settings.PAYPAL_CLIENT_ID = paypal_server.CLIENT
    settings.PAYPAL_CLIENT_SECRET = paypal_server.SECRET
    settings.PAYPAL_WEBHOOK_ID = paypal_server.WEBHOOK_ID
    settings.PAYPAL_API_HOST = server.url
    settings.PAYPAL_TIMEOUT_SECONDS = 60
    yield server
    server.wait()
    server.stop()
