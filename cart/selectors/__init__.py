"""What the cart can tell."""

from cart.selectors.carts import (
    Summary,
    find,
    history,
    item_count,
    latest_head,
    past,
    summary,
    view,
)
from cart.selectors.views import CartView, HoldView, LineView, Problem, Totals, Warning

__all__ = [
    "CartView",
    "HoldView",
    "LineView",
    "Problem",
    "Summary",
    "Totals",
    "Warning",
    "find",
    "history",
    "item_count",
    "latest_head",
    "past",
    "summary",
    "view",
]
