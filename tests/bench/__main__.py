"""`python -m tests.bench`: see `--help`, and `docs/performance.md` for how to read what comes out."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

SCRIPTS = 32
FILLERS = 8
CHUNK = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; the status is 1 where an answer was not as expected or the bench could not go on."""
    options = _parser().parse_args(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    # This process prepares and looks; only the served shop has a pool, and the limit on statements.
    os.environ.update(DB_POOL="off", DB_STATEMENT_TIMEOUT_MS="0")
    import django
    from django.core.exceptions import ImproperlyConfigured

    from tests.bench import report
    from tests.bench.serve import BenchError

    console = Console()
    if console.width < report.WIDTH:
        console = Console(width=report.WIDTH)  # a line that wraps is better than a figure cut off
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-static-") as static:
            os.environ["STATIC_ROOT"] = static
            django.setup()
            return _bench(options, console)
    except (BenchError, ImproperlyConfigured) as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from tests.bench.measure import DEFAULT, OPERATIONS

    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.5,
        help="length of each window (2.5; the run has about 50)",
    )
    parser.add_argument("--passes", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument(
        "--clients", type=_numbers, default=[1, 16], help="concurrencies, by comma (1,16)"
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(DEFAULT),
        help=f"operations, by comma, of {','.join(OPERATIONS)} ({','.join(DEFAULT)})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument(
        "--profile", metavar="OPERATION", help="profile one operation in this process instead"
    )
    parser.add_argument(
        "--hot",
        action="store_true",
        help="instead: ways to hold a unit of the SKU that everybody wants",
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="instead: customers who buy while overdue holds are swept",
    )
    parser.add_argument(
        "--holds", type=int, default=1_000_000, help="how many holds the sweep's shop has (1000000)"
    )
    parser.add_argument(
        "--search",
        type=int,
        nargs="?",
        const=100_000,
        metavar="VARIANTS",
        help="measure search over so many variants instead (100000)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=100,
        help="how often each is done, with --search and --engine (100)",
    )
    parser.add_argument(
        "--engine", action="store_true", help="measure the price engine alone instead"
    )
    return parser


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _bench(options: argparse.Namespace, console: Console) -> int:
    from django.conf import settings
    from django.utils import timezone

    from config.environment import VAR_DIR
    from tests.bench import replay, report, shop
    from tests.bench.measure import OPERATIONS, Bench
    from tests.bench.serve import BenchError, Loader
    from tests.bench.serve import shop as served

    if options.engine:
        from tests.bench import engine

        return engine.run(rounds=options.rounds, console=console)
    if options.search:
        from tests.bench import search

        with console.status("database") as status, shop.database():
            return search.run(
                variants=options.search,
                rounds=options.rounds,
                now=timezone.now(),
                console=console,
                status=status,
            )
    names = [options.profile] if options.profile else options.only
    if unknown := [name for name in names if name not in OPERATIONS]:
        raise BenchError(
            f"No such operation: {', '.join(unknown)}. Known: {', '.join(OPERATIONS)}."
        )
    operations = [OPERATIONS[name] for name in names]
    started = time.monotonic()
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=VAR_DIR, prefix="bench-") as directory,
        console.status("database") as status,
        shop.database() as database,
    ):
        shop.stock_up(now=timezone.now(), tell=status.update)
        place = Path(directory)
        environment = {
            "DATABASE_URL": _database_url(database),
            "DB_POOL": "on",
            "DB_STATEMENT_TIMEOUT_MS": "",
        }
        status.update("starting the shop")
        with served(environment, log=place / "web.log") as (port, pid), Loader() as loader:
            fill = _filler(loader, port, status)
            if options.hot or options.sweep:
                return _stock(options, console, status, loader, port, fill, database, place)
            for operation in operations:
                _reusable(operation.name, fill)
            scripts: dict[tuple[str, int], Path] = {}
            binary = replay.pgbench()
            wanted = [operation for operation in operations if operation.replayed]
            if options.profile:
                from tests.bench import profile

                status.stop()
                profile.run(options.profile, fill=fill, console=console)
                return 0
            if binary is None:
                console.print("pgbench was not found: no figures for SQL alone.")
            elif wanted:
                scripts = _scripts(wanted, fill, options.clients, place, status)
            processes, postgres = _processes(pid)
            bench = Bench(
                loader=loader,
                port=port,
                processes=processes,
                seconds=options.seconds,
                passes=options.passes,
                clients=options.clients,
                operations=operations,
                make_carts=lambda name, count: _usable(name, count, fill),
                scripts=scripts,
                pgbench=binary,
                tell=status.update,
            )
            results = bench.run()
    report.show(results, console)
    machine = {
        "at": timezone.now().isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "machine": _processor(),
        "seconds": options.seconds,
        "passes": options.passes,
        "took": round(time.monotonic() - started),
        "web_workers": int(os.environ.get("WEB_WORKERS") or 2),
        "threads": settings.HTTP_THREADS,
        "postgres": postgres,
    }
    console.print(f"{machine['machine']}, {machine['processors']} processors, {machine['took']} s.")
    if options.json:
        options.json.write_text(json.dumps({"run": machine, **results.to_json()}, indent=1) + "\n")
    return 1 if results.wrong else 0


