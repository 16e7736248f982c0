"""The `test` provider's buttons: anyone may see how the shop copes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from checkout import selectors, standins
from checkout.errors import PaymentNotFound
from checkout.gateway import TestGateway, gateway_of
from checkout.models import Payment
from checkout.services.inbox import drain_inbox, receive_webhook
from checkout.services.settling import settle
from checkout.standins import Verb
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


# What a simulator offers: what the provider does, and how its message travels.
BUTTONS: Mapping[str, tuple[Outcome, Delivery]] = {
    "succeed": (Outcome.SUCCEED, Delivery.NORMAL),
    "decline": (Outcome.DECLINE, Delivery.NORMAL),
    "action": (Outcome.REQUIRES_ACTION, Delivery.NORMAL),
    "late": (Outcome.SUCCEED_LATE, Delivery.NORMAL),
    "duplicate": (Outcome.SUCCEED, Delivery.DUPLICATE),
    "before": (Outcome.SUCCEED, Delivery.BEFORE_REDIRECT),
    "lost": (Outcome.SUCCEED, Delivery.LOST),
    "dispute": (Outcome.DISPUTE, Delivery.NORMAL),
}


def rehearsed_at() -> list[str]:
    """Return the providers of this installation at which buttons may be pressed: none that moves money."""
    offered = ["test"] if gateway_of("test") is not None else []
    return [*offered, "stripe"] if standins.find() is not None else offered


def rehearse(*, actor: Actor, payment_id: UUID, button: str, now: datetime) -> Payment:
    """
    Press a button at whichever provider a payment is, as long as it is none that moves money.

    That is the `test` provider, or the stand-in for Stripe that runs on this machine.

    :raises PaymentNotFound: if there is no such payment for this caller, or its provider is a real one
    :raises InvalidTransition: if the payment can no longer take this turn
    :raises DependencyUnavailable: if the stand-in does not answer
    """
    outcome, delivery = BUTTONS[button]
    payment = selectors.find_payment(actor=actor, payment_id=payment_id)
    if payment.provider == "test":
        return simulate(
            actor=actor, payment_id=payment_id, outcome=outcome, delivery=delivery, now=now
        )
    standin = standins.find()
    if payment.provider != "stripe" or standin is None:
        raise PaymentNotFound
    if payment.provider_id is None:
        payment = settle(payment_id=payment_id, now=now)
    if outcome is Outcome.SUCCEED_LATE and payment.order.status == Order.Status.DRAFT:
        inventory.release_order(actor=actor, order_id=payment.order_id, now=now)
    standin.act(
        intent_id=payment.provider_id or "",
        verbs=_VERBS[outcome, payment.captured_amount > 0],
        manner={Delivery.DUPLICATE: "duplicate", Delivery.LOST: "lost"}.get(delivery, "normal"),
    )
    if delivery is Delivery.BEFORE_REDIRECT:
        drain_inbox(now=now)
    return selectors.find_payment(actor=actor, payment_id=payment_id)


_SUCCEED: Verb = ("confirm", "id", {"method": "pm_card_visa"})
_DISPUTE: Verb = ("dispute", "intent_id", {})
# What the stand-in is told to do, by what shall happen, and whether the money is there already.
_VERBS: Mapping[tuple[Outcome, bool], Sequence[Verb]] = {
    **{(outcome, paid): [_SUCCEED] for outcome in Outcome for paid in (False, True)},
    **{
        (Outcome.DECLINE, paid): [("confirm", "id", {"method": "pm_card_chargeDeclined"})]
        for paid in (False, True)
    },
    **{
        (Outcome.REQUIRES_ACTION, paid): [
            ("confirm", "id", {"method": "pm_card_threeDSecure2Required"})
        ]
        for paid in (False, True)
    },
    (Outcome.DISPUTE, False): [_SUCCEED, _DISPUTE],
    (Outcome.DISPUTE, True): [_DISPUTE],
}


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
