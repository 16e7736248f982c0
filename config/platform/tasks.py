"""Scheduled work of the platform itself."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from config.platform import idempotency, jobs, tokens
from config.platform import relay as relays


@shared_task
def relay() -> None:
    """Hand due events to their consumers."""
    jobs.run_job("platform.relay", lambda now: relays.relay_due(now=now), now=timezone.now())


@shared_task
def prune() -> None:
    """Delete idempotency keys, sign-ins and job runs whose time is over."""
    jobs.run_job(
        "platform.prune",
        lambda now: idempotency.prune(now=now) + tokens.prune(now=now) + jobs.prune(now=now),
        now=timezone.now(),
    )
