"""
Where somebody is signed in: browsers by session, apps by their tokens.

A browser is noted when its owner signs in, and again when it is used more than ten minutes later: "last seen" is that
exact, for one write in ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from config.platform import tokens
from config.platform.errors import NotFound
from config.platform.http.context import is_api
from config.platform.models import BrowserSession, LoginSession

NOTED = "browser_noted"  # in the session: its key and when, so that most requests write nothing
EVERY = timedelta(minutes=10)
# Named by what a person recognises; the first that fits. Others pretend to be those that follow them.
_BROWSERS = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
]
_SYSTEMS = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
]


@dataclass(frozen=True, slots=True)
class SignIn:
    """One place where somebody is signed in; `browser` and `system` are empty for apps and where nothing is known."""

    id: UUID
    is_app: bool
    is_current: bool
    browser: str
    system: str
    since: datetime
    seen_at: datetime


class BrowserMiddleware:
    """Notes the browser of who is signed in, on pages only: the API knows no session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and not is_api(request):
            note_browser(request, now=timezone.now())  # noqa: TID251 - middleware is an interface
        return self.get_response(request)


def note_browser(request: HttpRequest, *, now: datetime) -> None:
    """Note that the browser of this request is used by who is signed in; most calls write nothing."""
    key = request.session.session_key
    if not key or not request.user.is_authenticated:
        return
    noted_key, noted_at = request.session.get(NOTED, ("", 0))
    if noted_key == key and now.timestamp() - noted_at < EVERY.total_seconds():
        return
    if noted_key and noted_key != key:  # the session got another key, as with a new password
        forget(session_key=noted_key)
    BrowserSession.objects.update_or_create(
        session_key=key,
        defaults={
            "user_id": request.user.pk,
            "agent": request.META.get("HTTP_USER_AGENT", "").replace("\x00", "")[:200],
            "seen_at": now,
        },
        create_defaults={
            "user_id": request.user.pk,
            "agent": request.META.get("HTTP_USER_AGENT", "").replace("\x00", "")[:200],
            "created_at": now,
            "seen_at": now,
        },
    )
    request.session[NOTED] = (key, int(now.timestamp()))


def forget(*, session_key: str) -> None:
    """Take a browser off the list; its session is somebody else's to end."""
    BrowserSession.objects.filter(session_key=session_key).delete()


def open_sign_ins(*, user_id: UUID, session_key: str, now: datetime) -> list[SignIn]:
    """Return where a user is signed in: the browser of `session_key` first, then by when each was last seen."""
    found = [
        SignIn(
            id=row.pk,
            is_app=False,
            is_current=row.session_key == session_key,
            browser=_named(_BROWSERS, row.agent),
            system=_named(_SYSTEMS, row.agent),
            since=row.created_at,
            seen_at=row.seen_at,
        )
        for row in BrowserSession.objects.filter(user_id=user_id, seen_at__gt=_oldest(now))
    ]
    found += [
        SignIn(row.pk, True, False, "", "", row.created_at, row.refreshed_at)
        for row in LoginSession.objects.filter(user_id=user_id, revoked_at=None, expires_at__gt=now)
    ]
    return sorted(found, key=lambda one: (not one.is_current, -one.seen_at.timestamp()))


def end(*, user_id: UUID, sign_in_id: UUID, now: datetime) -> None:
    """
    End one sign-in of a user, a browser's or an app's.

    :raises NotFound: if it is not theirs
    """
    browsers = BrowserSession.objects.filter(user_id=user_id, pk=sign_in_id)
    if not _end_browsers(browsers.values_list("session_key", flat=True)):
        if not LoginSession.objects.filter(user_id=user_id, pk=sign_in_id).exists():
            raise NotFound
        tokens.revoke(session_id=sign_in_id, now=now)


def end_others(*, user_id: UUID, session_key: str, now: datetime) -> None:
    """End every sign-in of a user but the browser of `session_key`."""
    others = BrowserSession.objects.filter(~Q(session_key=session_key), user_id=user_id)
    _end_browsers(others.values_list("session_key", flat=True))
    tokens.revoke_all(user_id=user_id, now=now)


def prune(*, now: datetime) -> int:
    """Forget browsers whose sessions have run out."""
    return BrowserSession.objects.filter(seen_at__lt=_oldest(now)).delete()[0]


def _end_browsers(session_keys: Iterable[str]) -> int:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    keys = list(session_keys)
    for key in keys:
        store(key).delete()
    BrowserSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def _oldest(now: datetime) -> datetime:
    return now - timedelta(seconds=settings.SESSION_COOKIE_AGE)


def _named(names: list[tuple[str, str]], agent: str) -> str:
    return next((name for mark, name in names if mark in agent), "")
