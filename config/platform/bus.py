"""
The way out: every event, in order, to whoever listens outside (`EVENT_BUS_URL`).

Redis gets a stream; any other broker that kombu knows gets a topic exchange with the event's name as routing key.
Delivery is at least once: an outsider recognises a repeat by the event's id.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from django.conf import settings
from kombu.connection import Connection
from kombu.entity import Exchange

from config.platform.http.rendering import encode
from config.platform.models import OutboxEvent

STREAM = "holdfast.events"
STREAM_LENGTH = 100_000
# The name under which some subscribers know an event (CONF-15).
ALIASES = {"order.placed": ("order.created",)}


def envelope(row: OutboxEvent, name: str) -> dict[str, Any]:
    """Return what leaves: the envelope of EVT-03 with the payload."""
    return {
        "id": row.id,
        "name": name,
        "version": row.version,
        "occurredAt": row.occurred_at,
        "companyId": row.company_id,
        "aggregate": {"type": row.aggregate_type, "id": row.aggregate_id},
        "actor": row.actor,
        "correlationId": row.request_id,
        "payload": row.payload,
    }


def forward_due(*, now: datetime, limit: int = 1_000) -> int:
    """
    Send up to `limit` events that no outsider has got yet, oldest first; return how many.

    No transaction is open while the broker is asked. Whatever fails is sent again next time.
    """
    rows = list(OutboxEvent.objects.filter(forwarded_at=None).order_by("id")[:limit])
    if not rows:
        return 0
    messages = [
        (name, encode(envelope(row, name)))
        for row in rows
        for name in (row.name, *ALIASES.get(row.name, ()))
    ]
    _send(messages)
    return OutboxEvent.objects.filter(id__in=[row.id for row in rows]).update(forwarded_at=now)


def _send(messages: Sequence[tuple[str, bytes]]) -> None:
    url = settings.EVENT_BUS_URL
    timeout = settings.EVENT_PUBLISH_TIMEOUT.total_seconds()
    if urlsplit(url).scheme in {"redis", "rediss", "unix", "redis+socket"}:
        with redis.Redis.from_url(
            _plain(url), socket_timeout=timeout, socket_connect_timeout=timeout
        ) as client:
            pipeline = client.pipeline(transaction=False)
            for name, content in messages:
                pipeline.xadd(
                    STREAM, {"name": name, "event": content}, maxlen=STREAM_LENGTH, approximate=True
                )
            pipeline.execute()
        return
    with Connection(url, connect_timeout=timeout) as connection:  # type: ignore[no-untyped-call]
        exchange = Exchange(STREAM, type="topic", durable=True)  # type: ignore[no-untyped-call]
        producer = connection.Producer(exchange=exchange)
        for name, content in messages:
            producer.publish(
                json.loads(content), routing_key=name, serializer="json", timeout=timeout
            )


def _plain(url: str) -> str:
    """Return a Redis URL as redis-py spells it; Celery has its own scheme for sockets."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.path}?db={database}"
