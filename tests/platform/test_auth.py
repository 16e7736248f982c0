"""Tokens: who gets them, what ends them, and what does not pass for one."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta

import jwt
import pytest
from django.conf import settings
from django.contrib.auth import hashers
from django.http import HttpResponse
from django.utils import timezone

from config.platform import tokens
from config.platform.actor import hash_token
from config.platform.errors import AuthRequired
from config.platform.http import set_guest_cookie
from config.platform.models import LoginSession, OutboxEvent, User
from tests.factories import PASSWORD, make_user
from tests.platform import probe
from tests.threads import together

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.platform.probe")]
MINE = "/probe/mine"


def login(api, email, password=PASSWORD, **headers):
    return api.post("/auth/login", {"email": email, "password": password}, **headers)


def bearer(api, token):
    return api.get(MINE, Authorization=f"Bearer {token}")


def code_of(response):
    return response.status_code, response.json().get("code")


def test_it_exchanges_credentials_for_tokens(api, user):
    answer = login(api, user.email.upper())

    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"accessToken", "refreshToken", "expiresIn"}
    assert body["expiresIn"] == 1800
    claims = jwt.decode(body["accessToken"], options={"verify_signature": False})
    assert (claims["sub"], claims["email"], claims["roles"]) == (
        str(user.pk),
        user.email,
        ["customer"],
    )
    assert bearer(api, body["accessToken"]).json() == {"email": user.email}


def test_it_adds_what_reactions_to_a_sign_in_report(api, user, guest_token, monkeypatch):
    monkeypatch.setattr("config.platform.auth._on_sign_in", [probe.report])

    answer = login(api, user.email, **{"X-Session-Token": guest_token}).json()

    assert answer["merge"] == {"lines": 1}


def test_it_asks_one_statement_to_know_a_caller(user_api, django_assert_num_queries):
    user_api.get(MINE)
    with django_assert_num_queries(1):
        user_api.get(MINE)


def test_it_says_the_same_of_unknown_address_wrong_password_and_disabled_account(api, user):
    make_user(email="gone@example.com", is_active=False)

    answers = [
        login(api, user.email, "wrong"),
        login(api, "nobody@example.com"),
        login(api, "gone@example.com"),
    ]

    bodies = [{**answer.json(), "requestId": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert bodies[0] == bodies[1] == bodies[2]
    assert LoginSession.objects.count() == 0


def test_it_takes_as_long_for_an_unknown_address(api, monkeypatch):
    """What takes long is the hash; it is made as often for one as for the other."""
    hashed = []
    encode = hashers.MD5PasswordHasher.encode

    def counted(self, password, salt):
        hashed.append(password)
        return encode(self, password, salt)

    make_user(email="known@example.com")
    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", counted)

    for email in ("known@example.com", "unknown@example.com"):
        hashed.clear()
        assert login(api, email, "wrong").status_code == 401
        assert hashed == ["wrong"], email


def test_it_registers_a_customer_once_and_announces_it(api):
    body = {"email": "New@Example.com", "password": PASSWORD, "name": "N"}
    answer = api.post("/auth/register", body)

    assert answer.status_code == 201
    assert bearer(api, answer.json()["accessToken"]).json() == {"email": "new@example.com"}
    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["customer.created"]
    again = api.post("/auth/register", {**body, "email": "new@example.COM"})
    assert code_of(again) == (400, "VALIDATION_ERROR")
    assert again.json()["errors"][0]["field"] == "email"
    assert User.objects.count() == 1


@pytest.mark.parametrize("field", ["isStaff", "is_superuser", "priceGroup", "id"])
def test_it_refuses_roles_at_sign_up(api, field):
    answer = api.post(
        "/auth/register", {"email": "a@example.com", "password": PASSWORD, field: True}
    )

    assert answer.json()["errors"] == [
        {"field": field if field != "is_superuser" else "isSuperuser", "code": "unknown_field",
         "message": "This field is not known."}
    ]  # fmt: skip
    assert User.objects.count() == 0


def test_it_refuses_a_weak_password(api):
    answer = api.post("/auth/register", {"email": "a@example.com", "password": "password"})

    assert {entry["field"] for entry in answer.json()["errors"]} == {"password"}
    assert User.objects.count() == 0


# --- what passes for a token --------------------------------------------------------------------


def forged(**changes):
    user = make_user()
    pair = tokens.issue(user=user, now=timezone.now())
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    return {**claims, **changes}


def sign(claims, key=None, algorithm="HS256", **headers):
    return jwt.encode(
        claims, key or settings.SIMPLE_JWT["SIGNING_KEY"], algorithm=algorithm, headers=headers
    )


def unsigned(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def test_it_takes_a_token_that_says_exactly_this(api):
    assert bearer(api, sign(forged())).status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        lambda: unsigned(forged()),
        lambda: sign(forged(), key="another key of sufficient length 0123456789"),
        lambda: sign(forged(), algorithm="HS512"),
        lambda: sign(forged(), key="k" * 40, kid="../../dev/null"),
        lambda: sign(forged(iss="somebody")),
        lambda: sign(forged(nbf=int(time.time()) + 3_600)),
        lambda: sign(forged(sid="no-uuid")),
        lambda: sign(forged(sid=str(probe.AuditEntry().id))),
        lambda: sign({key: value for key, value in forged().items() if key != "sid"}),
        lambda: sign(forged(token_type="refresh")),
        lambda: sign(forged())[:-2] + "AA",
        lambda: tokens.issue(user=make_user(), now=timezone.now()).refresh,
        lambda: "null",
        lambda: "a.b.c",
        lambda: "é",
        lambda: "x" * 9_000,
    ],
    ids=["none", "other-key", "other-algorithm", "kid", "issuer", "not-yet", "sid-form", "sid-unknown", "no-sid",
         "type", "signature", "refresh-token", "null", "shape", "latin", "long"],
)  # fmt: skip
def test_it_refuses_what_only_looks_like_a_token(api, token):
    assert code_of(bearer(api, token())) == (401, "AUTH_REQUIRED")


def test_it_tells_an_expired_token_from_a_wrong_one(api, user):
    pair = tokens.issue(user=user, now=timezone.now() - timedelta(hours=1))

    response = bearer(api, pair.access)

    assert code_of(response) == (401, "TOKEN_EXPIRED")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "token"])
def test_it_refuses_other_schemes(api, header):
    assert code_of(api.get(MINE, Authorization=header)) == (401, "AUTH_REQUIRED")


def test_it_does_not_read_a_token_from_the_address(api, user):
    pair = tokens.issue(user=user, now=timezone.now())

    assert code_of(api.get(f"{MINE}?access_token={pair.access}&token={pair.access}")) == (
        401,
        "AUTH_REQUIRED",
    )


def test_it_asks_the_row_who_is_staff(api, staff_user):
    pair = tokens.issue(user=staff_user, now=timezone.now())
    User.objects.update(is_staff=False)

    response = api.get("/probe/entries", Authorization=f"Bearer {pair.access}")

    assert code_of(response) == (403, "FORBIDDEN")


# --- renewing and ending ------------------------------------------------------------------------


def refresh(api, token):
    return api.post("/auth/refresh", {"refreshToken": token})


def test_it_renews_a_token_once_and_ends_the_sign_in_when_it_is_used_twice(api, user):
    first = login(api, user.email).json()
    second = refresh(api, first["refreshToken"]).json()
    assert bearer(api, second["accessToken"]).status_code == 200

    assert code_of(refresh(api, first["refreshToken"])) == (401, "AUTH_REQUIRED")

    assert code_of(refresh(api, second["refreshToken"])) == (401, "AUTH_REQUIRED")
    assert code_of(bearer(api, second["accessToken"])) == (401, "AUTH_REQUIRED")
    assert login(api, user.email).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_it_renews_once_when_a_token_is_used_twice_at_once(user, now):
    token = tokens.issue(user=user, now=now).refresh

    def attempt(index):
        try:
            return tokens.refresh(token=token, now=now)
        except AuthRequired:
            return None

    pairs = [pair for pair in together(4, attempt) if pair]

    assert len(pairs) == 1
    assert LoginSession.objects.get().revoked_at == now
    with pytest.raises(AuthRequired):
        tokens.authenticate(pairs[0].access)


def test_it_ends_both_tokens_at_log_out(api, user):
    pair = login(api, user.email).json()
    other = login(api, user.email).json()

    assert (
        api.post("/auth/logout", Authorization=f"Bearer {pair['accessToken']}").status_code == 204
    )

    assert code_of(bearer(api, pair["accessToken"])) == (401, "AUTH_REQUIRED")
    assert code_of(refresh(api, pair["refreshToken"])) == (401, "AUTH_REQUIRED")
    assert bearer(api, other["accessToken"]).status_code == 200


def test_it_logs_out_by_refresh_token_and_asks_for_one_of_them(api, user):
    pair = login(api, user.email).json()

    assert code_of(api.post("/auth/logout")) == (401, "AUTH_REQUIRED")
    assert api.post("/auth/logout", {"refreshToken": pair["refreshToken"]}).status_code == 204
    assert code_of(bearer(api, pair["accessToken"])) == (401, "AUTH_REQUIRED")


@pytest.mark.parametrize("how", ["password", "disabled", "deleted"])
def test_it_ends_tokens_with_the_account(api, user, how):
    pair = login(api, user.email).json()
    if how == "password":
        user.set_password("something else entirely")
        user.save()
    elif how == "disabled":
        User.objects.update(is_active=False)
    else:
        user.delete()

    assert code_of(bearer(api, pair["accessToken"])) == (401, "AUTH_REQUIRED")
    assert code_of(refresh(api, pair["refreshToken"])) == (401, "AUTH_REQUIRED")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", 5, None])
def test_it_refuses_a_refresh_token_of_another_form(api, token):
    assert refresh(api, token).status_code in (400, 401)


# --- guessing ----------------------------------------------------------------------------------


def test_it_lets_five_guesses_a_minute_through(api, user, rate_limits):
    codes = [login(api, user.email, "wrong").status_code for _ in range(8)]

    assert codes == [401] * 5 + [429] * 3
    refused = login(api, user.email)
    assert code_of(refused) == (429, "RATE_LIMITED")
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_it_does_not_count_log_ins_that_succeed(api, user, rate_limits):
    assert {login(api, user.email).status_code for _ in range(12)} == {200}


def test_it_does_not_believe_the_client_about_its_address(api, user, rate_limits):
    codes = [
        login(api, user.email, "wrong", **{"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(7)
    ]

    assert codes == [401] * 5 + [429] * 2


def test_it_stores_no_token_in_any_table(api, user, guest_token):
    answer = login(api, user.email, key="one", **{"X-Session-Token": guest_token})

    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select response::text from idempotency_logs")
        (stored,) = cursor.fetchone()
    token = answer.json()["refreshToken"]
    assert token.encode().hex() not in stored
    again = login(api, user.email, key="one", **{"X-Session-Token": guest_token})
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == answer.json()


def test_it_announces_page_log_ins_too(client, user, guest_token, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "config.platform.auth._on_sign_in", [lambda **given: seen.append(given) or {}]
    )
    client.get(f"/page/?give={guest_token}")
    client.get("/page/")

    from django.contrib.auth import login as django_login
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}
    request.session = client.session
    request.client_address = "192.0.2.1"
    django_login(request, user, backend="django.contrib.auth.backends.ModelBackend")

    assert [
        (given["actor"].user_id, given["actor"].session_hash is not None) for given in seen
    ] == [(user.pk, True)]


@pytest.mark.urls("config.urls")
def test_it_merges_at_the_log_in_page(client, company, user, guest_token, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "config.platform.auth._on_sign_in", [lambda **given: seen.append(given["actor"])]
    )
    response = HttpResponse()
    set_guest_cookie(response, guest_token)
    client.cookies.update(response.cookies)

    answer = client.post("/account/login/", {"login": user.email, "password": PASSWORD})

    assert answer.status_code == 302
    assert [(actor.user_id, actor.session_hash) for actor in seen] == [
        (user.pk, hash_token(guest_token))
    ]


@pytest.mark.urls("config.urls")
def test_it_announces_a_customer_who_signs_up_on_a_page(client, company):
    form = {"email": "page@example.com", "password1": PASSWORD, "password2": PASSWORD}

    assert client.post("/account/signup/", form).status_code == 302

    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["customer.created"]
    assert User.objects.get().email == "page@example.com"


def test_it_refuses_a_name_that_would_break_a_header(api):
    body = {"email": "a@example.com", "password": PASSWORD, "name": "A\r\nBcc: b@example.com"}
    answer = api.post("/auth/register", body)

    assert {entry["field"] for entry in answer.json()["errors"]} == {"name"}
    assert User.objects.count() == 0
