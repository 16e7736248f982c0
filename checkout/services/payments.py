"""
Collecting the money of an order: what customers and staff ask for.

A payment is prepared in one transaction, made at its provider outside any, and recorded in another; each
phase may be repeated.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from checkout import selectors
from checkout.errors import (
    CheckoutExpired,
    PaymentAmountMismatch,
    PaymentFailed,
    PaymentRequired,
)
from checkout.gateway import (
    methods,
)
from checkout.models import Checkout, Payment
from checkout.rendering import render_payment
from checkout.services import attempts
from checkout.services.placing import (
    check_complete,
    open_payment,
    payment_life,
    place,
    place_to_pay,
)
from checkout.services.recording import SOLD_OUT, finish, note_created, record, refuse
from checkout.services.settling import ask, close_superseded, create, settle_known
from config.platform.actor import Actor
from config.platform.errors import (
    FieldError,
    InvalidTransition,
    ValidationFailed,
)
from inventory import services as inventory
from inventory.errors import HoldFailed
from orders import services as orders
from orders.models import Order
from pricing.money import format_amount

PAID_FOR = (
    Order.Status.CONFIRMED,
    Order.Status.PROCESSING,
    Order.Status.SHIPPED,
    Order.Status.DELIVERED,
)


def pay(
    *, actor: Actor, checkout_id: UUID, method: str, quote_id: str, now: datetime
) -> tuple[Order, Payment | None]:
    """
    Place the order of a checkout if that has not been done, and open its payment.

    Returns the order and its open payment, or None where there is nothing to pay: then the order is confirmed.

    :raises: what `place` and `start_payment` raise
    """
    order, payment = place_to_pay(
        actor=actor,
        checkout_id=checkout_id,
        quote_id=quote_id,
        method=method,
        provider=_provider_of(method),
        now=now,
    )
    if not order.grand_total:
        return confirm_free(actor=actor, order_id=order.id, now=now), None
    if order.status in PAID_FOR:  # a second tab, or a repeat after the webhook was quicker
        return order, selectors.latest_payment(order_id=order.id)
    if payment is None:
        payment = start_payment(actor=actor, order_id=order.id, method=method, now=now)
    else:
        payment = _open_at_provider(payment, now=now)
    return payment.order, payment


def start_payment(*, actor: Actor, order_id: UUID, method: str, now: datetime) -> Payment:
    """
    Open a payment for exactly the total of a draft order, or continue the one that is open.

    After a failed try the holds are taken again first. Three phases: a transaction that stores the
    payment with its key, the call to the provider, a transaction that stores the answer.

    :raises OrderNotFound: if there is none for this caller
    :raises ValidationFailed: if there is no such way to pay
    :raises InvalidTransition: if the order does not wait for a payment
    :raises HoldFailed: listing every line whose hold is gone and cannot be taken again
    :raises RateLimited: if too many payments of this client came to nothing
    :raises PaymentFailed: if the provider refuses to open it
    :raises DependencyUnavailable: if the provider does not answer; repeat with the same key
    """
    provider = _provider_of(method)
    close_superseded(order_id=order_id, provider=provider, now=now)
    with attempts.watched(actor=actor, now=now):
        payment = _prepare(
            actor=actor, order_id=order_id, method=method, provider=provider, now=now
        )
    return _open_at_provider(payment, now=now)


@transaction.atomic
def _prepare(*, actor: Actor, order_id: UUID, method: str, provider: str, now: datetime) -> Payment:
    order = orders.lock(actor=actor, order_id=order_id)
    if order.status != Order.Status.DRAFT or not order.grand_total:
        raise InvalidTransition(
            "This order does not wait for a payment.",
            extra={"status": order.status, "paymentStatus": order.payment_status},
        )
    orders.check_payable(order)
    current: Payment | None = (
        Payment.objects.filter(order=order, status__in=Payment.OPEN).for_update().first()
    )
    inventory.reacquire(
        actor=actor,
        order_id=order.id,
        demands=orders.demands(order),
        expires_at=now + payment_life(),
        now=now,
    )
    if current is not None:
        current.order = order
        return current
    payment = open_payment(order, actor=actor, method=method, provider=provider, now=now)
    orders.note_payment(order, status=Order.PaymentStatus.PENDING, method=method)
    return payment


def _open_at_provider(payment: Payment, *, now: datetime) -> Payment:
    """Make a prepared payment at its provider, by its stored key, and store what the provider answers."""
    if payment.provider_id is not None:
        return payment
    try:
        remote = ask(payment, lambda gateway: create(gateway, payment))
    except PaymentFailed as refusal:
        refuse(payment_id=payment.id, failure=str(refusal.extra.get("reason", "")), now=now)
        raise
    if note_created(payment, remote, now=now):
        return payment
    return record(payment_id=payment.id, remote=remote, now=now)


def complete(*, actor: Actor, checkout_id: UUID, quote_id: str = "", now: datetime) -> Order:
    """
    Ask the provider where the payment stands, and confirm the order if it is paid. Completing twice gives the same order.

    What costs nothing is placed and confirmed at once, for `quote_id` or the quote last shown.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired: if its time is over, or its order was cancelled
    :raises NoShippingZone, CheckoutIncomplete: if it cannot be placed yet
    :raises PaymentRequired: if it is not paid; the payment stands under `extra.payment`
    :raises HoldFailed: if the goods were sold while the customer paid; the money goes back
    :raises DependencyUnavailable: if the provider does not answer
    """
    checkout, payment = selectors.find_paying(actor=actor, checkout_id=checkout_id)
    if checkout.order is None:
        if checkout.status != Checkout.Status.OPEN or checkout.expires_at <= now:
            raise CheckoutExpired
        priced = selectors.price(checkout, now=now)
        check_complete(priced)
        if priced.quote.totals.grand_total:
            raise PaymentRequired(extra={"payment": None})
        order = place(
            actor=actor, checkout_id=checkout_id, quote_id=quote_id or checkout.quote_id, now=now
        )
        return confirm_free(actor=actor, order_id=order.id, now=now)

    order = checkout.order
    if order.status == Order.Status.DRAFT:
        if not order.grand_total:
            return confirm_free(actor=actor, order_id=order.id, now=now)
        if payment is not None:
            payment = settle_known(payment, now=now)
            order = payment.order
        if order.status == Order.Status.DRAFT:
            raise PaymentRequired(extra={"payment": payment and render_payment(payment)})
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        if order.needs_attention.startswith(SOLD_OUT):
            raise HoldFailed(
                "The goods were sold while you paid. Your money goes back to you.",
                extra={"orderNumber": order.number},
            )
        raise CheckoutExpired(extra={"orderNumber": order.number, "orderStatus": order.status})
    return order


@transaction.atomic
def confirm_free(*, actor: Actor, order_id: UUID, now: datetime) -> Order:
    """
    Confirm an order that costs nothing.

    :raises OrderNotFound: if there is none for this caller
    """
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    order = orders.lock(actor=actor, order_id=order_id)
    if order.status == Order.Status.DRAFT:
        order.payment_status = Order.PaymentStatus.CAPTURED
        orders.confirm_locked(order, actor=actor, fields=("payment_status",), now=now)
        finish(checkout)
    return order


def capture(*, actor: Actor, payment_id: UUID, amount: Decimal | None, now: datetime) -> Payment:
    """
    Collect an authorised payment, whole.

    :raises PaymentNotFound: if there is none for this caller
    :raises PaymentAmountMismatch: if `amount` is not the payment's
    :raises InvalidTransition: if it is not authorised
    :raises PaymentFailed: if the provider refuses
    :raises DependencyUnavailable: if the provider does not answer
    """
    payment = selectors.find_payment(actor=actor, payment_id=payment_id)
    if amount is not None and amount != payment.amount:
        raise PaymentAmountMismatch(
            extra={"amount": format_amount(payment.amount, payment.currency)}
        )
    if payment.status == Payment.Status.CAPTURED:
        return payment
    if payment.status != Payment.Status.AUTHORIZED or payment.provider_id is None:
        raise InvalidTransition(extra={"from": payment.status, "to": Payment.Status.CAPTURED})
    provider_id = payment.provider_id
    remote = ask(
        payment,
        lambda gateway: gateway.capture(
            provider_id=provider_id, amount=payment.amount, key=f"{payment.idempotency_key}-capture"
        ),
    )
    return record(payment_id=payment.id, remote=remote, now=now)


def open_intent(
    *, actor: Actor, order_id: UUID, amount: Decimal, currency: str, method: str, now: datetime
) -> Payment:
    """
    Open a payment for an order by its amount, which must be the order's total (PAY-01).

    :raises OrderNotFound: if there is none for this caller
    :raises PaymentAmountMismatch: if amount or currency are not the order's
    :raises: what `start_payment` raises
    """
    order = Order.objects.for_actor(actor).filter(pk=order_id).first()
    if order is not None and (amount != order.to_pay or currency != order.currency):
        raise PaymentAmountMismatch(
            extra={
                "amount": format_amount(order.to_pay, order.currency),
                "currency": order.currency,
            }
        )
    return start_payment(actor=actor, order_id=order_id, method=method, now=now)


def _provider_of(method: str) -> str:
    for offered in methods():
        if offered.id == method:
            return offered.provider
    raise ValidationFailed(
        errors=[FieldError("method", "invalid_choice", "There is no such way to pay.")]
    )
