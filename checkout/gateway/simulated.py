"""The `test` provider of demos and tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from checkout.gateway.events import read_event
from checkout.gateway.interface import (
    MadeRefund,
    ProviderEvent,
    ProviderRefused,
    Remote,
    RemoteDispute,
    RemoteRefund,
    State,
)
from checkout.models import TestCharge, TestChargeRefund
from config.platform.errors import InvalidTransition
from config.platform.models import new_id
from config.platform.signatures import verify

AUTHORIZED_FOR = timedelta(days=7)  # other providers say so themselves


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
        at_once: bool = False,
    ) -> Remote:
        charge = TestCharge(
            id=f"tpi_{new_id().hex}",
            key=key,
            amount=amount,
            currency=currency,
            is_manual=settings.PAYMENT_CAPTURE_MODE == "manual" and not at_once,
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
