from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from cart import services, tasks
from cart.models import Cart, RecoveryAttempt
from config.platform.models import JobRun
from tests.cart.conftest import make_item
from tests.conftest import actor_for

pytestmark = pytest.mark.django_db


def test_the_clockwork_marks_reminds_and_expires_and_records_each_run(user, company, now):
    actor = actor_for(user, company)
    services.create(actor=actor, now=now - timedelta(hours=3))
    services.add_line(actor=actor, sku=make_item("30.00").sku, now=now - timedelta(hours=2))

    tasks.mark_abandoned()
    tasks.send_recoveries()
    tasks.send_recoveries()
    tasks.move_to_next_purchase()
    tasks.clean_up()
    Cart.objects.update(status="ACTIVE", expires_at=timezone.now())
    tasks.expire_carts()

    assert RecoveryAttempt.objects.count() == 1
    assert Cart.objects.get().status == "EXPIRED"
    assert list(
        JobRun.objects.order_by("started_at", "id").values_list("name", "state", "count")
    ) == [
        ("cart.mark_abandoned", "done", 1),
        ("cart.send_recoveries", "done", 1),
        ("cart.send_recoveries", "done", 0),
        ("cart.move_to_next_purchase", "done", 0),
        ("cart.clean_up", "done", 0),
        ("cart.expire_carts", "done", 1),
    ]


def test_every_task_of_carts_is_in_the_schedule():
    scheduled = {str(entry["task"]) for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    known = {
        "mark_abandoned",
        "send_recoveries",
        "expire_carts",
        "move_to_next_purchase",
        "clean_up",
    }

    assert {f"cart.tasks.{name}" for name in known} <= scheduled
    assert all(hasattr(getattr(tasks, name), "delay") for name in known)
