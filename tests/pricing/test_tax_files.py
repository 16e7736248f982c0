"""Tax rates as a file: judged as a whole, written as shown or not at all, and the round trip changes nothing."""

from __future__ import annotations

from datetime import date
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
from pricing.models import Revision, TaxRate
from pricing.services.rulefiles import FilePlan
from pricing.services.taxfiles import apply_tax_file, plan_tax_file, tax_file_lines
from tests import factories

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAGE = "/admin/pricing/taxrate/import/"
HEAD = "name,type,country,state,taxClass,rate,validFrom,validTo,active\n"


def source(text: str, name: str = "rates.csv") -> Source:
    return Source.of(name, text.encode())


def plan(actor: Actor, rows: str, head: str = HEAD) -> FilePlan:
    return plan_tax_file(actor=actor, source=source(head + rows))


def applied(actor: Actor, rows: str, head: str = HEAD) -> FilePlan:
    file = source(head + rows)
    shown = plan_tax_file(actor=actor, source=file)
    return apply_tax_file(actor=actor, source=file, plan_id=shown.id, now=timezone.now())


def stored() -> list[tuple[Any, ...]]:
    rows = TaxRate.objects.order_by("country", "name", "valid_from")
    return list(rows.values_list("name", "country", "rate", "valid_from", "valid_to"))


def written() -> tuple[int, ...]:
    tables: list[Any] = [TaxRate, AuditEntry, OutboxEvent]
    return tuple(model.objects.count() for model in tables)


def test_a_place_is_read_as_destinations_are(system: Actor) -> None:
    there = factories.make_tax_rate("0.07", name="Sales", type="VAT", country="US", state="CA")

    found = applied(system, "Sales,VAT,us,California,,0.08,,,\nVAT,VAT,UK,,,0.2,,,\n")

    assert (len(found.created), len(found.changed)) == (1, 1)
    there.refresh_from_db()
    assert there.rate == Decimal("0.08")
    assert stored()[0][:2] == ("VAT", "GB")


def test_new_rates_are_made_and_known_ones_changed(company: Company, system: Actor) -> None:
    there = factories.make_tax_rate("0.16", name="VAT", country="DE", is_included=True, priority=3)

    found = applied(system, "VAT,vat,de,,,0.19,,,\nVAT,VAT,FR,,,20 %,,,yes\n")

    assert (len(found.created), len(found.changed)) == (1, 1)
    there.refresh_from_db()
    assert there.rate == Decimal("0.19")
    # columns the file does not have stay as they are
    assert (there.is_included, there.priority) == (True, 3)
    assert stored()[1][:3] == ("VAT", "FR", Decimal("0.20"))
    entries = AuditEntry.objects.order_by("action")
    assert [entry.action for entry in entries] == ["tax_rate.changed", "tax_rate.created"]
    assert (entries[0].before, entries[0].after) == ({"rate": "0.160000"}, {"rate": "0.190000"})
    assert {entry.reason for entry in entries} == {"rates.csv"}
    assert Revision.objects.filter(company=company).exists()


