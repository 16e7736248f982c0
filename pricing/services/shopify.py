"""Reads product files in Shopify's export format: rows in, one product after the other out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.utils.text import slugify

from config.platform import sheets
from config.platform.sheets import Sheet, Source
from inventory.models import Product, Variant
from inventory.services import ImageDraft, KeptColumns, ProductDraft, VariantDraft
from pricing.money import parse_amount
from pricing.services.prices import HIGHEST

_Warn = Callable[[int, str, str], None]

REQUIRED = (
    "Handle",
    "Title",
    "Option1 Name",
    "Option1 Value",
    "Variant SKU",
    "Variant Inventory Qty",
    "Variant Price",
)
COLUMNS = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name", "Option1 Value",
    "Option2 Name", "Option2 Value", "Option3 Name", "Option3 Value", "Variant SKU", "Variant Grams",
    "Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy", "Variant Fulfillment Service",
    "Variant Price", "Variant Compare At Price", "Variant Requires Shipping", "Variant Taxable", "Variant Barcode",
    "Image Src", "Image Position", "Image Alt Text", "Variant Image", "Status",
)  # fmt: skip
MOST_OPTIONS = 3
LONGEST_KEPT = 5_000  # of a cell in a column that we only keep
MOST_UNITS = 10_000_000
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,255}")
_WHOLE = re.compile(r"-?[0-9]{1,12}(\.0+)?", re.ASCII)
_VARIANT_COLUMNS = (
    "Option1 Value", "Option2 Value", "Option3 Value", "Variant SKU", "Variant Price", "Variant Inventory Qty",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell about a file: `level` is "error" (left out) or "warning" (taken, but look)."""

    file: str
    line: int
    handle: str
    level: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PricedVariant:
    """A variant of the file with its price; an empty SKU is one that the file lacks."""

    draft: VariantDraft
    price: Decimal
    compare_at: Decimal | None
    line: int
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ReadProduct:
    """One product of a file; `errors` say why it must be left out as a whole."""

    file: str
    handle: str
    line: int
    draft: ProductDraft | None = None
    variants: list[PricedVariant] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)


def inspect(source: Source) -> Sheet:
    """
    Return how a file has to be read, after reading it once from end to end.

    Before anything is written it must be clear that all of it is text, and that it has the columns we need.

    :raises ImportUnreadable: if the file is missing, no text, of mixed encodings, or lacks columns
    """
    return sheets.inspect(source, required=REQUIRED)


def read_products(sheet: Sheet, *, currency: str) -> Iterator[tuple[ReadProduct, int]]:
    """
    Yield the products of a file as their rows pass by, each with the position in bytes reached so far.

    Rows of one product stand together. A row that no product can be found for is yielded as a product without a
    draft. Reading holds one product in memory at a time.
    """
    file = sheet.source.name
    rows: list[tuple[int, dict[str, str]]] = []
    reached = 0
    for record in sheets.read(sheet):
        reached = record.reached
        handle = record.cells.get("Handle", "")
        if record.problem:
            yield _broken(file, record.line, f"{handle or 'row'}: {record.problem}"), reached
            continue
        if rows and handle != rows[0][1]["Handle"]:
            yield _product(file, rows, currency), reached
            rows = []
        if handle:
            rows.append((record.line, _plain(record.cells)))
        elif any(record.cells.values()):
            yield _broken(file, record.line, "This row has no handle."), reached
    if rows:
        yield _product(file, rows, currency), reached


def _plain(cells: Mapping[str, str]) -> dict[str, str]:
    """Return the cells without the apostrophes that keep spreadsheets from running them; barcodes have their own."""
    return {
        name: value if name == "Variant Barcode" else sheets.unguard(value)
        for name, value in cells.items()
    }


def _broken(file: str, line: int, message: str) -> ReadProduct:
    return ReadProduct(file, "", line, errors=[Note(file, line, "", "error", "bad_row", message)])


