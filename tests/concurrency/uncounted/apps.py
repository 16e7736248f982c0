"""Takes the row lock off promotions in this process."""

from __future__ import annotations

import time
from typing import Any

from django.apps import AppConfig

MOMENT = 0.05  # between looking and counting, so that a small machine shows the race too


class UncountedConfig(AppConfig):
    name = "tests.concurrency.uncounted"
    label = "uncounted"

    def ready(self) -> None:
        from config.platform.models import LockingQuerySet
        from pricing.models import Promotion

        locking = LockingQuerySet.for_update

        def for_update(rows: LockingQuerySet, **options: Any) -> Any:
            if rows.model is not Promotion:
                return locking(rows, **options)
            found = list(rows.order_by("pk"))
            time.sleep(MOMENT)
            return found

        LockingQuerySet.for_update = for_update  # type: ignore[method-assign]
