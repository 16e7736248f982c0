"""What staff see first: how the shop does, and what waits for somebody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from cart import selectors as carts
from config.platform.http import actor_of
from config.platform.models import OutboxEvent
from inventory import selectors as inventory
from notifications.models import Notification
from notifications.selectors import money
from orders.models import Order, RefundRequest, ReturnRequest

DAYS = 30
SHOWN_ROWS = 6
SOLD = (
    Order.Status.CONFIRMED,
    Order.Status.PROCESSING,
    Order.Status.SHIPPED,
    Order.Status.DELIVERED,
    Order.Status.REFUNDED,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number worth a look, and where the rows behind it are."""

    label: str
    value: str
    note: str
    url: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something that waits for a person: how many, and where to do it."""

    label: str
    count: int
    url: str


def today(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures, the chart and the work list to the admin's first page."""
    actor, now = actor_of(request), timezone.now()
    currency = inventory.default_company().currency
    days = _sales(actor.company_id, currency, now)
    context.update(
        figures=_figures(actor.company_id, currency, days, now),
        chart=json.dumps(_chart(days, currency)),
        tasks=[task for task in _tasks(actor, now) if task.count],
        waiting=_waiting(actor.company_id),
        currency=currency,
    )
    return context


def _sales(company_id: UUID, currency: str, now: datetime) -> dict[date, tuple[int, Decimal]]:
    """Return orders and revenue by day in the company's own currency, every day of the period."""
    first = (now - timedelta(days=DAYS - 1)).date()
    rows = (
        Order.objects.filter(
            company_id=company_id,
            currency=currency,
            status__in=SOLD,
            placed_at__gte=now - timedelta(days=DAYS),
        )
        .annotate(day=TruncDate("placed_at"))
        .values("day")
        .annotate(orders=Count("id"), revenue=Sum("grand_total") - Sum("refunded_total"))
        .order_by("day")
    )
    by_day = {row["day"]: (row["orders"], row["revenue"]) for row in rows}
    days = (first + timedelta(days=number) for number in range(DAYS))
    return {day: by_day.get(day, (0, Decimal(0))) for day in days}


def _figures(
    company_id: UUID, currency: str, days: dict[date, tuple[int, Decimal]], now: datetime
) -> list[Figure]:
    count = sum(orders for orders, _revenue in days.values())
    revenue = sum((revenue for _orders, revenue in days.values()), Decimal(0))
    todays = days.get(now.date(), (0, Decimal(0)))
    abandoned = carts.abandoned_metrics(company_id=company_id, now=now)
    period = _("last %(days)d days") % {"days": DAYS}
    orders_url = reverse("admin:orders_order_changelist")
    return [
        Figure(_("Orders today"), str(todays[0]), money(todays[1], currency), orders_url),
        Figure(
            _("Revenue"),
            money(revenue, currency),
            _("%(count)d orders, %(period)s") % {"count": count, "period": period},
            orders_url,
        ),
        Figure(
            _("Average order"),
            money(revenue / count if count else Decimal(0), currency),
            period,
            orders_url,
        ),
        Figure(
            _("Left in carts"),
            money(abandoned.abandoned_value, currency),
            _("%(count)d abandoned carts") % {"count": abandoned.abandoned_count},
            reverse("admin:cart_abandonedcart_changelist"),
        ),
        Figure(
            _("Brought back"),
            money(abandoned.recovered_value, currency),
            _("%(rate).0f %% of carts, %(period)s")
            % {"rate": abandoned.recovery_rate * 100, "period": period},
            reverse("admin:cart_abandonedcart_changelist"),
        ),
    ]


def _chart(days: dict[date, tuple[int, Decimal]], currency: str) -> dict[str, Any]:
    return {
        "labels": [date_format(day, "j M") for day in days],
        "datasets": [
            {
                "label": _("Revenue, %(currency)s") % {"currency": currency},
                "data": [float(revenue) for _orders, revenue in days.values()],
                "backgroundColor": "var(--color-primary-600)",
                "borderRadius": 3,
            }
        ],
    }


def _tasks(actor: Any, now: datetime) -> list[Task]:
    company_id = actor.company_id

    def at(name: str, query: str = "") -> str:
        return reverse(f"admin:{name}_changelist") + query

    orders = Order.objects.filter(company_id=company_id)
    return [
        Task(
            _("orders to send"),
            orders.filter(status__in=[Order.Status.CONFIRMED, Order.Status.PROCESSING]).count(),
            at("orders_order", "?status__exact=confirmed"),
        ),
        Task(
            _("orders that need attention"),
            orders.exclude(needs_attention="").count(),
            at("orders_order"),
        ),
        Task(
            _("returns to decide"),
            ReturnRequest.objects.filter(
                order__company_id=company_id, status=ReturnRequest.Status.REQUESTED
            ).count(),
            at("orders_returnrequest"),
        ),
        Task(
            _("refunds that failed"),
            RefundRequest.objects.filter(
                order__company_id=company_id, status=RefundRequest.Status.FAILED
            ).count(),
            at("orders_refundrequest"),
        ),
        Task(
            _("shelves running low"),
            inventory.low_stock(actor=actor).count(),
            at("inventory_stocklevel"),
        ),
        Task(
            _("messages that failed"),
            Notification.objects.filter(
                company_id=company_id, status=Notification.Status.FAILED
            ).count(),
            at("notifications_notification", "?status__exact=FAILED"),
        ),
        Task(
            _("events given up"),
            OutboxEvent.objects.filter(dead_at__isnull=False).count(),
            at("platform_outboxevent"),
        ),
    ]


def _waiting(company_id: UUID) -> list[Order]:
    """Return the orders that have waited longest to be sent."""
    return list(
        Order.objects.filter(
            company_id=company_id, status__in=[Order.Status.CONFIRMED, Order.Status.PROCESSING]
        )
        .annotate(units=Sum("lines__quantity"))
        .order_by("confirmed_at")[:SHOWN_ROWS]
    )
