"""Any sequence of cancellations, returns, refunds and goodwill: what went back and what is kept is what was paid."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory.models import Company
from orders import services as orders
from orders.models import Order, RefundRequest
from orders.services import DirectItem, Edit, Units, WantedReturn
from pricing.money import from_minor, quantize, unit_shares
from tests import factories
from tests.orders.conftest import ADDRESS, reload

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "cancel",
                "edit",
                "slower",
                "refund",
                "return",
                "goodwill",
                "settle",
                "parcel",
                "deliver",
                "cancel_all",
                "refuse",
            ]
        ),
        st.integers(0, 2),
        st.integers(1, 4),
    ),
    max_size=12,
)
LINES = st.lists(st.tuples(st.integers(1, 9999), st.integers(1, 7)), min_size=1, max_size=3)


class Rollback(Exception):
    """Ends an example; the next one begins with an empty shop."""


def _unit_sum(order: Order) -> None:
    """Each line gave back the first units' shares, no more and no less, whatever came in between."""
    claimed = dict.fromkeys((str(line.id) for line in order.lines.all()), Decimal(0))
    shipping = Decimal(0)
    for request in order.refund_requests.all():
        for part in request.lines:
            claimed[part["itemId"]] += Decimal(part["amount"])
        shipping += request.shipping_amount
    for line in order.lines.all():
        due = unit_shares(line.total, line.quantity, 0, line.claimed_quantity, order.currency)
        assert claimed[str(line.id)] == due
        assert line.refunded_amount <= due
        if line.claimed_quantity == line.quantity:
            assert due == line.total
    assert shipping <= order.shipping_claimed


