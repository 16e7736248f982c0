"""Prices for staff. Every change goes through a service: checked, audited, at once in effect."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.db.models import Count, F, Model, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ServedAdmin,
    figure,
    people,
    person,
)
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.models import User
from inventory.models import Product
from pricing import selectors, services
from pricing.admin.bulk import bulk_page, chosen_page
from pricing.admin.desk import desk_page, find_page
from pricing.admin.money import MoneyAdmin, MoneyForm
from pricing.admin.products import product_file
from pricing.admin.reports import KIND_WORDS, report_page
from pricing.backoffice import amount
from pricing.models import (
    BundlePrice,
    CustomerGroup,
    CustomerGroupMember,
    Price,
    PriceChange,
    SpecialPrice,
)
from pricing.templatetags.money import money_text


class SaleFilter(admin.SimpleListFilter):
    title = _("sale")
    parameter_name = "sale"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("on sale"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(compare_at__gt=F("amount")) if self.value() == "yes" else queryset


@admin.register(Price)
class PriceAdmin(MoneyAdmin):
    company_path = "variant__company_id"
    list_display = [
        "sku",
        "product",
        "currency",
        "amount_money",
        "compare_money",
        "updated_at",
        "desk",
    ]
    list_filter = ["currency", SaleFilter, "variant__product__category"]
    list_select_related = ["variant__product"]
    search_fields = ["variant__sku", "variant__product__name"]
    search_help_text = _("SKU or product")
    autocomplete_fields = ["variant"]
    readonly_fields = ["history"]
    fields = ["variant", "currency", "amount", "compare_at", "history"]
    ordering = ["variant__sku", "currency"]
    actions = ["change_together"]

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, price: Price) -> str:
        return price.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, price: Price) -> str:
        return price.variant.product.name

    def get_urls(self) -> list[Any]:
        file = path(
            "product-file/",
            self.admin_site.admin_view(self.product_file),
            name="pricing_price_product_file",
        )
        desks = [
            path(
                "bulk/",
                self.admin_site.admin_view(partial(bulk_page, self)),
                name="pricing_price_bulk",
            ),
            path(
                "desk/",
                self.admin_site.admin_view(partial(find_page, self)),
                name="pricing_price_desk_find",
            ),
            path(
                "desk/<uuid:variant_id>/",
                self.admin_site.admin_view(partial(desk_page, self)),
                name="pricing_price_desk",
            ),
        ]
        return [file, *desks, *super().get_urls()]

    def product_file(self, request: HttpRequest) -> StreamingHttpResponse:
        """Answer with all products of the company as a file."""
        return product_file(request, Product.objects.all())

    amount_money = amount("amount", _("price"))
    compare_money = amount("compare_at", _("was"))

    @admin.action(description=_("Change these prices together"), permissions=["change"])
    def change_together(self, request: HttpRequest, queryset: QuerySet[Price]) -> Any:
        """Go on with the SKUs that were selected, in the currency of the first."""
        rows = list(queryset.order_by("variant__sku").values_list("variant__sku", "currency"))
        if not rows:
            return None  # what was selected is not there for this user
        return chosen_page(self, request, list(dict.fromkeys(sku for sku, _ in rows)), rows[0][1])

    @display(description=_("all prices"))
    def desk(self, price: Price) -> str:
        address = reverse("admin:pricing_price_desk", args=[price.variant_id])
        return format_html(
            '<a class="office-link" href="{}?currency={}">{}</a>',
            address,
            price.currency,
            _("Price desk"),
        )

    @display(description=_("history"))
    def history(self, price: Price) -> str:
        if price.pk is None:
            return NOTHING
        changes = list(
            PriceChange.objects.filter(variant=price.variant_id, currency=price.currency).order_by(
                "-changed_at", "-id"
            )[:50]
        )
        names = people(change.actor for change in changes)
        rows = format_html_join(
            "",
            '<tr><td class="office__number">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>',
            (
                (
                    NOTHING
                    if change.new_amount is None
                    else money_text(change.new_amount, change.currency),
                    date_format(change.changed_at, "DATETIME_FORMAT"),
                    names[change.actor],
                    change.reason,
                )
                for change in changes
            ),
        )
        return (
            format_html('<table class="office__table office__table--loose">{}</table>', rows)
            if rows
            else NOTHING
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Price | None = None) -> list[str]:
        return ["history", *(["variant", "currency"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def serve(self, request: HttpRequest, obj: Price, given: dict[str, Any], change: bool) -> Model:
        return services.set_price(
            actor=actor_of(request),
            variant_id=obj.variant_id,
            currency=obj.currency,
            amount=given["amount"],
            compare_at=given["compare_at"],
            reason="admin",
            now=timezone.now(),
        )


class SpecialPriceForm(MoneyForm):
    """A new special price; one that is there is only ended."""

    starts_at = forms.SplitDateTimeField(
        label=_("from"),
        required=False,
        help_text=_("Empty: at once."),
        widget=UnfoldAdminSplitDateTimeWidget,
    )


class WhenFilter(admin.SimpleListFilter):
    title = _("when")
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("in force")), ("coming", _("coming")), ("over", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "now":
            return queryset.filter(selectors.in_force(now))
        if self.value() == "coming":
            return queryset.filter(starts_at__gt=now)
        return queryset.filter(ends_at__lte=now) if self.value() == "over" else queryset


@admin.register(SpecialPrice)
class SpecialPriceAdmin(MoneyAdmin):
    """Scheduled prices, quantity breaks and prices of groups. What was set is ended, never changed."""

    form = SpecialPriceForm
    company_path = "variant__company_id"
    list_display = ["sku", "product", "currency", "amount_money", "from_quantity", "group", "starts_at", "ends_at", "when"]  # fmt: skip
    list_filter = [WhenFilter, "currency", "group"]
    list_select_related = ["variant__product", "group"]
    search_fields = ["variant__sku", "variant__product__name", "reason"]
    search_help_text = _("SKU, product or reason")
    autocomplete_fields = ["variant", "group"]
    fields = ["variant", "currency", "amount", "compare_at", "from_quantity", "group", "starts_at", "ends_at", "reason"]  # fmt: skip
    ordering = ["-starts_at"]
    actions = ["end_now"]
    amount_money = amount("amount", _("price"))

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, price: SpecialPrice) -> str:
        return price.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, price: SpecialPrice) -> str:
        return price.variant.product.name

    @display(description=_("when"))
    def when(self, price: SpecialPrice) -> Any:
        now = timezone.now()
        if price.starts_at > now:
            return _("coming")
        return _("over") if price.ends_at is not None and price.ends_at <= now else _("in force")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("End now, or take back"), permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[SpecialPrice]) -> None:
        ended = 0
        for price in queryset:
            try:
                services.end_special_price(
                    actor=actor_of(request),
                    special_id=price.id,
                    reason="admin",
                    now=timezone.now(),
                )
            except ApplicationError as refused:
                messages.error(request, f"{price.variant.sku}: {refused.detail}")
            else:
                ended += 1
        if ended:
            messages.success(
                request,
                ngettext("%(n)d price ended.", "%(n)d prices ended.", ended) % {"n": ended},
            )

    def serve(
        self, request: HttpRequest, obj: SpecialPrice, given: dict[str, Any], change: bool
    ) -> Model:
        group = given.pop("group")
        terms = services.SpecialTerms(
            variant_id=given.pop("variant").id, group_id=group.id if group else None, **given
        )
        return services.set_special_price(actor=actor_of(request), terms=terms, now=timezone.now())


class CustomerGroupForm(forms.ModelForm):
    members = forms.ModelMultipleChoiceField(
        label=_("members"),
        required=False,
        queryset=User.objects.filter(is_active=True).order_by("email"),
        widget=AutocompleteSelectMultiple(CustomerGroupMember._meta.get_field("user"), admin.site),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and not self.instance._state.adding:
            self.initial["members"] = list(self.instance.members.values_list("user", flat=True))


@admin.register(CustomerGroup)
class CustomerGroupAdmin(ServedAdmin):
    form = CustomerGroupForm
    readonly_fields = ["member_names"]
    list_display = ["name", "members_count", "created_at"]
    search_fields = ["name"]
    ordering = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(member_count=Count("members"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Who may only look sees names; choosing is a field of the form, which a page without one cannot show."""
        writes = (
            self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        )
        return ["name", "members" if writes else "member_names"]

    @display(description=_("members"))
    def member_names(self, group: CustomerGroup) -> str:
        return ", ".join(
            group.members.order_by("user__email").values_list("user__email", flat=True)
        )

    @display(description=_("members"), ordering="member_count")
    def members_count(self, group: Any) -> str:
        return figure(group.member_count)

    def serve(
        self, request: HttpRequest, obj: CustomerGroup, given: dict[str, Any], change: bool
    ) -> Model:
        actor, now = actor_of(request), timezone.now()
        name = given["name"]
        group_id = obj.pk if change else services.create_group(actor=actor, name=name, now=now).id
        wanted = {user.id for user in given["members"]}
        there = set(
            CustomerGroupMember.objects.filter(group=group_id).values_list("user", flat=True)
        )
        return services.change_group(
            actor=actor,
            group_id=group_id,
            name=name,
            add=wanted - there,
            remove=there - wanted,
            now=now,
        )

    def delete_model(self, request: HttpRequest, obj: CustomerGroup) -> None:
        services.delete_group(actor=actor_of(request), group_id=obj.pk, now=timezone.now())


