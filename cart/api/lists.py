"""Wishlist and comparison over HTTP, for guests and accounts alike."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api.serializers import Nothing
from cart.errors import WishNotFound
from cart.models import MOST_COMPARED
from cart.rendering import moment, render_cart
from cart.selectors import Compared, WishView
from config.platform.http import ApiView, Input, Output, actor_of, page
from config.platform.ids import named_id
from pricing import selectors as pricing
from pricing.api.serializers import CurrencyField, CurrencyQuery
from pricing.money import format_amount


class WishInput(Input):
    """Names a variant: by SKU, by id, or by its product when that has only one."""

    sku = serializers.CharField(required=False, max_length=255)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    currency = CurrencyField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"sku", "variant_id", "product_id"}:
            raise serializers.ValidationError(
                {"sku": ["Say what to add: sku, variantId or productId."]}, code="required"
            )
        return attrs


class MoveInput(Input):
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=100)


class CompareInput(Input):
    product = serializers.CharField(max_length=255, help_text="The product's id or slug.")


class WishOutput(Output):
    id = serializers.UUIDField()
    product_id = serializers.UUIDField()
    variant_id = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    slug = serializers.CharField()
    url = serializers.CharField()
    image_url = serializers.CharField(allow_null=True)
    options = serializers.DictField(child=serializers.CharField())
    currency = serializers.CharField()
    unit_price = serializers.CharField(allow_null=True)
    price_when_added = serializers.CharField(allow_null=True)
    price_changed = serializers.BooleanField()
    available = serializers.IntegerField()
    in_stock = serializers.BooleanField()
    can_buy = serializers.BooleanField()
    added_at = serializers.DateTimeField()


class WishesOutput(Output):
    results = WishOutput(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ComparedOutput(Output):
    product_id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    url = serializers.CharField()
    image_url = serializers.CharField(allow_null=True)
    vendor = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    price_from = serializers.CharField(allow_null=True)
    price_to = serializers.CharField(allow_null=True)
    in_stock = serializers.BooleanField()
    options = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    weights_grams = serializers.ListField(child=serializers.IntegerField())


class ComparisonOutput(Output):
    results = ComparedOutput(many=True)
    most = serializers.IntegerField(help_text="As many as fit side by side.")
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


def image_address(path: str) -> str | None:
    """Return where a picture is fetched from, None where there is none."""
    if not path:
        return None
    if path.startswith(("/", "http://", "https://")):
        return path
    try:
        return str(static(path))
    except ValueError:  # a file that has gone missing
        return None


def render_wish(wish: WishView, currency: str) -> dict[str, Any]:
    product, variant = wish.product, wish.variant
    picture = (variant.image if variant else "") or (product.image.url if product.image else "")
    return {
        "id": str(wish.id),
        "productId": str(product.id),
        "variantId": str(wish.variant_id),
        "sku": wish.sku,
        "name": product.name,
        "slug": product.slug,
        "url": f"/products/{product.slug}/",
        "imageUrl": image_address(picture),
        "options": dict(wish.options),
        "currency": currency,
        "unitPrice": None if wish.price is None else format_amount(wish.price, currency),
        "priceWhenAdded": None
        if wish.price_when_added is None
        else format_amount(wish.price_when_added, currency),
        "priceChanged": wish.price_changed,
        "available": variant.available if variant else 0,
        "inStock": bool(variant and variant.in_stock and product.is_sold),
        "canBuy": wish.can_buy,
        "addedAt": moment(wish.added_at),
    }


def render_compared(row: Compared) -> dict[str, Any]:
    product = row.product
    return {
        "productId": str(product.id),
        "name": product.name,
        "slug": product.slug,
        "url": f"/products/{product.slug}/",
        "imageUrl": image_address(product.image.url) if product.image else None,
        "vendor": product.vendor,
        "status": product.status,
        "currency": product.currency,
        "priceFrom": None
        if product.price_from is None
        else format_amount(product.price_from, product.currency),
        "priceTo": None
        if product.price_to is None
        else format_amount(product.price_to, product.currency),
        "inStock": product.in_stock,
        "options": {name: list(values) for name, values in product.options},
        "weightsGrams": list(row.weights),
    }


def _currency(request: Request, sent: str | None) -> str:
    return pricing.shown_currency(actor=actor_of(request), currency=sent)


@extend_schema(tags=["wishlist"])
class WishlistView(ApiView):
    @extend_schema(parameters=[CurrencyQuery], responses=WishesOutput)
    def get(self, request: Request) -> Response:
        """List what the caller wishes for, newest first, with prices and stock of now."""
        currency = _currency(request, CurrencyQuery.read_query(request).get("currency"))
        rows = selectors.wishes(actor=actor_of(request), currency=currency)
        return Response(page(rows, request, render=lambda wish: render_wish(wish, currency)))

    @extend_schema(request=Nothing, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Take everything off the wishlist."""
        Nothing.read(request)
        services.clear_wishes(actor=actor_of(request))
        return Response(status=204)


