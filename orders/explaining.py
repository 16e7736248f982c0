"""Why an order came to its total: the steps and the rules that were kept with it, for the API, pages and staff."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders.models import Order
from pricing.display import country_name, percent_text
from pricing.engine import Quote
from pricing.templatetags.money import money_text


def render_explanation(order: Order, *, staff: bool = False) -> dict[str, Any]:
    """
    Return the steps from list prices to the total, and the rules behind them, as they stood when the order was placed.

    `rules` is null for orders that were placed before rules were kept. `staff` adds each rule's own terms under `basis`.
    """
    quote = Quote.from_json(order.quote)
    basis = order.quote.get("basis")
    items: Mapping[str, str] = order.quote.get("items", {})
    explained = quote.explain()
    for step in explained["steps"]:
        step["itemId"] = items.get(step["itemId"]) if step["itemId"] else None
    return {
        "orderId": str(order.id),
        "number": order.number,
        **explained,
        "rules": None if basis is None else _rules(quote, basis),
        **({"basis": basis} if staff else {}),
    }


def _rules(quote: Quote, basis: Mapping[str, Any]) -> dict[str, Any]:
    way = basis["shipping"]
    return {
        "pricedAt": basis["pricedAt"],
        "destination": basis["destination"],
        "codes": basis["codes"],
        "taxRounding": basis["taxRounding"],
        "exchangeRate": basis.get("exchangeRate"),  # of orders from before rates: none
        "promotions": [
            {
                "name": promotion["name"],
                "code": promotion["code"],
                "kind": promotion["kind"],
                "value": promotion["value"],
                "currency": promotion["currency"] or None,
            }
            for promotion in basis["promotions"]
        ],
        "taxRates": [
            {
                "name": rate["name"],
                "type": rate["type"],
                "rate": rate["rate"],
                "country": rate["country"],
                "state": rate["state"],
                "taxClass": rate["taxClass"],
                "included": rate["included"],
            }
            for rate in basis["taxRates"]
        ],
        "shipping": None
        if way is None
        else {
            "option": way["code"],
            "name": way["name"],
            "zone": way["zone"]["name"],
            "type": way["type"],
            "price": quote.format(quote.shipping.price) if quote.shipping else None,
            "freeOver": None if way["freeOver"] is None else quote.format(Decimal(way["freeOver"])),
        },
    }


def grounds_of(order: Order) -> list[dict[str, Any]]:
    """Return the rules behind a total in words, for whoever bought; empty for orders from before rules were kept."""
    basis = order.quote.get("basis")
    if basis is None:
        return []
    said = []
    place = basis["destination"]
    if place is not None:
        parts = (place["postalCode"], place["state"], country_name(place["country"]))
        said.append((_("Sent to"), ", ".join(part for part in parts if part)))
    if used := basis.get("exchangeRate"):
        words = {"base": used["base"], "rate": used["rate"], "quote": used["quote"]}
        said.append((_("Exchange rate"), _("1 %(base)s = %(rate)s %(quote)s") % words))
    for promotion in basis["promotions"]:
        name = (
            f"{promotion['code']}, {promotion['name']}" if promotion["code"] else promotion["name"]
        )
        said.append((_("Promotion"), name))
    for rate in basis["taxRates"]:
        where = [rate["state"], country_name(rate["country"]) if rate["country"] != "*" else ""]
        words = {
            "name": rate["name"],
            "rate": percent_text(Decimal(rate["rate"])),
            "place": ", ".join(part for part in where if part) or _("everywhere"),
        }
        text = (
            _("%(name)s, %(rate)s, in the prices, as set for %(place)s")
            if rate["included"]
            else _("%(name)s, %(rate)s, on top of the prices, as set for %(place)s")
        )
        said.append((_("Tax"), text % words))
    if basis["shipping"] is not None:
        said.append((_("Shipping"), _way(basis["shipping"], order.currency)))
    return [{"label": label, "text": text} for label, text in said]


def _way(way: Mapping[str, Any], currency: str) -> str:
    def cash(name: str) -> str:
        return money_text(Decimal(way[name]), currency)

    words = {"name": way["name"], "zone": way["zone"]["name"], "base": cash("basePrice")}
    if way["type"] == "FREE":
        text = _("%(name)s to %(zone)s: free")
    elif way["type"] == "WEIGHT_BASED":
        words |= {"more": cash("perKilogram"), "weight": f"{Decimal(way['weightGrams']) / 1000:f}"}
        text = _("%(name)s to %(zone)s: %(base)s and %(more)s for each of %(weight)s kg")
    elif way["type"] == "ITEM_COUNT":
        words |= {"more": cash("perUnit"), "units": str(way["units"])}
        text = _("%(name)s to %(zone)s: %(base)s and %(more)s for each of %(units)s items")
    else:
        text = _("%(name)s to %(zone)s: %(base)s")
    said = text % words
    if way["freeOver"] is not None:
        said += ", " + _("free from %(amount)s") % {"amount": cash("freeOver")}
    return said
