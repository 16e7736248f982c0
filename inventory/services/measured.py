"""Counts what the services of holds do, for the scraper (MET-14, MET-15)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError

from config.platform import metrics
from inventory.errors import HoldLimitExceeded, InsufficientStock
from inventory.services.demands import Shortage

P = ParamSpec("P")
R = TypeVar("R")


def measured(reserve: Callable[P, list[R]]) -> Callable[P, list[R]]:
    """Time each call and count the lines it held or could not hold, by reason. Nothing of it leaves the process here."""

    @wraps(reserve)
    def run(*args: P.args, **kwargs: P.kwargs) -> list[R]:
        started = time.perf_counter()
        try:
            results = reserve(*args, **kwargs)
        except InsufficientStock as refusal:
            lines = refusal.extra.get("lines") or [None]
            metrics.count("inventory_hold_failures_total", len(lines), reason="stock")
            raise
        except HoldLimitExceeded:
            metrics.count("inventory_hold_failures_total", reason="limit")
            raise
        except OperationalError:
            metrics.count("inventory_hold_failures_total", reason="busy")
            raise
        finally:
            metrics.observe("inventory_hold_duration_seconds", time.perf_counter() - started)
        short = sum(isinstance(result, Shortage) for result in results)
        if short:
            metrics.count("inventory_hold_failures_total", short, reason="stock")
        if len(results) > short:
            metrics.count("inventory_holds_taken_total", len(results) - short)
        return results

    return run
