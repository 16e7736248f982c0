"""Reconciliation of whole books: find where a provider's and ours differ, mend what is safe, tell staff of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from checkout import books
from checkout.books import Difference, Kind
from checkout.gateway import ProviderUnavailable
from checkout.models import Payment
from checkout.services.refunding import execute_refunds
from checkout.services.settling import settle
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, DependencyUnavailable
from orders import services as orders
from pricing.money import format_amount

logger = structlog.get_logger(__name__)

DIFFERS = "The provider's books and ours differ"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, and what of it is left after mending."""

    found: list[Difference]
    left: list[Difference]

    @property
    def mended(self) -> list[Difference]:
        return [difference for difference in self.found if difference not in self.left]


def compare_books(*, since: datetime, mend: bool, now: datetime) -> Comparison:
    """
    Compare the providers' books with ours for payments made since a moment.

    With `mend`, each payment that differs is settled, which is what its webhook would have done, and refunds that are
    due are carried out; then both are compared again. What still differs is flagged at its order. Each
    leaves an audit entry. Neither charges anybody, nor writes down what the provider does not say. Runs outside
    any transaction.

    :raises DependencyUnavailable: if a provider does not answer; nothing is concluded from half of its books
    """
    found = _compare(since)
    if not mend or not found:
        return Comparison(found, found)
    for payment_id in {each.payment_id for each in found if each.payment_id is not None}:
        try:
            settle(payment_id=payment_id, now=now)
        except ApplicationError:
            logger.exception("a payment that differs could not be settled", payment=str(payment_id))
    if any(each.kind is Kind.REFUND_NOT_OURS for each in found):
        execute_refunds(now=now)
    done = Comparison(found, _compare(since))
    for difference in done.mended:
        _note(difference, action="payment.reconciled", now=now)
    for difference in done.left:
        logger.error("the books differ", **{k: str(v) for k, v in difference.to_json().items()})
        _tell(difference, now=now)
    return done


def _compare(since: datetime) -> list[Difference]:
    try:
        return books.compare(since=since)
    except ProviderUnavailable:
        raise DependencyUnavailable("The payment provider does not answer.") from None


@transaction.atomic
def _tell(difference: Difference, *, now: datetime) -> None:
    """Flag the order, once: staff have to decide."""
    if difference.order_id is None or difference.payment_id is None:
        _note(difference, action="payment.differs", now=now)
        return
    payment = Payment.objects.select_related("order").get(pk=difference.payment_id)
    theirs = format_amount(difference.theirs, difference.currency)
    ours = format_amount(difference.ours, payment.currency)
    attention = f"{DIFFERS} ({difference.kind.value}): {theirs} there, {ours} here."
    if payment.order.needs_attention == attention:
        return
    orders.flag(
        actor=Actor.system(payment.order.company_id, source="checkout"),
        order_id=payment.order_id,
        attention=attention,
        now=now,
    )
    _note(difference, action="payment.differs", now=now)


def _note(difference: Difference, *, action: str, now: datetime) -> None:
    company_id = UUID(int=0)  # money that nobody here knows belongs to no company
    if difference.payment_id is not None:
        company_id = Payment.objects.values_list("order__company_id", flat=True).get(
            pk=difference.payment_id
        )
    audit.record(
        actor=Actor.system(company_id, source="checkout"),
        action=action,
        object_type="payment",
        object_id=difference.payment_id or difference.provider_id,
        before={"kind": "", "amount": difference.ours},
        after={"kind": difference.kind.value, "amount": difference.theirs},
        now=now,
    )
