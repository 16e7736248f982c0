"""Batches of codes, for staff."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, Input, Staff, actor_of, page, timestamp
from pricing import selectors, services
from pricing.api.base import id_of
from pricing.api.serializers import ListOutput
from pricing.models import CouponBatch

_RIGHTS = {
    "get": "pricing.view_couponbatch",
    "post": "pricing.add_couponbatch",
    "patch": "pricing.change_couponbatch",
}


class BatchInput(Input):
    """Codes are `prefix-` and `length` random characters, each good for one order."""

    name = serializers.CharField(max_length=100)
    number = serializers.IntegerField(min_value=1, max_value=100_000)
    prefix = serializers.CharField(required=False, allow_blank=True, max_length=50)
    length = serializers.IntegerField(required=False, min_value=8, max_value=30)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class BatchChangeInput(Input):
    expires_at = serializers.DateTimeField(allow_null=True)


class BatchRevokeInput(Input):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class BatchOutput(serializers.Serializer):
    id = serializers.UUIDField()
    promotionId = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    length = serializers.IntegerField()
    number = serializers.IntegerField()
    used = serializers.IntegerField()
    unused = serializers.IntegerField()
    revoked = serializers.IntegerField()
    expiresAt = serializers.DateTimeField(allow_null=True)
    revokedAt = serializers.DateTimeField(allow_null=True)
    createdAt = serializers.DateTimeField()


class BatchListOutput(ListOutput):
    results = BatchOutput(many=True)


def batch_json(batch: Any) -> dict[str, Any]:
    return {
        "id": batch.id,
        "promotionId": batch.promotion_id,
        "name": batch.name,
        "prefix": batch.prefix,
        "length": batch.length,
        "number": batch.number,
        "used": batch.used,
        "unused": batch.unused,
        "revoked": batch.revoked,
        "expiresAt": timestamp(batch.expires_at) if batch.expires_at else None,
        "revokedAt": timestamp(batch.revoked_at) if batch.revoked_at else None,
        "createdAt": timestamp(batch.created_at),
    }


def _shown(request: Request, batch: CouponBatch) -> dict[str, Any]:
    return batch_json(selectors.find_batch(actor=actor_of(request), batch_id=batch.id))


class StaffView(ApiView):
    permission_classes = [Staff]
    rights = _RIGHTS


@extend_schema(tags=["promotions"])
class PromotionBatchesView(StaffView):
    @extend_schema(operation_id="promotion_batches_list", responses=BatchListOutput)
    def get(self, request: Request, promotion_id: str) -> Response:
        """List the batches of codes of a promotion, newest first. Staff only."""
        actor = actor_of(request)
        promotion = selectors.find_promotion(actor=actor, promotion_id=id_of(promotion_id))
        rows = selectors.coupon_batches(actor=actor).filter(promotion=promotion)
        return Response(page(rows, request, order=("-created_at", "-id"), render=batch_json))

    @extend_schema(request=BatchInput, responses={201: BatchOutput})
    def post(self, request: Request, promotion_id: str) -> Response:
        """Make codes at random, each good for one order. Staff only."""
        batch = services.create_batch(
            actor=actor_of(request),
            promotion_id=id_of(promotion_id),
            now=timezone.now(),
            **BatchInput.read(request),
        )
        return Response(_shown(request, batch), status=201)


@extend_schema(tags=["promotions"])
class BatchView(StaffView):
    @extend_schema(responses=BatchOutput)
    def get(self, request: Request, batch_id: str) -> Response:
        """Return a batch with how many of its codes are used, unused and revoked. Staff only."""
        batch = selectors.find_batch(actor=actor_of(request), batch_id=id_of(batch_id))
        return Response(batch_json(batch))

    @extend_schema(request=BatchChangeInput, responses=BatchOutput)
    def patch(self, request: Request, batch_id: str) -> Response:
        """Let the codes end at another time; null: never. Staff only."""
        batch = services.set_batch_expiry(
            actor=actor_of(request),
            batch_id=id_of(batch_id),
            now=timezone.now(),
            **BatchChangeInput.read(request),
        )
        return Response(_shown(request, batch))


@extend_schema(tags=["promotions"])
class BatchRevokeView(StaffView):
    rights = {"post": "pricing.change_couponbatch"}

    @extend_schema(request=BatchRevokeInput, responses=BatchOutput)
    def post(self, request: Request, batch_id: str) -> Response:
        """Switch all codes of a batch off for good; orders keep what they have. Staff only."""
        actor = actor_of(request)
        services.revoke_batch(
            actor=actor,
            batch_id=id_of(batch_id),
            now=timezone.now(),
            **BatchRevokeInput.read(request),
        )
        return Response(batch_json(selectors.find_batch(actor=actor, batch_id=id_of(batch_id))))


@extend_schema(tags=["promotions"])
class BatchCodesView(StaffView):
    rights = {"get": "pricing.change_couponbatch"}  # codes are worth money

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, batch_id: str) -> StreamingHttpResponse:
        """Return the codes of a batch as a CSV file, with what became of each. Staff only."""
        lines = services.batch_lines(
            actor=actor_of(request), batch_id=id_of(batch_id), now=timezone.now()
        )
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="codes.csv"'
        return response
