"""Who waits for what is gone, in the order in which they are served, for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import Case, CharField, QuerySet, Value, When
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import action, display

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    attempt_each,
    figure,
    link,
    name_people,
    one,
    person,
    status,
    two_lines,
)
from config.platform.http import actor_of
from config.platform.ids import as_uuid
from inventory import services
from inventory.admin.company import CompanyMixin
from inventory.admin.holds import ReasonForm
from inventory.models import BackInStockRequest
from inventory.selectors import waiting

TONES = {"WAITING": "info", "OFFERED": "success", "TAKEN": "", "LAPSED": "warning", "CANCELLED": ""}
MOST_AT_ONCE = 100  # each leaves the line in a transaction of its own
LONGEST_LINES = 6


class LineFilter(SimpleListFilter):
    """Open requests unless something else is asked for: what is closed is history."""

    title = _("line")
    parameter_name = "line"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("waiting")), ("kept", _("kept for them")), ("late", _("offer is over")), ("ended", _("ended"))]  # fmt: skip

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("in line")}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "waiting":
                return queryset.filter(status=BackInStockRequest.Status.WAITING)
            case "kept":
                return queryset.filter(status=BackInStockRequest.Status.OFFERED)
            case "late":
                return queryset.filter(
                    status=BackInStockRequest.Status.OFFERED, offer_expires_at__lte=timezone.now()
                )
            case "ended":
                return queryset.exclude(status__in=BackInStockRequest.OPEN)
        return queryset.filter(status__in=BackInStockRequest.OPEN)


class OwnerFilter(SimpleListFilter):
    title = _("who")
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("customers", _("customers")), ("guests", _("guests"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in {"customers", "guests"}:
            return queryset.filter(user_id__isnull=self.value() == "guests")
        return queryset


@admin.register(BackInStockRequest)
class BackInStockRequestAdmin(CompanyMixin, ReadOnlyAdmin):
    """The line of each variant, as it will be served. Nobody is moved in it; staff may take somebody out, and say why."""

    people = ["asker"]
    list_display = ["sku", "product", "place", "by", "quantity", "queued_at", "state", "kept_count"]
    list_filter = [LineFilter, OwnerFilter, "variant__product__category", "queued_at"]
    search_fields = ["variant__sku", "variant__product__name", "email"]
    search_help_text = _("SKU, product, or the address of a guest")
    ordering = ["variant__sku", "queued_at", "id"]
    show_full_result_count = False
    list_before_template = "inventory/admin/lines.html"
    actions = ["take_out"]
    actions_row = ["take_one_out"]
    actions_detail = ["take_one_out"]
    fields = ["sku", "product", "place", "by", "quantity", "queued_at", "state", "kept_count", "offered_at", "kept_until", "left"]  # fmt: skip
    by = person("asker", _("who"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        asker = Case(
            When(user_id=None, then=Concat(Value("email:"), "email")),
            default=Concat(Value("user:"), Cast("user_id", CharField())),
            output_field=CharField(),
        )
        company_id = actor_of(request).company_id
        return waiting.back_in_stock_requests(company_id=company_id).annotate(asker=asker)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # the line of one variant: where shelves and products lead
        return lookup == "variant__id__exact" or super().lookup_allowed(lookup, value, request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        lines = waiting.waiting_by_variant(
            company_id=actor_of(request).company_id, limit=LONGEST_LINES
        )
        return super().changelist_view(request, {**(extra_context or {}), "lines": lines})

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, row: BackInStockRequest) -> str:
        return row.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, row: BackInStockRequest) -> str:
        return link("inventory_product", row.variant.product_id, row.variant.product.name)

    @display(description=_("place"))
    def place(self, row: Any) -> str:
        is_waiting = row.status == BackInStockRequest.Status.WAITING
        return figure(row.ahead + 1 if is_waiting else NOTHING)

    @display(description=_("status"), ordering="status")
    def state(self, row: BackInStockRequest) -> str:
        kept = row.status == BackInStockRequest.Status.OFFERED
        if kept and row.offer_expires_at and row.offer_expires_at <= timezone.now():
            return status(_("offer is over"), "warning")
        state = status(row.get_status_display(), TONES[row.status])
        if not kept or not row.offer_expires_at:
            return state
        until = date_format(timezone.localtime(row.offer_expires_at), "TIME_FORMAT")
        return two_lines(state, _("until %(time)s") % {"time": until})

    @display(description=_("kept"), ordering="offered_quantity")
    def kept_count(self, row: BackInStockRequest) -> str:
        return figure(row.offered_quantity or NOTHING)

    @display(description=_("kept until"), ordering="offer_expires_at")
    def kept_until(self, row: BackInStockRequest) -> Any:
        return row.offer_expires_at

    @display(description=_("left the line"), ordering="closed_at")
    def left(self, row: BackInStockRequest) -> Any:
        return row.closed_at

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.take_out_view)
        address = path("take-out/", view, name="inventory_backinstockrequest_take_out")
        return [address, *super().get_urls()]

    @admin.action(description=_("Take out of the line"), permissions=["step"])
    def take_out(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._leave(*queryset.values_list("pk", flat=True)[:MOST_AT_ONCE])

    @action(
        description=_("Take out of the line"),
        url_path="leave",
        permissions=["step"],
        icon="person_remove",
    )
    def take_one_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._leave(one(self, request, object_id).pk)

    def _leave(self, *requests: UUID) -> HttpResponse:
        address = reverse("admin:inventory_backinstockrequest_take_out")
        query = urlencode([("request", str(key)) for key in requests])
        return HttpResponseRedirect(f"{address}?{query}")

    def take_out_view(self, request: HttpRequest) -> HttpResponse:
        """Ask why before somebody loses their place; what was kept for them goes to the next."""
        if not self.has_view_permission(request) or not self.has_step_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [found for text in given.getlist("request") if (found := as_uuid(text))]
        rows = list(
            self.get_queryset(request)
            .filter(pk__in=ids[:MOST_AT_ONCE], status__in=BackInStockRequest.OPEN)
            .order_by(*self.ordering)
        )
        name_people(rows, self.people)
        form = ReasonForm(request.POST or None)
        back = reverse("admin:inventory_backinstockrequest_changelist")
        if request.method == "POST" and form.is_valid():
            actor, now = actor_of(request), timezone.now()
            attempt_each(
                request,
                rows,
                lambda row: services.stop_waiting(
                    actor=actor, request_id=row.pk, reason=form.cleaned_data["reason"], now=now
                ),
                done=ngettext_lazy(
                    "%(count)d request was taken out of its line.",
                    "%(count)d requests were taken out of their lines.",
                    "count",
                ),
            )
            return HttpResponseRedirect(back)
        shown = [{"request": row, "by": self.by(row), "state": self.state(row), "place": self.place(row)} for row in rows]  # fmt: skip
        context = {
            **self.admin_site.each_context(request),
            "title": _("Take out of the line"),
            "opts": self.model._meta,
            "rows": shown,
            "kept": sum(
                row.offered_quantity
                for row in rows
                if row.status == BackInStockRequest.Status.OFFERED
            ),
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "inventory/admin/take_out.html", context)
