"""Special prices and groups of customers, for staff."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, Input, Staff, actor_of, page, timestamp
from pricing import selectors, services
from pricing.api.base import id_of
from pricing.api.serializers import CurrencyField, ListOutput, amount_field
from pricing.models import CustomerGroup, SpecialPrice
from pricing.money import format_amount

# --- in and out -----------------------------------------------------------------------------------


class SpecialPriceInput(Input):
    """Without `startsAt` it begins at once; without `endsAt` it lasts until it is ended."""

    variant_id = serializers.UUIDField()
    currency = CurrencyField(required=False)
    price = amount_field()
    compare_at_price = amount_field(required=False, allow_null=True)
    from_quantity = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    group_id = serializers.UUIDField(required=False, allow_null=True)
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class SpecialPriceOutput(serializers.Serializer):
    id = serializers.UUIDField()
    variantId = serializers.UUIDField()
    sku = serializers.CharField()
    currency = serializers.CharField()
    price = serializers.CharField()
    compareAtPrice = serializers.CharField(allow_null=True)
    fromQuantity = serializers.IntegerField()
    groupId = serializers.UUIDField(allow_null=True)
    startsAt = serializers.DateTimeField()
    endsAt = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()


class SpecialPriceListOutput(ListOutput):
    results = SpecialPriceOutput(many=True)


def special_price_json(special: SpecialPrice) -> dict[str, Any]:
    return {
        "id": special.id,
        "variantId": special.variant_id,
        "sku": special.variant.sku,
        "currency": special.currency,
        "price": format_amount(special.amount, special.currency),
        "compareAtPrice": None
        if special.compare_at is None
        else format_amount(special.compare_at, special.currency),
        "fromQuantity": special.from_quantity,
        "groupId": special.group_id,
        "startsAt": timestamp(special.starts_at),
        "endsAt": timestamp(special.ends_at) if special.ends_at else None,
        "reason": special.reason,
    }


class GroupInput(Input):
    name = serializers.CharField(max_length=100)


class GroupChangeInput(Input):
    """`add` and `remove` are ids of customers."""

    name = serializers.CharField(max_length=100, required=False)
    add = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1_000)
    remove = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1_000)


class GroupOutput(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    members = serializers.IntegerField()


class GroupListOutput(ListOutput):
    results = GroupOutput(many=True)


def group_json(group: CustomerGroup) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "members": group.member_count}  # type: ignore[attr-defined]  # annotated


# --- routes ---------------------------------------------------------------------------------------


def _rights(model: str) -> dict[str, str]:
    verbs = {"get": "view", "post": "add", "patch": "change", "delete": "change"}
    return {method: f"pricing.{verb}_{model}" for method, verb in verbs.items()}


class StaffView(ApiView):
    permission_classes = [Staff]


@extend_schema(tags=["products"])
class SpecialPricesView(StaffView):
    rights = _rights("specialprice")

    @extend_schema(operation_id="special_prices_list", responses=SpecialPriceListOutput)
    def get(self, request: Request) -> Response:
        """List scheduled prices, quantity breaks and prices of groups, newest first. Staff only."""
        rows = selectors.special_prices(actor=actor_of(request))
        return Response(
            page(rows, request, order=("-created_at", "-id"), render=special_price_json)
        )

    @extend_schema(request=SpecialPriceInput, responses={201: SpecialPriceOutput})
    def post(self, request: Request) -> Response:
        """Set a price for a time, from a quantity on, or for a group. Staff only."""
        actor = actor_of(request)
        given = SpecialPriceInput.read(request)
        currency = given.pop("currency", None)
        terms = services.SpecialTerms(
            amount=given.pop("price"),
            compare_at=given.pop("compare_at_price", None),
            currency=selectors.shown_currency(actor=actor, currency=currency),
            **given,
        )
        made = services.set_special_price(actor=actor, terms=terms, now=timezone.now())
        found = selectors.special_prices(actor=actor).get(id=made.id)
        return Response(special_price_json(found), status=201)


@extend_schema(tags=["products"])
class SpecialPriceView(StaffView):
    rights = _rights("specialprice")

    @extend_schema(responses={204: None})
    def delete(self, request: Request, special_id: str) -> Response:
        """End a price that is in force, or take one back that has not begun. Staff only."""
        services.end_special_price(
            actor=actor_of(request), special_id=id_of(special_id), now=timezone.now()
        )
        return Response(status=204)


@extend_schema(tags=["customers"])
class GroupsView(StaffView):
    rights = _rights("customergroup")

    @extend_schema(operation_id="customer_groups_list", responses=GroupListOutput)
    def get(self, request: Request) -> Response:
        """List the groups of customers who have prices of their own. Staff only."""
        rows = selectors.customer_groups(actor=actor_of(request))
        return Response(page(rows, request, order=("-created_at", "-id"), render=group_json))

    @extend_schema(request=GroupInput, responses={201: GroupOutput})
    def post(self, request: Request) -> Response:
        """Make a group without members. Staff only."""
        actor = actor_of(request)
        name = GroupInput.read(request)["name"]
        made = services.create_group(actor=actor, name=name, now=timezone.now())
        return Response(
            group_json(selectors.customer_groups(actor=actor).get(id=made.id)), status=201
        )


@extend_schema(tags=["customers"])
class GroupView(StaffView):
    rights = _rights("customergroup")

    @extend_schema(request=GroupChangeInput, responses=GroupOutput)
    def patch(self, request: Request, group_id: str) -> Response:
        """Rename a group, or let customers join and leave it. Staff only."""
        given = GroupChangeInput.read(request)
        changed = services.change_group(
            actor=actor_of(request), group_id=id_of(group_id), now=timezone.now(), **given
        )
        found = selectors.customer_groups(actor=actor_of(request)).get(id=changed.id)
        return Response(group_json(found))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, group_id: str) -> Response:
        """Remove a group that never had prices. Staff only."""
        services.delete_group(actor=actor_of(request), group_id=id_of(group_id), now=timezone.now())
        return Response(status=204)
