"""Who a request says it is. Access tokens for the API; the session cookie only where nothing is written."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.platform import tokens
from config.platform.errors import AuthRequired, Forbidden
from config.platform.http.context import SAFE_METHODS, actor_of


class ApiAuthentication(BaseAuthentication):
    """
    `Authorization: Bearer …`, one statement; for safe methods also the session cookie.

    A write with only the cookie stays anonymous: a foreign site could have sent it.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise AuthRequired("The Authorization header must say: Bearer <access token>.")
            return tokens.authenticate(token.strip())
        if request.method in SAFE_METHODS:
            user = getattr(request._request, "user", None)
            if user is not None and user.is_authenticated and user.is_active:
                return user, None
        return None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Anyone(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class Known(BasePermission):
    """A signed-in caller or a guest with a token; others get 401."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not actor_of(request).is_known:
            raise AuthRequired
        return True


class SignedIn(BasePermission):
    """A signed-in caller; others get 401."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if actor_of(request).user_id is None:
            raise AuthRequired("Sign in first.")
        return True


class Staff(BasePermission):
    """
    A member of staff who may do this in the admin too; customers and other staff get 403, others 401.

    The view names the Django permission of each operation in `rights`; whoever may change something may also view it.
    An operation that names none is for superusers, who may do everything.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        actor = actor_of(request)
        if actor.user_id is None:
            raise AuthRequired("Sign in first.")
        if not actor.is_staff:
            raise Forbidden
        verb = getattr(view, "action", None) or (request.method or "").lower()
        needed = view.rights.get("get" if verb == "head" else verb)
        if needed is None:
            allowed = request.user.is_superuser
        else:
            allowed = request.user.has_perm(needed) or (
                ".view_" in needed and request.user.has_perm(needed.replace(".view_", ".change_"))
            )
        if not allowed:
            raise Forbidden(
                "Your account does not have the permission for this.", extra={"permission": needed}
            )
        return True
