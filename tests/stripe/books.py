"""What Stripe would remember of one account, and the rules by which it changes."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

Object = dict[str, Any]

API_VERSION = "2026-05-27.dahlia"
DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", ""),
}
THREE_D_SECURE = {"pm_card_authenticationRequired", "pm_card_threeDSecure2Required"}
BANK_DEBIT = "pm_usBankAccount"  # takes days: `processing` until the bank has spoken
CARDS = {"pm_card_visa": ("visa", "4242"), "pm_card_mastercard": ("mastercard", "4444")}
AUTHORISED_FOR = 7 * 24 * 3600  # seconds
OPEN = {"requires_payment_method", "requires_confirmation", "requires_action"}


class StripeProblem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


def invalid(message: str, *, code: str = "", param: str = "", status: int = 400) -> StripeProblem:
    more = {name: value for name, value in (("code", code), ("param", param)) if value}
    return StripeProblem(status, "invalid_request_error", message, **more)


class Books:
    """
    Objects by their id, in order of creation, and a log with one line for each movement of money.

    Each verb holds `lock`. `tell` is called with each event, after the books have changed.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.objects: dict[str, Object] = {}
        self.movements: list[Object] = []
        self.tell: Callable[[Object], None] = lambda event: None
        self._log = log
        self._tokens: dict[str, str] = {}  # which test card a payment method stands for
        self.account = self._add("account", "acct", country="US", default_currency="usd",
                                 charges_enabled=True, payouts_enabled=True, type="standard",
                                 business_profile={"name": "Holdfast"}, settings={"dashboard": {"display_name": "Holdfast"}})  # fmt: skip

    # --- reading ----------------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Object:
        """:raises StripeProblem: if there is none"""
        found = self.objects.get(id)
        if found is None or found["object"] != kind:
            raise invalid(
                f"No such {kind}: '{id}'", code="resource_missing", param="id", status=404
            )
        return found

    def all(self, kind: str) -> list[Object]:
        """Return the objects of a kind, newest first."""
        with self.lock:
            return [each for each in reversed(self.objects.values()) if each["object"] == kind]

    def charges_of(self, intent_id: str) -> list[Object]:
        return [charge for charge in self.all("charge") if charge["payment_intent"] == intent_id]

    # --- payment intents --------------------------------------------------------------------------

    def create_intent(self, params: Object, key: str = "") -> Object:
        """Open an intent; with `confirm` it is confirmed at once."""
        amount = whole(params, "amount", least=1)
        currency = str(params.get("currency", "")).lower()
        if len(currency) != 3 or not currency.isalpha():
            raise invalid("Invalid currency.", code="parameter_missing", param="currency")
        manner = params.get("capture_method", "automatic")
        if manner not in {"automatic", "automatic_async", "manual"}:
            raise invalid("Invalid capture_method", param="capture_method")
        with self.lock:
            intent = self._add(
                "payment_intent", "pi", amount=amount, amount_capturable=0, amount_received=0,
                automatic_payment_methods=params.get("automatic_payment_methods"),
                cancellation_reason=None, canceled_at=None, capture_method=manner,
                client_secret="", confirmation_method="automatic", currency=currency,
                customer=params.get("customer"), description=params.get("description"),
                last_payment_error=None, latest_charge=None, metadata=params.get("metadata") or {},
                next_action=None, payment_method=params.get("payment_method"),
                payment_method_types=["card"], receipt_email=params.get("receipt_email"),
                status="requires_payment_method",
            )  # fmt: skip
            intent["client_secret"] = f"{intent['id']}_secret_{secrets.token_hex(8)}"
            if intent["payment_method"]:
                intent["status"] = "requires_confirmation"
            self._announce("payment_intent.created", intent)
            if params.get("confirm") == "true":
                self.confirm(intent["id"], intent["payment_method"], key=key)
            return intent

    def update_intent(self, id: str, params: Object) -> Object:
        with self.lock:
            intent = self.get("payment_intent", id)
            if "amount" in params:
                self._expect(intent, OPEN, "update")
                intent["amount"] = whole(params, "amount", least=1)
            intent["metadata"] |= params.get("metadata") or {}
            for name in ("description", "receipt_email", "payment_method", "customer"):
                if name in params:
                    intent[name] = params[name]
            return intent

    def confirm(self, id: str, method: str | None = None, *, key: str = "") -> Object:
        """
        What a customer does with an intent: pay it by one of Stripe's test methods.

        :raises StripeProblem: 402 for a declined card, 400 if the intent is past that
        """
        with self.lock:
            intent = self.get("payment_intent", id)
            self._expect(intent, OPEN, "confirm")
            method = method or intent["payment_method"]
            if not method:
                raise invalid("You must provide a payment method.", code="parameter_missing")
            intent["payment_method"] = self._method(method)["id"]
            method = self._tokens[intent["payment_method"]]
            intent["last_payment_error"] = intent["next_action"] = None
            if method in DECLINES:
                raise self._decline(intent, *DECLINES[method])
            if method in THREE_D_SECURE:
                intent["status"] = "requires_action"
                intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
                self._announce("payment_intent.requires_action", intent)
            elif method == BANK_DEBIT:
                intent["status"] = "processing"
                self._announce("payment_intent.processing", intent)
            else:
                self._charge(intent, key)
            return intent

    def authenticate(self, id: str, *, succeed: bool = True) -> Object:
        """What a customer's bank does: 3-D Secure is passed or failed, or a debit settles or returns."""
        with self.lock:
            intent = self.get("payment_intent", id)
            self._expect(intent, {"requires_action", "processing"}, "authenticate")
            intent["next_action"] = None
            if succeed:
                self._charge(intent, "")
            else:
                self._decline(intent, "payment_intent_authentication_failure", "")
            return intent

    def capture(self, id: str, params: Object, key: str = "") -> Object:
        with self.lock:
            intent = self.get("payment_intent", id)
            self._expect(intent, {"requires_capture"}, "capture")
            amount = intent["amount_capturable"]
            if "amount_to_capture" in params:
                amount = whole(params, "amount_to_capture", least=1)
            if amount > intent["amount_capturable"]:
                raise invalid("The amount to capture exceeds what is authorised.", code="amount_too_large")  # fmt: skip
            charge = self.get("charge", intent["latest_charge"])
            intent["amount_capturable"] = 0
            charge["amount_refunded"] = charge["amount"] - amount
            charge["refunded"] = False
            self._collect(intent, charge, amount, key)
            return intent

    def cancel(self, id: str, params: Object) -> Object:
        with self.lock:
            intent = self.get("payment_intent", id)
            self._expect(intent, OPEN | {"requires_capture"}, "cancel")
            intent["status"] = "canceled"
            intent["canceled_at"] = int(time.time())
            intent["cancellation_reason"] = params.get("cancellation_reason")
            intent["amount_capturable"] = 0
            intent["next_action"] = None
            self._announce("payment_intent.canceled", intent)
            return intent

    # --- refunds and disputes ---------------------------------------------------------------------

    def refund(self, params: Object, key: str = "") -> Object:
        """Give money back, never more than is left of the charge."""
        with self.lock:
            if "payment_intent" in params:
                intent = self.get("payment_intent", params["payment_intent"])
                if intent["status"] != "succeeded":
                    raise invalid("This PaymentIntent has no successful charge to refund.", code="charge_not_refundable")  # fmt: skip
                charge = self.get("charge", intent["latest_charge"])
            else:
                charge = self.get("charge", params.get("charge", ""))
            left = charge["amount"] - charge["amount_refunded"]
            amount = whole(params, "amount", least=1) if "amount" in params else left
            if not left:
                raise invalid("Charge has already been refunded.", code="charge_already_refunded")
            if amount > left:
                raise invalid("Refund amount is greater than the unrefunded amount on the charge.", param="amount")  # fmt: skip
            charge["amount_refunded"] += amount
            charge["refunded"] = charge["amount_refunded"] == charge["amount"]
            refund = self._add(
                "refund", "re", amount=amount, charge=charge["id"], currency=charge["currency"],
                metadata=params.get("metadata") or {}, payment_intent=charge["payment_intent"],
                reason=params.get("reason"), status="succeeded", balance_transaction=None,
            )  # fmt: skip
            refund["balance_transaction"] = self._move("refund", refund, -amount, key)
            self._announce("refund.created", refund)
            self._announce("charge.refunded", charge)
            return refund

    def fail_refund(self, id: str) -> Object:
        """What a bank does days later: the money of a refund comes back."""
        with self.lock:
            refund = self.get("refund", id)
            charge = self.get("charge", refund["charge"])
            refund["status"] = "failed"
            refund["failure_reason"] = "lost_or_stolen_card"
            charge["amount_refunded"] -= refund["amount"]
            charge["refunded"] = False
            self._move("refund_failure", refund, refund["amount"], "")
            self._announce("refund.failed", refund)
            return refund

    def dispute(self, intent_id: str, *, reason: str = "fraudulent") -> Object:
        """What a card holder does: claim the money back."""
        with self.lock:
            intent = self.get("payment_intent", intent_id)
            charge = self.get("charge", intent["latest_charge"] or "")
            charge["disputed"] = True
            dispute = self._add(
                "dispute", "dp", amount=charge["amount"], charge=charge["id"], currency=charge["currency"],
                evidence={}, evidence_details={"due_by": int(time.time()) + 7 * 86400}, metadata={},
                payment_intent=intent_id, reason=reason, status="needs_response", is_charge_refundable=False,
                balance_transactions=[],
            )  # fmt: skip
            self._move("dispute", dispute, -charge["amount"], "")
            self._announce("charge.dispute.created", dispute)
            return dispute

    def warn(self, intent_id: str, *, kind: str = "made_with_stolen_card") -> Object:
        """What a card's bank does before anybody disputes: say that the card was stolen."""
        with self.lock:
            intent = self.get("payment_intent", intent_id)
            warning = self._add(
                "radar.early_fraud_warning", "issfr", actionable=True, charge=intent["latest_charge"],
                fraud_type=kind, payment_intent=intent_id,
            )  # fmt: skip
            self._announce("radar.early_fraud_warning.created", warning)
            return warning

    # --- everything else --------------------------------------------------------------------------

    def create_customer(self, params: Object) -> Object:
        with self.lock:
            customer = self._add(
                "customer", "cus", email=params.get("email"), name=params.get("name"), currency=None,
                metadata=params.get("metadata") or {}, balance=0, delinquent=False, description=None,
                default_source=None, invoice_settings={"default_payment_method": None},
            )  # fmt: skip
            self._announce("customer.created", customer)
            return customer

    def create_endpoint(self, params: Object) -> Object:
        return self._add(
            "webhook_endpoint", "we", url=params.get("url"), status="enabled", description=None,
            enabled_events=params.get("enabled_events") or ["*"], application=None,
            metadata=params.get("metadata") or {}, api_version=API_VERSION,
            secret=f"whsec_{secrets.token_hex(16)}",
        )  # fmt: skip

    # --- parts ------------------------------------------------------------------------------------

    def _add(self, kind: str, prefix: str, **fields: Any) -> Object:
        id = f"{prefix}_{secrets.token_hex(12)}"
        found = {"id": id, "object": kind, "created": int(time.time()), "livemode": False, **fields}
        self.objects[id] = found
        return found

    def _expect(self, intent: Object, states: set[str], verb: str) -> None:
        if intent["status"] not in states:
            raise invalid(
                f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
                code="payment_intent_unexpected_state",
            )

    def _method(self, token: str) -> Object:
        """Return the payment method that a test card becomes when it is used, or the one that is named."""
        if token in self._tokens:
            return self.objects[token]
        brand, last4 = CARDS.get(token, ("visa", "3155"))
        method = self._add(
            "payment_method", "pm", billing_details={"email": None, "name": None}, customer=None, metadata={},
            type="card", card={"brand": brand, "last4": last4, "exp_month": 12, "exp_year": 2034},
        )  # fmt: skip
        self._tokens[method["id"]] = token
        return method

    def _charge(self, intent: Object, key: str) -> None:
        token = self._tokens[intent["payment_method"]]
        brand, last4 = CARDS.get(token, ("visa", "3155"))
        is_manual = intent["capture_method"] == "manual"
        card: Object = {"brand": brand, "last4": last4, "exp_month": 12, "exp_year": 2034, "country": "US",
                        "fingerprint": f"fp_{brand}_{last4}"}  # fmt: skip
        if is_manual:
            card["capture_before"] = int(time.time()) + AUTHORISED_FOR
        charge = self._add(
            "charge", "ch", amount=intent["amount"], amount_captured=0, amount_refunded=0,
            balance_transaction=None, captured=False, currency=intent["currency"],
            customer=intent["customer"], disputed=False, failure_code=None, failure_message=None,
            metadata=dict(intent["metadata"]), paid=True, payment_intent=intent["id"],
            payment_method=intent["payment_method"], payment_method_details={"type": "card", "card": card},
            refunded=False, status="succeeded", billing_details={"name": None, "email": None},
        )  # fmt: skip
        intent["latest_charge"] = charge["id"]
        if is_manual:
            intent["status"] = "requires_capture"
            intent["amount_capturable"] = intent["amount"]
            self._announce("payment_intent.amount_capturable_updated", intent)
        else:
            self._collect(intent, charge, intent["amount"], key)

    def _collect(self, intent: Object, charge: Object, amount: int, key: str) -> None:
        charge["captured"] = True
        charge["amount_captured"] = amount
        charge["balance_transaction"] = self._move("charge", charge, amount, key)
        intent["status"] = "succeeded"
        intent["amount_received"] = amount
        self._announce("charge.succeeded", charge)
        self._announce("payment_intent.succeeded", intent)

    def _decline(self, intent: Object, code: str, decline_code: str) -> StripeProblem:
        charge = self._add(
            "charge", "ch", amount=intent["amount"], amount_captured=0, amount_refunded=0,
            balance_transaction=None, captured=False, currency=intent["currency"],
            customer=intent["customer"], disputed=False, failure_code=code, failure_message="Your card was declined.",
            metadata=dict(intent["metadata"]), paid=False, payment_intent=intent["id"],
            payment_method=None, payment_method_details={"type": "card", "card": {"brand": "visa", "last4": "0002", "fingerprint": "fp_visa_0002"}},
            refunded=False, status="failed", billing_details={"name": None, "email": None},
        )  # fmt: skip
        error = {"type": "card_error", "code": code, "message": "Your card was declined."}
        if decline_code:
            error["decline_code"] = decline_code
        intent["latest_charge"] = charge["id"]
        intent["last_payment_error"] = dict(error)
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        self._announce("charge.failed", charge)
        self._announce("payment_intent.payment_failed", intent)
        about: Any = {name: value for name, value in error.items() if name not in {"type", "message"}}  # fmt: skip
        return StripeProblem(402, "card_error", error["message"], **about)

    def _move(self, kind: str, about: Object, amount: int, key: str) -> str:
        """Note a movement of money: in the books, and in the log before anybody is answered."""
        entry = self._add("balance_transaction", "txn", amount=amount, currency=about["currency"],
                          fee=0, net=amount, source=about["id"], status="available", type=kind,
                          available_on=int(time.time()), fee_details=[], reporting_category=kind,
                          description=None, exchange_rate=None)  # fmt: skip
        line = {
            "at": entry["created"], "kind": kind, "id": about["id"], "amount": amount, "currency": about["currency"],
            "payment_intent": about["payment_intent"], "metadata": about["metadata"], "key": key,
        }  # fmt: skip
        self.movements.append(line)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return str(entry["id"])

    def _announce(self, kind: str, about: Object) -> None:
        event = self._add(
            "event", "evt", api_version=API_VERSION, data={"object": deepcopy(about)},
            pending_webhooks=1, request={"id": None, "idempotency_key": None}, type=kind,
        )  # fmt: skip
        self.tell(deepcopy(event))


def whole(params: Object, name: str, *, least: int) -> int:
    """:raises StripeProblem: if a parameter is not a whole number of at least `least`"""
    text = str(params.get(name, ""))
    if not text.isascii() or not text.isdigit():
        raise invalid(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    if int(text) < least:
        raise invalid(f"This value must be at least {least}.", param=name)
    return int(text)
