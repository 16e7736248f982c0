"""Both books of the money, laid beside each other: what the providers have, and what we wrote down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from checkout.gateway import Remote, gateway_of, methods
from checkout.models import Payment

SKEW = timedelta(minutes=5)  # clocks differ
_NOTHING = Decimal(0)


class Kind(StrEnum):
    PAID_NO_ORDER = "paid_no_order"  # the provider took money that we know nothing of
    NOT_RECORDED = (
        "not_recorded"  # it took money for a payment of ours, which is open or failed here
    )
    ORDER_NO_PAYMENT = "order_no_payment"  # we wrote down money that it never took
    AMOUNT_DIFFERS = "amount_differs"
    REFUND_MISSING = (
        "refund_missing"  # we wrote down a refund that it did not make, or that came back
    )
    REFUND_NOT_OURS = "refund_not_ours"  # it gave back what we did not write down


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One disagreement. Amounts are what was captured, or for refunds what was given back."""

    kind: Kind
    provider: str
    provider_id: str
    payment_id: UUID | None
    order_id: UUID | None
    currency: str
    theirs: Decimal
    ours: Decimal

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(*, since: datetime) -> list[Difference]:
    """
    Return where the providers' books and ours differ, for payments made since a moment.

    Asks every provider that is switched on, page by page, so it belongs outside any transaction. What is on its
    way in this second may be among it; what is real is still there when asked again.

    :raises ProviderUnavailable: if one does not answer
    """
    return [
        difference
        for provider, theirs, ours in _sides(since)
        for difference in _differences(provider, theirs, ours)
    ]


def unbalanced(since: datetime) -> list[dict[str, Any]]:
    """Return the currencies in which captured less refunded is another sum at the providers than here."""
    kept: dict[str, list[Decimal]] = {}
    for _, theirs, ours in _sides(since):
        for remote in theirs.values():
            kept.setdefault(remote.currency, [_NOTHING, _NOTHING])[0] += (
                remote.captured - remote.refunded
            )
        for payment in ours:
            kept.setdefault(payment.currency, [_NOTHING, _NOTHING])[1] += (
                payment.captured_amount - payment.refunded_amount
            )
    return [
        {"currency": currency, "theirs": theirs, "ours": ours}
        for currency, (theirs, ours) in sorted(kept.items())
        if theirs != ours
    ]


def _sides(since: datetime) -> Iterator[tuple[str, dict[str, Remote], list[Payment]]]:
    for provider in sorted({method.provider for method in methods()}):
        gateway = gateway_of(provider)
        if gateway is None:
            continue
        made = gateway.payments_since(since=since - SKEW)
        theirs = {remote.provider_id: remote for remote in made}
        mine = Payment.objects.filter(provider=provider)
        ours = list(
            (mine.filter(created_at__gte=since) | mine.filter(provider_id__in=theirs)).order_by(
                "id"
            )
        )
        yield provider, theirs, ours


def _differences(
    provider: str, theirs: dict[str, Remote], ours: list[Payment]
) -> Iterator[Difference]:
    by_id = {payment.provider_id: payment for payment in ours if payment.provider_id}
    by_our_id = {str(payment.id): payment for payment in ours}
    for provider_id, remote in theirs.items():
        payment = by_id.get(provider_id)
        if payment is None:
            named = by_our_id.get(remote.metadata.get("payment_id", ""))
            # A second intent of a payment that has one is not that payment, and its money is nobody's.
            payment = named if named is not None and named.provider_id is None else None
        if payment is None:
            if remote.captured > remote.refunded:
                yield _difference(
                    Kind.PAID_NO_ORDER, provider, remote.provider_id, None, remote.currency,
                    remote.captured, _NOTHING,
                )  # fmt: skip
            continue
        yield from _of_one(provider, remote, payment)
    for payment in ours:
        if payment.captured_amount and payment.provider_id not in theirs:
            yield _difference(
                Kind.ORDER_NO_PAYMENT, provider, payment.provider_id or "", payment, payment.currency,
                _NOTHING, payment.captured_amount,
            )  # fmt: skip


def _of_one(provider: str, remote: Remote, payment: Payment) -> Iterator[Difference]:
    captured = (remote.captured, payment.captured_amount)
    refunded = (remote.refunded, payment.refunded_amount)
    kind: Kind | None = None
    if remote.captured != payment.captured_amount or (
        remote.captured and remote.currency != payment.currency
    ):
        kind = Kind.AMOUNT_DIFFERS
        if not payment.captured_amount:
            kind = Kind.NOT_RECORDED
        elif not remote.captured:
            kind = Kind.ORDER_NO_PAYMENT
    if kind is not None:
        yield _difference(kind, provider, remote.provider_id, payment, remote.currency, *captured)
    if remote.refunded != payment.refunded_amount:
        kind = (
            Kind.REFUND_MISSING
            if remote.refunded < payment.refunded_amount
            else Kind.REFUND_NOT_OURS
        )
        yield _difference(kind, provider, remote.provider_id, payment, remote.currency, *refunded)


def _difference(
    kind: Kind,
    provider: str,
    provider_id: str,
    payment: Payment | None,
    currency: str,
    theirs: Decimal,
    ours: Decimal,
) -> Difference:
    return Difference(
        kind=kind,
        provider=provider,
        provider_id=provider_id,
        payment_id=payment.id if payment else None,
        order_id=payment.order_id if payment else None,
        currency=currency,
        theirs=theirs,
        ours=ours,
    )
