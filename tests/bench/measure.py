"""One run: what is measured, in which order, and what comes out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import meters, replay
from tests.bench.load import CONSUMING
from tests.bench.serve import BenchError, Loader

Tell = Callable[[str], None]

CONSTANT = "constant"
# How many carts a second to expect at most, where each request uses one up; more are made where that was too few.
FIRST_GUESS = 60
PROBES = 12
SETTLE = 0.25


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to measure. `replayed` says whether its SQL also runs through pgbench."""

    name: str
    title: str
    replayed: bool = False


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("read", "read the cart", replayed=True),
        Operation("unchanged", "read it unchanged (304)", replayed=True),
        Operation("add", "add a further SKU"),
        Operation("again", "add a SKU again", replayed=True),
        Operation("change", "change a quantity", replayed=True),
        Operation("hot", "the same, one SKU for all", replayed=True),
        Operation("checkout", "a whole checkout"),
    )
}
DEFAULT = ("read", "add", "again", "change", "checkout")


@dataclass(slots=True)
class Window:
    """What one pass measured: rates per second, times in ms, processor time in ms per operation."""

    per_second: float
    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None
    cpu_web: float | None = None
    cpu_postgres: float | None = None
    cpu_redis: float | None = None
    loader_share: float | None = None
    wrong: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class Series:
    """The passes of one operation, at one concurrency, of one contestant: shop, constant view or pgbench."""

    windows: list[Window] = field(default_factory=list)

    @property
    def best(self) -> Window:
        return max(self.windows, key=lambda window: window.per_second)

    def least(self, name: str) -> float | None:
        values = [value for w in self.windows if (value := getattr(w, name)) is not None]
        return min(values) if values else None


@dataclass(slots=True)
class Processes:
    """Roots of the process trees whose time is counted; None where they are not on this machine."""

    web: int
    postgres: int | None
    redis: int | None


