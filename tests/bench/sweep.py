"""
A million holds, a tenth of them overdue, and customers who buy while the sweep returns them.

`make bench ARGS="--sweep"`. The same client load is measured before, during and after the sweep of the same database;
then the invariants of stock are checked and the plans of the look-ups are shown to use their indexes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection
from rich.console import Console

from config.environment import BASE_DIR
from config.platform import invariants
from tests.bench import shop
from tests.bench.serve import BenchError, Loader

OVERDUE = 10  # one cart in so many
CLIENTS = 4
CARTS = 64
HOLDS_PER_CART = 3
QUIET_WINDOWS = 5
_SWEEP = """
import json, sys, time
import django
django.setup()
from django.utils import timezone
from inventory import tasks
print("ready", flush=True)
sys.stdin.readline()
started, released = time.perf_counter(), 0
while found := tasks._release_all_due(timezone.now()):
    released += found
print(json.dumps({"released": released, "seconds": time.perf_counter() - started}), flush=True)
"""


@dataclass
class Results:
    """Times in ms, of adds to a cart: the median over windows of each window's quantile."""

    holds: int
    due: int
    released: int = 0
    seconds: float = 0.0
    quiet: dict[str, float] = field(default_factory=dict)
    during: dict[str, float] = field(default_factory=dict)
    windows: int = 0
    left: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    plans: dict[str, bool] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.during["p95"] / self.quiet["p95"]

    @property
    def is_sound(self) -> bool:
        return not (self.violations or self.wrong or self.left) and all(self.plans.values())

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


def make_holds(count: int) -> int:
    """Write `count` holds over all shelves, with levels that agree with them; return how many are overdue."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO stock_reservations (
                   id, company_id, stock_level_id, variant_id, cart_id, line_id, order_id, order_line_id, holder, address,
                   quantity, backordered, status, started_at, expires_at, created_at, updated_at)
            SELECT gen_random_uuid(), s.company_id, s.id, s.variant_id, md5('cart' || n / %(per_cart)s)::uuid,
                   gen_random_uuid(), NULL, NULL, 'session:' || md5('holder' || n / %(per_cart)s),
                   '10.' || n / %(per_cart)s %% 200 || '.' || n / 1000 %% 250 || '.' || n %% 250,
                   1 + n %% 3, 0, 'ACTIVE', now() - interval '20 minutes',
                   CASE WHEN n / %(per_cart)s %% %(overdue)s = 0 THEN now() - (n %% 600) * interval '1 second'
                        ELSE now() + interval '6 hours' + (n %% 600) * interval '1 second' END,
                   now() - interval '20 minutes', now() - interval '20 minutes'
              FROM generate_series(0, %(count)s - 1) n
              JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS number, count(*) OVER () AS levels FROM inventory) s
                ON s.number = n * 7919::bigint %% s.levels
            """,
            {"count": count, "overdue": OVERDUE, "per_cart": HOLDS_PER_CART},
        )
        cursor.execute(
            """
            UPDATE inventory s SET available = total - r.held, reserved = r.held
              FROM (SELECT stock_level_id, sum(quantity) AS held FROM stock_reservations
                     WHERE status = 'ACTIVE' GROUP BY 1) r
             WHERE r.stock_level_id = s.id
            """
        )
    shop.analyze()
    return _due()


def _due() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM stock_reservations WHERE status = 'ACTIVE' AND expires_at <= now()"
        )
        return int(cursor.fetchone()[0])


