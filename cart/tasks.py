"""The clockwork of carts. Each run is recorded and none overlaps; all work is in services, in sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic

from celery import shared_task
from django.utils import timezone

from cart import services
from config.platform.jobs import run_job

CHUNK = 2_000
BUDGET_SECONDS = 60.0


def _drain(sweep: Callable[..., int], *, chunk: int = CHUNK) -> Callable[[datetime], int]:
    """Return work that repeats a sweep, each time in its own transaction, until nothing is due or time is up."""

    def work(now: datetime) -> int:
        done, ends = 0, monotonic() + BUDGET_SECONDS
        while True:
            count = sweep(now=now, limit=chunk)
            done += count
            if not count or monotonic() > ends:
                return done

    return work


@shared_task
def mark_abandoned() -> None:
    """Every 15 minutes (JOB-01)."""
    run_job("cart.mark_abandoned", _drain(services.mark_abandoned), now=timezone.now())


@shared_task
def send_recoveries() -> None:
    """Every 10 minutes (JOB-02)."""
    run_job(
        "cart.send_recoveries", _drain(services.send_due_recoveries, chunk=500), now=timezone.now()
    )


@shared_task
def expire_carts() -> None:
    """Every hour, on the hour (JOB-04)."""
    run_job("cart.expire_carts", _drain(services.expire_due), now=timezone.now())


@shared_task
def move_to_next_purchase() -> None:
    """Every day (JOB-06)."""
    run_job(
        "cart.move_to_next_purchase", _drain(services.move_abandoned_to_next), now=timezone.now()
    )


@shared_task
def clean_up() -> None:
    """Every day at 03:00 (JOB-05, JOB-08)."""
    run_job("cart.clean_up", _drain(services.delete_old, chunk=1_000), now=timezone.now())
