"""The cart's pages: what is in it, what can be done with it, and the way back from a reminder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import condition, require_http_methods, require_POST, require_safe

from cart import selectors
from cart import services as carts
from cart.context import badge, badge_of
from cart.errors import (
    CartExpired,
    CartMerged,
    CartNotFound,
    RecoveryTokenExpired,
    RecoveryTokenInvalid,
)
from cart.selectors import CartView, LineView
from cart.views.visitors import as_owner
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import count, form_key, once
from config.platform.http.parsing import is_storable
from inventory.errors import ProductNotFound
from inventory.selectors import SHOWN_AT_MOST
from pricing.context import CURRENCY_COOKIE, THEME_COOKIE, THEMES, currency_of
from pricing.display import (
    card_of,
    countries_of,
    delivery_options_of,
    discounts_of,
    is_tax_place,
    not_applied_of,
    options_text,
    relief_of,
    steps_of,
    totals_of,
)
from pricing.selectors import ProductView, product_detail, products_shown, spendable_points
from pricing.selectors.storefront import featured_products, option_orders, storefront
from pricing.templatetags.money import money_text

UNDO_SALT = "cart.views.undo"  # of links in use: it stays as the module moves
UNDO_SECONDS = 3_600
YEAR_SECONDS = 365 * 24 * 3600
INSTEAD = 3  # what is shown beside a line that is gone
GONE, SOLD_OUT = {"PRODUCT_DISCONTINUED", "PRODUCT_NOT_FOUND"}, {"ITEM_OUT_OF_STOCK"}
_WHY = {
    "related": gettext_lazy("Goes well with it"),
    "bundle": gettext_lazy("Sold together as a set"),
    "bought_together": gettext_lazy("Often bought along"),
    "category": gettext_lazy("From the same shelf"),
}
MOVES = {"save": "saved", "next": "next", "activate": "active"}


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a page says once about what was just done, or refused."""

    text: str = ""
    undo: dict[str, str] | None = None
    refusal: ApplicationError | None = None
    code_error: str = ""
    code_value: str = ""
    points_error: str = ""
    open_fold: str = ""


def _current(request: HttpRequest) -> CartView | None:
    try:
        return selectors.view(actor=actor_of(request), now=timezone.now())
    except (CartNotFound, CartExpired, CartMerged):
        return None


def _line(line: LineView, cart: CartView, order: Sequence[str]) -> dict[str, Any]:
    notices = []
    for warning in cart.warnings:
        if warning.item_id != line.id:
            continue
        if warning.code == "PRICE_CHANGED":
            # What one unit costs; that several are cheaper is no change.
            single = Decimal(warning.extra["to"])
            before, now = (
                money_text(amount, cart.currency) for amount in (line.seen_price, single)
            )
            falls = single < line.seen_price
            text = (
                _("Down from %(before)s to %(now)s since you put it in.")
                if falls
                else _("Up from %(before)s to %(now)s since you put it in.")
            )
            notices.append(
                {"text": text % {"before": before, "now": now}, "kind": "good" if falls else "warn"}
            )
        elif warning.code not in {"PRICE_CHANGED", "HOLD_EXPIRED"}:
            notices.append({"text": warning.message, "kind": "warn"})
    total = int(settings.HOLD_DURATION.total_seconds())
    return {
        "id": line.id,
        "name": line.name,
        "url": line.url,
        "image": line.image_url,
        "options_text": options_text(line.options, order),
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "subtotal": line.subtotal,
        "hold_state": line.hold.state,
        "hold_seconds": line.hold.seconds_left if line.hold.state == "held" else 0,
        "hold_total": total,
        "sku": line.sku,
        "most": 100 if line.available >= SHOWN_AT_MOST else max(line.available, 1),
        "is_bundled": line.group_id is not None,
        "problems": [problem.message for problem in line.problems],
        "notices": notices,
    }


def _is_gone(line: LineView) -> bool:
    """Tell whether there is none of it to be had, rather than less than is wanted."""
    codes = {problem.code for problem in line.problems}
    return bool(codes & GONE) or (bool(codes & SOLD_OUT) and line.available <= 0)


