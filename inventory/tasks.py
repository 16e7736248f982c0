"""Stock that comes back by itself, and pictures that are finished in the background."""

from __future__ import annotations

from datetime import datetime

import structlog
from celery import shared_task
from django.utils import timezone

from config.platform import jobs
from inventory import services
from inventory.models import ImportRun

logger = structlog.get_logger(__name__)

BATCH = 5_000
# One run stops here and leaves the rest to the next, so that it ends well before its time limit.
BATCHES = 400


@shared_task
def release_expired_holds() -> None:
    """
    Return units whose hold ran out, in batches of 500 holds, each in a transaction of its own (JOB-03).

    At most 200,000 a run; what is left waits a minute. Sales take overdue holds back themselves, so none waits for it.
    """
    jobs.run_job("inventory.release_expired_holds", _release_all_due, now=timezone.now())


@shared_task
def serve_waiting() -> None:
    """Offer what lies free to those who wait for it, at most 200 variants a run (INV-45)."""
    jobs.run_job(
        "inventory.serve_waiting",
        lambda now: services.serve_waiting(now=now),
        now=timezone.now(),
    )


def _release_all_due(now: datetime) -> int:
    total = 0
    for _ in range(BATCHES):
        released = services.release_expired(now=now)
        total += released
        if released == 0:
            break
    return total


@shared_task
def drain_messages() -> None:
    """Work off what outside systems said, where it was too much for the request; when a message arrives (INV-23)."""
    # Not one run at a time: each message is claimed, and a kick must not wait for another's.
    services.drain_messages(now=timezone.now())


@shared_task
def sweep_messages() -> None:
    """Work off messages whose kick was lost, that were interrupted, or whose retry is due; each 10 seconds."""
    jobs.run_job(
        "inventory.sweep_messages",
        lambda now: services.drain_messages(now=now),
        now=timezone.now(),
    )


@shared_task
def prune_messages() -> None:
    """Delete messages of outside systems that were worked off long ago; daily."""
    jobs.run_job(
        "inventory.prune_messages",
        lambda now: services.prune_messages(now=now),
        now=timezone.now(),
    )


@shared_task
def make_renditions() -> None:
    """Make the renditions of uploaded pictures that are due, up to 50 a run."""
    jobs.run_job(
        "inventory.make_renditions",
        lambda now: services.make_renditions(now=now),
        now=timezone.now(),
    )


@shared_task
def sweep_files() -> None:
    """Delete files of pictures that nobody has any more."""
    jobs.run_job(
        "inventory.sweep_files", lambda now: services.sweep_files(now=now), now=timezone.now()
    )


@shared_task
def reconcile_stock() -> None:
    """Compare the shelves' counters with holds and movements, each 15 minutes; report what differs, repair nothing (JOB-12)."""
    jobs.run_job("inventory.reconcile_stock", _report_drifts, now=timezone.now())


def _report_drifts(now: datetime) -> int:
    drifts = services.reconcile(now=now)
    for drift in drifts:
        logger.error("a counter of a shelf does not say what its books say", **drift.to_json())
    return len(drifts)


@shared_task
def work_stock_files() -> None:
    """Look at files of counts that staff brought, and apply what they agreed to; a kick comes first as a rule."""
    jobs.run_job(
        "inventory.work_stock_files",
        lambda now: services.work_files(
            kind=ImportRun.Kind.STOCK, worker=services.StockFiles(), now=now
        ),
        now=timezone.now(),
    )


@shared_task
def prune_files() -> None:
    """Throw away files that nobody applied within a day; hourly."""
    jobs.run_job(
        "inventory.prune_files", lambda now: services.prune_files(now=now), now=timezone.now()
    )


@shared_task
def fetch_feeds() -> None:
    """Fetch the feeds that are due, each minute; each says itself how often it is."""
    jobs.run_job(
        "inventory.fetch_feeds", lambda now: services.fetch_due(now=now), now=timezone.now()
    )


@shared_task
def keep_search() -> None:
    """Learn the words of the catalogue and forget old notes of changes, every ten minutes."""
    jobs.run_job("inventory.keep_search", _keep_search, now=timezone.now())


def _keep_search(now: datetime) -> int:
    return services.learn_words() + services.prune_changes(now=now)
