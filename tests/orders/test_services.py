from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis

from config.platform import bus, flags
from config.platform.errors import FeatureDisabled, InvalidTransition, ValidationFailed
from config.platform.models import FeatureFlag, OutboxEvent
from inventory.errors import HoldFailed
from inventory.models import Reservation, StockLevel, StockMovement
from orders import selectors
from orders import services as orders
from orders.errors import (
    OrderNotCancellable,
    OrderNotFound,
    RefundExceedsPayment,
    ReturnNotEligible,
    ReturnWindowClosed,
)
from orders.models import Order, OrderEdit, RefundRequest, ReturnRequest, Shipment, StatusChange
from orders.services import DirectItem, Units, WantedReturn
from orders.services.numbers import next_number
from pricing.errors import NoShippingZone
from pricing.models import PromotionUse
from tests import factories
from tests.orders.conftest import ADDRESS, reload
from tests.threads import together

pytestmark = pytest.mark.django_db


def stock(variant_id):
    level = StockLevel.objects.get(variant_id=variant_id)
    return level.available, level.reserved, level.total


def names():
    return list(OutboxEvent.objects.order_by("id").values_list("name", flat=True))


def history(order):
    return [(change.from_status, change.to_status) for change in order.status_changes.all()]


# --- placing --------------------------------------------------------------------------------------


def test_it_freezes_what_was_bought(draft, variant):
    first, second = draft.lines.all()

    assert (draft.status, draft.payment_status) == ("draft", "pending")
    assert (draft.subtotal, draft.tax_total, draft.shipping_total, draft.grand_total) == (
        Decimal("49.97"),
        Decimal("5.50"),
        Decimal("5.00"),
        Decimal("60.47"),
    )
    assert (first.subtotal, first.tax, first.total) == (
        Decimal("29.97"),
        Decimal("3.00"),
        Decimal("32.97"),
    )
    assert second.total == Decimal("22.00")
    assert stock(variant.id) == (7, 3, 10)

    variant.product.name = "renamed"
    variant.product.save()
    assert reload(first).name != "renamed"


def test_it_refuses_a_direct_order_with_everything_that_is_wrong(shop, variant, actor_user, now):
    with pytest.raises(ValidationFailed) as refused:
        orders.place_direct(
            actor=actor_user,
            items=[DirectItem(variant.sku, 1), DirectItem("NO-SUCH", 1)],
            email="ada@example.com",
            shipping_address={**ADDRESS, "city": "", "state": ""},
            now=now,
        )

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("shippingAddress.city", "required"),
        ("shippingAddress.state", "required"),
        ("items.1.sku", "PRODUCT_NOT_FOUND"),
    ]
    assert Order.objects.count() == 0


def test_it_places_nothing_that_it_cannot_hold_or_ship(shop, variant, actor_user, now):
    asked = {"actor": actor_user, "email": "ada@example.com", "now": now}
    with pytest.raises(HoldFailed):
        orders.place_direct(items=[DirectItem(variant.sku, 11)], shipping_address=ADDRESS, **asked)
    with pytest.raises(NoShippingZone):
        orders.place_direct(
            items=[DirectItem(variant.sku, 1)],
            shipping_address={**ADDRESS, "country": "FR", "state": "", "postalCode": "75001"},
            **asked,
        )

    assert Order.objects.count() == 0
    assert stock(variant.id) == (10, 0, 10)


def test_it_counts_anew_each_day():
    today = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
    tomorrow = today + timedelta(minutes=1)

    assert [next_number(now=moment) for moment in (today, today, tomorrow, tomorrow)] == [
        "ORD-20261121-000001",
        "ORD-20261121-000002",
        "ORD-20261122-000001",
        "ORD-20261122-000002",
    ]


def test_a_counter_of_another_name_counts_from_the_next_day_on(settings):
    today = datetime(2026, 11, 21, 12, tzinfo=UTC)
    next_number(now=today)

    settings.ORDER_NUMBER_SEQUENCE_KEY = "orders_of_the_branch"

    assert next_number(now=today) == "ORD-20261121-000002"
    tomorrow = today + timedelta(days=1)
    assert [next_number(now=tomorrow) for _ in range(2)] == [
        "ORD-20261122-000001",
        "ORD-20261122-000002",
    ]


@pytest.mark.django_db(transaction=True)
def test_it_gives_no_number_twice(now):
    numbers = together(12, lambda index: [next_number(now=now) for _ in range(20)])

    assert len({number for some in numbers for number in some}) == 240


