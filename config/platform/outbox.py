"""
The one way upwards: events are written in the transaction of the change they tell of.

*Live* subscribers run in the publishing process after the commit, best effort. *Durable* consumers are run by
`config.platform.relay`, each event once per consumer, and survive any crash.
"""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, transaction

from config.platform import breaker
from config.platform.actor import Actor
from config.platform.events import Event
from config.platform.models import OutboxEvent, new_id
from config.platform.prepared import prepared_cursor

logger = structlog.get_logger(__name__)

RELAY_TASK = "config.platform.tasks.relay"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What surrounds every event (EVT-03); `actor` is the label under which histories name the author."""

    id: UUID
    name: str
    version: int
    occurred_at: datetime
    company_id: UUID | None
    aggregate_type: str
    aggregate_id: UUID
    actor: str
    request_id: str


Live = Callable[[Any, Envelope], None]
Durable = Callable[[Any, Envelope, datetime], None]
L = TypeVar("L", bound=Live)
D = TypeVar("D", bound=Durable)


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable subscriber; its name is stored with every event it took, so it must never change."""

    name: str
    events: tuple[type[Event], ...]
    run: Durable


_live: list[tuple[tuple[type[Event], ...], Live]] = []
_around: list[Callable[[], AbstractContextManager[None]]] = []
_durable: dict[str, Consumer] = {}


def live(*events: type[Event]) -> Callable[[L], L]:
    """
    Register a function to be called as `fn(event, envelope)` after the commit, in the publishing process.

    Best effort: what it raises is logged. Subscribing to a base class receives all its subclasses.
    """

    def register(run: L) -> L:
        _live.append((events, run))
        _live_for.cache_clear()
        return run

    return register


def around_live(enter: Callable[[], AbstractContextManager[None]]) -> None:
    """Have `enter()` surround the live subscribers of each commit, so that what they send can leave together."""
    if enter not in _around:
        _around.append(enter)


def durable(*events: type[Event], consumer: str) -> Callable[[D], D]:
    """
    Register `fn(event, envelope, now)` to be run by the relay, once per event under the name `consumer`.

    It runs in a transaction of its own, together with the proof that it ran; whatever it raises undoes both and is
    tried again later. So it may write rows and publish, and must not call a network.
    """

    def register(run: D) -> D:
        known = _durable.get(consumer)
        if known and (known.run.__module__, known.run.__qualname__) != (
            run.__module__,
            run.__qualname__,
        ):
            raise ValueError(f"two durable consumers are named {consumer}")
        _durable[consumer] = Consumer(name=consumer, events=events, run=run)
        consumers_of.cache_clear()
        return run

    return register


@functools.cache
def _live_for(event: type[Event]) -> tuple[Live, ...]:
    return tuple(run for events, run in _live if issubclass(event, events))


@functools.cache
def consumers_of(event: type[Event]) -> tuple[Consumer, ...]:
    """Return the durable consumers of an event class, in the order in which they subscribed."""
    return tuple(consumer for consumer in _durable.values() if issubclass(event, consumer.events))


def publish(*events: Event, actor: Actor, now: datetime) -> None:
    """
    Announce what has happened, as rows of the caller's transaction: one statement for all of them.

    After the commit the live subscribers run here and, where a durable consumer waits, the relay is woken. An event
    without durable consumers needs no relay and is stored as done.
    """
    if not events:
        return
    if not connection.in_atomic_block:
        raise RuntimeError("publish() belongs in the transaction of the change it announces")
    published = _prepare(events, actor, now)
    gathered = _gathered.get()
    if gathered is None:
        _write(published)
    else:
        gathered += published


def announce_within(*events: Event, actor: Actor, now: datetime) -> str:
    """
    Return events as the value `events` of `PART`, for a caller who writes them in a statement of its own at once.

    For where a round trip of their own would be felt: shelves are locked meanwhile. What follows the commit is as
    with `publish`.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("events belong in the transaction of the change they announce")
    published = _prepare(events, actor, now)
    _follow(published)
    return _rows(published)


def _prepare(events: Iterable[Event], actor: Actor, now: datetime) -> list[_Published]:
    published: list[_Published] = []
    # In words already: JSON asks for each value that is not, and a sweep announces hundreds at once.
    said = {
        "occurred_at": now.isoformat(),
        "company_id": str(actor.company_id),
        "actor": actor.label,
        "request_id": actor.request_id,
    }
    for event in events:
        kind = type(event)
        envelope = Envelope(
            id=new_id(),
            name=event.name,
            version=event.version,
            occurred_at=now,
            company_id=actor.company_id,
            aggregate_type=event.aggregate_type,
            aggregate_id=event.aggregate_id,
            actor=actor.label,
            request_id=actor.request_id,
        )
        row = {
            "id": str(envelope.id),
            "name": event.name,
            "version": event.version,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": str(event.aggregate_id),
            **said,
            "payload": event.payload(),
            # nobody waits for it: stored as done
            "published_at": None if consumers_of(kind) else said["occurred_at"],  # type: ignore[arg-type]
        }
        published.append((row, event, envelope))
    return published


# Written by hand: it is on the way of every change, often while shelves are locked, and the ORM takes ten times as long.
_INSERT = """
    INSERT INTO outbox_events (
           id, name, version, company_id, aggregate_type, aggregate_id, actor, request_id, payload, occurred_at, published_at,
           attempts, next_attempt_at, error)
    SELECT e.id, e.name, e.version, e.company_id, e.aggregate_type, e.aggregate_id, e.actor, e.request_id, e.payload,
           e.occurred_at, e.published_at, 0, e.occurred_at, ''
      FROM jsonb_to_recordset(%(events)s::jsonb) AS e(
           id uuid, name text, version int, company_id uuid, aggregate_type text, aggregate_id uuid, actor text,
           request_id text, payload jsonb, occurred_at timestamptz, published_at timestamptz)
