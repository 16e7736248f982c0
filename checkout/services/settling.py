"""
Bringing our books in line with the providers': one payment, those no longer needed, all that were forgotten.

`settle` is the one function behind webhooks, `complete` and reconciliation. Nothing here runs inside a
transaction: the provider is asked first, then `record` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from django.db.models import Q

from checkout.errors import PaymentFailed, PaymentNotFound
from checkout.gateway import (
    AcceptingGateway,
    Gateway,
    MadeRefund,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    State,
    WarningGateway,
    gateway_of,
)
from checkout.models import Payment
from checkout.services.adopting import note_refunds
from checkout.services.placing import payment_life
from checkout.services.recording import hold_to_take, is_paid_otherwise, record
from config.platform.actor import Actor, ActorKind
from config.platform.errors import DependencyUnavailable
from inventory.errors import HoldFailed
from orders import services as orders
from orders.models import Order

logger = structlog.get_logger(__name__)

T = TypeVar("T")

S = Payment.Status
POLL_AFTER = timedelta(minutes=2)  # an open payment nobody told us about
POLL_ENDED_AFTER = timedelta(hours=1)  # a failed one: banks have second thoughts
POLL_ENDED_FOR = timedelta(days=2)


def settle(*, payment_id: UUID, now: datetime, with_refunds: bool = False) -> Payment:
    """
    Bring a payment, its order and its stock in line with what the provider says now.

    Its refunds are compared one by one where their sum is not ours; `with_refunds` does so in any case.

    The one function behind webhooks, `complete` and reconciliation; it may run at any time, any number
    of times, in any order. Asks the provider outside a transaction, then records in one.

    :raises PaymentNotFound: if there is no such payment
    :raises HoldFailed: if the customer approved it, but the goods are gone; nothing is taken, the payment is closed
    :raises DependencyUnavailable: if the provider does not answer
    """
    payment: Payment | None = Payment.objects.filter(pk=payment_id).first()
    if payment is None:
        raise PaymentNotFound
    return settle_known(payment, now=now, with_refunds=with_refunds)


def settle_known(payment: Payment, *, now: datetime, with_refunds: bool = False) -> Payment:
    """Do what `settle` does, for a payment that the caller has just read; `order` of the returned one is as it is now."""
    remote = ask(
        payment,
        lambda gateway: (
            gateway.retrieve(provider_id=payment.provider_id)
            if payment.provider_id
            else create(gateway, payment)
        ),
    )
    if remote.state is State.APPROVED:
        remote = _accept(payment, remote, now=now)
    payment = record(payment_id=payment.id, remote=remote, now=now)
    if with_refunds or remote.refunded != payment.refunded_amount:
        payment = note_refunds(payment, refunds_made(payment), now=now)
    _close_open(payment.order, now=now)
    return payment


def refunds_made(payment: Payment) -> list[MadeRefund]:
    """
    Return the refunds of a payment as its provider lists them; none where it does not know the payment any more.

    :raises DependencyUnavailable: if the provider does not answer
    """
    provider_id = payment.provider_id
    if provider_id is None:
        return []
    try:
        return consult(payment, lambda gateway: gateway.refunds_of(provider_id=provider_id))
    except ProviderGone:
        return []


def heed_warning(payment: Payment, *, now: datetime) -> bool:
    """
    Hold an order back whose card's bank warns of fraud; return whether it does. The provider is asked, not believed.

    :raises DependencyUnavailable: if the provider does not answer
    """
    gateway = gateway_of(payment.provider)
    provider_id = payment.provider_id
    if not isinstance(gateway, WarningGateway) or provider_id is None:
        return False
    kind = consult(payment, lambda _: gateway.fraud_warning(provider_id=provider_id))
    if not kind:
        return False
    orders.hold_back(
        actor=Actor(
            kind=ActorKind.PROVIDER, company_id=payment.order.company_id, source=payment.provider
        ),
        order_id=payment.order_id,
        reason=f"The card's bank warns of fraud ({kind}): refund it before it is disputed.",
        now=now,
    )
    return True


def _accept(payment: Payment, remote: Remote, *, now: datetime) -> Remote:
    """
    Take what the customer has approved, if the order still waits for it. The goods are held first.

    :raises HoldFailed: if they are gone; nothing is taken, the payment is closed
    """
    try:
        is_wanted = hold_to_take(
            payment_id=payment.id, remote=remote, until=now + payment_life(), now=now
        )
    except HoldFailed:
        record(payment_id=payment.id, remote=replace(remote, state=State.CANCELED), now=now)
        raise
    if not is_wanted:
        return remote

    def accept(gateway: Gateway) -> Remote:
        if not isinstance(gateway, AcceptingGateway):
            raise ProviderRefused("nothing to accept")
        return gateway.accept(
            provider_id=remote.provider_id, key=f"{payment.idempotency_key}-accept"
        )

    return ask(payment, accept)


def close_superseded(*, order_id: UUID, provider: str, now: datetime) -> None:
    """Close an open payment at another provider, so that the customer may choose this one instead."""
    for payment in Payment.objects.filter(
        order_id=order_id, status__in=[S.PENDING, S.PROCESSING]
    ).exclude(provider=provider):
        _close(payment, now=now)


def _close_open(order: Order, *, now: datetime) -> None:
    """Close payments that their order no longer needs: it is over, or another payment has paid it."""
    if order.status == Order.Status.DRAFT:
        return
    payments = list(order.payments.all())
    is_over = order.status in {Order.Status.CANCELLED, Order.Status.FAILED}
    for payment in payments:
        is_not_needed = payment.status in {S.PENDING, S.PROCESSING}
        if payment.status == S.AUTHORIZED:
            is_not_needed = is_over or is_paid_otherwise(payment, payments)
        if is_not_needed:
            _close(payment, now=now)


def close_for_cancel(*, order_id: UUID, now: datetime) -> None:
    """
    Close every open payment of a draft that is about to be cancelled.

    :raises DependencyUnavailable: if a provider does not answer
    """
    for payment in Payment.objects.filter(order_id=order_id, status__in=Payment.OPEN):
        _close(payment, now=now)


def reconcile(*, now: datetime, limit: int = 200) -> int:
    """
    Ask providers about payments that they should have told us of, and repair what was missed.

    Looks at open payments after two minutes (at once where the order is over) and, for two days, each
    hour at those that failed or were cancelled. Returns how many changed. A provider that does not answer delays only its own.
    """
    ended = [S.FAILED, S.CANCELLED]
    due = (
        Payment.objects.filter(
            Q(status__in=Payment.OPEN, updated_at__lte=now - POLL_AFTER)
            | Q(
                status__in=Payment.OPEN,
                order__status__in=[Order.Status.CANCELLED, Order.Status.FAILED],
            )
            | Q(
                status__in=ended,
                updated_at__lte=now - POLL_ENDED_AFTER,
                created_at__gte=now - POLL_ENDED_FOR,
                provider_id__isnull=False,
            )
        )
        .order_by("updated_at")
        .values_list("pk", "status")[:limit]
    )
    changed = 0
    for payment_id, status in list(due):
        try:
            changed += settle(payment_id=payment_id, now=now).status != status
        except DependencyUnavailable:
            logger.warning("a provider did not answer", payment=str(payment_id))
        except HoldFailed:
            changed += 1
        except Exception:
            logger.exception("a payment could not be settled", payment=str(payment_id))
        Payment.objects.filter(pk=payment_id).update(updated_at=now)
    return changed


def _close(payment: Payment, *, now: datetime) -> Payment:
    """Cancel a payment at its provider and record what became of it."""

    def cancel(gateway: Gateway) -> Remote:
        # Made first where it was not: only what exists can be closed for good.
        provider_id = payment.provider_id or create(gateway, payment).provider_id
        return gateway.cancel(provider_id=provider_id, key=f"{payment.idempotency_key}-cancel")

    return record(payment_id=payment.id, remote=ask(payment, cancel), now=now)


def create(gateway: Gateway, payment: Payment) -> Remote:
    return gateway.create(
        key=payment.idempotency_key,
        amount=payment.amount,
        currency=payment.currency,
        metadata={
            "payment_id": str(payment.id),
            "order_id": str(payment.order_id),
            # What was approved before there was an order to pay.
            **(
                {"approved": payment.metadata["approved"]} if "approved" in payment.metadata else {}
            ),
        },
        ship_to=payment.order.shipping_address,
        # What goods sent back paid in part is paid whole, or not at all: a promise that ends would leave it between.
        at_once=bool(payment.order.credit_total),
    )


def ask(payment: Payment, call: Callable[[Gateway], Remote]) -> Remote:
    """
    Ask a payment's provider where it stands, or to move it, outside any transaction of ours.

    :raises DependencyUnavailable: if it does not answer, or is switched off
    :raises PaymentFailed: if it refuses
    """
    try:
        return consult(payment, call)
    except ProviderGone:
        # Never paid, and nobody can pay it any more: what is closed for good over there is closed here.
        return Remote(
            provider_id=payment.provider_id or "",
            state=State.CANCELED,
            amount=payment.amount,
            currency=payment.currency,
        )


def consult(payment: Payment, call: Callable[[Gateway], T]) -> T:
    """
    Call a payment's provider, outside any transaction of ours.

    :raises ProviderGone: if it knows nothing of the payment
    :raises DependencyUnavailable: if it does not answer, or is switched off
    :raises PaymentFailed: if it refuses
    """
    gateway = gateway_of(payment.provider)
    if gateway is None:
        raise DependencyUnavailable("This way to pay is switched off.")
    try:
        return call(gateway)
    except ProviderGone:
        raise
    except ProviderUnavailable:
        raise DependencyUnavailable(
            "The payment provider does not answer.", retry_after=5
        ) from None
    except ProviderRefused as refusal:
        raise PaymentFailed(extra={"reason": str(refusal)}) from None
