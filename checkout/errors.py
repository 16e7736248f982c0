"""What checkout and payments can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError
from orders.errors import PriceChanged

__all__ = ["PriceChanged"]


class CheckoutNotFound(ApplicationError):
    code = "CHECKOUT_NOT_FOUND"
    http_status = 404
    title = "No such checkout"
    message = "There is no such checkout for you."


class CheckoutExpired(ApplicationError):
    code = "CHECKOUT_EXPIRED"
    http_status = 410
    title = "This checkout has expired"
    message = "This checkout has expired."
    advice = "Start again from your cart; nothing was charged."


class CheckoutIncomplete(ApplicationError):
    """`extra.requirements` lists what is missing, with the codes of the requirements list."""

    code = "CHECKOUT_INCOMPLETE"
    http_status = 409
    title = "Something is missing"
    message = "Something is missing before you can pay."
    advice = "Complete what extra.requirements lists."


class PaymentNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such payment"
    message = "There is no such payment for you."
    audit_action = "payment.refused"


class DifferenceNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such difference"
    message = "There is no such difference between the books."


class PaymentRequired(ApplicationError):
    code = "PAYMENT_REQUIRED"
    http_status = 402
    title = "Not paid yet"
    message = "The payment is not complete yet."
    advice = "Finish the payment, then ask again."


class PaymentFailed(ApplicationError):
    code = "PAYMENT_FAILED"
    http_status = 402
    title = "The payment failed"
    message = "The payment failed. Nothing was charged."
    advice = "Try again, or use another way to pay."


class PaymentAmountMismatch(ApplicationError):
    code = "PAYMENT_AMOUNT_MISMATCH"
    title = "The amount is not the order's"
    message = "The amount or currency is not that of the order."
    audit_action = "payment.refused"


class RefundExceedsPayment(ApplicationError):
    code = "REFUND_EXCEEDS_PAYMENT"
    title = "More than was paid"
    message = "The refund is more than what is left of the payment."
    audit_action = "refund.refused"


class ComparisonNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such comparison"
    message = "There is no such comparison of the books."


class RefundNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such refund"
    message = "There is no such refund for you."


class AddressNotFound(ApplicationError):
    code = "ADDRESS_NOT_FOUND"
    http_status = 404
    title = "No such address"
    message = "There is no such address in your address book."
    audit_action = "address.refused"


class AddressBookFull(ApplicationError):
    code = "ADDRESS_BOOK_FULL"
    http_status = 409
    title = "The address book is full"
    message = "The address book is full."
    advice = "Remove an address that you no longer need."
