"""What time would do to carts right now: the sweeps themselves, undone again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction

Sweep = Callable[..., int]


@transaction.atomic
def rehearse(sweeps: Mapping[str, Sweep], *, now: datetime, limit: int) -> dict[str, int]:
    """
    Return how many carts each of these sweeps would change, one after the other, in one batch of at most `limit` each.

    They run in a transaction that is rolled back, so a rehearsal cannot say anything else than the deed would do. Carts
    that somebody is working on are passed over, as always; the others are locked until it ends.
    """
    found = {name: sweep(now=now, limit=limit) for name, sweep in sweeps.items()}
    transaction.set_rollback(True)
    return found
