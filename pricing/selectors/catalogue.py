"""The catalogue with its prices: what pages and API show of products, in a constant number of statements."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    F,
    FilteredRelation,
    Model,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    TextField,
    When,
)
from django.db.models.functions import Cast, Coalesce, JSONObject

from config.platform import flags
from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.errors import ProductNotFound
from inventory.models import Company, Product, ProductImage, Variant
from inventory.pictures import Picture
from pricing.errors import CurrencyUnknown
from pricing.money import EXPONENTS
from pricing.selectors.inforce import (
    converted_price,
    converted_was,
    in_force,
    public,
    public_price,
)

# --- prices ---------------------------------------------------------------------------------------


def current_prices(*, variant_ids: Sequence[UUID], currency: str) -> dict[UUID, Decimal]:
    """Return what one unit of these variants costs everybody now; one without a price is missing: one statement."""
    found = Variant.objects.filter(id__in=variant_ids).values_list(
        "id", public_price("pk", currency)
    )
    return {variant_id: amount for variant_id, amount in found if amount is not None}


_home: dict[UUID, tuple[float, str]] = {}
_HOME_SECONDS = 30.0


def home_currency(*, company_id: UUID) -> str:
    """Return the company's own currency; remembered for half a minute."""
    read_at, currency = _home.get(company_id, (0.0, ""))
    if not currency or time.monotonic() - read_at > _HOME_SECONDS:
        currency = Company.objects.values_list("currency", flat=True).get(id=company_id)
        _home[company_id] = (time.monotonic(), currency)
    return currency


def shown_currency(*, actor: Actor, currency: str | None) -> str:
    """
    Return the currency to show prices in: the one asked for, else the company's own.

    :raises CurrencyUnknown: if we know no such currency
    """
    if not currency:
        return home_currency(company_id=actor.company_id)
    if currency not in EXPONENTS:
        raise CurrencyUnknown()
    return currency


