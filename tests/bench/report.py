"""The results as tables for people; `Results.to_json` has everything."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.bench.measure import CONSTANT, OPERATIONS, Results, Series

WIDTH = 150


def show(results: Results, console: Console) -> None:
    for clients in sorted({clients for _, clients in results.shop}):
        _table(results, clients, console)
    memory = ", ".join(f"{name} {value:.0f} MB" for name, value in results.memory.items())
    console.print(f"Memory (PSS of server and workers): {memory}")
    for note in results.notes:
        console.print(f"Note: {note}")
    if results.wrong:
        console.print("\n[bold red]Answers that were not as expected:[/]")
        for reason, count in results.wrong.items():
            console.print(f"  {count} × {reason}", markup=False)
        for sample in results.samples:
            console.print(f"    {sample}", markup=False)


def _table(results: Results, clients: int, console: Console) -> None:
    table = Table(
        title=f"{clients} at once" if clients > 1 else "one at a time",
        title_justify="left",
        caption="req/s: best pass (all) · CPU: least of all passes, ms per operation · "
        "ratios of req/s: median of passes",
        caption_justify="left",
    )
    table.add_column("operation", no_wrap=True)
    for name in (
        "req/s",
        "p50/p95/p99 ms",
        "SQL",
        "CPU web + PG",
        "× constant",
        "SQL alone/s",
        "× SQL",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for (name, at_once), series in results.shop.items():
        if at_once != clients:
            continue
        operation = OPERATIONS.get(name)
        if operation is None and name != CONSTANT and "." not in name:
            continue  # a request that only prepared another
        sql = results.sql.get((name, clients))
        table.add_row(
            operation.title if operation else _part(name),
            _rates(series),
            _times(series),
            _statements(results, name),
            _cpu(series),
            _ratio(results.ratio(name, clients, to=CONSTANT)) if operation else "",
            _rates(sql) if sql else "",
            _ratio(results.ratio(name, clients, to="sql")),
        )
    console.print(table)


def _part(name: str) -> str:
    return "a constant DRF view" if name == CONSTANT else f"  · {name.partition('.')[2]}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _rates(series: Series) -> str:
    passes = ", ".join(_number(window.per_second) for window in series.windows)
    return f"{_number(series.best.per_second)} ({passes})"


def _times(series: Series) -> str:
    best = series.best
    return "/".join("–" if v is None else _number(v) for v in (best.p50, best.p95, best.p99))


def _statements(results: Results, name: str) -> str:
    """Statements per request; in brackets the round trips, where several statements travel in one."""
    span, trips = results.statements.get(name), results.round_trips.get(name)
    if span is None or trips is None:
        return ""
    shown = f"{span[0]}" if span[0] == span[1] else f"{span[0]}–{span[1]}"
    if trips == span:
        return shown
    return f"{shown} ({trips[0]}" + (")" if trips[0] == trips[1] else f"–{trips[1]})")


def _cpu(series: Series) -> str:
    web, postgres = series.least("cpu_web"), series.least("cpu_postgres")
    if web is None:
        return ""
    return f"{web:.2f} + " + ("–" if postgres is None else f"{postgres:.2f}")


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"
