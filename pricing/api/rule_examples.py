"""What the rules of prices are asked and answer: promotions, codes, taxes, rates, and how prices changed."""

from __future__ import annotations

from typing import Any

from config.platform.examples import Examples, answered, listed, sent

_RATE: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e001",
    "base": "USD",
    "quote": "EUR",
    "rate": "0.92",
    "validFrom": "2026-11-21T00:00:00Z",
    "validUntil": None,
    "source": "staff",
}
_TAX: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e101",
    "name": "Maine sales tax",
    "type": "SALES_TAX",
    "country": "US",
    "state": "ME",
    "postalPattern": "",
    "taxClass": "standard",
    "rate": "0.055",
    "included": False,
    "compound": False,
    "onShipping": False,
    "priority": 0,
    "validFrom": "2026-01-01",
    "validTo": None,
    "active": True,
}
_PRICE_CHANGE: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e201",
    "variantId": "01990f3c-5a10-7c31-9b0e-2f6d3a41c011",
    "sku": "JKT-OCHRE-M",
    "currency": "USD",
    "oldPrice": "180.00",
    "newPrice": "149.00",
    "kind": "base",
    "specialPriceId": None,
    "groupId": None,
    "fromQuantity": 1,
    "validFrom": "2026-11-21T09:00:00Z",
    "validTo": None,
    "actor": "staff:01990f3c-5a10-7c31-9b0e-2f6d3a41a001",
    "reason": "Autumn prices",
    "changedAt": "2026-11-21T09:00:00Z",
}
_PROMOTION_ID = "01990f3c-5a10-7c31-9b0e-2f6d3a41e301"
_PROMOTION: dict[str, Any] = {
    "id": _PROMOTION_ID,
    "name": "First frost",
    "code": "FROST10",
    "kind": "PERCENTAGE",
    "scope": "CART",
    "value": "10",
    "currency": None,
    "minimumOrder": "50.00",
    "endsAt": "2026-12-01T00:00:00Z",
    "codes": ["FROST10"],
    "settings": {},
    "productIds": [],
    "categoryIds": [],
    "excludedProductIds": [],
    "excludedCategoryIds": [],
    "userIds": [],
    "groupIds": [],
    "firstOrderOnly": False,
    "newCustomerDays": None,
    "minimumQuantity": None,
    "weekdays": [],
    "opensAt": None,
    "closesAt": None,
    "maximumDiscount": "40.00",
    "startsAt": "2026-11-23T08:00:00Z",
    "usageLimit": 500,
    "perCustomerLimit": 1,
    "reminderStage": None,
    "used": 41,
    "isAutomatic": False,
    "stackable": False,
    "advertised": True,
    "active": True,
    "priority": 0,
}
_BATCH: dict[str, Any] = {
    "id": "01990f3c-5a10-7c31-9b0e-2f6d3a41e401",
    "promotionId": _PROMOTION_ID,
    "name": "Harbour fair flyer",
    "prefix": "FAIR",
    "length": 12,
    "number": 500,
    "used": 12,
    "unused": 488,
    "revoked": 0,
    "expiresAt": "2027-01-01T00:00:00Z",
    "revokedAt": None,
    "createdAt": "2026-11-21T09:30:00Z",
}

_PREVIEW_TOTALS: dict[str, Any] = {
    "subtotal": "149.00",
    "discountTotal": "14.90",
    "shippingTotal": "0.00",
    "shippingDiscount": "0.00",
    "shippingTax": "0.00",
    "taxTotal": "0.00",
    "grandTotal": "134.10",
    "pricesIncludeTax": False,
    "estimated": True,
}

