"""
Search over a catalogue of 100,000 variants: each kind of question many times, through the real view in this process.

The words are of a small vocabulary, so a word is in hundreds or thousands of products. Seeds are fixed.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median, quantiles
from typing import Any

from django.db import connection
from django.test import Client
from rich.console import Console
from rich.table import Table

from inventory import services as inventory
from inventory.models import Company
from tests.bench.serve import BenchError

PER_PRODUCT = 10 / 3
WORDS = {
    "made": [
        "oak",
        "brass",
        "linen",
        "wool",
        "enamel",
        "cotton",
        "copper",
        "slate",
        "cedar",
        "canvas",
        "pewter",
        "hemp",
        "leather",
        "ash",
        "tin",
        "glass",
    ],
    "like": [
        "storm",
        "harbour",
        "tidal",
        "quiet",
        "northern",
        "salted",
        "folded",
        "heavy",
        "little",
        "winter",
        "morning",
        "striped",
        "deep",
        "old",
    ],
    "what": [
        "lantern",
        "mug",
        "blanket",
        "rope",
        "chart",
        "clock",
        "jacket",
        "box",
        "bowl",
        "lamp",
        "kettle",
        "scarf",
        "net",
        "basket",
        "knife",
        "board",
        "compass",
        "candle",
        "towel",
        "apron",
        "hook",
        "bell",
        "flask",
        "barometer",
        "stool",
    ],
}
COLOURS = [
    "Kelp",
    "Night",
    "Sand",
    "Ochre",
    "Red",
    "Blue",
    "Grey",
    "Brass",
    "White",
    "Black",
    "Foam",
    "Rose",
]
SIZES = ["S", "M", "L", "XL", "54 cm", "60 cm", "120 cm", "200 cm"]
CURRENCY = "USD"

# One product a row; its variants are a colour each, or a colour and a size. Every tenth variant is sold out.
_PRODUCTS = """
    INSERT INTO products (id, company_id, category_id, slug, name, description, vendor, tags, option_names, status,
                          tax_class, metadata, search_terms, created_at, updated_at)
    SELECT gen_random_uuid(), %(company)s, c.id, 'p-' || n, initcap(f.name),
           '<p>A ' || f.name || ' for days by the sea. Nr. ' || n || '.</p>', 'Maker ' || n %% 40, '{{}}',
           '{{Colour,Size}}', 'active', 'standard', '{{}}', 'KH-' || lpad(n::text, 6, '0'), now() - n * interval '1 minute', now()
      FROM generate_series(1, %(products)s) n
     CROSS JOIN LATERAL (SELECT (%(made)s::text[])[1 + (hashint4(n) & 65535) %% cardinality(%(made)s::text[])] || ' ' ||
                           (%(like)s::text[])[1 + (hashint4(n + 1000003) & 65535) %% cardinality(%(like)s::text[])] || ' ' ||
                           (%(what)s::text[])[1 + (hashint4(n + 2000003) & 65535) %% cardinality(%(what)s::text[])] AS name) f
      JOIN (SELECT id, row_number() OVER (ORDER BY slug) - 1 AS place, count(*) OVER () AS all
              FROM categories WHERE parent_id IS NOT NULL) c ON c.place = n %% c.all
""".replace("{{", "{").replace("}}", "}")
_VARIANTS = """
    INSERT INTO variants (id, company_id, product_id, sku, options, position, barcode, weight_grams, requires_shipping,
                          is_taxable, inventory_policy, image, is_active)
    SELECT gen_random_uuid(), p.company_id, p.id, p.search_terms || '-' || k,
           jsonb_build_object('Colour', (%(colours)s::text[])[1 + (h + k) %% 12], 'Size', (%(sizes)s::text[])[1 + (h / 12 + k / 12) %% 8]),
           k, '', 500, true, true, 'deny', '', true
      FROM (SELECT p.*, hashtext(p.slug) & 65535 AS h FROM products p) p, generate_series(1, 1 + (h %% 3) * 2 + (h %% 3) / 2 + (h %% 11) / 8) k
"""
_PRICES = """
    INSERT INTO prices (id, variant_id, currency, amount, updated_at)
    SELECT gen_random_uuid(), v.id, 'USD', 5 + (hashtext(v.product_id::text) & 65535) %% 400 + v.position * 0.5, now() FROM variants v
"""
_STOCK = """
    INSERT INTO inventory (id, company_id, variant_id, warehouse_id, available, reserved, total, backordered,
                           reorder_level, reorder_quantity, is_low, is_awaited, created_at, updated_at)
    SELECT gen_random_uuid(), v.company_id, v.id, w.id, u.units, 0, u.units, 0, 10, 50, false, false, now(), now()
      FROM variants v, warehouses w, LATERAL (SELECT CASE WHEN hashtext(v.sku) & 15 = 0 THEN 0 ELSE 20 END AS units) u
     WHERE w.is_default
