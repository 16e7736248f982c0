"""
Payment providers behind one interface (`checkout.providers`): Stripe, the `test` provider of demos and tests, and PayPal.

Nothing here reads or writes our payments. Minor units live only here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import stripe
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from checkout.models import TestCharge, TestChargeRefund
from checkout.paypal import PayPalGateway
from checkout.providers import (
    Gateway,
    MadeRefund,
    ProviderEvent,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    RemoteDispute,
    RemoteRefund,
    State,
)
from config.platform.errors import InvalidTransition, MalformedRequest
from config.platform.models import new_id
from config.platform.signatures import verify
from pricing.money import from_minor, to_minor

__all__ = [
    "Gateway",
    "Method",
    "PayPalGateway",
    "ProviderEvent",
    "ProviderGone",
    "ProviderRefused",
    "ProviderUnavailable",
    "Remote",
    "RemoteDispute",
    "RemoteRefund",
    "State",
    "StripeGateway",
    "TestGateway",
    "gateway_of",
    "methods",
]

AUTHORIZED_FOR = timedelta(days=7)  # at the test provider; others say so themselves


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay that customers can choose, and who carries it out."""

    id: str
    name: str
    provider: str


def methods() -> list[Method]:
    """Return the ways to pay that this installation offers."""
    offered = []
    if settings.STRIPE_SECRET_KEY:
        offered.append(Method("card", "Card", "stripe"))
    if settings.PAYPAL_CLIENT_ID:
        offered.append(Method("paypal", "PayPal", "paypal"))
    if settings.PAYMENT_TEST_PROVIDER:
        offered.append(Method("test", "Test payment", "test"))
    return offered


def gateway_of(provider: str) -> Gateway | None:
    """Return the gateway of a provider, or None if this installation does not have it."""
    if provider == "test" and settings.PAYMENT_TEST_PROVIDER:
        return TestGateway()
    if provider == "stripe" and settings.STRIPE_SECRET_KEY:
        return StripeGateway()
    if provider == "paypal" and settings.PAYPAL_CLIENT_ID:
        return PayPalGateway()
    return None


# --- events ---------------------------------------------------------------------------------------


