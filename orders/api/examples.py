"""How an order explains itself, and what the tax report says."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent

_ITEM = "01990f3c-5a10-7c31-9b0e-2f6d3a41e011"
_EXPLAINED: dict[str, Any] = {
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e001",
    "number": "ORD-20261121-000003",
    "quoteId": "4a9c4dda06f82644dccddedf60d730fa",
    "currency": "USD",
    "steps": [
        {
            "kind": "list_price",
            "label": "2 × LANTERN-BRASS",
            "itemId": _ITEM,
            "amount": "128.00",
            "runningTotal": "128.00",
        },
        {
            "kind": "shipping",
            "label": "Standard",
            "itemId": None,
            "amount": "6.90",
            "runningTotal": "134.90",
        },
        {
            "kind": "tax",
            "label": "ME sales tax 5.5 %",
            "itemId": None,
            "amount": "7.42",
            "runningTotal": "142.32",
        },
    ],
    "notApplied": [],
    "rules": {
        "pricedAt": "2026-11-21T09:30:00Z",
        "destination": {"country": "US", "state": "ME", "postalCode": "04101"},
        "codes": [],
        "taxRounding": "line",
        "promotions": [],
        "taxRates": [
            {
                "name": "ME sales tax",
                "type": "SALES_TAX",
                "rate": "0.055",
                "country": "US",
                "state": "ME",
                "taxClass": "standard",
                "included": False,
            }
        ],
        "shipping": {
            "option": "standard",
            "name": "Standard",
            "zone": "United States",
            "type": "FLAT_RATE",
            "price": "6.90",
            "freeOver": "150.00",
        },
    },
}
_REPORT: dict[str, Any] = {
    "dateFrom": "2026-11-01",
    "dateTo": "2026-11-30",
    "rows": [
        {
            "currency": "USD",
            "jurisdiction": "US-ME",
            "country": "US",
            "state": "ME",
            "type": "SALES_TAX",
            "name": "ME sales tax",
            "rate": "0.055",
            "relief": None,
            "base": "470.00",
            "collected": "25.85",
            "refundedBase": "64.00",
            "refunded": "3.52",
            "netBase": "406.00",
            "net": "22.33",
            "orders": 7,
        }
    ],
    "totals": [{"currency": "USD", "collected": "25.85", "refunded": "3.52", "net": "22.33"}],
}

_DISPUTE: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41f001",
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f101",
    "orderNumber": "ORD-20261121-000042",
    "itemId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f201",
    "sku": "JKT-OCHRE-M",
    "name": "Oilskin jacket",
    "currency": "USD",
    "quantity": 1,
    "unitPrice": "149.00",
    "lineTotal": "149.00",
    "claimedPrice": "139.00",
    "reason": "SHOWN_LOWER",
    "evidence": "The page said 139.00 on Friday evening.",
    "status": "OPEN",
    "answer": "",
    "amount": None,
    "openedAt": "2026-11-21T09:30:00Z",
    "resolvedAt": None,
}
_DECIDED: dict[str, Any] = {
    **_DISPUTE,
    "status": "ADJUSTED",
    "answer": "You are right: the offer ended an hour too early.",
    "amount": "10.00",
    "resolvedAt": "2026-11-22T08:00:00Z",
}

_ITEM_SENT = "01990f3c-5a10-7c31-9b0e-2f6d3a41e101"
_ORDER = "01990f3c-5a10-7c31-9b0e-2f6d3a41e001"
_SHIPMENT: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e201",
    "status": "shipped",
    "carrier": "Coastal Post",
    "trackingNumber": "CP20261121",
    "trackingUrl": "https://post.example/CP20261121",
    "items": [{"itemId": _ITEM_SENT, "quantity": 2}],
    "shippedAt": "2026-11-21T09:30:00.000Z",
    "deliveredAt": None,
}
_TASK: dict[str, Any] = {
    "warehouse": "HARBOUR",
    "warehouseName": "Harbour store",
    "orderId": _ORDER,
    "orderNumber": "ORD-20261121-000001",
    "orderStatus": "confirmed",
    "placedAt": "2026-11-21T08:00:00.000Z",
    "itemId": _ITEM_SENT,
    "sku": "MUG-BONE",
    "name": "Harbour Enamel Mug",
    "options": {"Colour": "Bone"},
    "quantity": 4,
    "waiting": 0,
    "note": "",
    "shippingName": "Standard",
}
_SUMS: dict[str, Any] = {
    "orders": 3,
    "units": 7,
    "revenue": "210.00",
    "refunded": "12.50",
    "netRevenue": "197.50",
    "averageOrderValue": "70.00",
    "cancelled": 0,
    "cancellationRate": "0.0000",
    "returned": 1,
    "returnedUnits": 1,
    "returnRate": "0.3333",
}
_SHIP = sent(
    {
        "items": [{"itemId": _ITEM_SENT, "quantity": 2}],
        "carrier": "Coastal Post",
        "trackingNumber": "CP20261121",
        "trackingUrl": "https://post.example/CP20261121",
    },
    "Two units in a parcel",
)

_RETURN: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e301",
    "orderId": _ORDER,
    "status": "APPROVED",
    "items": [
        {
            "itemId": _ITEM_SENT,
            "quantity": 1,
            "reason": "It does not fit",
            "damaged": False,
            "exchangeFor": {
                "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e401",
                "sku": "JKT-OCHRE-L",
            },
            "received": None,
            "damagedQuantity": 0,
        }
    ],
    "exchangeOrder": {
        "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e002",
        "number": "ORD-20261128-000077",
        "status": "draft",
        "grandTotal": "149.00",
        "paidByExchange": "0.00",
        "toPay": None,
    },
    "exchangeFailure": None,
    "refundAmount": "0.00",
    "notes": "",
    "requestedAt": "2026-11-27T09:30:00.000Z",
    "decidedAt": "2026-11-28T10:00:00.000Z",
    "receivedAt": None,
}
_RETURN_ASKED: dict[str, Any] = {
    **_RETURN,
    "status": "REQUESTED",
    "exchangeOrder": None,
    "decidedAt": None,
}
_RETURN_CAME: dict[str, Any] = {
    **_RETURN,
    "status": "RECEIVED",
    "items": [{**_RETURN["items"][0], "received": 1}],
    "exchangeOrder": {
        **_RETURN["exchangeOrder"],
        "status": "confirmed",
        "paidByExchange": "149.00",
    },
    "refundAmount": "149.00",
    "receivedAt": "2026-12-02T14:10:00.000Z",
}
_PROPOSAL: dict[str, Any] = {
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e001",
    "orderNumber": "ORD-20261121-000003",
    "currency": "USD",
    "quoteId": "5b3c4dda06f82644dccddedf60d7307b",
    "items": [
        {
            "itemId": _ITEM,
            "sku": "LANTERN-BRASS",
            "name": "Brass Lantern",
            "unitPrice": "64.00",
            "quantityBefore": 2,
            "quantityAfter": 1,
            "refund": "67.52",
        }
    ],
    "added": [],
    "shipping": {
        "optionBefore": "standard",
        "optionAfter": "standard",
        "nameAfter": "Standard",
        "priceBefore": "6.90",
        "priceAfter": "6.90",
        "difference": "0.00",
        "refund": "0.00",
        "waived": "0.00",
        "options": [],
    },
    "shippingAddress": {
        "name": "Ada Marsh",
        "line1": "1 Harbour Street",
        "line2": "",
        "city": "Portland",
        "state": "ME",
        "postalCode": "04101",
        "country": "US",
        "phone": "",
    },
    "billingAddress": None,
    "paidBefore": "142.32",
    "difference": {"kind": "refund", "toPay": "0.00", "toRefund": "67.52"},
}
_GROWN: dict[str, Any] = {
    **_PROPOSAL,
    "quoteId": "77e04dda06f82644dccddedf60d73a01",
    "items": [{**_PROPOSAL["items"][0], "quantityAfter": 2, "refund": "0.00"}],
    "added": [
        {
            "sku": "MUG-BONE",
            "name": "Harbour Enamel Mug",
            "quantity": 1,
            "unitPrice": "18.00",
            "lineDiscount": "0.00",
            "lineTax": "0.99",
            "lineTotal": "18.99",
        }
    ],
    "shipping": {
        **_PROPOSAL["shipping"],
        "optionAfter": "express",
        "nameAfter": "Express",
        "priceAfter": "19.00",
        "difference": "12.10",
        "options": [
            {"id": "standard", "name": "Standard", "price": "6.90"},
            {"id": "express", "name": "Express", "price": "19.00"},
        ],
    },
    "difference": {"kind": "payment", "toPay": "31.76", "toRefund": "0.00"},
}
_MOVED: dict[str, Any] = {
    **_PROPOSAL,
    "quoteId": "0c1f4dda06f82644dccddedf60d7aa55",
    "items": _GROWN["items"],
    "shippingAddress": {**_PROPOSAL["shippingAddress"], "line1": "2 Harbour Street"},
    "difference": {"kind": "none", "toPay": "0.00", "toRefund": "0.00"},
}
_GROW: dict[str, Any] = {
    "add": [{"sku": "MUG-BONE", "quantity": 1}],
    "shippingOption": "express",
}
_EDITED: dict[str, Any] = {"id": _PROPOSAL["orderId"], "number": _PROPOSAL["orderNumber"]}

EXAMPLES: Examples = {
    "post_orders_by_reference_returns": [
        sent(
            {
                "items": [
                    {
                        "itemId": _ITEM_SENT,
                        "quantity": 1,
                        "reason": "It does not fit",
                        "exchangeFor": {"sku": "JKT-OCHRE-L"},
                    }
                ],
                "notes": "",
            },
            "One unit back, the next size instead",
        ),
        answered(_RETURN_ASKED, status=201),
    ],
    "get_orders_by_reference_returns": [answered(listed(_RETURN))],
    "post_orders_returns_by_return_id_approve": [answered(_RETURN)],
    "post_orders_returns_by_return_id_close": [
        sent({"notes": "Nothing came in five weeks."}, "Why"),
        answered(
            {
                **_RETURN,
                "status": "CLOSED",
                "exchangeOrder": {**_RETURN["exchangeOrder"], "status": "cancelled"},
                "notes": "Nothing came in five weeks.",
            }
        ),
    ],
    "post_orders_returns_by_return_id_withdraw": [
        answered({**_RETURN_ASKED, "status": "WITHDRAWN", "decidedAt": "2026-11-27T11:00:00.000Z"})
    ],
    "post_orders_returns_by_return_id_receive": [
        sent({"items": [{"itemId": _ITEM_SENT, "received": 1, "damaged": 0}]}, "As it was counted"),
        answered(_RETURN_CAME),
    ],
    "get_orders_by_reference_shipments": [answered(listed(_SHIPMENT))],
    "post_orders_by_reference_shipments": [_SHIP, answered(_SHIPMENT, status=201)],
    "post_orders_by_reference_ship": [_SHIP],
    "patch_orders_by_reference_shipments_by_shipment_id": [
        sent({"trackingNumber": "CP20261122", "reason": "typing error"}),
        answered({**_SHIPMENT, "trackingNumber": "CP20261122"}),
    ],
    "post_orders_by_reference_shipments_by_shipment_id_deliver": [
        answered({**_SHIPMENT, "status": "delivered", "deliveredAt": "2026-11-24T14:05:00.000Z"})
    ],
    "get_orders_picking": [answered(listed(_TASK))],
    "get_orders_analytics": [
        answered(
            {
                "from": "2026-11-01",
                "to": "2026-11-07",
                "period": "week",
                "currency": "USD",
                "currencies": ["EUR", "USD"],
                "totals": _SUMS,
                "periods": [{"start": "2026-10-26", **_SUMS}],
                "topProducts": [
                    {
                        "productId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c001",
                        "name": "Harbour Enamel Mug",
                        "units": 4,
                        "revenue": "72.00",
                    }
                ],
                "byStatus": {"confirmed": 1, "shipped": 2},
            }
        )
    ],
    "price_disputes_list": [answered(listed(_DISPUTE))],
    "post_products_pricing_disputes": [
        sent(
            {
                "order": "ORD-20261121-000042",
                "itemId": _DISPUTE["itemId"],
                "reason": "SHOWN_LOWER",
                "evidence": _DISPUTE["evidence"],
                "claimedPrice": "139.00",
            }
        ),
        answered(_DISPUTE, status=201),
    ],
    "get_products_pricing_disputes_by_dispute_id": [answered(_DECIDED)],
    "post_products_pricing_disputes_by_dispute_id_decide": [
        sent({"status": "ADJUSTED", "answer": _DECIDED["answer"], "amount": "10.00"}),
        answered(_DECIDED),
    ],
    "post_orders_by_reference_edits_preview": [
        sent({"items": [{"itemId": _ITEM, "quantity": 1}]}, "One unit less"),
        sent(_GROW, "Something more, and faster"),
        sent({"shippingAddress": _MOVED["shippingAddress"]}, "Another address"),
        answered(_PROPOSAL, "One unit less"),
        answered(_GROWN, "Something more, and faster"),
        answered(_MOVED, "Another address"),
    ],
    "post_orders_by_reference_edits": [
        sent(
            {
                "items": [{"itemId": _ITEM, "quantity": 1}],
                "quoteId": _PROPOSAL["quoteId"],
                "reason": "one is enough",
            },
            "One unit less",
        ),
        sent({**_GROW, "quoteId": _GROWN["quoteId"]}, "Something more, and faster"),
        answered(
            {
                "quoteId": _PROPOSAL["quoteId"],
                "toPay": "0.00",
                "toRefund": "67.52",
                "addition": None,
                "order": _EDITED,
            },
            "One unit less",
        ),
        answered(
            {
                "quoteId": _GROWN["quoteId"],
                "toPay": "31.76",
                "toRefund": "0.00",
                "addition": {
                    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41e00b",
                    "orderNumber": "ORD-20261121-000009",
                    "status": "draft",
                    "paymentStatus": "pending",
                    "grandTotal": "31.76",
                },
                "order": _EDITED,
            },
            "Something more, and faster",
        ),
    ],
    "get_orders_by_reference_explain": [answered(_EXPLAINED)],
    "get_tax_report": [answered(_REPORT)],
}
