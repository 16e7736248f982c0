"""
Access and refresh tokens of the API.

One row per sign-in names the only refresh token that is still good. So a refresh token works once, a second use
closes the whole sign-in (somebody else has a copy), and log-out ends the access tokens too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from config.platform.errors import AuthRequired, TokenExpired
from config.platform.models import LoginSession, User, new_id


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str
    expires_in: int

    def to_json(self) -> dict[str, Any]:
        return {
            "accessToken": self.access,
            "refreshToken": self.refresh,
            "expiresIn": self.expires_in,
        }


def issue(*, user: User, now: datetime) -> TokenPair:
    """Open a sign-in for a user and return its first tokens."""
    refresh_id = new_id()
    session = LoginSession.objects.create(
        user=user,
        refresh_id=refresh_id,
        created_at=now,
        refreshed_at=now,
        expires_at=now + _lifetime("REFRESH"),
    )
    return _pair(user, session, now)


def refresh(*, token: str, now: datetime) -> TokenPair:
    """
    Exchange a refresh token for a new pair; it can be used once.

    :raises TokenExpired: if its time is over
    :raises AuthRequired: if it is not one of ours, was used before (which closes the sign-in) or the user is disabled
    """
    claims = _read(RefreshToken, token)
    session_id, refresh_id = _uuid(claims.get("sid")), _uuid(claims.get("jti"))
    with transaction.atomic():
        session = (
            LoginSession.objects.select_for_update(of=("self",), no_key=True)
            .select_related("user")
            .filter(id=session_id)
            .first()
        )
        reused = session is not None and session.refresh_id != refresh_id
        if session is not None and reused and session.revoked_at is None:
            session.revoked_at = now
            session.save(update_fields=["revoked_at"])
        if session is not None and not reused and _is_good(session, claims, now):
            session.refresh_id = new_id()
            session.refreshed_at = now
            session.expires_at = now + _lifetime("REFRESH")
            session.save(update_fields=["refresh_id", "refreshed_at", "expires_at"])
            return _pair(session.user, session, now)
    raise AuthRequired("This refresh token is not valid any more. Sign in again.")


def authenticate(token: str) -> tuple[User, dict[str, Any]]:
    """
    Return the user of an access token and its claims, in one statement.

    Roles in the claims are for clients; whether somebody is staff is read from the row.

    :raises TokenExpired: if its time is over
    :raises AuthRequired: if it is not valid, was signed out, or the user is disabled or changed the password
    """
    claims = _read(AccessToken, token)
    try:
        session = LoginSession.objects.select_related("user").get(id=_uuid(claims.get("sid")))
    except LoginSession.DoesNotExist:
        session = None
    if session is None or not _is_good(session, claims, None):
        raise AuthRequired("This access token is not valid.")
    return session.user, claims


def revoke(*, session_id: UUID | str, now: datetime) -> None:
    """Close one sign-in: its refresh token and its access tokens stop working."""
    LoginSession.objects.filter(id=_uuid(session_id), revoked_at=None).update(revoked_at=now)


def revoke_all(*, user_id: UUID, now: datetime) -> int:
    """Close every sign-in of a user; return how many were open."""
    return LoginSession.objects.filter(user_id=user_id, revoked_at=None).update(revoked_at=now)


def prune(*, now: datetime) -> int:
    """Delete sign-ins whose tokens have all run out."""
    return LoginSession.objects.filter(expires_at__lt=now).delete()[0]


def session_of(token: str) -> UUID:
    """
    Return the sign-in a refresh token belongs to.

    :raises AuthRequired: if it is not one of ours
    """
    return _uuid(_read(RefreshToken, token).get("sid"))


def _is_good(session: LoginSession, claims: dict[str, Any], now: datetime | None) -> bool:
    user = session.user
    return (
        session.revoked_at is None
        and (now is None or session.expires_at > now)
        and user.is_active
        and constant_time_compare(str(claims.get("pwd", "")), _password_mark(user))
    )


def _password_mark(user: User) -> str:
    # Changes with the password, so that a new password ends the tokens of the old one.
    return user.get_session_auth_hash()[:16]


def _pair(user: User, session: LoginSession, now: datetime) -> TokenPair:
    access, renewal = AccessToken(), RefreshToken()
    for token, lifetime in ((access, _lifetime("ACCESS")), (renewal, _lifetime("REFRESH"))):
        token.set_iat(at_time=now)
        token.set_exp(from_time=now, lifetime=lifetime)
        token["sub"] = str(user.pk)
        token["sid"] = str(session.id)
        token["pwd"] = _password_mark(user)
    renewal["jti"] = str(session.refresh_id)
    access["email"] = user.email
    access["roles"] = ["admin"] if user.is_staff else ["customer"]
    return TokenPair(str(access), str(renewal), int(_lifetime("ACCESS").total_seconds()))


def _lifetime(kind: str) -> timedelta:
    found = settings.SIMPLE_JWT[f"{kind}_TOKEN_LIFETIME"]
    assert isinstance(found, timedelta)
    return found


def _read(kind: type[Token], token: str) -> dict[str, Any]:
    try:
        return dict(kind(cast(Any, token)).payload)
    except ExpiredTokenError:
        raise TokenExpired from None
    except (TokenError, ValueError, TypeError):
        raise AuthRequired("This token is not valid.") from None


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise AuthRequired("This token is not valid.") from None
