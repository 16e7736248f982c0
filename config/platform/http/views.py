"""The base of every API view: strict in, one shape out, counted, repeatable, never a bare 500."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, ParamSpec, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.platform import audit, idempotency, limits
from config.platform.cards import CARD_CODE
from config.platform.errors import ApplicationError, IdempotencyKeyRequired, MethodNotAllowed
from config.platform.http import problems
from config.platform.http.authentication import ApiAuthentication, Known
from config.platform.http.context import SAFE_METHODS, actor_of
from config.platform.http.parsing import StrictJSONParser
from config.platform.http.rendering import AlwaysJSON, JSONRenderer, encode

logger = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

PUBLIC = "public, max-age=30, stale-while-revalidate=60"
VARY = ("Authorization", "Cookie", "X-Session-Token", "X-Company-Id")


def _has_card(error: ApplicationError) -> bool:
    return any(each.code == CARD_CODE for each in error.errors)


def retry_on_conflict(attempts: int = 3) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """
    Run a function again when PostgreSQL chose its transaction as the victim of a deadlock or conflict (RES-05).

    Everything it did is undone by then. Inside a transaction nothing is repeated: the outermost one has to be.
    """

    def decorate(run: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(run)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, attempts + 1):
                try:
                    return run(*args, **kwargs)
                except OperationalError as failure:
                    inside = transaction.get_connection().in_atomic_block
                    if (
                        inside
                        or attempt == attempts
                        or problems.sqlstate(failure) not in problems.CONFLICTS
                    ):
                        raise
                    logger.info("a transaction lost a conflict and is repeated", attempt=attempt)
            raise AssertionError("unreachable")

        return wrapped

    return decorate


class ApiMixin:
    """
    What all views of the API share.

    `limits` names, by action of a viewset or lower-case method, an entry of `limits.LIMITS`.
    `rights` names, in the same way, the Django permission that staff need where `Staff` guards the operation.
    `idempotency_required` is True, or the actions or methods that refuse to work without an `Idempotency-Key`.
    `cache_control` is for public answers; all others are `no-store`.
    """

    authentication_classes: ClassVar[list[type[BaseAuthentication]]] = [ApiAuthentication]
    permission_classes: ClassVar[list[type[BasePermission]]] = [Known]
    parser_classes: ClassVar[list[type[BaseParser]]] = [StrictJSONParser]
    renderer_classes: ClassVar = [JSONRenderer]
    content_negotiation_class = AlwaysJSON
    metadata_class = None

    limits: ClassVar[Mapping[str, str]] = {}
    rights: ClassVar[Mapping[str, str]] = {}
    general_limit: ClassVar[bool] = True
    idempotency_required: ClassVar[bool | Collection[str]] = False
    cache_control: ClassVar[str] = "no-store"

    def dispatch(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.args, self.kwargs = args, kwargs
        request = self.initialize_request(request, *args, **kwargs)
        self.request = request
        self.headers = self.default_response_headers
        claim: idempotency.Claim | idempotency.Replay | None = None
        try:
            # The method is the client's word: it must never reach what is no handler.
            name = request.method.lower()
            handler = getattr(self, name, None) if name in self.http_method_names else None
            if handler is None or request.method == "OPTIONS":
                raise MethodNotAllowed
            self.initial(request, *args, **kwargs)
            claim = self._claim(request)
            if isinstance(claim, idempotency.Replay):
                response = claim.response()
            else:
                response = retry_on_conflict()(handler)(request, *args, **kwargs)
        except Exception as failure:  # noqa: BLE001 - this is where every exception ends
            response = self.handle_exception(failure)
        self.response = self.finalize_response(request, response, *args, **kwargs)
        if isinstance(claim, idempotency.Claim):
            if isinstance(self.response, Response):
                self.response.render()
            idempotency.finish(claim, self.response, now=timezone.now())
        return self.response

    def initial(self: Any, request: Request, *args: Any, **kwargs: Any) -> None:
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        request.version = request.versioning_scheme = None
        self.perform_authentication(request)
        self._count(request)
        self.check_permissions(request)

    @property
    def _verb(self: Any) -> str:
        return getattr(self, "action", None) or self.request.method.lower()

    def _count(self: Any, request: Request) -> None:
        scopes = ["general"] if self.general_limit else []
        if scope := self.limits.get(self._verb):
            scopes.append(scope)
        if scopes:
            limits.count(actor=actor_of(request), scopes=scopes)

    def _claim(self: Any, request: Request) -> idempotency.Claim | idempotency.Replay | None:
        if request.method in SAFE_METHODS:
            return None
        key = request.META.get(idempotency.HEADER)
        needed = self.idempotency_required
        if key is None:
            if needed is True or (needed and self._verb in needed):
                raise IdempotencyKeyRequired
            return None
        idempotency.check_form(key)
        digest = idempotency.fingerprint(
            method=request.method or "", path=request._request.get_full_path(), body=request.data
        )
        return idempotency.begin(
            actor=actor_of(request), key=key, digest=digest, now=timezone.now()
        )

    def handle_exception(self: Any, failure: Exception) -> Response:
        error = problems.application_error(failure)
        connection = transaction.get_connection()
        if (
            isinstance(failure, OperationalError | InterfaceError)
            and not connection.in_atomic_block
        ):
            # The connection may be the broken one; what follows gets another.
            connection.close_if_unusable_or_obsolete()
        action = "card_number.refused" if _has_card(error) else error.audit_action
        if action:
            self._note_refusal(action, error)
        response = Response(
            problems.body(error, request_id=getattr(self.request, "request_id", "")),
            status=error.http_status,
            content_type=problems.CONTENT_TYPE,
            headers=problems.headers(error),
        )
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(
                method for method in self.allowed_methods if method != "OPTIONS"
            )
        response.exception = True
        return response

    def _note_refusal(self: Any, action: str, error: ApplicationError) -> None:
        # Who tries doors that are not theirs is worth knowing (OBS-08). Of what was sent nothing is kept.
        actor = actor_of(self.request)
        request = self.request
        try:
            audit.record(
                actor=actor,
                action=action,
                object_type="address",
                object_id=request.path[:64],
                after={"method": request.method, "address": actor.address, "code": error.code},
                now=timezone.now(),
            )
        except DatabaseError:
            logger.exception("a refused access could not be noted")

    def finalize_response(self: Any, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(response, Response):
            response.accepted_renderer = JSONRenderer()
            response.accepted_media_type = JSONRenderer.media_type
            response.renderer_context = {}
        response.headers.setdefault("Cache-Control", self.cache_control)
        patch_vary_headers(response, VARY)
        return response


class ApiView(ApiMixin, APIView):
    """One address; a method per HTTP verb."""


class ApiViewSet(ApiMixin, viewsets.ViewSet):
    """Actions named like the services they call."""


def etag_response(request: Request, etag: str, render: Callable[[], Any]) -> Response:
    """
    Return the rendered answer with its `ETag`, or 304 without rendering where the caller has it already.

    `etag` is the bare tag; quotes are put around it here.
    """
    quoted = f'"{etag}"'
    if request.method in SAFE_METHODS and etag_matches(
        request.META.get("HTTP_IF_NONE_MATCH", ""), etag
    ):
        return Response(None, status=304, headers={"ETag": quoted})
    return Response(render(), headers={"ETag": quoted})


def public_response(request: Request, content: Any) -> Response:
    """
    Return what everybody may see with its ETag, or 304 for who has it already.

    Caches on the way may keep what nobody in particular asked for. Staff and signed-in callers see exact stock or more:
    a shared cache must not pass that on, so theirs is `private`.
    """
    body = encode(content)
    response = etag_response(request, hashlib.sha256(body).hexdigest()[:32], lambda: content)
    signed_in = actor_of(request).user_id is not None
    response.headers["Cache-Control"] = "private, no-cache" if signed_in else PUBLIC
    return response


def etag_matches(header: str, etag: str) -> bool:
    tags = [
        part.strip().removeprefix("W/").strip('"') for part in header.split(",") if part.strip()
    ]
    return "*" in tags or etag in tags


def if_match(request: Request) -> str | None:
    """Return the bare tag of `If-Match`, or None where any version will do; what is no tag matches no version."""
    sent = request.META.get("HTTP_IF_MATCH", "").strip()
    return None if sent in ("", "*") else sent.removeprefix("W/").strip('"')
