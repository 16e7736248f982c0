"""An edit of a placed order in the shape of the wire contract: what it would come to, and what was done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders.models import Order
from orders.services import Edited, Proposal
from pricing.money import format_amount


def render_proposal(proposal: Proposal) -> dict[str, Any]:
    """Return what an edit would come to: what leaves, what comes, and the difference; amounts are the order's currency."""
    order = proposal.order

    def money(amount: Decimal) -> str:
        return format_amount(amount, order.currency)

    addition = proposal.addition
    priced = addition.quote.lines_by_id if addition else {}
    out = {part.line_id: part.quantity for part in proposal.taken}
    kept = order.shipping_total - order.shipping_claimed
    added_shipping = addition.quote.totals.shipping_total if addition else Decimal(0)
    return {
        "orderId": str(order.id),
        "orderNumber": order.number,
        "currency": order.currency,
        "quoteId": proposal.quote_id,
        "items": [
            {
                "itemId": str(line.id),
                "sku": line.sku,
                "name": line.name,
                "unitPrice": money(line.unit_price),
                "quantityBefore": line.unsent,
                "quantityAfter": line.unsent - out.get(line.id, 0),
                "refund": money(proposal.brings.get(line.id, Decimal(0))),
            }
            for line in proposal.lines.values()
        ],
        "added": [
            {
                "sku": line.sku,
                "name": line.name,
                "quantity": priced[line.quote_line_id].quantity,
                "unitPrice": money(priced[line.quote_line_id].unit_price),
                "lineDiscount": money(priced[line.quote_line_id].discount),
                "lineTax": money(priced[line.quote_line_id].tax),
                "lineTotal": money(priced[line.quote_line_id].total),
            }
            for line in (addition.lines if addition else ())
        ],
        "shipping": {
            "optionBefore": order.shipping_option or None,
            "optionAfter": proposal.shipping_option or None,
            "nameAfter": proposal.shipping_name or None,
            "priceBefore": money(kept),
            "priceAfter": money(kept - proposal.shipping_back + added_shipping),
            "difference": money(added_shipping - proposal.shipping_back),
            "refund": money(proposal.shipping_refund),
            "waived": money(proposal.shipping_waived),
            "options": [
                {"id": each.id, "name": each.name, "price": money(each.price)}
                for each in proposal.shipping_options
            ],
        },
        "shippingAddress": proposal.addresses.get("shipping_address", order.shipping_address)
        or None,
        "billingAddress": proposal.addresses.get("billing_address", order.billing_address),
        "paidBefore": money(order.grand_total - order.refunded_total),
        "difference": {
            "kind": "payment" if proposal.to_pay else "refund" if proposal.to_refund else "none",
            "toPay": money(proposal.to_pay),
            "toRefund": money(proposal.to_refund),
        },
    }


def render_addition(order: Order) -> dict[str, Any]:
    """Return the order that holds what was added: its payment is opened at `POST /orders/{id}/payments`."""
    return {
        "orderId": str(order.id),
        "orderNumber": order.number,
        "status": order.status,
        "paymentStatus": order.payment_status,
        "grandTotal": format_amount(order.grand_total, order.currency),
    }


def render_edited(edited: Edited) -> dict[str, Any]:
    proposal = edited.proposal
    return {
        "quoteId": proposal.quote_id,
        "toPay": format_amount(proposal.to_pay, proposal.order.currency),
        "toRefund": format_amount(proposal.to_refund, proposal.order.currency),
        "addition": render_addition(edited.addition) if edited.addition else None,
    }
