"""How a promotion was used: day by day, what it gave, by whom, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import TruncDate

from config.platform.actor import Actor
from inventory.models import Company
from pricing.models import Promotion, PromotionUse
from pricing.selectors.rules import policy_of

DAYS = 30
MOST_CUSTOMERS = 5


@dataclass(frozen=True, slots=True)
class DayOfUse:
    """A day by the clock of the company: uses that count, uses given back, and what the former gave, by currency."""

    day: date
    uses: int
    returned: int
    given: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class CustomerOfUse:
    """Who used it most: `key` as uses know customers, uses that count, and when last."""

    key: str
    uses: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Uses:
    """All there is to say about the uses of one promotion; `left` is None where it has no limit."""

    uses: int
    returned: int
    given: Mapping[str, Decimal]
    left: int | None
    days: Sequence[DayOfUse]
    customers: Sequence[CustomerOfUse]


def uses_of(*, actor: Actor, promotion: Promotion, now: datetime) -> Uses:
    """Return how a promotion was used, and the last 30 days day by day, those without a use too; four statements."""
    company = Company.objects.select_related("pricing_policy").get(id=actor.company_id)
    zone = ZoneInfo(policy_of(company).time_zone)
    rows = PromotionUse.objects.filter(promotion=promotion).order_by()
    counts = Q(returned_at=None)
    in_all = rows.values("currency").annotate(
        uses=Count("pk", filter=counts),
        returned=Count("pk", filter=~counts),
        given=Sum("amount", filter=counts),
    )
    uses = returned = 0
    given: dict[str, Decimal] = {}
    for row in in_all:
        uses += row["uses"]
        returned += row["returned"]
        if row["uses"]:
            given[row["currency"]] = row["given"]
    customers = (
        rows.filter(counts)
        .values("customer_key")
        .annotate(uses=Count("*"), last_at=Max("used_at"))
        .order_by("-uses", "-last_at", "customer_key")[:MOST_CUSTOMERS]
    )
    limit = promotion.usage_limit
    return Uses(
        uses=uses,
        returned=returned,
        given=given,
        left=None if limit is None else max(limit - uses, 0),
        days=_by_day(promotion.id, zone, now),
        customers=[
            CustomerOfUse(row["customer_key"], row["uses"], row["last_at"]) for row in customers
        ],
    )


def _by_day(promotion_id: UUID, zone: ZoneInfo, now: datetime) -> list[DayOfUse]:
    today = now.astimezone(zone).date()
    first = today - timedelta(days=DAYS - 1)
    since = datetime.combine(first, datetime.min.time(), zone)
    counts = Q(returned_at=None)
    found = (
        PromotionUse.objects.filter(promotion=promotion_id, used_at__gte=since, used_at__lte=now)
        .order_by()
        .values("currency", day=TruncDate("used_at", tzinfo=zone))
        .annotate(
            uses=Count("pk", filter=counts),
            returned=Count("pk", filter=~counts),
            given=Sum("amount", filter=counts),
        )
    )
    by_day: dict[date, list[dict[str, Any]]] = {}
    for row in found:
        by_day.setdefault(row["day"], []).append(dict(row))
    days = []
    for number in range(DAYS):
        day = first + timedelta(days=number)
        of_day: list[dict[str, Any]] = by_day.get(day, [])
        days.append(
            DayOfUse(
                day,
                sum(row["uses"] for row in of_day),
                sum(row["returned"] for row in of_day),
                {row["currency"]: row["given"] for row in of_day if row["given"]},
            )
        )
    return days
