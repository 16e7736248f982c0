"""`manage.py replay_baskets FILE…`: real baskets through the public API, with a reckoning at the end."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from checkout.replay import File, ReplayError, Report, read, replay, split
from orders.models import Order

START_SECONDS = 30


class Command(BaseCommand):
    help = "Buy real baskets (Online Retail CSV files) through the public HTTP API as guests, and add everything up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--base-url", help="a running shop; left out, a web process of its own is started"
        )
        parser.add_argument("--limit", type=int, help="only the first N baskets")
        parser.add_argument(
            "--split",
            action="store_true",
            help="buy baskets over the shop's limits as several orders (left out, they are refused)",
        )
        parser.add_argument("--clients", type=int, default=4, help="guests at a time (default 4)")
        parser.add_argument(
            "--currency", default=settings.DEFAULT_CURRENCY, help="what the file's prices are in"
        )
        parser.add_argument("--email", default=os.environ.get("REPLAY_EMAIL", "admin@example.com"))
        parser.add_argument("--password", default=os.environ.get("REPLAY_PASSWORD", "admin"))
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(
            logging.WARNING
        )  # a line a request would bury the table
        if options["clients"] < 1:
            raise CommandError("--clients takes a number from 1.")
        try:
            file = read(options["files"])
            if options["limit"] is not None:
                file.baskets = file.baskets[: options["limit"]]
                file.sold = sum((basket.amount for basket in file.baskets), Decimal(0))
            baskets = len(file.baskets)
            if options["split"]:
                file.baskets = [part for basket in file.baskets for part in split(basket)]
            if options["base_url"]:
                report = self._replay(file, options["base_url"], options)
            else:
                with own_server() as base_url:
                    report = self._replay(file, base_url, options)
        except ReplayError as error:
            raise CommandError(str(error)) from error
        figures = reckon(file, report, baskets)
        if options["json"]:
            self.stdout.write(json.dumps(figures, indent=2))
        else:
            text = io.StringIO()
            show(figures, Console(file=text, width=100))
            self.stdout.write(text.getvalue())
        if not figures["agrees"]:
            raise CommandError("The figures do not agree with each other; see above.")
        call_command("check_invariants", stdout=self.stdout if not options["json"] else sys.stderr)

    def _replay(self, file: File, base_url: str, options: dict[str, Any]) -> Report:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            tasks: dict[str, Any] = {}

            def progress(kind: str, done: int, total: int) -> None:
                if kind not in tasks:
                    tasks[kind] = bar.add_task(kind, total=total)
                bar.update(tasks[kind], completed=done)

            return replay(
                file,
                base_url=base_url,
                staff_email=options["email"],
                staff_password=options["password"],
                currency=options["currency"].upper(),
                clients=options["clients"],
                progress=progress,
            )


@contextmanager
def own_server() -> Iterator[str]:
    """
    Run a web process of this shop on a free loopback port, with rate limits off, and stop it afterwards.

    :raises ReplayError: if it does not answer in time
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "config.platform.embedded",
            "web",
            "--port",
            str(port),
        ],
        env={**os.environ, "RATE_LIMITS": "off", "LOG_LEVEL": "warning"},
        cwd=settings.BASE_DIR,
    )
    base_url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(f"{base_url}/api/health", timeout=1).raise_for_status()
                break
            except httpx.HTTPError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ReplayError(
                        "The web process did not start; is the database running?"
                    ) from error
                time.sleep(0.1)
        yield base_url
    finally:
        process.terminate()
        process.wait(timeout=30)


def reckon(file: File, report: Report, baskets: int) -> dict[str, Any]:
    """Return every figure of a replay, and whether the file, the API's answers and the database agree."""
    refused = sum((outcome.basket.amount for outcome in report.refused), Decimal(0))
    stored = Order.objects.filter(pk__in=[outcome.order_id for outcome in report.orders]).exclude(
        status__in=[Order.Status.DRAFT, Order.Status.FAILED, Order.Status.CANCELLED]
    )
    in_database = stored.aggregate(sum=Sum("subtotal"))["sum"] or Decimal(0)
    return {
        "rows": file.rows,
        "rowsSkipped": dict(file.skipped),
        "baskets": baskets,
        "purchases": len(report.outcomes),
        "orders": len(report.orders),
        "ordersInDatabase": stored.count(),
        "refused": dict(Counter(outcome.refusal for outcome in report.refused)),
        "sumOfFile": f"{file.sold:.2f}",
        "revenue": f"{report.revenue:.2f}",
        "revenueInDatabase": f"{in_database:.2f}",
        "refusedAmount": f"{refused:.2f}",
        "agrees": report.revenue + refused == file.sold
        and in_database == report.revenue
        and stored.count() == len(report.orders),
        "productsMade": report.products_made,
        "unitsStocked": report.units_stocked,
        "seconds": round(report.seconds, 2),
        "ordersPerSecond": round(len(report.orders) / report.seconds, 2) if report.seconds else 0,
        "requests": {kind: latencies(values) for kind, values in report.durations.items()},
    }


def latencies(seconds: list[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
    return {
        "count": len(seconds),
        "p50": round(cuts[49] * 1000, 1),
        "p95": round(cuts[94] * 1000, 1),
        "p99": round(cuts[98] * 1000, 1),
    }


def show(figures: dict[str, Any], console: Console) -> None:
    table = Table(title="Replay", show_header=False)
    for label, value in (
        ("rows in the file", figures["rows"]),
        *((f"  skipped: {reason}", count) for reason, count in figures["rowsSkipped"].items()),
        ("baskets", figures["baskets"]),
        ("  purchases tried", figures["purchases"]),
        ("orders", f"{figures['orders']} ({figures['ordersInDatabase']} in the database)"),
        *((f"  refused: {reason}", count) for reason, count in figures["refused"].items()),
        ("sum of the file", figures["sumOfFile"]),
        ("  revenue", f"{figures['revenue']} ({figures['revenueInDatabase']} in the database)"),
        ("  refused", figures["refusedAmount"]),
        ("  agrees to the cent", "yes" if figures["agrees"] else "NO"),
        ("products made", figures["productsMade"]),
        ("units stocked", figures["unitsStocked"]),
        ("seconds", f"{figures['seconds']} ({figures['ordersPerSecond']} orders/s)"),
    ):
        table.add_row(str(label), str(value))
    console.print(table)
    times = Table("request", "count", "p50 ms", "p95 ms", "p99 ms", title="Requests")
    for kind, row in figures["requests"].items():
        times.add_row(kind, *(str(row[name]) for name in ("count", "p50", "p95", "p99")))
    console.print(times)
