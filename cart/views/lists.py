"""The pages of the lists a customer keeps: the wishlist, and things side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from cart import selectors
from cart import services as carts
from cart.errors import CartExpired, CartMerged, CartNotFound
from cart.models import MOST_COMPARED
from cart.selectors import Compared, WishView
from cart.views.adding import sku_of
from cart.views.visitors import as_owner
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import count
from pricing.context import currency_of
from pricing.display import card_of, options_text, stock_of
from pricing.selectors.storefront import featured_products, storefront
from pricing.templatetags.money import money_text

_LOST = (CartNotFound, CartExpired, CartMerged)
KILOGRAM = 1_000


def _currency(request: HttpRequest) -> str:
    return currency_of(request, storefront(company_id=actor_of(request).company_id))


def _back(request: HttpRequest, otherwise: str) -> str:
    """Return the page of ours the visitor came from."""
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(
        came_from, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return came_from if is_ours else otherwise


def _kept(
    request: HttpRequest,
    work: Callable[..., Any],
    *,
    said: Callable[[Any], str],
    see: tuple[str, str],
) -> HttpResponse:
    """Put something on a list: answer in place, or go back to where the visitor was and say so there."""
    try:
        count(request, "add_item")
        done, token = as_owner(request, work)
    except ApplicationError as refusal:
        if request.htmx and "card" not in request.GET:  # type: ignore[attr-defined]
            context = {"refusal": {"message": refusal.detail, "advice": refusal.advice}, "see": see}
            return render(request, "cart/partials/kept.html", context, status=422)
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        if request.htmx:  # type: ignore[attr-defined]
            return HttpResponse(headers={"HX-Redirect": see[0]})
        return redirect(_back(request, see[0]))
    if request.htmx:  # type: ignore[attr-defined]
        told = {"text": said(done), "see": see}
        if "card" in request.GET:  # the small button on a card becomes the way to the list
            response = render(request, "cart/partials/card_compare.html", {"compared": told})
        else:
            response = render(request, "cart/partials/kept.html", told)
    else:
        messages.success(request, said(done))
        response = redirect(see[0])
    if token:
        set_guest_cookie(response, token)
    return response


def _held_by(actor: Actor, currency: str, look: Callable[..., Sequence[Any]]) -> Sequence[Any]:
    """Return what a visitor keeps; nothing for one who keeps none yet, or whose token is spent."""
    try:
        return look(actor=actor, currency=currency) if actor.is_known else []
    except _LOST:
        return []


def _suggested(actor: Actor, currency: str) -> list[Any]:
    """Return cards for an empty list."""
    return [card_of(view) for view in featured_products(actor=actor, currency=currency, limit=4)]


# --- wishlist -------------------------------------------------------------------------------------


@cache_control(no_store=True)
@require_safe
def wishlist(request: HttpRequest) -> HttpResponse:
    """What the visitor would like to have, what it costs now, and whether it is there."""
    flags.require("WISHLIST_ENABLED")
    actor, currency = actor_of(request), _currency(request)
    found = _held_by(actor, currency, selectors.wishes)
    return render(
        request,
        "cart/wishlist.html",
        {
            "currency": currency,
            "wishes": [_wish(wish) for wish in found],
            "suggestions": [] if found else _suggested(actor, currency),
        },
    )


def _wish(wish: WishView) -> dict[str, Any]:
    product = wish.product
    notice = None
    if wish.price_changed and wish.price is not None and wish.price_when_added is not None:
        falls = wish.price < wish.price_when_added
        words = (
            _("Down from %(before)s since you put it here.")
            if falls
            else _("Up from %(before)s since you put it here.")
        )
        before = money_text(wish.price_when_added, product.currency)
        notice = {"text": words % {"before": before}, "is_good": falls}
    return {
        "id": wish.id,
        "name": product.name,
        "url": f"/products/{product.slug}/?sku={wish.sku}"
        if wish.variant
        else f"/products/{product.slug}/",
        "image": (wish.variant.image if wish.variant else "")
        or (product.image.url if product.image else ""),
        "options_text": options_text(wish.options, product.option_names),
        "price": wish.price,
        "stock": stock_of(product=product, variants=[wish.variant] if wish.variant else []),
        "can_buy": wish.can_buy,
        "notice": notice,
    }


@require_POST
def add_wish(request: HttpRequest) -> HttpResponse:
    """Put what the product page's form names on the wishlist."""
    form, currency = request.POST, _currency(request)

    def work(owner: Any) -> Any:
        sku = sku_of(owner, form)
        return carts.add_wish(actor=owner, currency=currency, sku=sku, now=timezone.now())

    return _kept(
        request,
        work,
        said=lambda done: _("On your wishlist.") if done.is_new else _("It is on your wishlist."),
        see=("/wishlist/", _("See wishlist")),
    )


