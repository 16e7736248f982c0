"""Placing the order and paying it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cart import selectors as carts
from checkout import selectors
from checkout import services as checkouts
from checkout.errors import CheckoutExpired, CheckoutNotFound, PaymentRequired, PriceChanged
from checkout.gateway import methods
from checkout.models import Checkout, Payment
from checkout.services import BUTTONS
from checkout.views.page import leave, offered_methods, open_checkout, show
from checkout.views.payer import Payer, let_on, payer_of, payer_of_payment
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders.models import Order
from pricing.templatetags.money import money_text


@require_POST
@once
def pay(request: HttpRequest) -> HttpResponse:
    """Place the order for the total that was shown, and go on to the payment."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "payment")
        found = open_checkout(actor, now)
        if found.order_id is None and _is_to_accept(found, actor, now):
            return show(request, selectors.view_of(found, now=now))
        method = request.POST.get("method", "")
        if method:
            order, payment = checkouts.pay(
                actor=actor,
                checkout_id=found.id,
                method=method,
                quote_id=request.POST.get("quote", ""),
                now=now,
            )
        else:
            order = checkouts.complete(
                actor=actor, checkout_id=found.id, quote_id=request.POST.get("quote", ""), now=now
            )
            payment = None
    except PriceChanged as change:
        return show(
            request, selectors.view_of(open_checkout(actor, now), now=now), changed=_change(change)
        )
    except (CheckoutNotFound, CheckoutExpired):
        return leave(request)
    except ApplicationError as refusal:
        view = selectors.view_of(open_checkout(actor, now), now=now)
        if view.order is not None:
            messages.error(request, f"{refusal.detail} {refusal.advice}")
            return redirect(
                f"/checkout/pay/{view.payment.id}/"
                if view.payment
                else f"/orders/{view.order.number}/"
            )
        return show(request, view, refusal=refusal)
    if payment is None or payment.status in (Payment.Status.CAPTURED, Payment.Status.REFUNDED):
        return redirect(f"/orders/{order.number}/")
    if "approved" in payment.metadata and payment.status == Payment.Status.PENDING:
        return _settled(request, Payer(actor, order), payment.id, is_asked=True)  # agreed already
    return redirect(_approval_of(payment) or f"/checkout/pay/{payment.id}/")


