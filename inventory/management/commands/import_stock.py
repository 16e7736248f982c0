"""`manage.py import_stock`: what was counted becomes what the books say."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.sheets import Source
from inventory import selectors, services

SHOWN = 40


class Command(BaseCommand):
    help = (
        "Apply a file of counts: SKU, Warehouse, Counted, and if known Expected and Counted at. All rows or none. "
        "What was sold after the time of counting is kept."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--company", help="id or slug; the default one if left out")
        parser.add_argument(
            "--counted-at", help='when, for rows that do not say: "2026-11-21 10:00"'
        )
        parser.add_argument(
            "--reference", help="kept with every movement; the file's name if left out"
        )
        parser.add_argument("--notes", default="", help="kept with every movement")
        parser.add_argument(
            "--skip-refused", action="store_true", help="leave out rows that cannot be applied"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            company_id = selectors.resolve_company(options["company"], "")
            actor = Actor.system(company_id, source="import")
            counted_at = _moment(options["counted_at"])
            found = services.read_counts(Source.at(options["file"]))
            outcome = services.preview_counts(
                actor=actor, rows=found.rows, counted_at=counted_at, now=now
            )
            problems = sorted([*found.problems, *outcome.refused], key=lambda problem: problem.row)
            if problems and not options["skip_refused"] and not options["dry_run"]:
                self._name(problems)
                raise CommandError(f"{len(problems)} rows cannot be applied, so none was.")
            if not options["dry_run"]:
                outcome = services.apply_counts(
                    actor=actor,
                    rows=found.rows,
                    counted_at=counted_at,
                    reference=options["reference"] or options["file"].name,
                    notes=options["notes"],
                    all_or_nothing=not options["skip_refused"],
                    now=now,
                )
                problems = sorted(
                    [*found.problems, *outcome.refused], key=lambda problem: problem.row
                )
        except ApplicationError as refused:
            raise CommandError(refused.detail) from None
        self._name(problems)
        if options["dry_run"]:
            for change in outcome.changes[:SHOWN]:
                self.stdout.write(
                    f"  row {change.row} {change.sku} {change.warehouse} {change.before} → {change.after}"
                )
        verb = "would change" if options["dry_run"] else "changed"
        self.stdout.write(
            f"{len(outcome.changes)} shelves {verb}, {outcome.unchanged} are as counted, {found.blank} were not "
            f"counted, {len(problems)} rows were refused. {(timezone.now() - now).total_seconds():.1f} s"
        )

    def _name(self, problems: list[services.Problem]) -> None:
        for problem in problems[:SHOWN]:
            self.stderr.write(f"  row {problem.row}, {problem.column}: {problem.message}")
        if len(problems) > SHOWN:
            self.stderr.write(f"  and {len(problems) - SHOWN} more")


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text!r} is not a time such as 2026-11-21 10:00.")
    return moment if moment.tzinfo else timezone.make_aware(moment)
