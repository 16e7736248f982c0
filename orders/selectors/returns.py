"""What waits at the returns desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, DecimalField, F, Min, Sum
from django.db.models.expressions import Combinable

from config.platform.actor import Actor
from orders.models import ReturnLine, ReturnRequest
from pricing.money import quantize

Status = ReturnRequest.Status
QUEUES = (Status.REQUESTED, Status.APPROVED, Status.RECEIVED)
REASONS_FOR = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Queue:
    """The returns in one status that still ask for something: how many, since when, and about how much money is in them."""

    status: str
    count: int
    units: int
    oldest: datetime | None
    worth: Sequence[tuple[str, Decimal]]  # by currency


@dataclass(frozen=True, slots=True)
class Desk:
    """The queues of a company's returns, and why its goods came back in the last ninety days, most often first."""

    queues: Sequence[Queue]
    reasons: Sequence[tuple[str, int]]


def worth_of(line: str = "") -> Combinable:
    """Return the part of a line's price that returned units are, before any rounding: for sums, not for refunds."""
    return F(f"{line}order_line__total") * F(f"{line}quantity") / F(f"{line}order_line__quantity")


def returns_desk(*, actor: Actor, now: datetime) -> Desk:
    """Return what waits at the returns desk of a company: two statements."""
    rows = (
        ReturnLine.objects.filter(
            request__order__company_id=actor.company_id, request__status__in=QUEUES
        )
        .order_by("request__order__currency")
        .values_list("request__status", "request__order__currency")
        .annotate(
            count=Count("request", distinct=True),
            units=Sum("quantity"),
            oldest=Min("request__requested_at"),
            worth=Sum(worth_of(), output_field=DecimalField()),
        )
    )
    found = list(rows)
    reasons = (
        ReturnLine.objects.filter(
            request__order__company_id=actor.company_id,
            request__requested_at__gte=now - REASONS_FOR,
        )
        .exclude(request__status=Status.WITHDRAWN)
        .order_by()
        .values_list("reason")
        .annotate(units=Sum("quantity"))
        .order_by("-units", "reason")[:8]
    )
    return Desk(
        queues=[
            Queue(
                status,
                sum(row[2] for row in found if row[0] == status),
                sum(row[3] for row in found if row[0] == status),
                min((row[4] for row in found if row[0] == status), default=None),
                [(row[1], quantize(row[5], row[1])) for row in found if row[0] == status],
            )
            for status in QUEUES
        ],
        reasons=list(reasons),
    )
