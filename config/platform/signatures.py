"""Signatures of messages between machines: a time and the HMAC of time and body, in Stripe's scheme."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from config.platform.errors import WebhookSignatureInvalid

TOLERANCE = timedelta(seconds=300)


def sign(*, secret: str, body: bytes, now: datetime) -> str:
    """Return the header that signs a body: `t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>." + body>`."""
    moment = str(int(now.timestamp()))
    return f"t={moment},v1={_digest(secret, moment, body)}"


def verify(*, secrets: Sequence[str], body: bytes, signature: str, now: datetime) -> None:
    """
    Check a signature in constant time. Any of the secrets may have made any of its `v1` parts, so keys can rotate.

    :raises WebhookSignatureInvalid: if it is missing, malformed, wrong, or more than five minutes off either way
    """
    parts: dict[str, list[str]] = {}
    for entry in signature.split(","):
        name, _, value = entry.strip().partition("=")
        parts.setdefault(name, []).append(value)
    moment = parts.get("t", [""])[0]
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        raise WebhookSignatureInvalid
    given = [value.encode("utf-8", "replace") for value in parts.get("v1", [])[:10]]
    expected = [_digest(secret, moment, body).encode() for secret in secrets if secret]
    if not any(hmac.compare_digest(right, value) for right in expected for value in given):
        raise WebhookSignatureInvalid
    try:
        signed_at = datetime.fromtimestamp(int(moment), tz=UTC)
    except (ValueError, OverflowError, OSError):
        raise WebhookSignatureInvalid from None
    if abs(now - signed_at) > TOLERANCE:
        raise WebhookSignatureInvalid


def _digest(secret: str, moment: str, body: bytes) -> str:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
