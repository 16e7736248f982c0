"""Imports product files: what is new is made, what changed is changed, what is the same is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.text import slugify

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.sheets import Source
from inventory import services as inventory
from inventory.models import Category, Product, StockMovement, Variant
from pricing.errors import CurrencyUnknown
from pricing.money import EXPONENTS
from pricing.services import shopify
from pricing.services.prices import NewPrice, set_prices
from pricing.services.shopify import Note, ReadProduct

BATCH = 100
# What the stock in a file means for goods that are in the shop already: it is what was counted; it is left alone; it
# is collected as counts for the caller. New goods always begin with it.
STOCK_SET, STOCK_OF_NEW, STOCK_APART = "set", "new", "apart"
Progress = Callable[[int, int, int], None]  # bytes read, bytes in all, products so far


@dataclass(slots=True)
class ImportReport:
    """What an import did. `counts` by name; `notes` in the order of the files."""

    files: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)

    NAMES = (
        "products_created", "products_changed", "products_unchanged", "products_skipped",
        "variants_created", "variants_changed", "variants_unchanged", "prices_set", "stock_movements",
        "rows_skipped", "warnings",
    )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "counts": {name: self.counts[name] for name in self.NAMES},
            "notes": [
                {name: getattr(note, name) for name in Note.__dataclass_fields__}
                for note in self.notes
            ],
        }


def import_products(
    *,
    actor: Actor,
    paths: Sequence[Path],
    currency: str,
    now: datetime,
    stock: str = STOCK_SET,
    on_progress: Progress | None = None,
) -> ImportReport:
    """
    Import product files in Shopify's export format; one bad product never stops the others.

    All or nothing per product. The files stream; products are written in batches, each in its own transaction, so an
    import that is broken off can be run again from the start. Running it again changes nothing. Stock is what was
    counted in the default warehouse: one movement for each quantity that changes; with `stock="new"` that of goods which
    are in the shop already is left alone.

    :raises ImportUnreadable: if a file is missing, no text or lacks columns; nothing is written
    :raises CurrencyUnknown: if we know no such currency
    """
    if currency not in EXPONENTS:
        raise CurrencyUnknown()
    files = [shopify.inspect(Source.at(path)) for path in paths]
    size = sum(sheet.size for sheet in files)
    report = ImportReport(files=[str(path) for path in paths])
    writer = ProductWriter(actor=actor, currency=currency, now=now, report=report, stock=stock)
    done = 0
    for sheet in files:
        at = 0
        for batch in batches(shopify.read_products(sheet, currency=currency)):
            writer.write([product for product, _ in batch])
            at = batch[-1][1]
            if on_progress:
                on_progress(done + at, size, writer.products)
        done += sheet.size
    inventory.learn_words()
    if on_progress:
        on_progress(size, size, writer.products)
    report.counts["stock_movements"] = StockMovement.objects.filter(
        company_id=actor.company_id, reference=writer.reference, created_at=now
    ).count()
    report.counts["warnings"] = sum(note.level == "warning" for note in report.notes)
    return report


def batches(
    products: Iterator[tuple[ReadProduct, int]],
) -> Iterator[list[tuple[ReadProduct, int]]]:
    while batch := list(islice(products, BATCH)):
        yield batch


class ProductWriter:
    """Writes batches of products, and remembers which SKUs this run has given out."""

    def __init__(
        self,
        *,
        actor: Actor,
        currency: str,
        now: datetime,
        report: ImportReport | None = None,
        reference: str = "",
        stock: str = STOCK_SET,
    ) -> None:
        self.actor = actor
        self.currency = currency
        self.now = now
        self.report = report or ImportReport()
        self.reference = reference or f"import {now.isoformat()}"
        self.stock = stock
        self.counts: list[
            inventory.CountRow
        ] = []  # of goods that are there, where these come apart
        self.products = 0
        self._given: set[str] = set()
        self._founded: dict[str, str] = {}  # categories of this run: {slug: name}

    def write(self, batch: Iterable[ReadProduct]) -> None:
        sound: list[tuple[ReadProduct, inventory.ProductDraft]] = []
        batch = list(batch)
        owners = self._owners(batch)
        kinds = self._kinds(batch)
        for product in batch:
            self.products += product.draft is not None
            if product.errors or product.draft is None:
                self._skip(product, product.errors)
                continue
            draft = replace(self._with_skus(product, owners), category=kinds[product.draft.slug])
            if self.stock != STOCK_SET:
                draft = self._without_counts(product, draft, owners)
            sound.append((product, draft))
        with transaction.atomic():
            results = inventory.upsert_products(
                actor=self.actor,
                drafts=[draft for _, draft in sound],
                now=self.now,
                reference=self.reference,
            )
            prices = [
                NewPrice(
                    variant_id=result.variant_ids[wanted.sku],
                    currency=self.currency,
                    amount=variant.price,
                    compare_at=variant.compare_at,
                )
                for (product, draft), result in zip(sound, results, strict=True)
                if not isinstance(result, ApplicationError)
                for variant, wanted in zip(product.variants, draft.variants, strict=True)
            ]
            self.report.counts["prices_set"] += set_prices(
                actor=self.actor, prices=prices, reason="import", now=self.now
            )
        for (product, draft), result in zip(sound, results, strict=True):
            self._tell(product, draft, result)

    def _tell(
        self,
        product: ReadProduct,
        draft: inventory.ProductDraft,
        result: inventory.Upserted | ApplicationError,
    ) -> None:
        counts = self.report.counts
        if isinstance(result, ApplicationError):
            messages = [f"{error.field}: {error.message}" for error in result.errors] or [
                result.detail
            ]
            self._skip(
                product,
                [
                    Note(
                        product.file,
                        product.line,
                        product.handle,
                        "error",
                        result.code.lower(),
                        message,
                    )
                    for message in messages
                ],
            )
            return
        self.report.notes += product.warnings
        kind = "created" if result.is_new else "changed" if result.is_changed else "unchanged"
        counts[f"products_{kind}"] += 1
        counts["variants_created"] += len(result.new_skus)
        counts["variants_changed"] += len(result.changed_skus)
        counts["variants_unchanged"] += (
            len(draft.variants) - len(result.new_skus) - len(result.changed_skus)
        )

    def _skip(self, product: ReadProduct, errors: Sequence[Note]) -> None:
        self.report.notes += [*product.warnings, *errors]
        self.report.counts["products_skipped" if product.draft else "rows_skipped"] += 1

    # Categories are named by their names: the one the product is in already comes first.

    def _kinds(self, batch: Sequence[ReadProduct]) -> dict[str, str | None]:
        """Return which category the products go to, as a slug: {slug of the product: None where it stays}."""
        drafts = [product.draft for product in batch if product.draft]
        known = dict(
            Category.objects.filter(company_id=self.actor.company_id)
            .order_by("-slug")
            .values_list("slug", "name")
        )
        by_name = {name.casefold(): slug for slug, name in [*known.items(), *self._founded.items()]}
        current = dict(
            Product.objects.filter(
                company_id=self.actor.company_id,
                slug__in=[draft.slug for draft in drafts],
                category__isnull=False,
            ).values_list("slug", "category__name")
        )
        kinds: dict[str, str | None] = {}
        for draft in drafts:
            name = draft.category_name
            kinds[draft.slug] = None
            if not name or current.get(draft.slug, "").casefold() == name.casefold():
                continue
            slug = by_name.get(name.casefold())
            base = slugify(name)[:110] or f"category-{sha256(name.encode()).hexdigest()[:8]}"
            if slug is None and base in known and base not in self._founded:
                slug = base
            if slug is None:
                slug, number = base, 1
                while slug in known or slug in self._founded:
                    number += 1
                    slug = f"{base}-{number}"
                self._founded[slug] = name
                by_name[name.casefold()] = slug
            kinds[draft.slug] = slug
        return kinds

    def _without_counts(
        self, product: ReadProduct, draft: inventory.ProductDraft, owners: dict[str, str]
    ) -> inventory.ProductDraft:
        """Return the draft without stock for variants that are there; with STOCK_APART it is noted as counts."""
        variants = []
        for read, variant in zip(product.variants, draft.variants, strict=True):
            if variant.sku in owners:
                if self.stock == STOCK_APART and variant.stock:
                    units = next(iter(variant.stock.values()))
                    self.counts.append(
                        inventory.CountRow(sku=variant.sku, quantity=units, row=read.line)
                    )
                variant = replace(variant, stock=None)
            variants.append(variant)
        return replace(draft, variants=variants)

    # SKUs: a missing one is made, a repeated one gets a number; the same file gives the same ones again.

    def _owners(self, batch: Sequence[ReadProduct]) -> dict[str, str]:
        """Return whose the SKUs are that this batch may want: {SKU: slug}."""
        bases = {sku for product in batch if product.draft for sku in _bases(product)}
        rows = Variant.objects.filter(company_id=self.actor.company_id).values_list(
            "sku", "product__slug"
        )
        owners = dict(rows.filter(sku__in=bases))
        wanted = Counter(sku for product in batch if product.draft for sku in _bases(product))
        crowded = [sku for sku in bases if wanted[sku] > 1 or sku in owners or sku in self._given]
        numbered = [f"{sku}-{number}" for sku in crowded for number in range(2, 12)]
        owners.update(rows.filter(sku__in=numbered))
        return owners

    def _with_skus(self, product: ReadProduct, owners: dict[str, str]) -> inventory.ProductDraft:
        assert product.draft is not None
        slug = product.draft.slug
        skus: list[str] = []
        for variant, base in zip(product.variants, _bases(product), strict=True):
            sku, number = base, 1
            while sku in self._given or owners.get(sku, slug) != slug:
                number += 1
                sku = f"{base}-{number}"
                if number > 11 and sku not in owners:
                    owners.update(
                        Variant.objects.filter(
                            company_id=self.actor.company_id, sku=sku
                        ).values_list("sku", "product__slug")
                    )
            self._given.add(sku)
            skus.append(sku)
            if not variant.draft.sku:
                self._warn(product, variant.line, "sku_made", f"No SKU; it becomes {sku}.")
            elif sku != variant.draft.sku:
                self._warn(
                    product,
                    variant.line,
                    "sku_repeated",
                    f"{variant.draft.sku} is taken; it becomes {sku}.",
                )
        return shopify.with_skus(product, skus)

    def _warn(self, product: ReadProduct, line: int, code: str, message: str) -> None:
        product.warnings.append(Note(product.file, line, product.handle, "warning", code, message))


def _bases(product: ReadProduct) -> list[str]:
    """Return the SKUs of a product as the file has them; where it has none, one made of handle and options."""
    assert product.draft is not None
    bases = []
    for variant in product.variants:
        values = [slugify(value) for value in (variant.draft.options or {}).values()]
        made = "-".join([product.draft.slug, *filter(None, values)])[:250]
        bases.append(variant.draft.sku or made)
    return bases
