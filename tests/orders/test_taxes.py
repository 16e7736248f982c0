"""The tax report adds up: to the orders' own totals, to nothing where all money went back, in files as on the page."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.models import User
from inventory.models import Company
from orders import services as orders
from orders.models import Order, RefundRequest
from orders.services import DirectItem, Units
from orders.taxes import COLLECTED, Period, TaxEntry, tax_entries, tax_report
from orders.taxfiles import entry_lines, report_lines
from pricing.models import PricingPolicy
from pricing.money import from_minor, to_minor
from pricing.selectors import forget
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS

pytestmark = pytest.mark.django_db

Refunds = Callable[[Order], list[Decimal]]


def period(now: datetime, days: int = 400) -> Period:
    return Period(now.date() - timedelta(days=days), now.date() + timedelta(days=days))


def sums(entries: Sequence[TaxEntry]) -> tuple[Decimal, Decimal]:
    collected = sum((each.amount for each in entries if each.kind == COLLECTED), Decimal(0))
    return collected, sum((each.amount for each in entries if each.kind != COLLECTED), Decimal(0))


def pay(order: Order, *, actor: Actor, at: datetime) -> Order:
    orders.set_payment_status(
        actor=actor, order_id=order.id, status="captured", method="test", now=at
    )
    return orders.confirm(actor=actor, order_id=order.id, now=at)


def settle(order: Order, *, actor: Actor, at: datetime) -> None:
    for request in order.refund_requests.filter(status="due").order_by("created_at", "id"):
        orders.record_refund(actor=actor, request_id=request.id, now=at)


# --- what counts ----------------------------------------------------------------------------------


def test_a_confirmed_order_is_collected_by_jurisdiction_and_rate(
    paid: Order, staff: Actor, now: datetime
) -> None:
    [row] = tax_report(actor=staff, period=period(now))

    assert (row.key.jurisdiction, row.key.type, row.key.name) == ("US", "SALES_TAX", "Sales tax")
    assert row.key.rate == Decimal("0.1")
    assert (row.base, row.collected, row.refunded, row.net) == (
        Decimal("54.97"),
        Decimal("5.50"),
        Decimal(0),
        Decimal("5.50"),
    )
    assert row.collected == paid.tax_total
    assert row.orders == {paid.id}


def test_a_draft_is_no_business_of_the_tax_office(
    draft: Order, staff: Actor, now: datetime
) -> None:
    assert tax_report(actor=staff, period=period(now)) == []


def test_a_refund_takes_tax_back_on_its_day(
    paid: Order, staff: Actor, system: Actor, now: datetime
) -> None:
    line = paid.lines.get(position=0)
    later = now + timedelta(days=40)
    orders.cancel_items(actor=staff, order_id=paid.id, units=[Units(line.id, 1)], now=now)
    settle(paid, actor=system, at=later)

    before = tax_report(actor=staff, period=Period(now.date(), now.date()))
    after = tax_report(actor=staff, period=Period(later.date(), later.date()))

    assert [(row.collected, row.refunded) for row in before] == [(Decimal("5.50"), Decimal(0))]
    assert [(row.base, row.collected, row.refunded_base, row.refunded) for row in after] == [
        (Decimal(0), Decimal(0), Decimal("9.99"), Decimal("1.00"))
    ]


def test_a_refund_that_was_not_carried_out_takes_nothing_back(
    paid: Order, staff: Actor, now: datetime
) -> None:
    orders.request_refund(
        actor=staff, order_id=paid.id, amount=Decimal("5.00"), reason="sorry", now=now
    )

    [row] = tax_report(actor=staff, period=period(now))

    assert row.refunded == 0


def test_goodwill_takes_tax_back_in_proportion(
    paid: Order, staff: Actor, refunds: Refunds, now: datetime
) -> None:
    orders.request_refund(
        actor=staff, order_id=paid.id, amount=Decimal("30.24"), reason="sorry", now=now
    )
    refunds(paid)

    [row] = tax_report(actor=staff, period=period(now))

    assert abs(row.refunded - Decimal("2.75")) <= Decimal("0.02")  # half of it


def test_an_order_cancelled_before_its_money_was_taken_nets_to_nothing(
    draft: Order, staff: Actor, system: Actor, now: datetime
) -> None:
    orders.set_payment_status(
        actor=system, order_id=draft.id, status="authorized", method="test", now=now
    )
    orders.confirm(actor=system, order_id=draft.id, now=now)
    orders.cancel(actor=staff, order_id=draft.id, reason="changed my mind", now=now)
    assert RefundRequest.objects.filter(status="done").count() == 0

    [row] = tax_report(actor=staff, period=period(now))

    assert (row.collected, row.refunded, row.net) == (
        Decimal("5.50"),
        Decimal("5.50"),
        Decimal(0),
    )


def test_money_that_came_after_the_end_and_went_back_is_no_tax(
    draft: Order, staff: Actor, system: Actor, refunds: Refunds, now: datetime
) -> None:
    orders.set_payment_status(
        actor=system, order_id=draft.id, status="authorized", method="test", now=now
    )
    orders.confirm(actor=system, order_id=draft.id, now=now)
    orders.cancel(actor=staff, order_id=draft.id, reason="changed my mind", now=now)
    orders.return_payment(
        actor=staff,
        order_id=draft.id,
        payment_id=draft.id,
        amount=draft.grand_total,
        reason="paid after the order had ended",
        now=now,
    )
    refunds(draft)
    orders.set_payment_status(actor=system, order_id=draft.id, status="refunded", now=now)

    [row] = tax_report(actor=staff, period=period(now))

    assert (row.collected, row.refunded) == (Decimal("5.50"), Decimal("5.50"))


def test_a_payment_too_many_that_goes_back_is_no_tax(
    paid: Order, staff: Actor, refunds: Refunds, now: datetime
) -> None:
    orders.return_payment(
        actor=staff,
        order_id=paid.id,
        payment_id=paid.id,
        amount=paid.grand_total,
        reason="paid twice",
        now=now,
    )
    refunds(paid)

    [row] = tax_report(actor=staff, period=period(now))

    assert row.refunded == 0


def test_a_tax_that_was_not_charged_stands_with_its_base(
    shop: Company, staff: Actor, system: Actor, user: User, now: datetime
) -> None:
    from pricing import services as pricing
    from pricing.terms import ExemptionTerms

    pricing.grant_exemption(
        actor=staff,
        terms=ExemptionTerms(user_id=user.id, kind="CERTIFICATE", number="ME-1", country="US"),
        now=now,
    )
    forget()
    variant = factories.make_priced_variant("10.00")
    buyer = replace(system, kind=type(system.kind).USER, user_id=user.id)
    order = orders.place_direct(
        actor=buyer,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )
    pay(order, actor=system, at=now)

    [row] = tax_report(actor=staff, period=period(now))

    assert (row.key.relief, row.base, row.collected) == ("exempt", Decimal("15.00"), Decimal(0))


def test_the_jurisdiction_is_the_rates_own(
    company: Company, staff: Actor, system: Actor, now: datetime
) -> None:
    factories.make_shipping_rule("5.00", countries=["CA"])
    factories.make_tax_rate("0.05", country="CA", name="GST", type="GST")
    factories.make_tax_rate("0.07", country="CA", state="BC", name="PST", type="SALES_TAX")
    variant = factories.make_priced_variant("100.00")
    address = {**ADDRESS, "country": "CA", "state": "BC", "postalCode": "V5K 0A1"}
    order = orders.place_direct(
        actor=system,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=address,
        now=now,
    )
    pay(order, actor=system, at=now)

    rows = tax_report(actor=staff, period=period(now))
    Order.objects.update(quote={k: v for k, v in order.quote.items() if k != "basis"})
    without_rules = tax_report(actor=staff, period=period(now))

    assert [(row.key.jurisdiction, row.key.name, row.collected) for row in rows] == [
        ("CA", "GST", Decimal("5.25")),
        ("CA-BC", "PST", Decimal("7.35")),
    ]
    assert [row.key.jurisdiction for row in without_rules] == ["CA-BC", "CA-BC"]


def test_another_companys_taxes_are_its_own(paid: Order, staff: Actor, now: datetime) -> None:
    stranger = replace(staff, company_id=factories.make_company().id)

    assert tax_report(actor=stranger, period=period(now)) == []


# --- it adds up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "rounding"),
    [("USD", "line"), ("USD", "order"), ("JPY", "keep_gross"), ("KWD", "order"), ("KWD", "line")],
)
def test_random_histories_add_up_to_the_orders_totals(
    company: Company, staff: Actor, system: Actor, now: datetime, currency: str, rounding: str
) -> None:
    """Cancellations, refunds of units and of shipping, goodwill, in any order: no unit of tax is lost or made."""
    dice = random.Random(f"{currency}{rounding}")
    PricingPolicy.objects.create(company=company, tax_rounding=rounding)
    is_included = rounding == "keep_gross" or dice.random() < 0.5

    def money(most: int) -> str:
        return f"{from_minor(dice.randint(1, most), currency):f}"

    factories.make_shipping_rule(money(999), countries=["US"], currency=currency)
    for state, name, rate in (("", "Federal", "0.0725"), ("ME", "State", "0.055")):
        factories.make_tax_rate(
            rate, country="US", state=state, name=name, type="SALES_TAX", is_included=is_included
        )
    factories.make_promotion(value=Decimal("7.5"))
    placed = []
    for number in range(3):
        skus = [
            factories.make_priced_variant(money(9_999), currency=currency, available=9).sku
            for _ in range(dice.randint(1, 3))
        ]
        order = orders.place_direct(
            actor=system,
            items=[DirectItem(sku, dice.randint(1, 5)) for sku in skus],
            email=f"{number}@example.com",
            shipping_address=ADDRESS,
            currency=currency,
            now=now,
        )
        placed.append(pay(order, actor=system, at=now))
    at = now
    for _ in range(12):
        at += timedelta(days=1)
        order = dice.choice(placed)
        order.refresh_from_db()
        line = dice.choice(list(order.lines.all()))
        try:
            match dice.choice(["cancel", "units", "shipping", "goodwill", "all"]):
                case "cancel":
                    orders.cancel_items(
                        actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=at
                    )
                case "units":
                    orders.refund_units(
                        actor=staff, order_id=order.id, units=[Units(line.id, 1)], reason="", now=at
                    )
                case "shipping":
                    orders.refund_units(
                        actor=staff,
                        order_id=order.id,
                        units=[],
                        shipping=from_minor(dice.randint(1, 200), currency),
                        reason="",
                        now=at,
                    )
                case "goodwill":
                    left = to_minor(orders.refundable(order), currency)
                    orders.request_refund(
                        actor=staff,
                        order_id=order.id,
                        amount=from_minor(dice.randint(1, max(1, left // 3)), currency),
                        reason="",
                        now=at,
                    )
                case "all":
                    orders.cancel(actor=staff, order_id=order.id, reason="", now=at)
        except ApplicationError:
            continue
        settle(order, actor=system, at=at)
    everything = list(tax_entries(actor=staff, period=period(now)))
    by_month = [
        entry
        for day in range(16)
        for entry in tax_entries(
            actor=staff, period=Period(*[now.date() + timedelta(days=day)] * 2)
        )
    ]

    assert sorted(map(repr, by_month)) == sorted(map(repr, everything))
    assert sums(everything)[0] == sum(order.tax_total for order in placed)
    assert RefundRequest.objects.filter(status="done").count() >= 3
    for order in placed:
        order.refresh_from_db()
        collected, refunded = sums([each for each in everything if each.order_id == order.id])
        assert collected == order.tax_total
        assert 0 <= refunded <= collected
        if order.refunded_total == order.grand_total:
            assert refunded == collected
        if not order.refunded_total:
            assert refunded == 0
        unit = from_minor(1, currency)
        expected = order.tax_total * order.refunded_total / order.grand_total
        # each part has its own mix of taxes and its own rounding; none is far from the whole's proportion
        assert abs(refunded - expected) <= unit * 2 * (order.lines.count() + 1) * 2
    rows = tax_report(actor=staff, period=period(now))
    assert sum(row.collected for row in rows) == sums(everything)[0]
    assert sum(row.refunded for row in rows) == sums(everything)[1]


def test_it_reads_many_orders_in_as_few_statements(
    paid: Order, staff: Actor, now: datetime
) -> None:
    with CaptureQueriesContext(connection) as captured:
        list(tax_entries(actor=staff, period=period(now)))

    assert len(captured) == 3


# --- periods --------------------------------------------------------------------------------------


def test_a_period_is_days_both_included(paid: Order, staff: Actor, now: datetime) -> None:
    day, one = now.date(), timedelta(days=1)

    assert tax_report(actor=staff, period=Period(day, day))
    assert not tax_report(actor=staff, period=Period(day - one, day - one))
    assert not tax_report(actor=staff, period=Period(day + one, day + one))
    assert not tax_report(actor=staff, period=Period(date.max - one, date.max))


@pytest.mark.parametrize(
    ("first", "last"),
    [(date(2026, 2, 1), date(2026, 1, 31)), (date(2020, 1, 1), date(2026, 1, 1))],
)
def test_a_period_that_is_none_is_refused(first: date, last: date) -> None:
    with pytest.raises(ValidationFailed):
        Period.of(first=first, last=last, today=date(2026, 3, 1))


def test_a_period_that_is_not_said_is_the_month_so_far() -> None:
    today = date(2026, 3, 17)

    assert Period.of(first=None, last=None, today=today) == Period(date(2026, 3, 1), today)
    assert Period.of(first=date(2026, 4, 1), last=None, today=today).last == date(2026, 4, 1)


# --- the API and files ----------------------------------------------------------------------------


def test_staff_read_it_over_the_api(paid: Order, staff_api: Api, now: datetime) -> None:
    answer = staff_api.get(f"/tax/report?dateFrom={now:%Y-%m-%d}&dateTo={now:%Y-%m-%d}")

    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "dateFrom": f"{now:%Y-%m-%d}",
        "dateTo": f"{now:%Y-%m-%d}",
        "rows": [
            {
                "currency": "USD", "jurisdiction": "US", "country": "US", "state": "", "type": "SALES_TAX",
                "name": "Sales tax", "rate": "0.1", "relief": None, "base": "54.97", "collected": "5.50",
                "refundedBase": "0.00", "refunded": "0.00", "netBase": "54.97", "net": "5.50", "orders": 1,
            }
        ],
        "totals": [
            {"currency": "USD", "collected": "5.50", "refunded": "0.00", "net": "5.50"}
        ],
    }  # fmt: skip
    other = staff_api.get(f"/tax/report?dateFrom={now:%Y-%m-%d}&dateTo={now:%Y-%m-%d}&currency=eur")
    assert other.json()["rows"] == []


@pytest.mark.parametrize("path", ["/tax/report", "/tax/report.csv", "/tax/entries.csv"])
def test_others_and_bad_periods_are_refused(
    path: str, user_api: Api, staff_api: Api, api: Api
) -> None:
    assert api.get(path).status_code == 401
    assert user_api.get(path).status_code == 403
    for query, field in (
        ("dateFrom=yesterday", "dateFrom"),
        ("dateFrom=2026-02-30", "dateFrom"),
        ("dateFrom=2026-02-02&dateTo=2026-02-01", "dateTo"),
        ("currency=XQX", "currency"),
    ):
        answer = staff_api.get(f"{path}?{query}")
        assert answer.status_code == 400, query
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_files_say_the_same_and_no_cell_is_a_formula(
    paid: Order, staff: Actor, staff_api: Api, refunds: Refunds, now: datetime
) -> None:
    line = paid.lines.get(position=0)
    orders.cancel_items(actor=staff, order_id=paid.id, units=[Units(line.id, 1)], now=now)
    refunds(paid)
    quote = paid.quote
    for tax in quote["taxes"]:
        tax[0] = "=cmd()"
    Order.objects.update(quote=quote)
    for each in paid.lines.all():
        each.taxes[0]["name"] = "=cmd()"
        each.save()
    asked: dict[str, Any] = {"actor": staff, "period": period(now)}
    query = f"dateFrom={now:%Y-%m-%d}&dateTo={now:%Y-%m-%d}"

    report = staff_api.get(f"/tax/report.csv?{query}")
    [row] = csv.DictReader(io.StringIO(b"".join(report.streaming_content).decode()))
    entries = list(
        csv.DictReader(
            io.StringIO(
                b"".join(staff_api.get(f"/tax/entries.csv?{query}").streaming_content).decode()
            )
        )
    )

    assert report["Content-Type"] == "text/csv; charset=utf-8"
    assert report["Content-Disposition"].endswith('.csv"')
    assert row["Tax"] == "'=cmd()"
    assert (row["Collected"], row["Refunded"], row["Net"]) == ("5.50", "1.00", "4.50")
    assert sum(Decimal(entry["Amount"]) for entry in entries) == Decimal(row["Net"])
    assert {entry["Order"] for entry in entries} == {paid.number}
    assert "".join(report_lines(tax_report(**asked))).count("\r\n") == 2
    assert "".join(entry_lines(tax_entries(**asked))).count("\r\n") == len(entries) + 1


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_the_figures_and_the_orders_behind_them(
    paid: Order, staff_user: User, client: Client, now: datetime
) -> None:
    client.force_login(staff_user)
    address = f"/admin/orders/order/taxes/?date_from={now:%Y-%m-%d}&date_to={now:%Y-%m-%d}"

    page = client.get(address)
    behind = client.get(
        "/admin/orders/order/taxes/" + page.context["rows"][0]["url"].partition("#")[0]
    )
    files = [client.get(f"{address}&file={name}") for name in ("report", "entries")]

    assert page.status_code == 200
    assert page.context["rows"][0]["net"] == "$5.50"
    assert paid.number not in page.content.decode()
    assert paid.number in behind.content.decode()
    assert [b"".join(file.streaming_content).count(b"\r\n") for file in files] == [2, 4]
    assert client.get("/admin/orders/order/taxes/?date_from=soon").status_code == 200


def test_the_page_is_for_those_who_may_see_orders(client: Client, company: Company) -> None:
    client.force_login(factories.make_staff(is_superuser=False))

    assert client.get("/admin/orders/order/taxes/").status_code == 403
