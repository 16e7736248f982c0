"""Money and dates in the reader's language."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_currency
from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, to_locale

from pricing.money import EXPONENTS, quantize

register = template.Library()


def current_locale() -> Locale:
    """Return the reader's language as Babel knows it."""
    try:
        return Locale.parse(to_locale(get_language() or "en"))
    except (ValueError, UnknownLocaleError):
        return Locale("en")


def money_text(amount: Decimal | str, currency: str) -> str:
    """Return an amount as a sentence may say it: `$84.20`, `84,20 €`."""
    try:
        value = amount if isinstance(amount, Decimal) else Decimal(amount)
        if currency in EXPONENTS:
            value = quantize(value, currency)
        return format_currency(value, currency, locale=current_locale())
    except (InvalidOperation, TypeError, ValueError):
        return ""


@register.filter
def money(amount: Decimal | str | None, currency: str) -> SafeString | str:
    """Render an amount in its currency; nothing for no amount."""
    if amount is None or amount == "":
        return ""
    return format_html('<bdi class="money">{}</bdi>', money_text(amount, currency))


@register.filter
def money_plain(amount: Decimal | str | None, currency: str) -> str:
    """Return the amount without markup, for attributes and buttons."""
    return "" if amount is None or amount == "" else money_text(amount, currency)


@register.filter
def day(value: date | None, form: str = "long") -> str:
    """Render a date in words; `form` is one of Babel's: short, medium, long, full."""
    return "" if value is None else format_date(value, format=form, locale=current_locale())


@register.filter
def moment(value: datetime | None) -> str:
    """Render a date with its time of day, in the shop's time zone."""
    if value is None:
        return ""
    local, locale = timezone.localtime(value), current_locale()
    return f"{format_skeleton('MMMMd', local, locale=locale)}, {format_time(local, 'HH:mm', locale=locale)}"
