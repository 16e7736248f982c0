"""Signed messages of outside systems: what is let in, what it does, and what it can never do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.platform import invariants, limits, metrics
from config.platform.actor import Actor
from config.platform.models import AuditEntry, OutboxEvent, new_id
from config.platform.signatures import sign
from inventory import services as inventory
from inventory.models import Product, Source, SourceMessage, StockLevel, StockMovement
from inventory.services import Demand, changes, messages
from tests.conftest import Api
from tests.factories import (
    default_company,
    default_warehouse,
    make_company,
    make_product,
    make_variant,
    make_warehouse,
)
from tests.threads import together

pytestmark = pytest.mark.django_db

OLD, NEW = "old-" + "a" * 40, "new-" + "b" * 40


@pytest.fixture
def source(settings: Any, company: Any) -> Source:
    settings.INVENTORY_WEBHOOK_SECRETS = {"erp": [OLD, NEW]}
    return Source.objects.create(company=company, slug="erp", name="ERP")


Post = Callable[..., Any]


@pytest.fixture
def post(api: Api, source: Source) -> Post:
    """Return a function that signs changes and posts them as a message."""

    def run(
        *said: Any,
        id: str = "",
        at: datetime | None = None,
        secret: str = OLD,
        signed_at: datetime | None = None,
        slug: str = "erp",
        body: bytes | None = None,
        signature: str | None = None,
        **headers: str,
    ) -> Any:
        if body is None:
            message = {
                "id": id or str(new_id()),
                "occurredAt": (at or timezone.now()).isoformat(),
                "changes": list(said),
            }
            body = json.dumps(message).encode()
        if signature is None:
            signature = sign(secret=secret, body=body, now=signed_at or timezone.now())
        if signature:
            headers["Holdfast-Signature"] = signature
        return api.post(f"/webhooks/inventory/{slug}", body, **headers)

    return run


def put(sku: str, quantity: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "set", "sku": sku, "quantity": quantity, **more}


def move(sku: str, quantity: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "adjust", "sku": sku, "quantity": quantity, **more}


def told(answer: Any) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.content
    return [(one["status"], one["code"], one["field"]) for one in answer.json()["results"]]


def figures(variant: Any) -> tuple[int, int, int]:
    level = StockLevel.objects.get(variant=variant)
    return level.available, level.reserved, level.total


def sound() -> bool:
    checks = invariants.select(invariants.all_checks(), only=["I01", "I02", "I03", "I04"])
    return all(result.holds for result in invariants.run(checks))


# --- what it does -----------------------------------------------------------------------------


def test_it_sets_and_adjusts_stock_with_a_movement_an_audit_entry_and_an_event(
    post: Post, now: datetime
) -> None:
    counted, moved = make_variant(available=10), make_variant(available=10)

    answer = post(put(counted.sku, 4), move(moved.sku, -3, type="DAMAGE"), id="m-1")

    assert told(answer) == [("applied", "", "")] * 2
    assert answer.json() | {"results": []} == {
        "id": "m-1", "status": "done", "replayed": False, "applied": 2, "refused": 0, "results": [],
    }  # fmt: skip
    assert (figures(counted), figures(moved)) == ((4, 0, 4), (7, 0, 7))
    rows = StockMovement.objects.filter(source="webhook").order_by("quantity")
    assert list(rows.values_list("type", "quantity", "balance", "reference")) == [
        ("ADJUSTMENT", -6, 4, "erp:m-1"),
        ("DAMAGE", -3, 7, "erp:m-1"),
    ]
    entry = AuditEntry.objects.get(
        action="stock.reported", object_id=str(StockLevel.objects.get(variant=counted).id)
    )
    assert (entry.source, entry.before["available"], entry.after["available"]) == ("webhook", 10, 4)
    told_of = OutboxEvent.objects.filter(name="inventory.stock_changed")
    assert {row.payload["sku"] for row in told_of} == {counted.sku, moved.sku}
    assert sound()


def test_it_changes_a_product_s_name_and_status_and_leaves_prices_alone(post: Post) -> None:
    named, ended = make_variant(), make_variant()

    answer = post(
        {"kind": "product", "sku": named.sku, "name": "Better name"},
        {"kind": "product", "sku": ended.sku, "status": "discontinued"},
        {"kind": "product", "sku": named.sku, "price": "1.00"},
    )

    assert told(answer) == [
        ("applied", "", ""),
        ("applied", "", ""),
        ("refused", "unknown_field", "changes.2.price"),
    ]
    assert Product.objects.get(id=named.product_id).name == "Better name"
    assert Product.objects.get(id=ended.product_id).status == "discontinued"
    assert OutboxEvent.objects.filter(name="product.discontinued").count() == 1
    assert told(post({"kind": "product", "sku": named.sku, "name": "Better name"})) == [
        ("unchanged", "", "")
    ]


def test_units_promised_stay_promised(post: Post, actor_guest: Actor, now: datetime) -> None:
    variant = make_variant(available=10)
    inventory.reserve(
        actor=actor_guest,
        cart_id=new_id(),
        demands=[Demand(new_id(), variant.id, 6)],
        expires_at=now + timedelta(minutes=15),
        now=now,
    )

    assert told(post(put(variant.sku, 2))) == [
        ("applied", "STOCK_BELOW_HOLDS", "changes.0.quantity")
    ]
    assert figures(variant) == (0, 6, 6)
    assert told(post(move(variant.sku, -1))) == [
        ("refused", "STOCK_BELOW_HOLDS", "changes.0.quantity")
    ]
    assert figures(variant) == (0, 6, 6)
    assert sound()


def test_a_count_never_brings_back_what_was_sold_after_it_was_made(
    post: Post, system: Actor, now: datetime
) -> None:
    variant = make_variant(available=10)
    level = StockLevel.objects.get(variant=variant)
    counted_at = now + timedelta(seconds=1)  # after the shelf was filled, before three left it
    inventory.adjust(
        actor=system,
        stock_level_id=level.id,
        quantity=-3,
        type="DAMAGE",
        now=now + timedelta(seconds=2),
    )

    assert told(post(put(variant.sku, 10), at=counted_at)) == [("unchanged", "", "")]
    assert figures(variant) == (7, 0, 7)
    assert told(post(put(variant.sku, 10), at=now + timedelta(seconds=3))) == [("applied", "", "")]
    assert figures(variant) == (10, 0, 10)


def test_in_doubt_what_came_in_the_second_of_a_count_was_counted(
    post: Post, system: Actor, now: datetime
) -> None:
    variant = make_variant(available=10)
    level = StockLevel.objects.get(variant=variant)
    for seconds in (1.5, 2.5):
        inventory.receive(
            actor=system,
            stock_level_id=level.id,
            quantity=4,
            now=now + timedelta(seconds=seconds),
        )

    post(put(variant.sku, 14), at=now + timedelta(seconds=1))

    assert figures(variant) == (18, 0, 18)


def test_what_is_older_than_what_is_known_changes_nothing(post: Post, now: datetime) -> None:
    variant = make_variant(available=10)
    at = {n: now + timedelta(seconds=n) for n in (1, 2, 3)}
    post(put(variant.sku, 20), at=at[2])

    assert told(post(put(variant.sku, 5), at=at[1])) == [("stale", "", "")]
    assert told(post(move(variant.sku, -4), at=at[1])) == [("stale", "", "")]  # contained in the 20
    assert told(post(move(variant.sku, 2), at=at[3])) == [("applied", "", "")]
    assert told(post(put(variant.sku, 1), at=at[2])) == [("stale", "", "")]  # it misses the two
    assert told(post(move(variant.sku, 1), at=at[2])) == [("applied", "", "")]
    assert figures(variant) == (23, 0, 23)
    product = {"kind": "product", "sku": variant.sku}
    post({**product, "name": "New"}, at=at[2])
    assert told(post({**product, "name": "Old"}, at=at[1])) == [("stale", "", "")]
    assert Product.objects.get(id=variant.product_id).name == "New"


def test_it_opens_a_shelf_in_the_source_s_own_warehouse(post: Post, source: Source) -> None:
    variant = make_variant(available=1)
    source.warehouse = make_warehouse(code="EAST")
    source.save()

    assert told(post(put(variant.sku, 8))) == [("applied", "", "")]

    there = dict(variant.stock_levels.values_list("warehouse__code", "total"))
    assert there == {"MAIN": 1, "EAST": 8}


# --- all or nothing, product by product -------------------------------------------------------


def test_a_refused_product_is_left_as_it_was_and_stops_no_other(post: Post) -> None:
    product = make_product()
    first, second = (make_variant(product=product, available=5) for _ in range(2))
    other = make_variant(available=5)

    answer = post(
        put(first.sku, 9),
        put(second.sku, 9, warehouse="NOWHERE"),
        {"kind": "product", "sku": first.sku, "name": "Never"},
        put("NO-SUCH-SKU", 1),
        put(other.sku, 9),
    )

    assert told(answer) == [
        ("refused", "NOT_APPLIED", ""),
        ("refused", "WAREHOUSE_NOT_FOUND", "changes.1.warehouse"),
        ("refused", "NOT_APPLIED", ""),
        ("refused", "PRODUCT_NOT_FOUND", "changes.3.sku"),
        ("applied", "", ""),
    ]
    assert [figures(one)[2] for one in (first, second, other)] == [5, 5, 9]
    assert Product.objects.get(id=product.id).name != "Never"
    assert StockMovement.objects.filter(source="webhook").count() == 1


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"kind": "set", "quantity": -1}, "min_value", "quantity"),
        ({"kind": "set", "quantity": 10**9 + 1}, "max_value", "quantity"),
        ({"kind": "set", "quantity": 10**30}, "max_value", "quantity"),
        ({"kind": "set", "quantity": "5"}, "invalid", "quantity"),
        ({"kind": "set", "quantity": 1.5}, "invalid", "quantity"),
        ({"kind": "set", "quantity": True}, "invalid", "quantity"),
        ({"kind": "set"}, "required", "quantity"),
        ({"kind": "set", "quantity": 1, "type": "DAMAGE"}, "unknown_field", "type"),
        ({"kind": "adjust", "quantity": 0}, "invalid", "quantity"),
        ({"kind": "adjust", "quantity": 10**9}, "invalid", "quantity"),
        ({"kind": "adjust", "quantity": 3, "type": "DAMAGE"}, "invalid", "quantity"),
        ({"kind": "adjust", "quantity": 1, "type": "SALE"}, "invalid_choice", "type"),
        ({"kind": "adjust", "quantity": -11}, "STOCK_BELOW_HOLDS", "quantity"),
        ({"kind": "set", "quantity": 1, "warehouse": "X"}, "WAREHOUSE_NOT_FOUND", "warehouse"),
        ({"kind": "set", "quantity": 1, "occurredAt": "soon"}, "invalid", "occurredAt"),
        (
            {"kind": "set", "quantity": 1, "occurredAt": "2999-01-01T00:00:00Z"},
            "invalid",
            "occurredAt",
        ),
        ({"kind": "product"}, "required", "name"),
        ({"kind": "product", "name": " "}, "blank", "name"),
        ({"kind": "product", "status": "gone"}, "invalid_choice", "status"),
        ({"kind": "destroy"}, "invalid_choice", "kind"),
    ],
)
def test_a_bad_change_is_refused_by_code_and_field(
    post: Post, change: dict[str, Any], code: str, field: str
) -> None:
    variant = make_variant(available=10)

    answer = post({"sku": variant.sku, **change})

    assert told(answer) == [("refused", code, f"changes.0.{field}")]
    assert answer.json()["refused"] == 1
    assert figures(variant) == (10, 0, 10)
    assert not StockMovement.objects.filter(source="webhook").exists()


@pytest.mark.parametrize("entry", [None, 1, "x", [], {}])
def test_what_is_no_change_is_refused_alone(post: Post, entry: Any) -> None:
    variant = make_variant(available=1)

    statuses = [status for status, _, _ in told(post(entry, put(variant.sku, 2)))]

    assert statuses == ["refused", "applied"]
    assert figures(variant) == (2, 0, 2)


# --- who is let in ----------------------------------------------------------------------------


def test_a_signature_by_either_of_two_keys_is_good_while_they_rotate(post: Post) -> None:
    variant = make_variant(available=1)
    body = json.dumps(
        {"id": "r", "occurredAt": timezone.now().isoformat(), "changes": [put(variant.sku, 2)]}
    ).encode()
    right = sign(secret=NEW, body=body, now=timezone.now())
    both = right.replace(",", ",v1=" + "0" * 64 + ",", 1)

    assert told(post(put(variant.sku, 3), secret=NEW)) == [("applied", "", "")]
    assert told(post(put(variant.sku, 4), secret=OLD)) == [("applied", "", "")]
    assert post(body=body, signature=both).status_code == 200


@pytest.mark.parametrize(
    "forge",
    [
        {"secret": "x" * 40},
        {"signature": ""},
        {"signature": "t=1,v1=0"},
        {"signature": "v1=" + "0" * 64},
        {"signature": "t=99999999999999999999,v1=é"},
        {"signature": f"t=999999999999,v1={'0' * 64}"},
        {"signed_at": timedelta(seconds=-301)},
        {"signed_at": timedelta(seconds=302)},
    ],
    ids=lambda forge: str(forge)[:30],
)
def test_a_forged_or_old_signature_is_refused_counted_and_noted(
    post: Post, forge: dict[str, Any], source: Source
) -> None:
    variant = make_variant(available=1)
    if "signed_at" in forge:
        forge = {"signed_at": timezone.now() + forge["signed_at"]}

    answer = post(put(variant.sku, 9), **forge)

    assert (answer.status_code, answer.json()["code"]) == (400, "WEBHOOK_SIGNATURE_INVALID")
    assert figures(variant) == (1, 0, 1)
    assert not SourceMessage.objects.exists()
    entry = AuditEntry.objects.get(action="webhook.refused")
    assert (entry.object_id, entry.after["address"]) == (str(source.id), "127.0.0.1")
    assert 'source="erp",result="forged"' in metrics.exposition(now=timezone.now())


def test_an_altered_body_is_refused(post: Post) -> None:
    body = json.dumps({"id": "a", "changes": []}).encode()
    signature = sign(secret=OLD, body=body, now=timezone.now())

    answer = post(body=body.replace(b"a", b"b", 1), signature=signature)

    assert answer.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"


def test_without_a_secret_or_a_row_the_door_is_closed(
    post: Post, settings: Any, source: Source
) -> None:
    variant = make_variant(available=1)

    assert post(put(variant.sku, 2), slug="wms").json()["code"] == "FEATURE_DISABLED"
    source.is_active = False
    source.save()
    assert post(put(variant.sku, 2)).json()["code"] == "FEATURE_DISABLED"
    source.is_active = True
    source.save()
    settings.INVENTORY_WEBHOOK_SECRETS = {}
    answer = post(put(variant.sku, 2))
    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert figures(variant) == (1, 0, 1)


def test_no_header_leads_to_another_company(post: Post) -> None:
    other = make_company()
    default_warehouse(other)
    theirs = make_variant(company=other, available=3)

    answer = post(put(theirs.sku, 9), **{"X-Company-Id": str(other.id)})

    assert told(answer) == [("refused", "PRODUCT_NOT_FOUND", "changes.0.sku")]
    assert figures(theirs) == (3, 0, 3)
    assert SourceMessage.objects.get().company_id == default_company().id


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MALFORMED_REQUEST"),
        (b"{", 400, "MALFORMED_REQUEST"),
        (b"\xff", 400, "MALFORMED_REQUEST"),
        (b"[]", 400, "MALFORMED_REQUEST"),
        (b'{"id":"a","id":"b"}', 400, "MALFORMED_REQUEST"),
        (b"{}", 400, "VALIDATION_ERROR"),
        (b'{"id":"a","occurredAt":"2026-01-01T00:00:00Z","changes":[]}', 400, "VALIDATION_ERROR"),
        (b'{"id":1,"occurredAt":"2026-01-01T00:00:00Z","changes":[1]}', 400, "VALIDATION_ERROR"),
        (b'{"id":"a","occurredAt":"yesterday","changes":[1]}', 400, "VALIDATION_ERROR"),
        (b" " * (1_048_576 + 1), 413, "BODY_TOO_LARGE"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_malformed_message_is_refused_whole(
    post: Post, body: bytes, status: int, code: str
) -> None:
    answer = post(body=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not SourceMessage.objects.exists()


def test_more_changes_than_a_message_may_have_and_another_media_type_are_refused(
    post: Post,
) -> None:
    many = [put("A", 1)] * (inventory.MOST_CHANGES + 1)

    assert post(*many).json()["errors"][0]["field"] == "changes"
    other = post(put("A", 1), **{"Content-Type": "text/csv"})
    assert (other.status_code, other.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert not SourceMessage.objects.exists()


def test_senders_are_limited(post: Post, rate_limits: None, monkeypatch: Any) -> None:
    monkeypatch.setitem(limits.LIMITS, "inbound", limits.Limit(2, 60, by_address=True))

    codes = [post(put("A", 1), secret="wrong" * 10).json()["code"] for _ in range(3)]

    assert codes == ["WEBHOOK_SIGNATURE_INVALID", "WEBHOOK_SIGNATURE_INVALID", "RATE_LIMITED"]


# --- once, and only once ----------------------------------------------------------------------


def test_the_same_message_again_changes_nothing(post: Post) -> None:
    variant = make_variant(available=1)
    at = timezone.now()
    first = post(move(variant.sku, 5), id="m", at=at)

    again = post(move(variant.sku, 5), id="m", at=at)

    assert again.status_code == 200
    assert again.json() == first.json() | {"replayed": True}
    assert figures(variant) == (6, 0, 6)
    assert StockMovement.objects.filter(source="webhook").count() == 1


def test_an_id_used_for_another_message_is_refused(post: Post) -> None:
    variant = make_variant(available=1)
    post(move(variant.sku, 5), id="m")

    answer = post(move(variant.sku, 7), id="m")

    assert (answer.status_code, answer.json()["code"]) == (409, "WEBHOOK_ID_REUSED")
    assert figures(variant) == (6, 0, 6)


def test_two_sources_may_use_one_id(post: Post, settings: Any, company: Any) -> None:
    settings.INVENTORY_WEBHOOK_SECRETS = {"erp": [OLD], "wms": [NEW]}
    Source.objects.create(company=company, slug="wms", name="WMS")
    variant = make_variant(available=1)

    post(move(variant.sku, 5), id="m")
    assert told(post(move(variant.sku, 7), id="m", slug="wms", secret=NEW)) == [("applied", "", "")]
    assert post(move(variant.sku, 7), slug="wms", secret=OLD).status_code == 400

    assert figures(variant) == (13, 0, 13)


def test_a_large_message_is_stored_answered_and_worked_off_by_the_drain(post: Post) -> None:
    variants = [make_variant(available=1) for _ in range(3)]
    many = [put(v.sku, 7) for v in variants] + [put("NONE", 1)] * messages.AT_ONCE
    at = timezone.now()

    answer = post(*many, id="big", at=at)

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert figures(variants[0]) == (1, 0, 1)
    assert inventory.drain_messages(now=timezone.now()) == 1
    assert figures(variants[0]) == (7, 0, 7)
    again = post(*many, id="big", at=at)
    assert (again.status_code, again.json()["applied"], again.json()["refused"]) == (200, 3, 50)
    assert inventory.drain_messages(now=timezone.now()) == 0


def test_a_crash_between_two_products_loses_nothing_and_repeats_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = [make_variant(available=1) for _ in range(3)]
    real, calls = changes.apply, []

    def dies(**given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the worker was killed")
        return real(**given)

    monkeypatch.setattr(changes, "apply", dies)
    answer = post(*[move(v.sku, 5) for v in variants], id="m")

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert [figures(v)[2] for v in variants] == [6, 1, 1]
    assert inventory.drain_messages(now=timezone.now()) == 0  # not due yet
    assert inventory.drain_messages(now=timezone.now() + timedelta(minutes=3)) == 1
    assert [figures(v)[2] for v in variants] == [6, 6, 6]
    assert SourceMessage.objects.get().applied == 3
    assert sound()


def test_a_refused_change_can_be_applied_again_once_it_is_possible(
    post: Post, staff: Actor
) -> None:
    known = make_variant(available=1)
    post(move(known.sku, 5), move("LATER", 3), id="m")
    message = SourceMessage.objects.get()
    later = make_variant(available=1, sku="LATER")

    inventory.apply_again(actor=staff, message_id=message.id, now=timezone.now())
    inventory.drain_messages(now=timezone.now())

    assert (figures(known)[2], figures(later)[2]) == (6, 4)
    message.refresh_from_db()
    assert (message.applied, message.refused) == (2, 0)
    assert AuditEntry.objects.filter(action="webhook.applied_again").count() == 1


def test_old_messages_are_deleted_and_young_ones_kept(post: Post, now: datetime) -> None:
    post(move(make_variant().sku, 1))

    assert inventory.prune_messages(now=now + timedelta(days=89)) == 0
    assert inventory.prune_messages(now=now + timedelta(days=91)) == 1


def test_the_number_of_statements_grows_with_products_not_with_changes(
    post: Post, django_assert_max_num_queries: Any
) -> None:
    product = make_product()
    variants = [make_variant(product=product) for _ in range(30)]

    with django_assert_max_num_queries(75):
        assert post(*[put(v.sku, 3) for v in variants]).json()["applied"] == 30


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_one_message_delivered_eight_times_at_once_has_one_effect(
    source: Source, settings: Any
) -> None:
    variant = make_variant(available=1)
    message = {
        "id": "m",
        "occurredAt": timezone.now().isoformat(),
        "changes": [move(variant.sku, 5)],
    }
    body = json.dumps(message).encode()
    signature = sign(secret=OLD, body=body, now=timezone.now())

    answers = together(
        8,
        lambda index: Api().post(
            "/webhooks/inventory/erp", body, **{"Holdfast-Signature": signature}
        ),
    )

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert figures(variant) == (6, 0, 6)
    assert SourceMessage.objects.get().applied == 1
    assert sound()
