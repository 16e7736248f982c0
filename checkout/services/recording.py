"""
Writing down what a provider says about a payment, and everything that follows from it, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, prefetch_related_objects

from checkout.events import PaymentAuthorized, PaymentCaptured, PaymentEvent
from checkout.events import PaymentFailed as PaymentFailedEvent
from checkout.gateway import (
    Remote,
    State,
)
from checkout.models import Checkout, Payment, PaymentStatusChange
from checkout.services import attempts
from config.platform import audit, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import (
    InvalidTransition,
)
from inventory import services as inventory
from inventory.errors import HoldFailed
from orders import services as orders
from orders.models import Order, RefundRequest
from pricing.money import format_amount

S = Payment.Status
SOLD_OUT = "Sold out while the customer paid"
DISPUTED = "The customer disputes the payment."
# What a dispute's status means for the order. What is under way is as it began.
DISPUTES = {
    "won": "The dispute was won: the money stays here.",
    "warning_closed": "The bank's inquiry ended: the money stays here.",
    "lost": "The dispute was lost: the bank took the money back.",
}


@transaction.atomic
def record(*, payment_id: UUID, remote: Remote, now: datetime) -> Payment:
    """
    Write what a provider says about a payment, and everything that follows from it.

    Locks checkout, order, payment, then stock. A status never moves back: what is late or repeated
    changes nothing. An amount or currency that is not ours has no effect but an alarm.
    """
    payment, checkout = _lock(payment_id)
    order = payment.order
    actor = Actor(kind=ActorKind.PROVIDER, company_id=order.company_id, source=payment.provider)

    if not _is_ours(payment, remote):
        _alarm(payment, remote, actor=actor, now=now)
        return payment
    _mirror(payment, remote)
    before = payment.status
    steps = _steps(payment, remote)
    if steps == [S.AUTHORIZED] and _another_is_open(payment):
        steps = []  # a second thought about a payment that another has replaced; nothing was taken
    with outbox.together():
        if steps:
            _take(
                payment,
                *steps,
                failure=remote.failure,
                captured=remote.captured,
                actor=actor,
                now=now,
            )
        payment.save()
        if S.CAPTURED in steps or S.AUTHORIZED in steps:
            _money_in(payment, order, checkout, actor=actor, now=now)
        elif S.FAILED in steps and before != S.AUTHORIZED:
            _money_refused(payment, order, actor=actor, now=now)
        elif S.FAILED in steps or S.CANCELLED in steps:
            _money_gone(payment, order, was=before, actor=actor, now=now)
    _note_dispute(payment, order, remote, actor=actor, now=now)
    return payment


@transaction.atomic
def refuse(*, payment_id: UUID, failure: str, now: datetime) -> None:
    """Note that a provider will not even open a payment, so that the customer may choose another way."""
    payment, _ = _lock(payment_id)
    order = payment.order
    if payment.status not in {S.PENDING, S.PROCESSING} or payment.provider_id is not None:
        return
    actor = Actor(kind=ActorKind.PROVIDER, company_id=order.company_id, source=payment.provider)
    _take(payment, S.FAILED, failure=failure[:300], captured=Decimal(0), actor=actor, now=now)
    payment.save()
    _money_refused(payment, order, actor=actor, now=now)


@transaction.atomic
def hold_to_take(*, payment_id: UUID, remote: Remote, until: datetime, now: datetime) -> bool:
    """
    Return whether a payment that its customer has approved is to be taken now; if so, its goods are held for it.

    Not where it is over, where the order no longer waits, or where the provider speaks of another payment than ours.
    Locks checkout, order, payment, then stock.

    :raises HoldFailed: if the goods are gone; nothing is written
    """
    payment, _ = _lock(payment_id)
    order = payment.order
    if (
        payment.status not in {S.PENDING, S.PROCESSING}
        or order.status != Order.Status.DRAFT
        or not _is_ours(payment, remote)
    ):
        return False
    inventory.reacquire(
        actor=Actor(kind=ActorKind.PROVIDER, company_id=order.company_id, source=payment.provider),
        order_id=order.id,
        demands=orders.demands(order),
        expires_at=until,
        now=now,
    )
    return True


def note_created(payment: Payment, remote: Remote, *, now: datetime) -> bool:
    """
    Store a provider's first answer where it moves nothing: one statement, which locks no row but the payment's.

    Returns False where there is more to do, or somebody else has moved the payment meanwhile; then `record` decides.
    """
    if (
        payment.provider_id is not None
        or not _is_ours(payment, remote)
        or _steps(payment, remote)
        or remote.is_disputed
        or remote.refunded
    ):
        return False
    before = payment.status
    _mirror(payment, remote)
    payment.updated_at = now
    return bool(
        Payment.objects.filter(pk=payment.pk, status=before, provider_id=None).update(
            provider_id=payment.provider_id,
            client_secret=payment.client_secret,
            next_action=payment.next_action,
            capture_before=payment.capture_before,
            metadata=payment.metadata,
            updated_at=now,
        )
    )


def _lock(payment_id: UUID) -> tuple[Payment, Checkout | None]:
    """
    Return a payment with its order, and the checkout of that order if it came from one, all locked by one statement.

    PostgreSQL locks the tables of a row one after the other as `of` names them: checkout, order, payment.
    """
    locked = Payment.objects.filter(pk=payment_id)
    of = ("order", "self")
    try:
        payment = (
            locked.select_related("order__checkout")
            .select_for_update(of=("order__checkout", *of), no_key=True)
            .get(order__checkout__isnull=False)
        )
    except Payment.DoesNotExist:
        return locked.select_related("order").select_for_update(of=of, no_key=True).get(), None
    return payment, payment.order.checkout


def _mirror(payment: Payment, remote: Remote) -> None:
    """Take over what a provider says about a payment beside its status."""
    payment.provider_id = payment.provider_id or remote.provider_id or None
    payment.client_secret = remote.client_secret or payment.client_secret
    payment.next_action = remote.next_action
    payment.capture_before = remote.capture_before or payment.capture_before
    payment.card = remote.card[:64] or payment.card
    if remote.details:
        payment.metadata = {**payment.metadata, **remote.details}


def _money_in(
    payment: Payment, order: Order, checkout: Checkout | None, *, actor: Actor, now: datetime
) -> None:
    """The money is there, or promised: confirm the order, or see that the money goes back."""
    _read_payments(order)
    paid_before = is_paid_otherwise(payment, order.payments.all())
    too_many = paid_before or order.status in {
        Order.Status.CANCELLED,
        Order.Status.FAILED,
        Order.Status.REFUNDED,
    }
    if too_many:
        if payment.captured_amount:
            G = Payment.GoesBack
            _let_go(payment, G.PAID_TWICE if paid_before else G.ORDER_OVER)
            orders.return_payment(
                actor=actor,
                order_id=order.id,
                payment_id=payment.id,
                amount=payment.kept,
                reason="paid twice" if paid_before else "paid after the order had ended",
                now=now,
            )
            orders.flag(
                actor=actor,
                order_id=order.id,
                attention="Paid twice: the second payment goes back."
                if paid_before
                else "Paid after it had ended: the payment goes back.",
                now=now,
            )
            order.refresh_from_db()
        _note_status(order)
        return
    if order.status != Order.Status.DRAFT:
        _note_status(order)
        return
    status = _status_of(order)
    order.payment_status = status
    try:
        with transaction.atomic(), outbox.together():
            orders.confirm_locked(
                order,
                actor=actor,
                fields=("payment_status",),
                suspicions=attempts.suspicions(payment, now=now),
                now=now,
            )
    except HoldFailed:
        # An outcome, not an error: the goods went to somebody else while the payment took its time.
        order.refresh_from_db()
        orders.note_payment(order, status=status)
        if payment.captured_amount:
            _let_go(payment, Payment.GoesBack.SOLD_OUT)
        orders.cancel(
            actor=actor,
            order_id=order.id,
            reason="sold out while you paid",
            attention=f"{SOLD_OUT}: the money goes back.",
            now=now,
        )
        order.refresh_from_db()
        if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
            checkout.status = Checkout.Status.CANCELLED
            checkout.save(update_fields=["status", "updated_at"])
    else:
        finish(checkout)


def _let_go(payment: Payment, why: Payment.GoesBack) -> None:
    """Note on a locked payment that its money is not kept, before anything is told about it."""
    payment.goes_back = why
    payment.save(update_fields=["goes_back", "updated_at"])


def _money_refused(payment: Payment, order: Order, *, actor: Actor, now: datetime) -> None:
    """The payment failed: the goods are free at once, the order stays payable until its drafts' end."""
    if order.status != Order.Status.DRAFT:
        return
    _note_status(order)
    failures = Payment.objects.filter(order=order, status=S.FAILED).count()
    if settings.RATE_LIMITS and failures >= settings.PAYMENT_MAX_ATTEMPTS:
        orders.fail(actor=actor, order_id=order.id, reason=f"{failures} payments failed", now=now)
        order.refresh_from_db()
    elif not Payment.objects.filter(order=order, status__in=Payment.OPEN).exists():
        inventory.release_order(actor=actor, order_id=order.id, now=now)


