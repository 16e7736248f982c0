"""What is suggested beside the cart, over HTTP, for guests and accounts alike."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api.base import CartApiView
from cart.api.lists import image_address
from cart.api.serializers import Nothing, Versioned
from cart.selectors import Upsell
from config.platform.http import Output, actor_of
from pricing.money import format_amount


class AddUpsellInput(Versioned):
    variant_id = serializers.UUIDField(
        required=False, help_text="Needed where the product comes in several."
    )
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=100)


class UpsellOutput(Output):
    product_id = serializers.UUIDField()
    variant_id = serializers.UUIDField(
        allow_null=True, help_text="What is added; null where the customer has a choice."
    )
    sku = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    slug = serializers.CharField()
    url = serializers.CharField()
    image_url = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    price = serializers.CharField(help_text="Of the variant, else the lowest.")
    compare_at_price = serializers.CharField(allow_null=True)
    in_stock = serializers.BooleanField()
    reason = serializers.ChoiceField(
        choices=["related", "bundle", "bought_together", "category"],
        help_text="Staff named it, it completes a bundle, others bought it along, or it is of the same kind.",
    )


class UpsellsOutput(Output):
    results = UpsellOutput(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


def render_upsell(row: Upsell) -> dict[str, Any]:
    product, variant = row.product, row.variant
    shown = variant or product
    price = variant.price if variant else product.price_from

    def money(amount: Any) -> str | None:
        return None if amount is None else format_amount(amount, product.currency)

    return {
        "productId": str(product.id),
        "variantId": str(variant.id) if variant else None,
        "sku": variant.sku if variant else None,
        "name": product.name,
        "slug": product.slug,
        "url": f"/products/{product.slug}/",
        "imageUrl": image_address(
            (variant.image if variant else "") or (product.image.url if product.image else "")
        ),
        "currency": product.currency,
        "price": money(price),
        "compareAtPrice": money(shown.compare_at),
        "inStock": product.in_stock,
        "reason": row.reason,
    }


def _page(request: Request) -> dict[str, Any]:
    actor = actor_of(request)
    cart = selectors.view(actor=actor, now=timezone.now())
    rows = selectors.upsells(actor=actor, cart=cart)
    return {"results": [render_upsell(row) for row in rows], "next": None, "previous": None}


@extend_schema(tags=["cart"])
class UpsellsView(CartApiView):
    @extend_schema(responses=UpsellsOutput)
    def get(self, request: Request) -> Response:
        """List a few things that go with what is in the cart, the best first; nothing that was sent away."""
        return Response(_page(request), headers={"Cache-Control": "private, no-store"})


@extend_schema(tags=["cart"])
class AddUpsellView(CartApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, product_id: str) -> Response:
        """Put a product into the cart, where it is held. Answers the cart."""
        given = AddUpsellInput.read(request)
        common = self.common(given)
        return self.answer(
            services.add_upsell(**common, product_ref=product_id, **given), status=201
        )


@extend_schema(tags=["cart"])
class DismissUpsellView(CartApiView):
    @extend_schema(request=Nothing, responses=UpsellsOutput)
    def post(self, request: Request, product_id: str) -> Response:
        """Never suggest a product to this customer again. Answers what is suggested now."""
        Nothing.read(request)
        services.dismiss_upsell(actor=actor_of(request), product_ref=product_id)
        return Response(_page(request))
