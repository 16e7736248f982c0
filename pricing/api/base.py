"""What the views of pricing share: answers that anybody may keep, and pages that staff only see."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import kept
from config.platform.errors import NotFound
from config.platform.http import Anyone, ApiView, Input, Staff, actor_of, public_response
from config.platform.ids import named_id
from inventory import selectors as inventory_selectors
from inventory.models import Product, Variant
from pricing import selectors
from pricing.api import serializers

LIST = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 100."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` or `previous`."),
]
EDITING = {
    "post": "inventory.add_product",
    "patch": "inventory.change_product",
    "delete": "inventory.change_product",  # it stops being sold; nothing is deleted
}


def rights_of(model: str) -> dict[str, str]:
    """Return what the admin asks of those who see, add, change and delete rows of a model."""
    verbs = {"get": "view", "post": "add", "patch": "change", "put": "change", "delete": "delete"}
    return {method: f"pricing.{verb}_{model}" for method, verb in verbs.items()}


class PublicRead(ApiView):
    """Reads for everybody and writes for staff. What customers get may be kept by caches, what staff get may not."""

    permission_classes = [Anyone]
    rights = EDITING

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


def currency_of(request: Request, given: dict[str, Any]) -> str:
    return selectors.shown_currency(actor=actor_of(request), currency=given.get("currency"))


def id_of(text: str) -> UUID:
    return named_id(text, NotFound)


class StaffView(ApiView):
    permission_classes = [Staff]


def terms_of(request: Request, row: Any, terms: Any, form: type[Input]) -> Any:
    changes = serializers.rule_changes(form.read(request))
    return dataclasses.replace(serializers.terms_from(row, terms), **changes)
