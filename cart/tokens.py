"""
The token of a recovery link: what it is for, whose cart, until when, for which reminder; signed.

Everything in it can be read by whoever has it, so it holds ids only. It can be made again from the reminder's row, so
that no table needs to keep it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

_PURPOSE = b"cart-recovery/1"
# cart id, reminder id (the nonce), expiry in seconds, cycle; with the digest 78 bytes, so 104 letters and none to spare.
_FORM = struct.Struct(">16s16sQIxx")
_DIGEST = hashlib.sha256().digest_size
_LETTERS = (_FORM.size + _DIGEST) * 4 // 3


@dataclass(frozen=True, slots=True)
class RecoveryClaim:
    """What a token says; to be believed, because it is signed, but not yet looked up."""

    cart_id: UUID
    attempt_id: UUID
    expires_at: datetime
    cycle: int


def sign(*, cart_id: UUID, attempt_id: UUID, expires_at: datetime, cycle: int) -> str:
    """Return the token of one reminder; the same reminder has always the same."""
    claim = _FORM.pack(cart_id.bytes, attempt_id.bytes, int(expires_at.timestamp()), cycle)
    return base64.urlsafe_b64encode(claim + _digest(_secrets()[0], claim)).decode()


def read(token: str) -> RecoveryClaim | None:
    """Return what a token says, or None if it is not one of ours to the last bit. Compares in constant time."""
    if len(token) != _LETTERS or not token.isascii():
        return None
    try:
        content = base64.b64decode(token, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    claim, digest = content[: _FORM.size], content[_FORM.size :]
    good = [hmac.compare_digest(digest, _digest(secret, claim)) for secret in _secrets()]
    if not any(good):
        return None
    cart_id, attempt_id, expires, cycle = _FORM.unpack(claim)
    return RecoveryClaim(
        UUID(bytes=cart_id), UUID(bytes=attempt_id), datetime.fromtimestamp(expires, UTC), cycle
    )


def digest_of(token: str) -> bytes:
    """Return the form in which a reminder's row knows its token."""
    return hashlib.sha256(token.encode()).digest()


def _secrets() -> list[str]:
    """Return the signing key, and older ones whose links may still be on their way."""
    return [
        settings.CART_RECOVERY_HMAC_SECRET,
        *getattr(settings, "CART_RECOVERY_HMAC_SECRET_FALLBACKS", []),
    ]


def _digest(secret: str, claim: bytes) -> bytes:
    return hmac.new(secret.encode(), _PURPOSE + b"\x00" + claim, hashlib.sha256).digest()
