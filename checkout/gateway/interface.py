"""
What a payment provider is to us, whichever it is: the words in which it answers, and the verbs it knows.

Every call may be repeated with the same key; a call whose outcome is unknown raises `ProviderUnavailable`, and
asking again tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class State(StrEnum):
    """Where a payment stands at its provider."""

    REQUIRES_PAYMENT = "requires_payment"
    REQUIRES_ACTION = "requires_action"
    APPROVED = "approved"  # its customer agreed; nothing is taken before we `accept` it
    PROCESSING = "processing"
    AUTHORIZED = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, kw_only=True)
class RemoteDispute:
    """What a card holder contests, in the provider's words: `needs_response`, `under_review`, `won`, `lost` …"""

    status: str
    reason: str = ""
    evidence_due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A payment as its provider sees it."""

    provider_id: str
    state: State
    amount: Decimal
    currency: str
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    is_disputed: bool = False
    dispute: RemoteDispute | None = None  # the latest; None also where it was not asked for
    is_live: bool = False
    made_at: datetime | None = None
    payee: str = ""  # whom it pays, where the provider says so
    client_secret: str = ""
    next_action: dict[str, Any] | None = None
    failure: str = ""
    capture_before: datetime | None = None
    card: str = ""  # the provider's own name for the card, by which it is known again
    metadata: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)  # brand and last four, never more


@dataclass(frozen=True, kw_only=True)
class RemoteRefund:
    provider_id: str
    succeeded: bool
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class MadeRefund:
    """A refund as its provider lists it; `key` is ours, empty where somebody made it over there by hand."""

    provider_id: str
    amount: Decimal
    key: str = ""
    failure: str = ""  # why its money came back; empty where it did not


@dataclass(frozen=True, kw_only=True)
class ProviderEvent:
    """What a webhook said, reduced to what we need: we ask the provider for the rest."""

    id: str
    type: str
    object_id: str
    payment_id: str  # ours, from the metadata we gave
    is_live: bool


class ProviderUnavailable(Exception):
    """The provider did not answer; the outcome is unknown. Repeat with the same key."""


class ProviderRefused(Exception):
    """The provider said no, for good."""


class ProviderGone(ProviderRefused):
    """The provider does not know this payment any more: it was never paid, and cannot be now."""


class Gateway(Protocol):
    name: str

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
        """Open a payment by our key. `at_once`: collect it when it is approved, also where money is only promised else."""
        ...

    def retrieve(self, *, provider_id: str) -> Remote: ...

    def payments_since(self, *, since: datetime, until: datetime | None = None) -> list[Remote]: ...

    def capture(self, *, provider_id: str, amount: Decimal, key: str) -> Remote: ...

    def cancel(self, *, provider_id: str, key: str) -> Remote: ...

    def refund(
        self, *, provider_id: str, amount: Decimal, currency: str, key: str, reason: str
    ) -> RemoteRefund: ...

    def refunds_of(self, *, provider_id: str) -> list[MadeRefund]:
        """Return all refunds of a payment, whoever made them, also those whose money came back."""
        ...

    def read_event(self, *, body: bytes, signature: str, now: datetime) -> ProviderEvent: ...


@runtime_checkable
class AcceptingGateway(Gateway, Protocol):
    """A provider whose customers approve a payment that we then take."""

    def accept(self, *, provider_id: str, key: str) -> Remote: ...


@runtime_checkable
class WarningGateway(Gateway, Protocol):
    """A provider that passes on what it hears from card holders' banks."""

    def fraud_warning(self, *, provider_id: str) -> str:
        """Return the kind of fraud that the card's bank warns of, before anybody disputes; empty if it does not."""