def _money_gone(payment: Payment, order: Order, *, was: str, actor: Actor, now: datetime) -> None:
    """
    The payment is closed without money. Where the order counted on it, it is held back: staff decide what becomes of it.

    That happens when an authorisation ends before it was collected, or cannot be collected.
    """
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        return
    _note_status(order)
    if was != S.AUTHORIZED or order.status == Order.Status.DRAFT:
        return
    if is_paid_otherwise(payment, order.payments.all()):
        return
    amount = f"{format_amount(payment.amount, payment.currency)} {payment.currency}"
    orders.hold_back(
        actor=actor,
        order_id=order.id,
        reason=f"The authorisation of {amount} ended before it was collected: nothing was paid.",
        now=now,
    )
    order.refresh_from_db()


def is_paid_otherwise(payment: Payment, payments: Iterable[Payment]) -> bool:
    """Return whether another of these payments of its order was taken and is kept."""
    return any(other.kept for other in payments if other.pk != payment.pk)


def note_status(*, order_id: UUID, now: datetime) -> None:
    """Bring an order's payment status in line with its payments. Call within the order's lock."""
    _note_status(Order.objects.get(pk=order_id))


def _note_status(order: Order) -> None:
    _read_payments(order)
    orders.note_payment(order, status=_status_of(order))


