"""Promotions as staff write them and as customers are told of them."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.actor import Actor
from config.platform.http import actor_of, page
from pricing import selectors, services
from pricing.api import serializers
from pricing.api.base import LIST, PublicRead, StaffView, id_of, rights_of


@extend_schema(tags=["promotions"])
class PromotionsView(StaffView):
    rights = rights_of("promotion")

    @extend_schema(
        operation_id="promotions_list",
        parameters=[serializers.PromotionsQuery, *LIST],
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
        parameters=LIST,
        responses=serializers.AdvertisedListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the promotions that run now and that customers are told about."""
        rows = list(selectors.advertised_promotions(actor=actor_of(request), now=timezone.now()))
        return self.public(request, page(rows, request, render=serializers.advertised_json))


@extend_schema(tags=["promotions"])
class PromotionView(StaffView):
    rights = rights_of("promotion")

    @extend_schema(responses=serializers.PromotionOutput)
    def get(self, request: Request, promotion_id: str) -> Response:
        """Return a promotion. Staff only."""
        return Response(_promotion(actor_of(request), id_of(promotion_id)))

    @extend_schema(request=serializers.PromotionChangeInput, responses=serializers.PromotionOutput)
    def patch(self, request: Request, promotion_id: str) -> Response:
        """Change what is sent; the rest stays. Staff only."""
        actor = actor_of(request)
        changes = serializers.promotion_changes(serializers.PromotionChangeInput.read(request))
        promotion = selectors.find_promotion(actor=actor, promotion_id=id_of(promotion_id))
        terms = dataclasses.replace(selectors.promotion_terms(promotion), **changes)
        services.change_promotion(
            actor=actor, promotion_id=promotion.id, terms=terms, now=timezone.now()
        )
        return Response(_promotion(actor, promotion.id))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, promotion_id: str) -> Response:
        """End a promotion; past orders keep it, and it can be restored. Staff only."""
        services.delete_promotion(
            actor=actor_of(request), promotion_id=id_of(promotion_id), now=timezone.now()
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
            actor=actor, promotion_id=id_of(promotion_id), now=timezone.now(), **given
        )
        return Response(_promotion(actor, restored.id))
