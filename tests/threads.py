"""Several threads at one moment, each with its own database connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

R = TypeVar("R")


def together(count: int, run: Callable[[int], R]) -> list[R]:
    """
    Call `run(index)` in `count` threads that start at the same moment; return what each returned.

    Needs `django_db(transaction=True)`: other connections do not see an open test transaction.
    """
    barrier = threading.Barrier(count)

    def one(index: int) -> R:
        try:
            barrier.wait(timeout=120)
            return run(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
