"""
JSON in, read strictly: what two readers could understand differently is refused.

UTF-8 only, no duplicate keys, no NaN, bounded size, depth and digits, and none of the characters that PostgreSQL
cannot store, wherever they hide.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rest_framework.parsers import BaseParser

from config.platform.errors import BodyTooLarge, MalformedRequest

MAX_BYTES = 1_048_576
MAX_DEPTH = 20
MAX_DIGITS = 40


def loads(content: bytes) -> Any:
    """
    Return the one JSON document in `content`.

    :raises BodyTooLarge: above a mebibyte
    :raises MalformedRequest: if it is not strict JSON, is nested too deeply or holds NUL or half a surrogate pair
    """
    if len(content) > MAX_BYTES:
        raise BodyTooLarge(extra={"maximumBytes": MAX_BYTES})
    try:
        text = content.decode("utf-8")
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise MalformedRequest(
            f"The body is not JSON: {error.msg} at character {error.pos}."
        ) from None
    # Only escapes can smuggle these characters in: UTF-8 has no surrogates and JSON text no control characters.
    suspicious = "\\u" in text
    if suspicious or text.count("[") + text.count("{") > MAX_DEPTH:
        _inspect(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A key stands twice in one object.")
    return found


def _constant(name: str) -> Any:
    raise MalformedRequest(f"{name} is not JSON.")


def _float(digits: str) -> float:
    if len(digits) > 2 * MAX_DIGITS or not math.isfinite(number := float(digits)):
        raise MalformedRequest("A number is out of range.")
    return number


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise MalformedRequest("A number has too many digits.")
    return int(digits)


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def is_plain(text: str) -> bool:
    """Return whether the text has no control characters besides line breaks and tabs."""
    return _CONTROLS.search(text) is None


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL can store the text: no NUL, no lone surrogate."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _inspect(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if not is_storable(value):
                    raise MalformedRequest("A text holds a character that cannot be stored.")
            elif isinstance(value, dict):
                deeper += value.keys()
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
        if not deeper:
            return
        level = deeper
    raise MalformedRequest("The body is nested too deeply.")


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return loads(stream.read(MAX_BYTES + 1))