# --- products as they are shown -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CategoryView:
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantView:
    """
    A variant as a caller may see it. `price` is null where it has none in this currency: then it cannot be bought.

    `available` is exact for staff and capped for customers; `is_backorder` says that it sells beyond its stock now.
    """

    id: UUID
    sku: str
    options: Mapping[str, str]
    image: str
    price: Decimal | None
    compare_at: Decimal | None
    available: int
    in_stock: bool
    is_backorder: bool
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductView:
    """A product with all that a page or the API shows of it."""

    id: UUID
    slug: str
    name: str
    description: str
    status: str
    vendor: str
    tags: Sequence[str]
    category: CategoryView | None
    images: Sequence[Picture]
    option_names: Sequence[str]
    metadata: Mapping[str, Any]
    currency: str
    price_from: Decimal | None
    price_to: Decimal | None
    compare_at: Decimal | None
    in_stock: bool
    variants: Sequence[VariantView]
    created_at: datetime

    @property
    def image(self) -> Picture | None:
        return self.images[0] if self.images else None

    @property
    def has_one_price(self) -> bool:
        return self.price_from == self.price_to

    @property
    def is_sold(self) -> bool:
        return self.status == Product.Status.ACTIVE

    @property
    def options(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Each option with its values, in the order in which the variants bring them."""
        return [
            (name, list(dict.fromkeys(v.options[name] for v in self.variants if name in v.options)))
            for name in self.option_names
        ]


def priced_products(*, actor: Actor, currency: str) -> QuerySet[Product]:
    """Return every product this caller may see, with what `product_view` needs: three statements for any number."""
    return (
        Product.objects.seen_by(actor)
        .filter(company_id=actor.company_id)
        .select_related("category")
        .prefetch_related("images", Prefetch("variants", queryset=_variants(actor, currency)))
    )


def _variants(actor: Actor, currency: str) -> QuerySet[Variant]:
    variants = (
        Variant.objects.all() if actor.sees_everything else Variant.objects.filter(is_active=True)
    )
    return variants.annotate(
        current=FilteredRelation("prices", condition=Q(prices__currency=currency)),
        scheduled=FilteredRelation(
            "special_prices",
            condition=Q(special_prices__currency=currency)
            & public("special_prices__")
            & in_force(prefix="special_prices__"),
        ),
        price=Coalesce(
            F("scheduled__amount"), F("current__amount"), converted_price("pk", currency)
        ),
        # A scheduled price that says nothing else is a reduction of the base price.
        compare_at=Case(
            When(
                scheduled__isnull=True,
                current__isnull=True,
                then=converted_was("pk", currency),
            ),
            When(scheduled__isnull=True, then=F("current__compare_at")),
            default=Coalesce(
                F("scheduled__compare_at"), F("current__compare_at"), F("current__amount")
            ),
        ),
        available=inventory.available_expression("pk"),
    ).order_by("position", "id")


def product_view(product: Product, *, actor: Actor, currency: str) -> ProductView:
    """Return a row of `priced_products` as this caller sees it; asks the database nothing."""
    variants = [_variant_view(variant, actor) for variant in product.variants.all()]
    for_sale = [variant for variant in variants if variant.is_active and variant.price is not None]
    cheapest = min(for_sale, key=lambda variant: variant.price or 0, default=None)
    prices = [variant.price for variant in for_sale if variant.price is not None]
    return ProductView(
        id=product.id,
        slug=product.slug,
        name=product.name,
        description=product.description,
        status=product.status,
        vendor=product.vendor,
        tags=product.tags,
        category=CategoryView(product.category.slug, product.category.name)
        if product.category
        else None,
        images=[image.picture for image in product.images.all()],
        option_names=product.option_names,
        metadata=product.metadata,
        currency=currency,
        price_from=min(prices, default=None),
        price_to=max(prices, default=None),
        compare_at=cheapest.compare_at if cheapest else None,
        in_stock=product.status == Product.Status.ACTIVE
        and any(variant.in_stock for variant in for_sale),
        variants=variants,
        created_at=product.created_at,
    )


def _variant_view(variant: Any, actor: Actor) -> VariantView:
    sells_on = variant.inventory_policy == Variant.Policy.CONTINUE
    compare_at = variant.compare_at
    if compare_at is not None and (variant.price is None or compare_at <= variant.price):
        compare_at = None  # a former price that is not higher is no reduction
    return VariantView(
        id=variant.id,
        sku=variant.sku,
        options=variant.options,
        image=variant.image,
        price=variant.price,
        compare_at=compare_at,
        available=variant.available
        if actor.sees_everything
        else min(variant.available, inventory.SHOWN_AT_MOST),
        in_stock=variant.is_active and (variant.available > 0 or sells_on),
        is_backorder=sells_on and variant.available <= 0,
        is_active=variant.is_active,
    )


def product_detail(*, actor: Actor, ref: str, currency: str) -> ProductView:
    """
    Return a product by id or slug. Discontinued ones are found and say so; what never was public is for staff.

    :raises ProductNotFound: if there is none for this caller
    """
    named = _named(ref)
    product = (
        priced_products(actor=actor, currency=currency).filter(named).first() if named else None
    )
    if product is None:
        raise ProductNotFound()
    return product_view(product, actor=actor, currency=currency)


def _named(ref: str) -> Q | None:
    if "\x00" in ref:
        return None
    try:
        return Q(id=UUID(ref))
    except ValueError:
        return Q(slug=ref)


# --- lists ------------------------------------------------------------------------------------------


_shapes = threading.local()


def products_shown(*, actor: Actor, currency: str, ids: Sequence[UUID]) -> list[ProductView]:
    """Return these products, in this order and as far as the caller may see them: one statement."""
    rows = _listed(actor, currency).filter(company_id=actor.company_id, id__in=ids)
    found = {}
    for row in rows:
        _fill(row, "images", ProductImage, [_made(ProductImage, sent) for sent in row.image_rows])
        _fill(row, "variants", Variant, [_priced_variant(sent) for sent in row.variant_rows])
        found[row.id] = product_view(row, actor=actor, currency=currency)
    return [found[id] for id in ids if id in found]


def _listed(actor: Actor, currency: str) -> QuerySet[Any]:
    """
    Return the products of all companies with all that a list shows of each.

    Building this query takes longer than PostgreSQL needs to answer it, so each thread keeps it; no two share one,
    because compiling a query counts inside of it.
    """
    several = flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES")
    kept: dict[tuple[bool, str, bool], QuerySet[Any]] = _shapes.__dict__.setdefault("lists", {})
    key = (actor.sees_everything, currency, several)
    if key not in kept:
        pictures = ProductImage.objects.filter(product=OuterRef("pk"))
        variants = _variants(actor, currency).filter(product=OuterRef("pk"))
        extra = {name: Cast(name, TextField()) for name in ("price", "compare_at")}
        shape: QuerySet[Any] = Product.objects.seen_by(actor).annotate(
            image_rows=ArraySubquery(
                pictures.order_by("position", "id").values(row=JSONObject(**_columns(ProductImage)))
            ),
            variant_rows=ArraySubquery(
                variants.values(row=JSONObject(**_columns(Variant), **extra, available="available"))
            ),
        )
        shape = shape.select_related("category")
        if several != flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES"):
            return shape  # switched at this moment: it may have been built either way
        kept[key] = shape
    return kept[key]


def _columns(model: type[Model]) -> dict[str, str]:
    return {field.attname: field.attname for field in model._meta.concrete_fields}


def _made(model: type[Model], sent: Mapping[str, Any]) -> Any:
    fields = model._meta.concrete_fields
    return model.from_db(
        None, [f.attname for f in fields], [f.to_python(sent[f.attname]) for f in fields]
    )


def _priced_variant(sent: Mapping[str, Any]) -> Any:
    variant = _made(Variant, sent)
    for name in ("price", "compare_at"):
        setattr(variant, name, None if sent[name] is None else Decimal(sent[name]))
    variant.available = sent["available"]
    return variant


def _fill(product: Product, name: str, model: type[Model], rows: list[Any]) -> None:
    """Let `product.<name>.all()` answer these rows, as after a prefetch."""
    queryset: QuerySet[Any] = QuerySet(model)
    queryset._result_cache = rows
    product.__dict__.setdefault("_prefetched_objects_cache", {})[name] = queryset
