"""What PayPal's orders say, and how ours are told to PayPal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from checkout.gateway.interface import ProviderRefused, State
from checkout.gateway.paypal.client import Object
from pricing.money import format_amount

GOOD_CAPTURES = {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
WHOLE = {"HUF", "TWD"}  # currencies whose parts PayPal does not know
CARRIED_OUT = {"COMPLETED", "PENDING"}


def order_body(
    *,
    amount: Decimal,
    currency: str,
    custom_id: str,
    ship_to: Mapping[str, str] | None,
    is_final: bool,
    at_once: bool = False,
    back: str,
    cancelled: str,
) -> Object:
    """Return a new order. `is_final`: the customer pays there; else they come back to a total that may be another."""
    unit: Object = {"custom_id": custom_id, "amount": money(amount, currency)}
    preference = "NO_SHIPPING" if is_final else "GET_FROM_FILE"
    if ship_to and ship_to.get("country"):
        preference = "SET_PROVIDED_ADDRESS"
        address = {
            "address_line_1": ship_to.get("line1", ""),
            "address_line_2": ship_to.get("line2", ""),
            "admin_area_2": ship_to.get("city", ""),
            "admin_area_1": ship_to.get("state", ""),
            "postal_code": ship_to.get("postalCode", ""),
            "country_code": ship_to["country"],
        }
        unit["shipping"] = {
            "name": {"full_name": ship_to.get("name", "")},
            "address": {key: value for key, value in address.items() if value},
        }
    is_manual = settings.PAYMENT_CAPTURE_MODE == "manual" and not at_once
    return {
        "intent": "AUTHORIZE" if is_manual else "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {
            "paypal": {
                "experience_context": {
                    "shipping_preference": preference,
                    "user_action": "PAY_NOW" if is_final else "CONTINUE",
                    "return_url": back,
                    "cancel_url": cancelled,
                }
            }
        },
    }


def state_of(
    order: Object, captures: Sequence[Object], promises: Sequence[Object]
) -> tuple[State, str]:
    """Return where the money of an order stands; of several captures the one that went furthest counts."""
    statuses = {each["status"] for each in captures}
    if statuses & GOOD_CAPTURES:
        return State.SUCCEEDED, ""
    if "PENDING" in statuses:
        return State.PROCESSING, ""
    if captures:
        return State.FAILED, reason_of(captures[0])
    if promises:
        match promises[0]["status"]:
            case "CREATED":
                return State.AUTHORIZED, ""
            case "PENDING" | "CAPTURED" | "PARTIALLY_CAPTURED":
                return State.PROCESSING, ""
            case "DENIED":
                return State.FAILED, reason_of(promises[0])
            case _:
                return State.CANCELED, ""
    match order["status"]:
        case "APPROVED":
            return State.APPROVED, ""
        case "VOIDED":
            return State.CANCELED, ""
        case "COMPLETED":
            return State.PROCESSING, ""
        case _:
            return State.REQUIRES_PAYMENT, ""


def moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def reason_of(movement: Object) -> str:
    return str((movement.get("status_details") or {}).get("reason") or movement["status"])[:100]


def way_to_approve(order: Object) -> Object | None:
    """Return where its customer approves an order, if that is PayPal's own address."""
    for link in order.get("links") or []:
        if link.get("rel") in {"approve", "payer-action"} and is_paypal(str(link.get("href"))):
            return {"type": "redirect", "url": link["href"]}
    return None


def is_paypal(address: str) -> bool:
    """Return whether an address is PayPal's, or of the stand-in on this machine that is asked in its place."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    here = urlsplit(settings.PAYPAL_API_HOST)
    if here.hostname in {"127.0.0.1", "localhost", "::1"}:
        return (parts.scheme, host, port) == (here.scheme, here.hostname, here.port)
    return parts.scheme == "https" and host.endswith(".paypal.com") and port in {None, 443}


def is_plain(text: str) -> bool:
    return 0 < len(text) <= 500 and text.isascii() and text.isprintable()


def unit_of(order: Object) -> Object:
    unit: Object = order["purchase_units"][0]
    return unit


def payments_of(order: Object, kind: str) -> list[Object]:
    return list((unit_of(order).get("payments") or {}).get(kind) or [])


def money(amount: Decimal, currency: str) -> Object:
    """:raises ProviderRefused: if the amount is no whole one where PayPal knows no others"""
    value = format_amount(amount, currency)
    if currency in WHOLE:
        value, _, parts = value.partition(".")
        if parts.strip("0"):
            raise ProviderRefused("amount_too_fine")
    return {"currency_code": currency, "value": value}


def amount_of(money: Object) -> tuple[Decimal, str]:
    return Decimal(money["value"]), str(money["currency_code"])


def sum_of(movements: Iterator[Object] | Sequence[Object]) -> Decimal:
    return sum((amount_of(each["amount"])[0] for each in movements), Decimal(0))
