"""The cart in the shape of the wire contract, for the API, the socket and the refusals that carry it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cart.selectors.views import CartView, HoldView, LineView, Warning
from pricing.engine import LOYALTY
from pricing.money import format_amount


def moment(value: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_hold(hold: HoldView) -> dict[str, Any]:
    return {
        "state": hold.state,
        "quantity": hold.quantity,
        "expiresAt": moment(hold.expires_at),
        "secondsLeft": hold.seconds_left,
    }


def render_line(line: LineView, money: Callable[[Decimal], str]) -> dict[str, Any]:
    return {
        "id": str(line.id),
        "list": line.list,
        "productId": str(line.product_id),
        "variantId": str(line.variant_id),
        "sku": line.sku,
        "name": line.name,
        "slug": line.slug,
        "options": line.options,
        "imageUrl": line.image_url,
        "url": line.url,
        "quantity": line.quantity,
        "priceWhenAdded": money(line.price_when_added),
        "unitPrice": None if line.unit_price is None else money(line.unit_price),
        "priceChanged": line.price_changed,
        "lineSubtotal": money(line.subtotal),
        "lineDiscount": money(line.discount),
        "lineTax": money(line.tax),
        "lineTotal": money(line.total),
        "note": line.note,
        "customization": line.customization,
        "metadata": line.metadata,
        "bundleId": str(line.bundle_id) if line.bundle_id else None,
        "groupId": str(line.group_id) if line.group_id else None,
        "expiresAt": moment(line.expires_at),
        "addedAt": moment(line.added_at),
        "hold": render_hold(line.hold),
        "available": line.available,
        "problems": [
            {"code": problem.code, "message": problem.message, "extra": problem.extra}
            for problem in line.problems
        ],
    }


def render_warning(warning: Warning) -> dict[str, Any]:
    return {
        "code": warning.code,
        "itemId": str(warning.item_id) if warning.item_id else None,
        "message": warning.message,
        "extra": warning.extra,
    }


def render_totals(view: CartView) -> dict[str, Any]:
    totals, currency = view.totals, view.currency
    amounts = {
        "subtotal": totals.subtotal,
        "discountTotal": totals.discount_total,
        "shippingTotal": totals.shipping_total,
        "shippingDiscount": totals.shipping_discount,
        "shippingTax": totals.shipping_tax,
        "taxTotal": totals.tax_total,
        "grandTotal": totals.grand_total,
    }
    return {
        "itemCount": totals.item_count,
        "lineCount": totals.line_count,
        "problemCount": totals.problem_count,
        **{name: format_amount(amount, currency) for name, amount in amounts.items()},
        "pricesIncludeTax": totals.prices_include_tax,
        "estimated": totals.estimated,
    }


def _loyalty(view: CartView) -> dict[str, Any] | None:
    """Return the points on the cart: asked for, and spent as far as the customer has them and the goods bear them."""
    if not view.points:
        return None
    worth = [item.amount for item in view.quote.discounts if item.kind == LOYALTY]
    return {
        "points": view.points,
        "spent": view.quote.points,
        "amount": format_amount(sum(worth, Decimal(0)), view.currency),
    }


def render_cart(view: CartView) -> dict[str, Any]:
    """Return the cart as every answer and every socket message shows it."""

    def money(amount: Decimal) -> str:
        return format_amount(amount, view.currency)

    return {
        "id": str(view.id),
        "status": view.status,
        "version": view.version,
        "currency": view.currency,
        "owner": view.owner,
        "items": [render_line(line, money) for line in view.items],
        "nextPurchaseItems": [render_line(line, money) for line in view.next_purchase_items],
        "savedItems": [render_line(line, money) for line in view.saved_items],
        "discounts": [
            {
                "code": discount.code,
                "promotionId": str(discount.promotion_id) if discount.promotion_id else None,
                "name": discount.name,
                "kind": discount.kind,
                "amount": money(discount.amount),
            }
            for discount in view.quote.discounts
        ],
        "loyalty": _loyalty(view),
        "totals": render_totals(view),
        "taxRelief": view.quote.relief_json(),
        "quoteId": view.quote_id,
        "warnings": [render_warning(warning) for warning in view.warnings],
        "nextPurchaseActivated": view.next_purchase_activated,
        "message": view.message,
        "metadata": view.metadata,
        "holdExpiresAt": moment(view.hold_expires_at),
        "expiresAt": moment(view.expires_at),
        "createdAt": moment(view.created_at),
        "updatedAt": moment(view.updated_at),
    }