def run(
    *,
    holds: int,
    seconds: float,
    loader: Loader,
    port: int,
    fill: Any,
    database_url: str,
    tell: Callable[[str], None],
) -> Results:
    """Measure quiet windows and those within the sweep, of one load; check afterwards."""
    fill("again", shop.carts(CARTS, shop.SPREAD))
    tell(f"{holds:,} holds")
    results = Results(holds, make_holds(holds))
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
    }
    quiet: list[dict[str, float]] = []
    during: list[dict[str, float]] = []

    def window(found: list[dict[str, float]]) -> None:
        answer = loader.send(do="run", flow="again", clients=CLIENTS, seconds=seconds, port=port)
        for reason, count in answer["wrong"].items():
            results.wrong[reason] = results.wrong.get(reason, 0) + count
        found.append(answer["kinds"]["again"])

    window([])  # warms both workers up
    tell("quiet")
    for _ in range(QUIET_WINDOWS):
        window(quiet)
    with subprocess.Popen(
        [sys.executable, "-c", _SWEEP],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sweep:
        assert sweep.stdin is not None
        assert sweep.stdout is not None
        if sweep.stdout.readline() != "ready\n":
            raise BenchError("The sweep did not start.")
        tell("sweep")
        sweep.stdin.write("\n")
        sweep.stdin.flush()
        while sweep.poll() is None:
            window(during)
        answer = json.loads(sweep.stdout.readline())
    if len(during) > 1:
        during.pop()  # the sweep ended within it
    tell("quiet again")
    for _ in range(QUIET_WINDOWS):
        window(quiet)
    results.released, results.seconds = answer["released"], answer["seconds"]
    results.windows = len(during)
    for figures, windows in ((results.quiet, quiet), (results.during, during)):
        for name in ("p50", "p95", "p99", "max", "per_second"):
            figures[name] = statistics.median(one[name] for one in windows)
    results.left = _due()
    tell("invariants")
    checks = invariants.select(invariants.all_checks(), only=["I01", "I02", "I03", "I04"])
    results.violations = {
        found.check.id: found.count or -1 for found in invariants.run(checks) if not found.holds
    }
    results.plans = plans()
    return results


_LOOK_UPS = {
    "hold_due": "SELECT stock_level_id FROM stock_reservations WHERE status = 'ACTIVE' AND expires_at <= now() ORDER BY expires_at LIMIT 500",
    "hold_stock": "SELECT id FROM stock_reservations WHERE status = 'ACTIVE' AND stock_level_id = (SELECT id FROM inventory LIMIT 1)"
    " AND expires_at <= now() ORDER BY expires_at LIMIT 5",
    "hold_line": "SELECT id FROM stock_reservations WHERE line_id = md5('line1')::uuid",
    "hold_cart": "SELECT id FROM stock_reservations WHERE status = 'ACTIVE' AND cart_id = md5('cart1')::uuid",
    "hold_order": "SELECT id FROM stock_reservations WHERE order_id = md5('order1')::uuid",
    "hold_holder": "SELECT sum(quantity) FROM stock_reservations WHERE status = 'ACTIVE' AND holder = 'session:1'",
    "hold_address": "SELECT sum(quantity) FROM stock_reservations WHERE status = 'ACTIVE' AND address = '10.1.1.1'",
}


def plans() -> dict[str, bool]:
    """Say for each index of holds whether the look-up it is for uses it at this size (INV-50)."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE stock_reservations")
        for index, sql in _LOOK_UPS.items():
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            found[index] = index in plan and "Seq Scan on stock_reservations" not in plan
    return found


def show(results: Results, console: Console) -> None:
    per_second = results.released / results.seconds if results.seconds else 0
    console.print(
        f"{results.holds:,} holds, {results.due:,} overdue: the sweep returned {results.released:,} in {results.seconds:.1f} s "
        f"({per_second:,.0f} a second); the rest was taken back by sales, {results.left:,} are left."
    )
    for name, figures in (("quiet", results.quiet), ("during the sweep", results.during)):
        console.print(
            f"  add to cart, {name}: p50 {figures['p50']:.1f}, p95 {figures['p95']:.1f}, p99 {figures['p99']:.1f}, "
            f"max {figures['max']:.0f} ms, {figures['per_second']:.0f} a second"
        )
    console.print(
        f"  p95 during / quiet: {results.ratio:.2f} ({results.windows} windows within the sweep)"
    )
    console.print(
        f"  invariants: {results.violations or 'all hold'}; unexpected answers: {results.wrong or 'none'}"
    )
    missed = [name for name, used in results.plans.items() if not used]
    console.print(f"  look-ups without their index: {', '.join(missed) or 'none'}")
