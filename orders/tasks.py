"""The clockwork of orders."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from config.platform import jobs
from inventory.models import Company
from orders import services


@shared_task
def count_co_purchases() -> None:
    """Count what is bought together, company by company; nightly."""
    jobs.run_job("orders.count_co_purchases", _count_all, now=timezone.now())


def _count_all(now: datetime) -> int:
    return sum(
        services.count_co_purchases(company_id=company_id, now=now)
        for company_id in Company.objects.values_list("id", flat=True)
    )
