"""What PayPal would remember of one seller, and the rules by which it changes."""

from __future__ import annotations

import json
import os
import secrets
import string
import threading
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

Object = dict[str, Any]

MERCHANT = "HOLDFAST2MERCH"
PAYER: Object = {
    "email_address": "ada@example.com",
    "account_id": "QYR5Z8XDVJNXQ",
    "name": {"given_name": "Ada", "surname": "Marsh"},
    "address": {"country_code": "US"},
}
SHIP_TO: Object = {
    "name": {"full_name": "Ada Marsh"},
    "address": {
        "address_line_1": "1 Harbour Street",
        "admin_area_2": "Portland",
        "admin_area_1": "ME",
        "postal_code": "04101",
        "country_code": "US",
    },
}
NO_DECIMALS = {"JPY", "HUF", "TWD"}
CURRENCIES = {"USD", "EUR", "GBP", "CAD", "AUD", "CHF", "PLN", *NO_DECIMALS}


class PayPalProblem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, name: str, issue: str = "", field: str = "") -> None:
        super().__init__(issue or name)
        self.status = status
        self.body: Object = {"name": name, "message": "Not possible.", "debug_id": secrets.token_hex(6)}  # fmt: skip
        if issue:
            self.body["details"] = [
                {"issue": issue, "description": "Not possible."} | ({"field": field} if field else {})
            ]  # fmt: skip


def unprocessable(issue: str, field: str = "") -> PayPalProblem:
    return PayPalProblem(422, "UNPROCESSABLE_ENTITY", issue, field)


