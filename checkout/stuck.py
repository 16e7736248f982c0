"""What of the money does not get on by itself: payments, refunds and messages that should have moved by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from checkout.books import Difference, Kind
from checkout.models import Payment, WebhookInbox
from orders.models import Order, RefundRequest

# How long each may take. A draft ends after a day, and its payment with it; banks take days over debits; cards keep an
# authorisation for about a week.
OPEN_FOR = timedelta(hours=26)
PROCESSING_FOR = timedelta(days=5)
AUTHORIZED_FOR = timedelta(days=5)
PAID_DRAFT_FOR = timedelta(minutes=5)
REFUND_FOR = timedelta(hours=1)
FAILING_TRIES = 5


class Reason(StrEnum):
    OPEN = "open"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    PAID_DRAFT = "paid_draft"
    REFUND = "refund"
    MESSAGE = "message"


ADVICE: Mapping[str, str | Promise] = {
    Reason.OPEN: _(
        "The payment is still open although its order should have been paid or given up by now. Settle it; if the"
        " provider still waits for the customer, cancel the order."
    ),
    Reason.PROCESSING: _(
        "The bank has had the payment for days. Settle it; if it stays, ask the provider's support."
    ),
    Reason.AUTHORIZED: _(
        "The money is promised, not collected, and the promise ends soon. Collect it, or cancel the order."
    ),
    Reason.PAID_DRAFT: _("The order is paid for but not confirmed. Settle its payment."),
    Reason.REFUND: _(
        "A refund that is due has not been carried out. Do it now; the same key is used again, so nobody is paid twice."
    ),
    Reason.MESSAGE: _(
        "A message of the provider cannot be worked off. Its page shows the error; mend that, then process it again."
    ),
}


def find(*, now: datetime) -> list[Difference]:
    """Return everything that is stuck at a moment, in the same few statements however much it is. Reads only; no provider is asked."""
    return [*_payments(now), *_paid_drafts(now), *_refunds(now), *_messages(now)]


def _payments(now: datetime) -> Iterator[Difference]:
    S = Payment.Status
    # Not `updated_at`: whoever asks the provider touches it, and that is no movement.
    waiting = Payment.objects.filter(status__in=Payment.OPEN).annotate(
        moved_at=Coalesce(Max("status_changes__at"), F("created_at"))
    )
    late = waiting.filter(
        Q(status=S.PENDING, moved_at__lte=now - OPEN_FOR)
        | Q(status=S.PROCESSING, moved_at__lte=now - PROCESSING_FOR)
        | Q(status=S.AUTHORIZED, moved_at__lte=now - AUTHORIZED_FOR)
    ).exclude(status=S.AUTHORIZED, order__status=Order.Status.DRAFT)
    reasons = {S.PROCESSING: Reason.PROCESSING, S.AUTHORIZED: Reason.AUTHORIZED}
    for payment in late.select_related("order").order_by("id"):
        yield _of(payment, reasons.get(S(payment.status), Reason.OPEN), payment.amount)


def _paid_drafts(now: datetime) -> Iterator[Difference]:
    paid = Payment.objects.filter(
        order__status=Order.Status.DRAFT,
        status__in=[Payment.Status.AUTHORIZED, Payment.Status.CAPTURED],
        status_changes__at__lte=now - PAID_DRAFT_FOR,
    )
    for payment in paid.distinct().select_related("order").order_by("id"):
        yield _of(payment, Reason.PAID_DRAFT, payment.amount)


def _refunds(now: datetime) -> Iterator[Difference]:
    """Yield refunds that are due for long. One waits rightly while its payment is only authorised."""
    late = RefundRequest.objects.filter(
        status=RefundRequest.Status.DUE, created_at__lte=now - REFUND_FOR
    )
    requests = list(
        late.select_related("order").prefetch_related("order__payments__refunds").order_by("id")
    )
    for request in requests:
        payments = sorted(request.order.payments.all(), key=lambda each: each.pk)
        if any(each.status == Payment.Status.AUTHORIZED for each in payments):
            continue
        prepared = [
            each
            for each in payments
            if any(refund.request_id == request.pk for refund in each.refunds.all())
        ]
        payment = next(
            iter([*prepared, *(each for each in payments if each.captured_amount)]), None
        )
        yield Difference(
            kind=Kind.STUCK,
            provider=payment.provider if payment else "",
            provider_id=(payment.provider_id or "") if payment else "",
            payment_id=payment.pk if payment else None,
            order_id=request.order_id,
            currency=request.currency,
            theirs=Decimal(0),
            ours=request.amount,
            company_id=request.order.company_id,
            about_at=request.created_at,
            reason=Reason.REFUND,
            row_id=request.pk,
        )


def _messages(now: datetime) -> Iterator[Difference]:
    failing = WebhookInbox.objects.filter(processed_at=None).filter(
        Q(attempts__gte=FAILING_TRIES) | Q(dead_at__isnull=False)
    )
    rows = list(failing.order_by("id"))
    payments = {
        payment.provider_id: payment
        for payment in Payment.objects.filter(
            provider_id__in=[row.object_id for row in rows if row.object_id]
        ).select_related("order")
    }
    for row in rows:
        payment = payments.get(row.object_id)
        yield Difference(
            kind=Kind.STUCK,
            provider=row.provider,
            provider_id=row.object_id,
            payment_id=payment.pk if payment else None,
            order_id=payment.order_id if payment else None,
            currency=payment.currency if payment else "",
            theirs=Decimal(0),
            ours=Decimal(0),
            company_id=payment.order.company_id if payment else None,
            about_at=row.received_at,
            reason=Reason.MESSAGE,
            row_id=row.pk,
        )


def _of(payment: Payment, reason: Reason, ours: Decimal) -> Difference:
    return Difference(
        kind=Kind.STUCK,
        provider=payment.provider,
        provider_id=payment.provider_id or "",
        payment_id=payment.pk,
        order_id=payment.order_id,
        currency=payment.currency,
        theirs=Decimal(0),
        ours=ours,
        company_id=payment.order.company_id,
        about_at=payment.created_at,
        reason=reason,
    )