def test_outsiders_hear_of_an_order_under_both_its_names(draft, now, settings):
    client = redis.Redis.from_url(bus._plain(settings.EVENT_BUS_URL))
    client.delete(bus.STREAM)

    bus.forward_due(now=now)

    told = {
        entry[b"name"].decode(): json.loads(entry[b"event"])
        for _, entry in client.xrange(bus.STREAM)
    }
    placed, created = told["order.placed"], told["order.created"]
    assert {**created, "name": ""} == {**placed, "name": ""}
    assert placed["aggregate"]["id"] == str(draft.id)


# --- the way of an order --------------------------------------------------------------------------


def test_it_sells_what_it_held_when_it_is_confirmed(paid, variant, system, now):
    assert (reload(paid).status, reload(paid).confirmed_at) == ("confirmed", now)
    assert stock(variant.id) == (7, 0, 7)
    assert set(Reservation.objects.values_list("status", flat=True)) == {"COMPLETED"}

    orders.confirm(actor=system, order_id=paid.id, now=now)

    sales = StockMovement.objects.filter(type="SALE")
    assert sales.count() == 2
    assert {sale.reference for sale in sales} == {paid.number}
    assert history(paid) == [("", "draft"), ("draft", "confirmed")]


def test_it_goes_out_and_arrives(paid, staff, now):
    orders.ship(
        actor=staff,
        order_id=paid.id,
        carrier="Coastal Post",
        tracking_number="CP1",
        tracking_url="https://post.example/CP1",
        now=now,
    )
    orders.deliver(actor=staff, order_id=paid.id, now=now + timedelta(days=2))

    order = reload(paid)
    shipment = Shipment.objects.get()
    assert (order.status, order.shipped_at, order.delivered_at) == (
        "delivered",
        now,
        now + timedelta(days=2),
    )
    assert (shipment.status, shipment.tracking_number) == ("delivered", "CP1")
    assert [line["quantity"] for line in shipment.lines] == [3, 1]
    assert history(paid)[2:] == [
        ("confirmed", "processing"),
        ("processing", "shipped"),
        ("shipped", "delivered"),
    ]
    assert [name for name in names() if name in {"order.shipped", "order.delivered"}] == [
        "order.shipped",
        "order.delivered",
    ]


def test_it_takes_only_web_addresses_to_follow_a_parcel(paid, staff, now):
    with pytest.raises(ValidationFailed):
        orders.ship(actor=staff, order_id=paid.id, tracking_url="javascript:alert(1)", now=now)

    assert Shipment.objects.count() == 0
    assert reload(paid).status == "confirmed"


STATUSES = [status.value for status in Order.Status]


@pytest.mark.parametrize("target", STATUSES)
@pytest.mark.parametrize("start", STATUSES)
def test_it_takes_no_step_that_the_table_does_not_have(start, target, paid, staff, now):
    Order.objects.filter(pk=paid.id).update(status=start)
    before = list(StatusChange.objects.values_list("id", flat=True))
    if target in Order.TRANSITIONS[start] and (start, target) != ("delivered", "refunded"):
        orders.set_status(actor=staff, order_id=paid.id, status=target, reason="why", now=now)
        assert reload(paid).status == target
        assert StatusChange.objects.last().reason == "why"
        return

    with pytest.raises(InvalidTransition) as refused:
        orders.set_status(actor=staff, order_id=paid.id, status=target, reason="why", now=now)

    assert refused.value.extra["allowed"] == sorted(Order.TRANSITIONS[start])
    assert list(StatusChange.objects.values_list("id", flat=True)) == before
    assert reload(paid).status == start


def test_staff_cannot_confirm_what_is_not_paid(draft, staff, now):
    with pytest.raises(InvalidTransition):
        orders.set_status(actor=staff, order_id=draft.id, status="confirmed", now=now)

    assert reload(draft).status == "draft"


def test_it_keeps_the_old_values_of_what_staff_edit(paid, staff, now):
    orders.edit(
        actor=staff,
        order_id=paid.id,
        changes={"staff_notes": "call first", "grand_total": 0},
        reason="asked by phone",
        now=now,
    )

    edit = OrderEdit.objects.get()
    assert (edit.field, edit.old, edit.new, edit.reason) == (
        "staff_notes",
        "",
        "call first",
        "asked by phone",
    )
    assert reload(paid).grand_total == Decimal("60.47")


# --- cancelling -----------------------------------------------------------------------------------


