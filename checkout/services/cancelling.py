"""Giving up: a checkout by its customer, a draft by the clock."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from cart.errors import CartExpired, CartMerged, CartNotFound
from checkout import selectors
from checkout.models import Checkout
from checkout.services.editing import lock_cart, put_back
from checkout.services.sessions import lock, move
from checkout.services.settling import close_for_cancel
from config.platform.actor import Actor
from config.platform.errors import DependencyUnavailable, InvalidTransition
from orders import services as orders
from orders.errors import OrderNotCancellable
from orders.models import Order

logger = structlog.get_logger(__name__)


def cancel(*, actor: Actor, checkout_id: UUID, now: datetime) -> Checkout:
    """
    Give a checkout up; cancelling twice changes nothing.

    Before placement the cart stays as it is, its own hold runs on. After it, the open payment is closed
    first, the draft cancelled, and its lines put back into the customer's cart.

    :raises CheckoutNotFound: if there is none for this caller
    :raises InvalidTransition: if it is paid
    :raises DependencyUnavailable: if the provider does not answer
    """
    checkout = selectors.find(actor=actor, checkout_id=checkout_id)
    if checkout.order_id is not None:
        close_for_cancel(order_id=checkout.order_id, now=now)
    return _cancel(actor=actor, checkout_id=checkout_id, now=now)


def _cancel(*, actor: Actor, checkout_id: UUID, now: datetime) -> Checkout:
    try:
        return _cancel_into_cart(actor=actor, checkout_id=checkout_id, now=now)
    except (CartNotFound, CartExpired, CartMerged):  # a guest who has no cart any more
        return _cancel_into_cart(actor=actor, checkout_id=checkout_id, has_cart=False, now=now)


@transaction.atomic
def _cancel_into_cart(
    *, actor: Actor, checkout_id: UUID, has_cart: bool = True, now: datetime
) -> Checkout:
    known = selectors.find(actor=actor, checkout_id=checkout_id)
    owner = selectors.owner_of(known) if has_cart else None
    if owner is not None:
        lock_cart(owner)
    checkout = lock(actor=actor, checkout_id=checkout_id)
    if checkout.status in {Checkout.Status.CANCELLED, Checkout.Status.EXPIRED}:
        return checkout
    move(checkout, Checkout.Status.CANCELLED)
    checkout.save()
    if checkout.order_id is None:
        return checkout
    order = orders.lock(
        actor=Actor.system(checkout.company_id, source="checkout"), order_id=checkout.order_id
    )
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        return checkout
    if order.status != Order.Status.DRAFT:
        raise InvalidTransition(
            "This order is paid. Cancel the order instead.", extra={"status": order.status}
        )
    if owner is None:
        orders.cancel(actor=actor, order_id=order.id, reason="checkout cancelled", now=now)
    else:
        put_back(order, actor=actor, into=owner, reason="checkout cancelled", now=now)
    return checkout


def cancel_due_drafts(*, now: datetime, limit: int = 100) -> int:
    """
    Cancel drafts whose time to be paid is over, and return how many (ORD-15).

    Their payments are closed first; one that turns out to be paid is confirmed instead. Promotions and
    holds are given back.
    """
    due = Order.objects.filter(status=Order.Status.DRAFT, expires_at__lte=now).order_by(
        "expires_at"
    )
    cancelled = 0
    for order_id, company_id in list(due.values_list("pk", "company_id")[:limit]):
        actor = Actor.system(company_id)
        try:
            close_for_cancel(order_id=order_id, now=now)
            cancelled += _cancel_draft(actor=actor, order_id=order_id, now=now)
        except DependencyUnavailable:
            logger.warning("a provider did not answer", order=str(order_id))
        except Exception:
            logger.exception("a draft could not be cancelled", order=str(order_id))
    return cancelled


@transaction.atomic
def _cancel_draft(*, actor: Actor, order_id: UUID, now: datetime) -> bool:
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    order = orders.lock(actor=actor, order_id=order_id)
    if order.status != Order.Status.DRAFT or order.expires_at is None or order.expires_at > now:
        return False
    try:
        orders.cancel(actor=actor, order_id=order_id, reason="not paid in time", now=now)
    except OrderNotCancellable:
        return False
    if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
        move(checkout, Checkout.Status.EXPIRED)
        checkout.save()
    return True


@transaction.atomic
def close_of_order(*, order_id: UUID) -> None:
    """Close the checkout of an order that was cancelled elsewhere."""
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
        move(checkout, Checkout.Status.CANCELLED)
        checkout.save()
