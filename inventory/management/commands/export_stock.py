"""`manage.py export_stock`: the list for a counting day."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory import selectors, services


class Command(BaseCommand):
    help = "Write the counting list: every shelf with what should lie there and room for what does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="written to the screen if left out")
        parser.add_argument("--warehouse", default="", help="code of one warehouse")
        parser.add_argument("--company", help="id or slug; the default one if left out")
        parser.add_argument(
            "--with-figures", action="store_true", help="fill in what should lie there as counted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            company_id = selectors.resolve_company(options["company"], "")
        except ApplicationError as refused:
            raise CommandError(refused.detail) from None
        actor = Actor.system(company_id, source="command")
        levels = services.shelves_to_count(actor=actor, warehouse=options["warehouse"])
        lines = services.write_counting_list(levels=levels, with_figures=options["with_figures"])
        path: Path | None = options["file"]
        if path is None:
            for line in lines:
                self.stdout.write(line, ending="")
            return
        try:
            with path.open("w", encoding="utf-8", newline="") as target:
                count = sum(target.write(line) > 0 for line in lines) - 1
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        self.stdout.write(f"{count} shelves are in {path}.")
