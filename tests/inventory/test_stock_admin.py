"""The work of those who handle stock: every screen answers, previews change nothing, refusals stand beside their field."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.models import AuditEntry, User
from inventory import services as inventory
from inventory.models import Category, Company, Reservation, StockLevel, StockMovement, Warehouse
from tests.factories import (
    default_warehouse,
    make_company,
    make_product,
    make_staff,
    make_stock,
    make_variant,
    make_warehouse,
)
from tests.inventory.test_services import snapshot
from tests.inventory.test_shelves import hold, owe
from tests.inventory.test_stock_api import a_month, ended

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
LIST = "admin:inventory_stocklevel_changelist"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def clerk(*rights: str) -> Client:
    """Return somebody of the staff who may do exactly this: `view_stocklevel`, `operate_stock` …"""
    user = make_staff(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return signed_in(user)


@pytest.fixture
def office(company: Company) -> Client:
    return signed_in(make_staff(is_superuser=True))


@pytest.fixture
def counter(company: Company) -> Client:
    """Return somebody who may handle stock and edit nothing."""
    return clerk("view_stocklevel", "operate_stock")


@pytest.fixture
def mug(company: Company) -> StockLevel:
    make_warehouse(code="EAST")
    return make_variant(available=42, sku="MUG").stock_levels.get()


def page(verb: str, *levels: StockLevel) -> str:
    query = "&".join(f"shelf={level.pk}" for level in levels)
    return reverse(f"admin:inventory_stocklevel_{verb}") + (f"?{query}" if query else "")


def typed(entries: dict[StockLevel, Any], step: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a work page: what was typed for each shelf, and the total it was seen with."""
    return {
        "step": step,
        "shelf": [str(level.pk) for level in entries],
        **{f"quantity-{level.pk}": number for level, number in entries.items()},
        **{f"seen-{level.pk}": level.total for level in entries},
        **fields,
    }


def words(response: Any) -> str:
    """Return a page as somebody reads it."""
    text = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# --- one kind of work after the other ---------------------------------------------------------

WORK: dict[str, tuple[int, dict[str, str], str, int]] = {
    "adjust": (-5, {"type": "ADJUSTMENT", "notes": "found broken"}, "42 → 37", 37),
    "receive": (8, {"reference": "PO-1"}, "42 → 50", 50),
    "transfer": (2, {"warehouse": "EAST"}, "42 → 40", 40),
    "count": (37, {}, "42 → 37", 37),
    "damage": (3, {"notes": "wet"}, "42 → 39", 39),
}


@pytest.mark.parametrize("verb", WORK)
def test_work_is_shown_before_it_is_applied_and_applied_once(
    counter: Client, mug: StockLevel, verb: str
) -> None:
    number, fields, effect, total = WORK[verb]
    before = snapshot(), AuditEntry.objects.count(), StockLevel.objects.count()
    address = page(verb)

    assert "MUG" in words(counter.get(page(verb, mug)))
    shown = counter.post(address, typed({mug: number}, "preview", **fields))
    assert shown.status_code == 200
    assert effect in words(shown)
    assert (snapshot(), AuditEntry.objects.count(), StockLevel.objects.count()) == before

    body = typed({mug: number}, "apply", key="0123456789abcdef", **fields)
    done, again = counter.post(address, body), counter.post(address, body)
    assert (done.status_code, again.status_code) == (302, 302)
    assert StockLevel.objects.get(pk=mug.pk).total == total
    moved = StockMovement.objects.filter(stock_level=mug).exclude(source="test")
    assert moved.count() == 1
    assert moved.get().actor.startswith("staff:")
    assert AuditEntry.objects.filter(object_type="stock_level", object_id=str(mug.pk)).count() == 1


@pytest.mark.parametrize("verb", WORK)
def test_nothing_is_written_by_somebody_who_may_not(mug: StockLevel, verb: str) -> None:
    number, fields, _effect, _total = WORK[verb]
    before = snapshot()

    for rights in (("view_stocklevel", "change_stocklevel"), ("operate_stock",), ()):
        stranger = clerk(*rights)
        assert stranger.get(page(verb, mug)).status_code == 403
        body = typed({mug: number}, "apply", **fields)
        assert stranger.post(page(verb), body).status_code == 403
    assert Client().get(page(verb, mug)).status_code == 302
    assert snapshot() == before