@require_POST
def wish(request: HttpRequest, wish_id: UUID) -> HttpResponse:
    """Put a wish into the cart, or take it off the list."""
    actor = actor_of(request)
    try:
        count(request, "add_item")
        if request.POST.get("act") == "cart":
            carts.move_wish_to_cart(actor=actor, wish_id=wish_id, now=timezone.now())
            messages.success(request, _("It is in your cart now, and held for you."))
        else:
            carts.remove_wish(actor=actor, wish_id=wish_id)
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect("page_wishlist")


# --- side by side ---------------------------------------------------------------------------------


@cache_control(no_store=True)
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """The chosen products side by side; where they differ is marked."""
    flags.require("COMPARISON_ENABLED")
    actor, currency = actor_of(request), _currency(request)
    found = _held_by(actor, currency, selectors.compared)
    return render(
        request,
        "cart/compare.html",
        {
            "currency": currency,
            "products": [card_of(row.product) for row in found],
            "rows": _rows(found),
            "room": MOST_COMPARED - len(found),
            "suggestions": [] if found else _suggested(actor, currency),
        },
    )


def _rows(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return one row per thing to compare, the cells in the order of the products; rows nobody has are left out."""
    names = list(dict.fromkeys(name for row in found for name, _values in row.product.options))
    options = [dict(row.product.options) for row in found]
    rows = [
        (_("Made by"), [row.product.vendor for row in found]),
        *((name, [", ".join(given.get(name, ())) for given in options]) for name in names),
        (_("Weight"), [_weight(row.weights) for row in found]),
        (
            _("Kind"),
            [row.product.category.name if row.product.category else "" for row in found],
        ),
    ]
    return [
        {"name": name, "cells": cells, "differs": len(found) > 1 and len(set(cells)) > 1}
        for name, cells in rows
        if any(cells)
    ]


def _weight(grams: Sequence[int]) -> str:
    if not grams:
        return ""
    least, most = (_grams(number) for number in (grams[0], grams[-1]))
    return least if least == most else _("%(least)s to %(most)s") % {"least": least, "most": most}


def _grams(number: int) -> str:
    return f"{number / KILOGRAM:.3g} kg" if number >= KILOGRAM else f"{number} g"


@require_POST
def add_compared(request: HttpRequest) -> HttpResponse:
    """Put a product beside the others."""
    ref = request.POST.get("product", "")[:255]

    def said(number: int) -> str:
        return ngettext(
            "In your comparison, the first one.", "In your comparison, %(n)d by now.", number
        ) % {"n": number}

    return _kept(
        request,
        lambda owner: carts.compare(actor=owner, product_ref=ref),
        said=said,
        see=("/compare/", _("See side by side")),
    )


@require_POST
def change_compared(request: HttpRequest) -> HttpResponse:
    """Take one product out of the comparison, or all of them."""
    actor = actor_of(request)
    try:
        count(request)
        if request.POST.get("act") == "clear":
            carts.clear_comparison(actor=actor)
        else:
            carts.stop_comparing(actor=actor, product_ref=request.POST.get("product", "")[:255])
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect("page_compare")
