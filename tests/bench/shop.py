"""The measured shop: its database, its catalogue, and which SKUs which carts hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory import services as inventory
from inventory.models import Company
from inventory.services import ImageDraft, ProductDraft, VariantDraft
from pricing import services as pricing
from pricing.demo import seed_rules
from pricing.services import NewPrice
from tests.bench.serve import BenchError

VARIANTS = 300
PER_PRODUCT = 3
STOCK = 1_000_000
PRICE = Decimal("19.90")

# Replayed SQL writes figures of the moment it was captured, so what it touches is nobody else's.
SPREAD = range(192)
REPLAYED = range(192, 288)
SHARED = range(288, 291)  # the three SKUs that all checkouts are about
HOT, HOT_REPLAYED = 291, 292
LINES = 3

_addresses = itertools.count(1)


@contextmanager
def database() -> Iterator[str]:
    """Create a database of the bench's own beside the configured one, yield its name, and drop it afterwards."""
    original = connection.settings_dict["NAME"]
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield name
    finally:
        # What a pool of the shop has left open would keep the database alive.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        connection.creation.destroy_test_db(original, verbosity=0)


def sku(number: int) -> str:
    return f"BENCH-{number:03}"


def stock_up(*, now: datetime, tell: Callable[[str], None]) -> None:
    """Write the catalogue: 300 variants with ample stock, prices, tax, shipping and codes of the demo shop."""
    tell("catalogue and stock")
    company, _ = Company.objects.update_or_create(
        id=Company.DEFAULT_ID, defaults={"name": "Bench", "slug": "bench", "is_default": True}
    )
    actor = Actor.system(company.id, source="bench")
    inventory.upsert_warehouse(actor=actor, code="MAIN", name="Main", is_default=True, now=now)
    drafts = [
        ProductDraft(
            slug=f"bench-{first}",
            name=f"Bench product {first}",
            category="bench",
            category_name="Bench",
            images=[ImageDraft(f"/static/img/bench-{first}.svg")],
            variants=[
                VariantDraft(
                    sku=sku(first + n),
                    options={"Size": str(n)},
                    weight_grams=500,
                    stock={"": STOCK},
                )
                for n in range(PER_PRODUCT)
            ],
        )
        for first in range(0, VARIANTS, PER_PRODUCT)
    ]
    variants: dict[str, UUID] = {}
    for result in inventory.upsert_products(actor=actor, drafts=drafts, now=now):
        if isinstance(result, ApplicationError):
            raise BenchError(f"The catalogue was refused: {result}")
        variants |= result.variant_ids
    tell("prices, tax and shipping")
    pricing.set_prices(
        actor=actor,
        prices=[
            NewPrice(variant_id=variants[sku(n)], currency="USD", amount=PRICE + n)
            for n in range(VARIANTS)
        ],
        now=now,
    )
    seed_rules(company=company, now=now)
    analyze()


def analyze() -> None:
    """Do what autovacuum does within a minute: a plan that is kept was made for the tables as they were known then."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def carts(count: int, numbers: range, *, start: int = 0) -> list[dict[str, Any]]:
    """
    Return what `count` carts are to hold: three SKUs each, and a further one that is not among them.

    Neighbouring carts hold different SKUs, so that clients meet on a stock row only by chance.
    """
    size = len(numbers)
    plans = []
    for turn in range(start, start + count):
        first = turn * LINES
        own = [numbers[(first + line) % size] for line in range(min(LINES, size))]
        further = SPREAD[(first + LINES + turn // len(SPREAD)) % len(SPREAD)]
        while further in own:
            further = SPREAD[(SPREAD.index(further) + 1) % len(SPREAD)]
        plans.append(_plan(own, further))
    return plans


def hot_carts(count: int, number: int) -> list[dict[str, Any]]:
    """Return carts that all hold one and the same SKU and nothing else."""
    return [_plan([number], SPREAD[0]) for _ in range(count)]


def _plan(numbers: list[int], further: int) -> dict[str, Any]:
    address = next(_addresses)
    return {
        "skus": [sku(number) for number in numbers],
        "further": sku(further),
        "address": f"10.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}",
    }
