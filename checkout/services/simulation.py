"""The `test` provider's buttons: anyone may see how the shop copes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from checkout import selectors
from checkout.errors import PaymentNotFound
from checkout.gateway import TestGateway, gateway_of
from checkout.models import Payment
from checkout.services.inbox import drain_inbox, receive_webhook
from checkout.services.settling import settle
from config.platform.actor import Actor
from config.platform.errors import InvalidTransition
from config.platform.signatures import sign
from inventory import services as inventory
from orders.models import Order


class Outcome(StrEnum):
    SUCCEED = "succeed"
    DECLINE = "decline"
    REQUIRES_ACTION = "requires_action"
    SUCCEED_LATE = "succeed_late"
    DISPUTE = "dispute"


class Delivery(StrEnum):
    NORMAL = "normal"
    DUPLICATE = "duplicate"
    BEFORE_REDIRECT = "before_redirect"
    LOST = "lost"


def simulate(
    *, actor: Actor, payment_id: UUID, outcome: Outcome, delivery: Delivery, now: datetime
) -> Payment:
    """
    Let the customer, or the bank, do something at the `test` provider, and let it tell us.

    The provider's books change first; its signed webhook then takes the way that Stripe's take.
    `before_redirect` works it off before this returns, `duplicate` sends it twice, `lost` never.
    `succeed_late` lets the order's hold lapse before the money comes.

    :raises PaymentNotFound: if there is no such payment of that provider for this caller
    :raises InvalidTransition: if the payment can no longer take this turn
    """
    payment = selectors.find_payment(actor=actor, payment_id=payment_id)
    gateway = gateway_of("test")
    if payment.provider != "test" or not isinstance(gateway, TestGateway):
        raise PaymentNotFound
    if payment.provider_id is None:
        payment = settle(payment_id=payment_id, now=now)
    provider_id = payment.provider_id or ""
    match outcome:
        case Outcome.SUCCEED:
            told = [gateway.simulate_success(provider_id=provider_id)]
        case Outcome.DECLINE:
            told = [gateway.simulate_decline(provider_id=provider_id)]
        case Outcome.REQUIRES_ACTION:
            told = [gateway.simulate_action(provider_id=provider_id)]
        case Outcome.SUCCEED_LATE:
            if payment.status == Payment.Status.CAPTURED:
                raise InvalidTransition(extra={"from": payment.status, "to": outcome})
            if payment.order.status == Order.Status.DRAFT:
                inventory.release_order(actor=actor, order_id=payment.order_id, now=now)
            told = [gateway.simulate_late_success(provider_id=provider_id)]
        case Outcome.DISPUTE:
            told = []
            if payment.status != Payment.Status.CAPTURED:
                told.append(gateway.simulate_success(provider_id=provider_id))
            told.append(gateway.simulate_dispute(provider_id=provider_id))
    for event_type in told:
        body = gateway.event(provider_id=provider_id, event_type=event_type)
        deliveries = {Delivery.LOST: 0, Delivery.DUPLICATE: 2}.get(delivery, 1)
        for _ in range(deliveries):
            receive_webhook(
                provider=gateway.name,
                body=body,
                signature=sign(secret=gateway.secret, body=body, now=now),
                now=now,
            )
    if delivery is Delivery.BEFORE_REDIRECT:
        drain_inbox(now=now)
    return selectors.find_payment(actor=actor, payment_id=payment_id)
