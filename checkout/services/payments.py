"""
Collecting the money of an order.

A payment is prepared in one transaction, made at its provider outside any, and recorded in another;
each phase may be repeated. `settle` is the one function that brings our books in line with the
provider's: webhooks, `complete` and reconciliation all end in it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum

from checkout import selectors
from checkout.errors import (
    CheckoutExpired,
    PaymentAmountMismatch,
    PaymentFailed,
    PaymentNotFound,
    PaymentRequired,
)
from checkout.events import PaymentAuthorized, PaymentCaptured, PaymentEvent
from checkout.events import PaymentFailed as PaymentFailedEvent
from checkout.gateway import (
    Gateway,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    State,
    gateway_of,
    methods,
)
from checkout.models import Checkout, Payment, PaymentStatusChange, Refund
from checkout.rendering import render_payment
from checkout.services.placing import check_complete, payment_life, place
from config.platform import audit, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import (
    DependencyUnavailable,
    FieldError,
    InvalidTransition,
    ValidationFailed,
)
from config.platform.models import new_id
from inventory import services as inventory
from inventory.errors import HoldFailed
from orders import services as orders
from orders.models import Order, RefundRequest
from pricing.money import format_amount

logger = structlog.get_logger(__name__)

S = Payment.Status
PAID_FOR = (
    Order.Status.CONFIRMED,
    Order.Status.PROCESSING,
    Order.Status.SHIPPED,
    Order.Status.DELIVERED,
)
POLL_AFTER = timedelta(minutes=2)  # an open payment nobody told us about
POLL_ENDED_AFTER = timedelta(hours=1)  # a failed one: banks have second thoughts
POLL_ENDED_FOR = timedelta(days=2)


def pay(
    *, actor: Actor, checkout_id: UUID, method: str, quote_id: str, now: datetime
) -> tuple[Order, Payment | None]:
    """
    Place the order of a checkout if that has not been done, and open its payment.

    Returns the order and its open payment, or None where there is nothing to pay: then the order is confirmed.

    :raises: what `place` and `start_payment` raise
    """
    _provider_of(method)
    order = place(actor=actor, checkout_id=checkout_id, quote_id=quote_id, now=now)
    if not order.grand_total:
        return confirm_free(actor=actor, order_id=order.id, now=now), None
    if order.status in PAID_FOR:  # a second tab, or a repeat after the webhook was quicker
        return order, selectors.latest_payment(order_id=order.id)
    payment = start_payment(actor=actor, order_id=order.id, method=method, now=now)
    return Order.objects.get(pk=order.id), payment


def start_payment(*, actor: Actor, order_id: UUID, method: str, now: datetime) -> Payment:
    """
    Open a payment for exactly the total of a draft order, or continue the one that is open.

    After a failed try the holds are taken again first. Three phases: a transaction that stores the
    payment with its key, the call to the provider, a transaction that stores the answer.

    :raises OrderNotFound: if there is none for this caller
    :raises ValidationFailed: if there is no such way to pay
    :raises InvalidTransition: if the order does not wait for a payment
    :raises HoldFailed: listing every line whose hold is gone and cannot be taken again
    :raises PaymentFailed: if the provider refuses to open it
    :raises DependencyUnavailable: if the provider does not answer; repeat with the same key
    """
    provider = _provider_of(method)
    close_superseded(order_id=order_id, provider=provider, now=now)
    payment = _prepare(actor=actor, order_id=order_id, method=method, provider=provider, now=now)
    return _open_at_provider(payment, now=now)


@transaction.atomic
def _prepare(*, actor: Actor, order_id: UUID, method: str, provider: str, now: datetime) -> Payment:
    order = orders.lock(actor=actor, order_id=order_id)
    if order.status != Order.Status.DRAFT or not order.grand_total:
        raise InvalidTransition(
            "This order does not wait for a payment.",
            extra={"status": order.status, "paymentStatus": order.payment_status},
        )
    current: Payment | None = (
        Payment.objects.filter(order=order, status__in=Payment.OPEN).for_update().first()
    )
    inventory.reacquire(
        actor=actor,
        order_id=order.id,
        demands=orders.demands(order),
        expires_at=now + payment_life(),
        now=now,
    )
    if current is not None:
        return current
    payment = Payment(
        id=new_id(),
        order=order,
        provider=provider,
        method=method,
        amount=order.grand_total,
        currency=order.currency,
        created_at=now,
    )
    payment.idempotency_key = f"payment-{payment.id}"
    payment.save(force_insert=True)
    PaymentStatusChange.objects.create(payment=payment, to_status=payment.status, at=now)
    orders.set_payment_status(
        actor=actor, order_id=order.id, status=Order.PaymentStatus.PENDING, method=method, now=now
    )
    return payment


def _open_at_provider(payment: Payment, *, now: datetime) -> Payment:
    """Make a prepared payment at its provider, by its stored key, and store what the provider answers."""
    if payment.provider_id is not None:
        return payment
    try:
        remote = _ask(payment, lambda gateway: _create(gateway, payment))
    except PaymentFailed as refusal:
        _refuse(payment_id=payment.id, failure=str(refusal.extra.get("reason", "")), now=now)
        raise
    return record(payment_id=payment.id, remote=remote, now=now)


@transaction.atomic
def _refuse(*, payment_id: UUID, failure: str, now: datetime) -> None:
    """Note that a provider will not even open a payment, so that the customer may choose another way."""
    order_id = Payment.objects.values_list("order_id", flat=True).get(pk=payment_id)
    order = Order.objects.filter(pk=order_id).for_update().get()
    payment: Payment = Payment.objects.filter(pk=payment_id).for_update().get()
    if payment.status not in {S.PENDING, S.PROCESSING} or payment.provider_id is not None:
        return
    payment.order = order
    actor = Actor(kind=ActorKind.PROVIDER, company_id=order.company_id, source=payment.provider)
    _take(payment, S.FAILED, failure=failure[:300], captured=Decimal(0), actor=actor, now=now)
    payment.save()
    _money_refused(payment, order, actor=actor, now=now)


def settle(*, payment_id: UUID, now: datetime) -> Payment:
    """
    Bring a payment, its order and its stock in line with what the provider says now.

    The one function behind webhooks, `complete` and reconciliation; it may run at any time, any number
    of times, in any order. Asks the provider outside a transaction, then records in one.

    :raises PaymentNotFound: if there is no such payment
    :raises DependencyUnavailable: if the provider does not answer
    """
    payment = Payment.objects.select_related("order").filter(pk=payment_id).first()
    if payment is None:
        raise PaymentNotFound
    remote = _ask(
        payment,
        lambda gateway: (
            gateway.retrieve(provider_id=payment.provider_id)
            if payment.provider_id
            else _create(gateway, payment)
        ),
    )
    payment = record(payment_id=payment_id, remote=remote, now=now)
    close_open_payments(order_id=payment.order_id, now=now)
    return payment


@transaction.atomic
def record(*, payment_id: UUID, remote: Remote, now: datetime) -> Payment:
    """
    Write what a provider says about a payment, and everything that follows from it.

    Locks checkout, order, payment, then stock. A status never moves back: what is late or repeated
    changes nothing. An amount or currency that is not ours has no effect but an alarm.
    """
    order_id = Payment.objects.values_list("order_id", flat=True).get(pk=payment_id)
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    order = Order.objects.filter(pk=order_id).for_update().get()
    payment: Payment = Payment.objects.filter(pk=payment_id).for_update().get()
    payment.order = order
    actor = Actor(kind=ActorKind.PROVIDER, company_id=order.company_id, source=payment.provider)

    if not _is_ours(payment, remote):
        _alarm(payment, remote, actor=actor, now=now)
        return payment
    payment.provider_id = payment.provider_id or remote.provider_id
    payment.client_secret = remote.client_secret or payment.client_secret
    payment.next_action = remote.next_action
    payment.capture_before = remote.capture_before or payment.capture_before
    if remote.details:
        payment.metadata = {**payment.metadata, **remote.details}

    steps = _steps(payment, remote)
    if steps == [S.AUTHORIZED] and _another_is_open(payment):
        steps = []  # a second thought about a payment that another has replaced; nothing was taken
    if steps:
        _take(
            payment, *steps, failure=remote.failure, captured=remote.captured, actor=actor, now=now
        )
    payment.save()
    if S.CAPTURED in steps or S.AUTHORIZED in steps:
        _money_in(payment, order, checkout, actor=actor, now=now)
    elif S.FAILED in steps:
        _money_refused(payment, order, actor=actor, now=now)
    elif S.CANCELLED in steps and order.status == Order.Status.DRAFT:
        _note_status(order, actor=actor, now=now)
    if remote.is_disputed and not payment.is_disputed:
        payment.is_disputed = True
        payment.save(update_fields=["is_disputed", "updated_at"])
        orders.flag(
            actor=actor,
            order_id=order.id,
            attention="The customer disputes the payment.",
            disputed=True,
            now=now,
        )
    _adopt_refunds(payment, order, remote, actor=actor, now=now)
    return payment


def complete(*, actor: Actor, checkout_id: UUID, quote_id: str = "", now: datetime) -> Order:
    """
    Ask the provider where the payment stands, and confirm the order if it is paid. Completing twice gives the same order.

    What costs nothing is placed and confirmed at once, for `quote_id` or the quote last shown.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired: if its time is over, or its order was cancelled
    :raises NoShippingZone, CheckoutIncomplete: if it cannot be placed yet
    :raises PaymentRequired: if it is not paid; the payment stands under `extra.payment`
    :raises HoldFailed: if the goods were sold while the customer paid; the money goes back
    :raises DependencyUnavailable: if the provider does not answer
    """
    checkout = selectors.find(actor=actor, checkout_id=checkout_id)
    if checkout.order_id is None:
        if checkout.status != Checkout.Status.OPEN or checkout.expires_at <= now:
            raise CheckoutExpired
        priced = selectors.price(checkout, now=now)
        check_complete(priced)
        if priced.quote.totals.grand_total:
            raise PaymentRequired(extra={"payment": None})
        order = place(
            actor=actor, checkout_id=checkout_id, quote_id=quote_id or checkout.quote_id, now=now
        )
        return confirm_free(actor=actor, order_id=order.id, now=now)

    order = Order.objects.get(pk=checkout.order_id)
    if order.status == Order.Status.DRAFT:
        if not order.grand_total:
            return confirm_free(actor=actor, order_id=order.id, now=now)
        payment = selectors.latest_payment(order_id=order.id)
        if payment is not None:
            payment = settle(payment_id=payment.id, now=now)
            order = Order.objects.get(pk=order.id)
        if order.status == Order.Status.DRAFT:
            raise PaymentRequired(extra={"payment": payment and render_payment(payment)})
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        if order.needs_attention.startswith(SOLD_OUT):
            raise HoldFailed(
                "The goods were sold while you paid. Your money goes back to you.",
                extra={"orderNumber": order.number},
            )
        raise CheckoutExpired(extra={"orderNumber": order.number, "orderStatus": order.status})
    return order


@transaction.atomic
def confirm_free(*, actor: Actor, order_id: UUID, now: datetime) -> Order:
    """
    Confirm an order that costs nothing.

    :raises OrderNotFound: if there is none for this caller
    """
    checkout = Checkout.objects.filter(order_id=order_id).for_update().first()
    order = orders.lock(actor=actor, order_id=order_id)
    if order.status == Order.Status.DRAFT:
        orders.set_payment_status(
            actor=actor, order_id=order_id, status=Order.PaymentStatus.CAPTURED, now=now
        )
        order = orders.confirm(actor=actor, order_id=order_id, now=now)
        _finish(checkout)
    return Order.objects.get(pk=order_id)


def capture(*, actor: Actor, payment_id: UUID, amount: Decimal | None, now: datetime) -> Payment:
    """
    Collect an authorised payment, whole.

    :raises PaymentNotFound: if there is none for this caller
    :raises PaymentAmountMismatch: if `amount` is not the payment's
    :raises InvalidTransition: if it is not authorised
    :raises PaymentFailed: if the provider refuses
    :raises DependencyUnavailable: if the provider does not answer
    """
    payment = selectors.find_payment(actor=actor, payment_id=payment_id)
    if amount is not None and amount != payment.amount:
        raise PaymentAmountMismatch(
            extra={"amount": format_amount(payment.amount, payment.currency)}
        )
    if payment.status == S.CAPTURED:
        return payment
    if payment.status != S.AUTHORIZED or payment.provider_id is None:
        raise InvalidTransition(extra={"from": payment.status, "to": S.CAPTURED})
    provider_id = payment.provider_id
    remote = _ask(
        payment,
        lambda gateway: gateway.capture(
            provider_id=provider_id, amount=payment.amount, key=f"{payment.idempotency_key}-capture"
        ),
    )
    return record(payment_id=payment.id, remote=remote, now=now)


def open_intent(
    *, actor: Actor, order_id: UUID, amount: Decimal, currency: str, method: str, now: datetime
) -> Payment:
    """
    Open a payment for an order by its amount, which must be the order's total (PAY-01).

    :raises OrderNotFound: if there is none for this caller
    :raises PaymentAmountMismatch: if amount or currency are not the order's
    :raises: what `start_payment` raises
    """
    order = Order.objects.for_actor(actor).filter(pk=order_id).first()
    if order is not None and (amount != order.grand_total or currency != order.currency):
        raise PaymentAmountMismatch(
            extra={
                "amount": format_amount(order.grand_total, order.currency),
                "currency": order.currency,
            }
        )
    return start_payment(actor=actor, order_id=order_id, method=method, now=now)


def close_superseded(*, order_id: UUID, provider: str, now: datetime) -> None:
    """Close an open payment at another provider, so that the customer may choose this one instead."""
    for payment in Payment.objects.filter(
        order_id=order_id, status__in=[S.PENDING, S.PROCESSING]
    ).exclude(provider=provider):
        _close(payment, now=now)


def close_open_payments(*, order_id: UUID, now: datetime) -> int:
    """
    Close payments that their order no longer needs: it is over, or another payment has paid it.

    :raises DependencyUnavailable: if a provider does not answer; the next run tries again
    """
    order = Order.objects.get(pk=order_id)
    if order.status == Order.Status.DRAFT:
        return 0
    closable = [S.PENDING, S.PROCESSING]
    if order.status in {Order.Status.CANCELLED, Order.Status.FAILED}:
        closable.append(S.AUTHORIZED)
    closed = 0
    for payment in Payment.objects.filter(order_id=order_id, status__in=closable):
        closed += _close(payment, now=now).status == S.CANCELLED
    return closed


def close_for_cancel(*, order_id: UUID, now: datetime) -> None:
    """
    Close every open payment of a draft that is about to be cancelled.

    :raises DependencyUnavailable: if a provider does not answer
    """
    for payment in Payment.objects.filter(order_id=order_id, status__in=Payment.OPEN):
        _close(payment, now=now)


def reconcile(*, now: datetime, limit: int = 200) -> int:
    """
    Ask providers about payments that they should have told us of, and repair what was missed.

    Looks at open payments after two minutes (at once where the order is over) and, for two days, each
    hour at those that failed or were cancelled. Returns how many changed. A provider that does not answer delays only its own.
    """
    ended = [S.FAILED, S.CANCELLED]
    due = (
        Payment.objects.filter(
            Q(status__in=Payment.OPEN, updated_at__lte=now - POLL_AFTER)
            | Q(
                status__in=Payment.OPEN,
                order__status__in=[Order.Status.CANCELLED, Order.Status.FAILED],
            )
            | Q(
                status__in=ended,
                updated_at__lte=now - POLL_ENDED_AFTER,
                created_at__gte=now - POLL_ENDED_FOR,
                provider_id__isnull=False,
            )
        )
        .order_by("updated_at")
        .values_list("pk", "status")[:limit]
    )
    changed = 0
    for payment_id, status in list(due):
        try:
            changed += settle(payment_id=payment_id, now=now).status != status
        except DependencyUnavailable:
            logger.warning("a provider did not answer", payment=str(payment_id))
        except Exception:
            logger.exception("a payment could not be settled", payment=str(payment_id))
        Payment.objects.filter(pk=payment_id).update(updated_at=now)
    return changed


# --- what follows -----------------------------------------------------------------------------------

SOLD_OUT = "Sold out while the customer paid"


def _money_in(
    payment: Payment, order: Order, checkout: Checkout | None, *, actor: Actor, now: datetime
) -> None:
    """The money is there, or promised: confirm the order, or see that the money goes back."""
    paid_before = (
        Payment.objects.filter(order=order)
        .exclude(pk=payment.pk)
        .aggregate(net=Sum("captured_amount") - Sum("refunded_amount"))["net"]
    )
    too_many = bool(paid_before) or order.status in {
        Order.Status.CANCELLED,
        Order.Status.FAILED,
        Order.Status.REFUNDED,
    }
    if too_many:
        if payment.captured_amount:
            orders.return_payment(
                actor=actor,
                order_id=order.id,
                payment_id=payment.id,
                amount=payment.captured_amount - payment.refunded_amount,
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
        _note_status(order, actor=actor, now=now)
        return
    _note_status(order, actor=actor, now=now)
    if order.status != Order.Status.DRAFT:
        return
    try:
        with transaction.atomic():
            orders.confirm(actor=actor, order_id=order.id, now=now)
    except HoldFailed:
        # An outcome, not an error: the goods went to somebody else while the payment took its time.
        orders.cancel(
            actor=actor,
            order_id=order.id,
            reason="sold out while you paid",
            attention=f"{SOLD_OUT}: the money goes back.",
            now=now,
        )
        if checkout is not None and checkout.status == Checkout.Status.PAYMENT_PENDING:
            checkout.status = Checkout.Status.CANCELLED
            checkout.save(update_fields=["status", "updated_at"])
    else:
        _finish(checkout)


def _money_refused(payment: Payment, order: Order, *, actor: Actor, now: datetime) -> None:
    """The payment failed: the goods are free at once, the order stays payable until its drafts' end."""
    if order.status != Order.Status.DRAFT:
        return
    _note_status(order, actor=actor, now=now)
    failures = Payment.objects.filter(order=order, status=S.FAILED).count()
    if settings.RATE_LIMITS and failures >= settings.PAYMENT_MAX_ATTEMPTS:
        orders.fail(actor=actor, order_id=order.id, reason=f"{failures} payments failed", now=now)
    elif not Payment.objects.filter(order=order, status__in=Payment.OPEN).exists():
        inventory.release_order(actor=actor, order_id=order.id, now=now)


