"""What checkout and payments are asked and answered, where a word about it helps."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent

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

_ADDRESS: dict[str, Any] = {
    "name": "Ada Marsh",
    "line1": "1 Harbour Street",
    "line2": "",
    "city": "Portland",
    "state": "ME",
    "postalCode": "04101",
    "country": "US",
    "phone": "",
}
_ENTRY: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41f001",
    **_ADDRESS,
    "isDefaultShipping": True,
    "isDefaultBilling": True,
    "createdAt": "2026-11-21T09:30:00.000Z",
    "updatedAt": "2026-11-21T09:30:00.000Z",
}

_RUN: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a1",
    "since": "2026-11-18T00:00:00.000Z",
    "until": "2026-11-21T00:00:00.000Z",
    "mends": False,
    "state": "DONE",
    "percent": 100,
    "counts": [{"kind": "not_recorded", "count": 1}],
    "mended": 0,
    "left": 1,
    "error": None,
    "requestedBy": "staff:01990f3c-5a10-7c31-9b0e-2f6d3a41f0b1",
    "requestedAt": "2026-11-21T09:30:00.000Z",
    "startedAt": "2026-11-21T09:30:01.000Z",
    "endedAt": "2026-11-21T09:30:04.000Z",
}
_FINDING: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a2",
    "kind": "not_recorded",
    "reason": None,
    "state": "OPEN",
    "provider": "stripe",
    "providerId": "pi_3P0000000000000000000001",
    "paymentId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a3",
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a4",
    "orderNumber": "ORD-20261120-000017",
    "currency": "USD",
    "theirs": "134.90",
    "ours": "0.00",
    "paidAt": "2026-11-20T17:12:00.000Z",
    "firstSeenAt": "2026-11-21T09:30:03.000Z",
    "lastSeenAt": "2026-11-21T09:30:03.000Z",
    "closedAt": None,
    "closedBy": None,
    "outcome": None,
}
_OPEN: dict[str, Any] = {**_FINDING, "steps": ["settle", "look"], "seen": "OPEN:134.900:0.000"}
_CLOSED: dict[str, Any] = {
    **_FINDING,
    "state": "FIXED",
    "ours": "0.00",
    "closedAt": "2026-11-21T09:41:00.000Z",
    "closedBy": "staff:01990f3c-5a10-7c31-9b0e-2f6d3a41f0b1",
    "outcome": "The payment was settled.",
    "steps": [],
    "seen": "FIXED:134.900:0.000",
}
_REFUND: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a5",
    "orderId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f0a4",
    "amount": "5.00",
    "paidOut": "5.00",
    "currency": "USD",
    "status": "failed",
    "reason": "came late",
    "failure": "The account is closed.",
    "requestedBy": "staff:01990f3c-5a10-7c31-9b0e-2f6d3a41f0b1",
    "requestedAt": "2026-11-21T09:30:00.000Z",
    "doneAt": None,
    "outside": None,
}
_OUTSIDE: dict[str, Any] = {
    "means": "bank_transfer",
    "reference": "TR-88412",
    "reason": "The card is closed.",
    "paidOn": "2026-11-21",
}

_BACK: dict[str, Any] = {  # abridged: a cart as `GET /cart` has it
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41d101",
    "status": "ACTIVE",
    "version": 4,
    "currency": "USD",
    "quoteId": "b0c9d3f1a6e24c58",
}

EXAMPLES: Examples = {
    "post_orders_by_reference_edit_in_cart": [
        answered(
            {
                **_BACK,
                "report": [
                    {
                        "sku": "LANTERN-BRASS",
                        "name": "Brass Lantern",
                        "status": "added",
                        "requested": 2,
                        "added": 2,
                        "list": "active",
                        "reason": None,
                        "itemId": "01990f3c-5a10-7c31-9b0e-2f6d3a41d102",
                        "oldPrice": "64.00",
                        "unitPrice": "64.00",
                    }
                ],
                "cart": _BACK,
            },
            "The cart, and what became of each line",
        ),
    ],
    "get_payments_reconciliation_runs": [answered(listed(_RUN))],
    "post_payments_reconciliation_runs": [
        sent({}, "The last three days"),
        sent(
            {"since": "2026-11-01T00:00:00Z", "until": "2026-11-21T00:00:00Z", "mends": True},
            "A period, and mend what is safe",
        ),
        answered(
            {
                **_RUN,
                "state": "WAITING",
                "percent": 0,
                "counts": [],
                "left": 0,
                "startedAt": None,
                "endedAt": None,
            },
            status=201,
        ),
    ],
    "get_payments_reconciliation_runs_by_run_id": [answered(_RUN)],
    "get_payments_reconciliation_findings": [answered(listed(_FINDING))],
    "get_payments_reconciliation_findings_by_finding_id": [answered(_OPEN)],
    "post_payments_reconciliation_findings_by_finding_id_fix": [
        sent({"step": "settle", "seen": "OPEN:134.900:0.000"}),
        answered(_CLOSED),
    ],
    "post_payments_reconciliation_findings_by_finding_id_explain": [
        sent({"reason": "A rehearsal of ours.", "seen": "OPEN:134.900:0.000"}),
        answered({**_CLOSED, "state": "EXPLAINED", "outcome": "A rehearsal of ours."}),
    ],
    "get_orders_by_reference_refunds": [answered(listed(_REFUND))],
    "post_orders_by_reference_refunds_by_refund_id_retry": [
        answered({**_REFUND, "status": "due", "failure": None})
    ],
    "post_orders_by_reference_refunds_by_refund_id_pay_outside": [
        sent(_OUTSIDE),
        answered(
            {
                **_REFUND,
                "status": "done",
                "failure": None,
                "doneAt": "2026-11-21T09:41:00.000Z",
                "outside": {
                    **_OUTSIDE,
                    "notedBy": "staff:01990f3c-5a10-7c31-9b0e-2f6d3a41f0b1",
                    "notedAt": "2026-11-21T09:41:00.000Z",
                },
            },
            status=201,
        ),
    ],
    "post_cart_express_paypal_create_order": [
        answered(
            {
                "orderId": "5O190127TN364715T",
                "approveUrl": "https://www.paypal.com/checkoutnow?token=5O190127TN364715T",
                "checkoutId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f00a",
                "amount": "134.90",
                "currency": "USD",
                "quoteId": "f1c2a4e09b7d4c55a1d8e6b3902c7f14",
            },
            status=201,
        ),
    ],
    "post_cart_express_apple_pay_session": [
        sent({"validationUrl": "https://apple-pay-gateway.apple.com/paymentservices/startSession"}),
        answered(
            {
                "checkoutId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f00a",
                "quoteId": "f1c2a4e09b7d4c55a1d8e6b3902c7f14",
                "merchantSession": {
                    "epochTimestamp": 1795253400000,
                    "expiresAt": 1795253700000,
                    "merchantSessionIdentifier": "SSH9A1C0E0A1B2",
                    "nonce": "4f1c2a4e",
                    "domainName": "shop.example.com",
                    "displayName": "Holdfast",
                    "signature": "308006092a864886f70d010702",
                },
                "paymentRequest": {
                    "countryCode": "US",
                    "currencyCode": "USD",
                    "supportedNetworks": ["amex", "discover", "jcb", "masterCard", "visa"],
                    "merchantCapabilities": ["supports3DS"],
                    "total": {"label": "Holdfast", "amount": "134.90", "type": "pending"},
                    "lineItems": [{"label": "Subtotal", "amount": "134.90", "type": "pending"}],
                    "requiredShippingContactFields": ["email", "name", "postalAddress"],
                },
            }
        ),
    ],
    "post_cart_express_google_pay_session": [
        answered(
            {
                "checkoutId": "01990f3c-5a10-7c31-9b0e-2f6d3a41f00a",
                "quoteId": "f1c2a4e09b7d4c55a1d8e6b3902c7f14",
                "environment": "TEST",
                "paymentDataRequest": {
                    "apiVersion": 2,
                    "apiVersionMinor": 0,
                    "transactionInfo": {
                        "totalPriceStatus": "ESTIMATED",
                        "totalPrice": "134.90",
                        "currencyCode": "USD",
                        "countryCode": "US",
                    },
                },
            }
        ),
    ],
    "post_cart_express_paypal_capture": [
        sent({"orderId": "5O190127TN364715T"}, "As it was approved"),
        sent(
            {"orderId": "5O190127TN364715T", "quoteId": "f1c2a4e09b7d4c55a1d8e6b3902c7f14"},
            "With the new total accepted",
        ),
    ],
    "get_addresses": [answered(listed(_ENTRY))],
    "post_addresses": [
        sent(_ADDRESS),
        sent(
            {
                "name": "Ada Marsh",
                "line1": "1 Harbour Street",
                "city": "Portland",
                "state": "Maine",
                "zipCode": "04101",
                "country": "USA",
            },
            "With other names",
        ),
        answered(_ENTRY, status=201),
    ],
    "get_addresses_by_address_id": [answered(_ENTRY)],
    "patch_addresses_by_address_id": [
        sent({"isDefaultBilling": True}),
        answered(_ENTRY),
    ],
    "get_checkout_shipping_options": _SHIPPING[2:],
    "post_checkout_shipping_options": _SHIPPING,
    "post_checkout_shipping_calculate": _SHIPPING,
    "post_checkout_tax_calculate": [
        sent({**_ITEMS, "shippingOption": "standard"}, "Items that are named"),
        sent({}, "My checkout as it stands"),
        answered(_TAXES),
    ],
}
