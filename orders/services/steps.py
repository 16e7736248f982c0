"""The one entry for staff who name a status instead of a deed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from orders.models import Order
from orders.services.cancelling import cancel, fail
from orders.services.placing import confirm
from orders.services.shipping import ship
from orders.services.status import deliver, lock, move, process, refused_move


@transaction.atomic
def set_status(
    *, actor: Actor, order_id: UUID, status: str, reason: str = "", now: datetime
) -> Order:
    """
    Bring an order into the status named, with everything that belongs to that step.

    A draft becomes confirmed only when it is paid or costs nothing, and a delivered order refunded only
    when all its money went back.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if the order cannot take this status now; nothing is written
    """
    order = lock(actor=actor, order_id=order_id)
    if status not in Order.TRANSITIONS[order.status]:
        raise refused_move(order, status)
    if status == Order.Status.CONFIRMED:
        paid = {Order.PaymentStatus.AUTHORIZED, Order.PaymentStatus.CAPTURED}
        if order.grand_total and order.payment_status not in paid:
            raise refused_move(order, status, "It is not paid.")
        return confirm(actor=actor, order_id=order_id, now=now, reason=reason)
    if status == Order.Status.PROCESSING:
        return process(actor=actor, order_id=order_id, now=now, reason=reason)
    if status == Order.Status.SHIPPED:
        ship(actor=actor, order_id=order_id, now=now, reason=reason)
    elif status == Order.Status.DELIVERED:
        return deliver(actor=actor, order_id=order_id, now=now, reason=reason)
    elif status == Order.Status.CANCELLED:
        return cancel(actor=actor, order_id=order_id, reason=reason, now=now)
    elif status == Order.Status.FAILED:
        return fail(actor=actor, order_id=order_id, reason=reason, now=now)
    else:
        if order.refunded_total < order.grand_total:
            raise refused_move(order, status, "Not all of its money went back.")
        outbox.publish(
            *move(order, status, actor=actor, now=now, reason=reason), actor=actor, now=now
        )
    order.refresh_from_db()
    return order
