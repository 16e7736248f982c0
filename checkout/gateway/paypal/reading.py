"""Looking things up at PayPal, over several calls where one does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import quote, urlsplit

from checkout.gateway.interface import ProviderEvent, ProviderGone, ProviderRefused
from checkout.gateway.paypal.client import ID, Object, PayPalApi
from checkout.gateway.paypal.wire import amount_of, money, unit_of
from config.platform.errors import MalformedRequest

SEARCH_RANGE = timedelta(days=31)  # what one search of transactions may span


def bind(api: PayPalApi, order_id: str, payment_id: str, amount: Decimal, currency: str) -> Object:
    """Make an order that was approved in the cart the one of a payment, for exactly its amount; repeating changes nothing."""
    order = read_order(api, order_id)
    unit = unit_of(order)
    if unit.get("custom_id") == payment_id and amount_of(unit["amount"]) == (amount, currency):
        return order
    at = "/purchase_units/@reference_id=='default'"
    api.patch(
        f"/v2/checkout/orders/{order_id}",
        [
            {"op": "replace", "path": f"{at}/amount", "value": money(amount, currency)},
            {"op": "replace", "path": f"{at}/custom_id", "value": payment_id},
        ],
    )
    return read_order(api, order_id)


def read_order(api: PayPalApi, order_id: str) -> Object:
    """:raises ProviderGone: if PayPal does not know it, or it can be none of its ids"""
    if not ID.fullmatch(order_id):
        raise ProviderGone("no such order")
    return api.get(f"/v2/checkout/orders/{order_id}")


def event_of(api: PayPalApi, event: Object) -> ProviderEvent:
    """Return the parts of an event that we use; which order a capture, a refund or a dispute is about, PayPal is asked."""
    try:
        subject = event["resource"]
        kind = str(event["event_type"])
        related = (subject.get("supplementary_data") or {}).get("related_ids") or {}
        units = subject.get("purchase_units") or [{}]
        payment_id = str(subject.get("custom_id") or units[0].get("custom_id") or "")
        order_id = subject["id"] if kind.startswith("CHECKOUT.ORDER.") else related.get("order_id")
        captures = [
            each["seller_transaction_id"] for each in subject.get("disputed_transactions") or []
        ] + [
            urlsplit(str(link.get("href"))).path.rpartition("/")[2]
            for link in subject.get("links") or []
            if link.get("rel") == "up" and "/payments/captures/" in str(link.get("href"))
        ]
        event_id = event["id"]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise MalformedRequest("This is no event.") from None
    if not order_id and captures:
        try:
            order_id = order_of_capture(api, str(captures[0]))
        except ProviderRefused:
            order_id = ""
    texts = ((event_id, 255), (kind, 100), (order_id or "-", 255), (payment_id or "-", 127))
    if not all(
        isinstance(text, str) and 0 < len(text) <= most and text.isascii() and text.isprintable()
        for text, most in texts
    ):
        raise MalformedRequest("This is no event.")
    return ProviderEvent(
        id=event_id, type=kind, object_id=order_id or "", payment_id=payment_id, is_live=False
    )


def order_of_capture(api: PayPalApi, capture_id: str) -> str:
    """:raises ProviderGone: if there is no such capture"""
    if not ID.fullmatch(capture_id):
        raise ProviderGone("no such capture")
    found = api.get(f"/v2/payments/captures/{capture_id}")
    return str(
        ((found.get("supplementary_data") or {}).get("related_ids") or {}).get("order_id") or ""
    )


def captures_between(api: PayPalApi, since: datetime, until: datetime) -> Iterator[str]:
    """Yield the ids of what was paid to us through an order in a period, range by range, page by page."""
    while since < until:
        ends = min(since + SEARCH_RANGE, until)
        page, pages = 1, 1
        while page <= pages:
            found = api.get(
                "/v1/reporting/transactions?fields=transaction_info&page_size=500"
                f"&start_date={quote(since.isoformat(timespec='seconds'))}"
                f"&end_date={quote(ends.isoformat(timespec='seconds'))}&page={page}"
            )
            pages = int(found.get("total_pages") or 1)
            page += 1
            for each in found.get("transaction_details") or []:
                told = each.get("transaction_info") or {}
                # T00…: payments, and only what came in; refunds, fees and withdrawals have codes of their own.
                if (
                    str(told.get("transaction_event_code", "")).startswith("T00")
                    and Decimal(told["transaction_amount"]["value"]) > 0
                ):
                    yield told["transaction_id"]
        since = ends
