"""What staff see first: how the shop does, and what waits for somebody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy

from cart import selectors as carts
from checkout import selectors as payments
from checkout.models import ReconciliationFinding
from config.platform.http import actor_of
from config.platform.models import Alert, OutboxEvent
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
    """Add the figures, the chart and the work list to the admin's first page, as far as the user may see their rows."""
    actor, now = actor_of(request), timezone.now()
    currency = inventory.default_company().currency
    may = request.user.has_perm
    days = _sales(actor.company_id, currency, now) if may("orders.view_order") else {}
    context.update(
        title=_("Today"),
        figures=[
            *(_order_figures(currency, days, now) if days else []),
            *(
                _cart_figures(actor.company_id, currency, now)
                if may("cart.view_abandonedcart")
                else []
            ),
        ],
        chart=json.dumps(_chart(days, currency)) if days else "",
        chart_options=json.dumps(CHART_OPTIONS),
        tasks=[task for task in _tasks(actor, now, may=may) if task.count],
        waiting=_waiting(actor.company_id) if days else [],
        sees_orders=bool(days),
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


def _order_figures(
    currency: str, days: dict[date, tuple[int, Decimal]], now: datetime
) -> list[Figure]:
    count = sum(orders for orders, _revenue in days.values())
    revenue = sum((revenue for _orders, revenue in days.values()), Decimal(0))
    todays = days.get(now.date(), (0, Decimal(0)))
    period = _period()
    orders_url = reverse("admin:orders_order_changelist")
    since = f"{orders_url}?placed_at__gte={(now - timedelta(days=DAYS - 1)).date()}"
    return [
        Figure(
            _("Orders today"),
            str(todays[0]),
            money(todays[1], currency),
            f"{orders_url}?placed_at__gte={now.date()}",
        ),
        Figure(
            _("Revenue"),
            money(revenue, currency),
            ngettext("%(count)d order, %(period)s", "%(count)d orders, %(period)s", count)
            % {"count": count, "period": period},
            since,
        ),
        Figure(
            _("Average order"),
            money(revenue / count if count else Decimal(0), currency),
            period,
            since,
        ),
    ]


def _cart_figures(company_id: UUID, currency: str, now: datetime) -> list[Figure]:
    abandoned = carts.abandoned_metrics(company_id=company_id, now=now)
    url = reverse("admin:cart_abandonedcart_changelist")
    return [
        Figure(
            _("Left in carts"),
            money(abandoned.abandoned_value, currency),
            ngettext(
                "%(count)d abandoned cart", "%(count)d abandoned carts", abandoned.abandoned_count
            )
            % {"count": abandoned.abandoned_count},
            url,
        ),
        Figure(
            _("Brought back"),
            money(abandoned.recovered_value, currency),
            _("%(rate).0f %% of carts, %(period)s")
            % {"rate": abandoned.recovery_rate * 100, "period": _period()},
            url,
        ),
    ]


def _period() -> str:
    return _("last %(days)d days") % {"days": DAYS}


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


CHART_OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "maxBarThickness": 18,
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {
            "grid": {"display": False},
            "border": {"display": False},
            "ticks": {"color": "#7d8a8c", "maxRotation": 0, "autoSkipPadding": 16},
        },
        "y": {
            "beginAtZero": True,
            "grid": {"color": "rgba(125, 138, 140, 0.2)"},
            "border": {"display": False},
            "ticks": {"color": "#7d8a8c", "maxTicksLimit": 5},
        },
    },
}


def _tasks(actor: Any, now: datetime, *, may: Callable[[str], bool]) -> Iterator[Task]:
    company_id = actor.company_id

    def at(name: str, query: str = "") -> str:
        return reverse(f"admin:{name}_changelist") + query

    if may("orders.view_order"):
        orders = Order.objects.filter(company_id=company_id)
        yield _task(
            ngettext_lazy("order to send", "orders to send"),
            orders.filter(status__in=[Order.Status.CONFIRMED, Order.Status.PROCESSING]).count(),
            at("orders_order", "?work=send"),
        )
        yield _task(
            ngettext_lazy("order that needs attention", "orders that need attention"),
            orders.exclude(needs_attention="").count(),
            at("orders_order", "?work=attention"),
        )
    if may("orders.view_returnrequest"):
        yield _task(
            ngettext_lazy("return to decide", "returns to decide"),
            ReturnRequest.objects.filter(
                order__company_id=company_id, status=ReturnRequest.Status.REQUESTED
            ).count(),
            at("orders_returnrequest", "?status__exact=REQUESTED"),
        )
    if may("orders.view_refundrequest"):
        yield _task(
            ngettext_lazy("refund that failed", "refunds that failed"),
            RefundRequest.objects.filter(
                order__company_id=company_id, status=RefundRequest.Status.FAILED
            ).count(),
            at("orders_refundrequest", "?status__exact=failed"),
        )
    if may("checkout.view_payment"):
        yield _task(
            ngettext_lazy(
                "payment to collect within two days", "payments to collect within two days"
            ),
            payments.to_collect(now=now).filter(order__company_id=company_id).count(),
            at("checkout_payment", "?work=collect"),
        )
    if may("checkout.view_reconciliationfinding"):
        yield _task(
            ngettext_lazy("difference between the books", "differences between the books"),
            ReconciliationFinding.objects.filter(
                Q(company_id=company_id) | Q(company_id=None),
                state=ReconciliationFinding.State.OPEN,
            ).count(),
            at("checkout_reconciliationfinding", "?state__exact=OPEN"),
        )
    if may("inventory.view_stocklevel"):
        yield _task(
            ngettext_lazy("shelf running low", "shelves running low"),
            inventory.low_stock(actor=actor).count(),
            at("inventory_stocklevel", "?stock=low"),
        )
    if may("notifications.view_notification"):
        yield _task(
            ngettext_lazy("message that failed", "messages that failed"),
            Notification.objects.filter(
                company_id=company_id, status=Notification.Status.FAILED
            ).count(),
            at("notifications_notification", "?status__exact=FAILED"),
        )
    if may("platform.view_alert"):
        yield _task(
            ngettext_lazy("alert that goes on", "alerts that go on"),
            Alert.objects.filter(resolved_at=None).count(),
            at("platform_alert", "?state=open"),
        )
    if may("platform.view_outboxevent"):
        yield _task(
            ngettext_lazy("event given up", "events given up"),
            OutboxEvent.objects.filter(
                Q(company_id=company_id) | Q(company_id=None), dead_at__isnull=False
            ).count(),
            at("platform_outboxevent", "?dead_at__isempty=0"),
        )


def _task(words: Any, count: int, url: str) -> Task:
    return Task(str(words % count), count, url)


def _waiting(company_id: UUID) -> list[Order]:
    """Return the orders that have waited longest to be sent."""
    return list(
        Order.objects.filter(
            company_id=company_id, status__in=[Order.Status.CONFIRMED, Order.Status.PROCESSING]
        )
        .annotate(units=Sum("lines__quantity"))
        .order_by("confirmed_at")[:SHOWN_ROWS]
    )
