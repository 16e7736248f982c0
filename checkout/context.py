"""What each template may ask of express checkout; read only when it does."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from checkout import selectors


def wallets(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `wallets`, the names of those that the cart offers."""
    return {"wallets": SimpleLazyObject(selectors.wallets)}