def test_it_gives_everything_back_when_a_draft_is_cancelled(shop, actor_user, now):
    promotion = factories.make_promotion(usage_limit=5)
    variant = factories.make_priced_variant("10.00", available=4)
    draft = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 2)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )
    promotion.refresh_from_db()
    assert (promotion.used_count, stock(variant.id)) == (1, (2, 2, 4))

    orders.cancel(actor=actor_user, order_id=draft.id, reason="changed my mind", now=now)

    promotion.refresh_from_db()
    order = reload(draft)
    assert (order.status, order.payment_status, order.cancelled_at) == (
        "cancelled",
        "cancelled",
        now,
    )
    assert (promotion.used_count, stock(variant.id)) == (0, (4, 0, 4))
    assert PromotionUse.objects.get().returned_at == now
    assert RefundRequest.objects.count() == 0
    assert StatusChange.objects.last().reason == "changed my mind"


def test_it_restocks_and_owes_everything_when_a_paid_order_is_cancelled(
    paid, variant, actor_user, refunds, now
):
    orders.cancel(actor=actor_user, order_id=paid.id, now=now)

    assert stock(variant.id) == (10, 0, 10)
    assert list(paid.lines.values_list("cancelled_quantity", flat=True)) == [3, 1]
    assert refunds(paid) == [Decimal("60.47")]
    order = reload(paid)
    assert (order.status, order.payment_status, order.refunded_total) == (
        "cancelled",
        "refunded",
        Decimal("60.47"),
    )
    assert list(order.lines.values_list("refunded_amount", flat=True)) == [
        Decimal("32.97"),
        Decimal("22.00"),
    ]


@pytest.mark.parametrize("status", ["shipped", "delivered", "cancelled", "refunded", "failed"])
def test_it_does_not_cancel_what_is_sent_or_over(paid, actor_user, status, now):
    Order.objects.filter(pk=paid.id).update(status=status)

    with pytest.raises(OrderNotCancellable):
        orders.cancel(actor=actor_user, order_id=paid.id, now=now)
    with pytest.raises(OrderNotCancellable):
        orders.cancel_items(
            actor=actor_user,
            order_id=paid.id,
            units=[Units(paid.lines.all()[0].id, 1)],
            now=now,
        )

    assert reload(paid).status == status
    assert RefundRequest.objects.count() == 0


def test_any_sequence_of_partial_cancellations_adds_up_to_what_was_paid(
    paid, variant, actor_user, refunds, now
):
    first, second = paid.lines.all()
    for line in (first, first, second, first):
        orders.cancel_items(actor=actor_user, order_id=paid.id, units=[Units(line.id, 1)], now=now)

    # 32.97 over three units: 10.99 each. The last unit brings shipping and its tax along.
    assert refunds(paid) == [
        Decimal("10.99"),
        Decimal("10.99"),
        Decimal("22.00"),
        Decimal("16.49"),
    ]
    order = reload(paid)
    assert (order.status, order.payment_status, order.refunded_total) == (
        "cancelled",
        "refunded",
        Decimal("60.47"),
    )
    assert stock(variant.id) == (10, 0, 10)


def test_it_keeps_the_rest_of_a_partly_cancelled_order(paid, variant, actor_user, refunds, now):
    first, _ = paid.lines.all()
    orders.cancel_items(actor=actor_user, order_id=paid.id, units=[Units(first.id, 2)], now=now)

    assert refunds(paid) == [Decimal("21.98")]
    order = reload(paid)
    assert (order.status, order.payment_status) == ("confirmed", "partially_refunded")
    assert stock(variant.id) == (9, 0, 9)
    assert "order.items_cancelled" in names()
    assert OrderEdit.objects.get().new == 2


def test_it_refuses_to_cancel_more_units_than_are_left(paid, actor_user, now):
    first, second = paid.lines.all()

    with pytest.raises(ValidationFailed) as refused:
        orders.cancel_items(
            actor=actor_user,
            order_id=paid.id,
            units=[Units(first.id, 4), Units(second.id, 1), Units(paid.id, 1)],
            now=now,
        )

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("items.0.quantity", "max_value"),
        ("items.2.itemId", "invalid"),
    ]
    assert RefundRequest.objects.count() == 0
    assert reload(first).cancelled_quantity == 0


