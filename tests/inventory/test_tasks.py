from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command

from config.platform.actor import Actor
from config.platform.models import JobRun, new_id
from inventory import services as inventory
from inventory import tasks
from inventory.models import StockLevel
from inventory.services import Demand
from tests.factories import make_variant

pytestmark = pytest.mark.django_db


def test_release_expired_holds_drains_what_is_due_and_is_recorded(
    actor_guest: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        inventory.reserve(
            actor=actor_guest,
            cart_id=new_id(),
            demands=[Demand(new_id(), make_variant(available=1).id, 1)],
            expires_at=now - timedelta(minutes=1),
            now=now - timedelta(minutes=2),
        )
    in_twos = partial(inventory.release_expired, limit=2)
    monkeypatch.setattr(inventory, "release_expired", in_twos)

    tasks.release_expired_holds()

    assert list(StockLevel.objects.values_list("available", "reserved")) == [(1, 0)] * 5
    run = JobRun.objects.get(name="inventory.release_expired_holds")
    assert (run.state, run.count) == ("done", 5)


def test_it_runs_every_minute(settings) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["release expired holds"]["task"] == (
        "inventory.tasks.release_expired_holds"
    )
    assert settings.CELERY_BEAT_SCHEDULE["release expired holds"]["schedule"] == timedelta(
        minutes=1
    )


def test_release_holds_by_hand_counts_releases_and_leaves_orders(
    actor_guest: Actor, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    overdue, live, ordered = (Demand(new_id(), make_variant(available=1).id, 1) for _ in range(3))
    arguments: Any = {"actor": actor_guest, "cart_id": new_id(), "now": now - timedelta(hours=1)}
    inventory.reserve(**arguments, demands=[overdue], expires_at=now - timedelta(minutes=1))
    inventory.reserve(**arguments, demands=[live], expires_at=now + timedelta(hours=1))
    inventory.assign(
        **arguments,
        order_id=new_id(),
        line_map={ordered.line_id: new_id()},
        demands=[ordered],
        expires_at=now + timedelta(hours=1),
    )

    def run(*options: str) -> str:
        call_command("release_holds", *options)
        return capsys.readouterr().out.strip()

    assert run("--dry-run") == "1 holds would be released."
    assert run("--all", "--dry-run") == "2 holds would be released."
    assert run() == "1 holds were released."
    assert run("--all") == "1 holds were released."
    assert sorted(StockLevel.objects.values_list("reserved", flat=True)) == [0, 0, 1]