def test_who_may_operate_stock_may_edit_no_figures_and_no_products(
    counter: Client, mug: StockLevel
) -> None:
    change = reverse("admin:inventory_stocklevel_change", args=[mug.pk])
    product = reverse("admin:inventory_product_change", args=[mug.variant.product_id])

    assert counter.get(change).status_code == 200
    assert counter.post(change, {"reorder_level": 99}).status_code == 403
    assert counter.get(product).status_code == 403
    assert StockLevel.objects.get(pk=mug.pk).reorder_level == 0


@pytest.mark.parametrize(
    ("verb", "number", "fields", "refusal"),
    [
        ("adjust", "-43", {"type": "ADJUSTMENT", "notes": "x"}, "39 of MUG are free, 3 are promised."),
        ("adjust", "0", {"type": "ADJUSTMENT", "notes": "x"}, "A number other than 0"),
        ("adjust", "5", {"type": "DAMAGE", "notes": "x"}, "DAMAGE needs a negative number."),
        ("adjust", "5", {"type": "ADJUSTMENT"}, "This field is required."),
        ("adjust", "five", {"type": "ADJUSTMENT", "notes": "x"}, "Enter a whole number."),
        ("adjust", "", {"type": "ADJUSTMENT", "notes": "x"}, "Enter a number for at least one shelf."),
        ("adjust", "1" * 30, {"type": "ADJUSTMENT", "notes": "x"}, "Enter a whole number."),
        ("receive", "-1", {}, "Enter a whole number."),
        ("transfer", "40", {"warehouse": "EAST"}, "39 of MUG are free, 3 are promised."),
        ("transfer", "1", {"warehouse": "MAIN"}, "These units are in MAIN already."),
        ("transfer", "1", {"warehouse": "NOWHERE"}, "Select a valid choice."),
        ("count", "2", {}, "3 of MUG are promised, so fewer cannot lie there."),
        ("count", "-2", {}, "Enter a whole number."),
        ("damage", "40", {"notes": "wet"}, "39 of MUG are free, 3 are promised."),
        ("damage", "1", {"notes": "x" * 501}, "at most 500 characters"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", ["preview", "apply"])
def test_refusals_are_shown_and_nothing_is_written(
    counter: Client,
    mug: StockLevel,
    actor_guest: Actor,
    now: datetime,
    step: str,
    verb: str,
    number: str,
    fields: dict[str, str],
    refusal: str,
) -> None:
    hold(actor_guest, mug.variant, 3, now)
    before = snapshot(), AuditEntry.objects.count()

    response = counter.post(page(verb), typed({mug: number}, step, **fields))

    assert response.status_code == 200
    assert refusal in words(response)
    assert (snapshot(), AuditEntry.objects.count()) == before


def test_a_refusal_stands_beside_its_shelf_and_stops_the_others(
    counter: Client, mug: StockLevel
) -> None:
    cap = make_variant(available=1, sku="CAP").stock_levels.get()

    response = counter.post(page("transfer"), typed({mug: 2, cap: 2}, "apply", warehouse="EAST"))

    rows = {row.level.variant.sku: row.error for row in response.context["rows"]}
    assert rows == {"MUG": "", "CAP": "1 of CAP are free, 0 are promised."}
    assert f'aria-describedby="why-{cap.pk}"' in response.content.decode()
    assert StockLevel.objects.get(pk=mug.pk).total == 42


def test_damage_shows_that_it_gives_up_holds(
    counter: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    hold(actor_guest, mug.variant, 40, now)
    body = typed({mug: 5}, "preview", notes="wet", release_holds="on")

    assert "held 40 → 0" in words(counter.post(page("damage"), body))
    assert Reservation.objects.get().status == "ACTIVE"

    counter.post(page("damage"), {**body, "step": "apply"})
    assert Reservation.objects.get().status == "CANCELLED"


def test_a_transfer_suggests_another_warehouse_than_the_one_it_leaves(
    counter: Client, mug: StockLevel
) -> None:
    shown = counter.get(page("transfer", mug)).content.decode()

    assert re.search(r'<option value="EAST"\s+selected', shown)


def test_a_transfer_shows_the_shelf_it_goes_to(counter: Client, mug: StockLevel) -> None:
    shown = counter.post(page("transfer"), typed({mug: 2}, "preview", warehouse="EAST"))

    assert "0 → 2" in words(shown)
    assert not StockLevel.objects.filter(warehouse__code="EAST").exists()


def test_shelves_of_another_company_are_not_there(counter: Client, mug: StockLevel) -> None:
    foreign = make_variant(company=make_company(), available=5, sku="THEIRS").stock_levels.get()
    before = snapshot()

    assert "THEIRS" not in words(counter.get(page("count", foreign, mug)))
    counter.post(page("count"), typed({foreign: 1}, "apply"))
    timeline = reverse("admin:inventory_stocklevel_timeline", args=[foreign.variant_id])
    assert counter.get(timeline).status_code == 404
    assert snapshot() == before


@pytest.mark.parametrize("text", ["not-a-uuid", "' or 1=1", ""])
def test_nonsense_in_an_address_is_no_shelf(counter: Client, company: Company, text: str) -> None:
    for verb in WORK:
        assert counter.get(page(verb), {"shelf": text}).status_code == 200
    assert counter.get(page("count"), {"warehouse": text, "category": text, "after": text}).status_code == 200  # fmt: skip
    assert counter.get(page("figures"), {"days": text}).status_code == 200
    assert counter.get(page("delivery"), {"shelf": text}).status_code == 200


# --- the list ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", WORK)
def test_chosen_rows_go_to_the_page_of_the_work(
    counter: Client, mug: StockLevel, verb: str
) -> None:
    response = counter.post(
        reverse(LIST), {"action": f"{verb}_chosen", "_selected_action": [str(mug.pk)]}
    )

    assert response.status_code == 302
    assert response.headers["Location"] == page(verb, mug)


def test_actions_are_not_offered_to_those_who_may_only_look(mug: StockLevel) -> None:
    looker = clerk("view_stocklevel")

    response = looker.get(reverse(LIST))
    assert response.status_code == 200
    assert "transfer_chosen" not in response.content.decode()
    assert "delete_selected" not in response.content.decode()
    looker.post(reverse(LIST), {"action": "count_chosen", "_selected_action": [str(mug.pk)]})
    for name in ("delivery", *WORK):
        assert looker.get(page(name)).status_code == 403


def test_the_list_says_how_long_a_shelf_lasts_and_filters_by_it(
    office: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    sold = a_month(now, make_variant(available=None, sku="SOLD"))
    make_variant(available=0, sku="OUT")
    owed = make_variant(available=0, sku="OWED", inventory_policy="continue")
    owe(actor_guest, owed, 2, now)

    def listed(**query: str) -> list[str]:
        response = office.get(reverse(LIST), query)
        assert response.status_code == 200
        return [level.variant.sku for level in response.context["cl"].result_list]

    response = office.get(reverse(LIST))
    lasting = {level.variant.sku: level.lasts for level in response.context["cl"].result_list}
    assert lasting == {"MUG": None, "SOLD": 50, "OUT": None, "OWED": None}
    assert listed(q="MU") == ["MUG"]
    assert listed(cover="quarter") == ["SOLD"]
    assert listed(cover="nonsense") == ["MUG", "OUT", "OWED", "SOLD"]
    assert listed(stock="out") == ["OUT", "OWED"]
    assert listed(stock="owed") == ["OWED"]
    assert listed(stock="low") == ["OUT", "OWED"]
    assert listed(warehouse__id__exact=str(sold.warehouse_id), q="SOLD") == ["SOLD"]


def queries_of(client: Client, address: str, **query: Any) -> int:
    client.get(address, query)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address, query).status_code == 200
    return len(queries)


def test_a_list_of_100_costs_as_much_as_one_of_10(office: Client, company: Company) -> None:
    category = Category.objects.create(company=company, slug="galley", name="Galley")
    place = default_warehouse()
    pages = [
        (reverse(LIST), {}),
        (reverse("admin:inventory_stocklevel_count"), {"warehouse": str(place.pk)}),
        (reverse("admin:inventory_stocklevel_figures"), {}),
    ]

    def grow(count: int) -> list[int]:
        for _ in range(count):
            make_variant(available=1, product=make_product(category=category))
        return [queries_of(office, address, **query) for address, query in pages]

    assert grow(10) == grow(90)


# --- counting day -----------------------------------------------------------------------------


def test_a_counting_day_by_warehouse_and_category(counter: Client, company: Company) -> None:
    galley = Category.objects.create(company=company, slug="galley", name="Galley")
    mugs = Category.objects.create(company=company, slug="mugs", name="Mugs", parent=galley)
    deep = make_variant(available=5, sku="DEEP", product=make_product(category=mugs))
    make_variant(available=5, sku="OTHER")
    east = make_warehouse(code="EAST")
    make_stock(deep, 3, warehouse=east)
    sheet = reverse("admin:inventory_stocklevel_count")
    main = default_warehouse()

    def skus(**query: Any) -> list[tuple[str, str]]:
        rows = counter.get(sheet, query).context["rows"]
        return [(row.level.variant.sku, row.level.warehouse.code) for row in rows]

    assert skus() == []
    assert skus(warehouse=main.pk) == [("DEEP", "MAIN"), ("OTHER", "MAIN")]
    assert skus(warehouse=main.pk, category=galley.pk) == [("DEEP", "MAIN")]
    assert skus(warehouse=east.pk) == [("DEEP", "EAST")]
    assert skus(warehouse=main.pk, after="DEEP") == [("OTHER", "MAIN")]


def test_a_count_shows_differences_and_refuses_what_moved_meanwhile(
    counter: Client, mug: StockLevel, staff: Actor, now: datetime
) -> None:
    same, left = (make_variant(available=5, sku=sku).stock_levels.get() for sku in ("CAP", "TEA"))
    entries: dict[StockLevel, Any] = {mug: 40, same: 5, left: ""}

    shown = counter.post(page("count"), typed(entries, "preview"))
    rows = {row.level.variant.sku: row.change.difference for row in shown.context["rows"]}
    assert rows == {"MUG": -2, "CAP": 0}
    assert "as it is" in words(shown)

    inventory.adjust(actor=staff, stock_level_id=mug.pk, quantity=-1, now=now)
    late = counter.post(page("count"), typed(entries, "apply"))
    assert "MUG moved while you counted: 42 became 41" in words(late)
    assert StockLevel.objects.get(pk=mug.pk).total == 41


# --- deliveries -------------------------------------------------------------------------------


def test_a_delivery_is_typed_or_pasted_shown_and_received(counter: Client, mug: StockLevel) -> None:
    make_variant(available=None, sku="CAP")
    address = reverse("admin:inventory_stocklevel_delivery")
    body = {
        "sku": ["MUG", ""], "quantity": ["8", ""], "pasted": "CAP 6\nMUG\t2\n\n",
        "warehouse": "MAIN", "reference": "PO-7", "notes": "",
    }  # fmt: skip
    before = snapshot()

    shown = counter.post(address, {**body, "step": "preview"})
    assert [(row.sku, row.text) for row in shown.context["rows"]] == [
        ("MUG", "8"),
        ("CAP", "6"),
        ("MUG", "2"),
    ]
    assert "42 → 52" in words(shown)
    assert "0 → 6" in words(shown)
    assert snapshot() == before

    done = counter.post(address, {**body, "step": "apply"}, follow=True)
    assert said(done) == ["2 shelves were filled."]
    assert StockLevel.objects.get(pk=mug.pk).total == 52
    assert StockMovement.objects.filter(reference="PO-7", type="PURCHASE").count() == 2


@pytest.mark.parametrize(
    ("skus", "quantities", "refusal"),
    [
        (["NONE"], ["1"], "There is no SKU NONE."),
        (["MUG"], ["0"], "A number from 1 to"),
        (["MUG"], ["many"], "Enter a whole number."),
        ([""], ["3"], "There is no SKU"),
        ([""], [""], "Enter at least one SKU and how many came."),
    ],
)
def test_a_wrong_delivery_is_not_received(
    counter: Client, mug: StockLevel, skus: list[str], quantities: list[str], refusal: str
) -> None:
    before = snapshot()

    response = counter.post(
        reverse("admin:inventory_stocklevel_delivery"),
        {
            "sku": ["MUG", *skus],
            "quantity": ["1", *quantities],
            "warehouse": "MAIN",
            "step": "apply",
        }
        if skus != [""] or quantities != [""]
        else {"sku": skus, "quantity": quantities, "warehouse": "MAIN", "step": "apply"},
    )

    assert response.status_code == 200
    assert refusal in words(response)
    assert snapshot() == before


def test_a_delivery_begins_with_what_should_be_ordered(counter: Client, mug: StockLevel) -> None:
    StockLevel.objects.filter(pk=mug.pk).update(reorder_level=60, reorder_quantity=12)

    rows = counter.get(page("delivery", mug)).context["rows"]

    assert (rows[0].sku, rows[0].text) == ("MUG", "19")  # 42 + 19 is above 60, 42 + 12 is not


# --- what one sees ----------------------------------------------------------------------------


def test_figures_link_to_the_rows_behind_them(
    office: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    a_month(now, make_variant(available=None))
    make_variant(available=0)
    hold(actor_guest, mug.variant, 2, now)
    for state in ("EXPIRED", "COMPLETED"):
        ended(mug, state, now - timedelta(days=3))

    response = office.get(reverse("admin:inventory_stocklevel_figures"))
    text = words(response)

    assert response.status_code == 200
    assert "1 of 2 holds ran out: 50 %." in text
    figures = {label: (value, url) for label, value, _note, url in response.context["figures"]}
    for label, count in (("Held now", 1), ("None left", 1), ("Owed", 0)):
        _value, url = figures[label]
        assert len(office.get(url).context["cl"].result_list) == count, label
    for bar in response.context["cover"]:
        listed = office.get(bar.url)
        assert len(listed.context["cl"].result_list) == bar.value, bar.label
    for bar in response.context["categories"]:
        assert office.get(bar.url).status_code == 200


def test_a_timeline_tells_who_why_and_for_which_order(
    office: Client, mug: StockLevel, actor_guest: Actor, staff: Actor, now: datetime
) -> None:
    owe(actor_guest, mug.variant, 2, now)  # an order of two: they are there
    counter_body = typed({mug: -1}, "apply", type="DAMAGE", notes="fell", reference="R-1")
    mug.refresh_from_db()
    office.post(page("adjust"), counter_body)

    response = office.get(reverse("admin:inventory_stocklevel_timeline", args=[mug.variant_id]))
    rows = response.context["rows"]

    assert [(row["change"], row["movement"].running) for row in rows] == [
        ("−1", 39), ("−2", 40), ("+42", 42),
    ]  # fmt: skip
    assert rows[0]["movement"].notes == "fell"
    assert rows[1]["order"] == Reservation.objects.get().order_id
    assert "<svg" in response.content.decode()
    assert "<desc>" in response.content.decode()


def test_a_timeline_of_many_movements_costs_the_same(
    office: Client, mug: StockLevel, staff: Actor, now: datetime
) -> None:
    address = reverse("admin:inventory_stocklevel_timeline", args=[mug.variant_id])

    def grow(count: int) -> int:
        for _ in range(count):
            inventory.adjust(actor=staff, stock_level_id=mug.pk, quantity=1, now=now)
        return queries_of(office, address)

    assert grow(3) == grow(60)
    assert office.get(address, {"page": "2"}).context["page"].number == 2
    assert office.get(address, {"page": "nonsense"}).status_code == 200


# --- holds ------------------------------------------------------------------------------------


def test_holds_are_released_after_asking_why(
    office: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    hold(actor_guest, mug.variant, 2, now)
    held = Reservation.objects.get()
    ask = office.post(
        reverse("admin:inventory_reservation_changelist"),
        {"action": "release", "_selected_action": [str(held.pk)]},
    )
    address = reverse("admin:inventory_reservation_let_go")
    before = snapshot()

    assert ask.status_code == 302
    assert "2 units go back to the shelf" in words(office.get(ask.headers["Location"]))
    refused = office.post(address, {"hold": [str(held.pk)], "reason": ""})
    assert "This field is required." in words(refused)
    looker = clerk("view_reservation")
    assert looker.get(ask.headers["Location"]).status_code == 403
    assert looker.post(address, {"hold": [str(held.pk)], "reason": "x"}).status_code == 403
    assert snapshot() == before

    done = office.post(address, {"hold": [str(held.pk)], "reason": "for the window"}, follow=True)
    assert said(done) == ["1 hold was released."]
    assert AuditEntry.objects.get(action="hold.released").reason == "for the window"
    assert "ended already" in words(office.get(ask.headers["Location"]))


def test_holds_are_found_by_their_time(
    office: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    live = hold(actor_guest, mug.variant, 1, now)
    overdue = hold(actor_guest, mug.variant, 1, now - timedelta(hours=1))

    def lines(**query: str) -> set[Any]:
        response = office.get(reverse("admin:inventory_reservation_changelist"), query)
        return {row.line_id for row in response.context["cl"].result_list}

    assert lines(time="live") == {live}
    assert lines(time="overdue") == {overdue}
    assert lines() == {live, overdue}
    assert lines(q="MUG") == {live, overdue}


def test_movements_and_holds_cannot_be_deleted_in_bulk(
    office: Client, mug: StockLevel, actor_guest: Actor, now: datetime
) -> None:
    hold(actor_guest, mug.variant, 1, now)
    before = snapshot()

    for model in ("stockmovement", "reservation", "stocklevel"):
        address = reverse(f"admin:inventory_{model}_changelist")
        rows = office.get(address).context["cl"].result_list
        office.post(
            address,
            {"action": "delete_selected", "post": "yes", "_selected_action": [str(rows[0].pk)]},
        )
    assert snapshot() == before


# --- warehouses -------------------------------------------------------------------------------


def saved(client: Client, place: Warehouse, **fields: Any) -> Any:
    body = {"name": place.name, "address": "{}", "priority": place.priority, "is_active": "on"}
    return client.post(
        reverse("admin:inventory_warehouse_change", args=[place.pk]), {**body, **fields}
    )


def test_a_default_passes_from_one_warehouse_to_another(office: Client, mug: StockLevel) -> None:
    east = Warehouse.objects.get(code="EAST")

    assert saved(office, east, is_default="on").status_code == 302
    assert list(Warehouse.objects.filter(is_default=True)) == [east]
    east.refresh_from_db()
    assert "Make another warehouse the default instead." in words(saved(office, east))
    assert AuditEntry.objects.filter(action="warehouse.updated").count() == 1


def test_closing_a_warehouse_says_what_lies_there(office: Client, mug: StockLevel) -> None:
    east = Warehouse.objects.get(code="EAST")
    make_stock(mug.variant, 7, warehouse=east)
    address = reverse("admin:inventory_warehouse_change", args=[east.pk])

    assert "Closing a warehouse takes what is free there off sale" in words(office.get(address))
    assert saved(office, east, is_active="").status_code == 302
    assert "its 7 units serve nobody new" in words(office.get(address))
    main = default_warehouse()
    assert "The default warehouse stays open." in words(
        saved(office, main, is_default="on", is_active="")
    )
    assert Warehouse.objects.get(pk=main.pk).is_active


def test_a_warehouse_is_founded(office: Client, company: Company) -> None:
    response = office.post(
        reverse("admin:inventory_warehouse_add"),
        {"code": "WEST", "name": "West", "address": "{}", "priority": 5, "is_active": "on"},
    )

    assert response.status_code == 302
    founded = Warehouse.objects.get(code="WEST")
    assert (founded.company_id, founded.priority) == (company.id, 5)
