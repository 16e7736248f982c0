"""Work at the shelves over HTTP, and the figures of stock against numbers reckoned by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import AuditEntry, new_id
from inventory import selectors
from inventory.models import Category, Reservation, StockLevel, StockMovement, Variant
from tests.conftest import Api
from tests.factories import make_company, make_product, make_stock, make_variant, make_warehouse
from tests.inventory.test_services import snapshot
from tests.inventory.test_shelves import hold

pytestmark = pytest.mark.django_db

VERBS: dict[str, dict[str, Any]] = {
    "receive": {"quantity": 3},
    "transfer": {"quantity": 3, "warehouse": "EAST"},
    "count": {"quantity": 3},
    "damage": {"quantity": 3},
}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


@pytest.fixture
def level(company: Any) -> StockLevel:
    make_warehouse(code="EAST")
    return make_variant(available=10, sku="MUG").stock_levels.get()


@pytest.mark.parametrize("verb", VERBS)
def test_only_staff_of_the_company_work_at_its_shelves(
    api: Api, guest_api: Api, user_api: Api, staff_api: Api, level: StockLevel, verb: str
) -> None:
    foreign = make_variant(company=make_company(), available=5).stock_levels.get()
    before = snapshot()

    for path in (f"/inventory/{level.id}/{verb}", "/inventory/receive"):
        assert code(api.post(path, VERBS[verb])) == (401, "AUTH_REQUIRED")
        assert code(guest_api.post(path, VERBS[verb])) == (401, "AUTH_REQUIRED")
        assert code(user_api.post(path, VERBS[verb])) == (403, "FORBIDDEN")
    for unknown in (foreign.id, new_id()):
        refused = staff_api.post(f"/inventory/{unknown}/{verb}", VERBS[verb])
        assert code(refused) == (404, "NOT_FOUND")
    assert snapshot() == before


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "change",
    [
        {"quantity": -1}, {"quantity": "3"}, {"quantity": None}, {"quantity": 1.5}, {"quantity": 2**63},
        {"quantity": True}, {"surprise": 1}, {"notes": "a\u0000b"}, {"reference": "x" * 201}, {"notes": 5},
        {"warehouse": ["EAST"], "releaseHolds": "yes", "seen": -1},
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_changes_nothing(
    staff_api: Api, level: StockLevel, verb: str, change: dict[str, Any]
) -> None:
    before = snapshot()

    response = staff_api.post(f"/inventory/{level.id}/{verb}", {**VERBS[verb], **change})

    assert response.status_code == 400, response.content
    assert response.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}
    assert snapshot() == before


def test_a_transfer_answers_both_records_and_is_done_once_per_key(
    staff_api: Api, level: StockLevel
) -> None:
    path, body = f"/inventory/{level.id}/transfer", {"quantity": 4, "warehouse": "EAST"}

    first = staff_api.post(path, body, key="van")
    again = staff_api.post(path, body, key="van")

    assert first.status_code == 200, first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    records = first.json()
    source, target = records["sourceRecord"], records["targetRecord"]
    assert (source["warehouse"], source["total"]) == ("MAIN", 6)
    assert (target["warehouse"], target["total"]) == ("EAST", 4)
    assert StockMovement.objects.filter(type="ADJUSTMENT").count() == 2
    assert code(staff_api.post(path, {"quantity": 7, "warehouse": "EAST"})) == (
        409,
        "STOCK_BELOW_HOLDS",
    )
    assert code(staff_api.post(path, {"quantity": 1, "warehouse": "NO"})) == (
        404,
        "WAREHOUSE_NOT_FOUND",
    )
    refused = staff_api.post(path, {"quantity": 1, "warehouse": "MAIN"}).json()
    assert [error["field"] for error in refused["errors"]] == ["warehouse"]


def test_a_count_names_what_moved_and_what_is_held(
    staff_api: Api, level: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    path = f"/inventory/{level.id}/count"
    hold(actor_guest, level.variant, 4, now)

    assert staff_api.post(path, {"quantity": 8, "seen": 10}).json()["available"] == 4
    assert code(staff_api.post(path, {"quantity": 7, "seen": 10})) == (409, "STOCK_CHANGED")
    assert code(staff_api.post(path, {"quantity": 3})) == (409, "STOCK_BELOW_HOLDS")
    assert StockLevel.objects.get(id=level.id).total == 8


def test_damage_says_who_holds_what_is_in_the_way(
    staff_api: Api, level: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    path = f"/inventory/{level.id}/damage"
    hold(actor_guest, level.variant, 9, now)

    refused = staff_api.post(path, {"quantity": 2})
    assert code(refused) == (409, "STOCK_BELOW_HOLDS")
    assert refused.json()["extra"]["holds"][0]["id"] == str(Reservation.objects.get().id)

    done = staff_api.post(path, {"quantity": 2, "releaseHolds": True, "notes": "wet"})
    assert (done.status_code, done.json()["available"], done.json()["reserved"]) == (200, 8, 0)


def test_a_delivery_is_received_whole_or_not_at_all(staff_api: Api, level: StockLevel) -> None:
    lines = [{"sku": "MUG", "quantity": 5}, {"sku": "NONE", "quantity": 1}]
    before = snapshot()

    refused = staff_api.post("/inventory/receive", {"reference": "PO-1", "lines": lines})
    assert code(refused) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in refused.json()["errors"]] == ["lines.1.sku"]
    assert snapshot() == before

    done = staff_api.post("/inventory/receive", {"warehouse": "EAST", "lines": lines[:1]})
    [change] = done.json()["results"]
    assert (change["sku"], change["warehouse"]) == ("MUG", "EAST")
    assert (change["before"]["total"], change["after"]["total"]) == (0, 5)
    entry = AuditEntry.objects.get(action="stock.received")
    assert (entry.source, entry.after) == ("api", {"available": 5, "total": 5})


def test_the_transactions_of_a_record_come_in_pages(staff_api: Api, level: StockLevel) -> None:
    for _ in range(4):
        staff_api.post(f"/inventory/{level.id}/receive", {"quantity": 1})

    seen, path = [], f"/inventory/{level.id}/transactions?limit=2"
    while path:
        body = staff_api.get(path).json()
        assert len(body["results"]) <= 2
        seen += [row["balance"] for row in body["results"]]
        path = body["next"] and body["next"].removeprefix("http://testserver")

    assert seen == [14, 13, 12, 11, 10]


# --- figures, reckoned by hand ----------------------------------------------------------------


def moved(level: StockLevel, type: str, quantity: int, at: datetime) -> None:
    """Write one movement of the past and what it did to the shelf."""
    level.total += quantity
    level.available += quantity
    level.save()
    StockMovement.objects.create(
        company=level.company,
        stock_level=level,
        variant=level.variant,
        type=type,
        quantity=quantity,
        balance=level.total,
        actor="system",
        source="test",
        created_at=at,
    )


def ended(level: StockLevel, status: str, at: datetime) -> None:
    held = Reservation.objects.create(
        company=level.company,
        stock_level=level,
        variant=level.variant,
        line_id=new_id(),
        holder="test",
        quantity=1,
        status=status,
        started_at=at,
        expires_at=at + timedelta(minutes=15),
    )
    Reservation.objects.filter(pk=held.pk).update(created_at=at)


def a_month(now: datetime, variant: Variant | None = None) -> StockLevel:
    """60 units before the window; in it 20 bought, 30 sold, 5 returned, 5 broken: 50 are left."""
    level = make_stock(variant or make_variant(available=None), 0)
    moved(level, "PURCHASE", 100, now - timedelta(days=50))
    moved(level, "SALE", -40, now - timedelta(days=31))
    moved(level, "PURCHASE", 20, now - timedelta(days=29))
    moved(level, "SALE", -25, now - timedelta(days=20))
    moved(level, "SALE", -5, now - timedelta(days=1))
    moved(level, "RETURN", 5, now - timedelta(days=1))
    moved(level, "DAMAGE", -5, now - timedelta(days=1))
    return level


def test_analytics_agree_with_a_pencil(staff_api: Api, staff: Actor, now: datetime) -> None:
    level = a_month(now)
    StockLevel.objects.filter(pk=level.pk).update(available=40, reserved=10)
    for status, days in (
        ("EXPIRED", 40), ("EXPIRED", 10), ("COMPLETED", 10), ("COMPLETED", 2), ("CANCELLED", 2),
    ):  # fmt: skip
        ended(level, status, now - timedelta(days=days))
    other = make_stock(make_variant(company=make_company(), available=None), 0)
    moved(other, "RETURN", 7, now - timedelta(days=1))

    body = staff_api.get("/products/inventory/analytics?days=30").json()

    # turnover: 30 sold, of an average of (60 + 50) / 2 = 55. cover: 50 left at 30 in 30 days.
    # holds: of four that began in the window and ended, one ran out.
    assert body == {
        "days": 30, "unitsOnShelf": 50, "unitsReserved": 10, "unitsOwed": 0, "unitsSold": 30, "unitsReturned": 5,
        "reservedPercent": 20, "expiredHoldPercent": 25, "turnoverPercent": 55, "daysOfCover": 50,
    }  # fmt: skip
    week = staff_api.get("/products/inventory/analytics?days=7").json()
    # 5 sold in 7 days; 55 lay there a week ago: 5 of 52.5. 50 left at 5 a week last 70 days.
    assert (week["unitsSold"], week["turnoverPercent"], week["daysOfCover"]) == (5, 10, 70)


def test_the_overview_agrees_with_a_pencil(staff: Actor, now: datetime) -> None:
    galley = Category.objects.create(company_id=staff.company_id, slug="galley", name="Galley")
    a_month(now, make_variant(available=None, product=make_product(category=galley)))
    make_variant(available=0)
    moved(make_stock(make_variant(available=None), 0), "PURCHASE", 9, now - timedelta(days=60))
    quick = make_stock(make_variant(available=None), 0)
    moved(quick, "PURCHASE", 36, now - timedelta(days=3))
    moved(quick, "SALE", -30, now - timedelta(days=2))
    make_variant(available=5, product=make_product(status="discontinued"))
    day = now - timedelta(days=2)
    for status in ("EXPIRED", "COMPLETED", "COMPLETED", "CANCELLED"):
        ended(quick, status, day)

    overview = selectors.stock_overview(actor=staff, now=now)

    assert (overview.units, overview.sold, overview.shelves, overview.out) == (65, 60, 4, 1)
    assert {band.name: band.shelves for band in overview.cover} == {
        "none": 1, "week": 1, "fortnight": 0, "month": 0, "quarter": 1, "long": 0, "still": 1,
    }  # fmt: skip
    rows = {
        row.category_id: (row.units, row.sold, row.turnover_percent) for row in overview.categories
    }
    # without a category: 15 lie there and 9 did a month ago: 30 of an average of 12
    assert rows == {galley.id: (50, 30, 55), None: (15, 30, 250)}
    assert len(overview.holds) == 30
    assert [(row.ended, row.expired, row.percent) for row in overview.holds if row.ended] == [
        (4, 1, 25)
    ]
    assert (overview.ended, overview.expired) == (4, 1)
    for band in overview.cover:
        ids = selectors.shelves_of_cover(actor=staff, band=band.name, now=now)
        assert StockLevel.objects.filter(pk__in=ids).count() == band.shelves


@pytest.mark.parametrize(
    ("total", "sold", "band"),
    [(0, 5, "none"), (5, 0, "still"), (6, 30, "week"), (7, 30, "fortnight"), (13, 30, "fortnight"),
     (14, 30, "month"), (29, 30, "month"), (30, 30, "quarter"), (89, 30, "quarter"), (90, 30, "long")],
)  # fmt: skip
def test_bands_of_cover_are_half_open(
    staff: Actor, now: datetime, total: int, sold: int, band: str
) -> None:
    level = make_stock(make_variant(available=None), 0)
    moved(level, "PURCHASE", total + sold, now - timedelta(days=2))
    if sold:
        moved(level, "SALE", -sold, now - timedelta(days=1))

    overview = selectors.stock_overview(actor=staff, now=now)

    assert [row.name for row in overview.cover if row.shelves] == [band]


def test_the_overview_costs_the_same_for_any_number_of_shelves(staff: Actor, now: datetime) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            selectors.stock_overview(actor=staff, now=now)
        return len(queries)

    a_month(now)
    first = cost()
    for _ in range(5):
        a_month(now)
    assert cost() == first == 2


def test_a_timeline_runs_over_all_warehouses(staff: Actor, now: datetime) -> None:
    variant = make_variant(available=None)
    main, east = make_stock(variant, 0), make_stock(variant, 0, warehouse=make_warehouse())
    moved(main, "PURCHASE", 10, now - timedelta(days=9))
    moved(east, "PURCHASE", 5, now - timedelta(days=4))
    moved(main, "SALE", -3, now - timedelta(days=4))
    a_month(now)

    rows = selectors.sku_movements(actor=staff, variant_id=variant.id)
    totals = selectors.daily_totals(actor=staff, variant_id=variant.id, now=now, days=10)

    assert [(row.quantity, row.running) for row in rows] == [(-3, 12), (5, 15), (10, 10)]
    assert [(day - now.date()).days for day, _ in totals] == list(range(-9, 1))
    assert [total for _, total in totals] == [10, 10, 10, 10, 10, 12, 12, 12, 12, 12]