def _stock(
    options: argparse.Namespace,
    console: Console,
    status: Any,
    loader: Any,
    port: int,
    fill: Any,
    database: str,
    place: Path,
) -> int:
    """Measure what is about stock alone; see `tests.bench.hot` and `tests.bench.sweep`."""
    from tests.bench import hot, replay, sweep

    url = _database_url(database)
    found: dict[str, Any] = {}
    fails = False
    if options.hot:
        ways = hot.run(
            database_url=url,
            binary=replay.pgbench(),
            clients=max(options.clients),
            seconds=options.seconds,
            passes=options.passes,
            place=place,
            loader=loader,
            port=port,
            fill=fill,
            tell=status.update,
        )
        hot.show(ways, console)
        found["hot"] = {name: figures.to_json() for name, figures in ways.items()}
    if options.sweep:
        swept = sweep.run(
            holds=options.holds,
            seconds=options.seconds,
            loader=loader,
            port=port,
            fill=fill,
            database_url=url,
            tell=status.update,
        )
        sweep.show(swept, console)
        found["sweep"] = swept.to_json()
        fails = not swept.is_sound
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if fails else 0


def _filler(loader: Any, port: int, status: Any) -> Any:
    from tests.bench import shop
    from tests.bench.serve import BenchError

    def fill(pool: str, plans: list[dict[str, Any]], *, tell: bool = False) -> list[dict[str, Any]]:
        """Make carts through the shop's API, in chunks, with progress."""
        made: list[dict[str, Any]] = []
        done = 0
        for start in range(0, len(plans), CHUNK):
            status.update(f"carts for {pool}: {start} of {len(plans)}")
            chunk = plans[start : start + CHUNK]
            answer = loader.send(
                do="fill",
                pool=pool,
                carts=chunk,
                clients=FILLERS,
                seconds=120,
                port=port,
                tell=tell,
            )
            if answer["made"] != len(chunk):
                raise BenchError(
                    f"Carts could not be made: {answer['wrong']}\n{answer['sample'][:1500]}"
                )
            done += answer["made"]
            made += answer["carts"]
        shop.analyze()
        return made

    return fill


def _reusable(name: str, fill: Any) -> None:
    """Make the carts of operations that go through the same ones again and again."""
    from tests.bench import shop
    from tests.bench.load import CONSUMING

    if name == "hot":
        fill(name, shop.hot_carts(64, shop.HOT))
    elif name not in CONSUMING:
        fill(name, shop.carts(64, shop.SPREAD))


def _usable(name: str, count: int, fill: Any) -> None:
    """Make carts that one request, or one checkout, uses up."""
    from tests.bench import shop

    numbers = shop.SHARED if name == "checkout" else shop.SPREAD
    fill(name, shop.carts(count, numbers))


def _scripts(
    operations: Sequence[Any], fill: Any, concurrencies: Sequence[int], place: Path, status: Any
) -> dict[tuple[str, int], Path]:
    """Capture each operation's SQL on carts of its own and write one pgbench script per concurrency."""
    from tests.bench import replay, shop

    count = max(SCRIPTS, *concurrencies)
    spread = fill("replayed", shop.carts(count, shop.REPLAYED), tell=True)
    files = {}
    for operation in operations:
        name = operation.name
        carts = spread
        if name == "hot":
            carts = fill("replayed", shop.hot_carts(count, shop.HOT_REPLAYED), tell=True)
        texts = []
        for number, cart in enumerate(carts):
            status.update(f"SQL of {name}: {number} of {len(carts)}")
            # Twice: what a process reads only once, or every other second, is not what a request costs.
            captures = [replay.capture(name, cart) for _ in range(2)]
            texts.append(replay.script(min(captures, key=lambda found: len(found.statements))))
        for clients in concurrencies:
            file = place / f"{name}-{clients}.sql"
            file.write_text(replay.combine(texts, clients))
            files[name, clients] = file
    return files


def _database_url(name: str) -> str:
    """Return the configured address with another database's name."""
    from urllib.parse import quote, urlsplit, urlunsplit

    from config.environment import required

    parts = urlsplit(required("DATABASE_URL"))
    return urlunsplit(parts._replace(path=f"/{quote(name)}"))


def _processes(web: int) -> tuple[Any, str]:
    """Return the roots of the process trees to measure, and the version of PostgreSQL."""
    from django.core.cache import cache
    from django.db import connection

    from tests.bench import meters
    from tests.bench.measure import Processes

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('server_version')")
        backend, version = cursor.fetchone()
    server = cache.client.get_client().info("server")
    processes = Processes(
        web=web,
        postgres=meters.parent_of(backend, "postgres"),
        redis=meters.called(int(server["process_id"]), "valkey-server", "redis-server"),
    )
    return processes, version


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


if __name__ == "__main__":
    sys.exit(main())
