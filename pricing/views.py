"""The pages of the catalogue: home, lists, search, product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Page, Paginator
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
from pricing.context import currency_of
from pricing.display import card_of, stock_of
from pricing.money import quantize
from pricing.selectors import ProductView, Search, VariantView
from pricing.selectors.storefront import featured_products, lowest_prior_price, storefront
from pricing.templatetags.money import money_text

PAGE_SIZE = 24
RELATED = 4
_AMOUNT = re.compile(r"[0-9]{1,9}([.,][0-9]{1,3})?")


def _currency(request: HttpRequest) -> str:
    return currency_of(request, storefront(company_id=actor_of(request).company_id))


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
    return _browse(request, heading=_("Everything"), lead="", category="")


@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    """:raises CategoryNotFound: if there is none"""
    found = inventory.find_category(actor=actor_of(request), slug=slug)
    return _browse(request, heading=found.name, lead=found.description, category=found.slug)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:200]
    heading = _("Results for “%(words)s”") % {"words": words} if words else _("Search")
    return _browse(
        request,
        heading=heading,
        lead="",
        category=request.GET.get("category", "")[:120],
        words=words,
        is_search=True,
    )


def _browse(
    request: HttpRequest,
    *,
    heading: str,
    lead: str,
    category: str,
    words: str = "",
    is_search: bool = False,
) -> HttpResponse:
    actor, currency = actor_of(request), _currency(request)
    wanted = Search(
        q=words,
        category=category,
        min_price=_price(request.GET.get("minPrice", ""), currency),
        max_price=_price(request.GET.get("maxPrice", ""), currency),
        in_stock=True if request.GET.get("inStock") == "true" else None,
        sort=request.GET.get("sort", ""),
    )
    rows, order = selectors.search_products(actor=actor, currency=currency, search=wanted)
    paginator: Paginator[Any] = Paginator(rows.order_by(*order), PAGE_SIZE)
    page = paginator.get_page(request.GET.get("page"))
    asked = _asked(request, wanted, currency)
    products = [
        card_of(selectors.product_view(row, actor=actor, currency=currency)) for row in page
    ]
    context = {
        "heading": heading,
        "lead": lead,
        "path": request.path,
        "is_search": is_search,
        "can_compare": flags.is_enabled("COMPARISON_ENABLED"),
        "search_words": words,
        "current_category": category,
        "facet_categories": _facet_categories(actor, words=words, is_search=is_search),
        "everything_url": f"/search/?{urlencode({'q': words})}" if is_search else "/products/",
        "in_stock": wanted.in_stock,
        "min_price": asked.get("minPrice", ""),
        "max_price": asked.get("maxPrice", ""),
        "chips": _chips(request.path, asked, wanted, currency),
        "filters_open": bool(asked.keys() & {"minPrice", "maxPrice", "inStock"})
        and not page.paginator.count,
        "sort": wanted.sort,
        "sorts": _sorts(words),
        "sort_hidden": [(name, value) for name, value in asked.items() if name != "sort"],
        "products": products,
        "count_words": ngettext("%(n)d thing", "%(n)d things", paginator.count)
        % {"n": paginator.count},
        "pages": _pages(request.path, asked, page),
        "previous_url": _url(request.path, asked, page=page.previous_page_number())
        if page.has_previous()
        else "",
        "next_url": _url(request.path, asked, page=page.next_page_number())
        if page.has_next()
        else "",
        "suggestions": []
        if products
        else [card_of(view) for view in featured_products(actor=actor, currency=currency, limit=3)],
    }
    is_part = bool(request.htmx) and request.htmx.target == "browse"  # type: ignore[attr-defined]
    response = render(
        request, "pricing/partials/browse.html" if is_part else "pricing/product_list.html", context
    )
    response.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    return response


def _price(text: str, currency: str) -> Decimal | None:
    text = text.strip()
    return quantize(Decimal(text.replace(",", ".")), currency) if _AMOUNT.fullmatch(text) else None


def _asked(request: HttpRequest, wanted: Search, currency: str) -> dict[str, str]:
    """Return the parameters that mean something, as the next link must carry them on."""
    asked = {
        "q": wanted.q,
        "category": wanted.category if "category" in request.GET else "",
        "minPrice": "" if wanted.min_price is None else f"{wanted.min_price:f}",
        "maxPrice": "" if wanted.max_price is None else f"{wanted.max_price:f}",
        "inStock": "true" if wanted.in_stock else "",
        "sort": wanted.sort if wanted.sort in selectors.SORTS else "",
    }
    return {name: value for name, value in asked.items() if value}


def _url(path: str, asked: Mapping[str, str], *, without: str = "", page: int = 1) -> str:
    kept = {name: value for name, value in asked.items() if name != without}
    if page > 1:
        kept["page"] = str(page)
    return f"{path}?{urlencode(kept)}" if kept else path


def _chips(
    path: str, asked: Mapping[str, str], wanted: Search, currency: str
) -> list[dict[str, str]]:
    chips = []
    if wanted.min_price is not None:
        label = _("from %(amount)s") % {"amount": money_text(wanted.min_price, currency)}
        chips.append({"label": label, "url": _url(path, asked, without="minPrice")})
    if wanted.max_price is not None:
        label = _("up to %(amount)s") % {"amount": money_text(wanted.max_price, currency)}
        chips.append({"label": label, "url": _url(path, asked, without="maxPrice")})
    if wanted.in_stock:
        chips.append({"label": _("in stock"), "url": _url(path, asked, without="inStock")})
    return chips


def _sorts(words: str) -> list[tuple[str, str]]:
    sorts = [
        ("newest", _("Newest")),
        ("price", _("Price, low first")),
        ("-price", _("Price, high first")),
        ("name", _("Name")),
    ]
    return [("relevance", _("Best match")), *sorts] if words else sorts


def _facet_categories(actor: Actor, *, words: str, is_search: bool) -> list[dict[str, str]]:
    return [
        {
            "slug": aisle.slug,
            "name": aisle.name,
            "url": f"/search/?{urlencode({'q': words, 'category': aisle.slug})}"
            if is_search
            else aisle.url,
        }
        for aisle in storefront(company_id=actor.company_id).categories
    ]


def _pages(path: str, asked: Mapping[str, str], page: Page[Any]) -> list[dict[str, Any]]:
    pages = []
    for number in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1):
        if isinstance(number, int):
            pages.append(
                {
                    "number": number,
                    "url": _url(path, asked, page=number),
                    "is_current": number == page.number,
                }
            )
        else:
            pages.append({"number": "", "url": "", "is_current": False})
    return pages


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
    choice = _choice_context(view, chosen, lowest=_lowest(chosen, currency))
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
        wanted = Search(category=view.category.slug)
        rows, order = selectors.search_products(actor=actor, currency=view.currency, search=wanted)
        others = rows.exclude(id__in=[view.id, *(other.id for other in related)]).order_by(*order)
        related += [
            selectors.product_view(row, actor=actor, currency=view.currency)
            for row in others[: RELATED - len(related)]
        ]
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
    return lowest_prior_price(variant_id=chosen.id, currency=currency)


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
