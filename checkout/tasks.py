"""Due work of checkout, drained on schedule; a kick only shortens the wait."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from checkout import mirror, services
from config.platform.jobs import run_job


@shared_task
def drain_inbox() -> None:
    """Work off webhooks that were stored; when one arrives."""
    # Not one run at a time: each row is claimed, and a kick must not wait for a slow provider.
    services.drain_inbox(now=timezone.now())


@shared_task
def sweep_inbox() -> None:
    """Work off webhooks whose kick was lost, or whose retry is due; each 10 seconds."""
    run_job("checkout.sweep_inbox", lambda now: services.drain_inbox(now=now), now=timezone.now())


@shared_task
def execute_refunds() -> None:
    """Carry out refunds that are due; each 20 seconds, and when one is asked for."""
    run_job(
        "checkout.execute_refunds",
        lambda now: services.execute_refunds(now=now),
        now=timezone.now(),
    )


@shared_task
def reconcile() -> None:
    """Ask providers about payments that nobody told us of, and close those no longer needed; each minute."""
    run_job("checkout.reconcile", lambda now: services.reconcile(now=now), now=timezone.now())


@shared_task
def compare_books() -> None:
    """Ask for a comparison of each company's books of three days, which mends what is safe; nightly (JOB-19)."""
    run_job(
        "checkout.compare_books",
        lambda now: len(services.request_nightly(now=now)),
        now=timezone.now(),
    )


@shared_task
def work_reconciliation() -> None:
    """Go on with the comparisons of books that are due; each minute, and when one is asked for."""
    run_job(
        "checkout.work_reconciliation",
        lambda now: services.work_runs(now=now),
        now=timezone.now(),
    )


@shared_task
def expire_checkouts() -> None:
    """End open checkouts whose time is over; each minute."""
    run_job(
        "checkout.expire_checkouts", lambda now: services.expire_due(now=now), now=timezone.now()
    )


@shared_task
def cancel_drafts() -> None:
    """Cancel orders that were not paid within a day; hourly (JOB-13)."""
    run_job(
        "checkout.cancel_drafts",
        lambda now: services.cancel_due_drafts(now=now),
        now=timezone.now(),
    )


@shared_task
def mirror_stripe() -> None:
    """Copy what Stripe told us of into dj-stripe's tables, for staff to look at; each minute."""
    run_job("checkout.mirror_stripe", lambda now: mirror.mirror(), now=timezone.now())


@shared_task
def prune_inbox() -> None:
    """Delete webhooks that were worked off long ago, and dj-stripe's notes of deliveries; daily."""
    run_job(
        "checkout.prune_inbox",
        lambda now: services.prune(now=now) + services.prune_runs(now=now) + mirror.prune(now=now),
        now=timezone.now(),
    )
