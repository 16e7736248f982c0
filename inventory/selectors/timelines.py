"""The history of one SKU over all its shelves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import F, QuerySet, Sum, Window
from django.db.models.functions import TruncDate

from config.platform.actor import Actor
from inventory.errors import ProductNotFound
from inventory.models import Reservation, StockLevel, StockMovement, Variant


def _shelves(actor: Actor, variant_id: UUID) -> list[StockLevel]:
    """:raises ProductNotFound: if the company has no such variant"""
    if not Variant.objects.filter(id=variant_id, company_id=actor.company_id).exists():
        raise ProductNotFound
    return list(
        StockLevel.objects.filter(variant_id=variant_id)
        .select_related("warehouse")
        .order_by("warehouse__priority", "warehouse__code")
    )


def sku_movements(*, actor: Actor, variant_id: UUID) -> QuerySet[StockMovement]:
    """
    Return every movement of a SKU with its warehouse, newest first; `running` is the SKU's total over all shelves after it.

    :raises ProductNotFound: if the company has no such variant
    """
    shelves = _shelves(actor, variant_id)
    return (
        StockMovement.objects.filter(stock_level__in=shelves)
        .select_related("stock_level__warehouse")
        .annotate(
            running=Window(Sum("quantity"), order_by=[F("created_at").asc(), F("id").asc()]),
        )
        .order_by("-created_at", "-id")
    )


def orders_of_movements(*, movements: Iterable[StockMovement]) -> dict[UUID, UUID]:
    """Return the order of each order line these movements name: one statement."""
    lines = {movement.order_line_id for movement in movements if movement.order_line_id}
    found = (
        Reservation.objects.filter(order_line_id__in=lines, order_id__isnull=False)
        .order_by()
        .values_list("order_line_id", "order_id")
        .distinct()
    )
    return {line_id: order_id for line_id, order_id in found if line_id and order_id}


def daily_totals(
    *, actor: Actor, variant_id: UUID, now: datetime, days: int = 90
) -> list[tuple[date, int]]:
    """
    Return what lay on all shelves of a SKU at the end of each of the last `days`, today as it is now.

    Reckoned backwards from today, so the cost depends on the window and not on the age of the shop.

    :raises ProductNotFound: if the company has no such variant
    """
    shelves = _shelves(actor, variant_id)
    first = (now - timedelta(days=days - 1)).date()
    changes: dict[date, int] = dict(
        StockMovement.objects.filter(
            stock_level__in=shelves, created_at__gte=now - timedelta(days=days + 1)
        )
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values_list("day")
        .annotate(units=Sum("quantity"))
    )
    total = sum(shelf.total for shelf in shelves)
    totals = []
    day = now.date()
    while day >= first:
        totals.append((day, total))
        total -= changes.get(day, 0)
        day -= timedelta(days=1)
    return totals[::-1]
