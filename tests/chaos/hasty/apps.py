"""Waits of a minute or more become seconds, so that a short run sees what comes after them."""

from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig


class HastyConfig(AppConfig):
    name = "tests.chaos.hasty"
    label = "hasty"

    def ready(self) -> None:
        from checkout.services import settling
        from config.platform import idempotency, jobs

        settling.POLL_AFTER = timedelta(seconds=3)
        idempotency.STALE = timedelta(seconds=2)
        jobs.run_job.__kwdefaults__["lease"] = timedelta(seconds=5)
