"""
Refunds that a provider tells of before we know them: made by hand over there, or come back from the customer's bank.

What was not ours is written down like ours. Which are ours is never in doubt: their key is stored before they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from checkout.errors import RefundExceedsPayment
from checkout.gateway import MadeRefund, RemoteRefund
from checkout.models import Payment, Refund
from checkout.services.recording import note_status
from checkout.services.refunding import left_of, record_answer, write_status_by_money
from config.platform import audit
from config.platform.actor import Actor, ActorKind
from orders import services as orders
from orders.errors import RefundExceedsPayment as OrderHasLess
from orders.models import Order, RefundRequest
from pricing.money import format_amount

MADE_THERE = "made at the provider"


def note_refunds(payment: Payment, made: Sequence[MadeRefund], *, now: datetime) -> Payment:
    """
    Bring our refunds of a payment in line with those that its provider lists; return the payment as it is then.

    What came back is owed again. What somebody made over there is written down, and its order is flagged; where it can
    not be, because our books say that nothing is left, the order is flagged with that. Runs outside any transaction.
    """
    failed = {each.provider_id: each.failure for each in made if each.failure}
    back = Refund.objects.filter(
        payment=payment, status=Refund.Status.SUCCEEDED, provider_id__in=list(failed)
    )
    for refund_id, theirs in list(back.values_list("pk", "provider_id")):
        take_back(refund_id=refund_id, failure=failed[theirs or ""], now=now)
    known = set(Refund.objects.filter(payment=payment).values_list("provider_id", flat=True))
    for each in made:
        if not each.failure and each.provider_id not in known:
            _note_made(payment, each, now=now)
    payment.refresh_from_db()
    return payment


@transaction.atomic
def _note_made(payment: Payment, made: MadeRefund, *, now: datetime) -> None:
    """Write down a refund of the provider's, if it is not ours, and flag its order; locks order, then payment."""
    order_id = payment.order_id
    company_id = Order.objects.values_list("company_id", flat=True).get(pk=order_id)
    actor = Actor(kind=ActorKind.PROVIDER, company_id=company_id, source=payment.provider)
    amount = format_amount(made.amount, payment.currency)
    order = orders.lock(actor=actor, order_id=order_id)
    if _known(payment.pk, made) is not None:
        return
    try:
        adopt_refund(actor=actor, payment_id=payment.pk, made=made, now=now)
    except (RefundExceedsPayment, OrderHasLess):
        attention = f"{amount} was refunded at the provider, not here."
        orders.flag(actor=actor, order_id=order_id, attention=attention, now=now)
        return
    order.refresh_from_db()
    if order.payment_status == Order.PaymentStatus.REFUNDED:
        reason = (
            "All of it was refunded at the provider by hand: nothing pays for what is not sent."
        )
        orders.hold_back(actor=actor, order_id=order_id, reason=reason, now=now)
    else:
        attention = f"{amount} was refunded at the provider by hand. It is written down."
        orders.flag(actor=actor, order_id=order_id, attention=attention, now=now)


