"""Stock over HTTP: records for staff, availability for everybody."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import (
    Anyone,
    ApiView,
    ApiViewSet,
    SignedIn,
    Staff,
    actor_of,
    page,
    page_of,
    public_response,
)
from inventory import selectors, services
from inventory.api import serializers
from inventory.models import Category, Product
from inventory.services import DeliveryLine, HoldLimits, ShelfCount, ShelfUnits


def _record(level: Any) -> Any:
    return serializers.StockRecordOutput(level).data


@extend_schema(tags=["inventory"])
class StockViewSet(ApiViewSet):
    """Stock records, for staff (INV-20…22)."""

    permission_classes = [Staff]
    rights = {
        **dict.fromkeys(("list", "retrieve", "low_stock"), "inventory.view_stocklevel"),
        "create": "inventory.add_stocklevel",
        "update": "inventory.change_stocklevel",
        **dict.fromkeys(
            ("adjust", "receive", "transfer", "receive_delivery", "count", "damage"),
            "inventory.operate_stock",
        ),
        "transactions": "inventory.view_stockmovement",
    }

    @extend_schema(responses=page_of(serializers.StockRecordOutput))
    def list(self, request: Request) -> Response:
        """List the stock records, `?limit=` at a time."""
        levels = selectors.stock_levels(actor=actor_of(request))
        return Response(page(levels, request, order=("id",), render=_record))

    @extend_schema(
        request=serializers.StockRecordInput, responses={201: serializers.StockRecordOutput}
    )
    def create(self, request: Request) -> Response:
        """Open a stock record for a variant in a warehouse."""
        given = serializers.StockRecordInput.read(request)
        actor = actor_of(request)
        named = {key: given.pop(key, None) for key in ("sku", "variant_id", "product_id")}
        variant = selectors.find_variant(actor=actor, **named)
        level = services.create_stock_level(
            actor=actor, variant_id=variant.id, now=timezone.now(), **given
        )
        return Response(_record(level), status=201)

    @extend_schema(responses=serializers.StockRecordOutput)
    def retrieve(self, request: Request, stock_level_id: UUID) -> Response:
        """Return one stock record."""
        level = selectors.find_stock_level(actor=actor_of(request), stock_level_id=stock_level_id)
        return Response(_record(level))

    @extend_schema(
        request=serializers.StockRecordChangeInput, responses=serializers.StockRecordOutput
    )
    def update(self, request: Request, stock_level_id: UUID) -> Response:
        """Change reorder and backorder figures; units change by `adjust` only."""
        given = serializers.StockRecordChangeInput.read(request)
        level = services.update_stock_level(
            actor=actor_of(request),
            stock_level_id=stock_level_id,
            unlimited_backorder="backorder_limit" in given and given["backorder_limit"] is None,
            now=timezone.now(),
            **given,
        )
        return Response(_record(level))

    @extend_schema(request=serializers.AdjustmentInput, responses=serializers.StockRecordOutput)
    def adjust(self, request: Request, stock_level_id: UUID) -> Response:
        """Change what lies on the shelf by a signed number of units."""
        given = serializers.AdjustmentInput.read(request)
        level = services.adjust(
            actor=actor_of(request),
            stock_level_id=stock_level_id,
            now=timezone.now(),
            **given,
        )
        return Response(_record(level))

    @extend_schema(
        request=serializers.ReceiptInput,
        responses=serializers.StockRecordOutput,
    )
    def receive(self, request: Request, stock_level_id: UUID) -> Response:
        """Put units that were bought on the shelf; what is owed is filled first."""
        level = services.receive(
            actor=actor_of(request),
            stock_level_id=stock_level_id,
            now=timezone.now(),
            **serializers.ReceiptInput.read(request),
        )
        return Response(_record(level))

    @extend_schema(
        request=serializers.DeliveryInput,
        responses=serializers.DeliveryOutput,
    )
    def receive_delivery(self, request: Request) -> Response:
        """Put a whole delivery on the shelves, every line or none; an unknown SKU is named by its line."""
        given = serializers.DeliveryInput.read(request)
        lines = [DeliveryLine(line["sku"], line["quantity"]) for line in given.pop("lines")]
        changes = services.receive_delivery(
            actor=actor_of(request), lines=lines, now=timezone.now(), **given
        )
        return Response(serializers.DeliveryOutput({"results": changes}).data)

    @extend_schema(
        request=serializers.TransferInput,
        responses=serializers.TransferOutput,
    )
    def transfer(self, request: Request, stock_level_id: UUID) -> Response:
        """Move free units to another warehouse; more than are free: 409 `STOCK_BELOW_HOLDS`."""
        given = serializers.TransferInput.read(request)
        actor = actor_of(request)
        source, target = services.transfer(
            actor=actor,
            lines=[ShelfUnits(stock_level_id, given.pop("quantity"))],
            now=timezone.now(),
            **given,
        )
        records = selectors.stock_levels(actor=actor).in_bulk(
            [source.stock_level_id, target.stock_level_id]
        )
        body = {
            "source_record": records[source.stock_level_id],
            "target_record": records[target.stock_level_id],
        }
        return Response(serializers.TransferOutput(body).data)

    @extend_schema(
        request=serializers.CountInput,
        responses=serializers.StockRecordOutput,
    )
    def count(self, request: Request, stock_level_id: UUID) -> Response:
        """
        Set the shelf to what was counted, held units among it.

        Below what is held: 409 `STOCK_BELOW_HOLDS`. Another total than `seen` by now: 409 `STOCK_CHANGED`.
        """
        given = serializers.CountInput.read(request)
        actor = actor_of(request)
        count = ShelfCount(stock_level_id, given.pop("quantity"), given.pop("seen", None))
        services.count_shelves(actor=actor, counts=[count], now=timezone.now(), **given)
        return Response(
            _record(selectors.find_stock_level(actor=actor, stock_level_id=stock_level_id))
        )

    @extend_schema(
        request=serializers.DamageInput,
        responses=serializers.StockRecordOutput,
    )
    def damage(self, request: Request, stock_level_id: UUID) -> Response:
        """
        Write units off; free ones only, unless `releaseHolds` gives up what carts hold.

        Not enough: 409 `STOCK_BELOW_HOLDS`, with the holds in the way under `extra.holds`.
        """
        given = serializers.DamageInput.read(request)
        actor = actor_of(request)
        services.write_off(
            actor=actor,
            lines=[ShelfUnits(stock_level_id, given.pop("quantity"))],
            now=timezone.now(),
            **given,
        )
        return Response(
            _record(selectors.find_stock_level(actor=actor, stock_level_id=stock_level_id))
        )

    @extend_schema(responses=page_of(serializers.MovementOutput))
    def transactions(self, request: Request, stock_level_id: UUID) -> Response:
        """List what changed the shelf, newest first."""
        rows = selectors.movements(actor=actor_of(request), stock_level_id=stock_level_id)
        return Response(
            page(
                rows,
                request,
                order=("-created_at", "-id"),
                render=lambda row: serializers.MovementOutput(row).data,
            )
        )

    @extend_schema(responses=page_of(serializers.StockRecordOutput))
    def low_stock(self, request: Request) -> Response:
        """List the records at or below their reorder level."""
        levels = selectors.low_stock(actor=actor_of(request))
        return Response(page(levels, request, order=("id",), render=_record))


@extend_schema(tags=["inventory"])
class StockAnalyticsView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "inventory.view_stocklevel"}

    @extend_schema(parameters=[serializers.AnalyticsQuery], responses=serializers.AnalyticsOutput)
    def get(self, request: Request) -> Response:
        """Return turnover, reserved share, expired-hold rate and days of cover of the last `?days=`."""
        given = serializers.AnalyticsQuery.read_query(request)
        figures = selectors.stock_analytics(
            actor=actor_of(request), now=timezone.now(), days=given["days"]
        )
        return Response(serializers.AnalyticsOutput(figures).data)


@extend_schema(tags=["inventory"])
class ProductStockRecordsView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(responses=page_of(serializers.StockRecordOutput))
    def get(self, request: Request, product_id: UUID) -> Response:
        """List the stock records of a product's variants; customers see at most ten units and no holds."""
        actor = actor_of(request)
        product = selectors.find_product(actor=actor, ref=str(product_id))
        shape = (
            serializers.StockRecordOutput if actor.is_staff else serializers.PublicStockRecordOutput
        )
        levels = selectors.stock_levels(actor=actor).filter(variant__product=product)
        return Response(
            page(levels, request, order=("id",), limit=100, render=lambda level: shape(level).data)
        )


