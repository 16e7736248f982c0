"""
What follows from what happened: pushes to open sockets (live), mails and bell messages (durable).

Each durable consumer takes each event once, so a mail is written once however often the event is delivered.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from cart import selectors as carts
from cart.events import CartChanged, RecoveryDue, WishBack, WishCheaper
from cart.selectors import keepers
from checkout.events import PaymentCaptured, PaymentFailed, PaymentRefunded
from config.platform.actor import Actor
from config.platform.models import User
from config.platform.outbox import Envelope, around_live, durable, live
from inventory import services as inventory
from inventory.errors import BackInStockRequestNotFound
from inventory.events import (
    BackInStockAsked,
    BackInStockLapsed,
    BackInStockOffered,
    HoldExpired,
    LowStock,
    ProductDiscontinuedEvent,
    ProductUpdated,
    StockChanged,
)
from inventory.models import BackInStockRequest, Product, Variant
from inventory.selectors import waiting
from notifications import push, selectors, services
from notifications.events import NotificationCreated
from notifications.models import Digest, Preference
from orders import selectors as orders
from orders.events import (
    ExchangeDue,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderEdited,
    OrderEvent,
    OrderShipped,
    PriceDisputeDecided,
    ReturnDecided,
    ReturnRequested,
)
from pricing import selectors as pricing
from pricing import services as prices
from pricing.errors import PriceAlertNotFound
from pricing.events import (
    ExchangeRateChanged,
    PriceAlertAsked,
    PriceAlertReached,
    PriceUpdated,
)

SHOWN_AT_MOST = 10  # customers never learn an exact stock figure above this


# --- live: open pages -----------------------------------------------------------------------------

around_live(push.together)


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
    owner = orders.owner(order_id=event.aggregate_id)
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


# --- durable: mails and the bell ------------------------------------------------------------------


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
    _tell_about_order(event, envelope, now, _("Order %(number)s has arrived."))


@durable(OrderCancelled, consumer="notifications.order_cancelled")
def tell_cancelled(event: OrderCancelled, envelope: Envelope, now: datetime) -> None:
    _mail_about_order("order-cancelled", event, envelope, now, reason=event.reason)


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


@durable(PaymentCaptured, consumer="notifications.payment_confirmation")
def confirm_payment(event: PaymentCaptured, envelope: Envelope, now: datetime) -> None:
    _mail_about_order("payment-confirmation", event, envelope, now, payment_id=event.payment_id)


@durable(PaymentFailed, consumer="notifications.payment_failed")
def tell_payment_failed(event: PaymentFailed, envelope: Envelope, now: datetime) -> None:
    _mail_about_order("payment-failed", event, envelope, now, failure=event.failure)


@durable(PaymentRefunded, consumer="notifications.refund_processed")
def tell_refunded(event: PaymentRefunded, envelope: Envelope, now: datetime) -> None:
    amount = selectors.money(Decimal(event.amount), event.currency)
    _mail_about_order("refund-processed", event, envelope, now, amount=amount)


@durable(RecoveryDue, consumer="notifications.cart_recovery")
def remind(event: RecoveryDue, envelope: Envelope, now: datetime) -> None:
    about = carts.recovery_mail(cart_id=event.aggregate_id, now=now)
    if not about["still_wanted"]:  # it came back, or was bought, since the reminder fell due
        return
    assert envelope.company_id is not None
    given = prices.give_code(
        actor=Actor.system(envelope.company_id),
        stage=event.stage,
        email=event.email,
        expires_at=datetime.fromisoformat(event.expires_at),
        now=now,
    )
    services.notify(
        company_id=envelope.company_id,
        channel="cart-abandoned",
        recipient=event.email,
        user_id=about["user_id"],
        context={
            "lines": about["lines"],
            "total": about["total"],
            "stage": event.stage,
            "code": given.code if given else "",
            "offer": given.promotion if given else "",
            "code_until": date_format(given.expires_at, "DATETIME_FORMAT") if given else "",
            "recovery_url": f"{settings.STOREFRONT_URL}/cart/recover/{event.link_token}/",
        },
        dedupe_key=str(envelope.id),
        now=now,
    )


@durable(StockChanged, consumer="notifications.stock_of_what_i_keep")
def tell_keepers(event: StockChanged, envelope: Envelope, now: datetime) -> None:
    """
    Tell customers that what they keep is back, or that what they have in the cart and do not hold has sold out.

    Once a day about one thing, however often it comes and goes. What is kept for later and is back is mailed too, in one
    mail a day (`services.send_kept_back`).
    """
    if event.before is None or (event.before > 0) == (event.available > 0):
        return
    variant = Variant.objects.select_related("product").filter(id=event.aggregate_id).first()
    if variant is None or variant.product.status != Product.Status.ACTIVE:
        return
    is_back = event.available > 0
    if is_back:
        # Who took it up after it came back has seen that; and wishes have news of their own.
        users = keepers.list_keepers_of(variant_ids=[variant.id], added_by=envelope.occurred_at)
        text, channel = _("%(name)s is back in stock."), "stock.back"
    else:
        users = keepers.unheld_buyers_of(variant_id=variant.id, now=now)
        text, channel = _("%(name)s in your cart has sold out."), "stock.gone"
    if is_back:
        aside = keepers.aside_keepers_of(variant_ids=[variant.id], added_by=envelope.occurred_at)
        services.note_kept_back(
            company_id=variant.company_id,
            variant_id=variant.id,
            user_ids={user_id for user_id, _variant in aside},
            key=envelope.id,
            now=now,
        )
    services.tell_all(
        company_id=variant.company_id,
        user_ids=users,
        channel=channel,
        category=Preference.Category.STOCK,
        subject=text % {"name": variant.product.name},
        dedupe_key=f"{channel}-{variant.id}-{envelope.occurred_at:%Y%m%d}",
        url=f"/products/{variant.product.slug}/?sku={quote(variant.sku)}",
        now=now,
    )


@durable(ProductDiscontinuedEvent, consumer="notifications.product_discontinued")
def tell_discontinued(event: ProductDiscontinuedEvent, envelope: Envelope, now: datetime) -> None:
    """Tell whoever keeps a product, or waits for it, that it is no longer sold: once, however often it is edited after."""
    product = Product.objects.filter(id=event.aggregate_id).first()
    if product is None:
        return
    variant_ids = list(product.variants.values_list("id", flat=True))
    users = keepers.keepers_of(variant_ids=variant_ids)
    services.tell_all(
        company_id=product.company_id,
        user_ids=users | set(waiting.waiting_users(product_id=product.id)),
        channel=event.name,
        category=Preference.Category.STOCK,
        subject=_("%(name)s is no longer sold. See what is like it.") % {"name": product.name},
        dedupe_key=f"discontinued-{product.id}",
        url=f"/products/{product.slug}/",
        now=now,
    )


@durable(LowStock, consumer="notifications.low_stock")
def note_low_stock(event: LowStock, envelope: Envelope, now: datetime) -> None:
    """Put a shelf that runs low on the next digest to those who look after stock (CFG-53)."""
    assert envelope.company_id is not None
    if settings.LOW_STOCK_EMAILS:
        services.note_for_digest(
            company_id=envelope.company_id,
            kind=Digest.Kind.LOW_STOCK,
            object_id=event.aggregate_id,
            key=envelope.id,
            now=now,
        )


@durable(BackInStockAsked, consumer="notifications.back_in_stock_confirmation")
def ask_address(event: BackInStockAsked, envelope: Envelope, now: datetime) -> None:
    """Ask an address whether its owner wants to wait."""
    assert envelope.company_id is not None
    token = inventory.confirmation_token(
        company_id=envelope.company_id,
        variant_id=event.aggregate_id,
        email=event.email,
        quantity=event.quantity,
    )
    _ask_to_confirm(
        envelope,
        event,
        channel="back-in-stock-confirm",
        context={"confirm_url": f"{settings.STOREFRONT_URL}/back-in-stock/confirm/{token}/"},
        key=f"wait-{event.aggregate_id}",
        now=now,
    )


@durable(BackInStockOffered, consumer="notifications.back_in_stock")
def tell_offered(event: BackInStockOffered, envelope: Envelope, now: datetime) -> None:
    """Tell whose turn it is; not if it is over already."""
    try:
        offer, owner = waiting.back_in_stock_request(request_id=event.aggregate_id, now=now)
    except BackInStockRequestNotFound:
        return
    if offer.status != BackInStockRequest.Status.OFFERED or offer.offer_expires_at is None:
        return
    path = f"/back-in-stock/{inventory.link_token(request_id=offer.id)}/"
    _tell_owner(
        envelope,
        user_id=owner.user_id,
        email=owner.email,
        bell=(event.name, _("%(name)s is back, and kept for you.") % {"name": offer.name}, path),
        mail=(
            "back-in-stock",
            {
                "name": offer.name,
                "quantity": offer.offered_quantity,
                "wanted": offer.quantity,
                "is_less": offer.offered_quantity < offer.quantity,
                "until": selectors.moment(offer.offer_expires_at),
                "offer_url": f"{settings.STOREFRONT_URL}{path}",
            },
        ),
        dedupe_key=str(envelope.id),
        now=now,
    )


@durable(BackInStockLapsed, consumer="notifications.back_in_stock_over")
def tell_lapsed(event: BackInStockLapsed, envelope: Envelope, now: datetime) -> None:
    """Tell once that what was kept is not kept any more, and with it the place; not to whom waits for it again."""
    try:
        offer, owner = waiting.back_in_stock_request(request_id=event.aggregate_id, now=now)
    except BackInStockRequestNotFound:
        return
    if waiting.waits_again(request_id=offer.id):
        return
    path = f"/products/{offer.slug}/?sku={quote(offer.sku)}"
    _tell_owner(
        envelope,
        user_id=owner.user_id,
        email=owner.email,
        bell=(event.name, _("%(name)s is no longer kept for you.") % {"name": offer.name}, path),
        mail=(
            "back-in-stock-over",
            {"name": offer.name, "product_url": f"{settings.STOREFRONT_URL}{path}"},
        ),
        dedupe_key=f"lapsed-{offer.id}",
        now=now,
    )


# --- price alerts ---------------------------------------------------------------------------------


@durable(PriceAlertAsked, consumer="notifications.price_alert_confirmation")
def ask_price_address(event: PriceAlertAsked, envelope: Envelope, now: datetime) -> None:
    """Ask an address whether its owner wants the alert."""
    assert envelope.company_id is not None
    token = prices.alert_confirmation(
        company_id=envelope.company_id,
        variant_id=event.aggregate_id,
        email=event.email,
        currency=event.currency,
        target=event.target,
    )
    _ask_to_confirm(
        envelope,
        event,
        channel="price-alert-confirm",
        context={
            "target": selectors.money(Decimal(event.target), event.currency),
            "confirm_url": f"{settings.STOREFRONT_URL}/price-alerts/confirm/{token}/",
        },
        key=f"price-{event.aggregate_id}-{event.target}",
        now=now,
    )


@durable(PriceAlertReached, consumer="notifications.price_alert")
def tell_price_reached(event: PriceAlertReached, envelope: Envelope, now: datetime) -> None:
    """Tell who asked that the price has fallen to what they named; not if they have ended the alert since."""
    assert envelope.company_id is not None
    try:
        alert, owner = pricing.price_alert(
            alert_id=event.aggregate_id, company_id=envelope.company_id
        )
    except PriceAlertNotFound:
        return
    path = f"/products/{alert.slug}/?sku={quote(alert.sku)}"
    amount = selectors.money(Decimal(event.amount), event.currency)
    subject = _("%(name)s is down to %(amount)s.") % {"name": alert.name, "amount": amount}
    link = prices.alert_link(alert_id=alert.id)
    _tell_owner(
        envelope,
        user_id=owner.user_id,
        email=owner.email,
        bell=(event.name, subject, path),
        mail=(
            "price-alert",
            {
                "name": alert.name,
                "amount": amount,
                "target": selectors.money(Decimal(event.target), event.currency),
                "product_url": f"{settings.STOREFRONT_URL}{path}",
                "stop_url": f"{settings.STOREFRONT_URL}/price-alerts/{link}/",
            },
        ),
        dedupe_key=str(envelope.id),
        now=now,
    )


def _ask_to_confirm(
    envelope: Envelope,
    event: BackInStockAsked | PriceAlertAsked,
    *,
    channel: str,
    context: dict[str, Any],
    key: str,
    now: datetime,
) -> None:
    """Mail an address a link by which its owner says yes: at most once a day for one thing, so that nobody is pestered."""
    assert envelope.company_id is not None
    variant = Variant.objects.select_related("product").filter(id=event.aggregate_id).first()
    if variant is None:
        return
    services.notify(
        company_id=envelope.company_id,
        channel=channel,
        recipient=event.email,
        context={"name": variant.product.name, **context},
        dedupe_key=f"{key}-{envelope.occurred_at:%Y%m%d}",
        now=now,
    )


def _tell_owner(
    envelope: Envelope,
    *,
    user_id: UUID | None,
    email: str,
    bell: tuple[str, str, str],
    mail: tuple[str, dict[str, Any]],
    dedupe_key: str,
    now: datetime,
) -> None:
    """
    Tell an account by bell and mail, and who left only an address by mail; an account that is closed is not told.

    `bell` is channel, subject and path, `mail` is channel and context.
    """
    assert envelope.company_id is not None
    if user_id is not None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            return
        email = user.email
        channel, subject, path = bell
        services.tell(
            actor=Actor.system(
                envelope.company_id, source="outbox", request_id=envelope.request_id
            ),
            user_id=user_id,
            channel=channel,
            subject=subject,
            dedupe_key=dedupe_key,
            url=path,
            now=now,
        )
    if email:
        channel, context = mail
        services.notify(
            company_id=envelope.company_id,
            channel=channel,
            recipient=email,
            user_id=user_id,
            context=context,
            dedupe_key=dedupe_key,
            now=now,
        )


def _mail_about_order(
    channel: str, event: Any, envelope: Envelope, now: datetime, **extra: Any
) -> None:
    order = orders.for_mail(order_id=event.aggregate_id)
    services.notify(
        company_id=order.company_id,
        channel=channel,
        recipient=order.email,
        user_id=order.user_id,
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


# --- wishes (INV-45) ------------------------------------------------------------------------------


@durable(WishBack, consumer="notifications.wish")
def tell_of_a_wish(event: WishBack, envelope: Envelope, now: datetime) -> None:
    """A line in the bell and on every open page: what was wished for is back, which is mailed too, or costs less."""
    if isinstance(event, WishCheaper):
        words = _("%(product)s on your wishlist is down from %(before)s to %(now)s.") % {
            "product": event.product,
            "before": selectors.money(Decimal(event.old_amount), event.currency),
            "now": selectors.money(Decimal(event.new_amount), event.currency),
        }
    else:
        words = _("%(product)s on your wishlist is back.") % {"product": event.product}
    path = f"/products/{event.slug}/?sku={quote(event.sku)}"
    assert envelope.company_id is not None
    services.tell(
        actor=Actor.system(envelope.company_id, source="outbox", request_id=envelope.request_id),
        user_id=UUID(event.user_id),
        channel=event.name,
        subject=words,
        dedupe_key=str(envelope.id),
        url=path,
        now=now,
    )
    user = User.objects.filter(pk=event.user_id, is_active=True).first()
    if user is not None and user.email and not isinstance(event, WishCheaper):
        services.notify(
            company_id=envelope.company_id,
            channel="wish-back",
            recipient=user.email,
            user_id=user.pk,
            context={"name": event.product, "product_url": f"{settings.STOREFRONT_URL}{path}"},
            dedupe_key=str(envelope.id),
            now=now,
        )
