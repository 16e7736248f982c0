"""Prices and the rules of prices for staff. Every change goes through a service: checked, audited, at once in effect."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Lower
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ServedAdmin,
    figure,
    link,
    name_people,
    people,
    person,
    status,
)
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.models import User
from inventory.models import Product, Variant
from pricing import selectors, services
from pricing.backoffice import amount, cash
from pricing.models import (
    BundlePrice,
    Coupon,
    CustomerGroup,
    CustomerGroupMember,
    Price,
    PriceChange,
    PricingPolicy,
    Promotion,
    PromotionUse,
    ShippingRule,
    ShippingZone,
    SpecialPrice,
    TaxExemption,
    TaxRate,
)
from pricing.money import EXPONENTS, format_amount, quantize
from pricing.templatetags.money import money_text
from pricing.terms import ExemptionTerms, PromotionTerms, ShippingRuleTerms, TaxRateTerms, ZoneTerms

SHOWN_USES = 50


class MoneyForm(forms.ModelForm):
    """A form whose amounts have the decimals of their currency, whatever their column keeps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        currency = getattr(self.instance, "currency", "")
        for name, field in self.fields.items():
            value = self.initial.get(name)
            if isinstance(field, forms.DecimalField) and isinstance(value, Decimal):
                is_money = currency in EXPONENTS and name in MONEY
                self.initial[name] = (
                    format_amount(value, currency) if is_money else f"{value.normalize():f}"
                )


MONEY = {
    "amount", "compare_at", "base_price", "per_unit", "per_kilogram", "free_over", "minimum_order", "maximum_order",
    "maximum_discount",
}  # fmt: skip


class MoneyAdmin(ServedAdmin):
    form = MoneyForm


# --- product files --------------------------------------------------------------------------------


@admin.action(description=_("Product file (Shopify's format)"), permissions=["view"])
def export_selected(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Product]
) -> StreamingHttpResponse:
    return product_file(request, Product.objects.filter(pk__in=queryset.values("pk")))


def product_file(request: HttpRequest, products: QuerySet[Product]) -> StreamingHttpResponse:
    """Return these products as a file, in the company's own currency; who sees products and prices may have it."""
    if not request.user.has_perms(["inventory.view_product", "pricing.view_price"]):
        raise PermissionDenied
    actor = actor_of(request)
    export = services.export_products(
        actor=actor,
        currency=selectors.home_currency(company_id=actor.company_id),
        products=products,
    )
    response = StreamingHttpResponse(export.lines(), content_type="text/csv; charset=utf-8")
    name = f"products-{timezone.localdate():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


# --- prices ---------------------------------------------------------------------------------------


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
    list_display = ["sku", "product", "currency", "amount_money", "compare_money", "updated_at"]
    list_filter = ["currency", SaleFilter, "variant__product__category"]
    list_select_related = ["variant__product"]
    search_fields = ["variant__sku", "variant__product__name"]
    search_help_text = _("SKU or product")
    autocomplete_fields = ["variant"]
    readonly_fields = ["history"]
    fields = ["variant", "currency", "amount", "compare_at", "history"]
    ordering = ["variant__sku", "currency"]

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
        return [file, *super().get_urls()]

    def product_file(self, request: HttpRequest) -> StreamingHttpResponse:
        """Answer with all products of the company as a file."""
        return product_file(request, Product.objects.all())

    amount_money = amount("amount", _("price"))
    compare_money = amount("compare_at", _("was"))

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
    list_display = ["changed_at", "sku", "currency", "old_money", "new_money", "by", "reason"]
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


# --- products -------------------------------------------------------------------------------------

# The editor of inventory, with prices in it: what shows a price belongs here, so it is extended upwards.
Editor: Any = type(admin.site.get_model_admin(Product))
Variants: Any = next(inline for inline in Editor.inlines if inline.model is Variant)
VariantRow: Any = Variants.form
admin.site.unregister(Product)


def _price_field(label: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=3,
        widget=UnfoldAdminDecimalFieldWidget,
    )


class PricedVariantForm(VariantRow):
    price = _price_field(_("price"))
    former_price = _price_field(_("was"))