@extend_schema(tags=["products"])
class StockCheckView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(request=serializers.StockItemsInput, responses=serializers.CheckOutput)
    def post(self, request: Request) -> Response:
        """Say for each line whether so many units could be had right now. Holds nothing."""
        given = serializers.StockItemsInput.read(request)
        answers = selectors.check_stock(
            actor=actor_of(request),
            items=[
                (
                    selectors.VariantRef(sku=i.get("sku"), variant_id=i.get("variant_id")),
                    i["quantity"],
                )
                for i in given["items"]
            ],
            now=timezone.now(),
        )
        return Response(
            {"results": [serializers.SufficiencyOutput(answer).data for answer in answers]}
        )


@extend_schema(tags=["products"])
class StockReserveView(ApiView):
    limits = {"post": "bulk"}

    @extend_schema(request=serializers.StockItemsInput, responses={201: serializers.HeldOutput})
    def post(self, request: Request) -> Response:
        """Hold units outside any cart, all of them or none, for as long as a cart would."""
        given = serializers.StockItemsInput.read(request)
        now = timezone.now()
        held = services.reserve_directly(
            actor=actor_of(request),
            items=[
                (
                    selectors.VariantRef(sku=i.get("sku"), variant_id=i.get("variant_id")),
                    i["quantity"],
                )
                for i in given["items"]
            ],
            expires_at=now + settings.HOLD_DURATION,
            limits=HoldLimits(
                units_per_customer=settings.HOLD_MAX_UNITS_PER_CUSTOMER,
                units_per_address=settings.HOLD_MAX_UNITS_PER_ADDRESS,
            ),
            now=now,
        )
        results = [
            {
                "hold_id": hold.line_id,
                "sku": sku,
                "quantity": hold.quantity,
                "expires_at": hold.expires_at,
            }
            for sku, hold in held
        ]
        body = {"expires_at": held[0][1].expires_at, "results": results}
        return Response(serializers.HeldOutput(body).data, status=201)


