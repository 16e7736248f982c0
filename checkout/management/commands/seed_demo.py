"""`manage.py seed_demo`: the demo shop, Kelp & Hold."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from checkout import demo


class Command(BaseCommand):
    help = "Fill the shop with the demo: catalogue, stock, prices, tax, shipping, codes, orders, abandoned carts."

    def handle(self, *args: Any, **options: Any) -> None:
        def progress(step: str) -> None:
            self.stdout.write(f"  {step} …")

        self.stdout.write("Seeding the demo shop:")
        demo.seed(now=timezone.now(), progress=progress)
        self.stdout.write(self.style.SUCCESS("The demo shop is ready."))
