"""What the base of the API promises for every endpoint."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from config.logs import masked
from config.platform import audit
from config.platform.http.paging import page
from tests.platform import probe

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.platform.probe")]
ECHO = "/probe/echo"


@pytest.fixture(autouse=True)
def _no_calls():
    probe.calls.clear()


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    found = json.loads(response.content)
    assert set(found) == {
        "type", "title", "status", "code", "detail", "advice", "errors", "extra", "requestId",
    }  # fmt: skip
    assert (found["status"], found["code"], found["type"]) == (status, code, f"/docs/errors#{code}")
    assert found["requestId"] == response["X-Request-ID"]
    return found


def refused_fields(response: Any) -> dict[str, str]:
    found = problem(response, 400, "VALIDATION_ERROR")
    return {entry["field"]: entry["code"] for entry in found["errors"]}


# --- strict JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"count": 1, "count": 2}',
        b'{"metadata": {"a": 1, "a": 1}}',
        b'{"count": NaN}',
        b'{"amount": Infinity}',
        b'{"amount": 1e999}',
        b'{"giftNote": "a\\u0000b"}',
        b'{"metadata": {"a": "\\ud800"}}',
        b'{"metadata": {"\\udc00": 1}}',
        b'{"giftNote": "\xff"}',
        b'{"giftNote": "a\x00b"}',
        b'{"giftNote": "line\nbreak"}',
        b'{"metadata": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"metadata": ' + b'{"a":' * 20 + b"1" + b"}" * 21,
        b'{"count": ' + b"9" * 5_000 + b"}",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b'\xef\xbb\xbf{"count": 1}',
        b'{"count": 1} {}',
    ],
    ids=lambda body: repr(body[:32]),
)
def test_it_refuses_json_that_is_not_strict(api, body):
    response = api.post(ECHO, body)

    if body:  # an empty body is no body at all
        problem(response, 400, "MALFORMED_REQUEST")
        assert probe.calls == []
    else:
        assert response.status_code == 201


def test_it_accepts_escapes_of_real_characters_and_twenty_levels(api):
    nested = b'{"a":' * 18 + b"1" + b"}" * 18

    response = api.post(
        ECHO, b'{"giftNote": "\\ud83d\\ude00 \\u00e9", "metadata": ' + nested + b"}"
    )

    assert response.status_code == 201
    assert response.json()["read"]["gift_note"] == "😀 é"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "",
     "application/json; charset=latin-1"],
)  # fmt: skip
def test_it_takes_nothing_but_json(api, kind):
    problem(api.post(ECHO, b"count=1", **{"Content-Type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_it_refuses_more_than_a_mebibyte(api):
    problem(api.post(ECHO, {"giftNote": "x" * 1_100_000}), 413, "BODY_TOO_LARGE")


def test_it_needs_no_body_where_nothing_is_required(api):
    response = api.post(ECHO, **{"Content-Type": "application/x-www-form-urlencoded"})

    assert response.status_code == 201


# --- strict fields ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0, "min_value"), (-1, "min_value"), (-(2**31), "min_value"), (101, "max_value"), (2**31, "max_value"),
        (2**63, "max_value"), (True, "invalid"), (1.0, "invalid"), (1.5, "invalid"), ("1_000", "invalid"),
        ("٣", "invalid"), ("1", "invalid"), (1e3, "invalid"), ([], "invalid"), ({}, "invalid"), (None, "null"),
    ],
)  # fmt: skip
def test_it_wants_whole_numbers_in_range(api, value, code):
    response = api.post(ECHO, {"items": [{"sku": "A", "quantity": value}]})

    assert refused_fields(response) == {"items.0.quantity": code}
    assert probe.calls == []


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"count": 2**31}, {"count": "max_value"}),
        ({"count": -(2**31) - 1}, {"count": "min_value"}),
        ({"numbers": [1, True]}, {"numbers.1": "invalid"}),
        ({"numbers": ["1", 2, None]}, {"numbers.0": "invalid"}),
        ({"numbers": [2**40]}, {"numbers.0": "max_value"}),
        ({"numbers": 1}, {"numbers": "invalid"}),
        ({"numbers": [True] * 50}, {f"numbers.{place}": "invalid" for place in range(20)}),
        ({"atomic": "true"}, {"atomic": "invalid"}),
        ({"atomic": 1}, {"atomic": "invalid"}),
        ({"giftNote": 5}, {"giftNote": "invalid"}),
        ({"giftNote": None}, {"giftNote": "null"}),
        ({"giftNote": "a\x1b[31mb"}, {"giftNote": "invalid"}),
        ({"giftNote": ["a"]}, {"giftNote": "invalid"}),
        ({"amount": "1_0"}, {"amount": "invalid"}),
        ({"amount": "٣"}, {"amount": "invalid"}),
        ({"amount": "1e3"}, {"amount": "invalid"}),
        ({"amount": True}, {"amount": "invalid"}),
        ({"amount": "1.234"}, {"amount": "invalid"}),
        ({"kind": "c"}, {"kind": "invalid_choice"}),
        ({"kind": []}, {"kind": "invalid"}),
        ({"ref": "no"}, {"ref": "invalid"}),
        ({"ref": 5}, {"ref": "invalid"}),
        ({"metadata": [1]}, {"metadata": "invalid"}),
        ({"metadata": {"a": "x" * 5_000}}, {"metadata": "max_length"}),
        ({"items": {}}, {"items": "invalid"}),
        ({"items": [1]}, {"items.0": "invalid"}),
        ({"items": [{"sku": "A"}, {}]}, {"items.1.sku": "required"}),
        ({"items": [{"sku": ""}]}, {"items.0.sku": "blank"}),
        ({"items": [{"sku": "A" * 11}]}, {"items.0.sku": "max_length"}),
        ({"items": [{"sku": "A", "colour": 1, "quantity": 0}]},
         {"items.0.colour": "unknown_field", "items.0.quantity": "min_value"}),
        ({"isStaff": True}, {"isStaff": "unknown_field"}),
        ({"giftNOTE": "a"}, {"giftNOTE": "unknown_field"}),
        ({"giftNote": "a", "gift_note": "b"}, {"giftNote": "invalid"}),
        ({"": 1}, {"": "unknown_field"}),
    ],
)  # fmt: skip
def test_it_names_each_refused_field(api, body, refused):
    response = api.post(ECHO, body)

    assert refused_fields(response) == refused
    assert probe.calls == []


def test_it_reads_either_spelling_and_drops_what_is_ignored(api):
    response = api.post(
        ECHO, {"gift_note": "hello", "unitPrice": "0.01", "amount": "12.50", "ref": None}
    )

    assert response.status_code == 201
    assert response.json()["read"] == {"gift_note": "hello", "amount": "12.50", "ref": None}
    assert response.json()["dropped"] == ["unit_price"]


# --- problems ---------------------------------------------------------------------------------


def test_it_answers_unknown_paths_and_methods_with_problems(api):
    problem(api.get("/nowhere"), 404, "NOT_FOUND")
    problem(api.get("/probe/mine/"), 404, "NOT_FOUND")
    response = api.delete(ECHO)
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "GET, POST, HEAD"
    problem(api.request("TRACE", ECHO), 405, "METHOD_NOT_ALLOWED")
    problem(api.request("OPTIONS", ECHO), 405, "METHOD_NOT_ALLOWED")
    problem(api.request("PROPFIND", ECHO), 405, "METHOD_NOT_ALLOWED")
    # Words that are methods of the view, but none of HTTP.
    for word in ("DISPATCH", "INITIAL", "PERMISSION_DENIED", "REQUEST", "HTTP_METHOD_NOT_ALLOWED"):
        problem(api.request(word, ECHO), 405, "METHOD_NOT_ALLOWED")


def test_it_never_answers_nul_characters_with_a_crash(api):
    problem(api.get("/probe/%00"), 404, "NOT_FOUND")
    problem(api.get("/probe/numbers?cursor=%00"), 400, "MALFORMED_REQUEST")
    assert api.get("/probe/numbers?limit=%FF").status_code == 400
    assert Client().get("/page/%00").status_code == 404


def test_it_tells_nothing_about_a_crash(api):
    found = problem(api.post("/probe/crash?kind=bug", {}), 500, "INTERNAL_ERROR")

    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize("kind", ["lock", "stood-still"])
def test_it_says_that_a_dependency_is_down(api, kind):
    response = api.post(f"/probe/crash?kind={kind}", {})

    problem(response, 503, "DEPENDENCY_UNAVAILABLE")
    assert response["Retry-After"] == "2"


def test_it_refuses_a_value_the_database_cannot_hold(api):
    problem(api.post("/probe/crash?kind=data", {}), 400, "VALIDATION_ERROR")


def test_it_passes_on_when_to_try_again(api):
    response = api.post("/probe/crash?kind=refusal", {})

    problem(response, 400, "ERROR")
    assert response["Retry-After"] == "3"


def test_it_tells_an_outage_on_pages_too(client):
    response = client.get("/broken/")

    assert response.status_code == 503
    assert response["Retry-After"] == "2"


@pytest.mark.django_db(transaction=True)
def test_it_repeats_a_transaction_that_lost_a_deadlock(api):
    response = api.post("/probe/crash?kind=deadlock-once", {})

    assert response.json() == {"calls": 2}


@pytest.mark.django_db(transaction=True)
def test_it_gives_up_repeating_with_a_conflict(api):
    response = api.post("/probe/crash?kind=deadlock", {})

    problem(response, 409, "CONFLICT")
    assert len(probe.calls) == 3


def test_it_does_not_repeat_inside_a_transaction(api):
    problem(api.post("/probe/crash?kind=deadlock", {}), 409, "CONFLICT")

    assert len(probe.calls) == 1


# --- request id, caching, tags ----------------------------------------------------------------


def test_it_returns_the_request_id_it_was_given_or_a_new_one(api):
    assert api.get(ECHO, **{"X-Request-ID": "abc-123"})["X-Request-ID"] == "abc-123"
    made = api.get(ECHO, **{"X-Request-ID": "not plain\t"})["X-Request-ID"]
    assert len(made) == 32


def test_it_lets_nobody_keep_private_answers(api):
    response = api.get(ECHO)

    assert response["Cache-Control"] == "no-store"
    assert {"Authorization", "X-Session-Token"} <= set(response["Vary"].split(", "))


def test_it_answers_not_modified_to_who_has_the_tag(api):
    assert api.get(ECHO)["ETag"] == '"v7"'
    response = api.get(ECHO, **{"If-None-Match": 'W/"v6", "v7"'})
    assert (response.status_code, response.content) == (304, b"")
    assert api.get(ECHO, **{"If-None-Match": '"v8"'}).status_code == 200


# --- who ----------------------------------------------------------------------------------------


def test_it_knows_guests_users_and_staff(api, user_api, staff_api, guest_api):
    assert api.get(ECHO).json() == {"actor": "anonymous"}
    assert guest_api.get(ECHO).json() == {"actor": "guest"}
    assert api.get(ECHO, **{"X-Session-ID": "short"}).json() == {"actor": "guest"}
    assert api.get(ECHO, **{"X-Session-Token": "  "}).json() == {"actor": "anonymous"}
    assert user_api.get(ECHO).json() == {"actor": "user"}
    assert staff_api.get(ECHO).json() == {"actor": "staff"}


def test_it_tells_missing_credentials_from_missing_rights(api, user_api, guest_api, staff_api):
    response = api.get("/probe/entries")
    problem(response, 401, "AUTH_REQUIRED")
    assert response["WWW-Authenticate"] == "Bearer"
    problem(guest_api.get("/probe/entries"), 401, "AUTH_REQUIRED")
    problem(user_api.get("/probe/entries"), 403, "FORBIDDEN")
    assert list(probe.AuditEntry.objects.values_list("action", "object_id")) == [
        ("access.refused", "/api/v1/probe/entries")
    ]
    assert staff_api.get("/probe/entries").status_code == 200


def test_it_takes_the_session_cookie_for_reading_only(api, user):
    api.client.force_login(user)

    assert api.get("/probe/mine").json() == {"email": user.email}
    problem(api.post("/probe/mine"), 401, "AUTH_REQUIRED")


def test_it_gives_pages_a_signed_cookie_that_scripts_cannot_read(client, guest_token):
    cookie = client.get(f"/page/?give={guest_token}").cookies["hf_session"]

    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert client.get("/page/").content.decode() == f"guest {guest_token}"
    client.cookies["hf_session"] = guest_token
    assert client.get("/page/").content == b"anonymous "


def test_it_does_not_take_the_guest_cookie_for_a_write(api, guest_token):
    api.client.get(f"/page/?give={guest_token}")

    assert api.get(ECHO).json() == {"actor": "guest"}
    problem(api.post("/probe/mine"), 401, "AUTH_REQUIRED")


# --- pages of lists -----------------------------------------------------------------------------


def walk(api: Any, url: str, direction: str = "next") -> list[list[Any]]:
    pages = []
    while url:
        found = api.get(url.replace("http://testserver", "")).json()
        pages.append(found["results"])
        url = found[direction]
    return pages


def test_it_walks_a_list_forwards_and_back(api):
    first = api.get("/probe/numbers").json()
    pages = walk(api, "/probe/numbers")

    assert [len(found) for found in pages] == [10, 10, 5]
    assert list(chain(*pages)) == list(range(25))
    assert first["previous"] is None
    last = api.get(first["next"].replace("http://testserver", "")).json()["next"]
    assert walk(api, last, "previous") == pages[::-1]


def test_it_walks_rows_without_gaps_where_times_are_equal(
    staff_api, staff, now, django_assert_num_queries, rf
):
    for number in range(7):
        at = now - timedelta(seconds=number // 3)
        audit.record(actor=staff, action=f"a{number}", now=at)
    expected = [
        row.action
        for row in sorted(
            probe.AuditEntry.objects.all(),
            key=lambda row: (row.at, UUID(str(row.id))),
            reverse=True,
        )
    ]

    pages = walk(staff_api, "/probe/entries?limit=2")

    assert list(chain(*pages)) == expected
    assert [len(found) for found in pages] == [2, 2, 2, 1]
    second = staff_api.get("/probe/entries?limit=2").json()["next"]
    third = staff_api.get(second.replace("http://testserver", "")).json()
    assert walk(staff_api, third["previous"], "previous") == [expected[:2]]
    with django_assert_num_queries(1):
        page(probe.AuditEntry.objects.all(), rf.get("/?limit=3"))


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=a", "limit=1.0", "limit=٣", "limit=", "cursor=", "cursor=!", "cursor=e30",
     "cursor=eyJkIjoibiIsImsiOlt0cnVlXX0", "cursor=eyJkIjoibiIsImsiOlsxLDIsM119", "cursor=" + "A" * 5_000],
)  # fmt: skip
def test_it_refuses_cursors_and_limits_it_did_not_make(api, staff_api, query):
    problem(api.get(f"/probe/numbers?{query}"), 400, "VALIDATION_ERROR")
    problem(staff_api.get(f"/probe/entries?{query}"), 400, "VALIDATION_ERROR")


def test_it_caps_the_limit(api):
    assert len(api.get("/probe/numbers?limit=999999").json()["results"]) == 25


@pytest.mark.urls("config.urls")
def test_it_explains_every_code_where_problems_point_to(client, company):
    text = client.get("/docs/errors").content.decode()

    for code in ("VALIDATION_ERROR", "CART_NOT_FOUND", "RATE_LIMITED", "IDEMPOTENCY_CONFLICT"):
        assert f'<dt id="{code}">' in text


@pytest.mark.urls("config.urls")
def test_it_answers_the_real_addresses_of_the_platform(api, client):
    for path in (
        "/api/health",
        "/api/v1/health",
        "/api/v1/health/ready",
        "/api/schema",
        "/api/docs",
        "/metrics",
    ):
        assert client.get(path).status_code == 200, path
    problem(api.get("/api/nowhere"), 404, "NOT_FOUND")
    assert client.get("/nowhere").status_code == 404


def test_it_logs_no_row_that_broke_a_constraint():
    text = "IntegrityError: duplicate key\nDETAIL:  Key (lower(email::text))=(a@example.com) already exists.\n"

    assert "a@example.com" not in masked(text)


@pytest.mark.urls("config.urls")
def test_it_serves_no_foreign_host(api, client):
    problem(api.get("/health/ready", Host="evil.example"), 400, "MALFORMED_REQUEST")
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.urls("config.urls")
def test_it_tells_nothing_about_a_crash_outside_the_views(api, monkeypatch):
    def fail(*args):
        raise RuntimeError("secret of the server")

    monkeypatch.setattr("inventory.middleware.selectors.resolve_company", fail)

    found = problem(api.get("/health/ready"), 500, "INTERNAL_ERROR")
    assert "secret" not in json.dumps(found)
