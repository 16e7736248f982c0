"""The catalogue, for staff."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
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
    ReadOnlyAdmin,
    ServedAdmin,
    attempt_each,
    link,
    status,
)
from config.platform.http import actor_of
from inventory import services
from inventory.admin.company import CompanyMixin
from inventory.admin.rows import PictureInline, RelationInline, VariantInline
from inventory.models import (
    Bundle,
    BundleItem,
    Category,
    Product,
    ProductImage,
    ProductRelation,
    Variant,
)
from inventory.services import BundleDraft, CategoryDraft, ProductDraft


class ProductForm(forms.ModelForm):
    class Meta:
        help_texts = {
            "slug": _(
                "Its address, for good: links lead there. Left empty, it is made from the name."
            ),
            "status": _(
                "A draft is seen by staff only. An active product is sold. A discontinued one stays visible in carts, "
                "orders and under its address, unless it was never sold, and can be neither added nor bought."
            ),
            "option_names": _("What is to choose, in order, divided by commas: Colour, Size."),
            "tax_class": _("As in the tax rates: standard, reduced, or a name of your own."),
            "category": "",
        }


PRODUCT_FIELDS = ("name", "description", "vendor", "tags", "option_names", "status", "tax_class", "metadata")  # fmt: skip


@admin.register(Product)
class ProductAdmin(ServedAdmin):
    """The editor of a product. What it holds is read here and written by services, all of it or nothing."""

    form = ProductForm
    list_display = ["name", "category", "state", "variant_count", "units", "vendor", "updated_at"]
    list_filter = ["status", "category", "vendor"]
    list_select_related = ["category"]
    search_fields = ["name", "slug", "variants__sku"]
    search_help_text = _("name or SKU")
    ordering = ["-updated_at"]
    inlines = [VariantInline, PictureInline, RelationInline]
    actions = ["discontinue", "sell_again"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "status", "category", "description"]}),
        (_("Details"), {"fields": ["option_names", "vendor", "tags", "tax_class", "metadata"]}),
        (_("Dates"), {"fields": ["created_at", "updated_at"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["created_at", "updated_at", *(["slug"] if obj else [])]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["name"]}

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "slug" and field is not None:
            field.required = False
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["queryset"] = Category.objects.filter(company_id=actor_of(request).company_id)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def view_on_site(self, product: Product) -> str:
        return f"/products/{product.slug}/"

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

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Write nothing yet: what stands in the rows below belongs to the same change."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        product, now = form.instance, timezone.now()
        rows = {formset.model: formset for formset in formsets}
        product.pk = self.write(request, form, rows[Variant], change, now)
        product._state.adding = False
        self._relate(request, product, rows[ProductRelation], now)
        self._picture(request, product, rows[ProductImage], now)
        super().save_related(request, form, formsets, change)

    def write(
        self, request: HttpRequest, form: Any, variants: Any, change: bool, now: datetime
    ) -> UUID:
        """Create or change the product and its variants; return its id."""
        draft = self.draft(form, variants, change)
        actor = actor_of(request)
        if not change:
            return services.create_product(actor=actor, draft=draft, now=now).product_id
        product_id: UUID = form.instance.pk
        services.update_product(actor=actor, product_id=product_id, draft=draft, now=now)
        return product_id

    def draft(self, form: Any, variants: Any, change: bool) -> ProductDraft:
        """Return what was changed in the form and in the rows of its variants."""
        given = form.cleaned_data
        fields = {
            name: given[name]
            for name in PRODUCT_FIELDS
            if name in given and (not change or name in form.changed_data)
        }
        if not change or "category" in form.changed_data:
            fields["category"] = given["category"].slug if given["category"] else ""
        names = given.get("option_names", form.instance.option_names)
        return ProductDraft(
            slug=form.instance.slug if change else given["slug"],
            variants=[row.draft(names) for row in changed_rows(variants)],
            **fields,
        )

    def _relate(self, request: HttpRequest, product: Product, rows: Any, now: datetime) -> None:
        if not rows.has_changed():
            return
        kept = [
            row.cleaned_data for row in rows.forms
            if row.cleaned_data.get("related") and not row.cleaned_data.get("DELETE")
        ]  # fmt: skip
        services.relate_product(
            actor=actor_of(request),
            product_id=product.pk,
            relations=[
                services.RelationDraft(row["kind"], row["related"].pk, row["weight"])
                for row in kept
            ],
            now=now,
        )

    def _picture(self, request: HttpRequest, product: Product, rows: Any, now: datetime) -> None:
        by: dict[str, Any] = {"actor": actor_of(request), "product_id": product.pk, "now": now}
        gone = [row.instance.pk for row in rows.deleted_forms if not row.instance._state.adding]
        changed = [row for row in changed_rows(rows) if row not in rows.deleted_forms]
        moved = {
            row.instance.pk: services.PictureChange(
                **{name: row.cleaned_data[name] for name in row.changed_data}
            )
            for row in changed
            if not row.instance._state.adding
        }
        if gone:
            services.remove_pictures(image_ids=gone, **by)
        if moved:
            services.change_pictures(changes=moved, **by)
        for row in changed:  # last: after this, nothing is refused
            if row.instance._state.adding:
                given = row.cleaned_data
                services.add_picture(
                    picture=given["upload"], alt=given["alt"], position=given["position"], **by
                )

    @admin.action(description=_("Sell again"), permissions=["change"])
    def sell_again(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda product: services.reactivate(actor=actor, product_id=product.pk, now=now),
            done=ngettext_lazy(
                "%(count)d product is sold again.", "%(count)d products are sold again.", "count"
            ),
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


def changed_rows(formset: Any) -> list[Any]:
    """Return the forms of a set in which something was typed."""
    return [row for row in formset.forms if row.has_changed() and row.cleaned_data]


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
class BundleAdmin(ServedAdmin):
    list_display = ["name", "slug", "item_count", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name", "slug"]
    inlines = [BundleItemInline]
    fields = ["name", "slug", "description", "image", "is_active"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["slug"] if obj else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # carts and orders point at it: switch it off instead

    def save_model(self, request: HttpRequest, obj: Bundle, form: Any, change: bool) -> None:
        """Write nothing yet: a bundle is its items."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        [rows] = formsets
        given = form.cleaned_data
        items: dict[str, int] = {}
        for row in rows.forms:
            variant = row.cleaned_data.get("variant")
            if variant and not row.cleaned_data.get("DELETE"):
                items[variant.sku] = items.get(variant.sku, 0) + row.cleaned_data["quantity"]
        bundle = services.upsert_bundle(
            actor=actor_of(request),
            draft=BundleDraft(
                slug=form.instance.slug if change else given["slug"],
                name=given["name"],
                items=items,
                description=given["description"],
                image=given["image"],
                is_active=given["is_active"],
            ),
            now=timezone.now(),
        )
        form.instance.pk, form.instance._state.adding = bundle.pk, False
        super().save_related(request, form, formsets, change)

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
