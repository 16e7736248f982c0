"""What can be done with a cart on its page. Each change answers with the part of the page that changed, or by going there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from cart import selectors
from cart import services as carts
from cart.selectors import CartView
from cart.views.adding import quantity_of
from cart.views.basket import Said, current_cart, make_undo, page_context, read_undo, show
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count, once

MOVES = {"save": "saved", "next": "next", "activate": "active"}


@require_POST
def line(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """Set the quantity of a line, move it to another list, or take it out."""
    act = request.POST.get("act", "")
    actor, now = actor_of(request), timezone.now()

    def work() -> tuple[CartView, Said]:
        count(request)
        if act == "remove":
            before = selectors.view(actor=actor, now=now)
            view = carts.remove_line(actor=actor, line_id=line_id, now=now)
            return view, Said(undo=make_undo(before, line_id))
        if act in MOVES:
            return carts.move_line(actor=actor, line_id=line_id, to=MOVES[act], now=now), Said()
        quantity = quantity_of(request.POST.get("quantity", ""))
        quantity += {"-1": -1, "1": 1}.get(request.POST.get("step", ""), 0)
        return carts.change_line(actor=actor, line_id=line_id, quantity=quantity, now=now), Said()

    return _changed(request, work)


@require_POST
@once
def upsell(request: HttpRequest, product_id: UUID) -> HttpResponse:
    """Put what is suggested beside the cart into it, or send it away for good."""
    actor, now = actor_of(request), timezone.now()
    ref = str(product_id)

    def work() -> tuple[CartView, Said]:
        if request.POST.get("act") == "dismiss":
            count(request)
            carts.dismiss_upsell(actor=actor, product_ref=ref)
            return selectors.view(actor=actor, now=now), Said()
        count(request, "add_item")
        return carts.add_upsell(actor=actor, product_ref=ref, now=now), Said()

    return _changed(request, work)


@require_POST
@once
def undo(request: HttpRequest) -> HttpResponse:
    """Put back what was taken out a moment ago."""
    actor = actor_of(request)

    def work() -> tuple[CartView, Said]:
        count(request, "add_item")
        gone = read_undo(request.POST.get("undo", ""))
        if gone is None:
            raise ValidationFailed(_("That was too long ago to put back."))
        view = carts.add_line(
            actor=actor,
            sku=gone["sku"],
            quantity=int(gone["quantity"]),
            list=gone["list"],
            note=gone["note"],
            now=timezone.now(),
        )
        return view, Said(text=_("%(name)s is back.") % {"name": gone["name"]})

    return _changed(request, work)


@require_http_methods(["GET", "HEAD", "POST"])
def clear(request: HttpRequest) -> HttpResponse:
    """Empty the cart; asked for in a dialog, or on a page of its own where there is no script."""
    if request.method != "POST":
        return render(request, "cart/clear.html")
    actor = actor_of(request)

    def work() -> tuple[CartView, Said]:
        count(request)
        return carts.clear(actor=actor, now=timezone.now()), Said(text=_("Your cart is empty now."))

    return _changed(request, work)


@require_POST
def code(request: HttpRequest) -> HttpResponse:
    """Apply a discount code, or take one off."""
    actor, now = actor_of(request), timezone.now()
    wanted = request.POST.get("code", "").strip()

    def work() -> tuple[CartView, Said]:
        taken_off = request.POST.get("remove", "")
        if taken_off:
            count(request)
            return carts.remove_code(actor=actor, code=taken_off, now=now), Said(open_fold="code")
        try:
            count(request, "apply_discount")
            return carts.apply_code(actor=actor, code=wanted, now=now), Said(open_fold="code")
        except ApplicationError as refusal:
            view = selectors.view(actor=actor, now=now)
            return view, Said(code_error=str(refusal.detail), code_value=wanted, open_fold="code")

    return _changed(request, work)


@require_POST
def accept(request: HttpRequest) -> HttpResponse:
    """Agree to prices that moved since things were put in, as they were shown."""
    actor, now = actor_of(request), timezone.now()

    def work() -> tuple[CartView, Said]:
        count(request)
        shown = request.POST.get("quote", "")
        return carts.accept_prices(actor=actor, quote_id=shown, now=now), Said()

    return _changed(request, work)


@require_POST
def points(request: HttpRequest) -> HttpResponse:
    """Spend points on the cart, or keep them."""
    actor, now = actor_of(request), timezone.now()

    def work() -> tuple[CartView, Said]:
        if request.POST.get("remove", ""):
            count(request)
            return carts.remove_points(actor=actor, now=now), Said(open_fold="points")
        try:
            count(request, "apply_discount")
            wanted = _points(request.POST.get("points", ""))
            return carts.apply_points(actor=actor, points=wanted, now=now), Said(open_fold="points")
        except ApplicationError as refusal:
            view = selectors.view(actor=actor, now=now)
            return view, Said(points_error=str(refusal.detail), open_fold="points")

    return _changed(request, work)


@require_POST
def estimate(request: HttpRequest) -> HttpResponse:
    """Say where the goods would go, to see delivery and tax."""
    actor = actor_of(request)
    destination = {
        "country": request.POST.get("country", ""),
        "state": request.POST.get("state", ""),
        "postalCode": request.POST.get("postal_code", ""),
    }

    def work() -> tuple[CartView, Said]:
        count(request)
        view = carts.set_destination(actor=actor, destination=destination, now=timezone.now())
        return view, Said(open_fold="estimate")

    return _changed(request, work)


def _changed(request: HttpRequest, work: Callable[[], tuple[CartView, Said]]) -> HttpResponse:
    """Answer a change: with the part of the page, or, without a script, by going to the cart."""
    view: CartView | None
    try:
        view, said = work()
    except ApplicationError as refusal:
        view, said = current_cart(request), Said(refusal=refusal)
    if request.htmx:  # type: ignore[attr-defined]
        return show(request, view, said)
    if said.code_error or said.open_fold == "estimate":
        return render(request, "cart/cart.html", page_context(request, view, said))
    if said.refusal:
        messages.error(request, f"{said.refusal.detail} {said.refusal.advice}")
    elif said.text:
        messages.success(request, said.text)
    return redirect(f"/cart/?removed={said.undo['token']}" if said.undo else "/cart/")


def _points(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not int(text):
        raise ValidationFailed(_("Write how many points as a whole number."))
    return int(text)
