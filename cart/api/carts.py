"""The cart as a whole: opened, read, checked, explained, estimated and given up."""

from __future__ import annotations

import hashlib
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.api.reading import of_own_cart
from cart.api.rendering import render_finding, render_summary
from cart.rendering import render_cart
from cart.selectors.views import place_of
from cart.services.carts import plain_destination
from config.platform import limits
from config.platform.http import Anyone, actor_of, etag_response
from config.platform.http.rendering import encode
from pricing import services as pricing
from pricing.engine import Quote
from pricing.rendering import render_shipping, render_taxes


class CartsView(CartApiView):
    """The caller's cart."""

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Open the signed-in caller's cart, or return the one that is open (201 or 200)."""
        given = serializers.Create.read(request)
        actor = actor_of(request)
        if actor.user_id is None:
            return self.answer(selectors.view(actor=actor, now=timezone.now()))
        limits.count(actor=actor, scopes=["create_cart"])
        opened = services.create(
            actor=actor, now=timezone.now(), device=request.META.get("HTTP_USER_AGENT", ""), **given
        )
        return self.answer(opened.view, status=201 if opened.is_new else 200)

    def get(self, request: Request, cart_id: str = "") -> Response:
        """
        Return the cart. A signed-in caller always has one: the first look at it opens it, which is all that a read
        ever writes.
        """
        actor, now = actor_of(request), timezone.now()
        if actor.user_id is not None and self.cart_id is None:
            view = services.ensure(actor=actor, now=now).view
        else:
            view = selectors.view(actor=actor, now=now, cart_id=self.cart_id)
        return etag_response(request, view.etag, lambda: render_cart(view))

    def patch(self, request: Request, cart_id: str = "") -> Response:
        """Set client metadata, the address for reminders, where estimates go, or the currency."""
        given = serializers.Update.read(request)
        return self.answer(services.update(**self.common(given), **given))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Empty the active list; what is saved or waits for the next purchase stays."""
        given = serializers.Nothing.read(request)
        return self.answer(services.clear(**self.common(given)))


class PublicCartsView(CartsView):
    """Guest carts. Opening one needs no credentials."""

    def get_permissions(self) -> list[Any]:
        return [Anyone()] if self.request.method == "POST" else list(super().get_permissions())

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Open a guest cart and tell its token, this once (201)."""
        given = serializers.Create.read(request)
        actor = actor_of(request)
        limits.count(actor=actor, scopes=["create_cart"])
        opened = services.create(
            actor=actor, now=timezone.now(), device=request.META.get("HTTP_USER_AGENT", ""), **given
        )
        more = {"sessionToken": opened.token} if opened.token is not None else {}
        return self.answer(opened.view, status=201, **more)


class NamedCartView(CartsView):
    """A cart named by its id; the caller's, or it is not there."""

    http_method_names = ["get", "head", "patch", "delete"]


class SummaryView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Return the figures for a page's header. Their tag, like the cart's own, begins with the version."""
        actor, now = actor_of(request), timezone.now()
        summary = of_own_cart(lambda: selectors.summary(actor=actor, now=now), actor=actor, now=now)
        told = render_summary(summary)
        digest = hashlib.sha256(encode(told)).hexdigest()[:20]
        return etag_response(request, f"{summary.version}-{digest}", lambda: told)


class ValidateView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Say everything that is, or may be, wrong with the cart."""
        found = self.read(selectors.validate)
        return Response(
            {
                "valid": found.valid,
                "problems": [render_finding(finding) for finding in found.findings],
            }
        )


class RefreshView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Look at prices, stock, codes and totals anew."""
        given = serializers.Nothing.read(request)
        return self.answer(services.refresh(**self.common(given)))


class ExplainView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Explain the total, step by step, and why codes did not apply."""
        return Response(self.read(selectors.view).quote.explain())


class EstimateView(CartApiView):
    """What the cart would cost somewhere; nothing is stored."""

    def quote_at(self, given: dict[str, str]) -> Quote:
        option = given.get("shippingOption") or None
        quote = self.read(
            selectors.quote_for,
            destination=place_of(plain_destination(given)),
            shipping_option=option,
        )
        pricing.check_option(quote=quote, option=option)
        return quote


class ShippingEstimateView(EstimateView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Return how the cart could be shipped to a place, cheapest first, and what that costs."""
        quote = self.quote_at(serializers.Destination.read(request))
        return Response(render_shipping(quote))


class ShippingRatesView(EstimateView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Return how the cart could be shipped to where it goes, or to the place in the query."""
        quote = self.quote_at(serializers.RatesQuery.read_query(request))
        return Response(render_shipping(quote))


class TaxEstimateView(EstimateView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Return the taxes on the cart if it went to a place, by the way of shipping that is named."""
        quote = self.quote_at(serializers.TaxEstimate.read(request))
        return Response(render_taxes(quote))
