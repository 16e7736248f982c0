"""`manage.py release_holds`: the sweep by hand, or the emergency brake (JOB-17, INV-42)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.platform.actor import Actor
from inventory import selectors, services
from inventory.models import Company


class Command(BaseCommand):
    help = "Return units whose hold ran out; with --all, everything that carts hold. Orders keep theirs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="also holds that have not run out: before a rollback"
        )
        parser.add_argument("--dry-run", action="store_true", help="say how many, release none")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["dry_run"]:
            count = selectors.releasable_holds(now=None if options["all"] else now).count()
            self.stdout.write(f"{count} holds would be released.")
            return
        released = 0
        while batch := services.release_expired(now=now):
            released += batch
        if options["all"]:
            for company_id in Company.objects.values_list("id", flat=True):
                actor = Actor.system(company_id, source="command")
                while batch := services.release_all(actor=actor, now=now):
                    released += batch
        self.stdout.write(f"{released} holds were released.")
