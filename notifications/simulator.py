"""The simulator of the embedded default, /dev/payments/: press what a bank may do, and watch the shop cope."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from checkout import services as checkouts
from checkout.models import Payment, WebhookInbox
from config.platform import invariants
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from inventory import selectors as inventory
from notifications.models import Notification
from orders.models import Order

SHOWN = 30
# How steps of payments look on the timeline; what is not named is still to be decided.
TONES = {
    "AUTHORIZED": "now",
    "CAPTURED": "done",
    "PARTIALLY_REFUNDED": "now",
    "REFUNDED": "now",
    "FAILED": "bad",
    "CANCELLED": "bad",
}
DOTS = {"done": "", "now": "few", "bad": "bad"}


def _only_in_the_embedded_default() -> None:
    # Production refuses both.
    if not (settings.DEV_MAILBOX and settings.PAYMENT_TEST_PROVIDER):
        raise Http404


def _bank(request: HttpRequest) -> Actor:
    """Return who presses: nobody of the shop, so every payment of this shop may be tried."""
    return replace(Actor.system(actor_of(request).company_id), source="simulator")


def _rehearsable(request: HttpRequest) -> Any:
    return (
        Payment.objects.filter(
            order__company_id=actor_of(request).company_id, provider__in=checkouts.rehearsed_at()
        )
        .select_related("order")
        .order_by("-created_at", "-pk")
    )


@require_GET
@never_cache
def simulator(request: HttpRequest) -> HttpResponse:
    """List the latest payments."""
    _only_in_the_embedded_default()
    found = [
        {"payment": payment, "dot": _dot(payment)} for payment in _rehearsable(request)[:SHOWN]
    ]
    return render(request, "notifications/simulator.html", {"payments": found})


@require_GET
@never_cache
def rehearsal(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Show one payment with the bank's buttons, and what the shop does about it."""
    _only_in_the_embedded_default()
    return render(request, "notifications/rehearsal.html", _story(request, payment_id))


@require_GET
@never_cache
def story(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Return what has happened so far, for the page that watches."""
    _only_in_the_embedded_default()
    return render(request, "notifications/partials/rehearsal.html", _story(request, payment_id))


@require_POST
def press(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Let the bank do something, or the shop ask the bank."""
    _only_in_the_embedded_default()
    payment = _find(request, payment_id)
    button, now = request.POST.get("button", ""), timezone.now()
    try:
        if button == "ask":
            checkouts.settle(payment_id=payment.pk, now=now)
        elif button in checkouts.BUTTONS:
            checkouts.rehearse(actor=_bank(request), payment_id=payment.pk, button=button, now=now)
        else:
            raise Http404
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}".strip())
    # On a phone the buttons fill the screen: what the shop does is what was asked for.
    return redirect(f"{reverse('simulator_payment', args=[payment.pk])}#story")


def _find(request: HttpRequest, payment_id: UUID) -> Payment:
    payment: Payment | None = _rehearsable(request).filter(pk=payment_id).first()
    if payment is None:
        raise Http404
    return payment


def _dot(payment: Payment) -> str:
    return DOTS.get(TONES.get(payment.status, ""), "later")


def _story(request: HttpRequest, payment_id: UUID) -> dict[str, Any]:
    payment = _find(request, payment_id)
    order = payment.order
    words = dict(Payment.Status.choices)
    checked = invariants.run(invariants.select(invariants.all_checks(), klass="S"))
    return {
        "payment": payment,
        "order": order,
        "dot": _dot(payment),
        "buttons": _buttons(),
        "payment_steps": [
            {
                "at": step.at,
                "what": words.get(step.to_status, step.to_status),
                "note": step.notes,
                "tone": TONES.get(step.to_status, ""),
            }
            for step in payment.status_changes.all()
        ],
        "order_steps": _order_steps(order),
        "holds": inventory.holds_of_order(order_id=order.pk).select_related("variant"),
        "told": list(
            WebhookInbox.objects.filter(
                provider=payment.provider, object_id=payment.provider_id or "-"
            ).order_by("received_at", "pk")[:SHOWN]
        ),
        "mails": list(
            Notification.objects.filter(
                company_id=order.company_id,
                type=Notification.Type.EMAIL,
                recipient__iexact=order.email,
                created_at__gte=order.placed_at,
                body_text__contains=order.number,
            ).order_by("created_at", "pk")[:SHOWN]
        ),
        "rules": len(checked),
        "broken": [result for result in checked if not result.holds],
        "looked_at": timezone.now(),
    }


def _order_steps(order: Order) -> list[dict[str, Any]]:
    words = dict(Order.Status.choices)
    steps: list[tuple[datetime, dict[str, Any]]] = [
        (
            step.at,
            {
                "at": step.at,
                "what": words.get(step.to_status, step.to_status),
                "note": step.reason,
                "tone": "bad" if step.to_status in {"cancelled", "failed"} else "done",
            },
        )
        for step in order.status_changes.all()
    ]
    steps += [
        (
            edit.at,
            {"at": edit.at, "what": _("flagged for staff"), "note": edit.new, "tone": "bad"},
        )
        for edit in order.edits.filter(field="needs_attention")
        if edit.new
    ]
    return [step for _moment, step in sorted(steps, key=lambda each: each[0])]


def _buttons() -> list[dict[str, str]]:
    told = [
        ("succeed", _("Approve"), _("The bank says yes, and a message says so.")),
        ("decline", _("Decline"), _("The bank says no. The goods are free at once.")),
        ("action", _("Ask the customer first"), _("The bank wants a confirmation.")),
        ("late", _("Approve too late"), _("The hold lapses first, then the money comes.")),
        ("duplicate", _("Approve, say so twice"), _("The same message is delivered again.")),
        ("before", _("Approve before the customer is back"), _("The message outruns the browser.")),
        ("lost", _("Approve, lose the message"), _("The shop finds out by asking, within minutes.")),
        ("dispute", _("Dispute"), _("The money is claimed back.")),
    ]  # fmt: skip
    return [{"value": value, "title": title, "text": text} for value, title, text in told]
