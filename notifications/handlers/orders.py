"""Mails and bell messages about orders, their payments, parcels and returns."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from checkout import selectors as checkout
from checkout.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
)
from config.platform.actor import Actor
from config.platform.outbox import Envelope, durable
from notifications import selectors, services
from orders import selectors as orders
from orders.events import (
    ExchangeDue,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderEdited,
    OrderEvent,
    OrderItemsCancelled,
    OrderShipped,
    PriceDisputeDecided,
    ReturnDecided,
    ReturnRequested,
)


@durable(OrderConfirmed, consumer="notifications.order_confirmation")
def confirm_order(event: OrderConfirmed, envelope: Envelope, now: datetime) -> None:
    _mail_about_order("order-confirmation", event, envelope, now)


@durable(OrderShipped, consumer="notifications.order_shipped")
def tell_shipped(event: OrderShipped, envelope: Envelope, now: datetime) -> None:
    shipment = orders.shipment(shipment_id=event.shipment_id)
    extra = {
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "tracking_url": shipment.tracking_url,
    }
    _mail_about_order("order-shipped", event, envelope, now, **extra)
    _tell_about_order(event, envelope, now, _("Order %(number)s is on its way."))


@durable(OrderDelivered, consumer="notifications.order_delivered")
def tell_delivered(event: OrderDelivered, envelope: Envelope, now: datetime) -> None:
    """Say that it has arrived, and until when it may be sent back."""
    until = orders.return_until(order=orders.for_mail(order_id=event.aggregate_id))
    extra = {"return_until": selectors.deadline(until) if until is not None else ""}
    _mail_about_order("order-delivered", event, envelope, now, **extra)
    _tell_about_order(event, envelope, now, _("Order %(number)s has arrived."))


@durable(OrderCancelled, consumer="notifications.order_cancelled")
def tell_cancelled(event: OrderCancelled, envelope: Envelope, now: datetime) -> None:
    """Tell the end of an order, but for one that a late payment ended: the mail about that payment tells it."""
    if checkout.is_ended_by_payment(order_id=event.aggregate_id):
        return
    _mail_about_order("order-cancelled", event, envelope, now, left_out=[])


@durable(OrderItemsCancelled, consumer="notifications.order_items_cancelled")
def tell_items_cancelled(event: OrderItemsCancelled, envelope: Envelope, now: datetime) -> None:
    """Tell which units will not come (MSG-03); those of a change stand in the mail about the change."""
    if event.by_edit:
        return
    names = {
        str(line.id): line.name for line in orders.for_mail(order_id=event.aggregate_id).lines.all()
    }
    left_out = [
        {"quantity": part["quantity"], "name": names[str(part["itemId"])]} for part in event.items
    ]
    _mail_about_order("order-cancelled", event, envelope, now, left_out=left_out)


@durable(OrderEdited, consumer="notifications.order_changed")
def tell_changed(event: OrderEdited, envelope: Envelope, now: datetime) -> None:
    """Tell what an order holds after it was changed, what goes back, and what waits to be paid."""
    order = orders.for_mail(order_id=event.aggregate_id)
    refund, due = Decimal(event.to_refund), Decimal(event.to_pay)
    extra = {
        "kept": [
            {"quantity": line.quantity - line.cancelled_quantity, "name": line.name}
            for line in order.lines.all()
            if line.quantity > line.cancelled_quantity
        ],
        "goes_back": selectors.money(refund, order.currency) if refund else "",
        "addition_number": event.addition_number,
        "to_pay": selectors.money(due, order.currency),
    }
    _mail_about_order("order-changed", event, envelope, now, **extra)
    _tell_about_order(event, envelope, now, _("Order %(number)s was changed."))


@durable(ReturnRequested, consumer="notifications.return_requested")
def confirm_return(event: ReturnRequested, envelope: Envelope, now: datetime) -> None:
    """Who asks for a return has it in writing (MSG-13)."""
    _mail_about_return(event, envelope, now, outcome="REQUESTED")


@durable(ReturnDecided, consumer="notifications.return_decided")
def tell_return(event: ReturnDecided, envelope: Envelope, now: datetime) -> None:
    """Each step of a return is told, but for the customer's own: taking the request back."""
    if event.outcome != "WITHDRAWN":
        _mail_about_return(event, envelope, now, outcome=event.outcome, answer=event.answer)


def _mail_about_return(
    event: ReturnRequested | ReturnDecided,
    envelope: Envelope,
    now: datetime,
    *,
    outcome: str,
    answer: str = "",
) -> None:
    found = orders.return_for_mail(return_id=event.return_id)
    instead = found.replacement
    extra = {
        "outcome": outcome,
        "goods": [
            {"quantity": part.quantity, "name": part.order_line.name} for part in found.lines.all()
        ],
        "answer": answer,
        "instead_number": instead.number if instead is not None else "",
        "is_gone": bool(found.exchange_failure),
    }
    _mail_about_order("return-news", event, envelope, now, **extra)


