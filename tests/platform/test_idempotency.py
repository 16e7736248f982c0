"""Idempotency keys: the first answer again, one execution, nothing readable in the table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from config.platform import idempotency
from config.platform.actor import Actor, ActorKind
from config.platform.errors import IdempotencyConflict, IdempotencyInProgress
from config.platform.models import IdempotencyKey
from tests.platform import probe
from tests.platform.test_http import problem
from tests.threads import together

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.platform.probe")]
ECHO = "/probe/echo"


@pytest.fixture(autouse=True)
def _no_calls():
    probe.calls.clear()


def test_it_gives_the_first_answer_again(api):
    first = api.post(ECHO, {"count": 1, "giftNote": "a"}, key="k")
    again = api.post(ECHO, b'{ "giftNote" : "a", "count":1 }', key="k")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again["Content-Type"] == "application/json"
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    assert again["Cache-Control"] == "no-store"
    assert len(probe.calls) == 1


def test_it_knows_both_names_of_an_address(api):
    first = api.post("/api/v1/probe/echo", {"count": 1}, key="k")
    again = api.post("/api/probe/echo", {"count": 1}, key="k")

    assert again["Idempotent-Replayed"] == "true"
    assert first.content == again.content


def test_it_refuses_the_key_for_anything_else(api):
    api.post(ECHO, {"count": 1}, key="k")

    problem(api.post(ECHO, {"count": 2}, key="k"), 409, "IDEMPOTENCY_CONFLICT")
    problem(api.post(f"{ECHO}?a=1", {"count": 1}, key="k"), 409, "IDEMPOTENCY_CONFLICT")
    assert len(probe.calls) == 1


def test_it_keeps_callers_apart(api, user_api, staff_api, guest_api):
    for caller in (api, user_api, staff_api, guest_api):
        assert "Idempotent-Replayed" not in caller.post(ECHO, {"count": 1}, key="k")
    assert len(probe.calls) == 4


def test_it_stores_refusals_of_the_request_too(api):
    first = api.post(ECHO, {"count": "x"}, key="k")
    again = api.post(ECHO, {"count": "x"}, key="k")

    problem(first, 400, "VALIDATION_ERROR")
    assert again["Content-Type"] == "application/problem+json"
    assert again.content == first.content


@pytest.mark.parametrize("kind", ["bug", "lock", "refusal", "deadlock"])
def test_it_frees_the_key_when_a_repeat_should_try_again(api, kind):
    for _ in range(2):
        response = api.post(f"/probe/crash?kind={kind}", {}, key="k")
        assert "Idempotent-Replayed" not in response
    assert IdempotencyKey.objects.count() == 0
    assert len(probe.calls) == 2


def test_it_asks_for_a_key_where_one_is_required(staff_api):
    problem(staff_api.post("/probe/entries", {}), 400, "IDEMPOTENCY_KEY_REQUIRED")
    assert probe.calls == []
    assert staff_api.post("/probe/entries", {}, key="k").json() == {"made": 1}
    assert staff_api.post("/probe/entries", {}, key="k").json() == {"made": 1}


@pytest.mark.parametrize("key", ["x" * 256, "é", " ", "a\tb", "a\x7f"])
def test_it_refuses_a_key_of_another_form(api, key):
    found = problem(api.post(ECHO, {}, **{"Idempotency-Key": key}), 400, "VALIDATION_ERROR")

    assert found["errors"][0]["field"] == "Idempotency-Key"
    assert probe.calls == []


def test_it_takes_two_statements_with_a_key_and_none_without(api, django_assert_num_queries):
    api.post(ECHO, {})
    with django_assert_num_queries(0):
        api.post(ECHO, {})
    with django_assert_num_queries(2):
        api.post(ECHO, {}, key="k")
    with django_assert_num_queries(2):
        api.post(ECHO, {}, key="k")


def test_it_stores_no_readable_answer(api):
    api.post(ECHO, {"giftNote": "only-for-me"}, key="k")

    row = IdempotencyKey.objects.get()
    assert b"only-for-me" not in bytes(row.response)
    assert (row.state, row.status_code) == ("done", 201)


def test_it_reads_answers_sealed_under_the_secret_before(api, settings):
    api.post(ECHO, {}, key="k")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "n" * 60

    assert api.post(ECHO, {}, key="k")["Idempotent-Replayed"] == "true"
    settings.SECRET_KEY_FALLBACKS = []
    problem(api.post(ECHO, {}, key="k"), 409, "IDEMPOTENCY_CONFLICT")


ACTOR = Actor(kind=ActorKind.ANONYMOUS, company_id=probe.AuditEntry().id, address="192.0.2.7")
DIGEST = b"d" * 32


def claim(now, digest=DIGEST):
    return idempotency.begin(actor=ACTOR, key="k", digest=digest, now=now)


def test_it_tells_the_second_to_wait_and_takes_over_after_a_crash(now):
    first = claim(now)
    with pytest.raises(IdempotencyInProgress) as refused:
        claim(now + timedelta(seconds=59))
    assert refused.value.retry_after == 1
    with pytest.raises(IdempotencyConflict):
        claim(now + timedelta(seconds=61), digest=b"e" * 32)

    second = claim(now + timedelta(seconds=61))

    assert isinstance(second, idempotency.Claim)
    assert second.id != first.id
    assert IdempotencyKey.objects.get().id == second.id


def test_it_lets_a_key_go_after_a_day(api, now):
    api.post(ECHO, {}, key="k")
    IdempotencyKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert "Idempotent-Replayed" not in api.post(ECHO, {"count": 5}, key="k")
    assert len(probe.calls) == 2
    assert idempotency.prune(now=timezone.now() + timedelta(hours=25)) == 1


@pytest.mark.django_db(transaction=True)
def test_it_works_once_when_asked_fifty_times_at_once(now):
    def attempt(index):
        try:
            return claim(now)
        except IdempotencyInProgress:
            return None

    claims = together(20, attempt)

    assert len([found for found in claims if found]) == 1
