"""Price disputes over HTTP: customers open and read their own, staff decide."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, Input, Staff, actor_of, page, timestamp
from config.platform.http.links import KnownOrLinked, LinkQuery, link_of
from config.platform.ids import named_id
from orders import selectors, services
from orders.selectors.disputes import dispute_of, disputes_of
from pricing.errors import DisputeNotFound
from pricing.models import PriceDispute
from pricing.money import format_amount

DECISIONS = [status for status in PriceDispute.Status.values if status != PriceDispute.Status.OPEN]


class DisputeInput(Input):
    """`order` is an id or a number, `itemId` one of its lines; `claimedPrice` is what a unit should have cost."""

    order = serializers.CharField(max_length=50)
    item_id = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=PriceDispute.Reason.choices)
    evidence = serializers.CharField(required=False, allow_blank=True, max_length=2_000)
    claimed_price = serializers.DecimalField(
        required=False, allow_null=True, max_digits=15, decimal_places=3, min_value=Decimal(0)
    )


class DecisionInput(Input):
    """`amount` is what is given back where the price is adjusted, and only there."""

    status = serializers.ChoiceField(choices=DECISIONS)
    answer = serializers.CharField(max_length=500)
    amount = serializers.DecimalField(
        required=False, allow_null=True, max_digits=15, decimal_places=3, min_value=Decimal(0)
    )


class DisputesQuery(LinkQuery):
    status = serializers.ChoiceField(choices=PriceDispute.Status.choices, required=False)
    order = serializers.CharField(required=False, max_length=50)


class DisputeOutput(serializers.Serializer):
    id = serializers.UUIDField()
    orderId = serializers.UUIDField()
    orderNumber = serializers.CharField()
    itemId = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    quantity = serializers.IntegerField()
    unitPrice = serializers.CharField()
    lineTotal = serializers.CharField()
    claimedPrice = serializers.CharField(allow_null=True)
    reason = serializers.ChoiceField(choices=PriceDispute.Reason.choices)
    evidence = serializers.CharField()
    status = serializers.ChoiceField(choices=PriceDispute.Status.choices)
    answer = serializers.CharField()
    amount = serializers.CharField(allow_null=True, help_text="What was given back.")
    openedAt = serializers.DateTimeField()
    resolvedAt = serializers.DateTimeField(allow_null=True)


class DisputeListOutput(serializers.Serializer):
    results = DisputeOutput(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


def dispute_json(dispute: PriceDispute) -> dict[str, Any]:
    def money(amount: Decimal | None) -> str | None:
        return None if amount is None else format_amount(amount, dispute.currency)

    return {
        "id": dispute.id,
        "orderId": dispute.order_id,
        "orderNumber": dispute.order_number,
        "itemId": dispute.order_line_id,
        "sku": dispute.sku,
        "name": dispute.name,
        "currency": dispute.currency,
        "quantity": dispute.quantity,
        "unitPrice": money(dispute.unit_price),
        "lineTotal": money(dispute.line_total),
        "claimedPrice": money(dispute.claimed_price),
        "reason": dispute.reason,
        "evidence": dispute.evidence,
        "status": dispute.status,
        "answer": dispute.answer,
        "amount": money(dispute.amount),
        "openedAt": timestamp(dispute.opened_at),
        "resolvedAt": timestamp(dispute.resolved_at) if dispute.resolved_at else None,
    }


@extend_schema(tags=["products"])
class DisputesView(ApiView):
    permission_classes = [KnownOrLinked]

    @extend_schema(
        operation_id="price_disputes_list",
        parameters=[DisputesQuery],
        responses=DisputeListOutput,
    )
    def get(self, request: Request) -> Response:
        """
        List the price disputes about the caller's orders, newest first; those of the company for staff.

        With `order` and the `token` of its mail, those about that order.
        """
        asked = DisputesQuery.read_query(request)
        rows = disputes_of(actor=actor_of(request), **{**asked, "token": link_of(request)})
        return Response(page(rows, request, order=("-opened_at", "-id"), render=dispute_json))

    @extend_schema(parameters=[LinkQuery], request=DisputeInput, responses={201: DisputeOutput})
    def post(self, request: Request) -> Response:
        """
        Say that a line of a paid order cost too much; a line has one open dispute at a time.

        `?token=` from the order's mail opens it too.
        """
        actor, token = actor_of(request), link_of(request)
        given = DisputeInput.read(request)
        order = selectors.find(actor=actor, reference=given.pop("order"), token=token)
        dispute = services.dispute_price(
            actor=actor,
            order_id=order.id,
            line_id=given.pop("item_id"),
            token=token,
            now=timezone.now(),
            **given,
        )
        return Response(dispute_json(dispute), status=201)


@extend_schema(tags=["products"])
class DisputeView(ApiView):
    permission_classes = [KnownOrLinked]

    @extend_schema(parameters=[LinkQuery], responses=DisputeOutput)
    def get(self, request: Request, dispute_id: str) -> Response:
        """Read one price dispute and its answer; `?token=` from the order's mail opens it too."""
        found = dispute_of(
            actor=actor_of(request),
            dispute_id=named_id(dispute_id, DisputeNotFound),
            token=link_of(request),
        )
        return Response(dispute_json(found))


@extend_schema(tags=["products"])
class DecisionView(ApiView):
    permission_classes = [Staff]
    rights = {"post": "pricing.change_pricedispute"}

    @extend_schema(request=DecisionInput, responses=DisputeOutput)
    def post(self, request: Request, dispute_id: str) -> Response:
        """Decide a dispute: reject it, give a part of the price back, or refund what is left of the line. Staff only."""
        given = DecisionInput.read(request)
        decided = services.decide_dispute(
            actor=actor_of(request),
            dispute_id=named_id(dispute_id, DisputeNotFound),
            now=timezone.now(),
            **given,
        )
        return Response(dispute_json(decided))