def test_partial_cancellation_can_be_switched_off(paid, actor_user, now):
    FeatureFlag.objects.create(name="ORDER_ENABLE_PARTIAL_CANCELLATION", enabled=False)
    flags.forget()

    with pytest.raises(FeatureDisabled):
        orders.cancel_items(
            actor=actor_user, order_id=paid.id, units=[Units(paid.lines.all()[0].id, 1)], now=now
        )


# --- refunds --------------------------------------------------------------------------------------


def test_it_refunds_units_and_a_part_of_shipping_with_its_tax(paid, staff, refunds, now):
    first, _ = paid.lines.all()
    orders.refund_units(
        actor=staff,
        order_id=paid.id,
        units=[Units(first.id, 1)],
        shipping=Decimal("2.50"),
        reason="late",
        now=now,
    )

    assert refunds(paid) == [Decimal("10.99") + Decimal("2.75")]
    order = reload(paid)
    assert (order.status, order.payment_status, order.shipping_claimed) == (
        "confirmed",
        "partially_refunded",
        Decimal("2.50"),
    )
    assert order.lines.all()[0].refunded_amount == Decimal("10.99")


def test_it_refunds_no_unit_and_no_shipping_twice(paid, staff, now):
    first, _ = paid.lines.all()
    asked = {"actor": staff, "order_id": paid.id, "reason": "late", "now": now}
    orders.refund_units(units=[Units(first.id, 3)], shipping=Decimal("5.00"), **asked)

    with pytest.raises(ValidationFailed):
        orders.refund_units(units=[Units(first.id, 1)], **asked)
    with pytest.raises(RefundExceedsPayment):
        orders.refund_units(units=[], shipping=Decimal("0.01"), **asked)

    assert RefundRequest.objects.count() == 1


def test_goodwill_never_exceeds_what_is_left_and_later_refunds_take_the_rest(
    paid, staff, actor_user, refunds, now
):
    orders.request_refund(
        actor=staff, order_id=paid.id, amount=Decimal("50.00"), reason="sorry", now=now
    )
    with pytest.raises(RefundExceedsPayment) as refused:
        orders.request_refund(
            actor=staff, order_id=paid.id, amount=Decimal("10.48"), reason="more", now=now
        )
    assert refused.value.extra == {"refundable": "10.47"}

    orders.cancel(actor=actor_user, order_id=paid.id, now=now)

    assert refunds(paid) == [Decimal("50.00"), Decimal("10.47")]
    assert reload(paid).refunded_total == Decimal("60.47")


def test_nothing_is_owed_for_what_was_never_paid(draft, staff, now):
    with pytest.raises(RefundExceedsPayment):
        orders.request_refund(
            actor=staff, order_id=draft.id, amount=Decimal("1.00"), reason="x", now=now
        )
    assert RefundRequest.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_refunds_at_once_cannot_exceed_the_payment(paid, staff, now):
    def refund(index):
        try:
            orders.request_refund(
                actor=staff, order_id=paid.id, amount=Decimal("40.00"), reason="x", now=now
            )
        except RefundExceedsPayment:
            return "refused"
        return "done"

    assert sorted(together(6, refund)) == ["done", *["refused"] * 5]


# --- returns --------------------------------------------------------------------------------------


def test_it_takes_goods_back_and_owes_their_shares(
    delivered, variant, actor_user, staff, refunds, now
):
    first, second = delivered.lines.all()
    request = orders.request_return(
        actor=actor_user,
        order_id=delivered.id,
        wanted=[WantedReturn(first.id, 2, "too small"), WantedReturn(second.id, 1, "broken")],
        now=now,
    )
    orders.approve_return(actor=staff, return_id=request.id, now=now)
    orders.receive_return(
        actor=staff, return_id=request.id, damaged=frozenset({second.id}), now=now
    )

    assert stock(variant.id) == (9, 0, 9)
    assert stock(second.variant_id) == (3, 0, 3)
    assert refunds(delivered) == [Decimal("43.98")]
    request = reload(request)
    assert (request.status, request.refund_amount) == ("REFUNDED", Decimal("43.98"))
    assert reload(delivered).payment_status == "partially_refunded"
    assert "order.return_requested" in names()


def test_a_return_that_brings_no_money_is_at_its_end(delivered, actor_user, staff, refunds, now):
    line = delivered.lines.all()[0]
    request = orders.request_return(
        actor=actor_user, order_id=delivered.id, wanted=[WantedReturn(line.id, 1)], now=now
    )
    orders.refund_units(
        actor=staff, order_id=delivered.id, units=[Units(line.id, 3)], reason="late", now=now
    )
    refunds(delivered)
    orders.approve_return(actor=staff, return_id=request.id, now=now)
    before = stock(line.variant_id)

    orders.receive_return(actor=staff, return_id=request.id, now=now)

    request = reload(request)
    assert (request.status, request.refund_amount) == ("REFUNDED", 0)
    assert not delivered.refund_requests.filter(status="due").exists()
    assert stock(line.variant_id)[0] == before[0] + 1


