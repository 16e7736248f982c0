"""The shelves, for staff. Units never change in a form: they change by work at the shelves (`inventory.admin.work`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from config.platform.backoffice import (
    NOTHING,
    NamingChangeList,
    OfficeAdmin,
    ReadOnlyInline,
    attempt,
    name_people,
    one,
    person,
    status,
    two_lines,
)
from config.platform.http import actor_of
from inventory import selectors, services
from inventory.admin import figures, work
from inventory.admin.company import CompanyMixin
from inventory.admin.figures import BAND_NAMES, KIND_TONES
from inventory.admin.files import counting_list
from inventory.admin.holds import held_for_text
from inventory.admin.movements import change_text
from inventory.admin.rows import line_of
from inventory.models import Product, Reservation, StockLevel, StockMovement
from inventory.selectors import waiting

SHOWN_ROWS = 25


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
                return on_sale(queryset).filter(available=0)
            case "owed":
                return queryset.filter(backordered__gt=0)
        return queryset


def on_sale(levels: QuerySet[Any]) -> QuerySet[Any]:
    """Return the shelves that matter to customers: of goods on sale, in open warehouses."""
    return levels.filter(
        variant__is_active=True,
        variant__product__status=Product.Status.ACTIVE,
        warehouse__is_active=True,
    )


class CoverFilter(SimpleListFilter):
    """How long a shelf lasts, in the bands of the stock figures."""

    title = _("lasts")
    parameter_name = "cover"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(BAND_NAMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        band, _dash, days = (self.value() or "").partition("-")  # `week`, or `week-90`
        if band not in BAND_NAMES:
            return queryset
        shelves = selectors.shelves_of_cover(
            actor=actor_of(request), band=band, now=timezone.now(), days=figures.window(days)
        )
        return queryset.filter(pk__in=shelves)


class CoverList(NamingChangeList):
    """A list that reckons at once how long each shelf on the page lasts, and how many wait for what is on it."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        levels: Any = self.result_list
        sold = selectors.sold_units(
            stock_level_ids=[level.pk for level in levels], now=timezone.now()
        )
        waits = _waits(request, levels)
        for level in levels:
            level.lasts = selectors.cover(level.total, sold.get(level.pk, 0), selectors.DAYS)
            level.waits = waits.get(level.variant_id, 0)


def _waits(request: HttpRequest, levels: Iterable[StockLevel]) -> dict[UUID, int]:
    """Return how many wait for the variants of these shelves; no statement where none is marked as awaited."""
    awaited = {level.variant_id for level in levels if level.is_awaited}
    if not awaited:
        return {}
    company_id = actor_of(request).company_id
    lines = waiting.waiting_by_variant(company_id=company_id, variant_ids=awaited)
    return {line.variant_id: line.requests for line in lines}


