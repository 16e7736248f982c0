"""Keeps a dependency that is down from costing every request its time-out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import structlog

logger = structlog.get_logger(__name__)


class Breaker:
    """
    Open for `rest` seconds after a failure; meanwhile nobody calls.

    Per process on purpose: each process finds out for itself, and no shared state is needed to know that shared state
    is gone. `guard()` swallows what the call raises, so it fits only calls that may be left out.
    """

    all: ClassVar[dict[str, Breaker]] = {}

    def __init__(self, name: str, *, rest: float) -> None:
        self.name = name
        self.rest = rest
        self.failures = 0
        self._open_until = 0.0
        Breaker.all[name] = self

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self, reason: Exception) -> None:
        self.failures += 1
        self._open_until = time.monotonic() + self.rest
        logger.warning("a dependency does not answer", dependency=self.name, reason=repr(reason))

    def reset(self) -> None:
        self.failures = 0
        self._open_until = 0.0

    @contextmanager
    def guard(self) -> Iterator[bool]:
        """Yield whether to call; whatever the call raises opens the breaker and goes no further."""
        if self.is_open:
            yield False
            return
        try:
            yield True
        except Exception as reason:  # noqa: BLE001 - whatever it is, the call is one that may be left out
            self.trip(reason)
        else:
            self.failures = 0
