"""The line as staff see it: its order, who is in it, and how somebody is taken out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform.models import AuditEntry
from inventory import services as inventory
from inventory.models import BackInStockRequest, Company, StockLevel, Variant
from tests.conftest import actor_for
from tests.factories import make_company, make_product, make_staff, make_user, make_variant
from tests.inventory.test_services import snapshot
from tests.inventory.test_stock_admin import clerk, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

LIST = reverse("admin:inventory_backinstockrequest_changelist")
TAKE_OUT = reverse("admin:inventory_backinstockrequest_take_out")


@pytest.fixture
def office(company: Company) -> Client:
    return signed_in(make_staff(is_superuser=True))


@pytest.fixture
def mug(company: Company) -> Variant:
    return make_variant(available=0, sku="MUG")


def line(variant: Variant, now: datetime, count: int = 1, **fields: Any) -> list[Any]:
    """Let so many customers wait, a minute apart; return their requests."""
    company = variant.company
    return [
        inventory.wait_for(
            actor=actor_for(make_user(), company),
            variant=variant,
            now=now + timedelta(minutes=place),
            **fields,
        )
        for place in range(count)
    ]


def places(answer: Any) -> list[tuple[str, int]]:
    return [(row.variant.sku, row.ahead) for row in answer.context["cl"].result_list]


def test_the_list_is_the_line_as_it_will_be_served(
    office: Client, mug: Variant, now: datetime
) -> None:
    later, sooner = line(mug, now + timedelta(hours=1))[0], line(mug, now)[0]
    line(make_variant(available=0, sku="CAP"), now)

    answer = office.get(LIST)

    assert places(answer) == [("CAP", 0), ("MUG", 0), ("MUG", 1)]
    rows = [row.pk for row in answer.context["cl"].result_list]
    assert rows[1:] == [sooner.pk, later.pk]
    assert [(one.sku, one.requests, one.units) for one in answer.context["lines"]] == [
        ("MUG", 2, 2),
        ("CAP", 1, 1),
    ]


def test_who_waits_is_named_by_account_or_address(
    office: Client, mug: Variant, now: datetime
) -> None:
    user = make_user(name="Ann Marsh")
    inventory.wait_for(actor=actor_for(user, mug.company), variant=mug, now=now)
    BackInStockRequest.objects.create(
        company=mug.company, variant=mug, email="bo@example.com", quantity=2, queued_at=now
    )

    shown = office.get(LIST).content.decode()
    assert "Ann Marsh" in shown
    assert "bo@example.com" in shown
    guests = office.get(LIST, {"who": "guests"}).context["cl"].result_list
    assert [row.email for row in guests] == ["bo@example.com"]
    assert len(office.get(LIST, {"who": "customers"}).context["cl"].result_list) == 1
    assert len(office.get(LIST, {"q": "bo@example"}).context["cl"].result_list) == 1


def test_filters_tell_what_is_kept_and_what_has_ended(
    office: Client, mug: Variant, now: datetime
) -> None:
    kept, waits, gone = line(mug, now, 3)
    BackInStockRequest.objects.filter(pk=kept.pk).update(
        status="OFFERED", offered_quantity=1, offered_at=now, offer_expires_at=now
    )
    BackInStockRequest.objects.filter(pk=gone.pk).update(status="LAPSED", closed_at=now)

    def found(choice: str) -> set[Any]:
        query = {"line": choice} if choice else {}
        return {row.pk for row in office.get(LIST, query).context["cl"].result_list}

    assert found("") == {kept.pk, waits.pk}
    assert found("waiting") == {waits.pk}
    assert found("kept") == found("late") == {kept.pk}
    assert found("ended") == {gone.pk}
    assert "offer is over" in office.get(LIST).content.decode()


def test_staff_take_somebody_out_and_say_why(office: Client, mug: Variant, now: datetime) -> None:
    first, second = line(mug, now, 2)
    assert "1 request loses its place" in office.get(TAKE_OUT, {"request": first.pk}).content.decode()  # fmt: skip

    office.post(TAKE_OUT, {"request": [first.pk], "reason": "asked by phone"})

    statuses = dict(BackInStockRequest.objects.values_list("pk", "status"))
    assert statuses == {first.pk: "CANCELLED", second.pk: "WAITING"}
    entry = AuditEntry.objects.get(action="back_in_stock.cancelled")
    assert (entry.object_id, entry.reason) == (str(first.pk), "asked by phone")
    assert entry.actor.startswith("staff:")
    assert "have ended already" in office.get(TAKE_OUT, {"request": first.pk}).content.decode()


def test_what_was_kept_for_one_taken_out_goes_to_the_next(
    office: Client, mug: Variant, now: datetime
) -> None:
    first, second = line(mug, now, 2)
    inventory.adjust(
        actor=actor_for(make_staff(), mug.company),
        stock_level_id=mug.stock_levels.get().pk,
        quantity=1,
        type="PURCHASE",
        now=now + timedelta(hours=1),
    )
    assert BackInStockRequest.objects.get(pk=first.pk).status == "OFFERED"

    office.post(TAKE_OUT, {"request": [first.pk], "reason": "reseller"})

    assert BackInStockRequest.objects.get(pk=first.pk).status == "CANCELLED"
    assert BackInStockRequest.objects.get(pk=second.pk).status == "OFFERED"
    assert StockLevel.objects.get(variant=mug).available == 0


def test_without_a_reason_or_a_right_nothing_is_written(
    office: Client, mug: Variant, now: datetime
) -> None:
    first = line(mug, now)[0]
    before = snapshot()
    looker = clerk("view_backinstockrequest")

    assert office.post(TAKE_OUT, {"request": [first.pk], "reason": " "}).status_code == 200
    assert looker.get(LIST).status_code == 200
    assert looker.post(TAKE_OUT, {"request": [first.pk], "reason": "x"}).status_code == 403
    assert clerk("view_stocklevel").get(TAKE_OUT, {"request": first.pk}).status_code == 403
    assert snapshot() == before
    assert BackInStockRequest.objects.get(pk=first.pk).status == "WAITING"


@pytest.mark.parametrize("text", ["not-a-uuid", "' or 1=1", ""])
def test_nonsense_in_an_address_is_no_request(office: Client, mug: Variant, text: str) -> None:
    assert office.get(TAKE_OUT, {"request": text}).status_code == 200
    assert office.post(TAKE_OUT, {"request": text, "reason": "x"}).status_code == 302


def test_the_line_of_another_company_is_not_there(office: Client, now: datetime) -> None:
    theirs = line(make_variant(company=make_company(), available=0), now)[0]

    assert places(office.get(LIST)) == []
    assert office.get(LIST).context["lines"] == []
    office.post(TAKE_OUT, {"request": [theirs.pk], "reason": "x"})
    address = reverse("admin:inventory_backinstockrequest_change", args=[theirs.pk])
    assert office.get(address).status_code == 302
    assert BackInStockRequest.objects.get(pk=theirs.pk).status == "WAITING"


def test_shelves_and_products_show_how_many_wait(
    office: Client, mug: Variant, now: datetime
) -> None:
    line(mug, now, 2)
    address = f"{LIST}?variant__id__exact={mug.pk}"
    level = mug.stock_levels.get()

    for page in (
        reverse("admin:inventory_stocklevel_changelist"),
        reverse("admin:inventory_stocklevel_change", args=[level.pk]),
        reverse("admin:inventory_product_change", args=[mug.product_id]),
    ):
        assert address in office.get(page).content.decode(), page
    line(make_variant(available=0, sku="CAP"), now)
    assert places(office.get(address)) == [("MUG", 0), ("MUG", 1)]


def test_a_long_line_costs_what_a_short_one_does(
    office: Client, mug: Variant, now: datetime
) -> None:
    product = make_product(company=mug.company)
    pages = {
        LIST: 0,
        reverse("admin:inventory_stocklevel_changelist"): 0,
        reverse("admin:inventory_product_change", args=[product.pk]): 0,
    }
    counted = []
    for count in (4, 16):
        for number in range(count):
            variant = make_variant(
                available=0, product=product, options={"Size": f"{len(counted)}-{number}"}
            )
            line(variant, now)
        found = {}
        for page in pages:
            office.get(page)
            with CaptureQueriesContext(connection) as queries:
                office.get(page)
            found[page] = len(queries)
        counted.append(found)

    assert counted[0] == counted[1]
