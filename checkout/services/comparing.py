"""Reconciliation of whole books: find where a provider's and ours differ, mend what is safe, tell staff of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from checkout import books, stuck
from checkout.books import Difference, Kind
from checkout.gateway import ProviderUnavailable
from checkout.models import WebhookInbox
from checkout.services.inbox import process_webhook, reprocess_webhook
from checkout.services.refunding import execute_refunds
from checkout.services.settling import settle
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, DependencyUnavailable
from orders import services as orders
from orders.models import Order
from pricing.money import format_amount

logger = structlog.get_logger(__name__)

DIFFERS = "The provider's books and ours differ"
STUCK = "The money does not get on"
NOBODY = UUID(int=0)  # money that nobody here knows belongs to no company


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, and what of it is left after mending."""

    found: list[Difference]
    left: list[Difference]

    @property
    def mended(self) -> list[Difference]:
        return [difference for difference in self.found if difference not in self.left]


def compare_books(
    *,
    since: datetime,
    until: datetime | None = None,
    company_id: UUID | None = None,
    with_stuck: bool = True,
    mend: bool,
    now: datetime,
) -> Comparison:
    """
    Compare the providers' books with ours for payments made in a period, and look for what is stuck at the moment.

    `company_id` leaves out what belongs to another company. With `mend`, each payment that differs is settled, which
    is what its webhook would have done, refunds that are due are carried out, and messages that failed are worked off
    again; then both are compared again. What still differs is flagged at its order. Each leaves an audit entry.
    Neither charges anybody, nor writes down what the provider does not say. Runs outside any transaction.

    :raises DependencyUnavailable: if a provider does not answer; nothing is concluded from half of its books
    """

    def look() -> list[Difference]:
        everything = _compare(since, until, stuck.find(now=now) if with_stuck else [])
        return [
            difference
            for difference in everything
            if company_id is None or difference.company_id in (None, company_id)
        ]

    found = look()
    if not mend or not found:
        return Comparison(found, found)
    _mend(found, now=now)
    done = Comparison(found, look())
    for difference in done.mended:
        note(difference, action="payment.reconciled", now=now)
    for difference in done.left:
        logger.error("the books differ", **{k: str(v) for k, v in difference.to_json().items()})
        _tell(difference, now=now)
    return done


def _compare(
    since: datetime, until: datetime | None, waiting: list[Difference]
) -> list[Difference]:
    try:
        differing = books.compare(since=since, until=until)
    except ProviderUnavailable:
        raise DependencyUnavailable("The payment provider does not answer.") from None
    known = {difference.payment_id for difference in differing} - {None}
    # What differs is not told a second time as being stuck.
    return [
        *differing,
        *(each for each in waiting if each.row_id or each.payment_id not in known),
    ]


def _mend(found: list[Difference], *, now: datetime) -> None:
    _settle(found, now=now)
    refunded = [each for each in found if each.kind is Kind.REFUND_NOT_OURS]
    if refunded or any(each.reason == stuck.Reason.REFUND for each in found):
        execute_refunds(now=now)
        # What went back by hand may have to wait until the provider has refused ours, for which nothing was left.
        _settle(refunded, now=now)
    for each in found:
        if each.reason == stuck.Reason.MESSAGE and each.row_id is not None:
            work_off(each.row_id, now=now)


def _settle(found: list[Difference], *, now: datetime) -> None:
    for payment_id in {each.payment_id for each in found if each.payment_id is not None}:
        try:
            settle(payment_id=payment_id, now=now)
        except ApplicationError:
            logger.exception("a payment that differs could not be settled", payment=str(payment_id))


def work_off(webhook_id: UUID, *, now: datetime) -> bool:
    """Work off a message of a provider now, also one that was given up; return whether it is done with."""
    row = WebhookInbox.objects.get(pk=webhook_id)
    if row.dead_at is not None:
        reprocess_webhook(webhook_id=webhook_id, now=now)
    else:
        WebhookInbox.objects.filter(pk=webhook_id, processed_at=None).update(next_attempt_at=now)
    return process_webhook(webhook_id=webhook_id, now=now)


@transaction.atomic
def _tell(difference: Difference, *, now: datetime) -> None:
    """Flag the order, once: staff have to decide."""
    order = Order.objects.filter(pk=difference.order_id).first() if difference.order_id else None
    if order is None:
        note(difference, action="payment.differs", now=now)
        return
    if difference.kind is Kind.STUCK:
        attention = f"{STUCK} ({difference.reason}): see the payment."
    else:
        theirs = format_amount(difference.theirs, difference.currency)
        ours = format_amount(difference.ours, order.currency)
        attention = f"{DIFFERS} ({difference.kind.value}): {theirs} there, {ours} here."
    if order.needs_attention == attention:
        return
    orders.flag(
        actor=Actor.system(order.company_id, source="checkout"),
        order_id=order.pk,
        attention=attention,
        now=now,
    )
    note(difference, action="payment.differs", now=now)


def note(
    difference: Difference,
    *,
    action: str,
    actor: Actor | None = None,
    reason: str = "",
    now: datetime,
) -> None:
    """Leave an audit entry about a difference, in the transaction of what was done about it."""
    audit.record(
        actor=actor or Actor.system(difference.company_id or NOBODY, source="checkout"),
        action=action,
        object_type="payment",
        object_id=difference.payment_id or difference.provider_id,
        before={"kind": "", "amount": difference.ours},
        after={"kind": difference.kind.value, "amount": difference.theirs},
        reason=reason,
        now=now,
    )
