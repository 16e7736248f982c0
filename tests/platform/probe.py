"""A small API and a page over the platform's base classes, so that the base is tested apart from any app."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import InternalError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from psycopg import errors as pg
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.errors import ApplicationError
from config.platform.http import (
    Anyone,
    ApiView,
    ApiViewSet,
    Input,
    JsonObject,
    SignedIn,
    Staff,
    actor_of,
    etag_response,
    guest_token,
    page,
    set_guest_cookie,
)
from config.platform.http.forms import count
from config.platform.models import AuditEntry

calls: list[Any] = []


class LineInput(Input):
    sku = serializers.CharField(max_length=10)
    quantity = serializers.IntegerField(min_value=1, max_value=100, default=1)


class BasketInput(Input):
    ignored = frozenset({"unit_price"})
    items = LineInput(many=True, required=False)
    gift_note = serializers.CharField(required=False, allow_blank=True)
    count = serializers.IntegerField(required=False)
    amount = serializers.DecimalField(max_digits=12, decimal_places=2, required=False)
    atomic = serializers.BooleanField(required=False)
    numbers = serializers.ListField(child=serializers.IntegerField(), required=False)
    metadata = JsonObject(required=False)
    kind = serializers.ChoiceField(choices=["a", "b"], required=False)
    ref = serializers.UUIDField(required=False, allow_null=True)


class Echo(ApiView):
    permission_classes = [Anyone]

    def post(self, request: Request) -> Response:
        found = BasketInput.load(request)
        calls.append(found.validated_data)
        return Response(
            {"read": found.validated_data, "dropped": found.dropped, "calls": len(calls)},
            status=201,
        )

    def get(self, request: Request) -> Response:
        return etag_response(request, "v7", lambda: {"actor": actor_of(request).kind})


class Entries(ApiViewSet):
    permission_classes = [Staff]
    idempotency_required = {"create"}
    limits = {"create": "add_item"}

    def list(self, request: Request) -> Response:
        rows = AuditEntry.objects.all()
        return Response(page(rows, request, order=("-at", "-id"), render=lambda row: row.action))

    def create(self, request: Request) -> Response:
        calls.append("create")
        return Response({"made": len(calls)}, status=201)


class Numbers(ApiView):
    permission_classes = [Anyone]

    def get(self, request: Request) -> Response:
        return Response(page(list(range(25)), request, limit=10))


class Mine(ApiView):
    permission_classes = [SignedIn]

    def get(self, request: Request) -> Response:
        return Response({"email": actor_of(request).email})

    post = get


class Crash(ApiView):
    permission_classes = [Anyone]
    how: str = ""

    def post(self, request: Request) -> Response:
        calls.append("crash")
        kind = request.query_params["kind"]
        if kind == "deadlock-once" and len(calls) > 1:
            return Response({"calls": len(calls)})
        match kind:
            case "deadlock-once" | "deadlock":
                raise OperationalError("deadlock detected") from pg.DeadlockDetected()
            case "lock":
                raise OperationalError("lock timeout") from pg.LockNotAvailable()
            case "stood-still":
                raise InternalError("idle in transaction") from pg.IdleInTransactionSessionTimeout()
            case "data":
                with connection.cursor() as cursor:
                    cursor.execute("select 99999999999999::int")
            case "refusal":
                raise ApplicationError("No.", retry_after=3)
        raise RuntimeError("secret of the server")


def show(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    response = HttpResponse(f"{actor.kind} {guest_token(request)}")
    if token := request.GET.get("give"):
        set_guest_cookie(response, token)
    return response


def form(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        count(request, "apply_discount")
    return HttpResponse("done")


def broken(request: HttpRequest) -> HttpResponse:
    raise OperationalError("the database is down")


def report(*, actor: Any, now: Any) -> dict[str, Any]:
    assert abs((timezone.now() - now).total_seconds()) < 10
    return {"merge": {"lines": 1}} if actor.session_hash else {}


api = [
    path("", include("config.platform.api.urls")),
    path("probe/echo", Echo.as_view()),
    path("probe/entries", Entries.as_view({"get": "list", "post": "create"})),
    path("probe/numbers", Numbers.as_view()),
    path("probe/mine", Mine.as_view()),
    path("probe/crash", Crash.as_view()),
]
urlpatterns = [
    path("api/v1/", include(api)),
    path("api/", include(api)),
    path("admin/", admin.site.urls),
    path("", include("config.platform.urls")),
    path("page/", show),
    path("form/", form),
    path("broken/", broken),
]
handler400 = "config.platform.http.middleware.bad_request"
handler403 = "config.platform.http.middleware.forbidden"
handler404 = "config.platform.http.middleware.not_found"
handler500 = "config.platform.http.middleware.server_error"
