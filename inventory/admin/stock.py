"""The shelves, for staff. Units never change in a form: they change by `adjust`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.backoffice import (
    NOTHING,
    OfficeAdmin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    attempt,
    attempt_each,
    figure,
    link,
    name_people,
    one,
    person,
    status,
)
from config.platform.http import actor_of
from inventory import selectors, services
from inventory.admin.company import CompanyMixin
from inventory.admin.files import counting_list
from inventory.models import (
    Reservation,
    StockLevel,
    StockMovement,
    Warehouse,
)

SHOWN_ROWS = 25


@admin.register(Warehouse)
class WarehouseAdmin(CompanyMixin, OfficeAdmin):
    list_display = ["code", "name", "priority", "is_default", "is_active", "units"]
    ordering = ["priority", "code"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Warehouse]:
        return super().get_queryset(request).annotate(units=Coalesce(Sum("stock_levels__total"), 0))

    @display(description=_("units"), ordering="units")
    def units(self, warehouse: Any) -> int:
        return warehouse.units

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AdjustForm(forms.Form):
    """Why a shelf holds more or fewer units than the books say."""

    quantity = forms.IntegerField(
        label=_("Change"),
        help_text=_("Signed: -2 takes two units away."),
        min_value=-1_000_000_000,
        max_value=1_000_000_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    type = forms.ChoiceField(
        label=_("Kind"),
        choices=[
            (kind.value, kind.label)
            for kind in (
                StockMovement.Type.ADJUSTMENT,
                StockMovement.Type.PURCHASE,
                StockMovement.Type.RETURN,
                StockMovement.Type.DAMAGE,
            )
        ],
        widget=UnfoldAdminSelectWidget,
    )
    reference = forms.CharField(
        label=_("Paper"),
        help_text=_("The number of a purchase order or a report."),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    notes = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextInputWidget)


class LowFilter(SimpleListFilter):
    title = _("stock")
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("low", _("at or below reorder level")),
            ("out", _("none left")),
            ("owed", _("owed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "low":
                low = selectors.low_stock(actor=actor_of(request))
                return queryset.filter(pk__in=low.order_by().values("pk"))
            case "out":
                return queryset.filter(available=0)
            case "owed":
                return queryset.filter(backordered__gt=0)
        return queryset


class NewestFirst(forms.models.BaseInlineFormSet):
    """Only the newest rows: a busy shelf has more movements than a page can show."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-id")[:SHOWN_ROWS]
            if self.model is StockMovement:
                name_people(self._newest, ["actor"])
        return self._newest


KIND_TONES = {
    "PURCHASE": "success",
    "RETURN": "success",
    "SALE": "info",
    "DAMAGE": "danger",
    "ADJUSTMENT": "warning",
}
HOLD_TONES = {"ACTIVE": "success", "COMPLETED": "info", "EXPIRED": "warning", "CANCELLED": ""}


def _signed(quantity: int) -> str:
    """Return a change as a stock book writes it, with its sign."""
    return figure(f"{quantity:+d}".replace("-", "−"))


class MovementInline(ReadOnlyInline):
    model = StockMovement
    formset = NewestFirst
    fields = ["created_at", "kind", "change", "balance", "reference", "notes", "by"]
    verbose_name_plural = _("newest movements")
    by = person("actor", _("by"))

    @display(description=_("kind"))
    def kind(self, movement: StockMovement) -> str:
        return status(movement.get_type_display(), KIND_TONES[movement.type])

    @display(description=_("change"))
    def change(self, movement: StockMovement) -> str:
        return _signed(movement.quantity)


class ActiveHoldInline(ReadOnlyInline):
    model = Reservation
    formset = NewestFirst
    fields = ["created_at", "quantity", "backordered", "held_for", "expires_at"]
    verbose_name_plural = _("live holds")

    @display(description=_("for"))
    def held_for(self, hold: Reservation) -> str:
        return _held_for(hold)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        return super().get_queryset(request).filter(status=Reservation.Status.ACTIVE)


def _held_for(hold: Reservation) -> str:
    """Return whose hold it is: an order's or a cart's, with a link to it."""
    if hold.order_id is not None:
        return link("orders_order", hold.order_id, _("an order"))
    return link("cart_cart", hold.cart_id, _("a cart")) if hold.cart_id else NOTHING


