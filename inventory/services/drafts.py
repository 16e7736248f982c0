"""Drafts: products, categories and bundles as they shall be, and what is refused about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.platform.errors import FieldError
from inventory.models import Product, Variant
from inventory.services.stock import MOST_UNITS

MOST_VARIANTS = 2_000
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,255}")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """A picture, as given: a path under static or media, or an address elsewhere."""

    url: str
    alt: str = ""


KEPT_COLUMNS = "file_columns"  # the key in `Product.metadata`


@dataclass(frozen=True, slots=True)
class KeptColumns:
    """
    Columns of a file that no field of ours takes, kept so that an export gives them back: by name, and by SKU and name.

    An empty cell takes away what was kept; a column that is not named stays.
    """

    product: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def merged_into(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata of a product with these columns in it."""
        former = metadata.get(KEPT_COLUMNS) or {}
        product = _merged(former.get("product") or {}, self.product)
        variants = {sku: dict(cells) for sku, cells in (former.get("variants") or {}).items()}
        for sku, cells in self.variants.items():
            variants[sku] = _merged(variants.get(sku, {}), cells)
        variants = {sku: cells for sku, cells in variants.items() if cells}
        kept = {"product": product, "variants": variants}
        kept = {name: cells for name, cells in kept.items() if cells}
        rest = {name: value for name, value in metadata.items() if name != KEPT_COLUMNS}
        return {**rest, KEPT_COLUMNS: kept} if kept else rest


def _merged(former: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in {**former, **cells}.items() if text}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantDraft:
    """
    One variant as it shall be. None leaves what is there, or takes the default for a new one.

    `stock` is what was counted, by warehouse code ("" is the default one); a warehouse not named is not touched.
    """

    sku: str
    options: Mapping[str, str] | None = None
    barcode: str | None = None
    weight_grams: int | None = None
    requires_shipping: bool | None = None
    is_taxable: bool | None = None
    inventory_policy: str | None = None
    image: str | None = None
    is_active: bool | None = None
    position: int | None = None
    stock: Mapping[str, int] | None = None
    reorder_level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDraft:
    """
    One product as it shall be. None leaves what is there, or takes the default for a new one.

    `category` is a slug ("" for none); with `category_name` it is created where it is missing. `description` is HTML
    and is sanitised. `images`, if given, replace those that are there. Variants that are not named stay, unless
    `withdraw_others` says that the draft is complete.
    """

    slug: str
    name: str | None = None
    description: str | None = None
    vendor: str | None = None
    tags: Sequence[str] | None = None
    option_names: Sequence[str] | None = None
    status: str | None = None
    tax_class: str | None = None
    metadata: Mapping[str, Any] | None = None
    category: str | None = None
    category_name: str = ""
    images: Sequence[ImageDraft] | None = None
    variants: Sequence[VariantDraft] = ()
    withdraw_others: bool = False
    columns: KeptColumns | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryDraft:
    slug: str
    name: str
    description: str = ""
    image: str = ""
    position: int = 0
    parent: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft:
    """A group of variants sold together: {SKU: quantity}."""

    slug: str
    name: str
    items: Mapping[str, int] = field(default_factory=dict)
    description: str = ""
    image: str = ""
    is_active: bool = True


def check(draft: ProductDraft) -> list[FieldError]:
    errors = texts_fit(
        draft, "", name=500, description=200_000, vendor=200, tax_class=40, category=120
    )
    if not isinstance(draft.slug, str) or not SLUG.fullmatch(draft.slug):
        errors.append(FieldError("slug", "invalid", "Letters, digits, hyphens and underscores."))
    if draft.category and not SLUG.fullmatch(draft.category):
        errors.append(FieldError("category", "invalid", "A category is named by its slug."))
    if draft.name is not None and not draft.name.strip():
        errors.append(FieldError("name", "blank", "A product needs a name."))
    if draft.status is not None and draft.status not in Product.Status.values:
        errors.append(FieldError("status", "invalid_choice", "No such status."))
    for name, most in (("tags", 250), ("option_names", 10)):
        words = getattr(draft, name)
        if words is not None and (
            len(words) > most or any(len(word) > 100 or _UNWRITABLE.search(word) for word in words)
        ):
            errors.append(
                FieldError(name, "invalid", f"At most {most}, each up to 100 characters.")
            )
    for place, image in enumerate(draft.images or ()):
        errors += texts_fit(image, f"images.{place}.", url=1000, alt=500)
    if len(draft.variants) > MOST_VARIANTS:
        errors.append(FieldError("variants", "invalid", f"At most {MOST_VARIANTS} variants."))
    seen: set[str] = set()
    for place, variant in enumerate(draft.variants):
        path = f"variants.{place}."
        errors += _check_variant(variant, path)
        if variant.sku in seen:
            errors.append(FieldError(f"{path}sku", "invalid", f"{variant.sku} stands there twice."))
        seen.add(variant.sku)
    return errors


def _check_variant(variant: VariantDraft, path: str) -> list[FieldError]:
    errors = texts_fit(variant, path, sku=255, barcode=64, image=1000)
    if not variant.sku.strip():
        errors.append(FieldError(f"{path}sku", "blank", "A variant needs a SKU."))
    if (
        variant.inventory_policy is not None
        and variant.inventory_policy not in Variant.Policy.values
    ):
        errors.append(FieldError(f"{path}inventoryPolicy", "invalid_choice", "deny or continue."))
    for name, value in (variant.options or {}).items():
        if len(name) > 100 or len(value) > 200 or _UNWRITABLE.search(name + value):
            errors.append(
                FieldError(
                    f"{path}options", "invalid", "Names up to 100, values up to 200 characters."
                )
            )
    numbers = {
        "weightGrams": (variant.weight_grams, 2_000_000_000),
        "reorderLevel": (variant.reorder_level, MOST_UNITS),
        "stock": (
            next(
                (units for units in (variant.stock or {}).values() if not 0 <= units <= MOST_UNITS),
                0,
            ),
            MOST_UNITS,
        ),
    }
    errors += [
        FieldError(path + name, "invalid", f"A number from 0 to {most}.")
        for name, (value, most) in numbers.items()
        if value is not None and not 0 <= value <= most
    ]
    return errors


def texts_fit(draft: Any, path: str, **limits: int) -> list[FieldError]:
    errors = []
    for name, most in limits.items():
        value = getattr(draft, name)
        if value is not None and (len(value) > most or _UNWRITABLE.search(value)):
            errors.append(
                FieldError(path + name, "invalid", f"Plain text of at most {most} characters.")
            )
    return errors
