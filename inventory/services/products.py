"""Products with their variants, pictures and counted stock, written one or thousands at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import nh3
from django.db import IntegrityError, transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from config.platform.events import Event
from config.platform.models import new_id
from inventory.errors import CategoryNotFound, SkuTaken, SlugTaken
from inventory.events import ProductDiscontinuedEvent, ProductUpdated
from inventory.models import Category, Product, Variant
from inventory.services.drafts import ImageDraft, ProductDraft, VariantDraft, check
from inventory.services.pictures import replace_pictures
from inventory.services.stock import StockCount, add_missing_levels, count_stock, warehouses_by_code

_BATCH = 500
# What a text may show. Pictures of other sites would tell them who reads ours.
_TAGS = nh3.ALLOWED_TAGS - {"img", "map", "area"}


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of a draft. `variant_ids` names the variants of the draft by SKU; prices can be set for them."""

    product_id: UUID
    slug: str
    is_new: bool
    is_changed: bool
    variant_ids: dict[str, UUID]
    new_skus: tuple[str, ...] = ()
    changed_skus: tuple[str, ...] = ()
    withdrawn_skus: tuple[str, ...] = ()


def upsert_products(
    *, actor: Actor, drafts: Sequence[ProductDraft], now: datetime, reference: str = ""
) -> list[Upserted | ApplicationError]:
    """
    Create or change products by their slugs, with variants, pictures, categories and counted stock.

    All or nothing per product: each draft is answered by what became of it or by its refusal, and the others are
    written. A constant number of statements for up to some hundred products; publishes one ProductUpdated for each
    product that changed, and writes one movement for each shelf.
    """
    if len(drafts) > _BATCH:
        return [
            result
            for start in range(0, len(drafts), _BATCH)
            for result in upsert_products(
                actor=actor, drafts=drafts[start : start + _BATCH], now=now, reference=reference
            )
        ]
    results: list[Upserted | ApplicationError | None] = [None] * len(drafts)
    slugs: set[str] = set()
    skus: set[str] = set()
    sound = []
    for index, draft in enumerate(drafts):
        errors = check(draft)
        if errors:
            results[index] = ValidationFailed(errors=errors)
        elif draft.slug in slugs or skus & {variant.sku for variant in draft.variants}:
            # Two drafts of one batch touch the same row: the later one goes second, on what the first one left.
            sound.append((index, draft, True))
        else:
            slugs.add(draft.slug)
            skus |= {variant.sku for variant in draft.variants}
            sound.append((index, draft, False))
    together = [(index, draft) for index, draft, again in sound if not again]
    try:
        with transaction.atomic():
            written = _write_batch(actor, [draft for _, draft in together], now, reference)
        for (index, _), result in zip(together, written, strict=True):
            results[index] = result
    except (IntegrityError, ApplicationError):
        # Somebody else took a slug or a SKU meanwhile: find out whose draft it was.
        for index, draft in together:
            results[index] = _write_alone(actor, draft, now, reference)
    for index, draft, again in sound:
        if again:
            results[index] = _write_alone(actor, draft, now, reference)
    return [result for result in results if result is not None]


def upsert_product(*, actor: Actor, draft: ProductDraft, now: datetime) -> Upserted:
    """
    Create or change one product by its slug: see `upsert_products`.

    :raises ValidationFailed: if the draft is malformed, or its variants do not fit the options or repeat a choice
    :raises SkuTaken: if another product has one of its SKUs
    :raises CategoryNotFound: if its category does not exist and has no name to be created by
    :raises WarehouseNotFound: if stock is counted in a warehouse that does not exist
    """
    [result] = upsert_products(actor=actor, drafts=[draft], now=now)
    if isinstance(result, ApplicationError):
        raise result
    return result


def sanitise(html: str) -> str:
    """Return the HTML with nothing in it that runs, loads or restyles."""
    return nh3.clean(html, tags=_TAGS, link_rel="noopener nofollow")


# --- parts ----------------------------------------------------------------------------------


def _write_alone(
    actor: Actor, draft: ProductDraft, now: datetime, reference: str
) -> Upserted | ApplicationError:
    try:
        with transaction.atomic():
            return _write_batch(actor, [draft], now, reference)[0]
    except ApplicationError as refusal:
        return refusal
    except IntegrityError as clash:
        if "variant_combination_once" in str(clash):
            message = "Two variants are the same choice."
            return ValidationFailed(errors=[FieldError("variants", "invalid", message)])
        return SlugTaken() if "slug" in str(clash) else SkuTaken()


