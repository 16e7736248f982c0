"""Products and bundles, as customers see them and as staff write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.actor import Actor
from config.platform.http import actor_of, asked_page, page, page_answer
from inventory import selectors as inventory_selectors
from inventory import services as inventory
from pricing import selectors, services
from pricing.api import serializers
from pricing.api.base import LIST, PublicRead, currency_of


class ProductList(PublicRead):
    """Base of the lists of products."""

    def found(self, request: Request, given: dict[str, Any]) -> Response:
        # Not kept: what is in stock decides which products these are and how many, and two statements are few.
        return self.public(request, self._found(request, given))

    def _found(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        actor = actor_of(request)
        currency = currency_of(request, given)
        search = selectors.Search(
            **{name: value for name, value in given.items() if name != "currency"}
        )
        asked = asked_page(request)
        found = selectors.search_catalogue(
            actor=actor,
            currency=currency,
            search=search,
            now=timezone.now(),
            size=asked.size,
            after=asked.after,
            backwards=asked.backwards,
        )
        results = [serializers.product_json(view) for view in found.products]
        answer = page_answer(request, asked, results, keys=found.keys, has_more=found.has_more)
        return answer | serializers.found_json(found, currency)


_SEARCH = [
    serializers.SearchQuery,
    OpenApiParameter(
        "option.{name}",
        OpenApiTypes.STR,
        many=True,
        description="Values of an option, of which any one will do; repeat it for several. Several options must all "
        "fit, on one and the same variant. Neither names nor values depend on case or accents.",
        examples=[
            OpenApiExample(
                "Red or blue", value=["Red", "Blue"], parameter_only=("option.Colour", "query")
            )
        ],
    ),
    *LIST,
]


_FOUND: dict[str, Any] = {
    "parameters": _SEARCH,
    "responses": serializers.SearchOutput,
}


@extend_schema(tags=["products"])
class ProductsView(ProductList):
    @extend_schema(
        operation_id="products_list",
        **_FOUND,
    )
    def get(self, request: Request) -> Response:
        """List the products on sale, newest first, with facets: the same as a search without words."""
        return self.found(request, serializers.SearchQuery.read_query(request))

    @extend_schema(request=serializers.ProductInput, responses={201: serializers.ProductOutput})
    def post(self, request: Request) -> Response:
        """Create a product with its variants, prices and counted stock. Staff only."""
        draft, prices = serializers.product_draft(serializers.ProductInput.read(request))
        made = services.create_product(
            actor=actor_of(request), draft=draft, prices=prices, now=timezone.now()
        )
        return Response(_product(request, str(made.product_id)), status=201)


@extend_schema(tags=["products"])
class ProductSearchView(ProductList):
    @extend_schema(
        operation_id="products_search",
        **_FOUND,
    )
    def get(self, request: Request) -> Response:
        """
        Search by words, category, price, options and stock.

        `facets` say how many products each further choice would leave. Words that find nothing are tried as parts of
        words, and then as words that look alike: `corrected` tells when that was done.
        """
        return self.found(request, serializers.SearchQuery.read_query(request))


def _product(request: Request, ref: str) -> dict[str, Any]:
    currency = currency_of(request, serializers.CurrencyQuery.read_query(request))
    view = selectors.product_detail(actor=actor_of(request), ref=ref, currency=currency)
    return serializers.product_json(view)


@extend_schema(tags=["products"])
class ProductView(PublicRead):
    @extend_schema(parameters=[serializers.CurrencyQuery], responses=serializers.ProductOutput)
    def get(self, request: Request, ref: str) -> Response:
        """Return a product by id or slug. One that is no longer sold says so under `status`."""
        return self.shared(request, lambda: _product(request, ref))

    @extend_schema(request=serializers.ProductChangeInput, responses=serializers.ProductOutput)
    def patch(self, request: Request, ref: str) -> Response:
        """Change a product; variants and prices that are not named stay. Staff only."""
        actor = actor_of(request)
        draft, prices = serializers.product_draft(serializers.ProductChangeInput.read(request))
        product = inventory_selectors.find_product(actor=actor, ref=ref)
        services.update_product(
            actor=actor, product_id=product.id, draft=draft, prices=prices, now=timezone.now()
        )
        return Response(_product(request, str(product.id)))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, ref: str) -> Response:
        """Stop selling a product; carts and orders keep showing it. One never sold stays unknown. Staff only."""
        actor = actor_of(request)
        product = inventory_selectors.find_product(actor=actor, ref=ref)
        inventory.discontinue(actor=actor, product_id=product.id, now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["products"])
class ProductPricingView(PublicRead):
    @extend_schema(
        parameters=[serializers.CurrencyQuery], responses=serializers.ProductPricingOutput
    )
    def get(self, request: Request, ref: str) -> Response:
        """
        Return the current prices of a product's variants, and the promotions that customers are told about.

        `price` is what everybody pays for one unit, `yourPrice` what the caller pays, `quantityBreaks` what a unit
        costs the caller from a quantity on. `lowestPrice30Days` is the lowest price of the 30 days before a reduction.
        """
        actor = actor_of(request)
        currency = currency_of(request, serializers.CurrencyQuery.read_query(request))
        now = timezone.now()
        view = selectors.product_detail(actor=actor, ref=ref, currency=currency)
        running = selectors.promotions_on(
            actor=actor, product_id=view.id, currency=currency, now=now
        )
        ids = [variant.id for variant in view.variants]
        content = serializers.pricing_json(
            view,
            running,
            ladders=selectors.ladders(
                variant_ids=ids, currency=currency, user_id=actor.user_id, now=now
            ),
            lowest=selectors.lowest_prices(variant_ids=ids, currency=currency, now=now),
            ends=selectors.scheduled_ends(variant_ids=ids, currency=currency, now=now),
        )
        if actor.user_id is not None:  # with prices of one's own: nothing for shared caches
            return Response(content, headers={"Cache-Control": "private, no-store"})
        return self.public(request, content)


class RelatedView(PublicRead, ABC):
    """Base of what is shown beside a product."""

    @extend_schema(
        tags=["products"],
        parameters=[serializers.CurrencyQuery, *LIST],
        responses=serializers.ProductListOutput,
    )
    def get(self, request: Request, ref: str) -> Response:
        """List related products that are on sale, the most fitting first."""
        actor = actor_of(request)
        currency = currency_of(request, serializers.CurrencyQuery.read_query(request))

        def make() -> Any:
            views = self.found(actor, ref, currency)
            return page(views, request, render=serializers.product_json)

        return self.shared(request, make)

    @abstractmethod
    def found(self, actor: Actor, ref: str, currency: str) -> list[selectors.ProductView]:
        """Return them all, in the order in which they are shown."""


class RecommendationsView(RelatedView):
    """What staff related in any way, then what is bought with it most often, then others of its category."""

    def found(self, actor: Actor, ref: str, currency: str) -> list[selectors.ProductView]:
        return selectors.recommended_products(actor=actor, ref=ref, currency=currency)


class AlternativesView(RelatedView):
    """What staff named instead of it, then what of its category is in stock, the nearest in price first."""

    def found(self, actor: Actor, ref: str, currency: str) -> list[selectors.ProductView]:
        return selectors.alternative_products(
            actor=actor, ref=ref, currency=currency, now=timezone.now()
        )


class UpsellsView(RelatedView):
    """What staff named to go up to or along with it, then the next dearer of its category in stock."""

    def found(self, actor: Actor, ref: str, currency: str) -> list[selectors.ProductView]:
        return selectors.upsell_products(
            actor=actor, ref=ref, currency=currency, now=timezone.now()
        )


@extend_schema(tags=["products"])
class BundlesView(PublicRead):
    @extend_schema(
        operation_id="bundles_list",
        parameters=[serializers.CurrencyQuery, *LIST],
        responses=serializers.BundleListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the bundles on sale."""
        actor = actor_of(request)
        currency = currency_of(request, serializers.CurrencyQuery.read_query(request))
        views = selectors.bundles(actor=actor, currency=currency)
        return self.public(request, page(views, request, render=serializers.bundle_json))
