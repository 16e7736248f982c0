"""An order in the shape of the wire contract, for the API, the socket and the refusals that carry it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from config.platform.actor import hash_token
from orders.models import (
    Invoice,
    Order,
    OrderEdit,
    OrderLine,
    ReturnRequest,
    Shipment,
    StatusChange,
)
from orders.selectors.picking import PickingTask
from orders.selectors.reports import Analytics, Sums
from orders.services.placing import access_token
from pricing.engine import Quote
from pricing.money import format_amount


def moment(value: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tracking_url(order: Order) -> str:
    """Return the address under which whoever has it may follow this one order."""
    return settings.STOREFRONT_URL + order_path(order.number, token=link_token(order))


def link_token(order: Order) -> str:
    """Return the token of an order's link; empty where none was given out, or its secret is gone."""
    stored = None if order.access_token_hash is None else bytes(order.access_token_hash)
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = access_token(order, secret=secret)
        if hash_token(token) == stored:
            return token
    return ""


def order_path(number: str, tail: str = "", *, token: str = "") -> str:
    """Return a page of an order; who came by its link goes on by it, with its token."""
    return f"/orders/{number}/{tail}" + (f"?{urlencode({'token': token})}" if token else "")


def render_line(line: OrderLine, currency: str) -> dict[str, Any]:
    def money(amount: Decimal) -> str:
        return format_amount(amount, currency)

    return {
        "id": str(line.id),
        "productId": str(line.product_id),
        "variantId": str(line.variant_id),
        "sku": line.sku,
        "name": line.name,
        "options": line.options,
        "imageUrl": line.image_url,
        "quantity": line.quantity,
        "unitPrice": money(line.unit_price),
        "lineSubtotal": money(line.subtotal),
        "lineDiscount": money(line.discount),
        "lineTax": money(line.tax),
        "lineTotal": money(line.total),
        "taxes": line.taxes,
        "note": line.note,
        "customization": line.customization,
        "cancelledQuantity": line.cancelled_quantity,
        "shippedQuantity": line.shipped_quantity,
        "returnedQuantity": line.returned_quantity,
        "refundedAmount": money(line.refunded_amount),
    }


def render_totals(order: Order) -> dict[str, Any]:
    amounts = {
        "subtotal": order.subtotal,
        "discountTotal": order.discount_total,
        "shippingTotal": order.shipping_total,
        "shippingDiscount": order.shipping_discount,
        "shippingTax": order.shipping_tax,
        "taxTotal": order.tax_total,
        "grandTotal": order.grand_total,
    }
    return {
        **{name: format_amount(amount, order.currency) for name, amount in amounts.items()},
        "pricesIncludeTax": order.prices_include_tax,
    }


def render_shipment(shipment: Shipment) -> dict[str, Any]:
    return {
        "id": str(shipment.id),
        "status": shipment.status,
        "carrier": shipment.carrier,
        "trackingNumber": shipment.tracking_number,
        "trackingUrl": shipment.tracking_url or None,
        "items": shipment.lines,
        "shippedAt": moment(shipment.shipped_at),
        "deliveredAt": moment(shipment.delivered_at),
    }


def render_order(order: Order, *, staff: bool = False) -> dict[str, Any]:
    """Return the order as every answer shows it; `staff` adds what only staff may read."""
    return {
        "id": str(order.id),
        "number": order.number,
        "status": order.status,
        "paymentStatus": order.payment_status,
        "paymentMethod": order.payment_method or None,
        "currency": order.currency,
        "email": order.email,
        "items": [render_line(line, order.currency) for line in order.lines.all()],
        "totals": render_totals(order),
        "taxRelief": Quote.from_json(order.quote).relief_json()
        if "relief" in order.quote
        else None,
        "quoteId": order.quote_id,
        "refundedTotal": format_amount(order.refunded_total, order.currency),
        "shippingAddress": order.shipping_address or None,
        "billingAddress": order.billing_address,
        "shippingOption": order.shipping_option or None,
        "shippingName": order.shipping_name or None,
        "notes": order.notes,
        "shipments": [render_shipment(shipment) for shipment in order.shipments.all()],
        "disputed": order.is_disputed,
        "placedAt": moment(order.placed_at),
        "confirmedAt": moment(order.confirmed_at),
        "shippedAt": moment(order.shipped_at),
        "deliveredAt": moment(order.delivered_at),
        "cancelledAt": moment(order.cancelled_at),
        "expiresAt": moment(order.expires_at) if order.status == Order.Status.DRAFT else None,
        "trackingUrl": tracking_url(order),
        **(
            {
                "needsAttention": order.needs_attention or None,
                "staffNotes": order.staff_notes,
                "review": order.review or None,
                "reviewReason": order.review_reason or None,
            }
            if staff
            else {}
        ),
    }


