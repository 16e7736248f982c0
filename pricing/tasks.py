"""Work at files of products and news of prices, on schedule; a kick only shortens the wait."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from config.platform import jobs
from inventory import services as inventory
from inventory.models import ImportRun
from pricing import services


@shared_task
def work_product_files() -> None:
    """Look at product files that staff brought, and apply what they agreed to."""
    jobs.run_job(
        "pricing.work_product_files",
        lambda now: inventory.work_files(
            kind=ImportRun.Kind.PRODUCTS, worker=services.ProductFiles(), now=now
        ),
        now=timezone.now(),
    )


@shared_task
def run_out_points() -> None:
    """Write down which points of customers have run out; they could not be spent since."""
    jobs.run_job(
        "pricing.run_out_points",
        lambda now: services.run_out_points(now=now),
        now=timezone.now(),
    )


@shared_task
def settle_tiers() -> None:
    """Let customers leave and reach tiers as their year moves on; what orders earn does it at once."""
    jobs.run_job(
        "pricing.settle_tiers",
        lambda now: services.settle_tiers(now=now),
        now=timezone.now(),
    )


@shared_task
def announce_prices() -> None:
    """Say of scheduled prices and exchange rates that they have begun or ended; they did so by themselves."""
    jobs.run_job(
        "pricing.announce_prices",
        lambda now: services.announce_prices(now=now) + services.announce_rates(now=now),
        now=timezone.now(),
    )


@shared_task
def fetch_exchange_rates() -> None:
    """Ask the provider for exchange rates; nothing where none is set."""
    jobs.run_job(
        "pricing.fetch_exchange_rates",
        lambda now: services.fetch_exchange_rates(now=now),
        now=timezone.now(),
    )
