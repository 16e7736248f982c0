"""What an engine is asked, and what becomes of its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


class Unusable(Exception):
    """No answer, or one that cannot be true; the text says which."""


# Checks an answer and returns what is kept of it, each part under one of the question's keys.
Reader = Callable[["Question", Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """
    What an engine is asked. Equal content is the same question and has the same answer for a while.

    `keys` names what of the answer is kept apart, for `keep`; without them it is kept as a whole.
    """

    kind: str
    content: Mapping[str, Any]
    read: Reader = field(compare=False)
    keep: timedelta = field(compare=False)
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return key_of(self.kind, self.content)

    @property
    def keys(self) -> tuple[str, ...]:
        return self.parts or (self.key,)


def key_of(kind: str, content: Mapping[str, Any]) -> str:
    """Return the key under which an answer is kept: equal content, equal key."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"outside:{kind}:{hashlib.sha256(text.encode()).hexdigest()}"
