"""What became of refunds: the money is back with the customer, or it is not."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import InvalidTransition
from orders.errors import RefundExceedsPayment
from orders.events import OrderRefunded, RefundRequested
from orders.models import Order, RefundRequest, ReturnRequest
from orders.services.shares import refundable
from orders.services.status import about, lock, move, record_edit
from pricing.money import format_amount


@transaction.atomic
def record_refund(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Note that a refund has been carried out. Noting it twice changes nothing.

    A delivered order whose whole money went back becomes *refunded*. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status == RefundRequest.Status.DONE:
        return request
    _calm(order, request, actor=actor, now=now)
    request.status = RefundRequest.Status.DONE
    request.done_at = now
    request.failure = ""
    request.save(update_fields=["status", "done_at", "failure"])
    if request.payment_id is not None:
        return request
    order.refunded_total += request.amount
    order.moved_total += request.moved_amount
    whole = order.refunded_total == order.grand_total
    order.payment_status = (
        Order.PaymentStatus.REFUNDED if whole else Order.PaymentStatus.PARTIALLY_REFUNDED
    )
    _share_out(order, request)
    events: list[OrderRefunded | object] = [
        OrderRefunded(**about(order), amount=format_amount(request.amount, order.currency))
    ]
    if whole and order.status == Order.Status.DELIVERED:
        events += move(
            order,
            Order.Status.REFUNDED,
            actor=actor,
            now=now,
            reason=request.reason,
            fields=("refunded_total", "moved_total", "payment_status"),
        )
    else:
        order.save(update_fields=["refunded_total", "moved_total", "payment_status", "updated_at"])
    if request.return_request_id is not None:
        _close_return(request.return_request_id)
    outbox.publish(*events, actor=actor, now=now)  # type: ignore[arg-type]
    return request


def _close_return(return_id: UUID) -> None:
    """A return is refunded once all of its refunds are: that of an exchange may have two."""
    refunds = RefundRequest.objects.filter(return_request=return_id)
    if not refunds.exclude(status=RefundRequest.Status.DONE).exists():
        ReturnRequest.objects.filter(pk=return_id, status=ReturnRequest.Status.RECEIVED).update(
            status=ReturnRequest.Status.REFUNDED,
            refund_amount=refunds.aggregate(total=Sum("amount"))["total"],
        )


@transaction.atomic
def settle_moved(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Decide what becomes of a due refund that is to pay for a replacement; deciding twice changes nothing.

    While the replacement waits for the rest of its money, nothing. Is it confirmed, the money has moved: a refund of
    which nothing is left to pay out is done. Was it given up, the whole is due to the customer. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DUE or request.moved_to is None:
        return request
    if request.moved_to.confirmed_at is not None:
        if not request.to_pay_out:
            return record_refund(actor=actor, request_id=request_id, now=now)
    elif request.moved_to.status != Order.Status.DRAFT:
        request.moved_amount, request.moved_to = Decimal(0), None
        request.save(update_fields=["moved_amount", "moved_to"])
    return request


@transaction.atomic
def fail_refund(*, actor: Actor, request_id: UUID, failure: str, now: datetime) -> RefundRequest:
    """Note that a refund was refused for good; the order is flagged so that a person takes over."""
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DUE:
        return request
    request.status = RefundRequest.Status.FAILED
    request.failure = failure[:300]
    request.save(update_fields=["status", "failure"])
    order.needs_attention = _attention(request, "failed")
    order.save(update_fields=["needs_attention", "updated_at"])
    return request


def _attention(request: RefundRequest, happened: str) -> str:
    """Return what staff read about a refund that is not with the customer."""
    amount = format_amount(request.amount, request.currency)
    return f"A refund of {amount} {happened}: {request.failure}"[:200]


def _calm(order: Order, request: RefundRequest, *, actor: Actor, now: datetime) -> None:
    """Take from a locked order what it says about the failure of this refund, now that somebody saw to it."""
    told = {_attention(request, "failed"), _attention(request, "came back")}
    if request.status != RefundRequest.Status.FAILED or order.needs_attention not in told:
        return
    record_edit(order, "needs_attention", order.needs_attention, "", actor=actor, now=now)
    order.needs_attention = ""
    order.save(update_fields=["needs_attention", "updated_at"])


@transaction.atomic
def reopen_refund(*, actor: Actor, request_id: UUID, failure: str, now: datetime) -> RefundRequest:
    """
    Note that the money of a refund that was carried out came back; the order is flagged so that a person takes over.

    What the refund had added to the order and its lines is taken off again. Its status stays: goods do not come back
    with the money. Locks the order.
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.DONE:
        return request
    request.status, request.done_at = RefundRequest.Status.FAILED, None
    request.failure = failure[:300]
    request.save(update_fields=["status", "done_at", "failure"])
    attention = _attention(request, "came back")
    record_edit(order, "needs_attention", order.needs_attention, attention, actor=actor, now=now)
    order.needs_attention = attention
    if request.payment_id is None:
        order.refunded_total -= request.amount
        _take_off(order, request)
    order.save(update_fields=["needs_attention", "refunded_total", "updated_at"])
    return request


@transaction.atomic
def retry_refund(*, actor: Actor, request_id: UUID, now: datetime) -> RefundRequest:
    """
    Put a failed refund back into the queue.

    :raises InvalidTransition: if it has not failed
    :raises RefundExceedsPayment: if the money has gone back in another way since
    """
    request = RefundRequest.objects.get(pk=request_id)
    order = lock(actor=actor, order_id=request.order_id)
    request.refresh_from_db()
    if request.status != RefundRequest.Status.FAILED:
        raise InvalidTransition(extra={"from": request.status, "to": RefundRequest.Status.DUE})
    if request.payment_id is None and request.to_pay_out > refundable(order):
        raise RefundExceedsPayment
    _calm(order, request, actor=actor, now=now)
    request.status = RefundRequest.Status.DUE
    request.failure = ""
    request.save(update_fields=["status", "failure"])
    outbox.publish(
        RefundRequested(**about(order), refund_request_id=str(request.id)), actor=actor, now=now
    )
    return request


def _share_out(order: Order, request: RefundRequest) -> None:
    """Add a refund to its lines, never above what each cost; the rest is shipping or goodwill."""
    left = request.amount
    lines = {str(line.id): line for line in order.lines.all()}
    for part in request.lines:
        line = lines[part["itemId"]]
        amount = min(Decimal(part["amount"]), left, line.total - line.refunded_amount)
        line.refunded_amount += amount
        line.save(update_fields=["refunded_amount"])
        left -= amount


def _take_off(order: Order, request: RefundRequest) -> None:
    """Take a refund off its lines again, as `_share_out` added it."""
    left = request.amount
    lines = {str(line.id): line for line in order.lines.all()}
    for part in request.lines:
        line = lines[part["itemId"]]
        amount = min(Decimal(part["amount"]), left, line.refunded_amount)
        line.refunded_amount -= amount
        line.save(update_fields=["refunded_amount"])
        left -= amount
