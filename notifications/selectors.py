"""Reads for messages: what a mail needs to say, and who wants to hear it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from babel.dates import format_date, format_time
from babel.numbers import format_currency
from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone, translation

from cart.selectors import keepers
from config.platform import alerts
from config.platform.actor import Actor
from config.platform.models import Alert, User
from inventory import selectors as inventory
from inventory.models import Product, Variant
from notifications.errors import NotificationNotFound
from notifications.models import Digest, Notification, Preference, Suppression
from orders.models import Order
from orders.rendering import tracking_url
from pricing.money import exponent


def wants(*, company_id: UUID, user_id: UUID | None, address: str, category: str) -> bool:
    """Return whether this address may get optional mail of a category."""
    if Suppression.objects.filter(company_id=company_id, address=address.lower()).exists():
        return False
    if user_id is None:
        return True
    return not Preference.objects.filter(
        user_id=user_id, category=category, type=Notification.Type.EMAIL, is_enabled=False
    ).exists()


def in_app(*, actor: Actor) -> QuerySet[Notification]:
    """Return the messages in the caller's bell, unread first, newest first."""
    return Notification.objects.filter(
        company_id=actor.company_id, user_id=actor.user_id, type=Notification.Type.IN_APP
    ).order_by(F("read_at").asc(nulls_first=True), "-id")


def unread_count(*, actor: Actor) -> int:
    return in_app(actor=actor).filter(read_at__isnull=True).count()


def one(*, actor: Actor, notification_id: UUID) -> Notification:
    """
    Return one message of the caller's bell.

    :raises NotificationNotFound: if it is not the caller's
    """
    note = in_app(actor=actor).filter(pk=notification_id).first()
    if note is None:
        raise NotificationNotFound
    return note


def preferences(*, user_id: UUID) -> dict[str, dict[str, bool]]:
    """Return every (category, type) choice of a customer; what was never touched is on."""
    stored = {
        (row.category, row.type): row.is_enabled
        for row in Preference.objects.filter(user_id=user_id)
    }
    return {
        category: {kind: stored.get((category, kind), True) for kind in Notification.Type.values}
        for category in Preference.Category.values
    }


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as people of the active language write it, with the currency's own decimals."""
    text = format_currency(
        amount.quantize(Decimal(1).scaleb(-exponent(currency))),
        currency,
        locale=translation.to_locale(translation.get_language() or settings.LANGUAGE_CODE),
        currency_digits=True,
    )
    return str(text)


def deadline(at: datetime) -> str:
    """Return a moment some days ahead as people of the active language write it: its day, time and time zone."""
    locale = translation.to_locale(translation.get_language() or settings.LANGUAGE_CODE)
    return f"{format_date(timezone.localtime(at), format='long', locale=locale)}, {moment(at)}"


def moment(at: datetime) -> str:
    """Return a moment of the near future as people of the active language write it, with its time zone."""
    locale = translation.to_locale(translation.get_language() or settings.LANGUAGE_CODE)
    local = timezone.localtime(at)
    return f"{format_time(local, format='short', locale=locale)} {local:%Z}"


def low_shelves(*, company_id: UUID, shelf_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return those of these shelves that are low right now, the emptiest first, in words for a mail: one statement."""
    levels = inventory.stock_levels(actor=Actor.system(company_id)).filter(
        id__in=shelf_ids, is_low=True
    )
    return [
        {
            "sku": level.variant.sku,
            "name": level.variant.product.name,
            "warehouse": level.warehouse.name,
            "available": level.available,
            "reorder_level": level.reorder_level,
            "reorder_quantity": level.reorder_quantity,
        }
        for level in sorted(levels, key=lambda level: (level.available, level.variant.sku))
    ]


def alert_words(alert: Alert) -> dict[str, Any]:
    """Return an alert in words for a mail: what is wrong, how far beyond its threshold, and where to look."""
    rule = alerts.rule_of(alert.rule)
    return {
        "title": str(rule.title) if rule else alert.rule,
        "hint": str(rule.hint) if rule else "",
        "subject": alert.subject,
        "level": alert.get_level_display(),
        "value": f"{alert.value:g}",
        "threshold": f"{alert.threshold:g}",
        "is_over": alert.resolved_at is not None,
    }


def kept_back(
    *, company_id: UUID, rows: Sequence[Digest], now: datetime
) -> dict[User, list[dict[str, str]]]:
    """
    Return what to write to each of these customers: what came back, is still there and still kept by them.

    Four statements for any number.
    """
    stock = inventory.availability(variant_ids=[row.object_id for row in rows], now=now)
    there = {key for key, available in stock.items() if available.in_stock}
    users = {
        user.pk: user
        for user in User.objects.filter(
            pk__in=[row.user_id for row in rows], is_active=True
        ).exclude(email="")
    }
    kept = keepers.aside_keepers_of(variant_ids=there, user_ids=users)
    variants = Variant.objects.select_related("product").filter(
        id__in=there,
        is_active=True,
        product__status=Product.Status.ACTIVE,
        company_id=company_id,
    )
    named = {variant.id: variant for variant in variants}
    found: dict[User, list[dict[str, str]]] = {}
    for user_id, variant_id in dict.fromkeys((row.user_id, row.object_id) for row in rows):
        if user_id is not None and (user_id, variant_id) in kept and variant_id in named:
            variant = named[variant_id]
            path = f"/products/{variant.product.slug}/?sku={quote(variant.sku)}"
            found.setdefault(users[user_id], []).append(
                {"name": variant.product.name, "url": f"{settings.STOREFRONT_URL}{path}"}
            )
    return found


def order_context(order: Order) -> dict[str, Any]:
    """Return what mails about an order say, as text and numbers ready to print."""

    def cash(amount: Decimal) -> str:
        return money(amount, order.currency)

    locale = translation.to_locale(translation.get_language() or settings.LANGUAGE_CODE)
    return {
        "number": order.number,
        "name": (order.shipping_address or {}).get("name", ""),
        "placed_on": format_date(order.placed_at, format="long", locale=locale),
        "order_url": tracking_url(order),
        "address": [
            part
            for part in (
                (order.shipping_address or {}).get("name"),
                (order.shipping_address or {}).get("line1"),
                (order.shipping_address or {}).get("line2"),
                " ".join(
                    filter(
                        None,
                        [
                            (order.shipping_address or {}).get("postalCode"),
                            (order.shipping_address or {}).get("city"),
                            (order.shipping_address or {}).get("state"),
                        ],
                    )
                ),
                (order.shipping_address or {}).get("country"),
            )
            if part
        ],
        "shipping_name": order.shipping_name,
        "lines": [
            {
                "name": line.name,
                "options": ", ".join(str(value) for value in line.options.values()),
                "quantity": line.quantity,
                "amount": cash(line.subtotal - line.discount),
            }
            for line in order.lines.all()
        ],
        "subtotal": cash(order.subtotal),
        "discount": cash(order.discount_total) if order.discount_total else "",
        "shipping": cash(order.shipping_total),
        "tax": cash(order.tax_total),
        "tax_is_included": order.prices_include_tax,
        "total": cash(order.grand_total),
        "refunded": cash(order.refunded_total),
    }
