"""Write products as a file in Shopify's export format."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory import selectors as inventory
from inventory.models import Product
from pricing import selectors, services

SHOWN = 40


class Command(BaseCommand):
    help = (
        "Write products as a file in Shopify's export format, which import_products reads. What the format cannot "
        "carry is left out and named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="written to the screen if left out")
        parser.add_argument("--currency", help="of the prices; the company's own if left out")
        parser.add_argument("--company", help="id or slug; the default one if left out")
        parser.add_argument("--category", help="slug of a category: only its products")
        parser.add_argument(
            "--status", choices=Product.Status.values, help="only products in this status"
        )
        parser.add_argument("--handle", nargs="+", help="only these products")

    def handle(self, *args: Any, **options: Any) -> None:
        products = Product.objects.all()
        for name, lookup in (
            ("category", "category__slug"),
            ("status", "status"),
            ("handle", "slug__in"),
        ):
            if options[name]:
                products = products.filter(**{lookup: options[name]})
        try:
            company_id = inventory.resolve_company(options["company"], "")
            currency = options["currency"] or selectors.home_currency(company_id=company_id)
            export = services.export_products(
                actor=Actor.system(company_id, source="command"),
                currency=currency.upper(),
                products=products,
            )
        except ApplicationError as refused:
            raise CommandError(refused.detail) from None
        path: Path | None = options["file"]
        if path is None:
            for line in export.lines():
                self.stdout.write(line, ending="")
        else:
            try:
                with path.open("w", encoding="utf-8", newline="") as target:
                    target.writelines(export.lines())
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
            self.stdout.write(f"{export.written} products are in {path}.")
        for slug, reason in list(export.left_out.items())[:SHOWN]:
            self.stderr.write(f"  {slug} was left out: {reason}")
        if len(export.left_out) > SHOWN:
            self.stderr.write(f"  and {len(export.left_out) - SHOWN} more")
