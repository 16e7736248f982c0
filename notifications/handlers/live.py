"""Pushes to open sockets, as soon as it has happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from cart.events import CartChanged
from config.platform.outbox import Envelope, around_live, live
from inventory.events import HoldExpired, ProductDiscontinuedEvent, ProductUpdated, StockChanged
from notifications import push
from notifications.events import NotificationCreated
from orders import selectors as orders
from orders.events import OrderEvent
from pricing.events import ExchangeRateChanged, PriceUpdated

SHOWN_AT_MOST = 10  # customers never learn an exact stock figure above this

_owners: ContextVar[dict[UUID, orders.Owner | None]] = ContextVar("owners of orders")


@contextmanager
def _look_up_once() -> Iterator[None]:
    """Several things may happen to an order in one commit; whose it is and where it stands is read once."""
    token = _owners.set({})
    try:
        yield
    finally:
        _owners.reset(token)


around_live(push.together)
around_live(_look_up_once)


@live(CartChanged)
def push_cart(event: CartChanged, envelope: Envelope) -> None:
    push.send(
        push.cart_group(event.aggregate_id),
        {
            "type": "cart.changed",
            "event": event.name,
            "cart_id": str(event.aggregate_id),
            "version": event.cart_version,
        },
    )


@live(HoldExpired)
def push_hold_expired(event: HoldExpired, envelope: Envelope) -> None:
    push.send(
        push.cart_group(event.aggregate_id),
        {"type": "hold.expired", "cart_id": str(event.aggregate_id), "line_ids": event.line_ids},
    )


@live(StockChanged)
def push_stock(event: StockChanged, envelope: Envelope) -> None:
    body = {
        "type": "stock.changed",
        "variantId": str(event.aggregate_id),
        "sku": event.sku,
        "available": min(event.available, SHOWN_AT_MOST),
        "inStock": event.available > 0,
    }
    push.send(push.variant_group(event.aggregate_id), {"type": "stock.changed", "body": body})


@live(PriceUpdated)
def push_price(event: PriceUpdated, envelope: Envelope) -> None:
    body = {
        "type": "price.changed",
        "variantId": str(event.aggregate_id),
        "currency": event.currency,
        "from": event.old_amount,
        "to": event.new_amount,
    }
    push.send(push.variant_group(event.aggregate_id), {"type": "price.changed", "body": body})


@live(ExchangeRateChanged)
def push_rate(event: ExchangeRateChanged, envelope: Envelope) -> None:
    """One message for all open carts in a currency: each reads itself anew and says what moved in it."""
    group = push.currency_group(event.aggregate_id, event.currency)
    push.send(group, {"type": "rate.changed", "event": event.name})


@live(ProductDiscontinuedEvent, ProductUpdated)
def push_product(event: ProductUpdated | ProductDiscontinuedEvent, envelope: Envelope) -> None:
    """Have the carts that hold a product read it anew: its name, its picture, whether it is still sold (INV-08)."""
    group = push.product_group(event.aggregate_id)
    push.send(group, {"type": "product.changed", "event": event.name})


@live(OrderEvent)
def push_order(event: OrderEvent, envelope: Envelope) -> None:
    known = _owners.get()
    if event.aggregate_id not in known:
        known[event.aggregate_id] = orders.owner(order_id=event.aggregate_id)
    owner = known[event.aggregate_id]
    if owner is None:
        return
    body = {
        "type": "order.changed",
        "event": event.name,
        "orderId": str(event.aggregate_id),
        "number": event.number,
        "status": owner.status,
    }
    if owner.user_id is not None:
        push.send(push.user_group(owner.user_id), {"type": "order.changed", "body": body})
    elif owner.session_hash is not None:
        push.send(push.session_group(owner.session_hash), {"type": "order.changed", "body": body})


@live(NotificationCreated)
def push_notification(event: NotificationCreated, envelope: Envelope) -> None:
    body = {"type": "notification.created", "id": str(event.aggregate_id), "subject": event.subject}
    push.send(push.user_group(event.user_id), {"type": "notification.created", "body": body})
