"""Many prices at once: planned, shown, applied exactly as shown or not at all."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cart import services as cart
from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent
from config.platform.sheets import Source
from inventory.errors import CategoryNotFound
from inventory.models import Category, Company, Variant
from inventory.selectors import VariantRef
from pricing import services
from pricing.models import Price, PriceAlert, PriceChange, SpecialPrice
from pricing.repricing import AMOUNT, LISTED, PERCENT, SET, WHOLE, Repricing, ended
from pricing.services import bulk
from pricing.services.bulk import (
    BulkTerms,
    ListedPrice,
    PricePlan,
    PriceSelection,
    apply_prices,
    plan_prices,
)
from pricing.services.pricelists import read_price_list
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
DAY = timedelta(days=1)
PAGE = "/admin/pricing/price/bulk/"


@pytest.fixture
def mug(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", sku="MUG", available=50)


@pytest.fixture
def rope(company: Company) -> Variant:
    return factories.make_priced_variant("25.00", sku="ROPE", available=50)


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(factories.make_staff(is_superuser=True), BACKEND)
    return client


def terms(kind: str = PERCENT, value: str = "-10", ending: str = "", **more: Any) -> BulkTerms:
    return BulkTerms(currency="USD", rule=Repricing(kind, Decimal(value), ending), **more)


BOTH = PriceSelection(skus=("MUG", "ROPE"))


def plan(actor: Actor, wanted: BulkTerms, selection: PriceSelection = BOTH, now: Any = None) -> PricePlan:  # fmt: skip
    return plan_prices(actor=actor, selection=selection, terms=wanted, now=now or timezone.now())


def applied(actor: Actor, wanted: BulkTerms, *, plan_id: str = "", reason: str = "season") -> PricePlan:  # fmt: skip
    now = timezone.now()
    return apply_prices(
        actor=actor, selection=BOTH, terms=wanted, reason=reason, now=now,
        plan_id=plan_id or plan(actor, wanted, now=now).id,
    )  # fmt: skip


def amounts() -> dict[str, str]:
    rows = Price.objects.filter(currency="USD").values_list("variant__sku", "amount")
    return {sku: f"{amount:.2f}" for sku, amount in rows}


def written() -> tuple[int, ...]:
    tables: list[Any] = [Price, PriceChange, SpecialPrice, AuditEntry, OutboxEvent]
    return tuple(model.objects.count() for model in tables)


# --- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "ending", "currency", "expected"),
    [
        ("12.40", "99", "USD", "11.99"),
        ("12.60", "99", "USD", "12.99"),
        ("12.49", "99", "USD", "12.99"),  # equally near: the higher
        ("12.99", "99", "USD", "12.99"),
        ("0.20", "99", "USD", "0.99"),  # never below zero
        ("12.40", "95", "EUR", "11.95"),
        ("12.50", WHOLE, "EUR", "13.00"),
        ("1240", "99", "JPY", "1199"),
        ("1260", "95", "JPY", "1295"),
        ("1240", WHOLE, "JPY", "1240"),
        ("12.400", "99", "KWD", "11.990"),
        ("12.345", "", "USD", "12.35"),
    ],
)
def test_prices_end_as_the_currency_writes_them(
    amount: str, ending: str, currency: str, expected: str
) -> None:
    assert str(ended(Decimal(amount), ending, currency)) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [(PERCENT, "-10", "9.00"), (PERCENT, "12.5", "11.25"), (AMOUNT, "-2.5", "7.50"), (SET, "7", "7.00"), (AMOUNT, "-11", "-1.00")],
)  # fmt: skip
def test_a_rule_makes_a_new_price_of_an_old_one(kind: str, value: str, expected: str) -> None:
    assert str(Repricing(kind, Decimal(value)).applied(Decimal(10), "USD")) == expected
    if kind != SET:
        assert Repricing(kind, Decimal(value)).applied(None, "USD") is None


# --- what is chosen, and what is shown ------------------------------------------------------------


def test_a_plan_covers_a_category_with_all_below_it_and_words(
    company: Company, system: Actor
) -> None:
    goods = Category.objects.create(company=company, slug="goods", name="Goods")
    below = Category.objects.create(company=company, slug="mugs", name="Mugs", parent=goods)
    inside = factories.make_product(category=below, name="Enamel mug")
    other = factories.make_product(category=goods, name="Rope")
    for sku, product in (("A-1", inside), ("A-2", other), ("B-1", None)):
        more = {"product": product} if product else {}
        factories.make_priced_variant("10.00", sku=sku, **more)
    factories.make_priced_variant("10.00", sku="A-9", company=factories.make_company())

    def chosen(**asked: Any) -> list[str]:
        return [row.sku for row in plan(system, terms(), PriceSelection(**asked)).rows]

    assert chosen(category="goods") == ["A-1", "A-2"]
    assert chosen(category="mugs") == ["A-1"]
    assert chosen(search="a- ENAMEL") == ["A-1"]
    assert chosen(skus=("A-2", "A-9", "B-1"), category="goods") == ["A-2"]
    found = plan(system, terms(), PriceSelection(skus=("A-9", "B-1")))
    assert (found.unknown, found.is_sound) == (["A-9"], False)
    with pytest.raises(CategoryNotFound):
        chosen(category="nowhere")


def test_a_plan_tells_differences_totals_and_what_to_look_at(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    now = timezone.now()
    factories.make_variant(sku="BARE")
    services.set_special_price(
        actor=system,
        terms=services.SpecialTerms(variant_id=rope.id, currency="USD", amount=Decimal(20)),
        now=now,
    )
    services.set_price(
        actor=system, variant_id=mug.id, currency="USD", amount=Decimal(10), compare_at=Decimal(12), now=now
    )  # fmt: skip
    before = written()

    found = plan(system, terms(AMOUNT, "6"), PriceSelection(skus=("BARE", "MUG", "ROPE")))

    first, second = found.rows
    assert (first.difference, str(first.percent)) == (Decimal("6.00"), "60.0")
    assert list(first.warnings) == [bulk.LARGE, bulk.FORMER_DROPPED]
    assert first.compare_at is None
    assert list(second.warnings) == [bulk.SCHEDULED]
    assert found.missing == ["BARE"]
    assert found.totals() == {
        "prices": 2, "raised": 2, "lowered": 0, "new": 0, "unchanged": 0, "warnings": 2, "problems": 0,
        "old": Decimal(35), "after": Decimal(47),
    }  # fmt: skip
    lower = plan(system, terms(PERCENT, "-30"))
    assert [list(row.warnings) for row in lower.rows] == [
        [bulk.BELOW_LOWEST], [bulk.BELOW_LOWEST, bulk.SCHEDULED],
    ]  # fmt: skip
    assert written() == before


def test_what_becomes_of_the_former_price(mug: Variant, rope: Variant, system: Actor) -> None:
    def former(choice: str, value: str = "-10") -> list[str | None]:
        rows = plan(system, terms(PERCENT, value, former=choice)).rows
        return [None if row.compare_at is None else str(row.compare_at) for row in rows]

    now = timezone.now()
    services.set_price(
        actor=system, variant_id=mug.id, currency="USD", amount=Decimal(10), compare_at=Decimal(12), now=now
    )  # fmt: skip

    assert former(bulk.KEEP) == ["12.000", None]
    assert former(bulk.OLD) == ["10.000", "25.000"]
    assert former(bulk.OLD, "10") == [None, None]  # nothing was reduced
    assert former(bulk.CLEAR) == [None, None]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (terms("no"), "rule.kind"),
        (terms(ending="98"), "rule.ending"),
        (terms(value="-101"), "rule.value"),
        (terms(SET, "-1"), "rule.value"),
        (terms(value="NaN"), "rule.value"),
        (terms(LISTED), "items"),
        (terms(former="x"), "formerPrice"),
        (terms(starts_at=timezone.now() - DAY), "startsAt"),
        (terms(ends_at=timezone.now() - DAY), "endsAt"),
    ],
    ids=["kind", "ending", "percent", "negative", "nan", "list", "former", "past", "end"],
)
def test_terms_that_cannot_be_are_refused(
    mug: Variant, system: Actor, wanted: BulkTerms, field: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        plan(system, wanted)

    assert [error.field for error in refused.value.errors] == [field]
    with pytest.raises(ValidationFailed):
        plan(system, terms(), PriceSelection())


def test_more_than_one_change_may_hold_is_refused(
    mug: Variant, rope: Variant, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_PRICES", 1)

    with pytest.raises(ValidationFailed) as refused:
        plan(system, terms())

    assert refused.value.errors[0].code == "too_many"


# --- applying -------------------------------------------------------------------------------------


def test_applying_writes_what_was_shown_with_reason_and_events(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    found = applied(system, terms(PERCENT, "-10", "99", former=bulk.OLD))

    assert amounts() == {"MUG": "8.99", "ROPE": "22.99"}
    assert [row.sku for row in found.writes] == ["MUG", "ROPE"]
    changes = PriceChange.objects.order_by("variant__sku").values_list("variant__sku", "old_amount", "new_amount", "reason", "actor")  # fmt: skip
    assert list(changes) == [
        ("MUG", Decimal(10), Decimal("8.99"), "season", system.label),
        ("ROPE", Decimal(25), Decimal("22.99"), "season", system.label),
    ]
    events = OutboxEvent.objects.filter(name="pricing.price.updated")
    assert {row.payload["new_amount"] for row in events} == {"8.99", "22.99"}
    entry = AuditEntry.objects.get(action="prices.changed_together")
    assert (entry.reason, entry.after["prices"], entry.after["value"]) == ("season", 2, "-10")


def test_what_moved_since_the_plan_is_not_written_over(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    shown = plan(system, terms())
    services.set_price(
        actor=system, variant_id=rope.id, currency="USD", amount=Decimal(30), now=timezone.now()
    )
    before = written()

    with pytest.raises(ValidationFailed) as refused:
        applied(system, terms(), plan_id=shown.id)

    assert [(error.field, error.code) for error in refused.value.errors] == [("planId", "moved")]
    assert written() == before
    assert amounts() == {"MUG": "10.00", "ROPE": "30.00"}


def test_other_terms_than_those_shown_are_another_plan(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    shown = plan(system, terms(PERCENT, "-10"))

    with pytest.raises(ValidationFailed):
        applied(system, terms(PERCENT, "-11"), plan_id=shown.id)
    with pytest.raises(ValidationFailed):
        applied(system, terms(PERCENT, "-10", ends_at=timezone.now() + DAY), plan_id=shown.id)

    assert amounts() == {"MUG": "10.00", "ROPE": "25.00"}


def test_one_price_below_zero_stops_all_and_names_it(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    before = written()

    with pytest.raises(ValidationFailed) as refused:
        applied(system, terms(AMOUNT, "-11"))

    assert [error.field for error in refused.value.errors] == ["prices.MUG"]
    assert written() == before


def test_without_a_reason_or_a_change_nothing_is_written(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    before = written()

    with pytest.raises(ValidationFailed) as unsaid:
        applied(system, terms(), reason="  ")
    with pytest.raises(ValidationFailed) as idle:
        applied(system, terms(PERCENT, "0"))

    assert [refused.value.errors[0].code for refused in (unsaid, idle)] == ["required", "nothing"]
    assert written() == before


def test_scheduled_prices_are_set_together_and_overlaps_name_the_other(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    begins = timezone.now() + DAY
    found = applied(system, terms(starts_at=begins, ends_at=begins + DAY))
    before = written()
    clash = plan(system, terms(value="-20", starts_at=begins + DAY / 2))

    assert amounts() == {"MUG": "10.00", "ROPE": "25.00"}
    rows = SpecialPrice.objects.order_by("amount").values_list("amount", "starts_at", "ends_at", "reason", "begun_at")  # fmt: skip
    assert list(rows) == [
        (Decimal("9.00"), begins, begins + DAY, "season", None),
        (Decimal("22.50"), begins, begins + DAY, "season", None),
    ]
    assert PriceChange.objects.filter(special_id__isnull=False).count() == len(found.writes) == 2
    assert ["9.00 USD from" in row.problem for row in clash.rows] == [True, False]
    with pytest.raises(ValidationFailed):
        applied(system, terms(value="-20", starts_at=begins + DAY / 2))
    assert written() == before
    assert services.announce_prices(now=begins + DAY / 3) == 2


def test_a_scheduled_price_that_begins_at_once_is_announced(
    mug: Variant, rope: Variant, system: Actor
) -> None:
    applied(system, terms(ends_at=timezone.now() + DAY))

    events = OutboxEvent.objects.filter(name="pricing.price.updated")
    assert {(row.payload["old_amount"], row.payload["new_amount"]) for row in events} == {
        ("10.00", "9.00"), ("25.00", "22.50"),
    }  # fmt: skip
    assert services.announce_prices(now=timezone.now()) == 0


def test_a_live_hold_keeps_its_promise_and_an_alert_fires(
    mug: Variant,
    rope: Variant,
    system: Actor,
    actor_user: Actor,
    deliver: Any,
) -> None:
    now = timezone.now()
    cart.add_line(actor=actor_user, variant_id=mug.id, quantity=1, now=now)
    wish = services.AlertTerms(ref=VariantRef(variant_id=rope.id), target=Decimal(28))
    services.subscribe_to_prices(actor=actor_user, wanted=[wish], currency="USD", now=now)

    applied(system, terms(PERCENT, "20"))
    deliver()
    assert PriceAlert.objects.get().told_at is None

    view = cart.add_line(actor=actor_user, variant_id=rope.id, quantity=1, now=timezone.now())
    prices = {line.sku: str(line.unit_price) for line in view.quote.lines}
    assert prices == {"MUG": "10.00", "ROPE": "30.00"}
    applied(system, terms(PERCENT, "-20"))
    deliver()
    assert PriceAlert.objects.get().told_at is not None


def test_a_plan_and_its_application_cost_the_same_for_ten_as_for_a_hundred(
    company: Company, system: Actor, unhurried: None
) -> None:
    def cost(prefix: str, number: int) -> tuple[int, int]:
        skus = tuple(f"{prefix}-{index:03}" for index in range(number))
        product = factories.make_product(name=prefix)
        for sku in skus:
            factories.make_priced_variant("10.00", sku=sku, product=product, options={"n": sku})
        selection, now = PriceSelection(skus=skus), timezone.now()
        with CaptureQueriesContext(connection) as planning:
            found = plan(system, terms(), selection, now)
        with CaptureQueriesContext(connection) as applying:
            apply_prices(
                actor=system,
                selection=selection,
                terms=terms(),
                plan_id=found.id,
                reason="a",
                now=now,
            )
        return len(planning), len(applying)  # fmt: skip

    cost("WARM", 2)
    assert cost("FEW", 10) == cost("MANY", 100)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_locked", [True, False])
def test_two_who_apply_at_once_never_change_a_price_twice(
    company: Company, system: Actor, is_locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control without the lock plans over prices that the other one is about to write."""
    for sku in ("MUG", "ROPE"):
        factories.make_priced_variant("10.00", sku=sku)
    shown = plan(system, terms(AMOUNT, "1"))
    planned = threading.Barrier(2)
    original = bulk.plan_prices
    if not is_locked:
        monkeypatch.setattr(
            "config.platform.models.LockingQuerySet.for_update", lambda rows, **_: rows
        )

    def planning(**asked: Any) -> Any:
        found = original(**asked)
        if not is_locked:
            planned.wait(timeout=120)
        return found

    monkeypatch.setattr(bulk, "plan_prices", planning)
    outcomes: Counter[str] = Counter()
    start = threading.Barrier(2)

    def attempt() -> None:
        start.wait(timeout=120)
        try:
            apply_prices(
                actor=system, selection=BOTH, terms=terms(AMOUNT, "1"), plan_id=shown.id, reason="a", now=timezone.now()
            )  # fmt: skip
            outcomes["done"] += 1
        except ValidationFailed:
            outcomes["moved"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert outcomes == ({"done": 1, "moved": 1} if is_locked else {"done": 2})
    assert amounts() == {"MUG": "11.00", "ROPE": "11.00"}


# --- price lists ----------------------------------------------------------------------------------


def test_a_price_list_is_judged_as_a_whole_with_line_and_column() -> None:
    text = "SKU;Price;compareAt\nMUG;9.50;12\nROPE;x;\nMUG;8;\n;7;\nTAR;1.999;\nOIL;;\nNET;5;4\n'=LAMP;3;\nSUB;-1;\n"

    found = read_price_list(Source.of("list.csv", text.encode()), currency="USD")

    assert found.prices == {
        "MUG": ListedPrice(Decimal("9.50"), Decimal("12.00")),
        "=LAMP": ListedPrice(Decimal("3.00")),
    }
    assert [(problem.line, problem.column) for problem in found.problems] == [
        (3, "Price"), (4, "SKU"), (5, "SKU"), (6, "Price"), (7, "Price"), (8, "compareAt"), (10, "Price"),
    ]  # fmt: skip
    again = read_price_list(Source.of("list.csv", found.text().encode()), currency="USD")
    assert (again.prices, list(again.problems)) == (found.prices, [])


def test_a_price_list_without_rows_is_a_problem() -> None:
    found = read_price_list(Source.of("list.csv", b"sku,price\n"), currency="USD")

    assert [problem.message for problem in found.problems] == ["The file has no rows."]


def test_listed_prices_are_taken_as_they_stand_and_may_be_the_first(
    mug: Variant, system: Actor
) -> None:
    factories.make_variant(sku="ROPE")
    listed = {
        "MUG": ListedPrice(Decimal("9.50"), Decimal(12)),
        "ROPE": ListedPrice(Decimal("3.00")),
    }

    found = applied(system, BulkTerms(currency="USD", rule=Repricing(LISTED), listed=listed))

    assert amounts() == {"MUG": "9.50", "ROPE": "3.00"}
    assert found.totals()["new"] == 1
    assert Price.objects.get(variant=mug).compare_at == Decimal("12.000")


# --- the page -------------------------------------------------------------------------------------


def form(**typed: Any) -> dict[str, Any]:
    return {
        "currency": "USD", "category": "", "search": "", "skus": "MUG\nROPE", "kind": "percent", "value": "-10",
        "ending": "", "former": "keep", "starts_at": "", "ends_at": "", "reason": "season", "step": "preview",
        **typed,
    }  # fmt: skip


def test_staff_look_at_every_price_and_apply_exactly_that(
    office: Client, mug: Variant, rope: Variant
) -> None:
    before = written()
    shown = office.post(PAGE, form(ending="99", key="a" * 32))
    assert written()[:3] == before[:3]
    page = shown.content.decode()
    done = office.post(PAGE, form(ending="99", step="apply", plan=shown.context["plan"].id))

    assert "$8.99" in page
    assert "below the lowest price of 30 days" in page
    assert done.status_code == 302, done.content.decode()[:2000]
    assert amounts() == {"MUG": "8.99", "ROPE": "22.99"}


def test_a_plan_that_moved_is_shown_again(office: Client, mug: Variant, rope: Variant, system: Actor) -> None:  # fmt: skip
    shown = office.post(PAGE, form())
    services.set_price(
        actor=system, variant_id=mug.id, currency="USD", amount=Decimal(20), now=timezone.now()
    )

    again = office.post(PAGE, form(step="apply", plan=shown.context["plan"].id))
    page = again.content.decode()
    done = office.post(PAGE, form(step="apply", plan=again.context["plan"].id))

    assert again.status_code == 200
    assert "Something has changed since you looked" in page
    assert "$18.00" in page
    assert done.status_code == 302
    assert amounts() == {"MUG": "18.00", "ROPE": "22.50"}


def test_a_file_is_carried_from_the_preview_to_the_application(
    office: Client, mug: Variant, rope: Variant
) -> None:
    def file(text: str) -> Any:
        return SimpleUploadedFile("list.csv", text.encode(), content_type="text/csv")

    wrong = office.post(PAGE, form(file=file("sku,price\nMUG,x\n"), skus="")).content.decode()
    unknown = office.post(PAGE, form(file=file("sku,price\nNO,1\nMUG,9\n"), skus=""))
    shown = office.post(PAGE, form(file=file("sku,price,compareAt\nMUG,9.5,11\n"), skus=""))
    done = office.post(
        PAGE,
        form(
            kind="listed", skus="", step="apply",
            listed=shown.context["listed"], plan=shown.context["plan"].id,
        ),
    )  # fmt: skip

    assert "<td>2</td><td>price</td>" in wrong
    assert "There are no such SKUs:" in unknown.content.decode()
    assert not unknown.context["can_apply"]
    assert done.status_code == 302, done.content.decode()[:2000]
    assert amounts() == {"MUG": "9.50", "ROPE": "25.00"}


def test_rows_selected_in_the_list_go_on_to_the_page(
    office: Client, mug: Variant, rope: Variant
) -> None:
    ids = [str(price.pk) for price in Price.objects.all()]

    page = office.post(
        "/admin/pricing/price/", {"action": "change_together", "_selected_action": ids}
    )

    assert page.status_code == 200
    assert "MUG\nROPE" in page.content.decode()
    foreign = factories.make_priced_variant(company=factories.make_company())
    nothing = office.post(
        "/admin/pricing/price/",
        {"action": "change_together", "_selected_action": [str(foreign.prices.get().pk)]},
    )
    assert nothing.status_code == 302


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"value": ""}, "By how much?"),
        ({"reason": ""}, "required"),
        ({"skus": ""}, "Choose a category"),
        ({"currency": "XXX"}, "Select a valid choice"),
        ({"kind": "listed"}, "The list has no prices"),
        ({"value": "-200"}, "1,000 percent"),
    ],
    ids=["value", "reason", "none", "currency", "list", "percent"],
)
def test_what_cannot_be_planned_is_said_beside_the_form(
    office: Client, mug: Variant, typed: dict[str, str], said: str
) -> None:
    before = written()

    answer = office.post(PAGE, form(**typed))

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert written() == before


