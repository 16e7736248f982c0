"""The catalogue, for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.views import ChangeList

from config.platform.backoffice import (
    NOTHING,
    NamingChangeList,
    OfficeAdmin,
    ReadOnlyAdmin,
    ServedAdmin,
    attempt_each,
    link,
    status,
)
from config.platform.http import actor_of
from inventory import services
from inventory.admin.company import CompanyMixin
from inventory.models import (
    Bundle,
    BundleItem,
    Category,
    Product,
    ProductImage,
    ProductRelation,
    Variant,
)
from inventory.services import CategoryDraft


class VariantInline(TabularInline):
    hide_title = True
    model = Variant
    fields = [
        "sku", "options", "weight_grams", "inventory_policy", "is_taxable", "requires_shipping", "image", "is_active",
        "position", "stock",
    ]  # fmt: skip
    readonly_fields = ["stock"]
    extra = 0
    tab = True
    can_delete = False  # a variant that was sold once is withdrawn, not deleted
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Variant]:
        return super().get_queryset(request).prefetch_related("stock_levels__warehouse")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "options" and field is not None:
            field.widget.attrs.update(rows=2, cols=24)
        return field

    @display(description=_("available · held"))
    def stock(self, variant: Variant) -> str:
        if variant._state.adding:
            return "–"
        parts = [
            format_html(
                '<a href="{}">{}: {} · {}</a>',
                reverse("admin:inventory_stocklevel_change", args=[level.pk]),
                level.warehouse.code,
                level.available,
                level.reserved,
            )
            for level in variant.stock_levels.all()
        ]
        return format_html("{}" + "<br>{}" * (len(parts) - 1), *parts) if parts else "–"


class ImageInline(TabularInline):
    hide_title = True
    model = ProductImage
    fields = ["url", "alt", "position"]
    extra = 0
    tab = True


class RelationInline(TabularInline):
    hide_title = True
    model = ProductRelation
    fk_name = "product"
    fields = ["kind", "related", "weight"]
    autocomplete_fields = ["related"]
    extra = 0
    tab = True


@admin.register(Product)
class ProductAdmin(CompanyMixin, OfficeAdmin):
    list_display = ["name", "category", "state", "variant_count", "units", "vendor", "updated_at"]
    list_filter = ["status", "category", "vendor"]
    list_select_related = ["category"]
    search_fields = ["name", "slug", "variants__sku"]
    search_help_text = _("name or SKU")
    ordering = ["-updated_at"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["created_at", "updated_at"]
    inlines = [VariantInline, ImageInline, RelationInline]
    actions = ["discontinue"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "status", "category", "vendor", "description"]}),
        (_("Details"), {"fields": ["option_names", "tags", "tax_class", "metadata"]}),
        (_("Dates"), {"fields": ["created_at", "updated_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        rows = super().get_queryset(request)
        return rows.annotate(
            variant_count=Count("variants", distinct=True),
            units=Coalesce(Sum("variants__stock_levels__available"), 0),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # orders and carts point at it: discontinue it instead

    @display(description=_("status"), ordering="status")
    def state(self, product: Product) -> str:
        tones = {"active": "success", "draft": "warning", "discontinued": "danger"}
        return status(product.get_status_display(), tones[product.status])

    @display(description=_("variants"), ordering="variant_count")
    def variant_count(self, product: Any) -> int:
        return product.variant_count

    @display(description=_("available"), ordering="units")
    def units(self, product: Any) -> int:
        return product.units

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for row in formset.save(commit=False):
            if isinstance(row, Variant):
                row.company_id = form.instance.company_id
            row.save()
        for row in formset.deleted_objects:
            row.delete()
        formset.save_m2m()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changed = {*form.changed_data}
        for formset in formsets:
            if formset.has_changed():
                changed.add(formset.model._meta.model_name)
        if changed or not change:
            services.announce_edit(
                actor=actor_of(request),
                product_ids=[form.instance.pk],
                changed=sorted(changed),
                now=timezone.now(),
            )

    @admin.action(description=_("Stop selling"), permissions=["change"])
    def discontinue(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda product: services.discontinue(actor=actor, product_id=product.pk, now=now),
            done=ngettext_lazy(
                "%(count)d product is no longer sold.",
                "%(count)d products are no longer sold.",
                "count",
            ),
        )


class TreeChangeList(NamingChangeList):
    """Categories below the ones they are in, as far as the list holds both."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        if self.params.keys() & {"o", "q"}:
            return  # asked for in another order
        shown = {row.pk for row in rows}
        below: dict[Any, list[Any]] = {}
        for row in rows:
            below.setdefault(row.parent_id if row.parent_id in shown else None, []).append(row)
        self.result_list = []
        waiting = [(row, 0) for row in reversed(below.get(None, []))]
        while waiting:
            row, row.depth = waiting.pop()
            self.result_list.append(row)
            waiting += [(child, row.depth + 1) for child in reversed(below.get(row.pk, []))]