def missing() -> PayPalProblem:
    return PayPalProblem(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


class Books:
    """Orders, authorizations, captures, refunds by their id, and a log with one line for each movement of money."""

    def __init__(self, log: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.orders: dict[str, Object] = {}
        self.parts: dict[str, Object] = {}  # authorizations, captures and refunds
        self.order_of: dict[str, str] = {}
        self.wallets: dict[str, str] = {}  # what each order is paid with
        self.disputes: dict[str, Object] = {}
        self.movements: list[Object] = []
        self.events: list[Object] = []
        self.url = ""
        self.tell: Callable[[Object], None] = lambda event: None
        self._log = log

    # --- what sellers do --------------------------------------------------------------------------

    def create(self, body: Object) -> Object:
        _known(body, {"intent", "purchase_units", "payment_source"})
        if body.get("intent") not in {"CAPTURE", "AUTHORIZE"}:
            raise PayPalProblem(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", "/intent")
        [given] = body["purchase_units"]
        _known(
            given, {"custom_id", "invoice_id", "description", "amount", "shipping", "reference_id"}
        )
        _check_money(given["amount"])
        context = body["payment_source"]["paypal"]["experience_context"]
        _known(context, {"shipping_preference", "user_action", "return_url", "cancel_url", "brand_name", "locale"})  # fmt: skip
        for name in ("return_url", "cancel_url"):
            if not str(context.get(name, "")).startswith(("http://", "https://")):
                raise PayPalProblem(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX", name)
        if context["shipping_preference"] == "SET_PROVIDED_ADDRESS":
            address = given["shipping"]["address"]
            if not address.get("country_code") or not address.get("address_line_1"):
                raise unprocessable("MISSING_SHIPPING_ADDRESS")
        with self.lock:
            order_id = _new_id(17)
            unit = {
                "reference_id": "default",
                "payee": {"email_address": "shop@example.com", "merchant_id": MERCHANT},
                **deepcopy(given),
            }
            order: Object = {
                "id": order_id,
                "intent": body["intent"],
                "status": "PAYER_ACTION_REQUIRED",
                "payment_source": {"paypal": {}},
                "purchase_units": [unit],
                "create_time": _now(),
                "links": [
                    self._link("self", f"/v2/checkout/orders/{order_id}"),
                    self._link("payer-action", f"/checkoutnow?token={order_id}"),
                ],
                "_context": context,
            }
            self.orders[order_id] = order
            return order

    def order(self, id: str) -> Object:
        """:raises PayPalProblem: if there is none"""
        if id not in self.orders:
            raise missing()
        return self.orders[id]

    def change(self, id: str, changes: list[Object]) -> None:
        with self.lock:
            order = self.order(id)
            if order["status"] not in {"CREATED", "APPROVED", "PAYER_ACTION_REQUIRED"}:
                raise unprocessable("ORDER_ALREADY_COMPLETED")
            unit = order["purchase_units"][0]
            for change in changes:
                at, _, name = change["path"].rpartition("/")
                if (
                    at != "/purchase_units/@reference_id=='default'"
                    or change["op"] != "replace"
                    or name not in {"amount", "custom_id"}
                ):
                    raise unprocessable("INVALID_PATCH_OPERATION")
                if name == "amount":
                    _check_money(change["value"])
                unit[name] = change["value"]

    def authorize(self, id: str) -> Object:
        with self.lock:
            order = self._approved(id, "AUTHORIZE")
            unit = order["purchase_units"][0]
            self._refuse_if_declined(order)
            promise = self._part(
                order, "authorizations", _new_id(17), status="CREATED", amount=unit["amount"],
                custom_id=unit.get("custom_id"), expiration_time=_now(days=29),
            )  # fmt: skip
            order["status"] = "COMPLETED"
            self._announce("PAYMENT.AUTHORIZATION.CREATED", "authorization", promise)
            return order

    def capture(self, id: str, key: str = "") -> Object:
        """Take what was approved; once."""
        with self.lock:
            order = self._approved(id, "CAPTURE")
            self._refuse_if_declined(order)
            self._capture(order, order["purchase_units"][0]["amount"], key)
            order["status"] = "COMPLETED"
            return order

    def capture_authorization(self, id: str, body: Object, key: str = "") -> Object:
        _known(body, {"amount", "final_capture", "invoice_id", "note_to_payer"})
        with self.lock:
            promise = self._known_part(id, "authorizations")
            if promise["status"] != "CREATED":
                issue = "AUTHORIZATION_VOIDED" if promise["status"] == "VOIDED" else "AUTHORIZATION_ALREADY_CAPTURED"  # fmt: skip
                raise unprocessable(issue)
            if _value(body["amount"]) > _value(promise["amount"]):
                raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED")
            promise["status"] = "CAPTURED"
            order = self.orders[self.order_of[id]]
            return self._capture(order, body["amount"], key)

    def void(self, id: str) -> Object:
        with self.lock:
            promise = self._known_part(id, "authorizations")
            if promise["status"] != "CREATED":
                raise unprocessable("PREVIOUSLY_CAPTURED" if promise["status"] == "CAPTURED" else "PREVIOUSLY_VOIDED")  # fmt: skip
            promise["status"] = "VOIDED"
            self._announce("PAYMENT.AUTHORIZATION.VOIDED", "authorization", promise)
            return promise

    def refund(self, id: str, body: Object, key: str = "") -> Object:
        """Give money back, never more than is left of the capture."""
        _known(body, {"amount", "custom_id", "invoice_id", "note_to_payer"})
        with self.lock:
            capture = self._known_part(id, "captures")
            order = self.orders[self.order_of[id]]
            given = order["purchase_units"][0]["payments"].get("refunds", [])
            left = _value(capture["amount"]) - sum(_value(each["amount"]) for each in given)
            if capture["status"] not in {"COMPLETED", "PARTIALLY_REFUNDED"}:
                raise unprocessable("CAPTURE_FULLY_REFUNDED" if not left else "INVALID_RESOURCE_STATE")  # fmt: skip
            amount = body.get("amount") or capture["amount"]
            _check_money(amount)
            if amount["currency_code"] != capture["amount"]["currency_code"]:
                raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
            if _value(amount) > left:
                raise unprocessable("REFUND_AMOUNT_EXCEEDED")
            refund = self._part(
                order, "refunds", _new_id(17), status="COMPLETED", amount=amount,
                custom_id=body.get("custom_id"),
                links=[self._link("up", f"/v2/payments/captures/{id}")],
            )  # fmt: skip
            capture["status"] = "REFUNDED" if _value(amount) == left else "PARTIALLY_REFUNDED"
            self._move("refund", refund, -_value(amount), key)
            self._announce("PAYMENT.CAPTURE.REFUNDED", "refund", refund)
            return refund

    # --- what customers and banks do --------------------------------------------------------------

    def approve(self, id: str, wallet: str = "balance", *, ship_to: Object | None = None, payer: Object | None = None) -> Object:  # fmt: skip
        """Agree to an order. `wallet` is what it is paid with: `balance`, `declined`, `bank` (takes days)."""
        with self.lock:
            order = self.order(id)
            if order["status"] != "PAYER_ACTION_REQUIRED":
                raise unprocessable("ORDER_NOT_OPEN")
            order["status"] = "APPROVED"
            order["payment_source"] = {"paypal": {**PAYER, **(payer or {})}}
            order["payer"] = {**PAYER, **(payer or {})}
            if order["_context"]["shipping_preference"] == "GET_FROM_FILE":
                order["purchase_units"][0]["shipping"] = deepcopy(ship_to or SHIP_TO)
            self.wallets[id] = wallet
            self._announce("CHECKOUT.ORDER.APPROVED", "checkout-order", order)
            return order

    def clear(self, id: str, *, succeed: bool = True) -> Object:
        """What a bank does days later with a capture that was pending."""
        with self.lock:
            capture: Object
            [capture] = self.orders[id]["purchase_units"][0]["payments"]["captures"]
            if capture["status"] != "PENDING":
                raise unprocessable("NOT_PENDING")
            capture["status"] = "COMPLETED" if succeed else "DECLINED"
            if succeed:
                self._move("capture", capture, _value(capture["amount"]), "")
            self._announce(f"PAYMENT.CAPTURE.{'COMPLETED' if succeed else 'DENIED'}", "capture", capture)  # fmt: skip
            return capture

    def dispute(self, id: str) -> Object:
        """What a customer does: claim the money back."""
        with self.lock:
            [capture] = self.orders[id]["purchase_units"][0]["payments"]["captures"]
            dispute = {
                "dispute_id": f"PP-D-{secrets.randbelow(99999)}",
                "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
                "status": "OPEN",
                "disputed_transactions": [{"seller_transaction_id": capture["id"]}],
            }
            self.disputes[capture["id"]] = dispute
            self._announce("CUSTOMER.DISPUTE.CREATED", "dispute", dispute)
            return dispute

    def forget(self, id: str) -> None:
        """What PayPal does with an order that nobody approved."""
        del self.orders[id]

    # --- reading ----------------------------------------------------------------------------------

    def reports(self) -> list[Object]:
        """Return what the transaction search shows, refunds too."""
        found = []
        for part in self.parts.values():
            if "_moved" not in part:
                continue
            amount = part["_moved"]
            found.append(
                {
                    "transaction_info": {
                        "transaction_id": part["id"],
                        "transaction_event_code": "T0006" if amount > 0 else "T1107",
                        "transaction_status": "S",
                        "transaction_amount": {**part["amount"], "value": str(amount)},
                        "custom_field": part.get("custom_id") or "",
                    }
                }
            )
        return found

    def part(self, id: str) -> Object:
        if id not in self.parts:
            raise missing()
        return self.parts[id]

    # --- inside -----------------------------------------------------------------------------------

    def _approved(self, id: str, intent: str) -> Object:
        order = self.order(id)
        if order["intent"] != intent:
            raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT")
        if order["status"] == "COMPLETED":
            raise unprocessable("ORDER_ALREADY_CAPTURED" if intent == "CAPTURE" else "ORDER_ALREADY_AUTHORIZED")  # fmt: skip
        if order["status"] != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        return order

    def _refuse_if_declined(self, order: Object) -> None:
        if self.wallets[order["id"]] == "declined":
            raise unprocessable("INSTRUMENT_DECLINED")

    def _capture(self, order: Object, amount: Object, key: str) -> Object:
        is_slow = self.wallets[order["id"]] == "bank"
        capture = self._part(
            order, "captures", _new_id(17), status="PENDING" if is_slow else "COMPLETED",
            amount={name: amount[name] for name in ("currency_code", "value")}, final_capture=True,
            custom_id=order["purchase_units"][0].get("custom_id"),
            supplementary_data={"related_ids": {"order_id": order["id"]}},
            **({"status_details": {"reason": "ECHECK"}} if is_slow else {}),
        )  # fmt: skip
        if not is_slow:
            self._move("capture", capture, _value(amount), key)
        self._announce(f"PAYMENT.CAPTURE.{'PENDING' if is_slow else 'COMPLETED'}", "capture", capture)  # fmt: skip
        return capture

    def _part(self, order: Object, kind: str, id: str, **fields: Any) -> Object:
        part = {"id": id, "create_time": _now(), **fields, "_kind": kind}
        self.parts[id] = part
        self.order_of[id] = order["id"]
        order["purchase_units"][0].setdefault("payments", {}).setdefault(kind, []).append(part)
        return part

    def _known_part(self, id: str, kind: str) -> Object:
        part = self.part(id)
        if part["_kind"] != kind:
            raise missing()
        return part

    def _move(self, kind: str, part: Object, amount: Decimal, key: str) -> None:
        part["_moved"] = amount
        line = {
            "at": _now(), "kind": kind, "id": part["id"], "order": self.order_of[part["id"]],
            "amount": str(amount), "currency": part["amount"]["currency_code"], "key": key,
        }  # fmt: skip
        self.movements.append(line)
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(json.dumps(line) + "\n")
                log.flush()
                os.fsync(log.fileno())

    def _announce(self, kind: str, resource_type: str, resource: Object) -> None:
        event = {
            "id": f"WH-{_new_id(17)}-{_new_id(17)}",
            "event_version": "1.0",
            "create_time": _now(),
            "resource_type": resource_type,
            "event_type": kind,
            "resource": shown(resource),
        }
        self.events.append(event)
        self.tell(event)

    def _link(self, rel: str, path: str) -> Object:
        return {"rel": rel, "href": f"{self.url}{path}", "method": "GET"}


def shown(found: Any) -> Any:
    """Return a copy without what PayPal keeps to itself."""
    if isinstance(found, list):
        return [shown(each) for each in found]
    if isinstance(found, dict):
        return {key: shown(value) for key, value in found.items() if not key.startswith("_")}
    return found


def _new_id(length: int) -> str:
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(length))


def _now(*, days: int = 0) -> str:
    return (datetime.now(tz=UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _value(money: Object) -> Decimal:
    return Decimal(money["value"])


def _known(body: Object, names: set[str]) -> None:
    if unknown := sorted(set(body) - names):
        raise PayPalProblem(400, "INVALID_REQUEST", "UNKNOWN_FIELD", unknown[0])


def _check_money(money: Object) -> None:
    _known(money, {"currency_code", "value", "breakdown"})
    value, currency = str(money["value"]), money["currency_code"]
    if currency not in CURRENCIES:
        raise unprocessable("CURRENCY_NOT_SUPPORTED")
    whole, _, cents = value.partition(".")
    if not whole.isdigit() or (cents and (len(cents) != 2 or not cents.isdigit())):
        raise PayPalProblem(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX", "/amount/value")
    if cents and currency in NO_DECIMALS:
        raise unprocessable("DECIMALS_NOT_SUPPORTED")
    if Decimal(value) <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")
