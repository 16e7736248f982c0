"""Zones and ways to ship as a file: judged as a whole, written as shown or not at all, and the round trip changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from config.platform.actor import Actor
from config.platform.errors import ImportUnreadable, ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent
from config.platform.sheets import Source
from inventory.models import Company
from pricing import selectors
from pricing.models import Revision, ShippingRule, ShippingZone
from pricing.services import rulefiles
from pricing.services.rulefiles import FilePlan
from pricing.services.shippingfiles import (
    apply_shipping_file,
    plan_shipping_file,
    shipping_file_lines,
)
from tests import factories

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAGE = "/admin/pricing/shippingzone/import/"
HEAD = "zone,countries,code,name,type,currency,basePrice,freeOver,minDays,maxDays\n"
NORTH = "North,DK|SE,post,Post,FLAT_RATE,USD,4.90,50,2,5\n"


def source(text: str, name: str = "shipping.csv") -> Source:
    return Source.of(name, text.encode())


def plan(actor: Actor, rows: str, head: str = HEAD) -> FilePlan:
    return plan_shipping_file(actor=actor, source=source(head + rows))


def applied(actor: Actor, rows: str, head: str = HEAD) -> FilePlan:
    shown = plan(actor, rows, head)
    return apply_shipping_file(
        actor=actor, source=source(head + rows), plan_id=shown.id, now=timezone.now()
    )


def whole(actor: Actor) -> str:
    """Return everything there is, as its file."""
    lines = shipping_file_lines(
        zones=selectors.shipping_zones(actor=actor), rules=selectors.shipping_rules(actor=actor)
    )
    return "".join(lines)


def written() -> tuple[int, ...]:
    tables: list[Any] = [ShippingZone, ShippingRule, AuditEntry, OutboxEvent]
    return tuple(model.objects.count() for model in tables)


def stored() -> list[tuple[Any, ...]]:
    rows = ShippingRule.objects.order_by("zone__name", "code", "currency")
    return list(rows.values_list("zone__name", "code", "currency", "base_price"))


def test_new_zones_and_ways_are_made_together_and_known_ones_changed(
    company: Company, system: Actor
) -> None:
    there = factories.make_shipping_rule(
        "4.90", countries=["US"], code="standard", priority=3, max_days=9
    )
    name = there.zone.name

    found = applied(
        system,
        f"{name},us,standard,Standard,,USD,5.90,,2,9\n"
        + NORTH
        + "North,SE|DK,post,Post,FLAT_RATE,EUR,5,,2,5\n".replace("SE|DK", "DK|SE")
        + "Nowhere yet,FO,,,,,,,,\n",
    )

    assert (len(found.created), len(found.changed)) == (4, 1)
    assert stored() == [
        ("North", "post", "EUR", Decimal(5)),
        ("North", "post", "USD", Decimal("4.90")),
        (name, "standard", "USD", Decimal("5.90")),
    ]
    there.refresh_from_db()
    # columns the file does not have stay as they are
    assert (there.priority, there.max_days, there.zone.name) == (3, 9, name)
    assert ShippingZone.objects.get(name="North").countries == ["DK", "SE"]
    assert not ShippingZone.objects.get(name="Nowhere yet").rules.exists()
    entries = AuditEntry.objects.order_by("action", "object_id")
    assert [entry.action for entry in entries] == [
        "shipping_rule.changed",
        "shipping_rule.created",
        "shipping_rule.created",
        "shipping_zone.created",
        "shipping_zone.created",
    ]
    assert entries[0].after == {"base_price": "5.90"}
    assert {entry.reason for entry in entries} == {"shipping.csv"}
    assert Revision.objects.filter(company=company).exists()


def test_what_was_imported_prices_a_parcel(company: Company, system: Actor) -> None:
    applied(system, NORTH)

    [zone] = selectors.rules(
        company_id=company.id, revision=selectors.revision(company_id=company.id)
    ).zones

    assert (zone.countries, [method.base_price for method in zone.methods]) == (
        ("DK", "SE"),
        [Decimal("4.90")],
    )


def test_bringing_back_what_was_taken_changes_nothing(company: Company, system: Actor) -> None:
    applied(
        system,
        "=cmd(),DE|AT,BY|Ober-Österreich,80|81 5,7,yes,post,“Post”, PRICE_BASED ,EUR,4.9,0,0,75,10.5,300,0,3,-1,no\n"
        "Isles,*,,,0,no,,,,,,,,,,,,,,\n",
        head="zone,countries,states,postalCodes,zonePriority,zoneActive,code,name,type,currency,basePrice,perItem,"
        "perKilogram,freeOver,minimumOrder,maximumOrder,minDays,maxDays,priority,active\n",
    )
    before, text = written(), whole(system)

    found = plan_shipping_file(actor=system, source=source(text))
    with pytest.raises(ValidationFailed) as refused:
        apply_shipping_file(actor=system, source=source(text), plan_id=found.id, now=timezone.now())

    assert [error.code for error in refused.value.errors] == ["nothing"]
    assert not found.problems
    assert len(found.rows) == 3
    assert not found.changed + found.created
    assert "\n'=cmd(),DE|AT," in text
    assert written() == before


def test_what_a_file_does_not_name_is_left_alone(company: Company, system: Actor) -> None:
    factories.make_shipping_rule("4.90", countries=["US"])

    applied(system, NORTH)

    assert ShippingRule.objects.count() == 2


WRONG = [
    ("North,DK,post,Post,FLAT_RATE,USD,4.905,,2,5\n", 2, "basePrice"),
    ("North,DK,post,Post,FLAT_RATE,JPY,4.5,,2,5\n", 2, "basePrice"),
    ("North,DK,post,Post,FLAT_RATE,USD,-1,,2,5\n", 2, "basePrice"),
    ("North,DK,post,Post,FLAT_RATE,USD,1e3,,2,5\n", 2, "basePrice"),
    ("North,DK,post,Post,FLAT_RATE,USD,4.90,free,2,5\n", 2, "freeOver"),
    ("North,DK,post,Post,PIGEON,USD,4.90,,2,5\n", 2, "type"),
    ("North,DK,post,Post,FLAT_RATE,XXX,4.90,,2,5\n", 2, "currency"),
    ("North,DK,post,Post,FLAT_RATE,,4.90,,2,5\n", 2, "currency"),
    ("North,DK,Post!,Post,FLAT_RATE,USD,4.90,,2,5\n", 2, "code"),
    ("North,DK,,Post,FLAT_RATE,USD,4.90,,2,5\n", 2, "code"),
    ("North,DK,post,,FLAT_RATE,USD,4.90,,2,5\n", 2, "name"),
    ("North,DK,post,Post,FLAT_RATE,USD,4.90,,5,2\n", 2, "maxDays"),
    ("North,DK,post,Post,FLAT_RATE,USD,4.90,,-1,2\n", 2, "minDays"),
    ("North,DK,post,Post,FLAT_RATE,USD,4.90,,2,400\n", 2, "maxDays"),
    ("North,Denmark,post,Post,FLAT_RATE,USD,4.90,,2,5\n", 2, "countries"),
    ("North,,post,Post,FLAT_RATE,USD,4.90,,2,5\n", 2, "countries"),
    (",DK,post,Post,FLAT_RATE,USD,4.90,,2,5\n", 2, "zone"),
    (NORTH + "North,DK|SE,post,Post again,FLAT_RATE,USD,4.90,,2,5\n", 3, "code"),
    (NORTH + "North,NO,letter,Letter,FLAT_RATE,USD,1,,2,5\n", 3, "zone"),
    ("", 2, ""),
]


@pytest.mark.parametrize(("rows", "line", "column"), WRONG)
def test_what_is_wrong_is_named_by_line_and_column_and_nothing_is_written(
    company: Company, system: Actor, rows: str, line: int, column: str
) -> None:
    before = written()
    found = plan(system, rows)

    with pytest.raises(ValidationFailed):
        apply_shipping_file(
            actor=system, source=source(HEAD + rows), plan_id=found.id, now=timezone.now()
        )

    assert [(each.line, each.column) for each in found.problems] == [(line, column)]
    assert written() == before


def test_a_column_that_is_none_a_missing_one_and_too_many_rows_are_problems(
    company: Company, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulefiles, "MOST_ROWS", 1)

    unknown = plan(system, "North,DK,blue\n", head="zone,countries,colour\n")
    many = plan(system, "North,DK\nSouth,IT\n", head="zone,countries\n")

    assert [(each.line, each.column) for each in unknown.problems] == [(1, "colour")]
    assert [(each.line, each.column) for each in many.problems] == [(3, "")]
    with pytest.raises(ImportUnreadable, match="zone"):
        plan(system, "DK\n", head="countries\n")


def test_a_new_zone_needs_its_countries(company: Company, system: Actor) -> None:
    found = plan(system, "North\n", head="zone\n")

    assert [(each.line, each.column) for each in found.problems] == [(2, "countries")]


def test_what_moved_since_it_was_shown_is_shown_again(company: Company, system: Actor) -> None:
    there = factories.make_shipping_rule("4.90", countries=["US"])
    rows = f"{there.zone.name},US,standard,Standard,,USD,5.90,,2,5\n"
    shown = plan(system, rows)
    ShippingRule.objects.update(base_price=Decimal("7.00"))
    before = written()

    with pytest.raises(ValidationFailed) as refused:
        apply_shipping_file(
            actor=system, source=source(HEAD + rows), plan_id=shown.id, now=timezone.now()
        )

    assert [error.code for error in refused.value.errors] == ["moved"]
    assert ShippingRule.objects.get().base_price == Decimal("7.00")
    assert written() == before


def test_zones_of_another_company_are_not_known_nor_touched(
    company: Company, system: Actor
) -> None:
    other = factories.make_company()
    factories.make_shipping_rule("4.90", countries=["DK"], company=other)
    ShippingZone.objects.filter(company=other).update(name="North")

    found = applied(system, NORTH)

    assert len(found.created) == 2
    assert ShippingZone.objects.get(company=other).countries == ["DK"]
    assert "4.9" in whole(system)
    assert whole(system).count("North") == 1


# --- in the admin ---------------------------------------------------------------------------------


def signed_in(**fields: Any) -> Client:
    client = Client()
    client.force_login(factories.make_staff(**fields), BACKEND)
    return client


def file(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("shipping.csv", text.encode(), content_type="text/csv")


def test_staff_bring_a_file_look_and_confirm(company: Company) -> None:
    office = signed_in(is_superuser=True)

    asked = office.get(PAGE)
    shown = office.post(PAGE, {"file": file(HEAD + NORTH), "key": "b" * 32})
    nothing_yet = ShippingZone.objects.count()
    done = office.post(
        PAGE,
        {
            "step": "apply", "plan": shown.context["plan"].id, "name": "a.csv", "text": shown.context["text"],
        },
    )  # fmt: skip
    taken = b"".join(office.get("/admin/pricing/shippingzone/file/").streaming_content).decode()
    again = office.post(PAGE, {"file": file(taken)})
    wrong = office.post(PAGE, {"file": file(HEAD + "North,DK,post,Post,PIGEON,USD,1,,2,5\n")})

    assert (asked.status_code, shown.status_code, nothing_yet) == (200, 200, 0)
    assert "4.90 USD" in shown.content.decode()
    assert done.status_code == 302
    assert stored() == [("North", "post", "USD", Decimal("4.90"))]
    assert "There is nothing to write" in again.content.decode()
    assert "<td>2</td><td>type</td>" in wrong.content.decode()


@pytest.mark.parametrize("lacking", ["add_shippingrule", "change_shippingzone"])
def test_who_may_not_enter_both_brings_none(company: Company, lacking: str) -> None:
    rights = {
        f"{verb}_{kind}" for verb in ("add", "change", "view")
        for kind in ("shippingzone", "shippingrule")
    }  # fmt: skip
    staff = factories.make_staff(is_superuser=False)
    staff.user_permissions.set(Permission.objects.filter(codename__in=rights - {lacking}))
    client = Client()
    client.force_login(staff, BACKEND)

    assert client.get("/admin/pricing/shippingzone/file/").status_code == 200
    assert client.post(PAGE, {"file": file(HEAD + NORTH)}).status_code == 403
    assert signed_in(is_superuser=False).get("/admin/pricing/shippingzone/file/").status_code == 403
    assert not ShippingZone.objects.exists()
