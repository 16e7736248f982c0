"""What the catalogue is asked and answers, in goods that a shop by the sea would sell."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent
from pricing.api.rule_examples import RULES

_VARIANT: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c011",
    "sku": "JKT-OCHRE-M",
    "options": {"Colour": "Ochre", "Size": "M"},
    "imageUrl": "/media/products/01/jacket-ochre.webp",
    "price": "149.00",
    "compareAtPrice": "180.00",
    "available": 10,
    "inStock": True,
    "backorder": False,
}
_JACKET: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c001",
    "slug": "oilskin-jacket",
    "url": "/products/oilskin-jacket/",
    "name": "Oilskin jacket",
    "description": "<p>Waxed cotton, taped seams, a hood that stays up in wind.</p>",
    "status": "active",
    "vendor": "Quay & Sons",
    "tags": ["waterproof", "autumn"],
    "category": {"slug": "jackets", "name": "Jackets"},
    "images": [
        {
            "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c021",
            "url": "/media/products/01/jacket-ochre.webp",
            "alt": "An ochre oilskin jacket on a hook",
            "width": 1600,
            "height": 1200,
            "srcset": [
                {"url": "/media/products/01/jacket-ochre-320.webp", "width": 320},
                {"url": "/media/products/01/jacket-ochre.webp", "width": 1600},
            ],
        }
    ],
    "options": ["Colour", "Size"],
    "priceFrom": "149.00",
    "currency": "USD",
    "inStock": True,
    "variants": [
        _VARIANT,
        {
            **_VARIANT,
            "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c013",
            "sku": "JKT-KELP-M",
            "options": {"Colour": "Kelp", "Size": "M"},
            "imageUrl": None,
            "compareAtPrice": None,
            "available": 0,
            "inStock": False,
        },
    ],
}
_LANTERN: dict[str, Any] = {
    **_JACKET,
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c002",
    "slug": "brass-lantern",
    "url": "/products/brass-lantern/",
    "name": "Brass lantern",
    "description": "<p>Burns eighteen hours on one filling.</p>",
    "vendor": "Lighthouse Works",
    "tags": [],
    "category": {"slug": "deck", "name": "On deck"},
    "images": [],
    "options": [],
    "priceFrom": "64.00",
    "variants": [
        {
            **_VARIANT,
            "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
            "sku": "LANTERN-BRASS",
            "options": {},
            "imageUrl": None,
            "price": "64.00",
            "compareAtPrice": None,
            "available": 4,
        }
    ],
}
_FOUND: dict[str, Any] = {
    **listed(
        _JACKET,
        following="https://shop.example/api/v1/products/search?q=oilskinn&limit=1&cursor=eyJkI",
    ),
    "total": 4,
    "suggestion": "oilskin",
    "corrected": True,
    "facets": {
        "categories": [
            {"slug": "clothing", "name": "Clothing", "path": ["clothing"], "count": 7, "selected": True},
            {"slug": "jackets", "name": "Jackets", "path": ["clothing", "jackets"], "count": 4, "selected": False},
        ],
        "priceRange": {"min": "18.00", "max": "240.00", "currency": "USD"},
        "options": [
            {"name": "Colour", "values": [
                {"value": "Kelp", "count": 4, "selected": True}, {"value": "Ochre", "count": 2, "selected": False},
            ]},
            {"name": "Size", "values": [{"value": "M", "count": 3, "selected": False}]},
        ],
        "inStock": {"count": 3},
    },
}  # fmt: skip
_OFFER: dict[str, Any] = {
    "valid": True,
    "sku": "JKT-OCHRE-M",
    "variantId": _VARIANT["id"],
    "problems": [],
    "available": 10,
    "unitPrice": "149.00",
    "currency": "USD",
}
_SHORT: dict[str, Any] = {
    **_OFFER,
    "valid": False,
    "sku": "LANTERN-BRASS",
    "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
    "problems": [
        {
            "code": "ITEM_OUT_OF_STOCK",
            "message": "Only 4 left of LANTERN-BRASS.",
            "extra": {"sku": "LANTERN-BRASS", "requested": 6, "available": 4},
        }
    ],
    "available": 4,
    "unitPrice": "64.00",
}
_NEW: dict[str, Any] = {
    "name": "Oilskin jacket",
    "slug": "oilskin-jacket",
    "description": "<p>Waxed cotton, taped seams, a hood that stays up in wind.</p>",
    "vendor": "Quay & Sons",
    "category": "jackets",
    "tags": ["waterproof", "autumn"],
    "options": ["Colour", "Size"],
    "variants": [
        {
            "sku": "JKT-OCHRE-M",
            "options": {"Colour": "Ochre", "Size": "M"},
            "prices": {"USD": "149.00", "EUR": "139.00"},
            "quantity": 42,
            "inventoryPolicy": "deny",
            "weightGrams": 1250,
        },
        {
            "sku": "JKT-KELP-M",
            "options": {"Colour": "Kelp", "Size": "M"},
            "prices": {"USD": "149.00", "EUR": "139.00"},
        },
    ],
}

_POINTS: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e001",
    "kind": "EARN",
    "points": 149,
    "balance": 520,
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e101",
    "reason": "",
    "at": "2026-11-19T10:02:11Z",
    "expiresAt": "2028-11-18T10:02:11Z",
}
_GIVEN: dict[str, Any] = {
    **_POINTS,
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e002",
    "kind": "ADJUST",
    "points": 50,
    "balance": 570,
    "orderId": None,
    "reason": "Sorry for the late parcel",
}

EXAMPLES: Examples = {
    "post_products_pricing_bulk": [
        sent(
            {
                "category": "jackets",
                "rule": {"kind": "percent", "value": "-10", "ending": "99"},
                "formerPrice": "old",
                "reason": "End of season",
                "dryRun": True,
            }
        ),
        answered(
            {
                "planId": "5f0c6f6d0f3d4b1e9c8d4e2a7b6c5d4e",
                "applied": False,
                "currency": "USD",
                "totals": {
                    "prices": 1,
                    "raised": 0,
                    "lowered": 1,
                    "new": 0,
                    "unchanged": 0,
                    "warnings": 1,
                    "problems": 0,
                },
                "rows": [
                    {
                        "variantId": _VARIANT["id"],
                        "sku": "JKT-OCHRE-M",
                        "name": "Oilskin jacket",
                        "price": "149.00",
                        "newPrice": "133.99",
                        "compareAtPrice": "149.00",
                        "difference": "-15.01",
                        "percent": "-10.1",
                        "lowestPrice30Days": "149.00",
                        "warnings": ["below_lowest"],
                        "problem": None,
                    }
                ],
                "skusWithoutPrice": [],
                "unknownSkus": [],
            }
        ),
    ],
    **RULES,
    "get_products_pricing_report": [
        answered(
            {
                "dateFrom": "2026-11-01",
                "dateTo": "2026-11-21",
                "currency": "USD",
                "rows": [
                    {
                        "sku": "JKT-OCHRE-M",
                        "name": "Oilskin jacket",
                        "category": "Jackets",
                        "kind": "base",
                        "fromQuantity": 1,
                        "group": None,
                        "changes": 1,
                        "firstPrice": "180.00",
                        "lastPrice": "149.00",
                        "lowestPrice": "149.00",
                        "highestPrice": "180.00",
                        "averagePrice": "164.50",
                        "weightedPrice": "169.67",
                    }
                ],
                "isComplete": True,
            }
        )
    ],
    "get_products_pricing_report_file": [
        answered(
            "SKU,Name,Category,Currency,Changes,First,Last,Lowest,Highest,Average,Weighted\r\n"
            "JKT-OCHRE-M,Oilskin jacket,Jackets,USD,1,180.00,149.00,149.00,180.00,164.50,169.67\r\n",
            media_type="text/csv",
        )
    ],
    "get_loyalty": [
        answered(
            {
                "balance": 520,
                "worth": "5.20",
                "currency": "USD",
                "pointValue": "0.01",
                "pointsPerUnit": "1",
                "yearPoints": 520,
                "tier": {"name": "Deckhand", "fromPoints": 250, "bonusPercent": 0},
                "nextTier": {
                    "name": "Skipper",
                    "fromPoints": 1000,
                    "bonusPercent": 10,
                    "pointsToGo": 480,
                },
                "nextExpiryAt": "2028-11-18T10:02:11Z",
                "entries": [_POINTS],
            }
        )
    ],
    "loyalty_entries_list": [answered(listed(_GIVEN, _POINTS))],
    "post_loyalty_adjust": [
        sent(
            {
                "userId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e201",
                "points": 50,
                "reason": "Sorry for the late parcel",
            }
        ),
        answered(_GIVEN, status=201),
    ],
    "products_list": [answered({**_FOUND, "suggestion": None, "corrected": False})],
    "products_search": [answered(_FOUND)],
    "post_products": [sent(_NEW), answered(_JACKET, status=201)],
    "get_products_by_ref": [answered(_JACKET)],
    "patch_products_by_ref": [
        sent({"tags": ["waterproof", "winter"], "status": "active"}),
        answered({**_JACKET, "tags": ["waterproof", "winter"]}),
    ],
    "get_products_by_ref_pricing": [
        answered(
            {
                "productId": _JACKET["id"],
                "currency": "USD",
                "priceFrom": "149.00",
                "variants": [
                    {
                        "variantId": variant["id"],
                        "sku": variant["sku"],
                        "price": variant["price"],
                        "compareAtPrice": variant["compareAtPrice"],
                        "lowestPrice30Days": "165.00",
                        "priceEndsAt": "2026-12-01T00:00:00Z",
                        "yourPrice": variant["price"],
                        "quantityBreaks": [{"fromQuantity": 5, "price": "139.00"}],
                    }
                    for variant in _JACKET["variants"]
                ],
                "promotions": [
                    {
                        "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c701",
                        "name": "Storm week",
                        "code": "SAVE10",
                        "kind": "PERCENTAGE",
                        "scope": "CART",
                        "value": "10",
                        "currency": None,
                        "minimumOrder": None,
                        "endsAt": "2026-11-30T23:59:59Z",
                    }
                ],
                "quantityBreaks": [],
            }
        )
    ],
    "get_products_by_ref_recommendations": [answered(listed(_LANTERN))],
    "get_products_by_ref_alternatives": [answered(listed(_LANTERN))],
    "get_products_by_ref_upsells": [answered(listed(_LANTERN))],
    "bundles_list": [
        answered(
            listed(
                {
                    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c801",
                    "slug": "night-watch",
                    "name": "Night watch",
                    "description": "A jacket and a light to wear it by.",
                    "imageUrl": None,
                    "currency": "USD",
                    "price": "189.00",
                    "partsPrice": "213.00",
                    "items": [
                        {
                            "variantId": _VARIANT["id"],
                            "productId": _JACKET["id"],
                            "sku": "JKT-OCHRE-M",
                            "name": "Oilskin jacket",
                            "options": {"Colour": "Ochre", "Size": "M"},
                            "quantity": 1,
                            "price": "149.00",
                        },
                        {
                            "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
                            "productId": _LANTERN["id"],
                            "sku": "LANTERN-BRASS",
                            "name": "Brass lantern",
                            "options": {},
                            "quantity": 1,
                            "price": "64.00",
                        },
                    ],
                }
            )
        )
    ],
    "post_products_validate": [
        sent({"sku": "JKT-OCHRE-M", "quantity": 2}),
        answered(_OFFER, "It may go into a cart"),
        answered(_SHORT, "It may not"),
    ],
    "post_products_validate_bulk": [
        sent(
            {
                "currency": "USD",
                "items": [
                    {"sku": "JKT-OCHRE-M", "quantity": 2},
                    {"sku": "LANTERN-BRASS", "quantity": 6},
                ],
            }
        ),
        answered({"valid": False, "results": [_OFFER, _SHORT]}),
    ],
    "post_products_pricing_calculate_cart_value": [
        sent(
            {
                "currency": "USD",
                "items": [{"sku": "JKT-OCHRE-M", "quantity": 2, "price": "139.00"}],
            }
        ),
        answered(
            {
                "currency": "USD",
                "quoteId": "b0c9d3f1a6e24c58",
                "items": [
                    {
                        "sku": "JKT-OCHRE-M",
                        "quantity": 2,
                        "unitPrice": "149.00",
                        "lineSubtotal": "298.00",
                        "lineDiscount": "29.80",
                        "lineTotal": "268.20",
                    }
                ],
                "totals": {
                    "subtotal": "298.00",
                    "discountTotal": "29.80",
                    "shippingTotal": "0.00",
                    "shippingDiscount": "0.00",
                    "shippingTax": "0.00",
                    "taxTotal": "0.00",
                    "grandTotal": "268.20",
                    "pricesIncludeTax": False,
                    "estimated": True,
                },
                "warnings": [
                    {
                        "code": "PRICE_CHANGED",
                        "index": 0,
                        "message": "This is not the price of JKT-OCHRE-M now.",
                        "extra": {"sku": "JKT-OCHRE-M", "from": "139.00", "to": "149.00"},
                    }
                ],
            }
        ),
    ],
    "post_products_pricing_validate": [
        sent({"items": [{"sku": "JKT-OCHRE-M", "quantity": 2, "price": "139.00"}]}),
        answered(
            {
                "valid": False,
                "currency": "USD",
                "results": [
                    {
                        "valid": False,
                        "sku": "JKT-OCHRE-M",
                        "variantId": _VARIANT["id"],
                        "quantity": 2,
                        "price": "139.00",
                        "currentPrice": "149.00",
                        "difference": "10.00",
                        "changed": True,
                        "problem": None,
                    }
                ],
            }
        ),
    ],
    "get_products_by_ref_pricing_recommendations": [
        answered(
            {
                "productId": _JACKET["id"],
                "currency": "USD",
                "quantity": 1,
                "quantityBreaks": [
                    {
                        "variantId": _VARIANT["id"],
                        "sku": "JKT-OCHRE-M",
                        "fromQuantity": 5,
                        "unitPrice": "139.00",
                        "saving": "10.00",
                    }
                ],
                "bundles": [
                    {
                        "bundleId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c041",
                        "slug": "foul-weather-set",
                        "name": "Foul weather set",
                        "price": "199.00",
                        "partsPrice": "213.00",
                        "saving": "14.00",
                    }
                ],
                "promotions": [],
            }
        ),
    ],
    "get_products_by_ref_pricing_history": [
        answered(
            {
                "productId": _JACKET["id"],
                "currency": "USD",
                "variants": [
                    {
                        "variantId": _VARIANT["id"],
                        "sku": "JKT-OCHRE-M",
                        "prices": [
                            {
                                "price": "165.00",
                                "validFrom": None,
                                "validTo": "2026-11-01T00:00:00Z",
                            },
                            {
                                "price": "149.00",
                                "validFrom": "2026-11-01T00:00:00Z",
                                "validTo": None,
                            },
                        ],
                    }
                ],
            }
        ),
    ],
}
