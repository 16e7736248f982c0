"""What pricing can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError


class DiscountInvalid(ApplicationError):
    code = "DISCOUNT_INVALID"
    title = "This code does not apply"
    message = "This code does not apply to your cart."
    advice = "Check the spelling."


class DiscountExpired(ApplicationError):
    code = "DISCOUNT_EXPIRED"
    title = "This code is no longer valid"
    message = "This code is no longer valid."
    advice = "Try another code."


class DiscountLimitReached(ApplicationError):
    code = "DISCOUNT_LIMIT_REACHED"
    title = "This code has been used up"
    message = "This code has been used up."
    advice = "Try another code."


class PointsInsufficient(ApplicationError):
    """`extra` says how many were asked for, and how many there are."""

    code = "POINTS_INSUFFICIENT"
    http_status = 409
    title = "There are not so many points"
    message = "You do not have so many points."
    advice = "Spend fewer."


class LoyaltyUnavailable(ApplicationError):
    code = "POINTS_NOT_ACCEPTED"
    http_status = 409
    title = "Points are not taken here"
    message = "Points cannot be spent in this currency at the moment."
    advice = "Choose the shop's own currency."


class DisputeNotFound(ApplicationError):
    code = "PRICE_DISPUTE_NOT_FOUND"
    http_status = 404
    title = "No such dispute"
    message = "There is no such price dispute for you."


class DisputeOpen(ApplicationError):
    code = "PRICE_DISPUTE_OPEN"
    http_status = 409
    title = "We are looking at it already"
    message = "There is a dispute about this line that is not decided yet."
    advice = "Wait for its answer."


class DisputeNotPossible(ApplicationError):
    code = "PRICE_DISPUTE_NOT_POSSIBLE"
    http_status = 409
    title = "There is nothing to dispute"
    message = "This order was not paid, or its money has gone back."


class LoyaltyTierNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such tier"
    message = "There is no such tier of points."


class PriceMissing(ApplicationError):
    """A total would silently leave a part out, so there is no total."""

    code = "PRICE_MISSING"
    http_status = 409
    title = "There is no price"
    message = "There is no price in this currency."
    advice = "Choose another currency, or remove the item."


class SpecialPriceNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such price"
    message = "There is no such price."


class CustomerGroupNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such group"
    message = "There is no such customer group."


class ExchangeRateMissing(ApplicationError):
    """There is no rate, or the last one is too old to be charged by."""

    code = "EXCHANGE_RATE_MISSING"
    http_status = 409
    title = "There is no exchange rate"
    message = "There is no exchange rate for these currencies."
    advice = "Choose another currency."


class ExchangeRateNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such exchange rate"
    message = "There is no such exchange rate."


class PriceAlertNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such price alert"
    message = "There is no such price alert."


class PriceAlertLinkInvalid(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "This link leads nowhere"
    message = "This link is not complete, or too old."
    advice = "Ask again on the product's page."


class TooManyPriceAlerts(ApplicationError):
    code = "PRICE_ALERT_LIMIT_EXCEEDED"
    http_status = 409
    title = "Too many price alerts"
    message = "You have as many price alerts as one customer may."
    advice = "End one of them first."


class NoShippingZone(ApplicationError):
    code = "NO_SHIPPING_ZONE"
    http_status = 409
    title = "We do not ship there"
    message = "We do not ship to this address."
    advice = "Choose another address."


class CurrencyUnknown(ApplicationError):
    code = "VALIDATION_ERROR"
    title = "Unknown currency"
    message = "We do not sell in this currency."


class PromotionNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such promotion"
    message = "There is no such promotion."


class CouponBatchNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such batch of codes"
    message = "There is no such batch of codes."


class TaxRateNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such tax rate"
    message = "There is no such tax rate."


class TaxExemptionNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such tax exemption"
    message = "There is no such tax exemption."


class ShippingZoneNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such shipping zone"
    message = "There is no such shipping zone."


class ShippingRuleNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such shipping rule"
    message = "There is no such shipping rule."
