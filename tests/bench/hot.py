"""
The hold of one unit, where everybody wants the same SKU: `python -m tests.bench --hot`.

Measured side by side at so many clients: ways to keep the count, as plain SQL through pgbench; the service itself in
processes of several threads; and what other SKUs notice of it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from rich.console import Console
from rich.table import Table

from config.environment import BASE_DIR
from inventory.models import Variant
from tests.bench import replay, shop
from tests.bench.holder import reserve_one
from tests.bench.serve import BenchError, Loader

SCRIPTS = 8
BUCKETS = 16
PROCESSES = (2, 4)
OTHERS = range(192)
OWN = "row lock: the shop's own statements"
_LOCK = "FOR NO KEY UPDATE OF s"
# The gates of a replayed caller are drawn anew, as every buyer has gates of their own.
_GATES = re.compile(r"(INSERT INTO hold_gates .*? SELECT unnest\()[^)]*\)", re.DOTALL)
_LEVELS = re.compile(r"UPDATE inventory s\b.*\Z", re.DOTALL)


@dataclass
class Figures:
    """Rates per second and p95 in ms, one a pass."""

    rates: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, list[float]]:
        return asdict(self)


class Holders:
    """Some processes that hold, started once and told what to do."""

    def __init__(self, count: int, environment: dict[str, str]) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.holder"],
                cwd=BASE_DIR,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]

    def hold(
        self, groups: Sequence[tuple[int, Sequence[UUID]]], *, seconds: float
    ) -> list[Figures]:
        """Share the clients of each group (clients, variants) out among the processes; return figures per group."""
        count = len(self.processes)
        for number, process in enumerate(self.processes):
            assert process.stdin is not None
            job = {
                "process": number,
                "seconds": seconds,
                "groups": [
                    {
                        "clients": clients // count + (number < clients % count),
                        "variants": [str(variant) for variant in variants],
                    }
                    for clients, variants in groups
                ],
            }
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        answers = [
            json.loads(process.stdout.readline() or '{"error": "it died"}')
            for process in self.processes
        ]  # type: ignore[union-attr]
        for answer in answers:
            if "error" in answer:
                raise BenchError(f"A holding process failed: {answer['error']}")
        found = []
        for group in range(len(groups)):
            times = sorted(time for answer in answers for time in answer["times"][group])
            cpu = sum(answer["cpu"] for answer in answers) * 1000
            found.append(
                Figures(
                    [len(times) / seconds], [_quantile(times, 0.95)], [cpu / max(len(times), 1)]
                )
            )
        return found

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            process.wait(timeout=20)


def _quantile(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


@contextmanager
def holders(count: int, database_url: str) -> Iterator[Holders]:
    made = Holders(
        count, {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.bench.settings"}
    )
    try:
        yield made
    finally:
        made.close()


def scripts(variant: Variant, place: Path) -> dict[str, Path]:
    """Write the ways to hold a unit as pgbench scripts; all but the first differ from the shop's own SQL only in how they count."""
    bodies = []
    for _ in range(SCRIPTS):
        with replay._captured(time.time_ns() // 1_000_000) as captured:
            reserve_one(variant.id)
        bodies.append(captured)
    level = variant.stock_levels.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS bench_buckets (bucket int PRIMARY KEY, available int NOT NULL, reserved int NOT NULL,"
            " CHECK (available >= 0 AND reserved >= 0))"
        )
        cursor.execute(
            "INSERT INTO bench_buckets SELECT n, 1000000, 0 FROM generate_series(0, %s) n ON CONFLICT DO NOTHING",
            [BUCKETS - 1],
        )
    one = f"UPDATE inventory SET available = available - 1, reserved = reserved + 1 WHERE id = '{level.id}' AND available >= 1"
    moved = "UPDATE bench_buckets SET available = available - 1, reserved = reserved + 1"
    free = "(SELECT bucket FROM bench_buckets WHERE available >= 1 ORDER BY bucket LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)"
    endings = {
        "conditional update, written last": one,
        f"{BUCKETS} buckets, a random one": f"{moved} WHERE bucket = :bucket AND available >= 1",
        f"{BUCKETS} buckets, one that is free": f"{moved} WHERE bucket = {free}",
    }
    found = {}

    def write(name: str, change: Any, *, at_once: bool = False) -> None:
        texts = []
        for captured in bodies:
            statements = [change(statement) for statement in captured.statements]
            text = replay.script(
                replay.Capture(captured.started_ms, ["BEGIN", *statements, "COMMIT"])
            )
            text = _GATES.sub(r"\g<1>ARRAY[:gate, :gate + 2048])", text)
            if at_once:
                text = text.replace(";\nCOMMIT;", " \\; COMMIT;")
            texts.append(
                f"\\set bucket random(0, {BUCKETS - 1})\n\\set gate random(0, 2047)\n{text}"
            )
        file = place / f"hold-{len(found)}.sql"
        file.write_text(f"\\set client_id 0\n{replay.combine(texts, 1)}")
        found[name] = file

    write(OWN, lambda statement: statement)
    write(
        "the same, written and committed in one message", lambda statement: statement, at_once=True
    )
    for name, ending in endings.items():
        write(
            name, lambda statement, ending=ending: _LEVELS.sub(ending, statement.replace(_LOCK, ""))
        )
    return found


def run(
    *,
    database_url: str,
    binary: str | None,
    clients: int,
    seconds: float,
    passes: int,
    place: Path,
    loader: Loader,
    port: int,
    fill: Any,
    tell: Any,
) -> dict[str, Figures]:
    """Measure everything once a pass, one right after the other."""
    hot = Variant.objects.get(sku=shop.sku(shop.HOT))
    replayed = Variant.objects.get(sku=shop.sku(shop.HOT_REPLAYED))
    others = list(
        Variant.objects.filter(sku__in=[shop.sku(number) for number in OTHERS])
        .order_by("sku")
        .values_list("id", flat=True)
    )
    results: dict[str, Figures] = {}

    def add(name: str, found: Figures) -> None:
        series = results.setdefault(name, Figures())
        series.rates += found.rates
        series.p95 += found.p95
        series.cpu += found.cpu

    fill("hot", shop.hot_carts(4 * clients, shop.HOT))
    files = scripts(replayed, place) if binary else {}
    with ExitStack() as started:
        crowds = {
            count: started.enter_context(holders(count, database_url))
            for count in PROCESSES
            if count <= max(clients, PROCESSES[0])
        }
        for crowd in crowds.values():
            crowd.hold([(clients, others)], seconds=0.2)  # warms up
        for number in range(1, passes + 1):
            at = f"pass {number} of {passes}"
            for name, file in files.items():
                tell(f"{at}: {name}")
                assert binary is not None
                seen = replay.run(binary, file, clients=clients, seconds=max(1, round(seconds)))
                add(name, Figures([seen["per_second"]]))
            for count, crowd in crowds.items():
                name = f"the service, {count} processes"
                tell(f"{at}: {name}")
                [found] = crowd.hold([(clients, [hot.id])], seconds=seconds)
                add(name, found)
            tell(f"{at}: other SKUs")
            _others(crowds[PROCESSES[0]], hot.id, others, clients, seconds, add)
            tell(f"{at}: add to cart over HTTP")
            answer = loader.send(
                do="run", flow="again", pool="hot", clients=clients, seconds=seconds, port=port
            )
            if answer["wrong"]:
                raise BenchError(f"Unexpected answers: {answer['wrong']}\n{answer['sample']}")
            asked = answer["kinds"]["again"]
            add("add to cart over HTTP", Figures([asked["per_second"]], [asked["p95"]]))
    return results


def _others(
    made: Holders, hot: UUID, others: list[UUID], clients: int, seconds: float, add: Any
) -> None:
    """The same load beside a few watched clients, once spread over SKUs and once all on one."""
    watched = max(clients // 4, 1)
    rest = clients - watched
    mine, theirs = others[: len(others) // 2], others[len(others) // 2 :]
    calm, _ = made.hold([(watched, mine), (rest, theirs)], seconds=seconds)
    busy, _ = made.hold([(watched, mine), (rest, [hot])], seconds=seconds)
    add("other SKUs, the load spread", calm)
    add("other SKUs, the load on one SKU", busy)


def show(results: dict[str, Figures], console: Console) -> None:
    own = results.get(OWN)
    table = Table(title="holding one unit of one SKU", title_justify="left")
    for name in ("way", "holds/s best (all)", "p95 ms", "client CPU ms", "× own SQL"):
        table.add_column(name, justify="left" if name == "way" else "right", no_wrap=True)
    for name, found in results.items():
        ratio = (
            statistics.median(a / b for a, b in zip(found.rates, own.rates, strict=False))
            if own and not name.startswith("other")
            else None
        )
        table.add_row(
            name,
            f"{max(found.rates):.0f} ({', '.join(f'{rate:.0f}' for rate in found.rates)})",
            f"{statistics.median(found.p95):.1f}" if found.p95 else "",
            f"{min(found.cpu):.2f}" if found.cpu else "",
            f"{ratio:.2f}" if ratio else "",
        )
    console.print(table)
