"""Product files that staff bring in the admin: what they would do is what they do, undone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from inventory import services as inventory
from inventory.errors import PreviewOutdated
from inventory.models import Product, ProductImage, StockLevel, Variant
from inventory.services import CountRow, FileJob, FileReport
from pricing.models import Price
from pricing.money import format_amount
from pricing.services.imports import STOCK_APART, STOCK_OF_NEW, ProductWriter, batches
from pricing.services.shopify import ReadProduct, inspect, read_products

_LONGEST_SHOWN = 160
_Figures = dict[str, dict[tuple[str, str], str]]  # {slug: {(SKU or "", field): value}}


class ProductFiles:
    """
    Looks at and applies product files; see `inventory.services.runs`.

    A look writes the products and takes it back, so it cannot differ from the real thing. Shelves of goods that are
    sold already are not locked by it: their counts are looked at apart, and applied last.
    """

    def check(self, job: FileJob, *, now: datetime) -> FileReport:
        with transaction.atomic():
            shown = _write(job, now=now, is_look=True)
            transaction.set_rollback(True)
        return shown

    def apply(self, job: FileJob, *, previewed: str, now: datetime) -> FileReport:
        shown = _write(job, now=now, is_look=False)
        if shown.fingerprint != previewed:
            raise PreviewOutdated
        return shown


def _write(job: FileJob, *, now: datetime, is_look: bool) -> FileReport:
    currency = str(job.wishes["currency"])
    sheet = inspect(job.source)
    with_counts = job.wishes.get("stock") == "set"
    writer = ProductWriter(
        actor=job.actor,
        currency=currency,
        now=now,
        reference=job.reference,
        stock=STOCK_APART if with_counts else STOCK_OF_NEW,
    )
    changes: list[dict[str, Any]] = []
    for batch in batches(read_products(sheet, currency=currency)):
        products = [product for product, _ in batch]
        slugs = [product.draft.slug for product in products if product.draft]
        before = _figures(job.actor.company_id, slugs, currency)
        writer.write(products)
        after = _figures(job.actor.company_id, slugs, currency)
        changes += _differences(products, before, after)
        job.tell(min(100 * batch[-1][1] // max(sheet.size, 1), 99))
    report = writer.report
    problems = [
        {"row": note.line, "column": note.handle, "message": note.message, "level": note.level}
        for note in report.notes
    ]
    counts = {
        "new": report.counts["products_created"],
        "changed": report.counts["products_changed"],
        "unchanged": report.counts["products_unchanged"],
        "prices": report.counts["prices_set"],
        "shelves": 0,
        "left_out": report.counts["products_skipped"] + report.counts["rows_skipped"],
    }
    if writer.counts:
        outcome = _count(job, writer.counts, now, is_look)
        counts["shelves"] = len(outcome.changes)
        changes += [
            {
                "row": change.row,
                "name": f"{change.sku} · {change.warehouse}",
                "kind": "changed",
                "fields": [
                    {
                        "name": "total",
                        "before": str(change.before),
                        "after": str(change.after),
                        "digest": str(change.difference),
                    }
                ],
            }
            for change in outcome.changes
        ]
        problems += [
            {
                "row": problem.row,
                "column": problem.column,
                "message": problem.message,
                "level": "error",
            }
            for problem in outcome.refused
        ]
    digest = hashlib.sha256()
    for change in changes:
        for part in change["fields"]:
            digest.update(f"{change['name']}\t{part['name']}\t{part.pop('digest')}\n".encode())
    return FileReport(
        counts=counts,
        changes=changes,
        problems=problems,
        fingerprint=digest.hexdigest(),
        reference=job.reference,
    )


def _count(
    job: FileJob, rows: Sequence[CountRow], now: datetime, is_look: bool
) -> inventory.CountOutcome:
    if is_look:
        return inventory.preview_counts(actor=job.actor, rows=rows, now=now)
    return inventory.apply_counts(
        actor=job.actor, rows=rows, reference=job.reference, all_or_nothing=False, now=now
    )


# --- what there is before and after -----------------------------------------------------------


def _figures(company_id: UUID, slugs: Sequence[str], currency: str) -> _Figures:
    """Return everything a file can change about these products, as words: five statements."""
    found: _Figures = {}
    ids: dict[UUID, str] = {}
    for product in Product.objects.filter(company_id=company_id, slug__in=slugs).select_related(
        "category"
    ):
        ids[product.id] = product.slug
        found[product.slug] = {
            ("", "name"): product.name,
            ("", "description"): product.description,
            ("", "vendor"): product.vendor,
            ("", "category"): product.category.name if product.category else "",
            ("", "tags"): ", ".join(product.tags),
            ("", "options"): ", ".join(product.option_names),
            ("", "status"): product.status,
            ("", "other columns"): str(product.metadata.get(inventory.KEPT_COLUMNS) or ""),
            ("", "pictures"): "",
        }
    for image in ProductImage.objects.filter(product__in=ids).order_by("position", "id"):
        cells = found[ids[image.product_id]]
        text = f"{image.url} ({image.alt})" if image.alt else image.url
        cells["", "pictures"] = "\n".join(filter(None, [cells["", "pictures"], text]))
    skus: dict[UUID, tuple[str, str]] = {}
    for variant in Variant.objects.filter(product__in=ids).order_by("position", "id"):
        slug = ids[variant.product_id]
        skus[variant.id] = (slug, variant.sku)
        found[slug] |= {
            (variant.sku, "choice"): ", ".join(
                f"{name}: {value}" for name, value in sorted(variant.options.items())
            ),
            (variant.sku, "barcode"): variant.barcode,
            (variant.sku, "grams"): str(variant.weight_grams),
            (variant.sku, "shipped"): str(variant.requires_shipping),
            (variant.sku, "taxed"): str(variant.is_taxable),
            (variant.sku, "when stock is gone"): variant.inventory_policy,
            (variant.sku, "picture"): variant.image,
        }
    for price in Price.objects.filter(variant__in=skus, currency=currency):
        slug, sku = skus[price.variant_id]
        found[slug][sku, "price"] = format_amount(price.amount, currency)
        if price.compare_at is not None:
            found[slug][sku, "was"] = format_amount(price.compare_at, currency)
    levels = StockLevel.objects.filter(variant__in=skus, warehouse__is_default=True).order_by()
    for variant_id, total in levels.values_list("variant_id", "total"):
        slug, sku = skus[variant_id]
        if total:
            found[slug][sku, "opening stock"] = str(total)
    return found


def _differences(
    products: Sequence[ReadProduct], before: _Figures, after: _Figures
) -> Iterator[dict[str, Any]]:
    told = set()
    for product in products:
        slug = product.draft.slug if product.draft else ""
        if not slug or slug in told or slug not in after:
            continue
        told.add(slug)
        old: Mapping[tuple[str, str], str] = before.get(slug, {})
        fields = []
        for key, value in after[slug].items():
            former = old.get(key, "")
            if former != value:
                sku, name = key
                fields.append(
                    {
                        "name": f"{sku} {name}".strip(),
                        "before": _short(former),
                        "after": _short(value),
                        "digest": f"{former}→{value}",
                    }
                )
        for key, former in old.items():
            if key not in after[slug] and former:
                fields.append(
                    {
                        "name": " ".join(filter(None, key)),
                        "before": _short(former),
                        "after": "",
                        "digest": f"{former}→",
                    }
                )
        if fields:
            yield {
                "row": product.line,
                "name": slug,
                "kind": "changed" if slug in before else "new",
                "fields": fields,
            }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
