"""
What an event is. Apps subclass `Event` in their `events.py`; `config.platform.outbox` carries them.

Upwards, publish: an event tells of something that has happened and that others may follow.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact about one aggregate. Fields must be JSON-representable (UUID, str, int, bool, list, dict)."""

    name: ClassVar[str]
    aggregate_type: ClassVar[str]
    version: ClassVar[int] = 1

    aggregate_id: UUID

    def payload(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _told(type(self))}  # type: ignore[arg-type]


@functools.cache
def _told(event: type[Event]) -> tuple[str, ...]:
    """Return what an event of this class tells beside whom it is about."""
    fields = dataclasses.fields(event)
    return tuple(field.name for field in fields if field.name != "aggregate_id")


@dataclass(frozen=True, kw_only=True)
class CustomerCreated(Event):
    """Somebody signed up (EVT-10)."""

    name: ClassVar[str] = "customer.created"
    aggregate_type: ClassVar[str] = "user"
    email: str