@extend_schema(tags=["products"])
class StockReleaseView(ApiView):
    @extend_schema(request=serializers.ReleaseInput, responses=serializers.ReleasedOutput)
    def post(self, request: Request) -> Response:
        """Let go what `reserve` held for this caller; the ids of others are passed over."""
        given = serializers.ReleaseInput.read(request)
        count = services.release_directly(
            actor=actor_of(request), hold_ids=given["hold_ids"], now=timezone.now()
        )
        return Response({"released": count})


@extend_schema(tags=["products"])
class ProductStockView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(responses=serializers.ProductStockOutput)
    def get(self, request: Request, ref: str) -> Response:
        """Return a product's stock by variant; customers see at most ten units."""
        actor = actor_of(request)
        product = selectors.find_product(actor=actor, ref=ref)
        variants = [variant for variant in product.variants.all() if variant.is_active]
        stock = selectors.availability(
            variant_ids=[variant.id for variant in variants], now=timezone.now()
        )
        is_sold = product.status != Product.Status.DISCONTINUED
        rows = [
            {
                "id": variant.id,
                "sku": variant.sku,
                "available": there.available if actor.is_staff else there.shown,
                "in_stock": is_sold and there.in_stock,
                "on_backorder": is_sold and there.available <= 0 and there.in_stock,
            }
            for variant in variants
            for there in [stock[variant.id]]
        ]
        total = sum(row["available"] for row in rows)
        body = {
            "product_id": product.id,
            "available": total if actor.is_staff else min(total, selectors.SHOWN_AT_MOST),
            "in_stock": any(row["in_stock"] for row in rows),
            "variants": rows,
        }
        return Response(serializers.ProductStockOutput(body).data)


@extend_schema(tags=["products"])
class CategoriesView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(responses=page_of(serializers.CategoryOutput))
    def get(self, request: Request) -> Response:
        """List the categories in the order staff gave them; `parent` is a slug."""
        found = list(selectors.categories(actor=actor_of(request)))
        slugs = {category.id: category.slug for category in found}

        def render(category: Category) -> Any:
            body = {
                name: getattr(category, name)
                for name in ("id", "slug", "name", "description", "image")
            }
            parent = slugs.get(category.parent_id) if category.parent_id else None
            return serializers.CategoryOutput({**body, "parent": parent}).data

        return public_response(request, page(found, request, render=render, limit=100))


@extend_schema(tags=["health"])
class CatalogueHealthView(ApiView):
    permission_classes = [Anyone]

    @extend_schema(responses=serializers.CatalogueHealthOutput)
    def get(self, request: Request) -> Response:
        """Say whether the catalogue answers and stock is looked after; figures and reasons are for staff."""
        actor, now = actor_of(request), timezone.now()
        problems = selectors.stock_problems(now=now, company_id=actor.company_id)
        told = {"status": "degraded" if problems else "ok"}
        if not actor.is_staff:
            selectors.categories(actor=actor).exists()
            return Response(told)
        health = selectors.catalogue_health(actor=actor, now=now)
        return Response(
            serializers.CatalogueHealthOutput({**told, "problems": problems, **asdict(health)}).data
        )