@dataclass
class Results:
    """Everything a run found. Keys are (operation or kind of request, clients)."""

    shop: dict[tuple[str, int], Series] = field(default_factory=dict)
    sql: dict[tuple[str, int], Series] = field(default_factory=dict)
    statements: dict[str, tuple[int, int]] = field(default_factory=dict)
    round_trips: dict[str, tuple[int, int]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def series(self, table: str, name: str, clients: int) -> Series:
        found: dict[tuple[str, int], Series] = getattr(self, table)
        return found.setdefault((name, clients), Series())

    def ratio(self, name: str, clients: int, *, to: str) -> float | None:
        """
        Return how the shop's rate compares, as the median over passes of rates measured next to each other.

        `to` is "constant" or "sql".
        """
        own = self.shop.get((name, clients))
        other = (
            self.shop.get((CONSTANT, clients)) if to == CONSTANT else self.sql.get((name, clients))
        )
        if not own or not other:
            return None
        pairs = zip(own.windows, other.windows, strict=False)
        ratios = [
            mine.per_second / theirs.per_second for mine, theirs in pairs if theirs.per_second
        ]
        return statistics.median(ratios) if ratios else None

    def to_json(self) -> dict[str, Any]:
        def table(found: dict[tuple[str, int], Series]) -> list[dict[str, Any]]:
            return [
                {
                    "name": name,
                    "clients": clients,
                    "best": asdict(series.best),
                    "least_cpu_ms": {
                        key: series.least(f"cpu_{key}") for key in ("web", "postgres", "redis")
                    },
                    "passes": [asdict(window) for window in series.windows],
                    "to_constant": self.ratio(name, clients, to=CONSTANT),
                    "to_sql": self.ratio(name, clients, to="sql"),
                }
                for (name, clients), series in found.items()
            ]

        return {
            "shop": table(self.shop),
            "pgbench": table(self.sql),
            "statements": {name: list(span) for name, span in self.statements.items()},
            "round_trips": {name: list(span) for name, span in self.round_trips.items()},
            "memory_mb": self.memory,
            "unexpected": self.wrong,
            "samples": self.samples,
            "notes": self.notes,
        }


@dataclass
class Bench:
    """Measures one served shop. Carts come from `make_carts(operation, count)`."""

    loader: Loader
    port: int
    processes: Processes
    seconds: float
    passes: int
    clients: Sequence[int]
    operations: Sequence[Operation]
    make_carts: Callable[[str, int], None]
    scripts: dict[tuple[str, int], Path]
    pgbench: str | None
    tell: Tell
    results: Results = field(default_factory=Results)
    _left: dict[str, int] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)

    def run(self) -> Results:
        self._warm_up()
        self._count_statements()
        self.results.memory["web, warm"] = meters.memory_mb(self.processes.web)
        for number in range(1, self.passes + 1):
            for clients in self.clients:
                self._shop(CONSTANT, clients, number)
                for operation in self.operations:
                    self._shop(operation.name, clients, number)
                    self._sql(operation.name, clients, number)
        self.results.memory["web, after"] = meters.memory_mb(self.processes.web)
        return self.results

    # --- before ---

    def _warm_up(self) -> None:
        """Let both workers load what they load once, and learn how many carts the passes will use up."""
        for name in (CONSTANT, *(operation.name for operation in self.operations)):
            self.tell(f"warm up: {name}")
            clients = max(self.clients)
            if name in CONSUMING:
                self.make_carts(name, FIRST_GUESS)
            job = {"requests": FIRST_GUESS} if name in CONSUMING else {}
            answer = self._load(name, clients, seconds=1.0, **job)
            if name in CONSUMING:
                found = answer["kinds"].get(name)
                self._rates[name] = found["count"] / answer["lasted"] if found else 1.0
        for name, rate in self._rates.items():
            per_pass = sum(
                rate * self.seconds * (1.0 if clients > 1 else 0.6) for clients in self.clients
            )
            self.make_carts(name, int(per_pass * self.passes * 1.4) + 2 * PROBES)

    def _count_statements(self) -> None:
        for operation in self.operations:
            self.tell(f"statements: {operation.name}")
            answer = self._load(operation.name, 1, seconds=10, requests=PROBES, count_sql=True)
            for kind, counts in answer["sql"].items():
                statements, trips = zip(*counts, strict=True)
                self.results.statements[kind] = (min(statements), max(statements))
                self.results.round_trips[kind] = (min(trips), max(trips))

    # --- windows ---

    def _load(self, name: str, clients: int, *, seconds: float, **job: Any) -> dict[str, Any]:
        answer = self.loader.send(
            do="run", flow=name, clients=clients, seconds=seconds, port=self.port, **job
        )
        for reason, count in answer["wrong"].items():
            self.results.wrong[reason] = self.results.wrong.get(reason, 0) + count
        if answer["sample"] and len(self.results.samples) < 5:
            self.results.samples.append(answer["sample"])
        return answer

    def _shop(self, name: str, clients: int, number: int) -> None:
        self.tell(f"pass {number} of {self.passes}, {clients} at once: {name}")
        processes = (self.processes.web, self.processes.postgres, self.processes.redis)
        before = meters.cpu_seconds(*processes)
        answer = self._load(name, clients, seconds=self.seconds)
        after = meters.cpu_seconds(*processes)
        whole = answer["kinds"].get(name)
        if whole is None or not whole["count"]:
            raise BenchError(
                f"No {name} succeeded at {clients} at once. {answer['sample'] or answer['wrong']}"
            )
        if answer["ran_out"] and answer["seconds"] < self.seconds / 2:
            self.results.notes.append(
                f"{name}, {clients} at once, pass {number}: the carts lasted for {answer['seconds']:.1f} s only"
            )
        web, postgres, redis = (
            (end - start) * 1000 / whole["count"] if root else None
            for start, end, root in zip(before, after, processes, strict=True)
        )
        for kind, found in answer["kinds"].items():
            window = Window(
                per_second=found["per_second"],
                count=found["count"],
                p50=found["p50"],
                p95=found["p95"],
                p99=found["p99"],
                seconds=answer["seconds"],
            )
            if kind == name:
                window.cpu_web, window.cpu_postgres, window.cpu_redis = web, postgres, redis
                window.loader_share = answer["loader_cpu"] / answer["lasted"]
                window.wrong = answer["wrong"]
            self.results.series("shop", kind, clients).windows.append(window)

    def _sql(self, name: str, clients: int, number: int) -> None:
        file = self.scripts.get((name, clients))
        if file is None or self.pgbench is None:
            return
        self.tell(f"pass {number} of {self.passes}, {clients} at once: {name}, SQL alone")
        before = meters.cpu_seconds(self.processes.postgres)
        started = time.perf_counter()
        found = replay.run(self.pgbench, file, clients=clients, seconds=max(1, round(self.seconds)))
        seconds = time.perf_counter() - started
        time.sleep(SETTLE)  # its backends have to be gone before their time counts as the server's
        after = meters.cpu_seconds(self.processes.postgres)
        window = Window(
            per_second=found["per_second"],
            count=int(found["count"]),
            mean=found["mean"],
            seconds=seconds,
        )
        if self.processes.postgres and window.count:
            window.cpu_postgres = (after[0] - before[0]) * 1000 / window.count
        self.results.series("sql", name, clients).windows.append(window)
