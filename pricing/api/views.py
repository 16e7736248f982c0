"""The catalogue for everybody, and the rules of its prices for staff."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import kept
from config.platform.actor import Actor
from config.platform.errors import NotFound
from config.platform.http import (
    Anyone,
    ApiView,
    Input,
    SignedIn,
    Staff,
    actor_of,
    asked_page,
    page,
    page_answer,
    public_response,
)
from inventory import selectors as inventory_selectors
from inventory import services as inventory
from inventory.models import Product, Variant
from pricing import engine, selectors, services
from pricing.api import serializers
from pricing.errors import DiscountExpired, DiscountInvalid, DiscountLimitReached
from pricing.terms import ShippingRuleTerms, TaxRateTerms, ZoneTerms

_LIST = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 100."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` or `previous`."),
]


_EDITING = {
    "post": "inventory.add_product",
    "patch": "inventory.change_product",
    "delete": "inventory.change_product",  # it stops being sold; nothing is deleted
}


def _rights(model: str) -> dict[str, str]:
    """Return what the admin asks of those who see, add, change and delete rows of a model."""
    verbs = {"get": "view", "post": "add", "patch": "change", "put": "change", "delete": "delete"}
    return {method: f"pricing.{verb}_{model}" for method, verb in verbs.items()}


class PublicRead(ApiView):
    """Reads for everybody and writes for staff. What customers get may be kept by caches, what staff get may not."""

    permission_classes = [Anyone]
    rights = _EDITING

    def get_permissions(self) -> list[BasePermission]:
        return [Anyone()] if self.request.method in {"GET", "HEAD"} else [Staff()]

    def public(self, request: Request, content: Any) -> Response:
        """Return the content with its ETag, or 304 for who has it already."""
        return public_response(request, content)

    def shared(self, request: Request, make: Callable[[], Any]) -> Response:
        """The same for what customers ask for over and over: kept until the catalogue changes, with the stock of now."""
        actor, now = actor_of(request), timezone.now()
        if actor.sees_everything:
            return self.public(request, make())
        content = kept.recall(
            company_id=actor.company_id,
            name=request.build_absolute_uri(),
            make=make,
            freshen=with_stock_of_now,
            until=lambda: selectors.next_moment(company_id=actor.company_id, now=now),
            now=now,
        )
        return self.public(request, content)


def with_stock_of_now(content: dict[str, Any]) -> dict[str, Any]:
    """Put into kept products, one or a list of them, what customers may know of their stock: one statement."""
    products = [row for row in content.get("results", [content]) if "variants" in row]
    variants = [variant for row in products for variant in row["variants"]]
    stock = inventory_selectors.availability(
        variant_ids=[UUID(variant["id"]) for variant in variants if "available" in variant]
    )
    for row in products:
        for variant in row["variants"]:
            there = stock.get(UUID(variant["id"]))
            if there is None or not there.has_record:  # a first record renews what is kept
                continue
            sells_on = there.policy == Variant.Policy.CONTINUE
            variant["available"] = there.shown
            variant["inStock"] = there.available > 0 or sells_on
            variant["backorder"] = sells_on and there.available <= 0
        if "inStock" in row:
            row["inStock"] = row["status"] == Product.Status.ACTIVE and any(
                variant["inStock"] and variant["price"] is not None for variant in row["variants"]
            )
    return content


def _currency(request: Request, given: dict[str, Any]) -> str:
    return selectors.shown_currency(actor=actor_of(request), currency=given.get("currency"))


class ProductList(PublicRead):
    """Base of the lists of products."""

    def found(self, request: Request, given: dict[str, Any]) -> Response:
        # Not kept: what is in stock decides which products these are and how many, and two statements are few.
        return self.public(request, self._found(request, given))

    def _found(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        actor = actor_of(request)
        currency = _currency(request, given)
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
    *_LIST,
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
    currency = _currency(request, serializers.CurrencyQuery.read_query(request))
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
        """Stop selling a product; carts and orders keep showing it. Staff only."""
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
        currency = _currency(request, serializers.CurrencyQuery.read_query(request))
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


class RelatedView(PublicRead):
    """Base of what is shown beside a product."""

    @extend_schema(
        tags=["products"],
        parameters=[serializers.CurrencyQuery, *_LIST],
        responses=serializers.ProductListOutput,
    )
    def get(self, request: Request, ref: str) -> Response:
        """List related products that are on sale, the most fitting first."""
        actor = actor_of(request)
        currency = _currency(request, serializers.CurrencyQuery.read_query(request))

        def make() -> Any:
            views = self.found(actor, ref, currency)
            return page(views, request, render=serializers.product_json)

        return self.shared(request, make)

    def found(self, actor: Actor, ref: str, currency: str) -> list[selectors.ProductView]:
        raise NotImplementedError


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
        parameters=[serializers.CurrencyQuery, *_LIST],
        responses=serializers.BundleListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the bundles on sale."""
        actor = actor_of(request)
        currency = _currency(request, serializers.CurrencyQuery.read_query(request))
        views = selectors.bundles(actor=actor, currency=currency)
        return self.public(request, page(views, request, render=serializers.bundle_json))


