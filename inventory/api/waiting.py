"""Waiting for what is gone, over HTTP: a place in the line, one's own requests, and the line for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import limits
from config.platform.http import (
    Anyone,
    ApiView,
    Input,
    Output,
    SignedIn,
    Staff,
    actor_of,
    page,
    page_of,
)
from inventory import selectors, services
from inventory.models import BackInStockRequest
from inventory.selectors import waiting


class BackInStockInput(Input):
    """Which variant, how many, and for guests the address that will be asked whether it is true."""

    sku = serializers.CharField(max_length=255, required=False)
    variant_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=10, default=1)
    email = serializers.CharField(max_length=254, required=False)


class ConfirmationInput(Input):
    token = serializers.CharField(max_length=2_000)


class BackInStockOutput(Output):
    id = serializers.UUIDField()
    status = serializers.CharField()
    product_id = serializers.UUIDField()
    variant_id = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    ahead = serializers.IntegerField()
    offered_quantity = serializers.IntegerField()
    offer_expires_at = serializers.DateTimeField(allow_null=True)
    seconds_left = serializers.IntegerField()
    requested_at = serializers.DateTimeField()


class AskedOutput(Output):
    """What everybody is answered who leaves an address, whosever it is."""

    status = serializers.CharField()


class LineOutput(Output):
    """A request as staff see it. Guests are named by their address, customers by their account."""

    id = serializers.UUIDField()
    status = serializers.CharField()
    sku = serializers.CharField(source="variant.sku")
    variant_id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True)
    email = serializers.CharField()
    quantity = serializers.IntegerField()
    ahead = serializers.IntegerField()
    offered_quantity = serializers.IntegerField()
    offer_expires_at = serializers.DateTimeField(allow_null=True)
    requested_at = serializers.DateTimeField(source="queued_at")


def _mine(request: Request, made: BackInStockRequest) -> Any:
    found = waiting.my_back_in_stock_requests(
        actor=actor_of(request), now=timezone.now(), variant_ids=[made.variant_id]
    )
    return BackInStockOutput(found[0]).data if found else None


@extend_schema(tags=["products"])
class ProductWaitingView(ApiView):
    permission_classes = [Anyone]
    limits = {"post": "back_in_stock"}

    @extend_schema(
        request=BackInStockInput,
        responses={201: BackInStockOutput, 202: AskedOutput},
    )
    def post(self, request: Request, ref: str) -> Response:
        """Take a place in the line for a variant that is gone; guests are asked by mail whether the address is theirs."""
        given = BackInStockInput.read(request)
        actor, now = actor_of(request), timezone.now()
        product = selectors.find_product(actor=actor, ref=ref)
        variant = selectors.find_variant(
            actor=actor,
            sku=given.get("sku"),
            variant_id=given.get("variant_id"),
            product_id=product.id,
        )
        if actor.user_id is not None:
            made = services.wait_for(
                actor=actor, variant=variant, quantity=given["quantity"], now=now
            )
            return Response(_mine(request, made), status=201)
        email = given.get("email", "")
        limits.hit(scope="back_in_stock_mail", identity=email.strip().lower()[:254], now=now)
        services.ask_by_mail(
            actor=actor, variant=variant, email=email, quantity=given["quantity"], now=now
        )
        return Response({"status": "CONFIRMATION_SENT"}, status=202)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, ref: str) -> Response:
        """Wait no longer for any variant of a product; what was kept goes to the next."""
        actor, now = actor_of(request), timezone.now()
        product = selectors.find_product(actor=actor, ref=ref)
        for mine in waiting.my_back_in_stock_requests(actor=actor, now=now):
            if mine.product_id == product.id:
                services.stop_waiting(actor=actor, request_id=mine.id, now=now)
        return Response(status=204)


@extend_schema(tags=["products"])
class WaitingView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(responses=page_of(BackInStockOutput))
    def get(self, request: Request) -> Response:
        """List what the caller waits for, newest first; `ahead` counts those who come first."""
        found = waiting.my_back_in_stock_requests(actor=actor_of(request), now=timezone.now())
        return Response(page(found, request, render=lambda row: BackInStockOutput(row).data))


@extend_schema(tags=["products"])
class WaitingRequestView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, request_id: UUID) -> Response:
        """Leave the line; staff may take anybody out of it."""
        services.stop_waiting(actor=actor_of(request), request_id=request_id, now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["products"])
class WaitingConfirmView(ApiView):
    permission_classes = [Anyone]
    limits = {"post": "back_in_stock"}

    @extend_schema(request=ConfirmationInput, responses=AskedOutput)
    def post(self, request: Request) -> Response:
        """Say by the link of the mail that the address is right; repeating it changes nothing."""
        given = ConfirmationInput.read(request)
        made = services.confirm_by_mail(
            actor=actor_of(request), token=given["token"], now=timezone.now()
        )
        return Response({"status": made.status})


@extend_schema(tags=["inventory"])
class WaitingLineView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "inventory.view_backinstockrequest"}

    @extend_schema(responses=page_of(LineOutput))
    def get(self, request: Request) -> Response:
        """List who waits, variant by variant in the order in which they are served; `?sku=` for one."""
        rows = waiting.back_in_stock_line(actor=actor_of(request))
        if (sku := request.query_params.get("sku")) and "\x00" not in sku:
            rows = rows.filter(variant__sku=sku)
        return Response(
            page(rows, request, order=("queued_at", "id"), render=lambda row: LineOutput(row).data)
        )
