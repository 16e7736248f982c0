"""Waits of a minute or more become seconds, and each fourth payment is only promised until staff collect it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zlib import crc32

from django.apps import AppConfig


class HastyConfig(AppConfig):
    name = "tests.chaos.hasty"
    label = "hasty"

    def ready(self) -> None:
        from checkout.gateway import Remote, TestGateway
        from checkout.models import TestCharge
        from checkout.services import settling
        from config.platform import idempotency, jobs

        settling.POLL_AFTER = timedelta(seconds=3)
        idempotency.STALE = timedelta(seconds=2)
        jobs.run_job.__kwdefaults__["lease"] = timedelta(seconds=5)

        create = TestGateway.create

        def sometimes_promised(self: TestGateway, *, key: str, **about: Any) -> Remote:
            remote = create(self, key=key, **about)
            if crc32(key.encode()) % 4 == 0 and not about.get("at_once"):
                TestCharge.objects.filter(key=key, status="requires_payment").update(is_manual=True)
            return remote

        TestGateway.create = sometimes_promised  # type: ignore[method-assign]
