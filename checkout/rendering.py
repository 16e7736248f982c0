"""Checkouts and payments in the shape of the wire contract."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from cart.rendering import render_cart
from cart.services import Brought
from checkout.applepay import Session
from checkout.models import Address, Payment
from checkout.selectors import AskedBack, CheckoutView
from orders.rendering import moment
from pricing.money import format_amount
from pricing.rendering import render_options


def render_payment(payment: Payment) -> dict[str, Any]:
    """Return the payment as every answer shows it. The client secret leaves only while it is of use."""
    is_open = payment.status in Payment.OPEN
    return {
        "id": str(payment.id),
        "orderId": str(payment.order_id),
        "status": payment.status,
        "amount": format_amount(payment.amount, payment.currency),
        "currency": payment.currency,
        "capturedAmount": format_amount(payment.captured_amount, payment.currency),
        "refundedAmount": format_amount(payment.refunded_amount, payment.currency),
        "refundedOutsideAmount": format_amount(payment.outside_amount, payment.currency),
        "provider": payment.provider,
        "method": payment.method,
        "clientSecret": payment.client_secret if is_open else None,
        "nextAction": payment.next_action if is_open else None,
        "failure": payment.failure or None,
        "disputed": payment.is_disputed,
        "card": {
            key: payment.metadata[key] for key in ("brand", "last4") if key in payment.metadata
        }
        or None,
        "createdAt": moment(payment.created_at),
        "updatedAt": moment(payment.updated_at),
    }


def render_refund(asked: AskedBack) -> dict[str, Any]:
    """Return money that was asked back as staff see it."""
    request, outside = asked.request, asked.outside
    return {
        "id": str(request.id),
        "orderId": str(request.order_id),
        "amount": format_amount(request.amount, request.currency),
        "paidOut": format_amount(request.to_pay_out, request.currency),
        "currency": request.currency,
        "status": request.status,
        "reason": request.reason,
        "failure": request.failure or None,
        "requestedBy": request.requested_by,
        "requestedAt": moment(request.created_at),
        "doneAt": moment(request.done_at),
        "outside": None
        if outside is None
        else {
            "means": outside.means,
            "reference": outside.reference,
            "reason": outside.reason,
            "paidOn": outside.paid_on_date.isoformat(),
            "notedBy": outside.actor,
            "notedAt": moment(outside.created_at),
        },
    }


def render_totals(view: CheckoutView) -> dict[str, Any]:
    totals = view.quote.totals

    def money(amount: Decimal) -> str:
        return format_amount(amount, view.quote.currency)

    return {
        "itemCount": view.item_count,
        "lineCount": view.line_count,
        "problemCount": view.problem_count,
        "subtotal": money(totals.subtotal),
        "discountTotal": money(totals.discount_total),
        "shippingTotal": money(totals.shipping_total),
        "shippingDiscount": money(totals.shipping_discount),
        "shippingTax": money(totals.shipping_tax),
        "taxTotal": money(totals.tax_total),
        "grandTotal": money(totals.grand_total),
        "pricesIncludeTax": view.quote.prices_include_tax,
        "estimated": False,
    }


def render_checkout(view: CheckoutView) -> dict[str, Any]:
    """Return the checkout as every answer shows it."""
    checkout, quote, order = view.checkout, view.quote, view.order
    return {
        "id": str(checkout.id),
        "status": view.status,
        "cartId": str(checkout.cart_id),
        "currency": checkout.currency,
        "email": checkout.email or None,
        "shippingAddress": checkout.shipping_address,
        "billingAddress": checkout.billing_address,
        "shippingOption": checkout.shipping_option or None,
        "shippingOptions": render_options(quote),
        "notes": checkout.notes,
        "discounts": [
            {
                "code": discount.code,
                "promotionId": str(discount.promotion_id) if discount.promotion_id else None,
                "name": discount.name,
                "kind": discount.kind,
                "amount": format_amount(discount.amount, quote.currency),
            }
            for discount in quote.discounts
        ],
        "totals": render_totals(view),
        "taxRelief": quote.relief_json(),
        "quoteId": quote.id,
        "requirements": [
            {"code": requirement.code, "field": requirement.field}
            for requirement in view.requirements
        ],
        "paymentMethods": [{"id": method.id, "name": method.name} for method in view.methods],
        "orderId": str(order.id) if order else None,
        "orderNumber": order.number if order else None,
        "orderStatus": order.status if order else None,
        "payment": render_payment(view.payment) if view.payment else None,
        "holdExpiresAt": moment(view.hold_expires_at),
        "expiresAt": moment(checkout.expires_at),
        "createdAt": moment(checkout.created_at),
    }


def render_apple_pay(session: Session, view: CheckoutView) -> dict[str, Any]:
    """
    Return Apple's session as it came, and what the sheet is opened with: the lines add up to the exact total.

    The total is pending until the address is known. The keys inside are Apple's.
    """
    quote, totals = view.quote, view.quote.totals
    kind = "pending" if view.requirements else "final"

    def line(label: str, amount: Decimal) -> dict[str, str]:
        return {"label": label, "amount": format_amount(amount, quote.currency), "type": kind}

    parts = [
        (gettext("Subtotal"), totals.subtotal),
        (gettext("Discount"), -totals.discount_total),
        (gettext("Shipping"), totals.shipping_total),
        # What prices contain already is in the lines above.
        (gettext("Tax"), totals.tax_total - totals.included_tax_total),
    ]
    contact = ["email", "name"] + (["postalAddress"] if quote.requires_shipping else [])
    request: dict[str, Any] = {
        "countryCode": settings.DEFAULT_COUNTRY,
        "currencyCode": quote.currency,
        "supportedNetworks": ["amex", "discover", "jcb", "masterCard", "visa"],
        "merchantCapabilities": ["supports3DS"],
        "total": line(view.checkout.company.name, totals.grand_total),
        "lineItems": [line(label, amount) for label, amount in parts if amount],
        "requiredShippingContactFields": contact,
    }
    if quote.requires_shipping and quote.shipping_options:
        request["shippingMethods"] = [
            {
                "identifier": option.id,
                "label": option.name,
                "detail": "",
                "amount": format_amount(option.price, option.currency),
            }
            for option in quote.shipping_options
        ]
    return {
        "checkoutId": str(view.checkout.id),
        "quoteId": quote.id,
        "merchantSession": session,
        "paymentRequest": request,
    }


def render_google_pay(view: CheckoutView) -> dict[str, Any]:
    """
    Return what Google Pay's sheet is opened with: exact total, currency, ways to ship, and a token made for Stripe.

    The total is an estimate until the address is known. The keys inside are Google's.
    """
    quote = view.quote
    is_final = not view.requirements
    request: dict[str, Any] = {
        "apiVersion": 2,
        "apiVersionMinor": 0,
        "merchantInfo": {
            "merchantId": settings.GOOGLE_PAY_MERCHANT_ID,
            "merchantName": view.checkout.company.name,
        },
        "allowedPaymentMethods": [
            {
                "type": "CARD",
                "parameters": {
                    "allowedAuthMethods": ["PAN_ONLY", "CRYPTOGRAM_3DS"],
                    "allowedCardNetworks": ["AMEX", "DISCOVER", "JCB", "MASTERCARD", "VISA"],
                },
                "tokenizationSpecification": {
                    "type": "PAYMENT_GATEWAY",
                    "parameters": {
                        "gateway": "stripe",
                        "stripe:version": "2018-10-31",
                        "stripe:publishableKey": settings.STRIPE_PUBLISHABLE_KEY,
                    },
                },
            }
        ],
        "transactionInfo": {
            "totalPriceStatus": "FINAL" if is_final else "ESTIMATED",
            "totalPrice": format_amount(quote.totals.grand_total, quote.currency),
            "currencyCode": quote.currency,
            "countryCode": settings.DEFAULT_COUNTRY,
        },
        "emailRequired": True,
        "shippingAddressRequired": quote.requires_shipping,
        "shippingOptionRequired": bool(quote.requires_shipping and quote.shipping_options),
    }
    if request["shippingOptionRequired"]:
        cheapest = min(quote.shipping_options, key=lambda option: option.price)
        request["shippingOptionParameters"] = {
            "defaultSelectedOptionId": quote.shipping.option if quote.shipping else cheapest.id,
            "shippingOptions": [
                {
                    "id": option.id,
                    "label": option.name,
                    "description": f"{format_amount(option.price, option.currency)} {option.currency}",
                }
                for option in quote.shipping_options
            ],
        }
    return {
        "checkoutId": str(view.checkout.id),
        "quoteId": quote.id,
        "environment": "PRODUCTION" if settings.STRIPE_LIVE_MODE else "TEST",
        "paymentDataRequest": request,
    }


def render_address(address: Address) -> dict[str, Any]:
    """Return an entry of the address book; its own fields are those of any address."""
    return {
        "id": str(address.id),
        **address.as_fields(),
        "isDefaultShipping": address.is_default_shipping,
        "isDefaultBilling": address.is_default_billing,
        "createdAt": moment(address.created_at),
        "updatedAt": moment(address.updated_at),
    }


def render_reordered(brought: Brought) -> dict[str, Any]:
    """
    Return the cart after a reorder, and line by line what became of it.

    `added`: all units are in the cart; `short`: fewer, or none until there are goods again; `gone`: not sold any more.
    """
    cart = render_cart(brought.view)
    report = []
    for row in brought.report:
        status = "added" if row["added"] >= row["requested"] else "short"
        report.append(
            {
                "sku": row["sku"],
                "name": row["name"],
                "status": "gone" if row["action"] == "dropped" else status,
                "requested": row["requested"],
                "added": row["added"],
                "list": "next" if row["action"] == "moved_to_next" else "active",
                "reason": row["reason"] or None,
                "itemId": row["itemId"],
                "oldPrice": row["oldPrice"],
                "unitPrice": row["unitPrice"],
            }
        )
    return {**cart, "report": report, "cart": cart}
