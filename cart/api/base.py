"""What the views of one cart share: which cart, which version, how the answer looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.response import Response

from cart.api.reading import Found, of_own_cart
from cart.errors import CartNotFound
from cart.rendering import render_cart
from cart.selectors import CartView
from config.platform.http import ApiView, actor_of, if_match
from config.platform.ids import named_id

_TAG = re.compile(r"(\d{1,9})(?:-[0-9a-f]{20})?")
NEVER = -1  # no cart has this version


class CartApiView(ApiView):
    """What the views of one cart share: which cart, which version, how the answer looks."""

    @property
    def cart_id(self) -> UUID | None:
        """The cart named in the path, if one is; a malformed id is a cart that nobody has."""
        sent = self.kwargs.get("cart_id")
        return None if sent is None else named_id(sent, CartNotFound)

    def common(self, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what every write passes on; takes `version` out of the body given."""
        return {
            "actor": actor_of(self.request),
            "now": timezone.now(),
            "cart_id": self.cart_id,
            "expected": self._expected(given if given is not None else {}),
        }

    def _expected(self, given: dict[str, Any]) -> int | None:
        version = given.pop("version", None)
        tag = if_match(self.request)
        if tag is None:
            return version
        found = _TAG.fullmatch(tag)
        said = int(found[1]) if found else NEVER
        return said if version in (None, said) else NEVER

    def read(self, find: Callable[..., Found], **terms: Any) -> Found:
        """Return what a selector finds in the cart that is meant."""
        actor, now = actor_of(self.request), timezone.now()
        asked = partial(find, actor=actor, now=now, cart_id=self.cart_id, **terms)
        return asked() if self.cart_id else of_own_cart(asked, actor=actor, now=now)

    def answer(self, view: CartView, *, status: int = 200, **more: Any) -> Response:
        return Response(
            {**render_cart(view), **more}, status=status, headers={"ETag": f'"{view.etag}"'}
        )
