"""Events in the form that Stripe gives them, which the test provider speaks too."""

from __future__ import annotations

import json

from checkout.gateway.interface import ProviderEvent
from config.platform.errors import MalformedRequest


def read_event(body: bytes) -> ProviderEvent:
    """
    Read the parts of an event that we use.

    :raises MalformedRequest: if they are not there
    """
    try:
        event = json.loads(body)
        subject = event["data"]["object"]
        metadata = subject.get("metadata") or {}
        parsed = ProviderEvent(
            id=event["id"],
            type=event["type"],
            # charges, refunds and disputes name the payment they belong to
            object_id=subject.get("payment_intent") or subject["id"],
            payment_id=str(metadata.get("payment_id", "")),
            is_live=event.get("livemode") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MalformedRequest("This is no event.") from None
    for text, limit in (
        (parsed.id, 255),
        (parsed.type, 100),
        (parsed.object_id, 255),
        (parsed.payment_id, 64),
    ):
        if (
            not isinstance(text, str)
            or len(text) > limit
            or not text.isprintable()
            or not text.isascii()
        ):
            raise MalformedRequest("This is no event.")
    if not parsed.id or not parsed.type:
        raise MalformedRequest("This is no event.")
    return parsed
