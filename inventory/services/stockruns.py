"""Files of counts that staff bring in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from inventory.services.counts import (
    CountOutcome,
    Problem,
    apply_counts,
    preview_counts,
    refusal_of,
)
from inventory.services.runs import FileJob, FileReport
from inventory.services.stockfile import TITLES, CountFile, read_counts


class StockFiles:
    """Looks at and applies files of counts; see `inventory.services.runs`."""

    def check(self, job: FileJob, *, now: datetime) -> FileReport:
        found = read_counts(job.source)
        outcome = preview_counts(
            actor=job.actor, rows=found.rows, counted_at=_counted_at(job), now=now
        )
        return _shown(job, found, outcome)

    def apply(self, job: FileJob, *, previewed: str, now: datetime) -> FileReport:
        found = read_counts(job.source)
        skip = bool(job.wishes.get("skip_refused"))
        if found.problems and not skip:
            raise refusal_of(found.problems)
        outcome = apply_counts(
            actor=job.actor,
            rows=found.rows,
            counted_at=_counted_at(job),
            reference=job.reference,
            notes=str(job.wishes.get("notes") or ""),
            all_or_nothing=not skip,
            previewed=previewed,
            now=now,
        )
        return _shown(job, found, outcome)


def _counted_at(job: FileJob) -> datetime | None:
    text = job.wishes.get("counted_at")
    return parse_datetime(str(text)) if text else None


def _shown(job: FileJob, found: CountFile, outcome: CountOutcome) -> FileReport:
    problems = sorted([*found.problems, *outcome.refused], key=lambda problem: problem.row)
    return FileReport(
        counts={
            "changed": len(outcome.changes),
            "unchanged": outcome.unchanged,
            "blank": found.blank,
            "refused": len(problems),
            "units": sum(change.difference for change in outcome.changes),
        },
        changes=[
            {
                "row": change.row,
                "name": f"{change.sku} · {change.warehouse}",
                "kind": "changed",
                "fields": [
                    {"name": "total", "before": str(change.before), "after": str(change.after)}
                ],
            }
            for change in outcome.changes
        ],
        problems=list(_told(problems)),
        fingerprint=outcome.fingerprint,
        reference=job.reference,
    )


def _told(problems: Iterable[Problem]) -> Iterable[dict[str, Any]]:
    for problem in problems:
        yield {
            "row": problem.row,
            "column": TITLES.get(problem.column, problem.column),
            "message": problem.message,
            "level": "error",
        }
