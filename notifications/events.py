"""What notifications announce, for the live socket only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class NotificationCreated(Event):
    """aggregate: the notification, shown in the shop."""

    name: ClassVar[str] = "notification.created"
    aggregate_type: ClassVar[str] = "notification"
    user_id: str
    subject: str
