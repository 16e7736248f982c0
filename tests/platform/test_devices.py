"""Where somebody is signed in: what is shown, and that what is ended is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.platform import devices, tokens
from config.platform.errors import AuthRequired
from config.platform.models import BrowserSession, LoginSession, User
from inventory.models import Company
from tests import factories

pytestmark = pytest.mark.django_db

PAGE = "/account/devices/"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"


def _browser(user: User, agent: str = FIREFOX) -> Client:
    client = Client(headers={"user-agent": agent})
    client.force_login(user, BACKEND)
    # Signed in without a request of its own, it has not said yet what it is.
    BrowserSession.objects.filter(session_key=client.session.session_key).update(agent=agent[:200])
    return client


@pytest.fixture
def user(company: Company) -> User:
    return factories.make_user(email="ann@example.com")


def _is_in(client: Client) -> bool:
    return client.get(PAGE).status_code == 200


def test_it_asks_strangers_to_sign_in(company: Company) -> None:
    answer = Client().get(PAGE)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/")


def test_it_shows_browsers_and_apps_of_ones_own(user: User) -> None:
    here, phone = _browser(user), _browser(user, PHONE)
    phone.get(PAGE)
    tokens.issue(user=user, now=timezone.now())
    _browser(factories.make_user(email="bob@example.com"), "Opera of bob OPR/1 Windows")

    text = here.get(PAGE).content.decode()

    assert "Firefox on Linux · this one" in text
    assert "Safari on iPhone" in text
    assert "An app" in text
    assert "Opera" not in text
    assert text.count("told__note ") + text.count('told__note"') == 3


def test_a_browser_is_ended(user: User) -> None:
    here, phone = _browser(user), _browser(user, PHONE)
    theirs = BrowserSession.objects.get(session_key=phone.session.session_key)

    answer = here.post(PAGE, {"sign_in": str(theirs.pk)})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert _is_in(here)
    assert not _is_in(phone)
    assert not BrowserSession.objects.filter(pk=theirs.pk).exists()


def test_an_app_is_ended(user: User) -> None:
    here, pair = _browser(user), tokens.issue(user=user, now=timezone.now())
    tokens.authenticate(pair.access)

    here.post(PAGE, {"sign_in": str(LoginSession.objects.get().pk)})

    with pytest.raises(AuthRequired):
        tokens.authenticate(pair.access)
    assert "An app" not in here.get(PAGE).content.decode()


def test_all_others_are_ended_and_this_one_stays(user: User) -> None:
    here, phone, third = _browser(user), _browser(user, PHONE), _browser(user)
    pair = tokens.issue(user=user, now=timezone.now())
    bob = _browser(factories.make_user(email="bob@example.com"))

    here.post(PAGE, {"do": "others"})

    assert [_is_in(client) for client in (here, phone, third, bob)] == [True, False, False, True]
    with pytest.raises(AuthRequired):
        tokens.authenticate(pair.access)
    assert "Sign out everywhere else" not in here.get(PAGE).content.decode()


@pytest.mark.parametrize("name", ["", "nothing", "unknown", "browser of another", "app of another"])
def test_what_is_not_ones_own_is_not_found(user: User, name: str) -> None:
    here, bob = _browser(user), factories.make_user(email="bob@example.com")
    theirs, pair = _browser(bob), tokens.issue(user=bob, now=timezone.now())
    ids = {
        "unknown": str(uuid4()),
        "browser of another": str(BrowserSession.objects.get(user=bob).pk),
        "app of another": str(LoginSession.objects.get(user=bob).pk),
    }

    answer = here.post(PAGE, {"sign_in": ids.get(name, name)})

    assert answer.status_code == 404
    assert _is_in(theirs)
    tokens.authenticate(pair.access)


def test_who_signs_out_is_off_the_list(user: User) -> None:
    here, phone = _browser(user), _browser(user, PHONE)

    phone.logout()
    phone_left = here.get(PAGE).content.decode()
    here.post("/account/logout/")

    assert "iPhone" not in phone_left
    assert not BrowserSession.objects.exists()


def test_most_requests_write_nothing(user: User) -> None:
    here = _browser(user)
    here.get("/account/")

    with CaptureQueriesContext(connection) as seen:
        here.get("/account/")

    assert not [one for one in seen if "browser_sessions" in one["sql"]]


def test_last_seen_moves_on_after_ten_minutes(user: User) -> None:
    here = _browser(user)
    key = here.session.session_key
    before = timezone.now() - timedelta(hours=2)
    BrowserSession.objects.update(seen_at=before, created_at=before)
    session = here.session
    session[devices.NOTED] = (key, int(before.timestamp()))
    session.save()

    here.get("/account/")

    row = BrowserSession.objects.get()
    assert timezone.now() - row.seen_at < timedelta(minutes=1)
    assert row.created_at == before


def test_a_session_with_a_new_key_stays_one_browser(user: User) -> None:
    here = _browser(user)
    session = here.session
    session.cycle_key()
    session.save()
    here.cookies["sessionid"] = session.session_key

    here.get("/account/")

    assert BrowserSession.objects.get().session_key == session.session_key


def test_browsers_whose_time_is_over_are_forgotten(user: User, now: datetime) -> None:
    _browser(user)
    BrowserSession.objects.update(seen_at=now - timedelta(days=31))
    _browser(user, PHONE)
    BrowserSession.objects.filter(agent=PHONE).update(seen_at=now)

    shown = devices.open_sign_ins(user_id=user.pk, session_key="", now=now)

    assert len(shown) == 1
    assert devices.prune(now=now) == 1
    assert BrowserSession.objects.count() == 1


def test_the_api_writes_no_browser(user: User) -> None:
    here = _browser(user)
    BrowserSession.objects.all().delete()
    session = here.session
    del session[devices.NOTED]
    session.save()

    here.get("/api/v1/products")

    assert not BrowserSession.objects.exists()


@pytest.mark.parametrize("agent", ["", "x" * 3000, "<script>alert(1)</script>"])
def test_a_strange_browser_does_no_harm(user: User, agent: str) -> None:
    text = _browser(user, agent).get(PAGE).content.decode()

    assert "A browser" in text
    assert "<script>alert" not in text
