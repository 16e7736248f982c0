"""What customers may write on their lines: plain text of limited length, shallow objects of limited size."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.utils.html import strip_tags

from config.platform.cards import CARD_CODE, CARD_MESSAGE, has_card_number
from config.platform.errors import FieldError, ValidationFailed

NOTE_LENGTH = 500
KEYS, KEY_LENGTH, VALUE_LENGTH, DEPTH = 50, 60, 1_000, 4
CUSTOMIZATION_BYTES, METADATA_BYTES = 4_096, 8_192

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain_text(text: str, *, field: str, length: int) -> str:
    """
    Return the text without markup and control characters, trimmed.

    :raises ValidationFailed: if it holds a NUL, half a character or a card number, or is too long
    """
    if "\x00" in text:
        raise _refused(field, "invalid", "The text holds a character that cannot be stored.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(
            field, "invalid", "The text holds a character that cannot be stored."
        ) from None
    if len(text) > length:
        raise _refused(field, "max_length", f"At most {length} characters are possible.")
    if has_card_number(text, issued=True):
        raise _refused(field, CARD_CODE, CARD_MESSAGE)
    try:
        return _CONTROL.sub("", strip_tags(text)).strip()
    except SuspiciousOperation:
        raise _refused(field, "invalid", "The text cannot be read.") from None


def plain_note(text: str) -> str:
    return plain_text(text, field="note", length=NOTE_LENGTH)


def plain_object(value: dict[str, Any], *, field: str, size: int) -> dict[str, Any]:
    """
    Return the object with all its texts made plain.

    :raises ValidationFailed: if it is too large, too deep, or holds something that JSON has no name for
    """
    cleaned = _plain(value, field, 1)
    if len(json.dumps(cleaned, ensure_ascii=False).encode()) > size:
        raise _refused(field, "max_length", f"At most {size} bytes are possible.")
    return cleaned  # type: ignore[no-any-return]


def plain_customization(value: dict[str, Any]) -> dict[str, Any]:
    return plain_object(value, field="customization", size=CUSTOMIZATION_BYTES)


def plain_metadata(value: dict[str, Any]) -> dict[str, Any]:
    return plain_object(value, field="metadata", size=METADATA_BYTES)


def hash_of(customization: dict[str, Any]) -> str:
    """Return what tells customised lines apart; the order of keys does not count."""
    if not customization:
        return ""
    canonical = json.dumps(customization, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _plain(value: Any, field: str, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) > 2**53:
                raise _refused(field, "invalid", "A number is out of range.")
            if has_card_number(str(value), issued=True):
                raise _refused(field, CARD_CODE, CARD_MESSAGE)
            return value
        case float():
            if not math.isfinite(value):
                raise _refused(field, "invalid", "A number is out of range.")
            return value
        case str():
            return plain_text(value, field=field, length=VALUE_LENGTH)
        case dict() | list() if depth > DEPTH:
            raise _refused(field, "invalid", f"At most {DEPTH} levels are possible.")
        case dict():
            if len(value) > KEYS:
                raise _refused(field, "max_length", f"At most {KEYS} keys are possible.")
            return {
                plain_text(str(key), field=field, length=KEY_LENGTH): _plain(
                    entry, field, depth + 1
                )
                for key, entry in value.items()
            }
        case list() | tuple():
            if len(value) > KEYS:
                raise _refused(field, "max_length", f"At most {KEYS} entries are possible.")
            return [_plain(entry, field, depth + 1) for entry in value]
    raise _refused(field, "invalid", "This cannot be stored.")


def _refused(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])
