"""`manage.py jobs`: what runs in the background, when it last did, and what is overdue (JOB-17)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.platform import timetable


class Command(BaseCommand):
    help = "Show each job of the timetable with its last run. Exit 1 where one is overdue or failed last."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = timetable.overview(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps([self._json(job) for job in jobs]))
        else:
            width = max(len(job.name) for job in jobs)
            for job in jobs:
                self.stdout.write(f"{job.name:<{width}}  {self._line(job)}")
        sys.exit(1 if any(job.is_overdue or job.state == "failed" for job in jobs) else 0)

    def _line(self, job: timetable.JobState) -> str:
        if job.started_at is None:
            return f"every {job.every}  has not run yet"
        took = "running" if job.seconds is None else f"{job.seconds:.1f} s"
        words = f"every {job.every}  {job.state} {job.started_at:%Y-%m-%d %H:%M:%S}  {took}  {job.count} done"
        if job.error:
            words += f"  {job.error.splitlines()[0][:100]}"
        return self.style.ERROR(f"{words}  OVERDUE") if job.is_overdue else words

    def _json(self, job: timetable.JobState) -> dict[str, Any]:
        return {
            "name": job.name,
            "everySeconds": job.every.total_seconds(),
            "startedAt": job.started_at.isoformat() if job.started_at else None,
            "state": job.state,
            "seconds": job.seconds,
            "count": job.count,
            "error": job.error,
            "lastGoodAt": job.done_at.isoformat() if job.done_at else None,
            "overdue": job.is_overdue,
        }
