"""The cart's page: what is in it, what it comes to, and what waits beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import condition, require_safe

from cart import selectors
from cart.context import badge, badge_of
from cart.errors import CartExpired, CartMerged, CartNotFound
from cart.selectors import CartView, LineView
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key
from inventory.selectors import SHOWN_AT_MOST
from pricing.context import currency_of
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
from pricing.selectors import ProductView, products_shown, spendable_points
from pricing.selectors.storefront import featured_products, option_orders, storefront
from pricing.templatetags.money import money_text

UNDO_SALT = "cart.views.undo"  # of links in use: it stays as the module moves
UNDO_SECONDS = 3_600
INSTEAD = 3  # what is shown beside a line that is gone
GONE, SOLD_OUT = {"PRODUCT_DISCONTINUED", "PRODUCT_NOT_FOUND"}, {"ITEM_OUT_OF_STOCK"}
_WHY = {
    "related": gettext_lazy("Goes well with it"),
    "bundle": gettext_lazy("Sold together as a set"),
    "bought_together": gettext_lazy("Often bought along"),
    "category": gettext_lazy("From the same shelf"),
}


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


def current_cart(request: HttpRequest) -> CartView | None:
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


def page_context(request: HttpRequest, cart: CartView | None, said: Said) -> dict[str, Any]:
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


def show(request: HttpRequest, cart: CartView | None, said: Said) -> HttpResponse:
    """Answer with the part of the page that changed, and tell its script the version it shows."""
    context = page_context(request, cart, said)
    context["cart_badge"] = figures = badge_of(cart) if cart else badge(request)
    response = render(request, "cart/partials/contents.html", context | {"oob": True})
    response.headers["HX-Trigger"] = json.dumps({"cart-version": figures})
    return response


@cache_control(no_store=True)
@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    """What is in the cart, what it comes to, and what waits beside it."""
    said = Said(undo=read_undo(request.GET.get("removed", "")))
    return render(request, "cart/cart.html", page_context(request, current_cart(request), said))


@never_cache
@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """The same as a part, for a page that learns that another device changed the cart."""
    return show(request, current_cart(request), Said())


def _state_etag(request: HttpRequest) -> str:
    figures = badge(request)
    return f'"{figures["cart"]}-{figures["version"]}-{figures["count"]}"'


@cache_control(private=True, no_cache=True)
@require_safe
@condition(etag_func=_state_etag)
def state(request: HttpRequest) -> HttpResponse:
    """Version and count, for pages without a socket: an unchanged cart is an empty 304."""
    return JsonResponse(badge(request))


def make_undo(cart: CartView, line_id: UUID) -> dict[str, str] | None:
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


def read_undo(token: str) -> dict[str, str] | None:
    if not token:
        return None
    try:
        content: dict[str, str] = signing.loads(token, salt=UNDO_SALT, max_age=UNDO_SECONDS)
    except signing.BadSignature:
        return None
    return content | {"token": token}
