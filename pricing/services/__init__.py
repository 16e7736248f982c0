"""What pricing does for others."""

from pricing.services.prices import NewPrice, set_bundle_price, set_price, set_prices
from pricing.services.quotes import check_code, normalise_code, quote, redeem, return_uses

__all__ = [
    "NewPrice",
    "check_code",
    "normalise_code",
    "quote",
    "redeem",
    "return_uses",
    "set_bundle_price",
    "set_price",
    "set_prices",
]
