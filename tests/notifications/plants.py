"""One violation for each invariant of messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from config.platform.models import new_id
from notifications.models import Notification
from tests.factories import default_company
from tests.plants import loosen, plant


def message(dedupe_key: str, **fields: Any) -> Notification:
    now = timezone.now()
    return Notification.objects.create(
        **{
            "company_id": default_company().id,
            "type": Notification.Type.EMAIL,
            "channel": "order-confirmation",
            "recipient": "a@example.com",
            "dedupe_key": dedupe_key,
            "status": Notification.Status.SENT,
            "next_attempt_at": now,
            "created_at": now,
            **fields,
        }
    )


@plant("N01")
def one_message_twice() -> None:
    event = new_id()
    loosen("notifications")
    message(f"{event}:order-confirmation:EMAIL:a")
    message(f"{event}:order-confirmation:EMAIL:b")


@plant("N02")
def a_message_that_nobody_sends() -> None:
    message(
        f"{new_id()}:order-confirmation:EMAIL:a",
        status=Notification.Status.PENDING,
        next_attempt_at=timezone.now() - timedelta(hours=1),
    )
