"""Import product files in Shopify's export format."""

from __future__ import annotations

import csv
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory import selectors as inventory
from pricing import selectors, services
from pricing.services.shopify import Note

SHOWN_NOTES = 40


class Command(BaseCommand):
    help = (
        "Import product files in Shopify's export format. One bad product never stops the others, and running the "
        "same file again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--currency", help="of the prices in the files; the company's own if left out"
        )
        parser.add_argument("--company", help="id or slug; the default one if left out")
        parser.add_argument(
            "--keep-stock",
            action="store_true",
            help="leave the stock of goods alone that are in the shop already",
        )
        parser.add_argument(
            "--report", type=Path, metavar="FILE", help="write all that happened as .json or .csv"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report_path: Path | None = options["report"]
        if report_path and report_path.suffix not in {".json", ".csv"}:
            raise CommandError("The report is a .json or a .csv file.")
        if report_path and not report_path.parent.is_dir():
            raise CommandError(f"There is no directory {report_path.parent}.")
        started = timezone.now()
        try:
            company_id: UUID = inventory.resolve_company(options["company"], "")
            currency = (
                options["currency"] or selectors.home_currency(company_id=company_id)
            ).upper()
            report = services.import_products(
                actor=Actor.system(company_id, source="import"),
                paths=options["files"],
                currency=currency,
                now=started,
                stock="new" if options["keep_stock"] else "set",
                on_progress=self._progress if options["verbosity"] else None,
            )
        except ApplicationError as refused:
            raise CommandError(refused.detail) from None
        if options["verbosity"]:
            self._tell(report, (timezone.now() - started).total_seconds())
        if report_path:
            _write(report_path, report)
            self.stdout.write(f"The report is in {report_path}.")

    def _progress(self, done: int, size: int, products: int) -> None:
        percent = 100 * min(done, size) // max(size, 1)
        if self.stdout.isatty():
            self.stdout.write(f"\r{percent:3} %  {products} products", ending="")
            self.stdout.flush()
        elif done >= size:
            self.stdout.write(f"{percent:3} %  {products} products")

    def _tell(self, report: services.ImportReport, seconds: float) -> None:
        counts = report.counts
        if self.stdout.isatty():
            self.stdout.write("")
        for title, names in (
            ("Products", ("created", "changed", "unchanged", "skipped")),
            ("Variants", ("created", "changed", "unchanged")),
        ):
            told = ", ".join(f"{counts[f'{title.lower()}_{name}']} {name}" for name in names)
            self.stdout.write(f"{title}: {told}")
        self.stdout.write(
            f"Prices set: {counts['prices_set']}. Stock movements: {counts['stock_movements']}. "
            f"Rows skipped: {counts['rows_skipped']}. Warnings: {counts['warnings']}. {seconds:.1f} s"
        )
        errors = [note for note in report.notes if note.level == "error"]
        warnings = [note for note in report.notes if note.level == "warning"]
        for title, notes in (("Left out", errors), ("Please look at", warnings)):
            if notes:
                self.stdout.write(f"{title}:")
            for note in notes[:SHOWN_NOTES]:
                self.stdout.write(
                    f"  {note.file}:{note.line} {note.handle} {note.message}".replace("  ", " ")
                )
            if len(notes) > SHOWN_NOTES:
                self.stdout.write(
                    f"  and {len(notes) - SHOWN_NOTES} more; --report FILE has them all"
                )


def _write(path: Path, report: services.ImportReport) -> None:
    if path.suffix == ".json":
        path.write_text(
            json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return
    names = list(Note.__dataclass_fields__)
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(names)
        writer.writerows([getattr(note, name) for name in names] for note in report.notes)
