"""What is known about abandoned carts: for the mail, for the queue, for the figures above it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from babel.numbers import format_currency
from django.conf import settings
from django.db import connection
from django.utils import translation

from cart.models import Cart
from cart.selectors.carts import view
from config.platform.actor import Actor
from inventory.models import Company


def recovery_mail(*, cart_id: UUID, now: datetime) -> dict[str, Any]:
    """
    Return what a reminder says about a cart, as text ready to print, and `user_id` for whom it is.

    `still_wanted` is False where the cart has come back or was bought since the reminder became due.
    """
    cart = Cart.objects.only("company_id", "user_id", "status").get(id=cart_id)
    shown = view(actor=Actor.system(cart.company_id), cart_id=cart_id, now=now)
    locale = translation.to_locale(translation.get_language() or settings.LANGUAGE_CODE)

    def cash(amount: Decimal) -> str:
        return str(format_currency(amount, shown.currency, locale=locale, currency_digits=True))

    return {
        "user_id": cart.user_id,
        "still_wanted": cart.status == Cart.Status.ABANDONED,
        "lines": [
            {
                "name": line.name,
                "options": ", ".join(str(value) for value in line.options.values()),
                "quantity": line.quantity,
                "amount": cash(line.subtotal),
                "image_url": line.image_url,
                "url": f"{settings.STOREFRONT_URL}{line.url}",
            }
            for line in shown.items
        ],
        "total": cash(shown.totals.grand_total),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedMetrics:
    """Figures of a period. Rates are fractions; values are in the company's own currency."""

    abandoned_count: int
    abandoned_value: Decimal
    mails_sent: int
    clicks: int
    recovered_count: int
    recovered_value: Decimal
    orders: int

    @property
    def recovery_rate(self) -> float:
        """Recovered carts per cart that was reminded or still waits."""
        whole = self.recovered_count + self.abandoned_count
        return self.recovered_count / whole if whole else 0.0

    @property
    def click_rate(self) -> float:
        return self.clicks / self.mails_sent if self.mails_sent else 0.0


_METRICS = """
    SELECT (SELECT count(*) FROM carts c WHERE c.company_id = %(company)s AND c.status = 'ABANDONED'
               AND c.dismissed_at IS NULL),
           (SELECT COALESCE(sum(c.grand_total), 0) FROM carts c JOIN companies k ON k.id = c.company_id
             WHERE c.company_id = %(company)s AND c.status = 'ABANDONED' AND c.dismissed_at IS NULL
               AND c.currency = k.currency),
           (SELECT count(*) FROM cart_recovery_attempts a JOIN carts c ON c.id = a.cart_id
             WHERE c.company_id = %(company)s AND a.created_at >= %(since)s),
           (SELECT count(*) FROM cart_recovery_attempts a JOIN carts c ON c.id = a.cart_id
             WHERE c.company_id = %(company)s AND a.created_at >= %(since)s AND a.clicked_at IS NOT NULL),
           (SELECT count(*) FROM cart_recovery_attempts a JOIN carts c ON c.id = a.cart_id
             WHERE c.company_id = %(company)s AND a.used_at >= %(since)s),
           (SELECT COALESCE(sum(b.grand_total), 0) FROM cart_recovery_attempts a
              JOIN carts c ON c.id = a.cart_id
              JOIN carts b ON b.order_id = a.order_id
              JOIN companies k ON k.id = b.company_id
             WHERE c.company_id = %(company)s AND a.used_at >= %(since)s AND b.currency = k.currency),
           (SELECT count(*) FROM cart_recovery_attempts a JOIN carts c ON c.id = a.cart_id
             WHERE c.company_id = %(company)s AND a.used_at >= %(since)s AND a.order_id IS NOT NULL)
"""


def abandoned_metrics(
    *, company_id: UUID, now: datetime, period: timedelta = timedelta(days=30)
) -> AbandonedMetrics:
    """Return the figures above the queue: what waits now, and what reminders did in the period. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_METRICS, {"company": company_id, "since": now - period})
        row = cursor.fetchone()
    count, value, sent, clicks, recovered, recovered_value, orders = row
    return AbandonedMetrics(
        abandoned_count=count,
        abandoned_value=value,
        mails_sent=sent,
        clicks=clicks,
        recovered_count=recovered,
        recovered_value=recovered_value,
        orders=orders,
    )


def currency_of(*, company_id: UUID) -> str:
    """Return the company's own currency."""
    return Company.objects.values_list("currency", flat=True).get(id=company_id)
