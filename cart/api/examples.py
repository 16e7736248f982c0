"""What the lists that a customer keeps are asked and answer."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent

_WISH: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41d001",
    "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c002",
    "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
    "sku": "LANTERN-BRASS",
    "name": "Brass lantern",
    "slug": "brass-lantern",
    "url": "/products/brass-lantern/",
    "imageUrl": "/media/products/02/lantern.webp",
    "options": {},
    "currency": "USD",
    "unitPrice": "64.00",
    "priceWhenAdded": "72.00",
    "priceChanged": True,
    "available": 4,
    "inStock": True,
    "canBuy": True,
    "addedAt": "2026-11-18T19:04:00Z",
}
_COMPARED: dict[str, Any] = {
    "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c001",
    "name": "Oilskin jacket",
    "slug": "oilskin-jacket",
    "url": "/products/oilskin-jacket/",
    "imageUrl": "/media/products/01/jacket-ochre.webp",
    "vendor": "Quay & Sons",
    "status": "active",
    "currency": "USD",
    "priceFrom": "149.00",
    "priceTo": "159.00",
    "inStock": True,
    "options": {"Colour": ["Ochre", "Kelp"], "Size": ["M", "L"]},
    "weightsGrams": [1250, 1310],
}
_COMPARISON: dict[str, Any] = {
    **listed(
        _COMPARED,
        {
            **_COMPARED,
            "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c003",
            "name": "Deck smock",
            "slug": "deck-smock",
            "url": "/products/deck-smock/",
            "imageUrl": None,
            "priceFrom": "89.00",
            "priceTo": "89.00",
            "options": {"Size": ["S", "M", "L"]},
            "weightsGrams": [640],
        },
    ),
    "most": 4,
}
_CART: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41d101",
    "status": "ACTIVE",
    "version": 3,
    "currency": "USD",
    "owner": "guest",
    "items": [
        {
            "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41d102",
            "list": "active",
            "productId": _WISH["productId"],
            "variantId": _WISH["variantId"],
            "sku": "LANTERN-BRASS",
            "name": "Brass lantern",
            "slug": "brass-lantern",
            "options": {},
            "imageUrl": "/media/products/02/lantern.webp",
            "url": "/products/brass-lantern/",
            "quantity": 1,
            "priceWhenAdded": "64.00",
            "unitPrice": "64.00",
            "priceChanged": False,
            "lineSubtotal": "64.00",
            "lineDiscount": "0.00",
            "lineTax": "0.00",
            "lineTotal": "64.00",
            "note": "",
            "customization": {},
            "metadata": {},
            "bundleId": None,
            "groupId": None,
            "expiresAt": None,
            "addedAt": "2026-11-21T09:30:00Z",
            "hold": {
                "state": "held",
                "quantity": 1,
                "expiresAt": "2026-11-21T09:45:00Z",
                "secondsLeft": 900,
            },
            "available": 4,
            "problems": [],
        }
    ],
    "nextPurchaseItems": [],
    "savedItems": [],
    "discounts": [],
    "totals": {
        "itemCount": 1,
        "lineCount": 1,
        "problemCount": 0,
        "subtotal": "64.00",
        "discountTotal": "0.00",
        "shippingTotal": "0.00",
        "shippingDiscount": "0.00",
        "shippingTax": "0.00",
        "taxTotal": "0.00",
        "grandTotal": "64.00",
        "pricesIncludeTax": False,
        "estimated": True,
    },
    "quoteId": "b0c9d3f1a6e24c58",
    "warnings": [],
    "nextPurchaseActivated": False,
    "message": None,
    "metadata": {},
    "holdExpiresAt": "2026-11-21T09:45:00Z",
    "expiresAt": "2026-11-28T09:30:00Z",
    "createdAt": "2026-11-21T09:12:00Z",
    "updatedAt": "2026-11-21T09:30:00Z",
}

_ALERT: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c051",
    "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c002",
    "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
    "sku": "LANTERN-BRASS",
    "name": "Brass lantern",
    "currency": "USD",
    "targetPrice": "55.00",
    "currentPrice": "64.00",
    "reached": False,
    "createdAt": "2026-11-21T09:30:00Z",
    "toldAt": None,
}

_UPSELLS: dict[str, Any] = listed(
    {
        "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c007",
        "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c071",
        "sku": "LAMP-OIL",
        "name": "Lamp oil",
        "slug": "lamp-oil",
        "url": "/products/lamp-oil/",
        "imageUrl": "/media/products/07/oil.webp",
        "currency": "USD",
        "price": "9.00",
        "compareAtPrice": None,
        "inStock": True,
        "reason": "bought_together",
    }
)

EXAMPLES: Examples = {
    **{f"get_{base}cart_upsells": [answered(_UPSELLS)] for base in ("", "public_")},
    **{
        f"post_{base}cart_upsells_by_product_id_add": [
            sent({"quantity": 1}),
            answered(_CART, status=201),
        ]
        for base in ("", "public_")
    },
    **{
        f"post_{base}cart_upsells_by_product_id_dismiss": [sent({}), answered(listed())]
        for base in ("", "public_")
    },
    "post_cart_accept_prices": [sent({"quoteId": "b0c9d3f1a6e24c58"}), answered(_CART)],
    "get_wishlist": [answered(listed(_WISH))],
    "post_wishlist_items": [
        sent({"sku": "LANTERN-BRASS", "currency": "USD"}),
        answered(_WISH, "Wished for", status=201),
        answered(_WISH, "Wished for before", status=200),
    ],
    "post_wishlist_items_by_item_id_move_to_cart": [sent({"quantity": 1}), answered(_CART)],
    "post_products_pricing_compare": [
        sent({"items": [{"sku": "LANTERN-BRASS", "quantity": 1, "price": "72.00"}]}),
        answered(
            {
                "currency": "USD",
                "changed": True,
                "results": [
                    {
                        "itemId": None,
                        "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c002",
                        "sku": "LANTERN-BRASS",
                        "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
                        "quantity": 1,
                        "price": "72.00",
                        "currentPrice": "64.00",
                        "difference": "-8.00",
                        "changed": True,
                        "problem": None,
                    }
                ],
            }
        ),
    ],
    "get_products_pricing_alerts": [answered(listed(_ALERT))],
    "post_products_pricing_alerts": [
        sent({"items": [{"sku": "LANTERN-BRASS", "targetPrice": "55.00"}]}),
        answered(
            {"currency": "USD", "status": "SUBSCRIBED", "changes": [], "alerts": [_ALERT]},
            "For a customer",
            status=201,
        ),
        answered(
            {"currency": "USD", "status": "CONFIRMATION_SENT", "changes": [], "alerts": []},
            "For a guest",
            status=202,
        ),
        answered(
            {"currency": "USD", "status": "LOOKED", "changes": [], "alerts": []},
            "Without a target",
        ),
    ],
    "post_products_pricing_alerts_confirm": [
        sent({"token": "eyJhbGV…:1uXyZ…"}),
        answered(_ALERT),
    ],
    "get_compare": [answered(_COMPARISON)],
    "post_compare": [
        sent({"product": "oilskin-jacket"}),
        answered(_COMPARISON, status=201),
    ],
}
