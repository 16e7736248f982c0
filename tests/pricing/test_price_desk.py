"""The price desk: all prices of one variant on one page, changed with a reason, tried before customers do."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent
from inventory.errors import ProductNotFound
from inventory.models import Company, Variant
from pricing import services
from pricing.history import Change, Scheduled, lowest_lately
from pricing.models import Price, PriceChange, SpecialPrice
from pricing.selectors.desk import price_desk, spans
from pricing.services.edits import PriceEdit, edit_prices
from pricing.trial import try_price
from tests import factories

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
DAY = timedelta(days=1)


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", sku="MUG")


@pytest.fixture
def office(company: Company) -> Client:
    client = Client()
    client.force_login(factories.make_staff(is_superuser=True), BACKEND)
    return client


def clerk(*rights: str) -> Client:
    user = factories.make_staff(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user, BACKEND)
    return client


def address(variant: Variant, query: str = "") -> str:
    return f"/admin/pricing/price/desk/{variant.pk}/{query}"


def base_form(**typed: str) -> dict[str, Any]:
    return {
        "do": "base",
        "key": uuid4().hex,
        "currency": ["USD"],
        "base-USD-amount": "10.00",
        "base-USD-compare_at": "",
        "base-USD-seen_amount": "10.00",
        "base-USD-seen_compare_at": "",
        "base-reason": "spring",
        **typed,
    }


def written() -> tuple[int, int, int, int]:
    return (
        PriceChange.objects.count(),
        SpecialPrice.objects.count(),
        AuditEntry.objects.count(),
        OutboxEvent.objects.count(),
    )


def special(variant: Variant, actor: Actor, **terms: Any) -> SpecialPrice:
    return services.set_special_price(
        actor=actor,
        terms=services.SpecialTerms(
            **{"variant_id": variant.id, "currency": "USD", "amount": Decimal("8.00"), **terms}
        ),
        now=timezone.now(),
    )


# --- base prices ----------------------------------------------------------------------------------


def test_base_prices_change_with_a_reason_that_is_kept(office: Client, variant: Variant) -> None:
    form = base_form(
        **{
            "base-USD-amount": "9.00",
            "base-USD-compare_at": "10.00",
            "new-currency": "eur",
            "new-amount": "8.50",
        }
    )

    answer = office.post(address(variant), form)

    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert {price.currency: (price.amount, price.compare_at) for price in Price.objects.all()} == {
        "USD": (Decimal("9.00"), Decimal("10.00")),
        "EUR": (Decimal("8.50"), None),
    }
    changes = PriceChange.objects.order_by("currency").values_list("currency", "old_amount", "new_amount", "reason")  # fmt: skip
    assert list(changes) == [
        ("EUR", None, Decimal("8.50"), "spring"),
        ("USD", Decimal("10.00"), Decimal("9.00"), "spring"),
    ]
    entry = AuditEntry.objects.get(action="price.changed")
    assert (entry.object_id, entry.reason) == (str(variant.id), "spring")
    assert entry.before["USD"] == {"amount": "10.00", "compareAt": None}
    assert entry.after["USD"] == {"amount": "9.00", "compareAt": "10.00"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"base-reason": ""}, "This field is required"),
        ({"base-USD-amount": "-1"}, "greater than or equal to 0"),
        ({"base-USD-amount": "9.999"}, "At most 2 decimals"),
        ({"base-USD-amount": "ten"}, "Enter a number"),
        ({"base-USD-amount": ""}, "cannot be taken away"),
        ({"base-USD-compare_at": "8.00", "base-USD-amount": "9.00"}, "higher than the price"),
        ({"new-currency": "XXQ", "new-amount": "1"}, "do not sell in this currency"),
        ({"new-currency": "EUR", "new-compare_at": "9"}, "What does it cost now?"),
        ({"new-currency": "JPY", "new-amount": "9.5"}, "At most 0 decimals"),
    ],
    ids=[
        "reason",
        "negative",
        "decimals",
        "letters",
        "empty",
        "was",
        "currency",
        "only-was",
        "yen",
    ],
)
def test_what_is_no_price_is_refused_and_nothing_is_written(
    office: Client, variant: Variant, typed: dict[str, str], said: str
) -> None:
    before = written()

    answer = office.post(address(variant), base_form(**{"base-USD-amount": "9.00", **typed}))

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert written() == before
    assert Price.objects.get().amount == Decimal("10.00")


def test_a_price_a_colleague_changed_meanwhile_is_not_overwritten(
    office: Client, variant: Variant, system: Actor
) -> None:
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(12), now=timezone.now()
    )
    before = written()

    answer = office.post(address(variant), base_form(**{"base-USD-amount": "9.00"}))

    assert "it is 12.00 now" in answer.content.decode()
    assert written() == before
    assert Price.objects.get().amount == Decimal("12.00")


def test_one_refused_currency_keeps_all_as_they_were(
    variant: Variant, system: Actor, now: Any
) -> None:
    before = written()
    with pytest.raises(ValidationFailed) as refused:
        edit_prices(
            actor=system,
            variant_id=variant.id,
            edits=[
                PriceEdit(currency="EUR", amount=Decimal(5)),
                PriceEdit(currency="USD", amount=Decimal(5), seen_amount=Decimal(7)),
            ],
            reason="  ",
            now=now,
        )

    assert [error.field for error in refused.value.errors] == ["reason", "USD"]
    assert written() == before
    assert not Price.objects.filter(currency="EUR").exists()


def test_equal_prices_write_nothing(office: Client, variant: Variant) -> None:
    before = written()

    assert office.post(address(variant), base_form()).status_code == 302

    assert written() == before


def test_a_form_that_is_sent_twice_changes_once(office: Client, variant: Variant) -> None:
    form = base_form(**{"base-USD-amount": "9.00"})

    first, second = (office.post(address(variant), form) for _ in range(2))

    assert (first.status_code, second.status_code) == (302, 302)
    assert PriceChange.objects.count() == 1


# --- beside the base price ------------------------------------------------------------------------


def test_a_scheduled_price_that_overlaps_names_the_other(
    office: Client, variant: Variant, system: Actor
) -> None:
    begins = timezone.now().replace(second=0, microsecond=0) + 10 * DAY
    other = special(
        variant, system, starts_at=begins, ends_at=begins + 4 * DAY, reason="Advent week"
    )
    before = written()
    form = {
        "do": "schedule",
        "key": uuid4().hex,
        "schedule-amount": "7.00",
        "schedule-starts_at": f"{begins + DAY:%Y-%m-%dT%H:%M}",
        "schedule-ends_at": f"{begins + 9 * DAY:%Y-%m-%dT%H:%M}",
        "schedule-reason": "Boxing day",
    }

    refused = office.post(address(variant), form)
    after = office.post(
        address(variant),
        {**form, "key": "", "schedule-starts_at": f"{begins + 4 * DAY:%Y-%m-%dT%H:%M}"},
    )

    page = refused.content.decode()
    assert refused.status_code == 200
    assert f"8.00 USD from {begins:%Y-%m-%d %H:%M} until {begins + 4 * DAY:%Y-%m-%d %H:%M}" in page
    assert "Advent week" in page
    assert after.status_code == 302
    made = SpecialPrice.objects.exclude(id=other.id).get()
    assert (made.amount, made.starts_at, made.reason) == (
        Decimal("7.00"), begins + 4 * DAY, "Boxing day",
    )  # fmt: skip
    assert written()[1] == before[1] + 1


def test_breaks_and_prices_of_groups_are_set_and_ended_with_a_reason(
    office: Client, variant: Variant, system: Actor
) -> None:
    group = services.create_group(actor=system, name="Trade", now=timezone.now())
    made = [
        office.post(
            address(variant),
            {
                "do": "break",
                "break-from_quantity": "5",
                "break-amount": "8.00",
                "break-reason": "a",
            },
        ),
        office.post(
            address(variant),
            {
                "do": "group", "group-group": str(group.id), "group-from_quantity": "1",
                "group-amount": "7.00", "group-reason": "b",
            },
        ),
    ]  # fmt: skip
    page = office.get(address(variant)).content.decode()
    row = SpecialPrice.objects.get(from_quantity=5)
    unsaid = office.post(address(variant), {"do": "end", "special": str(row.id), "reason": " "})
    ended = office.post(address(variant), {"do": "end", "special": str(row.id), "reason": "over"})
    again = office.post(address(variant), {"do": "end", "special": str(row.id), "reason": "over"})

    assert [answer.status_code for answer in made] == [302, 302]
    assert "from 5" in page
    assert "Trade" in page
    assert "Say why." in unsaid.content.decode()
    assert (ended.status_code, again.status_code) == (302, 200)
    assert "This price is over." in again.content.decode()
    nul = office.post(address(variant), {"do": "end", "special": str(row.id), "reason": "\x00"})
    assert "Say why." in nul.content.decode()
    row.refresh_from_db()
    assert row.ends_at is not None
    assert PriceChange.objects.filter(special_id=row.id, new_amount=None).get().reason == "over"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"do": "break", "break-from_quantity": "1", "break-amount": "8", "break-reason": "a"}, "greater than or equal to 2"),
        ({"do": "break", "break-from_quantity": "5", "break-amount": "8", "break-reason": ""}, "required"),
        ({"do": "schedule", "schedule-amount": "8", "schedule-reason": "a", "schedule-starts_at": "2001-01-01T00:00"}, "cannot begin in the past"),
        ({"do": "group", "group-group": "00000000-0000-7000-8000-000000000000", "group-from_quantity": "1", "group-amount": "8", "group-reason": "a"}, "Select a valid choice"),
    ],
    ids=["one", "reason", "past", "group"],
)  # fmt: skip
def test_what_is_no_special_price_is_refused_and_nothing_is_written(
    office: Client, variant: Variant, system: Actor, form: dict[str, str], said: str
) -> None:
    services.create_group(actor=system, name="Trade", now=timezone.now())
    before = written()

    answer = office.post(address(variant), form)

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert written() == before


# --- what applies when, and what somebody would pay -----------------------------------------------


def test_what_everybody_pays_is_told_from_now_on(variant: Variant, system: Actor, now: Any) -> None:
    special(variant, system, starts_at=now + DAY, ends_at=now + 2 * DAY)
    special(variant, system, starts_at=now + 2 * DAY, amount=Decimal(7))

    desk = price_desk(actor=system, variant_id=variant.id, currency="", now=now)

    assert [(span.starts_at - now, span.ends_at and span.ends_at - now, str(span.amount)) for span in desk.spans] == [
        (0 * DAY, DAY, "10.000"), (DAY, 2 * DAY, "8.000"), (2 * DAY, None, "7.000"),
    ]  # fmt: skip
    assert spans(Decimal(5), [], now)[0].ends_at is None


def test_the_trial_says_what_a_group_pays_at_a_moment_and_why(
    office: Client, variant: Variant, system: Actor
) -> None:
    now = timezone.now()
    group = services.create_group(actor=system, name="Trade", now=now)
    special(variant, system, from_quantity=5)
    special(variant, system, group_id=group.id, amount=Decimal("7.50"), starts_at=now + DAY)

    def paid(quantity: int, group_id: Any = None, at: Any = now) -> tuple[str, list[str]]:
        found = try_price(
            actor=system, variant=variant, currency="USD", quantity=quantity, group_id=group_id, at=at
        )  # fmt: skip
        assert found is not None
        return str(found.quote.totals.subtotal), [step.kind for step in found.quote.steps]

    later = timezone.now() + 2 * DAY
    assert paid(1) == ("10.00", ["list_price"])
    assert paid(5, at=timezone.now()) == ("40.00", ["list_price", "quantity_break"])
    assert paid(1, group.id, timezone.now()) == ("10.00", ["list_price"])
    assert paid(1, group.id, later) == ("7.50", ["list_price", "list_price"])
    assert paid(1, None, later) == ("10.00", ["list_price"])
    page = office.get(
        address(variant), {"group": str(group.id), "quantity": "2", "at": f"{later:%Y-%m-%dT%H:%M}"}
    ).content.decode()
    assert "2 for Trade: <strong>$15.00</strong>" in page
    past = office.get(address(variant), {"quantity": "2", "at": "2001-01-01T00:00"})
    assert "the past is in the history" in past.content.decode()


def test_the_trial_counts_automatic_promotions(variant: Variant, system: Actor) -> None:
    factories.make_promotion(kind="PERCENTAGE", value=Decimal(10))

    found = try_price(
        actor=system,
        variant=variant,
        currency="USD",
        quantity=2,
        group_id=None,
        at=timezone.now(),
    )

    assert found is not None
    assert found.quote.totals.grand_total == Decimal("18.00")


def test_the_lowest_price_lately_counts_what_was_in_force_within_30_days(now: Any) -> None:
    def change(days: float, old: str | None, new: str) -> Change:
        return Change(now - days * DAY, None if old is None else Decimal(old), Decimal(new))

    history = [change(90, None, "5"), change(40, "5", "8"), change(10, "8", "9")]

    assert lowest_lately(history, [], now=now) == Decimal(8)
    sale = Scheduled(now - 35 * DAY, now - 29 * DAY, Decimal(6))
    assert lowest_lately(history, [sale], now=now) == Decimal(6)
    assert lowest_lately([], [], now=now) is None


# --- rights, companies, costs ---------------------------------------------------------------------


def test_who_may_only_look_sees_no_form_and_changes_nothing(
    variant: Variant, system: Actor
) -> None:
    looking = clerk("view_price")
    row = special(variant, system, from_quantity=3)
    before = written()

    page = looking.get(address(variant))
    answers = [
        looking.post(address(variant), base_form(**{"base-USD-amount": "9.00"})),
        looking.post(address(variant), {"do": "break", "break-from_quantity": "5", "break-amount": "8", "break-reason": "a"}),
        looking.post(address(variant), {"do": "end", "special": str(row.id), "reason": "a"}),
        clerk("view_price", "change_price").post(
            address(variant), base_form(**{"new-currency": "EUR", "new-amount": "1"})
        ),
    ]  # fmt: skip

    text = page.content.decode()
    assert page.status_code == 200
    assert not re.search(r'name="do"', text)
    assert "History" not in text
    assert [answer.status_code for answer in answers] == [403, 403, 403, 403]
    assert written() == before
    assert clerk("view_specialprice").get(address(variant)).status_code == 403


def test_a_variant_of_another_company_is_not_found(office: Client, system: Actor, now: Any) -> None:
    foreign = factories.make_priced_variant(company=factories.make_company())
    mine = factories.make_priced_variant()
    row = special(mine, system)

    assert office.get(address(foreign)).status_code == 404
    assert office.post(address(foreign), base_form()).status_code == 404
    assert office.get(f"/admin/pricing/price/desk/{uuid4()}/").status_code == 404
    assert office.post(address(mine), {"do": "nothing"}).status_code == 404
    other = factories.make_priced_variant()
    ended = office.post(address(other), {"do": "end", "special": str(row.id), "reason": "a"})
    assert ended.status_code == 404
    with pytest.raises(ProductNotFound):
        edit_prices(actor=system, variant_id=foreign.id, edits=[], reason="a", now=now)


def test_a_sku_leads_to_its_desk(office: Client, variant: Variant) -> None:
    foreign = factories.make_priced_variant(sku="MUG-FOREIGN", company=factories.make_company())

    found = office.get("/admin/pricing/price/desk/", {"sku": "mug"})
    near = office.get("/admin/pricing/price/desk/", {"sku": "MU"}).content.decode()

    assert (found.status_code, found["Location"]) == (302, address(variant))
    assert str(variant.pk) in near
    assert str(foreign.pk) not in near


def test_the_desk_costs_the_same_however_much_has_happened(
    office: Client, variant: Variant, system: Actor, unhurried: None
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert office.get(address(variant), {"quantity": "2"}).status_code == 200
        return len(seen)

    special(variant, system, from_quantity=2)
    cost()
    few = cost()
    for number in range(3, 13):
        special(variant, system, from_quantity=number)
        services.set_price(
            actor=system, variant_id=variant.id, currency="USD", amount=Decimal(number), now=timezone.now()
        )  # fmt: skip
    cost()  # rules are read anew after a change
    assert cost() == few
