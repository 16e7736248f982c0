"""Writes product files in Shopify's export format: what `imports` reads, the other way round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from config.platform import sheets
from config.platform.actor import Actor
from inventory.models import Product, ProductImage, StockLevel, Variant
from inventory.services import KEPT_COLUMNS
from pricing.errors import CurrencyUnknown
from pricing.models import Price
from pricing.money import EXPONENTS, format_amount
from pricing.services.shopify import COLUMNS, MOST_OPTIONS

_BATCH = 200


@dataclass(slots=True)
class ProductExport:
    """
    An export under way: `lines()` yields it as it comes from the database, 200 products at a time.

    `left_out` then names what the format cannot carry: {slug: why}.
    """

    products: QuerySet[Product]
    currency: str
    written: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        kept = sorted(_kept_names(self.products))
        columns = [*COLUMNS, *kept]
        yield sheets.write_line(columns)
        last = ""
        while True:
            batch = list(
                self.products.filter(slug__gt=last)
                .select_related("category")
                .order_by("slug")[:_BATCH]
            )
            if not batch:
                return
            last = batch[-1].slug
            shop = _Stock.of(batch, self.currency)
            for product in batch:
                reason = _unfit(product, shop)
                if reason:
                    self.left_out[product.slug] = reason
                    continue
                self.written += 1
                for row in _rows(product, shop, self.currency):
                    yield sheets.write_line([row.get(column, "") for column in columns])


def export_products(
    *, actor: Actor, currency: str, products: QuerySet[Product] | None = None
) -> ProductExport:
    """
    Return an export of these products of the company, by default of all, with prices in one currency.

    Ordered by handle, so that the same goods give the same bytes. UTF-8 without a mark and with plain line ends, as
    Shopify writes it. Texts that a spreadsheet would run get an apostrophe, which the import takes off again.

    :raises CurrencyUnknown: if we know no such currency
    """
    if currency not in EXPONENTS:
        raise CurrencyUnknown()
    wanted = Product.objects.all() if products is None else products
    return ProductExport(wanted.filter(company_id=actor.company_id), currency)


# --- parts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stock:
    """What belongs to a batch of products: four statements."""

    variants: Mapping[UUID, Sequence[Variant]]
    prices: Mapping[UUID, Price]
    totals: Mapping[UUID, int]
    images: Mapping[UUID, Sequence[ProductImage]]
    withheld: set[UUID]

    @classmethod
    def of(cls, products: Sequence[Product], currency: str) -> _Stock:
        ids = [product.id for product in products]
        prices = {
            price.variant_id: price
            for price in Price.objects.filter(variant__product__in=ids, currency=currency)
        }
        variants: dict[UUID, list[Variant]] = defaultdict(list)
        withheld = set()
        for variant in Variant.objects.filter(product__in=ids, is_active=True).order_by(
            "position", "id"
        ):
            if variant.id in prices:
                variants[variant.product_id].append(variant)
            else:
                withheld.add(variant.product_id)
        totals = dict(
            StockLevel.objects.filter(variant__product__in=ids, warehouse__is_default=True)
            .order_by()
            .values_list("variant_id", "total")
        )
        images: dict[UUID, list[ProductImage]] = defaultdict(list)
        for image in ProductImage.objects.filter(product__in=ids).order_by("position", "id"):
            images[image.product_id].append(image)
        return cls(variants, prices, totals, images, withheld)


def _unfit(product: Product, shop: _Stock) -> str:
    """Return why the format cannot say what a product is; a file that says less would change it when it comes back."""
    if product.id in shop.withheld:
        return "a variant has no price in this currency"
    variants = shop.variants.get(product.id, [])
    if not variants:
        return "it has no variant on sale"
    if len(product.option_names) > MOST_OPTIONS:
        return f"it has more than {MOST_OPTIONS} options"
    if any(variant.options.keys() - set(product.option_names) for variant in variants):
        return "a variant has an option that the product does not name"
    if any("," in tag for tag in product.tags):
        return "a tag has a comma in it"
    return ""


_STATUS = {
    Product.Status.ACTIVE: ("true", "active"),
    Product.Status.DRAFT: ("false", "draft"),
    Product.Status.DISCONTINUED: ("false", "archived"),
}


def _rows(product: Product, shop: _Stock, currency: str) -> Iterator[dict[str, str]]:
    variants, images = shop.variants[product.id], shop.images.get(product.id, [])
    kept: Mapping[str, Any] = product.metadata.get(KEPT_COLUMNS) or {}
    by_sku: Mapping[str, Mapping[str, str]] = kept.get("variants") or {}
    for place in range(max(len(variants), len(images))):
        row = {"Handle": product.slug}
        if place == 0:
            row |= _first(product) | _guarded(kept.get("product") or {})
        if place < len(variants):
            variant = variants[place]
            row |= _variant(product, variant, shop, currency)
            row |= _guarded(by_sku.get(variant.sku) or {})
        if place < len(images):
            row |= {
                "Image Src": sheets.guard(images[place].url),
                "Image Position": str(place + 1),
                "Image Alt Text": sheets.guard(images[place].alt),
            }
        yield row


def _first(product: Product) -> dict[str, str]:
    published, state = _STATUS[Product.Status(product.status)]
    texts = {
        "Title": product.name,
        "Body (HTML)": product.description,
        "Vendor": product.vendor,
        "Type": product.category.name if product.category else "",
        "Tags": ", ".join(product.tags),
    }
    names = {
        f"Option{number} Name": name
        for number, name in enumerate(product.option_names or ["Title"], 1)
    }
    return _guarded(texts | names) | {"Published": published, "Status": state}


def _variant(product: Product, variant: Variant, shop: _Stock, currency: str) -> dict[str, str]:
    price = shop.prices[variant.id]
    values = [variant.options.get(name, "") for name in product.option_names] or ["Default Title"]
    return {
        **{f"Option{number} Value": sheets.guard(value) for number, value in enumerate(values, 1)},
        "Variant SKU": sheets.guard(variant.sku),
        "Variant Grams": str(variant.weight_grams),
        "Variant Inventory Tracker": "shopify",
        "Variant Inventory Qty": str(shop.totals.get(variant.id, 0)),
        "Variant Inventory Policy": variant.inventory_policy,
        "Variant Fulfillment Service": "manual",
        "Variant Price": format_amount(price.amount, currency),
        "Variant Compare At Price": format_amount(price.compare_at, currency)
        if price.compare_at
        else "",
        "Variant Requires Shipping": _switch(variant.requires_shipping),
        "Variant Taxable": _switch(variant.is_taxable),
        # As Shopify does, so that no spreadsheet takes the zeros off a number; the import takes it off again.
        "Variant Barcode": f"'{variant.barcode}" if variant.barcode else "",
        "Variant Image": sheets.guard(variant.image),
    }


def _switch(value: bool) -> str:
    return "true" if value else "false"


def _guarded(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: sheets.guard(str(text)) for name, text in texts.items()}


def _kept_names(products: QuerySet[Product]) -> set[str]:
    """Return the foreign columns that any of the products keeps."""
    names: set[str] = set()
    rows = products.filter(**{f"metadata__{KEPT_COLUMNS}__isnull": False}).order_by()
    for kept in rows.values_list(f"metadata__{KEPT_COLUMNS}", flat=True).iterator(chunk_size=500):
        names.update(kept.get("product") or {})
        for cells in (kept.get("variants") or {}).values():
            names.update(cells)
    return names - set(COLUMNS)
