"""
A process that does nothing but call `inventory.reserve`, in threads with connections of their own.

Reads one JSON job per line and answers one JSON line, like the load generator, but knows Django: it is the shop without HTTP.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

LIFE = timedelta(minutes=15)


def reserve_one(variant_id: UUID) -> None:
    """Hold one unit for a buyer of their own, with the ceilings that a cart has."""
    from django.utils import timezone

    from config.platform.actor import Actor, ActorKind
    from config.platform.models import new_id
    from inventory import services as inventory
    from inventory.models import Company
    from inventory.services import Demand, HoldLimits

    now = timezone.now()
    inventory.reserve(
        actor=Actor(
            kind=ActorKind.USER,
            company_id=Company.DEFAULT_ID,
            user_id=new_id(),
            address=str(new_id()),
        ),
        cart_id=new_id(),
        demands=[Demand(new_id(), variant_id, 1)],
        expires_at=now + LIFE,
        now=now,
        limits=HoldLimits(
            units_per_customer=1_000, units_per_address=5_000, cap=timedelta(minutes=45)
        ),
    )


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Let each of `groups` hold its variants in turn until the time is over; return times per group, in ms."""
    from django.db import connections

    groups: list[dict[str, Any]] = job["groups"]
    clients = [
        (name, number) for name, group in enumerate(groups) for number in range(group["clients"])
    ]
    times: list[list[float]] = [[] for _ in groups]
    barrier = threading.Barrier(len(clients))

    def client(who: tuple[int, int]) -> str:
        group, number = who
        variants = [UUID(text) for text in groups[group]["variants"]]
        own = times[group]
        turn = number * 7 + job["process"] * 31
        try:
            reserve_one(variants[turn % len(variants)])  # connects
            barrier.wait(timeout=20)
            deadline = time.perf_counter() + job["seconds"]
            while (started := time.perf_counter()) < deadline:
                turn += 1
                reserve_one(variants[turn % len(variants)])
                own.append((time.perf_counter() - started) * 1000)
        except Exception as failure:  # noqa: BLE001 - told to the bench, which stops
            barrier.abort()
            return repr(failure)
        finally:
            connections.close_all()
        return ""

    cpu = time.process_time()
    with ThreadPoolExecutor(len(clients)) as pool:
        failures = [failure for failure in pool.map(client, clients) if failure]
    if failures:
        return {"error": failures[0]}
    return {"times": times, "cpu": time.process_time() - cpu}


def main() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