@admin.register(PriceChange)
class PriceChangeAdmin(ReadOnlyAdmin):
    company_path = "variant__company_id"
    people = ["actor"]
    list_display = [
        "changed_at",
        "sku",
        "kind_text",
        "currency",
        "old_money",
        "new_money",
        "by",
        "reason",
    ]
    list_filter = ["currency", "changed_at"]
    list_select_related = ["variant"]
    search_fields = ["variant__sku", "reason"]
    search_help_text = _("SKU or reason")
    date_hierarchy = "changed_at"
    ordering = ["-changed_at"]
    show_full_result_count = False
    fields = [
        "changed_at",
        "sku",
        "kind_text",
        "currency",
        "old_money",
        "new_money",
        "from_quantity",
        "valid_from",
        "valid_to",
        "by",
        "reason",
    ]
    old_money = amount("old_amount", _("before"))
    new_money = amount("new_amount", _("after"))
    by = person("actor", _("by"))

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, change: PriceChange) -> str:
        return change.variant.sku

    @display(description=_("price"))
    def kind_text(self, change: PriceChange) -> str:
        return str(KIND_WORDS[change.kind])

    def get_urls(self) -> list[Any]:
        page = path(
            "report/",
            self.admin_site.admin_view(partial(report_page, self)),
            name="pricing_pricechange_report",
        )
        return [page, *super().get_urls()]


