"""Mails and bell messages about goods that somebody waits for, their stock and prices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from django.conf import settings
from django.utils.translation import gettext as _

from cart.selectors import keepers
from config.platform.outbox import Envelope, durable
from inventory import services as inventory
from inventory.errors import BackInStockRequestNotFound
from inventory.events import (
    BackInStockAsked,
    BackInStockLapsed,
    BackInStockOffered,
    LowStock,
    ProductDiscontinuedEvent,
)
from inventory.models import BackInStockRequest, Product
from inventory.selectors import waiting
from notifications import selectors, services
from notifications.handlers.telling import ask_to_confirm, tell_owner
from notifications.models import Digest, Preference
from pricing import selectors as pricing
from pricing import services as prices
from pricing.errors import PriceAlertNotFound
from pricing.events import PriceAlertAsked, PriceAlertReached


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
    ask_to_confirm(
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
    tell_owner(
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
    tell_owner(
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
    ask_to_confirm(
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
    tell_owner(
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
