"""What every page of the shop shows around its own content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from uuid import UUID

from django.core.cache import cache
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from config.platform.actor import Actor
from inventory.models import Category, Company, Product
from pricing.models import ExchangeRate, Price, PricingPolicy, ShippingZone
from pricing.selectors.catalogue import ProductView, priced_products, product_view

REMEMBERED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Aisle:
    """A category as the navigation shows it."""

    id: UUID
    slug: str
    name: str
    description: str
    image: str
    url: str


@dataclass(frozen=True, slots=True)
class Storefront:
    """A company's name, the currencies it sells in (its own first), its aisles, and the time zone of its clock."""

    name: str
    currency: str
    currencies: tuple[str, ...]
    categories: tuple[Aisle, ...]
    time_zone: str = "UTC"


def storefront(*, company_id: UUID) -> Storefront:
    """Return what surrounds each page; remembered for a minute, because each page asks and it rarely changes."""
    key = f"storefront:clock:{company_id}"
    found: Storefront | None = cache.get(key)
    if found is None:
        found = _read(company_id)
        cache.set(key, found, REMEMBERED_SECONDS)
    return found


def _read(company_id: UUID) -> Storefront:
    company = Company.objects.get(id=company_id)
    sold = set(
        Price.objects.filter(variant__company_id=company_id)
        .order_by()
        .values_list("currency", flat=True)
        .distinct()
    )
    # What has no price in one of these is converted. What is too old by now, its prices will say.
    sold |= set(
        ExchangeRate.objects.filter(company_id=company_id, base=company.currency)
        .order_by()
        .values_list("quote", flat=True)
        .distinct()
    )
    aisles = Category.objects.filter(company_id=company_id, is_active=True, parent=None).order_by(
        "position", "name"
    )
    return Storefront(
        name=company.name,
        currency=company.currency,
        currencies=(company.currency, *sorted(sold - {company.currency})),
        categories=tuple(
            Aisle(row.id, row.slug, row.name, row.description, row.image, f"/category/{row.slug}/")
            for row in aisles
        ),
        time_zone=PricingPolicy.objects.filter(company=company_id)
        .values_list("time_zone", flat=True)
        .first()
        or "UTC",
    )


def featured_products(*, actor: Actor, currency: str, limit: int = 8) -> list[ProductView]:
    """Return products for a first look: the first ones of each aisle, in turns; five statements."""
    in_aisle = Window(
        RowNumber(), partition_by=F("category_id"), order_by=[F("created_at").asc(), F("id").asc()]
    )
    first_ones = (
        Product.objects.filter(
            company_id=actor.company_id, status=Product.Status.ACTIVE, category__is_active=True
        )
        .annotate(place=in_aisle)
        .filter(place__lte=limit)
    )
    chosen = (
        priced_products(actor=actor, currency=currency)
        .filter(id__in=[row.id for row in first_ones])
        .order_by("category__position", "created_at", "id")
    )
    by_aisle: dict[UUID | None, list[ProductView]] = {}
    for row in chosen:
        view = product_view(row, actor=actor, currency=currency)
        if view.in_stock:
            by_aisle.setdefault(row.category_id, []).append(view)
    turns = zip_longest(*by_aisle.values())
    return [view for turn in turns for view in turn if view is not None][:limit]


def option_orders(*, product_ids: Iterable[UUID]) -> dict[UUID, list[str]]:
    """Return the names of each product's options in the order staff gave them: one statement."""
    return dict(Product.objects.filter(id__in=set(product_ids)).values_list("id", "option_names"))


def shipped_to(*, company_id: UUID) -> frozenset[str]:
    """Return the countries of the company's shipping zones, as two letters; empty where it ships anywhere."""
    zones = ShippingZone.objects.filter(company_id=company_id, is_active=True).values_list(
        "countries", flat=True
    )
    codes: set[str] = set()
    for countries in zones:
        if not countries or "*" in countries:
            return frozenset()
        codes.update(countries)
    return frozenset(codes)
