"""The back office of checkout, one file for each part."""

from __future__ import annotations

from checkout.admin import mirror, payments, reconciliation, refunds

__all__ = ["mirror", "payments", "reconciliation", "refunds"]