@transaction.atomic
def adopt_refund(*, actor: Actor, payment_id: UUID, made: MadeRefund, now: datetime) -> Refund:
    """
    Write down a refund that somebody made at the provider itself; once, whoever asks. One of ours stays as it is.

    Where a refund of this amount failed here, or is due and nobody has begun with it, it is taken for that one. Else it
    counts as money that went back for no goods in particular. Locks order, then payment.

    :raises RefundExceedsPayment: if payment and order do not have this much left
    """
    order_id = Payment.objects.values_list("order_id", flat=True).get(pk=payment_id)
    order = orders.lock(actor=actor, order_id=order_id)
    payment: Payment = Payment.objects.filter(pk=payment_id).for_update().get()
    earlier = _known(payment_id, made)
    if earlier is not None:
        return earlier
    left = left_of(payment)
    if made.amount > left:
        raise RefundExceedsPayment(extra={"refundable": format_amount(left, payment.currency)})
    request = _asked_for(order, payment, made, actor=actor, now=now) or orders.request_refund(
        actor=actor, order_id=order.id, amount=made.amount, reason=MADE_THERE, now=now
    )
    Refund.objects.filter(request_id=request.id).update(request_id=None)  # a try that failed
    refund = Refund.objects.create(
        payment=payment,
        request_id=request.id,
        amount=made.amount,
        currency=payment.currency,
        reason=request.reason,
        idempotency_key=f"adopted-{made.provider_id}"[:255],
        created_at=now,
    )
    # In the same transaction, so that no job finds it due.
    written, _ = record_answer(
        refund_id=refund.id,
        remote=RemoteRefund(provider_id=made.provider_id, succeeded=True),
        now=now,
    )
    audit.record(
        actor=actor,
        action="payment.refund_adopted",
        object_type="payment",
        object_id=payment.id,
        after={
            "amount": made.amount,
            "currency": payment.currency,
            "refundId": made.provider_id,
            "requestId": request.id,
        },
        reason=MADE_THERE,
        now=now,
    )
    return written


def _known(payment_id: UUID, made: MadeRefund) -> Refund | None:
    """
    Return our row of a refund that a provider lists. Ask within the order's lock, after the provider was asked.

    One of ours is known by its key as long as its answer is on its way.
    """
    same = Q(provider_id=made.provider_id) | Q(idempotency_key=made.key)
    return Refund.objects.filter(same, payment_id=payment_id).first()


def _asked_for(
    order: Order, payment: Payment, made: MadeRefund, *, actor: Actor, now: datetime
) -> RefundRequest | None:
    """
    Return the refund of this amount that staff have most likely made by hand because ours failed or did not come.

    :raises RefundExceedsPayment: if the payment is one too many, and its refund is another
    """
    own = RefundRequest.objects.filter(order=order, payment_id=payment.pk).first()
    begun = Refund.objects.filter(
        payment__order=order, status=Refund.Status.PENDING, request_id__isnull=False
    )
    Status = RefundRequest.Status
    asked = (
        RefundRequest.objects.filter(
            order=order,
            payment_id=payment.pk if own is not None else None,
            amount=made.amount,
            moved_to=None,
            is_of_credit=False,
            status__in=[Status.DUE, Status.FAILED],
        )
        .exclude(pk__in=begun.values("request_id"))
        .order_by("created_at", "pk")
        .first()
    )
    if asked is None:
        if own is not None:
            raise RefundExceedsPayment
        return None
    if asked.status == Status.FAILED:
        return orders.retry_refund(actor=actor, request_id=asked.pk, now=now)
    return asked


@transaction.atomic
def take_back(*, refund_id: UUID, failure: str, now: datetime) -> Refund:
    """
    Note that the money of a refund came back days later, and put its request among those that failed; once.

    Staff try it again from there, or pay in another way. Locks order, payment, then the refund.
    """
    known = Refund.objects.select_related("payment").get(pk=refund_id)
    order = Order.objects.filter(pk=known.payment.order_id).for_update().get()
    payment: Payment = Payment.objects.filter(pk=known.payment_id).for_update().get()
    refund: Refund = Refund.objects.filter(pk=refund_id).for_update().get()
    if refund.status != Refund.Status.SUCCEEDED or refund.request_id is None:
        return refund
    refund.status, refund.failure = Refund.Status.FAILED, failure[:300]
    refund.save()
    payment.refunded_amount -= refund.amount
    write_status_by_money(
        payment, refunded=-refund.amount, notes=f"the refund came back: {failure}", now=now
    )
    orders.reopen_refund(
        actor=Actor.system(order.company_id, source="checkout"),
        request_id=refund.request_id,
        failure=failure,
        now=now,
    )
    note_status(order_id=order.id, now=now)
    return refund
