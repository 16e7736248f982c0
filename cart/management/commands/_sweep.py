"""What the commands that sweep carts share."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import BaseCommand
from django.utils import timezone

from cart import services
from cart.services.rehearsal import Sweep

BATCH = 2_000


class SweepCommand(BaseCommand):
    """Sweeps that run in turn, each until nothing is due; with `--dry-run` one batch of each, undone again."""

    sweeps: ClassVar[Mapping[str, Sweep]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=f"say how many, up to {BATCH} of each kind, and change none",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["dry_run"]:
            found = services.rehearse(self.sweeps, now=now, limit=BATCH)
            for name, count in found.items():
                at_least = "at least " if count >= BATCH else ""
                self.stdout.write(f"{at_least}{count} carts would be {name}.")
            return
        for name, sweep in self.sweeps.items():
            done = 0
            while count := sweep(now=now, limit=BATCH):
                done += count
            self.stdout.write(f"{done} carts were {name}.")
