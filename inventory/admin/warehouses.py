"""Warehouses, for staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from config.platform.backoffice import NOTHING, OfficeAdmin, status
from config.platform.http import actor_of
from inventory import services
from inventory.admin.company import CompanyMixin
from inventory.models import Warehouse


class WarehouseForm(forms.ModelForm):
    class Meta:
        model = Warehouse
        fields = ["code", "name", "address", "priority", "is_default", "is_active"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.instance.is_default and not given.get("is_default"):
            self.add_error("is_default", _("Make another warehouse the default instead."))
        if given.get("is_default") and not given.get("is_active"):
            self.add_error("is_active", _("The default warehouse stays open."))
        return given


@admin.register(Warehouse)
class WarehouseAdmin(CompanyMixin, OfficeAdmin):
    """Places. The lower the priority the earlier a warehouse serves; a closed one serves nobody new."""

    form = WarehouseForm
    list_display = [
        "code",
        "name",
        "priority",
        "default_state",
        "open_state",
        "units",
        "held_count",
        "skus_count",
    ]
    ordering = ["priority", "code"]
    change_form_outer_before_template = "inventory/admin/warehouse.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Warehouse]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                units=Coalesce(Sum("stock_levels__total"), 0),
                held=Coalesce(Sum("stock_levels__reserved"), 0),
                owed=Coalesce(Sum("stock_levels__backordered"), 0),
                skus=Count("stock_levels", filter=Q(stock_levels__total__gt=0)),
            )
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["code"] if obj else []

    @display(description=_("units"), ordering="units")
    def units(self, warehouse: Any) -> str:
        address = reverse("admin:inventory_stocklevel_changelist")
        return format_html(
            '<a class="office-link" href="{}?warehouse__id__exact={}">{}</a>',
            address,
            warehouse.pk,
            warehouse.units,
        )

    @display(description=_("held"), ordering="held")
    def held_count(self, warehouse: Any) -> int:
        return warehouse.held

    @display(description=_("SKUs there"), ordering="skus")
    def skus_count(self, warehouse: Any) -> int:
        return warehouse.skus

    @display(description=_("default"), ordering="is_default")
    def default_state(self, warehouse: Warehouse) -> str:
        return status(_("default"), "info") if warehouse.is_default else NOTHING

    @display(description=_("state"), ordering="is_active")
    def open_state(self, warehouse: Warehouse) -> str:
        return (
            status(_("open"), "success") if warehouse.is_active else status(_("closed"), "warning")
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        place = self.get_object(request, object_id) if self.has_view_permission(request) else None
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "place": place}
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        saved = services.upsert_warehouse(
            actor=actor_of(request),
            code=obj.code,
            name=given["name"],
            priority=given["priority"],
            address=given["address"],
            is_default=given["is_default"],
            is_active=given["is_active"],
            now=timezone.now(),
        )
        obj.pk, obj.company_id = saved.pk, saved.company_id

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