def test_what_a_file_holds_already_is_nothing_to_write(company: Company, system: Actor) -> None:
    factories.make_tax_rate("0.19", name="=cmd()", country="DE", priority=-1)
    factories.make_tax_rate(
        "0.077", name="Two, “three”", country="CH", state="ZH", tax_class="food"
    )
    factories.make_tax_rate("0.05", name="Twice", country="AT", is_active=False)
    factories.make_tax_rate("0.06", name="Twice", country="AT", is_active=True)
    factories.make_tax_rate("0.08", country="XX", company=factories.make_company())
    text = "".join(tax_file_lines(rates=selectors.tax_rates(actor=system)))
    before = written()

    found = plan_tax_file(actor=system, source=source(text))

    assert "'=cmd()" in text
    assert "XX" not in text
    assert (found.problems, found.created, found.changed) == ([], [], [])
    assert len(found.rows) == 4
    with pytest.raises(ValidationFailed) as refused:
        apply_tax_file(actor=system, source=source(text), plan_id=found.id, now=timezone.now())
    assert refused.value.errors[0].code == "nothing"
    assert written() == before


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("VAT,VAT,XX,,,0.19,,,", "country"),
        ("VAT,VAT,DE,,,1.9,,,", "rate"),
        ("VAT,VAT,DE,,,0.1234567,,,", "rate"),
        ("VAT,VAT,DE,,,x,,,", "rate"),
        ("VAT,VAT,DE,,,,,,", "rate"),
        ("VAT,VAT,DE,,,NaN,,,", "rate"),
        ("VAT,Sales,DE,,,0.1,,,", "type"),
        (",VAT,DE,,,0.1,,,", "name"),
        ("VAT,VAT,DE,,,0.1,1.7.2020,,", "validFrom"),
        ("VAT,VAT,DE,,,0.1,2020-07-01,2020-07-01,", "validTo"),
        ("VAT,VAT,DE,,,0.1,,,perhaps", "active"),
        ("VAT,VAT,DE,,,0.1,,,yes,more", ""),
        (f"VAT,VAT,DE,{'x' * 41},,0.1,,,", "state"),
    ],
)
def test_a_row_that_cannot_be_is_named_by_line_and_column(
    company: Company, system: Actor, row: str, column: str
) -> None:
    before = written()

    found = plan(system, f"Good,VAT,FR,,,0.2,,,\n{row}\n")

    assert [(problem.line, problem.column) for problem in found.problems] == [(3, column)]
    assert not found.is_sound
    with pytest.raises(ValidationFailed):
        applied(system, f"Good,VAT,FR,,,0.2,,,\n{row}\n")
    assert written() == before


def test_rates_for_the_same_days_are_a_problem_in_the_file_and_with_what_is_there(
    company: Company, system: Actor
) -> None:
    factories.make_tax_rate(
        "0.1", name="VAT", type="VAT", country="FR", valid_from=date(2020, 1, 1), valid_to=None
    )
    rows = (
        "VAT,VAT,DE,,,0.16,2020-07-01,2021-01-01,\n"
        "VAT,VAT,DE,,,0.19,2020-12-31,,\n"
        "VAT,VAT,DE,by,,0.19,,,\n"
        "VAT,VAT,DE,BY,,0.19,,,\n"
        "VAT,VAT,FR,,,0.2,2021-01-01,,\n"
    )

    repeated = plan(system, rows)
    found = plan(system, rows.replace("VAT,VAT,DE,BY,,0.19,,,\n", ""))

    assert [(problem.line, problem.column) for problem in repeated.problems] == [(5, "name")]
    assert [(problem.line, problem.column) for problem in found.problems] == [
        (3, "validFrom"), (5, "validFrom"),
    ]  # fmt: skip
    assert "line 2" in found.problems[0].message


def test_periods_may_change_places_in_one_file(company: Company, system: Actor) -> None:
    july, january = date(2020, 7, 1), date(2021, 1, 1)
    for first, last, rate in (
        (None, july, "0.19"),
        (july, january, "0.16"),
        (january, None, "0.19"),
    ):
        factories.make_tax_rate(
            rate, name="VAT", type="VAT", country="DE", tax_class="standard", valid_from=first, valid_to=last
        )  # fmt: skip

    applied(
        system,
        "VAT,VAT,DE,,,0.19,,2020-08-01,no\nVAT,VAT,DE,,,0.17,2020-07-01,2021-01-01,\n"
        "VAT,VAT,DE,,,0.18,2021-01-01,2022-01-01,\nVAT,VAT,DE,,,0.19,2022-01-01,,\n",
    )

    assert [(str(row[2]), row[3], row[4]) for row in stored()] == [
        ("0.170000", july, january),
        ("0.180000", january, date(2022, 1, 1)),
        ("0.190000", date(2022, 1, 1), None),
        ("0.190000", None, date(2020, 8, 1)),
    ]


def test_what_moved_since_the_plan_is_not_written_over(company: Company, system: Actor) -> None:
    rate = factories.make_tax_rate("0.16", name="VAT", type="VAT", country="DE")
    file = source(HEAD + "VAT,VAT,DE,,,0.19,,,\n")
    shown = plan_tax_file(actor=system, source=file)
    TaxRate.objects.filter(id=rate.id).update(rate=Decimal("0.17"))
    before = written()

    with pytest.raises(ValidationFailed) as refused:
        apply_tax_file(actor=system, source=file, plan_id=shown.id, now=timezone.now())

    assert refused.value.errors[0].code == "moved"
    assert written() == before
    assert TaxRate.objects.get().rate == Decimal("0.17")


