"""`manage.py check_invariants`: zero violations is the only passing value."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.utils import timezone

from config.platform import invariants


class Command(BaseCommand):
    help = "Check what must be true of the data. Exit 0: all holds, 1: something does not, 2: could not be checked."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--class", dest="klass", choices=["S", "L"], help="only safety or only liveness checks"
        )
        parser.add_argument("--only", default="", help="ids, separated by commas: I02,P04")
        parser.add_argument(
            "--grace", type=float, default=60, help="seconds that liveness checks allow (60)"
        )
        parser.add_argument(
            "--watch", type=float, metavar="SECONDS", help="repeat until interrupted"
        )
        parser.add_argument(
            "--provider",
            action="store_true",
            help="also ask the payment providers, and compare their books with ours",
        )
        parser.add_argument(
            "--days", type=int, default=3, help="how far back providers are asked (3)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document a round")

    def handle(self, *args: Any, **options: Any) -> None:
        only = [name for name in options["only"].replace(" ", "").split(",") if name]
        try:
            checks = invariants.select(invariants.all_checks(), klass=options["klass"], only=only)
        except ValueError as error:
            self.stderr.write(str(error))
            sys.exit(2)
        worst = 0
        try:
            while True:
                worst = max(worst, self._round(checks, options))
                if not options["watch"]:
                    break
                time.sleep(options["watch"])
        except KeyboardInterrupt:
            pass
        sys.exit(worst)

    def _round(self, checks: list[invariants.Check], options: dict[str, Any]) -> int:
        started = time.perf_counter()
        try:
            results = invariants.run(checks, grace=timedelta(seconds=options["grace"]))
            if options["provider"]:
                since = timezone.now() - timedelta(days=options["days"])
                results += invariants.run_provider(invariants.provider_checks(), since=since)
        except DatabaseError as error:
            connection.close()
            if options["json"]:
                self.stdout.write(json.dumps({"error": str(error)}))
            else:
                self.stderr.write(f"could not be checked: {error}")
            return 2
        seconds = time.perf_counter() - started
        if options["json"]:
            report = {
                "checks": len(results),
                "violated": [result.check.id for result in results if result.count],
                "failed": [result.check.id for result in results if result.error],
                "ms": round(seconds * 1000, 1),
                "results": [result.to_json() for result in results],
            }
            self.stdout.write(json.dumps(report))
        else:
            self._print(results, seconds)
        if any(result.error for result in results):
            return 2
        return 1 if any(result.count for result in results) else 0

    def _print(self, results: list[invariants.Result], seconds: float) -> None:
        for result in results:
            if result.error:
                self.stdout.write(
                    self.style.WARNING(f"{result.check.id}  could not run: {result.error.strip()}")
                )
            elif result.count:
                self.stdout.write(
                    self.style.ERROR(
                        f"{result.check.id}  {result.count} × not: {result.check.text}"
                    )
                )
                for row in result.rows:
                    self.stdout.write(f"      {row}")
        broken = sum(1 for result in results if not result.holds)
        verdict = f"{broken} do not hold" if broken else "all hold"
        self.stdout.write(f"{len(results)} invariants, {verdict} ({seconds * 1000:.0f} ms)")