def _product(file: str, rows: list[tuple[int, dict[str, str]]], currency: str) -> ReadProduct:
    line, first = rows[0]
    handle = first["Handle"]
    product = ReadProduct(file, handle, line)

    def error(at: int, code: str, message: str) -> None:
        product.errors.append(Note(file, at, handle, "error", code, message))

    def warn(at: int, code: str, message: str) -> None:
        product.warnings.append(Note(file, at, handle, "warning", code, message))

    slug = handle
    if not _SLUG.fullmatch(slug):
        slug = slugify(handle)[:255]
        if slug:
            warn(
                line,
                "handle_changed",
                f"{handle!r} cannot be part of an address; it becomes {slug}.",
            )
        else:
            error(line, "bad_handle", f"{handle!r} cannot be part of an address.")
    option_names = [
        name
        for number in (1, 2, 3)
        if (
            name := next(
                (row[key] for _, row in rows if row.get(key := f"Option{number} Name")), ""
            )
        )
    ]
    variant_rows = [
        (at, row) for at, row in rows if any(row.get(name) for name in _VARIANT_COLUMNS)
    ]
    if not variant_rows:
        error(line, "no_variants", "No row of this product has a price.")
    if option_names == ["Title"] and (
        len(variant_rows) == 1
        or all(row.get("Option1 Value") == "Default Title" for _, row in variant_rows)
    ):
        option_names = []  # Shopify's way to say that there is nothing to choose
    if len(set(option_names)) < len(option_names):
        error(line, "bad_options", f"The option {option_names[-1]!r} stands there twice.")
    foreign = [name for name in first if name and name not in COLUMNS]
    for at, row in variant_rows:
        try:
            kept = [name for name in foreign if at != line or name.startswith("Variant ")]
            product.variants.append(_variant(at, row, option_names, currency, kept, warn))
        except _BadValue as bad:
            error(at, bad.code, str(bad))
    kind = next((row["Type"] for _, row in rows if row.get("Type")), "")
    tags = [tag.strip()[:100] for tag in first.get("Tags", "").split(",")]
    status = _status(first, error, line)
    # A column that the file does not have says nothing about what is there.
    product.draft = ProductDraft(
        slug=slug,
        name=first["Title"] or None,
        description=first.get("Body (HTML)"),
        vendor=first.get("Vendor"),
        tags=list(dict.fromkeys(tag for tag in tags if tag)) if "Tags" in first else None,
        option_names=option_names,
        status=status,
        category_name=kind[:200],
        images=_images(rows) if "Image Src" in first else None,
        variants=[variant.draft for variant in product.variants],
        columns=KeptColumns(
            {
                name: first[name][:LONGEST_KEPT]
                for name in foreign
                if not name.startswith("Variant ")
            }
        )
        if foreign
        else None,
    )
    return product


def _status(
    first: Mapping[str, str], error: Callable[[int, str, str], None], line: int
) -> str | None:
    """Return the status that `Published` and the younger column `Status` say together; None if the file has neither."""
    published, state = first.get("Published", "").lower(), first.get("Status", "").lower()
    if published not in {"true", "false", ""}:
        error(
            line, "bad_published", f"Published is {first['Published']!r}; true or false is needed."
        )
    if state not in {"active", "draft", "archived", ""}:
        error(
            line,
            "bad_status",
            f"Status is {first['Status'][:40]!r}; active, draft or archived is needed.",
        )
    if "Published" not in first and "Status" not in first:
        return None
    if state == "archived":
        return Product.Status.DISCONTINUED
    is_draft = published == "false" or state == "draft"
    return Product.Status.DRAFT if is_draft else Product.Status.ACTIVE