def _read_payments(order: Order) -> None:
    """Read the payments of a locked order anew, each with whether it is one too many: it has a refund of its own."""
    payments = Payment.objects.annotate(
        is_surplus=Exists(RefundRequest.objects.filter(payment_id=OuterRef("pk")))
    ).order_by("id")
    getattr(order, "_prefetched_objects_cache", {}).pop("payments", None)
    prefetch_related_objects([order], Prefetch("payments", payments))


def _status_of(order: Order) -> Order.PaymentStatus:
    """Return where the money of an order stands, by its payments as they were read last."""
    P = Order.PaymentStatus
    payments = list(order.payments.all())
    # A payment too many says nothing about the order, unless there is no other.
    counted = [payment for payment in payments if not payment.is_surplus] or payments
    captured = sum((payment.captured_amount for payment in counted), Decimal(0))
    refunded = captured - sum((payment.kept for payment in counted), Decimal(0))
    if order.moved_total or (order.credit_total and order.confirmed_at):
        # Money went from one order into another.
        captured += order.credit_total
        refunded = order.refunded_total
    statuses = {payment.status for payment in counted}
    if captured and refunded == captured:
        status = P.REFUNDED
    elif captured and refunded:
        status = P.PARTIALLY_REFUNDED
    elif captured:
        status = P.CAPTURED
    elif order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        status = P.CANCELLED
    elif S.AUTHORIZED in statuses:
        status = P.AUTHORIZED
    elif statuses & {S.PENDING, S.PROCESSING}:
        status = P.PENDING
    elif S.FAILED in statuses:
        status = P.FAILED
    elif statuses and order.status != Order.Status.DRAFT:
        status = P.CANCELLED  # an authorisation that ended
    else:
        status = P.PENDING
    return status


def finish(checkout: Checkout | None) -> None:
    if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
        checkout.status = Checkout.Status.COMPLETED
        checkout.save(update_fields=["status", "updated_at"])


def _steps(payment: Payment, remote: Remote) -> list[str]:
    """Return the statuses that lie between what we know and what the provider says; none is a way back."""
    ended = {S.FAILED, S.CANCELLED}
    match remote.state:
        case State.SUCCEEDED if payment.status in {S.PENDING, S.PROCESSING, *ended}:
            return [S.AUTHORIZED, S.CAPTURED]
        case State.SUCCEEDED if payment.status == S.AUTHORIZED:
            return [S.CAPTURED]
        case State.AUTHORIZED if payment.status in {S.PENDING, S.PROCESSING, *ended}:
            return [S.AUTHORIZED]
        case State.PROCESSING if payment.status == S.PENDING:
            return [S.PROCESSING]
        case State.FAILED if payment.status in Payment.OPEN:
            return [S.FAILED]
        case State.CANCELED if payment.status in Payment.OPEN:
            return [S.CANCELLED]
    return []