def _in_all(order: Order, taken: Decimal) -> None:
    """Refunded, on its way and kept are the whole of what was paid."""
    due = order.refund_requests.filter(status=RefundRequest.Status.DUE).aggregate(
        due=Sum("amount")
    )["due"] or Decimal(0)
    kept = orders.refundable(order)
    assert order.refunded_total + due + kept == taken
    assert kept >= 0
    done = order.refund_requests.filter(status=RefundRequest.Status.DONE).aggregate(
        done=Sum("amount")
    )["done"]
    assert order.refunded_total == (done or Decimal(0))


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # as found: shrinking takes minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(includes_tax=st.booleans(), lines=LINES, steps=STEPS, discount=st.sampled_from([0, 7, 33, 100]), postage=st.integers(0, 999))  # fmt: skip
def test_refunded_and_kept_are_what_was_paid(
    company: Company,
    actor_user: Actor,
    staff: Actor,
    system: Actor,
    now: datetime,
    currency: str,
    includes_tax: bool,
    lines: list[tuple[int, int]],
    steps: list[tuple[str, int, int]],
    discount: int,
    postage: int,
) -> None:
    try:
        with transaction.atomic():
            zone = factories.make_shipping_rule(
                str(from_minor(postage, currency)), countries=["US"], currency=currency
            ).zone
            factories.make_shipping_rule(
                str(from_minor(postage // 3, currency)),
                zone=zone,
                currency=currency,
                code="slow",
                max_days=30,
            )
            factories.make_tax_rate("0.0825", country="US", name="Tax", type="SALES_TAX", is_included=includes_tax)  # fmt: skip
            if discount:
                factories.make_promotion(value=Decimal(discount), scope="ORDER")
            order = _paid(lines, currency, actor_user, system, now)
            _play(order, steps, staff=staff, customer=actor_user, system=system, now=now)
            raise Rollback
    except Rollback:
        pass


def _paid(
    lines: list[tuple[int, int]], currency: str, buyer: Actor, system: Actor, now: datetime
) -> Order:
    items = []
    for minor, quantity in lines:
        variant = factories.make_priced_variant(
            str(from_minor(minor, currency)), currency=currency, available=quantity
        )
        items.append(DirectItem(variant.sku, quantity))
    order = orders.place_direct(
        actor=buyer,
        items=items,
        email="ada@example.com",
        shipping_address=ADDRESS,
        shipping_option="standard",
        currency=currency,
        now=now,
    )
    orders.set_payment_status(
        actor=system, order_id=order.id, status="captured", method="test", now=now
    )
    return orders.confirm(actor=system, order_id=order.id, now=now)


def _play(
    order: Order,
    steps: list[tuple[str, int, int]],
    *,
    staff: Actor,
    customer: Actor,
    system: Actor,
    now: datetime,
) -> None:
    paid = order.grand_total
    for verb, index, count in steps:
        attempt(verb, index, count, order, staff=staff, customer=customer, system=system, now=now)
        current = reload(order)
        _unit_sum(current)
        _in_all(current, paid)
    # At the end all the rest goes back: every cent, and not one more.
    current = reload(order)
    rest = [
        Units(line.id, line.quantity - line.claimed_quantity)
        for line in current.lines.all()
        if line.claimed_quantity < line.quantity
    ]
    left = current.shipping_total - current.shipping_discount - current.shipping_claimed
    goodwill = current.refund_requests.filter(lines=[], shipping_amount=0).exists()
    if not goodwill and (rest or left):
        owed = orders.refundable(current)
        try:
            asked = orders.refund_units(
                actor=staff, order_id=order.id, units=rest, shipping=left, reason="all", now=now
            )
        except ApplicationError:
            assert owed == 0
        else:
            assert asked.amount == owed
        _settle(order, system, now)
        current = reload(order)
        _unit_sum(current)
        assert current.refunded_total == paid
        assert current.payment_status == "refunded" or not paid


def _settle(order: Order, system: Actor, now: datetime) -> None:
    for request in order.refund_requests.filter(status="due").order_by("created_at", "id"):
        orders.record_refund(actor=system, request_id=request.id, now=now)


def _edit(edit: Edit, *, actor: Actor, order_id: UUID, now: datetime) -> None:
    """Look first, then do it: what was shown is what is asked back."""
    shown = orders.preview_edit(actor=actor, order_id=order_id, edit=edit, now=now)
    before = orders.refundable(Order.objects.get(pk=order_id))
    orders.apply_edit(
        actor=actor, order_id=order_id, edit=edit, quote_id=shown.quote_id, reason="x", now=now
    )
    assert before - orders.refundable(Order.objects.get(pk=order_id)) == shown.to_refund


def attempt(
    verb: str,
    index: int,
    count: int,
    order: Order,
    *,
    staff: Actor,
    customer: Actor,
    system: Actor,
    now: datetime,
) -> Any:
    lines = list(order.lines.all())
    units = [Units(lines[index % len(lines)].id, count)]
    of_order: dict[str, Any] = {"order_id": order.id, "now": now}
    try:
        with transaction.atomic():
            match verb:
                case "cancel":
                    orders.cancel_items(actor=customer, units=units, **of_order)
                case "edit":
                    left = max(lines[index % len(lines)].unsent - count, 0)
                    _edit(Edit(quantities={units[0].line_id: left}), actor=customer, **of_order)
                case "slower":
                    _edit(Edit(shipping_option="slow"), actor=staff, **of_order)
                case "cancel_all":
                    orders.cancel(actor=customer, **of_order)
                case "refund":
                    free = order.shipping_total - order.shipping_discount
                    part = quantize(free / (count + 1), order.currency)
                    orders.refund_units(
                        actor=staff, units=units, shipping=part, reason="x", **of_order
                    )
                case "goodwill":
                    orders.request_refund(
                        actor=staff,
                        amount=from_minor(count * 37, order.currency),
                        reason="sorry",
                        **of_order,
                    )
                case "parcel":
                    orders.ship(actor=staff, units=units, **of_order)
                case "deliver":
                    orders.ship(actor=staff, **of_order)
                    orders.deliver(actor=staff, **of_order)
                case "settle":
                    _settle(order, system, now)
                case "refuse":
                    due = order.refund_requests.filter(status="due").first()
                    if due is not None:
                        orders.fail_refund(
                            actor=system, request_id=due.id, failure="closed", now=now
                        )
                        orders.retry_refund(actor=staff, request_id=due.id, now=now)
                case "return":
                    found = orders.request_return(
                        actor=customer,
                        wanted=[WantedReturn(units[0].line_id, count)],
                        **of_order,
                    )
                    orders.approve_return(actor=staff, return_id=found.id, now=now)
                    orders.receive_return(actor=staff, return_id=found.id, now=now)
    except ApplicationError:
        return  # refused: and nothing of it was written
