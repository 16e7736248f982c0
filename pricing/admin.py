"""Prices and the rules of prices for staff. Every change goes through a service: checked, audited, at once in effect."""

from __future__ import annotations

import dataclasses
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from config.platform.backoffice import ReadOnlyAdmin
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from pricing import selectors, services
from pricing.models import (
    BundlePrice,
    Coupon,
    Price,
    PriceChange,
    Promotion,
    PromotionUse,
    ShippingRule,
    ShippingZone,
    TaxRate,
)
from pricing.money import format_amount
from pricing.terms import PromotionTerms, ShippingRuleTerms, TaxRateTerms, ZoneTerms


class ServedAdmin(ModelAdmin):
    """
    Forms whose saving is a service call.

    A refusal undoes the request and is shown. Deleting asks no questions about related rows: the service decides.
    """

    company_path = "company_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .filter(**{self.company_path: actor_of(request).company_id})
        )

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ApplicationError as refused:
            details = [f"{error.field}: {error.message}" for error in refused.errors] or [
                refused.detail
            ]
            messages.error(request, " ".join(details))
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = self.serve(request, obj, form.cleaned_data, change)
        obj.pk = saved.pk
        obj._state.adding = False

    def serve(self, request: HttpRequest, obj: Any, given: dict[str, Any], change: bool) -> Model:
        raise NotImplementedError

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write nothing: the service has; rows beside the form are only shown."""
        for formset in formsets:
            formset.new_objects = formset.changed_objects = formset.deleted_objects = []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        return [str(obj) for obj in objs], {}, set(), []

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


class ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# --- prices ---------------------------------------------------------------------------------------


@admin.register(Price)
class PriceAdmin(ServedAdmin):
    company_path = "variant__company_id"
    list_display = ["sku", "product", "shown_amount", "compare_at", "currency", "updated_at"]
    list_filter = ["currency"]
    list_select_related = ["variant__product"]
    search_fields = ["variant__sku", "variant__product__name"]
    raw_id_fields = ["variant"]
    readonly_fields = ["history"]
    fields = ["variant", "currency", "amount", "compare_at", "history"]
    ordering = ["variant__sku", "currency"]

    @display(description=_("SKU"), ordering="variant__sku")
    def sku(self, price: Price) -> str:
        return price.variant.sku

    @display(description=_("product"), ordering="variant__product__name")
    def product(self, price: Price) -> str:
        return price.variant.product.name

    @display(description=_("price"), ordering="amount")
    def shown_amount(self, price: Price) -> str:
        return format_amount(price.amount, price.currency)

    @display(description=_("history"))
    def history(self, price: Price) -> str:
        if price.pk is None:
            return "–"
        changes = PriceChange.objects.filter(variant=price.variant_id, currency=price.currency)
        return format_html_join(
            "",
            "<div>{} {} ({}{})</div>",
            (
                (
                    change.changed_at.strftime("%Y-%m-%d %H:%M"),
                    format_amount(change.new_amount, change.currency),
                    change.actor,
                    f", {change.reason}" if change.reason else "",
                )
                for change in changes.order_by("-changed_at", "-id")[:50]
            ),
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


@admin.register(PriceChange)
class PriceChangeAdmin(ReadOnlyAdmin):
    list_display = [
        "changed_at",
        "variant",
        "currency",
        "old_amount",
        "new_amount",
        "actor",
        "reason",
    ]
    list_filter = ["currency"]
    list_select_related = ["variant"]
    search_fields = ["variant__sku", "actor", "reason"]
    date_hierarchy = "changed_at"
    ordering = ["-changed_at"]


@admin.register(BundlePrice)
class BundlePriceAdmin(ServedAdmin):
    company_path = "bundle__company_id"
    list_display = ["bundle", "currency", "amount"]
    list_filter = ["currency"]
    list_select_related = ["bundle"]
    raw_id_fields = ["bundle"]
    ordering = ["bundle__name", "currency"]

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


# --- promotions -----------------------------------------------------------------------------------


class PromotionForm(forms.ModelForm):
    codes = forms.CharField(
        label=_("codes"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("One on each line. Without any, the promotion applies by itself."),
    )

    class Meta:
        model = Promotion
        fields = [
            field.name
            for field in dataclasses.fields(PromotionTerms)
            if field.name not in {"codes", "product_ids", "category_ids"}
        ] + ["products", "categories"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.instance._state.adding:
            self.initial["codes"] = "\n".join(selectors.promotion_terms(self.instance).codes)

    def clean_settings(self) -> Any:
        settings = self.cleaned_data["settings"] or {}
        if not isinstance(settings, dict):
            raise forms.ValidationError(_("An object is needed, such as {}."))
        return settings


class CouponInline(ReadOnlyInline):
    model = Coupon
    fields = readonly_fields = ["code", "is_active", "created_at"]


class UseInline(ReadOnlyInline):
    model = PromotionUse
    fields = readonly_fields = [
        "used_at", "code", "order_id", "customer_key", "amount", "currency", "returned_at",
    ]  # fmt: skip
    verbose_name_plural = _("uses")


@admin.register(Promotion)
class PromotionAdmin(ServedAdmin):
    form = PromotionForm
    list_display = [
        "name",
        "kind",
        "scope",
        "shown_value",
        "shown_codes",
        "uses",
        "state",
        "ends_at",
    ]
    list_filter = ["kind", "scope", "is_active", "is_automatic"]
    search_fields = ["name", "coupons__code"]
    filter_horizontal = ["products", "categories"]
    inlines = [CouponInline, UseInline]
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": ["name", "kind", "scope", "value", "currency", "codes"]}),
        (_("When"), {"fields": ["is_active", "starts_at", "ends_at"]}),
        (
            _("Limits"),
            {"fields": ["minimum_order", "maximum_discount", "usage_limit", "per_customer_limit"]},
        ),
        (_("For what and whom"), {"fields": ["products", "categories", "user_ids"]}),
        (
            _("How"),
            {"fields": ["is_automatic", "is_stackable", "is_advertised", "priority", "settings"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.promotions(actor=actor_of(request))

    @display(description=_("value"), ordering="value")
    def shown_value(self, promotion: Promotion) -> str:
        if promotion.kind == Promotion.Kind.FIXED_AMOUNT:
            return f"{format_amount(promotion.value, promotion.currency)} {promotion.currency}"
        return f"{promotion.value.normalize():f} %" if promotion.value else "–"

    @display(description=_("codes"))
    def shown_codes(self, promotion: Promotion) -> str:
        return ", ".join(selectors.promotion_terms(promotion).codes[:3]) or "–"

    @display(description=_("used"))
    def uses(self, promotion: Any) -> str:
        limit = f" / {promotion.usage_limit}" if promotion.usage_limit else ""
        return f"{promotion.live_uses}{limit}"

    @display(description=_("now"), label={"runs": "success", "over": "danger", "off": "warning"})
    def state(self, promotion: Promotion) -> str:
        now = timezone.now()
        if not promotion.is_active:
            return "off"
        if promotion.ends_at and promotion.ends_at <= now:
            return "over"
        return "waits" if promotion.starts_at and promotion.starts_at > now else "runs"

    def serve(
        self, request: HttpRequest, obj: Promotion, given: dict[str, Any], change: bool
    ) -> Model:
        names = {field.name for field in dataclasses.fields(PromotionTerms)}
        codes = tuple(given["codes"].split())
        terms = PromotionTerms(
            **{name: value for name, value in given.items() if name in names and name != "codes"}
            | {
                "product_ids": tuple(product.pk for product in given["products"]),
                "category_ids": tuple(category.pk for category in given["categories"]),
                "user_ids": tuple(given["user_ids"] or ()),
                "is_automatic": given["is_automatic"] or not codes,
                "codes": codes,
            }
        )
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_promotion(actor=actor, promotion_id=obj.pk, terms=terms, now=now)
        return services.create_promotion(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: Promotion) -> None:
        services.delete_promotion(actor=actor_of(request), promotion_id=obj.pk, now=timezone.now())


@admin.register(PromotionUse)
class PromotionUseAdmin(ReadOnlyAdmin):
    list_display = [
        "used_at",
        "promotion",
        "code",
        "order_id",
        "customer_key",
        "amount",
        "currency",
        "returned_at",
    ]
    list_filter = ["currency"]
    list_select_related = ["promotion"]
    search_fields = ["code", "order_id", "customer_key"]
    date_hierarchy = "used_at"
    ordering = ["-used_at"]


# --- tax and shipping -------------------------------------------------------------------------------


def _names(terms: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(terms)]


@admin.register(TaxRate)
class TaxRateAdmin(ServedAdmin):
    fields = _names(TaxRateTerms)
    list_display = ["name", "type", "country", "state", "postal_pattern", "tax_class", "percent", "is_included", "is_active"]  # fmt: skip
    list_filter = ["type", "country", "tax_class", "is_active"]
    search_fields = ["name", "country", "state"]
    ordering = ["country", "state", "name"]

    @display(description=_("rate"), ordering="rate")
    def percent(self, rate: TaxRate) -> str:
        return f"{(rate.rate * 100).normalize():f} %"

    def serve(
        self, request: HttpRequest, obj: TaxRate, given: dict[str, Any], change: bool
    ) -> Model:
        terms, actor, now = TaxRateTerms(**given), actor_of(request), timezone.now()
        if change:
            return services.change_tax_rate(actor=actor, tax_rate_id=obj.pk, terms=terms, now=now)
        return services.create_tax_rate(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: TaxRate) -> None:
        services.delete_tax_rate(actor=actor_of(request), tax_rate_id=obj.pk, now=timezone.now())


class ShippingRuleInline(ReadOnlyInline):
    model = ShippingRule
    show_change_link = True
    fields = readonly_fields = [
        "code",
        "name",
        "type",
        "currency",
        "base_price",
        "free_over",
        "is_active",
    ]


@admin.register(ShippingZone)
class ShippingZoneAdmin(ServedAdmin):
    fields = _names(ZoneTerms)
    inlines = [ShippingRuleInline]
    list_display = ["name", "places", "priority", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    ordering = ["name"]

    @display(description=_("countries"))
    def places(self, zone: ShippingZone) -> str:
        shown = ", ".join(zone.countries[:8])
        return f"{shown} …" if len(zone.countries) > 8 else shown

    def serve(
        self, request: HttpRequest, obj: ShippingZone, given: dict[str, Any], change: bool
    ) -> Model:
        terms, actor, now = ZoneTerms(**given), actor_of(request), timezone.now()
        if change:
            return services.change_zone(actor=actor, zone_id=obj.pk, terms=terms, now=now)
        return services.create_zone(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: ShippingZone) -> None:
        services.delete_zone(actor=actor_of(request), zone_id=obj.pk, now=timezone.now())


@admin.register(ShippingRule)
class ShippingRuleAdmin(ServedAdmin):
    company_path = "zone__company_id"
    fields = [name.removesuffix("_id") for name in _names(ShippingRuleTerms)]
    list_display = [
        "name",
        "zone",
        "code",
        "type",
        "currency",
        "base_price",
        "free_over",
        "is_active",
    ]
    list_filter = ["zone", "type", "currency", "is_active"]
    list_select_related = ["zone"]
    search_fields = ["name", "code"]
    ordering = ["zone__name", "code", "currency"]

    def serve(
        self, request: HttpRequest, obj: ShippingRule, given: dict[str, Any], change: bool
    ) -> Model:
        terms = ShippingRuleTerms(zone_id=given.pop("zone").pk, **given)
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_shipping_rule(
                actor=actor, shipping_rule_id=obj.pk, terms=terms, now=now
            )
        return services.create_shipping_rule(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: ShippingRule) -> None:
        services.delete_shipping_rule(
            actor=actor_of(request), shipping_rule_id=obj.pk, now=timezone.now()
        )