def _images(rows: list[tuple[int, dict[str, str]]]) -> list[ImageDraft]:
    """Return the pictures in the order of `Image Position`; where that is missing, in the order of the rows."""
    images: dict[str, tuple[int, ImageDraft]] = {}
    for _, row in rows:
        if source := row.get("Image Src"):
            place = row.get("Image Position", "")
            position = int(place) if place.isascii() and place.isdigit() and len(place) < 6 else 0
            draft = ImageDraft(source, row.get("Image Alt Text", "")[:500])
            images.setdefault(source, (position, draft))
    if all(position for position, _ in images.values()):
        return [image for _, image in sorted(images.values(), key=lambda pair: pair[0])]
    return [image for _, image in images.values()]


class _BadValue(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def _variant(
    line: int,
    row: Mapping[str, str],
    option_names: list[str],
    currency: str,
    kept: list[str],
    warn: _Warn,
) -> PricedVariant:
    price = _amount(row, "Variant Price", currency)
    if price is None:
        raise _BadValue("no_price", "This variant has no price.")
    compare_at = _amount(row, "Variant Compare At Price", currency)
    units = _whole(row, "Variant Inventory Qty", least=-MOST_UNITS, most=MOST_UNITS)
    if units is not None and units < 0:
        warn(line, "negative_stock", f"{units} in stock becomes 0.")
        units = 0
    policy = row.get("Variant Inventory Policy", "").lower() or Variant.Policy.DENY
    if policy not in Variant.Policy.values:
        raise _BadValue(
            "bad_policy", f"Variant Inventory Policy is {policy!r}; deny or continue is needed."
        )
    options = {
        name: value
        for number, name in enumerate(option_names, 1)
        if (value := row.get(f"Option{number} Value", ""))
    }
    draft = VariantDraft(
        sku=row["Variant SKU"],
        options=options,
        barcode=_barcode(row),
        weight_grams=_whole(row, "Variant Grams", least=0, most=2_000_000_000),
        requires_shipping=_switch(row, "Variant Requires Shipping"),
        is_taxable=_switch(row, "Variant Taxable"),
        inventory_policy=policy,
        image=row.get("Variant Image"),
        stock=None if units is None else {"": units},
    )
    if len(draft.sku) > 250:
        raise _BadValue("bad_sku", "The SKU is longer than 250 characters.")
    cells = {name: row[name][:LONGEST_KEPT] for name in kept}
    return PricedVariant(draft, price, compare_at or None, line, cells)


def _barcode(row: Mapping[str, str]) -> str | None:
    """Return the barcode without the apostrophe by which spreadsheets leave its zeros alone."""
    text = row.get("Variant Barcode")
    return None if text is None else text.removeprefix("'")


def _amount(row: Mapping[str, str], column: str, currency: str) -> Decimal | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        amount = parse_amount(text, currency)
    except ValueError as error:
        raise _BadValue("bad_price", f"{column}: {error}") from None
    if not 0 <= amount <= HIGHEST:
        raise _BadValue("bad_price", f"{column} is {text}.")
    return amount


def _whole(row: Mapping[str, str], column: str, *, least: int, most: int) -> int | None:
    text = row.get(column, "")
    if not text:
        return None
    if not _WHOLE.fullmatch(text) or not least <= int(Decimal(text)) <= most:
        raise _BadValue("bad_number", f"{column} is {text[:40]!r}; a whole number is needed.")
    return int(Decimal(text))


def _switch(row: Mapping[str, str], column: str) -> bool | None:
    text = row.get(column, "").lower()
    if text not in {"", "true", "false"}:
        raise _BadValue("bad_switch", f"{column} is {text[:40]!r}; true or false is needed.")
    return text == "true" if text else None


def with_skus(product: ReadProduct, skus: list[str]) -> ProductDraft:
    """Return the draft of a product whose variants have these SKUs, in the order of the file."""
    assert product.draft is not None
    variants = [
        replace(variant.draft, sku=sku) for variant, sku in zip(product.variants, skus, strict=True)
    ]
    columns = product.draft.columns
    if columns is not None:
        by_sku = {sku: variant.kept for variant, sku in zip(product.variants, skus, strict=True)}
        columns = replace(columns, variants=by_sku)
    return replace(product.draft, variants=variants, columns=columns)