def _instead(
    request: HttpRequest, cart: CartView, gone: Sequence[LineView]
) -> dict[UUID, list[dict[str, Any]]]:
    """Return what can be had instead of each line: other choices of the same product first; nothing asked for no line."""
    if not gone:
        return {}
    actor = actor_of(request)
    others = selectors.instead_of(actor=actor, cart=cart, lines=gone, now=cart.now)
    own = {
        view.id: view
        for view in products_shown(actor=actor, currency=cart.currency, ids=list(others))
        if view.is_sold
    }
    return {
        line.id: _offered(
            line,
            [
                *([own[line.product_id]] if line.product_id in own else []),
                *others.get(line.product_id, ()),
            ],
        )
        for line in gone
    }


def _offered(line: LineView, products: Sequence[ProductView]) -> list[dict[str, Any]]:
    """
    Return those of these products that are there, with the SKU that a button adds.

    That is the choice with the same options, else the only one there is; where neither is, the product's page asks.
    """
    offered = []
    for product in products:
        there = [v for v in product.variants if v.is_active and v.in_stock and v.price is not None]
        if not there:
            continue
        same = [v for v in there if v.options == line.options]
        only = same or (there if len(there) == 1 else [])
        most = only[0].available if only and not only[0].is_backorder else line.quantity
        offered.append(
            {
                **card_of(product),
                "price": only[0].price if only else product.price_from,
                "options_text": options_text(only[0].options, product.option_names) if only else "",
                "sku": only[0].sku if only else "",
                "quantity": max(1, min(line.quantity, most)),
            }
        )
    return offered[:INSTEAD]


def _suggested(actor: Actor, cart: CartView) -> list[dict[str, Any]]:
    """Return what stands quietly below the cart, with the SKU that a press adds where there is no choice."""
    return [
        {
            **card_of(row.product),
            "price": row.variant.price if row.variant else row.product.price_from,
            "varies": row.variant is None and not row.product.has_one_price,
            "can_add": row.variant is not None,
            "why": str(_WHY[row.reason]),
        }
        for row in selectors.upsells(actor=actor, cart=cart)
    ]


def _context(request: HttpRequest, cart: CartView | None, said: Said) -> dict[str, Any]:
    actor = actor_of(request)
    front = storefront(company_id=actor.company_id)
    context: dict[str, Any] = {
        "said": said.text,
        "undo": said.undo,
        "refusal": said.refusal,
        "code_error": said.code_error,
        "code_value": said.code_value,
        "points_error": said.points_error,
        "open_fold": said.open_fold,
        "form_key": form_key(),
        "cart": cart,
    }
    if cart is None or not cart.items:
        currency = cart.currency if cart else currency_of(request, front)
        context["suggestions"] = [
            card_of(view) for view in featured_products(actor=actor, currency=currency, limit=4)
        ]
    if cart is None:
        return context
    quote = cart.quote
    orders = option_orders(product_ids=[line.product_id for line in cart.lines])
    reasons = {refused.code: refused.message for refused in quote.not_applied}
    gone = [line for line in cart.items if _is_gone(line)]
    instead = _instead(request, cart, gone)
    return context | {
        "currency": cart.currency,
        "lines": [
            _line(line, cart, orders.get(line.product_id, ()))
            | {"is_gone": line.id in instead, "instead": instead.get(line.id, [])}
            for line in cart.items
        ],
        "next_lines": [
            _line(line, cart, orders.get(line.product_id, ())) for line in cart.next_purchase_items
        ],
        "saved_lines": [
            _line(line, cart, orders.get(line.product_id, ())) for line in cart.saved_items
        ],
        "upsells": _suggested(actor, cart),
        "totals": totals_of(
            quote,
            is_estimate=True,
            has_destination=is_tax_place(
                cart.destination.get("country", ""), cart.destination.get("state", "")
            ),
        ),
        "discounts": discounts_of(quote),
        "relief_text": relief_of(quote),
        "points_wished": cart.points,
        "points_available": spendable_points(actor=actor, currency=cart.currency, now=cart.now),
        "codes": [{"code": code, "reason": reasons.get(code, "")} for code in cart.codes],
        "steps": steps_of(quote, names={line.id: line.name for line in cart.items}),
        "not_applied": not_applied_of(quote),
        "warnings": [
            warning.message
            for warning in cart.warnings
            if warning.item_id is None and warning.code != "DISCOUNT_NOT_APPLIED"
        ],
        "to_accept": len(cart.prices_to_accept),
        "quote_id": cart.quote_id,
        "can_check_out": cart.totals.line_count > 0 and not cart.totals.problem_count,
        "countries": countries_of(company_id=actor.company_id, first=settings.DEFAULT_COUNTRY),
        "destination": {
            "country": cart.destination.get("country", ""),
            "state": cart.destination.get("state", ""),
            "postal_code": cart.destination.get("postalCode", ""),
        },
        "shipping_options": delivery_options_of(
            quote,
            since=None if any(line.may_wait for line in cart.items) else cart.now,
            zone=front.time_zone,
        )
        if cart.destination.get("country")
        else [],
        "estimate_error": _("We do not ship there yet.")
        if quote.shipping_code and cart.destination
        else "",
    }


