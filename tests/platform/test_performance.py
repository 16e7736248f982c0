"""How quick the shop answers: what the last minutes counted, by operation, for staff."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from config.platform import kept, limits, metrics, performance
from config.platform.models import User
from inventory.models import Company
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

PATH = "/monitoring/performance"


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    metrics.flush()
    limits.client().flushdb()


@pytest.fixture(autouse=True)
def _the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted at the end of a minute would be looked for in the next one."""
    moment = time.time()
    monkeypatch.setattr(time, "time", lambda: moment)


def counted(method: str, route: str, *answers: tuple[int, float]) -> None:
    for status, seconds in answers:
        metrics.count_request(method, route, status, seconds)


def test_requests_errors_and_percentiles_are_told_by_operation(company: Company) -> None:
    counted("GET", "/api/v1/products", *[(200, 0.02)] * 90, *[(404, 0.2)] * 6, *[(500, 2.0)] * 4)
    counted("POST", '/api/v1/cart/"x"', (201, 0.005))
    now = time.time() // 60 * 60 + 30  # half a minute into this one

    found = performance.summary(minutes=2, seconds_now=now)

    assert (found["windowSeconds"], found["requests"]) == (90, 101)
    assert found["requestsPerSecond"] == round(101 / 90, 3)
    first, second = found["operations"]
    assert (first["method"], first["route"], first["requests"]) == ("GET", "/api/v1/products", 100)
    assert (first["errorRate"], first["clientErrorRate"]) == (0.04, 0.06)
    assert first["meanMs"] == 110.0
    # 90 of 100 took 10 to 25 ms: the 50th lies 50/90 on the way
    assert first["p50Ms"] == pytest.approx(10 + 15 * 50 / 90, abs=0.1)
    assert first["p95Ms"] == pytest.approx(100 + 150 * 5 / 6, abs=0.1)
    assert first["p99Ms"] == pytest.approx(1000 + 1500 * 3 / 4, abs=0.1)
    assert second["route"] == '/api/v1/cart/"x"'


def test_only_the_minutes_that_were_asked_for_count(company: Company) -> None:
    now = time.time()
    counted("GET", "/a", (200, 0.02))
    metrics.flush()

    assert performance.summary(minutes=3, seconds_now=now + 120)["requests"] == 1
    assert performance.summary(minutes=2, seconds_now=now + 180)["requests"] == 0
    [key] = limits.client().keys("*:metrics:*")
    assert 0 < limits.client().ttl(key) <= 61 * 60


def test_nothing_measured_is_no_number_rather_than_zero(company: Company) -> None:
    found = performance.summary(minutes=5, seconds_now=time.time() + 7200)

    assert (found["requests"], found["p95Ms"], found["meanMs"]) == (0, None, None)
    assert found["cache"] == {"hits": 0, "misses": 0, "hitRate": None}
    assert found["operations"] == []


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({0.1: 0, float("inf"): 0}, 0.5, None),
        ({0.1: 10, float("inf"): 10}, 0.5, 0.05),
        ({0.1: 5, 0.2: 10, float("inf"): 10}, 0.5, 0.1),
        ({0.1: 0, 5.0: 1, float("inf"): 10}, 0.99, 5.0),
    ],
    ids=["none", "zero", "within", "edge", "beyond"],
)
def test_percentiles_are_read_evenly_within_a_bucket(
    buckets: dict[float, float], share: float, expected: float | None
) -> None:
    assert performance.percentile(buckets, share) == expected


def test_looked_up_answers_tell_how_often_the_cache_knew(company: Company, settings: Any) -> None:
    settings.CATALOGUE_CACHE = timedelta(minutes=1)
    for _ in range(4):
        kept.recall(company_id=company.id, name="a", make=lambda: {"a": 1})

    found = performance.summary(minutes=1, seconds_now=time.time())

    assert found["cache"] == {"hits": 3, "misses": 1, "hitRate": 0.75}


def test_without_redis_the_page_still_answers(
    staff_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_args: Any, **_options: Any) -> Any:
        raise ConnectionError("redis is away")

    monkeypatch.setattr(limits, "client", down)
    monkeypatch.setattr(limits, "count", lambda **_: None)

    found = performance.summary(minutes=5, seconds_now=time.time())

    assert found["requests"] == 0
    assert found["database"]["connections"] >= 1


def test_staff_with_the_right_see_it_and_others_do_not(
    api: Api, user_api: Api, staff_api: Api
) -> None:
    answer = staff_api.get(f"{PATH}?minutes=1")

    assert answer.status_code == 200, answer.json()
    found = answer.json()
    assert {
        "requestsPerSecond",
        "errorRate",
        "p50Ms",
        "p95Ms",
        "p99Ms",
        "operations",
    } <= found.keys()
    assert found["database"]["most"] > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert [caller.get(PATH).status_code for caller in (api, user_api)] == [401, 403]
    for minutes in ("0", "61", "x", "1.5"):
        assert staff_api.get(f"{PATH}?minutes={minutes}").status_code == 400, minutes


# --- the page -------------------------------------------------------------------------------------


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_page_shows_the_slowest_and_the_busiest(company: Company) -> None:
    counted("GET", "/api/v1/products", *[(200, 0.02)] * 9, (500, 2.0))
    office = signed_in(factories.make_staff(is_superuser=True))

    page = office.get("/admin/platform/jobrun/performance/", {"minutes": "15"})

    text = page.content.decode()
    assert page.status_code == 200
    assert "/api/v1/products" in text
    assert "10.0 %" in text
    assert office.get("/admin/platform/jobrun/performance/", {"minutes": "x"}).status_code == 200
    clerk = factories.make_staff(is_superuser=False)
    assert signed_in(clerk).get("/admin/platform/jobrun/performance/").status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_jobrun"))
    seeing = User.objects.get(pk=clerk.pk)
    assert signed_in(seeing).get("/admin/platform/jobrun/performance/").status_code == 200
