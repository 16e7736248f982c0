"""The desk of promotions in the admin: a form for each kind, words, meetings, uses, and the steps of a promotion."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import AuditEntry
from inventory.models import Category, Company
from pricing import selectors, services
from pricing.admin.promotionforms import CARDS
from pricing.models import Promotion, PromotionUse
from pricing.terms import PromotionTerms
from tests import factories

pytestmark = pytest.mark.django_db
ADD = "/admin/pricing/promotion/add/"


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(
        factories.make_staff(is_superuser=True),
        "allauth.account.auth_backends.AuthenticationBackend",
    )
    return client


def page_of(promotion: Promotion) -> str:
    return f"/admin/pricing/promotion/{promotion.id}/change/"


def sent(**values: Any) -> dict[str, Any]:
    management = {
        f"{prefix}-{count}": "0"
        for prefix in ("coupons", "uses")
        for count in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    usual = {"name": "Offer", "is_active": "on", "is_stackable": "on", "priority": "0"}
    return {**usual, **management, "_save": "Save", **values}


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def make(staff: Actor, now: datetime, **terms: Any) -> Promotion:
    return services.create_promotion(
        actor=staff,
        terms=PromotionTerms(
            **{
                "name": "Ten",
                "kind": "PERCENTAGE",
                "value": Decimal(10),
                "is_automatic": True,
                **terms,
            }
        ),
        now=now,
    )


def use(promotion: Promotion, at: datetime, amount: str = "5.00", **fields: Any) -> PromotionUse:
    return PromotionUse.objects.create(
        **{
            "promotion": promotion,
            "order_id": uuid4(),
            "customer_key": "email:anna@example.com",
            "amount": Decimal(amount),
            "currency": "USD",
            "used_at": at,
            **fields,
        }
    )


# --- the editor -----------------------------------------------------------------------------------


def test_the_kind_is_asked_first(office: Client) -> None:
    page = office.get(ADD)

    assert set(CARDS) == set(Promotion.Kind.values)
    for kind in Promotion.Kind.values:
        assert f'href="?kind={kind}"' in page.content.decode()
    assert b"<textarea" not in page.content
    assert b'href="?kind=GIFT"' not in office.get(f"{ADD}?kind=GIFT").content


KINDS: dict[str, tuple[set[str], dict[str, Any], dict[str, Any]]] = {
    "PERCENTAGE": (
        {"scope", "value", "options"},
        {"scope": "PRODUCT", "value": "12.5"},
        {"value": Decimal("12.5"), "scope": "PRODUCT", "settings": {}},
    ),
    "FIXED_AMOUNT": (
        {"scope", "value", "per_unit", "options"},
        {"scope": "CART", "value": "5", "currency": "EUR", "per_unit": "on"},
        {"value": Decimal(5), "currency": "EUR", "settings": {"per_unit": True}},
    ),
    "FREE_SHIPPING": ({"options"}, {}, {"scope": "SHIPPING", "settings": {}}),
    "BUY_X_GET_Y": (
        {"buy", "get", "percent", "times"},
        {"buy": "2", "get": "1", "percent": "50.0", "times": "3"},
        {"settings": {"buy": 2, "get": 1, "percent": "50", "times": 3}},
    ),
    "TIERED_QUANTITY": (
        {"tiers"},
        {"tiers": "5: 10\n\n10 12,5 %"},
        {"settings": {"tiers": [{"from": 5, "percent": "10"}, {"from": 10, "percent": "12.5"}]}},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_own_fields_and_comes_back_as_it_was_made(
    office: Client, kind: str
) -> None:
    own, values, stored = KINDS[kind]
    everything = {name for fields, _sent, _stored in KINDS.values() for name in fields}
    shown = office.get(f"{ADD}?kind={kind}").context["adminform"].form.fields.keys()
    assert shown & everything == own
    assert {"customers", "weekdays", "usage_limit", "entry", "codes", "priority"} <= shown

    made = office.post(f"{ADD}?kind={kind}", sent(entry="itself", **values))

    assert made.status_code == 302, made.context["errors"]
    promotion = Promotion.objects.get()
    assert promotion.kind == kind
    for name, value in stored.items():
        assert getattr(promotion, name) == value
    # saved again as it is shown, it stays the same
    before = selectors.promotion_terms(promotion)
    form = office.get(page_of(promotion)).context["adminform"].form
    again = {
        name: value
        for name, field in form.fields.items()
        if (value := form.get_initial_for_field(field, name)) not in (None, False, "")
    }
    saved = office.post(page_of(promotion), sent() | again)
    assert saved.status_code == 302, saved.context["errors"]
    assert selectors.promotion_terms(Promotion.objects.get()) == before


def test_what_a_form_does_not_show_stays(office: Client, staff: Actor, now: datetime) -> None:
    promotion = make(
        staff, now, kind="TIERED_QUANTITY", scope="CATEGORY",
        settings={"tiers": [{"from": 2, "percent": "5"}], "note": "kept"},
    )  # fmt: skip

    office.post(page_of(promotion), sent(entry="itself", tiers="3: 6"))

    promotion.refresh_from_db()
    assert promotion.scope == "CATEGORY"
    assert promotion.settings == {"tiers": [{"from": 3, "percent": "6"}], "note": "kept"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"entry": "code"}, "Write a code"),
        ({"entry": "batch", "codes": "TEN"}, "leave this empty"),
        ({"value": "101"}, "At most 100 percent."),
        ({"customers": "nobody@example.com"}, "There is no account of nobody@example.com."),
    ],
)
def test_what_is_refused_is_said_and_nothing_is_written(
    office: Client, values: dict[str, Any], said: str
) -> None:
    answer = office.post(f"{ADD}?kind=PERCENTAGE", sent(scope="CART", value="10") | values)

    assert answer.status_code == 200
    assert said in text(answer)
    assert not Promotion.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_step_that_is_none_is_named_by_its_line(office: Client) -> None:
    answer = office.post(f"{ADD}?kind=TIERED_QUANTITY", sent(tiers="5: 10\nmany: 20"))

    assert "Line 2 is no step" in text(answer)
    assert not Promotion.objects.exists()


def test_a_promotion_may_wait_for_the_codes_of_a_batch(office: Client, staff: Actor) -> None:
    office.post(f"{ADD}?kind=PERCENTAGE", sent(entry="batch", scope="CART", value="10"))

    promotion = Promotion.objects.get()
    assert (promotion.is_automatic, promotion.coupons.count()) == (False, 0)
    made = office.post(
        "/admin/pricing/couponbatch/add/",
        {"promotion": str(promotion.id), "name": "Flyer", "number": "3", "length": "12"},
    )
    assert made.status_code == 302
    assert promotion.coupons.count() == 3
    office.post(page_of(promotion), sent(entry="batch", scope="CART", value="15"))
    promotion.refresh_from_db()
    assert (promotion.is_automatic, promotion.value) == (False, 15)


# --- words, everywhere the same -------------------------------------------------------------------


def test_the_words_stand_on_the_list_the_page_the_preview_and_before_deleting(
    office: Client, staff: Actor, now: datetime
) -> None:
    lamp = factories.make_priced_variant("20.00", available=5, sku="LAMP")
    promotion = make(staff, now, minimum_order=Decimal(15), product_ids=(lamp.product_id,))
    words = selectors.words_of(
        actor=staff, promotions=[selectors.find_promotion(actor=staff, promotion_id=promotion.id)]
    )[promotion.id]
    assert words.startswith("10 % off the whole order, only on ")

    for path in (
        "/admin/pricing/promotion/",
        page_of(promotion),
        f"/admin/pricing/promotion/{promotion.id}/delete/",
        "/admin/pricing/promotion/preview/?lines=LAMP",
    ):
        assert words in text(office.get(path)), path


# --- meetings -------------------------------------------------------------------------------------


def test_saving_says_what_it_may_meet_and_what_wins(
    office: Client, staff: Actor, now: datetime
) -> None:
    make(staff, now, name="Autumn", is_stackable=False)
    make(staff, now, name="Members", priority=9)

    answer = office.post(
        f"{ADD}?kind=PERCENTAGE", sent(entry="itself", scope="CART", value="5"), follow=True
    )

    assert "It may meet 2 other promotions: Autumn, Members." in text(answer)
    page = text(office.get(page_of(Promotion.objects.get(name="Offer"))))
    assert "Autumn : only one of the two applies: whichever costs the customer less" in page
    assert "Members : both apply; that one first, by priority" in page
    listed = text(office.get("/admin/pricing/promotion/"))
    assert "2 others 1 of them never with it" in listed


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("one", "two", "meet"),
    [
        ({}, {}, True),
        ({}, {"is_active": False}, False),
        ({"currency": "EUR"}, {"currency": "USD"}, False),
        ({"currency": "EUR"}, {}, True),
        ({"ends_at": DAY}, {"starts_at": DAY}, False),
        ({"ends_at": 2 * DAY}, {"starts_at": DAY}, True),
        ({}, {"ends_at": -DAY}, False),
        ({"ends_at": -DAY}, {}, False),
        ({"weekdays": (1,)}, {"weekdays": (2,)}, False),
        ({"weekdays": (1,)}, {"weekdays": (1, 2)}, True),
        ({"hours": (9, 12)}, {"hours": (12, 15)}, False),
        ({"hours": (9, 13)}, {"hours": (12, 15)}, True),
        ({"weekdays": (7,), "hours": (22, 2)}, {"weekdays": (1,), "hours": (1, 3)}, True),
        ({"weekdays": (6,), "hours": (22, 2)}, {"weekdays": (1,), "hours": (1, 3)}, False),
        ({"scope": "SHIPPING"}, {}, False),
        ({"scope": "SHIPPING", "is_stackable": False}, {}, True),
        ({"scope": "SHIPPING"}, {"kind": "FREE_SHIPPING"}, True),
        ({"products": "lamp"}, {"products": "rope"}, False),
        ({"products": "lamp"}, {"products": "lamp"}, True),
        ({"products": "lamp"}, {}, True),
        ({"products": "lamp"}, {"excluded_products": "lamp"}, False),
        ({"products": "lamp"}, {"categories": "brass"}, True),
        ({"products": "rope"}, {"categories": "brass"}, False),
        ({"products": "lamp"}, {"categories": "brass", "excluded_products": "lamp"}, False),
        ({"categories": "light"}, {"categories": "brass"}, True),
        ({"categories": "light"}, {"categories": "galley"}, False),
        ({"categories": "brass"}, {"excluded_categories": "light"}, False),
        ({"users": 1}, {"users": 2}, False),
    ],
)
def test_they_meet_only_where_nothing_rules_it_out(
    one: dict[str, Any],
    two: dict[str, Any],
    meet: bool,
    staff: Actor,
    company: Company,
    now: datetime,
) -> None:
    light = Category.objects.create(company=company, slug="light", name="Light")
    brass = Category.objects.create(company=company, slug="brass", name="Brass", parent=light)
    galley = Category.objects.create(company=company, slug="galley", name="Galley")
    goods = {
        "lamp": factories.make_product(name="Lamp", category=brass),
        "rope": factories.make_product(name="Rope"),
        "light": light,
        "brass": brass,
        "galley": galley,
    }
    users = [factories.make_user().id for _ in range(2)]

    def terms(given: dict[str, Any]) -> dict[str, Any]:
        from datetime import time

        made = dict(given)
        for name in ("starts_at", "ends_at"):
            if name in made:
                made[name] = now + made[name]
        if "hours" in made:
            first, last = made.pop("hours")
            made |= {"opens_at": time(first), "closes_at": time(last)}
        for name, ids in (
            ("products", "product_ids"),
            ("categories", "category_ids"),
            ("excluded_products", "excluded_product_ids"),
            ("excluded_categories", "excluded_category_ids"),
        ):
            if name in made:
                made[ids] = (goods[made.pop(name)].id,)
        if "users" in made:
            made["user_ids"] = (users[made.pop("users") - 1],)
        return made

    first, second = (make(staff, now, name=n, **terms(t)) for n, t in (("One", one), ("Two", two)))

    def met(promotion: Promotion) -> list[str]:
        row = selectors.promotions(actor=staff).get(id=promotion.id)
        told = selectors.meetings(actor=staff, promotions=[row], now=now)
        return [each.name for each in told[row.id]]

    assert met(first) == (["Two"] if meet else [])
    if first.is_active and second.is_active:
        assert met(second) == (["One"] if meet else [])


def test_nobody_meets_what_another_company_sells(staff: Actor, now: datetime) -> None:
    factories.make_promotion("CODE", company=factories.make_company())
    promotion = make(staff, now)

    row = selectors.promotions(actor=staff).get()

    assert selectors.meetings(actor=staff, promotions=[row], now=now) == {promotion.id: []}


# --- uses -----------------------------------------------------------------------------------------


def test_uses_are_told_day_by_day_with_what_came_back(
    office: Client, staff: Actor, now: datetime
) -> None:
    promotion = make(staff, now, is_automatic=False, codes=["TEN"], usage_limit=10)
    for days, amount, more in (
        (0, "5.00", {}),
        (0, "7.50", {"customer_key": "email:ben@example.com"}),
        (3, "4.00", {"currency": "EUR"}),
        (3, "9.00", {"returned_at": now}),
        (60, "1.00", {}),
    ):
        use(promotion, now - timedelta(days=days), amount, **more)
    use(make(staff, now, name="Other"), now)

    found = selectors.uses_of(actor=staff, promotion=promotion, now=now)

    assert (found.uses, found.returned, found.left) == (4, 1, 6)
    assert found.given == {"USD": Decimal("13.50"), "EUR": Decimal("4.00")}
    assert [(day.uses, day.returned, dict(day.given)) for day in found.days if day.uses] == [
        (1, 1, {"EUR": Decimal("4.00")}),
        (2, 0, {"USD": Decimal("12.50")}),
    ]
    assert (len(found.days), found.days[-1].uses) == (30, 2)
    assert [(row.key, row.uses) for row in found.customers] == [
        ("email:anna@example.com", 3),
        ("email:ben@example.com", 1),
    ]
    page = text(office.get(page_of(promotion)))
    assert "€4.00, $13.50" in page
    assert "anna@example.com" in page
    assert "Uses a day, last 30 days" in page


# --- steps ----------------------------------------------------------------------------------------


def press(client: Client, promotion: Promotion, act: str) -> Any:
    return client.post(f"/admin/pricing/promotion/{promotion.id}/step/", {"act": act}, follow=True)


def test_a_promotion_rests_runs_and_is_copied_by_a_press(
    office: Client, staff: Actor, now: datetime
) -> None:
    promotion = make(staff, now, name="Ten", is_automatic=False, codes=["TEN"])

    assert "Let it run" in text(press(office, promotion, "pause"))
    promotion.refresh_from_db()
    assert not promotion.is_active
    assert "Pause" in text(press(office, promotion, "resume"))
    promotion.refresh_from_db()
    assert promotion.is_active
    copied = press(office, promotion, "copy")
    copy = Promotion.objects.get(name="Copy of Ten")
    assert copied.redirect_chain == [(page_of(copy), 302)]
    assert (copy.is_active, copy.coupons.count()) == (False, 0)


def test_what_was_deleted_is_found_by_its_filter_only_looked_at_and_restored(
    office: Client, staff: Actor, now: datetime
) -> None:
    promotion = make(staff, now, name="Gone by", is_automatic=False, codes=["TEN"])
    office.post(f"/admin/pricing/promotion/{promotion.id}/delete/", {"post": "yes"}, follow=True)

    assert "Gone by" not in text(office.get("/admin/pricing/promotion/"))
    assert "Gone by" in text(office.get("/admin/pricing/promotion/?standing=deleted"))
    page = office.get(page_of(promotion))
    assert 'value="restore"' in page.content.decode()
    assert b'name="_save"' not in page.content
    assert office.post(page_of(promotion), sent(name="Else")).status_code == 403
    assert press(office, promotion, "copy").status_code == 403

    assert "It is back, with its codes, and rests." in text(press(office, promotion, "restore"))
    promotion.refresh_from_db()
    assert (promotion.deleted_at, promotion.is_active) == (None, False)
    assert promotion.coupons.get().is_active


def test_a_refused_restore_says_what_stands_in_its_way(
    office: Client, staff: Actor, now: datetime
) -> None:
    promotion = make(staff, now, is_automatic=False, reminder_stage=1)
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    make(staff, now, name="The new one", is_automatic=False, reminder_stage=1)

    assert "Reminder 1 brings “The new one” now." in text(press(office, promotion, "restore"))
    promotion.refresh_from_db()
    assert promotion.deleted_at is not None


def test_who_may_only_look_can_take_no_step(company: Company, staff: Actor, now: datetime) -> None:
    promotion = make(staff, now)
    looker = factories.make_staff(is_superuser=False)
    looker.user_permissions.add(Permission.objects.get(codename="view_promotion"))
    client = Client()
    client.force_login(looker, "allauth.account.auth_backends.AuthenticationBackend")

    assert client.get(page_of(promotion)).status_code == 200
    for act in ("pause", "copy", "restore"):
        assert press(client, promotion, act).status_code == 403
    assert client.get(ADD).status_code == 403
    promotion.refresh_from_db()
    assert promotion.is_active
    assert Promotion.objects.count() == 1


def test_steps_are_taken_by_a_form_and_within_the_company(office: Client) -> None:
    foreign = factories.make_promotion("CODE", company=factories.make_company())

    assert press(office, foreign, "pause").status_code == 404
    assert office.get(f"/admin/pricing/promotion/{foreign.id}/step/").status_code == 405
    foreign.refresh_from_db()
    assert foreign.is_active


@pytest.mark.usefixtures("unhurried")
def test_the_list_costs_the_same_for_any_number_of_promotions(
    office: Client, staff: Actor, now: datetime
) -> None:
    counts = []
    for _ in range(2):
        for _ in range(4):
            make(staff, now, codes=[f"C{uuid4().hex[:8]}"], is_automatic=False)
        office.get("/admin/pricing/promotion/")
        with CaptureQueriesContext(connection) as captured:
            office.get("/admin/pricing/promotion/")
        counts.append(len(captured))

    assert len(set(counts)) == 1
