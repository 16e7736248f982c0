"""What orders can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError


class OrderNotFound(ApplicationError):
    code = "ORDER_NOT_FOUND"
    http_status = 404
    title = "No such order"
    message = "There is no such order for you."


class OrderNotCancellable(ApplicationError):
    code = "ORDER_NOT_CANCELLABLE"
    http_status = 409
    title = "This order can no longer be cancelled"
    message = "This order can no longer be cancelled."
    advice = "Once it has arrived, you can return it."


class DraftNotDivisible(OrderNotCancellable):
    message = "Units cannot be left out before the order is paid."
    advice = "Put the order back into the cart to change it, or cancel all of it."


class ShipmentNotFound(ApplicationError):
    code = "SHIPMENT_NOT_FOUND"
    http_status = 404
    title = "No such shipment"
    message = "There is no such shipment of this order."


class InvoiceNotAvailable(ApplicationError):
    code = "INVOICE_NOT_AVAILABLE"
    http_status = 409
    title = "There is no invoice yet"
    message = "There is no invoice of this order yet."
    advice = "It is written once the order is paid."


class InvoiceNotFound(ApplicationError):
    code = "INVOICE_NOT_FOUND"
    http_status = 404
    title = "No such invoice"
    message = "There is no such invoice of this order."


class OrderAddressFixed(ApplicationError):
    code = "ORDER_ADDRESS_FIXED"
    http_status = 409
    title = "The address can no longer be changed like this"
    message = "The address can no longer be changed like this."
    advice = "Cancel the order and place it anew."


class BillFixed(OrderAddressFixed):
    """The invoice is written: `extra.invoice` is its number."""

    message = "The invoice is written, and a paper that is written stays as it is."
    advice = (
        "Refund the order, which writes a credit note, and have it placed anew with the right address. "
        "For a slip of the pen a letter to the customer will do."
    )


class OrderNotEditable(ApplicationError):
    code = "ORDER_NOT_EDITABLE"
    http_status = 409
    title = "This order can no longer be changed"
    message = "This order can no longer be changed."
    advice = "Until it is packed, it can be cancelled; once it has arrived, you can return it."


class EditCostsMore(ApplicationError):
    """`extra.shipping` says by how much."""

    code = "ORDER_EDIT_COSTS_MORE"
    http_status = 409
    title = "This would cost more to ship"
    message = "This would cost more to ship than was paid."
    advice = "Keep the way it goes, or ask us: staff may let the shop pay the difference."


class PriceChanged(ApplicationError):
    code = "PRICE_CHANGED"
    http_status = 409
    title = "The total has changed"
    message = "The total has changed since it was shown."
    advice = "Look at the new total and confirm it. Nothing was charged."


class OrderInReview(ApplicationError):
    code = "ORDER_IN_REVIEW"
    http_status = 409
    title = "This order waits for a look"
    message = "Nothing is packed or sent before somebody has looked at this order."
    advice = "Approve or reject it first."


class ReturnWindowClosed(ApplicationError):
    code = "RETURN_WINDOW_CLOSED"
    title = "The return window has closed"
    message = "The time in which this order could be returned is over."


class ReturnNotEligible(ApplicationError):
    code = "RETURN_NOT_ELIGIBLE"
    title = "This cannot be returned"
    message = "This cannot be returned."


class RefundExceedsPayment(ApplicationError):
    code = "REFUND_EXCEEDS_PAYMENT"
    title = "More than was paid"
    message = "The refund is more than what is left of the payment."
    audit_action = "refund.refused"
