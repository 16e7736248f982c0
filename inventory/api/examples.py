"""What stock and the catalogue's rooms are asked and answer, in goods that a shop by the sea would sell."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent

_PRODUCT = "01990f3c-5a10-7c31-9b0e-2f6d3a41c001"
_VARIANT = "01990f3c-5a10-7c31-9b0e-2f6d3a41c011"
_RECORD: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c101",
    "variantId": _VARIANT,
    "productId": _PRODUCT,
    "sku": "JKT-OCHRE-M",
    "warehouse": "HARBOUR",
    "available": 37,
    "reserved": 5,
    "total": 42,
    "backordered": 0,
    "backorderLimit": None,
    "inventoryPolicy": "deny",
    "reorderLevel": 10,
    "reorderQuantity": 50,
    "createdAt": "2026-04-02T08:15:00Z",
    "updatedAt": "2026-11-21T09:30:00Z",
}


def _record(**changed: Any) -> dict[str, Any]:
    return {**_RECORD, **changed}


_LOW = _record(
    id="01990f3c-5a10-7c31-9b0e-2f6d3a41c102",
    variantId="01990f3c-5a10-7c31-9b0e-2f6d3a41c012",
    sku="LANTERN-BRASS",
    available=4,
    reserved=1,
    total=5,
)


def _received(record: dict[str, Any], units: int) -> dict[str, Any]:
    before = {name: record[name] for name in ("available", "reserved", "total", "backordered")}
    return {
        "stockLevelId": record["id"],
        "sku": record["sku"],
        "warehouse": record["warehouse"],
        "before": before,
        "after": {
            **before,
            "available": before["available"] + units,
            "total": before["total"] + units,
        },
    }


_WAITING: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c201",
    "status": "WAITING",
    "productId": _PRODUCT,
    "variantId": _VARIANT,
    "sku": "JKT-OCHRE-M",
    "name": "Oilskin jacket",
    "quantity": 1,
    "ahead": 2,
    "offeredQuantity": 0,
    "offerExpiresAt": None,
    "secondsLeft": 0,
    "requestedAt": "2026-11-21T09:00:00Z",
}

EXAMPLES: Examples = {
    # --- records, staff ---
    "get_inventory": [
        answered(
            listed(
                _LOW,
                _RECORD,
                following="https://shop.example/api/v1/inventory?limit=2&cursor=eyJkI",
            )
        )
    ],
    "post_inventory": [
        sent(
            {
                "sku": "JKT-OCHRE-M",
                "warehouse": "HARBOUR",
                "available": 42,
                "reorderLevel": 10,
                "reorderQuantity": 50,
                "reference": "PO-2026-117",
            }
        ),
        answered(_record(available=42, reserved=0), status=201),
    ],
    "get_inventory_by_stock_level_id": [answered(_RECORD)],
    "put_inventory_by_stock_level_id": [
        sent({"reorderLevel": 15, "reorderQuantity": 60, "backorderLimit": 20}),
        answered(_record(reorderLevel=15, reorderQuantity=60, backorderLimit=20)),
    ],
    "patch_inventory_by_stock_level_id": [
        sent({"reorderLevel": 15}),
        answered(_record(reorderLevel=15)),
    ],
    "post_inventory_by_stock_level_id_adjust": [
        sent(
            {
                "quantity": 24,
                "type": "PURCHASE",
                "reference": "PO-2026-118",
                "notes": "came on the morning boat",
            },
            "Bought",
        ),
        sent({"quantity": -2, "type": "DAMAGE", "notes": "torn sleeves"}, "Written off"),
        answered(_record(available=61, total=66)),
    ],
    "post_inventory_by_stock_level_id_receive": [
        sent({"quantity": 24, "reference": "PO-2026-118"}),
        answered(_record(available=61, total=66)),
    ],
    "post_inventory_receive": [
        sent(
            {
                "warehouse": "HARBOUR",
                "reference": "PO-2026-118",
                "lines": [
                    {"sku": "JKT-OCHRE-M", "quantity": 24},
                    {"sku": "LANTERN-BRASS", "quantity": 12},
                ],
            }
        ),
        answered(
            {
                "results": [
                    _received(_RECORD, 24),
                    _received(_LOW, 12),
                ]
            }
        ),
    ],
    "post_inventory_by_stock_level_id_transfer": [
        sent({"quantity": 6, "warehouse": "ISLAND", "reference": "FERRY-7"}),
        answered(
            {
                "sourceRecord": _record(available=31, total=36),
                "targetRecord": _record(
                    id="01990f3c-5a10-7c31-9b0e-2f6d3a41c103",
                    warehouse="ISLAND",
                    available=6,
                    reserved=0,
                    total=6,
                ),
            }
        ),
    ],
    "post_inventory_by_stock_level_id_count": [
        sent({"quantity": 41, "seen": 42, "notes": "spring count"}),
        answered(_record(available=36, total=41)),
    ],
    "post_inventory_by_stock_level_id_damage": [
        sent({"quantity": 2, "notes": "wet through", "releaseHolds": False}),
        answered(_record(available=35, total=40)),
    ],
    "get_inventory_by_stock_level_id_transactions": [
        answered(
            listed(
                {
                    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c301",
                    "type": "PURCHASE",
                    "quantity": 24,
                    "balance": 66,
                    "orderLineId": None,
                    "reference": "PO-2026-118",
                    "notes": "came on the morning boat",
                    "actor": "admin@example.com",
                    "source": "api",
                    "createdAt": "2026-11-21T09:30:00Z",
                },
                {
                    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c300",
                    "type": "SALE",
                    "quantity": -1,
                    "balance": 42,
                    "orderLineId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c401",
                    "reference": "ORD-20261120-000041",
                    "notes": "",
                    "actor": "system",
                    "source": "webhook",
                    "createdAt": "2026-11-20T16:02:11Z",
                },
            )
        )
    ],
    "get_inventory_product_by_product_id": [
        answered(listed(_RECORD), "For staff"),
    ],
    "get_products_inventory_low_stock": [answered(listed(_LOW))],
    "get_products_inventory_analytics": [
        answered(
            {
                "days": 30,
                "unitsOnShelf": 1840,
                "unitsReserved": 92,
                "unitsOwed": 3,
                "unitsSold": 610,
                "unitsReturned": 14,
                "reservedPercent": 5,
                "expiredHoldPercent": 11,
                "turnoverPercent": 31,
                "daysOfCover": 90,
            }
        )
    ],
    # --- for everybody ---
    "post_products_inventory_check": [
        sent(
            {
                "items": [
                    {"sku": "JKT-OCHRE-M", "quantity": 2},
                    {"sku": "LANTERN-BRASS", "quantity": 6},
                ]
            }
        ),
        answered(
            {
                "results": [
                    {
                        "sku": "JKT-OCHRE-M",
                        "quantity": 2,
                        "sufficient": True,
                        "available": 10,
                        "code": None,
                    },
                    {
                        "sku": "LANTERN-BRASS",
                        "quantity": 6,
                        "sufficient": False,
                        "available": 4,
                        "code": None,
                    },
                ]
            }
        ),
    ],
    "post_products_inventory_reserve": [
        sent({"items": [{"sku": "JKT-OCHRE-M", "quantity": 2}]}),
        answered(
            {
                "expiresAt": "2026-11-21T09:45:00Z",
                "results": [
                    {
                        "holdId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c501",
                        "sku": "JKT-OCHRE-M",
                        "quantity": 2,
                        "expiresAt": "2026-11-21T09:45:00Z",
                    }
                ],
            },
            status=201,
        ),
    ],
    "post_products_inventory_release": [
        sent({"holdIds": ["01990f3c-5a10-7c31-9b0e-2f6d3a41c501"]}),
        answered({"released": 1}),
    ],
    "get_products_by_ref_inventory": [
        answered(
            {
                "productId": _PRODUCT,
                "available": 10,
                "inStock": True,
                "variants": [
                    {
                        "id": _VARIANT,
                        "sku": "JKT-OCHRE-M",
                        "available": 10,
                        "inStock": True,
                        "onBackorder": False,
                    },
                    {
                        "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c013",
                        "sku": "JKT-KELP-M",
                        "available": 0,
                        "inStock": False,
                        "onBackorder": False,
                    },
                ],
            }
        )
    ],
    "get_products_health": [
        answered({"status": "ok"}, "For everybody"),
        answered(
            {
                "status": "degraded",
                "problems": ["holds are overdue by 95 s"],
                "products": 214,
                "variants": 806,
                "withoutStockRecord": 2,
                "low": 9,
                "outOfStock": 4,
                "overdueHolds": 31,
            },
            "For staff",
        ),
    ],
    "get_categories": [
        answered(
            listed(
                {
                    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c601",
                    "slug": "clothing",
                    "name": "Clothing",
                    "description": "Against wind and spray.",
                    "image": "/media/categories/clothing.webp",
                    "parent": None,
                },
                {
                    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41c602",
                    "slug": "jackets",
                    "name": "Jackets",
                    "description": "",
                    "image": "",
                    "parent": "clothing",
                },
            )
        )
    ],
    # --- waiting for what is gone ---
    "post_products_by_ref_back_in_stock": [
        sent({"sku": "JKT-KELP-M", "quantity": 2}, "Two of a variant"),
        sent({"sku": "JKT-KELP-M", "email": "ann@example.com"}, "A guest"),
        answered(_WAITING, "A place in the line", status=201),
        answered({"status": "CONFIRMATION_SENT"}, "The address was asked", status=202),
    ],
    "get_back_in_stock": [
        answered(
            listed(
                {
                    **_WAITING,
                    "status": "OFFERED",
                    "ahead": 0,
                    "offeredQuantity": 1,
                    "offerExpiresAt": "2026-11-21T10:00:00Z",
                    "secondsLeft": 1530,
                }
            )
        )
    ],
    "post_back_in_stock_confirm": [
        sent({"token": "WyIwMTk5MGYzYyJd:1wX2a:Jm0y3vQ8sW"}),
        answered({"status": "WAITING"}),
    ],
    "get_inventory_back_in_stock": [
        answered(
            listed(
                {
                    "id": _WAITING["id"],
                    "status": "WAITING",
                    "sku": "JKT-KELP-M",
                    "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c013",
                    "userId": None,
                    "email": "ann@example.com",
                    "quantity": 1,
                    "ahead": 2,
                    "offeredQuantity": 0,
                    "offerExpiresAt": None,
                    "requestedAt": "2026-11-21T09:00:00Z",
                }
            )
        )
    ],
    # --- pictures, staff ---
    "post_products_by_ref_images": [
        sent(
            {
                "image": "(the bytes of the file)",
                "alt": "An oilskin jacket on a hook",
                "position": 0,
                "sku": "JKT-OCHRE-M",
            },
            media_type="multipart/form-data",
        )
    ],
    "patch_products_by_ref_images_by_image_id": [
        sent({"alt": "An enamel mug on a windowsill", "position": 2})
    ],
}
