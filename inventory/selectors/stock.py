"""What may be promised of a variant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db.models import Case, F, IntegerField, OuterRef, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce, Now

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory.models import Reservation, StockLevel, Variant
from inventory.selectors.catalogue import VariantRef, find_variants

# Customers see at most this many units, so that stock cannot be scraped (api.md §3).
SHOWN_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Availability:
    """
    What may be promised of a variant. `backorder_left` counts units beyond stock: None is without limit, and 0 where
    the policy is to stop.
    """

    available: int
    policy: str
    backorder_left: int | None
    has_record: bool = True  # False: no shelf that may be sold from; then `policy` says nothing

    def allows(self, quantity: int) -> bool:
        return self.backorder_left is None or quantity <= self.available + self.backorder_left

    @property
    def in_stock(self) -> bool:
        return self.allows(1)

    @property
    def shown(self) -> int:
        """The number customers may see."""
        return min(self.available, SHOWN_AT_MOST)


def _usable_levels() -> QuerySet[Any]:
    """Stock that may be promised: in active warehouses; only in the default one while the others are switched off."""
    levels = StockLevel.objects.filter(warehouse__is_active=True)
    if not flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES"):
        levels = levels.filter(warehouse__is_default=True)
    return levels


def _overdue(now: datetime | None) -> Coalesce:
    """
    Units of the outer stock level that are still counted as held, though their time is over.

    Where somebody waits they are not free: the next sale hands them to the line.
    """
    overdue = Reservation.objects.filter(
        stock_level=OuterRef("pk"),
        status=Reservation.Status.ACTIVE,
        expires_at__lte=now if now is not None else Now(),
    )
    units = overdue.order_by().values("stock_level").annotate(n=Sum("quantity")).values("n")
    return Coalesce(
        Case(When(is_awaited=False, then=Subquery(units))), 0, output_field=IntegerField()
    )


def available_expression(variant: str, *, now: datetime | None = None) -> Subquery:
    """
    Return the units that may be promised now of the variant named by `OuterRef(variant)`: 0 where it has no stock.

    Counts overdue holds as free, because a sale takes them back at once.
    """
    levels = (
        _usable_levels()
        .filter(variant=OuterRef(variant))
        .order_by()
        .annotate(free=F("available") + _overdue(now))
        .values("variant")
        .annotate(n=Sum("free"))
        .values("n")
    )
    return Coalesce(Subquery(levels), 0, output_field=IntegerField())  # type: ignore[return-value]


def availability(
    *, variant_ids: Iterable[UUID], now: datetime | None = None
) -> dict[UUID, Availability]:
    """Return what may be promised of each variant, over all usable warehouses: one statement."""
    ids = set(variant_ids)
    if not ids:
        return {}
    rows = (
        _usable_levels()
        .filter(variant__in=ids)
        .order_by()
        .annotate(free=F("available") + _overdue(now))
        .values_list(
            "variant_id", "variant__inventory_policy", "free", "backordered", "backorder_limit"
        )
    )
    free: dict[UUID, int] = {}
    left: dict[UUID, int | None] = {}
    policies: dict[UUID, str] = {}
    for variant_id, policy, units, backordered, limit in rows:
        free[variant_id] = free.get(variant_id, 0) + units
        policies[variant_id] = policy
        if policy == Variant.Policy.CONTINUE:
            before = left.get(variant_id, 0)
            left[variant_id] = (
                None if limit is None or before is None else before + max(limit - backordered, 0)
            )
        else:
            left[variant_id] = 0
    return {
        variant_id: Availability(
            free.get(variant_id, 0),
            policies.get(variant_id, Variant.Policy.DENY),
            left.get(variant_id, 0),
            variant_id in policies,
        )
        for variant_id in ids
    }


def remembered_units(*, variant_ids: Iterable[UUID], now: datetime) -> dict[UUID, int]:
    """
    Return what may be promised of each variant as it was at most a minute ago (INV-48); one statement for what is not known.

    For showing only: what is held or sold is always decided by the shelf itself.
    """
    keys = {f"stock:{variant_id}": variant_id for variant_id in variant_ids}
    known: dict[str, int] = cache.get_many(keys)
    unknown = [variant_id for key, variant_id in keys.items() if key not in known]
    fresh = {
        f"stock:{variant_id}": there.available
        for variant_id, there in availability(variant_ids=unknown, now=now).items()
    }
    if fresh:
        life = min(settings.CACHE_LIFETIMES["stock"], timedelta(minutes=1))
        cache.set_many(fresh, timeout=int(life.total_seconds()))
    return {variant_id: (known | fresh)[key] for key, variant_id in keys.items()}


@dataclass(frozen=True, slots=True)
class Sufficiency:
    """Whether so many units could be had; `code` says why not, where it is not for want of stock."""

    sku: str
    quantity: int
    sufficient: bool
    available: int
    code: str | None = None


def check_stock(
    *, actor: Actor, items: Sequence[tuple[VariantRef, int]], now: datetime
) -> list[Sufficiency]:
    """
    Return for each (variant, quantity) whether it could be had: two statements for any number of them (INV-47).

    Demand for one variant is summed in order. Customers are told of at most ten units.
    """
    found = find_variants(actor=actor, refs=[ref for ref, _ in items])
    stock = availability(
        variant_ids=[variant.id for variant in found if isinstance(variant, Variant)], now=now
    )
    asked: dict[UUID, int] = {}
    answers = []
    for (ref, quantity), variant in zip(items, found, strict=True):
        if isinstance(variant, ApplicationError):
            answers.append(
                Sufficiency(ref.sku or str(ref.variant_id), quantity, False, 0, variant.code)
            )
            continue
        asked[variant.id] = asked.get(variant.id, 0) + quantity
        there = stock[variant.id]
        answers.append(
            Sufficiency(
                variant.sku,
                quantity,
                there.allows(asked[variant.id]),
                there.available if actor.sees_everything else there.shown,
            )
        )
    return answers
