"""PayPal from the cart: its customer comes back with an address and goes on here."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from checkout import services as checkouts
from checkout.errors import PaymentNotFound
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, once


@require_POST
@once
def express_paypal(request: HttpRequest) -> HttpResponse:
    """Hold the cart and go to PayPal, where the customer says who they are and where it goes."""
    try:
        count(request, "payment")
        begun = checkouts.begin_paypal(actor=actor_of(request), now=timezone.now())
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
        return redirect("/cart/")
    return redirect(begun.approve_url or "/checkout/")


@cache_control(no_store=True)
@require_safe
def express_paypal_back(request: HttpRequest) -> HttpResponse:
    """
    Whoever comes back from PayPal finds the checkout filled in, and the total with delivery and tax to press on.

    What the address claims is not believed: PayPal says whether it is approved, and for whose checkout.
    """
    actor = actor_of(request)
    try:
        count(request, "payment")
        checkouts.take_approval(
            actor=actor, order_id=request.GET.get("token", ""), now=timezone.now()
        )
    except PaymentNotFound:
        return redirect("/cart/")
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect("/checkout/")
