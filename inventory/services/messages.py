"""Signed messages of outside systems: checked, stored, and only then worked off (INV-23)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from config.platform import audit, metrics, outbox, signatures
from config.platform.actor import Actor
from config.platform.errors import InvalidTransition, NotFound, WebhookSignatureInvalid
from inventory.errors import MessageReused, SourceClosed
from inventory.models import Source, SourceMessage
from inventory.services import changes
from inventory.services.changes import REFUSED, Change, Outcome

logger = structlog.get_logger(__name__)

DRAIN_TASK = "inventory.tasks.drain_messages"
MOST_CHANGES = 500
# So many are worked off while the sender waits; the rest of a larger message is left to a worker.
AT_ONCE = 50
MAX_ATTEMPTS = 12
LEASE = timedelta(minutes=2)
KEEP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is stored; `is_replay` says that it had been before."""

    message: SourceMessage
    is_replay: bool


def open_source(
    *, slug: str, body: bytes, signature: str, address: str, request_id: str, now: datetime
) -> Source:
    """
    Return the source whose signature the body carries. Its company is that of the row: no header can choose another.

    A forged message is counted and leaves an audit entry with the address it came from.

    :raises SourceClosed: if there is no such source, or the environment has no secret for it
    :raises WebhookSignatureInvalid: if the signature is missing, wrong or more than five minutes off
    """
    secrets = settings.INVENTORY_WEBHOOK_SECRETS.get(slug, [])
    source = (
        Source.objects.select_related("warehouse").filter(slug=slug, is_active=True).first()
        if secrets
        else None
    )
    if source is None:
        raise SourceClosed
    try:
        signatures.verify(secrets=secrets, body=body, signature=signature, now=now)
    except WebhookSignatureInvalid:
        metrics.count("inventory_webhook_messages_total", source=slug, result="forged")
        audit.record(
            actor=Actor.system(source.company_id, source="webhook", request_id=request_id),
            action="webhook.refused",
            object_type="source",
            object_id=source.id,
            after={"address": address, "bytes": len(body)},
            now=now,
        )
        raise
    return source


def take_message(
    *,
    source: Source,
    event_id: str,
    content: Any,
    occurred_at: datetime,
    said: Sequence[Change | Outcome],
    now: datetime,
) -> Taken:
    """
    Store a message and work it off; the same one again gives the first row and changes nothing.

    `said` has a change, or the refusal of what was no change, for each entry. `content` is what was signed, by which a
    repeat is known. The row is there before anything is done, so a crash loses nothing: what was not done is done by
    the drain. Large messages are left to it from the start.

    :raises MessageReused: if the id was used for another message; nothing is written
    """
    row = SourceMessage(
        company_id=source.company_id,
        source=source,
        event_id=event_id,
        fingerprint=hashlib.sha256(_canonical(content)).digest(),
        payload={"changes": [one.to_json() if isinstance(one, Change) else None for one in said]},
        results={str(one.index): one.to_json() for one in said if isinstance(one, Outcome)},
        occurred_at=occurred_at,
        received_at=now,
        next_attempt_at=now,
    )
    with transaction.atomic():
        SourceMessage.objects.bulk_create([row], ignore_conflicts=True)
        there = SourceMessage.objects.get(source=source, event_id=event_id)
        is_replay = there.id != row.id
        if not is_replay:
            transaction.on_commit(lambda: outbox.kick(DRAIN_TASK), robust=True)
    result = "accepted"
    if is_replay:
        result = "replayed" if bytes(there.fingerprint) == row.fingerprint else "reused"
    metrics.count("inventory_webhook_messages_total", source=source.slug, result=result)
    if result == "reused":
        raise MessageReused(extra={"id": event_id})
    if not is_replay and len(said) <= AT_ONCE:
        work_off(message_id=there.id, now=now)
        there = SourceMessage.objects.get(id=there.id)
    return Taken(there, is_replay)


def drain_messages(*, now: datetime, limit: int = 50) -> int:
    """
    Work off the messages that are due, oldest first, and return how many are done with.

    Each is claimed by moving its next attempt forward, so two drains never work on one. What fails is tried again with
    back-off; after twelve tries it is left for staff.
    """
    due = SourceMessage.objects.filter(
        processed_at=None, dead_at=None, next_attempt_at__lte=now
    ).order_by("next_attempt_at", "pk")
    ids = list(due.values_list("pk", flat=True)[:limit])
    return sum(work_off(message_id=message_id, now=now) for message_id in ids)


