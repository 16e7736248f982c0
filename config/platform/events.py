"""
What an event is. Apps subclass `Event` in their `events.py`; `config.platform.outbox` carries them.

Upwards, publish: an event tells of something that has happened and that others may follow.
"""

from __future__ import annotations

import dataclasses
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
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "aggregate_id"
        }


@dataclass(frozen=True, kw_only=True)
class CustomerCreated(Event):
    """Somebody signed up (EVT-10)."""

    name: ClassVar[str] = "customer.created"
    aggregate_type: ClassVar[str] = "user"
    email: str
