"""`manage.py fetch_feeds`: the feeds of outside systems, by hand."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.platform.errors import NotFound
from inventory import services


class Command(BaseCommand):
    help = (
        "Fetch the feeds that are due; with a source, that one now. Exit 1 where it was not good."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", nargs="?", help="short name of an outside system")
        parser.add_argument(
            "--trust",
            action="store_true",
            help="take a copy with far fewer rows or nearly all zeroes: the supplier says it is right",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if not options["source"]:
            self.stdout.write(f"{services.fetch_due(now=now)} feeds were fetched.")
            return
        try:
            source = services.pull_named(slug=options["source"], now=now, trusting=options["trust"])
        except NotFound as refusal:
            self.stderr.write(str(refusal.detail))
            sys.exit(1)
        self.stdout.write(f"{source.slug}: {source.feed_state}: {source.feed_note}")
        sys.exit(0 if source.feed_state in ("applied", "unchanged") else 1)
