"""
`Idempotency-Key`: the same request again gets the first answer again.

The key is inserted before the work, so of two requests at once one works and the other is told to wait. This only
replays answers; that nothing happens twice is the job of the unique constraints underneath. Stored answers are
encrypted, because some of them carry tokens that no table may show.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse

from config.platform.actor import Actor
from config.platform.errors import (
    FieldError,
    IdempotencyConflict,
    IdempotencyInProgress,
    ValidationFailed,
)
from config.platform.models import IdempotencyKey, new_id

logger = structlog.get_logger(__name__)

HEADER = "HTTP_IDEMPOTENCY_KEY"
LIFETIME = timedelta(hours=24)
# A request ends long before; a key that is locked for longer belongs to a worker that died.
STALE = timedelta(seconds=60)
REPLAYED_HEADERS = ("Content-Type", "ETag", "Location", "Retry-After", "WWW-Authenticate")
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")

_CLAIM = """
insert into idempotency_logs as k
    (id, scope, key, fingerprint, state, headers, locked_at, created_at, expires_at)
values (%(id)s, %(scope)s, %(key)s, %(fingerprint)s, 'in_progress', '{}', %(now)s, %(now)s, %(expires)s)
on conflict (scope, key) do update set
    id = excluded.id, fingerprint = excluded.fingerprint, state = 'in_progress', status_code = null,
    response = null, headers = '{}', locked_at = excluded.locked_at, created_at = excluded.created_at,
    expires_at = excluded.expires_at
where k.expires_at <= %(now)s
    or (k.state = 'in_progress' and k.locked_at <= %(stale)s and k.fingerprint = excluded.fingerprint)
returning id
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work behind a key; exactly one request has it."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer of the request that did the work."""

    status: int
    content: bytes
    headers: dict[str, str]

    def response(self) -> HttpResponse:
        response = HttpResponse(self.content, status=self.status)
        for name, value in self.headers.items():
            response.headers[name] = value
        response.headers["Idempotent-Replayed"] = "true"
        return response


def fingerprint(*, method: str, path: str, body: Any) -> bytes:
    """Return a digest of what is asked; spelling of the JSON (spaces, order of keys) does not count."""
    path = re.sub(r"^/api/v1(?=/|$)", "/api", path)  # two names of one address
    content = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{method}\n{path}\n{content}".encode("utf-8", "surrogatepass")).digest()


def check_form(key: str) -> None:
    """:raises ValidationFailed: if the key is not 1 to 255 printable ASCII characters"""
    if not _KEY.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 printable ASCII characters."
        raise ValidationFailed(message, errors=[FieldError("Idempotency-Key", "invalid", message)])


def begin(*, actor: Actor, key: str, digest: bytes, now: datetime) -> Claim | Replay:
    """
    Claim a key, in one statement; or return the stored answer.

    A key whose first request died is taken over after a minute. Must not run inside the transaction of the work.

    :raises IdempotencyConflict: if the key was used for another request
    :raises IdempotencyInProgress: if the first request still runs
    """
    scope = f"{actor.company_id.hex}:{actor.identity}"[:120]
    claim = new_id()
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "id": claim,
                "scope": scope,
                "key": key,
                "fingerprint": digest,
                "now": now,
                "expires": now + LIFETIME,
                "stale": now - STALE,
            },
        )
        if cursor.fetchone():
            return Claim(claim)
    row = IdempotencyKey.objects.filter(scope=scope, key=key).first()
    if row is None:  # freed this very moment
        raise IdempotencyInProgress(retry_after=1)
    if bytes(row.fingerprint) != digest:
        raise IdempotencyConflict
    if row.state != "done" or row.status_code is None:
        raise IdempotencyInProgress(retry_after=1)
    content = _open(bytes(row.response or b""), row.id)
    if content is None:
        raise IdempotencyConflict("The answer to this key can no longer be read. Use a new key.")
    return Replay(row.status_code, content, dict(row.headers))


def finish(claim: Claim, response: HttpResponse, *, now: datetime) -> None:
    """
    Store the answer, in one statement, or free the key where a repeat should try again: failures of ours, refusals
    that only say "later".
    """
    try:
        rows = IdempotencyKey.objects.filter(id=claim.id)
        if (
            response.status_code >= 500
            or response.status_code == 429
            or "Retry-After" in response.headers
        ):
            rows.delete()
            return
        rows.update(
            state="done",
            status_code=response.status_code,
            response=_seal(response.content, claim.id),
            headers={
                name: response.headers[name]
                for name in REPLAYED_HEADERS
                if name in response.headers
            },
        )
    except DatabaseError:
        # The work is done and the client gets its answer; the key is taken over once it is stale.
        logger.exception("an idempotency key could not be finished", key_id=str(claim.id))


def prune(*, now: datetime, limit: int = 10_000) -> int:
    """Delete keys whose time is over."""
    over = IdempotencyKey.objects.filter(expires_at__lte=now).values("id")[:limit]
    return IdempotencyKey.objects.filter(id__in=over).delete()[0]


def _cipher(secret: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"config.platform.idempotency:" + secret.encode()).digest())


def _seal(content: bytes, row: UUID) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, content, row.bytes)


def _open(sealed: bytes, row: UUID) -> bytes | None:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return _cipher(secret).decrypt(sealed[:12], sealed[12:], row.bytes)
        except (InvalidTag, ValueError):
            continue
    return None
