"""
What every answer of the API has to obey, whatever was asked.

The client looks at each answer with these, so a test only states what is particular to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*\Z")
CODE = re.compile(r"[A-Z][A-Z0-9_]*\Z")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
AMOUNT = {
    places: re.compile(rf"-?\d+\.\d{{{places}}}\Z" if places else r"-?\d+\Z")
    for places in (0, 2, 3)
}

# Keys whose value is a map that somebody else names the keys of.
FREE = {"options", "customization", "metadata", "prices", "changes", "paths", "components"}
MONEY = {
    "priceWhenAdded", "unitPrice", "lineSubtotal", "lineDiscount", "lineTax", "lineTotal", "subtotal", "discountTotal",
    "shippingTotal", "taxTotal", "grandTotal", "shippingDiscount", "shippingTax", "price", "compareAtPrice", "priceFrom",
    "amount", "refundedAmount", "refundedTotal", "runningTotal", "oldTotal", "newTotal",
    "currentPrice", "difference", "targetPrice", "oldPrice", "newPrice",  "saving", "partsPrice",
    "refundedOutsideAmount", "paidOut", "theirs", "ours", "toPay", "toRefund", "paidBefore", "priceBefore", "priceAfter", "refund", "waived",
}  # fmt: skip
# Names, hashes or foreign words rather than keys of ours.
NOT_OURS = {"quoteId", "requestId", "clientSecret"}

STATUS = {
    "CART_NOT_FOUND": 404, "CART_EXPIRED": 410, "CART_MERGED": 410, "ITEM_OUT_OF_STOCK": 400,
    "INVENTORY_HOLD_FAILED": 409, "DISCOUNT_INVALID": 400, "DISCOUNT_EXPIRED": 400, "DISCOUNT_LIMIT_REACHED": 400,
    "RECOVERY_TOKEN_INVALID": 400, "RECOVERY_TOKEN_EXPIRED": 410, "ITEM_NOT_FOUND": 404, "PRODUCT_NOT_FOUND": 404,
    "PRODUCT_DISCONTINUED": 400, "VARIANT_INVALID": 400, "CART_LIMIT_EXCEEDED": 400, "CART_CONFLICT": 409,
    "HOLD_LIMIT_EXCEEDED": 409, "PRICE_CHANGED": 409, "CHECKOUT_NOT_FOUND": 404, "CHECKOUT_EXPIRED": 410,
    "ORDER_NOT_FOUND": 404, "INVALID_STATUS_TRANSITION": 409, "ORDER_NOT_CANCELLABLE": 409,
    "RETURN_WINDOW_CLOSED": 400, "RETURN_NOT_ELIGIBLE": 400, "PAYMENT_FAILED": 402, "PAYMENT_AMOUNT_MISMATCH": 400,
    "REFUND_EXCEEDS_PAYMENT": 400, "IDEMPOTENCY_CONFLICT": 409, "IDEMPOTENCY_IN_PROGRESS": 409,
    "IDEMPOTENCY_KEY_REQUIRED": 400, "WEBHOOK_SIGNATURE_INVALID": 400, "FEATURE_DISABLED": 404,
    "DEPENDENCY_UNAVAILABLE": 503, "RATE_LIMITED": 429, "AUTH_REQUIRED": 401, "TOKEN_EXPIRED": 401, "FORBIDDEN": 403,
    "VALIDATION_ERROR": 400, "MALFORMED_REQUEST": 400, "BODY_TOO_LARGE": 413, "UNSUPPORTED_MEDIA_TYPE": 415,
    "METHOD_NOT_ALLOWED": 405, "NOT_FOUND": 404, "COMPANY_NOT_FOUND": 404, "CHECKOUT_INCOMPLETE": 409,
    "PAYMENT_REQUIRED": 402, "NO_SHIPPING_ZONE": 409,
    # Beyond the contract, in its spirit: what only staff meet, and a product without a price in the cart's currency.
    "ORDER_NOT_EDITABLE": 409, "ORDER_ADDRESS_FIXED": 409, "ORDER_EDIT_COSTS_MORE": 409, "SKU_TAKEN": 409, "STOCK_BELOW_HOLDS": 409, "PRICE_MISSING": 409,
    "WISHLIST_FULL": 409, "COMPARISON_FULL": 409, "WAREHOUSE_NOT_FOUND": 404, "STOCK_CHANGED": 409,
    "STOCK_RECORD_EXISTS": 409, "SLUG_TAKEN": 409, "PICTURE_NOT_FOUND": 404, "CATEGORY_NOT_FOUND": 404,
    "WEBHOOK_ID_REUSED": 409, "PRODUCT_IN_STOCK": 409, "BACK_IN_STOCK_LIMIT_EXCEEDED": 409, "PRICE_ALERT_LIMIT_EXCEEDED": 409,
    "PRICE_DISPUTE_NOT_FOUND": 404, "PRICE_DISPUTE_OPEN": 409, "PRICE_DISPUTE_NOT_POSSIBLE": 409,
    "ADDRESS_NOT_FOUND": 404, "ADDRESS_BOOK_FULL": 409, "EXCHANGE_RATE_MISSING": 409, "POINTS_INSUFFICIENT": 409, "POINTS_NOT_ACCEPTED": 409,
}  # fmt: skip
PROBLEM = {"type", "title", "status", "code", "detail", "advice", "errors", "extra", "requestId"}
NO_DECIMALS = {"JPY", "KRW", "VND", "CLP", "ISK"}
THREE_DECIMALS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


def check(response: httpx.Response) -> None:
    """Assert the rules of api.md §1 on `response`."""
    what = f"{response.request.method} {response.request.url} -> {response.status_code}"
    assert response.status_code < 500 or _says_it_is_down(response), (
        f"{what}: {response.text[:600]}"
    )
    if not response.request.url.path.startswith("/api") or response.request.url.path == "/api/docs":
        return
    assert response.headers.get("X-Request-ID"), f"{what}: no X-Request-ID"
    if response.status_code == 304 or response.request.method == "HEAD":
        assert response.content == b"", f"{what}: a body"
        return
    if response.status_code >= 400:
        check_problem(response, what)
    elif response.content and "json" in response.headers.get("content-type", ""):
        if "/schema" in response.request.url.path or "/health" in response.request.url.path:
            return
        check_shape(response.json(), what)


def _says_it_is_down(response: httpx.Response) -> bool:
    return response.status_code == 503 and response.request.url.path.endswith("/ready")


def check_problem(response: httpx.Response, what: str) -> None:
    assert response.headers["content-type"].startswith("application/problem+json"), (
        f"{what}: {response.headers['content-type']} {response.text[:300]}"
    )
    body = response.json()
    assert set(body) == PROBLEM, f"{what}: keys {sorted(set(body) ^ PROBLEM)} too many or missing"
    assert body["status"] == response.status_code, what
    assert CODE.match(body["code"]), f"{what}: code {body['code']!r}"
    assert body["type"] == f"/docs/errors#{body['code']}", f"{what}: type {body['type']!r}"
    if "Idempotent-Replayed" not in response.headers:  # that one is the first answer, word for word
        assert body["requestId"] == response.headers["X-Request-ID"], what
    assert STATUS.get(body["code"]) == response.status_code, f"{what}: {body['code']}"
    for name in ("title", "detail", "advice"):
        assert isinstance(body[name], str), f"{what}: {name} is {body[name]!r}"
    assert body["title"], f"{what}: no title"
    assert isinstance(body["extra"], dict), f"{what}: extra is {body['extra']!r}"
    for error in body["errors"]:
        assert set(error) == {"field", "code", "message"}, f"{what}: {error}"
    if response.status_code == 429 or body["code"] == "IDEMPOTENCY_IN_PROGRESS":
        assert int(response.headers["Retry-After"]) >= 1, what
    if response.status_code == 405:
        assert response.headers.get("Allow"), f"{what}: no Allow"
    for leak in ("Traceback", 'File "', "psycopg", "SELECT ", "django."):
        assert leak not in response.text, f"{what}: {leak} in the answer"
    check_shape(body["extra"], what)


# Times and shares that were measured; nothing that is counted or paid.
MEASURED = {
    "requestsPerSecond", "errorRate", "clientErrorRate", "meanMs", "p50Ms", "p95Ms", "p99Ms", "hitRate",
}  # fmt: skip


def check_shape(body: Any, what: str = "") -> None:
    """Assert the forms of keys, ids, money and times anywhere in `body`."""
    for path, key, value, currency in _walk(body, "", None):
        here = f"{what}: {path}.{key} = {value!r}"
        assert CAMEL.match(key), f"{here}: not camelCase"
        assert not isinstance(value, float) or key in MEASURED, f"{here}: a float"
        if key in MONEY and value is not None:
            assert isinstance(value, str), f"{here}: money must be a string"
            if currency:
                assert AMOUNT[_places(currency)].match(value), (
                    f"{here}: not the decimals of {currency}"
                )
        elif (key.endswith("At") or key == "at") and value is not None:
            assert isinstance(value, str), here
            assert MOMENT.match(value), f"{here}: not RFC 3339 with Z"
        elif (key == "id" or key.endswith("Id")) and isinstance(value, str) and key not in NOT_OURS:
            found = _uuid(value)
            assert found is None or found.version == 7 or found.int < 2**32, (
                f"{here}: not version 7"
            )


def _places(currency: str) -> int:
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def _walk(
    value: Any, path: str, currency: str | None
) -> Iterator[tuple[str, str, Any, str | None]]:
    if isinstance(value, dict):
        given = value.get("currency")
        currency = given if isinstance(given, str) else currency
        for key, inner in value.items():
            yield path, key, inner, currency
            if key not in FREE:
                yield from _walk(inner, f"{path}.{key}", currency)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{number}]", currency)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


CART = {
    "id", "status", "version", "currency", "owner", "items", "nextPurchaseItems", "savedItems", "discounts", "loyalty", "totals",
    "quoteId", "taxRelief", "warnings", "nextPurchaseActivated", "message", "metadata", "holdExpiresAt", "expiresAt", "createdAt",
    "updatedAt",
}  # fmt: skip
LINE = {
    "id", "list", "productId", "variantId", "sku", "name", "slug", "options", "imageUrl", "url", "quantity",
    "priceWhenAdded", "unitPrice", "priceChanged", "lineSubtotal", "lineDiscount", "lineTax", "lineTotal", "note",
    "customization", "metadata", "bundleId", "groupId", "expiresAt", "addedAt", "hold", "available", "problems",
}  # fmt: skip
AMOUNTS = {
    "subtotal", "discountTotal", "shippingTotal", "taxTotal", "grandTotal", "shippingDiscount", "shippingTax",
    "pricesIncludeTax",
}  # fmt: skip
TOTALS = {"itemCount", "lineCount", "problemCount", "estimated"} | AMOUNTS


def check_cart(cart: dict[str, Any]) -> None:
    """Assert the shape of §2 and that all sums agree to the cent."""
    assert set(cart) >= CART, f"missing {sorted(CART - set(cart))}"
    assert cart["status"] in {"ACTIVE", "ABANDONED", "CONVERTED", "EXPIRED", "MERGED"}
    assert cart["owner"] in {"guest", "user"}
    assert type(cart["version"]) is int
    for name, kind in (("items", "active"), ("nextPurchaseItems", "next"), ("savedItems", "saved")):
        for line in cart[name]:
            assert set(line) >= LINE, f"missing {sorted(LINE - set(line))}"
            assert line["list"] == kind
            assert set(line["hold"]) == {"state", "quantity", "expiresAt", "secondsLeft"}
            assert line["hold"]["state"] in {"held", "expired", "none"}
            assert line["url"] == f"/products/{line['slug']}/"
            if kind != "active":
                assert line["hold"]["state"] == "none"
    check_totals(cart["totals"], cart["items"])
    assert sum((Decimal(one["amount"]) for one in cart["discounts"]), Decimal()) == Decimal(
        cart["totals"]["discountTotal"]
    )
    for one in cart["discounts"]:
        assert set(one) >= {"code", "promotionId", "name", "kind", "amount"}
    for one in cart["warnings"]:
        assert set(one) >= {"code", "itemId", "message", "extra"}


def check_totals(totals: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    """Assert that `totals` are the sums of `lines`; lines with problems count for nothing."""
    assert set(totals) >= TOTALS, f"missing {sorted(TOTALS - set(totals))}"
    sold = [line for line in lines if not line["problems"]]
    assert totals["lineCount"] == len(sold)
    assert totals["itemCount"] == sum(line["quantity"] for line in sold)
    assert totals["problemCount"] == len(lines) - len(sold)
    check_sums(totals, sold)


def check_sums(totals: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    """Assert the sum rules that carts, checkouts and orders share."""
    money = {
        key: Decimal(value) for key, value in totals.items() if key in MONEY and value is not None
    }
    said = json.dumps({"totals": totals, "lines": [_money_of(line) for line in lines]}, indent=1)
    included = totals["pricesIncludeTax"]
    for line in lines:
        assert Decimal(line["unitPrice"]) * line["quantity"] == Decimal(line["lineSubtotal"]), said
        tax = Decimal() if included else Decimal(line["lineTax"])
        assert Decimal(line["lineSubtotal"]) - Decimal(line["lineDiscount"]) + tax == Decimal(
            line["lineTotal"]
        ), said
        assert Decimal() <= Decimal(line["lineDiscount"]) <= Decimal(line["lineSubtotal"]), said
    assert _sum(lines, "lineSubtotal") == money["subtotal"], said
    assert _sum(lines, "lineDiscount") + money["shippingDiscount"] == money["discountTotal"], said
    assert _sum(lines, "lineTax") + money["shippingTax"] == money["taxTotal"], said
    assert money["shippingDiscount"] <= money["shippingTotal"], said
    added = Decimal() if included else money["taxTotal"]
    assert (
        money["grandTotal"]
        == money["subtotal"] - money["discountTotal"] + money["shippingTotal"] + added
    ), said
    assert money["grandTotal"] >= 0, said


def _money_of(line: dict[str, Any]) -> dict[str, Any]:
    return {key: line.get(key) for key in ("sku", "quantity", *sorted(MONEY)) if key in line}


def _sum(lines: list[dict[str, Any]], key: str) -> Decimal:
    return sum((Decimal(line[key]) for line in lines), Decimal())
