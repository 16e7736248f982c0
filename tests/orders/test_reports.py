"""Figures and files: they add up, keep currencies and companies apart, and cost the same for any number of orders."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from inventory.models import Variant
from orders import selectors
from orders import services as orders
from orders.models import Order
from orders.selectors import reports
from orders.selectors.reports import analytics, export_lines
from orders.services import DirectItem, Units
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


@pytest.fixture
def place(variant: Variant, actor_user: Actor, system: Actor) -> Any:
    """Return a function that places and pays an order of units at 9.99, 10.99 with tax, 5.50 for shipping."""

    def run(quantity: int, at: datetime = DAY, *, pay: bool = True) -> Order:
        order = orders.place_direct(
            actor=actor_user,
            items=[DirectItem(variant.sku, quantity)],
            email="ada@example.com",
            shipping_address=ADDRESS,
            now=at,
        )
        if pay:
            orders.set_payment_status(
                actor=system, order_id=order.id, status="captured", method="test", now=at
            )
            orders.confirm(actor=system, order_id=order.id, now=at)
        return order

    return run


def test_the_figures_add_up(place: Any, staff: Actor, system: Actor, staff_api: Api) -> None:
    kept = place(2)
    part = place(3, DAY + timedelta(days=1))
    gone = place(1, DAY + timedelta(days=8))
    place(1, pay=False)
    [line] = part.lines.all()
    orders.cancel_items(actor=staff, order_id=part.id, units=[Units(line.id, 1)], now=DAY)
    orders.cancel(actor=staff, order_id=gone.id, now=DAY)
    for order in (part, gone):
        for request in order.refund_requests.all():
            orders.record_refund(actor=system, request_id=request.id, now=DAY)

    body = staff_api.get("/orders/analytics?from=2026-03-01&to=2026-03-15&period=week").json()

    total = kept.grand_total + part.grand_total + gone.grand_total
    refunded = sum(
        Order.objects.filter(pk__in=[part.pk, gone.pk]).values_list("refunded_total", flat=True)
    )
    assert body["totals"] == {
        "orders": 3,
        "units": 6,
        "revenue": f"{total:.2f}",
        "refunded": f"{refunded:.2f}",
        "netRevenue": f"{total - refunded:.2f}",
        "averageOrderValue": str((total / 3).quantize(Decimal("0.01"))),
        "cancelled": 1,
        "cancellationRate": "0.3333",
        "returned": 0,
        "returnedUnits": 0,
        "returnRate": "0.0000",
    }
    assert [(row["start"], row["orders"]) for row in body["periods"]] == [
        ("2026-02-23", 0),
        ("2026-03-02", 2),
        ("2026-03-09", 1),
    ]
    assert (body["currency"], body["from"], body["to"]) == ("USD", "2026-03-01", "2026-03-15")
    assert body["byStatus"]["draft"] == 1
    assert [(row["units"], row["name"]) for row in body["topProducts"]] == [
        (4, kept.lines.get().name)
    ]


def test_days_weeks_and_months_have_no_holes(staff: Actor, shop: Any) -> None:
    def starts(period: Any) -> list[date]:
        found = analytics(
            actor=staff, first=date(2026, 1, 30), last=date(2026, 3, 1), period=period
        )
        return [row.start for row in found.periods]

    assert len(starts("day")) == 31
    assert starts("week")[0] == date(2026, 1, 26)
    assert starts("month") == [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-03-02&to=2026-03-01", "to"),
        ("from=2020-01-01&to=2026-03-01", "to"),
        ("from=yesterday", "from"),
        ("period=hour", "period"),
        ("currency=DOLLAR", "currency"),
        ("currency=XXX", "currency"),
        ("to=9999-12-31", "to"),
        ("to=0001-01-01", "to"),
        ("from=0001-12-31&to=0002-01-01", "from"),
    ],
)
def test_a_period_that_is_none_is_refused(staff_api: Api, query: str, field: str) -> None:
    answer = staff_api.get(f"/orders/analytics?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize("end", ["cancelled", "refunded"])
def test_what_was_promised_and_never_kept_is_no_revenue(
    place: Any, staff: Actor, system: Actor, end: str
) -> None:
    kept, promised = place(2), place(3, pay=False)
    orders.set_payment_status(
        actor=system, order_id=promised.id, status="authorized", method="test", now=DAY
    )
    orders.confirm(actor=system, order_id=promised.id, now=DAY)
    orders.cancel(actor=staff, order_id=promised.id, now=DAY)
    # Money that was taken after the end went back as no part of the order: that says "refunded".
    orders.set_payment_status(actor=system, order_id=promised.id, status=end, now=DAY)

    found = analytics(actor=staff, first=DAY.date(), last=DAY.date())

    assert (found.totals.orders, found.totals.revenue) == (1, kept.grand_total)
    [top] = found.top_products
    assert (top.units, top.revenue) == (2, kept.lines.get().total)
    assert found.by_status["cancelled"] == 1


@pytest.mark.parametrize("path", ["/orders", "/orders/export"])
def test_the_calendar_has_ends(place: Any, staff_api: Api, path: str) -> None:
    order = place(1)

    answer = staff_api.get(f"{path}?placedFrom=0001-01-01&placedTo=9999-12-31")

    found = answer.getvalue() if answer.streaming else answer.content
    assert (answer.status_code, order.number in found.decode()) == (200, True)


@pytest.mark.parametrize("query", ["currency=XXX", "date_to=9999-12-31", "date_to=0001-01-01"])
def test_the_page_of_figures_says_what_is_no_period(client: Any, query: str) -> None:
    client.force_login(factories.make_staff(is_superuser=True))

    answer = client.get(f"/admin/orders/order/figures/?{query}")

    assert (answer.status_code, bool(answer.context["problem"])) == (200, True)


def test_figures_are_for_staff_of_the_company(
    place: Any, user_api: Api, guest_api: Api, api: Api
) -> None:
    place(1)
    there = factories.make_company()
    other = Actor.system(there.id)

    assert analytics(actor=other, first=DAY.date(), last=DAY.date()).totals.orders == 0
    for path in ("/orders/analytics", "/orders/export"):
        assert user_api.get(path).status_code == 403
        assert guest_api.get(path).status_code == 401
        assert api.get(path).status_code == 401


def test_the_figures_cost_the_same_for_any_number(
    place: Any, staff: Actor, unhurried: None
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            analytics(actor=staff, first=DAY.date(), last=DAY.date() + timedelta(days=9))
        return len(seen)

    place(1)
    few = statements()
    for day in range(4):
        place(1, DAY + timedelta(days=day))
    assert statements() == few == 5


def test_a_file_has_every_order_once_and_no_formula(
    place: Any, staff_api: Api, staff: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_CHUNK", 2)
    placed = [place(1), place(2), place(1, DAY + timedelta(days=1)), place(1), place(1)]
    Order.objects.filter(pk=placed[0].pk).update(
        shipping_address={**ADDRESS, "name": '=HYPERLINK("http://x","y")'}
    )

    answer = staff_api.get("/orders/export")
    text = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))

    assert answer["Content-Disposition"].startswith('attachment; filename="orders-')
    assert sorted(row["number"] for row in rows) == sorted(order.number for order in placed)
    assert [row["placed_at"] for row in rows] == sorted(row["placed_at"] for row in rows)
    first = next(row for row in rows if row["number"] == placed[0].number)
    assert first["name"] == '\'=HYPERLINK("http://x","y")'
    assert first["total"] == str(placed[0].grand_total)
    only = staff_api.get("/orders/export?status=cancelled")
    assert b"".join(only.streaming_content).count(b"\n") == 1
    assert staff_api.get("/orders/export?status=gold").status_code == 400

    with CaptureQueriesContext(connection) as seen:
        list(export_lines(selectors.orders_of(actor=staff)))
    assert len(seen) == 6  # three pieces of orders, each with its lines