"""


def stock_up(*, variants: int, now: datetime, tell: Callable[[str], None]) -> int:
    """Write a catalogue of about so many variants, past the services: only its shape matters. Return how many."""
    from config.platform.actor import Actor

    company, _ = Company.objects.update_or_create(
        id=Company.DEFAULT_ID, defaults={"name": "Bench", "slug": "bench", "is_default": True}
    )
    actor = Actor.system(company.id, source="bench")
    inventory.upsert_warehouse(actor=actor, code="MAIN", name="Main", is_default=True, now=now)
    aisles = [
        inventory.CategoryDraft(slug=f"aisle-{n}", name=f"Aisle {n}", position=n) for n in range(8)
    ]
    shelves = [
        inventory.CategoryDraft(slug=f"shelf-{n}", name=f"Shelf {n}", parent=f"aisle-{n % 8}")
        for n in range(32)
    ]
    inventory.upsert_categories(actor=actor, drafts=[*aisles, *shelves], now=now)
    parameters = {
        "company": company.id,
        "products": round(variants / PER_PRODUCT),
        "colours": COLOURS,
        "sizes": SIZES,
        **WORDS,
    }
    with connection.cursor() as cursor:
        # Notes of changes would be written for rows that nobody has read yet.
        cursor.execute("SET session_replication_role = replica")
        for name, sql in (("products", _PRODUCTS), ("variants", _VARIANTS), ("prices", _PRICES), ("stock", _STOCK)):  # fmt: skip
            tell(f"{name} of {variants:,} variants")
            cursor.execute(sql, parameters)
        cursor.execute("SET session_replication_role = origin")
        tell("words")
        cursor.execute("UPDATE products SET name = name")  # the trigger writes what is searched
        cursor.execute("TRUNCATE catalogue_changes")
        inventory.learn_words()
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT count(*) FROM variants")
        return int(cursor.fetchone()[0])


def questions(chance: random.Random, deep: str) -> dict[str, Callable[[], str]]:
    """Return for each kind of question what makes one."""

    def word() -> str:
        return chance.choice(WORDS[chance.choice(["made", "like", "what"])])

    def typo() -> str:
        text = chance.choice([one for one in WORDS["what"] if len(one) > 5])
        at = chance.randrange(1, len(text) - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    def price() -> str:
        least = chance.randrange(5, 300)
        return f"minPrice={least}&maxPrice={least + chance.randrange(5, 150)}&inStock=true"

    return {
        "everything": lambda: "sort=newest",
        "word": lambda: f"q={word()}",
        "two words": lambda: f"q={word()} {chance.choice(WORDS['what'])}",
        "prefix, three letters": lambda: f"q={word()[:3]}",
        "prefix, one letter": lambda: f"q={word()[:1]}",
        "typing error": lambda: f"q={typo()}",
        "SKU": lambda: f"q=KH-{chance.randrange(1, 30_000):06}",
        "part of a SKU": lambda: f"q={chance.randrange(1, 30_000):06}",
        "category + option": lambda: (
            f"category=aisle-{chance.randrange(8)}&option.Colour={chance.choice(COLOURS)}"
            f"&option.Colour={chance.choice(COLOURS)}"
        ),
        "two options + word": lambda: (
            f"q={word()}&option.Colour={chance.choice(COLOURS)}&option.Size={chance.choice(SIZES)}"
        ),
        "price + in stock": price,
        "price + in stock, by name": lambda: price() + "&sort=name",
        "deep page": lambda: deep,
    }


def run(*, variants: int, rounds: int, now: datetime, console: Console, status: Any) -> int:
    """Measure and report; return how many answers were not as expected."""
    number = stock_up(variants=variants, now=now, tell=status.update)
    client = Client(headers={"host": "localhost"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    cursor = client.get("/api/v1/products?limit=100").json()["next"]
    cold = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for _ in range(20):
        cursor = client.get(cursor.replace("http://localhost", "")).json()["next"]
    deep = cursor.partition("?")[2].replace("limit=100", "limit=20")
    chance = random.Random(20)
    kinds = questions(chance, deep)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    in_sql: dict[str, list[float]] = {kind: [] for kind in kinds}
    worked: dict[str, list[float]] = {kind: [] for kind in kinds}
    statements: dict[str, list[int]] = {kind: [] for kind in kinds}
    totals: dict[str, list[int]] = {kind: [] for kind in kinds}
    wrong = 0
    for turn in range(rounds):
        status.update(f"searching: {turn} of {rounds}")
        for kind, ask in kinds.items():  # in turns, so that a noisy moment is everybody's
            with _counted() as sql:
                started, busy = time.perf_counter(), time.process_time()
                answer = client.get(f"/api/v1/products/search?{ask()}")
                times[kind].append(time.perf_counter() - started)
                worked[kind].append(time.process_time() - busy)
            wrong += answer.status_code != 200
            in_sql[kind].append(sum(sql))
            statements[kind].append(len(sql))
            totals[kind].append(answer.json().get("total", 0))
    table = Table(title=f"{number:,} variants, {rounds} of each, ms")
    for heading in ("question", "found (median)", "p50", "p95", "p99", "SQL p50", "SQL p95", "CPU web", "statements"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "question" else "right")
    for kind, taken in times.items():
        cut, sql_cut = quantiles(taken, n=100), quantiles(in_sql[kind], n=100)
        table.add_row(
            kind,
            f"{median(totals[kind]):,.0f}",
            *(f"{cut[at] * 1000:.1f}" for at in (49, 94, 98)),
            *(f"{sql_cut[at] * 1000:.1f}" for at in (49, 94)),
            f"{median(worked[kind]) * 1000:.1f}",
            f"{median(statements[kind]):.0f}",  # now and then a process reads its switches anew: one more
        )
    console.print(table)
    console.print(
        f"The first search of a process reads the catalogue: {cold:.1f} s, and its memory grew by {grown:.0f} MB."
    )
    if wrong:
        raise BenchError(f"{wrong} answers were not 200.")
    return wrong


@contextmanager
def _counted() -> Iterator[list[float]]:
    """Yield what will be the times of the statements in the block."""
    taken: list[float] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            taken.append(time.perf_counter() - started)

    with connection.execute_wrapper(count):
        yield taken
