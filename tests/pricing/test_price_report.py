"""The report of prices: how they moved in a period, by variant and by category, as JSON and as a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.platform.actor import Actor
from inventory.models import Category, Company, Product, Variant
from pricing import services
from pricing.models import CustomerGroup, Price, PriceChange
from pricing.selectors.reports import Moved, price_report
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def moved(variant: Variant, *steps: tuple[str | None, str, float]) -> None:
    """Write the history of a price: (old, new, days after the first of March)."""
    PriceChange.objects.bulk_create(
        PriceChange(
            variant=variant,
            currency="USD",
            old_amount=None if old is None else Decimal(old),
            new_amount=Decimal(new),
            actor="system",
            changed_at=START + days * DAY,
        )
        for old, new, days in steps
    )


def report(staff: Actor, **asked: Any) -> list[Moved]:
    """The first ten days of March."""
    return list(
        price_report(
            **{
                "actor": staff,
                "first": START.date(),
                "last": (START + 9 * DAY).date(),
                "currency": "USD",
                "now": START + 100 * DAY,
                **asked,
            }
        )
    )


def one(staff: Actor, **asked: Any) -> Moved:
    (row,) = report(staff, **asked)
    return row


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("12.00", sku="MUG")


def test_a_mean_over_time_weighs_by_how_long_a_price_held(staff: Actor, variant: Variant) -> None:
    moved(variant, (None, "10.00", -20), ("10.00", "20.00", 8), ("20.00", "12.00", 30))

    row = one(staff)

    assert (row.sku, row.changes) == ("MUG", 1)
    assert (row.first, row.last) == (Decimal("10.00"), Decimal("20.00"))
    assert (row.lowest, row.highest, row.average) == (
        Decimal("10.00"), Decimal("20.00"), Decimal("15.00"),
    )  # fmt: skip
    assert row.weighted == Decimal("12.00")  # (8 × 10 + 2 × 20) ÷ 10


@pytest.mark.parametrize(
    ("steps", "weighted", "changes"),
    [
        ([(None, "10.00", -5)], "10.00", 0),
        ([(None, "10.00", 5)], "10.00", 1),  # it had no price before
        ([("30.00", "10.00", 5)], "20.00", 1),  # the first that is known names what was before
        (
            [("30.00", "10.00", 0)],
            "10.00",
            0,
        ),  # at the very beginning: that is the price of the period
        ([("10.00", "30.00", 10)], "10.00", 0),  # changed after the end only
        ([(None, "10.00", -5), ("10.00", "10.00", 4)], "10.00", 0),  # only the former price changed
        ([], "12.00", 0),  # no history: what it costs now
    ],
)
def test_the_edges_of_a_period(
    staff: Actor,
    variant: Variant,
    steps: list[tuple[str | None, str, float]],
    weighted: str,
    changes: int,
) -> None:
    moved(variant, *steps)

    row = one(staff)

    assert (row.weighted, row.changes) == (Decimal(weighted), changes)


def test_a_period_that_runs_ends_now(staff: Actor, variant: Variant) -> None:
    moved(variant, (None, "10.00", -5), ("10.00", "20.00", 1))

    assert one(staff, now=START + 2 * DAY).weighted == Decimal("15.00")


def test_categories_sum_up_what_is_in_them_and_below(
    staff: Actor, company: Company, variant: Variant
) -> None:
    top = Category.objects.create(company=company, name="Kitchen", slug="kitchen")
    cups = Category.objects.create(company=company, name="Cups", slug="cups", parent=top)
    Product.objects.filter(pk=variant.product_id).update(category=cups)
    bowl = factories.make_priced_variant("30.00", sku="BOWL")
    Product.objects.filter(pk=bowl.product_id).update(category=cups)
    factories.make_priced_variant("99.00", sku="OTHER")
    moved(variant, (None, "10.00", -5))
    moved(bowl, (None, "30.00", -5), ("30.00", "40.00", 5))

    row = one(staff, by="category", category="kitchen")

    assert (row.sku, row.name, row.changes, row.weighted) == ("", "Cups", 1, Decimal("22.5"))
    assert {found.sku for found in report(staff, category="kitchen")} == {"MUG", "BOWL"}
    assert [found.sku for found in report(staff, product="BOWL")] == ["BOWL"]
    assert report(staff, category="nowhere") == []


def test_other_companies_currencies_and_special_prices_are_left_out(
    staff: Actor, variant: Variant
) -> None:
    moved(variant, (None, "10.00", -5))
    PriceChange.objects.create(
        variant=variant, currency="EUR", new_amount=Decimal(1), actor="x", changed_at=START
    )
    PriceChange.objects.create(
        variant=variant,
        currency="USD",
        new_amount=Decimal(1),
        special_id=variant.id,
        actor="x",
        changed_at=START + DAY,
    )
    foreign = factories.make_company()

    assert one(staff).lowest == Decimal("10.00")
    assert [row.lowest for row in report(staff, currency="EUR")] == [Decimal(1)]
    assert report(Actor.system(foreign.id)) == []


def test_it_is_one_statement_for_any_number_of_variants(staff: Actor, variant: Variant) -> None:
    for number in range(30):
        moved(factories.make_priced_variant("5.00", sku=f"N{number}"), (None, "5.00", -1))

    with CaptureQueriesContext(connection) as queries:
        assert len(report(staff)) == 31

    assert len(queries) == 1


def test_the_api_tells_it_and_writes_a_file_no_spreadsheet_runs(
    staff_api: Api, api: Api, variant: Variant
) -> None:
    Product.objects.filter(pk=variant.product_id).update(name="=cmd()")
    moved(variant, (None, "10.00", -20), ("10.00", "20.00", 8))
    period = "?dateFrom=2026-03-01&dateTo=2026-03-10"

    told = staff_api.get(f"/products/pricing/report{period}")
    assert told.status_code == 200, told.content
    (row,) = told.json()["rows"]
    assert (row["sku"], row["changes"], row["weightedPrice"]) == ("MUG", 1, "12.00")
    file = staff_api.get(f"/products/pricing/report/file{period}")
    text = b"".join(file.streaming_content).decode()
    _, cells = csv.reader(io.StringIO(text))
    assert cells[0] == "MUG"
    assert not cells[1].startswith("=")
    assert cells[4:] == [
        "1", "10.00", "20.00", "10.00", "20.00", "15.00", "12.00", "base", "1", "",
    ]  # fmt: skip

    for caller in (api.as_user(factories.make_user()), api.as_user(factories.make_staff(is_superuser=False))):  # fmt: skip
        assert caller.get(f"/products/pricing/report{period}").status_code == 403
        assert caller.get(f"/products/pricing/report/file{period}").status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "dateFrom=2026-03-10&dateTo=2026-03-01",
        "dateFrom=1990-01-01",
        "dateFrom=soon",
        "currency=XYZ",
        "by=moon",
    ],
)
def test_a_report_that_cannot_be_is_refused(staff_api: Api, query: str) -> None:
    refused = staff_api.get(f"/products/pricing/report?{query}")

    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")


def test_the_price_that_is_there_is_not_touched(staff: Actor, variant: Variant) -> None:
    report(staff)

    assert Price.objects.get(variant=variant).amount == Decimal("12.00")


# --- for staff ------------------------------------------------------------------------------------


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(factories.make_user(is_staff=True, is_superuser=True))
    return client


PAGE = "/admin/pricing/pricechange/report/"
MARCH = {"date_from": "2026-03-01", "date_to": "2026-03-10", "currency": "USD"}


def test_the_page_shows_what_moved(office: Client) -> None:
    fallen = factories.make_priced_variant("8.00", sku="FALLEN")
    moved(fallen, (None, "10.00", -5), ("10.00", "8.00", 5))

    page = office.get(PAGE, MARCH)

    words = page.content.decode()
    assert page.status_code == 200
    assert "−20.0 %" in words
    assert "?q=FALLEN" in words
    assert "1 change<" in words
    (row,) = page.context["rows"]
    assert (row["first"], row["last"], row["weighted"]) == ("$10.00", "$8.00", "$9.00")


def test_the_page_gives_the_same_as_a_file(office: Client) -> None:
    moved(
        factories.make_priced_variant("8.00", sku="FALLEN"),
        (None, "10.00", -5),
        ("10.00", "8.00", 5),
    )

    answer = office.get(PAGE, {**MARCH, "by": "category", "file": "1"})

    rows = list(csv.reader(io.StringIO(answer.getvalue().decode())))
    assert len(rows) == 2
    assert rows[1][4:8] == ["1", "10.00", "8.00", "8.00"]


@pytest.mark.parametrize(
    "asked",
    [
        {"date_from": "2026-03-10", "date_to": "2026-03-01"},
        {"date_from": "yesterday"},
        {"date_from": "2026-02-31"},
        {"date_from": "1999-01-01"},
        {"category": "nowhere", "by": "nothing", "currency": "💶"},
    ],
)
def test_nonsense_is_answered_with_the_month_so_far(office: Client, asked: dict[str, str]) -> None:
    page = office.get(PAGE, asked)

    assert page.status_code == 200
    assert ("make no period" in page.content.decode()) == any("date" in name for name in asked)


def test_the_page_is_for_staff_who_may_see_prices(company: Company) -> None:
    client = Client()
    assert client.get(PAGE).status_code == 302
    client.force_login(factories.make_user(is_staff=True))
    assert client.get(PAGE).status_code == 403


# --- prices beside the base price -----------------------------------------------------------------


def beside(variant: Variant, amount: str, begins: float, ends: float | None, **fields: Any) -> None:
    factories.make_special_price(
        variant,
        amount,
        starts_at=START + begins * DAY,
        ends_at=None if ends is None else START + ends * DAY,
        **fields,
    )


def test_scheduled_prices_breaks_and_prices_of_groups_have_rows_of_their_own(
    staff: Actor, company: Company, variant: Variant
) -> None:
    trade = CustomerGroup.objects.create(company=company, name="Trade")
    moved(variant, (None, "10.00", -20))
    beside(variant, "8.00", 2, 4)
    beside(variant, "6.00", 4, 10)
    beside(variant, "9.00", -5, None, from_quantity=5)
    beside(variant, "7.00", -5, 5, group=trade)
    beside(variant, "6.50", 5, None, group=trade, from_quantity=10)
    beside(variant, "1.00", -9, -8)  # over before
    beside(variant, "1.00", 11, None)  # not yet
    beside(variant, "1.00", 2, 4, currency="EUR", from_quantity=2)

    rows = report(staff)

    assert [(r.kind, r.from_quantity, r.group, r.changes, r.first, r.last) for r in rows] == [
        ("base", 1, "", 0, Decimal(10), Decimal(10)),
        ("scheduled", 1, "", 3, Decimal(8), Decimal(6)),  # begins, ends as the next one begins
        ("break", 5, "", 0, Decimal(9), Decimal(9)),
        ("group", 1, "Trade", 1, Decimal(7), None),
        ("group_break", 10, "Trade", 1, Decimal("6.50"), Decimal("6.50")),
    ]
    scheduled = rows[1]
    assert (scheduled.lowest, scheduled.highest, scheduled.average) == (6, 8, 7)
    assert scheduled.weighted == Decimal("6.5")  # (2 × 8 + 6 × 6) ÷ 8
    assert [r.kind for r in report(staff, prices="base")] == ["base"]
    assert [r.kind for r in report(staff, prices="special")] == [r.kind for r in rows[1:]]
    assert {r.kind for r in report(staff, by="category")} == {r.kind for r in rows}
    with CaptureQueriesContext(connection) as queries:
        report(staff)
    assert len(queries) == 1


def test_the_labels_stand_in_json_file_page_and_history(
    staff_api: Api, office: Client, company: Company, variant: Variant, system: Actor
) -> None:
    trade = CustomerGroup.objects.create(company=company, name="=Trade()")
    moved(variant, (None, "10.00", -20))
    beside(variant, "7.00", -5, 5, group=trade, from_quantity=3)
    period = "?dateFrom=2026-03-01&dateTo=2026-03-10&prices=special"

    (row,) = staff_api.get(f"/products/pricing/report{period}").json()["rows"]
    file = staff_api.get(f"/products/pricing/report/file{period}")
    _, cells = csv.reader(io.StringIO(b"".join(file.streaming_content).decode()))
    page = office.get(PAGE, MARCH).content.decode()
    terms = services.SpecialTerms(
        variant_id=variant.id, currency="USD", amount=Decimal(9), from_quantity=5
    )
    services.set_special_price(actor=system, terms=terms, now=timezone.now())
    (change, *_) = staff_api.get("/price-changes").json()["results"]
    listed = office.get("/admin/pricing/pricechange/").content.decode()

    assert (row["kind"], row["fromQuantity"], row["group"]) == ("group_break", 3, "=Trade()")
    assert (row["lastPrice"], row["weightedPrice"]) == (None, "7.00")
    assert cells[11:13] == ["group_break", "3"]
    assert not cells[13].startswith("=")
    assert "of a group, by quantity, =Trade(), from 3 on" in page
    assert (change["kind"], change["fromQuantity"]) == ("break", 5)
    assert "by quantity" in listed
    assert staff_api.get("/products/pricing/report?prices=none").status_code == 400
