"""`manage.py up`: the same as `make up`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from config.platform.embedded import __main__ as embedded


class Command(BaseCommand):
    help = "Run the shop with its own PostgreSQL and Valkey until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        embedded.add_up_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        sys.exit(embedded.run_up(argparse.Namespace(**options)))
