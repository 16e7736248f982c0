"""Calls to PayPal: who we are, how long we wait, when we try again, and what an answer means."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any

import httpx
import structlog
from django.conf import settings

from checkout.gateway.interface import ProviderGone, ProviderRefused, ProviderUnavailable
from config.platform.breaker import Breaker

logger = structlog.get_logger(__name__)


Object = dict[str, Any]


ID = re.compile(r"[A-Za-z0-9-]{1,64}")
ATTEMPTS = 2
LEAST_SECONDS = 0.3  # less is not worth another try
_ISSUE = re.compile(r"[A-Z][A-Z0-9_]{2,79}")
_ON_ITS_WAY = {"ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"}


breaker = Breaker("paypal", rest=5.0)


_tokens: dict[tuple[str, str], tuple[str, float]] = {}  # by host and client id, with their end


class NotPermitted(ProviderUnavailable):
    """Our account may not ask this; some of what PayPal offers has to be switched on there first."""


class PayPalApi:
    """
    PayPal over HTTP: each request within eight seconds, tried twice with the same key.

    After two failures nobody in this process asks for five seconds. What the answer is about is never written to the log.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str) -> Object:
        return self._call("GET", path)

    def post(self, path: str, body: Object, *, key: str) -> Object:
        return self.post_raw(path, json.dumps(body).encode(), key=key)

    def post_raw(self, path: str, body: bytes, *, key: str = "") -> Object:
        headers = {"Prefer": "return=representation"}
        return self._call(
            "POST",
            path,
            content=body,
            headers=headers | ({"PayPal-Request-Id": key} if key else {}),
        )

    def patch(self, path: str, changes: list[Object]) -> None:
        self._call("PATCH", path, content=json.dumps(changes).encode())

    def _call(self, method: str, path: str, *, content: bytes = b"", **options: Any) -> Object:
        headers = {"Content-Type": "application/json"} | options.pop("headers", {})
        for is_again in (False, True):
            token = self._token()
            answer = self._send(
                method,
                path,
                content=content,
                headers=headers | {"Authorization": f"Bearer {token}"},
            )
            if answer.status_code != 401 or is_again:
                break
            _tokens.pop(self._account, None)  # taken back before its end
        return _judged(answer)

    @property
    def _account(self) -> tuple[str, str]:
        return settings.PAYPAL_API_HOST, settings.PAYPAL_CLIENT_ID

    def _token(self) -> str:
        """Return an access token, kept in this process until a minute before its end."""
        token, ends = _tokens.get(self._account, ("", 0.0))
        if token and time.monotonic() < ends:
            return token
        answer = self._send(
            "POST",
            "/v1/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(settings.PAYPAL_CLIENT_ID, settings.PAYPAL_CLIENT_SECRET),
        )
        if answer.status_code in {400, 401, 403}:
            raise ProviderUnavailable("PayPal does not accept our credentials")
        found = _judged(answer)
        try:
            token, seconds = str(found["access_token"]), int(found["expires_in"])
        except (KeyError, TypeError, ValueError) as strange:
            raise ProviderUnavailable("not a token") from strange
        _tokens[self._account] = token, time.monotonic() + seconds - 60
        return token

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        if breaker.is_open:
            raise ProviderUnavailable("PayPal is left alone for a moment")
        started = time.monotonic()
        ends = started + settings.PAYPAL_TIMEOUT_SECONDS
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.request(
                    method, path, timeout=max(ends - time.monotonic(), 0.05), **options
                )
            except httpx.HTTPError as failure:
                problem = type(failure).__name__
            else:
                problem = f"status {answer.status_code}"
                if answer.status_code < 500 and answer.status_code != 429:
                    breaker.reset()
                    _note(method, path, started, problem)
                    return answer
                if answer.status_code == 429:
                    break
            pause = random.uniform(0.05, 0.2)  # noqa: S311 - no secret
            if attempt < ATTEMPTS and ends - time.monotonic() - pause > LEAST_SECONDS:
                time.sleep(pause)
            else:
                break
        _note(method, path, started, problem)
        silence = ProviderUnavailable(problem)
        breaker.trip(silence)
        raise silence


def _note(method: str, path: str, started: float, outcome: str) -> None:
    logger.info(
        "paypal was asked",
        call=f"{method} {path.partition('?')[0]}",
        outcome=outcome,
        seconds=round(time.monotonic() - started, 3),
    )


def _judged(answer: httpx.Response) -> Object:
    """
    Return the object that was answered.

    :raises ProviderGone: if what was asked for is not there
    :raises ProviderRefused: if PayPal says no; only its code is kept, as its text may repeat what was sent
    :raises ProviderUnavailable: if the answer tells nothing
    """
    status = answer.status_code
    try:
        found = json.loads(answer.content) if answer.content else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderUnavailable("not an answer")
    if status < 300:
        return found
    issue = _issue(found)
    if status == 404:
        raise ProviderGone(issue)
    if status == 403:
        raise NotPermitted(issue)
    if status in {401, 409} or issue in _ON_ITS_WAY or status not in {400, 422}:
        raise ProviderUnavailable(issue)
    raise ProviderRefused(issue)


def _issue(found: Object) -> str:
    details = found.get("details") or [{}]
    first = details[0] if isinstance(details, list) and isinstance(details[0], dict) else {}
    for said in (first.get("issue"), found.get("name")):
        if isinstance(said, str) and _ISSUE.fullmatch(said):
            return said
    return "REFUSED"
