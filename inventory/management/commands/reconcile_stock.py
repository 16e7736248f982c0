"""`manage.py reconcile_stock`: do the shelves' counters say what holds and movements say? (JOB-12)"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.platform import invariants
from inventory import invariants as own
from inventory import services


class Command(BaseCommand):
    help = (
        "Compare counters with holds and movements. Exit 0: they agree, or all was repaired; 1: something is left. "
        "Says too which holds belong to carts and orders that are closed; those are let go by their owners."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--fix",
            action="store_true",
            help="set counters to what the books say, each under its row's lock and with an audit entry",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        drifts = services.reconcile(now=now)
        if options["fix"]:
            drifts = services.repair_all(drifts=drifts, source="command", now=now)
        # What a hold is for is known further up; the checks that look there are of the apps there.
        stray = [
            result
            for result in invariants.run(
                [
                    check
                    for check in invariants.all_checks()
                    if check.id.startswith("I") and check not in own.CHECKS
                ]
            )
            if not result.holds
        ]
        left = [drift for drift in drifts if not drift.is_repaired]
        if options["json"]:
            report = {
                "drifts": [drift.to_json() for drift in drifts],
                "left": len(left),
                "holdsOfOthers": [result.to_json() for result in stray],
            }
            self.stdout.write(json.dumps(report))
        else:
            self._print(drifts, stray)
        sys.exit(1 if left or stray else 0)

    def _print(self, drifts: list[services.Drift], stray: list[invariants.Result]) -> None:
        for drift in drifts:
            self.stdout.write(
                f"{drift.sku} in {drift.warehouse}: {drift.kind} is {drift.actual}, by the books {drift.expected}."
                f" {drift.outcome}".rstrip()
            )
        for result in stray:
            self.stdout.write(f"{result.check.id}: {result.count} × not: {result.check.text}")
        self.stdout.write(
            f"{len(drifts)} counters differ, {sum(drift.is_repaired for drift in drifts)} were repaired."
        )
