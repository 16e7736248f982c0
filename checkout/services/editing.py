"""Pay or edit: an order that waits for its payment goes back into the cart it came from."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from cart import services as carts
from cart.models import Cart
from cart.services import Brought
from checkout.models import Checkout
from checkout.services.reordering import source_of
from checkout.services.sessions import move
from checkout.services.settling import close_for_cancel
from config.platform.actor import Actor
from config.platform.errors import Forbidden
from inventory import services as inventory
from orders import selectors as placed
from orders import services as orders
from orders.errors import OrderNotEditable
from orders.models import Order
from pricing.outside import asking


def edit_in_cart(
    *, actor: Actor, order_id: UUID, now: datetime, into: Actor | None = None
) -> Brought:
    """
    Cancel an order that is not paid and put what it was for back into its customer's cart, at today's prices.

    What is held for it stays held, for the cart; uses of promotions, codes and points come back. Its open payments are
    closed first: one that turns out to be paid keeps the order, and this is refused. `into` is whose cart it goes
    into where that is another than the caller: a guest who was just given a new one.

    :raises OrderNotFound: if there is none for this caller
    :raises Forbidden: if it is not the caller's own
    :raises OrderNotEditable: if it does not wait for a payment, or was paid meanwhile
    :raises CartNotFound, CartExpired, CartMerged: if a guest's token opens no cart; nothing changes
    :raises DependencyUnavailable: if the provider does not answer; nothing changes
    """
    order = placed.find(actor=actor, reference=str(order_id))
    if actor.user_id is not None and order.user_id != actor.user_id:
        raise Forbidden("Only its customer can put an order back into the cart.")
    _check_unpaid(order)
    close_for_cancel(order_id=order_id, now=now)
    return _give_back(actor=actor, order_id=order_id, into=into or actor, now=now)


@asking
@transaction.atomic
def _give_back(*, actor: Actor, order_id: UUID, into: Actor, now: datetime) -> Brought:
    lock_cart(into)
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    order = orders.lock(actor=actor, order_id=order_id)
    _check_unpaid(order)
    if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
        move(checkout, Checkout.Status.CANCELLED)
        checkout.save()
    return put_back(order, actor=actor, into=into, reason="put back into the cart", now=now)


def lock_cart(owner: Actor) -> None:
    """Lock a customer's open cart, which comes before checkout and order."""
    open_ = Cart.objects.for_actor(owner).filter(
        status__in=[Cart.Status.ACTIVE, Cart.Status.ABANDONED]
    )
    list(open_.order_by("id").for_update().values_list("pk"))


def put_back(order: Order, *, actor: Actor, into: Actor, reason: str, now: datetime) -> Brought:
    """
    Cancel a locked draft and put its lines, with what is held for them, into a cart that is locked.

    :raises CartNotFound, CartExpired, CartMerged: if there is no open cart; the caller gives its transaction up
    """
    orders.cancel(actor=actor, order_id=order.id, reason=reason, keep_holds=True, now=now)
    brought = carts.bring_in(
        actor=into,
        sources=[source_of(line, line.quantity, takes_hold=True) for line in order.lines.all()],
        codes=order.quote.get("basis", {}).get("codes", ()),
        event="cart.reopened",
        now=now,
    )
    # what the cart did not take: it was full, or does not hold before its checkout
    inventory.release_order(actor=actor, order_id=order.id, now=now)
    return brought


def _check_unpaid(order: Order) -> None:
    """:raises OrderNotEditable: if an order does not wait for its payment, or is paid in part by what was sent back"""
    if order.status == Order.Status.DRAFT and not order.credit_total:
        return
    if order.status == Order.Status.DRAFT:
        raise OrderNotEditable(
            "This order is part of an exchange.", extra={"status": order.status, "code": "EXCHANGE"}
        )
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        raise OrderNotEditable(
            "This order is over: what it was for can be bought again.",
            extra={"status": order.status},
        )
    raise OrderNotEditable("This order is paid.", extra={"status": order.status, "code": "PAID"})
