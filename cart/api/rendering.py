"""What the cart's endpoints answer beside the cart itself, in the shape of the wire contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cart.rendering import moment, render_cart, render_line
from cart.selectors import CartView, Finding, LineView, Summary
from cart.services import RecoveryPreview, RowResult
from pricing.money import format_amount


def render_item(line: LineView | None, currency: str) -> dict[str, Any] | None:
    """Return a single line in the shape that carts show it in."""
    return (
        None if line is None else render_line(line, lambda amount: format_amount(amount, currency))
    )


def render_summary(summary: Summary) -> dict[str, Any]:
    return {
        "itemCount": summary.item_count,
        "lineCount": summary.line_count,
        "subtotal": format_amount(summary.subtotal, summary.currency),
        "grandTotal": format_amount(summary.grand_total, summary.currency),
        "currency": summary.currency,
        "version": summary.version,
    }


def render_finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "itemId": str(finding.item_id) if finding.item_id else None,
        "message": finding.message,
        "extra": dict(finding.extra),
    }


def render_hold_status(view: CartView) -> dict[str, Any]:
    """Return what is held: `held` where every active line is, else the worst there is."""
    states = {line.hold.state for line in view.items}
    state = next((worst for worst in ("none", "expired", "held") if worst in states), "none")
    ends = [line.hold for line in view.items if line.hold.state == "held"]
    first = min(ends, key=lambda hold: hold.seconds_left, default=None)
    return {
        "state": state,
        "expiresAt": moment(first.expires_at) if first else None,
        "secondsLeft": first.seconds_left if first else 0,
        "lines": [
            {
                "itemId": str(line.id),
                "sku": line.sku,
                "quantity": line.hold.quantity,
                "state": line.hold.state,
                "expiresAt": moment(line.hold.expires_at),
                "secondsLeft": line.hold.seconds_left,
            }
            for line in view.items
        ],
    }


def render_bulk(view: CartView, results: Sequence[RowResult]) -> dict[str, Any]:
    return {
        "cart": render_cart(view),
        "results": [
            {
                "index": result.index,
                "status": "ok" if result.error is None else "error",
                "itemId": str(result.item_id) if result.item_id else None,
                "code": None if result.error is None else result.error.code,
                "message": "" if result.error is None else str(result.error.detail),
            }
            for result in results
        ],
    }


def render_preview(preview: RecoveryPreview) -> dict[str, Any]:
    """Return what a recovery link would bring back: things and prices, nobody's name."""
    return {
        "currency": preview.currency,
        "expiresAt": moment(preview.expires_at),
        "items": [
            {
                "sku": line.sku,
                "name": line.name,
                "slug": line.slug,
                "options": line.options,
                "imageUrl": line.image_url,
                "quantity": line.quantity,
                "unitPrice": None
                if line.unit_price is None
                else format_amount(line.unit_price, preview.currency),
                "available": line.available,
                "problems": list(line.problems),
            }
            for line in preview.lines
        ],
    }
