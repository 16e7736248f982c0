"""What pricing can tell."""

from pricing.selectors.promotions import (
    advertised_promotions,
    find_promotion,
    find_shipping_rule,
    find_shipping_zone,
    find_tax_rate,
    promotion_terms,
    promotions,
    shipping_rules,
    shipping_zones,
    tax_rates,
)
from pricing.selectors.rules import promotions_in_play, revision, revision_expression, rules

__all__ = [
    "advertised_promotions",
    "find_promotion",
    "find_shipping_rule",
    "find_shipping_zone",
    "find_tax_rate",
    "promotion_terms",
    "promotions",
    "promotions_in_play",
    "revision",
    "revision_expression",
    "rules",
    "shipping_rules",
    "shipping_zones",
    "tax_rates",
]