RULES: Examples = {
    "get_exchange_rates": [answered(listed(_RATE))],
    "post_exchange_rates": [
        sent({"quote": "EUR", "rate": "0.92", "validUntil": None}),
        answered(_RATE, status=201),
    ],
    "exchange_rates_convert": [
        answered(
            {
                "amount": "149.00",
                "currency": "USD",
                "convertedAmount": "137.08",
                "convertedCurrency": "EUR",
                "base": "USD",
                "quote": "EUR",
                "rate": "0.92",
                "validFrom": "2026-11-21T00:00:00Z",
            }
        )
    ],
    "tax_rates_list": [answered(listed(_TAX))],
    "post_tax_rates": [
        sent(
            {
                "name": "Maine sales tax",
                "type": "SALES_TAX",
                "country": "US",
                "state": "ME",
                "rate": "0.055",
                "onShipping": False,
                "validFrom": "2026-01-01",
            }
        ),
        answered(_TAX, status=201),
    ],
    "get_tax_rates_by_tax_rate_id": [answered(_TAX)],
    "patch_tax_rates_by_tax_rate_id": [sent({"active": True}), answered(_TAX)],
    "price_changes_list": [answered(listed(_PRICE_CHANGE))],
    "promotions_list": [answered(listed(_PROMOTION))],
    "post_promotions": [
        sent(
            {
                "code": "FROST10",
                "name": "First frost",
                "kind": "PERCENTAGE",
                "scope": "CART",
                "value": "10",
                "minimumOrder": "50.00",
                "startsAt": "2026-11-23T08:00:00Z",
                "endsAt": "2026-12-01T00:00:00Z",
                "usageLimit": 500,
                "perCustomerLimit": 1,
                "stackable": False,
            },
            "A code",
        ),
        sent(
            {
                "name": "Three for two",
                "kind": "BUY_X_GET_Y",
                "scope": "PRODUCT",
                "value": "0",
                "settings": {"buy": 2, "get": 1, "percent": "100"},
            },
            "By itself",
        ),
        answered(_PROMOTION, status=201),
    ],
    "promotions_active_list": [
        answered(
            listed(
                {
                    name: _PROMOTION[name]
                    for name in (
                        "id",
                        "name",
                        "code",
                        "kind",
                        "scope",
                        "value",
                        "currency",
                        "minimumOrder",
                        "endsAt",
                    )
                }
            )
        )
    ],
    "get_promotions_by_promotion_id": [answered(_PROMOTION)],
    "patch_promotions_by_promotion_id": [sent({"active": True}), answered(_PROMOTION)],
    "post_promotions_by_promotion_id_restore": [
        sent({"reason": "Deleted by mistake"}),
        answered({**_PROMOTION, "active": False}),
    ],
    "promotion_batches_list": [answered(listed(_BATCH))],
    "post_promotions_by_promotion_id_batches": [
        sent(
            {
                "name": "Harbour fair flyer",
                "number": 500,
                "prefix": "FAIR",
                "expiresAt": "2027-01-01T00:00:00Z",
            }
        ),
        answered({**_BATCH, "used": 0, "unused": 500}, status=201),
    ],
    "get_coupon_batches_by_batch_id_codes": [
        answered(
            "code,status,used,uses,valid until\r\nFAIR-7K2MPQXR4TBW,unused,0,1,2027-01-01T00:00:00+00:00\r\n",
            media_type="text/csv",
        )
    ],
    "get_coupon_batches_by_batch_id": [answered(_BATCH)],
    "patch_coupon_batches_by_batch_id": [
        sent({"expiresAt": "2027-01-01T00:00:00Z"}),
        answered(_BATCH),
    ],
    "post_coupon_batches_by_batch_id_revoke": [
        sent({"reason": "The flyer leaked"}),
        answered({**_BATCH, "unused": 0, "revoked": 488, "revokedAt": "2026-11-22T10:00:00Z"}),
    ],
    "post_promotions_preview": [
        sent(
            {
                "items": [{"sku": "JKT-OCHRE-M", "quantity": 1}],
                "codes": ["FROST10"],
                "email": "customer@example.com",
            }
        ),
        answered(
            {
                "currency": "USD",
                "totals": _PREVIEW_TOTALS,
                "promotions": [
                    {
                        "promotionId": _PROMOTION_ID,
                        "name": "First frost",
                        "kind": "PERCENTAGE",
                        "code": "FROST10",
                        "applied": True,
                        "amount": "14.90",
                        "reason": None,
                        "message": None,
                    }
                ],
                "combinations": [
                    {
                        "promotionIds": [_PROMOTION_ID],
                        "saves": "14.90",
                        "losesBy": "0.00",
                        "chosen": True,
                    }
                ],
            }
        ),
    ],
}