def _take(
    payment: Payment, *steps: str, failure: str, captured: Decimal, actor: Actor, now: datetime
) -> None:
    """Move a locked payment through `steps`, write the history, and announce it."""
    about: dict[str, Any] = {
        "aggregate_id": payment.order_id,
        "payment_id": str(payment.id),
        "amount": format_amount(payment.amount, payment.currency),
        "currency": payment.currency,
    }
    events: list[PaymentEvent] = []
    changes = []
    for step in steps:
        if step not in Payment.TRANSITIONS[payment.status]:
            raise InvalidTransition(extra={"from": payment.status, "to": step})
        taken = captured if step == S.CAPTURED else Decimal(0)
        changes.append(
            PaymentStatusChange(
                payment=payment,
                from_status=payment.status,
                to_status=step,
                captured=taken,
                notes=_notes(payment, step, failure),
                at=now,
            )
        )
        payment.status = S(step)
        payment.captured_amount += taken
        if step == S.AUTHORIZED:
            payment.failure = ""
            events.append(PaymentAuthorized(**about))
        elif step == S.CAPTURED:
            events.append(PaymentCaptured(**about))
        elif step == S.FAILED:
            payment.failure = failure
            events.append(PaymentFailedEvent(**about, failure=failure))
    PaymentStatusChange.objects.bulk_create(changes)
    outbox.publish(*events, actor=actor, now=now)


def _notes(payment: Payment, step: str, failure: str) -> str:
    if step == S.FAILED:
        return failure
    if step == S.CANCELLED and payment.status == S.AUTHORIZED:
        return "nothing was collected"
    return ""


def _another_is_open(payment: Payment) -> bool:
    others = Payment.objects.filter(order_id=payment.order_id, status__in=Payment.OPEN)
    return others.exclude(pk=payment.pk).exists()


def _is_ours(payment: Payment, remote: Remote) -> bool:
    """Return whether what the provider speaks of is this payment: same id, amount, currency, mode, payee."""
    named = remote.metadata.get("payment_id", str(payment.id))
    # A payment that staff linked to its order was made under the name of another.
    names = {str(payment.id), payment.metadata.get("named")}
    if payment.provider == "stripe" and remote.is_live != settings.STRIPE_LIVE_MODE:
        return False
    if remote.payee and settings.PAYPAL_MERCHANT_ID not in {"", remote.payee}:
        return False
    return (
        payment.provider_id in {None, remote.provider_id}
        and named in names
        and remote.amount == payment.amount
        and remote.currency == payment.currency
        and (remote.state != State.SUCCEEDED or remote.captured == payment.amount)
    )


def _alarm(payment: Payment, remote: Remote, *, actor: Actor, now: datetime) -> None:
    """Note once that a provider speaks of another payment than ours; nothing else happens."""
    attention = "The provider reports another payment than ours."
    if payment.order.needs_attention == attention:
        return
    audit.record(
        actor=actor,
        action="payment.mismatch",
        object_type="payment",
        object_id=payment.id,
        before={
            "amount": payment.amount,
            "currency": payment.currency,
            "providerId": payment.provider_id,
        },
        after={
            "amount": remote.amount,
            "currency": remote.currency,
            "providerId": remote.provider_id,
        },
        now=now,
    )
    orders.flag(actor=actor, order_id=payment.order_id, attention=attention, now=now)
    payment.order.refresh_from_db()


def _note_dispute(
    payment: Payment, order: Order, remote: Remote, *, actor: Actor, now: datetime
) -> None:
    """Keep where a dispute stands and by when it has to be answered; flag the order when it begins and when it ends."""
    if not remote.is_disputed:
        return
    told = remote.dispute
    before = (payment.is_disputed, payment.dispute_status, payment.evidence_due_at)
    is_news = not payment.is_disputed
    payment.is_disputed = True
    if told is not None:
        is_news = is_news or DISPUTES.get(told.status) != DISPUTES.get(payment.dispute_status)
        payment.dispute_status = told.status[:40]
        payment.dispute_reason = told.reason[:60]
        payment.evidence_due_at = told.evidence_due_at
    if before == (True, payment.dispute_status, payment.evidence_due_at):
        return
    payment.save(
        update_fields=[
            "is_disputed",
            "dispute_status",
            "dispute_reason",
            "evidence_due_at",
            "updated_at",
        ]
    )
    if is_news:
        orders.flag(
            actor=actor,
            order_id=order.id,
            attention=DISPUTES.get(payment.dispute_status, DISPUTED),
            disputed=True,
            now=now,
        )
        order.refresh_from_db()
