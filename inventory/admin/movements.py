"""The stock book, for staff: it is read, never written here."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from config.platform.backoffice import ReadOnlyAdmin, figure, person, status
from inventory.admin.company import CompanyMixin
from inventory.admin.figures import KIND_TONES, signed
from inventory.models import StockMovement


def change_text(quantity: int) -> str:
    """Return a change as a stock book writes it, with its sign."""
    return figure(signed(quantity))


@admin.register(StockMovement)
class StockMovementAdmin(CompanyMixin, ReadOnlyAdmin):
    """The timeline of the shelves, for reading."""

    people = ["actor"]
    list_display = [
        "created_at", "sku", "warehouse", "kind", "change_count", "balance", "reference", "notes", "by",
    ]  # fmt: skip
    list_filter = ["type", "source", "stock_level__warehouse", "created_at"]
    list_select_related = ["variant", "stock_level__warehouse"]
    search_fields = ["variant__sku", "reference", "notes", "=order_line_id"]
    search_help_text = _("SKU, paper or reason")
    ordering = ["-id"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    fields = [
        "created_at", "sku", "warehouse", "kind", "change_count", "balance", "reference", "notes", "by", "source",
    ]  # fmt: skip
    by = person("actor", _("by"))

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, movement: StockMovement) -> str:
        address = reverse("admin:inventory_stocklevel_timeline", args=[movement.variant_id])
        return format_html('<a class="office-link" href="{}">{}</a>', address, movement.variant.sku)

    @display(description=_("warehouse"), ordering="stock_level__warehouse__code")
    def warehouse(self, movement: StockMovement) -> str:
        return movement.stock_level.warehouse.code

    @display(description=_("kind"), ordering="type")
    def kind(self, movement: StockMovement) -> str:
        return status(movement.get_type_display(), KIND_TONES[movement.type])

    @display(description=_("change"), ordering="quantity")
    def change_count(self, movement: StockMovement) -> str:
        return change_text(movement.quantity)
