"""Parts of a quote in the shape of the wire contract, for every API that shows them."""

from __future__ import annotations

from typing import Any

from pricing.engine import Quote


def render_options(quote: Quote) -> list[dict[str, Any]]:
    """Return the ways to ship that are open, cheapest first. Days are working days."""
    return [
        {
            "id": option.id,
            "name": option.name,
            "price": quote.format(option.price),
            "currency": option.currency,
            "minDays": option.min_days,
            "maxDays": option.max_days,
        }
        for option in quote.shipping_options
    ]


def render_shipping(quote: Quote) -> dict[str, Any]:
    """Return the ways to ship, and why there are none."""
    return {"options": render_options(quote), "code": quote.shipping_code}


def render_taxes(quote: Quote) -> dict[str, Any]:
    """Return each tax with what it is charged on."""
    return {
        "taxTotal": quote.format(quote.totals.tax_total),
        "currency": quote.currency,
        "rates": [
            {
                "name": tax.name,
                "type": tax.type,
                "rate": f"{tax.rate.normalize():f}",
                "base": quote.format(tax.base),
                "amount": quote.format(tax.amount),
                "included": tax.included,
            }
            for tax in quote.taxes
        ],
    }
