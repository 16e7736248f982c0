"""Events: written with the change, delivered at least once, each consumer's effect once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import pytest
from django.db import connection, transaction

from config.platform import breaker, bus, outbox, relay
from config.platform.events import Event
from config.platform.models import AuditEntry, ConsumedEvent, OutboxEvent, new_id
from tests.threads import together


@dataclass(frozen=True, kw_only=True)
class Happened(Event):
    aggregate_type: ClassVar[str] = "probe"


@dataclass(frozen=True, kw_only=True)
class Rang(Happened):
    name: ClassVar[str] = "probe.rang"
    number: int
    others: list[UUID] | None = None
    owner: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Silent(Event):
    name: ClassVar[str] = "probe.silent"
    aggregate_type: ClassVar[str] = "probe"


@pytest.fixture(autouse=True)
def _own_subscribers(monkeypatch):
    monkeypatch.setattr(outbox, "_live", [])
    monkeypatch.setattr(outbox, "_durable", {})
    outbox._live_for.cache_clear()
    outbox.consumers_of.cache_clear()
    yield
    outbox._live_for.cache_clear()
    outbox.consumers_of.cache_clear()


def rang(number=1, **fields):
    return Rang(aggregate_id=new_id(), number=number, **fields)


def consumer(name="probe.consumer", *, fails=()):
    """Subscribe a consumer that notes what it takes as an audit entry, and fails as often as told."""
    failures = list(fails)
    taken = []

    @outbox.durable(Happened, consumer=name)
    def take(event, envelope, now):
        taken.append((event, envelope))
        AuditEntry.objects.create(
            action=name, actor="test", source="test", at=now, object_id=str(envelope.id)
        )
        if failures:
            raise failures.pop(0)

    return taken


def publish(*events, actor, now):
    with transaction.atomic():
        outbox.publish(*events, actor=actor, now=now)


def test_it_writes_all_events_in_one_statement(actor_user, now, django_assert_num_queries):
    consumer()
    with transaction.atomic(), django_assert_num_queries(1):
        outbox.publish(rang(1), rang(2), Silent(aggregate_id=new_id()), actor=actor_user, now=now)

    rows = list(OutboxEvent.objects.order_by("id"))
    assert [(row.name, row.payload.get("number")) for row in rows] == [
        ("probe.rang", 1), ("probe.rang", 2), ("probe.silent", None),
    ]  # fmt: skip
    assert [row.published_at for row in rows] == [None, None, now]
    assert (rows[0].actor, rows[0].request_id) == (f"user:{actor_user.user_id}", "test")
    assert rows[0].company_id == actor_user.company_id


@pytest.mark.django_db
def test_what_several_services_publish_is_one_statement_without_what_failed(
    actor_user, now, django_assert_num_queries
):
    def fail(number):
        with outbox.together():
            outbox.publish(rang(number), actor=actor_user, now=now)
            raise ValueError

    with transaction.atomic(), outbox.together():
        outbox.publish(rang(1), actor=actor_user, now=now)
        with pytest.raises(ValueError):
            fail(2)
        with django_assert_num_queries(0), outbox.together():
            outbox.publish(rang(3), actor=actor_user, now=now)
        assert not OutboxEvent.objects.exists()
    with transaction.atomic(), pytest.raises(ValueError):
        fail(4)

    numbers = [row.payload["number"] for row in OutboxEvent.objects.order_by("id")]
    assert numbers == [1, 3]


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_announce_outside_a_transaction(actor_user, now):
    with pytest.raises(RuntimeError):
        outbox.publish(rang(), actor=actor_user, now=now)
    assert OutboxEvent.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_it_says_nothing_of_what_was_rolled_back(actor_user, now):
    heard = []
    outbox.live(Rang)(lambda event, envelope: heard.append(event))

    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        outbox.publish(rang(), actor=actor_user, now=now)
        raise ZeroDivisionError

    assert heard == []
    assert OutboxEvent.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_it_runs_live_subscribers_after_the_commit_whatever_one_of_them_does(actor_user, now):
    heard = []

    @outbox.live(Happened)
    def breaks(event, envelope):
        raise ValueError

    outbox.live(Rang)(
        lambda event, envelope: heard.append((event.number, connection.in_atomic_block))
    )
    outbox.live(Silent)(lambda event, envelope: heard.append("silent"))

    with transaction.atomic():
        outbox.publish(rang(7), actor=actor_user, now=now)
        assert heard == []

    assert heard == [(7, False)]


def test_it_delivers_each_event_once_per_consumer_with_its_types(actor_user, now, deliver):
    first, second = consumer("probe.one"), consumer("probe.two")
    event = rang(3, owner=new_id(), others=[new_id()])
    publish(event, actor=actor_user, now=now)

    assert (deliver(), deliver()) == (1, 0)

    assert [taken for taken, _ in first] == [
        event.__class__(**{**event.__dict__, "others": first[0][0].others})
    ]
    assert first[0][0].owner == event.owner
    assert first[0][1].request_id == "test"
    assert len(second) == 1
    assert ConsumedEvent.objects.count() == 2
    row = OutboxEvent.objects.get()
    assert row.published_at is not None
    relay.replay(event_id=row.id, now=now)
    assert deliver() == 1
    assert (len(first), len(second)) == (1, 1)


def test_it_tries_again_later_and_keeps_no_half_effect(actor_user, now):
    good = consumer("probe.good")
    bad = consumer("probe.bad", fails=[ValueError("once")])
    publish(rang(), actor=actor_user, now=now)

    assert relay.relay_due(now=now) == 0
    row = OutboxEvent.objects.get()
    assert (row.attempts, row.published_at, row.next_attempt_at) == (
        1,
        None,
        now + timedelta(seconds=5),
    )
    assert row.error == "probe.bad: ValueError: once"
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["probe.good"]
    assert relay.relay_due(now=now + timedelta(seconds=4)) == 0

    assert relay.relay_due(now=now + timedelta(seconds=5)) == 1
    assert (len(good), len(bad)) == (1, 2)
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == [
        "probe.bad",
        "probe.good",
    ]


def test_it_gives_up_visibly_and_can_be_replayed(actor_user, now):
    consumer("probe.bad", fails=[ValueError("never")] * relay.MAX_ATTEMPTS)
    publish(rang(), actor=actor_user, now=now)

    at = now
    for _ in range(relay.MAX_ATTEMPTS):
        assert relay.relay_due(now=at) == 0
        at += timedelta(hours=1)

    row = OutboxEvent.objects.get()
    assert (row.attempts, row.dead_at is None) == (relay.MAX_ATTEMPTS, False)
    assert relay.relay_due(now=at) == 0
    relay.replay(event_id=row.id, now=at)
    assert relay.relay_due(now=at) == 1


def test_it_delivers_in_the_order_of_announcement(actor_user, now):
    taken = consumer()
    publish(*[rang(number) for number in range(20)], actor=actor_user, now=now)

    assert relay.relay_due(now=now, limit=15) == 15
    assert [event.number for event, _ in taken] == list(range(15))


def test_it_keeps_an_event_whose_class_is_gone(actor_user, now):
    consumer()
    publish(rang(), actor=actor_user, now=now)
    OutboxEvent.objects.update(name="probe.forgotten")

    assert relay.relay_due(now=now) == 0
    assert "probe.forgotten" in OutboxEvent.objects.get().error


def test_it_understands_rows_written_by_an_older_class(actor_user, now, deliver):
    taken = consumer()
    publish(rang(4), actor=actor_user, now=now)
    OutboxEvent.objects.update(payload={"number": 4, "dropped_field": True})

    assert deliver() == 1
    assert (taken[0][0].number, taken[0][0].owner) == (4, None)


@pytest.mark.django_db(transaction=True)
def test_it_delivers_once_when_relays_run_side_by_side(actor_user, now):
    taken = consumer()
    publish(*[rang(number) for number in range(10)], actor=actor_user, now=now)

    delivered = together(4, lambda index: relay.relay_due(now=now))

    assert sum(delivered) == 10
    assert sorted(event.number for event, _ in taken) == list(range(10))
    assert ConsumedEvent.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_it_takes_an_event_twice_without_the_lock(actor_user, now, monkeypatch):
    """The control of the test above: it can see the failure that the lock prevents."""
    monkeypatch.setattr(
        "django.db.models.query.QuerySet.select_for_update", lambda query, **options: query.all()
    )
    monkeypatch.setattr(relay, "_take", lambda *args: True)
    taken = consumer()
    publish(*[rang(number) for number in range(10)], actor=actor_user, now=now)

    together(4, lambda index: relay.relay_due(now=now))

    assert len(taken) > 10


def test_it_refuses_two_consumers_of_one_name():
    consumer("probe.same")
    with pytest.raises(ValueError):
        outbox.durable(Rang, consumer="probe.same")(lambda event, envelope, now: None)


@pytest.mark.django_db(transaction=True)
def test_it_does_not_mind_a_broker_that_is_down(actor_user, now, monkeypatch):
    asked = []

    def fail(*args, **options):
        asked.append(args)
        raise ConnectionError

    monkeypatch.setattr(outbox.current_app, "send_task", fail)
    consumer()

    publish(rang(), actor=actor_user, now=now)
    publish(rang(), actor=actor_user, now=now)

    assert len(asked) == 1
    assert breaker.Breaker.all["broker"].is_open
    assert OutboxEvent.objects.filter(published_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_it_wakes_the_relay_only_for_durable_consumers(actor_user, now, monkeypatch):
    kicks = []
    monkeypatch.setattr(outbox, "kick", kicks.append)
    consumer()

    publish(Silent(aggregate_id=new_id()), actor=actor_user, now=now)
    assert kicks == []
    publish(rang(), actor=actor_user, now=now)
    assert kicks == [outbox.RELAY_TASK]


def test_it_forwards_every_event_to_outsiders_once_and_in_order(actor_user, now, settings):
    import json

    import redis

    publish(rang(1), Silent(aggregate_id=new_id()), rang(2), actor=actor_user, now=now)
    client = redis.Redis.from_url(bus._plain(settings.EVENT_BUS_URL))
    client.delete(bus.STREAM)

    assert (bus.forward_due(now=now), bus.forward_due(now=now)) == (3, 0)

    found = [entry for _, entry in client.xrange(bus.STREAM)]
    assert [entry[b"name"] for entry in found] == [b"probe.rang", b"probe.silent", b"probe.rang"]
    event = json.loads(found[0][b"event"])
    assert (event["payload"]["number"], event["correlationId"]) == (1, "test")


def test_it_keeps_what_the_outside_broker_did_not_take(actor_user, now, settings):
    settings.EVENT_BUS_URL = "redis://127.0.0.1:1/0"
    publish(rang(1), actor=actor_user, now=now)

    with pytest.raises(Exception, match="refused"):
        bus.forward_due(now=now)

    assert OutboxEvent.objects.filter(forwarded_at=None).count() == 1


def test_it_forgets_what_everybody_has_had_for_long(actor_user, now, deliver, settings):
    consumer("probe.good")
    for _ in range(6):
        publish(rang(), actor=actor_user, now=now)
    deliver()
    old, unsent, waiting, dead, young, late = OutboxEvent.objects.order_by("id")
    long_ago = now - settings.RETENTION["events"] - timedelta(seconds=1)
    had = {"occurred_at": long_ago, "published_at": long_ago, "forwarded_at": long_ago}
    for row, state in (
        (old, had),
        (unsent, had | {"forwarded_at": None}),
        (waiting, had | {"published_at": None}),
        (dead, had | {"dead_at": long_ago}),
        (young, {"forwarded_at": now}),
        (late, had | {"published_at": now}),
    ):
        OutboxEvent.objects.filter(id=row.id).update(**state)

    assert (outbox.prune(now=now), outbox.prune(now=now)) == (1, 0)

    assert set(OutboxEvent.objects.all()) == {unsent, waiting, dead, young, late}
    assert not ConsumedEvent.objects.filter(event_id=old.id).exists()
    assert ConsumedEvent.objects.count() == 5


def test_it_forgets_in_batches(actor_user, now, settings):
    for _ in range(3):
        publish(rang(), actor=actor_user, now=now)
    OutboxEvent.objects.update(forwarded_at=now)

    assert outbox.prune(now=now + settings.RETENTION["events"] * 2, limit=2) == 3
