"""Tokens and health."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import auth, health, performance, tokens
from config.platform.api import serializers
from config.platform.errors import AuthRequired
from config.platform.http import Anyone, ApiView, Staff, actor_of
from config.platform.http.context import is_scraper


class TokenView(ApiView):
    """Base of the views that need no credentials because they hand them out."""

    authentication_classes = []
    permission_classes = [Anyone]


@extend_schema(tags=["auth"])
class LoginView(TokenView):
    @extend_schema(request=serializers.LoginInput, responses=serializers.TokensOutput)
    def post(self, request: Request) -> Response:
        """
        Exchange e-mail and password for an access token and a refresh token.

        With `X-Session-Token` the guest's cart is merged and reported under `merge`.
        """
        given = serializers.LoginInput.read(request)
        now = timezone.now()
        user = auth.sign_in(
            actor=actor_of(request), email=given["email"], password=given["password"], now=now
        )
        return Response(_answer(request, user, now))


@extend_schema(tags=["auth"])
class RegisterView(TokenView):
    limits = {"post": "register"}

    @extend_schema(request=serializers.RegisterInput, responses={201: serializers.TokensOutput})
    def post(self, request: Request) -> Response:
        """Create a customer and sign in."""
        given = serializers.RegisterInput.read(request)
        now = timezone.now()
        user = auth.sign_up(actor=actor_of(request), now=now, **given)
        return Response(_answer(request, user, now), status=201)


@extend_schema(tags=["auth"])
class RefreshView(TokenView):
    limits = {"post": "refresh"}

    @extend_schema(request=serializers.RefreshInput, responses=serializers.TokensOutput)
    def post(self, request: Request) -> Response:
        """Exchange a refresh token, which works once, for a new pair. A second use ends the whole sign-in."""
        given = serializers.RefreshInput.read(request)
        pair = tokens.refresh(token=given["refresh_token"], now=timezone.now())
        return Response(pair.to_json())


@extend_schema(tags=["auth"])
class LogoutView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(request=serializers.LogoutInput, responses={204: None})
    def post(self, request: Request) -> Response:
        """End a sign-in, named by its access token or its refresh token; both stop working."""
        given = serializers.LogoutInput.read(request)
        if token := given.get("refresh_token"):
            session_id = tokens.session_of(token)
        elif request.auth:
            claims: Any = request.auth
            session_id = claims["sid"]
        else:
            raise AuthRequired
        tokens.revoke(session_id=session_id, now=timezone.now())
        return Response(status=204)


def _answer(request: Request, user: Any, now: Any) -> dict[str, Any]:
    pair = tokens.issue(user=user, now=now)
    return pair.to_json() | auth.announce_sign_in(user=user, actor=actor_of(request), now=now)


@extend_schema(tags=["health"])
class HealthView(TokenView):
    general_limit = False

    @extend_schema(responses=serializers.HealthOutput)
    def get(self, request: Request) -> Response:
        """Answer 200 while the process lives; nothing else is asked."""
        return Response(health.liveness())


@extend_schema(tags=["health"])
class ReadinessView(TokenView):
    general_limit = False

    @extend_schema(responses={200: serializers.ReadinessOutput, 503: serializers.ReadinessOutput})
    def get(self, request: Request) -> Response:
        """Report each dependency; 503 when the shop cannot take an order. Details are for those who may read `/metrics`."""
        report = health.readiness(now=timezone.now())
        if not is_scraper(request._request):
            for found in report["checks"].values():
                found["detail"] = ""
        return Response(report, status=503 if report["status"] == "down" else 200)


@extend_schema(tags=["health"])
class PerformanceView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "platform.view_jobrun"}

    @extend_schema(
        parameters=[serializers.PerformanceQuery], responses=serializers.PerformanceOutput
    )
    def get(self, request: Request) -> Response:
        """Tell how quick the shop answered in the last minutes, in all and by operation (OBS-14). Staff only."""
        asked = serializers.PerformanceQuery.read_query(request)
        return Response(
            performance.summary(
                minutes=asked.get("minutes", performance.DEFAULT_MINUTES),
                seconds_now=timezone.now().timestamp(),
            )
        )
