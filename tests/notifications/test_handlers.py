"""What follows from what happened: each event makes its message once, however often it is delivered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cart import services as carts
from checkout import services as checkout
from config.platform import flags, relay
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.models import OutboxEvent
from inventory.models import Company
from notifications.models import Notification
from orders import services as orders
from orders.models import Order
from tests import factories

# Payments talk to their provider outside any transaction, so these tests commit.
pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = {
    "name": "Kim <b>Sandoval</b>",
    "line1": "27 Lantern Lane",
    "line2": "",
    "city": "Rockland",
    "state": "ME",
    "postal_code": "04841",
    "country": "US",
    "phone": "",
}


def buyer(company: Company, now: datetime, user: Any = None) -> Actor:
    if user is not None:
        return Actor(kind=ActorKind.USER, company_id=company.pk, user_id=user.pk, email=user.email)
    anonymous = Actor(kind=ActorKind.ANONYMOUS, company_id=company.pk)
    token = carts.create(actor=anonymous, now=now).token
    assert token is not None
    return Actor(kind=ActorKind.GUEST, company_id=company.pk, session_hash=hash_token(token))


def buy(actor: Actor, now: datetime, *, outcome: str = "succeed") -> Order:
    variant = factories.make_priced_variant("12.50")
    factories.make_shipping_rule("4.90")
    carts.add_line(actor=actor, sku=variant.sku, quantity=2, now=now)
    started = checkout.initialize(actor=actor, email="kim@example.com", now=now)
    changes = {"shipping_address": ADDRESS}
    checkout.update(actor=actor, checkout_id=started.checkout.id, changes=changes, now=now)
    view = checkout.update(
        actor=actor,
        checkout_id=started.checkout.id,
        changes={"shipping_option": "standard"},
        now=now,
    )
    order, payment = checkout.pay(
        actor=actor,
        checkout_id=started.checkout.id,
        method="test",
        quote_id=view.quote.id,
        now=now,
    )
    assert payment is not None
    checkout.simulate(
        actor=actor,
        payment_id=payment.id,
        outcome=checkout.Outcome(outcome),
        delivery=checkout.Delivery.BEFORE_REDIRECT,
        now=now,
    )
    return Order.objects.get(pk=order.pk)


def deliver(now: datetime) -> None:
    relay.relay_due(now=now)


def sent(channel: str) -> Notification:
    return Notification.objects.get(channel=channel)


def test_a_paid_order_is_confirmed_by_mail_once(company: Company, now: datetime) -> None:
    order = buy(buyer(company, now), now)

    deliver(now)
    for event in OutboxEvent.objects.all():
        relay.replay(event_id=event.pk, now=now)
    deliver(now)

    mail = sent("order-confirmation")
    assert mail.recipient == "kim@example.com"
    assert mail.subject == f"Your order {order.number} is confirmed"
    assert "$29.90" in mail.body_text
    assert f"/orders/{order.number}/?token={orders.access_token(order)}" in mail.body_text
    assert "Kim Sandoval" in mail.body_html
    assert "<b>" not in mail.body_html
    assert sent("payment-confirmation").subject.startswith("We received $29.90")
    assert Notification.objects.count() == 2
    assert not OutboxEvent.objects.exclude(error="").exists()


def test_a_declined_payment_is_told_and_nothing_is_confirmed(
    company: Company, now: datetime
) -> None:
    order = buy(buyer(company, now), now, outcome="decline")

    deliver(now)

    assert (
        sent("payment-failed").subject == f"The payment for order {order.number} did not go through"
    )
    assert Notification.objects.count() == 1


def test_shipping_is_told_by_mail_and_in_the_bell(
    company: Company, now: datetime, user: Any, system: Actor
) -> None:
    order = buy(buyer(company, now, user), now)
    orders.ship(
        actor=system, order_id=order.pk, carrier="Coastal Post", tracking_number="CP1", now=now
    )

    deliver(now)

    assert "Coastal Post carries it. Its tracking number is CP1." in sent("order-shipped").body_text
    bell = sent("order.shipped")
    assert (bell.type, bell.user_id, bell.subject) == (
        Notification.Type.IN_APP,
        user.pk,
        f"Order {order.number} is on its way.",
    )


def test_cancelling_is_told_and_so_is_the_money_back(
    company: Company, now: datetime, system: Actor
) -> None:
    order = buy(buyer(company, now), now)
    orders.cancel(actor=system, order_id=order.pk, reason="Mistake", now=now)
    checkout.execute_refunds(now=now)

    deliver(now)

    assert sent("order-cancelled").subject == f"Your order {order.number} is cancelled"
    assert sent("refund-processed").subject == f"$29.90 of order {order.number} is on its way back"


def test_what_was_left_out_is_told_once(company: Company, now: datetime, system: Actor) -> None:
    order = buy(buyer(company, now), now)
    line = order.lines.get()
    orders.cancel_items(actor=system, order_id=order.pk, units=[orders.Units(line.pk, 1)], now=now)

    deliver(now)
    for event in OutboxEvent.objects.filter(name="order.items_cancelled"):
        relay.replay(event_id=event.pk, now=now)
    deliver(now)

    mail = sent("order-cancelled")
    assert mail.subject == f"A part of your order {order.number} is cancelled"
    for body in (mail.body_text, mail.body_html):
        assert "will not come" in body
        assert "nothing of it will be sent" not in body
    assert f"1 x {line.name}" in mail.body_text


@pytest.mark.parametrize("returns", [True, False])
def test_what_has_arrived_is_told_and_until_when_it_may_come_back(
    company: Company, now: datetime, staff: Actor, returns: bool
) -> None:
    flags.switch(actor=staff, name="ORDER_ENABLE_RETURNS", enabled=returns, now=now)
    flags.forget()
    order = buy(buyer(company, now), now)
    orders.ship(actor=staff, order_id=order.pk, now=now)
    orders.deliver(actor=staff, order_id=order.pk, now=now)

    deliver(now)

    mail = sent("order-delivered")
    assert (mail.recipient, mail.subject) == (
        "kim@example.com",
        f"Your order {order.number} has arrived",
    )
    for body in (mail.body_text, mail.body_html):
        assert ("you can send it back until" in body) is returns


def test_a_changed_order_says_what_it_holds_and_what_goes_back(
    company: Company, now: datetime, user: Any, system: Actor
) -> None:
    order = buy(buyer(company, now, user), now)
    line = order.lines.get()
    edit = orders.Edit(quantities={line.pk: 1})
    shown = orders.preview_edit(actor=system, order_id=order.pk, edit=edit, now=now)
    orders.apply_edit(
        actor=system, order_id=order.pk, edit=edit, quote_id=shown.quote_id, reason="x", now=now
    )

    deliver(now)

    mail = sent("order-changed")
    assert mail.subject == f"Your order {order.number} was changed"
    assert f"1 x {line.name}" in mail.body_text
    assert "goes back the way it came" in mail.body_text
    assert "What was added" not in mail.body_text
    assert sent("order.edited").subject == f"Order {order.number} was changed."
    assert not Notification.objects.filter(channel="order-cancelled").exists()  # told already


def test_a_reminder_goes_to_the_address_left_behind(
    company: Company, now: datetime, staff: Actor
) -> None:
    actor = buyer(company, now)
    variant = factories.make_priced_variant("12.50")
    before = now - timedelta(hours=3)
    carts.add_line(actor=actor, sku=variant.sku, quantity=2, now=before)
    checkout.initialize(actor=actor, email="kim@example.com", now=before)
    carts.mark_abandoned(now=now)
    carts.send_due_recoveries(now=now)

    deliver(now)

    mail = sent("cart-abandoned")
    assert mail.recipient == "kim@example.com"
    assert "$25.00" in mail.body_text
    assert "/cart/recover/" in mail.body_text
    assert "/unsubscribe/" in mail.body_text


def test_a_later_reminder_brings_a_code_for_its_reader_alone(
    company: Company, now: datetime, staff: Actor
) -> None:
    five = factories.make_promotion("FIVE", name="5 % back", reminder_stage=2)
    five.coupons.all().delete()
    actor = buyer(company, now)
    variant = factories.make_priced_variant("12.50")
    before = now - timedelta(hours=3)
    view = carts.add_line(actor=actor, sku=variant.sku, quantity=2, now=before)
    checkout.initialize(actor=actor, email="kim@example.com", now=before)
    carts.mark_abandoned(now=now)
    carts.send_due_recoveries(now=now)
    deliver(now)
    assert "BACK-" not in sent("cart-abandoned").body_text
    assert not five.coupons.exists()

    carts.send_recovery(actor=staff, cart_id=view.id, now=now)
    deliver(now)
    deliver(now)

    code = five.coupons.get()
    mail = Notification.objects.filter(channel="cart-abandoned").latest("created_at", "id")
    assert code.code in mail.body_text
    assert code.code in mail.body_html
    assert "5 % back" in mail.body_text
    assert (code.usage_limit, code.customer_key) == (1, "email:kim@example.com")
