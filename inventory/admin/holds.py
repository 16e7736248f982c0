"""Units promised to carts and orders, for staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    link,
    name_people,
    one,
    person,
    status,
)
from config.platform.http import actor_of
from config.platform.ids import as_uuid
from inventory import services
from inventory.admin import work
from inventory.admin.company import CompanyMixin
from inventory.models import Reservation

HOLD_TONES = {"ACTIVE": "success", "COMPLETED": "info", "EXPIRED": "warning", "CANCELLED": ""}


def held_for_text(hold: Reservation) -> str:
    """Return whose hold it is: an order's or a cart's, with a link to it."""
    if hold.order_id is not None:
        return link("orders_order", hold.order_id, _("an order"))
    return link("cart_cart", hold.cart_id, _("a cart")) if hold.cart_id else NOTHING


class HoldFilter(SimpleListFilter):
    title = _("time")
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("holds now")), ("overdue", _("overdue"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        live = queryset.filter(status=Reservation.Status.ACTIVE)
        match self.value():
            case "live":
                return live.filter(expires_at__gt=timezone.now())
            case "overdue":
                return live.filter(expires_at__lte=timezone.now())
        return queryset


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextInputWidget)


@admin.register(Reservation)
class ReservationAdmin(CompanyMixin, ReadOnlyAdmin):
    """Units promised to carts and orders."""

    people = ["holder"]
    list_display = [
        "created_at", "sku", "warehouse", "quantity", "backordered", "state", "held_for", "by", "expires_at",
    ]  # fmt: skip
    list_filter = [HoldFilter, "status", "stock_level__warehouse", "created_at"]
    list_select_related = ["variant", "stock_level__warehouse"]
    search_fields = ["variant__sku", "=cart_id", "=order_id"]
    search_help_text = _("SKU, or the id of a cart or an order")
    ordering = ["-id"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ["release"]
    actions_row = ["release_one"]
    actions_detail = ["release_one"]
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
        return held_for_text(hold)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.release_view)
        return [path("release/", view, name="inventory_reservation_let_go"), *super().get_urls()]

    @admin.action(description=_("Release: units back to the shelf"), permissions=["step"])
    def release(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> Any:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: work.MOST_SHELVES])
        return self._let_go(*chosen)

    @action(description=_("Release"), url_path="let-go", permissions=["step"], icon="lock_open")
    def release_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._let_go(one(self, request, object_id).pk)

    def _let_go(self, *holds: Any) -> HttpResponse:
        address = reverse("admin:inventory_reservation_let_go")
        return HttpResponseRedirect(f"{address}?{urlencode([('hold', str(h)) for h in holds])}")

    def release_view(self, request: HttpRequest) -> HttpResponse:
        """Ask why before the units of these holds go back to the shelf."""
        if not self.has_view_permission(request) or not self.has_step_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [found for text in given.getlist("hold") if (found := as_uuid(text))]
        rows = list(
            self.get_queryset(request)
            .filter(pk__in=ids[: work.MOST_SHELVES], status=Reservation.Status.ACTIVE)
            .select_related("variant", "stock_level__warehouse")
        )
        name_people(rows, self.people)
        form = ReasonForm(request.POST or None)
        back = reverse("admin:inventory_reservation_changelist")
        if request.method == "POST" and form.is_valid():
            count = services.release_holds(
                actor=actor_of(request),
                reservation_ids=[row.pk for row in rows],
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
            words = ngettext(
                "%(count)d hold was released.", "%(count)d holds were released.", count
            )
            messages.success(request, words % {"count": count})
            return HttpResponseRedirect(back)
        shown = [
            {"hold": row, "for": self.held_for(row), "by": self.by(row), "state": self.state(row)}
            for row in rows
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Release holds"),
            "opts": self.model._meta,
            "rows": shown,
            "units": sum(row.quantity for row in rows),
            "for_orders": any(row.order_id for row in rows),
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "inventory/admin/release.html", context)
