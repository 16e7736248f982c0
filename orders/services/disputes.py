"""Disputes about what a line of an order cost: opened by customers, decided by staff, paid by the usual refunds."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from orders import selectors
from orders.errors import RefundExceedsPayment
from orders.events import PriceDisputeDecided, PriceDisputeOpened
from orders.models import Order
from orders.services.refunds import claim, refund_difference
from orders.services.shares import PAID, Units
from orders.services.status import about, lock
from pricing import selectors as prices
from pricing import services as pricing
from pricing.errors import DisputeNotPossible
from pricing.models import PriceDispute
from pricing.money import format_amount
from pricing.services import Disputed


@transaction.atomic
def dispute_price(
    *,
    actor: Actor,
    order_id: UUID,
    line_id: UUID,
    reason: str,
    evidence: str = "",
    claimed_price: Decimal | None = None,
    token: str = "",
    now: datetime,
) -> PriceDispute:
    """
    Open a dispute about what a line of a paid order cost. Locks the order.

    `token` is the secret of the order's own link: who has its mail may ask about its prices, which moves no money.

    :raises OrderNotFound: if there is none for this caller
    :raises DisputeNotPossible: if the order was not paid, or its money has gone back
    :raises DisputeOpen: if the line has one that is not decided
    :raises ValidationFailed: if the line is not of this order, or the claim makes no sense
    """
    readable = selectors.find(actor=actor, reference=str(order_id), token=token)
    order = lock(actor=selectors.clerk(readable), order_id=order_id)
    line = order.lines.filter(pk=line_id).first()
    if line is None:
        raise ValidationFailed(
            errors=[FieldError("itemId", "invalid", "There is no such line in this order.")]
        )
    if order.payment_status not in PAID:
        raise DisputeNotPossible(extra={"paymentStatus": order.payment_status})
    dispute = pricing.open_dispute(
        actor=actor,
        disputed=Disputed(
            order_id=order.id,
            order_number=order.number,
            order_line_id=line.id,
            variant_id=line.variant_id,
            sku=line.sku,
            name=line.name,
            currency=order.currency,
            quantity=line.quantity,
            unit_price=line.unit_price,
            line_total=line.total,
            reason=reason,
            claimed_price=claimed_price,
            evidence=evidence,
        ),
        now=now,
    )
    outbox.publish(
        PriceDisputeOpened(**about(order), dispute_id=str(dispute.id)), actor=actor, now=now
    )
    return dispute


@transaction.atomic
def decide_dispute(
    *,
    actor: Actor,
    dispute_id: UUID,
    status: str,
    answer: str,
    amount: Decimal | None = None,
    now: datetime,
) -> PriceDispute:
    """
    Decide a dispute. REJECTED gives nothing back, ADJUSTED gives `amount` back and leaves the goods with the customer,
    REFUNDED gives back all that is left of the line. `checkout` carries the refund out.

    Locks the order, then the dispute. Nothing is written where the refund would be more than is left of the line.

    :raises DisputeNotFound: if the company has none
    :raises InvalidTransition: if it was decided before
    :raises ValidationFailed: if there is no answer, or no amount where one is needed
    :raises RefundExceedsPayment: if less is left of the line, or of the payment
    """
    found = prices.find_dispute(actor=actor, dispute_id=dispute_id)
    order: Order = lock(actor=actor, order_id=found.order_id)
    dispute = pricing.lock_dispute(actor=actor, dispute_id=dispute_id)
    pricing.check_decision(dispute, status, answer)
    request = None
    reason = f"price dispute: {answer}"
    if status == PriceDispute.Status.ADJUSTED:
        if amount is None or amount <= 0:
            raise ValidationFailed(
                errors=[FieldError("amount", "required", "Say how much is given back.")]
            )
        request = refund_difference(
            order,
            line_id=dispute.order_line_id,
            amount=amount,
            reason=reason,
            actor=actor,
            now=now,
        )
    elif amount is not None:
        raise ValidationFailed(
            errors=[FieldError("amount", "invalid", "Only an adjusted price has an amount.")]
        )
    elif status == PriceDispute.Status.REFUNDED:
        lines = {line.id: line for line in order.lines.filter(pk=dispute.order_line_id)}
        left = [Units(line.id, line.quantity - line.claimed_quantity) for line in lines.values()]
        request = claim(
            order,
            lines,
            left,
            shipping=Decimal(0),
            actor=actor,
            now=now,
            reason=reason,
            exact=True,
        )
        if request is None:
            raise RefundExceedsPayment(
                extra={"refundable": format_amount(Decimal(0), order.currency)}
            )
    pricing.decide_dispute(
        dispute,
        actor=actor,
        status=status,
        answer=answer,
        amount=request.amount if request else None,
        refund_request_id=request.id if request else None,
        now=now,
    )
    outbox.publish(
        PriceDisputeDecided(
            **about(order),
            dispute_id=str(dispute.id),
            outcome=status,
            product=dispute.name,
            answer=dispute.answer,
        ),
        actor=actor,
        now=now,
    )
    return dispute