def test_who_may_not_change_prices_sees_no_page_and_first_prices_need_a_right(
    mug: Variant, rope: Variant, office: Client
) -> None:
    def clerk(*rights: str) -> Client:
        user = factories.make_staff(is_superuser=False)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        client = Client()
        client.force_login(user, BACKEND)
        return client

    factories.make_variant(sku="NEW")
    changer = clerk("view_price", "change_price")
    first = form(kind="set", value="5", skus="NEW")
    later = form(starts_at=f"{timezone.now() + DAY:%Y-%m-%dT%H:%M}")
    plans = [changer.post(PAGE, typed).context["plan"].id for typed in (first, later, form())]

    assert clerk("view_price").get(PAGE).status_code == 403
    assert changer.post(PAGE, {**first, "step": "apply", "plan": plans[0]}).status_code == 403
    assert changer.post(PAGE, {**later, "step": "apply", "plan": plans[1]}).status_code == 403
    assert changer.post(PAGE, form(step="apply", plan=plans[2])).status_code == 302
    assert amounts() == {"MUG": "9.00", "ROPE": "22.50"}


# --- the API --------------------------------------------------------------------------------------


def test_programs_ask_first_and_then_apply_what_they_saw(
    staff_api: Api, mug: Variant, rope: Variant
) -> None:
    asked = {"skus": ["MUG", "ROPE"], "rule": {"kind": "percent", "value": "-10"}}
    before = written()

    shown = staff_api.post("/products/pricing/bulk", asked).json()
    assert written()[:3] == before[:3]
    unsaid = staff_api.post(
        "/products/pricing/bulk", {**asked, "dryRun": False, "planId": shown["planId"]}
    )
    stale = staff_api.post(
        "/products/pricing/bulk", {**asked, "dryRun": False, "planId": "x", "reason": "a"}
    )
    unasked = staff_api.post("/products/pricing/bulk", {**asked, "dryRun": False, "reason": "a"})
    done = staff_api.post(
        "/products/pricing/bulk",
        {**asked, "dryRun": False, "planId": shown["planId"], "reason": "season"},
    )

    assert shown["applied"] is False
    assert shown["totals"]["lowered"] == 2
    row = shown["rows"][0]
    assert (row["sku"], row["price"], row["newPrice"], row["difference"], row["percent"]) == (
        "MUG", "10.00", "9.00", "-1.00", "-10.0",
    )  # fmt: skip
    assert [answer.status_code for answer in (unsaid, stale, unasked)] == [400, 400, 400]
    assert [answer.json()["errors"][0]["field"] for answer in (unsaid, stale, unasked)] == [
        "reason", "planId", "planId",
    ]  # fmt: skip
    assert (done.status_code, done.json()["applied"]) == (200, True)
    assert amounts() == {"MUG": "9.00", "ROPE": "22.50"}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"skus": ["MUG"]},
        {"rule": {"kind": "percent", "value": "-10"}},
        {"rule": {"kind": "percent", "value": "-10"}, "items": [{"sku": "MUG", "price": "1"}]},
        {"items": [{"sku": "MUG", "price": "1"}, {"sku": "MUG", "price": "2"}]},
        {"items": [{"sku": "MUG", "price": "1.999"}]},
        {"items": []},
        {"skus": ["MUG"], "rule": {"kind": "half", "value": "1"}},
        {"skus": ["MUG"], "rule": {"kind": "percent", "value": "1", "price": "2"}},
        {"skus": ["MUG"], "rule": {"kind": "percent", "value": "1"}, "currency": "XXX"},
    ],
    ids=["nothing", "no-rule", "none", "both", "twice", "decimals", "empty", "kind", "field", "currency"],
)  # fmt: skip
def test_what_makes_no_change_of_prices_is_refused(
    staff_api: Api, mug: Variant, asked: dict[str, Any]
) -> None:
    answer = staff_api.post("/products/pricing/bulk", asked)

    assert answer.status_code == 400, answer.json()
    assert amounts() == {"MUG": "10.00"}


def test_only_staff_with_the_right_may(user_api: Api, api: Api, mug: Variant) -> None:
    asked = {"skus": ["MUG"], "rule": {"kind": "percent", "value": "-10"}}

    assert user_api.post("/products/pricing/bulk", asked).status_code == 403
    assert api.post("/products/pricing/bulk", asked).status_code == 401
