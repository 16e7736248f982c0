"""What the cart can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError


class CartNotFound(ApplicationError):
    code = "CART_NOT_FOUND"
    http_status = 404
    title = "No such cart"
    message = "There is no such cart for you."
    advice = "Check the session token, or create a cart."


class CartExpired(ApplicationError):
    code = "CART_EXPIRED"
    http_status = 410
    title = "This cart has expired"
    message = "This cart has expired."
    advice = "Create a new cart."


class CartMerged(ApplicationError):
    code = "CART_MERGED"
    http_status = 410
    title = "This cart was merged into an account's cart"
    message = "This cart was merged into the cart of an account."
    advice = "Sign in to see it."


class CartConflict(ApplicationError):
    """The version sent is stale; the current cart stands under `extra.cart`."""

    code = "CART_CONFLICT"
    http_status = 409
    title = "The cart has changed"
    message = "The cart has changed since you last saw it."
    advice = "Look at the current cart and repeat what you still want."


class CartLocked(ApplicationError):
    code = "CART_CONFLICT"
    http_status = 409
    title = "The cart is being paid"
    message = "A payment for this cart is under way."
    advice = "Finish or cancel the checkout first."


class PricesMoved(ApplicationError):
    """Carries the quote of now; what was shown is another one."""

    code = "PRICE_CHANGED"
    http_status = 409
    title = "Prices have changed"
    message = "Prices have changed since they were shown."
    advice = "Look at the cart, and accept what it costs now."


class CartEmpty(ApplicationError):
    code = "VALIDATION_ERROR"
    title = "The cart is empty"
    message = "The cart is empty."
    advice = "Add something first."


class CartLimitExceeded(ApplicationError):
    code = "CART_LIMIT_EXCEEDED"
    title = "The cart is full"
    message = "The cart cannot take this."
    advice = "Remove a line, or lower the quantity."


class ItemNotFound(ApplicationError):
    code = "ITEM_NOT_FOUND"
    http_status = 404
    title = "No such line"
    message = "There is no such line in your cart."


class NothingToUndo(ApplicationError):
    code = "CART_CONFLICT"
    http_status = 409
    title = "There is nothing to undo"
    message = "No merge of the last 24 hours can be undone."


class NotAbandoned(ApplicationError):
    code = "INVALID_STATUS_TRANSITION"
    http_status = 409
    title = "This cart is not abandoned"
    message = "This cart is not abandoned."


class NobodyToRemind(ApplicationError):
    code = "VALIDATION_ERROR"
    title = "Nobody can be reminded"
    message = "We know no address for this cart, or its owner wants no reminders."


class RecoveryTokenInvalid(ApplicationError):
    code = "RECOVERY_TOKEN_INVALID"
    title = "This link does not work"
    message = "This link does not work."
    advice = "Ask for a new mail."


class RecoveryTokenExpired(ApplicationError):
    code = "RECOVERY_TOKEN_EXPIRED"
    http_status = 410
    title = "This link is too old or was used"
    message = "This link is too old, or was used before."
    advice = "Ask for a new mail."


class WishNotFound(ItemNotFound):
    title = "No such wish"
    message = "There is no such item on your wishlist."


class NotCompared(ItemNotFound):
    title = "Not in your comparison"
    message = "This product is not in your comparison."


class WishlistFull(ApplicationError):
    code = "WISHLIST_FULL"
    http_status = 409
    title = "The wishlist is full"
    message = "Your wishlist is full."
    advice = "Take something off it first."


class ComparisonFull(ApplicationError):
    code = "COMPARISON_FULL"
    http_status = 409
    title = "The comparison is full"
    message = "Four things side by side are as many as one can compare."
    advice = "Take one out first."
