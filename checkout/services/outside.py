"""Giving money back by other means, where the provider could not: a bank transfer, cash, a cheque."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction

from checkout.errors import RefundExceedsPayment, RefundNotFound
from checkout.events import PaymentRefundedOutside
from checkout.models import OutsideRefund
from checkout.services.refunding import lock_payments, payment_for, write_paid_back
from config.platform import audit, outbox
from config.platform.actor import Actor
from config.platform.errors import Conflict, FieldError, InvalidTransition, ValidationFailed
from orders import addresses
from orders import services as orders
from orders.models import Order, RefundRequest
from pricing.money import format_amount

FURTHEST_EAST = timedelta(hours=14)  # where it is later in the day than in UTC


@transaction.atomic
def pay_back_outside(
    *,
    actor: Actor,
    request_id: UUID,
    means: str,
    reference: str,
    reason: str,
    paid_on: date,
    now: datetime,
) -> OutsideRefund:
    """
    Note that staff gave back the whole of a failed refund by other means than its provider; once.

    The refund is done for the order, its lines and its return. The payment counts it as given back, so no provider is
    ever asked for that money again; what the provider has in its books stays as it is there. `reference` finds the deed
    in the books of whoever made it. Locks order, then payments.

    :raises RefundNotFound: if there is none for this caller
    :raises ValidationFailed: listing each field that is missing or wrong
    :raises InvalidTransition: if the refund has not failed, or was paid back already
    :raises RefundExceedsPayment: if no payment has as much left: nothing was taken, or it went back since
    :raises Conflict: while the order of its exchange is not confirmed
    """
    known = find_request(actor=actor, request_id=request_id)
    order = orders.lock(actor=actor, order_id=known.order_id)
    payments = lock_payments(known)
    request = RefundRequest.objects.select_related("moved_to").get(pk=request_id)
    clean = _clean(means, reference, reason, paid_on, order=order, now=now)
    if request.status != RefundRequest.Status.FAILED:
        raise InvalidTransition(
            "Only a refund that failed is paid back by other means.",
            extra={"from": request.status, "to": RefundRequest.Status.DONE},
        )
    if request.moved_to is not None and request.moved_to.confirmed_at is None:
        raise Conflict(
            "A part of it pays for an exchange that is not settled. Try the refund again."
        )
    payment = payment_for(request, payments)
    is_asked_twice = request.payment_id is None and request.to_pay_out > orders.refundable(order)
    if payment is None or is_asked_twice:
        raise RefundExceedsPayment

    paid = OutsideRefund.objects.create(
        payment=payment,
        request_id=request.id,
        amount=request.to_pay_out,
        currency=request.currency,
        means=means,
        paid_on_date=paid_on,
        actor=actor.label,
        created_at=now,
        **clean,
    )
    payment.outside_amount += paid.amount
    amount = format_amount(paid.amount, paid.currency)
    how = f"{means.replace('_', ' ')}, {paid.reference}"
    write_paid_back(
        payment,
        request,
        order_id=order.id,
        notes=f"{amount} paid back by other means: {how}",
        actor=actor,
        now=now,
    )
    audit.record(
        actor=actor,
        action="refund.paid_outside",
        object_type="refund_request",
        object_id=request.id,
        after={
            "orderId": order.id,
            "paymentId": payment.id,
            "amount": paid.amount,
            "currency": paid.currency,
            "means": means,
            "reference": paid.reference,
            "paidOn": paid_on,
        },
        reason=paid.reason,
        now=now,
    )
    outbox.publish(
        PaymentRefundedOutside(
            aggregate_id=order.id,
            payment_id=str(payment.id),
            amount=amount,
            currency=paid.currency,
            refund_request_id=str(request.id),
            means=means,
            reference=paid.reference,
            paid_on=paid_on.isoformat(),
        ),
        actor=actor,
        now=now,
    )
    return paid


def find_request(*, actor: Actor, request_id: UUID) -> RefundRequest:
    """
    Return a refund that was asked of an order of the caller's company.

    :raises RefundNotFound: if there is none
    """
    request = (
        RefundRequest.objects.select_related("order")
        .filter(pk=request_id, order__in=Order.objects.for_actor(actor))
        .first()
    )
    if request is None:
        raise RefundNotFound
    return request


def _clean(
    means: str, reference: str, reason: str, paid_on: date, *, order: Order, now: datetime
) -> dict[str, str]:
    """:raises ValidationFailed: listing each field that is missing or wrong"""
    errors: list[FieldError] = []
    clean: dict[str, str] = {}
    for name, text, limit in (("reference", reference, 100), ("reason", reason, 200)):
        try:
            # The reference of a bank is a long number, and belongs here.
            clean[name] = addresses.check_text(text, name, limit, numbers=name == "reference")
        except ValidationFailed as refusal:
            errors += refusal.errors
            continue
        if not clean[name]:
            errors.append(FieldError(name, "required", "This is needed."))
    if means not in OutsideRefund.Means.values:
        errors.append(FieldError("means", "invalid_choice", "There is no such way to pay back."))
    if paid_on > (now + FURTHEST_EAST).date():
        errors.append(FieldError("paidOn", "max_value", "This day has not come yet."))
    elif paid_on < order.placed_at.date() - timedelta(days=1):
        errors.append(FieldError("paidOn", "min_value", "The order is younger than this."))
    if errors:
        raise ValidationFailed(errors=errors)
    return clean
