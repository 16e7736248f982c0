"""What a visitor prefers: currency and theme."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from cart import services as carts
from cart.errors import CartExpired, CartMerged, CartNotFound
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from pricing.context import CURRENCY_COOKIE, THEME_COOKIE, THEMES
from pricing.selectors.storefront import storefront

YEAR_SECONDS = 365 * 24 * 3600


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Remember currency and theme in cookies, put the cart into that currency, and go back to where the visitor was."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        back = "/"
    response = redirect(back)
    front = storefront(company_id=actor_of(request).company_id)
    for name, value, allowed in (
        (CURRENCY_COOKIE, request.POST.get("currency", ""), set(front.currencies)),
        (THEME_COOKIE, request.POST.get("theme", ""), THEMES),
    ):
        if value in allowed:
            # The theme is also set by the page's script, so neither is hidden from it.
            response.set_cookie(
                name, value, max_age=YEAR_SECONDS, samesite="Lax", secure=request.is_secure()
            )
    currency = request.POST.get("currency", "")
    if currency in front.currencies:
        _exchange(request, currency)
    return response


def _exchange(request: HttpRequest, currency: str) -> None:
    """Put the visitor's cart, if there is one, into the currency they now see on the shelves."""
    try:
        carts.update(actor=actor_of(request), currency=currency, now=timezone.now())
    except (CartNotFound, CartExpired, CartMerged):
        return
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