def test_files_that_are_none_are_refused(company: Company, system: Actor) -> None:
    with pytest.raises(ImportUnreadable):
        plan(system, "VAT,VAT,DE\n", head="name,type,country\n")
    strange = plan(system, "VAT,VAT,DE,0.19,x\n", head="name,type,country,rate,colour\n")
    empty = plan(system, "")

    assert [(problem.line, problem.column) for problem in strange.problems] == [(1, "colour")]
    assert [problem.message for problem in empty.problems] == ["The file has no rows."]


def test_rates_of_another_company_are_neither_met_nor_changed(
    company: Company, system: Actor
) -> None:
    other = factories.make_tax_rate("0.16", name="VAT", type="VAT", country="DE", company=factories.make_company())  # fmt: skip

    found = applied(system, "VAT,VAT,DE,,,0.19,,,\n")

    assert len(found.created) == 1
    other.refresh_from_db()
    assert other.rate == Decimal("0.16")


# --- the page -------------------------------------------------------------------------------------


def signed_in(**fields: Any) -> Client:
    client = Client()
    client.force_login(factories.make_staff(**fields), BACKEND)
    return client


def file(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("rates.csv", text.encode(), content_type="text/csv")


def test_staff_bring_a_file_look_and_confirm(company: Company) -> None:
    office = signed_in(is_superuser=True)
    text = "\ufeffname;type;country;rate\nTVA;VAT;FR;0.2\nMwSt für alle;VAT;DE;0.19\n"

    asked = office.get(PAGE)
    shown = office.post(PAGE, {"file": file(text), "key": "b" * 32})
    nothing_yet = TaxRate.objects.count()
    done = office.post(
        PAGE,
        {
            "step": "apply", "plan": shown.context["plan"].id, "name": "rates\x00.csv", "text": shown.context["text"],
        },
    )  # fmt: skip
    taken = office.get("/admin/pricing/taxrate/file/")
    again = office.post(PAGE, {"file": file(b"".join(taken.streaming_content).decode())})

    assert (asked.status_code, shown.status_code, nothing_yet) == (200, 200, 0)
    assert done.status_code == 302, done.content.decode()[:2000]
    assert sorted(TaxRate.objects.values_list("name", "country")) == [
        ("MwSt für alle", "DE"), ("TVA", "FR"),
    ]  # fmt: skip
    assert "There is nothing to write" in again.content.decode()


def test_the_page_names_problems_and_writes_nothing(company: Company) -> None:
    office = signed_in(is_superuser=True)

    wrong = office.post(PAGE, {"file": file(HEAD + "VAT,VAT,DE,,,x,,,\n")}).content.decode()
    unreadable = office.post(PAGE, {"file": file("")}).content.decode()
    lacking = office.post(PAGE, {"file": file("name\nVAT\n")}).content.decode()
    stale = office.post(
        PAGE, {"step": "apply", "plan": "x", "name": "a", "text": HEAD + "VAT,VAT,DE,,,0.1,,,\n"}
    )

    assert "<td>2</td><td>rate</td>" in wrong
    assert "empty" in unreadable
    assert "lacks type" in lacking
    assert "Something has changed since you looked" in stale.content.decode()
    assert not TaxRate.objects.exists()


def test_who_may_not_enter_rates_brings_none(company: Company) -> None:
    viewer = factories.make_staff(is_superuser=False)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_taxrate"))
    looking, nobody = Client(), signed_in(is_superuser=False)
    looking.force_login(viewer, BACKEND)
    body = {"file": file(HEAD + "VAT,VAT,DE,,,0.1,,,\n")}

    assert looking.get("/admin/pricing/taxrate/file/").status_code == 200
    assert looking.get(PAGE).status_code == 403
    assert looking.post(PAGE, body).status_code == 403
    assert nobody.get("/admin/pricing/taxrate/file/").status_code == 403
    assert not TaxRate.objects.exists()