def note_status(*, order_id: UUID, now: datetime) -> None:
    """Bring an order's payment status in line with its payments. Call within the order's lock."""
    order = Order.objects.get(pk=order_id)
    _note_status(order, actor=Actor.system(order.company_id, source="checkout"), now=now)


def _note_status(order: Order, *, actor: Actor, now: datetime) -> None:
    P = Order.PaymentStatus
    payments = list(Payment.objects.filter(order=order).order_by("id"))
    surplus = set(
        RefundRequest.objects.filter(order=order, payment_id__isnull=False).values_list(
            "payment_id", flat=True
        )
    )
    # A payment too many says nothing about the order, unless there is no other.
    counted = [payment for payment in payments if payment.pk not in surplus] or payments
    captured = sum((payment.captured_amount for payment in counted), Decimal(0))
    refunded = sum((payment.refunded_amount for payment in counted), Decimal(0))
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
    else:
        status = P.PENDING
    orders.set_payment_status(actor=actor, order_id=order.id, status=status, now=now)
    order.payment_status = status


def _finish(checkout: Checkout | None) -> None:
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
    about = {
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
                notes=failure if step == S.FAILED else "",
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


def _another_is_open(payment: Payment) -> bool:
    others = Payment.objects.filter(order_id=payment.order_id, status__in=Payment.OPEN)
    return others.exclude(pk=payment.pk).exists()


def _is_ours(payment: Payment, remote: Remote) -> bool:
    """Return whether what the provider speaks of is this payment: same id, amount, currency, mode."""
    named = remote.metadata.get("payment_id", str(payment.id))
    if payment.provider == "stripe" and remote.is_live != settings.STRIPE_LIVE_MODE:
        return False
    return (
        payment.provider_id in {None, remote.provider_id}
        and named == str(payment.id)
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


def _adopt_refunds(
    payment: Payment, order: Order, remote: Remote, *, actor: Actor, now: datetime
) -> None:
    """Take refunds into our books that somebody made at the provider itself."""
    missing = remote.refunded - payment.refunded_amount
    if missing <= 0 or payment.status not in {S.CAPTURED, S.PARTIALLY_REFUNDED}:
        return
    if Refund.objects.filter(payment=payment, status=Refund.Status.PENDING).exists():
        return  # ours, on its way; its own record comes
    orders.flag(
        actor=actor,
        order_id=order.id,
        attention=f"{format_amount(missing, payment.currency)} was refunded at the provider, not here.",
        now=now,
    )


def _provider_of(method: str) -> str:
    for offered in methods():
        if offered.id == method:
            return offered.provider
    raise ValidationFailed(
        errors=[FieldError("method", "invalid_choice", "There is no such way to pay.")]
    )


def _create(gateway: Gateway, payment: Payment) -> Remote:
    return gateway.create(
        key=payment.idempotency_key,
        amount=payment.amount,
        currency=payment.currency,
        metadata={"payment_id": str(payment.id), "order_id": str(payment.order_id)},
    )


def _close(payment: Payment, *, now: datetime) -> Payment:
    """Cancel a payment at its provider and record what became of it."""

    def cancel(gateway: Gateway) -> Remote:
        # Made first where it was not: only what exists can be closed for good.
        provider_id = payment.provider_id or _create(gateway, payment).provider_id
        return gateway.cancel(provider_id=provider_id, key=f"{payment.idempotency_key}-cancel")

    return record(payment_id=payment.id, remote=_ask(payment, cancel), now=now)


def _ask(payment: Payment, call: Callable[[Gateway], Remote]) -> Remote:
    """
    Call a payment's provider, outside any transaction of ours.

    :raises DependencyUnavailable: if it does not answer, or is switched off
    :raises PaymentFailed: if it refuses
    """
    gateway = gateway_of(payment.provider)
    if gateway is None:
        raise DependencyUnavailable("This way to pay is switched off.")
    try:
        return call(gateway)
    except ProviderUnavailable:
        raise DependencyUnavailable(
            "The payment provider does not answer.", retry_after=5
        ) from None
    except ProviderRefused as refusal:
        raise PaymentFailed(extra={"reason": str(refusal)}) from None
