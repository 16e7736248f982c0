"""Stripe, by its own library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import stripe
from django.conf import settings

from checkout.gateway.events import read_event
from checkout.gateway.interface import (
    MadeRefund,
    ProviderEvent,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    RemoteDispute,
    RemoteRefund,
    State,
)
from config.platform.signatures import verify
from pricing.money import exponent

# Places by which Stripe counts where they are not the currency's own: crowns and shillings as if they had cents, and
# whole ariary (docs.stripe.com/currencies, "Special cases").
PLACES: Mapping[str, int] = {"ISK": 2, "UGX": 2, "MGA": 0}


def to_units(amount: Decimal, currency: str) -> int:
    """
    Return an amount in the units in which Stripe counts its currency.

    :raises ProviderRefused: if Stripe has no unit as small
    """
    units = amount.scaleb(PLACES.get(currency, exponent(currency)))
    if units != units.to_integral_value():
        raise ProviderRefused("amount_too_fine")
    return int(units)


def from_units(units: int, currency: str) -> Decimal:
    """Return the amount of as many of Stripe's units."""
    return Decimal(units).scaleb(-PLACES.get(currency, exponent(currency)))


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
        at_once: bool = False,
    ) -> Remote:
        """Open an intent by our key. One that nobody was told of takes no money, so a second try is harmless."""
        params: Any = {
            "amount": to_units(amount, currency),
            "currency": currency.lower(),
            "metadata": metadata,
            "capture_method": (
                "manual"
                if settings.PAYMENT_CAPTURE_MODE == "manual" and not at_once
                else "automatic"
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
                params={"amount_to_capture": to_units(amount, intent.currency.upper())},
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
                    "amount": to_units(amount, currency),
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
                    amount=from_units(refund.amount, refund.currency.upper()),
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
            amount=from_units(intent.amount, currency),
            currency=currency,
            captured=from_units(intent.amount_received or 0, currency),
            refunded=from_units(charge.amount_refunded if charge else 0, currency),
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
