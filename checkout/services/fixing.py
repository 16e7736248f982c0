"""
One difference between the books, put right by one click.

Each step is one that a webhook or a job would take, or is made by a key of its own, so that a second click does nothing.
Both books are asked again before and after: what has moved since somebody looked is refused.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from checkout import books, stuck
from checkout.books import Difference, Kind
from checkout.errors import RefundExceedsPayment
from checkout.gateway import ProviderRefused, ProviderUnavailable, Remote, State, gateway_of
from checkout.models import Payment, PaymentStatusChange, ReconciliationFinding, Refund
from checkout.services.adopting import adopt_refund
from checkout.services.comparing import work_off
from checkout.services.reconciling import (
    AGREES,
    check_unmoved,
    close_fixed,
    find_finding,
    note_finding,
)
from checkout.services.recording import record
from checkout.services.refunding import execute_refund
from checkout.services.settling import close_for_cancel, refunds_made, settle
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import Conflict, DependencyUnavailable
from config.platform.models import new_id
from orders.errors import RefundExceedsPayment as OrderHasLess
from orders.models import Order, RefundRequest
from pricing.money import format_amount


class Step(StrEnum):
    LOOK = "look"  # compare this one again
    SETTLE = "settle"  # do what the webhook would have done
    REFUND_DUE = "refund_due"  # carry out the refund that is due
    ADOPT = "adopt"  # write down a refund that was made at the provider
    LINK = "link"  # take it for a payment of the order it names
    GIVE_BACK = "give_back"  # refund money that belongs to no order
    WORK_OFF = "work_off"  # work off the provider's message again


def steps_for(finding: ReconciliationFinding) -> list[Step]:
    """Return what may be done about a difference, the likeliest first. Explaining it is always possible."""
    match Kind(finding.kind), finding.reason:
        case Kind.NOT_RECORDED | Kind.AMOUNT_DIFFERS | Kind.REFUND_MISSING, _:
            steps = [Step.SETTLE]
        case Kind.REFUND_NOT_OURS, _:
            is_due = finding.order_id is not None and _due(finding.order_id).exists()
            steps = [Step.REFUND_DUE if is_due else Step.ADOPT]
        case Kind.PAID_NO_ORDER, _:
            steps = [Step.LINK, Step.GIVE_BACK] if finding.order_id else [Step.GIVE_BACK]
        case Kind.STUCK, stuck.Reason.REFUND:
            steps = [Step.REFUND_DUE]
        case Kind.STUCK, stuck.Reason.MESSAGE:
            steps = [Step.WORK_OFF]
        case Kind.STUCK, _:
            steps = [Step.SETTLE]
        case _:
            steps = []
    return [*steps, Step.LOOK]


def fix(
    *, actor: Actor, finding_id: UUID, step: Step, seen: str, now: datetime
) -> ReconciliationFinding:
    """
    Take one step about a difference; return it as it is then: fixed, or still open.

    What is no longer open is returned as it is, so a second click does nothing. `seen` is the fingerprint of what the
    person looked at. Runs outside any transaction.

    :raises DifferenceNotFound: if the company has none such
    :raises Conflict: if the books have moved since, or the step does not fit, with the reason
    :raises DependencyUnavailable: if the provider does not answer; nothing is lost, repeat it
    """
    finding = find_finding(actor=actor, finding_id=finding_id)
    if finding.state == ReconciliationFinding.State.FIXED:
        return finding
    if finding.state == ReconciliationFinding.State.EXPLAINED or step not in steps_for(finding):
        raise Conflict("This cannot be done about it any more.")
    check_unmoved(finding, seen)
    current = _look(finding, now=now)
    if current is None:
        return close_fixed(actor=actor, finding_id=finding.pk, outcome=AGREES, now=now)
    if (current.theirs, current.ours) != (finding.theirs, finding.ours):
        with transaction.atomic():
            note_finding(current, is_left=True, now=now)
        raise Conflict("The books have moved since you looked. Look at them again.")
    if step is Step.LOOK:
        return finding
    outcome = _take(finding, step, actor=actor, now=now)
    if _look(finding, now=now) is None:
        return close_fixed(actor=actor, finding_id=finding.pk, outcome=outcome, now=now)
    return find_finding(actor=actor, finding_id=finding.pk)


def _look(finding: ReconciliationFinding, *, now: datetime) -> Difference | None:
    """Return the difference as it is now, or None where both books agree."""
    if finding.kind == Kind.STUCK:
        found = stuck.find(now=now)
    else:
        try:
            found = books.compare_one(
                provider=finding.provider,
                provider_id=finding.provider_id,
                payment_id=finding.payment_id,
            )
        except ProviderUnavailable:
            raise DependencyUnavailable("The payment provider does not answer.") from None
    return next((each for each in found if each.key == finding.key), None)


def _take(finding: ReconciliationFinding, step: Step, *, actor: Actor, now: datetime) -> str:
    match step:
        case Step.SETTLE if finding.payment_id is not None:
            settle(payment_id=finding.payment_id, now=now)
            return "Settled, as its message would have done."
        case Step.REFUND_DUE if finding.order_id is not None:
            return _refund_due(finding.order_id, now=now)
        case Step.ADOPT if finding.payment_id is not None:
            return _adopt(finding.payment_id, actor=actor, now=now)
        case Step.LINK if finding.order_id is not None:
            return _link(finding, finding.order_id, actor=actor, now=now)
        case Step.GIVE_BACK:
            return _give_back(finding, actor=actor, now=now)
        case Step.WORK_OFF if finding.row_id is not None:
            work_off(finding.row_id, now=now)
            return "The message was worked off."
    raise Conflict("This cannot be done about it any more.")


def _due(order_id: UUID) -> QuerySet[RefundRequest]:
    due = RefundRequest.objects.filter(order_id=order_id, status=RefundRequest.Status.DUE)
    return due.order_by("created_at", "pk")


def _refund_due(order_id: UUID, *, now: datetime) -> str:
    request_ids = list(_due(order_id).values_list("pk", flat=True))
    if not request_ids:
        raise Conflict("No refund of this order is due any more. Look at it again.")
    for request_id in request_ids:
        execute_refund(request_id=request_id, now=now)
    return "The refund that was due was carried out."


def _adopt(payment_id: UUID, *, actor: Actor, now: datetime) -> str:
    """Write down the refunds that the provider lists and we do not know. Those with a key of ours are ours already."""
    payment = Payment.objects.get(pk=payment_id)
    listed = refunds_made(payment)
    # Read after the provider was asked: what it lists of ours is stored by then.
    known = list(
        Refund.objects.filter(payment=payment).values_list("provider_id", "idempotency_key")
    )
    ids, keys = {theirs for theirs, _ in known}, {key for _, key in known}
    made = [
        each
        for each in listed
        if not each.failure and each.provider_id not in ids and each.key not in keys
    ]
    if not made:
        raise Conflict("The provider does not say which refund it was. Explain the difference.")
    try:
        with transaction.atomic():
            for each in made:
                adopt_refund(actor=actor, payment_id=payment_id, made=each, now=now)
    except (RefundExceedsPayment, OrderHasLess):
        raise Conflict(
            "More went back there than our books have left to give: a part of it went back twice. No order can carry"
            " that. Get it back, or write it off and explain the difference."
        ) from None
    return "The refund that was made at the provider is written down."


def _link(finding: ReconciliationFinding, order_id: UUID, *, actor: Actor, now: datetime) -> str:
    """
    Take a provider's payment for one of the order whose ids it carries, and draw every consequence.

    Where the order is paid already it is a payment too many, and goes back by itself.
    """
    order = Order.objects.get(pk=order_id)
    remote = _retrieve(finding)
    if (remote.state, remote.captured, remote.currency) != (
        State.SUCCEEDED,
        order.to_pay,
        order.currency,
    ):
        raise Conflict("Amount or currency are not the order's. Give the money back instead.")
    if order.status == Order.Status.DRAFT:
        # An open try is closed first. Should it turn out to be paid, this one is the payment too many.
        close_for_cancel(order_id=order.pk, now=now)
    named = remote.metadata.get("payment_id", "")
    with transaction.atomic():
        Order.objects.filter(pk=order.pk).for_update().get()
        if Payment.objects.filter(order_id=order.pk, status__in=Payment.OPEN).exists():
            raise Conflict("Another payment of this order is open. Collect or close it first.")
        if Payment.objects.filter(provider_id=remote.provider_id).exists():
            return "It was linked already."
        earlier = Payment.objects.filter(order_id=order.pk).order_by("pk").last()
        payment = Payment(
            id=new_id(),
            order=order,
            provider=finding.provider,
            method=earlier.method if earlier is not None else finding.provider,
            amount=order.to_pay,
            currency=order.currency,
            provider_id=remote.provider_id,
            idempotency_key=f"linked-{remote.provider_id}"[:255],
            metadata={"named": named},  # by the name it was made under, see `record`
            created_at=now,
        )
        payment.save(force_insert=True)
        PaymentStatusChange.objects.create(payment=payment, to_status=payment.status, at=now)
        audit.record(
            actor=actor,
            action="payment.linked",
            object_type="payment",
            object_id=payment.pk,
            after={
                "providerId": remote.provider_id,
                "orderId": order.pk,
                "amount": remote.captured,
                "currency": remote.currency,
            },
            now=now,
        )
        record(payment_id=payment.pk, remote=remote, now=now)
    return f"Linked to order {order.number}."


def _give_back(finding: ReconciliationFinding, *, actor: Actor, now: datetime) -> str:
    """Refund what is left of a provider's payment that no payment of ours is about, by a key of its own."""
    remote = _retrieve(finding)
    amount = remote.captured - remote.refunded
    gateway = gateway_of(finding.provider)
    if gateway is None or amount <= 0:
        raise Conflict("There is nothing left to give back.")
    try:
        answer = gateway.refund(
            provider_id=remote.provider_id,
            amount=amount,
            currency=remote.currency,
            key=f"difference-{finding.pk}",
            reason="belongs to no order",
        )
    except ProviderUnavailable:
        raise DependencyUnavailable("The payment provider does not answer.") from None
    except ProviderRefused as refusal:
        raise Conflict(f"The provider refuses: {refusal}.") from None
    if not answer.succeeded:
        raise Conflict(f"The provider refuses: {answer.failure}.")
    told = f"{format_amount(amount, remote.currency)} {remote.currency}"
    audit.record(
        actor=actor,
        action="payment.given_back",
        object_type="payment",
        object_id=remote.provider_id,
        after={"amount": amount, "currency": remote.currency, "refundId": answer.provider_id},
        now=now,
    )
    return f"{told} went back."


def _retrieve(finding: ReconciliationFinding) -> Remote:
    gateway = gateway_of(finding.provider)
    if gateway is None:
        raise DependencyUnavailable("This way to pay is switched off.")
    try:
        return gateway.retrieve(provider_id=finding.provider_id)
    except ProviderUnavailable:
        raise DependencyUnavailable("The payment provider does not answer.") from None
    except ProviderRefused as refusal:
        raise Conflict(f"The provider refuses: {refusal}.") from None