def _show(request: HttpRequest, cart: CartView | None, said: Said) -> HttpResponse:
    """Answer with the part of the page that changed, and tell its script the version it shows."""
    context = _context(request, cart, said)
    context["cart_badge"] = figures = badge_of(cart) if cart else badge(request)
    response = render(request, "cart/partials/contents.html", context | {"oob": True})
    response.headers["HX-Trigger"] = json.dumps({"cart-version": figures})
    return response


@cache_control(no_store=True)
@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    """What is in the cart, what it comes to, and what waits beside it."""
    said = Said(undo=_read_undo(request.GET.get("removed", "")))
    return render(request, "cart/cart.html", _context(request, _current(request), said))


@never_cache
@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """The same as a part, for a page that learns that another device changed the cart."""
    return _show(request, _current(request), Said())


def _state_etag(request: HttpRequest) -> str:
    figures = badge(request)
    return f'"{figures["cart"]}-{figures["version"]}-{figures["count"]}"'


@cache_control(private=True, no_cache=True)
@require_safe
@condition(etag_func=_state_etag)
def state(request: HttpRequest) -> HttpResponse:
    """Version and count, for pages without a socket: an unchanged cart is an empty 304."""
    return JsonResponse(badge(request))


# --- changing ------------------------------------------------------------------------------------


@require_POST
@once
def add(request: HttpRequest) -> HttpResponse:
    """Put what the product page's form names into the cart; answers in place, or by going to the cart."""
    actor = actor_of(request)
    form = request.POST
    try:
        count(request, "add_item")
        sku = sku_of(actor, form)
        quantity = _number(form.get("quantity", "1"))
        view, token = as_owner(
            request,
            lambda owner: carts.add_line(
                actor=owner, sku=sku, quantity=quantity, now=timezone.now()
            ),
        )
    except ApplicationError as refusal:
        return _refuse_add(request, refusal)
    return _added(
        request, view, token, name=next((line.name for line in view.items if line.sku == sku), "")
    )


@require_POST
@once
def add_bundle(request: HttpRequest) -> HttpResponse:
    """Put a bundle into the cart."""
    try:
        count(request, "add_item")
        bundle_id = _uuid(request.POST.get("bundle", ""))
        view, token = as_owner(
            request,
            lambda owner: carts.add_bundle(
                actor=owner, bundle_id=bundle_id, quantity=1, now=timezone.now()
            ),
        )
    except ApplicationError as refusal:
        return _refuse_add(request, refusal)
    return _added(request, view, token, name="")