# --- questions: they write nothing ----------------------------------------------------------------


class Question(ApiView):
    """A POST that changes nothing, open to everybody."""

    permission_classes = [Anyone]


@extend_schema(tags=["products"])
class ValidateView(Question):
    @extend_schema(request=serializers.ValidateInput, responses=serializers.OfferOutput)
    def post(self, request: Request) -> Response:
        """Say whether a variant may go into a cart in this quantity, and why not."""
        given = serializers.ValidateInput.read(request)
        currency = _currency(request, given)
        [offer] = selectors.offers(
            actor=actor_of(request), wanted=serializers.wanted([given]), currency=currency
        )
        return Response(serializers.offer_json(offer, currency))


@extend_schema(tags=["products"])
class ValidateBulkView(Question):
    limits = {"post": "bulk"}

    @extend_schema(request=serializers.ItemsInput, responses=serializers.OffersOutput)
    def post(self, request: Request) -> Response:
        """The same for many lines, each judged by itself."""
        given = serializers.ItemsInput.read(request)
        currency = _currency(request, given)
        offers = selectors.offers(
            actor=actor_of(request), wanted=serializers.wanted(given["items"]), currency=currency
        )
        return Response(
            {
                "valid": all(offer.is_valid for offer in offers),
                "results": [serializers.offer_json(offer, currency) for offer in offers],
            }
        )


def _quote(request: Request, given: dict[str, Any], **asked: Any) -> engine.Quote:
    actor = actor_of(request)
    basket = selectors.basket_of(
        actor=actor,
        wanted=serializers.wanted(given["items"]),
        currency=_currency(request, given),
        **asked,
    )
    return services.quote(actor=actor, basket=basket, now=timezone.now())


@extend_schema(tags=["checkout"])
class DiscountValidateView(Question):
    limits = {"post": "apply_discount"}

    @extend_schema(request=serializers.DiscountInput, responses=serializers.DiscountOutput)
    def post(self, request: Request) -> Response:
        """
        Say whether a code would take effect, without applying it.

        Without `items` only the code itself is judged: that it exists, its time and its limits.
        """
        given = serializers.DiscountInput.read(request)
        actor = actor_of(request)
        currency = _currency(request, given)
        basket = selectors.basket_of(
            actor=actor, wanted=serializers.wanted(given.get("items", ())), currency=currency
        )
        answer: dict[str, Any] = {
            "valid": True, "code": given["code"], "reason": None, "errorCode": None, "message": None,
            "amount": None, "currency": currency,
        }  # fmt: skip
        now = timezone.now()
        try:
            answer["code"] = code = services.check_code(
                actor=actor, code=given["code"], basket=basket, now=now
            )
        except (DiscountInvalid, DiscountExpired, DiscountLimitReached) as refused:
            answer["code"] = refused.extra.get("code", given["code"])
            if given.get("items") or refused.extra["reason"] not in engine.ABOUT_THE_BASKET:
                answer |= {
                    "valid": False,
                    "reason": refused.extra["reason"],
                    "errorCode": refused.code,
                    "message": refused.detail,
                }
            return Response(answer)
        quote = services.quote(
            actor=actor, basket=dataclasses.replace(basket, codes=(code,)), now=now
        )
        answer["amount"] = quote.format(
            sum(
                (item.amount for item in quote.discounts if item.code == code),
                quote.totals.subtotal * 0,
            )
        )
        return Response(answer)


