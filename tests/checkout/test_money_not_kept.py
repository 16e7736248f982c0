"""Money that comes and is not kept: whoever paid reads one mail that tells the whole, and no other mail about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from checkout import services as checkout
from checkout.models import Payment, Refund
from config.platform import relay
from config.platform.models import OutboxEvent
from inventory.models import Company, Variant
from notifications.models import Notification
from orders import services as orders
from orders.models import Order
from tests.checkout.conftest import Buyer, charge_of

pytestmark = pytest.mark.django_db

Story = Callable[[Buyer, Variant, Company], Payment]


def sold_out(ready: Buyer, variant: Variant, shop: Company) -> Payment:
    _, payment = ready.pay()
    ready.simulate(payment, "succeed_late", "lost")
    Buyer.arrive(shop, ready.now, email="rival@example.com").add(variant, 5)
    return checkout.settle(payment_id=payment.pk, now=ready.now)


def paid_twice(ready: Buyer, variant: Variant, shop: Company) -> Payment:
    _, first = ready.pay()
    ready.simulate(first, "decline")
    _, second = ready.pay()
    ready.simulate(second)
    return ready.simulate(first, "succeed_late")


def order_over(ready: Buyer, variant: Variant, shop: Company) -> Payment:
    _, payment = ready.pay()
    checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)
    return ready.simulate(payment, "succeed_late")


def tell(now: datetime) -> dict[str, str]:
    """Hand every event on, twice and the last one first; return the mails there are, by what they are about."""
    late = now + timedelta(minutes=5)
    for order in ("id", "-id"):
        for event_id in OutboxEvent.objects.order_by(order).values_list("pk", flat=True):
            relay.replay(event_id=event_id, now=late)
            relay.relay_due(now=late, limit=1)
        while relay.relay_due(now=late):
            pass
    found = Notification.objects.filter(type=Notification.Type.EMAIL)
    assert found.count() == len(set(found.values_list("channel", flat=True)))
    return {mail.channel: " ".join(mail.body_text.split()) for mail in found}


@pytest.mark.parametrize(
    ("story", "beside", "says"),
    [
        (sold_out, set(), "somebody else had bought them. We are sorry: the order is cancelled"),
        (
            paid_twice,
            {"payment-failed", "order-confirmation", "payment-confirmation"},
            "was paid already, so this payment of $24.90 was one too many. The order itself stays",
        ),
        (order_over, {"order-cancelled"}, "had ended. Nothing of it will be sent."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_money_that_is_not_kept_is_told_in_one_mail(
    ready: Buyer, variant: Variant, shop: Company, story: Story, beside: set[str], says: str
) -> None:
    payment = story(ready, variant, shop)
    assert payment.goes_back == story.__name__
    assert checkout.execute_refunds(now=ready.now) == 1
    assert Refund.objects.get().amount == charge_of(payment).refunded_amount == Decimal("24.90")

    mails = tell(ready.now)

    assert set(mails) == beside | {"payment-returned"}
    text = mails["payment-returned"]
    number = Order.objects.get().number
    assert says in text
    assert "All $24.90 of it goes back the way you paid; there is nothing you have to do." in text
    assert number in text
    assert Notification.objects.get(channel="payment-returned").subject == (
        f"Your $24.90 for order {number} goes back to you"
    )


def test_money_that_is_kept_and_given_back_later_is_told_at_each_step(
    ready: Buyer, variant: Variant, shop: Company, staff: Any
) -> None:
    """The control: the order stood, so its payment, its end and the refund are news of their own."""
    order, payment = ready.pay()
    ready.simulate(payment)
    orders.cancel(actor=staff, order_id=order.pk, now=ready.now)
    checkout.execute_refunds(now=ready.now)

    assert Payment.objects.get().goes_back == ""
    assert set(tell(ready.now)) == {
        "order-confirmation", "payment-confirmation", "order-cancelled", "refund-processed",
    }  # fmt: skip


def test_what_was_only_promised_when_the_goods_were_gone_is_the_end_of_the_order_and_no_more(
    ready: Buyer, variant: Variant, shop: Company, settings: Any
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay()
    ready.simulate(payment, "succeed", "lost")
    late = ready.now + timedelta(hours=1)
    Buyer.arrive(shop, late, email="rival@example.com").add(variant, 5)

    checkout.settle(payment_id=payment.pk, now=late)

    payment.refresh_from_db()
    assert (payment.status, payment.goes_back) == ("CANCELLED", "")
    assert Order.objects.get(pk=order.pk).status == "cancelled"
    assert set(tell(late)) == {"order-cancelled"}


def promised(ready: Buyer, staff: Any) -> None:
    """The customer's bank has promised the money, and nobody has collected it."""


def collected(ready: Buyer, staff: Any) -> None:
    checkout.capture(actor=staff, payment_id=Payment.objects.get().pk, amount=None, now=ready.now)


def let_go(ready: Buyer, staff: Any) -> None:
    orders.cancel(actor=staff, order_id=Order.objects.get().pk, now=ready.now)
    checkout.reconcile(now=ready.now)


RESERVED, CHARGED = "payment-authorized", "payment-confirmation"


@pytest.mark.parametrize("is_told_before", [True, False], ids=["in_time", "late"])
@pytest.mark.parametrize(
    ("end", "in_time", "late"),
    [
        (promised, {RESERVED}, {RESERVED}),
        (collected, {RESERVED, CHARGED}, {CHARGED}),
        (let_go, {RESERVED, "order-cancelled"}, {"order-cancelled"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_reserved_is_told_while_it_is_and_what_is_charged_when_it_is(
    ready: Buyer,
    staff: Any,
    settings: Any,
    end: Callable[[Buyer, Any], None],
    in_time: set[str],
    late: set[str],
    is_told_before: bool,
) -> None:
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay()
    ready.simulate(payment)
    if is_told_before:
        tell(ready.now)
    end(ready, staff)

    mails = tell(ready.now)

    assert set(mails) == {"order-confirmation"} | (in_time if is_told_before else late)
    if RESERVED in mails:
        assert (
            f"$24.90 is reserved for order {order.number}. Nothing is charged yet"
            in mails[RESERVED]
        )
    if CHARGED in mails:
        assert f"We received $24.90 for order {order.number}." in mails[CHARGED]


def test_what_is_charged_at_once_was_never_reserved(ready: Buyer) -> None:
    _, payment = ready.pay()
    ready.simulate(payment)

    assert OutboxEvent.objects.filter(name="payment.authorized").count() == 1  # CONF-16
    assert set(tell(ready.now)) == {"order-confirmation", CHARGED}
