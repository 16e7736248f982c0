"""Prices, promotions, tax and shipping: the facts from which every total is computed."""

from __future__ import annotations

from pricing.models.customers import (
    CustomerGroup,
    CustomerGroupMember,
)
from pricing.models.disputes import (
    PriceDispute,
    PriceDisputeChange,
)
from pricing.models.exchange import (
    ExchangeRate,
)
from pricing.models.fields import (
    money_field,
)
from pricing.models.loyalty import (
    LoyaltyAccount,
    LoyaltyEntry,
    LoyaltyProgram,
    LoyaltyTier,
)
from pricing.models.policy import (
    PricingPolicy,
    Revision,
)
from pricing.models.prices import (
    BundlePrice,
    Period,
    Price,
    PriceAlert,
    PriceChange,
    SpecialPrice,
)
from pricing.models.promotions import (
    Coupon,
    CouponBatch,
    CustomerOrder,
    Promotion,
    PromotionUse,
)
from pricing.models.shipping import (
    ShippingRule,
    ShippingZone,
)
from pricing.models.taxes import (
    TaxExemption,
    TaxRate,
)

__all__ = [
    "BundlePrice",
    "Coupon",
    "CouponBatch",
    "CustomerGroup",
    "CustomerGroupMember",
    "CustomerOrder",
    "ExchangeRate",
    "LoyaltyAccount",
    "LoyaltyEntry",
    "LoyaltyProgram",
    "LoyaltyTier",
    "Period",
    "Price",
    "PriceAlert",
    "PriceChange",
    "PriceDispute",
    "PriceDisputeChange",
    "PricingPolicy",
    "Promotion",
    "PromotionUse",
    "Revision",
    "ShippingRule",
    "ShippingZone",
    "SpecialPrice",
    "TaxExemption",
    "TaxRate",
    "money_field",
]