@durable(ExchangeDue, consumer="notifications.exchange_due")
def ask_difference(event: ExchangeDue, envelope: Envelope, now: datetime) -> None:
    """Ask for what goods sent back do not pay of their replacement, and say until when it is kept."""
    order = orders.for_mail(order_id=event.aggregate_id)
    if order.expires_at is None:  # paid, or over, by now
        return
    extra = {
        "to_pay": selectors.money(order.to_pay, order.currency),
        "paid": selectors.money(order.credit_total, order.currency),
        "until": selectors.deadline(order.expires_at),
    }
    _mail_about_order("exchange-due", event, envelope, now, **extra)


@durable(PaymentAuthorized, consumer="notifications.payment_authorized")
def tell_reserved(event: PaymentAuthorized, envelope: Envelope, now: datetime) -> None:
    """Say that money is reserved, as long as it is: what is taken at once, or was taken meanwhile, is told by `confirm_payment`."""
    if checkout.is_reserved(payment_id=event.payment_id):
        amount = selectors.money(Decimal(event.amount), event.currency)
        _mail_about_order("payment-authorized", event, envelope, now, amount=amount)


@durable(PaymentCaptured, consumer="notifications.payment_confirmation")
def confirm_payment(event: PaymentCaptured, envelope: Envelope, now: datetime) -> None:
    """
    Say that money came. Where it is not kept, one mail tells the whole: that it came, why it goes back, what of the order.

    What that mail tells is not told again, by whatever event it is announced (`tell_cancelled`, `tell_refunded`).
    """
    amount = selectors.money(Decimal(event.amount), event.currency)
    why = checkout.why_it_goes_back(payment_id=event.payment_id)
    if why:
        _mail_about_order("payment-returned", event, envelope, now, amount=amount, why=why)
        return
    _mail_about_order("payment-confirmation", event, envelope, now, amount=amount)


@durable(PaymentFailed, consumer="notifications.payment_failed")
def tell_payment_failed(event: PaymentFailed, envelope: Envelope, now: datetime) -> None:
    _mail_about_order("payment-failed", event, envelope, now, failure=event.failure)


@durable(PaymentRefunded, consumer="notifications.refund_processed")
def tell_refunded(event: PaymentRefunded, envelope: Envelope, now: datetime) -> None:
    if checkout.why_it_goes_back(payment_id=event.payment_id):
        return
    amount = selectors.money(Decimal(event.amount), event.currency)
    _mail_about_order("refund-processed", event, envelope, now, amount=amount)


@durable(PaymentRefundedOutside, consumer="notifications.refund_outside")
def tell_paid_back(event: PaymentRefundedOutside, envelope: Envelope, now: datetime) -> None:
    """What could not go back the way it came is told with how it came, and by what to find it."""
    words = {
        "bank_transfer": _("by bank transfer"),
        "cash": _("in cash"),
        "cheque": _("by cheque"),
    }
    extra = {
        "amount": selectors.money(Decimal(event.amount), event.currency),
        "means": words.get(event.means, _("in another way")),
        "day": date_format(date.fromisoformat(event.paid_on), "DATE_FORMAT"),
        "reference": event.reference,
    }
    _mail_about_order("refund-outside", event, envelope, now, **extra)


def _mail_about_order(
    channel: str, event: Any, envelope: Envelope, now: datetime, **extra: Any
) -> None:
    order = orders.for_mail(order_id=event.aggregate_id)
    services.notify(
        company_id=order.company_id,
        channel=channel,
        recipient=order.email,
        user_id=order.user_id,
        order_id=order.id,
        context={**selectors.order_context(order), **extra},
        dedupe_key=str(envelope.id),
        now=now,
    )


def _tell_about_order(event: OrderEvent, envelope: Envelope, now: datetime, text: str) -> None:
    order = orders.for_mail(order_id=event.aggregate_id)
    if order.user_id is None:
        return
    services.tell(
        actor=Actor.system(order.company_id, source="outbox", request_id=envelope.request_id),
        user_id=order.user_id,
        channel=event.name,
        subject=text % {"number": event.number},
        dedupe_key=str(envelope.id),
        url=f"/orders/{event.number}/",
        order_id=order.id,
        now=now,
    )


@durable(PriceDisputeDecided, consumer="notifications.price_dispute")
def tell_decision(event: PriceDisputeDecided, envelope: Envelope, now: datetime) -> None:
    """Who disputed a price reads what was decided, and why."""
    extra = {"product": event.product, "answer": event.answer, "outcome": event.outcome}
    _mail_about_order("price-dispute", event, envelope, now, **extra)
    texts = {
        "REJECTED": _("Order %(number)s: the price stays as it is."),
        "ADJUSTED": _("Order %(number)s: a part of the price goes back to you."),
        "REFUNDED": _("Order %(number)s: what you paid for it goes back to you."),
    }
    _tell_about_order(event, envelope, now, texts[event.outcome])