def render_status_change(change: StatusChange) -> dict[str, Any]:
    return {
        "from": change.from_status or None,
        "to": change.to_status,
        "actor": change.actor,
        "reason": change.reason,
        "at": moment(change.at),
    }


def render_edit(edit: OrderEdit) -> dict[str, Any]:
    return {
        "field": edit.field,
        "old": edit.old,
        "new": edit.new,
        "actor": edit.actor,
        "reason": edit.reason,
        "at": moment(edit.at),
    }


def _exchange_order(order: Order | None, status: str) -> dict[str, Any] | None:
    """Return the order of a replacement; what it asks for is known once the goods are back."""
    if order is None:
        return None
    is_known = status in {ReturnRequest.Status.RECEIVED, ReturnRequest.Status.REFUNDED}
    return {
        "id": str(order.id),
        "number": order.number,
        "status": order.status,
        "grandTotal": format_amount(order.grand_total, order.currency),
        "paidByExchange": format_amount(order.credit_total, order.currency),
        "toPay": format_amount(order.to_pay, order.currency)
        if is_known and order.status == Order.Status.DRAFT
        else None,
    }


def render_return(request: ReturnRequest, currency: str) -> dict[str, Any]:
    return {
        "id": str(request.id),
        "orderId": str(request.order_id),
        "status": request.status,
        "items": [
            {
                "itemId": str(line.order_line_id),
                "quantity": line.quantity,
                "reason": line.reason,
                "damaged": line.is_damaged,
                "exchangeFor": {
                    "variantId": str(line.exchange_variant_id),
                    "sku": line.exchange_variant.sku,
                }
                if line.exchange_variant
                else None,
                "received": line.received_quantity,
                "damagedQuantity": line.damaged_quantity,
            }
            for line in request.lines.all()
        ],
        "exchangeOrder": _exchange_order(request.replacement, request.status),
        "exchangeFailure": request.exchange_failure or None,
        "refundAmount": format_amount(request.refund_amount, currency),
        "notes": request.notes,
        "requestedAt": moment(request.requested_at),
        "decidedAt": moment(request.decided_at),
        "receivedAt": moment(request.received_at),
    }


def render_picking_task(task: PickingTask) -> dict[str, Any]:
    return {
        "warehouse": task.warehouse or None,
        "warehouseName": task.warehouse_name or None,
        "orderId": str(task.order_id),
        "orderNumber": task.order_number,
        "orderStatus": task.order_status,
        "placedAt": moment(task.placed_at),
        "itemId": str(task.line_id),
        "sku": task.sku,
        "name": task.name,
        "options": task.options,
        "quantity": task.quantity,
        "waiting": task.waiting,
        "note": task.note,
        "shippingName": task.shipping_name or None,
    }


def render_analytics(found: Analytics) -> dict[str, Any]:
    """Return the figures of a period; rates are fractions of one with four places."""

    def money(amount: Decimal) -> str:
        return format_amount(amount, found.currency)

    def sums(row: Sums) -> dict[str, Any]:
        return {
            "orders": row.orders,
            "units": row.units,
            "revenue": money(row.revenue),
            "refunded": money(row.refunded),
            "netRevenue": money(row.net),
            "averageOrderValue": money(row.average(found.currency)),
            "cancelled": row.cancelled,
            "cancellationRate": str(row.cancellation_rate),
            "returned": row.returned,
            "returnedUnits": row.returned_units,
            "returnRate": str(row.return_rate),
        }

    return {
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "period": found.period,
        "currency": found.currency,
        "currencies": found.currencies,
        "totals": sums(found.totals),
        "periods": [{"start": row.start.isoformat(), **sums(row.sums)} for row in found.periods],
        "topProducts": [
            {
                "productId": str(row.product_id),
                "name": row.name,
                "units": row.units,
                "revenue": money(row.revenue),
            }
            for row in found.top_products
        ],
        "byStatus": found.by_status,
    }


def render_invoice(invoice: Invoice, order: Order) -> dict[str, Any]:
    """Return an invoice or credit note with all that its paper says, under `content`."""
    return {
        "id": str(invoice.id),
        "number": invoice.number,
        "kind": invoice.kind,
        "orderId": str(order.id),
        "orderNumber": order.number,
        "amount": format_amount(invoice.amount, invoice.currency),
        "currency": invoice.currency,
        "issuedAt": moment(invoice.issued_at),
        "pdfUrl": f"/api/v1/orders/{order.number}/invoices/{invoice.number}/pdf",
        # What it says is frozen as it was written; a moment leaves in the form that all have.
        "content": {
            **invoice.content,
            "placedAt": moment(datetime.fromisoformat(invoice.content["placedAt"])),
        },
    }
