"""Scheduled work of the platform itself."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from config.platform import alerts, bus, devices, idempotency, invariants, jobs, outbox, tokens
from config.platform import relay as relays

logger = structlog.get_logger(__name__)


@shared_task
def relay() -> None:
    """Hand due events to their consumers."""
    jobs.run_job("platform.relay", lambda now: relays.relay_due(now=now), now=timezone.now())


@shared_task
def forward() -> None:
    """Send events to the broker for outsiders."""
    jobs.run_job("platform.forward", lambda now: bus.forward_due(now=now), now=timezone.now())


@shared_task
def check_invariants() -> None:
    """Check what must be true of the data; a violation is logged as an error and counted in the run."""
    jobs.run_job("platform.check_invariants", lambda now: _violations(), now=timezone.now())


def _violations() -> int:
    broken = [result for result in invariants.run(invariants.all_checks()) if not result.holds]
    for result in broken:
        logger.error("an invariant does not hold", **result.to_json())
    return len(broken)


@shared_task
def check_alerts() -> None:
    """Compare the numbers with the rules (JOB-16)."""
    jobs.run_job("platform.check_alerts", lambda now: alerts.evaluate(now=now), now=timezone.now())


@shared_task
def prune() -> None:
    """Delete idempotency keys, sign-ins, job runs and events whose time is over."""
    jobs.run_job(
        "platform.prune",
        lambda now: (
            idempotency.prune(now=now)
            + tokens.prune(now=now)
            + devices.prune(now=now)
            + jobs.prune(now=now)
            + outbox.prune(now=now)
        ),
        now=timezone.now(),
    )