class NewestFirst(forms.models.BaseInlineFormSet):
    """Only the newest rows: a busy shelf has more movements than a page can show."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-id")[:SHOWN_ROWS]
            if self.model is StockMovement:
                name_people(self._newest, ["actor"])
        return self._newest


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
        return change_text(movement.quantity)


class ActiveHoldInline(ReadOnlyInline):
    model = Reservation
    formset = NewestFirst
    fields = ["created_at", "quantity", "backordered", "held_for", "expires_at"]
    verbose_name_plural = _("live holds")

    @display(description=_("for"))
    def held_for(self, hold: Reservation) -> str:
        return held_for_text(hold)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        return super().get_queryset(request).filter(status=Reservation.Status.ACTIVE)


@admin.register(StockLevel)
class StockLevelAdmin(CompanyMixin, OfficeAdmin):
    """Shelves. Figures are changed here, units by work at the shelves (`inventory.admin.work`)."""

    list_display = [
        "sku", "product", "warehouse", "state", "available", "reserved", "total", "owed_count", "low_at_count",
        "lasts_count",
    ]  # fmt: skip
    list_filter = [LowFilter, CoverFilter, "warehouse", "variant__product__category"]
    list_select_related = ["variant__product", "warehouse"]
    list_per_page = 100
    search_fields = ["variant__sku", "variant__product__name"]
    search_help_text = _("SKU or product")
    ordering = ["variant__sku", "warehouse__priority"]
    change_form_outer_before_template = "inventory/admin/shelf.html"
    fieldsets = [
        (_("When to order more"), {"fields": ["reorder_level", "reorder_quantity"]}),
        (_("Promises beyond the shelf"), {"fields": ["backorder_limit"]}),
    ]
    inlines = [MovementInline, ActiveHoldInline]
    actions_list = ["see_figures", "take_delivery", "count_day"]
    actions = [
        "adjust_chosen",
        "receive_chosen",
        "transfer_chosen",
        "count_chosen",
        "damage_chosen",
        "counting_list",
    ]
    actions_detail_hide_default = True
    actions_detail = ["adjust_stock", "receive_goods", "move_goods", "count_goods", "lose_goods"]
    actions_row = [*actions_detail, "see_timeline"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CoverList

    def get_urls(self) -> list[Any]:
        def page(view: Any) -> Any:
            return self.admin_site.admin_view(
                lambda request, **kwargs: view(self, request, **kwargs)
            )

        def at(address: str, view: Any, name: str) -> Any:
            return path(address, page(view), name=f"inventory_stocklevel_{name}")

        return [
            at("figures/", figures.overview, "figures"),
            at("delivery/", work.deliver, "delivery"),
            at("sku/<uuid:variant_id>/", figures.timeline, "timeline"),
            *(
                at(
                    f"{verb}/",
                    lambda admin, request, verb=verb: work.work(admin, request, verb),
                    verb,
                )
                for verb in work.VERBS
            ),
            *super().get_urls(),
        ]

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return work.may_operate(request)

    @admin.action(description=_("Counting list as a file"), permissions=["view"])
    def counting_list(self, request: HttpRequest, queryset: QuerySet[StockLevel]) -> HttpResponse:
        return counting_list(request, queryset)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a variant gets its shelf with its product, or by the API

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, level: StockLevel) -> str:
        return level.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, level: StockLevel) -> str:
        options = ", ".join(str(value) for value in level.variant.options.values())
        return two_lines(level.variant.product.name, options)

    @display(description=_("owed"), ordering="backordered")
    def owed_count(self, level: StockLevel) -> int:
        return level.backordered

    @display(description=_("low at"), ordering="reorder_level")
    def low_at_count(self, level: StockLevel) -> int:
        return level.reorder_level

    @display(description=_("days left"))
    def lasts_count(self, level: Any) -> Any:
        return NOTHING if level.lasts is None else level.lasts

    @display(description=_("state"))
    def state(self, level: Any) -> str:
        waits = getattr(level, "waits", 0)  # on the list; a shelf's own page has a figure of it
        state = self._state(level)
        return two_lines(state, line_of(level.variant_id, waits)) if waits else state

    def _state(self, level: StockLevel) -> str:
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
            context["shelf"] = {
                "level": level,
                "state": self.state(level),
                "waits": _waits(request, [level]).get(level.variant_id, 0),
            }
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

    def _go(self, verb: str, *shelves: Any) -> HttpResponse:
        address = reverse(f"admin:inventory_stocklevel_{verb}")
        query = urlencode([("shelf", str(shelf)) for shelf in shelves])
        return HttpResponseRedirect(f"{address}?{query}" if query else address)

    @action(
        description=_("Adjust stock"),
        url_path="adjust",
        permissions=["operate"],
        icon="tune",
        variant=ActionVariant.PRIMARY,
    )
    def adjust_stock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._go("adjust", one(self, request, object_id).pk)

    @action(description=_("Receive"), url_path="receive", permissions=["operate"], icon="input")
    def receive_goods(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._go("receive", one(self, request, object_id).pk)

    @action(description=_("Move"), url_path="transfer", permissions=["operate"], icon="swap_horiz")
    def move_goods(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._go("transfer", one(self, request, object_id).pk)

    @action(description=_("Count"), url_path="count", permissions=["operate"], icon="checklist")
    def count_goods(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._go("count", one(self, request, object_id).pk)

    @action(
        description=_("Write off"),
        url_path="damage",
        permissions=["operate"],
        icon="heart_broken",
    )
    def lose_goods(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._go("damage", one(self, request, object_id).pk)

    @action(description=_("Timeline"), url_path="timeline", permissions=["view"], icon="timeline")
    def see_timeline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        level = one(self, request, object_id)
        return HttpResponseRedirect(
            reverse("admin:inventory_stocklevel_timeline", args=[level.variant_id])
        )

    @action(
        description=_("Figures"), url_path="to-figures", permissions=["view"], icon="monitoring"
    )
    def see_figures(self, request: HttpRequest) -> HttpResponse:
        return self._go("figures")

    @action(
        description=_("Receive a delivery"),
        url_path="to-delivery",
        permissions=["operate"],
        icon="input",
        variant=ActionVariant.PRIMARY,
    )
    def take_delivery(self, request: HttpRequest) -> HttpResponse:
        return self._go("delivery")

    @action(
        description=_("Counting day"),
        url_path="to-count",
        permissions=["operate"],
        icon="checklist",
    )
    def count_day(self, request: HttpRequest) -> HttpResponse:
        return self._go("count")

    def _chosen(self, request: HttpRequest, queryset: QuerySet[Any], verb: str) -> Any:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: work.MOST_SHELVES + 1])
        if len(chosen) > work.MOST_SHELVES:
            words = _("Choose at most %(count)d shelves at once.") % {"count": work.MOST_SHELVES}
            messages.error(request, words)
            return None
        return self._go(verb, *chosen)

    @admin.action(description=_("Adjust"), permissions=["operate"])
    def adjust_chosen(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._chosen(request, queryset, "adjust")

    @admin.action(description=_("Receive goods"), permissions=["operate"])
    def receive_chosen(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._chosen(request, queryset, "receive")

    @admin.action(description=_("Move to another warehouse"), permissions=["operate"])
    def transfer_chosen(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._chosen(request, queryset, "transfer")

    @admin.action(description=_("Count"), permissions=["operate"])
    def count_chosen(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._chosen(request, queryset, "count")

    @admin.action(description=_("Write off"), permissions=["operate"])
    def damage_chosen(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._chosen(request, queryset, "damage")
