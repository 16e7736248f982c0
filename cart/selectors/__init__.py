"""What the cart can tell."""

from cart.selectors.carts import (
    Summary,
    badge,
    find,
    history,
    latest_head,
    past,
    summary,
    view,
)
from cart.selectors.checks import Finding, Validation, instead_of, quote_for, validate
from cart.selectors.lists import Compared, WishView, compared, wishes
from cart.selectors.recovery import (
    AbandonedMetrics,
    abandoned_metrics,
    currency_of,
    recovery_mail,
)
from cart.selectors.upsells import Upsell, upsells
from cart.selectors.views import CartView, HoldView, LineView, Problem, Totals, Warning

__all__ = [
    "AbandonedMetrics",
    "CartView",
    "Compared",
    "Finding",
    "HoldView",
    "LineView",
    "Problem",
    "Summary",
    "Totals",
    "Upsell",
    "Validation",
    "Warning",
    "WishView",
    "abandoned_metrics",
    "badge",
    "compared",
    "currency_of",
    "find",
    "history",
    "instead_of",
    "latest_head",
    "past",
    "quote_for",
    "recovery_mail",
    "summary",
    "upsells",
    "validate",
    "view",
    "wishes",
]
