"""What shipping and tax are asked and answered before the order."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, sent

_PLACE: dict[str, Any] = {"country": "US", "state": "ME", "postalCode": "04101"}
_ITEMS: dict[str, Any] = {**_PLACE, "items": [{"sku": "LANTERN-BRASS", "quantity": 2}]}
_OPTIONS: dict[str, Any] = {
    "options": [
        {
            "id": "standard",
            "name": "Standard",
            "price": "6.90",
            "currency": "USD",
            "minDays": 3,
            "maxDays": 5,
        },
        {
            "id": "express",
            "name": "Express",
            "price": "19.00",
            "currency": "USD",
            "minDays": 1,
            "maxDays": 2,
        },
    ],
    "code": None,
}
_NOWHERE: dict[str, Any] = {"options": [], "code": "NO_SHIPPING_ZONE"}
_TAXES: dict[str, Any] = {
    "taxTotal": "7.42",
    "currency": "USD",
    "rates": [
        {
            "name": "ME sales tax",
            "type": "SALES_TAX",
            "rate": "0.055",
            "base": "134.90",
            "amount": "7.42",
            "included": False,
        }
    ],
}
_SHIPPING = [
    sent(_ITEMS, "Items that are named"),
    sent(_PLACE, "My checkout or cart"),
    answered(_OPTIONS, "Cheapest first"),
    answered(_NOWHERE, "Not shipped there"),
]

EXAMPLES: Examples = {
    "get_checkout_shipping_options": _SHIPPING[2:],
    "post_checkout_shipping_options": _SHIPPING,
    "post_checkout_shipping_calculate": _SHIPPING,
    "post_checkout_tax_calculate": [
        sent({**_ITEMS, "shippingOption": "standard"}, "Items that are named"),
        sent({}, "My checkout as it stands"),
        answered(_TAXES),
    ],
}
