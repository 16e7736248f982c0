"""Plain HTML forms with the guarantee that the API's `Idempotency-Key` gives: pressing twice does it once."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone

from config.platform import idempotency, limits
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.errors import IdempotencyInProgress, ValidationFailed
from config.platform.http.context import actor_of, set_guest_cookie

WAIT_STEPS, WAIT_SECONDS = 30, 0.1
_UNSIGNED = {"csrfmiddlewaretoken"}

PageView = Callable[..., HttpResponseBase]


def form_key() -> str:
    """Return the hidden key of one rendering of a form."""
    return uuid4().hex


def once(view: PageView) -> PageView:
    """
    Decorate a page's POST: the same form (by its hidden `key`) gets the first answer again instead of a second deed.

    A second request that comes while the first still runs waits for its answer. Forms without a key work too, without
    the guarantee.
    """

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = request.POST.get("key", "")
        try:
            idempotency.check_form(key)
        except ValidationFailed:
            return view(request, *args, **kwargs)
        claim = _claim(actor_of(request), f"page:{key}"[:255], _digest(request))
        if isinstance(claim, idempotency.Replay):
            return _replayed(claim)
        response = view(request, *args, **kwargs)
        if isinstance(response, HttpResponse):
            idempotency.finish(claim, _kept(request, response), now=timezone.now())
        return response

    return wrapped


def _digest(request: HttpRequest) -> bytes:
    fields = sorted(
        (name, values) for name, values in request.POST.lists() if name not in _UNSIGNED
    )
    return idempotency.fingerprint(
        method="POST", path=request.path, body=[fields, "HX-Request" in request.headers]
    )


def _claim(actor: Actor, key: str, digest: bytes) -> idempotency.Claim | idempotency.Replay:
    for _ in range(WAIT_STEPS):
        try:
            return idempotency.begin(actor=actor, key=key, digest=digest, now=timezone.now())
        except IdempotencyInProgress:
            time.sleep(WAIT_SECONDS)
    raise IdempotencyInProgress(retry_after=1)


def _kept(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """
    Return the answer as it is stored. A redirect has no content of its own, so it keeps a new guest's token there.

    Without a script, the second click of a double click makes the browser drop the first answer, and with it the
    cookie; the replay must bring it again, or the cart would be lost. What is stored is encrypted.
    """
    token = getattr(request, "_new_guest", "")
    if not token or not 300 <= response.status_code < 400:
        return response
    return HttpResponse(
        token, status=response.status_code, headers={"Location": response.headers["Location"]}
    )


def _replayed(replay: idempotency.Replay) -> HttpResponse:
    if not 300 <= replay.status < 400:
        return replay.response()
    response = HttpResponseRedirect(replay.headers["Location"])
    if replay.content:
        set_guest_cookie(response, replay.content.decode())
    return response


def as_new_guest(request: HttpRequest, token: str) -> Actor:
    """Let the rest of this request act for the guest who was just given `token`; the caller sets the cookie."""
    guest = replace(actor_of(request), kind=ActorKind.GUEST, session_hash=hash_token(token))
    request._actor = guest  # type: ignore[attr-defined]
    request._new_guest = token  # type: ignore[attr-defined]
    return guest


def count(request: HttpRequest, *scopes: str) -> None:
    """
    Count this request against the limits its API twin has.

    :raises RateLimited: if one of them is used up
    """
    limits.count(actor=actor_of(request), scopes=("general", *scopes))