class PricedVariants(Variants):
    """The variants of a product with what they cost in the shop's own currency."""

    form = PricedVariantForm
    fields = [*Variants.fields[:2], "price", "former_price", *Variants.fields[2:]]

    def get_formset(self, request: HttpRequest, obj: Product | None = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        own = selectors.home_currency(company_id=actor_of(request).company_id)
        now_sold = Price.objects.filter(variant__product=obj, currency=own) if obj else []
        current = {price.variant_id: price for price in now_sold}

        class PricedForm(formset.form):  # type: ignore[valid-type,misc,name-defined]
            currency = own

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                price = current.get(self.instance.pk)
                if price is not None:
                    self.initial["price"] = quantize(price.amount, own)
                    if price.compare_at is not None:
                        self.initial["former_price"] = quantize(price.compare_at, own)

            def clean(self) -> Any:
                given = super().clean()
                if given.get("former_price") is not None and given.get("price") is None:
                    self.add_error("price", _("What does it cost now?"))
                return given

        formset.form = PricedForm
        return formset


@admin.register(Product)
class ProductAdmin(Editor):
    # A product file has prices in it, so the action on the products' page comes from here (ADR 5).
    actions = [*Editor.actions, export_selected]
    inlines = [PricedVariants if inline is Variants else inline for inline in Editor.inlines]

    def write(
        self, request: HttpRequest, form: Any, variants: Any, change: bool, now: datetime
    ) -> UUID:
        draft = self.draft(form, variants, change)
        prices: dict[str, dict[str, Decimal]] = {}
        former: dict[str, dict[str, Decimal | None]] = {}
        for row in variants.forms:
            given = row.cleaned_data
            if given.get("price") is not None and {"price", "former_price"} & {*row.changed_data}:
                prices[given["sku"]] = {row.currency: given["price"]}
                former[given["sku"]] = {row.currency: given["former_price"]}
        by: dict[str, Any] = {
            "actor": actor_of(request), "draft": draft, "prices": prices, "former": former, "now": now,
        }  # fmt: skip
        if not change:
            return services.create_product(**by).product_id
        product_id: UUID = form.instance.pk
        services.update_product(product_id=product_id, **by)
        return product_id


# --- promotions -----------------------------------------------------------------------------------


class PromotionForm(MoneyForm):
    codes = forms.CharField(
        label=_("Codes"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("One on each line. Without any, the promotion applies by itself."),
    )
    customers = forms.CharField(
        label=_("Customers"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("E-mail addresses of accounts, one on each line. Without any, it is for all."),
    )

    class Meta:
        model = Promotion
        fields = [
            field.name
            for field in dataclasses.fields(PromotionTerms)
            if field.name not in {"codes", "product_ids", "category_ids", "user_ids"}
        ] + ["products", "categories"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.instance._state.adding:
            self.initial["codes"] = "\n".join(selectors.promotion_terms(self.instance).codes)
            chosen = User.objects.filter(pk__in=self.instance.user_ids).order_by("email")
            self.initial["customers"] = "\n".join(chosen.values_list("email", flat=True))

        if "settings" in self.fields:
            self.fields["settings"].help_text = _(
                'Only for "buy some, get some", such as {"buy": 2, "get": 1, "percent": "100"}, and "more for less", '
                'such as {"tiers": [{"from": 5, "percent": "10"}]}. Else {}.'
            )

    def clean_customers(self) -> tuple[UUID, ...]:
        """Return the ids of the accounts named by their addresses."""
        wanted = {address.lower() for address in self.cleaned_data["customers"].split()}
        found = {
            user.email.lower(): user.pk
            for user in User.objects.annotate(lower=Lower("email")).filter(lower__in=wanted)
        }
        if missing := sorted(wanted - found.keys()):
            raise forms.ValidationError(
                _("There is no account of %(names)s."), params={"names": ", ".join(missing)}
            )
        return tuple(found.values())

    def clean_settings(self) -> Any:
        settings = self.cleaned_data["settings"] or {}
        if not isinstance(settings, dict):
            raise forms.ValidationError(_("An object is needed, such as {}."))
        return settings


class CouponInline(ReadOnlyInline):
    model = Coupon
    verbose_name_plural = _("codes")
    tab = True
    fields = ["code", "is_active", "created_at"]


class NewestUses(forms.models.BaseInlineFormSet):
    """Only the newest rows: a good promotion has more uses than a page can show."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-used_at", "-id")[:SHOWN_USES]
            name_people(self._newest, ["customer_key"])
        return self._newest


class UseInline(ReadOnlyInline):
    model = PromotionUse
    formset = NewestUses
    verbose_name_plural = _("newest uses")
    tab = True
    fields = ["used_at", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))


@admin.register(Promotion)
class PromotionAdmin(MoneyAdmin):
    form = PromotionForm
    list_display = [
        "name",
        "kind",
        "scope",
        "value_count",
        "shown_codes",
        "use_count",
        "state",
        "ends_at",
    ]
    list_filter = ["kind", "scope", "is_active", "is_automatic"]
    search_fields = ["name", "coupons__code"]
    search_help_text = _("name or code")
    autocomplete_fields = ["products", "categories"]
    inlines = [CouponInline, UseInline]
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": ["name", "kind", "scope", "value", "currency", "codes"]}),
        (_("When"), {"fields": ["is_active", "starts_at", "ends_at"]}),
        (
            _("Limits"),
            {"fields": ["minimum_order", "maximum_discount", "usage_limit", "per_customer_limit"]},
        ),
        (_("For what and whom"), {"fields": ["products", "categories", "customers"]}),
        (
            _("How"),
            {"fields": ["is_automatic", "is_stackable", "is_advertised", "priority", "settings"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.promotions(actor=actor_of(request))

    @display(description=_("value"), ordering="value")
    def value_count(self, promotion: Promotion) -> str:
        if promotion.kind == Promotion.Kind.FIXED_AMOUNT:
            return cash(promotion.value, promotion.currency)
        return figure(f"{promotion.value.normalize():f} %") if promotion.value else NOTHING

    @display(description=_("codes"))
    def shown_codes(self, promotion: Promotion) -> str:
        return ", ".join(selectors.promotion_terms(promotion).codes[:3]) or "–"

    @display(description=_("used"), ordering="live_uses")
    def use_count(self, promotion: Any) -> str:
        if not promotion.usage_limit:
            return figure(promotion.live_uses)
        return figure(
            _("%(used)d of %(limit)d")
            % {"used": promotion.live_uses, "limit": promotion.usage_limit}
        )

    @display(description=_("now"))
    def state(self, promotion: Promotion) -> str:
        now = timezone.now()
        if not promotion.is_active:
            return status(_("off"))
        if promotion.ends_at and promotion.ends_at <= now:
            return status(_("over"), "danger")
        if promotion.starts_at and promotion.starts_at > now:
            return status(_("not yet"), "warning")
        return status(_("runs"), "success")

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
                "user_ids": given["customers"],
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
    company_path = "promotion__company_id"
    people = ["customer_key"]
    list_display = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    list_filter = ["currency", ("returned_at", admin.EmptyFieldListFilter), "used_at"]
    list_select_related = ["promotion"]
    search_fields = ["code", "=order_id", "customer_key"]
    search_help_text = _("code, or the e-mail address of a guest")
    date_hierarchy = "used_at"
    ordering = ["-used_at"]
    show_full_result_count = False
    fields = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("promotion"), ordering="promotion__name")
    def name(self, use: PromotionUse) -> str:
        return link("pricing_promotion", use.promotion_id, use.promotion.name)

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))


# --- tax and shipping -------------------------------------------------------------------------------


def _names(terms: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(terms)]


@admin.register(TaxRate)
class TaxRateAdmin(MoneyAdmin):
    fields = _names(TaxRateTerms)
    list_display = ["name", "type", "country", "state", "postal_pattern", "tax_class", "percent", "is_included", "is_active"]  # fmt: skip
    list_filter = ["type", "country", "tax_class", "is_active"]
    search_fields = ["name", "country", "state"]
    ordering = ["country", "state", "name"]

    @display(description=_("rate"), ordering="rate")
    def percent(self, rate: TaxRate) -> str:
        return figure(f"{(rate.rate * 100).normalize():f} %")

    def serve(
        self, request: HttpRequest, obj: TaxRate, given: dict[str, Any], change: bool
    ) -> Model:
        terms, actor, now = TaxRateTerms(**given), actor_of(request), timezone.now()
        if change:
            return services.change_tax_rate(actor=actor, tax_rate_id=obj.pk, terms=terms, now=now)
        return services.create_tax_rate(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: TaxRate) -> None:
        services.delete_tax_rate(actor=actor_of(request), tax_rate_id=obj.pk, now=timezone.now())


class ExemptionForm(MoneyForm):
    customer = forms.EmailField(
        label=_("Customer"),
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The e-mail address of the account."),
    )

    class Meta:
        model = TaxExemption
        fields = [name for name in _names(ExemptionTerms) if name != "user_id"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding and "customer" in self.fields:
            user = User.objects.filter(pk=self.instance.user_id).first()
            self.initial["customer"] = user.email if user else ""
        if "country" in self.fields:
            self.fields["country"].help_text = _(
                "Two letters, or * for everywhere. A VAT number brings its own."
            )
            self.fields["country"].required = False

    def clean_customer(self) -> UUID:
        user = User.objects.by_email(self.cleaned_data["customer"])
        if user is None:
            raise forms.ValidationError(_("There is no such account."))
        return UUID(str(user.pk))


@admin.register(TaxExemption)
class TaxExemptionAdmin(MoneyAdmin):
    form = ExemptionForm
    people = ["decided_by"]
    list_display = ["number", "kind", "customer_name", "country", "state", "state_of", "valid_to", "by"]  # fmt: skip
    list_filter = ["status", "kind", "country"]
    search_fields = ["number"]
    search_help_text = _("number")
    ordering = ["-created_at"]
    by = person("decided_by", _("decided by"))
    fieldsets = [
        (None, {"fields": ["customer", "kind", "number", "country", "state"]}),
        (_("When"), {"fields": ["valid_from", "valid_to"]}),
        (_("Decision"), {"fields": ["status", "note"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mails = User.objects.filter(pk=OuterRef("user_id")).values("email")
        return super().get_queryset(request).annotate(customer_mail=Subquery(mails))

    @display(description=_("customer"))
    def customer_name(self, row: Any) -> str:
        return row.customer_mail or NOTHING

    @display(description=_("now"), ordering="status")
    def state_of(self, row: TaxExemption) -> str:
        tones = {"PENDING": "warning", "APPROVED": "success", "REJECTED": "danger"}
        return status(row.get_status_display(), tones[row.status])

    def serve(
        self, request: HttpRequest, obj: TaxExemption, given: dict[str, Any], change: bool
    ) -> Model:
        terms = ExemptionTerms(user_id=given.pop("customer"), **given)
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_exemption(actor=actor, exemption_id=obj.pk, terms=terms, now=now)
        return services.grant_exemption(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: TaxExemption) -> None:
        services.remove_exemption(actor=actor_of(request), exemption_id=obj.pk, now=timezone.now())


@admin.register(PricingPolicy)
class PricingPolicyAdmin(MoneyAdmin):
    """How totals are made, for the whole shop: one row, made at the first decision that is not the default."""

    fields = ["tax_rounding"]
    list_display = ["company", "tax_rounding"]
    ordering = ["company"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not self.get_queryset(request).exists()

    def has_delete_permission(self, request: HttpRequest, obj: PricingPolicy | None = None) -> bool:
        return False

    def serve(
        self, request: HttpRequest, obj: PricingPolicy, given: dict[str, Any], change: bool
    ) -> Model:
        return services.set_tax_rounding(
            actor=actor_of(request), rounding=given["tax_rounding"], now=timezone.now()
        )


class ShippingRuleInline(ReadOnlyInline):
    model = ShippingRule
    show_change_link = True
    fields = ["name", "code", "type", "base_money", "free_money", "is_active"]
    base_money = amount("base_price", _("price"))
    free_money = amount("free_over", _("free from"))


@admin.register(ShippingZone)
class ShippingZoneAdmin(MoneyAdmin):
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
class ShippingRuleAdmin(MoneyAdmin):
    company_path = "zone__company_id"
    fields = [name.removesuffix("_id") for name in _names(ShippingRuleTerms)]
    list_display = ["name", "zone_name", "code", "type", "currency", "base_money", "free_money", "is_active"]  # fmt: skip
    base_money = amount("base_price", _("price"))
    free_money = amount("free_over", _("free from"))
    list_filter = ["zone", "type", "currency", "is_active"]
    list_select_related = ["zone"]
    search_fields = ["name", "code"]
    ordering = ["zone__name", "code", "currency"]

    @display(description=_("zone"), ordering="zone__name")
    def zone_name(self, rule: ShippingRule) -> str:
        return rule.zone.name

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
