"""Who opened a socket: a token among the subprotocols, or the cookies of a page. Tokens never stand in the address."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from cart.models import CartSession
from config.platform import tokens
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.errors import ApplicationError
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from config.platform.models import User, new_id
from inventory import selectors as inventory

BEARER, SESSION = "bearer.", "session."


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client sent, unchecked. Subprotocols win over cookies."""

    bearer: str = ""
    guest_token: str = ""
    session_key: str = ""
    by_cookie: bool = False

    @classmethod
    def of_scope(cls, scope: dict[str, Any]) -> Credentials:
        offered = scope.get("subprotocols", [])
        bearer = next((p.removeprefix(BEARER) for p in offered if p.startswith(BEARER)), "")
        guest = next((p.removeprefix(SESSION) for p in offered if p.startswith(SESSION)), "")
        if bearer or guest:
            return cls(bearer=bearer, guest_token=guest)
        cookies = _cookies(scope)
        return cls(
            guest_token=_signed(cookies.get(GUEST_COOKIE, "")),
            session_key=cookies.get(settings.SESSION_COOKIE_NAME, ""),
            by_cookie=bool(cookies),
        )


def actor_of_socket(credentials: Credentials, scope: dict[str, Any]) -> Actor | None:
    """Return who these credentials belong to, or None when they belong to nobody."""
    user = _user(credentials)
    token = credentials.guest_token
    if user is None and (credentials.bearer or not _is_open_session(token)):
        return None
    try:
        company_id = inventory.resolve_company(None, _host(scope))
    except ApplicationError:
        return None
    if user is None:
        kind = ActorKind.GUEST
    else:
        kind = ActorKind.STAFF if user.is_staff else ActorKind.USER
    return Actor(
        kind=kind,
        company_id=company_id,
        user_id=user.pk if user else None,
        email=user.email if user else "",
        session_hash=hash_token(token) if token else None,
        request_id=new_id().hex,
        source="socket",
    )


def still_valid(credentials: Credentials, scope: dict[str, Any]) -> bool:
    """Return whether the credentials of an open socket would still open one."""
    return actor_of_socket(credentials, scope) is not None


def _is_open_session(token: str) -> bool:
    sessions = CartSession.objects.filter(token_hash=hash_token(token), status="active")
    return bool(token) and sessions.exists()


def _user(credentials: Credentials) -> User | None:
    if credentials.bearer:
        try:
            return tokens.authenticate(credentials.bearer)[0]
        except ApplicationError:
            return None
    if not credentials.session_key:
        return None
    session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(credentials.session_key)
    user = User.objects.filter(pk=session.get(SESSION_KEY), is_active=True).first()
    known_backend = session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    if user is None or not known_backend:
        return None
    same = constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    return user if same else None


def _cookies(scope: dict[str, Any]) -> dict[str, str]:
    jar = SimpleCookie()
    for name, value in scope.get("headers", []):
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                return {}
    return {key: morsel.value for key, morsel in jar.items()}


def _signed(value: str) -> str:
    """Return the guest token of a page's signed cookie, or "". The request's own reader knows how Django salts it."""
    request = HttpRequest()
    request.COOKIES[GUEST_COOKIE] = value
    return str(request.get_signed_cookie(GUEST_COOKIE, default="", salt=GUEST_COOKIE_SALT) or "")


def _host(scope: dict[str, Any]) -> str:
    host: bytes = dict(scope.get("headers", [])).get(b"host", b"")
    return host.decode("latin-1").split(":")[0]