@admin.register(StockLevel)
class StockLevelAdmin(CompanyMixin, OfficeAdmin):
    """Shelves. Figures are changed here, units by the action *Adjust stock*."""

    list_display = [
        "sku", "product", "warehouse", "available", "reserved", "total", "backordered", "reorder_level", "state",
    ]  # fmt: skip
    list_filter = [LowFilter, "warehouse", "variant__product__category"]
    list_select_related = ["variant__product", "warehouse"]
    search_fields = ["variant__sku", "variant__product__name"]
    search_help_text = _("SKU or product")
    ordering = ["variant__sku", "warehouse__priority"]
    change_form_outer_before_template = "inventory/admin/shelf.html"
    fieldsets = [
        (_("When to order more"), {"fields": ["reorder_level", "reorder_quantity"]}),
        (_("Promises beyond the shelf"), {"fields": ["backorder_limit"]}),
    ]
    inlines = [MovementInline, ActiveHoldInline]
    actions_detail_hide_default = True
    actions_detail = ["adjust_stock"]
    actions_row = ["adjust_stock"]
    actions = ["counting_list"]

    @admin.action(description=_("Counting list as a file"), permissions=["view"])
    def counting_list(self, request: HttpRequest, queryset: QuerySet[StockLevel]) -> HttpResponse:
        return counting_list(request, queryset)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a variant gets its shelf with its product, or by the API

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, level: StockLevel) -> str:
        return level.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, level: StockLevel) -> str:
        return level.variant.product.name

    @display(description=_("state"))
    def state(self, level: StockLevel) -> str:
        if level.available == 0:
            return status(_("none left"), "danger")
        if level.available <= level.reorder_level:
            return status(_("low"), "warning")
        return status(_("enough"), "success")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = dict(extra_context or {})
        level = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if level is not None:
            context["shelf"] = {"level": level, "state": self.state(level)}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        attempt(
            request,
            lambda: services.update_stock_level(
                actor=actor_of(request),
                stock_level_id=obj.pk,
                unlimited_backorder="backorder_limit" in changed
                and changed["backorder_limit"] is None,
                now=timezone.now(),
                **changed,
            ),
        )

    @action(
        description=_("Adjust stock"),
        url_path="adjust",
        permissions=["change"],
        icon="inventory_2",
        variant=ActionVariant.PRIMARY,
    )
    def adjust_stock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = actor_of(request)
        level = one(self, request, object_id)
        here = reverse("admin:inventory_stocklevel_change", args=[level.pk])
        form = AdjustForm(request.POST or None)
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(
                request,
                lambda: services.adjust(
                    actor=actor, stock_level_id=level.pk, now=timezone.now(), **form.cleaned_data
                ),
                done=str(_("The stock of %(sku)s was adjusted.") % {"sku": level.variant.sku}),
            )
        ):
            return HttpResponseRedirect(here)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Adjust stock of %(sku)s in %(warehouse)s")
            % {"sku": level.variant.sku, "warehouse": level.warehouse.code},
            "opts": self.model._meta,
            "original": level,
            "level": level,
            "form": form,
            "back": here,
        }
        return TemplateResponse(request, "inventory/admin/adjust.html", context)


@admin.register(Reservation)
class ReservationAdmin(CompanyMixin, ReadOnlyAdmin):
    """Units promised to carts and orders."""

    people = ["holder"]
    list_display = [
        "created_at", "sku", "warehouse", "quantity", "backordered", "state", "held_for", "by", "expires_at",
    ]  # fmt: skip
    list_filter = ["status", "stock_level__warehouse", "created_at"]
    list_select_related = ["variant", "stock_level__warehouse"]
    search_fields = ["variant__sku", "=cart_id", "=order_id"]
    search_help_text = _("SKU, or the id of a cart or an order")
    ordering = ["-id"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ["release"]
    fields = [
        "sku", "warehouse", "quantity", "backordered", "state", "held_for", "by", "created_at", "started_at",
        "expires_at", "completed_at", "released_at",
    ]  # fmt: skip
    by = person("holder", _("held by"))

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, hold: Reservation) -> str:
        return hold.variant.sku

    @display(description=_("warehouse"), ordering="stock_level__warehouse__code")
    def warehouse(self, hold: Reservation) -> str:
        return hold.stock_level.warehouse.code

    @display(description=_("status"), ordering="status")
    def state(self, hold: Reservation) -> str:
        if hold.status == Reservation.Status.ACTIVE and hold.expires_at <= timezone.now():
            return status(_("overdue"), "warning")
        return status(hold.get_status_display(), HOLD_TONES[hold.status])

    @display(description=_("for"))
    def held_for(self, hold: Reservation) -> str:
        return _held_for(hold)

    @admin.action(description=_("Release: units back to the shelf"), permissions=["step"])
    def release(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset.filter(status=Reservation.Status.ACTIVE),
            lambda hold: services.release_hold(actor=actor, reservation_id=hold.pk, now=now),
            done=ngettext_lazy(
                "%(count)d hold was released.", "%(count)d holds were released.", "count"
            ),
        )


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
        return movement.variant.sku

    @display(description=_("warehouse"), ordering="stock_level__warehouse__code")
    def warehouse(self, movement: StockMovement) -> str:
        return movement.stock_level.warehouse.code

    @display(description=_("kind"), ordering="type")
    def kind(self, movement: StockMovement) -> str:
        return status(movement.get_type_display(), KIND_TONES[movement.type])

    @display(description=_("change"), ordering="quantity")
    def change_count(self, movement: StockMovement) -> str:
        return _signed(movement.quantity)
