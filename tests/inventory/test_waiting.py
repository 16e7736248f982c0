"""Who gets units when they come back: those they are owed, then those who wait, then the public."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.platform import invariants
from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, new_id
from inventory import selectors
from inventory import services as inventory
from inventory.errors import (
    BackInStockLinkInvalid,
    BackInStockRequestNotFound,
    InsufficientStock,
    ProductInStock,
    TooManyBackInStockRequests,
)
from inventory.models import BackInStockRequest, Reservation, StockLevel, StockMovement, Variant
from inventory.services import Demand
from tests.conftest import actor_for
from tests.factories import make_stock, make_user, make_variant, make_warehouse
from tests.inventory.test_services import QUARTER, events, figures, snapshot

pytestmark = pytest.mark.django_db

HALF = timedelta(minutes=30)


@pytest.fixture
def customer(company: Any) -> Callable[[], Actor]:
    return lambda: actor_for(make_user(), company)


@pytest.fixture
def hold(now: datetime) -> Callable[..., UUID]:
    """Return a function that lets somebody hold units in a cart; it returns the line."""

    def run(actor: Actor, variant: Variant, quantity: int = 1, **options: Any) -> UUID:
        line_id = options.pop("line_id", None) or new_id()
        inventory.reserve(
            **{
                "actor": actor,
                "cart_id": new_id(),
                "demands": [Demand(line_id, variant.id, quantity)],
                "expires_at": options.get("now", now) + QUARTER,
                "now": now,
                **options,
            }
        )
        return line_id

    return run


@pytest.fixture
def wait(now: datetime) -> Callable[..., BackInStockRequest]:
    def run(
        actor: Actor, variant: Variant, quantity: int = 1, at: datetime = now
    ) -> BackInStockRequest:
        return inventory.wait_for(actor=actor, variant=variant, quantity=quantity, now=at)

    return run


def statuses(*requests: BackInStockRequest) -> list[tuple[str, int]]:
    rows = {row.id: row for row in BackInStockRequest.objects.all()}
    return [(rows[r.id].status, rows[r.id].offered_quantity) for r in requests]


def sound() -> bool:
    checks = invariants.select(
        invariants.all_checks(), only=["I01", "I02", "I03", "I04", "I10", "I11", "I12"]
    )
    return all(result.holds for result in invariants.run(checks))


# --- taking and leaving a place ---------------------------------------------------------------


def test_wait_for_takes_one_place_per_customer_and_variant(wait: Any, customer: Any) -> None:
    variant, me = make_variant(available=0), customer()

    first = wait(me, variant)
    again = wait(me, variant, 3)

    assert again.id == first.id
    assert BackInStockRequest.objects.get().quantity == 3
    assert StockLevel.objects.get().is_awaited
    assert sound()


def test_wait_for_refuses_what_can_be_had(wait: Any, customer: Any) -> None:
    here = make_variant(available=1)
    on_backorder = make_variant(available=0, inventory_policy="continue")

    for variant in (here, on_backorder):
        with pytest.raises(ProductInStock):
            wait(customer(), variant)

    assert not BackInStockRequest.objects.exists()
    assert not StockLevel.objects.filter(is_awaited=True).exists()


@pytest.mark.parametrize("quantity", [0, -1, 11])
def test_wait_for_refuses_odd_quantities(wait: Any, customer: Any, quantity: int) -> None:
    with pytest.raises(ValidationFailed):
        wait(customer(), make_variant(available=0), quantity)

    assert not BackInStockRequest.objects.exists()


def test_wait_for_has_a_ceiling(wait: Any, customer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("inventory.services.waiting.MOST_OPEN", 2)
    me = customer()
    for _ in range(2):
        wait(me, make_variant(available=0))

    with pytest.raises(TooManyBackInStockRequests):
        wait(me, make_variant(available=0))

    assert BackInStockRequest.objects.count() == 2


def test_wait_for_opens_a_shelf_where_there_is_none(wait: Any, customer: Any, staff: Actor) -> None:
    variant = make_variant(available=None)

    wait(customer(), variant)

    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.is_awaited) == (0, True)


def test_a_shelf_that_is_opened_later_knows_who_waits(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0)
    request = wait(customer(), variant)
    second = make_warehouse(priority=2)

    inventory.create_stock_level(
        actor=staff, variant_id=variant.id, warehouse=second.code, available=4, now=now
    )

    assert statuses(request) == [("OFFERED", 1)]
    assert figures(variant) == [(0, 0, 0, 0), (3, 1, 4, 0)]


def test_guests_wait_only_after_their_address_said_so(
    actor_guest: Actor, now: datetime, company: Any
) -> None:
    variant = make_variant(available=0)

    inventory.ask_by_mail(
        actor=actor_guest, variant=variant, email=" Ann@Example.com ", quantity=2, now=now
    )
    assert not BackInStockRequest.objects.exists()
    [asked] = events("inventory.back_in_stock_asked")
    assert (asked["email"], asked["quantity"]) == ("ann@example.com", 2)

    token = inventory.confirmation_token(
        company_id=company.id, variant_id=variant.id, email=asked["email"], quantity=2
    )
    for _ in range(2):
        request = inventory.confirm_by_mail(actor=actor_guest, token=token, now=now)

    assert BackInStockRequest.objects.get() == request
    assert (request.user_id, request.email, request.quantity) == (None, "ann@example.com", 2)


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "x" * 250 + "@example.com"])
def test_ask_by_mail_refuses_what_is_no_address(
    actor_guest: Actor, now: datetime, email: str
) -> None:
    with pytest.raises(ValidationFailed):
        inventory.ask_by_mail(
            actor=actor_guest, variant=make_variant(available=0), email=email, now=now
        )

    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "a:b:c"])
def test_links_of_others_lead_nowhere(actor_guest: Actor, now: datetime, token: str) -> None:
    with pytest.raises(BackInStockLinkInvalid):
        inventory.confirm_by_mail(actor=actor_guest, token=token, now=now)
    with pytest.raises(BackInStockLinkInvalid):
        inventory.stop_waiting_by_link(actor=actor_guest, token=token, now=now)


def test_leaving_hands_what_was_kept_to_the_next(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0)
    first, second = (customer() for _ in range(2))
    requests = [wait(first, variant), wait(second, variant, at=now + timedelta(seconds=1))]
    receive(variant, 1, staff, now)
    assert statuses(*requests) == [("OFFERED", 1), ("WAITING", 0)]

    with pytest.raises(BackInStockRequestNotFound):
        inventory.stop_waiting(actor=second, request_id=requests[0].id, now=now)
    for _ in range(2):
        inventory.stop_waiting(actor=first, request_id=requests[0].id, now=now)

    assert statuses(*requests) == [("CANCELLED", 1), ("OFFERED", 1)]
    assert sound()


def test_staff_take_somebody_out_of_the_line_and_it_is_noted(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    request = wait(customer(), make_variant(available=0))

    inventory.stop_waiting(actor=staff, request_id=request.id, now=now)

    assert statuses(request) == [("CANCELLED", 0)]
    assert AuditEntry.objects.filter(action="back_in_stock.cancelled").count() == 1


# --- who comes first ------------------------------------------------------------------------------


def receive(variant: Variant, quantity: int, staff: Actor, now: datetime) -> None:
    level = variant.stock_levels.order_by("id").first()
    assert level is not None
    inventory.receive(actor=staff, stock_level_id=level.id, quantity=quantity, now=now)


def paid_backorder(actor: Actor, variant: Variant, quantity: int, now: datetime) -> UUID:
    order_id, order_line_id = new_id(), new_id()
    demands = [Demand(order_line_id, variant.id, quantity)]
    inventory.reacquire(
        actor=actor, order_id=order_id, demands=demands, expires_at=now + QUARTER, now=now
    )
    inventory.confirm(actor=actor, order_id=order_id, demands=demands, now=now)
    return order_line_id


WAYS: dict[str, Callable[[dict[str, Any]], None]] = {
    "release": lambda w: inventory.release(actor=w["owner"], line_ids=[w["line"]], now=w["now"]),
    "release_cart": lambda w: inventory.release_cart(
        actor=w["owner"],
        cart_id=Reservation.objects.get(line_id=w["line"]).cart_id,
        now=w["now"],
    ),
    "smaller": lambda w: inventory.reserve(
        actor=w["owner"],
        cart_id=new_id(),
        demands=[Demand(w["line"], w["variant"].id, 0)],
        expires_at=w["now"] + QUARTER,
        now=w["now"],
    ),
    "staff": lambda w: inventory.release_holds(
        actor=w["staff"],
        reservation_ids=[Reservation.objects.get(line_id=w["line"]).id],
        now=w["now"],
    ),
    "sweep": lambda w: inventory.release_expired(now=w["now"] + QUARTER),
    "receive": lambda w: receive(w["variant"], 1, w["staff"], w["now"]),
    "count": lambda w: inventory.count_stock(
        actor=w["staff"],
        counts=[inventory.StockCount(w["variant"].id, w["variant"].stock_levels.get().total + 1)],
        now=w["now"],
    ),
    "adjust": lambda w: inventory.adjust(
        actor=w["staff"],
        stock_level_id=w["variant"].stock_levels.get().id,
        quantity=1,
        now=w["now"],
    ),
    "release_all": lambda w: list(
        iter(lambda: inventory.release_all(actor=w["staff"], now=timezone.now()), 0)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_unit_that_comes_back_is_offered_before_it_is_free(
    way: str, wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, owner, waiting = make_variant(available=1), customer(), customer()
    line = hold(owner, variant)
    request = wait(waiting, variant)

    WAYS[way]({"owner": owner, "line": line, "variant": variant, "staff": staff, "now": now})

    assert statuses(request) == [("OFFERED", 1)]
    assert StockLevel.objects.get().available == 0
    [told] = events("inventory.back_in_stock_offered")
    assert (told["sku"], told["quantity"]) == (variant.sku, 1)
    assert not any(event["available"] for event in events("inventory.stock_changed"))
    kept = Reservation.objects.get(line_id=request.id)
    assert (kept.holder, kept.cart_id, kept.status) == (waiting.identity, None, "ACTIVE")
    with pytest.raises(InsufficientStock):
        hold(customer(), variant)
    assert sound()


@pytest.mark.parametrize("way", WAYS)
def test_a_unit_that_comes_back_fills_what_is_owed_first(
    way: str, wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=1, inventory_policy="continue", backorder_limit=1)
    owner, creditor, waiting = (customer() for _ in range(3))
    line = hold(owner, variant)
    owed_line = paid_backorder(creditor, variant, 1, now)
    request = wait(waiting, variant)
    before = figures(variant)

    WAYS[way]({"owner": owner, "line": line, "variant": variant, "staff": staff, "now": now})

    assert before == [(0, 1, 1, 1)]
    assert StockLevel.objects.get().backordered == 0
    assert StockLevel.objects.get().available == 0
    assert list(
        StockMovement.objects.filter(order_line_id=owed_line).values_list("type", "quantity")
    ) == [("SALE", -1)]
    assert statuses(request) == [("WAITING", 0)]
    assert sound()


def test_what_is_owed_is_filled_oldest_first_and_from_other_shelves(
    customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0, inventory_policy="continue")
    older, newer = (paid_backorder(customer(), variant, 2, now) for _ in range(2))
    other = make_warehouse(priority=2)

    inventory.create_stock_level(
        actor=staff, variant_id=variant.id, warehouse=other.code, available=3, now=now
    )

    sold = StockMovement.objects.filter(type="SALE").order_by("id")
    assert list(sold.values_list("order_line_id", "quantity")) == [(older, -2), (newer, -1)]
    assert figures(variant) == [(0, 0, 0, 1), (0, 0, 0, 0)]
    assert sound()


def test_restock_offers_what_comes_back(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant, buyer = make_variant(available=1), customer()
    order_id, order_line_id = new_id(), new_id()
    demands = [Demand(order_line_id, variant.id, 1)]
    inventory.reacquire(
        actor=buyer, order_id=order_id, demands=demands, expires_at=now + QUARTER, now=now
    )
    inventory.confirm(actor=buyer, order_id=order_id, demands=demands, now=now)
    request = wait(customer(), variant)

    inventory.restock(actor=staff, order_id=order_id, items=[(order_line_id, 1)], now=now)

    assert statuses(request) == [("OFFERED", 1)]
    assert figures(variant) == [(0, 1, 1, 0)]


def test_the_line_is_served_in_its_order_as_far_as_units_go(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0)
    requests = [
        wait(customer(), variant, quantity, at=now + timedelta(seconds=place))
        for place, quantity in enumerate([2, 2, 1])
    ]

    receive(variant, 3, staff, now)

    assert statuses(*requests) == [("OFFERED", 2), ("OFFERED", 1), ("WAITING", 0)]
    assert figures(variant) == [(0, 3, 3, 0)]
    assert sound()


def test_one_offer_may_lie_in_two_warehouses(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=0), customer()
    make_stock(variant, 0, warehouse=make_warehouse(priority=2))
    request = wait(me, variant, 2)
    counts = [
        inventory.StockCount(variant.id, 1, level.warehouse.code)
        for level in variant.stock_levels.select_related("warehouse")
    ]

    inventory.count_stock(actor=staff, counts=counts, now=now)
    assert statuses(request) == [("OFFERED", 2)]
    one = Reservation.objects.filter(line_id=request.id).first()
    assert one is not None
    inventory.release_holds(actor=staff, reservation_ids=[one.id], now=now)

    assert statuses(request) == [("OFFERED", 1)]
    assert sorted(figures(variant)) == [(0, 1, 1, 0), (1, 0, 1, 0)]
    inventory.release_expired(now=now + HALF)
    assert statuses(request) == [("LAPSED", 1)]
    assert sound()


# --- taking what is offered ---------------------------------------------------------------------


def test_an_offer_becomes_the_line_s_hold(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=0), customer()
    request = wait(me, variant, 2)
    receive(variant, 2, staff, now)
    later = now + timedelta(minutes=20)

    line = hold(me, variant, 2, now=later)

    assert statuses(request) == [("TAKEN", 2)]
    row = Reservation.objects.get(status="ACTIVE")
    assert (row.line_id, row.quantity, row.started_at) == (line, 2, later)
    assert row.cart_id is not None
    assert figures(variant) == [(0, 2, 2, 0)]
    assert sound()


def test_an_offer_joins_what_the_line_holds_already(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=1), customer()
    line = hold(me, variant)
    request = wait(me, variant)
    receive(variant, 1, staff, now)

    hold(me, variant, 2, line_id=line)

    assert statuses(request) == [("TAKEN", 1)]
    row = Reservation.objects.get(status="ACTIVE")
    assert (row.line_id, row.quantity) == (line, 2)
    assert sound()


def test_who_takes_less_leaves_the_rest_to_the_next(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=0), customer()
    requests = [wait(me, variant, 2), wait(customer(), variant, at=now + timedelta(seconds=1))]
    receive(variant, 2, staff, now)

    hold(me, variant, 1)

    assert statuses(*requests) == [("TAKEN", 2), ("OFFERED", 1)]
    assert sound()


def test_who_asks_for_more_than_is_kept_is_refused_and_keeps_the_offer(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=0), customer()
    request = wait(me, variant)
    receive(variant, 1, staff, now)
    before = snapshot()

    with pytest.raises(InsufficientStock) as refused:
        hold(me, variant, 2)

    assert refused.value.extra["available"] == 1
    assert snapshot() == before
    assert statuses(request) == [("OFFERED", 1)]


def test_an_order_takes_what_is_offered(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant, me = make_variant(available=0), customer()
    request = wait(me, variant)
    receive(variant, 1, staff, now)

    order_line = paid_backorder(me, variant, 1, now)

    assert statuses(request) == [("TAKEN", 1)]
    assert Reservation.objects.get(order_line_id=order_line).status == "COMPLETED"
    assert sound()


def test_who_follows_the_link_may_take_what_is_kept(
    customer: Any, hold: Any, actor_guest: Actor, staff: Actor, now: datetime, company: Any
) -> None:
    variant = make_variant(available=0)
    token = inventory.confirmation_token(
        company_id=company.id, variant_id=variant.id, email="ann@example.com", quantity=1
    )
    request = inventory.confirm_by_mail(actor=actor_guest, token=token, now=now)
    receive(variant, 1, staff, now)
    with pytest.raises(InsufficientStock):  # nobody knows yet that it is they
        hold(actor_guest, variant)

    link = inventory.read_link(inventory.link_token(request_id=request.id))
    inventory.claim_offer(actor=actor_guest, request_id=link, now=now)
    hold(actor_guest, variant)

    assert statuses(request) == [("TAKEN", 1)]
    with pytest.raises(BackInStockRequestNotFound):
        inventory.claim_offer(actor=customer(), request_id=link, now=now)
    assert sound()


def test_what_is_not_taken_lapses_and_goes_on(
    wait: Any, customer: Any, hold: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0)
    first, second = customer(), customer()
    requests = [wait(first, variant), wait(second, variant, at=now + timedelta(seconds=1))]
    receive(variant, 1, staff, now)

    assert inventory.release_expired(now=now + HALF) == 1
    assert statuses(*requests) == [("LAPSED", 1), ("OFFERED", 1)]
    assert inventory.release_expired(now=now + 2 * HALF) == 1
    assert statuses(*requests) == [("LAPSED", 1), ("LAPSED", 1)]

    hold(customer(), variant, now=now + 2 * HALF)  # now it is the public's
    assert sound()


def test_no_sale_gets_ahead_of_the_line_before_the_sweep(
    wait: Any, customer: Any, hold: Any, now: datetime
) -> None:
    variant, owner = make_variant(available=1), customer()
    line = hold(owner, variant)
    request = wait(customer(), variant)
    late = now + QUARTER

    with pytest.raises(InsufficientStock):
        hold(customer(), variant, now=late)
    with pytest.raises(InsufficientStock):  # nor does a hold that lapsed have a claim
        hold(owner, variant, line_id=line, now=late)
    assert selectors.availability(variant_ids=[variant.id], now=late)[variant.id].available == 0

    inventory.release_expired(now=late)
    assert statuses(request) == [("OFFERED", 1)]


def test_while_holds_are_switched_off_the_line_waits(
    wait: Any, customer: Any, staff: Actor, now: datetime, settings: Any
) -> None:
    variant = make_variant(available=0)
    request = wait(customer(), variant)
    on = settings.FEATURES
    settings.FEATURES = {**on, "INVENTORY_HOLD_ENABLED": False}
    receive(variant, 1, staff, now)
    assert statuses(request) == [("WAITING", 0)]

    settings.FEATURES = on
    assert inventory.serve_waiting(now=now) == 1
    assert statuses(request) == [("OFFERED", 1)]


# --- the sweep of the line ----------------------------------------------------------------------


def test_serve_waiting_ends_what_is_hopeless_and_takes_marks_off(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    gone, left = make_variant(available=0), make_variant(available=0)
    offered, waiting = wait(customer(), gone), wait(customer(), gone)
    me = customer()
    closed = wait(me, left)
    receive(gone, 1, staff, now)
    inventory.discontinue(actor=staff, product_id=gone.product_id, now=now)
    inventory.stop_waiting(actor=me, request_id=closed.id, now=now)

    assert inventory.serve_waiting(now=now) == 2

    assert statuses(offered, waiting) == [("CANCELLED", 1), ("CANCELLED", 0)]
    assert figures(gone) == [(1, 0, 1, 0)]
    assert not StockLevel.objects.filter(is_awaited=True).exists()
    assert inventory.serve_waiting(now=now) == 0
    assert sound()


def test_what_is_not_on_sale_is_offered_to_nobody(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    variant = make_variant(available=0)
    request = wait(customer(), variant)
    variant.product.status = "draft"
    variant.product.save()
    receive(variant, 1, staff, now)
    assert statuses(request) == [("WAITING", 0)]

    variant.product.status = "active"
    variant.product.save()
    inventory.serve_waiting(now=now)

    assert statuses(request) == [("OFFERED", 1)]


# --- what it costs --------------------------------------------------------------------------------


def test_a_variant_nobody_waits_for_costs_nothing_extra(
    wait: Any, customer: Any, hold: Any, now: datetime
) -> None:
    plain, awaited = make_variant(available=5), make_variant(available=1)
    first = hold(customer(), awaited)
    wait(customer(), awaited)
    me = customer()
    hold(me, plain)

    with CaptureQueriesContext(connection) as found:
        hold(me, plain)
    with CaptureQueriesContext(connection) as more:
        inventory.release(actor=me, line_ids=[first], now=now)

    sql = " ".join(query["sql"] for query in found)
    assert "back_in_stock" not in sql
    assert any("back_in_stock" in query["sql"] for query in more)


def test_serving_costs_the_same_for_one_and_for_a_hundred(
    wait: Any, customer: Any, staff: Actor, now: datetime
) -> None:
    costs = []
    for count in (1, 100):
        variant = make_variant(available=0)
        wait(customer(), variant)
        BackInStockRequest.objects.bulk_create(
            BackInStockRequest(
                company_id=variant.company_id,
                variant=variant,
                user_id=new_id(),
                quantity=1,
                queued_at=now,
            )
            for _ in range(count - 1)
        )
        with CaptureQueriesContext(connection) as found:
            receive(variant, count, staff, now)
        costs.append(len(found))

    assert BackInStockRequest.objects.filter(status="OFFERED").count() == 101
    assert costs[0] == costs[1]
