"""The pages of waiting for what is gone: asking, confirming, taking what is kept, and one's own list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cart import services as carts
from cart.views.adding import sku_of
from cart.views.visitors import as_owner
from config.platform import limits
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import count
from config.platform.ids import named_id
from inventory import selectors as inventory
from inventory import services as stock
from inventory.errors import BackInStockLinkInvalid, BackInStockRequestNotFound
from inventory.selectors import waiting
from inventory.selectors.waiting import RequestView
from pricing.display import options_text

PART = "pricing/partials/waiting_answer.html"


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Take a place in the line for the variant a product's form names; guests leave an address to be asked."""
    actor, form, now = actor_of(request), request.POST, timezone.now()
    slug = form.get("slug", "")
    try:
        count(request, "back_in_stock")
        variant = inventory.find_variant(actor=actor, sku=sku_of(actor, form))
        if actor.user_id is not None:
            made = stock.wait_for(actor=actor, variant=variant, now=now)
            [mine] = waiting.my_back_in_stock_requests(
                actor=actor, now=now, variant_ids=[made.variant_id]
            )
            said = place_words(mine)
        else:
            email = form.get("email", "")
            limits.hit(scope="back_in_stock_mail", identity=email.strip().lower()[:254], now=now)
            stock.ask_by_mail(actor=actor, variant=variant, email=email, now=now)
            said = _("Look into your mail: one press there, and you are in line.")
    except ApplicationError as refusal:
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, PART, {"waiting_refusal": refusal.detail}, status=422)
        messages.error(request, refusal.detail)
    else:
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, PART, {"waiting_said": said})
        messages.success(request, said)
    return redirect("page_product", slug=slug) if slug else redirect("page_products")


def place_words(mine: RequestView) -> str:
    """Return where somebody stands in the line, honestly: a place is no promise of a date."""
    if mine.is_offered:
        return _("It is kept for you right now.")
    if not mine.ahead:
        return _("You are first in line. When it is back, we keep it for you and tell you.")
    return ngettext(
        "You are in line, with %(n)d before you. When it is your turn, we keep it for you and tell you.",
        "You are in line, with %(n)d before you. When it is your turn, we keep it for you and tell you.",
        mine.ahead,
    ) % {"n": mine.ahead}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Ask once more, then give the address its place: what only looks at links must not act."""
    actor, now = actor_of(request), timezone.now()
    context: dict[str, Any] = {}
    try:
        count(request, "back_in_stock")
        company_id, variant_id, _email, _quantity = stock.read_confirmation(token)
        if company_id != actor.company_id:
            raise BackInStockLinkInvalid
        variant = inventory.find_variant(actor=actor, variant_id=variant_id)
        context |= {"name": variant.product.name, "url": f"/products/{variant.product.slug}/"}
        if request.method == "POST":
            made = stock.confirm_by_mail(actor=actor, token=token, now=now)
            view, _owner = waiting.back_in_stock_request(request_id=made.id, now=now)
            context["said"] = place_words(view)
    except ApplicationError as refusal:
        context["refusal"] = refusal
        return render(request, "cart/waiting_confirm.html", context, status=refusal.http_status)
    return render(request, "cart/waiting_confirm.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def offer(request: HttpRequest, token: str) -> HttpResponse:
    """Show what is kept, and put it into the cart or let it go at a press; the link is the proof."""
    now = timezone.now()
    try:
        count(request, "add_item")
        request_id = stock.read_link(token)
        if request.method == "POST" and request.POST.get("act") == "leave":
            stock.stop_waiting_by_link(actor=actor_of(request), token=token, now=now)
            messages.success(request, _("Done. You no longer wait for it."))
            return redirect("page_products")
        if request.method == "POST":
            return _take(request, request_id)
        view, owner = waiting.back_in_stock_request(request_id=request_id, now=now)
        if owner.company_id != actor_of(request).company_id:
            raise BackInStockRequestNotFound
    except ApplicationError as refusal:
        return render(
            request, "cart/waiting_offer.html", {"refusal": refusal}, status=refusal.http_status
        )
    return render(request, "cart/waiting_offer.html", {"offer": _shown(view)})


def _take(request: HttpRequest, request_id: UUID) -> HttpResponse:
    _view, token = as_owner(
        request,
        lambda actor: carts.take_offer(actor=actor, request_id=request_id, now=timezone.now()),
    )
    messages.success(request, _("It is in your cart now, and held for you."))
    response = redirect("page_cart")
    if token:
        set_guest_cookie(response, token)
    return response


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """List what a customer waits for; a press leaves the line."""
    actor, now = actor_of(request), timezone.now()
    if request.method == "POST":
        request_id = named_id(request.POST.get("request", ""), ValidationFailed)
        stock.stop_waiting(actor=actor, request_id=request_id, now=now)
        messages.success(request, _("Done. You no longer wait for it."))
        return redirect("page_back_in_stock_mine")
    found = waiting.my_back_in_stock_requests(actor=actor, now=now)
    return render(request, "cart/waiting_mine.html", {"requests": [_shown(row) for row in found]})


def _shown(view: RequestView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "url": f"/products/{view.slug}/",
        "image": view.image,
        "options_text": options_text(view.options, ()),
        "quantity": view.quantity,
        "kept": view.offered_quantity,
        "is_open": view.status == "WAITING",
        "seconds": view.seconds_left,
        "total": int(settings.BACK_IN_STOCK_OFFER.total_seconds()),
        "words": place_words(view),
        "offer_url": f"/back-in-stock/{stock.link_token(request_id=view.id)}/",
    }