def read_event(body: bytes) -> ProviderEvent:
    """
    Read the parts of an event that we use.

    :raises MalformedRequest: if they are not there
    """
    try:
        event = json.loads(body)
        subject = event["data"]["object"]
        metadata = subject.get("metadata") or {}
        parsed = ProviderEvent(
            id=event["id"],
            type=event["type"],
            # charges, refunds and disputes name the payment they belong to
            object_id=subject.get("payment_intent") or subject["id"],
            payment_id=str(metadata.get("payment_id", "")),
            is_live=event.get("livemode") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MalformedRequest("This is no event.") from None
    for text, limit in (
        (parsed.id, 255),
        (parsed.type, 100),
        (parsed.object_id, 255),
        (parsed.payment_id, 64),
    ):
        if (
            not isinstance(text, str)
            or len(text) > limit
            or not text.isprintable()
            or not text.isascii()
        ):
            raise MalformedRequest("This is no event.")
    if not parsed.id or not parsed.type:
        raise MalformedRequest("This is no event.")
    return parsed


# --- the test provider ----------------------------------------------------------------------------


class TestGateway:
    """
    A provider that needs no network: it keeps books of its own, as if it were another system.

    It behaves like Stripe: payments are created by key, change by what the customer does there
    (`simulate_…`), and are told of by signed webhooks.
    """

    __test__ = False
    name = "test"

    def create(
        self,
        *,
        key: str,
        amount: Decimal,
        currency: str,
        metadata: dict[str, str],
        ship_to: Mapping[str, str] | None = None,
    ) -> Remote:
        charge = TestCharge(
            id=f"tpi_{new_id().hex}",
            key=key,
            amount=amount,
            currency=currency,
            is_manual=settings.PAYMENT_CAPTURE_MODE == "manual",
            metadata=metadata,
        )
        try:
            with transaction.atomic():
                charge.save(force_insert=True)
        except IntegrityError:  # asked before, by the same key
            charge = TestCharge.objects.get(key=key)
        return self._remote(charge)

    def retrieve(self, *, provider_id: str) -> Remote:
        charge = TestCharge.objects.filter(pk=provider_id).first()
        if charge is None:
            raise ProviderRefused("no such payment")
        return self._remote(charge)

    def payments_since(self, *, since: datetime, until: datetime | None = None) -> list[Remote]:
        made = TestCharge.objects.filter(created_at__gte=since)
        if until is not None:
            made = made.filter(created_at__lt=until)
        return [self._remote(charge) for charge in made.order_by("created_at", "pk")]

    def capture(self, *, provider_id: str, amount: Decimal, key: str) -> Remote:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status == State.AUTHORIZED:
                charge.status = State.SUCCEEDED
                charge.captured_amount = amount
                charge.save(update_fields=["status", "captured_amount"])
            elif charge.status != State.SUCCEEDED:
                raise ProviderRefused(f"this payment is {charge.status}")
        return self._remote(charge)

    def cancel(self, *, provider_id: str, key: str) -> Remote:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status != State.SUCCEEDED:
                charge.status = State.CANCELED
                charge.save(update_fields=["status"])
        return self._remote(charge)

    def refund(
        self, *, provider_id: str, amount: Decimal, currency: str, key: str, reason: str
    ) -> RemoteRefund:
        with transaction.atomic():
            charge = self._lock(provider_id)
            earlier = TestChargeRefund.objects.filter(key=key).first()
            if earlier is not None:
                return RemoteRefund(provider_id=earlier.id, succeeded=True)
            if amount > charge.captured_amount - charge.refunded_amount:
                raise ProviderRefused("more than is left of the payment")
            refund = TestChargeRefund.objects.create(
                id=f"tre_{new_id().hex}", charge=charge, key=key, amount=amount
            )
            TestCharge.objects.filter(pk=charge.pk).update(
                refunded_amount=F("refunded_amount") + amount
            )
        return RemoteRefund(provider_id=refund.id, succeeded=True)

    def refunds_of(self, *, provider_id: str) -> list[MadeRefund]:
        made = TestChargeRefund.objects.filter(charge_id=provider_id).order_by("pk")
        return [MadeRefund(provider_id=each.id, amount=each.amount, key=each.key) for each in made]

    def read_event(self, *, body: bytes, signature: str, now: datetime) -> ProviderEvent:
        verify(secrets=[self.secret], body=body, signature=signature, now=now)
        return read_event(body)

    @property
    def secret(self) -> str:
        return hashlib.sha256(f"checkout.test-provider:{settings.SECRET_KEY}".encode()).hexdigest()

    # What the customer, or their bank, does over there. Each returns the type of the event that tells of it.

    def simulate_success(self, *, provider_id: str) -> str:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status in {State.CANCELED, State.FAILED, State.AUTHORIZED}:
                raise self._refusal(charge, "succeed")
            if charge.status != State.SUCCEEDED:
                charge.status = State.AUTHORIZED if charge.is_manual else State.SUCCEEDED
                charge.captured_amount = Decimal(0) if charge.is_manual else charge.amount
                charge.failure = ""
                charge.save(update_fields=["status", "captured_amount", "failure"])
                if charge.is_manual:
                    TestCharge.objects.filter(pk=charge.pk).update(
                        capture_before=Now() + AUTHORIZED_FOR
                    )
        return (
            "payment_intent.amount_capturable_updated"
            if charge.is_manual
            else "payment_intent.succeeded"
        )

    def simulate_late_success(self, *, provider_id: str) -> str:
        """Succeed whatever was decided before, as banks sometimes do."""
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status != State.SUCCEEDED:
                charge.status = State.SUCCEEDED
                charge.captured_amount = charge.amount
                charge.failure = ""
                charge.save(update_fields=["status", "captured_amount", "failure"])
        return "payment_intent.succeeded"

    def simulate_decline(self, *, provider_id: str) -> str:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status in {State.SUCCEEDED, State.CANCELED, State.AUTHORIZED}:
                raise self._refusal(charge, "decline")
            charge.status = State.FAILED
            charge.failure = "card_declined"
            charge.save(update_fields=["status", "failure"])
        return "payment_intent.payment_failed"

    def simulate_action(self, *, provider_id: str) -> str:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status not in {State.REQUIRES_PAYMENT, State.REQUIRES_ACTION}:
                raise self._refusal(charge, "requires_action")
            charge.status = State.REQUIRES_ACTION
            charge.save(update_fields=["status"])
        return "payment_intent.requires_action"

    def simulate_expiry(self, *, provider_id: str) -> str:
        """Let an authorisation end that nobody collected, as card networks do after some days."""
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status != State.AUTHORIZED:
                raise self._refusal(charge, "expire")
            charge.status = State.CANCELED
            charge.save(update_fields=["status"])
        return "payment_intent.canceled"

    def simulate_dispute(self, *, provider_id: str) -> str:
        with transaction.atomic():
            charge = self._lock(provider_id)
            if charge.status != State.SUCCEEDED:
                raise self._refusal(charge, "dispute")
            charge.is_disputed = True
            charge.save(update_fields=["is_disputed"])
        return "charge.dispute.created"

    def event(self, *, provider_id: str, event_type: str) -> bytes:
        """Return the body of a webhook that tells of a payment."""
        charge = TestCharge.objects.get(pk=provider_id)
        return json.dumps(
            {
                "id": f"tev_{new_id().hex}",
                "object": "event",
                "type": event_type,
                "livemode": False,
                "data": {
                    "object": {
                        "id": charge.id,
                        "object": "payment_intent",
                        "metadata": charge.metadata,
                    }
                },
            },
            separators=(",", ":"),
        ).encode()

    def _lock(self, provider_id: str) -> TestCharge:
        charge = TestCharge.objects.select_for_update().filter(pk=provider_id).first()
        if charge is None:
            raise ProviderRefused("no such payment")
        return charge

    def _refusal(self, charge: TestCharge, outcome: str) -> InvalidTransition:
        return InvalidTransition(
            f"This payment is {charge.status} at its provider.",
            extra={"from": charge.status, "to": outcome},
        )

    def _remote(self, charge: TestCharge) -> Remote:
        action: dict[str, Any] | None = None
        payment_id = charge.metadata.get("payment_id", "")
        address = f"/api/v1/payments/{payment_id}/simulate"
        if charge.status == State.REQUIRES_PAYMENT:
            action = {"type": "simulate", "url": address}
        elif charge.status == State.REQUIRES_ACTION:
            action = {"type": "authenticate", "url": address}
        return Remote(
            provider_id=charge.id,
            state=State(charge.status),
            amount=charge.amount,
            currency=charge.currency,
            captured=charge.captured_amount,
            refunded=charge.refunded_amount,
            is_disputed=charge.is_disputed,
            dispute=RemoteDispute(status="needs_response") if charge.is_disputed else None,
            capture_before=charge.capture_before,
            made_at=charge.created_at,
            client_secret=f"{charge.id}_secret_{hashlib.sha256(charge.key.encode()).hexdigest()[:24]}",
            next_action=action,
            failure=charge.failure,
            metadata=charge.metadata,
            details={"brand": "test", "last4": "0000"} if charge.status == State.SUCCEEDED else {},
        )


# --- Stripe ---------------------------------------------------------------------------------------


class StripeGateway:
    """Stripe's PaymentIntents. One intent per payment, made with our own stored key."""

    name = "stripe"

    _STATES: Mapping[str, State] = {
        "requires_payment_method": State.REQUIRES_PAYMENT,
        "requires_confirmation": State.REQUIRES_PAYMENT,
        "requires_action": State.REQUIRES_ACTION,
        "processing": State.PROCESSING,
        "requires_capture": State.AUTHORIZED,
        "succeeded": State.SUCCEEDED,
        "canceled": State.CANCELED,
    }

    def create(
        self,
        *,
        key: str,
        amount: Decimal,
        currency: str,
        metadata: dict[str, str],
        ship_to: Mapping[str, str] | None = None,
    ) -> Remote:
        """Open an intent by our key. One that nobody was told of takes no money, so a second try is harmless."""
        params: Any = {
            "amount": to_minor(amount, currency),
            "currency": currency.lower(),
            "metadata": metadata,
            "capture_method": (
                "manual" if settings.PAYMENT_CAPTURE_MODE == "manual" else "automatic"
            ),
            "automatic_payment_methods": {"enabled": True},
            "expand": ["latest_charge"],
        }
        return self._intent(
            lambda client: _by_key(
                key,
                lambda each: client.v1.payment_intents.create(
                    params=params, options={"idempotency_key": each}
                ),
            )
        )

    def retrieve(self, *, provider_id: str) -> Remote:
        """Return an intent, with its latest dispute where its charge is disputed: one call more."""

        def run(client: stripe.StripeClient) -> Remote:
            remote = self._remote(self._read(client, provider_id))
            if not remote.is_disputed:
                return remote
            made: Any = client.v1.disputes.list(params={"payment_intent": provider_id, "limit": 1})
            return replace(remote, dispute=_dispute_of(made.data[0])) if made.data else remote

        found: Remote = self._call(run)
        return found

    def payments_since(self, *, since: datetime, until: datetime | None = None) -> list[Remote]:
        """Return every intent that was made in a period, in as many calls as Stripe has pages of 100."""
        created: Any = {"gte": int(since.timestamp())}
        if until is not None:
            created["lt"] = int(until.timestamp())

        def run(client: stripe.StripeClient) -> list[Any]:
            made: Any = client.v1.payment_intents.list(
                params={
                    "created": created,
                    "limit": 100,
                    "expand": ["data.latest_charge"],
                }
            )
            return list(made.auto_paging_iter())

        return [self._remote(intent) for intent in self._call(run)]

    def capture(self, *, provider_id: str, amount: Decimal, key: str) -> Remote:
        """Collect what is authorised. An intent is captured once, whatever the key."""

        def run(client: stripe.StripeClient, each: str) -> Any:
            intent = self._read(client, provider_id)
            if intent.status != "requires_capture":
                return intent
            client.v1.payment_intents.capture(
                provider_id,
                params={"amount_to_capture": to_minor(amount, intent.currency.upper())},
                options={"idempotency_key": each},
            )
            return self._read(client, provider_id)

        return self._intent(lambda client: _by_key(key, lambda each: run(client, each)))

    def cancel(self, *, provider_id: str, key: str) -> Remote:
        def run(client: stripe.StripeClient, each: str) -> Any:
            intent = self._read(client, provider_id)
            if intent.status in {"succeeded", "canceled", "processing"}:
                return intent
            client.v1.payment_intents.cancel(provider_id, options={"idempotency_key": each})
            return self._read(client, provider_id)

        return self._intent(lambda client: _by_key(key, lambda each: run(client, each)))

    def refund(
        self, *, provider_id: str, amount: Decimal, currency: str, key: str, reason: str
    ) -> RemoteRefund:
        """
        Give money back by our key.

        Looks first whether it was done: Stripe forgets keys after a day, and repeats a 500 until then, so the key alone
        neither prevents a second refund for ever nor tells of the first.
        """

        def run(client: stripe.StripeClient) -> Any:
            refunds = client.v1.refunds
            known: Any = refunds.list(params={"payment_intent": provider_id, "limit": 100})
            for refund in known.auto_paging_iter():
                if dict(refund.metadata or {}).get("key") == key:
                    return refund
            return refunds.create(
                params={
                    "payment_intent": provider_id,
                    "amount": to_minor(amount, currency),
                    "metadata": {"reason": reason[:200], "key": key},
                },
                options={"idempotency_key": key},
            )

        refund = self._call(run)
        return RemoteRefund(
            provider_id=refund.id,
            succeeded=refund.status in {"succeeded", "pending", "requires_action"},
            failure=getattr(refund, "failure_reason", None) or "",
        )

    def refunds_of(self, *, provider_id: str) -> list[MadeRefund]:
        def run(client: stripe.StripeClient) -> list[MadeRefund]:
            made: Any = client.v1.refunds.list(params={"payment_intent": provider_id, "limit": 100})
            return [
                MadeRefund(
                    provider_id=refund.id,
                    amount=from_minor(refund.amount, refund.currency.upper()),
                    key=str(dict(refund.metadata or {}).get("key", "")),
                    failure=(
                        getattr(refund, "failure_reason", None) or refund.status
                        if refund.status in {"failed", "canceled"}
                        else ""
                    ),
                )
                for refund in made.auto_paging_iter()
            ]

        found: list[MadeRefund] = self._call(run)
        return found

    def fraud_warning(self, *, provider_id: str) -> str:
        def run(client: stripe.StripeClient) -> str:
            made: Any = client.v1.radar.early_fraud_warnings.list(
                params={"payment_intent": provider_id, "limit": 1}
            )
            return str(made.data[0].fraud_type) if made.data else ""

        told: str = self._call(run)
        return told

    def read_event(self, *, body: bytes, signature: str, now: datetime) -> ProviderEvent:
        verify(secrets=[settings.STRIPE_WEBHOOK_SECRET], body=body, signature=signature, now=now)
        return read_event(body)

    def _read(self, client: stripe.StripeClient, provider_id: str) -> Any:
        return client.v1.payment_intents.retrieve(provider_id, params={"expand": ["latest_charge"]})

    def _intent(self, run: Any) -> Remote:
        return self._remote(self._call(run))

    def _remote(self, intent: Any) -> Remote:
        currency = intent.currency.upper()
        charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
        error = intent.last_payment_error
        state = self._STATES[intent.status]
        if state is State.REQUIRES_PAYMENT and error is not None:
            state = State.FAILED
        card = getattr(getattr(charge, "payment_method_details", None), "card", None)
        deadline = getattr(card, "capture_before", None)
        return Remote(
            provider_id=intent.id,
            state=state,
            amount=from_minor(intent.amount, currency),
            currency=currency,
            captured=from_minor(intent.amount_received or 0, currency),
            refunded=from_minor(charge.amount_refunded if charge else 0, currency),
            is_disputed=bool(charge and charge.disputed),
            is_live=intent.livemode,
            made_at=datetime.fromtimestamp(intent.created, tz=UTC),
            client_secret=intent.client_secret or "",
            next_action=(
                {"type": intent.next_action.type} if intent.next_action is not None else None
            ),
            failure=((error.code or error.type) if error is not None else "")[:300],
            capture_before=datetime.fromtimestamp(deadline, tz=UTC) if deadline else None,
            metadata=dict(intent.metadata or {}),
            card=getattr(card, "fingerprint", None) or "",
            details={"brand": card.brand or "", "last4": card.last4 or ""} if card else {},
        )

    @contextmanager
    def _client(self) -> Iterator[stripe.StripeClient]:
        host = getattr(settings, "STRIPE_API_HOST", "")
        http = stripe.RequestsClient(timeout=settings.STRIPE_TIMEOUT_SECONDS)
        try:
            yield stripe.StripeClient(
                settings.STRIPE_SECRET_KEY,
                http_client=http,
                max_network_retries=0,
                base_addresses={"api": host} if host else None,
            )
        finally:
            http.close()  # type: ignore[no-untyped-call]  # the library does not say

    def _call(self, run: Any) -> Any:
        try:
            with self._client() as client:
                return run(client)
        except (
            stripe.APIConnectionError,
            stripe.RateLimitError,
            stripe.APIError,
            stripe.AuthenticationError,  # a key of ours that is being changed is no answer to a customer
            stripe.PermissionError,
        ) as failure:
            raise ProviderUnavailable(type(failure).__name__) from failure
        except stripe.StripeError as failure:
            # Its text may repeat what was sent, so only the code is kept.
            raise ProviderRefused(failure.code or type(failure).__name__) from failure


def _dispute_of(dispute: Any) -> RemoteDispute:
    due = getattr(dispute.evidence_details, "due_by", None)
    return RemoteDispute(
        status=dispute.status or "",
        reason=dispute.reason or "",
        evidence_due_at=datetime.fromtimestamp(due, tz=UTC) if due else None,
    )


def _by_key(key: str, run: Callable[[str], Any]) -> Any:
    """
    Run what is safe to do twice, by `key`, and where Stripe answers that something broke, once more by another.

    Stripe saves the answer to a key for a day, a 500 too: without the other key all tries of a day would be one.
    """
    try:
        return run(key)
    except stripe.APIError as failure:
        if failure.http_status is None or failure.http_status < 500:
            raise
        return run(f"{key}-2")
