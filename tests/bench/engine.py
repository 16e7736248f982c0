"""The price engine alone: large baskets under twenty promotions of every kind, processor time only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

from rich.console import Console
from rich.table import Table

from pricing.engine import KEEP_GROSS, PER_LINE, PER_ORDER, Basket, Place, Quote, Rules, price
from tests.pricing.words import basket, line, method, new_id, promotion, tax, zone

SIZES = (1, 3, 20, 200, 675)  # 675 lines is the largest basket we know of from a real shop
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_CATEGORIES = [new_id() for _ in range(10)]
_KINDS = (
    ("PERCENTAGE", {}),
    ("FIXED_AMOUNT", {}),
    ("BUY_X_GET_Y", {"buy": 3, "get": 1, "percent": "50"}),
    ("TIERED_QUANTITY", {"tiers": [{"from": 5, "percent": "2"}, {"from": 50, "percent": "4"}]}),
)


def large_basket(lines: int) -> Basket:
    """Return a basket of so many lines, prices and quantities mixed, bound for a place with taxes and shipping."""
    return basket(
        *(
            line(f"{n * 37 % 9000 / 100 + 1:.2f}", n % 5 + 1, category_ids=(_CATEGORIES[n % 10],))
            for n in range(lines)
        ),
        destination=Place("DE"),
        shipping_option="standard",
        codes=("C0", "C1"),
    )


def many_rules() -> Rules:
    """Return twenty promotions: each kind five times, half for two of ten categories, two that stand alone, two codes."""
    promotions = []
    for n in range(20):
        kind, details = _KINDS[n % 4]
        narrow = frozenset({_CATEGORIES[n % 10], _CATEGORIES[(n + 3) % 10]} if n % 2 else ())
        promotions.append(
            promotion(
                kind,
                "3",
                scope="CATEGORY" if narrow else "CART",
                category_ids=narrow,
                priority=n,
                is_stackable=n not in {7, 12},
                is_automatic=n > 1,
                details=details,
            )
        )
    return Rules(
        promotions=promotions,
        coupons={f"C{n}": promotions[n].id for n in range(2)},
        tax_rules=[tax("0.19"), tax("0.02", name="City", is_compound=True)],
        zones=[zone(method(), method("express", "9.00"))],
    )


def milliseconds(rounds: int, work: Callable[..., object], *arguments: object) -> list[float]:
    """Return the processor time of each round, sorted."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work(*arguments)
        times.append((time.process_time() - start) * 1000)
    return sorted(times)


def _named(quote: Quote) -> str:
    return replace(quote).id  # a copy: a quote works its id out once


def run(*, rounds: int, console: Console) -> int:
    table = Table(title="pricing.engine, 20 promotions, milliseconds of processor time")
    for heading in ("lines", "taxes rounded", "best", "median", "id best"):
        table.add_column(heading, justify="right")
    for size in SIZES:
        asked = large_basket(size)
        for rounding in (PER_LINE, PER_ORDER, KEEP_GROSS):
            rules = replace(many_rules(), tax_rounding=rounding)
            times = milliseconds(rounds, price, asked, rules, NOW)
            ids = milliseconds(rounds, _named, price(asked, rules, NOW))
            table.add_row(
                *(str(size), rounding),
                *(f"{value:.2f}" for value in (times[0], median(times), ids[0])),
            )
    console.print(table)
    return 0
