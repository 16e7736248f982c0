"""What checkout knows of an order's time: payments and their attempts, and refunds as providers made them."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from checkout.models import OutsideRefund, Payment, PaymentStatusChange, Refund
from orders.models import Order
from orders.selectors.timeline import Entry, Kind, Told, audited, source, staff_source
from pricing.templatetags.money import money_text

TONES = {
    "PENDING": "warning",
    "PROCESSING": "warning",
    "AUTHORIZED": "info",
    "CAPTURED": "success",
    "FAILED": "danger",
    "CANCELLED": "",
    "PARTIALLY_REFUNDED": "warning",
    "REFUNDED": "warning",
}


@source
def payments(order: Order) -> Iterator[Entry]:
    """Every try to pay, and what became of it."""
    words = dict(Payment.Status.choices)
    steps = PaymentStatusChange.objects.filter(payment__order=order).select_related("payment")
    for step in steps:
        payment = step.payment
        amount = money_text(payment.amount, payment.currency)
        told = {
            Payment.Status.CAPTURED: Told(_("You paid %(amount)s") % {"amount": amount}),
            Payment.Status.FAILED: Told(_("A payment did not go through")),
        }
        came_back = step.refunded < 0
        title = _("Payment %(state)s") % {"state": words.get(step.to_status, step.to_status)}
        yield Entry(
            at=step.at,
            kind=Kind.MONEY,
            key=step.pk,
            title=_("A refund came back") if came_back else title,
            text=" · ".join(part for part in (amount, payment.provider, step.notes) if part),
            tone="danger" if came_back else TONES.get(step.to_status, ""),
            page=("checkout_payment", payment.pk),
            customer=None if came_back else told.get(Payment.Status(step.to_status)),
        )


@staff_source
def trail(order: Order) -> Iterator[Entry]:
    """What the audit trail says of the order's payments."""
    yield from audited("payment", Payment.objects.filter(order=order).values_list("pk", flat=True))


@staff_source
def refunds(order: Order) -> Iterator[Entry]:
    """What a provider would not give back; what it gave stands among the steps of its payment."""
    failed = Refund.objects.filter(payment__order=order, status=Refund.Status.FAILED)
    for row in failed:
        yield Entry(
            at=row.updated_at,
            kind=Kind.MONEY,
            key=row.pk,
            title=_("Refund of %(amount)s failed")
            % {"amount": money_text(row.amount, row.currency)},
            text=row.failure,
            tone="danger",
            page=("checkout_payment", row.payment_id),
        )


@source
def refunds_by_other_means(order: Order) -> Iterator[Entry]:
    told = {
        OutsideRefund.Means.BANK_TRANSFER: _("%(amount)s was paid by bank transfer"),
        OutsideRefund.Means.CASH: _("%(amount)s was paid in cash"),
        OutsideRefund.Means.CHEQUE: _("%(amount)s was paid by cheque"),
        OutsideRefund.Means.OTHER: _("%(amount)s was paid in another way"),
    }
    for row in OutsideRefund.objects.filter(payment__order=order):
        amount = {"amount": money_text(row.amount, row.currency)}
        day = date_format(row.paid_on_date, "DATE_FORMAT")
        reference = _("reference %(reference)s") % {"reference": row.reference}
        yield Entry(
            at=row.created_at,
            kind=Kind.MONEY,
            key=row.pk,
            title=_("%(amount)s paid back by other means") % amount,
            text=f"{row.get_means_display()} · {reference} · {day} · {row.reason}",
            tone="success",
            actor=row.actor,
            page=("checkout_outsiderefund", row.pk),
            customer=Told(told[OutsideRefund.Means(row.means)] % amount, f"{day}, {reference}"),
        )
