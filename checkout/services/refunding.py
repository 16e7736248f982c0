"""
Giving money back: what is due is a row, a job carries it out, each with its stored key.

A refund counts against its payment from the moment it is prepared, so two at once can never exceed
what was captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Sum

from checkout import selectors
from checkout.errors import RefundExceedsPayment
from checkout.events import PaymentRefunded
from checkout.gateway import ProviderRefused, ProviderUnavailable, RemoteRefund, gateway_of
from checkout.models import Payment, PaymentStatusChange, Refund
from checkout.services.recording import note_status
from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import DependencyUnavailable
from config.platform.models import new_id
from orders import services as orders
from orders.models import Order, RefundRequest
from orders.services import Units
from pricing.money import format_amount

logger = structlog.get_logger(__name__)

NO_PAYMENT = "No payment has this much left."


def execute_refunds(*, now: datetime, limit: int = 100) -> int:
    """
    Carry out refunds that are due, oldest first, and return how many this run did: of several at once, one counts each.

    What a provider does not answer stays due. Runs outside any transaction.
    """
    due = (
        RefundRequest.objects.filter(status=RefundRequest.Status.DUE)
        # What pays for an exchange waits for the rest of its money.
        .exclude(moved_to__status=Order.Status.DRAFT, moved_amount=F("amount"))
        .order_by("created_at", "pk")
    )
    done = 0
    for request_id in list(due.values_list("pk", flat=True)[:limit]):
        try:
            refund, is_new = _execute(request_id=request_id, now=now)
        except DependencyUnavailable:
            logger.warning("a provider did not answer", refund_request=str(request_id))
        except Exception:
            logger.exception("a refund could not be carried out", refund_request=str(request_id))
        else:
            done += is_new and refund is not None and refund.status == Refund.Status.SUCCEEDED
    return done


def execute_refund(*, request_id: UUID, now: datetime) -> Refund | None:
    """
    Carry out one refund that is due: prepare it, ask the provider, record the answer. Safe to repeat at any point.

    Returns None where nothing is due, or the payment is not captured yet.

    :raises DependencyUnavailable: if the provider does not answer; it stays due
    """
    refund, _ = _execute(request_id=request_id, now=now)
    return refund


def _execute(*, request_id: UUID, now: datetime) -> tuple[Refund | None, bool]:
    """Return the refund, and whether its outcome was written by this call and not by another one."""
    refund = _prepare(request_id=request_id, now=now)
    if refund is None or refund.status != Refund.Status.PENDING:
        return refund, False
    payment = refund.payment
    gateway = gateway_of(payment.provider)
    if gateway is None or payment.provider_id is None:
        raise DependencyUnavailable("This way to pay is switched off.")
    try:
        remote = gateway.refund(
            provider_id=payment.provider_id,
            amount=refund.amount,
            currency=refund.currency,
            key=refund.idempotency_key,
            reason=refund.reason,
        )
    except ProviderUnavailable:
        raise DependencyUnavailable(
            "The payment provider does not answer.", retry_after=5
        ) from None
    except ProviderRefused as refusal:
        remote = RemoteRefund(provider_id="", succeeded=False, failure=str(refusal))
    return record_answer(refund_id=refund.id, remote=remote, now=now)


def refund_payment(
    *, actor: Actor, payment_id: UUID, amount: Decimal | None, reason: str, now: datetime
) -> Payment:
    """
    Refund an amount of a payment, or all that is left of it, at once (PAY-03).

    :raises PaymentNotFound: if there is none for this caller
    :raises RefundExceedsPayment: if less is left of it, or it goes back by a refund of its own
    :raises DependencyUnavailable: if the provider does not answer; the refund stays due
    """
    payment = selectors.find_payment(actor=actor, payment_id=payment_id)
    if not _may_go_back(payment):
        raise RefundExceedsPayment(
            extra={
                "refundable": format_amount(Decimal(0), payment.currency),
                "status": payment.status,
            }
        )
    with transaction.atomic():
        order = orders.lock(actor=actor, order_id=payment.order_id)
        left = min(left_of(payment), orders.refundable(order))
        wanted = left if amount is None else amount
        if wanted > left or wanted <= 0:
            raise RefundExceedsPayment(extra={"refundable": format_amount(left, payment.currency)})
        request = orders.request_refund(
            actor=actor, order_id=order.id, amount=wanted, reason=reason, now=now
        )
    execute_refund(request_id=request.id, now=now)
    return selectors.find_payment(actor=actor, payment_id=payment_id)


def refundable(*, payment_id: UUID) -> Decimal:
    """Return what of a payment may go back now: what is left of it, and not asked back at its order; for showing."""
    payment = Payment.objects.select_related("order").get(pk=payment_id)
    if not _may_go_back(payment):
        return Decimal(0)
    return min(left_of(payment), orders.refundable(payment.order))


def _may_go_back(payment: Payment) -> bool:
    is_here = payment.status in {Payment.Status.CAPTURED, Payment.Status.PARTIALLY_REFUNDED}
    return is_here and not payment.goes_back_alone


def refund_units(
    *,
    actor: Actor,
    order_id: UUID,
    units: Sequence[Units],
    shipping: Decimal = Decimal(0),
    reason: str,
    now: datetime,
) -> Refund | None:
    """
    Refund units of an order and a part of what shipping cost, at once (ORD-26); None where they cost points alone.

    :raises: what `orders.refund_units` raises
    :raises DependencyUnavailable: if the provider does not answer; the refund stays due
    """
    request = orders.refund_units(
        actor=actor, order_id=order_id, units=units, shipping=shipping, reason=reason, now=now
    )
    return None if request is None else execute_refund(request_id=request.id, now=now)


@transaction.atomic
def _prepare(*, request_id: UUID, now: datetime) -> Refund | None:
    """Choose the payment and store the refund with its key, so that a repeat finds the same one."""
    request = RefundRequest.objects.get(pk=request_id)
    if request.moved_to_id is not None:
        request = orders.settle_moved(actor=_system(request), request_id=request_id, now=now)
        if not request.to_pay_out:
            return None
    Order.objects.filter(pk=request.order_id).for_update().get()
    payments = lock_payments(request)
    request = RefundRequest.objects.get(pk=request_id)
    known = Refund.objects.select_related("payment").filter(request_id=request_id).first()
    if request.status != RefundRequest.Status.DUE:
        return known
    if known is not None and known.status == Refund.Status.PENDING:
        return known
    actor = _system(request)
    if any(payment.status == Payment.Status.AUTHORIZED for payment in payments):
        return None  # nothing was taken yet; it is due once the money is
    chosen = payment_for(request, payments)
    if chosen is None:
        orders.fail_refund(actor=actor, request_id=request_id, failure=NO_PAYMENT, now=now)
        return None
    if known is not None:  # it failed and was put back into the queue: a new try needs a new key
        known.request_id = None
        known.save(update_fields=["request_id"])  # when it failed stays known
    refund = Refund(
        id=new_id(),
        payment=chosen,
        request_id=request_id,
        amount=request.to_pay_out,
        currency=request.currency,
        reason=request.reason,
        created_at=now,
    )
    refund.idempotency_key = f"refund-{refund.id}"
    refund.save(force_insert=True)
    return refund


@transaction.atomic
def record_answer(*, refund_id: UUID, remote: RemoteRefund, now: datetime) -> tuple[Refund, bool]:
    """
    Write what a provider answered to a refund, and return whether this call did; the second time changes nothing.

    Locks order, then payment.
    """
    known = Refund.objects.select_related("payment").get(pk=refund_id)
    order = Order.objects.filter(pk=known.payment.order_id).for_update().get()
    payment: Payment = Payment.objects.filter(pk=known.payment_id).for_update().get()
    refund: Refund = Refund.objects.filter(pk=refund_id).for_update().get()
    if refund.status != Refund.Status.PENDING or refund.request_id is None:
        return refund, False
    request = RefundRequest.objects.get(pk=refund.request_id)
    actor = _system(request)
    if not remote.succeeded:
        refund.status = Refund.Status.FAILED
        refund.failure = remote.failure[:300]
        refund.save()
        orders.fail_refund(actor=actor, request_id=request.id, failure=remote.failure, now=now)
        return refund, True
    refund.status = Refund.Status.SUCCEEDED
    refund.provider_id = remote.provider_id
    refund.save()
    payment.refunded_amount += refund.amount
    write_paid_back(
        payment,
        request,
        order_id=order.id,
        refunded=refund.amount,
        notes=refund.reason,
        actor=actor,
        now=now,
    )
    outbox.publish(
        PaymentRefunded(
            aggregate_id=order.id,
            payment_id=str(payment.id),
            amount=format_amount(refund.amount, refund.currency),
            currency=refund.currency,
            refund_id=str(refund.id),
        ),
        actor=actor,
        now=now,
    )
    return refund, True


def write_paid_back(
    payment: Payment,
    request: RefundRequest,
    *,
    order_id: UUID,
    refunded: Decimal = Decimal(0),
    notes: str,
    actor: Actor,
    now: datetime,
) -> None:
    """
    Write that a refund was paid, on its locked payment, whose amounts say it already, and on the order that is locked.

    `refunded` is what went back at the provider.
    """
    write_status_by_money(payment, refunded=refunded, notes=notes, now=now)
    orders.record_refund(actor=actor, request_id=request.id, now=now)
    note_status(order_id=order_id, now=now)


def write_status_by_money(
    payment: Payment, *, refunded: Decimal, notes: str, now: datetime
) -> None:
    """Give a locked payment the status that its amounts say, and write by how much they moved; negative came back."""
    before = payment.status
    payment.status = payment.status_by_money
    payment.save()
    PaymentStatusChange.objects.create(
        payment=payment,
        from_status=before,
        to_status=payment.status,
        refunded=refunded,
        notes=notes[:300],
        at=now,
    )


def lock_payments(request: RefundRequest) -> list[Payment]:
    """
    Return the payments that a refund may come from, locked; lock its order before.

    What an exchange paid for goes back to the payment of the order whose goods were sent back for it.
    """
    order_id = request.order_id
    if request.is_of_credit:
        order_id = RefundRequest.objects.values_list("order_id", flat=True).get(moved_to=order_id)
    return list(Payment.objects.filter(order_id=order_id).for_update())


def payment_for(request: RefundRequest, payments: Sequence[Payment]) -> Payment | None:
    """Return the first of these payments that has as much left as a refund pays out, if there is one."""
    return next(
        (
            payment
            for payment in payments
            if (
                not payment.goes_back_alone
                if request.payment_id is None
                else request.payment_id == payment.pk
            )
            and left_of(payment) >= request.to_pay_out
        ),
        None,
    )


def left_of(payment: Payment) -> Decimal:
    """Return what of a locked payment is neither refunded nor about to be."""
    pending = Refund.objects.filter(payment=payment, status=Refund.Status.PENDING).aggregate(
        pending=Sum("amount")
    )["pending"]
    return payment.kept - (pending or Decimal(0))


def _system(request: RefundRequest) -> Actor:
    company_id = Order.objects.values_list("company_id", flat=True).get(pk=request.order_id)
    return Actor.system(company_id, source="checkout")
