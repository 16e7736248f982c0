"""Stock records and what became of them, for staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet

from config.platform.actor import Actor
from inventory.errors import StockLevelNotFound
from inventory.models import Product, Reservation, StockLevel, StockMovement, Variant


def stock_levels(*, actor: Actor) -> QuerySet[StockLevel]:
    """Return the company's stock records with variant, product and warehouse, oldest first."""
    return (
        StockLevel.objects.filter(company_id=actor.company_id)
        .select_related("variant", "variant__product", "warehouse")
        .order_by("id")
    )


def find_stock_level(*, actor: Actor, stock_level_id: UUID) -> StockLevel:
    """:raises StockLevelNotFound: if the company has no such record"""
    level = stock_levels(actor=actor).filter(id=stock_level_id).first()
    if level is None:
        raise StockLevelNotFound
    return level


def low_stock(*, actor: Actor) -> QuerySet[StockLevel]:
    """Return the records at or below their reorder level, of products still sold."""
    return (
        stock_levels(actor=actor)
        .filter(
            available__lte=F("reorder_level"), warehouse__is_active=True, variant__is_active=True
        )
        .exclude(variant__product__status=Product.Status.DISCONTINUED)
    )


def suggested_order(level: StockLevel) -> int:
    """Return how many units to order of a shelf: its reorder quantity, or more where that would leave it low."""
    short = level.reorder_level + level.backordered - level.available + 1
    return max(level.reorder_quantity, short, 1)


def movements(*, actor: Actor, stock_level_id: UUID) -> QuerySet[StockMovement]:
    """
    Return the changes of one stock record, newest first.

    :raises StockLevelNotFound: if the company has no such record
    """
    if not StockLevel.objects.filter(id=stock_level_id, company_id=actor.company_id).exists():
        raise StockLevelNotFound
    return StockMovement.objects.filter(stock_level_id=stock_level_id).order_by(
        "-created_at", "-id"
    )


@dataclass(frozen=True, slots=True)
class CatalogueHealth:
    products: int
    variants: int
    without_stock_record: int
    low: int
    out_of_stock: int
    overdue_holds: int


def catalogue_health(*, actor: Actor, now: datetime) -> CatalogueHealth:
    """Return the figures of the catalogue's part of the health report (INV-17)."""
    variants = Variant.objects.filter(
        company_id=actor.company_id, is_active=True, product__status=Product.Status.ACTIVE
    )
    levels = StockLevel.objects.filter(variant=OuterRef("pk"))
    low = low_stock(actor=actor).order_by()
    return CatalogueHealth(
        products=Product.objects.sellable().filter(company_id=actor.company_id).count(),
        variants=variants.count(),
        without_stock_record=variants.filter(~Exists(levels)).count(),
        low=low.count(),
        out_of_stock=low.filter(available=0).count(),
        overdue_holds=Reservation.objects.filter(
            company_id=actor.company_id, status=Reservation.Status.ACTIVE, expires_at__lte=now
        ).count(),
    )
