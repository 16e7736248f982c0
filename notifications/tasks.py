"""Scheduled sending."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from config.platform.jobs import run_job
from notifications import services


@shared_task
def send_messages() -> None:
    """Send what is due, a hundred at a time."""
    run_job(
        "notifications.send_messages", lambda now: services.send_due(now=now), now=timezone.now()
    )


@shared_task
def send_digests() -> None:
    """Sum up in one mail which shelves have run low since the last (INV-44), and in one which alerts there are."""
    run_job(
        "notifications.send_digests",
        lambda now: services.send_low_stock_digest(now=now) + services.mail_alerts(now=now),
        now=timezone.now(),
    )


@shared_task
def mail_kept_back() -> None:
    """Write to customers about what they keep for later and is back, each once a day at most."""
    run_job(
        "notifications.mail_kept_back",
        lambda now: services.send_kept_back(now=now),
        now=timezone.now(),
    )