def _added(request: HttpRequest, view: CartView, token: str, *, name: str) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        held = [line.hold.seconds_left for line in view.items if line.hold.state == "held"]
        response = render(
            request,
            "cart/partials/added.html",
            {
                "added": {"name": name, "minutes": -(-max(held, default=0) // 60)},
                "cart_badge": badge_of(view),
                "form_key": form_key(),
                "oob": True,
            },
        )
        response.headers["HX-Trigger"] = json.dumps({"cart-version": badge_of(view)})
    else:
        response = redirect("/cart/")
        if view.message:
            messages.success(request, view.message)
    if token:
        set_guest_cookie(response, token)
    return response


def _refuse_add(request: HttpRequest, refusal: ApplicationError) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        told = {"message": refusal.detail, "advice": refusal.advice}
        return render(request, "cart/partials/added.html", {"refusal": told}, status=422)
    messages.error(request, f"{refusal.detail} {refusal.advice}")
    slug = request.POST.get("slug", "")
    return redirect("page_product", slug=slug) if slug else redirect("/cart/")


def sku_of(actor: Actor, form: Any) -> str:
    """Return the SKU a form names, or that of the variant whose options it has picked."""
    if named := form.get("sku", ""):
        if not is_storable(named):
            raise ProductNotFound
        return str(named)
    product = product_detail(
        actor=actor,
        ref=str(_uuid(form.get("product", ""))),
        currency=storefront(company_id=actor.company_id).currency,
    )
    picked = {
        name: form.get(f"option-{index}", "") for index, name in enumerate(product.option_names, 1)
    }
    for variant in product.variants:
        if len(product.variants) == 1 or all(
            variant.options.get(name, "") == value for name, value in picked.items()
        ):
            return variant.sku
    raise ValidationFailed(_("We do not make this combination. Choose another one, please."))


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
            return view, Said(undo=_make_undo(before, line_id))
        if act in MOVES:
            return carts.move_line(actor=actor, line_id=line_id, to=MOVES[act], now=now), Said()
        quantity = _number(request.POST.get("quantity", ""))
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
        gone = _read_undo(request.POST.get("undo", ""))
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


def _make_undo(cart: CartView, line_id: UUID) -> dict[str, str] | None:
    gone = next((line for line in cart.lines if line.id == line_id), None)
    if gone is None or gone.group_id is not None:
        return None
    content = {
        "sku": gone.sku,
        "quantity": str(gone.quantity),
        "list": gone.list,
        "note": gone.note,
        "name": gone.name,
    }
    return content | {"token": signing.dumps(content, salt=UNDO_SALT, compress=True)}


def _read_undo(token: str) -> dict[str, str] | None:
    if not token:
        return None
    try:
        content: dict[str, str] = signing.loads(token, salt=UNDO_SALT, max_age=UNDO_SECONDS)
    except signing.BadSignature:
        return None
    return content | {"token": token}


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
        view, said = _current(request), Said(refusal=refusal)
    if request.htmx:  # type: ignore[attr-defined]
        return _show(request, view, said)
    if said.code_error or said.open_fold == "estimate":
        return render(request, "cart/cart.html", _context(request, view, said))
    if said.refusal:
        messages.error(request, f"{said.refusal.detail} {said.refusal.advice}")
    elif said.text:
        messages.success(request, said.text)
    return redirect(f"/cart/?removed={said.undo['token']}" if said.undo else "/cart/")


def _number(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ValidationFailed(_("A quantity is a whole number from 1 to 100."))
    return int(text)


def _points(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not int(text):
        raise ValidationFailed(_("Write how many points as a whole number."))
    return int(text)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValidationFailed(_("This is not on sale.")) from None


# --- the way back from a reminder ------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recover(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a reminder's link would bring back; a POST brings it back."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "recovery")
        if request.method == "POST":
            guest = carts.restore(actor=actor, token=token, now=now).token
            messages.success(request, _("Everything is back in your cart, and held for you."))
            response = redirect("/cart/")
            if guest:
                set_guest_cookie(response, guest)
            return response
        preview = carts.preview_recovery(actor=actor, token=token, now=now)
    except RecoveryTokenExpired:
        title = _("This link has gone out with the tide")
        text = _("It was used before, or it is too old. Your cart may still be there.")
    except RecoveryTokenInvalid:
        title, text = (
            _("This link does not fit"),
            _("It may have been cut short. Try the one in the mail again."),
        )
    else:
        return render(
            request,
            "cart/recover.html",
            {
                "currency": preview.currency,
                "lines": [_recovered(line) for line in preview.lines],
            },
        )
    return render(request, "cart/recover.html", {"title": title, "text": text}, status=410)


_PREVIEW_PROBLEMS = {
    "ITEM_OUT_OF_STOCK": gettext_lazy("Sold out at the moment"),
    "PRODUCT_DISCONTINUED": gettext_lazy("No longer sold"),
    "PRODUCT_NOT_FOUND": gettext_lazy("No longer sold"),
}


def _recovered(line: Any) -> dict[str, Any]:
    return {
        "name": line.name,
        "image": line.image_url,
        "options_text": options_text(line.options),
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "notice": " ".join(str(_PREVIEW_PROBLEMS.get(code, "")) for code in line.problems),
    }


# --- what a visitor prefers ------------------------------------------------------------------------


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
