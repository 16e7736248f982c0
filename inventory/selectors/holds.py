"""What is held for cart lines and orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, JSONObject
from django.utils.dateparse import parse_datetime

from inventory.models import Reservation


@dataclass(frozen=True, slots=True)
class Hold:
    """
    What is held for one cart line. `backordered` of the `quantity` units are promised beyond stock.

    `expires_at` is None where holds are switched off and nothing is kept aside.
    """

    line_id: UUID
    variant_id: UUID | None
    quantity: int
    backordered: int
    expires_at: datetime | None
    started_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.quantity > 0 and self.expires_at is not None and self.expires_at > now

    def state(self, now: datetime) -> str:
        """Return `held`, `expired` or `none`."""
        if self.is_live(now):
            return "held"
        return "none" if self.expires_at is None else "expired"


def _hold_sums() -> dict[str, Any]:
    active = Q(status=Reservation.Status.ACTIVE)
    return {
        "held": Coalesce(Sum(F("quantity") + F("backordered"), filter=active), 0),
        "owed": Coalesce(Sum("backordered", filter=active), 0),
        "ends": Min("expires_at", filter=active),
        "began": Min("started_at", filter=active),
        "lapsed": Max("expires_at", filter=Q(status=Reservation.Status.EXPIRED)),
        "lapsed_at": Max("released_at", filter=Q(status=Reservation.Status.EXPIRED)),
        "let_go_at": Max("released_at", filter=Q(status=Reservation.Status.CANCELLED)),
    }


def hold_expression(line: str) -> Subquery:
    """
    Return the hold of the line named by `OuterRef(line)` as JSON, for a query that reads lines: see `read_hold`.
    """
    # A hold that was given to an order is no longer the cart line's.
    own: QuerySet[Any] = Reservation.objects.filter(line_id=OuterRef(line), order_line_id=None)
    sums = own.order_by().values("line_id").annotate(**_hold_sums())
    names = {name: F(name) for name in _hold_sums()}
    return Subquery(sums.values(hold=JSONObject(**names)).values("hold"))


def read_hold(line_id: UUID, value: Mapping[str, Any] | None) -> Hold | None:
    """
    Return the latest hold of a line as `hold_expression` found it; None if it never had one.

    A hold that ran out is there with its past `expires_at`; ask `hold.state(now)`.
    """
    if not value:
        return None
    at = {
        name: parse_datetime(value[name]) if value[name] else None
        for name in ("ends", "began", "lapsed", "lapsed_at", "let_go_at")
    }
    ends, lapsed_at, let_go_at = at["ends"], at["lapsed_at"], at["let_go_at"]
    if ends is None and lapsed_at and (let_go_at is None or lapsed_at > let_go_at):
        ends = at["lapsed"]
    return Hold(line_id, None, value["held"], value["owed"], ends, at["began"])


def releasable_holds(*, now: datetime | None) -> QuerySet[Reservation]:
    """Return the live holds whose time is over at `now`; without it, all that carts hold."""
    live = Reservation.objects.filter(status=Reservation.Status.ACTIVE)
    return live.filter(expires_at__lte=now) if now else live.filter(order_line_id__isnull=True)


def holds_on(*, stock_level_ids: Iterable[UUID]) -> QuerySet[Reservation]:
    """Return what is held of these shelves, with variants, newest first."""
    return (
        Reservation.objects.filter(
            stock_level__in=list(stock_level_ids), status=Reservation.Status.ACTIVE
        )
        .select_related("variant")
        .order_by("-id")
    )


def holds_of_order(*, order_id: UUID) -> QuerySet[Reservation]:
    """Return every hold that an order has or had, oldest first."""
    return Reservation.objects.filter(order_id=order_id).order_by("id")