_PRODUCT_FIELDS = (
    "name", "description", "vendor", "tags", "option_names", "status", "tax_class", "metadata", "category_id",
    "search_terms",
)  # fmt: skip
_VARIANT_FIELDS = (
    "options", "position", "barcode", "weight_grams", "requires_shipping", "is_taxable", "inventory_policy", "image",
    "is_active",
)  # fmt: skip


@dataclass(slots=True)
class _Batch:
    """The rows that drafts are about, and what is to be written of them, so that each table is written once."""

    company_id: UUID
    categories: Mapping[str, Category]
    products: Mapping[str, Product]
    by_product: Mapping[UUID, list[Variant]]
    by_sku: Mapping[str, Variant]
    saved_products: list[Product] = field(default_factory=list)
    saved_variants: list[Variant] = field(default_factory=list)
    fresh: set[UUID] = field(default_factory=set)
    levels: dict[UUID, int] = field(default_factory=dict)
    counts: list[StockCount] = field(default_factory=list)
    pictured: dict[UUID, Sequence[ImageDraft]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def take(self, draft: ProductDraft) -> Upserted | ApplicationError:
        """Note what a draft changes; one that is refused changes nothing."""
        product = self.products.get(draft.slug)
        variants = self.by_product.get(product.id, []) if product else []
        refusal = _conflict(draft, product, self.by_sku, self.categories) or _misfit(
            draft, product, variants
        )
        if refusal is not None:
            return refusal
        is_new = product is None
        if product is None:
            product = Product(id=new_id(), company_id=self.company_id, slug=draft.slug)
        before = _values(product, _PRODUCT_FIELDS)
        was_sold = product.status != Product.Status.DISCONTINUED
        _fill_product(product, draft, self.categories)
        withdrawn = self._withdraw(draft, variants)
        new, changed = self._take_variants(draft, product, variants)
        variants = [*variants, *new]
        product.search_terms = search_terms(variants)
        is_changed = is_new or before != _values(product, _PRODUCT_FIELDS)
        if is_changed:
            self.saved_products.append(product)
        if draft.images is not None:
            self.pictured[product.id] = draft.images
        if was_sold and product.status == Product.Status.DISCONTINUED and not is_new:
            self.events.append(ProductDiscontinuedEvent(aggregate_id=product.id, slug=product.slug))
        named = {wanted.sku for wanted in draft.variants}
        return Upserted(
            product.id,
            product.slug,
            is_new,
            bool(is_changed or new or changed or withdrawn),
            {variant.sku: variant.id for variant in variants if variant.sku in named},
            tuple(variant.sku for variant in new),
            tuple(variant.sku for variant in changed),
            tuple(variant.sku for variant in withdrawn),
        )

    def _take_variants(
        self, draft: ProductDraft, product: Product, there: Sequence[Variant]
    ) -> tuple[list[Variant], list[Variant]]:
        """Note what the draft says of its variants, and return those that are new and those that changed."""
        new: list[Variant] = []
        changed: list[Variant] = []
        for place, wanted in enumerate(draft.variants):
            variant = self.by_sku.get(wanted.sku)
            if variant is None:
                variant = Variant(
                    id=new_id(),
                    company_id=self.company_id,
                    product_id=product.id,
                    sku=wanted.sku,
                )
                _fill_variant(variant, wanted, place)
                new.append(variant)
            else:
                before = _values(variant, _VARIANT_FIELDS)
                _fill_variant(variant, wanted, place if draft.withdraw_others else None)
                if before != _values(variant, _VARIANT_FIELDS):
                    changed.append(variant)
            if wanted.reorder_level is not None:
                self.levels[variant.id] = wanted.reorder_level
            self.counts += [
                StockCount(variant.id, units, code) for code, units in (wanted.stock or {}).items()
            ]
        self.fresh |= {variant.id for variant in new}
        self.saved_variants += changed + new  # a new one may be the choice that another leaves
        return new, changed

    def _withdraw(self, draft: ProductDraft, variants: Sequence[Variant]) -> list[Variant]:
        """Take the variants that a draft does not name off sale, where it says so."""
        if not draft.withdraw_others:
            return []
        named = {wanted.sku for wanted in draft.variants}
        withdrawn = [each for each in variants if each.is_active and each.sku not in named]
        for variant in withdrawn:
            variant.is_active = False
        self.saved_variants += withdrawn
        return withdrawn


def _write_batch(
    actor: Actor, drafts: Sequence[ProductDraft], now: datetime, reference: str
) -> list[Upserted | ApplicationError]:
    """Write drafts that are well formed and share no slug and no SKU. Refused ones are left out, with all of theirs."""
    batch = _batch_of(actor.company_id, drafts)
    results = [batch.take(draft) for draft in drafts]
    _save(Product, batch.saved_products, [*_PRODUCT_FIELDS, "updated_at"])
    _save(Variant, batch.saved_variants, list(_VARIANT_FIELDS))
    repictured = replace_pictures(batch.pictured)
    told = {event.aggregate_id for event in batch.events}
    for place, result in enumerate(results):
        if isinstance(result, Upserted):
            if result.product_id in repictured and not result.is_changed:
                result = results[place] = replace(result, is_changed=True)
            if result.is_changed and result.product_id not in told:
                batch.events.append(
                    ProductUpdated(aggregate_id=result.product_id, slug=result.slug)
                )
    _open_shelves(actor, batch.fresh, batch.counts, batch.levels)
    count_stock(actor=actor, counts=batch.counts, reference=reference, now=now)
    outbox.publish(*batch.events, actor=actor, now=now)
    return results


def _batch_of(company_id: UUID, drafts: Sequence[ProductDraft]) -> _Batch:
    """Lock the products that drafts name, and read their variants and those of the SKUs named."""
    categories = _categories(company_id, drafts)
    slugs = [draft.slug for draft in drafts]
    locked = Product.objects.filter(company_id=company_id, slug__in=slugs).for_update()
    products = {product.slug: product for product in locked}
    skus = [variant.sku for draft in drafts for variant in draft.variants]
    ids = [product.id for product in products.values()]
    known = Variant.objects.filter(company_id=company_id)
    by_product: dict[UUID, list[Variant]] = {}
    by_sku: dict[str, Variant] = {}
    for variant in known.filter(sku__in=skus).union(known.filter(product__in=ids)):
        by_product.setdefault(variant.product_id, []).append(variant)
        by_sku[variant.sku] = variant
    return _Batch(company_id, categories, products, by_product, by_sku)


def _values(row: Product | Variant, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _conflict(
    draft: ProductDraft,
    product: Product | None,
    by_sku: Mapping[str, Variant],
    categories: Mapping[str, Category],
) -> ApplicationError | None:
    if product is None and not draft.name:
        return ValidationFailed(
            errors=[FieldError("name", "required", "A new product needs a name.")]
        )
    if draft.category and draft.category not in categories:
        return CategoryNotFound(extra={"category": draft.category})
    taken = [
        variant.sku
        for variant in draft.variants
        if variant.sku in by_sku
        and (product is None or by_sku[variant.sku].product_id != product.id)
    ]
    if taken:
        return SkuTaken(
            f"Another product has the SKU {taken[0]}.",
            errors=[FieldError("variants", "SKU_TAKEN", f"{sku} is taken.") for sku in taken],
            extra={"skus": taken},
        )
    return None


def option_names_of(draft: ProductDraft, product: Product | None) -> list[str]:
    """Return what a product's options will be called: as the draft says, as they are, or as its variants bring them."""
    if draft.option_names is not None:
        return list(draft.option_names)
    if product is not None and product.option_names:
        return list(product.option_names)
    return list(dict.fromkeys(name for variant in draft.variants for name in variant.options or {}))


def _misfit(
    draft: ProductDraft, product: Product | None, there: Sequence[Variant]
) -> ValidationFailed | None:
    """
    Return the refusal of variants that do not fit the product's options, or that a customer could not tell apart.

    Only variants that are offered count, and only where the draft says something about options or brings a new one.
    """
    known = {variant.sku: variant for variant in there}
    if draft.option_names is None and all(
        wanted.options is None and wanted.sku in known for wanted in draft.variants
    ):
        return None
    names = option_names_of(draft, product)
    offered: list[tuple[str, str, dict[str, str]]] = []  # field, SKU, options
    for place, wanted in enumerate(draft.variants):
        old = known.pop(wanted.sku, None)
        stays = old.is_active if old else True
        if stays if wanted.is_active is None else wanted.is_active:
            options = wanted.options if wanted.options is not None else old.options if old else {}
            offered.append((f"variants.{place}.options", wanted.sku, dict(options)))
    if not draft.withdraw_others:
        offered += [
            ("optionNames", variant.sku, variant.options)
            for variant in known.values()
            if variant.is_active
        ]
    errors = []
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for at, sku, options in offered:
        strange = [name for name in options if name not in names]
        missing = [name for name in names if not options.get(name)]
        twin = seen.setdefault(frozenset(options.items()), sku)
        if strange:
            errors.append(
                FieldError(at, "invalid", f"{sku}: the product has no option {strange[0]}.")
            )
        elif missing:
            errors.append(FieldError(at, "required", f"{sku} has no {missing[0]}."))
        elif twin != sku:
            errors.append(FieldError(at, "invalid", f"{sku} is the same choice as {twin}."))
    return ValidationFailed(errors=errors) if errors else None


def _fill_product(
    product: Product, draft: ProductDraft, categories: Mapping[str, Category]
) -> None:
    for name in ("name", "vendor", "status", "tax_class"):
        value = getattr(draft, name)
        if value is not None:
            setattr(product, name, value)
    if draft.description is not None:
        # Cleaning may leave blank space where it took something away; a file cannot carry that.
        product.description = sanitise(draft.description).strip()
    if draft.tags is not None:
        product.tags = list(dict.fromkeys(draft.tags))
    product.option_names = option_names_of(draft, product)
    if draft.metadata is not None:
        product.metadata = dict(draft.metadata)
    if draft.columns is not None:
        product.metadata = draft.columns.merged_into(product.metadata)
    if draft.category is not None:
        product.category_id = categories[draft.category].id if draft.category else None


def _fill_variant(variant: Variant, draft: VariantDraft, position: int | None) -> None:
    for name in (
        "barcode", "weight_grams", "requires_shipping", "is_taxable", "inventory_policy", "image", "is_active",
    ):  # fmt: skip
        value = getattr(draft, name)
        if value is not None:
            setattr(variant, name, value)
    if draft.options is not None:
        variant.options = dict(draft.options)
    if draft.position is not None:
        variant.position = draft.position
    elif position is not None:
        variant.position = position


def search_terms(variants: Iterable[Variant]) -> str:
    """Return the words of a product's variants that people search for: SKUs and option values."""
    words: dict[str, None] = {}
    # The database keeps the order neither of rows nor of options; without one of ours an import would see a change.
    for variant in sorted(variants, key=lambda variant: (variant.position, variant.sku)):
        if variant.is_active:
            words[variant.sku] = None
            words.update(dict.fromkeys(str(value) for _, value in sorted(variant.options.items())))
    return " ".join(words)[:20_000]


def _save(model: type[Any], rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Insert what is new and update what is there, in one statement."""
    names = [name.removesuffix("_id") for name in fields]
    model.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=names
    )


def _open_shelves(
    actor: Actor, fresh: set[UUID], counts: Sequence[StockCount], reorder_levels: Mapping[UUID, int]
) -> None:
    """Give new variants their stock records, so that each is counted somewhere, if only with nothing."""
    if not fresh:
        return
    warehouses = warehouses_by_code(
        company_id=actor.company_id, codes={"", *(count.warehouse for count in counts)}
    )
    pairs = {(count.variant_id, warehouses[count.warehouse]) for count in counts}
    pairs |= {
        (variant_id, warehouses[""]) for variant_id in fresh - {variant for variant, _ in pairs}
    }
    add_missing_levels(actor=actor, pairs=pairs, reorder_levels=reorder_levels)


def _categories(company_id: UUID, drafts: Sequence[ProductDraft]) -> dict[str, Category]:
    wanted = {draft.category: draft.category_name for draft in drafts if draft.category}
    if not wanted:
        return {}
    mine = Category.objects.filter(company_id=company_id, slug__in=wanted)
    known = {category.slug: category for category in mine}
    missing = [
        Category(company_id=company_id, slug=slug, name=name)
        for slug, name in sorted(wanted.items())
        if slug not in known and name
    ]
    if missing:
        Category.objects.bulk_create(missing, ignore_conflicts=True)
        known = {category.slug: category for category in mine.all()}
    return known
