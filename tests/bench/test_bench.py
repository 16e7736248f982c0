"""The bench's own arithmetic, and one short run of all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from config.environment import BASE_DIR, required
from config.platform.models import new_id
from tests import pristine
from tests.bench import load, replay
from tests.bench.measure import CONSTANT, Results, Window
from tests.bench.statements import is_control, split


def test_a_batch_is_split_where_statements_end_and_nowhere_else() -> None:
    batch = """SELECT ';' ; UPDATE a SET "b;c" = 'it''s; so' -- not; here
        ; ;"""

    assert [part.strip()[:10] for part in split(batch)] == ["SELECT ';'", "UPDATE a S"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [("SAVEPOINT x", True), (" release savepoint x", True), ("SELECT 1", False), ("SETTLE", False)],
)
def test_only_control_of_transactions_is_not_counted(statement: str, expected: bool) -> None:
    assert is_control(statement) is expected


def test_a_capture_becomes_a_script_that_can_run_twice() -> None:
    before = new_id()
    time.sleep(0.002)
    captured = replay.Capture(time.time_ns() // 1_000_000)
    time.sleep(0.002)
    born = new_id()
    captured.statements = [
        "SELECT 1",
        'SAVEPOINT "outer"',
        f"SELECT '{before}'; SELECT 2",
        'SAVEPOINT "inner"',
        f"INSERT INTO t VALUES ('{born}', '{{\"id\": \"{born}\"}}')",
        'RELEASE SAVEPOINT "inner"',
        'RELEASE SAVEPOINT "outer"',
    ]

    text = replay.script(captured)

    fresh = f"{str(born)[:-12]}:born0"
    assert text.splitlines() == [
        "\\set born0 random(100000000000, 999999999999)",
        "SELECT 1;",
        "BEGIN;",
        f"SELECT '{before}' \\; SELECT 2;",
        'SAVEPOINT "inner";',
        f"INSERT INTO t VALUES ('{fresh}', '{{\"id\": \"{fresh}\"}}');",
        'RELEASE SAVEPOINT "inner";',
        "COMMIT;",
    ]


def test_each_client_of_a_script_has_carts_of_its_own() -> None:
    text = replay.combine(["A;", "B;", "C;", "D;", "E;"], clients=2)

    assert text.splitlines() == [
        "\\set cart :client_id * 2 + random(0, 1)",
        *("\\if :cart = 0", "A;", "\\elif :cart = 1", "B;"),
        *("\\elif :cart = 2", "C;", "\\elif :cart = 3", "D;"),
        "\\endif",
    ]


def summary(name: str, tally: load.Tally) -> dict[str, Any]:
    found = load._summary(name, tally, started=0.0, deadline=2.0, ended=2.5, cpu=0.1, drained=False)
    return dict(found["kinds"])


def test_a_rate_counts_what_ended_in_the_window_and_times_are_those_of_all() -> None:
    tally = load.Tally()
    tally.times["read"] = [(0.5, 0.010), (1.0, 0.020), (2.5, 0.900)]

    found = summary("read", tally)["read"]

    assert (found["count"], found["per_second"]) == (3, 1.0)
    assert (found["p50"], found["p99"], found["max"]) == (20.0, 900.0, 900.0)


def test_of_a_flow_the_parts_within_the_window_count() -> None:
    tally = load.Tally()
    tally.times["checkout.a"] = [(0.5, 0.1), (1.5, 0.1)]
    tally.times["checkout.b"] = [(1.0, 0.1), (2.4, 0.1)]
    tally.times["checkout"] = [(1.0, 0.2), (2.4, 0.2)]

    assert summary("checkout", tally)["checkout"]["per_second"] == 0.75


def test_ratios_compare_what_was_measured_side_by_side() -> None:
    results = Results()
    for mine, floor in ((100, 1000), (10, 50), (90, 1000)):
        results.series("shop", "read", 1).windows.append(Window(mine, 1))
        results.series("shop", CONSTANT, 1).windows.append(Window(floor, 1))

    assert results.ratio("read", 1, to=CONSTANT) == pytest.approx(0.1)
    assert results.ratio("read", 1, to="sql") is None


@pytest.mark.slow
def test_the_whole_of_it_measures_a_read(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--only", "read", "--json", str(file)]

    ended = subprocess.run(
        [*command, "--seconds", "0.5", "--passes", "1", "--clients", "2"],
        cwd=BASE_DIR,
        env={**os.environ, "BENCH_TEMPLATE": pristine.pristine(required("DATABASE_URL"))},
        capture_output=True,
        text=True,
        timeout=1_500,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(file.read_text())
    assert found["unexpected"] == {}
    assert {row["name"] for row in found["shop"]} >= {"constant", "read"}
    assert all(row["best"]["per_second"] > 0 for row in found["shop"] + found["pgbench"])


@pytest.mark.slow
def test_stock_under_its_own_loads_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--hot", "--sweep", "--holds", "3000"]

    ended = subprocess.run(
        [*command, "--seconds", "0.4", "--passes", "1", "--clients", "4", "--json", str(file)],
        cwd=BASE_DIR,
        env={**os.environ, "BENCH_TEMPLATE": pristine.pristine(required("DATABASE_URL"))},
        capture_output=True,
        text=True,
        timeout=1_500,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(file.read_text())
    assert all(min(way["rates"]) > 0 for way in found["hot"].values())
    assert found["sweep"]["released"] > 0
    assert (found["sweep"]["left"], found["sweep"]["violations"]) == (0, {})