# --- rules, staff -----------------------------------------------------------------------------------


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound() from None


class StaffView(ApiView):
    permission_classes = [Staff]


@extend_schema(tags=["promotions"])
class PromotionsView(StaffView):
    rights = _rights("promotion")

    @extend_schema(
        operation_id="promotions_list",
        parameters=[serializers.PromotionsQuery, *_LIST],
        responses=serializers.PromotionListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the promotions, newest first; with `deleted=true` those that were deleted. Staff only."""
        given = serializers.PromotionsQuery.read_query(request)
        rows = selectors.promotions(actor=actor_of(request), deleted=given["deleted"])
        return Response(
            page(rows, request, order=("-created_at", "-id"), render=serializers.promotion_json)
        )

    @extend_schema(request=serializers.PromotionInput, responses={201: serializers.PromotionOutput})
    def post(self, request: Request) -> Response:
        """Start a promotion; with a code it is brought in by that, without one it applies by itself. Staff only."""
        actor = actor_of(request)
        terms = serializers.new_promotion(serializers.PromotionInput.read(request))
        made = services.create_promotion(actor=actor, terms=terms, now=timezone.now())
        return Response(_promotion(actor, made.id), status=201)


def _promotion(actor: Actor, promotion_id: UUID) -> dict[str, Any]:
    return serializers.promotion_json(
        selectors.find_promotion(actor=actor, promotion_id=promotion_id)
    )


@extend_schema(tags=["promotions"])
class ActivePromotionsView(PublicRead):
    @extend_schema(
        operation_id="promotions_active_list",
        parameters=_LIST,
        responses=serializers.AdvertisedListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the promotions that run now and that customers are told about."""
        rows = list(selectors.advertised_promotions(actor=actor_of(request), now=timezone.now()))
        return self.public(request, page(rows, request, render=serializers.advertised_json))


@extend_schema(tags=["promotions"])
class PromotionView(StaffView):
    rights = _rights("promotion")

    @extend_schema(responses=serializers.PromotionOutput)
    def get(self, request: Request, promotion_id: str) -> Response:
        """Return a promotion. Staff only."""
        return Response(_promotion(actor_of(request), _id(promotion_id)))

    @extend_schema(request=serializers.PromotionChangeInput, responses=serializers.PromotionOutput)
    def patch(self, request: Request, promotion_id: str) -> Response:
        """Change what is sent; the rest stays. Staff only."""
        actor = actor_of(request)
        changes = serializers.promotion_changes(serializers.PromotionChangeInput.read(request))
        promotion = selectors.find_promotion(actor=actor, promotion_id=_id(promotion_id))
        terms = dataclasses.replace(selectors.promotion_terms(promotion), **changes)
        services.change_promotion(
            actor=actor, promotion_id=promotion.id, terms=terms, now=timezone.now()
        )
        return Response(_promotion(actor, promotion.id))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, promotion_id: str) -> Response:
        """End a promotion; past orders keep it, and it can be restored. Staff only."""
        services.delete_promotion(
            actor=actor_of(request), promotion_id=_id(promotion_id), now=timezone.now()
        )
        return Response(status=204)


@extend_schema(tags=["promotions"])
class PromotionRestoreView(StaffView):
    rights = {"post": "pricing.change_promotion"}

    @extend_schema(request=serializers.PromotionRestoreInput, responses=serializers.PromotionOutput)
    def post(self, request: Request, promotion_id: str) -> Response:
        """Bring a deleted promotion back with its codes; it rests until it is made active. Staff only."""
        actor = actor_of(request)
        given = serializers.PromotionRestoreInput.read(request)
        restored = services.restore_promotion(
            actor=actor, promotion_id=_id(promotion_id), now=timezone.now(), **given
        )
        return Response(_promotion(actor, restored.id))