def work_off(*, message_id: UUID, now: datetime) -> bool:
    """Apply a message if it is due and nobody else does, each product in a transaction; return whether it is done."""
    claimed = SourceMessage.objects.filter(
        pk=message_id, processed_at=None, dead_at=None, next_attempt_at__lte=now
    ).update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    if not claimed:
        return False
    message = SourceMessage.objects.select_related("source__warehouse").get(pk=message_id)
    try:
        _apply_all(message, now)
    except Exception as failure:
        logger.exception("a message from outside could not be worked off", message=str(message.pk))
        if message.attempts >= MAX_ATTEMPTS:
            metrics.count(
                "inventory_webhook_messages_total", source=message.source.slug, result="dead"
            )
        SourceMessage.objects.filter(pk=message.pk).update(
            next_attempt_at=now
            + min(timedelta(seconds=5 * 2**message.attempts), timedelta(hours=1)),
            dead_at=now if message.attempts >= MAX_ATTEMPTS else None,
            error=f"{type(failure).__name__}: {failure}"[:300],
        )
        return False
    _finish(message, now)
    return True


def _apply_all(message: SourceMessage, now: datetime) -> None:
    source = message.source
    actor = Actor.system(message.company_id, source="webhook")
    said = [
        (index, Change.from_json(values))
        for index, values in enumerate(message.payload["changes"])
        if values is not None
    ]
    for task in changes.by_product(actor=actor, changes=said):
        with transaction.atomic():
            # Under the row's lock, so that a product is applied once however many work on the message.
            row = SourceMessage.objects.filter(pk=message.pk).for_update().get()
            if all(str(index) in row.results for index, _ in task.changes):
                continue
            outcomes = changes.apply(
                actor=actor,
                source=source,
                task=task,
                reference=f"{source.slug}:{message.event_id}",
                now=now,
            )
            row.results |= {str(outcome.index): outcome.to_json() for outcome in outcomes}
            row.save(update_fields=["results"])


def _finish(message: SourceMessage, now: datetime) -> None:
    message.refresh_from_db(fields=["results"])
    refused = sum(1 for result in message.results.values() if result["status"] == REFUSED)
    applied = sum(1 for result in message.results.values() if result["status"] == changes.APPLIED)
    done = SourceMessage.objects.filter(pk=message.pk, processed_at=None).update(
        processed_at=now, applied=applied, refused=refused, error=""
    )
    if done:
        for status in (changes.APPLIED, changes.UNCHANGED, changes.STALE, REFUSED):
            count = sum(1 for result in message.results.values() if result["status"] == status)
            if count:
                metrics.count(
                    "inventory_webhook_changes_total",
                    count,
                    source=message.source.slug,
                    status=status,
                )


@transaction.atomic
def apply_again(*, actor: Actor, message_id: UUID, now: datetime) -> SourceMessage:
    """
    Put what a message was refused into the queue again; what it changed already is not changed twice.

    :raises NotFound: if the company has no such message
    :raises InvalidTransition: if it is in the queue, or nothing of it was refused
    """
    mine = SourceMessage.objects.filter(pk=message_id, company_id=actor.company_id)
    row: SourceMessage | None = mine.for_update().first()
    if row is None:
        raise NotFound("There is no such message.")
    if row.processed_at is None and row.dead_at is None:
        raise InvalidTransition("It is in the queue.")
    refused = {
        index
        for index, result in row.results.items()
        if result["status"] == REFUSED and row.payload["changes"][int(index)] is not None
    }
    if not refused and row.dead_at is None:
        raise InvalidTransition("Nothing of it was refused.")
    row.results = {index: result for index, result in row.results.items() if index not in refused}
    row.processed_at = row.dead_at = None
    row.attempts = 0
    row.next_attempt_at = now
    row.save()
    audit.record(
        actor=actor,
        action="webhook.applied_again",
        object_type="source_message",
        object_id=row.id,
        after={"message": row.event_id, "changes": len(refused)},
        now=now,
    )
    transaction.on_commit(lambda: outbox.kick(DRAIN_TASK), robust=True)
    return row


def prune_messages(*, now: datetime) -> int:
    """Delete messages that were worked off 90 days ago; a repeat that late is refused by its signature's age."""
    return SourceMessage.objects.filter(processed_at__lt=now - KEEP).delete()[0]


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
