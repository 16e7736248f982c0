"""Placing the order: everything or nothing, once per checkout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from cart import services as carts
from checkout import selectors
from checkout.errors import CheckoutIncomplete, PriceChanged
from checkout.models import Checkout, Payment, PaymentStatusChange
from checkout.selectors import Priced, Requirement
from checkout.services import attempts
from checkout.services.sessions import check_open, lock, move, remember
from config.platform import outbox
from config.platform.actor import Actor
from config.platform.models import new_id
from config.platform.writing import insert
from inventory import services as inventory
from inventory.services import Demand
from orders import services as orders
from orders.models import Order
from orders.services import DraftLine, OrderDraft
from pricing import services as pricing
from pricing.engine import NO_SHIPPING_ZONE
from pricing.errors import NoShippingZone
from pricing.money import format_amount
from pricing.outside import asking


def place(*, actor: Actor, checkout_id: UUID, quote_id: str, now: datetime) -> Order:
    """
    Place the order of a checkout, in status draft, for exactly the quote named. Placing twice gives the same order.

    One transaction, locks in the order cart, checkout, coupon, points, stock: the lines and their amounts are
    frozen, promotions are counted, points are spent, the holds become the order's and last as long as the payment may,
    the cart is converted, the order is announced.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired: if its time is over
    :raises InvalidTransition: if it was cancelled
    :raises NoShippingZone: if we do not ship to its address
    :raises CheckoutIncomplete: if something is missing
    :raises PriceChanged: if the quote is no longer the current one; the new one is then what `view` shows
    :raises DiscountLimitReached: if a promotion was used up meanwhile
    :raises PointsInsufficient: if the customer has spent the points elsewhere meanwhile
    :raises HoldFailed: listing every line whose hold is gone and cannot be taken again
    """
    order, _ = place_to_pay(actor=actor, checkout_id=checkout_id, quote_id=quote_id, now=now)
    return order


@asking
def place_to_pay(
    *,
    actor: Actor,
    checkout_id: UUID,
    quote_id: str,
    method: str = "",
    provider: str = "",
    now: datetime,
) -> tuple[Order, Payment | None]:
    """
    Place an order and, in the same transaction, store the payment that `provider` will be asked for.

    So what was just held needs not be held again, and no crash leaves one without the other. The payment is None
    where the order was placed before, costs nothing, or no provider is named.

    :raises: what `place` raises
    """
    try:
        with attempts.watched(actor=actor, now=now):
            return _place(
                actor=actor,
                checkout_id=checkout_id,
                quote_id=quote_id,
                method=method,
                provider=provider,
                now=now,
            )
    except PriceChanged:
        _remember_current(actor=actor, checkout_id=checkout_id, now=now)
        raise


@transaction.atomic
def _place(
    *, actor: Actor, checkout_id: UUID, quote_id: str, method: str, provider: str, now: datetime
) -> tuple[Order, Payment | None]:
    checkout = lock(actor=actor, checkout_id=checkout_id)
    if checkout.order_id is not None:
        placed: Order = Order.objects.get(pk=checkout.order_id)
        return placed, None
    check_open(checkout, now=now)
    priced = selectors.price(checkout, now=now)
    check_complete(priced)
    quote = priced.quote
    if quote_id != quote.id:
        shown = checkout.quotes_shown.get(quote_id)
        raise PriceChanged(
            extra={
                "oldTotal": shown,
                "newTotal": format_amount(quote.totals.grand_total, quote.currency),
                "quoteId": quote.id,
                "currency": quote.currency,
            }
        )

    is_paid_for = bool(provider) and bool(quote.totals.grand_total)
    draft = _draft(checkout, priced, method=method if is_paid_for else "", now=now)
    with outbox.together():
        order = orders.place(actor=actor, draft=draft, now=now)
        payment = (
            open_payment(
                order,
                actor=actor,
                method=method,
                provider=provider,
                approved=checkout.approved if provider == "paypal" else "",
                now=now,
            )
            if is_paid_for
            else None
        )
        pricing.redeem(
            actor=actor,
            order_id=order.id,
            quote=quote,
            customer_keys=selectors.customer_keys(checkout),
            now=now,
        )
        if quote.points and checkout.user_id is not None:
            pricing.spend_points(
                actor=actor,
                user_id=checkout.user_id,
                order_id=order.id,
                points=quote.points,
                now=now,
            )
        line_map = {line.quote_line_id: line.id for line in draft.lines}
        inventory.assign(
            actor=actor,
            cart_id=checkout.cart_id,
            order_id=order.id,
            line_map=line_map,
            demands=[
                Demand(line_id=line.id, variant_id=line.variant_id, quantity=line.quantity)
                for line in quote.lines
            ],
            expires_at=now + payment_life(),
            now=now,
        )
        carts.convert(
            actor=actor, cart_id=checkout.cart_id, order_id=order.id, head=priced.head, now=now
        )
    remember(checkout, priced)
    checkout.order = order
    checkout.expires_at = draft.expires_at
    move(checkout, Checkout.Status.PAYMENT_PENDING)
    checkout.save()
    return order, payment


def open_payment(
    order: Order,
    *,
    actor: Actor,
    method: str,
    provider: str,
    approved: str = "",
    now: datetime,
) -> Payment:
    """
    Store the payment of what a locked order asks for with the key by which its provider will be asked, later.

    `approved` is what its customer has approved at the provider already; it becomes this payment there.

    :raises RateLimited: if too many payments of this client came to nothing
    """
    attempts.check(order, actor=actor, now=now)
    payment = Payment(
        id=new_id(),
        order=order,
        provider=provider,
        method=method,
        amount=order.to_pay,
        currency=order.currency,
        client=attempts.client_of(actor),
        metadata={"approved": approved} if approved else {},
        created_at=now,
    )
    payment.idempotency_key = f"payment-{payment.id}"
    insert(payment, PaymentStatusChange(payment=payment, to_status=payment.status, at=now))
    return payment


def check_complete(priced: Priced) -> None:
    """
    Refuse what cannot be placed yet: the same check that the requirements list shows.

    :raises NoShippingZone: if we do not ship to the address
    :raises CheckoutIncomplete: if something is missing; `extra.requirements` lists it
    """
    check_requirements(priced.requirements)


def check_requirements(missing: Sequence[Requirement]) -> None:
    """
    Refuse what lacks something.

    :raises NoShippingZone: if we do not ship to the address
    :raises CheckoutIncomplete: if something is missing; `extra.requirements` lists it
    """
    if any(requirement.code == NO_SHIPPING_ZONE for requirement in missing):
        raise NoShippingZone
    if missing:
        raise CheckoutIncomplete(
            extra={
                "requirements": [
                    {"code": requirement.code, "field": requirement.field}
                    for requirement in missing
                ]
            }
        )


def payment_life() -> timedelta:
    """Return for how long starting a payment holds the goods."""
    life: timedelta = settings.PAYMENT_LIFETIME
    return life


@transaction.atomic
def _remember_current(*, actor: Actor, checkout_id: UUID, now: datetime) -> None:
    """Note the new quote, so that its total is known when it changes again."""
    checkout = lock(actor=actor, checkout_id=checkout_id)
    if checkout.status == Checkout.Status.OPEN:
        remember(checkout, selectors.price(checkout, now=now))
        checkout.save()


def _draft(checkout: Checkout, priced: Priced, *, method: str = "", now: datetime) -> OrderDraft:
    quote = priced.quote
    return OrderDraft(
        company_id=checkout.company_id,
        checkout_id=checkout.id,
        user_id=checkout.user_id,
        session_hash=None if checkout.session_hash is None else bytes(checkout.session_hash),
        email=checkout.email,
        currency=checkout.currency,
        quote=quote,
        basis=priced.basis,
        lines=[
            DraftLine(
                quote_line_id=line.id,
                product_id=line.facts.product_id,
                variant_id=line.variant_id,
                sku=line.facts.sku,
                name=line.facts.name,
                options=line.facts.options,
                image_url=line.facts.image,
                tax_class=line.facts.tax_class,
                weight_grams=line.facts.weight_grams,
                note=line.note,
                customization=line.customization,
                metadata={
                    **line.metadata,
                    **({"bundleId": str(line.bundle_id)} if line.bundle_id else {}),
                },
            )
            for line in priced.lines
        ],
        shipping_address=checkout.shipping_address or {},
        billing_address=checkout.billing_address,
        shipping_option=quote.shipping.option if quote.shipping else "",
        shipping_name=quote.shipping.name if quote.shipping else "",
        payment_method=method,
        notes=checkout.notes,
        metadata={"cartId": str(checkout.cart_id)},
        expires_at=now + settings.ORDER_AUTO_CANCEL_DRAFT,
    )
