"""How products, prices and quotes are told on pages: primitives for templates, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from babel.dates import format_interval, format_skeleton
from babel.numbers import format_decimal
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pricing.arrival import Arrival, arrival
from pricing.engine import EXEMPT, LOYALTY, REVERSE_CHARGE, TAX_RELIEF, Discount, Quote
from pricing.engine.quote import RELIEF_NAMES
from pricing.selectors import ProductView, VariantView
from pricing.selectors.storefront import shipped_to
from pricing.templatetags.money import current_locale, day

FEW = 5

# --- products -------------------------------------------------------------------------------------


def stock_of(*, product: ProductView, variants: Iterable[VariantView]) -> dict[str, str]:
    """Return in words how much there is: of one variant, or of all of a product's."""
    sold = [variant for variant in variants if variant.is_active and variant.price is not None]
    if not product.is_sold:
        return {"state": "gone", "words": _("No longer sold")}
    if not any(variant.in_stock for variant in sold):
        return {"state": "gone", "words": _("Sold out")}
    available = sum(variant.available for variant in sold)
    if available <= 0:
        return {"state": "later", "words": restock_words(product)}
    if available <= FEW:
        return {
            "state": "few",
            "words": ngettext("%(n)d left", "%(n)d left", available) % {"n": available},
        }
    return {"state": "in", "words": _("In stock")}


def restock_words(product: ProductView) -> str:
    try:
        back = date.fromisoformat(str(product.metadata.get("restock", "")))
    except ValueError:
        return _("On its way to us. Order now and we send it as soon as it is here")
    return _("Back on %(day)s, order now") % {"day": day(back)}


def card_of(product: ProductView) -> dict[str, Any]:
    """Return what a card on a shelf shows of a product."""
    return {
        "id": product.id,
        "name": product.name,
        "url": f"/products/{product.slug}/",
        "image": product.image.url if product.image else "",
        "picture": product.image,
        "price": product.price_from,
        "compare_at": product.compare_at,
        "varies": not product.has_one_price,
        "currency": product.currency,
        "stock": stock_of(product=product, variants=product.variants),
        "choices": _choices(product),
    }


def _choices(product: ProductView) -> str:
    for name, values in product.options:
        number = len(values)
        if number < 2:
            continue
        if name.lower() in {"colour", "color"}:
            return ngettext("%(n)d colour", "%(n)d colours", number) % {"n": number}
        if name.lower() == "size":
            return ngettext("%(n)d size", "%(n)d sizes", number) % {"n": number}
        return ngettext("%(n)d choice", "%(n)d choices", number) % {"n": number}
    return ""