@admin.register(Category)
class CategoryAdmin(ServedAdmin):
    """The tree of aisles, each branch below its own."""

    list_display = ["branch", "slug", "position", "state", "product_count"]
    list_per_page = 500
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    fields = ["name", "slug", "parent", "description", "image", "position", "is_active"]
    ordering = ["position", "name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        rows = super().get_queryset(request)
        return rows.annotate(product_count=Count("products"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TreeChangeList

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["queryset"] = Category.objects.filter(company_id=actor_of(request).company_id)
        kwargs["empty_label"] = _("none: it stands at the top")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def serve(
        self, request: HttpRequest, obj: Category, given: dict[str, Any], change: bool
    ) -> Category:
        draft = {name: given[name] for name in self.fields if name != "parent"}
        return services.save_category(
            actor=actor_of(request),
            category_id=obj.pk if change else None,
            draft=CategoryDraft(
                **{**draft, "parent": given["parent"].slug if given["parent"] else ""}
            ),
            now=timezone.now(),
        )

    def delete_model(self, request: HttpRequest, obj: Category) -> None:
        services.delete_category(actor=actor_of(request), category_id=obj.pk, now=timezone.now())

    @display(description=_("state"), ordering="is_active")
    def state(self, category: Category) -> str:
        return status(_("shown"), "success") if category.is_active else status(_("hidden"))

    @display(description=_("category"), ordering="name")
    def branch(self, category: Category) -> str:
        depth = getattr(category, "depth", 0)
        return format_html('<span class="office-branch">{}{}</span>', "— " * depth, category.name)

    @display(description=_("products"), ordering="product_count")
    def product_count(self, category: Any) -> int:
        return category.product_count


class BundleItemInline(TabularInline):
    hide_title = True
    model = BundleItem
    fields = ["variant", "quantity"]
    autocomplete_fields = ["variant"]
    extra = 0
    min_num = 1


@admin.register(Bundle)
class BundleAdmin(CompanyMixin, OfficeAdmin):
    list_display = ["name", "slug", "item_count", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [BundleItemInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bundle]:
        return super().get_queryset(request).annotate(item_count=Sum("items__quantity"))

    @display(description=_("items"))
    def item_count(self, bundle: Any) -> int:
        return bundle.item_count or 0


@admin.register(Variant)
class VariantAdmin(CompanyMixin, ReadOnlyAdmin):
    """To look a SKU up; a variant is edited with its product."""

    list_display = ["sku", "goods", "choice", "inventory_policy", "is_active"]
    list_filter = ["inventory_policy", "is_active"]
    list_select_related = ["product"]
    search_fields = ["sku", "product__name", "barcode"]
    search_help_text = _("SKU, product or barcode")
    ordering = ["sku"]
    fields = [
        "sku", "goods", "choice", "barcode", "weight_grams", "inventory_policy", "is_taxable", "requires_shipping",
        "is_active",
    ]  # fmt: skip

    @display(description=_("product"), ordering="product__name")
    def goods(self, variant: Variant) -> str:
        return link("inventory_product", variant.product_id, variant.product.name)

    @display(description=_("options"))
    def choice(self, variant: Variant) -> str:
        return ", ".join(str(value) for value in variant.options.values()) or NOTHING
