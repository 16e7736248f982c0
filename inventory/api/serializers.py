"""The shape of stock on the wire (api.md §3 and §7)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.platform.http import Input, Output
from inventory.models import StockLevel, StockMovement
from inventory.selectors import SHOWN_AT_MOST

MOST_UNITS = 1_000_000_000
MOST_LINES = 500


class StockRecordInput(Input):
    """A new record: the variant by SKU, id or product, and what lies there."""

    sku = serializers.CharField(max_length=255, required=False)
    variant_id = serializers.UUIDField(required=False)
    product_id = serializers.UUIDField(required=False)
    warehouse = serializers.CharField(max_length=40, required=False, default="")
    available = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, default=0)
    reorder_level = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, required=False)
    reorder_quantity = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, required=False)
    backorder_limit = serializers.IntegerField(
        min_value=0, max_value=MOST_UNITS, required=False, allow_null=True
    )
    reference = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    notes = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"sku", "variant_id", "product_id"}:
            raise serializers.ValidationError(
                {"sku": ["Send sku, variantId or productId."]}, code="required"
            )
        return attrs


class StockRecordChangeInput(Input):
    reorder_level = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, required=False)
    reorder_quantity = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, required=False)
    backorder_limit = serializers.IntegerField(
        min_value=0, max_value=MOST_UNITS, required=False, allow_null=True
    )


class AdjustmentInput(Input):
    """A signed number of units, why, and by which paper."""

    quantity = serializers.IntegerField(min_value=-MOST_UNITS, max_value=MOST_UNITS)
    type = serializers.ChoiceField(
        choices=["PURCHASE", "RETURN", "DAMAGE", "ADJUSTMENT"], default="ADJUSTMENT"
    )
    reference = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    notes = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class PaperInput(Input):
    """By which paper, and why."""

    reference = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    notes = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class ReceiptInput(PaperInput):
    """Units that were bought."""

    quantity = serializers.IntegerField(min_value=1, max_value=MOST_UNITS)


class TransferInput(PaperInput):
    """Free units, and the code of the warehouse they go to."""

    quantity = serializers.IntegerField(min_value=1, max_value=MOST_UNITS)
    warehouse = serializers.CharField(max_length=40)


class DamageInput(PaperInput):
    """Units that are lost. `releaseHolds` gives up what carts hold, never what belongs to an order."""

    quantity = serializers.IntegerField(min_value=1, max_value=MOST_UNITS)
    release_holds = serializers.BooleanField(default=False)


class CountInput(PaperInput):
    """What lies there, held units among it. `seen` is the total when the counting began."""

    quantity = serializers.IntegerField(min_value=0, max_value=MOST_UNITS)
    seen = serializers.IntegerField(min_value=0, max_value=MOST_UNITS, required=False)


class DeliveryLineInput(Input):
    sku = serializers.CharField(max_length=255)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_UNITS)


class DeliveryInput(PaperInput):
    """What came with one delivery; without a warehouse it goes to the default one."""

    warehouse = serializers.CharField(max_length=40, required=False, default="")
    lines = DeliveryLineInput(many=True, allow_empty=False, max_length=MOST_LINES)


class StockItemInput(Input):
    sku = serializers.CharField(max_length=255, required=False)
    variant_id = serializers.UUIDField(required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=100_000, default=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"sku", "variant_id"}:
            raise serializers.ValidationError({"sku": ["Send sku or variantId."]}, code="required")
        return attrs


class StockItemsInput(Input):
    items = StockItemInput(many=True, allow_empty=False, max_length=100)


class ReleaseInput(Input):
    hold_ids = serializers.ListField(
        child=serializers.UUIDField(), allow_empty=False, max_length=100
    )


class StockRecordOutput(Output):
    """What staff see of a record."""

    id = serializers.UUIDField()
    variant_id = serializers.UUIDField()
    product_id = serializers.UUIDField(source="variant.product_id")
    sku = serializers.CharField(source="variant.sku")
    warehouse = serializers.CharField(source="warehouse.code")
    available = serializers.IntegerField()
    reserved = serializers.IntegerField()
    total = serializers.IntegerField()
    backordered = serializers.IntegerField()
    backorder_limit = serializers.IntegerField(allow_null=True)
    inventory_policy = serializers.CharField(source="variant.inventory_policy")
    reorder_level = serializers.IntegerField()
    reorder_quantity = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class TransferOutput(Output):
    """Both records, as they are afterwards."""

    source_record = StockRecordOutput()
    target_record = StockRecordOutput()


class FiguresOutput(Output):
    available = serializers.IntegerField()
    reserved = serializers.IntegerField()
    total = serializers.IntegerField()
    backordered = serializers.IntegerField()


class ShelfChangeOutput(Output):
    """What was done to one record."""

    stock_level_id = serializers.UUIDField()
    sku = serializers.CharField()
    warehouse = serializers.CharField()
    before = FiguresOutput()
    after = FiguresOutput()


class DeliveryOutput(Output):
    results = ShelfChangeOutput(many=True)


class PublicStockRecordOutput(Output):
    """What customers see of a record: not more than ten units."""

    id = serializers.UUIDField()
    variant_id = serializers.UUIDField()
    product_id = serializers.UUIDField(source="variant.product_id")
    sku = serializers.CharField(source="variant.sku")
    warehouse = serializers.CharField(source="warehouse.code")
    available = serializers.SerializerMethodField()
    inventory_policy = serializers.CharField(source="variant.inventory_policy")

    def get_available(self, level: StockLevel) -> int:
        return min(level.available, SHOWN_AT_MOST)


class MovementOutput(Output):
    id = serializers.UUIDField()
    type = serializers.ChoiceField(choices=StockMovement.Type.choices)
    quantity = serializers.IntegerField()
    balance = serializers.IntegerField()
    order_line_id = serializers.UUIDField(allow_null=True)
    reference = serializers.CharField()
    notes = serializers.CharField()
    actor = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    created_at = serializers.DateTimeField()


class SufficiencyOutput(Output):
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    sufficient = serializers.BooleanField()
    available = serializers.IntegerField()
    code = serializers.CharField(allow_null=True)


class CheckOutput(Output):
    results = SufficiencyOutput(many=True)


class HeldItemOutput(Output):
    hold_id = serializers.UUIDField()
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True)


class HeldOutput(Output):
    expires_at = serializers.DateTimeField(allow_null=True)
    results = HeldItemOutput(many=True)


class ReleasedOutput(Output):
    released = serializers.IntegerField()


class VariantStockOutput(Output):
    id = serializers.UUIDField()
    sku = serializers.CharField()
    available = serializers.IntegerField()
    in_stock = serializers.BooleanField()
    on_backorder = serializers.BooleanField()


class ProductStockOutput(Output):
    product_id = serializers.UUIDField()
    available = serializers.IntegerField()
    in_stock = serializers.BooleanField()
    variants = VariantStockOutput(many=True)


class CategoryOutput(Output):
    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    image = serializers.CharField()
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]


class CatalogueHealthOutput(Output):
    """Figures and reasons are for staff; others learn whether the catalogue answers and stock is looked after."""

    status = serializers.ChoiceField(choices=["ok", "degraded"])
    problems = serializers.ListField(child=serializers.CharField(), required=False)
    products = serializers.IntegerField(required=False)
    variants = serializers.IntegerField(required=False)
    without_stock_record = serializers.IntegerField(required=False)
    low = serializers.IntegerField(required=False)
    out_of_stock = serializers.IntegerField(required=False)
    overdue_holds = serializers.IntegerField(required=False)


class AnalyticsQuery(Input):
    days = serializers.IntegerField(min_value=1, max_value=366, default=30)


class AnalyticsOutput(Output):
    """How stock moved; the window is the last `days`. Percentages are whole."""

    days = serializers.IntegerField()
    units_on_shelf = serializers.IntegerField(help_text="Units lying in all warehouses now.")
    units_reserved = serializers.IntegerField(help_text="Of these, held for carts and orders.")
    units_owed = serializers.IntegerField(help_text="Units sold beyond stock.")
    units_sold = serializers.IntegerField(help_text="Units of SALE movements in the window.")
    units_returned = serializers.IntegerField(help_text="Units of RETURN movements in the window.")
    reserved_percent = serializers.IntegerField(help_text="unitsReserved / unitsOnShelf.")
    expired_hold_percent = serializers.IntegerField(
        help_text="Of the holds that began in the window and have ended, how many ran out."
    )
    turnover_percent = serializers.IntegerField(
        help_text="unitsSold / average of the stock at both ends of the window; 100 is sold once over."
    )
    days_of_cover = serializers.IntegerField(
        allow_null=True,
        help_text="unitsOnShelf / (unitsSold / days), whole days; null where nothing sold.",
    )
