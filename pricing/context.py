"""What each template may ask of the shop around it; read only when it does."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from config.platform import flags
from config.platform.http import actor_of
from inventory.models import Company
from pricing.selectors.promotions import PROMOTIONS_FLAG
from pricing.selectors.storefront import Storefront, storefront

THEMES = frozenset({"light", "dark"})
THEME_COOKIE = "theme"
CURRENCY_COOKIE = "currency"


def currency_of(request: HttpRequest, front: Storefront) -> str:
    """Return the currency this visitor chose, where the shop sells in it; else the shop's own."""
    chosen = request.COOKIES.get(CURRENCY_COOKIE, "")
    return chosen if chosen in front.currencies else front.currency


def shop(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `shop` with its name, aisles, currency and theme; empty where nothing can be read."""
    return {"shop": SimpleLazyObject(lambda: _shop(request))}


def _shop(request: HttpRequest) -> dict[str, Any]:
    theme = request.COOKIES.get(THEME_COOKIE, "")
    about: dict[str, Any] = {"theme": theme if theme in THEMES else ""}
    try:
        front = storefront(company_id=actor_of(request).company_id)
    except (DatabaseError, Company.DoesNotExist):
        return about  # the page of an outage must not need what is out
    return about | {
        "name": front.name,
        "categories": front.categories,
        "currency": currency_of(request, front),
        "currencies": front.currencies,
        "has_promotions": flags.is_enabled(PROMOTIONS_FLAG),
        "has_wishlist": flags.is_enabled("WISHLIST_ENABLED"),
        "has_comparison": flags.is_enabled("COMPARISON_ENABLED"),
    }
