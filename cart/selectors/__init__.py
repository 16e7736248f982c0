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
from cart.selectors.recovery import AbandonedMetrics, abandoned_metrics, recovery_mail
from cart.selectors.views import CartView, HoldView, LineView, Problem, Totals, Warning

__all__ = [
    "AbandonedMetrics",
    "CartView",
    "HoldView",
    "LineView",
    "Problem",
    "Summary",
    "Totals",
    "Warning",
    "abandoned_metrics",
    "badge",
    "find",
    "history",
    "latest_head",
    "past",
    "recovery_mail",
    "summary",
    "view",
]
