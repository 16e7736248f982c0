"""Orders for staff: sent, delivered and cancelled by the services; figures and histories are for reading."""

from __future__ import annotations

from orders.admin import disputes, orders, refunds, returns

__all__ = ["disputes", "orders", "refunds", "returns"]
