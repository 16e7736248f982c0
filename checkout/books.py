"""Both books of the money, laid beside each other: what the providers have, and what we wrote down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Q

from checkout.gateway import (
    Gateway,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    gateway_of,
    methods,
)
from checkout.models import Payment
from config.platform.ids import as_uuid

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
    STUCK = "stuck"  # nothing differs yet, but what should have moved has not


@dataclass(frozen=True, kw_only=True)
class Difference:
    """
    One disagreement. Amounts are what was captured, or for refunds what was given back.

    What is stuck says in `reason` how, and `row_id` names the refund, or the webhook, that does not get on.
    """

    kind: Kind
    provider: str
    provider_id: str
    payment_id: UUID | None
    order_id: UUID | None
    currency: str
    theirs: Decimal
    ours: Decimal
    company_id: UUID | None = None  # None: money that nobody here knows
    about_at: datetime | None = None  # when the payment was made
    reason: str = ""
    row_id: UUID | None = None

    @property
    def key(self) -> str:
        """Return what makes it the same difference when it is found again."""
        about = self.row_id or self.payment_id or self.provider_id
        return f"{self.kind.value}:{self.reason}:{self.provider}:{about}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(*, since: datetime, until: datetime | None = None) -> list[Difference]:
    """
    Return where the providers' books and ours differ, for payments made in a period.

    Asks every provider that is switched on, page by page, so it belongs outside any transaction. What is on its
    way in this second may be among it; what is real is still there when asked again.

    :raises ProviderUnavailable: if one does not answer
    """
    return [
        difference
        for provider, theirs, ours in _sides(since, until)
        for difference in _differences(provider, theirs, ours)
    ]


def compare_one(*, provider: str, provider_id: str, payment_id: UUID | None) -> list[Difference]:
    """
    Return how the books differ about one payment, ours or a provider's, as both are now.

    :raises ProviderUnavailable: if it does not answer, or is switched off
    """
    gateway = gateway_of(provider)
    if gateway is None:
        raise ProviderUnavailable("switched off")
    theirs = _asked(gateway, [provider_id] if provider_id else [])
    return list(_differences(provider, theirs, _ours(provider, theirs, Q(pk=payment_id))))


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


def _sides(
    since: datetime, until: datetime | None = None
) -> Iterator[tuple[str, dict[str, Remote], list[Payment]]]:
    for provider in sorted({method.provider for method in methods()}):
        gateway = gateway_of(provider)
        if gateway is None:
            continue
        made = gateway.payments_since(
            since=since - SKEW, until=until + SKEW if until is not None else None
        )
        theirs = {remote.provider_id: remote for remote in made}
        window = Q(created_at__gte=since)
        if until is not None:
            window &= Q(created_at__lt=until)
        ours = _ours(provider, theirs, window)
        # A provider that was down when we asked may have made a payment much later than we did; lists may lag, or be none.
        theirs |= _asked(
            gateway,
            [
                payment.provider_id
                for payment in ours
                if payment.provider_id and payment.provider_id not in theirs
            ],
        )
        yield provider, theirs, ours


def _ours(provider: str, theirs: Mapping[str, Remote], window: Q) -> list[Payment]:
    """Return our payments of a period, and those that the provider's are about, whenever they were made."""
    named = [as_uuid(remote.metadata.get("payment_id", "")) for remote in theirs.values()]
    about = Q(provider_id__in=list(theirs)) | Q(pk__in=[each for each in named if each])
    mine = Payment.objects.filter(provider=provider).filter(window | about)
    return list(mine.select_related("order").order_by("id"))


def _asked(gateway: Gateway, provider_ids: list[str]) -> dict[str, Remote]:
    found = {}
    for provider_id in provider_ids:
        try:
            found[provider_id] = gateway.retrieve(provider_id=provider_id)
        except ProviderRefused:
            continue  # it knows of none
    return found


def _differences(
    provider: str, theirs: dict[str, Remote], ours: list[Payment]
) -> Iterator[Difference]:
    by_id = {payment.provider_id: payment for payment in ours if payment.provider_id}
    by_our_id = {str(payment.id): payment for payment in ours}
    for provider_id, remote in theirs.items():
        payment = by_id.get(provider_id)
        named = by_our_id.get(remote.metadata.get("payment_id", ""))
        if payment is None:
            # A second intent of a payment that has one is not that payment, and its money is nobody's.
            payment = named if named is not None and named.provider_id is None else None
        if payment is None:
            if remote.captured > remote.refunded:
                yield _of_nobody(provider, remote, named)
            continue
        yield from _of_one(provider, remote, payment)
    for payment in ours:
        if payment.captured_amount and payment.provider_id not in theirs:
            yield _difference(
                Kind.ORDER_NO_PAYMENT, provider, payment.provider_id or "", payment, payment.currency,
                _NOTHING, payment.captured_amount,
            )  # fmt: skip


def _of_nobody(provider: str, remote: Remote, named: Payment | None) -> Difference:
    """Return money that no payment is about; with its order, where what we gave the provider proves whose it is."""
    is_proved = (
        named is not None
        and remote.metadata.get("order_id") == str(named.order_id)
        and (remote.captured, remote.currency) == (named.amount, named.currency)
    )
    return Difference(
        kind=Kind.PAID_NO_ORDER,
        provider=provider,
        provider_id=remote.provider_id,
        payment_id=None,
        order_id=named.order_id if named is not None and is_proved else None,
        currency=remote.currency,
        theirs=remote.captured,
        ours=_NOTHING,
        company_id=named.order.company_id if named is not None and is_proved else None,
        about_at=remote.made_at,
    )


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
    payment: Payment,
    currency: str,
    theirs: Decimal,
    ours: Decimal,
) -> Difference:
    return Difference(
        kind=kind,
        provider=provider,
        provider_id=provider_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        currency=currency,
        theirs=theirs,
        ours=ours,
        company_id=payment.order.company_id,
        about_at=payment.created_at,
    )