def _approval_of(payment: Payment) -> str:
    """Return the provider's page where the customer agrees to a payment, if it has one."""
    action = payment.next_action or {}
    return str(action["url"]) if action.get("type") == "redirect" else ""


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def pay_order(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Pay an order that no checkout leads to here: the difference of an exchange, or any on another device, by its link.

    :raises OrderNotFound: if it is not the visitor's, and no link opens it
    """
    payer = payer_of(request, number)
    order = payer.order
    if payer.comes_from_cart or order.status != Order.Status.DRAFT:
        return redirect(payer.order_url)
    if request.method == "POST":
        response = _pay_order(request, payer=payer)
    latest = selectors.latest_payment(order_id=order.id)
    is_open = latest is not None and latest.status in Payment.OPEN
    if request.method == "POST":
        # Beside what is done once: the answer that is given again has no cookie of its own.
        return let_on(response, payer, latest.id) if latest is not None and is_open else response
    if latest is not None and is_open:
        return let_on(redirect("page_pay", latest.id), payer, latest.id)
    return render(
        request,
        "checkout/pay_order.html",
        {
            "number": order.number,
            "order_url": payer.order_url,
            "amount": order.to_pay,
            "currency": order.currency,
            "credit": order.credit_total,
            "payment_methods": offered_methods(methods()),
            "form_key": form_key(),
        },
    )


@once
def _pay_order(request: HttpRequest, *, payer: Payer) -> HttpResponse:
    try:
        count(request, "payment")
        payment = checkouts.start_payment(
            actor=payer.actor,
            order_id=payer.order.id,
            method=request.POST.get("method", ""),
            now=timezone.now(),
        )
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(payer.order_url)
    return redirect("page_pay", payment.id)


def _is_to_accept(found: Checkout, actor: Actor, now: Any) -> bool:
    """Tell whether a price moved that the customer has not accepted; the page then asks for that first."""
    return bool(carts.view(actor=actor, cart_id=found.cart_id, now=now).prices_to_accept)


def _change(change: PriceChanged) -> str:
    old, new = change.extra.get("oldTotal"), change.extra.get("newTotal")
    currency = change.extra.get("currency", "")
    if old and new and currency:
        amounts = {"old": money_text(old, currency), "new": money_text(new, currency)}
        return (
            _(
                "The total was %(old)s and is now %(new)s. Look at it, and press again if it is right."
            )
            % amounts
        )
    return _(
        "The total has changed since it was shown. Look at it, and press again if it is right."
    )


@cache_control(no_store=True)
@require_safe
def payment(request: HttpRequest, payment_id: UUID) -> HttpResponseBase:
    """
    Where a payment stands: the provider's own fields, or with the test provider, the buttons that decide it.

    Who comes back from a bank is asked nothing: whatever the address claims, the provider says whether it is paid.
    """
    payer, found = payer_of_payment(request, payment_id)
    order = found.order
    if (
        not {"payment_intent", "PayerID"}.isdisjoint(request.GET)
        and order.status == order.Status.DRAFT
    ):
        count(request, "payment")
        return _settled(request, payer, payment_id, is_asked=True)
    if order.status != order.Status.DRAFT:
        return redirect(payer.order_url)
    latest = selectors.latest_payment(order_id=order.id)
    if latest is not None and latest.id != found.id:
        return let_on(redirect("page_pay", latest.id), payer, latest.id)
    waiting = ""
    if found.provider == "test" and (found.next_action or {}).get("type") == "authenticate":
        waiting = _("Your bank wants you to confirm. Here you are the bank: approve or decline.")
    card = _card_fields(found)
    page: Any = render(
        request,
        "checkout/pay.html",
        {
            "payment_id": found.id,
            "amount": found.amount,
            "currency": found.currency,
            "order_number": order.number,
            "is_test": found.provider == "test",
            "card": card,
            "approval_url": _approval_of(found) if found.status in Payment.OPEN else "",
            "has_failed": found.status in (Payment.Status.FAILED, Payment.Status.CANCELLED),
            "failure": found.failure,
            "method": found.method,
            "retry_url": "/checkout/pay/" if payer.comes_from_cart else payer.pay_url,
            "from_cart": payer.comes_from_cart,
            "quote_id": order.quote_id,
            "waiting": waiting,
            "outcomes": _outcomes(),
            "form_key": form_key(),
        },
    )
    if card is not None:
        page._csp_replace = settings.CONTENT_SECURITY_POLICY_OF_CARDS
        # Wallets open windows of their own, which tell the page how it went.
        page["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    return page


def _card_fields(found: Payment) -> dict[str, str] | None:
    """Return what Stripe's own fields need to take this payment; None where there are none to show."""
    takes_cards = settings.STRIPE_SECRET_KEY and settings.STRIPE_PUBLISHABLE_KEY
    if found.provider != "stripe" or not takes_cards or not found.client_secret:
        return None
    return {
        "key": settings.STRIPE_PUBLISHABLE_KEY,
        "secret": found.client_secret,
        "back": f"{settings.STOREFRONT_URL}/checkout/pay/{found.id}/",
    }


def _outcomes() -> list[dict[str, str]]:
    told = [
        ("decline", _("Decline"), _("The bank says no. Nothing is charged.")),
        (
            "action",
            _("Ask the customer first"),
            _("The bank wants a confirmation before it decides."),
        ),
        ("late", _("Succeed too late"), _("The hold lapses first, then the money arrives.")),
        ("duplicate", _("Succeed, and say so twice"), _("The same message is delivered again.")),
        ("before", _("Succeed before you are back"), _("The message outruns your browser.")),
        ("lost", _("Succeed, but lose the message"), _("The shop must find out by asking.")),
        ("dispute", _("Succeed, then dispute"), _("The money is claimed back at once.")),
    ]
    return [{"value": value, "title": title, "text": text} for value, title, text in told]


@require_POST
@once
def simulate(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Press one of the test provider's buttons, and see how the shop copes."""
    payer, _found = payer_of_payment(request, payment_id)
    simulation = BUTTONS.get(request.POST.get("outcome", ""))
    try:
        count(request, "payment")
        if simulation is None:
            raise ValidationFailed(_("Choose what the bank should do."))
        outcome, delivery = simulation
        checkouts.simulate(
            actor=payer.actor,
            payment_id=payment_id,
            outcome=outcome,
            delivery=delivery,
            now=timezone.now(),
        )
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/checkout/pay/{payment_id}/")
    return _settled(request, payer, payment_id)


@require_POST
def complete(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Ask the provider where the payment stands."""
    count(request, "payment")
    payer, _found = payer_of_payment(request, payment_id)
    return _settled(request, payer, payment_id, is_asked=True)


def _settled(
    request: HttpRequest, payer: Payer, payment_id: UUID, *, is_asked: bool = False
) -> HttpResponse:
    order = payer.order
    try:
        if order.checkout_id is None:
            _settle(payment_id)
        else:
            checkouts.complete(
                actor=payer.actor, checkout_id=_checkout_of(order), now=timezone.now()
            )
    except PaymentRequired as refusal:
        if is_asked:
            messages.warning(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/checkout/pay/{payment_id}/")
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect(payer.order_url)


def _settle(payment_id: UUID) -> None:
    """
    Ask the provider about the payment of an order that no checkout leads to.

    :raises PaymentRequired: if it is not paid
    """
    payment = checkouts.settle(payment_id=payment_id, now=timezone.now())
    if payment.order.status == Order.Status.DRAFT:
        raise PaymentRequired


def _checkout_of(order: Order) -> UUID:
    """:raises CheckoutNotFound: if the order was not placed through a checkout"""
    if order.checkout_id is None:
        raise CheckoutNotFound
    return UUID(str(order.checkout_id))


@require_POST
def cancel(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Give up paying: what was bought goes back into the cart."""
    payer, _found = payer_of_payment(request, payment_id)
    order = payer.order
    if (
        not payer.comes_from_cart
    ):  # there is no cart to go back to; the order waits until its own end
        return redirect(payer.order_url)
    try:
        count(request, "checkout")
        checkouts.cancel(actor=payer.actor, checkout_id=_checkout_of(order), now=timezone.now())
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(payer.order_url)
    messages.success(request, _("Nothing was charged. Everything is back in your cart."))
    return redirect("/cart/")
