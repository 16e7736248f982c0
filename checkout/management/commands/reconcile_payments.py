"""`manage.py reconcile_payments`: the providers' books beside ours, and with `--fix` what can be mended safely."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from checkout import services
from checkout.stuck import ADVICE
from config.platform.errors import DependencyUnavailable


class Command(BaseCommand):
    help = "Compare the payment providers' books with ours. Exit 0: the same, 1: they differ, 2: a provider does not answer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=3, help="how far back (3)")
        parser.add_argument(
            "--fix",
            action="store_true",
            help="settle what differs as its webhook would have; flag the orders of what is left",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            done = services.compare_books(
                since=now - timedelta(days=options["days"]), mend=options["fix"], now=now
            )
        except DependencyUnavailable as problem:
            self.stderr.write(problem.detail)
            sys.exit(2)
        if options["json"]:
            told = {
                "mended": [difference.to_json() for difference in done.mended],
                "left": [difference.to_json() for difference in done.left],
            }
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder))
        else:
            for word, differences in (("mended", done.mended), ("left", done.left)):
                for each in differences:
                    self.stdout.write(
                        f"{word}  {each.kind.value}  {each.provider} {each.provider_id}  payment {each.payment_id}  "
                        f"{each.theirs} there, {each.ours} here  {each.currency}"
                    )
                    if each.reason:
                        self.stdout.write(f"      {ADVICE[each.reason]}")
            self.stdout.write(f"{len(done.mended)} mended, {len(done.left)} left")
        sys.exit(1 if done.left else 0)