@extend_schema(tags=["wishlist"])
class WishesView(ApiView):
    limits = {"post": "add_item"}

    @extend_schema(request=WishInput, responses={200: WishOutput, 201: WishOutput})
    def post(self, request: Request) -> Response:
        """Wish for a variant: 201, or 200 where it was wished for before. Nothing is held."""
        given = WishInput.read(request)
        currency = _currency(request, given.pop("currency", None))
        actor = actor_of(request)
        wished = services.add_wish(actor=actor, currency=currency, now=timezone.now(), **given)
        [wish] = [
            row for row in selectors.wishes(actor=actor, currency=currency) if row.id == wished.id
        ]
        return Response(render_wish(wish, currency), status=201 if wished.is_new else 200)


@extend_schema(tags=["wishlist"])
class WishItemView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, item_id: str) -> Response:
        """Take one wish off the list."""
        services.remove_wish(actor=actor_of(request), wish_id=named_id(item_id, WishNotFound))
        return Response(status=204)


@extend_schema(tags=["wishlist"])
class WishToCartView(ApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, item_id: str) -> Response:
        """Move a wish into the caller's cart, where it is held; refused, it stays a wish. Answers the cart."""
        given = MoveInput.read(request)
        view = services.move_wish_to_cart(
            actor=actor_of(request),
            wish_id=named_id(item_id, WishNotFound),
            now=timezone.now(),
            **given,
        )
        return Response(render_cart(view), headers={"ETag": f'"{view.etag}"'})


@extend_schema(tags=["compare"])
class ComparisonView(ApiView):
    @extend_schema(parameters=[CurrencyQuery], responses=ComparisonOutput)
    def get(self, request: Request) -> Response:
        """List the products the caller compares, in the order in which they were chosen."""
        return Response(_comparison(request, CurrencyQuery.read_query(request).get("currency")))

    @extend_schema(request=CompareInput, responses={201: ComparisonOutput})
    def post(self, request: Request) -> Response:
        """Put a product beside the others, four at most."""
        given = CompareInput.read(request)
        services.compare(actor=actor_of(request), product_ref=given["product"])
        return Response(_comparison(request, None), status=201)

    @extend_schema(request=Nothing, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Take everything out of the comparison."""
        Nothing.read(request)
        services.clear_comparison(actor=actor_of(request))
        return Response(status=204)


@extend_schema(tags=["compare"])
class ComparedProductView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, ref: str) -> Response:
        """Take a product, by id or slug, out of the comparison."""
        services.stop_comparing(actor=actor_of(request), product_ref=ref)
        return Response(status=204)


def _comparison(request: Request, currency: str | None) -> dict[str, Any]:
    rows = selectors.compared(actor=actor_of(request), currency=_currency(request, currency))
    return {**page(rows, request, render=render_compared), "most": MOST_COMPARED}