"""
PART = f"announced AS ({_INSERT})"  # of a WITH clause
_Published = tuple[dict[str, Any], Event, Envelope]
_gathered: ContextVar[list[_Published] | None] = ContextVar("gathered", default=None)


@contextmanager
def together() -> Iterator[None]:
    """
    Write all that is published within as one statement, at the end of the block.

    For a transaction of several services; enter it inside the transaction, and again wherever a savepoint may be
    rolled back: a block that raises announces nothing.
    """
    outer = _gathered.get()
    own: list[_Published] = []
    token = _gathered.set(own)
    try:
        yield
    finally:
        _gathered.reset(token)
    if outer is None:
        _write(own)
    else:
        outer += own


def _write(published: list[_Published]) -> None:
    if not published:
        return
    with prepared_cursor() as cursor:
        cursor.execute(_INSERT, {"events": _rows(published)})
    _follow(published)


def _rows(published: list[_Published]) -> str:
    return json.dumps([row for row, _, _ in published], default=_text)


def _follow(published: list[_Published]) -> None:
    announced = [(event, envelope) for _, event, envelope in published]
    waiting = any(row["published_at"] is None for row, _, _ in published)
    transaction.on_commit(functools.partial(_after_commit, announced, waiting), robust=True)


def _text(value: object) -> str:
    if isinstance(value, UUID | datetime):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not for events")


def _after_commit(announced: list[tuple[Event, Envelope]], waiting: bool) -> None:
    with ExitStack() as surroundings:
        for enter in _around:
            surroundings.enter_context(enter())
        for event, envelope in announced:
            for run in _live_for(type(event)):  # type: ignore[arg-type]
                try:
                    run(event, envelope)
                except Exception:
                    logger.exception(
                        "a live subscriber failed",
                        event_name=event.name,
                        subscriber=run.__qualname__,
                    )
    if waiting:
        kick(RELAY_TASK)


_broker = breaker.Breaker("broker", rest=5.0)


def kick(task: str) -> None:
    """
    Ask a worker to run `task` soon; best effort.

    The row that waits is what makes the work happen. A broker that does not answer is left alone for some seconds,
    so that it costs one request half a second and the others nothing.
    """
    with _broker.guard() as closed:
        if closed:
            current_app.send_task(task, retry=False, ignore_result=True, expires=60)


# Oldest first by the key, which is the order of time; a consumer's proof goes with its event.
_PRUNE = """
    WITH gone AS (
        DELETE FROM outbox_events WHERE id = ANY(ARRAY(
            SELECT e.id FROM outbox_events e
             WHERE e.occurred_at < %(before)s AND e.published_at < %(before)s AND e.forwarded_at IS NOT NULL
               AND e.dead_at IS NULL
             ORDER BY e.id LIMIT %(limit)s))
        RETURNING id),
    proofs AS (DELETE FROM consumed_events c USING gone g WHERE c.event_id = g.id)
    SELECT count(*) FROM gone
"""


def prune(*, now: datetime, limit: int = 10_000) -> int:
    """
    Delete events that everybody has had for `RETENTION["events"]`, at most `limit` times ten; return how many.

    What still waits for a consumer or for the bus, and what was given up, stays. Histories are tables of their own.
    """
    values: dict[str, Any] = {"before": now - settings.RETENTION["events"], "limit": limit}
    gone = 0
    for _ in range(10):
        with connection.cursor() as cursor:
            cursor.execute(_PRUNE, values)
            [[batch]] = cursor.fetchall()
        gone += batch
        if batch < limit:
            break
    return gone


# --- from rows back to events -----------------------------------------------------------------


def _subclasses(base: type[Event]) -> Iterator[type[Event]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def event_class(name: str) -> type[Event] | None:
    """Return the class that is announced under `name`, or None where the code no longer knows it."""
    return next((found for found in _subclasses(Event) if found.__dict__.get("name") == name), None)


@functools.cache
def _uuid_fields(event: type[Event]) -> frozenset[str]:
    hints = typing.get_type_hints(event)
    return frozenset(
        field.name
        for field in fields(event)
        if hints[field.name] is UUID or UUID in typing.get_args(hints[field.name])
    )


def restore(row: OutboxEvent) -> tuple[Event, Envelope] | None:
    """
    Rebuild the event of a row; None where its class is gone.

    Fields that the class no longer has are dropped, and new ones must have a default, so that rows written before a
    deploy are still understood after it.
    """
    found = event_class(row.name)
    if found is None:
        return None
    known = {field.name for field in fields(found)}
    payload = {key: value for key, value in row.payload.items() if key in known}
    for key in _uuid_fields(found) & payload.keys():  # type: ignore[arg-type]
        if isinstance(payload[key], str):
            payload[key] = UUID(payload[key])
    envelope = Envelope(**{field.name: getattr(row, field.name) for field in fields(Envelope)})
    return found(aggregate_id=row.aggregate_id, **payload), envelope
