"""The pages of the catalogue: home, lists, search, product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from config.platform import flags
from config.platform.actor import Actor
from config.platform.http import actor_of
from config.platform.http.forms import form_key
from inventory import selectors as inventory
from inventory import services as stock
from inventory.pictures import Picture
from inventory.selectors import waiting
from pricing import selectors
from pricing.browsing import (
    PAGE_SIZE,
    Asked,
    chips_of,
    clear_url,
    count_words,
    crumbs_of,
    facets_of,
    last_page,
    pages_of,
    sorts_of,
)
from pricing.context import currency_of
from pricing.display import card_of, stock_of
from pricing.selectors import Found, ProductView, Search, VariantView
from pricing.selectors.storefront import featured_products, storefront

RELATED = 4
SHOWN_ENTRIES = 50


def _currency(request: HttpRequest) -> str:
    return currency_of(request, storefront(company_id=actor_of(request).company_id))


# --- points ----------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def points(request: HttpRequest) -> HttpResponse:
    """What a customer has in points, how that came about, and what the next tier asks for."""
    actor = actor_of(request)
    loyalty = selectors.loyalty_of(actor=actor, now=timezone.now())
    assert actor.user_id is not None
    entries = selectors.loyalty_entries(actor=actor, user_id=actor.user_id)
    context = {"loyalty": loyalty, "entries": entries[:SHOWN_ENTRIES]}
    return render(request, "pricing/points.html", context)


# --- home ------------------------------------------------------------------------------------------


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    actor, currency = actor_of(request), _currency(request)
    offers = selectors.bundles(actor=actor, currency=currency)
    return render(
        request,
        "pricing/home.html",
        {
            "categories": storefront(company_id=actor.company_id).categories,
            "featured": [
                card_of(view) for view in featured_products(actor=actor, currency=currency)
            ],
            "bundle": offers[0] if offers else None,
            "form_key": form_key(),
        },
    )


# --- lists -----------------------------------------------------------------------------------------


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    slug = request.GET.get("category", "")[:120]
    return _browse(request, heading=_("Everything"), lead="", category=slug)


@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    """:raises CategoryNotFound: if there is none"""
    found = inventory.find_category(actor=actor_of(request), slug=slug)
    return _browse(request, heading=found.name, lead=found.description, category=found.slug)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").replace("\x00", " ").strip()[:200]
    heading = _("Results for “%(words)s”") % {"words": words} if words else _("Search")
    category = request.GET.get("category", "")[:120]
    return _browse(request, heading=heading, lead="", category=category, words=words)


def _browse(
    request: HttpRequest, *, heading: str, lead: str, category: str, words: str = ""
) -> HttpResponse:
    actor, currency, now = actor_of(request), _currency(request), timezone.now()
    asked = Asked.read(request.path, request.GET, currency=currency, words=words, category=category)

    def find(asked: Asked) -> Found:
        return selectors.search_catalogue(
            actor=actor,
            currency=currency,
            search=asked.search(),
            now=now,
            size=PAGE_SIZE,
            skip=(asked.page - 1) * PAGE_SIZE,
        )

    found = find(asked)
    if not found.products and found.total:  # beyond the end: the last page there is
        asked = replace(asked, page=last_page(found))
        found = find(asked)
    products = [card_of(view) for view in found.products]
    chips = chips_of(asked, found.facets, currency)
    context = {
        "heading": heading,
        "lead": lead,
        "path": request.path,
        "is_search": request.path == "/search/",
        "can_compare": flags.is_enabled("COMPARISON_ENABLED"),
        "search_words": words,
        "suggestion": found.suggestion,
        "suggestion_url": asked.url(words=found.suggestion),
        "is_corrected": found.is_corrected,
        "current_category": category,
        "crumbs": crumbs_of(asked, found.facets),
        "facets": facets_of(asked, found.facets, currency),
        "facet_currency": currency,
        "chips": chips,
        "clear_url": clear_url(asked),
        "sort": found.sort,
        "sorts": sorts_of(words),
        "sort_hidden": [
            (name, value) for name, value in asked.parameters() if name not in {"sort", "page"}
        ],
        "products": products,
        "count_words": count_words(found.total),
        "pages": pages_of(asked, found.total),
        "previous_url": asked.url(page=asked.page - 1) if asked.page > 1 else "",
        "next_url": asked.url(page=asked.page + 1) if asked.page < last_page(found) else "",
        "aisles": [] if products else storefront(company_id=actor.company_id).categories,
        "others": []
        if products
        else [card_of(view) for view in featured_products(actor=actor, currency=currency, limit=3)],
    }
    is_part = bool(request.htmx) and request.htmx.target == "browse"  # type: ignore[attr-defined]
    response = render(
        request, "pricing/partials/browse.html" if is_part else "pricing/product_list.html", context
    )
    response.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    if is_part:  # the form sends its empty fields too; the address need not show them
        response.headers["HX-Push-Url"] = asked.url(page=asked.page)
    return response


# --- product ---------------------------------------------------------------------------------------


@cache_control(no_store=True)  # going back must bring a form with a key of its own
@require_safe
def product(request: HttpRequest, slug: str) -> HttpResponse:
    """:raises ProductNotFound: if there is none for this visitor"""
    actor, currency = actor_of(request), _currency(request)
    view = selectors.product_detail(actor=actor, ref=slug, currency=currency)
    if slug != view.slug:
        return redirect(f"/products/{view.slug}/", permanent=True)
    chosen = choose(view, request.GET)
    choice = _choice_context(view, chosen, lowest=_lowest(chosen, currency)) | _own_prices(
        actor, chosen, currency
    )
    may_wait = chosen is not None and view.is_sold and not choice["can_buy"]
    context = {
        "product": _product_context(view, chosen),
        "choice": choice,
        "current_category": view.category.slug if view.category else "",
        "quantity": _quantity(request.GET.get("quantity", "")),
        "form_key": form_key(),
        "may_wait": may_wait,
        "waiting": _waiting_context(actor, chosen) if may_wait and chosen else None,
    }
    if request.htmx and request.htmx.target == "product":  # type: ignore[attr-defined]
        return render(request, "pricing/partials/product.html", context)
    together = selectors.bought_together(actor=actor, product_id=view.id, currency=currency)
    shown = {other.id for other in together}
    related = [other for other in _related(actor, view) if other.id not in shown]
    beside = {
        "together": [card_of(other) for other in together],
        "related": [card_of(other) for other in related],
    }
    return render(request, "pricing/product.html", context | beside)


def _waiting_context(actor: Actor, chosen: VariantView) -> dict[str, Any] | None:
    """Return how the visitor stands in the line for what is sold out; None for who is not in it."""
    found = waiting.my_back_in_stock_requests(
        actor=actor, now=timezone.now(), variant_ids=[chosen.id]
    )
    if not found:
        return None
    [mine] = found
    if mine.is_offered:
        words = _("It is back, and kept for you.")
    elif mine.ahead:
        words = ngettext(
            "You are in line, with %(n)d before you.",
            "You are in line, with %(n)d before you.",
            mine.ahead,
        ) % {"n": mine.ahead}
    else:
        words = _("You are first in line.")
    return {
        "words": words,
        "seconds": mine.seconds_left,
        "total": int(settings.BACK_IN_STOCK_OFFER.total_seconds()),
        "offer_url": f"/back-in-stock/{stock.link_token(request_id=mine.id)}/",
    }


def _related(actor: Actor, view: ProductView) -> list[ProductView]:
    """Return what staff related to a product, filled up with others of its aisle."""
    related = selectors.related_products(
        actor=actor,
        ref=str(view.id),
        kinds=["cross_sell", "alternative"],
        currency=view.currency,
        limit=RELATED,
    )
    if len(related) < RELATED and view.category is not None:
        aisle = selectors.search_catalogue(
            actor=actor,
            currency=view.currency,
            search=Search(category=view.category.slug),
            now=timezone.now(),
            size=2 * RELATED,
        )
        known = {view.id, *(other.id for other in related)}
        related += [other for other in aisle.products if other.id not in known]
        related = related[:RELATED]
    return related


def choose(view: ProductView, picked: Mapping[str, Any]) -> VariantView | None:
    """
    Return the variant of a product that is meant by `sku`, or by `option-1`, `option-2` …

    Where no variant has all picked values, the one that has most of them, the first values counting most.
    """
    if not view.variants:
        return None
    sku = picked.get("sku")
    for variant in view.variants:
        if sku and variant.sku == sku:
            return variant
    values = [picked.get(f"option-{index}") for index, _name in enumerate(view.option_names, 1)]
    if not any(values):
        return next((variant for variant in view.variants if variant.in_stock), view.variants[0])

    def likeness(variant: VariantView) -> tuple[int, ...]:
        return tuple(
            int(value is not None and variant.options.get(name) == value)
            for name, value in zip(view.option_names, values, strict=True)
        )

    return max(view.variants, key=likeness)


def _lowest(chosen: VariantView | None, currency: str) -> Decimal | None:
    if chosen is None or chosen.compare_at is None:
        return None
    found = selectors.lowest_prices(variant_ids=[chosen.id], currency=currency, now=timezone.now())
    return found.get(chosen.id)


def _own_prices(actor: Actor, chosen: VariantView | None, currency: str) -> dict[str, Any]:
    """Return what the chosen variant costs this visitor: as one of a group, and from a quantity on."""
    found = (
        selectors.ladders(
            variant_ids=[chosen.id], currency=currency, user_id=actor.user_id, now=timezone.now()
        )
        if chosen is not None
        else {}
    )
    ladder = next(iter(found.values()), None)
    if ladder is None:
        return {"own_price": None, "breaks": []}
    return {
        "own_price": ladder.single if ladder.single != ladder.public else None,
        "breaks": ladder.breaks,
    }


def _quantity(text: str) -> int:
    return min(max(int(text), 1), 100) if text.isascii() and text.isdigit() and len(text) < 4 else 1


def _product_context(view: ProductView, chosen: VariantView | None) -> dict[str, Any]:
    facts = [(_("Made by"), view.vendor)] if view.vendor else []
    if chosen is not None:
        facts.append((_("SKU"), chosen.sku))
    return {
        "id": view.id,
        "slug": view.slug,
        "name": view.name,
        "url": f"/products/{view.slug}/",
        "description": view.description,
        "currency": view.currency,
        "category": {"name": view.category.name, "url": f"/category/{view.category.slug}/"}
        if view.category
        else None,
        "options": _options(view, chosen) if len(view.variants) > 1 else [],
        "facts": facts,
    }


def _options(view: ProductView, chosen: VariantView | None) -> list[dict[str, Any]]:
    picked = chosen.options if chosen else {}
    options = []
    for index, (name, values) in enumerate(view.options, 1):
        # A value is within reach if some variant has it together with all that is picked before it.
        before = {other: picked.get(other) for other in view.option_names[: index - 1]}
        reachable = {
            variant.options.get(name)
            for variant in view.variants
            if variant.in_stock
            and all(variant.options.get(other) == value for other, value in before.items())
        }
        pictures = {value: _picture_of(view, name, value) for value in values}
        differ = len({picture for picture in pictures.values() if picture}) > 1
        options.append(
            {
                "index": index,
                "name": name,
                "chosen": picked.get(name, ""),
                "values": [
                    {
                        "value": value,
                        "image": pictures[value] if differ else "",
                        "in_stock": value in reachable,
                        "is_chosen": picked.get(name) == value,
                    }
                    for value in values
                ],
            }
        )
    return options


def _picture_of(view: ProductView, name: str, value: str) -> str:
    return next(
        (variant.image for variant in view.variants if variant.options.get(name) == value), ""
    )


def _gallery(view: ProductView, chosen: VariantView | None) -> list[Picture]:
    """Return the pictures of a product, that of the chosen variant first."""
    shown = list(view.images)
    if chosen is not None and chosen.image:
        own = [picture for picture in shown if picture.url == chosen.image]
        others = [picture for picture in shown if picture.url != chosen.image]
        shown = [*(own or [Picture(chosen.id, chosen.image, "")]), *others]
    return shown


def _choice_context(
    view: ProductView, chosen: VariantView | None, *, lowest: Decimal | None
) -> dict[str, Any]:
    pictures = _gallery(view, chosen)
    stock = stock_of(product=view, variants=[chosen] if chosen else [])
    return {
        "pictures": pictures,
        "price": chosen.price if chosen else None,
        "compare_at": chosen.compare_at if chosen else None,
        "lowest": lowest,
        "stock": stock,
        "can_buy": chosen is not None and chosen.price is not None and stock["state"] != "gone",
        "most": 100
        if chosen is None or chosen.is_backorder or chosen.available >= inventory.SHOWN_AT_MOST
        else chosen.available,
    }