@admin.register(BundlePrice)
class BundlePriceAdmin(MoneyAdmin):
    company_path = "bundle__company_id"
    list_display = ["bundle_name", "currency", "amount_money"]
    list_filter = ["currency"]
    list_select_related = ["bundle"]
    search_fields = ["bundle__name"]
    autocomplete_fields = ["bundle"]
    amount_money = amount("amount", _("price"))
    ordering = ["bundle__name", "currency"]

    @display(description=_("bundle"), ordering="bundle__name")
    def bundle_name(self, price: BundlePrice) -> str:
        return price.bundle.name

    def get_readonly_fields(
        self, request: HttpRequest, obj: BundlePrice | None = None
    ) -> list[str]:
        return ["bundle", "currency"] if obj else []

    def serve(
        self, request: HttpRequest, obj: BundlePrice, given: dict[str, Any], change: bool
    ) -> Model:
        services.set_bundle_price(
            actor=actor_of(request),
            bundle_id=obj.bundle_id,
            currency=obj.currency,
            amount=given["amount"],
            now=timezone.now(),
        )
        return BundlePrice.objects.get(bundle=obj.bundle_id, currency=obj.currency)

    def delete_model(self, request: HttpRequest, obj: BundlePrice) -> None:
        services.set_bundle_price(
            actor=actor_of(request),
            bundle_id=obj.bundle_id,
            currency=obj.currency,
            amount=None,
            now=timezone.now(),
        )
