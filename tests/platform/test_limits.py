"""Limits: exactly as many as allowed, whatever arrives at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.platform import limits
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.errors import DependencyUnavailable, RateLimited
from inventory.models import Company
from tests.platform.test_http import problem
from tests.threads import together

pytestmark = pytest.mark.usefixtures("rate_limits")


def attempt(now, identity="a", **options):
    try:
        limits.hit(
            scope="probe", identity=identity, **{"limit": 5, "window": 60, "now": now, **options}
        )
    except RateLimited as refused:
        return refused
    return None


def test_it_lets_exactly_the_limit_through(now):
    refusals = [attempt(now) for _ in range(7)]

    assert [bool(found) for found in refusals] == [False] * 5 + [True] * 2
    assert refusals[-1].retry_after == 60
    assert refusals[-1].extra == {"limit": 5, "windowSeconds": 60, "scope": "probe"}
    assert attempt(now, identity="b") is None


def test_it_slides_so_that_no_window_holds_more(now):
    for second in (0, 10, 20, 30, 40):
        assert attempt(now + timedelta(seconds=second)) is None

    assert attempt(now + timedelta(seconds=59)).retry_after == 1
    assert attempt(now + timedelta(seconds=61)) is None
    assert attempt(now + timedelta(seconds=62)) is not None


def test_it_does_not_count_what_it_refused(now):
    for _ in range(50):
        attempt(now)

    assert attempt(now + timedelta(seconds=61)) is None


def test_it_lets_exactly_the_limit_through_at_once(now):
    refusals = together(60, lambda index: attempt(now))

    assert len([found for found in refusals if found is None]) == 5


def test_it_counts_against_all_limits_or_none(now):
    small, large = limits.Limit(1, 60), limits.Limit(10, 60)
    limits.hit_all([("large", "a", large), ("small", "a", small)], now=now)

    with pytest.raises(RateLimited) as refused:
        limits.hit_all([("large", "a", large), ("small", "a", small)], now=now)

    assert refused.value.extra["scope"] == "small"
    assert limits.client().zcard(limits.key_of("large", "a")) == 1


def test_it_gives_a_place_back(now):
    for _ in range(20):
        limits.hit(scope="probe", identity="a", limit=1, window=60, now=now).give_back()


def test_it_can_be_switched_off(now, settings):
    settings.RATE_LIMITS = False

    assert [attempt(now) for _ in range(50)] == [None] * 50


def test_it_refuses_an_unknown_scope():
    with pytest.raises(KeyError):
        limits.hit(scope="nobody", identity="a")


def test_it_guards_secrets_and_opens_the_shop_without_redis(now, monkeypatch):
    def fail(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(limits, "_script", lambda: fail)

    limits.hit(scope="add_item", identity="a", now=now)
    for scope in ("login", "apply_discount", "recovery"):
        with pytest.raises(DependencyUnavailable):
            limits.hit(scope=scope, identity="a", now=now)
    assert limits.redis_breaker.is_open


@pytest.mark.parametrize(
    ("scope", "count", "window"),
    [("create_cart", 10, 60), ("add_item", 30, 60), ("apply_discount", 5, 60), ("recovery", 10, 3_600), ("bulk", 10, 60)],
)  # fmt: skip
def test_it_has_the_limits_of_the_contract(scope, count, window):
    assert (limits.LIMITS[scope].count, limits.LIMITS[scope].window) == (count, window)


@pytest.mark.parametrize(
    ("remote", "forwarded", "hops", "expected"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", 0, "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", 3, "203.0.113.9"),
        ("10.0.0.1", "rubbish", 1, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("", "", 0, "unknown"),
    ],
)
def test_it_believes_proxies_only_as_far_as_told(remote, forwarded, hops, expected):
    assert limits.client_address(remote, forwarded, hops) == expected


@pytest.mark.django_db
@pytest.mark.urls("tests.platform.probe")
def test_it_counts_requests_of_an_action(staff_api):
    codes = [
        staff_api.post("/probe/entries", {}, key=f"k{number}").status_code for number in range(32)
    ]

    assert codes == [201] * 30 + [429] * 2
    refused = staff_api.post("/probe/entries", {}, key="k")
    problem(refused, 429, "RATE_LIMITED")
    assert int(refused["Retry-After"]) >= 1
    assert staff_api.get("/probe/entries").status_code == 200


@pytest.mark.django_db
@pytest.mark.urls("tests.platform.probe")
def test_it_counts_page_forms(client, company):
    codes = [client.post("/form/").status_code for _ in range(6)]

    assert codes == [200] * 5 + [429]
    assert client.get("/form/").status_code == 200


@pytest.mark.django_db
@pytest.mark.urls("tests.platform.probe")
def test_it_has_a_general_limit_for_all_else(api, monkeypatch):
    monkeypatch.setitem(limits.LIMITS, "general", limits.Limit(3, 60))

    assert [api.get("/probe/numbers").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert api.get("/health").status_code == 200


def guest(token, address="192.0.2.1"):
    return Actor(
        kind=ActorKind.GUEST,
        company_id=Company.DEFAULT_ID,
        session_hash=hash_token(token),
        address=address,
    )


def test_it_counts_guests_by_address_where_a_new_token_would_be_a_way_round(now):
    for number in range(10):
        limits.count(actor=guest(f"t{number}"), scopes=["create_cart"], now=now)
    with pytest.raises(RateLimited):
        limits.count(actor=guest("t-new"), scopes=["create_cart"], now=now)
    limits.count(actor=guest("t-new", address="192.0.2.2"), scopes=["create_cart"], now=now)


def test_it_lets_an_address_have_ten_guests_at_full_speed_and_no_more(now):
    for number in range(10):
        for _ in range(5):
            limits.count(actor=guest(f"t{number}"), scopes=["apply_discount"], now=now)
        with pytest.raises(RateLimited):
            limits.count(actor=guest(f"t{number}"), scopes=["apply_discount"], now=now)
    with pytest.raises(RateLimited):
        limits.count(actor=guest("t-new"), scopes=["apply_discount"], now=now)
