from __future__ import annotations

from datetime import datetime, timedelta

import pytest

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
    monkeypatch.setattr(tasks, "BATCH", 2)

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