def test_what_was_not_announced_is_not_taken_in_as_damaged(
    delivered, actor_user, staff, system, now
):
    first, second = delivered.lines.all()
    request = orders.request_return(
        actor=actor_user, order_id=delivered.id, wanted=[WantedReturn(first.id, 1)], now=now
    )
    orders.approve_return(actor=staff, return_id=request.id, now=now)

    with pytest.raises(ValidationFailed) as refused:
        orders.receive_return(
            actor=staff, return_id=request.id, damaged=frozenset({second.id}), now=now
        )

    assert [error.field for error in refused.value.errors] == ["damaged"]
    assert reload(request).status == "APPROVED"
    assert not delivered.refund_requests.exists()


def test_a_delivered_order_is_refunded_when_all_its_money_went_back(delivered, staff, refunds, now):
    first, second = delivered.lines.all()
    orders.refund_units(
        actor=staff,
        order_id=delivered.id,
        units=[Units(first.id, 3), Units(second.id, 1)],
        shipping=Decimal("5.00"),
        reason="all of it",
        now=now,
    )

    assert refunds(delivered) == [Decimal("60.47")]
    assert reload(delivered).status == "refunded"
    assert history(delivered)[-1] == ("delivered", "refunded")


def test_it_refuses_returns_that_are_too_many_too_early_or_too_late(
    delivered, paid, actor_user, now
):
    first, _ = delivered.lines.all()

    def ask(quantity, at=now):
        return orders.request_return(
            actor=actor_user,
            order_id=delivered.id,
            wanted=[WantedReturn(first.id, quantity)],
            now=at,
        )

    with pytest.raises(ReturnNotEligible):
        ask(4)
    ask(2)
    with pytest.raises(ReturnNotEligible):
        ask(2)
    with pytest.raises(ReturnWindowClosed):
        ask(1, now + timedelta(days=30, seconds=1))
    Order.objects.update(status="shipped")
    with pytest.raises(ReturnNotEligible):
        ask(1)
    assert ReturnRequest.objects.count() == 1


def test_a_return_is_decided_once(delivered, actor_user, staff, now):
    first, _ = delivered.lines.all()
    request = orders.request_return(
        actor=actor_user, order_id=delivered.id, wanted=[WantedReturn(first.id, 1)], now=now
    )
    orders.reject_return(actor=staff, return_id=request.id, notes="worn", now=now)

    for decide in (orders.approve_return, orders.receive_return):
        with pytest.raises(InvalidTransition):
            decide(actor=staff, return_id=request.id, now=now)
    assert reload(request).status == "REJECTED"
    assert RefundRequest.objects.count() == 0


# --- who may see ----------------------------------------------------------------------------------


def test_an_order_is_found_by_its_owner_its_link_and_nobody_else(
    draft, actor_user, actor_guest, staff
):
    token = orders.access_token(draft)

    for actor, given in ((actor_user, ""), (staff, ""), (actor_guest, token)):
        assert selectors.find(actor=actor, reference=draft.number, token=given).id == draft.id
    for given in ("", "0" * 64, token[:-1], token + "0", token.upper()):
        with pytest.raises(OrderNotFound):
            selectors.find(actor=actor_guest, reference=str(draft.id), token=given)


def test_the_look_up_is_neutral(draft, actor_guest):
    found = selectors.look_up(actor=actor_guest, number=draft.number, email=" ADA@example.com ")
    assert found.id == draft.id
    for number, email in ((draft.number, "x@example.com"), ("ORD-20200101-000001", draft.email)):
        with pytest.raises(OrderNotFound):
            selectors.look_up(actor=actor_guest, number=number, email=email)


def test_the_look_up_does_the_same_work_for_every_wrong_guess(
    draft, actor_guest, django_assert_num_queries
):
    for number, email in [
        (draft.number, "x@example.com"),
        ("ORD-20200101-000009", "ada@example.com"),
        ("", ""),
        ("\x00", "\x00"),
    ]:
        with django_assert_num_queries(1), pytest.raises(OrderNotFound):
            selectors.look_up(actor=actor_guest, number=number, email=email)