@extend_schema(tags=["taxes"])
class TaxRatesView(StaffView):
    rights = _rights("taxrate")

    @extend_schema(
        operation_id="tax_rates_list", parameters=_LIST, responses=serializers.TaxRateListOutput
    )
    def get(self, request: Request) -> Response:
        """List the tax rates, by place. Staff only."""
        rows = selectors.tax_rates(actor=actor_of(request))
        order = ("country", "state", "postal_pattern", "name", "id")
        return Response(page(rows, request, order=order, render=serializers.tax_rate_json))

    @extend_schema(request=serializers.TaxRateInput, responses={201: serializers.TaxRateOutput})
    def post(self, request: Request) -> Response:
        """Enter a tax rate. Staff only."""
        changes = serializers.rule_changes(serializers.TaxRateInput.read(request))
        rate = services.create_tax_rate(
            actor=actor_of(request), terms=TaxRateTerms(**changes), now=timezone.now()
        )
        return Response(serializers.tax_rate_json(rate), status=201)


@extend_schema(tags=["taxes"])
class TaxRateView(StaffView):
    rights = _rights("taxrate")

    @extend_schema(responses=serializers.TaxRateOutput)
    def get(self, request: Request, tax_rate_id: str) -> Response:
        """Return a tax rate. Staff only."""
        rate = selectors.find_tax_rate(actor=actor_of(request), tax_rate_id=_id(tax_rate_id))
        return Response(serializers.tax_rate_json(rate))

    @extend_schema(request=serializers.TaxRateChangeInput, responses=serializers.TaxRateOutput)
    def patch(self, request: Request, tax_rate_id: str) -> Response:
        """Change what is sent; placed orders keep what they were charged. Staff only."""
        actor = actor_of(request)
        rate = selectors.find_tax_rate(actor=actor, tax_rate_id=_id(tax_rate_id))
        terms = _changed(request, rate, TaxRateTerms, serializers.TaxRateChangeInput)
        changed = services.change_tax_rate(
            actor=actor, tax_rate_id=rate.id, terms=terms, now=timezone.now()
        )
        return Response(serializers.tax_rate_json(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, tax_rate_id: str) -> Response:
        """Remove a tax rate. Staff only."""
        services.delete_tax_rate(
            actor=actor_of(request), tax_rate_id=_id(tax_rate_id), now=timezone.now()
        )
        return Response(status=204)


@extend_schema(tags=["taxes"])
class VatNumberView(ApiView):
    permission_classes = [SignedIn]
    limits = {"put": "checkout"}

    @extend_schema(responses=serializers.VatNumberOutput)
    def get(self, request: Request) -> Response:
        """Return the caller's VAT number, and whether it counts already."""
        found = selectors.find_vat_number(actor=actor_of(request))
        return Response(serializers.vat_number_json(found))

    @extend_schema(request=serializers.VatNumberInput, responses=serializers.VatNumberOutput)
    def put(self, request: Request) -> Response:
        """Enter the caller's VAT number: deliveries to other countries of the EU then bear no VAT."""
        given = serializers.VatNumberInput.read(request)
        row = services.enter_vat_number(
            actor=actor_of(request), number=given["vat_number"], now=timezone.now()
        )
        return Response(serializers.vat_number_json(row))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Forget the caller's VAT number."""
        services.remove_vat_number(actor=actor_of(request), now=timezone.now())
        return Response(status=204)


def _changed(request: Request, row: Any, terms: Any, form: type[Input]) -> Any:
    changes = serializers.rule_changes(form.read(request))
    return dataclasses.replace(serializers.terms_from(row, terms), **changes)


@extend_schema(tags=["shipping"])
class ShippingZonesView(StaffView):
    rights = _rights("shippingzone")

    @extend_schema(
        operation_id="shipping_zones_list", parameters=_LIST, responses=serializers.ZoneListOutput
    )
    def get(self, request: Request) -> Response:
        """List the shipping zones, by name. Staff only."""
        rows = selectors.shipping_zones(actor=actor_of(request))
        return Response(page(rows, request, order=("name", "id"), render=serializers.zone_json))

    @extend_schema(request=serializers.ZoneInput, responses={201: serializers.ZoneOutput})
    def post(self, request: Request) -> Response:
        """Enter a zone. Staff only."""
        changes = serializers.rule_changes(serializers.ZoneInput.read(request))
        zone = services.create_zone(
            actor=actor_of(request), terms=ZoneTerms(**changes), now=timezone.now()
        )
        return Response(serializers.zone_json(zone), status=201)


@extend_schema(tags=["shipping"])
class ShippingZoneView(StaffView):
    rights = _rights("shippingzone")

    @extend_schema(responses=serializers.ZoneOutput)
    def get(self, request: Request, zone_id: str) -> Response:
        """Return a zone. Staff only."""
        zone = selectors.find_shipping_zone(actor=actor_of(request), zone_id=_id(zone_id))
        return Response(serializers.zone_json(zone))

    @extend_schema(request=serializers.ZoneChangeInput, responses=serializers.ZoneOutput)
    def patch(self, request: Request, zone_id: str) -> Response:
        """Change what is sent. Staff only."""
        actor = actor_of(request)
        zone = selectors.find_shipping_zone(actor=actor, zone_id=_id(zone_id))
        terms = _changed(request, zone, ZoneTerms, serializers.ZoneChangeInput)
        changed = services.change_zone(
            actor=actor, zone_id=zone.id, terms=terms, now=timezone.now()
        )
        return Response(serializers.zone_json(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, zone_id: str) -> Response:
        """Remove a zone with the ways to ship there. Staff only."""
        services.delete_zone(actor=actor_of(request), zone_id=_id(zone_id), now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["shipping"])
class ShippingRulesView(StaffView):
    rights = _rights("shippingrule")

    @extend_schema(
        operation_id="shipping_rules_list",
        parameters=_LIST,
        responses=serializers.ShippingRuleListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the ways to ship. Staff only."""
        rows = selectors.shipping_rules(actor=actor_of(request))
        return Response(
            page(
                rows,
                request,
                order=("code", "currency", "id"),
                render=serializers.shipping_rule_json,
            )
        )

    @extend_schema(
        request=serializers.ShippingRuleInput, responses={201: serializers.ShippingRuleOutput}
    )
    def post(self, request: Request) -> Response:
        """Enter a way to ship to a zone. Staff only."""
        actor = actor_of(request)
        changes = serializers.rule_changes(serializers.ShippingRuleInput.read(request))
        made = services.create_shipping_rule(
            actor=actor, terms=ShippingRuleTerms(**changes), now=timezone.now()
        )
        return Response(_shipping_rule(actor, made.id), status=201)


def _shipping_rule(actor: Actor, shipping_rule_id: UUID) -> dict[str, Any]:
    return serializers.shipping_rule_json(
        selectors.find_shipping_rule(actor=actor, shipping_rule_id=shipping_rule_id)
    )


@extend_schema(tags=["shipping"])
class ShippingRuleView(StaffView):
    rights = _rights("shippingrule")

    @extend_schema(responses=serializers.ShippingRuleOutput)
    def get(self, request: Request, shipping_rule_id: str) -> Response:
        """Return a way to ship. Staff only."""
        return Response(_shipping_rule(actor_of(request), _id(shipping_rule_id)))

    @extend_schema(
        request=serializers.ShippingRuleChangeInput, responses=serializers.ShippingRuleOutput
    )
    def patch(self, request: Request, shipping_rule_id: str) -> Response:
        """Change what is sent; placed orders keep what they were charged. Staff only."""
        actor = actor_of(request)
        rule = selectors.find_shipping_rule(actor=actor, shipping_rule_id=_id(shipping_rule_id))
        terms = _changed(request, rule, ShippingRuleTerms, serializers.ShippingRuleChangeInput)
        services.change_shipping_rule(
            actor=actor, shipping_rule_id=rule.id, terms=terms, now=timezone.now()
        )
        return Response(_shipping_rule(actor, rule.id))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, shipping_rule_id: str) -> Response:
        """Remove a way to ship. Staff only."""
        services.delete_shipping_rule(
            actor=actor_of(request), shipping_rule_id=_id(shipping_rule_id), now=timezone.now()
        )
        return Response(status=204)