def options_text(options: Mapping[str, str], order: Sequence[str] = ()) -> str:
    """
    Return the chosen options as a line of text: `Kelp, Double`.

    The database keeps no order in what it stores, so the product's own order of option names is given.
    """
    names = sorted(options, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(str(options[name]) for name in names)


# --- quotes ---------------------------------------------------------------------------------------


def totals_of(quote: Quote, *, is_estimate: bool, has_destination: bool) -> dict[str, Any]:
    """Return the sums of a quote; what cannot be known before there is a destination says so."""
    sums = quote.totals
    return {
        "subtotal": sums.subtotal,
        "shipping_known": quote.shipping is not None or not quote.requires_shipping,
        "shipping_total": sums.shipping_total,
        "shipping_from": min((option.price for option in quote.shipping_options), default=None)
        if has_destination
        else None,
        "tax_known": has_destination,
        "tax_total": sums.tax_total,
        "grand_total": sums.grand_total,
        "prices_include_tax": quote.prices_include_tax,
        "estimated": is_estimate and has_destination,
    }


def relief_of(quote: Quote) -> str:
    """Return what an order has to say where a tax is not charged; empty where all are."""
    if quote.relief is None:
        return ""
    if quote.relief.reason == REVERSE_CHARGE:
        words = _(
            "Intra-Community supply, exempt from VAT under Article 138 of Directive 2006/112/EC. Reverse charge: the "
            "recipient accounts for the VAT. Your VAT number: %(reference)s."
        )
    else:
        words = _("Exempt from tax by certificate %(reference)s.")
    return words % {"reference": quote.relief.reference}


def discounts_of(quote: Quote) -> list[dict[str, Any]]:
    return [
        {
            "label": f"{discount.code}, {discount.name}" if discount.code else _name_of(discount),
            "amount": discount.amount,
        }
        for discount in quote.discounts
        if discount.amount
    ]


def _name_of(discount: Discount) -> str:
    if discount.kind == LOYALTY:
        return _("Points")
    if discount.kind != TAX_RELIEF:
        return discount.name
    return {
        RELIEF_NAMES[REVERSE_CHARGE]: _("VAT taken out: reverse charge"),
        RELIEF_NAMES[EXEMPT]: _("Tax taken out: exempt"),
    }.get(discount.name, discount.name)


def steps_of(quote: Quote, *, names: Mapping[UUID, str]) -> list[dict[str, Any]]:
    """Return how the total comes about, one line a step, the total last; `names` are those of the lines."""
    skus = {line.id: line.sku for line in quote.lines}
    if not skus:
        return []
    steps = []
    for step in quote.steps:
        label = step.label
        if step.item_id in names and step.item_id in skus:
            label = label.replace(skus[step.item_id], names[step.item_id])
        steps.append({"label": label, "amount": step.amount})
    return [*steps, {"label": _("Total"), "amount": quote.totals.grand_total}]


def percent_text(rate: Decimal) -> str:
    """Return a rate such as 0.055 in the reader's language: `5.5 %`."""
    number = format_decimal(rate * 100, format="#,##0.####", locale=current_locale())
    return f"{number}\N{NO-BREAK SPACE}%"


def not_applied_of(quote: Quote) -> list[dict[str, str]]:
    """Return each code that did not apply, with the reason in words."""
    return [{"code": item.code, "reason": item.message} for item in quote.not_applied]


def days_text(least: int, most: int) -> str:
    if least == most:
        return ngettext("%(n)d working day", "%(n)d working days", most) % {"n": most}
    return _("%(least)d to %(most)d working days") % {"least": least, "most": most}


def arrival_text(found: Arrival) -> str:
    """Return the days on which something arrives in the reader's language: `Tue, Nov 24 – Fri, Nov 27`."""
    if found.first == found.last:
        return format_skeleton("MMMEd", found.first, locale=current_locale())
    return format_interval(found.first, found.last, "MMMEd", locale=current_locale())


def delivery_text(least: int, most: int, *, since: datetime | None, zone: str) -> str:
    """Return when it arrives if it is ordered at `since`, and the rule behind it; the rule alone where that is None."""
    days = days_text(least, most)
    if since is None:
        return days
    dates = arrival_text(arrival(since, least, most, zone=zone))
    return _("arrives %(dates)s, %(days)s") % {"dates": dates, "days": days}


def delivery_options_of(quote: Quote, *, since: datetime | None, zone: str) -> list[dict[str, Any]]:
    """Return the ways to ship that are open; `since` is None where nobody knows yet when it can leave."""
    return [
        {
            "id": option.id,
            "name": option.name,
            "price": option.price if option.price else Decimal(0),
            "days_text": delivery_text(option.min_days, option.max_days, since=since, zone=zone),
        }
        for option in quote.shipping_options
    ]


# --- places ---------------------------------------------------------------------------------------


def countries_of(*, company_id: UUID, first: str) -> list[tuple[str, str]]:
    """Return the countries the company ships to, by name in the reader's language, `first` before all others."""
    territories = {str(code): str(name) for code, name in current_locale().territories.items()}
    codes = shipped_to(company_id=company_id) or {
        code for code in territories if len(code) == 2 and code.isalpha()
    }
    named = sorted(
        ((code, territories.get(code, code)) for code in codes), key=lambda pair: pair[1]
    )
    return sorted(named, key=lambda pair: pair[0] != first)


# Where the state decides about tax; without it no tax can be told.
_TAXED_BY_STATE = frozenset({"US", "CA", "AU"})


def is_tax_place(country: str, state: str) -> bool:
    """Return whether a country, and a state where that matters, say enough to tell the tax."""
    return bool(country) and (bool(state) or country not in _TAXED_BY_STATE)


def country_name(code: str) -> str:
    return str(current_locale().territories.get(code, code))
